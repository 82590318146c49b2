//! Sentences in the form in which they are written: rows of cells, each a few tokens to copy.
//!
//! A processor copies fast, guesses badly, and waits for memory that is not in its second-level
//! cache. So cells come in rows of equal length, filled up with empty ones, most sentences are one
//! row or two, no cell has more tokens than one copy takes, and all of it is small: a cell has 8
//! bytes, what stands in it 4, and the pronouns of a sentence are what fills a cell, not sentences
//! of their own. With plans for each class and 12 bytes a cell, `bios-en` took 700 KB, and writing
//! it was bound by the third level of the cache.

use std::collections::HashMap;

use super::lexicon::{CHUNK, Lexicon};
use super::pieces::{Entry, Piece};
use super::slots;
use crate::error::{Error, Result};

/// Cells of a row.
pub(super) const ROW: usize = 2;

/// Most tokens of all pieces: a [`Run`] says where it begins in 27 bits.
const POOL_LIMIT: usize = 1 << 27;

/// Which tokens stand here, by the digits of the sentence: of the runs from `first` on the one
/// numbered by the digit in `fast`, and `stride` times the digit in `slow`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Cell {
    pub first: u32,
    pub stride: u16,
    pub slow: u8,
    pub fast: u8,
}

/// Some tokens of the pool, at most as many as are copied at once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Run(u32);

impl Run {
    fn new(at: usize, tokens: usize) -> Run {
        Run((at as u32) << 5 | tokens as u32)
    }

    #[inline(always)]
    pub(super) fn at(self) -> usize {
        (self.0 >> 5) as usize
    }

    #[inline(always)]
    pub(super) fn tokens(self) -> usize {
        (self.0 & 31) as usize
    }
}

/// The rows of all plans.
#[derive(Clone, Debug, Default)]
pub(super) struct Image {
    pub rows: Vec<[Cell; ROW]>,
    pub runs: Vec<Run>,
    /// By plan: its rows, from and to.
    pub plans: Vec<(u32, u32)>,
}

/// No tokens at all.
const EMPTY: Cell = Cell {
    first: 0,
    stride: 0,
    slow: slots::NONE,
    fast: slots::NONE,
};

/// What fills a cell: one piece, or one for each class.
type Filling = Vec<Piece>;

/// An image that is being made.
struct Making<'a> {
    lexicon: &'a Lexicon,
    image: Image,
    known_fillings: HashMap<Filling, Vec<Cell>>,
    known_rows: HashMap<Vec<Cell>, (u32, u32)>,
}

impl Image {
    /// The plans of a lexicon; `families` are plans of one sentence that differ by the class of
    /// its subject.
    ///
    /// Fails where there are more tokens than can be numbered.
    pub(super) fn new(lexicon: &Lexicon, families: &[Vec<u32>]) -> Result<Image> {
        let (plans, end) = (lexicon.plans.len(), lexicon.end_at());
        if end >= POOL_LIMIT {
            return Err(Error::argument(
                "grammar",
                format!("{end} tokens in its pieces"),
                format!("fewer than {POOL_LIMIT}: shorter lists"),
            ));
        }
        let mut making = Making {
            lexicon,
            image: Image {
                rows: Vec::new(),
                runs: vec![Run::default()],
                plans: vec![(0, 0); plans],
            },
            known_fillings: HashMap::new(),
            known_rows: HashMap::new(),
        };
        let mut is_done = vec![false; plans];
        for family in families {
            if let Some(rows) = making.family(family) {
                for &plan in family {
                    making.image.plans[plan as usize] = rows;
                    is_done[plan as usize] = true;
                }
            }
        }
        for plan in (0..plans).filter(|&plan| !is_done[plan]) {
            let pieces = lexicon.pieces_of(plan as u32).iter();
            let fillings = pieces.map(|&piece| vec![piece]);
            making.image.plans[plan] = making.rows(fillings.collect());
        }
        // What ends a document has a plan of its own, after all others.
        let first = making.image.runs.len() as u32;
        making.image.runs.push(Run::new(end, 1));
        let rows = making.add_rows(vec![Cell { first, ..EMPTY }]);
        making.image.plans.push(rows);
        Ok(making.image)
    }
}

impl Making<'_> {
    /// One sentence for all classes, if their sentences differ in pieces alone and not in their
    /// number.
    fn family(&mut self, plans: &[u32]) -> Option<(u32, u32)> {
        let pieces_of = |&plan: &u32| self.lexicon.pieces_of(plan);
        let all: Vec<&[Piece]> = plans.iter().map(pieces_of).collect();
        let (first, others) = all.split_first()?;
        if others.iter().any(|pieces| pieces.len() != first.len()) {
            return None;
        }
        let mut fillings = Vec::new();
        for at in 0..first.len() {
            let filling: Filling = all.iter().map(|pieces| pieces[at]).collect();
            fillings.push(self.merged(filling)?);
        }
        Some(self.rows(fillings))
    }

    /// One piece where all are the same; else one for each class, if one cell can hold them.
    fn merged(&self, filling: Filling) -> Option<Filling> {
        let first = *filling.first()?;
        if filling.iter().all(|piece| *piece == first) {
            return Some(vec![first]);
        }
        let ways = |piece: &Piece| self.lexicon.entries_of(piece).len();
        let count = ways(&first);
        let fits = filling.iter().all(|piece| {
            piece.slots == first.slots && piece.slots[0] == slots::NONE && ways(piece) == count
        });
        (fits && count <= usize::from(u16::MAX)).then_some(filling)
    }

    fn rows(&mut self, fillings: Vec<Filling>) -> (u32, u32) {
        let cells = fillings.into_iter().flat_map(|filling| self.cells(filling));
        let cells = cells.collect();
        self.add_rows(cells)
    }

    /// The cells of a filling: as many as its longest way has parts.
    fn cells(&mut self, filling: Filling) -> Vec<Cell> {
        if let Some(known) = self.known_fillings.get(&filling) {
            return known.clone();
        }
        let mut entries: Vec<Entry> = Vec::new();
        for piece in &filling {
            entries.extend(self.lexicon.entries_of(piece));
        }
        let Some(&Piece {
            stride,
            slots: [slow, fast],
            ..
        }) = filling.first()
        else {
            return Vec::new();
        };
        let mut cell = Cell {
            first: 0,
            stride: 0,
            slow,
            fast,
        };
        if filling.len() > 1 {
            cell.slow = slots::CLASS;
            cell.stride = (entries.len() / filling.len()) as u16;
        } else if slow != slots::NONE {
            // Of two lists the shorter one is gone through first: it has at most 1,024 words.
            let (stride, all) = (stride as usize, entries.len());
            let others = all / stride.max(1);
            if stride <= others {
                cell.stride = stride as u16;
            } else {
                (cell.slow, cell.fast) = (fast, slow);
                cell.stride = others as u16;
                let turned = (0..all).map(|at| entries[at % others * stride + at / others]);
                entries = turned.collect();
            }
        }
        let longest = entries.iter().map(|entry| usize::from(entry.tokens)).max();
        let parts = 0..longest.unwrap_or(0).div_ceil(CHUNK);
        let cells: Vec<Cell> = parts.map(|part| self.part(part, &entries, cell)).collect();
        self.known_fillings.insert(filling, cells.clone());
        cells
    }

    /// The cell of a part of each entry.
    fn part(&mut self, part: usize, entries: &[Entry], cell: Cell) -> Cell {
        let first = self.image.runs.len() as u32;
        self.image.runs.extend(entries.iter().map(|entry| {
            let tokens = usize::from(entry.tokens);
            let (before, after) = ((part * CHUNK).min(tokens), ((part + 1) * CHUNK).min(tokens));
            Run::new(entry.at as usize + before, after - before)
        }));
        Cell { first, ..cell }
    }

    fn add_rows(&mut self, cells: Vec<Cell>) -> (u32, u32) {
        if let Some(&known) = self.known_rows.get(&cells) {
            return known;
        }
        let from = self.image.rows.len() as u32;
        for cells in cells.chunks(ROW) {
            let mut row = [EMPTY; ROW];
            row[..cells.len()].copy_from_slice(cells);
            self.image.rows.push(row);
        }
        let rows = (from, self.image.rows.len() as u32);
        self.known_rows.insert(cells, rows);
        rows
    }
}

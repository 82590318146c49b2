//! The image: sentences in the form used for writing, as rows of cells of a few tokens to copy.
//!
//! A processor copies fast, mispredicts irregular branches, and waits for memory that is not in its
//! second-level cache. Cells are therefore in rows of equal length, padded with empty cells; most
//! sentences are one or two rows; no cell has more tokens than one copy; and everything is small: a
//! cell has 8 bytes, a run 4, and pronouns fill a cell instead of requiring separate sentences.
//! With plans for each class and 12 bytes a cell, `bios-en` needed 700 KB, and writing it was bound
//! by the third-level cache.

use std::collections::HashMap;

use super::lexicon::{CHUNK, Lexicon};
use super::pieces::{Entry, Piece};
use super::slots;
use crate::error::{Error, Result};

/// Number of cells in a row.
pub(super) const ROW: usize = 2;

/// Maximum number of tokens of all pieces: a [`Run`] stores its offset in 27 bits.
const POOL_LIMIT: usize = 1 << 27;

/// A cell of a sentence. The digits of the sentence select its run: the one at `first`, plus the
/// digit in `fast`, plus `stride` times the digit in `slow`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Cell {
    pub first: u32,
    pub stride: u16,
    pub slow: u8,
    pub fast: u8,
}

/// A range of tokens of the pool, at most [`CHUNK`].
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
    /// Range of the rows of each plan.
    pub plans: Vec<(u32, u32)>,
}

/// A cell without tokens.
const EMPTY: Cell = Cell {
    first: 0,
    stride: 0,
    slow: slots::NONE,
    fast: slots::NONE,
};

/// The content of a cell: one piece, or one for each class.
type Filling = Vec<Piece>;

/// A builder of an image.
struct Making<'a> {
    lexicon: &'a Lexicon,
    image: Image,
    known_fillings: HashMap<Filling, Vec<Cell>>,
    known_rows: HashMap<Vec<Cell>, (u32, u32)>,
}

impl Image {
    /// Creates the image of the plans of a lexicon; `families` are plans of one sentence that
    /// differ by the class of its subject.
    ///
    /// Returns an error if there are [`POOL_LIMIT`] tokens or more.
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
        // The end of a document has a separate plan, after all others.
        let first = making.image.runs.len() as u32;
        making.image.runs.push(Run::new(end, 1));
        let rows = making.add_rows(vec![Cell { first, ..EMPTY }]);
        making.image.plans.push(rows);
        Ok(making.image)
    }
}

impl Making<'_> {
    /// Creates one sentence for all classes, if their sentences have the same number of pieces.
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

    /// Returns one piece if all are the same; otherwise one for each class, if one cell can contain
    /// them.
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

    /// Returns the cells of a filling: as many as its longest entry has parts.
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
            // The stride is the length of the shorter of two lists, which has at most 1,024 words.
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

    /// Creates the cell of a part of each entry.
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

//! Writing sentences by copying their pieces.

use super::expand::TextRole;
use super::image::{Image, Run};
use super::lexicon::{CHUNK, Lexicon};
use super::pieces::{Entry, Piece};
use super::slots;
use crate::hash::Divider;
use crate::vocabulary::Token;

/// Number of digits stored for a sentence: a power of two, which avoids bounds checks.
const DIGITS: usize = slots::COUNT.next_power_of_two();

/// The digits of the words of a sentence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Digits([u32; DIGITS]);

impl Default for Digits {
    fn default() -> Self {
        Digits([0; DIGITS])
    }
}

impl Digits {
    #[inline(always)]
    pub(super) fn at(&self, slot: u8) -> u32 {
        self.0[usize::from(slot) % DIGITS]
    }

    /// Sets the class of the subject.
    #[inline(always)]
    pub(crate) fn set_class(&mut self, class: u32) {
        self.0[usize::from(slots::CLASS)] = class;
    }

    /// Sets the digits starting at a slot to those of an id, least significant digit last.
    #[inline(always)]
    pub(crate) fn set(&mut self, first: u8, id: u64, radices: &[Divider]) {
        let first = usize::from(first);
        if let [_] = radices {
            self.0[first] = id as u32;
            return;
        }
        let mut rest = id;
        for (at, radix) in radices.iter().enumerate().rev() {
            let (quotient, digit) = radix.divide(rest);
            self.0[first + at] = digit as u32;
            rest = quotient;
        }
    }
}

/// The tokens of a mention in a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TextSpan {
    pub role: TextRole,
    pub start: usize,
    pub end: usize,
}

#[inline(always)]
fn copy_chunk<T: Token>(from: &[T::Kept], to: &mut [T]) {
    let from: &[T::Kept; CHUNK] = from[..CHUNK].try_into().expect("a chunk");
    let to: &mut [T; CHUNK] = (&mut to[..CHUNK]).try_into().expect("a chunk");
    // All tokens are read before any is written, so that the copy is vectorised.
    *to = from.map(T::from_kept);
}

/// A buffer of sentences to be written as tokens.
///
/// The runs of a sentence are determined when it is added, and their tokens are looked up for many
/// sentences together: one after the other, each sentence would wait for the memory of all tables.
pub(crate) struct SentenceBuffer {
    /// Indices of runs.
    cells: Vec<u32>,
    runs: Vec<Run>,
}

/// Number of cells that are written together.
const TOGETHER: usize = 256;

impl SentenceBuffer {
    pub(crate) fn new() -> Self {
        SentenceBuffer {
            cells: Vec::with_capacity(2 * TOGETHER),
            runs: Vec::with_capacity(2 * TOGETHER),
        }
    }

    /// Adds a sentence; a full buffer must be written before more are added.
    #[inline(always)]
    pub(crate) fn push(&mut self, lexicon: &Lexicon, plan: u32, digits: &Digits) {
        let (from, to) = lexicon.image.plans[plan as usize];
        for row in &lexicon.image.rows[from as usize..to as usize] {
            let cells = row.map(|cell| {
                let slow = digits.at(cell.slow) * u32::from(cell.stride);
                cell.first + slow + digits.at(cell.fast)
            });
            self.cells.extend_from_slice(&cells);
        }
    }

    #[inline(always)]
    pub(crate) fn is_full(&self) -> bool {
        self.cells.len() >= TOGETHER
    }

    /// Writes the sentences to the front of `out`, which must have room for them and a chunk, and
    /// clears the buffer; returns the number of tokens.
    #[inline(always)]
    pub(crate) fn write<T: Token>(&mut self, lexicon: &Lexicon, out: &mut [T]) -> usize {
        self.look_up(&lexicon.image);
        let pool = T::kept(&lexicon.small, &lexicon.pool);
        let mut at = 0;
        for run in &self.runs {
            copy_chunk(&pool[run.at()..], &mut out[at..]);
            at += run.tokens();
        }
        at
    }

    /// Returns the number of tokens in the sentences and clears the buffer.
    pub(crate) fn count(&mut self, lexicon: &Lexicon) -> u64 {
        self.look_up(&lexicon.image);
        self.runs.iter().map(|run| run.tokens() as u64).sum()
    }

    #[inline(always)]
    fn look_up(&mut self, image: &Image) {
        self.runs.clear();
        let runs = self.cells.iter().map(|&cell| image.runs[cell as usize]);
        self.runs.extend(runs);
        self.cells.clear();
    }
}

impl Lexicon {
    /// Returns the plan of the end of a document.
    #[inline(always)]
    pub(crate) fn end_plan(&self) -> u32 {
        self.plans.len() as u32
    }

    /// Returns the tokens of a sentence.
    pub(crate) fn sentence(&self, plan: u32, digits: &Digits) -> Vec<u32> {
        let mut tokens = vec![0; self.tokens(plan, digits) + CHUNK];
        let mut lines = SentenceBuffer::new();
        lines.push(self, plan, digits);
        let count = lines.write(self, &mut tokens);
        tokens.truncate(count);
        tokens
    }

    /// Returns the number of tokens in a sentence.
    pub(crate) fn tokens(&self, plan: u32, digits: &Digits) -> usize {
        let pieces = self.pieces_of(plan).iter();
        pieces
            .map(|piece| usize::from(self.entry(piece, digits).tokens))
            .sum()
    }

    /// Returns the entry that fills a piece.
    fn entry(&self, piece: &Piece, digits: &Digits) -> Entry {
        let [slow, fast] = piece.slots.map(|slot| digits.at(slot));
        self.entries[(piece.first + slow * piece.stride + fast) as usize]
    }

    /// Returns the mentions of the subject and the objects by name in a sentence, in order.
    pub(crate) fn spans(&self, plan: u32, digits: &Digits) -> Vec<TextSpan> {
        let mut spans: Vec<TextSpan> = Vec::new();
        let mut at = 0;
        let mut is_open = false;
        for piece in self.pieces_of(plan) {
            let entry = self.entry(piece, digits);
            if piece.role != TextRole::Grammar {
                let (start, end) = (
                    at + usize::from(entry.core.0),
                    at + usize::from(entry.core.1),
                );
                match spans.last_mut() {
                    // This piece continues the same name.
                    Some(last) if is_open && last.role == piece.role => last.end = end,
                    _ => spans.push(TextSpan {
                        role: piece.role,
                        start,
                        end,
                    }),
                }
                is_open = usize::from(entry.core.1) == usize::from(entry.tokens);
            } else {
                is_open = false;
            }
            at += usize::from(entry.tokens);
        }
        spans
    }
}

//! Writing: the pieces of a sentence, copied.

use super::expand::TextRole;
use super::lexicon::{CHUNK, Lexicon};
use super::slots;
use crate::hash::Divider;
use crate::vocabulary::Token;

/// The digits of the words of a sentence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Digits([u32; slots::COUNT]);

impl Default for Digits {
    fn default() -> Self {
        Digits([0; slots::COUNT])
    }
}

impl Digits {
    pub(super) fn get(&self, slot: u8) -> usize {
        self.0[usize::from(slot)] as usize
    }

    /// Sets the digits from a slot on to those of an id, the last of them its fastest.
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

/// Tokens of a sentence that say something.
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
    // All are read before any is written: one by one they were copied one by one.
    *to = from.map(T::from_kept);
}

impl TextSpan {
    /// Whether it is the object of the sentence's first fact.
    pub(crate) fn is_object(&self) -> bool {
        self.role == TextRole::Object(0)
    }
}

impl Lexicon {
    /// Writes a sentence to the front of `out`, which must have room for the longest sentence and
    /// a chunk; gives the number of its tokens.
    #[inline(always)]
    pub(crate) fn write<T: Token>(&self, plan: u32, digits: &Digits, out: &mut [T]) -> usize {
        let pool = T::kept(&self.small, &self.pool);
        let mut at = 0;
        for piece in self.pieces_of(plan) {
            let [slow, fast] = piece.slots.map(|slot| digits.0[usize::from(slot)]);
            let entry = self.entries[(piece.first + slow * piece.stride + fast) as usize];
            let (from, tokens) = (entry.at as usize, usize::from(entry.tokens));
            // Whole chunks: a fixed number of tokens compiles to vector moves. Most pieces are one.
            copy_chunk(&pool[from..], &mut out[at..]);
            let mut copied = CHUNK;
            while copied < tokens {
                copy_chunk(&pool[from + copied..], &mut out[at + copied..]);
                copied += CHUNK;
            }
            at += tokens;
        }
        at
    }

    /// Tokens that [`Lexicon::write`] would write.
    #[inline(always)]
    pub(crate) fn tokens(&self, plan: u32, digits: &Digits) -> usize {
        self.pieces_of(plan)
            .iter()
            .map(|piece| {
                let [slow, fast] = piece.slots.map(|slot| digits.0[usize::from(slot)]);
                usize::from(
                    self.entries[(piece.first + slow * piece.stride + fast) as usize].tokens,
                )
            })
            .sum()
    }

    /// Where a sentence says its subject and its objects: each mention by name, in order.
    pub(crate) fn spans(&self, plan: u32, digits: &Digits) -> Vec<TextSpan> {
        let mut spans: Vec<TextSpan> = Vec::new();
        let mut at = 0;
        let mut is_open = false;
        for piece in self.pieces_of(plan) {
            let [slow, fast] = piece.slots.map(|slot| digits.0[usize::from(slot)]);
            let entry = self.entries[(piece.first + slow * piece.stride + fast) as usize];
            if piece.role != TextRole::Grammar {
                let (start, end) = (
                    at + usize::from(entry.core.0),
                    at + usize::from(entry.core.1),
                );
                match spans.last_mut() {
                    // The next piece of the same name.
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

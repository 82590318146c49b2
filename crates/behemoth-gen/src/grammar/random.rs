//! Random fillers: their number at each position of a sentence, and their draws.

use crate::hash::{Key, multiply_high};

/// Maximum number of fillers at one position of the nonsense grammar.
pub(super) const NONSENSE_MOST: usize = 5;

/// Probability of each filler after the first at a position of the nonsense grammar.
pub(super) const NONSENSE_NEXT: f64 = 0.4;

/// Number of combinations of the repeats grammar: one to three and zero to three copies around
/// three words.
const COMBINATIONS: u64 = 1728;

/// Number of combinations that differ before the object: the copies after it are the last digit,
/// whose first value is zero copies.
pub(super) const COMBINATIONS_OF_PROMPTS: u32 = COMBINATIONS as u32 / 4;

/// The random counts of one sentence, drawn in the order of its pieces.
pub(super) struct Counts {
    key: Key,
    draw: u64,
    next: u64,
    /// Digits of the combination of the repeats grammar; 0 until it is drawn.
    combination: u64,
}

impl Counts {
    #[inline(always)]
    pub(super) fn new(key: Key, draw: u64) -> Self {
        Counts {
            key,
            draw,
            next: 0,
            combination: 0,
        }
    }

    /// Creates the counts of a given combination of the repeats grammar.
    pub(super) fn of_combination(key: Key, combination: u64) -> Self {
        Counts {
            combination: COMBINATIONS + combination,
            ..Counts::new(key, 0)
        }
    }

    #[inline(always)]
    fn hash(&mut self) -> u64 {
        let hash = self.key.hash(self.draw ^ self.next);
        self.next += 1;
        hash
    }

    /// Returns the number of copies at one position of the repeats grammar; all 12^3 combinations
    /// are equally likely.
    #[inline(always)]
    pub(super) fn copies(&mut self, before: bool) -> usize {
        if self.combination == 0 {
            // The leading 1 marks the combination as drawn.
            self.combination = COMBINATIONS + multiply_high(self.hash(), COMBINATIONS);
        }
        let base = if before { 3 } else { 4 };
        let digit = self.combination % base;
        self.combination /= base;
        digit as usize + usize::from(before)
    }

    /// Returns the number of random fillers at one position of the nonsense grammar, and their
    /// draws: 32-bit halves of three hashes. A separate hash for the count reduced the speed by a
    /// tenth.
    #[inline(always)]
    pub(super) fn nonsense(&mut self, thresholds: &[u64; NONSENSE_MOST - 1]) -> (usize, Draws) {
        let hashes = [self.hash(), self.hash(), self.hash()];
        let uniform = hashes[0] >> 32;
        let count = 1 + thresholds
            .iter()
            .map(|&threshold| usize::from(uniform < threshold))
            .sum::<usize>();
        (count, Draws { hashes, next: 0 })
    }
}

/// Draws of fillers: the halves of three hashes except the first high half, which the count uses.
pub(super) struct Draws {
    hashes: [u64; 3],
    next: usize,
}

impl Draws {
    #[inline(always)]
    pub(super) fn next(&mut self, words: u32) -> u32 {
        // Halves in the order low 0, low 1, high 1, low 2, high 2.
        const HALVES: [(usize, u32); NONSENSE_MOST] = [(0, 0), (1, 0), (1, 32), (2, 0), (2, 32)];
        let (hash, shift) = HALVES[self.next];
        let half = (self.hashes[hash] >> shift) as u32;
        self.next += 1;
        ((u64::from(half) * u64::from(words)) >> 32) as u32
    }
}

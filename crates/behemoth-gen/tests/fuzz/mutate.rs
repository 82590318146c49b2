//! Mutations of inputs, each a function of its number.

use std::path::PathBuf;

/// Numbers at the limits of parsers, and invalid numbers.
const NUMBERS: [&str; 20] = [
    "0",
    "1",
    "-1",
    "2",
    "7",
    "255",
    "65535",
    "65536",
    "4294967295",
    "4294967296",
    "4611686018427387904",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "1e8",
    "1e308",
    "-0.0",
    "0.5",
    "nan",
    "inf",
];

/// Words of specs, grammars and manifests.
const WORDS: [&str; 16] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    ",",
    "=",
    ":",
    "\n",
    "{object}",
    "{subject}",
    "null",
    "true",
    "ü",
    "\u{2028}",
];

/// The bytes of numbers at the limits of their types.
const BYTES: [u64; 8] = [0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0xffff_ffff, u64::MAX];

/// The draws of one mutation, by splitmix64.
pub struct Draws(u64);

impl Draws {
    /// Creates the draws of the mutation with a number.
    pub fn new(round: u64) -> Self {
        Draws(round.wrapping_mul(0xd134_2543_de82_ef95))
    }

    /// Returns a number below `n`, or 0 if `n` is 0.
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) % n.max(1) as u64) as usize
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// Returns one of the inputs with one to four changes.
pub fn mutated(seeds: &[(PathBuf, Vec<u8>)], draws: &mut Draws) -> Vec<u8> {
    let mut input = draws.one_of(seeds).1.clone();
    for _ in 0..=draws.below(4) {
        change(&mut input, seeds, draws);
    }
    input
}

fn change(input: &mut Vec<u8>, seeds: &[(PathBuf, Vec<u8>)], draws: &mut Draws) {
    let at = draws.below(input.len());
    let length = draws.below(input.len() - at).min(1 << draws.below(8));
    match draws.below(9) {
        0 if !input.is_empty() => input[at] ^= 1 << draws.below(8),
        1 => input.truncate(at),
        2 => drop(input.drain(at..at + length)),
        // Repeats a piece, at any position.
        3 => {
            let piece = input[at..at + length].to_vec();
            let to = draws.below(input.len());
            input.splice(to..to, piece);
        }
        // Inserts a piece of another input.
        4 => {
            let other = &draws.one_of(seeds).1;
            let from = draws.below(other.len());
            let length = draws.below(other.len() - from);
            input.splice(at..at, other[from..from + length].iter().copied());
        }
        // Replaces the next number.
        5 | 6 => {
            let is_digit = |byte: &u8| byte.is_ascii_digit();
            if let Some(first) = input[at..].iter().position(is_digit).map(|next| at + next) {
                let digits = input[first..]
                    .iter()
                    .take_while(|byte| is_digit(byte))
                    .count();
                let number = draws.one_of(&NUMBERS).bytes();
                input.splice(first..first + digits, number);
            }
        }
        7 => drop(input.splice(at..at, draws.one_of(&WORDS).bytes())),
        _ => {
            let bytes = draws.one_of(&BYTES).to_le_bytes();
            let width = (1 << draws.below(4)).min(input.len() - at);
            input[at..at + width].copy_from_slice(&bytes[..width]);
        }
    }
}

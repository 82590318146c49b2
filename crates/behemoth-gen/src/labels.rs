//! Labels for training on a packed stream: answers and document boundaries.
//!
//! Both are computed in one pass over tokens that were just generated and are still in the caches.

use crate::error::{Error, Result};

/// Label of a token without loss.
pub const IGNORED: i64 = -100;

/// The effect of a token on the answers of a sentence; see [`label_answers`].
pub mod structure {
    /// Begins the name of a subject or of a relation.
    pub const NAMES: u8 = 1;
    /// Begins an answer, after two names.
    pub const OPENS: u8 = 2;
    /// Ends a sentence and its answer.
    pub const CLOSES: u8 = 3;
}

/// The states of a sentence as shifts: the number of names just before (at most two), and whether
/// an answer is open, which is a separate bit.
///
/// Branches on the kinds of tokens are mispredicted if sentences vary in length, and cost 5 ns a
/// token. The effect of a token is therefore one word that contains the next state for each state,
/// at the bit position that equals the state: one shift per token, without a branch and without a
/// load that depends on the last one.
const STATES: [[u32; 3]; 2] = [[0, 6, 12], [OPEN, OPEN + 6, OPEN + 12]];
const OPEN: u32 = 32;
const OPEN_TO_SIGN: u32 = (OPEN as i64).leading_zeros();

/// Returns the next states for every kind of token.
fn rows() -> [u64; 256] {
    std::array::from_fn(|kind| {
        let mut row = 0;
        for (open, places) in STATES.iter().enumerate() {
            for (names, place) in places.iter().enumerate() {
                let (open, names) = match kind as u8 {
                    0 => (open, names),
                    structure::NAMES => (open, 2.min(names + 1)),
                    structure::OPENS => (open.max(names / 2), 0),
                    structure::CLOSES => (0, 0),
                    _ => (open, 0),
                };
                row |= u64::from(STATES[open][names]) << place;
            }
        }
        row
    })
}

/// Labels the tokens of a stream, piece by piece: with the token if it belongs to an answer,
/// otherwise with [`IGNORED`]. An answer begins after a token that opens one, if the two preceding
/// tokens with a nonzero value in `structure` begin names, and ends with the token that closes it.
/// Ids outside `structure` count as its last.
pub struct Answers<'a> {
    structure: &'a [u8],
    last: u64,
    rows: [u64; 256],
    state: u64,
}

impl<'a> Answers<'a> {
    /// Begins a stream, of which `structure` has the effect of every token id.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] if `structure` is empty.
    pub fn new(structure: &'a [u8]) -> Result<Self> {
        let Some(last) = structure.len().checked_sub(1) else {
            return Err(Error::argument(
                "structure",
                "nothing",
                "a value for every id",
            ));
        };
        Ok(Answers {
            structure,
            last: last as u64,
            rows: rows(),
            state: STATES[0][0].into(),
        })
    }

    /// Reads the next tokens and writes the labels of the last of them.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] if there are more labels than tokens.
    pub fn label(&mut self, tokens: &[i64], labels: &mut [i64]) -> Result<()> {
        let before = context(tokens, labels)?;
        let mut state = self.state;
        // With a comparison for each end of `structure`, and one of the state, a token took twice
        // as long.
        let mut step = |token: i64| {
            let inside = (state as i64) << OPEN_TO_SIGN >> 63;
            let kind = self.structure[(token as u64).min(self.last) as usize];
            state = self.rows[usize::from(kind)].wrapping_shr(state as u32);
            IGNORED ^ ((token ^ IGNORED) & inside)
        };
        let (context, own) = tokens.split_at(before);
        for &token in context {
            step(token);
        }
        for (label, &token) in labels.iter_mut().zip(own) {
            *label = step(token);
        }
        self.state = state;
        Ok(())
    }
}

/// Returns the number of tokens before those that have labels.
pub(crate) fn context(tokens: &[i64], labels: &[i64]) -> Result<usize> {
    tokens.len().checked_sub(labels.len()).ok_or_else(|| {
        let got = format!("{} labels", labels.len());
        Error::argument("labels", got, format!("up to the {} tokens", tokens.len()))
    })
}

/// Writes the labels of the last tokens of a piece of the stream; see [`Answers`].
///
/// # Errors
///
/// Returns [`Error::Argument`] if there are more labels than tokens or `structure` is empty.
pub fn label_answers(structure: &[u8], tokens: &[i64], labels: &mut [i64]) -> Result<()> {
    Answers::new(structure)?.label(tokens, labels)
}

/// Number of positions written at a time.
const WIDTH: usize = 16;

/// Writes the position of each token in its document, from 0 also at the start of every block of
/// `length` tokens. The label of the first token of each document is set to [`IGNORED`]; with
/// `copied`, the labels of the others are set to the tokens. A document ends with the token `end`.
///
/// Positions have 32 bits, which all their uses accept and which is half the memory to write; labels
/// have 64, as torch's losses accept no others.
///
/// # Errors
///
/// Returns [`Error::Argument`] if the outputs do not have the length of the tokens, or `length` is
/// 0 or more than 32 bits can number.
pub fn place_tokens(
    tokens: &[i64],
    length: usize,
    end: i64,
    positions: &mut [i32],
    labels: &mut [i64],
    copied: bool,
) -> Result<()> {
    let all = [positions.len(), labels.len()];
    if all.iter().any(|&own| own != tokens.len()) {
        let got = format!("{all:?} positions and labels");
        return Err(Error::argument(
            "tokens",
            got,
            format!("{} of each", tokens.len()),
        ));
    }
    if length == 0 || i32::try_from(length).is_err() {
        let allowed = format!("1 to {}", i32::MAX);
        return Err(Error::argument("length", length, allowed));
    }
    let rows = tokens.chunks(length).zip(positions.chunks_mut(length));
    for ((tokens, positions), labels) in rows.zip(labels.chunks_mut(length)) {
        if copied {
            labels.copy_from_slice(tokens);
        }
        // One document at a time: sequences are written with vector instructions, while a loop over
        // tokens waits for the result of the last token.
        let mut start = 0;
        while let Some(rest @ [_, ..]) = tokens.get(start..) {
            let last = rest.iter().position(|&token| token == end);
            let stop = last.map_or(tokens.len(), |last| start + last + 1);
            labels[start] = IGNORED;
            // Always a whole width, where the block has room for it: the next document overwrites
            // what is too much, and most sentences need no loop.
            let (mut at, mut position) = (start, 0);
            while at < stop {
                if let Some(places) = positions.get_mut(at..at + WIDTH) {
                    for (place, ahead) in places.iter_mut().zip(0..) {
                        *place = position + ahead;
                    }
                } else {
                    for (place, ahead) in positions[at..stop].iter_mut().zip(0..) {
                        *place = position + ahead;
                    }
                }
                (at, position) = (at + WIDTH, position + WIDTH as i32);
            }
            start = stop;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_what_an_opening_token_behind_two_names_opens() {
        // 1 and 2 name, 3 opens, 4 closes; 5 and all ids beyond are words.
        let structure = [0, 1, 1, 2, 3, 0];
        let tokens = [1, 5, 2, 5, 3, 7, 8, 4, 0, 3, 5, 1, 3, 5, 4, -1, 1, 2, 3, 9];
        let mut labels = [0; 20];
        label_answers(&structure, &tokens, &mut labels).unwrap();
        let mut expected = [IGNORED; 20];
        (expected[5], expected[6], expected[7], expected[19]) = (7, 8, 4, 9);
        assert_eq!(labels, expected);
        let mut short = [0; 14];
        label_answers(&structure, &tokens, &mut short).unwrap();
        assert_eq!(short, expected[6..]);
        assert!(label_answers(&structure, &tokens[..2], &mut short).is_err());
        assert!(label_answers(&[], &tokens, &mut short).is_err());
    }

    #[test]
    fn positions_begin_in_each_document_whose_first_token_has_no_label() {
        let tokens = [4, 0, 5, 6, 7, 8, 0, 0];
        let (mut positions, mut labels) = ([9; 8], tokens);
        place_tokens(&tokens, 4, 0, &mut positions, &mut labels, false).unwrap();
        assert_eq!(positions, [0, 1, 0, 1, 0, 1, 2, 0]);
        assert_eq!(labels, [-100, 0, -100, 6, -100, 8, 0, -100]);
        assert!(place_tokens(&tokens, 4, 0, &mut [0; 7], &mut labels, false).is_err());
        assert!(place_tokens(&tokens, 0, 0, &mut positions, &mut labels, false).is_err());
    }

    /// Draws from a few ids, so that every order of them comes.
    fn draws(seed: u64, count: usize, ids: u64) -> Vec<i64> {
        let key = crate::hash::Key::new(seed, "labels", 0);
        (0..count as u64)
            .map(|i| (key.hash(i) % ids) as i64)
            .collect()
    }

    #[test]
    fn answers_of_random_tokens_are_those_of_a_plain_automaton() {
        // Also a kind that has no meaning of its own, which interrupts names and no more.
        let structure = [0, 1, 1, 2, 3, 0, 9, 2];
        let mut answers = 0;
        for seed in 0..200 {
            let tokens = draws(seed, 300, 9);
            let context = seed as usize % 40;
            let (mut names, mut open, mut expected) = (0, false, Vec::new());
            for &token in &tokens {
                expected.push(if open { token } else { IGNORED });
                match structure[(token as usize).min(7)] {
                    0 => continue,
                    structure::OPENS if names >= 2 => open = true,
                    structure::CLOSES => open = false,
                    structure::NAMES => {
                        names += 1;
                        continue;
                    }
                    _ => {}
                }
                names = 0;
            }
            let mut labels = vec![7; tokens.len() - context];
            label_answers(&structure, &tokens, &mut labels).unwrap();
            assert_eq!(labels, expected[context..]);
            answers += labels.iter().filter(|&&label| label != IGNORED).count();
        }
        assert!(answers > 1000);
    }

    #[test]
    fn documents_of_random_tokens_are_those_of_a_plain_loop() {
        // Documents of 1 to some hundred tokens: empty ones, and longer than blocks.
        for (seed, ids) in (0..).zip([1, 2, 3, 11, 60, 400]) {
            let tokens = draws(seed, 1200, ids);
            for length in [1, 2, 7, 8, 48, 512, 1200, 5000] {
                let (mut positions, mut labels) = (vec![], vec![]);
                for block in tokens.chunks(length) {
                    let mut position = 0;
                    for &token in block {
                        positions.push(position);
                        labels.push(if position == 0 { IGNORED } else { token });
                        position = if token == 0 { 0 } else { position + 1 };
                    }
                }
                let mut places = vec![7; 1200];
                for copied in [true, false] {
                    let mut own = if copied {
                        vec![7; 1200]
                    } else {
                        tokens.clone()
                    };
                    place_tokens(&tokens, length, 0, &mut places, &mut own, copied).unwrap();
                    assert_eq!((&places, &own), (&positions, &labels));
                }
            }
        }
    }
}

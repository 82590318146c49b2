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

/// Writes the labels of the last tokens of a piece of the stream: the token if it belongs to an
/// answer, otherwise [`IGNORED`]. An answer begins after a token that opens one, if the two
/// preceding tokens with a nonzero value in `structure` begin names, and ends with the token that
/// closes it. Ids outside `structure` count as its first or its last.
///
/// # Errors
///
/// Returns [`Error::Argument`] if there are more labels than tokens or `structure` is empty.
pub fn label_answers(structure: &[u8], tokens: &[i64], labels: &mut [i64]) -> Result<()> {
    let before = tokens.len().checked_sub(labels.len()).ok_or_else(|| {
        let got = format!("{} labels", labels.len());
        Error::argument("labels", got, format!("up to the {} tokens", tokens.len()))
    })?;
    let Some(last) = structure.len().checked_sub(1) else {
        return Err(Error::argument(
            "structure",
            "nothing",
            "a value for every id",
        ));
    };
    let rows = rows();
    let mut state = u64::from(STATES[0][0]);
    let mut step = |token: i64| {
        let inside = -i64::from(state & u64::from(OPEN) != 0);
        let kind = structure[usize::try_from(token).unwrap_or(0).min(last)];
        state = rows[usize::from(kind)].wrapping_shr(state as u32);
        IGNORED ^ ((token ^ IGNORED) & inside)
    };
    let (context, own) = tokens.split_at(before);
    for &token in context {
        step(token);
    }
    for (label, &token) in labels.iter_mut().zip(own) {
        *label = step(token);
    }
    Ok(())
}

/// The outputs of [`number_documents`], each with the length of the tokens.
pub struct Places<'a> {
    /// Position of each token in its document, from 0.
    pub positions: &'a mut [i64],
    /// Number of its document in its block, from 0.
    pub numbers: &'a mut [i64],
    /// Label of each token.
    pub labels: &'a mut [i64],
}

/// Writes the position of each token in its document and the number of its document, both from 0 in
/// every block of `length` tokens. The label of the first token of each document is set to
/// [`IGNORED`]; with `copied`, the labels of the others are set to the tokens. A document ends with
/// the token `end`.
///
/// # Errors
///
/// Returns [`Error::Argument`] if the outputs do not have the length of the tokens or `length` is
/// 0.
pub fn number_documents(
    tokens: &[i64],
    length: usize,
    end: i64,
    places: Places<'_>,
    copied: bool,
) -> Result<()> {
    let Places {
        positions,
        numbers,
        labels,
    } = places;
    let all = [positions.len(), numbers.len(), labels.len()];
    if all.iter().any(|&own| own != tokens.len()) {
        let got = format!("{all:?} positions, numbers and labels");
        return Err(Error::argument(
            "tokens",
            got,
            format!("{} of each", tokens.len()),
        ));
    }
    if length == 0 {
        return Err(Error::argument("length", 0, "1 or more"));
    }
    let rows = tokens.chunks(length).zip(positions.chunks_mut(length));
    let others = numbers.chunks_mut(length).zip(labels.chunks_mut(length));
    for ((tokens, positions), (numbers, labels)) in rows.zip(others) {
        if copied {
            labels.copy_from_slice(tokens);
        }
        // One document at a time: constants and sequences are written with vector instructions,
        // while a loop over tokens waits for the result of the last token.
        let (mut start, mut number) = (0, 0);
        while let Some(rest @ [_, ..]) = tokens.get(start..) {
            let last = rest.iter().position(|&token| token == end);
            let stop = last.map_or(tokens.len(), |last| start + last + 1);
            labels[start] = IGNORED;
            for (place, position) in positions[start..stop].iter_mut().zip(0..) {
                *place = position;
            }
            numbers[start..stop].fill(number);
            (start, number) = (stop, number + 1);
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
    fn documents_are_numbered_and_their_first_tokens_have_no_label() {
        let tokens = [4, 0, 5, 6, 7, 8, 0, 0];
        let (mut positions, mut numbers, mut labels) = ([9; 8], [9; 8], tokens);
        let places = Places {
            positions: &mut positions,
            numbers: &mut numbers,
            labels: &mut labels,
        };
        number_documents(&tokens, 4, 0, places, false).unwrap();
        assert_eq!(positions, [0, 1, 0, 1, 0, 1, 2, 0]);
        assert_eq!(numbers, [0, 0, 1, 1, 0, 0, 0, 1]);
        assert_eq!(labels, [-100, 0, -100, 6, -100, 8, 0, -100]);
        let few = Places {
            positions: &mut positions,
            numbers: &mut [0; 7],
            labels: &mut labels,
        };
        assert!(number_documents(&tokens, 4, 0, few, false).is_err());
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
                let (mut positions, mut numbers, mut labels) = (vec![], vec![], vec![]);
                for block in tokens.chunks(length) {
                    let (mut position, mut number) = (0, 0);
                    for &token in block {
                        positions.push(position);
                        numbers.push(number);
                        labels.push(if position == 0 { IGNORED } else { token });
                        (position, number) = match token {
                            0 => (0, number + 1),
                            _ => (position + 1, number),
                        };
                    }
                }
                let (mut places, mut of) = (vec![7; 1200], vec![7; 1200]);
                for copied in [true, false] {
                    let mut own = if copied {
                        vec![7; 1200]
                    } else {
                        tokens.clone()
                    };
                    let all = Places {
                        positions: &mut places,
                        numbers: &mut of,
                        labels: &mut own,
                    };
                    number_documents(&tokens, length, 0, all, copied).unwrap();
                    assert_eq!((&places, &of, &own), (&positions, &numbers, &labels));
                }
            }
        }
    }
}

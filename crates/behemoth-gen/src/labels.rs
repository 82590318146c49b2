//! What a model that is trained on a packed stream must know of it: answers, and documents.
//!
//! Both are one pass over tokens that have just been made and still lie in the caches.

use crate::error::{Error, Result};

/// The label of a token without loss.
pub const IGNORED: i64 = -100;

/// What a token does for the answers of a sentence; see [`label_answers`].
pub mod structure {
    /// Opens the name of a subject or of a relation.
    pub const NAMES: u8 = 1;
    /// Opens an answer, behind two names.
    pub const OPENS: u8 = 2;
    /// Ends a sentence, and its answer with it.
    pub const CLOSES: u8 = 3;
}

/// Writes the labels of the last tokens of a piece of the stream: the token where it belongs to
/// an answer, else [`IGNORED`]. An answer begins behind a token that opens one, if the two tokens
/// of `structure` before that name something, and ends with the token that closes it. Ids that
/// `structure` does not have count as its first or its last.
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
    let mut names = 0;
    let mut open = false;
    let mut step = |token: i64| {
        let inside = open;
        let kind = structure[usize::try_from(token).unwrap_or(0).min(last)];
        if kind != 0 {
            open = match kind {
                structure::OPENS => open || names >= 2,
                structure::CLOSES => false,
                _ => open,
            };
            names = if kind == structure::NAMES {
                names + 1
            } else {
                0
            };
        }
        if inside { token } else { IGNORED }
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

/// Writes the place of each token in its document and the number of its document, both from 0 in
/// every block of `length` tokens; the first token of each gets no label. A document ends with
/// the token `end`.
pub fn number_documents(
    tokens: &[i64],
    length: usize,
    end: i64,
    positions: &mut [i64],
    numbers: &mut [i64],
    labels: &mut [i64],
) -> Result<()> {
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
        let (mut position, mut number) = (0, 0);
        let places = positions.iter_mut().zip(numbers).zip(labels).zip(tokens);
        for (((place, own), label), &token) in places {
            *place = position;
            *own = number;
            if position == 0 {
                *label = IGNORED;
            }
            let ends = token == end;
            position = if ends { 0 } else { position + 1 };
            number += i64::from(ends);
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
        let (places, of) = (&mut positions, &mut numbers);
        number_documents(&tokens, 4, 0, places, of, &mut labels).unwrap();
        assert_eq!(positions, [0, 1, 0, 1, 0, 1, 2, 0]);
        assert_eq!(numbers, [0, 0, 1, 1, 0, 0, 0, 1]);
        assert_eq!(labels, [-100, 0, -100, 6, -100, 8, 0, -100]);
        let few = &mut [0; 7];
        assert!(number_documents(&tokens, 4, 0, &mut positions, few, &mut labels).is_err());
    }
}

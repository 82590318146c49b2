//! The stream with its labels and positions, for training.

use super::{Corpus, Progress};
use crate::error::{Error, Result};
use crate::labels::{Answers, context, place_tokens};

/// Number of tokens made at a time, about: with their labels and positions they stay in the
/// second-level cache. Of a chunk of half a million tokens each array is read again when it has
/// left that cache.
const PIECE: usize = 1 << 15;

/// What [`Corpus::fill_labelled`] writes beside tokens.
pub struct Labelling<'a> {
    /// The labels of the last tokens.
    pub labels: &'a mut [i64],
    /// The effects of token ids on answers (see [`Answers`]), if only answers have loss.
    pub structure: Option<&'a [u8]>,
    /// The blocks in which positions are counted, if they are.
    pub blocks: Option<Blocks<'a>>,
}

/// Blocks of labelled tokens; see [`place_tokens`].
pub struct Blocks<'a> {
    /// Number of tokens of a block.
    pub length: usize,
    /// Token that ends a document.
    pub end: i64,
    /// Position of each labelled token in its document.
    pub positions: &'a mut [i32],
}

impl Corpus {
    /// Fills `tokens` as [`Corpus::fill_tokens`] does, and what is written beside the last of them.
    /// The others are their context: [`Answers`] begins with the first token.
    ///
    /// # Errors
    ///
    /// As for [`Corpus::fill_tokens`], [`Answers`] and [`place_tokens`].
    pub fn fill_labelled(
        &self,
        tokens: &mut [i64],
        token: u64,
        threads: usize,
        labelling: Labelling<'_>,
        progress: &Progress,
    ) -> Result<usize> {
        let Labelling {
            labels,
            structure,
            mut blocks,
        } = labelling;
        let count = labels.len();
        let before = context(tokens, labels)?;
        if let Some(blocks) = &blocks
            && blocks.positions.len() != count
        {
            let got = format!("{} positions", blocks.positions.len());
            return Err(Error::argument("positions", got, count.to_string()));
        }
        let mut answers = structure.map(Answers::new).transpose()?;
        // Whole blocks; and for several threads all at once, since they could not share a piece.
        let length = blocks.as_ref().map_or(1, |blocks| blocks.length.max(1));
        let piece = match threads {
            1 => (PIECE / length).max(1) * length,
            _ => count.max(1),
        };
        let (mut made, mut first) = (0, 0);
        while made < tokens.len() {
            let last = (first + piece).min(count);
            let own = &mut tokens[made..before + last];
            let place = token + made as u64;
            let filled = bytemuck::cast_slice_mut::<i64, u64>(own);
            if self.fill_tokens(filled, place, threads, progress)? < own.len() {
                let allowed = format!("{} tokens before the end", tokens.len());
                return Err(Error::argument("token", token, allowed));
            }
            made = before + last;
            let labels = &mut labels[first..last];
            if let Some(answers) = &mut answers {
                answers.label(own, labels)?;
            }
            let own = &tokens[before + first..made];
            if let Some(blocks) = &mut blocks {
                let positions = &mut blocks.positions[first..last];
                let copied = structure.is_none();
                place_tokens(own, blocks.length, blocks.end, positions, labels, copied)?;
            } else if structure.is_none() {
                labels.copy_from_slice(own);
            }
            first = last;
        }
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::{IGNORED, label_answers};
    use crate::spec::{CorpusSpec, WorldSpec};
    use crate::world::World;

    #[test]
    fn pieces_are_what_one_call_for_each_array_writes() {
        let world = WorldSpec::builder().subjects(2_000).build().unwrap();
        let spec = CorpusSpec::from_json(r#"{"templates": {"default": 1, "repeats": 1}}"#).unwrap();
        let corpus = Corpus::new(World::new(world).unwrap(), spec, None).unwrap();
        // Some marker and some words do for the names, objects and ends of answers.
        let structure: Vec<u8> = (0..60).map(|id| [0, 1, 0, 2, 3, 1][id % 6]).collect();
        let (context, token, count) = (41, 77, 2 * PIECE + 5 * 512);
        let mut whole = vec![0u64; context + count];
        let all = Progress::default();
        let made = corpus.fill_tokens(&mut whole, token, 1, &all).unwrap();
        assert_eq!(made, whole.len(), "the corpus is long enough");
        let whole: &[i64] = bytemuck::cast_slice(&whole);
        for (length, threads) in [(512, 1), (7, 1), (PIECE + 9, 1), (512, 2)] {
            for structure in [None, Some(&structure[..])] {
                let mut labels = whole[context..].to_vec();
                if let Some(structure) = structure {
                    label_answers(structure, whole, &mut labels).unwrap();
                    assert!(labels.iter().any(|&label| label != IGNORED));
                }
                let (mut own, mut own_labels) = (vec![9; whole.len()], vec![9; count]);
                let labelling = Labelling {
                    labels: &mut own_labels,
                    structure,
                    blocks: None,
                };
                corpus
                    .fill_labelled(&mut own, token, threads, labelling, &all)
                    .unwrap();
                assert_eq!((&own[..], &own_labels), (whole, &labels));
                let mut positions = vec![9; count];
                place_tokens(
                    &whole[context..],
                    length,
                    0,
                    &mut positions,
                    &mut labels,
                    false,
                )
                .unwrap();
                let mut own_positions = vec![7; count];
                let labelling = Labelling {
                    labels: &mut own_labels,
                    structure,
                    blocks: Some(Blocks {
                        length,
                        end: 0,
                        positions: &mut own_positions,
                    }),
                };
                own.fill(9);
                corpus
                    .fill_labelled(&mut own, token, threads, labelling, &all)
                    .unwrap();
                assert_eq!(
                    (&own[..], &own_labels, &own_positions),
                    (whole, &labels, &positions)
                );
            }
        }
    }
}

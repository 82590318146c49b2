//! Compiled templates and the writing of sentences.

use super::pieces::Piece;
use super::random::{Counts, NONSENSE_MOST, NONSENSE_NEXT};
use super::wording::{Lengths, Wording};
use crate::hash::Key;
use crate::vocabulary::{Token, Word};

/// Number of tokens copied from an image at a time: one or two vector stores.
const CHUNK: usize = 16;

/// The words of a fact.
pub(crate) struct Words<'a> {
    pub subject: (&'a Word, u64),
    pub relation: (&'a Word, u64),
    pub object: (&'a Word, u64),
}

/// A wording compiled for word lengths and a token type.
struct Layout<T> {
    /// The sentence with holes for the words, padded to whole chunks; empty for random lengths.
    image: Vec<T>,
    tokens: usize,
    subject_at: usize,
    relation_at: usize,
    /// Past the end for refusals, which have no object.
    object_at: usize,
}

/// A writer of the sentences of one corpus as tokens of type `T`.
pub(crate) struct Writer<'a, T> {
    pub(super) wordings: &'a [Wording],
    layouts: Vec<Layout<T>>,
    shapes: usize,
    end: Option<u32>,
    fillers: Key,
    thresholds: [u64; NONSENSE_MOST - 1],
}

impl<'a, T: Token> Writer<'a, T> {
    /// Compiles all wordings for all shapes; every sentence ends with `end`, if set.
    pub(crate) fn new(
        wordings: &'a [Wording],
        shapes: &[Lengths],
        end: Option<u32>,
        fillers: Key,
    ) -> Self {
        let layouts = wordings
            .iter()
            .flat_map(|wording| shapes.iter().map(move |shape| compile(wording, shape, end)))
            .collect();
        let mut thresholds = [0; NONSENSE_MOST - 1];
        let mut probability = 1.0;
        for threshold in &mut thresholds {
            probability *= NONSENSE_NEXT;
            *threshold = (probability * 4_294_967_296.0) as u64;
        }
        Writer {
            wordings,
            layouts,
            shapes: shapes.len(),
            end,
            fillers,
            thresholds,
        }
    }

    /// Returns the number of tokens in a sentence, or `None` if it depends on the draw.
    pub(crate) fn fixed_tokens(&self, wording: usize, shape: usize) -> Option<usize> {
        let layout = &self.layouts[wording * self.shapes + shape];
        (!layout.image.is_empty()).then_some(layout.tokens)
    }

    /// Writes a sentence to the front of `out`, which must have room for the longest sentence and
    /// [`SLACK`]; returns the number of its tokens. `draw` returns a number unique to the sentence.
    #[inline(always)]
    pub(crate) fn write(
        &self,
        wording: usize,
        shape: usize,
        words: &Words<'_>,
        draw: impl FnOnce() -> u64,
        out: &mut [T],
    ) -> usize {
        let layout = &self.layouts[wording * self.shapes + shape];
        if layout.image.is_empty() {
            let random = Counts::new(self.fillers, draw());
            return self.write_pieces(wording, words, random, out);
        }
        for (from, to) in layout
            .image
            .chunks_exact(CHUNK)
            .zip(out.chunks_exact_mut(CHUNK))
        {
            // The fixed number of tokens compiles to vector moves instead of a call to memcpy.
            to.copy_from_slice(from);
        }
        words
            .subject
            .0
            .write(words.subject.1, &mut out[layout.subject_at..]);
        words
            .relation
            .0
            .write(words.relation.1, &mut out[layout.relation_at..]);
        if layout.object_at < layout.tokens {
            words
                .object
                .0
                .write(words.object.1, &mut out[layout.object_at..]);
        }
        layout.tokens
    }

    /// Writes a sentence with a given combination of the repeats grammar.
    pub(super) fn write_combination(
        &self,
        wording: usize,
        words: &Words<'_>,
        combination: u32,
        out: &mut [T],
    ) -> usize {
        let random = Counts::of_combination(self.fillers, u64::from(combination));
        self.write_pieces(wording, words, random, out)
    }

    #[inline(never)]
    fn write_pieces(
        &self,
        wording: usize,
        words: &Words<'_>,
        mut random: Counts,
        out: &mut [T],
    ) -> usize {
        let mut at = 0;
        for piece in &self.wordings[wording].pieces {
            match *piece {
                Piece::Token(token) => {
                    out[at] = T::from_id(token);
                    at += 1;
                }
                Piece::Subject => {
                    words.subject.0.write(words.subject.1, &mut out[at..]);
                    at += words.subject.0.len();
                }
                Piece::Relation => {
                    words.relation.0.write(words.relation.1, &mut out[at..]);
                    at += words.relation.0.len();
                }
                Piece::Object => {
                    words.object.0.write(words.object.1, &mut out[at..]);
                    at += words.object.0.len();
                }
                Piece::Before(filler) | Piece::After(filler) => {
                    out[at..at + 3].fill(T::from_id(filler));
                    at += random.copies(matches!(piece, Piece::Before(_)));
                }
                Piece::Nonsense { first, words } => {
                    let (count, mut draws) = random.nonsense(&self.thresholds);
                    let room: &mut [T; NONSENSE_MOST] =
                        (&mut out[at..at + NONSENSE_MOST]).try_into().expect("five");
                    for filler in room {
                        *filler = T::from_id(first + draws.next(words));
                    }
                    at += count;
                }
            }
        }
        if let Some(end) = self.end {
            out[at] = T::from_id(end);
            at += 1;
        }
        at
    }

    /// Returns the number of tokens that [`Writer::write`] would write.
    #[inline(always)]
    pub(crate) fn tokens(
        &self,
        wording: usize,
        shape: usize,
        lengths: &Lengths,
        draw: impl FnOnce() -> u64,
    ) -> usize {
        let layout = &self.layouts[wording * self.shapes + shape];
        if !layout.image.is_empty() {
            return layout.tokens;
        }
        let mut random = Counts::new(self.fillers, draw());
        let pieces = self.wordings[wording].pieces.iter();
        usize::from(self.end.is_some())
            + pieces
                .map(|piece| match piece {
                    Piece::Token(_) => 1,
                    Piece::Subject => lengths.subject,
                    Piece::Relation => lengths.relation,
                    Piece::Object => lengths.object,
                    Piece::Before(_) => random.copies(true),
                    Piece::After(_) => random.copies(false),
                    Piece::Nonsense { .. } => random.nonsense(&self.thresholds).0,
                })
                .sum::<usize>()
    }
}

fn compile<T: Token>(wording: &Wording, shape: &Lengths, end: Option<u32>) -> Layout<T> {
    let mut layout = Layout {
        image: Vec::new(),
        tokens: 0,
        subject_at: 0,
        relation_at: 0,
        object_at: usize::MAX,
    };
    for piece in &wording.pieces {
        let at = layout.image.len();
        let hole = match *piece {
            Piece::Token(token) => {
                layout.image.push(T::from_id(token));
                continue;
            }
            Piece::Subject => {
                layout.subject_at = at;
                shape.subject
            }
            Piece::Relation => {
                layout.relation_at = at;
                shape.relation
            }
            Piece::Object => {
                layout.object_at = at;
                shape.object
            }
            // The length is random: there is no image.
            Piece::Before(_) | Piece::After(_) | Piece::Nonsense { .. } => {
                layout.image.clear();
                return layout;
            }
        };
        layout.image.resize(at + hole, T::default());
    }
    layout.image.extend(end.map(T::from_id));
    layout.tokens = layout.image.len();
    layout
        .image
        .resize(layout.tokens.next_multiple_of(CHUNK), T::default());
    layout
}

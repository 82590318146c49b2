//! Compiled templates, and the writing of one sentence.

use super::SLACK;
use super::{Lengths, NONSENSE_MOST, Piece, Wording};
use crate::hash::{Key, multiply_high};
use crate::vocabulary::{Token, Word, marker};

/// Tokens copied at once from an image: one or two vector stores.
const CHUNK: usize = 16;

/// The chance of each filler after the first in a place of the nonsense grammar.
const NONSENSE_NEXT: f64 = 0.4;

/// The words of one fact, as a sentence needs them.
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

/// Writes sentences of one corpus as tokens of type `T`.
pub(crate) struct Writer<'a, T> {
    wordings: &'a [Wording],
    layouts: Vec<Layout<T>>,
    shapes: usize,
    end: Option<u32>,
    fillers: Key,
    thresholds: [u64; NONSENSE_MOST - 1],
}

impl<'a, T: Token> Writer<'a, T> {
    /// Compiles all wordings for all shapes; every sentence ends in `end`, if given.
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

    /// Tokens of a sentence, when they are the same for every draw.
    pub(crate) fn fixed_tokens(&self, wording: usize, shape: usize) -> Option<usize> {
        let layout = &self.layouts[wording * self.shapes + shape];
        (!layout.image.is_empty()).then_some(layout.tokens)
    }

    /// Writes one sentence to the front of `out`, which must have room for the longest sentence
    /// and [`SLACK`]; gives the number of its tokens. `draw` is unique to the sentence.
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
            return self.write_pieces(wording, words, draw(), out);
        }
        for (from, to) in layout
            .image
            .chunks_exact(CHUNK)
            .zip(out.chunks_exact_mut(CHUNK))
        {
            // A fixed number of tokens: compiles to vector moves instead of a call to memcpy.
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

    #[inline(never)]
    fn write_pieces(&self, wording: usize, words: &Words<'_>, draw: u64, out: &mut [T]) -> usize {
        let mut at = 0;
        let mut random = Counts::new(self.fillers, draw);
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

    /// Tokens that [`Writer::write`] would write.
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
    if wording.has_random_length() {
        return layout;
    }
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
            _ => unreachable!("random lengths were sent back above"),
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

/// The random counts of one sentence, drawn in the order of its pieces.
struct Counts {
    key: Key,
    draw: u64,
    next: u64,
    /// Digits of the combination of the repeats grammar; 0 until it is drawn.
    combination: u64,
}

impl Counts {
    #[inline(always)]
    fn new(key: Key, draw: u64) -> Self {
        Counts {
            key,
            draw,
            next: 0,
            combination: 0,
        }
    }

    #[inline(always)]
    fn hash(&mut self) -> u64 {
        let hash = self.key.hash(self.draw ^ self.next);
        self.next += 1;
        hash
    }

    /// Copies in one place of the repeats grammar: all 12^3 combinations are equally likely.
    #[inline(always)]
    fn copies(&mut self, before: bool) -> usize {
        if self.combination == 0 {
            // The leading 1 marks the combination as drawn.
            self.combination = 1728 + multiply_high(self.hash(), 1728);
        }
        let base = if before { 3 } else { 4 };
        let digit = self.combination % base;
        self.combination /= base;
        digit as usize + usize::from(before)
    }

    /// How many random fillers stand in one place of the nonsense grammar, and their draws: 32 bits
    /// of three hashes each. A hash of its own for the count cost a tenth of the speed.
    #[inline(always)]
    fn nonsense(&mut self, thresholds: &[u64; NONSENSE_MOST - 1]) -> (usize, Draws) {
        let hashes = [self.hash(), self.hash(), self.hash()];
        let uniform = hashes[0] >> 32;
        let count = 1 + thresholds
            .iter()
            .map(|&threshold| usize::from(uniform < threshold))
            .sum::<usize>();
        (count, Draws { hashes, next: 0 })
    }
}

/// Draws of fillers: the halves of three hashes but for the first high one, which the count took.
struct Draws {
    hashes: [u64; 3],
    next: usize,
}

impl Draws {
    #[inline(always)]
    fn next(&mut self, words: u32) -> u32 {
        // Halves in the order low 0, low 1, high 1, low 2, high 2.
        const HALVES: [(usize, u32); NONSENSE_MOST] = [(0, 0), (1, 0), (1, 32), (2, 0), (2, 32)];
        let (hash, shift) = HALVES[self.next];
        let half = (self.hashes[hash] >> shift) as u32;
        self.next += 1;
        ((u64::from(half) * u64::from(words)) >> 32) as u32
    }
}

/// A prompt and its answer for a fact in a wording: the tokens before and from the object (from its
/// marker on, for questions), without the period.
pub(crate) fn probe(
    writer: &Writer<'_, u32>,
    wording: usize,
    shape: usize,
    words: &Words<'_>,
    draw: u64,
) -> (Vec<u32>, Vec<u32>) {
    let pieces = &writer.wordings[wording].pieces;
    let most = 64 + words.subject.0.len() + words.relation.0.len() + words.object.0.len();
    let mut sentence = vec![0; most + SLACK];
    let tokens = writer.write(wording, shape, words, || draw, &mut sentence);
    sentence.truncate(tokens);
    // Fillers may follow the object; count back over what comes after it.
    let object = words.object.0.len();
    let mut answer = vec![0; object];
    words.object.0.write(words.object.1, &mut answer);
    let start = sentence
        .windows(object)
        .rposition(|window| window == answer)
        .expect("a probe's wording has an object");
    let is_question = pieces.contains(&Piece::Token(marker::QUESTION));
    let start = start - usize::from(is_question);
    let end = start + object + usize::from(is_question);
    (sentence[..start].to_vec(), sentence[start..end].to_vec())
}

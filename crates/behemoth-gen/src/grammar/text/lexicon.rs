//! Lexicons: grammars in the tokens of one tokenizer, with every sentence in every context as
//! pieces to copy.

use std::ops::Range;

use super::expand::{Mention, TextRole};
use super::file::{Class, Kind, TextGrammar};
use super::image::Image;
use super::pattern::Pattern;
use super::pieces::{Entry, Piece};
use super::tokenizer::PieceTokenizer;
use crate::error::Result;

/// Number of tokens copied at a time.
pub(super) const CHUNK: usize = 16;

/// The kind of sentences in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    /// A fact.
    Statement,
    /// A question about a fact, and its answer.
    Question,
}

/// A column: the sentences with one number, of all relations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub says: Says,
    /// Number among the columns of the same kind.
    pub number: u32,
    pub held_out: bool,
}

/// A sentence in all its contexts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    /// The plan of the first class at its first mention.
    pub first: u32,
    /// Number of plans from one class to the next; 0 if all classes have the same plans.
    pub stride: u32,
}

/// The sentences of one relation.
#[derive(Clone, Debug)]
pub(super) struct OfRelation {
    /// The sentence of each column.
    pub placed: Vec<Option<Placed>>,
    /// Columns of written statements, with their weights.
    pub statements: Vec<(usize, f64)>,
    pub questions: Vec<(usize, f64)>,
    /// The sentence of each column with a refusal instead of the object, at the first mention.
    pub refusing: Vec<Option<Placed>>,
    /// Edit sentences, which state a new object, at the first mention.
    pub edits: Vec<Placed>,
}

/// Sentences that state several facts.
#[derive(Clone, Debug)]
pub(crate) struct JointSentences {
    pub relations: Vec<u32>,
    pub(super) placed: Vec<Placed>,
    /// Upper ends of the hashes of each sentence; the last sentence has no end.
    pub(super) ends: Vec<u64>,
}

impl JointSentences {
    /// Draws one of the sentences with a hash.
    #[inline]
    pub(crate) fn draw(&self, hash: u64) -> usize {
        self.ends.partition_point(|&end| end <= hash)
    }
}

/// Returns the upper ends of ranges of 64-bit hashes with widths in proportion to weights; the last
/// range has no end.
pub(crate) fn ends(weights: &[f64]) -> Vec<u64> {
    let sum: f64 = weights.iter().sum();
    let mut before = 0.0;
    let mut ends: Vec<u64> = weights
        .iter()
        .map(|weight| {
            before += weight / sum;
            (before * 18_446_744_073_709_551_616.0) as u64
        })
        .collect();
    ends.pop();
    ends
}

/// A sentence in one context: the range of its pieces.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub from: u32,
    pub to: u32,
}

/// A text grammar compiled with one tokenizer.
#[derive(Clone, Debug)]
pub struct Lexicon {
    pub(super) grammar: TextGrammar,
    pub(super) tokenizer: String,
    pub(super) end: u32,
    pub(super) size: u64,
    pub(super) names: Option<Vec<String>>,
    /// The concatenated tokens of all pieces.
    pub(super) pool: Vec<u32>,
    /// The same tokens in 16 bits; empty if they do not fit.
    pub(super) small: Vec<u16>,
    pub(super) entries: Vec<Entry>,
    pub(super) pieces: Vec<Piece>,
    pub(super) plans: Vec<Plan>,
    pub(super) columns: Vec<Column>,
    pub(super) relations: Vec<OfRelation>,
    pub(super) joints: Vec<JointSentences>,
    pub(super) most_tokens: usize,
    /// The first entry of each piece, and the number of entries.
    pub(super) starts: Vec<u32>,
    /// The plans in the form used for writing.
    pub(super) image: Image,
    /// Words of the tokenizer for a filler, set by [`Lexicon::with_words`].
    pub(super) words: Vec<u32>,
    /// For each token, whether it begins with a space, set by [`Lexicon::with_words`].
    pub(super) begins: Vec<bool>,
    /// Number of plans that a corpus may use; those of refusals and edits come after them.
    pub(super) written: usize,
}

/// Role of the end of a document.
pub const END_ROLE: u32 = 3;

impl Lexicon {
    /// Returns this lexicon with the role of each token, as [`TextRole::code`], instead of its id.
    pub(crate) fn as_roles(&self) -> Lexicon {
        let mut pool = vec![TextRole::Grammar.code(); self.pool.len()];
        for (core, role) in self.cores() {
            pool[core].fill(role.code());
        }
        pool[self.end_at()] = END_ROLE;
        let mut roles = Lexicon {
            pool,
            end: END_ROLE,
            ..self.clone()
        };
        roles.small = roles.narrowed();
        roles
    }

    /// Returns the ranges of the pool that name subjects and objects.
    pub(super) fn cores(&self) -> impl Iterator<Item = (Range<usize>, TextRole)> {
        let named = self.pieces.iter().filter(|p| p.role != TextRole::Grammar);
        named.flat_map(|piece| {
            self.entries_of(piece).iter().map(|entry| {
                let at = entry.at as usize;
                let core = at + usize::from(entry.core.0)..at + usize::from(entry.core.1);
                (core, piece.role)
            })
        })
    }

    /// Returns the entries of a piece, which end where those of the next known piece begin.
    pub(super) fn entries_of(&self, piece: &Piece) -> &[Entry] {
        let next = self.starts.partition_point(|&start| start <= piece.first);
        let end = self.starts.get(next).copied().unwrap_or(piece.first);
        &self.entries[piece.first as usize..end as usize]
    }

    /// Returns the offset in the pool of the end of documents: after all pieces, before the padding
    /// for the last chunk.
    pub(super) fn end_at(&self) -> usize {
        self.pool.len() - CHUNK - 1
    }

    pub(super) fn narrowed(&self) -> Vec<u16> {
        let tokens = self.pool.iter().map(|&token| u16::try_from(token));
        tokens
            .collect::<std::result::Result<_, _>>()
            .unwrap_or_default()
    }

    /// Returns the same grammar as text, with each piece as a token.
    pub(crate) fn as_text(&self) -> Result<Lexicon> {
        Lexicon::compile(self.grammar.clone(), &mut PieceTokenizer::default())
    }

    /// Returns the grammar.
    pub fn grammar(&self) -> &TextGrammar {
        &self.grammar
    }

    /// Returns the identifier of its tokenizer.
    pub fn tokenizer(&self) -> &str {
        &self.tokenizer
    }

    /// Returns the token that ends a document.
    pub fn end_of_document(&self) -> u32 {
        self.end
    }

    /// Returns the number of token ids.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the names of the tokens by id, or `None` unless the tokenizer was built for the
    /// grammar.
    pub fn names(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    /// Returns the tokens that are words of the tokenizer and in no name; empty before
    /// [`Lexicon::with_words`].
    pub fn words(&self) -> &[u32] {
        &self.words
    }

    /// Returns `true` if a token begins a word, with the space before it.
    pub(crate) fn begins_word(&self, token: u32) -> bool {
        match &self.names {
            // The words of a filler come after those of the grammar, and all begin a word.
            Some(names) => (names.get(token as usize)).is_none_or(|name| name.starts_with(' ')),
            None => self
                .begins
                .get(token as usize)
                .is_some_and(|&begins| begins),
        }
    }

    /// Returns `true` if the tokens that begin a word are known.
    pub(crate) fn knows_words(&self) -> bool {
        self.names.is_some() || !self.begins.is_empty()
    }

    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Returns the written sentences of a relation as columns with weights; links are numbered
    /// after the other relations.
    pub(crate) fn sentences(&self, relation: u32, says: Says) -> &[(usize, f64)] {
        let own = &self.relations[relation as usize];
        match says {
            Says::Statement => &own.statements,
            Says::Question => &own.questions,
        }
    }

    pub(crate) fn joints(&self) -> &[JointSentences] {
        &self.joints
    }

    /// Returns the number of relations, links included.
    pub(crate) fn relations(&self) -> usize {
        self.relations.len()
    }

    /// Returns `true` if a relation has a sentence in a column.
    pub(crate) fn has(&self, relation: u32, column: usize) -> bool {
        self.relations[relation as usize].placed[column].is_some()
    }

    /// Returns the maximum number of tokens in a sentence.
    pub(crate) fn most_tokens(&self) -> usize {
        self.most_tokens
    }

    /// Returns the plan of a relation's sentence for a class and a mention.
    #[inline]
    pub(crate) fn plan(&self, relation: u32, column: usize, class: u32, mention: Mention) -> u32 {
        self.relations[relation as usize].placed[column]
            .expect("columns are drawn from those that the relation has")
            .plan(class, mention)
    }

    #[inline]
    pub(crate) fn joint_plan(
        &self,
        joint: usize,
        number: usize,
        class: u32,
        mention: Mention,
    ) -> u32 {
        self.joints[joint].placed[number].plan(class, mention)
    }

    #[inline(always)]
    pub(super) fn pieces_of(&self, plan: u32) -> &[Piece] {
        let plan = self.plans[plan as usize];
        &self.pieces[plan.from as usize..plan.to as usize]
    }
}

impl Placed {
    #[inline(always)]
    pub(super) fn plan(self, class: u32, mention: Mention) -> u32 {
        self.first + class * self.stride + mention as u32
    }
}

impl TextGrammar {
    /// Returns the lengths of the lists that a relation's objects are the product of.
    pub(crate) fn object_radices(&self, relation: usize) -> Vec<u64> {
        self.radices(&self.relations[relation].objects)
    }

    /// Returns the lengths of the lists that names are the product of.
    pub(crate) fn name_radices(&self) -> Vec<u64> {
        self.radices(&self.subject.name)
    }

    fn radices(&self, pattern: &Pattern) -> Vec<u64> {
        let lists = pattern.holes().filter_map(|hole| self.list(&hole.name));
        lists.map(|(_, list)| list.words.len() as u64).collect()
    }

    /// Returns the upper ends of the hashes of each class, except the last.
    pub(crate) fn class_ends(&self) -> Vec<u64> {
        let weights = self
            .subject
            .classes
            .iter()
            .map(|class: &Class| class.weight);
        ends(&weights.collect::<Vec<f64>>())
    }

    /// Returns the share of adjacent facts that are written as a joint statement if one exists.
    pub(crate) fn share_joint(&self) -> f64 {
        self.layout.share_joint
    }

    /// Returns each composed relation with the relation whose objects its link is about.
    pub(crate) fn linked(&self) -> impl Iterator<Item = (usize, usize)> {
        self.relations
            .iter()
            .enumerate()
            .filter_map(|(at, relation)| match relation.kind {
                Kind::Composed { of } => Some((at, of)),
                _ => None,
            })
    }
}

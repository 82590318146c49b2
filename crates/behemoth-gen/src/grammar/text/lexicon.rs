//! A grammar in the tokens of one tokenizer: every sentence in every context, as pieces to copy.

use std::ops::Range;

use super::expand::{Mention, TextRole};
use super::file::{Class, Kind, TextGrammar};
use super::image::Image;
use super::pattern::Pattern;
use super::pieces::{Entry, Piece};

use super::tokenizer::PieceTokenizer;
use crate::error::Result;

/// Tokens copied at once.
pub(super) const CHUNK: usize = 16;

/// What a column of sentences says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    /// A fact.
    Statement,
    /// A question about a fact, and its answer.
    Question,
}

/// The sentences with one number, of all relations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub says: Says,
    /// Its number among those that say the same.
    pub number: u32,
    pub held_out: bool,
}

/// A sentence, in all its contexts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    /// The plan of the first class at its first mention.
    pub first: u32,
    /// Plans from one class to the next; 0 where all classes have the same.
    pub stride: u32,
}

/// Sentences of one relation.
#[derive(Clone, Debug)]
pub(super) struct OfRelation {
    /// By column.
    pub placed: Vec<Option<Placed>>,
    /// Columns that are written, with their weights.
    pub statements: Vec<(usize, f64)>,
    pub questions: Vec<(usize, f64)>,
    /// By column, at the first mention: the same with a refusal in the place of the object.
    pub refusing: Vec<Option<Placed>>,
    /// Sentences that say a new object, at the first mention.
    pub edits: Vec<Placed>,
}

/// Sentences that say several facts at once.
#[derive(Clone, Debug)]
pub(crate) struct JointSentences {
    pub relations: Vec<u32>,
    pub(super) placed: Vec<Placed>,
    /// Hashes below the first are of sentence 0, and so on; the last sentence has no end.
    pub(super) ends: Vec<u64>,
}

impl JointSentences {
    /// One of them by a hash.
    #[inline]
    pub(crate) fn draw(&self, hash: u64) -> usize {
        self.ends.partition_point(|&end| end <= hash)
    }
}

/// Ends of ranges of 64-bit hashes that are as wide as these weights; the last has none.
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

/// A sentence in one context: which pieces, and the most tokens that they have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub from: u32,
    pub to: u32,
}

/// A grammar in the tokens of one tokenizer.
#[derive(Clone, Debug)]
pub struct Lexicon {
    pub(super) grammar: TextGrammar,
    pub(super) tokenizer: String,
    pub(super) end: u32,
    pub(super) size: u64,
    pub(super) names: Option<Vec<String>>,
    /// The tokens of all pieces, end to end.
    pub(super) pool: Vec<u32>,
    /// The same in 16 bits, where they fit.
    pub(super) small: Vec<u16>,
    pub(super) entries: Vec<Entry>,
    pub(super) pieces: Vec<Piece>,
    pub(super) plans: Vec<Plan>,
    pub(super) columns: Vec<Column>,
    pub(super) relations: Vec<OfRelation>,
    pub(super) joints: Vec<JointSentences>,
    pub(super) most_tokens: usize,
    /// The first entries of all pieces, and the number of entries.
    pub(super) starts: Vec<u32>,
    /// The plans in the form in which they are written.
    pub(super) image: Image,
    /// Words of the tokenizer that a filler may say, where they were looked for.
    pub(super) words: Vec<u32>,
    /// By token: whether it begins with a space, where that was looked for.
    pub(super) begins: Vec<bool>,
    /// Plans that a corpus may have; those of refusals and edits come after them.
    pub(super) written: usize,
}

/// Stands for the end of a document among roles.
pub const END_ROLE: u32 = 3;

impl Lexicon {
    /// The same sentences with the role of each token in its place: what a token says, as
    /// [`TextRole::code`].
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

    /// Where in the pool subjects and objects are named.
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

    /// The ways to fill a piece: its entries end where those of the next known piece begin.
    pub(super) fn entries_of(&self, piece: &Piece) -> &[Entry] {
        let next = self.starts.partition_point(|&start| start <= piece.first);
        let end = self.starts.get(next).copied().unwrap_or(piece.first);
        &self.entries[piece.first as usize..end as usize]
    }

    /// Where in the pool the end of documents is: behind all pieces, before what a chunk reads
    /// beyond it.
    pub(super) fn end_at(&self) -> usize {
        self.pool.len() - CHUNK - 1
    }

    pub(super) fn narrowed(&self) -> Vec<u16> {
        let tokens = self.pool.iter().map(|&token| u16::try_from(token));
        tokens
            .collect::<std::result::Result<_, _>>()
            .unwrap_or_default()
    }

    /// The same grammar as text: each piece is a token.
    pub(crate) fn as_text(&self) -> Result<Lexicon> {
        Lexicon::compile(self.grammar.clone(), &mut PieceTokenizer::default())
    }

    /// The grammar.
    pub fn grammar(&self) -> &TextGrammar {
        &self.grammar
    }

    /// What tells its tokenizer apart from others.
    pub fn tokenizer(&self) -> &str {
        &self.tokenizer
    }

    /// The token that ends a document.
    pub fn end_of_document(&self) -> u32 {
        self.end
    }

    /// Number of token ids.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The names of the tokens by id, where the tokenizer was made for the grammar.
    pub fn names(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    /// Tokens that are words of the tokenizer and in no name, where they were looked for.
    pub fn words(&self) -> &[u32] {
        &self.words
    }

    /// Whether a token begins a word: with the space before it.
    pub(crate) fn begins_word(&self, token: u32) -> bool {
        match &self.names {
            // Words of a filler come after those of the grammar.
            Some(names) => (names.get(token as usize)).is_none_or(|name| name.starts_with(' ')),
            None => self
                .begins
                .get(token as usize)
                .is_some_and(|&begins| begins),
        }
    }

    /// Whether it is known which tokens begin a word.
    pub(crate) fn knows_words(&self) -> bool {
        self.names.is_some() || !self.begins.is_empty()
    }

    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The written sentences of a relation as columns with weights; links come after the rest.
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

    /// Number of relations, links included.
    pub(crate) fn relations(&self) -> usize {
        self.relations.len()
    }

    /// Whether a relation has a sentence in a column.
    pub(crate) fn has(&self, relation: u32, column: usize) -> bool {
        self.relations[relation as usize].placed[column].is_some()
    }

    /// Most tokens of a sentence.
    pub(crate) fn most_tokens(&self) -> usize {
        self.most_tokens
    }

    /// The plan of a relation's sentence for a class and a mention.
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
    /// The lists that a relation's objects are the product of, by their lengths.
    pub(crate) fn object_radices(&self, relation: usize) -> Vec<u64> {
        self.radices(&self.relations[relation].objects)
    }

    /// The lists that names are the product of, by their lengths.
    pub(crate) fn name_radices(&self) -> Vec<u64> {
        self.radices(&self.subject.name)
    }

    fn radices(&self, pattern: &Pattern) -> Vec<u64> {
        let lists = pattern.holes().filter_map(|hole| self.list(&hole.name));
        lists.map(|(_, list)| list.words.len() as u64).collect()
    }

    /// Where the hashes of each class end.
    pub(crate) fn class_ends(&self) -> Vec<u64> {
        let weights = self
            .subject
            .classes
            .iter()
            .map(|class: &Class| class.weight);
        ends(&weights.collect::<Vec<f64>>())
    }

    /// How often neighbours are written by a joint statement that says both.
    pub(crate) fn share_joint(&self) -> f64 {
        self.layout.share_joint
    }

    /// The relation whose objects a link is about.
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

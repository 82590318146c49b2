//! The parts of a grammar, after its file is read.

use std::collections::BTreeMap;

use crate::grammar::text::pattern::Pattern;

/// A list of alternative words.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct List {
    pub name: String,
    pub words: Vec<String>,
}

/// The names of subjects.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Subject {
    /// Holes are lists.
    pub name: Pattern,
    /// The hole is the name.
    pub possessive: Pattern,
    /// At least one.
    pub classes: Vec<Class>,
}

/// A class of subjects and the words that agree with it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Class {
    pub key: String,
    pub weight: f64,
    /// Forms by the name of their hole.
    pub forms: BTreeMap<String, Form>,
    /// Lists that replace others in the names of this class.
    pub lists: BTreeMap<String, String>,
}

/// A word that agrees with the last mention of the subject.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Form {
    pub after_name: String,
    pub after_pronoun: String,
}

/// A relation with the sentences about its facts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Relation {
    pub key: String,
    pub name: String,
    pub kind: Kind,
    /// Holes are lists.
    pub objects: Pattern,
    pub statements: Vec<Sentence>,
    pub questions: Vec<Sentence>,
    pub answer: Pattern,
    pub edits: Vec<Sentence>,
    /// Refusal that replaces the grammar's.
    pub refusal: Option<Refusal>,
    pub link: Option<Link>,
}

/// The kind of a relation, as far as a grammar defines it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Independent,
    Zipf { alpha: f64 },
    Composed { of: usize },
    Correlated { with: usize, strength: f64 },
    OneToOne,
}

/// A statement or a question.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sentence {
    pub text: Pattern,
    pub weight: f64,
    pub held_out: bool,
}

/// The sentences about the link facts of a composed relation: object -> nested object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Link {
    pub class: Class,
    pub statements: Vec<Sentence>,
    pub questions: Vec<Sentence>,
}

/// Sentences that state facts of several relations.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Joint {
    pub relations: Vec<usize>,
    pub statements: Vec<Sentence>,
}

/// The text that replaces an object in a refusal to answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refusal {
    /// In a statement.
    pub statement: Pattern,
    /// In the answer to a question.
    pub question: Pattern,
}

/// The separators of sentences and the share of joint statements.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Layout {
    pub separator: String,
    pub subject_separator: String,
    pub share_joint: f64,
}

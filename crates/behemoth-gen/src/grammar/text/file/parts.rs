//! What a grammar is made of, once its file is read.

use std::collections::BTreeMap;

use crate::grammar::text::pattern::Pattern;

/// Words that may stand in one place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct List {
    pub name: String,
    pub words: Vec<String>,
}

/// How subjects are called.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Subject {
    /// Holes are lists.
    pub name: Pattern,
    /// The hole is the name.
    pub possessive: Pattern,
    /// At least one.
    pub classes: Vec<Class>,
}

/// What agrees with a subject.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Class {
    pub key: String,
    pub weight: f64,
    /// By hole.
    pub forms: BTreeMap<String, Form>,
    /// Lists that stand for others in the names of this class.
    pub lists: BTreeMap<String, String>,
}

/// A word that agrees with how the subject was last mentioned.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Form {
    pub after_name: String,
    pub after_pronoun: String,
}

/// How the facts of one relation are said.
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
    /// In place of the grammar's.
    pub refusal: Option<Refusal>,
    pub link: Option<Link>,
}

/// Which kind of relation, as far as a grammar says it.
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

/// How the link facts of a composed relation are said: object -> nested object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Link {
    pub class: Class,
    pub statements: Vec<Sentence>,
    pub questions: Vec<Sentence>,
}

/// Sentences that say the facts of several relations at once.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Joint {
    pub relations: Vec<usize>,
    pub statements: Vec<Sentence>,
}

/// What is said in the place of an object by who does not answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refusal {
    /// In a statement.
    pub statement: Pattern,
    /// In the answer to a question.
    pub question: Pattern,
}

/// What stands between sentences.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Layout {
    pub separator: String,
    pub subject_separator: String,
    pub share_joint: f64,
}

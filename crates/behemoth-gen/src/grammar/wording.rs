//! Wordings: the ways in which a corpus writes its templates.

use super::pieces::Piece;
use super::random::{COMBINATIONS_OF_PROMPTS, NONSENSE_MOST};
use super::template::{Asks, Family, Template};

/// What a wording is one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// The wordings of a template.
    Template(Template),
    /// The statements of a text grammar: those with one number, of all relations.
    Statement,
    /// The questions of a text grammar.
    Question,
}

impl Form {
    /// Its name, as tables have it.
    pub fn name(self) -> &'static str {
        match self {
            Form::Template(template) => template.name(),
            Form::Statement => "statement",
            Form::Question => "text_question",
        }
    }

    /// What kind of sentence it makes.
    pub fn family(self) -> Family {
        match self {
            Form::Template(template) => template.family(),
            Form::Statement => Family::Statement,
            Form::Question => Family::Question,
        }
    }

    /// What the end of its sentences answers.
    pub fn asks(self) -> Asks {
        match self {
            Form::Template(template) => template.asks(),
            Form::Statement | Form::Question => Asks::Object,
        }
    }

    /// Whether it asks before it answers.
    pub fn is_question(self) -> bool {
        match self {
            Form::Template(template) => template.is_question(),
            Form::Statement => false,
            Form::Question => true,
        }
    }

    /// Whether a filler may stand between the object and the period.
    pub fn filler_follows(self) -> bool {
        match self {
            Form::Template(template) => template.filler_follows(),
            Form::Statement | Form::Question => false,
        }
    }
}

/// One wording of one template, or of one number in a text grammar.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Wording {
    /// What it is one of.
    pub form: Form,
    /// 0 for the template itself, then the paraphrases.
    pub number: u32,
    /// Never written; for probes only.
    pub held_out: bool,
    /// Its share of the statements (of the questions, for questions); in a text grammar the mean
    /// over relations.
    pub share: f64,
    pub(super) pieces: Vec<Piece>,
}

impl Wording {
    /// The sentences of a text grammar with one number.
    pub(crate) fn of_text(is_question: bool, number: u32, held_out: bool, share: f64) -> Wording {
        Wording {
            form: if is_question {
                Form::Question
            } else {
                Form::Statement
            },
            number,
            held_out,
            share,
            pieces: Vec::new(),
        }
    }

    /// What kind of sentence it makes.
    pub fn family(&self) -> Family {
        self.form.family()
    }

    /// Whether it asks before it answers.
    pub fn is_question(&self) -> bool {
        self.form.is_question()
    }

    /// Whether the object comes after subject and relation, so that a prompt can ask for it.
    pub fn can_probe(&self) -> bool {
        self.form.asks() == Asks::Object
    }

    /// How many combinations of fillers its prompts have, where that is a number to count: those of
    /// the repeats grammar. 1 where there are no random fillers or too many ways to draw them.
    pub fn combinations(&self) -> u32 {
        let repeats = |piece: &Piece| matches!(piece, Piece::Before(_));
        if self.can_probe() && self.pieces.iter().any(repeats) {
            COMBINATIONS_OF_PROMPTS
        } else {
            1
        }
    }

    /// Most tokens of a sentence, the end of the document included.
    pub(super) fn most_tokens(&self, words: &Lengths) -> usize {
        1 + self
            .pieces
            .iter()
            .map(|piece| match piece {
                Piece::Token(_) => 1,
                Piece::Subject => words.subject,
                Piece::Relation => words.relation,
                Piece::Object => words.object,
                Piece::Before(_) | Piece::After(_) => 3,
                Piece::Nonsense { .. } => NONSENSE_MOST,
            })
            .sum::<usize>()
    }
}

/// Word lengths of a kind of fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lengths {
    pub subject: usize,
    pub relation: usize,
    pub object: usize,
}

/// Most tokens of any of the wordings, the end of the document included.
pub(crate) fn most_tokens<'a>(
    wordings: impl Iterator<Item = &'a Wording>,
    shapes: &[Lengths],
) -> usize {
    wordings
        .flat_map(|wording| shapes.iter().map(|shape| wording.most_tokens(shape)))
        .max()
        .unwrap_or(0)
}

//! Wordings: the forms in which a corpus writes its templates.

use super::pieces::Piece;
use super::random::{COMBINATIONS_OF_PROMPTS, NONSENSE_MOST};
use super::template::{Asks, Family, Template};

/// The group that a wording belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// The wordings of a template.
    Template(Template),
    /// The statements of a text grammar; a wording is those with one number, of all relations.
    Statement,
    /// The questions of a text grammar.
    Question,
}

impl Form {
    /// Returns its name, as used in tables.
    pub fn name(self) -> &'static str {
        match self {
            Form::Template(template) => template.name(),
            Form::Statement => "statement",
            Form::Question => "text_question",
        }
    }

    /// Returns the kind of sentence.
    pub fn family(self) -> Family {
        match self {
            Form::Template(template) => template.family(),
            Form::Statement => Family::Statement,
            Form::Question => Family::Question,
        }
    }

    /// Returns what the end of its sentences answers.
    pub fn asks(self) -> Asks {
        match self {
            Form::Template(template) => template.asks(),
            Form::Statement | Form::Question => Asks::Object,
        }
    }

    /// Returns `true` if it is a question with an answer or a refusal.
    pub fn is_question(self) -> bool {
        match self {
            Form::Template(template) => template.is_question(),
            Form::Statement => false,
            Form::Question => true,
        }
    }

    /// Returns `true` if a filler may be between the object and the period.
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
    /// The group that it belongs to.
    pub form: Form,
    /// Number within the group: 0 for the template itself, then the paraphrases.
    pub number: u32,
    /// Whether it is never written and serves only as a probe.
    pub held_out: bool,
    /// Share of the statements (for questions, of the questions); in a text grammar, the mean over
    /// relations.
    pub share: f64,
    pub(super) pieces: Vec<Piece>,
}

impl Wording {
    /// Creates the wording of the sentences of a text grammar with one number.
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

    /// Returns the kind of sentence.
    pub fn family(&self) -> Family {
        self.form.family()
    }

    /// Returns `true` if it is a question with an answer or a refusal.
    pub fn is_question(&self) -> bool {
        self.form.is_question()
    }

    /// Returns `true` if the object comes after subject and relation, so that a prompt can ask for
    /// it.
    pub fn can_probe(&self) -> bool {
        self.form.asks() == Asks::Object
    }

    /// Returns the number of combinations of fillers in its prompts, for the repeats grammar; 1 if
    /// there are no random fillers or too many ways to draw them.
    pub fn combinations(&self) -> u32 {
        let repeats = |piece: &Piece| matches!(piece, Piece::Before(_));
        if self.can_probe() && self.pieces.iter().any(repeats) {
            COMBINATIONS_OF_PROMPTS
        } else {
            1
        }
    }

    /// Returns the maximum number of tokens in a sentence, the end of the document included.
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

/// The word lengths of a kind of fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lengths {
    pub subject: usize,
    pub relation: usize,
    pub object: usize,
}

/// Returns the maximum number of tokens in any of the wordings, the end of the document included.
pub(crate) fn most_tokens<'a>(
    wordings: impl Iterator<Item = &'a Wording>,
    shapes: &[Lengths],
) -> usize {
    wordings
        .flat_map(|wording| shapes.iter().map(|shape| wording.most_tokens(shape)))
        .max()
        .unwrap_or(0)
}

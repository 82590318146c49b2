//! Wordings: the ways in which a corpus writes its templates.

use super::pieces::Piece;
use super::random::NONSENSE_MOST;
use super::template::{Asks, Family, Template};

/// One wording of one template.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Wording {
    /// Its template.
    pub template: Template,
    /// 0 for the template itself, then the paraphrases.
    pub number: u32,
    /// Never written; for probes only.
    pub held_out: bool,
    /// Its share of the statements (of the questions, for questions).
    pub share: f64,
    pub(super) pieces: Vec<Piece>,
}

impl Wording {
    /// What kind of sentence it makes.
    pub fn family(&self) -> Family {
        self.template.family()
    }

    /// Whether the object comes after subject and relation, so that a prompt can ask for it.
    pub fn can_probe(&self) -> bool {
        self.template.asks() == Asks::Object
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

//! Parts that several templates share.

use super::{Part, Piece, marker};

pub(super) const SUBJECT: &[Piece] = &[Piece::Token(marker::SUBJECT), Piece::Subject];
pub(super) const RELATION: &[Piece] = &[Piece::Token(marker::RELATION), Piece::Relation];
pub(super) const OBJECT: &[Piece] = &[Piece::Token(marker::OBJECT), Piece::Object];
pub(super) const QUESTION: &[Piece] = &[Piece::Token(marker::QUESTION)];
pub(super) const ANSWER: &[Piece] = &[
    Piece::Token(marker::ANSWER),
    Piece::Token(marker::OBJECT),
    Piece::Object,
];
pub(super) const REFUSAL: &[Piece] = &[
    Piece::Token(marker::OBJECT),
    Piece::Token(marker::OBJECT),
    Piece::Token(marker::OBJECT),
];
pub(super) const REFUSED_ANSWER: &[Piece] = &[
    Piece::Token(marker::ANSWER),
    Piece::Token(marker::OBJECT),
    Piece::Token(marker::OBJECT),
    Piece::Token(marker::OBJECT),
];

/// Creates a part with a word of the grammar.
pub(super) const fn filler(name: &'static str) -> Part {
    Part::Filler(name)
}

/// Creates a part with tokens that stay together.
pub(super) const fn group(pieces: &'static [Piece]) -> Part {
    Part::Group(pieces)
}

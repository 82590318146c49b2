//! Ranges of token ids and the roles of their tokens.

use serde::Serialize;

/// The role of the tokens of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Role {
    /// End of document, padding, end of sentence.
    Special,
    /// Markers before words.
    Marker,
    /// Words of the grammar.
    Filler,
    /// Digits of subjects.
    Subject,
    /// Digits of relations.
    Relation,
    /// Digits of the objects of one relation.
    Object,
    /// Digits of the nested objects of one composed relation.
    Nested,
    /// Tokens of a tokenizer, whose role depends on the position.
    Text,
}

/// A range of token ids.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct TokenRange {
    /// Role of the tokens.
    pub kind: Role,
    /// The relation, for objects and nested objects.
    pub relation: Option<u32>,
    /// The digit position, with 0 for the leading digit.
    pub position: u32,
    /// First token id.
    pub first: u32,
    /// Number of token ids.
    pub count: u32,
    /// Names of the tokens; empty for digits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

//! Ranges of token ids, and what their tokens are.

use serde::Serialize;

/// What the tokens of a range are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
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
    /// Tokens of a tokenizer: what they say depends on where they stand.
    Text,
}

/// A range of token ids.
#[derive(Clone, Debug, Serialize)]
pub struct Range {
    /// What its tokens are.
    pub kind: Role,
    /// The relation, of objects and nested objects.
    pub relation: Option<u32>,
    /// The digit position, from 0 for the leading one.
    pub position: u32,
    /// First token id.
    pub first: u32,
    /// Number of token ids.
    pub count: u32,
    /// The tokens' names, where they are words of a language.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

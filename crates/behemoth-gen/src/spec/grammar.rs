//! The grammar part of a corpus spec.

use serde::Serialize;

use crate::error::Result;
use crate::value::Value;

/// Identifies the text grammar and the tokenizer that a corpus is written with.
///
/// The grammar itself is a separate file: these fields identify exactly one, and are filled in if
/// empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct GrammarSpec {
    /// Name of the grammar.
    pub name: String,
    /// BLAKE3 digest of the content of the grammar.
    pub digest: String,
    /// Identifier of the tokenizer, which differs between tokenizers.
    pub tokenizer: String,
}

impl GrammarSpec {
    pub(super) fn read(value: &Value) -> Result<Self> {
        let mut fields = value.table(&["name", "digest", "tokenizer"])?;
        let text = |value: &Value| value.text().map(str::to_string);
        Ok(GrammarSpec {
            name: fields.optional("name", text)?.unwrap_or_default(),
            digest: fields.optional("digest", text)?.unwrap_or_default(),
            tokenizer: fields.optional("tokenizer", text)?.unwrap_or_default(),
        })
    }
}

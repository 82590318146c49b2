//! Part of a corpus spec: which grammar it is written with.

use serde::Serialize;

use crate::error::Result;
use crate::value::Value;

/// The grammar that a corpus is written with, in the tokens of a tokenizer.
///
/// The grammar itself is a file beside the spec: these name exactly one, and are filled in where
/// they are empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct GrammarSpec {
    /// Its name.
    pub name: String,
    /// BLAKE3 of what its file says.
    pub digest: String,
    /// What tells its tokenizer apart from others.
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

//! Grammar files.

use behemoth_gen::grammar::{Lexicon, TextGrammar, WordTokenizer};

use super::refused;

/// A grammar file is read and compiled, or refused in one line.
pub fn grammar(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let read = TextGrammar::from_toml("fuzz.toml", text)
        .and_then(|grammar| Lexicon::new(grammar, &mut WordTokenizer::default()));
    match read {
        Err(error) => refused(&error),
        Ok(_) => true,
    }
}

//! Grammar files.

use behemoth_gen::grammar::{Lexicon, TextGrammar, WordTokenizer};

use super::assert_refusal;

/// A grammar file is read and compiled, or refused in one line.
pub fn grammar(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let read = TextGrammar::from_toml("fuzz.toml", text)
        .and_then(|grammar| Lexicon::new(grammar, &mut WordTokenizer::default()));
    if let Err(error) = read {
        assert_refusal(&error);
    }
}

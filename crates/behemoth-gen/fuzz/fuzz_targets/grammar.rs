//! Whatever a grammar file says, it is read and compiled, or refused in one line.

#![no_main]

use behemoth_gen::grammar::{Lexicon, TextGrammar, WordTokenizer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let read = TextGrammar::from_toml("fuzz.toml", text)
        .and_then(|grammar| Lexicon::new(grammar, &mut WordTokenizer::default()));
    if let Err(error) = read {
        assert!(!error.to_string().contains('\n'));
    }
});

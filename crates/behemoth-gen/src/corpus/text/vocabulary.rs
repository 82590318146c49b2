//! The token ids of a corpus written with a grammar.

use super::Text;
use crate::error::{Error, Result};
use crate::filler::{Filler, FillerSpec};
use crate::grammar::{Lexicon, SPECIAL_WORDS};
use crate::vocabulary::Vocabulary;

impl Text {
    /// Returns the vocabulary of the lexicon's tokenizer. A tokenizer built for the grammar has the
    /// words of the filler after all others; in any other they are among its own.
    pub(in crate::corpus) fn vocabulary(
        lexicon: &Lexicon,
        filler: Option<&FillerSpec>,
    ) -> Result<Vocabulary> {
        let words = match (filler, lexicon.names()) {
            (Some(filler), Some(names)) => Filler::names_beside(filler, names),
            _ => Vec::new(),
        };
        let size = lexicon.size() + words.len() as u64;
        if size > 1 << 31 {
            let allowed = "up to 2147483648 tokens";
            return Err(Error::argument("vocabulary", size, allowed));
        }
        Ok(Vocabulary::of_tokenizer(
            size,
            lexicon.end_of_document(),
            lexicon.names(),
            SPECIAL_WORDS.len(),
            &words,
        ))
    }
}

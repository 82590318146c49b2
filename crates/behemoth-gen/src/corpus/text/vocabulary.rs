//! The token ids of a corpus written with a grammar.

use super::Text;
use crate::error::Result;
use crate::filler::{Filler, FillerSpec};
use crate::grammar::{Lexicon, SPECIAL_WORDS};
use crate::numbers;
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
        numbers::vocabulary(size, size, "")?;
        Ok(Vocabulary::of_tokenizer(
            size,
            lexicon.end_of_document(),
            lexicon.names(),
            SPECIAL_WORDS.len(),
            &words,
        ))
    }
}

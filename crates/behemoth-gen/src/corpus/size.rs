//! Maximum and fixed lengths of documents.

use super::Corpus;
use super::style::Pen;
use crate::error::{Error, Result};
use crate::numbers::DOCUMENT_LIMIT;

impl Corpus {
    /// Returns an upper bound of the number of tokens in a document.
    pub(crate) fn most_document_tokens(&self) -> u64 {
        (self.others.most_tokens()).max(self.most_fact_document_tokens())
    }

    /// Returns an upper bound of the number of sentences in a document of facts.
    pub(crate) fn most_document_sentences(&self) -> u64 {
        self.documents.most_sentences(&self.world, &self.exposures)
    }

    fn most_fact_document_tokens(&self) -> u64 {
        let sentence = self.most_tokens as u64;
        if self.documents.of_sentences().is_some() {
            return sentence;
        }
        // The end of the document is counted with each sentence, and once more for a document
        // without sentences.
        let sentences = self.most_document_sentences();
        sentences.saturating_mul(sentence).saturating_add(1)
    }

    /// Refuses documents that are too long to be generated in memory.
    pub(super) fn check_document_size(&self) -> Result<()> {
        let most = self.most_document_tokens();
        if most <= DOCUMENT_LIMIT {
            return Ok(());
        }
        let reason =
            format!("a document may have {DOCUMENT_LIMIT} tokens, and would have up to {most}");
        let (spread, width) = (self.documents.spread(), self.documents.width());
        // A document has one copy of each fact already: only fewer subjects make it shorter.
        if width > 1 && self.exposures.most() <= spread {
            let error = Error::argument("subjects", width, format!("fewer: {reason}"));
            return Err(error.within("documents"));
        }
        Err(Error::argument(
            "documents_per_subject",
            spread,
            format!("more: {reason}"),
        ))
    }

    /// Returns the number of tokens in every document, or `None` if it can vary.
    pub(super) fn fixed_document_tokens(&self) -> Option<u64> {
        if self.without.is_some() || !self.others.is_empty() {
            return None;
        }
        let Pen::Templates(writer, templates) = self.writer::<u32>() else {
            return None;
        };
        let mut tokens = None;
        for wording in templates.grammar.written() {
            for shape in 0..templates.shapes.lengths.len() {
                let this = writer.fixed_tokens(wording, shape)? as u64;
                if tokens.is_some_and(|tokens| tokens != this) {
                    return None;
                }
                tokens = Some(this);
            }
        }
        let sentences = self
            .documents
            .even_sentences(&self.world, &self.exposures)?;
        let end = u64::from(self.documents.of_sentences().is_none());
        Some(tokens? * sentences + end)
    }
}

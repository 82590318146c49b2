//! Token counts: of the corpus, of a range of documents, before each page.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use super::emit::Document;
use super::held::Held;
use super::sentence::Sentence;
use super::style::{Pen, Templates};
use super::{Corpus, PAGE_DOCUMENTS, Progress, in_turn};
use crate::error::Result;
use crate::grammar::Writer;
use crate::memory::zeros;
use crate::numbers::product;
use crate::vocabulary::Token;

impl Corpus {
    /// Returns the number of tokens in the corpus. If documents vary in length, they are counted
    /// once, on `threads` threads (0: one per core). Progress is in documents.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Cancelled`](crate::Error::Cancelled) if `progress` is cancelled, and
    /// [`Error::Argument`](crate::Error::Argument) if the number is too large or memory is
    /// insufficient.
    pub fn token_count(&self, threads: usize, progress: &Progress) -> Result<u64> {
        match self.document_tokens {
            Some(tokens) => product("tokens", self.documents(), tokens),
            None => Ok(self
                .page_index(threads, progress)?
                .last()
                .copied()
                .unwrap_or(0)),
        }
    }

    /// Returns the number of tokens in each document of a range, the end of the document included;
    /// 0 for a document that a twin omits.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`](crate::Error::Argument) if the range is not within the corpus or
    /// memory is insufficient.
    pub fn document_lengths(&self, documents: Range<u64>) -> Result<Vec<u64>> {
        self.check_documents(&documents)?;
        let first = documents.start;
        let mut lengths = zeros("stop", documents.end - first, "documents")?;
        self.count_each(&self.writer::<u16>(), documents, |document, tokens| {
            lengths[(document - first) as usize] = tokens;
        });
        Ok(lengths)
    }

    /// Returns the mean number of tokens in a document over the first pages; a twin has the mean of
    /// its parent. It is counted once.
    pub(crate) fn mean_document_tokens(&self) -> f64 {
        *self.mean.get_or_init(|| self.counted_mean())
    }

    fn counted_mean(&self) -> f64 {
        let documents = self.documents().min(4 * PAGE_DOCUMENTS);
        let parent;
        let whole = if self.without.is_none() {
            self
        } else {
            parent = Corpus {
                without: None,
                reached: Arc::default(),
                ..self.clone()
            };
            &parent
        };
        let tokens = whole.count_tokens(&whole.writer::<u16>(), 0..documents);
        (tokens as f64 / documents as f64).max(1.0)
    }

    /// Counts the tokens of a range of documents without writing them.
    pub(super) fn count_tokens<T: Token>(&self, pen: &Pen<'_, T>, documents: Range<u64>) -> u64 {
        if let Some(tokens) = self.document_tokens {
            return tokens * (documents.end - documents.start);
        }
        match pen {
            // Sentences of several documents are looked up together.
            Pen::Text(text) if self.insert.is_none() => self.count_text(text, documents),
            _ => {
                let mut sum = 0;
                self.count_each(pen, documents, |_, tokens| sum += tokens);
                sum
            }
        }
    }

    /// Calls `each` with every document of a range and its number of tokens; one without tokens may
    /// be left out.
    fn count_each<T: Token>(
        &self,
        pen: &Pen<'_, T>,
        documents: Range<u64>,
        mut each: impl FnMut(u64, u64),
    ) {
        if let Some(tokens) = self.document_tokens {
            return documents.for_each(|document| each(document, tokens));
        }
        if self.insert.is_some() {
            return self.count_others(documents, each);
        }
        let (writer, templates) = match pen {
            Pen::Templates(writer, templates) => (writer, *templates),
            Pen::Text(text) => return self.count_each_text(text, documents, each),
        };
        let count = |sentence: &Sentence| self.sentence_tokens(writer, templates, sentence) as u64;
        if let Some(order) = self.documents.of_sentences() {
            return self.for_each_document(order, documents, |document, content| {
                let tokens = match content {
                    Document::Sentence(sentence) => count(&sentence),
                    Document::Other(number) => self.others.tokens_of(number),
                };
                each(document, tokens);
            });
        }
        self.for_each_held(documents, None, |document, held| {
            let tokens = match held {
                Held::Other(number) => self.others.tokens_of(number),
                Held::Sentences(sentences, _) => {
                    let written = sentences.iter().filter(|s| !self.is_left_out(s.fact));
                    let tokens = written.map(count).sum::<u64>();
                    tokens + u64::from(tokens > 0)
                }
            };
            each(document, tokens);
        });
    }

    /// Returns the number of tokens in a sentence, with its end if it has one.
    #[inline(always)]
    pub(super) fn sentence_tokens<T: Token>(
        &self,
        writer: &Writer<'_, T>,
        templates: &Templates,
        sentence: &Sentence,
    ) -> usize {
        let shape = templates.shapes.of(sentence.relation);
        let lengths = &templates.shapes.lengths[shape];
        writer.tokens(sentence.wording, shape, lengths, || {
            self.sentence_key.hash_pair(sentence.fact, sentence.copy)
        })
    }

    /// Returns whether the offset of any token is known without counting the corpus.
    #[cfg_attr(not(feature = "python"), allow(dead_code))]
    pub(crate) fn has_offsets(&self) -> bool {
        self.document_tokens.is_some() || self.index.get().is_some()
    }

    /// Returns the cumulative number of tokens before each page and after the last.
    pub(super) fn page_index(&self, threads: usize, progress: &Progress) -> Result<&[u64]> {
        if let Some(index) = self.index.get() {
            return Ok(index);
        }
        let pages = self.documents().div_ceil(PAGE_DOCUMENTS);
        let mut counts: Vec<u64> = zeros("corpus", pages + 1, "pages of documents")?;
        // Threads take runs of pages in turn, so that none waits long for another.
        const RUN: usize = 64;
        let runs: Vec<Mutex<&mut [u64]>> = counts[1..].chunks_mut(RUN).map(Mutex::new).collect();
        let writer = || self.writer::<u16>();
        in_turn(threads, runs.len(), writer, |writer, run| {
            let mut counts = runs[run].lock().expect("no thread panics");
            for (i, count) in counts.iter_mut().enumerate() {
                let mut first = (run * RUN + i) as u64 * PAGE_DOCUMENTS;
                let end = (first + PAGE_DOCUMENTS).min(self.documents());
                // A page of long documents takes longer than the caller may wait for a cancellation.
                while first < end {
                    let last = (first + self.batch_documents()).min(end);
                    *count += self.count_tokens(writer, first..last);
                    progress.add(last - first)?;
                    first = last;
                }
            }
            Ok(())
        })?;
        drop(runs);
        let mut sum = 0;
        for count in &mut counts {
            sum += *count;
            *count = sum;
        }
        Ok(self.index.get_or_init(|| counts))
    }
}

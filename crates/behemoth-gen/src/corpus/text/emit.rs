//! Writing documents of text as tokens.

use std::ops::Range;

use super::super::Corpus;
use super::super::emit::Document;
use super::super::held::Held;
use super::Text;
use crate::grammar::{Digits, Mention, SentenceBuffer};
use crate::vocabulary::Token;

/// A consumer of documents, which writes them or counts their tokens.
pub(super) trait Sink {
    /// Consumes the collected sentences and clears them.
    fn lines(&mut self, lines: &mut SentenceBuffer);

    /// Consumes a document without facts.
    fn other(&mut self, number: u64);

    /// Ends a document, whose last sentences may still be in `lines`, with those of documents before
    /// it. It is not called for a document of one sentence that a twin omits.
    #[inline(always)]
    fn end(&mut self, _document: u64, _lines: &mut SentenceBuffer) {}
}

struct Written<'a, T> {
    corpus: &'a Corpus,
    text: &'a Text,
    out: &'a mut [T],
    at: usize,
}

impl<T: Token> Sink for Written<'_, T> {
    #[inline(always)]
    fn lines(&mut self, lines: &mut SentenceBuffer) {
        self.at += lines.write(&self.text.lexicon, &mut self.out[self.at..]);
    }

    fn other(&mut self, number: u64) {
        self.at += self.corpus.emit_other(number, &mut self.out[self.at..]);
    }
}

struct Counted<'a> {
    corpus: &'a Corpus,
    text: &'a Text,
    tokens: u64,
}

impl Sink for Counted<'_> {
    fn lines(&mut self, lines: &mut SentenceBuffer) {
        self.tokens += lines.count(&self.text.lexicon);
    }

    fn other(&mut self, number: u64) {
        self.tokens += self.corpus.others.tokens_of(number);
    }
}

/// Counts the tokens of each document by itself.
struct CountedEach<'a, F> {
    counted: Counted<'a>,
    each: F,
}

impl<F: FnMut(u64, u64)> Sink for CountedEach<'_, F> {
    fn lines(&mut self, lines: &mut SentenceBuffer) {
        self.counted.lines(lines);
    }

    fn other(&mut self, number: u64) {
        self.counted.other(number);
    }

    fn end(&mut self, document: u64, lines: &mut SentenceBuffer) {
        self.counted.lines(lines);
        (self.each)(document, std::mem::take(&mut self.counted.tokens));
    }
}

impl Corpus {
    /// Writes documents to the front of `out`; returns the number of tokens.
    pub(in crate::corpus) fn emit_text<T: Token>(
        &self,
        text: &Text,
        documents: Range<u64>,
        out: &mut [T],
    ) -> usize {
        let mut sink = Written {
            corpus: self,
            text,
            out,
            at: 0,
        };
        self.pass_text(text, documents, &mut sink);
        sink.at
    }

    /// Returns the number of tokens that [`Corpus::emit_text`] would write.
    pub(in crate::corpus) fn count_text(&self, text: &Text, documents: Range<u64>) -> u64 {
        let mut sink = Counted {
            corpus: self,
            text,
            tokens: 0,
        };
        self.pass_text(text, documents, &mut sink);
        sink.tokens
    }

    /// Calls `each` with every document of a range and its number of tokens; one without tokens may
    /// be left out.
    pub(in crate::corpus) fn count_each_text(
        &self,
        text: &Text,
        documents: Range<u64>,
        each: impl FnMut(u64, u64),
    ) {
        let counted = Counted {
            corpus: self,
            text,
            tokens: 0,
        };
        self.pass_text(text, documents, &mut CountedEach { counted, each });
    }

    /// Passes a range of documents to a sink.
    #[inline(always)]
    pub(super) fn pass_text(&self, text: &Text, documents: Range<u64>, sink: &mut impl Sink) {
        let mut lines = SentenceBuffer::new();
        let (end, no_digits) = (text.lexicon.end_plan(), Digits::default());
        if let Some(order) = self.documents.of_sentences() {
            self.for_each_document(order, documents, |document, content| {
                match content {
                    Document::Sentence(sentence) => {
                        let (plan, digits) = text.alone(&sentence, Mention::First);
                        lines.push(&text.lexicon, plan, &digits);
                        lines.push(&text.lexicon, end, &no_digits);
                        if lines.is_full() {
                            sink.lines(&mut lines);
                        }
                    }
                    Document::Other(number) => {
                        sink.lines(&mut lines);
                        sink.other(number);
                    }
                }
                sink.end(document, &mut lines);
            });
            sink.lines(&mut lines);
            return;
        }
        self.for_each_held(documents, Some(&text.names), |document, held| {
            match held {
                Held::Sentences(sentences, named) => {
                    let mut is_written = false;
                    text.for_each(sentences, named, self, |plan, digits, _| {
                        lines.push(&text.lexicon, plan, digits);
                        is_written = true;
                        if lines.is_full() {
                            sink.lines(&mut lines);
                        }
                    });
                    if is_written {
                        lines.push(&text.lexicon, end, &no_digits);
                    }
                }
                Held::Other(number) => {
                    sink.lines(&mut lines);
                    sink.other(number);
                }
            }
            sink.end(document, &mut lines);
        });
        sink.lines(&mut lines);
    }
}

//! Writing documents as tokens: the inner loop.

use std::ops::Range;

use super::held::{BATCH, Held};
use super::sentence::{Choice, Ranks, Sentence};
use super::style::{Pen, Style, Templates};
use super::{Corpus, PAGE_DOCUMENTS, Progress};
use crate::error::Result;
use crate::grammar::{SLACK, Writer};
use crate::memory::make_room;
use crate::schedule::Timeline;
use crate::vocabulary::{END_OF_SEQUENCE, Token};

/// A document of one sentence, or a document without facts by its number among such documents.
pub(super) enum Document {
    Sentence(Sentence),
    Other(u64),
}

/// The place of a document in the stream: the number of tokens before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) document: u64,
    pub(super) token: u64,
}

/// The tokens of some documents, from which those of others are estimated.
#[derive(Clone, Copy)]
pub(super) struct Sample {
    pub(super) documents: u64,
    pub(super) tokens: u64,
}

impl Sample {
    /// Returns the number of documents that have about so many tokens.
    pub(super) fn documents(self, tokens: u64) -> u64 {
        let documents = u128::from(tokens) * u128::from(self.documents);
        (documents / u128::from(self.tokens.max(1))) as u64
    }

    /// Returns a number of documents that rarely have more tokens.
    fn fewer(self, tokens: u64) -> u64 {
        self.documents(tokens - tokens / 8)
    }
}

/// A part of the stream to fill from.
pub(super) struct Stretch {
    pub(super) start: Mark,
    /// The document after its last.
    pub(super) end: u64,
    /// What is known about the lengths of its documents.
    pub(super) sample: Sample,
}

/// A reusable buffer that documents are generated into.
pub(crate) struct Scratch<'a, T> {
    corpus: &'a Corpus,
    tokens: Vec<T>,
    /// Number of documents generated at a time.
    pub documents: u64,
}

impl<'a, T: Token> Scratch<'a, T> {
    pub(crate) fn new(corpus: &'a Corpus) -> Self {
        Scratch::with_room(corpus, corpus.batch_documents())
    }

    /// Creates a buffer for a single call that fills `tokens` tokens: one for a complete batch would
    /// take longer than a short call.
    pub(super) fn for_tokens(corpus: &'a Corpus, sample: Sample, tokens: usize) -> Self {
        let documents = sample.documents(tokens as u64).max(FEW);
        Scratch::with_room(corpus, documents.min(corpus.batch_documents()))
    }

    fn with_room(corpus: &'a Corpus, documents: u64) -> Self {
        Scratch {
            corpus,
            tokens: vec![T::default(); corpus.room(documents as usize)],
            documents,
        }
    }

    /// Fills `out` starting at a token, which is not before the stretch; returns the number of
    /// tokens, less than the length of `out` only at the end of the stretch, and the beginning of a
    /// document shortly before the token after them.
    ///
    /// Batches get smaller towards the end of `out`, so that few tokens are made that it has no
    /// room for, and few are made again by a call that continues.
    pub(super) fn fill(
        &mut self,
        writer: &Pen<'_, T>,
        stretch: Stretch,
        token: u64,
        out: &mut [T],
        progress: &Progress,
    ) -> Result<(usize, Mark)> {
        let end = stretch.end;
        let (mut sample, mut next) = (stretch.sample, stretch.start);
        // Counting is faster than writing.
        loop {
            let documents = sample.fewer(token - next.token).min(end - next.document);
            if documents < FEW {
                break;
            }
            let last = next.document + documents;
            let tokens = self.corpus.count_tokens(writer, next.document..last);
            if next.token + tokens > token {
                // Fewer next time, as there are more tokens for each document.
                sample = Sample { documents, tokens };
                continue;
            }
            next.document = last;
            next.token += tokens;
        }
        let (mut at, mut mark) = (0, next);
        while at < out.len() && next.document < end {
            let rest = (token - next.token.min(token)) + (out.len() - at) as u64;
            let documents = match end - next.document {
                left if sample.documents(rest) >= left => left,
                left => sample.fewer(rest).clamp(1, left),
            };
            let documents = documents.min(self.documents);
            let last = next.document + documents;
            let made = (self.corpus).emit(writer, next.document..last, &mut self.tokens);
            let skip = token.saturating_sub(next.token).min(made as u64) as usize;
            let part = &self.tokens[skip..made];
            let take = part.len().min(out.len() - at);
            out[at..at + take].copy_from_slice(&part[..take]);
            at += take;
            mark = next;
            next.document = last;
            next.token += made as u64;
            sample.documents += documents;
            sample.tokens += made as u64;
            if next.token <= token + at as u64 {
                mark = next;
            }
            progress.add(take as u64)?;
        }
        Ok((at, mark))
    }

    /// Appends a range of documents to `all`; if memory is insufficient, `argument` is refused.
    /// Progress is only asked whether it is cancelled: callers add the tokens that they keep.
    pub(super) fn append(
        &mut self,
        writer: &Pen<'_, T>,
        documents: Range<u64>,
        argument: &str,
        all: &mut Vec<T>,
        progress: &Progress,
    ) -> Result<()> {
        let mut first = documents.start;
        while first < documents.end {
            let last = (first + self.documents).min(documents.end);
            let made = self.corpus.emit(writer, first..last, &mut self.tokens);
            make_room(all, made, argument, "tokens")?;
            all.extend_from_slice(&self.tokens[..made]);
            progress.add(0)?;
            first = last;
        }
        Ok(())
    }
}

/// Number of documents that are not worth more than one batch.
const FEW: u64 = 8;

impl Corpus {
    pub(crate) fn writer<T: Token>(&self) -> Pen<'_, T> {
        match &self.style {
            Style::Text(text) => Pen::Text(text),
            Style::Templates(templates) => {
                // In a document of several sentences, the end follows the last sentence only.
                let order = self.documents.of_sentences();
                let end = order
                    .filter(|_| self.insert.is_none())
                    .map(|_| END_OF_SEQUENCE);
                let wordings = &templates.grammar.wordings;
                let lengths = &templates.shapes.lengths;
                let writer = Writer::new(wordings, lengths, end, templates.filler_key);
                Pen::Templates(writer, templates)
            }
        }
    }

    /// Returns the number of documents to generate at a time: about 64 Ki tokens, which stay in the
    /// second-level cache.
    pub(crate) fn batch_documents(&self) -> u64 {
        ((1 << 16) / self.most_document_tokens().max(1)).clamp(1, PAGE_DOCUMENTS)
    }

    /// Returns the length of the buffer that [`Corpus::emit`] needs for a number of documents.
    pub(crate) fn room(&self, documents: usize) -> usize {
        self.most_document_tokens() as usize * documents + SLACK + self.most_tokens
    }

    /// Writes documents to the front of `out`, which must have at least the length
    /// [`Corpus::room`]; returns the number of tokens.
    pub(crate) fn emit<T: Token>(
        &self,
        pen: &Pen<'_, T>,
        documents: Range<u64>,
        out: &mut [T],
    ) -> usize {
        if self.insert.is_some() {
            return self.emit_inserted(pen, documents, out);
        }
        let (writer, templates) = match pen {
            Pen::Templates(writer, templates) => (writer, *templates),
            Pen::Text(text) => return self.emit_text(text, documents, out),
        };
        let mut at = 0;
        let Some(order) = self.documents.of_sentences() else {
            self.for_each_held(documents, None, |_, held| {
                let out = &mut out[at..];
                at += match held {
                    Held::Sentences(own, _) => self.emit_document(writer, templates, own, out),
                    Held::Other(number) => self.emit_other(number, out),
                };
            });
            return at;
        };
        self.for_each_document(order, documents, |_, document| {
            let out = &mut out[at..];
            at += match document {
                Document::Sentence(sentence) => {
                    self.emit_sentence(writer, templates, &sentence, out)
                }
                Document::Other(number) => self.emit_other(number, out),
            };
        });
        at
    }

    /// Calls `each` for every document of a range but those that a twin omits, in a corpus whose
    /// fact documents have one sentence each.
    #[inline(always)]
    pub(super) fn for_each_document(
        &self,
        order: &Timeline,
        documents: Range<u64>,
        mut each: impl FnMut(u64, Document),
    ) {
        let (mut numbers, mut facts) = ([0u64; BATCH as usize], [0u64; BATCH as usize]);
        let mut copies = [(0, 0); BATCH as usize];
        let (mut asked, mut minorities) = ([0u64; BATCH as usize], [0u64; BATCH as usize]);
        let mut wordings = [0u64; BATCH as usize];
        let mut first = documents.start;
        while first < documents.end {
            let count = (documents.end - first).min(BATCH) as usize;
            order.apply_range(first, &mut numbers[..count]);
            facts[..count].copy_from_slice(&numbers[..count]);
            if !self.others.is_empty() {
                // Any fact will do for a document without facts.
                let own = self.documents.own();
                for fact in facts[..count].iter_mut().filter(|number| **number >= own) {
                    *fact = 0;
                }
            }
            self.exposures
                .locate(&mut facts[..count], &mut copies[..count]);
            if let Some(questions) = &self.questions {
                for (rank, &fact) in asked.iter_mut().zip(&facts[..count]) {
                    let (subject, relation) = self.world.subject_relation(fact);
                    // There are no questions about links; any rank will do.
                    *rank = if relation < self.world.relations() {
                        subject
                    } else {
                        0
                    };
                }
                questions.subjects.invert_each(&mut asked[..count]);
            }
            if self.minority.is_some() {
                let minorities = &mut minorities[..count];
                self.world.minority_ranks(&facts[..count], minorities);
            }
            if let Choice::Exact { .. } = &self.choice {
                wordings[..count].copy_from_slice(&numbers[..count]);
                self.wording_ranks(&mut wordings[..count]);
            }
            for i in 0..count {
                let document = first + i as u64;
                if let Some(other) = self.other_of(numbers[i]) {
                    each(document, Document::Other(other));
                    continue;
                }
                let (copy, exposures) = copies[i];
                if self.is_left_out(facts[i]) {
                    continue;
                }
                let ranks = Ranks {
                    question: asked[i],
                    minority: minorities[i],
                    wording: wordings[i],
                };
                let sentence = self.ranked_sentence(facts[i], copy, exposures, ranks);
                each(document, Document::Sentence(sentence));
            }
            first += count as u64;
        }
    }

    #[inline(always)]
    pub(super) fn emit_sentence<T: Token>(
        &self,
        writer: &Writer<'_, T>,
        templates: &Templates,
        sentence: &Sentence,
        out: &mut [T],
    ) -> usize {
        let (subject, relation, object) = (sentence.subject, sentence.relation, sentence.object);
        let words = templates.shapes.words(subject, relation, object);
        writer.write(
            sentence.wording,
            templates.shapes.of(relation),
            &words,
            || self.sentence_key.hash_pair(sentence.fact, sentence.copy),
            out,
        )
    }

    fn emit_document<T: Token>(
        &self,
        writer: &Writer<'_, T>,
        templates: &Templates,
        sentences: &[Sentence],
        out: &mut [T],
    ) -> usize {
        let mut at = 0;
        for sentence in sentences {
            if !self.is_left_out(sentence.fact) {
                at += self.emit_sentence(writer, templates, sentence, &mut out[at..]);
            }
        }
        if at > 0 {
            out[at] = T::from_id(END_OF_SEQUENCE);
            at += 1;
        }
        at
    }
}

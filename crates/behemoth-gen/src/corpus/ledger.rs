//! Where each fact is written: by fact, and by document.

use std::cell::OnceCell;
use std::ops::Range;
use std::slice::from_ref;

use super::Corpus;
use super::bios::{Draft, Named};
use super::sentence::Sentence;
use super::style::{Pen, Style};
use crate::document;
use crate::error::Result;

/// One writing of a fact: a line of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The fact.
    pub fact: u64,
    /// Which of its copies, from 0.
    pub copy: u64,
    /// Index into [`Corpus::wordings`].
    pub wording_index: u32,
    /// The document it stands in.
    pub document: u64,
    /// Its place among the sentences of the document.
    pub place: u32,
    /// Its first token, counted in the document.
    pub offset: u32,
    /// Where it is inserted in a document of a background: the number of that among all of the
    /// background.
    pub background: Option<u64>,
    /// The object that is written.
    pub object: u32,
    /// Whether that is the second object.
    pub minority: bool,
}

/// Reads documents sentence by sentence.
struct Reader<'a> {
    corpus: &'a Corpus,
    /// Knows lengths; made when one is asked for.
    pen: OnceCell<Pen<'a, u32>>,
    draft: Draft,
}

impl<'a> Reader<'a> {
    fn new(corpus: &'a Corpus) -> Self {
        Reader {
            corpus,
            pen: OnceCell::new(),
            draft: Draft::default(),
        }
    }

    /// Every writing of a fact, by copy.
    fn of_fact(&mut self, fact: u64, entries: &mut Vec<Entry>) -> Result<()> {
        let corpus = self.corpus;
        corpus.check_range("fact", fact, fact.saturating_add(1), corpus.world.facts())?;
        if corpus.is_left_out(fact) {
            return Ok(());
        }
        let exposures = corpus.exposures.of_existing(fact);
        entries.extend((0..exposures).map(|copy| {
            let number = corpus.exposures.sentence(fact, copy);
            let rank = corpus.question_rank(fact);
            let sentence = corpus.sentence(number, fact, copy, exposures, rank);
            let document = corpus.document_of(number, &sentence);
            let (place, offset) = self.find(document, &sentence);
            corpus.entry(&sentence, document, place, offset)
        }));
        Ok(())
    }

    /// Every sentence of a document, in order.
    fn of_document(&mut self, document: u64, entries: &mut Vec<Entry>) {
        let corpus = self.corpus;
        self.for_each(document, |place, offset, sentences| {
            let own = sentences.iter();
            entries.extend(own.map(|s| corpus.entry(s, document, place, offset)));
        });
    }

    /// The place of a sentence in its document, and its first token.
    fn find(&mut self, document: u64, sentence: &Sentence) -> (u32, u32) {
        let corpus = self.corpus;
        if corpus.insert.is_none() && corpus.documents.of_sentences().is_some() {
            return (0, 0);
        }
        let is_it = |other: &Sentence| (other.fact, other.copy) == (sentence.fact, sentence.copy);
        let mut found = None;
        self.for_each(document, |place, offset, sentences| {
            if sentences.iter().any(is_it) {
                found = Some((place, offset));
            }
        });
        found.expect("a document holds its sentences")
    }

    /// Goes through the sentences of a document that are written, each with its place and its
    /// first token; facts that a joint statement says together come as one.
    fn for_each(&mut self, document: u64, mut each: impl FnMut(u32, u32, &[Sentence])) {
        let corpus = self.corpus;
        let mut place = 0;
        if let Some(other) = corpus.other(document) {
            corpus.for_each_inserted(other, |offset, sentence| {
                each(place, offset as u32, from_ref(sentence));
                place += 1;
            });
            return;
        }
        let sentences = corpus.sentences_of(document, &mut self.draft);
        let mut offset = 0;
        match &corpus.style {
            Style::Templates(_) => {
                let mut before = None;
                for sentence in sentences.iter().filter(|s| !corpus.is_left_out(s.fact)) {
                    if let Some(before) = before.replace(sentence)
                        && let Pen::Templates(writer, templates) =
                            self.pen.get_or_init(|| corpus.writer())
                    {
                        offset += corpus.sentence_tokens(writer, templates, before) as u32;
                    }
                    each(place, offset, from_ref(sentence));
                    place += 1;
                }
            }
            Style::Text(text) => {
                text.for_each(sentences, Named::NONE, corpus, |plan, digits, group| {
                    each(place, offset, group);
                    offset += text.lexicon().tokens(plan, digits) as u32;
                    place += 1;
                });
            }
        }
    }
}

impl Corpus {
    /// Every writing of a fact, by copy.
    pub fn ledger(&self, fact: u64) -> Result<Vec<Entry>> {
        self.ledger_of(&[fact])
    }

    /// The same of several facts, one after the other.
    pub fn ledger_of(&self, facts: &[u64]) -> Result<Vec<Entry>> {
        let (mut reader, mut entries) = (Reader::new(self), Vec::new());
        for &fact in facts {
            reader.of_fact(fact, &mut entries)?;
        }
        Ok(entries)
    }

    /// Every sentence of a range of documents, in order: the same lines by document.
    pub fn entries(&self, documents: Range<u64>) -> Result<Vec<Entry>> {
        self.check_documents(&documents)?;
        let (mut reader, mut entries) = (Reader::new(self), Vec::new());
        for document in documents {
            reader.of_document(document, &mut entries);
        }
        Ok(entries)
    }

    /// The document of a sentence by its number.
    fn document_of(&self, number: u64, sentence: &Sentence) -> u64 {
        if let Some(slots) = &self.insert {
            return self.documents.place_of_other(slots.document_of(number));
        }
        let looked_for = document::Copy {
            fact: sentence.fact,
            copy: sentence.copy,
            number,
            is_question: self.style.is_question(sentence.wording),
        };
        self.documents.document_of(&looked_for, &self.world)
    }

    fn entry(&self, sentence: &Sentence, document: u64, place: u32, offset: u32) -> Entry {
        let &Sentence {
            fact,
            copy,
            subject,
            relation,
            object,
            wording,
        } = sentence;
        let minority = self.minority.as_ref().is_some_and(|minority| {
            let exposures = self.exposures.of_existing(fact);
            self.second(minority, fact, subject, relation, copy, exposures)
                .is_some()
        });
        debug_assert!(minority || self.world.object_of(fact, subject, relation) == object);
        Entry {
            fact,
            copy,
            wording_index: wording as u32,
            document,
            place,
            offset,
            background: self
                .other(document)
                .and_then(|other| self.others.in_background(other)),
            object,
            minority,
        }
    }
}

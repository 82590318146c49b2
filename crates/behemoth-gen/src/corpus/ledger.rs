//! Where each fact is written: by fact, and by document.

use std::cell::OnceCell;
use std::ops::Range;
use std::slice::from_ref;

use super::Corpus;
use super::held::{Draft, Held, Named};
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

/// Says where the sentences of a document begin.
struct Ruler<'a> {
    corpus: &'a Corpus,
    /// Knows lengths; made when one is asked for.
    pen: OnceCell<Pen<'a, u32>>,
}

impl<'a> Ruler<'a> {
    fn new(corpus: &'a Corpus) -> Self {
        Ruler {
            corpus,
            pen: OnceCell::new(),
        }
    }

    /// Goes through the sentences of a document that are written, each with its place and its
    /// first token; facts that a joint statement says together come as one.
    fn for_each(
        &self,
        sentences: &[Sentence],
        named: Named,
        mut each: impl FnMut(u32, u32, &[Sentence]),
    ) {
        let corpus = self.corpus;
        let (mut place, mut offset) = (0, 0);
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
            Style::Text(text) => text.for_each(sentences, named, corpus, |plan, digits, group| {
                each(place, offset, group);
                offset += text.lexicon().tokens(plan, digits) as u32;
                place += 1;
            }),
        }
    }

    /// The same of sentences that are inserted in a document, by its number among those that say
    /// no fact of their own.
    fn for_each_inserted(&self, other: u64, mut each: impl FnMut(u32, u32, &[Sentence])) {
        let mut place = 0;
        self.corpus.for_each_inserted(other, |first, sentence| {
            each(place, first as u32, from_ref(sentence));
            place += 1;
        });
    }

    /// The place of a sentence in its document, and its first token.
    fn find(&self, document: u64, sentence: &Sentence, draft: &mut Draft) -> (u32, u32) {
        let corpus = self.corpus;
        let mut found = None;
        let look = |place: u32, offset: u32, group: &[Sentence]| {
            let is_it = |s: &Sentence| (s.fact, s.copy) == (sentence.fact, sentence.copy);
            if group.iter().any(is_it) {
                found = Some((place, offset));
            }
        };
        match corpus.other(document) {
            Some(other) => self.for_each_inserted(other, look),
            None if corpus.documents.of_sentences().is_some() => return (0, 0),
            None => self.for_each(corpus.sentences_of(document, draft), Named::NONE, look),
        }
        found.expect("a document holds its sentences")
    }
}

impl Corpus {
    /// Every writing of a fact, by copy.
    pub fn ledger(&self, fact: u64) -> Result<Vec<Entry>> {
        self.ledger_of(&[fact])
    }

    /// The same of several facts, one after the other.
    pub fn ledger_of(&self, facts: &[u64]) -> Result<Vec<Entry>> {
        let (ruler, mut draft) = (Ruler::new(self), Draft::default());
        let mut entries = Vec::new();
        for &fact in facts {
            self.check_range("fact", fact, fact.saturating_add(1), self.world.facts())?;
            if self.is_left_out(fact) {
                continue;
            }
            let exposures = self.exposures.of_existing(fact);
            for copy in 0..exposures {
                let number = self.exposures.sentence(fact, copy);
                let rank = self.question_rank(fact);
                let sentence = self.sentence(number, fact, copy, exposures, rank);
                let document = self.document_of(number, &sentence);
                let (place, offset) = ruler.find(document, &sentence, &mut draft);
                entries.push(self.entry(&sentence, document, place, offset));
            }
        }
        Ok(entries)
    }

    /// Every sentence of a range of documents, as they are written; facts that a joint statement
    /// says together have one place.
    pub fn entries(&self, documents: Range<u64>) -> Result<Vec<Entry>> {
        self.check_documents(&documents)?;
        let (ruler, mut entries) = (Ruler::new(self), Vec::new());
        self.for_each_held(documents, None, |document, held| {
            let each = |place: u32, offset: u32, group: &[Sentence]| {
                let own = group.iter();
                entries.extend(own.map(|s| self.entry(s, document, place, offset)));
            };
            match held {
                Held::Sentences(sentences, named) => ruler.for_each(sentences, named, each),
                Held::Other(other) => ruler.for_each_inserted(other, each),
            }
        });
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

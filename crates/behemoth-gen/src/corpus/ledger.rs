//! The ledger: where each fact is written, by fact and by document.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::ops::Range;
use std::slice::from_ref;

use super::held::{Draft, Held, Named};
use super::sentence::Sentence;
use super::style::{Pen, Style};
use super::{Corpus, Progress, pages};
use crate::document;
use crate::error::Result;
use crate::memory::make_room;

/// A line of the ledger: one written copy of a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The fact.
    pub fact: u64,
    /// Number of the copy among those of the fact, from 0.
    pub copy: u64,
    /// Index into [`Corpus::wordings`]; in a joint statement, the one that the fact would have by
    /// itself.
    pub wording_index: u32,
    /// Whether one sentence states it with other facts, in none of its relation's wordings.
    pub joint: bool,
    /// The document that contains it.
    pub document: u64,
    /// Position of its sentence in the document, from 0.
    pub place: u32,
    /// Offset of its first token from the start of the document.
    pub offset: u32,
    /// If it is inserted into a document of a background, the number of that document in the
    /// background.
    pub background: Option<u64>,
    /// The written object.
    pub object: u32,
    /// Whether this is the second object of the fact.
    pub minority: bool,
}

/// Number of sentences of a document from which on those of the whole document are remembered: the
/// next fact is often in the same document, and drafting it again takes longer than the look-up.
const LONG: usize = 16;

/// Number of sentences that are remembered, unless a single document has more.
const REMEMBERED: usize = 1 << 18;

/// What [`Ruler::find`] keeps from one sentence to the next.
#[derive(Default)]
struct Finder {
    draft: Draft,
    /// Where sentences of long documents stand, by fact and copy.
    known: HashMap<(u64, u64), Spot>,
}

/// Where a fact is stated in its document.
#[derive(Clone, Copy, Default)]
struct Spot {
    /// Position of the sentence, from 0.
    place: u32,
    /// Offset of its first token.
    offset: u32,
    /// Whether it states several facts.
    joint: bool,
}

impl Spot {
    fn new(place: u32, offset: u32, group: &[Sentence]) -> Self {
        Spot {
            place,
            offset,
            joint: group.len() > 1,
        }
    }
}

/// Computes where the sentences of a document begin.
struct Ruler<'a> {
    corpus: &'a Corpus,
    /// Computes lengths; created on first use.
    pen: OnceCell<Pen<'a, u32>>,
}

impl<'a> Ruler<'a> {
    fn new(corpus: &'a Corpus) -> Self {
        Ruler {
            corpus,
            pen: OnceCell::new(),
        }
    }

    /// Calls `each` for every written sentence of a document, with its position and the offset of
    /// its first token; the facts of a joint statement form one group.
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

    /// Like [`Ruler::for_each`], for the sentences inserted into a document, given by its number
    /// among those without facts of their own.
    fn for_each_inserted(&self, other: u64, mut each: impl FnMut(u32, u32, &[Sentence])) {
        let mut place = 0;
        self.corpus.for_each_inserted(other, |first, sentence| {
            each(place, first as u32, from_ref(sentence));
            place += 1;
        });
    }

    /// Returns where a sentence stands in its document.
    fn find(&self, document: u64, sentence: &Sentence, finder: &mut Finder) -> Spot {
        let corpus = self.corpus;
        let wanted = (sentence.fact, sentence.copy);
        let Finder { draft, known } = finder;
        let mut found = None;
        match corpus.other(document) {
            Some(other) => self.for_each_inserted(other, |place, offset, group| {
                if group.iter().any(|s| (s.fact, s.copy) == wanted) {
                    found = Some(Spot::new(place, offset, group));
                }
            }),
            None if corpus.documents.of_sentences().is_some() => return Spot::default(),
            None => {
                if let Some(&found) = known.get(&wanted) {
                    return found;
                }
                let sentences = corpus.sentences_of(document, draft);
                let is_long = sentences.len() >= LONG;
                if is_long && known.len() + sentences.len() > REMEMBERED {
                    known.clear();
                }
                self.for_each(sentences, Named::NONE, |place, offset, group| {
                    let spot = Spot::new(place, offset, group);
                    for own in group.iter().map(|s| (s.fact, s.copy)) {
                        if own == wanted {
                            found = Some(spot);
                        }
                        if is_long {
                            known.insert(own, spot);
                        }
                    }
                });
            }
        }
        found.expect("a document holds its sentences")
    }
}

impl Corpus {
    /// Returns every written copy of a fact, in order of copies.
    ///
    /// # Errors
    ///
    /// As for [`Corpus::ledger_of`].
    pub fn ledger(&self, fact: u64) -> Result<Vec<Entry>> {
        self.ledger_of(&[fact], &Progress::default())
    }

    /// Returns every written copy of several facts, fact by fact. Progress is in copies.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`](crate::Error::Argument) if a fact does not exist or memory is
    /// insufficient, [`Error::Cancelled`](crate::Error::Cancelled) if `progress` is cancelled, and
    /// the error of a background that cannot be read.
    pub fn ledger_of(&self, facts: &[u64], progress: &Progress) -> Result<Vec<Entry>> {
        let (ruler, mut finder) = (Ruler::new(self), Finder::default());
        let mut entries = Vec::new();
        for &fact in facts {
            self.check_range("fact", fact, fact.saturating_add(1), self.world.facts())?;
            if self.is_left_out(fact) {
                continue;
            }
            let exposures = self.exposures.of_existing(fact);
            let more = usize::try_from(exposures).unwrap_or(usize::MAX);
            make_room(&mut entries, more, "facts", "sentences")?;
            let rank = self.question_rank(fact);
            for copy in 0..exposures {
                let number = self.exposures.sentence(fact, copy);
                let sentence = self.sentence(number, fact, copy, exposures, rank);
                let document = self.document_of(number, &sentence);
                let spot = ruler.find(document, &sentence, &mut finder);
                entries.push(self.entry(&sentence, document, spot));
                progress.add(1)?;
            }
        }
        // Offsets at word boundaries are found in the tokens of the background.
        self.check_read()?;
        Ok(entries)
    }

    /// Returns every sentence of a range of documents, in the order written; the facts of a joint
    /// statement share one position.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`](crate::Error::Argument) if the range is not within the corpus or
    /// memory is insufficient, and the error of a background that cannot be read.
    pub fn entries(&self, documents: Range<u64>) -> Result<Vec<Entry>> {
        self.check_documents(&documents)?;
        self.check_room::<Entry>(&documents, "sentences", |page| {
            Ok(self.entries(page)?.len() as u64)
        })?;
        let (ruler, mut entries) = (Ruler::new(self), Vec::new());
        for page in pages(documents) {
            let mut room = Ok(());
            self.for_each_held(page, None, |document, held| {
                let each = |place: u32, offset: u32, group: &[Sentence]| {
                    if room.is_ok() {
                        room = make_room(&mut entries, group.len(), "stop", "sentences");
                    }
                    if room.is_ok() {
                        let spot = Spot::new(place, offset, group);
                        entries.extend(group.iter().map(|s| self.entry(s, document, spot)));
                    }
                };
                match held {
                    Held::Sentences(sentences, named) => ruler.for_each(sentences, named, each),
                    Held::Other(other) => ruler.for_each_inserted(other, each),
                }
            });
            room?;
        }
        self.check_read()?;
        Ok(entries)
    }

    /// Returns the document of a sentence, given with its number.
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

    fn entry(&self, sentence: &Sentence, document: u64, spot: Spot) -> Entry {
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
            joint: spot.joint,
            document,
            place: spot.place,
            offset: spot.offset,
            background: self
                .other(document)
                .and_then(|other| self.others.in_background(other)),
            object,
            minority,
        }
    }
}

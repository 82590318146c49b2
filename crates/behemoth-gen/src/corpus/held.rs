//! Iteration over documents and their contents.
//!
//! Operations bound by the latency of multiplications (the order of documents, the names of their
//! subjects) are done for many documents at a time, so that the latencies overlap. Operations that
//! differ between relations are done fact by fact, before the sentences are put in order: branches
//! that repeat in a fixed sequence are predicted, and a misprediction costs 20 cycles.

use std::ops::Range;

use super::Corpus;
use super::sentence::{Choice, Ranks, Sentence};
use crate::document::{Holds, Place};
use crate::permutation::Permutation;

/// Number of positions of the order that are looked up together.
pub(super) const BATCH: u64 = 128;

/// The content of a document.
pub(super) enum Held<'a> {
    /// Its sentences in order, those of omitted facts included.
    Sentences(&'a [Sentence], Named),
    /// A document without facts of its own, by its number among such documents.
    Other(u64),
}

/// The precomputed name of the subject of a document.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named {
    pub(super) subject: u64,
    pub(super) name: u64,
}

impl Named {
    /// No precomputed name.
    pub(super) const NONE: Named = Named {
        subject: u64::MAX,
        name: 0,
    };
}

/// The precomputed rank of the subject of a document in the permutation that selects the subjects
/// of questions.
#[derive(Clone, Copy)]
struct Asked {
    subject: u64,
    rank: u64,
}

impl Asked {
    /// No precomputed rank.
    const NONE: Asked = Asked {
        subject: u64::MAX,
        rank: 0,
    };
}

/// Buffers that are reused for each document.
#[derive(Default)]
pub(super) struct Draft {
    places: Vec<Place>,
    order: Vec<u32>,
    facts: Vec<u64>,
    minorities: Vec<u64>,
    wordings: Vec<u64>,
    /// The sentences fact by fact.
    unordered: Vec<Sentence>,
    sentences: Vec<Sentence>,
}

impl Corpus {
    /// Calls `each` for every document of a range; `names` maps subjects to names. If every
    /// document is one sentence, `for_each_document` is faster.
    #[inline(always)]
    pub(super) fn for_each_held(
        &self,
        documents: Range<u64>,
        names: Option<&Permutation>,
        mut each: impl FnMut(u64, Held<'_>),
    ) {
        let mut draft = Draft::default();
        let (mut slots, mut subjects) = (Vec::new(), Vec::new());
        let (mut named, mut asked) = (Vec::new(), Vec::new());
        let width = self.documents.width();
        // In a document of several subjects, names and ranks are looked up one by one.
        let names = names.filter(|_| width == 1);
        let questions = self.questions.as_ref().filter(|_| width == 1);
        let at_once = (BATCH / width).max(1);
        let mut first = documents.start;
        while first < documents.end {
            let last = (first + at_once).min(documents.end);
            self.slots_of(first..last, &mut slots);
            if names.is_some() || questions.is_some() {
                subjects.clear();
                subjects.extend(slots.iter().map(|&slot| match self.other_of(slot) {
                    Some(_) => 0,
                    None => self.documents.entity(slot).unwrap_or(0),
                }));
            }
            // The entity of a link is not a subject; any name and any rank will do.
            let known = |&subject: &u64| {
                if subject < self.world.subjects() {
                    subject
                } else {
                    0
                }
            };
            if let Some(names) = names {
                named.clear();
                named.extend(subjects.iter().map(known));
                names.apply_each(&mut named);
            }
            if let Some(questions) = questions {
                asked.clear();
                asked.extend(subjects.iter().map(known));
                questions.subjects.invert_each(&mut asked);
            }
            let documents = (first..last).zip(slots.chunks(width as usize));
            for (at, (document, slots)) in documents.enumerate() {
                if let Some(other) = self.other_of(slots[0]) {
                    each(document, Held::Other(other));
                    continue;
                }
                let subject = subjects.get(at);
                let of_subject = match (subject, asked.get(at)) {
                    (Some(&subject), Some(&rank)) => Asked { subject, rank },
                    _ => Asked::NONE,
                };
                self.draft(slots, of_subject, &mut draft);
                let known = match (subject, named.get(at)) {
                    (Some(&subject), Some(&name)) => Named { subject, name },
                    _ => Named::NONE,
                };
                each(document, Held::Sentences(&draft.sentences, known));
            }
            first = last;
        }
    }

    /// Returns the sentences of a document in order, those of omitted facts included.
    pub(super) fn sentences_of<'a>(&self, document: u64, draft: &'a mut Draft) -> &'a [Sentence] {
        let mut slots = Vec::new();
        self.slots_of(document..document + 1, &mut slots);
        self.draft(&slots, Asked::NONE, draft);
        &draft.sentences
    }

    /// Returns an upper bound of the bytes of the buffers that a document is drafted in.
    pub(crate) fn draft_bytes(&self) -> u64 {
        // Slot, place, order, ids and ranks, and the sentence twice.
        let each = size_of::<Place>() + 2 * size_of::<Sentence>() + size_of::<[u64; 4]>() + 4;
        self.most_document_sentences().saturating_mul(each as u64)
    }

    /// Computes the slots of the order at the positions of a range of documents.
    fn slots_of(&self, documents: Range<u64>, slots: &mut Vec<u64>) {
        let width = self.documents.width();
        let start = documents.start * width;
        let end = (documents.end * width).min(self.documents.places());
        slots.resize((end - start) as usize, 0);
        self.documents.slots(start, slots);
    }

    fn draft(&self, slots: &[u64], asked: Asked, draft: &mut Draft) {
        let Draft {
            places,
            order,
            facts,
            minorities,
            wordings,
            unordered,
            sentences,
        } = draft;
        self.documents
            .sentences(slots, &self.world, &self.exposures, places, order);
        if self.minority.is_some() {
            facts.clear();
            facts.extend(places.iter().map(|&(fact, ..)| fact));
            minorities.resize(facts.len(), 0);
            self.world.minority_ranks(facts, minorities);
        }
        if let Choice::Exact { .. } = &self.choice {
            let number = |&(fact, copy, _): &Place| self.exposures.sentence(fact, copy);
            wordings.clear();
            wordings.extend(places.iter().map(number));
            self.wording_ranks(wordings);
        }
        // Facts of one subject follow each other.
        let mut asked = asked;
        unordered.clear();
        for (at, &(fact, copy, exposures)) in places.iter().enumerate() {
            if let Some(questions) = &self.questions {
                let (subject, relation) = self.world.subject_relation(fact);
                // There are no questions about links; any rank will do.
                if subject != asked.subject && relation < self.world.relations() {
                    let rank = questions.subjects.invert(subject);
                    asked = Asked { subject, rank };
                }
            }
            let ranks = Ranks {
                question: asked.rank,
                minority: minorities.get(at).copied().unwrap_or(0),
                wording: wordings.get(at).copied().unwrap_or(0),
            };
            unordered.push(self.ranked_sentence(fact, copy, exposures, ranks));
        }
        sentences.clear();
        sentences.extend(order.iter().map(|&at| unordered[at as usize]));
        let is_question = |sentence: &Sentence| self.style.is_question(sentence.wording);
        match self.documents.holds(slots[0]) {
            Holds::All => {}
            // For each subject; the sort is stable.
            Holds::QuestionsLast => {
                let relations = self.world.relations();
                let about = |s: &Sentence| (s.relation >= relations, s.subject);
                for own in sentences.chunk_by_mut(|a, b| about(a) == about(b)) {
                    own.sort_by_key(is_question);
                }
            }
            Holds::Statements => sentences.retain(|sentence| !is_question(sentence)),
            Holds::Questions => sentences.retain(is_question),
        }
    }
}

//! Iteration over documents and their contents.
//!
//! Operations bound by the latency of multiplications (the order of documents, the names of their
//! subjects) are done for many documents at a time, so that the latencies overlap. Operations that
//! differ between relations are done fact by fact, before the sentences are put in order: branches
//! that repeat in a fixed sequence are predicted, and a misprediction costs 20 cycles.

use std::ops::Range;

use super::Corpus;
use super::sentence::{Choice, Sentence};
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

/// Buffers that are reused for each document.
#[derive(Default)]
pub(super) struct Draft {
    places: Vec<Place>,
    order: Vec<u32>,
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
        let (mut slots, mut subjects, mut named) = (Vec::new(), Vec::new(), Vec::new());
        let width = self.documents.width();
        // In a document of several subjects, names are looked up one by one.
        let names = names.filter(|_| width == 1);
        let at_once = (BATCH / width).max(1);
        let mut first = documents.start;
        while first < documents.end {
            let last = (first + at_once).min(documents.end);
            self.slots_of(first..last, &mut slots);
            if let Some(names) = names {
                subjects.clear();
                subjects.extend(slots.iter().map(|&slot| match self.other_of(slot) {
                    Some(_) => 0,
                    None => self.documents.entity(slot).unwrap_or(0),
                }));
                // The entity of a link is not a subject; any name will do.
                let known = |&subject: &u64| {
                    if subject < self.world.subjects() {
                        subject
                    } else {
                        0
                    }
                };
                named.clear();
                named.extend(subjects.iter().map(known));
                names.apply_each(&mut named);
            }
            let documents = (first..last).zip(slots.chunks(width as usize));
            for (at, (document, slots)) in documents.enumerate() {
                if let Some(other) = self.other_of(slots[0]) {
                    each(document, Held::Other(other));
                    continue;
                }
                self.draft(slots, &mut draft);
                let known = match (subjects.get(at), named.get(at)) {
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
        self.draft(&slots, draft);
        &draft.sentences
    }

    /// Computes the slots of the order at the positions of a range of documents.
    fn slots_of(&self, documents: Range<u64>, slots: &mut Vec<u64>) {
        let width = self.documents.width();
        let start = documents.start * width;
        let end = (documents.end * width).min(self.documents.places());
        slots.resize((end - start) as usize, 0);
        self.documents.slots(start, slots);
    }

    fn draft(&self, slots: &[u64], draft: &mut Draft) {
        let Draft {
            places,
            order,
            unordered,
            sentences,
        } = draft;
        self.documents
            .sentences(slots, &self.world, &self.exposures, places, order);
        unordered.clear();
        for &(fact, copy, exposures) in places.iter() {
            let number = match &self.choice {
                Choice::Exact { .. } => self.exposures.sentence(fact, copy),
                _ => 0,
            };
            let rank = self.question_rank(fact);
            unordered.push(self.sentence(number, fact, copy, exposures, rank));
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

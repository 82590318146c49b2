//! Where each fact is written, and prompts that ask for it.

use super::Corpus;
use crate::document::Place;
use crate::error::{Error, Result};
use crate::grammar::{Wording, Writer, probe};
use crate::hash::Key;
use crate::permutation::Permutation;

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
    /// The object that is written.
    pub object: u32,
    /// Whether that is the second object.
    pub minority: bool,
}

/// Makes probes of one wording.
pub struct Prober<'a> {
    corpus: &'a Corpus,
    wording: usize,
    writer: Writer<'a, u32>,
}

impl Prober<'_> {
    /// The prompt and the answer of a fact: the tokens before the object, and the object (for
    /// questions with the object marker before it), without the period. None if there is no such
    /// fact.
    pub fn probe(&self, fact: u64) -> Option<(Vec<u32>, Vec<u32>)> {
        let corpus = self.corpus;
        let found = corpus.world.fact(fact)?;
        let (subject, relation, object) = (found.subject, found.relation, found.object);
        let words = corpus.shapes.words(subject, relation, object);
        let draw = corpus.sentence_key.hash_pair(fact, self.wording as u64);
        let shape = corpus.shapes.of(relation);
        Some(probe(&self.writer, self.wording, shape, &words, draw))
    }
}

impl Corpus {
    /// Every writing of a fact, by copy.
    pub fn ledger(&self, fact: u64) -> Result<Vec<Entry>> {
        self.check_range("fact", fact, fact.saturating_add(1), self.world.facts())?;
        if self.is_left_out(fact) {
            return Ok(Vec::new());
        }
        let exposures = self.exposures.of_existing(fact);
        let mut sentences = Vec::new();
        (0..exposures)
            .map(|copy| {
                let number = self.exposures.sentence(fact, copy);
                let document = self.documents.document_of(fact, copy, number, &self.world);
                let place = match self.documents.of_sentences() {
                    Some(_) => 0,
                    None => self.place_in(document, (fact, copy), &mut sentences),
                };
                let rank = self.question_rank(fact);
                let sentence = self.sentence(number, fact, copy, exposures, rank);
                let first = self
                    .world
                    .object_of(fact, sentence.subject, sentence.relation);
                let minority = self.minority.as_ref().is_some_and(|minority| {
                    let (subject, relation) = (sentence.subject, sentence.relation);
                    self.second(minority, fact, subject, relation, copy, exposures)
                        .is_some()
                });
                debug_assert!(minority || first == sentence.object);
                Ok(Entry {
                    fact,
                    copy,
                    wording_index: sentence.wording as u32,
                    document,
                    place,
                    object: sentence.object,
                    minority,
                })
            })
            .collect()
    }

    /// The place of a copy of a fact among the sentences of its document that are written.
    fn place_in(&self, document: u64, copy: (u64, u64), sentences: &mut Vec<Place>) -> u32 {
        self.documents
            .sentences(document, &self.world, &self.exposures, sentences);
        sentences
            .iter()
            .filter(|&&(fact, ..)| !self.is_left_out(fact))
            .position(|&(fact, number, _)| (fact, number) == copy)
            .expect("a document holds its sentences") as u32
    }

    /// Whether questions about the fact's subject are in the corpus; none without questions, or
    /// without such a fact.
    pub fn seen_in_questions(&self, fact: u64) -> Option<bool> {
        let questions = self.questions.as_ref()?;
        let found = self.world.fact(fact)?;
        Some(questions.asks(&self.world, found.subject, found.relation))
    }

    /// Makes prompts and answers in a wording that can be a probe.
    pub fn prober(&self, wording: usize) -> Result<Prober<'_>> {
        let wordings = &self.grammar.wordings;
        if !wordings.get(wording).is_some_and(Wording::can_probe) {
            let names: Vec<String> = wordings
                .iter()
                .enumerate()
                .filter(|(_, wording)| wording.can_probe())
                .map(|(at, wording)| format!("{at} ({})", wording.template.name()))
                .take(12)
                .collect();
            return Err(Error::argument("template", wording, names.join(", ")));
        }
        // Fillers of their own: a probe is not a sentence of the corpus with its end cut off.
        let fillers = Key::new(self.world.seed(), "probe-filler", 0);
        Ok(Prober {
            corpus: self,
            wording,
            writer: Writer::new(wordings, &self.shapes.lengths, None, fillers),
        })
    }

    /// An exact sample of `count` facts (or all, if there are fewer), in ascending order.
    pub fn sample_facts(&self, count: u64) -> Vec<u64> {
        let facts = self.world.facts();
        let order = Permutation::new(facts, self.world.seed(), "sample", 0);
        let mut sample: Vec<u64> = (0..count.min(facts)).map(|i| order.apply(i)).collect();
        sample.sort_unstable();
        sample
    }
}

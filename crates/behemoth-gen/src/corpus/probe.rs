//! Probes: prompts and answers for facts.

use super::sentence::Sentence;
use super::style::{Pen, Style};
use super::{Corpus, Progress};
use crate::error::{Error, Result};
use crate::grammar::{Fill, Wording, Writer, probe};
use crate::hash::Key;
use crate::memory::room_for;
use crate::permutation::Permutation;
use crate::vocabulary::PERIOD;

/// Generates probes of one wording.
pub struct Prober<'a> {
    corpus: &'a Corpus,
    wording: usize,
    pen: Pen<'a, u32>,
}

/// A prompt and the answer for a fact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Probe {
    /// The tokens before the object.
    pub prompt: Vec<u32>,
    /// The object; for questions of templates, preceded by the object marker.
    pub answer: Vec<u32>,
    /// The tokens after the object in the sentence, without the end of the document; for templates
    /// always a period, even if more follows in the corpus.
    pub rest: Vec<u32>,
}

impl Prober<'_> {
    /// Returns the probe of a fact, or `None` if there is no such fact or the grammar has no such
    /// sentence for its relation.
    pub fn probe(&self, fact: u64) -> Option<Probe> {
        let object = self.corpus.world.fact(fact)?.object;
        self.probe_of(fact, object)
    }

    /// Returns the probe of a fact with `object` instead of the fact's object.
    pub fn probe_of(&self, fact: u64, object: u32) -> Option<Probe> {
        self.filled(fact, object, None)
    }

    /// Returns the probe of a fact with the fillers of a combination, below
    /// [`Wording::combinations`], instead of drawn ones; `None` also if there is no such
    /// combination.
    pub fn probe_of_combination(&self, fact: u64, combination: u32) -> Option<Probe> {
        let object = self.corpus.world.fact(fact)?.object;
        match self.corpus.wordings()[self.wording].combinations() {
            all if combination >= all => None,
            1 => self.filled(fact, object, None),
            _ => self.filled(fact, object, Some(combination)),
        }
    }

    fn filled(&self, fact: u64, object: u32, combination: Option<u32>) -> Option<Probe> {
        let corpus = self.corpus;
        let found = corpus.world.fact(fact)?;
        let (subject, relation) = (found.subject, found.relation);
        if u64::from(object) >= corpus.world.objects_of(relation) {
            return None;
        }
        match &self.pen {
            Pen::Templates(writer, templates) => {
                let words = templates.shapes.words(subject, relation, object);
                let draw = corpus.sentence_key.hash_pair(fact, self.wording as u64);
                let fill = combination.map_or(Fill::Drawn(draw), Fill::Combination);
                let shape = templates.shapes.of(relation);
                let (prompt, answer) = probe(writer, self.wording, shape, &words, fill);
                let rest = vec![PERIOD];
                Some(Probe {
                    prompt,
                    answer,
                    rest,
                })
            }
            Pen::Text(text) => text.probe(&Sentence {
                fact,
                copy: 0,
                subject,
                relation,
                object,
                wording: self.wording,
            }),
        }
    }
}

impl Corpus {
    /// Returns whether the corpus has questions about the fact's subject; `None` if it has no
    /// questions, or there is no such fact. Questions with a template weight are about all subjects.
    pub fn seen_in_questions(&self, fact: u64) -> Option<bool> {
        let found = self.world.fact(fact)?;
        if self.style.asks_by_weight() {
            return Some(true);
        }
        let questions = self.questions.as_ref()?;
        let is_asked = |fact| self.exposures_of(fact);
        Some(
            found.relation < self.world.relations()
                && questions.asks(&self.world, found.subject, is_asked),
        )
    }

    /// Returns a generator of probes in a wording, given by its index in [`Corpus::wordings`].
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] if there is no such wording or it cannot be a probe.
    pub fn prober(&self, wording: usize) -> Result<Prober<'_>> {
        let wordings = self.wordings();
        if !wordings.get(wording).is_some_and(Wording::can_probe) {
            let names: Vec<String> = wordings
                .iter()
                .enumerate()
                .filter(|(_, wording)| wording.can_probe())
                .map(|(at, wording)| format!("{at} ({})", wording.form.name()))
                .take(12)
                .collect();
            return Err(Error::argument("wording", wording, names.join(", ")));
        }
        let pen = match &self.style {
            Style::Text(text) => Pen::Text(text),
            Style::Templates(templates) => {
                // Separate fillers: a probe is not a truncated sentence of the corpus.
                let fillers = Key::new(self.world.seed(), "probe-filler", 0);
                let lengths = &templates.shapes.lengths;
                Pen::Templates(Writer::new(wordings, lengths, None, fillers), templates)
            }
        };
        Ok(Prober {
            corpus: self,
            wording,
            pen,
        })
    }

    /// Returns a sample of exactly `count` facts (or all, if there are fewer), in ascending order.
    /// Progress is in facts.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Cancelled`] if `progress` is cancelled, and [`Error::Argument`] if memory
    /// is insufficient.
    pub fn sample_facts(&self, count: u64, progress: &Progress) -> Result<Vec<u64>> {
        /// Number of facts drawn between two checks for cancellation.
        const PART: u64 = 1 << 16;
        let facts = self.world.facts();
        let count = count.min(facts);
        let order = Permutation::new(facts, self.world.seed(), "sample", 0);
        let mut sample = room_for("count", count, "facts")?;
        for first in (0..count).step_by(PART as usize) {
            let part = first..(first + PART).min(count);
            sample.extend(part.clone().map(|i| order.apply(i)));
            progress.add(part.end - part.start)?;
        }
        sample.sort_unstable();
        Ok(sample)
    }
}

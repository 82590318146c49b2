//! Where each fact is written, and prompts that ask for it.

use std::ops::Range;

use super::Corpus;
use super::bios::{Draft, Held, Named};
use super::sentence::Sentence;
use super::style::{Pen, Style};
use crate::document;
use crate::error::{Error, Result};
use crate::grammar::{Fill, Wording, Writer, probe};
use crate::hash::Key;
use crate::permutation::Permutation;
use crate::vocabulary::PERIOD;

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
    pen: Pen<'a, u32>,
}

/// A fact, asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Probe {
    /// The tokens before the object.
    pub prompt: Vec<u32>,
    /// The object (for questions of templates with the object marker before it).
    pub answer: Vec<u32>,
    /// What follows it, without the end of the document.
    pub rest: Vec<u32>,
}

impl Prober<'_> {
    /// The prompt and the answer of a fact. None if there is no such fact, or if the grammar has no
    /// such sentence for its relation.
    pub fn probe(&self, fact: u64) -> Option<Probe> {
        let object = self.corpus.world.fact(fact)?.object;
        self.probe_of(fact, object)
    }

    /// The same with another object in the place of the fact's own.
    pub fn probe_of(&self, fact: u64, object: u32) -> Option<Probe> {
        self.filled(fact, object, None)
    }

    /// The same with the fillers of a combination, below [`Wording::combinations`], and not drawn
    /// ones; none as well where there is no such combination.
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
    /// Every writing of a fact, by copy.
    pub fn ledger(&self, fact: u64) -> Result<Vec<Entry>> {
        self.check_range("fact", fact, fact.saturating_add(1), self.world.facts())?;
        if self.is_left_out(fact) {
            return Ok(Vec::new());
        }
        let exposures = self.exposures.of_existing(fact);
        let mut draft = Draft::default();
        (0..exposures)
            .map(|copy| {
                let number = self.exposures.sentence(fact, copy);
                let rank = self.question_rank(fact);
                let sentence = self.sentence(number, fact, copy, exposures, rank);
                let is_question = self.style.is_question(sentence.wording);
                let looked_for = document::Copy {
                    fact,
                    copy,
                    number,
                    is_question,
                };
                let document = self.documents.document_of(&looked_for, &self.world);
                let place = match self.documents.of_sentences() {
                    Some(_) => 0,
                    None => self.place_in(document, (fact, copy), &mut draft),
                };
                Ok(self.entry(&sentence, document, place))
            })
            .collect()
    }

    /// The place of a copy of a fact among the sentences of its document that are written.
    fn place_in(&self, document: u64, copy: (u64, u64), draft: &mut Draft) -> u32 {
        let sentences = self.sentences_of(document, draft);
        let mut found = None;
        self.for_each_written(sentences, Named::NONE, |place, sentence| {
            if (sentence.fact, sentence.copy) == copy {
                found = Some(place);
            }
        });
        found.expect("a document holds its sentences")
    }

    /// Every sentence of a range of documents, as they are written; facts that a joint statement
    /// says together have one place.
    pub fn entries(&self, documents: Range<u64>) -> Result<Vec<Entry>> {
        self.check_range("stop", documents.start, documents.end, self.documents())?;
        let mut entries = Vec::new();
        self.for_each_bio(documents, None, |document, held| {
            let Held::Sentences(sentences, named) = held else {
                return;
            };
            self.for_each_written(sentences, named, |place, sentence| {
                entries.push(self.entry(sentence, document, place));
            });
        });
        Ok(entries)
    }

    /// Goes through the sentences of a document that are written, each with its place.
    fn for_each_written(
        &self,
        sentences: &[Sentence],
        named: Named,
        mut each: impl FnMut(u32, &Sentence),
    ) {
        let mut place = 0;
        match &self.style {
            Style::Templates(_) => {
                for sentence in sentences.iter().filter(|s| !self.is_left_out(s.fact)) {
                    each(place, sentence);
                    place += 1;
                }
            }
            Style::Text(text) => text.for_each(sentences, named, self, |_, _, group| {
                group.iter().for_each(|sentence| each(place, sentence));
                place += 1;
            }),
        }
    }

    fn entry(&self, sentence: &Sentence, document: u64, place: u32) -> Entry {
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
        debug_assert!(minority || object == self.world.object_of(fact, subject, relation));
        Entry {
            fact,
            copy,
            wording_index: wording as u32,
            document,
            place,
            object,
            minority,
        }
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
        let wordings = self.wordings();
        if !wordings.get(wording).is_some_and(Wording::can_probe) {
            let names: Vec<String> = wordings
                .iter()
                .enumerate()
                .filter(|(_, wording)| wording.can_probe())
                .map(|(at, wording)| format!("{at} ({})", wording.form.name()))
                .take(12)
                .collect();
            return Err(Error::argument("template", wording, names.join(", ")));
        }
        let pen = match &self.style {
            Style::Text(text) => Pen::Text(text),
            Style::Templates(templates) => {
                // Fillers of their own: a probe is not a sentence of the corpus with its end cut
                // off.
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

    /// An exact sample of `count` facts (or all, if there are fewer), in ascending order.
    pub fn sample_facts(&self, count: u64) -> Vec<u64> {
        let facts = self.world.facts();
        let order = Permutation::new(facts, self.world.seed(), "sample", 0);
        let mut sample: Vec<u64> = (0..count.min(facts)).map(|i| order.apply(i)).collect();
        sample.sort_unstable();
        sample
    }
}

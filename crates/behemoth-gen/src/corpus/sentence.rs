//! Sentences: the object and the wording of a copy of a fact.

use super::Corpus;
use crate::error::{Error, Result};
use crate::exposure::Exposures;
use crate::grammar::Grammar;
use crate::hash::{Key, multiply_high};
use crate::numbers::{billionths, share_of_copies};
use crate::permutation::Permutation;
use crate::relation::Alias;
use crate::spec::CorpusSpec;

/// A sentence, before it is written as tokens.
#[derive(Clone, Copy)]
pub(super) struct Sentence {
    pub(super) fact: u64,
    pub(super) copy: u64,
    pub(super) subject: u64,
    pub(super) relation: u32,
    pub(super) object: u32,
    pub(super) wording: usize,
}

/// How the wording of a statement is chosen.
#[derive(Clone, Debug)]
pub(super) enum Choice {
    Only(usize),
    Drawn {
        key: Key,
        alias: Alias,
        wordings: Vec<usize>,
    },
    /// From the sentence number, by a permutation divided into ranges of exact size.
    Exact {
        order: Permutation,
        ends: Vec<u64>,
        wordings: Vec<usize>,
    },
    /// Drawn from the sentences of the grammar for the relation.
    OfRelation {
        key: Key,
        relations: Vec<Weighted>,
    },
}

/// Weighted wordings; empty for a relation that is not written.
#[derive(Clone, Debug)]
pub(super) struct Weighted {
    alias: Option<Alias>,
    wordings: Vec<usize>,
}

impl Weighted {
    pub(super) fn new(options: &[(usize, f64)]) -> Self {
        Weighted {
            alias: (options.len() > 1).then(|| Alias::new(options.iter().map(|&(_, w)| w))),
            wordings: options.iter().map(|&(wording, _)| wording).collect(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.wordings.is_empty()
    }

    /// Draws one of the wordings, of which there must be at least one.
    #[inline(always)]
    pub(super) fn draw(&self, hash: impl FnOnce() -> u64) -> usize {
        match &self.alias {
            None => self.wordings[0],
            Some(alias) => self.wordings[alias.draw(hash()) as usize],
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct MinorityShare {
    pub(super) sentences: u64,
    pub(super) rotation: Key,
}

impl MinorityShare {
    pub(super) fn new(fraction: f64, seed: u64) -> Self {
        MinorityShare {
            sentences: billionths(fraction),
            rotation: Key::new(seed, "minority-copies", 0),
        }
    }

    /// Returns `true` if a copy of a fact with a second object states that object; `rank` is that
    /// of the fact among those with a second object.
    fn states(&self, rank: u64, fact: u64, copy: u64, exposures: u64) -> bool {
        let copies = share_of_copies(rank, exposures, self.sentences);
        let turned = copy + multiply_high(self.rotation.hash(fact), exposures);
        turned % exposures < copies
    }
}

impl Choice {
    pub(super) fn new(
        spec: &CorpusSpec,
        grammar: &Grammar,
        exposures: &Exposures,
        seed: u64,
    ) -> Result<Self> {
        let wordings: Vec<usize> = grammar.statements.iter().map(|&(index, _)| index).collect();
        if let [only] = wordings[..] {
            return Ok(Choice::Only(only));
        }
        let weights = grammar.statements.iter().map(|&(_, weight)| weight);
        if !spec.exact_shares {
            return Ok(Choice::Drawn {
                key: Key::new(seed, "template", 0),
                alias: Alias::new(weights),
                wordings,
            });
        }
        if spec.questions.is_some() {
            return Err(Error::argument(
                "exact_shares",
                true,
                "false together with questions, which take their sentences from all templates",
            ));
        }
        let sentences = exposures.sentences();
        let mut sum = 0.0;
        let mut ends: Vec<u64> = weights
            .map(|weight| {
                sum += weight;
                ((sum * sentences as f64).round() as u64).min(sentences)
            })
            .collect();
        if let Some(last) = ends.last_mut() {
            *last = sentences;
        }
        Ok(Choice::Exact {
            order: Permutation::new(sentences, seed, "template", 1),
            ends,
            wordings,
        })
    }
}

/// The values of a sentence in permutations, which are evaluated for many sentences at a time. Those
/// that the corpus has no use for may be anything.
#[derive(Clone, Copy, Default)]
pub(super) struct Ranks {
    /// Of its subject, in the permutation that selects the subjects of questions.
    pub(super) question: u64,
    /// Of its fact, among those that may have a second object.
    pub(super) minority: u64,
    /// Of the sentence, in the permutation that is divided among wordings of exact shares.
    pub(super) wording: u64,
}

impl Corpus {
    /// Returns the sentence of a copy of a fact; `rank` is the rank of its subject in the
    /// permutation that selects the subjects of questions.
    pub(super) fn sentence(
        &self,
        number: u64,
        fact: u64,
        copy: u64,
        exposures: u64,
        rank: u64,
    ) -> Sentence {
        let (mut minority, mut wording) = ([0], [number]);
        self.world.minority_ranks(&[fact], &mut minority);
        self.wording_ranks(&mut wording);
        let ranks = Ranks {
            question: rank,
            minority: minority[0],
            wording: wording[0],
        };
        self.ranked_sentence(fact, copy, exposures, ranks)
    }

    /// Replaces sentence numbers with [`Ranks::wording`]; numbers of other documents are allowed.
    pub(super) fn wording_ranks(&self, numbers: &mut [u64]) {
        let Choice::Exact { order, .. } = &self.choice else {
            return;
        };
        for number in numbers.iter_mut().filter(|number| **number >= order.len()) {
            *number = 0;
        }
        order.apply_each(numbers);
    }

    /// Returns the sentence of a copy of a fact whose ranks are known.
    #[inline(always)]
    pub(super) fn ranked_sentence(
        &self,
        fact: u64,
        copy: u64,
        exposures: u64,
        ranks: Ranks,
    ) -> Sentence {
        let (subject, relation) = self.world.subject_relation(fact);
        let mut object = self.world.object_of(fact, subject, relation);
        if let Some(minority) = &self.minority
            && let Some((rank, second)) =
                (self.world).minority_at(ranks.minority, fact, subject, relation)
            && minority.states(rank, fact, copy, exposures)
        {
            object = second;
        }
        // The two most common cases are here and not only in `wording`: with a call for all cases,
        // the nonsense family was written a quarter slower.
        let wording = match &self.choice {
            Choice::Only(wording) if self.questions.is_none() => *wording,
            Choice::OfRelation { key, relations } if self.questions.is_none() => {
                let rendering = || key.hash_pair(fact, self.rendering(fact, copy));
                relations[relation as usize].draw(rendering)
            }
            _ => self.wording(fact, relation, copy, exposures, ranks),
        };
        Sentence {
            fact,
            copy,
            subject,
            relation,
            object,
            wording,
        }
    }

    /// Returns the number that the wording of a copy is drawn by.
    #[inline(always)]
    pub(super) fn rendering(&self, fact: u64, copy: u64) -> u64 {
        self.documents.rendering(fact, copy)
    }

    /// Returns the rank of a fact's subject in the permutation that selects the subjects of
    /// questions.
    #[inline]
    pub(super) fn question_rank(&self, fact: u64) -> u64 {
        let Some(questions) = &self.questions else {
            return 0;
        };
        let (subject, relation) = self.world.subject_relation(fact);
        if relation < self.world.relations() {
            questions.subjects.invert(subject)
        } else {
            0
        }
    }

    /// Returns the second object, if this copy states it.
    pub(super) fn second(
        &self,
        minority: &MinorityShare,
        fact: u64,
        subject: u64,
        relation: u32,
        copy: u64,
        exposures: u64,
    ) -> Option<u32> {
        let (rank, object) = self.world.minority(fact, subject, relation)?;
        minority
            .states(rank, fact, copy, exposures)
            .then_some(object)
    }

    fn wording(&self, fact: u64, relation: u32, copy: u64, exposures: u64, ranks: Ranks) -> usize {
        if let Some(questions) = &self.questions
            && relation < self.world.relations()
            && let Some(wording) = questions.wording(
                fact,
                relation,
                copy,
                exposures,
                ranks.question,
                self.rendering(fact, copy),
            )
        {
            return wording;
        }
        match &self.choice {
            Choice::Only(wording) => *wording,
            Choice::Drawn {
                key,
                alias,
                wordings,
            } => {
                let rendering = self.rendering(fact, copy);
                wordings[alias.draw(key.hash_pair(fact, rendering)) as usize]
            }
            Choice::OfRelation { key, relations } => {
                let rendering = || key.hash_pair(fact, self.rendering(fact, copy));
                relations[relation as usize].draw(rendering)
            }
            Choice::Exact { ends, wordings, .. } => {
                wordings[ends.partition_point(|&end| end <= ranks.wording)]
            }
        }
    }
}

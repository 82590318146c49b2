//! What a copy of a fact says, and how: its object, and the wording it is written in.

use super::Corpus;
use crate::error::{Error, Result};
use crate::exposure::Exposures;
use crate::grammar::Grammar;
use crate::hash::{Key, multiply_high};
use crate::numbers::{Quota, billionths, share_of_copies};
use crate::permutation::Permutation;
use crate::relation::Alias;
use crate::spec::{CorpusSpec, QuestionShare, QuestionSpec};
use crate::world::World;

/// A sentence before it is tokens.
#[derive(Clone, Copy)]
pub(super) struct Sentence {
    pub(super) fact: u64,
    pub(super) copy: u64,
    pub(super) subject: u64,
    pub(super) relation: u32,
    pub(super) object: u32,
    pub(super) wording: usize,
}

/// How a statement takes its wording.
#[derive(Clone, Debug)]
pub(super) enum Choice {
    Only(usize),
    Drawn {
        key: Key,
        alias: Alias,
        wordings: Vec<usize>,
    },
    /// Sentence numbers, permuted and cut into ranges of exact size.
    Exact {
        order: Permutation,
        ends: Vec<u64>,
        wordings: Vec<usize>,
    },
    /// Drawn from what the grammar has for the relation.
    OfRelation {
        key: Key,
        relations: Vec<Weighted>,
    },
}

/// Wordings with weights; none at all of a relation that is not written.
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

    /// One of them; there must be one.
    #[inline(always)]
    pub(super) fn draw(&self, hash: impl FnOnce() -> u64) -> usize {
        match &self.alias {
            None => self.wordings[0],
            Some(alias) => self.wordings[alias.draw(hash()) as usize],
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Questions {
    pub(super) subjects: Permutation,
    pub(super) chosen: u64,
    pub(super) copies: Copies,
    pub(super) wordings: Asked,
    /// The place of each relation among those that are asked about, if it is one of them.
    pub(super) places: Vec<Option<u64>>,
    pub(super) rotation: Key,
    pub(super) wording_key: Key,
}

/// The wordings of questions.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    /// Of all relations, equally likely.
    Alike(Vec<usize>),
    OfRelation(Vec<Weighted>),
}

impl Asked {
    /// The place of each relation among those that something is asked about.
    fn places(&self, relations: u32) -> Vec<Option<u64>> {
        let mut places = 0..;
        (0..relations as usize)
            .map(|relation| match self {
                Asked::OfRelation(all) if all[relation].is_empty() => None,
                _ => places.next(),
            })
            .collect()
    }

    /// None of a relation that nothing is asked about.
    fn draw(&self, relation: u32, hash: u64) -> Option<usize> {
        match self {
            Asked::Alike(wordings) => {
                let at = multiply_high(hash, wordings.len() as u64);
                Some(wordings[at as usize])
            }
            Asked::OfRelation(relations) => {
                let own = &relations[relation as usize];
                (!own.is_empty()).then(|| own.draw(|| hash))
            }
        }
    }
}

/// How many copies of a fact that is asked about are questions.
#[derive(Clone, Debug)]
pub(super) enum Copies {
    /// A share of them, in billionths.
    Share(u64),
    /// Their part of the questions of the whole corpus.
    Quota(Quota),
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

impl Questions {
    pub(super) fn new(
        spec: &QuestionSpec,
        wordings: Asked,
        world: &World,
        exposures: &Exposures,
    ) -> Result<Self> {
        let (seed, rules) = (world.seed(), world.version().rules());
        let subjects = Permutation::new(world.subjects(), seed, "questions", 0);
        let chosen = (rules.rounding).share(world.subjects(), billionths(spec.subjects));
        let sentences = billionths(spec.sentences);
        let places = wordings.places(world.relations());
        let copies = match rules.questions {
            QuestionShare::OfFacts => Copies::Share(sentences),
            QuestionShare::OfAll => {
                let all = exposures.sentences();
                let asked = rules.rounding.share(all, sentences);
                let there = sentences_about(&subjects, chosen, &places, world, exposures);
                if asked > there {
                    let most = (there as f64 / all as f64 * 1e4).floor() / 1e4;
                    let limit = format!(
                        "up to {most}, the share of all sentences that are about the {chosen} \
                         subjects asked about"
                    );
                    let error = Error::argument("sentences", spec.sentences, limit);
                    return Err(error.within("questions"));
                }
                Copies::Quota(Quota::new(asked, there))
            }
        };
        Ok(Questions {
            subjects,
            chosen,
            copies,
            wordings,
            places,
            rotation: Key::new(seed, "question-copies", 0),
            wording_key: Key::new(seed, "question-wording", 0),
        })
    }

    pub(super) fn asks(&self, world: &World, subject: u64, relation: u32) -> bool {
        relation < world.relations() && self.subjects.invert(subject) < self.chosen
    }

    /// The wording of a copy that is written as a question.
    fn wording(
        &self,
        fact: u64,
        relation: u32,
        copy: u64,
        exposures: u64,
        rank: u64,
        rendering: u64,
    ) -> Option<usize> {
        if rank >= self.chosen {
            return None;
        }
        let place = self.places[relation as usize]?;
        // The relation joins the rank so that the remainder falls on all relations in turn.
        let copies = match self.copies {
            Copies::Share(billionths) => share_of_copies(rank + place, exposures, billionths),
            Copies::Quota(quota) => {
                let place = place * self.chosen + (rank + place) % self.chosen;
                quota.copies(place, exposures)
            }
        };
        let turned = copy + multiply_high(self.rotation.hash(fact), exposures);
        if turned % exposures >= copies {
            return None;
        }
        self.wordings
            .draw(relation, self.wording_key.hash_pair(fact, rendering))
    }
}

/// Facts that are looked at one by one to count their sentences; about a tenth of a second.
const COUNTED: u64 = 1 << 22;

/// Sentences about the first `chosen` subjects in relations that are asked about, links not among
/// them. Where facts are written unequally often and there are too many of them to be counted, as
/// many as can be expected.
fn sentences_about(
    subjects: &Permutation,
    chosen: u64,
    places: &[Option<u64>],
    world: &World,
    exposures: &Exposures,
) -> u64 {
    let facts = world.subject_facts();
    let relations: Vec<u32> = (0..world.relations())
        .filter(|&relation| places[relation as usize].is_some())
        .collect();
    let asked = chosen.saturating_mul(relations.len() as u64);
    if let Some(each) = exposures.of_first(facts)
        && world.is_complete()
    {
        return asked * each;
    }
    if asked <= COUNTED {
        let chosen = (0..chosen).map(|rank| subjects.apply(rank));
        return chosen
            .flat_map(|subject| {
                relations
                    .iter()
                    .filter_map(move |&r| world.fact_id(subject, r))
            })
            .map(|fact| exposures.of_existing(fact))
            .sum();
    }
    let links: u64 = (facts..world.facts())
        .map(|fact| exposures.of_existing(fact))
        .sum();
    let about = u128::from(exposures.sentences() - links);
    let all = u128::from(world.subjects()) * u128::from(world.relations());
    (about * u128::from(asked) / all) as u64
}

impl Corpus {
    /// What a copy of a fact says, and how; `rank` is that of its subject among those that
    /// questions are asked about.
    #[inline(always)]
    pub(super) fn sentence(
        &self,
        number: u64,
        fact: u64,
        copy: u64,
        exposures: u64,
        rank: u64,
    ) -> Sentence {
        let (subject, relation) = self.world.subject_relation(fact);
        let mut object = self.world.object_of(fact, subject, relation);
        if let Some(minority) = &self.minority
            && let Some(second) = self.second(minority, fact, subject, relation, copy, exposures)
        {
            object = second;
        }
        let wording = match &self.choice {
            Choice::Only(wording) if self.questions.is_none() => *wording,
            _ => self.wording(number, fact, relation, copy, exposures, rank),
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

    /// The number of a copy by which its wording is drawn.
    #[inline(always)]
    pub(super) fn rendering(&self, fact: u64, copy: u64) -> u64 {
        self.documents.rendering(fact, copy)
    }

    /// The rank of a fact's subject among those that questions are asked about.
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

    /// The second object, if this copy is one that has it.
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
        let copies = share_of_copies(rank, exposures, minority.sentences);
        let turned = copy + multiply_high(minority.rotation.hash(fact), exposures);
        (turned % exposures < copies).then_some(object)
    }

    fn wording(
        &self,
        number: u64,
        fact: u64,
        relation: u32,
        copy: u64,
        exposures: u64,
        rank: u64,
    ) -> usize {
        if let Some(questions) = &self.questions
            && relation < self.world.relations()
            && let Some(wording) = questions.wording(
                fact,
                relation,
                copy,
                exposures,
                rank,
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
            Choice::Exact {
                order,
                ends,
                wordings,
            } => {
                let place = order.apply(number);
                wordings[ends.partition_point(|&end| end <= place)]
            }
        }
    }
}

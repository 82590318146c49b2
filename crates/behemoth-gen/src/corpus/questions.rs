//! Questions: their subjects, the number of sentences and the wordings.

use super::sentence::Weighted;
use crate::error::{Error, Result};
use crate::exposure::Exposures;
use crate::hash::{Key, multiply_high};
use crate::numbers::{Quota, billionths, share_of_copies};
use crate::permutation::Permutation;
use crate::spec::{QuestionShare, QuestionSpec};
use crate::world::World;

/// The questions of a corpus.
#[derive(Clone, Debug)]
pub(super) struct Questions {
    pub(super) subjects: Permutation,
    pub(super) chosen: u64,
    pub(super) copies: Copies,
    pub(super) wordings: Asked,
    /// Position of each relation among those with questions, if it has any.
    pub(super) places: Vec<Option<u64>>,
    pub(super) rotation: Key,
    pub(super) wording_key: Key,
}

/// The wordings of questions.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    /// For all relations, equally likely.
    Alike(Vec<usize>),
    OfRelation(Vec<Weighted>),
}

impl Asked {
    /// Returns the position of each relation among those with questions.
    fn places(&self, relations: u32) -> Vec<Option<u64>> {
        let mut places = 0..;
        (0..relations as usize)
            .map(|relation| match self {
                Asked::OfRelation(all) if all[relation].is_empty() => None,
                _ => places.next(),
            })
            .collect()
    }

    /// Draws a wording; `None` for a relation without questions.
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

/// The number of copies of a fact with questions that are questions.
#[derive(Clone, Debug)]
pub(super) enum Copies {
    /// A share of the copies, in billionths.
    Share(u64),
    /// The copies' part of the questions of the corpus.
    Quota(Quota),
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
                         subjects asked about, in relations with questions"
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

    /// Returns whether a copy of some fact about the subject is a question: each subject that is
    /// chosen has one only if there are enough of them.
    pub(super) fn asks(
        &self,
        world: &World,
        subject: u64,
        exposures_of: impl Fn(u64) -> u64,
    ) -> bool {
        let rank = self.subjects.invert(subject);
        let is_asked = |relation| {
            let fact = world.fact_id(subject, relation);
            fact.is_some_and(|fact| self.copies(rank, relation, exposures_of(fact)) > 0)
        };
        rank < self.chosen && (0..world.relations()).any(is_asked)
    }

    /// Returns how many copies of a fact are questions; `rank` is that of its subject.
    fn copies(&self, rank: u64, relation: u32, exposures: u64) -> u64 {
        if rank >= self.chosen {
            return 0;
        }
        let Some(place) = self.places[relation as usize] else {
            return 0;
        };
        // The relation is added to the rank so that the remainder is spread over all relations.
        match self.copies {
            Copies::Share(billionths) => share_of_copies(rank + place, exposures, billionths),
            Copies::Quota(quota) => {
                let place = place * self.chosen + (rank + place) % self.chosen;
                quota.copies(place, exposures)
            }
        }
    }

    /// Returns the wording of a copy, or `None` if it is not written as a question.
    pub(super) fn wording(
        &self,
        fact: u64,
        relation: u32,
        copy: u64,
        exposures: u64,
        rank: u64,
        rendering: u64,
    ) -> Option<usize> {
        let copies = self.copies(rank, relation, exposures);
        if copies == 0 {
            return None;
        }
        let turned = copy + multiply_high(self.rotation.hash(fact), exposures);
        if turned % exposures >= copies {
            return None;
        }
        self.wordings
            .draw(relation, self.wording_key.hash_pair(fact, rendering))
    }
}

/// Maximum number of facts whose sentences are counted one by one; this takes about a tenth of a
/// second.
const COUNTED: u64 = 1 << 22;

/// Returns the number of sentences about the first `chosen` subjects in relations with questions,
/// links excluded. If facts have unequal exposures and are too many to be counted, this is the
/// expected number.
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
    let links = exposures.sentences_from(facts);
    let about = u128::from(exposures.sentences() - links);
    let all = u128::from(world.subjects()) * u128::from(world.relations());
    (about * u128::from(asked) / all) as u64
}

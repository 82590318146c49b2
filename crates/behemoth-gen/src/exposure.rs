//! How often each fact is written: exact counts, set per fact, independent of what the fact says.
//!
//! Facts are ranked by an [`Assignment`] and cut into [`Class`]es of equal exposures; the
//! sentences of a class are numbered copy by copy. So sentence number -> (fact, copy) and fact ->
//! its sentence numbers are arithmetic, whatever the distribution.

mod assignment;
mod spec;

use self::assignment::{Assignment, latin, stored, zipf_levels};
use self::spec::join;
use crate::error::{Error, Result};
use crate::hash::Divider;
use crate::permutation::Permutation;
use crate::spec::{COUNT_LIMIT, product};
use crate::world::World;

pub use self::spec::{ExposureSpec, digest_of};

/// Facts that are written equally often.
#[derive(Clone, Debug)]
pub struct Class {
    /// How often each of them is written.
    pub exposures: u64,
    /// How many facts there are.
    pub facts: u64,
    first_sentence: u64,
    first_rank: u64,
    by_facts: Divider,
}

/// The exposures of a corpus, ready to be asked in both directions.
#[derive(Clone, Debug)]
pub struct Exposures {
    classes: Vec<Class>,
    assignment: Assignment,
    /// Facts below this are ranked by the assignment; link facts above it rank as themselves.
    assigned: u64,
    sentences: u64,
}

impl Exposures {
    /// Assigns exposures to all facts of a world; `array` has one number for each subject fact
    /// when the spec says so, and may go on with one for each link fact.
    pub fn new(
        spec: &ExposureSpec,
        nested_exposures: Option<u64>,
        world: &World,
        array: Option<&[u32]>,
    ) -> Result<Self> {
        let facts = world.subject_facts();
        let seed = world.seed();
        let permuted = || Assignment::Permuted(Permutation::new(facts, seed, "exposures", 0));
        let mut levels: Vec<(u64, u64)> = Vec::new();
        let mut links_assigned = false;
        let assignment = match spec {
            ExposureSpec::Constant { exposures } => {
                levels.push((*exposures, facts));
                Assignment::Identity
            }
            ExposureSpec::Groups {
                levels: groups,
                balanced: false,
            } => {
                let n = groups.len() as u64;
                // The first facts % n groups take one fact more.
                levels.extend(
                    (0u64..)
                        .zip(groups)
                        .map(|(i, &level)| (level, facts / n + u64::from(i < facts % n))),
                );
                permuted()
            }
            ExposureSpec::Groups {
                levels: groups,
                balanced: true,
            } => {
                if !world.is_complete() {
                    return Err(Error::argument(
                        "exposures",
                        format!("latin:{}", join(groups)),
                        "groups, since facts are missing from the table and a Latin square needs all",
                    ));
                }
                let (assignment, counts) = latin(world, groups.len() as u64);
                levels.extend(groups.iter().copied().zip(counts));
                assignment
            }
            ExposureSpec::Zipf {
                alpha,
                minimum,
                maximum,
            } => {
                levels = zipf_levels(facts, *alpha, *minimum, *maximum)?;
                permuted()
            }
            ExposureSpec::Array { digest } => {
                let array = array.ok_or_else(|| {
                    Error::argument("exposures", "no numbers", "one number for each fact")
                })?;
                if array.len() as u64 != facts && array.len() as u64 != world.facts() {
                    return Err(Error::argument(
                        "exposures",
                        format!("{} numbers", array.len()),
                        format!("{facts} numbers, one for each fact"),
                    ));
                }
                if *digest != digest_of(array) {
                    return Err(Error::argument(
                        "exposures",
                        "other numbers than the spec names",
                        format!("those with digest {digest}"),
                    ));
                }
                links_assigned = array.len() as u64 > facts;
                let (assignment, counts) = stored(array);
                levels = counts;
                assignment
            }
        };
        let assigned = if links_assigned { world.facts() } else { facts };
        let link_facts = world.facts() - assigned;
        if link_facts > 0 {
            let most = levels.iter().map(|&(level, _)| level).max().unwrap_or(1);
            levels.push((nested_exposures.unwrap_or(most), link_facts));
        }
        let mut classes = Vec::with_capacity(levels.len());
        let (mut first_sentence, mut first_rank) = (0u64, 0u64);
        for (exposures, facts) in levels {
            if facts == 0 {
                continue;
            }
            classes.push(Class {
                exposures,
                facts,
                first_sentence,
                first_rank,
                by_facts: Divider::new(facts),
            });
            first_rank += facts;
            first_sentence = product("exposures", exposures, facts)?
                .checked_add(first_sentence)
                .filter(|&n| n <= COUNT_LIMIT)
                .ok_or_else(|| {
                    Error::argument(
                        "exposures",
                        "more sentences than can be counted",
                        format!("up to {COUNT_LIMIT} sentences"),
                    )
                })?;
        }
        if first_sentence == 0 {
            return Err(Error::argument(
                "exposures",
                "no sentence at all",
                "at least one fact that is written",
            ));
        }
        Ok(Exposures {
            classes,
            assignment,
            assigned,
            sentences: first_sentence,
        })
    }

    /// Sentences in all.
    pub fn sentences(&self) -> u64 {
        self.sentences
    }

    /// The classes, in the order of their ranks.
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// The fewest exposures of any fact that is written.
    pub(crate) fn fewest(&self) -> u64 {
        self.classes
            .iter()
            .map(|class| class.exposures)
            .filter(|&exposures| exposures > 0)
            .min()
            .unwrap_or(1)
    }

    /// The most exposures of any fact.
    pub(crate) fn most(&self) -> u64 {
        self.classes
            .iter()
            .map(|class| class.exposures)
            .max()
            .unwrap_or(0)
    }

    /// How often a fact is written.
    pub fn of(&self, fact: u64) -> u64 {
        self.class_of_rank(self.rank(fact)).exposures
    }

    /// Which fact each sentence number stands for, which of its copies, and of how many: replaces
    /// the numbers by facts.
    ///
    /// One step for all numbers at a time: fact by fact, the permutation of the assignment waits
    /// for its own multiplications and halves the speed.
    #[inline]
    pub(crate) fn locate(&self, numbers: &mut [u64], copies: &mut [(u64, u64)]) {
        if let [class] = &self.classes[..] {
            for (number, copy) in numbers.iter_mut().zip(copies) {
                let (quotient, place) = class.by_facts.divide(*number);
                *copy = (quotient, class.exposures);
                *number = place;
            }
        } else {
            for (number, copy) in numbers.iter_mut().zip(copies) {
                // A class without sentences has no sentence number of its own: the last class
                // that starts at or before the sentence is the right one.
                let after = self
                    .classes
                    .partition_point(|class| class.first_sentence <= *number);
                let class = &self.classes[after - 1];
                let (quotient, place) = class.by_facts.divide(*number - class.first_sentence);
                *copy = (quotient, class.exposures);
                *number = class.first_rank + place;
            }
        }
        match &self.assignment {
            Assignment::Identity => {}
            Assignment::Permuted(permutation) if self.assigned == permutation.len() => {
                let all = self.classes.last().map_or(0, |c| c.first_rank + c.facts);
                if all == self.assigned {
                    permutation.apply_each(numbers);
                } else {
                    // Link facts rank as themselves.
                    for rank in numbers.iter_mut().filter(|rank| **rank < self.assigned) {
                        *rank = permutation.apply(*rank);
                    }
                }
            }
            _ => {
                for rank in numbers {
                    *rank = self.fact(*rank);
                }
            }
        }
    }

    /// The sentence number of a copy of a fact.
    pub(crate) fn sentence(&self, fact: u64, copy: u64) -> u64 {
        let rank = self.rank(fact);
        let class = self.class_of_rank(rank);
        class.first_sentence + copy * class.facts + (rank - class.first_rank)
    }

    fn class_of_rank(&self, rank: u64) -> &Class {
        let after = self
            .classes
            .partition_point(|class| class.first_rank <= rank);
        &self.classes[after - 1]
    }

    #[inline(always)]
    fn fact(&self, rank: u64) -> u64 {
        if rank >= self.assigned {
            return rank;
        }
        match &self.assignment {
            Assignment::Identity => rank,
            Assignment::Permuted(permutation) => permutation.apply(rank),
            Assignment::Latin {
                subjects,
                relations,
                levels,
                starts,
            } => {
                let level = starts.partition_point(|start| start[0] <= rank) - 1;
                // Levels without facts start where the next one does; the last such is wanted.
                let start = &starts[level];
                let relation = start.partition_point(|&at| at <= rank) - 1;
                let shift = (level as u64 + levels - relation as u64 % levels) % levels;
                let place = shift + levels * (rank - start[relation]);
                subjects.apply(place) * relations + relation as u64
            }
            Assignment::Stored { fact_of_rank, .. } => fact_of_rank[rank as usize],
        }
    }

    fn rank(&self, fact: u64) -> u64 {
        if fact >= self.assigned {
            return fact;
        }
        match &self.assignment {
            Assignment::Identity => fact,
            Assignment::Permuted(permutation) => permutation.invert(fact),
            Assignment::Latin {
                subjects,
                relations,
                levels,
                starts,
            } => {
                let (subject, relation) = (fact / relations, fact % relations);
                let place = subjects.invert(subject);
                let level = (place % levels + relation) % levels;
                starts[level as usize][relation as usize] + place / levels
            }
            Assignment::Stored { rank_of_fact, .. } => rank_of_fact[fact as usize],
        }
    }
}

//! Bijections between facts and ranks.

use super::Population;
use crate::permutation::Permutation;

/// A bijection between facts and ranks; classes are ranges of ranks.
#[derive(Clone, Debug)]
pub(crate) enum Assignment {
    Identity,
    Permuted(Permutation),
    Latin {
        subjects: Permutation,
        relations: u64,
        levels: u64,
        /// For each level, the rank at which the facts of each relation begin, and the end of the
        /// last.
        starts: Vec<Vec<u64>>,
    },
    Stored {
        fact_of_rank: Vec<u64>,
        rank_of_fact: Vec<u64>,
    },
}

impl Assignment {
    /// Creates a random order of the facts. Every form that needs no other order uses this one, so
    /// that two such forms have the same facts at the same ranks.
    pub(super) fn permuted(population: &Population) -> Self {
        let seed = population.seed;
        Assignment::Permuted(Permutation::new(population.facts, seed, "exposures", 0))
    }

    /// Replaces ranks with the facts at them.
    pub(super) fn facts(&self, ranks: &mut [u64]) {
        match self {
            Assignment::Identity => {}
            Assignment::Permuted(permutation) => permutation.apply_each(ranks),
            Assignment::Latin {
                subjects,
                relations,
                levels,
                starts,
            } => {
                /// Number of ranks at a time.
                const CHUNK: usize = 64;
                for ranks in ranks.chunks_mut(CHUNK) {
                    let mut of = [0; CHUNK];
                    for (rank, of) in ranks.iter_mut().zip(&mut of) {
                        let level = starts.partition_point(|start| start[0] <= *rank) - 1;
                        // Levels without facts start at the same rank as the next level; the last
                        // of them is the right one.
                        let start = &starts[level];
                        let relation = start.partition_point(|&at| at <= *rank) - 1;
                        let shift = (level as u64 + levels - relation as u64 % levels) % levels;
                        *of = relation as u64;
                        *rank = shift + levels * (*rank - start[relation]);
                    }
                    subjects.apply_each(ranks);
                    for (place, relation) in ranks.iter_mut().zip(of) {
                        *place = *place * relations + relation;
                    }
                }
            }
            Assignment::Stored { fact_of_rank, .. } => {
                for rank in ranks {
                    *rank = fact_of_rank[*rank as usize];
                }
            }
        }
    }

    /// Replaces facts with their ranks.
    pub(super) fn ranks(&self, facts: &mut [u64]) {
        match self {
            Assignment::Permuted(permutation) => permutation.invert_each(facts),
            _ => facts.iter_mut().for_each(|fact| *fact = self.rank(*fact)),
        }
    }

    /// Returns the rank of a fact.
    pub(super) fn rank(&self, fact: u64) -> u64 {
        match self {
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

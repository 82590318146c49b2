//! Which fact has which rank, and how ranks are cut into levels.

use crate::error::{Error, Result};
use crate::permutation::Permutation;
use crate::world::World;

/// Most different numbers of exposures of a Zipf law: its classes are kept in memory.
const LEVEL_LIMIT: usize = 1 << 20;

/// A bijection between facts and ranks; classes are ranges of ranks.
#[derive(Clone, Debug)]
pub(super) enum Assignment {
    Identity,
    Permuted(Permutation),
    Latin {
        subjects: Permutation,
        relations: u64,
        levels: u64,
        /// For each level, the ranks at which the facts of relation r begin; one more at the end.
        starts: Vec<Vec<u64>>,
    },
    Stored {
        fact_of_rank: Vec<u64>,
        rank_of_fact: Vec<u64>,
    },
}

/// Subject s takes shift `place(s) mod levels`; its relation r is at level `(shift + r) mod
/// levels`. Ranks go level by level, relation by relation, subject by subject.
pub(super) fn latin(world: &World, levels: u64) -> (Assignment, Vec<u64>) {
    let subjects = world.subjects();
    let relations = u64::from(world.relations());
    let with_shift = |shift: u64| subjects / levels + u64::from(shift < subjects % levels);
    let mut starts = Vec::with_capacity(levels as usize);
    let mut counts = Vec::with_capacity(levels as usize);
    let mut rank = 0;
    for level in 0..levels {
        let first = rank;
        let mut start = Vec::with_capacity(relations as usize + 1);
        for relation in 0..relations {
            start.push(rank);
            rank += with_shift((level + levels - relation % levels) % levels);
        }
        start.push(rank);
        starts.push(start);
        counts.push(rank - first);
    }
    let assignment = Assignment::Latin {
        subjects: Permutation::new(subjects, world.seed(), "latin", 0),
        relations,
        levels,
        starts,
    };
    (assignment, counts)
}

/// Facts sorted by their exposures (stable, so the order is a function of the numbers).
pub(super) fn stored(array: &[u32]) -> (Assignment, Vec<(u64, u64)>) {
    let mut fact_of_rank: Vec<u64> = (0..array.len() as u64).collect();
    fact_of_rank.sort_by_key(|&fact| array[fact as usize]);
    let mut rank_of_fact = vec![0; array.len()];
    let mut levels: Vec<(u64, u64)> = Vec::new();
    for (rank, &fact) in fact_of_rank.iter().enumerate() {
        rank_of_fact[fact as usize] = rank as u64;
        let exposures = u64::from(array[fact as usize]);
        match levels.last_mut() {
            Some((level, facts)) if *level == exposures => *facts += 1,
            _ => levels.push((exposures, 1)),
        }
    }
    (
        Assignment::Stored {
            fact_of_rank,
            rank_of_fact,
        },
        levels,
    )
}

/// Runs of equal exposures of a rounded power law, from the most exposed rank down.
pub(super) fn zipf_levels(
    facts: u64,
    alpha: f64,
    minimum: u64,
    maximum: u64,
) -> Result<Vec<(u64, u64)>> {
    let exposures = |rank: u64| {
        let law = maximum as f64 * libm::pow((rank + 1) as f64, -alpha);
        // libm::round is exact; `as` saturates.
        (libm::round(law) as u64).clamp(minimum, maximum)
    };
    let mut levels = Vec::new();
    let mut rank = 0;
    while rank < facts {
        if levels.len() == LEVEL_LIMIT {
            return Err(Error::argument(
                "exposures",
                format!("zipf:alpha={alpha},min={minimum},max={maximum}"),
                format!("a law with at most {LEVEL_LIMIT} different numbers of exposures"),
            ));
        }
        let level = exposures(rank);
        // First rank past the run, by bisection: the law falls with the rank.
        let (mut low, mut high) = (rank + 1, facts);
        if level == minimum {
            low = facts;
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if exposures(middle) == level {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        levels.push((level, low - rank));
        rank = low;
    }
    Ok(levels)
}

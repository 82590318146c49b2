//! Facts with a second, different object.

use super::World;
use crate::error::{Error, Result};
use crate::hash::{Key, multiply_high};
use crate::numbers::{Rounding, billionths, product};
use crate::permutation::Permutation;
use crate::relation::Draw;
use crate::spec::WorldSpec;

/// The facts with a second object.
#[derive(Debug)]
pub(super) enum Minority {
    /// The facts of drawn relations whose rank in a permutation is below a count.
    Drawn {
        order: Permutation,
        chosen: u64,
        /// Position of each relation among the drawn ones.
        place: Vec<Option<u64>>,
        drawn: u64,
        keys: Vec<Key>,
    },
    /// Pairs of a table: facts with a second object, in ascending order, and that object.
    Stored(Vec<(u64, u32)>),
}

pub(super) fn drawn_minority(
    spec: &WorldSpec,
    draws: &[Draw],
    objects: &[u64],
    rounding: Rounding,
) -> Result<Option<Minority>> {
    if spec.minority == 0.0 {
        return Ok(None);
    }
    // One-to-one facts would no longer be one-to-one; composed and inverse ones follow from others.
    let mut drawn = 0;
    let mut place = Vec::with_capacity(draws.len());
    for (draw, &objects) in draws.iter().zip(objects) {
        let has = draw.takes_second();
        if has && objects < 2 {
            return Err(Error::argument(
                "minority",
                spec.minority,
                "0, since a relation has only one object",
            ));
        }
        place.push(has.then_some(drawn));
        drawn += u64::from(has);
    }
    if drawn == 0 {
        return Err(Error::argument(
            "minority",
            spec.minority,
            "0, since no relation draws its objects",
        ));
    }
    let all = product("subjects x relations", spec.subjects, drawn)?;
    Ok(Some(Minority::Drawn {
        order: Permutation::new(all, spec.seed, "minority", 0),
        chosen: rounding.share(all, billionths(spec.minority)),
        place,
        drawn,
        keys: (0..draws.len() as u64)
            .map(|r| Key::new(spec.seed, "second-object", r))
            .collect(),
    }))
}

impl World {
    /// Returns the rank of a fact among those with a second object, and that object. An override of
    /// the first object does not change it. In a binarised relation it is still one of all others:
    /// the other one of two would follow from the first, and bytes of existing worlds stay.
    pub(crate) fn minority(&self, fact: u64, subject: u64, relation: u32) -> Option<(u64, u32)> {
        let mut rank = [0];
        self.minority_ranks(&[fact], &mut rank);
        self.minority_at(rank[0], fact, subject, relation)
    }

    /// Writes the rank of each fact among those that may have a second object: one at a time, the
    /// latency of the permutation takes longer than the rest of the sentence. Facts that have none
    /// have any rank, and so have all facts of a table.
    pub(crate) fn minority_ranks(&self, facts: &[u64], ranks: &mut [u64]) {
        let Some(Minority::Drawn {
            order,
            place,
            drawn,
            ..
        }) = &self.shared.minority
        else {
            return;
        };
        for (rank, &fact) in ranks.iter_mut().zip(facts) {
            let (subject, relation) = self.subject_relation(fact);
            *rank = match place.get(relation as usize) {
                Some(Some(place)) => subject * drawn + place,
                _ => 0,
            };
        }
        order.invert_each(ranks);
    }

    /// [`World::minority`] of a fact whose [rank](World::minority_ranks) is known.
    #[inline]
    pub(crate) fn minority_at(
        &self,
        rank: u64,
        fact: u64,
        subject: u64,
        relation: u32,
    ) -> Option<(u64, u32)> {
        match self.shared.minority.as_ref()? {
            Minority::Drawn {
                chosen,
                place,
                keys,
                ..
            } => {
                (*place.get(relation as usize)?)?;
                if rank >= *chosen {
                    return None;
                }
                let first = self.drawn_object(subject, relation as usize);
                let others = self.shared.objects[relation as usize] - 1;
                let other = multiply_high(keys[relation as usize].hash(subject), others) as u32;
                Some((rank, other + u32::from(other >= first)))
            }
            Minority::Stored(pairs) => pairs
                .binary_search_by_key(&fact, |&(fact, _)| fact)
                .ok()
                .map(|rank| (rank as u64, pairs[rank].1)),
        }
    }
}

//! Entropy of a world, in bits.

use super::{Minority, World};
use crate::relation::{Sizes, log2_factorial};

impl World {
    /// Returns the entropy of the world's facts in bits, excluding what composed, inverse and
    /// correlated facts share: the amount that a model has to store to know them all.
    pub fn entropy_bits(&self) -> f64 {
        let subjects = self.subjects() as f64;
        let shared = &*self.shared;
        let mut bits = 0.0;
        for (relation, draw) in shared.draws.iter().enumerate() {
            bits += draw.bits(&Sizes {
                subjects,
                relation,
                objects: &shared.objects,
            });
        }
        bits + match &shared.minority {
            None => 0.0,
            Some(Minority::Drawn {
                chosen,
                drawn,
                place,
                ..
            }) => {
                let (all, chosen) = (subjects * *drawn as f64, *chosen as f64);
                let other: f64 = place
                    .iter()
                    .zip(&shared.objects)
                    .filter(|(place, _)| place.is_some())
                    .map(|(_, &objects)| (objects as f64 - 1.0).log2())
                    .sum();
                log2_factorial(all) - log2_factorial(chosen) - log2_factorial(all - chosen)
                    + chosen * other / *drawn as f64
            }
            Some(Minority::Stored(pairs)) => pairs
                .iter()
                .map(|&(fact, _)| {
                    let (_, relation) = self.subject_relation(fact);
                    (self.objects_of(relation) as f64 - 1.0).max(1.0).log2()
                })
                .sum(),
        }
    }
}

//! What a world leaves free to choose, in bits.

use super::{Minority, World};
use crate::relation::{Draw, RelationSpec};

impl World {
    /// Bits that are free to choose in the world's facts, net of composed, inverse and correlated
    /// ones: what a model has to store to know them all.
    pub fn entropy_bits(&self) -> f64 {
        let subjects = self.subjects() as f64;
        let shared = &*self.shared;
        let mut bits = 0.0;
        for (r, draw) in shared.draws.iter().enumerate() {
            let objects = shared.objects[r] as f64;
            bits += match draw {
                Draw::Uniform { objects, .. } => subjects * (*objects as f64).log2(),
                Draw::Weighted { .. } => {
                    let RelationSpec::Zipf { alpha, .. } = shared.spec.relations[r] else {
                        unreachable!("weighted draws come from zipf relations")
                    };
                    subjects * zipf_entropy(shared.objects[r], alpha)
                }
                Draw::Correlated { objects, .. } => {
                    let RelationSpec::Correlated { strength, .. } = shared.spec.relations[r] else {
                        unreachable!("correlated draws come from correlated relations")
                    };
                    let others = (*objects as f64 - 1.0).log2();
                    subjects * (binary_entropy(strength) + (1.0 - strength) * others)
                }
                Draw::OneToOne(_) => log2_factorial(objects) - log2_factorial(objects - subjects),
                Draw::Inverse(_) => 0.0,
                Draw::Composed { of, map } => match map.known() {
                    Some(known) => known.len() as f64 * objects.log2(),
                    // Choosing a balanced map: a multinomial coefficient.
                    None => {
                        let from = shared.objects[*of] as f64;
                        log2_factorial(from) - objects * log2_factorial(from / objects)
                    }
                },
                Draw::Stored { objects: column } => {
                    let known = column.iter().filter(|&&o| o != u32::MAX).count();
                    known as f64 * objects.log2()
                }
            };
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

fn binary_entropy(p: f64) -> f64 {
    let term = |p: f64| if p > 0.0 { -p * p.log2() } else { 0.0 };
    term(p) + term(1.0 - p)
}

fn zipf_entropy(objects: u64, alpha: f64) -> f64 {
    let (mut sum, mut weighted) = (0.0, 0.0);
    for k in 1..=objects {
        let weight = libm::pow(k as f64, -alpha);
        sum += weight;
        weighted += weight * -alpha * (k as f64).log2();
    }
    sum.log2() - weighted / sum
}

fn log2_factorial(n: f64) -> f64 {
    libm::lgamma(n + 1.0) / std::f64::consts::LN_2
}

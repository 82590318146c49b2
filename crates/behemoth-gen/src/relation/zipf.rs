//! Zipf relations: frequencies of objects follow a power law.

use serde::Serialize;

use super::{Alias, Draws, Earlier, Kind, Place, RelationSpec, Sizes};
use crate::error::{Error, Result};
use crate::hash::Key;
use crate::value::{Fields, Value};

/// Maximum number of objects, whose weights are kept in memory.
const LIMIT: u64 = 1 << 28;

/// Maximum number of objects of all relations of this kind: their weights need 12 GiB.
const LIMIT_OF_ALL: u64 = 1 << 30;

/// A relation with object k drawn with probability proportional to `(k + 1)^-alpha`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Zipf {
    /// Number of objects.
    pub objects: u64,
    /// Exponent, 0 to 100.
    pub alpha: f64,
}

impl Zipf {
    /// Creates the relation from its number of objects and its exponent.
    pub fn new(objects: u64, alpha: f64) -> Self {
        Zipf { objects, alpha }
    }
}

impl Kind for Zipf {
    type Draw = Draw;

    fn read(fields: &mut Fields<'_>) -> Result<Self> {
        fields.of_kind(&["objects", "alpha"])?;
        Ok(Zipf {
            objects: fields.required("objects", Value::count)?,
            alpha: fields.required("alpha", Value::number)?,
        })
    }

    fn check(&mut self, earlier: &Earlier<'_>) -> Result<u64> {
        if !(0.0..=100.0).contains(&self.alpha) {
            return Err(Error::argument("alpha", self.alpha, "0 to 100"));
        }
        if self.objects > LIMIT {
            return Err(Error::argument(
                "objects",
                self.objects,
                format!("up to {LIMIT} for kind zipf, whose weights are kept in memory"),
            ));
        }
        let objects = earlier.relations.iter().map(|relation| match relation {
            RelationSpec::Zipf(zipf) => zipf.objects,
            _ => 0,
        });
        let all = objects.sum::<u64>() + self.objects;
        if all > LIMIT_OF_ALL {
            return Err(Error::argument(
                "objects",
                format!("{} and so {all} in relations of kind zipf", self.objects),
                format!("up to {LIMIT_OF_ALL} in all of them, whose weights are kept in memory"),
            ));
        }
        Ok(self.objects)
    }

    fn draw(&self, place: &Place<'_>) -> Result<Draw> {
        // Checked to be below 2^28.
        let objects = 0..self.objects as usize;
        let weights = objects.map(|k| libm::pow((k + 1) as f64, -self.alpha));
        Ok(Draw {
            key: place.key("object"),
            alias: Alias::of_many("objects", weights)?,
            alpha: self.alpha,
        })
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Draw {
    key: Key,
    alias: Alias,
    alpha: f64,
}

impl Draws for Draw {
    const TAKES_SECOND: bool = true;

    #[inline(always)]
    fn object(&self, subject: u64, _: impl Fn(usize) -> u32) -> u32 {
        self.alias.draw(self.key.hash(subject))
    }

    fn bits(&self, sizes: &Sizes<'_>) -> f64 {
        let (mut sum, mut weighted) = (0.0, 0.0);
        for k in 1..=sizes.own_objects() as u64 {
            let weight = libm::pow(k as f64, -self.alpha);
            sum += weight;
            weighted += weight * -self.alpha * (k as f64).log2();
        }
        sizes.subjects * (sum.log2() - weighted / sum)
    }
}

//! Correlated relations: equal to an earlier relation more often than by chance.

use serde::Serialize;

use super::draws::Threshold;
use super::{Draws, Earlier, Kind, Place, Sizes};
use crate::error::{Error, Result};
use crate::hash::{Key, multiply_high};
use crate::numbers::fraction;
use crate::value::{Fields, Value};

/// A relation with the object of an earlier relation with probability `strength`, otherwise any
/// *other* object, all equally likely.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Correlated {
    /// The earlier relation.
    pub with: u32,
    /// Probability of a match, which must be above chance.
    pub strength: f64,
    /// Whether only objects 0 and 1 are drawn. Second objects of a minority are any others.
    pub binarised: bool,
}

impl Correlated {
    /// Creates the relation from an earlier relation and the probability of a match.
    pub fn new(with: u32, strength: f64) -> Self {
        Correlated {
            with,
            strength,
            binarised: false,
        }
    }

    /// Sets whether only objects 0 and 1 are drawn.
    pub fn binarised(self, binarised: bool) -> Self {
        Correlated { binarised, ..self }
    }
}

impl Kind for Correlated {
    type Draw = Draw;

    fn read(fields: &mut Fields<'_>) -> Result<Self> {
        fields.of_kind(&["with", "strength", "binarised"])?;
        Ok(Correlated {
            with: fields.required("with", Value::id32)?,
            strength: fields.required("strength", Value::number)?,
            binarised: fields
                .optional("binarised", Value::boolean)?
                .unwrap_or(false),
        })
    }

    fn check(&mut self, earlier: &Earlier<'_>) -> Result<u64> {
        let (_, base, objects) = earlier.relation("with", self.with)?;
        if objects < 2 {
            return Err(Error::argument(
                "with",
                format!("a relation of {objects} objects"),
                "a relation of at least 2 objects",
            ));
        }
        fraction("strength", self.strength)?;
        if self.binarised && !base.is_binarised() {
            return Err(Error::argument(
                "binarised",
                true,
                "only when the relation it is correlated with is binarised",
            ));
        }
        // As in the reference, a binarised base makes one half the chance level.
        let outcomes = if base.is_binarised() { 2 } else { objects };
        if self.strength <= 1.0 / outcomes as f64 {
            return Err(Error::argument(
                "strength",
                self.strength,
                format!("above chance (1/{outcomes}) up to 1"),
            ));
        }
        Ok(objects)
    }

    fn is_binarised(&self) -> bool {
        self.binarised
    }

    fn draw(&self, place: &Place<'_>) -> Result<Draw> {
        Ok(Draw {
            with: self.with as usize,
            strength: self.strength,
            matches: Threshold::new(self.strength),
            match_key: place.key("match"),
            other_key: place.key("object"),
            objects: if self.binarised {
                2
            } else {
                place.objects_of(place.relation)
            },
        })
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Draw {
    with: usize,
    strength: f64,
    matches: Threshold,
    match_key: Key,
    other_key: Key,
    /// Number of objects that are drawn.
    objects: u64,
}

impl Draws for Draw {
    const TAKES_SECOND: bool = true;

    #[inline(always)]
    fn object(&self, subject: u64, earlier: impl Fn(usize) -> u32) -> u32 {
        let base = earlier(self.with);
        let (match_draw, other_draw) = (self.match_key.hash(subject), self.other_key.hash(subject));
        if self.matches.passes(match_draw) {
            return base;
        }
        // Uniform over the objects without `base`: skip it.
        let other = multiply_high(other_draw, self.objects - 1) as u32;
        other + u32::from(other >= base)
    }

    fn bits(&self, sizes: &Sizes<'_>) -> f64 {
        let others = (self.objects as f64 - 1.0).log2();
        sizes.subjects * (binary_entropy(self.strength) + (1.0 - self.strength) * others)
    }
}

fn binary_entropy(p: f64) -> f64 {
    let term = |p: f64| if p > 0.0 { -p * p.log2() } else { 0.0 };
    term(p) + term(1.0 - p)
}

//! Inverse relations: the inverse of a one-to-one relation.

use serde::Serialize;

use super::{Draws, Earlier, Kind, Place, RelationSpec, Sizes, one_to_one};
use crate::error::{Error, Result};
use crate::permutation::Permutation;
use crate::value::{Fields, Value};

/// The inverse of a relation: if subject s has object o in the one-to-one relation `of`, subject o
/// has object s here.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Inverse {
    /// An earlier one-to-one relation with as many objects as there are subjects.
    pub of: u32,
}

impl Inverse {
    /// Creates the inverse of the relation `of`.
    pub fn new(of: u32) -> Self {
        Inverse { of }
    }
}

impl Kind for Inverse {
    type Draw = Draw;

    fn read(fields: &mut Fields<'_>) -> Result<Self> {
        fields.of_kind(&["of"])?;
        Ok(Inverse {
            of: fields.required("of", Value::id32)?,
        })
    }

    fn check(&mut self, earlier: &Earlier<'_>) -> Result<u64> {
        let subjects = earlier.subjects;
        let (at, target, objects) = earlier.relation("of", self.of)?;
        match target {
            RelationSpec::OneToOne(_) if objects == subjects => Ok(subjects),
            RelationSpec::OneToOne(_) => Err(Error::argument(
                "of",
                format!("a relation of {objects} objects"),
                format!("a relation of as many objects as subjects ({subjects})"),
            )),
            _ => Err(Error::argument(
                "of",
                format!("relation {at}"),
                "a relation of kind one_to_one",
            )),
        }
    }

    fn draw(&self, place: &Place<'_>) -> Result<Draw> {
        let objects = place.objects_of(place.relation);
        let of = u64::from(self.of);
        Ok(Draw(Permutation::new(
            objects,
            place.seed,
            one_to_one::PURPOSE,
            of,
        )))
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Draw(Permutation);

impl Draws for Draw {
    #[inline(always)]
    fn object(&self, subject: u64, _: impl Fn(usize) -> u32) -> u32 {
        self.0.invert(subject) as u32
    }

    /// Returns 0: the facts follow from the other relation.
    fn bits(&self, _: &Sizes<'_>) -> f64 {
        0.0
    }
}

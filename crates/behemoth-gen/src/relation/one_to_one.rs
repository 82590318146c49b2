//! One-to-one relations: different subjects have different objects.

use serde::Serialize;

use super::{Draws, Earlier, Kind, Place, Sizes, log2_factorial};
use crate::error::{Error, Result};
use crate::permutation::Permutation;
use crate::value::{Fields, Value};

/// The purpose of the permutation's key; an inverse relation inverts the same permutation.
pub(super) const PURPOSE: &str = "one-to-one";

/// A relation in which different subjects have different objects.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct OneToOne {
    /// Number of objects; by default, and at least, the number of subjects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objects: Option<u64>,
}

impl OneToOne {
    /// Creates the relation from its number of objects.
    pub fn new(objects: Option<u64>) -> Self {
        OneToOne { objects }
    }
}

impl Kind for OneToOne {
    type Draw = Draw;

    fn read(fields: &mut Fields<'_>) -> Result<Self> {
        fields.of_kind(&["objects"])?;
        Ok(OneToOne {
            objects: fields.nullable("objects", Value::count)?,
        })
    }

    fn check(&mut self, earlier: &Earlier<'_>) -> Result<u64> {
        let subjects = earlier.subjects;
        let objects = *self.objects.get_or_insert(subjects);
        if objects < subjects {
            return Err(Error::argument(
                "objects",
                objects,
                format!("at least subjects ({subjects}) for kind one_to_one"),
            ));
        }
        Ok(objects)
    }

    fn draw(&self, place: &Place<'_>) -> Result<Draw> {
        let objects = place.objects_of(place.relation);
        let relation = place.relation as u64;
        Ok(Draw(Permutation::new(
            objects, place.seed, PURPOSE, relation,
        )))
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Draw(Permutation);

impl Draws for Draw {
    #[inline(always)]
    fn object(&self, subject: u64, _: impl Fn(usize) -> u32) -> u32 {
        self.0.apply(subject) as u32
    }

    fn bits(&self, sizes: &Sizes<'_>) -> f64 {
        let objects = sizes.own_objects();
        log2_factorial(objects) - log2_factorial(objects - sizes.subjects)
    }
}

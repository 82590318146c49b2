//! Independent relations: every object equally likely, drawn separately for each subject.

use serde::Serialize;

use super::{Draws, Earlier, Kind, Place, Sizes};
use crate::error::{Error, Result};
use crate::hash::{Key, multiply_high};
use crate::value::{Fields, Value};

/// A relation with every object equally likely, drawn separately for each subject.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Independent {
    /// Number of objects.
    pub objects: u64,
    /// Whether only objects 0 and 1 are drawn. Second objects of a minority are any others.
    pub binarised: bool,
}

impl Independent {
    /// Creates the relation from its number of objects, all of which are drawn.
    pub fn new(objects: u64) -> Self {
        Independent {
            objects,
            binarised: false,
        }
    }

    /// Sets whether only objects 0 and 1 are drawn.
    pub fn binarised(self, binarised: bool) -> Self {
        Independent { binarised, ..self }
    }
}

impl Kind for Independent {
    type Draw = Draw;

    fn read(fields: &mut Fields<'_>) -> Result<Self> {
        fields.of_kind(&["objects", "binarised"])?;
        Ok(Independent {
            objects: fields.required("objects", Value::count)?,
            binarised: fields
                .optional("binarised", Value::boolean)?
                .unwrap_or(false),
        })
    }

    fn check(&mut self, _: &Earlier<'_>) -> Result<u64> {
        if self.binarised && self.objects < 2 {
            return Err(Error::argument("objects", self.objects, "at least 2"));
        }
        Ok(self.objects)
    }

    fn is_binarised(&self) -> bool {
        self.binarised
    }

    fn draw(&self, place: &Place<'_>) -> Result<Draw> {
        Ok(Draw {
            key: place.key("object"),
            objects: if self.binarised { 2 } else { self.objects },
        })
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Draw {
    key: Key,
    /// Number of objects that are drawn.
    objects: u64,
}

impl Draws for Draw {
    const TAKES_SECOND: bool = true;

    #[inline(always)]
    fn object(&self, subject: u64, _: impl Fn(usize) -> u32) -> u32 {
        multiply_high(self.key.hash(subject), self.objects) as u32
    }

    fn bits(&self, sizes: &Sizes<'_>) -> f64 {
        sizes.subjects * (self.objects as f64).log2()
    }
}

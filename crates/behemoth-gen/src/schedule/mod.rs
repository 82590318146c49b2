//! Schedules: where in the corpus the copies of facts stand.
//!
//! Without one all documents stand in one shuffle. A schedule takes a share of the facts and says
//! for each of their copies a window of the corpus; within it the order is a shuffle again, and
//! whatever has no window fills what is left. Counts stay exact: the corpus has the same sentences,
//! in other places.
//!
//! Time is counted in documents. The windows of `early`, `late` and `distance` begin and end at the
//! document that the fraction says, rounded down. The windows of `spaced` and `bursts` do so too
//! where enough other documents fill them up; where such copies are all there is, their edges are
//! off by fewer documents than there are copies in the bursts that meet there, and three.

mod build;
mod cut;
mod part;
mod plan;
mod rows;
mod timeline;

use serde::{Serialize, Serializer};

use crate::error::{Error, Result};
use crate::numbers::BILLION;
use crate::value::Value;

pub use self::part::{Part, Placement};
pub(crate) use self::timeline::{Seeds, Stratum, Timeline};

/// Where copies of facts stand: shares of the facts, each with a placement of its own; facts that
/// are in no share stand anywhere.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ScheduleSpec {
    /// The shares, which take facts one after the other.
    pub parts: Vec<Part>,
}

impl Serialize for ScheduleSpec {
    fn serialize<S: Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        self.parts.serialize(s)
    }
}

impl ScheduleSpec {
    /// A schedule of these parts.
    pub fn new(parts: impl Into<Vec<Part>>) -> Self {
        ScheduleSpec {
            parts: parts.into(),
        }
    }

    /// Whether everything stands anywhere.
    pub fn is_uniform(&self) -> bool {
        self.parts.is_empty()
    }

    /// Reads a line of text, a table, or a list of tables.
    pub(crate) fn read(value: &Value) -> Result<Self> {
        let spec = match value {
            Value::Text(text) => Self::from_line(text)?,
            Value::List(_) => Self::new(value.list("a list of parts", Part::read)?),
            Value::Table(_) => Self::new([Part::read(value)?]),
            _ => return Err(Error::value(value, part::examples())),
        };
        spec.check()?;
        Ok(spec)
    }

    fn from_line(text: &str) -> Result<Self> {
        if text.trim() == "uniform" {
            return Ok(Self::default());
        }
        let parts = text.split(',').map(|part| {
            Part::parse(part.trim())
                .ok_or_else(|| Error::value(format!("'{text}'"), part::examples()))
        });
        Ok(Self::new(parts.collect::<Result<Vec<_>>>()?))
    }

    /// Refuses what is out of bounds, and shares that take more facts than there are.
    pub(crate) fn check(&self) -> Result<()> {
        for part in &self.parts {
            part.check()?;
        }
        // Each level of exposures is cut on its own.
        for last in &self.parts {
            let own = |part: &&Part| part.exposures.is_none() || part.exposures == last.exposures;
            let taken: u64 = self.parts.iter().filter(own).map(Part::billionths).sum();
            if taken > BILLION {
                return Err(last.refused("shares of the same facts that add up to 1 at the most"));
            }
        }
        Ok(())
    }
}

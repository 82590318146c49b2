//! Schedules: the positions of the copies of facts in the corpus.
//!
//! Without a schedule, all documents are in one shuffle. A schedule selects a share of the facts
//! and assigns each of their copies to a window of the corpus; within a window the order is again a
//! shuffle, and documents without a window fill the rest. Counts stay exact: the corpus has the
//! same sentences at other positions.
//!
//! Time is counted in documents. Windows begin and end at the document given by the fraction, rounded
//! down, if no part is `spaced` or `bursts`, or enough other documents fill the windows up; if there
//! are only such copies, the edges of all windows, those of `early`, `late` and `distance` included,
//! are off by fewer documents than the number of copies in the bursts that meet there plus three.

mod build;
mod cut;
mod part;
mod plan;
mod rows;
mod timeline;

use std::collections::HashMap;

use serde::{Serialize, Serializer};

use crate::error::{Error, Result};
use crate::numbers::BILLION;
use crate::value::Value;

pub use self::part::{Part, Placement};
pub(crate) use self::timeline::{Seeds, Stratum, Timeline};

/// The positions of copies of facts: shares of the facts, each with a placement; facts in no share
/// may stand anywhere.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ScheduleSpec {
    /// The shares, which select facts one after the other.
    pub parts: Vec<Part>,
}

impl Serialize for ScheduleSpec {
    fn serialize<S: Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        self.parts.serialize(s)
    }
}

impl ScheduleSpec {
    /// Creates a schedule from its parts.
    pub fn new(parts: impl Into<Vec<Part>>) -> Self {
        ScheduleSpec {
            parts: parts.into(),
        }
    }

    /// Returns `true` if no fact is restricted to a window.
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
            Part::parse(part.trim()).ok_or_else(|| {
                let examples = || Error::value(format!("'{text}'"), part::examples());
                Part::above_limit(part).unwrap_or_else(examples)
            })
        });
        Ok(Self::new(parts.collect::<Result<Vec<_>>>()?))
    }

    /// Refuses invalid parts, and shares that add up to more than all facts.
    pub(crate) fn check(&self) -> Result<()> {
        for part in &self.parts {
            part.check()?;
        }
        // Each level of exposures is divided separately; parts without one take of every level.
        let mut levels: HashMap<Option<u64>, (u64, u64)> = HashMap::new();
        for part in &self.parts {
            let (taken, count) = levels.entry(part.exposures).or_default();
            *taken += part.billionths();
            *count += 1;
        }
        let of_every = levels.get(&None).copied().unwrap_or_default();
        for last in &self.parts {
            let (mut taken, mut count) = of_every;
            if last.exposures.is_some() {
                let own = levels[&last.exposures];
                taken += own.0;
                count += own.1;
            }
            // Each share is rounded by up to half a billionth: six sixths are 1,000,000,002.
            if taken > BILLION + count / 2 {
                return Err(last.refused("shares of the same facts that add up to at most 1"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each part with all others would be ten billion comparisons.
    #[test]
    fn many_parts_are_checked_in_one_pass() {
        let part = |exposures: u64| Part {
            share: 0.5,
            exposures: Some(exposures),
            ..Part::new(Placement::Spaced)
        };
        let mut schedule = ScheduleSpec::new((1..100_000).map(part).collect::<Vec<_>>());
        let start = std::time::Instant::now();
        schedule.check().unwrap();
        assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
        // Half of every level beside half of each one.
        schedule.parts.push(Part {
            share: 0.5,
            ..Part::new(Placement::Early { window: 0.1 })
        });
        schedule.check().unwrap();
        schedule.parts.push(part(7));
        let error = schedule.check().unwrap_err().to_string();
        assert!(error.contains("add up to at most 1"), "{error}");
    }
}

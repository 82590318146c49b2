//! Constant exposures: every fact equally often.

use serde::Serialize;

use super::{Assignment, Form, Levels, Population};
use crate::error::{Error, Result};
use crate::numbers::{COUNT_LIMIT, above, parse_count};
use crate::value::{Fields, Value};

/// Exposures with every fact written equally often.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Constant {
    /// Number of times each fact is written.
    pub exposures: u64,
}

impl Constant {
    /// Creates the exposures from the number of times each fact is written.
    pub fn new(exposures: u64) -> Self {
        Constant { exposures }
    }
}

impl Form for Constant {
    const EXAMPLES: &'static [&'static str] = &["a whole number"];

    fn read(fields: &mut Fields<'_>) -> Result<Self> {
        fields.of_kind(&["exposures"])?;
        Ok(Constant {
            exposures: fields.required("exposures", Value::count)?,
        })
    }

    fn parse(text: &str) -> Option<Self> {
        parse_count(text).map(Constant::new)
    }

    fn above_limit(text: &str) -> Option<Error> {
        above(text, COUNT_LIMIT)
    }

    fn check(&self) -> Result<()> {
        match self.exposures {
            0 => Err(Error::value(0, "at least 1")),
            _ => Ok(()),
        }
    }

    fn levels(&self, population: &Population, _: Option<&[u32]>) -> Result<Levels> {
        Ok(Levels {
            counts: vec![(self.exposures, population.facts)],
            assignment: Assignment::Identity,
            covers_links: false,
        })
    }
}

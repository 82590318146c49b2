//! Zipf exposures: numbers of exposures follow a power law.

use serde::Serialize;

use super::{Assignment, Form, Levels, Population};
use crate::error::{Error, Result};
use crate::numbers::{above, parse_count};
use crate::value::{Fields, Value, each_pair};

/// Maximum exposures of a fact.
const MAXIMUM_LIMIT: u64 = 1 << 40;

/// Maximum number of different exposures of a Zipf law, whose classes are kept in memory.
const LEVEL_LIMIT: usize = 1 << 20;

/// Exposures with the fact of rank k, from 0, written `maximum * (k + 1)^-alpha` times, rounded and
/// not below `minimum`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Zipf {
    /// Exponent, 0 to 100.
    pub alpha: f64,
    /// Minimum exposures.
    pub minimum: u64,
    /// Maximum exposures.
    pub maximum: u64,
}

impl Zipf {
    /// Creates a law from its exponent and its minimum and maximum exposures.
    pub fn new(alpha: f64, minimum: u64, maximum: u64) -> Self {
        Zipf {
            alpha,
            minimum,
            maximum,
        }
    }

    fn exposures(&self, rank: u64) -> u64 {
        let law = self.maximum as f64 * libm::pow((rank + 1) as f64, -self.alpha);
        // libm::round is exact; `as` saturates.
        (libm::round(law) as u64).clamp(self.minimum, self.maximum)
    }
}

impl Form for Zipf {
    const EXAMPLES: &'static [&'static str] = &["'zipf:alpha=1,min=1,max=1000'"];

    fn read(fields: &mut Fields<'_>) -> Result<Self> {
        fields.of_kind(&["alpha", "minimum", "maximum"])?;
        Ok(Zipf {
            alpha: fields.required("alpha", Value::number)?,
            minimum: fields.required("minimum", Value::count)?,
            maximum: fields.required("maximum", Value::count)?,
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let (mut alpha, mut minimum, mut maximum) = (1.0, 1, None);
        each_pair(text.strip_prefix("zipf:")?, None, |key, value| {
            match key {
                "alpha" => alpha = value.parse().ok()?,
                "min" => minimum = parse_count(value)?,
                "max" => maximum = Some(parse_count(value)?),
                _ => return None,
            }
            Some(())
        })?;
        Some(Zipf::new(alpha, minimum, maximum?))
    }

    fn above_limit(text: &str) -> Option<Error> {
        let fields = text.strip_prefix("zipf:")?.split(',');
        let mut pairs = fields.filter_map(|field| field.split_once('='));
        pairs.find_map(|(key, value)| match key.trim() {
            "min" | "max" => above(value, MAXIMUM_LIMIT),
            _ => None,
        })
    }

    fn check(&self) -> Result<()> {
        let Zipf {
            alpha,
            minimum,
            maximum,
        } = self;
        if !(0.0..=100.0).contains(alpha) {
            return Err(Error::value(format!("alpha={alpha}"), "0 to 100"));
        }
        if minimum > maximum || *maximum == 0 {
            return Err(Error::value(
                format!("min={minimum}, max={maximum}"),
                "min up to max, max at least 1",
            ));
        }
        if *maximum > MAXIMUM_LIMIT {
            return Err(Error::value(format!("max={maximum}"), "up to 2^40"));
        }
        Ok(())
    }

    /// Divides the facts into runs of equal exposures, from the most exposed rank down.
    fn levels(&self, population: &Population, _: Option<&[u32]>) -> Result<Levels> {
        let facts = population.facts;
        let mut counts = Vec::new();
        let mut rank = 0;
        while rank < facts {
            if counts.len() == LEVEL_LIMIT {
                let Zipf {
                    alpha,
                    minimum,
                    maximum,
                } = self;
                return Err(Error::value(
                    format!("zipf:alpha={alpha},min={minimum},max={maximum}"),
                    format!("a law with at most {LEVEL_LIMIT} different numbers of exposures"),
                ));
            }
            let level = self.exposures(rank);
            // First rank past the run, by bisection: the law decreases with the rank.
            let (mut low, mut high) = (rank + 1, facts);
            if level == self.minimum {
                low = facts;
            }
            while low < high {
                let middle = low + (high - low) / 2;
                if self.exposures(middle) == level {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
            counts.push((level, low - rank));
            rank = low;
        }
        Ok(Levels {
            counts,
            assignment: Assignment::permuted(population),
            covers_links: false,
        })
    }
}

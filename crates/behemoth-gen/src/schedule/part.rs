//! A part of a schedule: a share of the facts and the positions of their copies.

use std::fmt;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::numbers::{COUNT_LIMIT, above, billionths, parse_count};
use crate::value::{Fields, Value};

/// The positions of the copies of a fact.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Placement {
    /// All within the first fraction of the corpus.
    Early {
        /// Fraction of the corpus, above 0 and up to 1.
        window: f64,
    },
    /// All within the last fraction of the corpus.
    Late {
        /// Fraction of the corpus, above 0 and up to 1.
        window: f64,
    },
    /// The last copies of all facts of the part next to each other, so that they end at a fixed
    /// distance from the end of the corpus; the other copies anywhere before them.
    Distance {
        /// Distance as a fraction of the corpus, at least 0 and below 1.
        window: f64,
    },
    /// One copy in each of as many equal windows as a fact has copies.
    Spaced,
    /// The copies of a fact in a number of bursts, one in each of as many windows (with sizes in
    /// proportion to the copies of each, if these differ). A burst is within a thousandth of the
    /// corpus, or in small corpora within 32 times as many documents as it has copies.
    Bursts {
        /// Number of bursts.
        bursts: u64,
    },
}

/// A share of the facts and the positions of their copies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Part {
    /// Positions of the copies.
    #[serde(flatten)]
    pub placement: Placement,
    /// Share of the facts, taken separately for each level of exposures. Parts are consecutive, and
    /// each ends at the sum of the shares up to its own, rounded down; a part may therefore have
    /// one fact more than its own share, rounded down.
    pub share: f64,
    /// If set, only facts with this number of exposures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposures: Option<u64>,
}

fn window(fields: &mut Fields<'_>) -> Result<f64> {
    fields.of_kind(&["window", "share", "exposures"])?;
    fields.required("window", Value::number)
}

/// Examples of the one-line syntax, for error messages.
pub(super) fn examples() -> &'static str {
    "'uniform', 'early:0.1', 'late:0.5@0.1' (a tenth of the facts), 'distance:0.2@16x' (facts of \
     16 exposures), 'spaced' or 'bursts:4'"
}

impl Part {
    /// Creates a part with all facts.
    pub fn new(placement: Placement) -> Self {
        Part {
            placement,
            share: 1.0,
            exposures: None,
        }
    }

    /// Sets the share of the facts.
    pub fn of(mut self, share: f64) -> Self {
        self.share = share;
        self
    }

    /// Restricts the part to facts with a number of exposures.
    pub fn with_exposures(mut self, exposures: u64) -> Self {
        self.exposures = Some(exposures);
        self
    }

    pub(super) fn read(value: &Value) -> Result<Self> {
        type Read = fn(&mut Fields<'_>) -> Result<Placement>;
        const KINDS: &[(&str, Read)] = &[
            ("early", |fields| {
                Ok(Placement::Early {
                    window: window(fields)?,
                })
            }),
            ("late", |fields| {
                Ok(Placement::Late {
                    window: window(fields)?,
                })
            }),
            ("distance", |fields| {
                Ok(Placement::Distance {
                    window: window(fields)?,
                })
            }),
            ("spaced", |fields| {
                fields.of_kind(&["share", "exposures"])?;
                Ok(Placement::Spaced)
            }),
            ("bursts", |fields| {
                fields.of_kind(&["bursts", "share", "exposures"])?;
                let bursts = fields.required("bursts", Value::count)?;
                Ok(Placement::Bursts { bursts })
            }),
        ];
        let (mut fields, read) = value.kind(KINDS)?;
        let placement = read(&mut fields)?;
        Ok(Part {
            placement,
            share: fields.optional("share", Value::number)?.unwrap_or(1.0),
            exposures: fields.nullable("exposures", Value::count)?,
        })
    }

    /// Parses the one-line syntax, such as `late:0.1`, `late:0.1@0.5`, `spaced@16x`,
    /// `bursts:4@0.5@16x`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split('@');
        let placement = words.next()?;
        let (kind, value) = match placement.split_once(':') {
            Some((kind, value)) => (kind, Some(value.trim())),
            None => (placement, None),
        };
        let number = || value?.parse::<f64>().ok();
        let placement = match (kind.trim(), value) {
            ("early", Some(_)) => Placement::Early { window: number()? },
            ("late", Some(_)) => Placement::Late { window: number()? },
            ("distance", Some(_)) => Placement::Distance { window: number()? },
            ("spaced", None) => Placement::Spaced,
            ("bursts", Some(value)) => Placement::Bursts {
                bursts: parse_count(value)?,
            },
            _ => return None,
        };
        let mut part = Part::new(placement);
        let (mut has_share, mut has_level) = (false, false);
        for word in words.map(str::trim) {
            match word.strip_suffix('x') {
                Some(level) if !has_level => {
                    part.exposures = Some(parse_count(level)?);
                    has_level = true;
                }
                None if !has_share => {
                    part.share = word.parse().ok()?;
                    has_share = true;
                }
                _ => return None,
            }
        }
        Some(part)
    }

    /// Returns the error of the first count above its limit in a text that `parse` could not read.
    pub(super) fn above_limit(text: &str) -> Option<Error> {
        let mut words = text.split('@').map(str::trim);
        let count = |word: &str| {
            let bursts = word.strip_prefix("bursts:");
            above(bursts.or_else(|| word.strip_suffix('x'))?, COUNT_LIMIT)
        };
        words.find_map(count)
    }

    pub(super) fn check(&self) -> Result<()> {
        match self.placement {
            Placement::Early { window } | Placement::Late { window }
                if !(window > 0.0 && window <= 1.0) =>
            {
                return Err(self.refused("a window above 0 and up to 1"));
            }
            Placement::Distance { window } if !(0.0..1.0).contains(&window) => {
                return Err(self.refused("a distance from 0 and below 1"));
            }
            Placement::Bursts { bursts: 0 } => return Err(self.refused("at least one burst")),
            _ => {}
        }
        if !(self.share > 0.0 && self.share <= 1.0) {
            return Err(self.refused("a share above 0 and up to 1"));
        }
        if self.billionths() == 0 {
            return Err(self.refused("a share that is rounded to at least a billionth"));
        }
        if self.exposures == Some(0) {
            return Err(self.refused("facts of at least 1 exposure"));
        }
        Ok(())
    }

    pub(super) fn billionths(&self) -> u64 {
        billionths(self.share)
    }

    /// Returns `true` if the part applies to facts with a number of exposures.
    pub(super) fn is_about(&self, exposures: u64) -> bool {
        self.exposures.is_none_or(|own| own == exposures)
    }

    pub(super) fn refused(&self, allowed: impl Into<String>) -> Error {
        Error::value(format!("'{self}'"), allowed)
    }
}

/// Writes the part in the one-line syntax.
impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.placement {
            Placement::Early { window } => write!(f, "early:{window}"),
            Placement::Late { window } => write!(f, "late:{window}"),
            Placement::Distance { window } => write!(f, "distance:{window}"),
            Placement::Spaced => write!(f, "spaced"),
            Placement::Bursts { bursts } => write!(f, "bursts:{bursts}"),
        }?;
        if self.share != 1.0 {
            write!(f, "@{}", self.share)?;
        }
        match self.exposures {
            Some(exposures) => write!(f, "@{exposures}x"),
            None => Ok(()),
        }
    }
}

//! Exposures as a user asks for them: tables, numbers, or text such as `groups:1,4,16`.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::spec::{COUNT_LIMIT, count, positive};

/// The exposures of a corpus, as a user asks for them.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ExposureSpec {
    /// Every fact equally often.
    Constant {
        /// How often.
        exposures: u64,
    },
    /// Equal shares of the facts at each level.
    Groups {
        /// The exposures of each group; 0 means never written.
        levels: Vec<u64>,
        /// A Latin square within each subject instead of a permutation of all facts: relation r
        /// of a subject at shift s has level `(s + r) mod levels`.
        balanced: bool,
    },
    /// The fact of rank k, from 0, `maximum * (k + 1)^-alpha` times, rounded and not below
    /// `minimum`.
    Zipf {
        /// The exponent, at least 0.
        alpha: f64,
        /// Fewest exposures.
        minimum: u64,
        /// Most exposures.
        maximum: u64,
    },
    /// One number for each fact, given beside the spec and named by its digest.
    Array {
        /// BLAKE3 of the numbers; filled in where it is empty.
        digest: String,
    },
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum RawExposure {
    Constant {
        #[serde(deserialize_with = "count")]
        exposures: u64,
    },
    Groups {
        levels: Vec<CountValue>,
        #[serde(default)]
        balanced: bool,
    },
    Zipf {
        alpha: f64,
        #[serde(deserialize_with = "count")]
        minimum: u64,
        #[serde(deserialize_with = "count")]
        maximum: u64,
    },
    Array {
        #[serde(default)]
        digest: String,
    },
}

#[derive(Deserialize)]
struct CountValue(#[serde(deserialize_with = "count")] u64);

const FORMS: &str = "a number, 'groups:1,4,16', 'latin:1,4,16' or 'zipf:alpha=1,min=1,max=1000'";

impl ExposureSpec {
    pub(crate) fn validate(&self) -> Result<()> {
        match self {
            ExposureSpec::Constant { exposures } => positive("exposures", *exposures),
            ExposureSpec::Groups { levels, balanced } => {
                if levels.is_empty() || levels.iter().all(|&level| level == 0) {
                    let form = if *balanced { "latin" } else { "groups" };
                    return Err(Error::argument(
                        "exposures",
                        format!("{form}:{}", join(levels)),
                        "at least one level above 0",
                    ));
                }
                Ok(())
            }
            ExposureSpec::Zipf {
                alpha,
                minimum,
                maximum,
            } => {
                if !(0.0..=100.0).contains(alpha) {
                    return Err(Error::argument(
                        "exposures",
                        format!("alpha={alpha}"),
                        "0 to 100",
                    ));
                }
                if minimum > maximum || *maximum == 0 {
                    return Err(Error::argument(
                        "exposures",
                        format!("min={minimum}, max={maximum}"),
                        "min up to max, max at least 1",
                    ));
                }
                if *maximum > 1 << 40 {
                    return Err(Error::argument(
                        "exposures",
                        format!("max={maximum}"),
                        "up to 2^40",
                    ));
                }
                Ok(())
            }
            ExposureSpec::Array { .. } => Ok(()),
        }
    }
}

pub(super) fn join(levels: &[u64]) -> String {
    levels
        .iter()
        .map(u64::to_string)
        .collect::<Vec<_>>()
        .join(",")
}

/// A count as people write it: `10`, `1e8`, `1_000`.
fn parse_count(text: &str) -> Option<u64> {
    let plain = text.trim().replace('_', "");
    if let Ok(n) = plain.parse::<u64>() {
        return (n <= COUNT_LIMIT).then_some(n);
    }
    let float: f64 = plain.parse().ok()?;
    (float >= 0.0 && float.fract() == 0.0 && float <= 9_007_199_254_740_992.0)
        .then_some(float as u64)
}

impl FromStr for ExposureSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = || Error::argument("exposures", format!("'{text}'"), FORMS);
        let levels = |list: &str| -> Result<Vec<u64>> {
            list.split(',')
                .map(|level| parse_count(level).ok_or_else(refuse))
                .collect()
        };
        let spec = match text.split_once(':') {
            None => ExposureSpec::Constant {
                exposures: parse_count(text).ok_or_else(refuse)?,
            },
            Some(("groups", list)) => ExposureSpec::Groups {
                levels: levels(list)?,
                balanced: false,
            },
            Some(("latin", list)) => ExposureSpec::Groups {
                levels: levels(list)?,
                balanced: true,
            },
            Some(("zipf", fields)) => {
                let (mut alpha, mut minimum, mut maximum) = (1.0, 1, None);
                for field in fields.split(',') {
                    match field.split_once('=').map(|(k, v)| (k.trim(), v.trim())) {
                        Some(("alpha", v)) => alpha = v.parse().map_err(|_| refuse())?,
                        Some(("min", v)) => minimum = parse_count(v).ok_or_else(refuse)?,
                        Some(("max", v)) => maximum = Some(parse_count(v).ok_or_else(refuse)?),
                        _ => return Err(refuse()),
                    }
                }
                ExposureSpec::Zipf {
                    alpha,
                    minimum,
                    maximum: maximum.ok_or_else(refuse)?,
                }
            }
            Some(_) => return Err(refuse()),
        };
        spec.validate()?;
        Ok(spec)
    }
}

impl<'de> Deserialize<'de> for ExposureSpec {
    fn deserialize<D: Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = ExposureSpec;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(FORMS)
            }
            fn visit_str<E: de::Error>(self, v: &str) -> std::result::Result<Self::Value, E> {
                v.parse().map_err(|e: Error| match e {
                    // Keeps the "got, allowed" form that the reader of specs looks for.
                    Error::Argument { got, allowed, .. } => {
                        E::custom(format!("got {got}, allowed: {allowed}"))
                    }
                    other => E::custom(other),
                })
            }
            fn visit_u64<E: de::Error>(self, v: u64) -> std::result::Result<Self::Value, E> {
                if v > COUNT_LIMIT {
                    return Err(E::custom(format!("got {v}, allowed: up to {COUNT_LIMIT}")));
                }
                Ok(ExposureSpec::Constant { exposures: v })
            }
            fn visit_i64<E: de::Error>(self, v: i64) -> std::result::Result<Self::Value, E> {
                match u64::try_from(v) {
                    Ok(v) => self.visit_u64(v),
                    Err(_) => Err(E::custom(format!("got {v}, allowed: {FORMS}"))),
                }
            }
            fn visit_f64<E: de::Error>(self, v: f64) -> std::result::Result<Self::Value, E> {
                self.visit_str(&if v.abs() < 1e16 {
                    v.to_string()
                } else {
                    format!("{v:e}")
                })
            }
            fn visit_map<A: MapAccess<'de>>(
                self,
                map: A,
            ) -> std::result::Result<Self::Value, A::Error> {
                let raw = RawExposure::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(match raw {
                    RawExposure::Constant { exposures } => ExposureSpec::Constant { exposures },
                    RawExposure::Groups { levels, balanced } => ExposureSpec::Groups {
                        levels: levels.into_iter().map(|v| v.0).collect(),
                        balanced,
                    },
                    RawExposure::Zipf {
                        alpha,
                        minimum,
                        maximum,
                    } => ExposureSpec::Zipf {
                        alpha,
                        minimum,
                        maximum,
                    },
                    RawExposure::Array { digest } => ExposureSpec::Array { digest },
                })
            }
        }
        d.deserialize_any(Any)
    }
}

/// BLAKE3 of an exposure array.
pub fn digest_of(array: &[u32]) -> String {
    let mut hasher = blake3::Hasher::new();
    for &exposures in array {
        hasher.update(&exposures.to_le_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

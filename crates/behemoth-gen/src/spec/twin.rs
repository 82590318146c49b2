//! The parts of a corpus spec on questions and twins.

use crate::error::{Error, Result};
use crate::value::Value;

/// The spec of questions about some of the subjects.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct QuestionSpec {
    /// Exact fraction of the subjects that questions may be asked about.
    pub subjects: f64,
    /// Fraction of all sentences of the corpus that are written as questions (in format version 1:
    /// of the sentences of each fact about those subjects).
    pub sentences: f64,
}

impl QuestionSpec {
    /// Creates the spec of questions about a fraction of the subjects, in a fraction of all
    /// sentences.
    pub fn new(subjects: f64, sentences: f64) -> Self {
        QuestionSpec {
            subjects,
            sentences,
        }
    }

    pub(super) fn read(value: &Value) -> Result<Self> {
        let mut fields = value.table(&["subjects", "sentences"])?;
        Ok(QuestionSpec {
            subjects: fields.required("subjects", Value::number)?,
            sentences: fields.required("sentences", Value::number)?,
        })
    }
}

/// The differences of a twin from its parent corpus.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct TwinSpec {
    /// Pairs of (fact, new object), by fact.
    pub overrides: Vec<(u64, u32)>,
    /// Whether composed facts follow the overridden object.
    pub follow: bool,
    /// Facts whose sentences are omitted, in ascending order.
    pub without: Vec<u64>,
}

impl TwinSpec {
    /// Returns `true` if it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.overrides.is_empty() && self.without.is_empty()
    }

    pub(super) fn read(value: &Value) -> Result<Self> {
        let pair = |value: &Value| {
            let Value::List(pair) = value else {
                return Err(Error::value(value, "a pair of fact and object"));
            };
            let [fact, object] = &pair[..] else {
                return Err(Error::value(value, "a pair of fact and object"));
            };
            let fact = fact.id64().map_err(|e| e.within(0))?;
            let object = object.id32().map_err(|e| e.within(1))?;
            Ok((fact, object))
        };
        let mut fields = value.table(&["overrides", "follow", "without"])?;
        let overrides =
            fields.optional("overrides", |value| value.list("a list of pairs", pair))?;
        let follow = fields.optional("follow", Value::boolean)?;
        let without = fields.optional("without", |value| {
            value.list("a list of facts", Value::id64)
        })?;
        Ok(TwinSpec {
            overrides: overrides.unwrap_or_default(),
            follow: follow.unwrap_or(false),
            without: without.unwrap_or_default(),
        })
    }
}

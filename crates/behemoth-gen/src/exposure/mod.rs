//! Exposures: the exact number of times each fact is written, independent of its content.
//!
//! A form of exposures is one file: its syntax, its limits, and the levels into which it divides
//! the facts. It has one row in the table below; no other code in the crate distinguishes forms. To
//! add one, write its file, modelled on `constant.rs`, and its `mod` line and row here.

mod array;
mod assignment;
mod constant;
mod exposures;
mod groups;
mod zipf;

use std::str::FromStr;

use serde::Serialize;

use self::assignment::Assignment;
use crate::error::{Error, Result};
use crate::numbers::COUNT_LIMIT;
use crate::value::{Fields, Value};

pub use self::array::{Array, digest_of};
pub use self::constant::Constant;
pub use self::exposures::{Class, Exposures};
pub use self::groups::Groups;
pub use self::zipf::Zipf;

/// The facts that exposures are assigned to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Population {
    pub seed: u64,
    pub subjects: u64,
    /// Number of relations of a subject.
    pub relations: u64,
    /// Number of facts about subjects.
    pub facts: u64,
    /// Number of facts of link relations, which follow those about subjects.
    pub link_facts: u64,
    /// Whether every subject has every relation.
    pub is_complete: bool,
}

/// The division of facts into levels of equal exposures.
pub(crate) struct Levels {
    /// Pairs of exposures and number of facts, in the order of ranks.
    counts: Vec<(u64, u64)>,
    assignment: Assignment,
    /// Whether link facts have levels too, instead of a separate rule.
    covers_links: bool,
}

/// A form of exposures.
pub(crate) trait Form: Sized {
    /// Examples of its one-line syntax, for error messages.
    const EXAMPLES: &'static [&'static str];

    /// Reads its parameters from the fields of a table; `check` checks their limits.
    fn read(fields: &mut Fields<'_>) -> Result<Self>;

    /// Parses its one-line syntax; `None` if the text is not of this form.
    fn parse(text: &str) -> Option<Self>;

    /// Returns the error of the first number above its limit in a line of this form, which
    /// `parse` could therefore not read.
    fn above_limit(_: &str) -> Option<Error> {
        None
    }

    /// Refuses invalid parameters.
    fn check(&self) -> Result<()>;

    /// Fills in the digest of the numbers passed separately, if the form uses them.
    fn take_numbers(&mut self, _: &[u32]) {}

    /// Divides a population of facts into levels.
    fn levels(&self, population: &Population, numbers: Option<&[u32]>) -> Result<Levels>;
}

/// Defines [`ExposureSpec`] and its dispatch from the table of forms.
macro_rules! forms {
    ($($(#[$doc:meta])* $Form:ident = $name:literal,)*) => {
        /// The exposures of a corpus, as in a spec.
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[serde(tag = "kind", rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum ExposureSpec {
            $($(#[$doc])* $Form($Form),)*
        }

        impl ExposureSpec {
            fn read_table(value: &Value) -> Result<Self> {
                type Read = fn(&mut Fields<'_>) -> Result<ExposureSpec>;
                const FORMS: &[(&str, Read)] =
                    &[$(($name, |fields| $Form::read(fields).map(ExposureSpec::$Form)),)*];
                let (mut fields, read) = value.kind(FORMS)?;
                read(&mut fields)
            }

            fn parse(text: &str) -> Option<Self> {
                None$(.or_else(|| $Form::parse(text).map(ExposureSpec::$Form)))*
            }

            /// Returns the error of a line that is of no form.
            fn unread(text: &str) -> Error {
                None$(.or_else(|| $Form::above_limit(text)))*
                    .unwrap_or_else(|| Error::value(format!("'{text}'"), examples()))
            }

            pub(crate) fn check(&self) -> Result<()> {
                match self {
                    $(ExposureSpec::$Form(form) => form.check(),)*
                }
            }

            /// Fills in the digest of the numbers passed separately, if the form uses them.
            pub(crate) fn take_numbers(&mut self, numbers: &[u32]) {
                match self {
                    $(ExposureSpec::$Form(form) => form.take_numbers(numbers),)*
                }
            }

            fn levels(&self, population: &Population, numbers: Option<&[u32]>) -> Result<Levels> {
                match self {
                    $(ExposureSpec::$Form(form) => form.levels(population, numbers),)*
                }
            }
        }

        $(impl From<$Form> for ExposureSpec {
            fn from(form: $Form) -> Self {
                ExposureSpec::$Form(form)
            }
        })*

        /// Lists the examples of all forms.
        fn examples() -> String {
            let all: Vec<&str> = [$($Form::EXAMPLES,)*].concat();
            match all.split_last() {
                Some((last, others)) => format!("{} or {last}", others.join(", ")),
                None => String::new(),
            }
        }
    };
}

forms! {
    /// Every fact equally often.
    Constant = "constant",
    /// Equal shares of the facts at each level.
    Groups = "groups",
    /// The fact of rank k, from 0, `maximum * (k + 1)^-alpha` times, rounded and not below
    /// `minimum`.
    Zipf = "zipf",
    /// One number for each fact, passed separately from the spec and identified by their digest.
    Array = "array",
}

impl Default for ExposureSpec {
    fn default() -> Self {
        Constant::new(1).into()
    }
}

impl ExposureSpec {
    /// Reads exposures from a number, a line of text or a table.
    pub(crate) fn read(value: &Value) -> Result<Self> {
        let spec = match value {
            Value::Text(text) => return Self::from_line(text),
            Value::Whole(n) if *n > COUNT_LIMIT => {
                return Err(Error::value(n, format!("up to {COUNT_LIMIT}")));
            }
            Value::Whole(n) => Constant::new(*n).into(),
            Value::Negative(n) => return Err(Error::value(n, examples())),
            // A count, as `1e3`.
            Value::Float(number) => {
                let text = format!("{number:e}");
                let limit = || Constant::above_limit(&text);
                let refused = || limit().unwrap_or_else(|| Error::value(value, examples()));
                Self::parse(&text).ok_or_else(refused)?
            }
            Value::Table(_) => Self::read_table(value)?,
            _ => return Err(Error::value(value, examples())),
        };
        spec.check()?;
        Ok(spec)
    }

    fn from_line(text: &str) -> Result<Self> {
        let spec = Self::parse(text).ok_or_else(|| Self::unread(text))?;
        spec.check()?;
        Ok(spec)
    }
}

impl FromStr for ExposureSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::from_line(text).map_err(|e| e.within("exposures"))
    }
}

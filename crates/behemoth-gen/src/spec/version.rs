//! Format versions and the rules in which they differ.

// Handles user input: no indexing that can panic.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

use std::fmt;

use serde::{Serialize, Serializer};

use crate::error::{Error, Result};
use crate::numbers::Rounding;

/// The version of everything that decides output bytes. Every version remains readable, verifiable,
/// resumable and writable; a spec without a version has the latest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FormatVersion {
    /// The first version.
    V1,
    /// Questions are a share of all sentences; counts of facts and subjects are rounded to nearest.
    V2,
    /// A twin with other objects has as much filler as its parent.
    #[default]
    V3,
}

impl FormatVersion {
    /// All versions, in ascending order.
    pub const ALL: &[FormatVersion] = &[FormatVersion::V1, FormatVersion::V2, FormatVersion::V3];
    /// The version of a spec that does not state one.
    pub const LATEST: FormatVersion = FormatVersion::V3;

    /// Returns its number, as written in specs and manifests.
    pub fn number(self) -> u32 {
        match self {
            FormatVersion::V1 => 1,
            FormatVersion::V2 => 2,
            FormatVersion::V3 => 3,
        }
    }

    /// Returns the version with a number.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] if there is no such version.
    pub fn from_number(number: u32) -> Result<Self> {
        let mut all = FormatVersion::ALL.iter().copied();
        all.find(|version| version.number() == number)
            .ok_or_else(|| Error::argument("format_version", number, FormatVersion::known()))
    }

    /// Lists the known numbers, as in "1, 2 and 3".
    pub(crate) fn known() -> String {
        let all = FormatVersion::ALL.iter();
        let numbers: Vec<String> = all.map(|version| version.number().to_string()).collect();
        match numbers.split_last() {
            Some((last, earlier)) if !earlier.is_empty() => {
                format!("{} and {last}", earlier.join(", "))
            }
            _ => numbers.concat(),
        }
    }

    /// Returns the rules of this version.
    pub(crate) fn rules(self) -> Rules {
        match self {
            FormatVersion::V1 => Rules {
                rounding: Rounding::Down,
                questions: QuestionShare::OfFacts,
                twin_filler: TwinFiller::BesideItsOwn,
            },
            FormatVersion::V2 => Rules {
                rounding: Rounding::Nearest,
                questions: QuestionShare::OfAll,
                twin_filler: TwinFiller::BesideItsOwn,
            },
            FormatVersion::V3 => Rules {
                rounding: Rounding::Nearest,
                questions: QuestionShare::OfAll,
                twin_filler: TwinFiller::BesideItsParents,
            },
        }
    }
}

impl fmt::Display for FormatVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number().fmt(f)
    }
}

impl Serialize for FormatVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.number())
    }
}

/// Everything in which versions differ: code that decides bytes uses this and not the version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Rounding of the number of facts with a second object and of the number of subjects with
    /// questions.
    pub rounding: Rounding,
    /// Population that the share of questions refers to.
    pub questions: QuestionShare,
    /// Amount of filler in a twin with other objects, if the filler is defined by a total number of
    /// tokens.
    pub twin_filler: TwinFiller,
}

/// Population that the share of questions refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QuestionShare {
    /// The sentences of each fact that has questions.
    OfFacts,
    /// All sentences of the corpus.
    OfAll,
}

/// Facts that are subtracted from the total number of tokens to get the filler of a twin with other
/// objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TwinFiller {
    /// The twin's own: the total is kept, and documents move if objects have other lengths.
    BesideItsOwn,
    /// Those of the parent: documents stay in their places.
    BesideItsParents,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_for_versions_both_ways() {
        for &version in FormatVersion::ALL {
            assert_eq!(
                FormatVersion::from_number(version.number()).unwrap(),
                version
            );
        }
        assert_eq!(FormatVersion::LATEST, FormatVersion::default());
        assert_eq!(FormatVersion::ALL.last(), Some(&FormatVersion::LATEST));
        assert_eq!(
            FormatVersion::from_number(9).unwrap_err().to_string(),
            "argument 'format_version': got 9, allowed: 1, 2 and 3"
        );
    }
}

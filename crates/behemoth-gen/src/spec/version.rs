//! The version of everything that decides output bytes, and what it decides.

// Reads what users wrote: nothing here may be out of bounds.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

use std::fmt;

use serde::{Serialize, Serializer};

use crate::error::{Error, Result};
use crate::numbers::Rounding;

/// The version of everything that decides output bytes. Each one is read, verified, gone on with
/// and written for good; a spec that names none is of the latest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FormatVersion {
    /// The first.
    V1,
    /// Questions are a share of all sentences; counts of facts and subjects are rounded to nearest.
    V2,
    /// A twin with other objects has as much filler as its parent.
    #[default]
    V3,
}

impl FormatVersion {
    /// All of them, ascending.
    pub const ALL: [FormatVersion; 3] = [FormatVersion::V1, FormatVersion::V2, FormatVersion::V3];
    /// What a spec that names none is of.
    pub const LATEST: FormatVersion = FormatVersion::V3;

    /// Its number, as specs and manifests have it.
    pub fn number(self) -> u32 {
        match self {
            FormatVersion::V1 => 1,
            FormatVersion::V2 => 2,
            FormatVersion::V3 => 3,
        }
    }

    /// The version of a number.
    pub fn from_number(number: u32) -> Result<Self> {
        let mut all = FormatVersion::ALL.into_iter();
        all.find(|version| version.number() == number)
            .ok_or_else(|| Error::argument("format_version", number, FormatVersion::known()))
    }

    /// The numbers there are, in words.
    pub(crate) fn known() -> String {
        let numbers = FormatVersion::ALL.map(|version| version.number().to_string());
        match numbers.split_last() {
            Some((last, earlier)) if !earlier.is_empty() => {
                format!("{} and {last}", earlier.join(", "))
            }
            _ => numbers.concat(),
        }
    }

    /// What it decides.
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

/// All in which versions differ: whoever decides bytes asks this and not the version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// How many facts have a second object, and how many subjects are asked about.
    pub rounding: Rounding,
    /// What the share of questions is a share of.
    pub questions: QuestionShare,
    /// How much filler a twin with other objects has, where a total decides it.
    pub twin_filler: TwinFiller,
}

/// What the share of questions is a share of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QuestionShare {
    /// The sentences of each fact that is asked about.
    OfFacts,
    /// All sentences of the corpus.
    OfAll,
}

/// Which facts leave a twin with other objects room for filler, of a total number of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TwinFiller {
    /// Its own: the total is kept, and where objects have other lengths, documents move.
    BesideItsOwn,
    /// Those of its parent: documents stay in their places.
    BesideItsParents,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_for_versions_both_ways() {
        for version in FormatVersion::ALL {
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

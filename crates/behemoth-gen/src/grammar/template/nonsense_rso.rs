//! Relation, subject and object, each after one to five random fillers.

use super::parts::{OBJECT, RELATION, SUBJECT, group};
use super::{Description, Part};

pub(super) const DESCRIPTION: Description = Description {
    name: "nonsense_rso",
    parts: &[
        Part::Random,
        group(RELATION),
        Part::Random,
        group(SUBJECT),
        Part::Random,
        group(OBJECT),
    ],
    inverted: &[],
};

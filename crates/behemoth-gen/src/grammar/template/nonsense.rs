//! Subject, relation and object, each after one to five random fillers.

use super::parts::{OBJECT, RELATION, SUBJECT, group};
use super::{Description, Part, Template};

pub(super) const DESCRIPTION: Description = Description {
    name: "nonsense",
    parts: &[
        Part::Random,
        group(SUBJECT),
        Part::Random,
        group(RELATION),
        Part::Random,
        group(OBJECT),
    ],
    inverted: &[Template::NonsenseRelationFirst],
};

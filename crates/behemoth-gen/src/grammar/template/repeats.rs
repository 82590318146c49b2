//! Subject, relation and object, each after one to three copies of a filler and before up to three.

use super::parts::{OBJECT, RELATION, SUBJECT};
use super::{Description, Part};

pub(super) const DESCRIPTION: Description = Description {
    name: "repeats",
    parts: &[
        Part::Repeated {
            filler: "~subject",
            group: SUBJECT,
        },
        Part::Repeated {
            filler: "~relation",
            group: RELATION,
        },
        Part::Repeated {
            filler: "~object",
            group: OBJECT,
        },
    ],
    inverted: &[],
};

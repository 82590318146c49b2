//! The relation R of subject S is object O .

use super::Description;
use super::parts::{OBJECT, RELATION, SUBJECT, filler, group};

pub(super) const DESCRIPTION: Description = Description {
    name: "rso",
    parts: &[
        filler("The"),
        group(RELATION),
        filler("of"),
        group(SUBJECT),
        filler("is"),
        group(OBJECT),
    ],
    inverted: &[],
};

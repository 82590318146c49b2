//! object O is subject S 's relation R .

use super::Description;
use super::parts::{OBJECT, RELATION, SUBJECT, filler, group};

pub(super) const DESCRIPTION: Description = Description {
    name: "osr",
    parts: &[
        group(OBJECT),
        filler("is"),
        group(SUBJECT),
        filler("'s"),
        group(RELATION),
    ],
    inverted: &[],
};

//! subject S has object O for its relation R .

use super::Description;
use super::parts::{OBJECT, RELATION, SUBJECT, filler, group};

pub(super) const DESCRIPTION: Description = Description {
    name: "sor",
    parts: &[
        group(SUBJECT),
        filler("has"),
        group(OBJECT),
        filler("for"),
        filler("its"),
        group(RELATION),
    ],
    inverted: &[],
};

//! subject S has the relation R with object object object .

use super::Description;
use super::parts::{REFUSAL, RELATION, SUBJECT, filler, group};

pub(super) const DESCRIPTION: Description = Description {
    name: "refusal",
    parts: &[
        group(SUBJECT),
        filler("has"),
        filler("the"),
        group(RELATION),
        filler("with"),
        group(REFUSAL),
    ],
    inverted: &[],
};

//! subject S has the relation R with object O .

use super::parts::{OBJECT, RELATION, SUBJECT, filler, group};
use super::{Description, Template};

pub(super) const DESCRIPTION: Description = Description {
    name: "default",
    parts: &[
        group(SUBJECT),
        filler("has"),
        filler("the"),
        group(RELATION),
        filler("with"),
        group(OBJECT),
    ],
    inverted: &[
        Template::SubjectObjectRelation,
        Template::ObjectSubjectRelation,
        Template::RelationSubjectObject,
    ],
};

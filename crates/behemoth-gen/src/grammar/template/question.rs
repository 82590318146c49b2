//! question: what relation R does subject S have ? answer: object O .

use super::Description;
use super::parts::{ANSWER, QUESTION, RELATION, SUBJECT, filler, group};

pub(super) const DESCRIPTION: Description = Description {
    name: "question",
    parts: &[
        group(QUESTION),
        filler("what"),
        group(RELATION),
        filler("does"),
        group(SUBJECT),
        filler("have"),
        filler("?"),
        group(ANSWER),
    ],
    inverted: &[],
};

//! question: what relation R does subject S have ? answer: object object object .

use super::Description;
use super::parts::{QUESTION, REFUSED_ANSWER, RELATION, SUBJECT, filler, group};

pub(super) const DESCRIPTION: Description = Description {
    name: "question_refusal",
    parts: &[
        group(QUESTION),
        filler("what"),
        group(RELATION),
        filler("does"),
        group(SUBJECT),
        filler("have"),
        filler("?"),
        group(REFUSED_ANSWER),
    ],
    inverted: &[],
};

//! Templates: how a fact becomes a sentence.
//!
//! A template is one file: its name, its parts in order, and the templates that its sentences go
//! to in another word order. It has one row in the table below. What else there is to know of it
//! (its family, what it asks, whether a filler may follow the answer) follows from its parts, so
//! that nothing has to know templates by the letters of their names. To add one, write its file
//! after the pattern of `default.rs`, and its `mod` line and row here.

mod default;
mod nonsense;
mod nonsense_rso;
mod osr;
mod parts;
mod question;
mod question_refusal;
mod refusal;
mod repeats;
mod rso;
mod sor;

use serde::Serialize;

use super::pieces::{Part, Piece};
use crate::error::{Error, Result};
use crate::vocabulary::{WORDING_FILLERS, marker};

/// What a template says of itself.
pub(super) struct Description {
    /// As users write it.
    name: &'static str,
    /// The sentence, but for the period.
    parts: &'static [Part],
    /// Where the share of sentences in another word order goes, in equal parts.
    inverted: &'static [Template],
}

/// What kind of sentence a template makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Family {
    /// A fact, stated.
    Statement,
    /// A question with its answer.
    Question,
    /// A sentence whose answer is a refusal.
    Refusal,
}

/// What the end of a sentence answers, once its subject and relation are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Asks {
    /// The object: a prompt can ask for it.
    Object,
    /// That there is no answer.
    Refusal,
    /// Nothing: the object is said before both are.
    Nothing,
}

/// From the table of templates: their names, and who describes whom.
macro_rules! templates {
    ($($(#[$doc:meta])* $Template:ident in $file:ident,)*) => {
        /// How a fact becomes a sentence.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Template {
            $($(#[$doc])* $Template,)*
        }

        impl Template {
            /// All templates, in their order.
            pub const ALL: &[Template] = &[$(Template::$Template,)*];

            const fn description(self) -> &'static Description {
                match self {
                    $(Template::$Template => &$file::DESCRIPTION,)*
                }
            }
        }
    };
}

templates! {
    /// Subject, relation, object.
    Default in default,
    /// Subject, object, relation.
    SubjectObjectRelation in sor,
    /// Object, subject, relation.
    ObjectSubjectRelation in osr,
    /// Relation, subject, object.
    RelationSubjectObject in rso,
    /// Subject, relation, object, each among copies of a filler.
    Repeats in repeats,
    /// Subject, relation, object, each after random fillers.
    Nonsense in nonsense,
    /// Relation, subject, object, each after random fillers.
    NonsenseRelationFirst in nonsense_rso,
    /// A question and its answer.
    Question in question,
    /// A statement without an answer.
    Refusal in refusal,
    /// A question without an answer.
    QuestionRefusal in question_refusal,
}

/// A wording of its own has so many fillers; a template with more would take those of the next.
const _: () = {
    let mut at = 0;
    while at < Template::ALL.len() {
        let parts = Template::ALL[at].description().parts;
        let (mut fillers, mut part) = (0, 0);
        while part < parts.len() {
            fillers += matches!(parts[part], Part::Filler(_) | Part::Repeated { .. }) as u32;
            part += 1;
        }
        assert!(
            fillers <= WORDING_FILLERS,
            "more fillers than a wording has"
        );
        at += 1;
    }
};

impl Template {
    /// Its name, as specs and tables have it.
    pub fn name(self) -> &'static str {
        self.description().name
    }

    /// The template of a name.
    pub fn from_name(name: &str) -> Result<Template> {
        let names = || Template::ALL.iter().map(|template| template.name());
        Template::ALL
            .iter()
            .copied()
            .find(|template| template.name() == name)
            .ok_or_else(|| {
                let allowed: Vec<&str> = names().collect();
                Error::argument("templates", format!("'{name}'"), allowed.join(", "))
                    .near(name, names())
            })
    }

    /// What kind of sentence it makes.
    pub fn family(self) -> Family {
        if self.asks() == Asks::Refusal {
            Family::Refusal
        } else if self.is_question() {
            Family::Question
        } else {
            Family::Statement
        }
    }

    /// Whether it asks before it answers.
    pub fn is_question(self) -> bool {
        self.place_of(Piece::Token(marker::QUESTION)).is_some()
    }

    /// What the end of its sentences answers.
    pub fn asks(self) -> Asks {
        let Some(object) = self.place_of(Piece::Object) else {
            return Asks::Refusal;
        };
        let before = |piece| self.place_of(piece).is_some_and(|place| place < object);
        if before(Piece::Subject) && before(Piece::Relation) {
            Asks::Object
        } else {
            Asks::Nothing
        }
    }

    /// Whether a filler may stand between the object and the period.
    pub fn filler_follows(self) -> bool {
        matches!(self.parts().last(), Some(Part::Repeated { .. }))
    }

    /// Whether its sentences have random fillers, which are a vocabulary of their own.
    pub fn has_random_fillers(self) -> bool {
        self.parts().iter().any(|part| matches!(part, Part::Random))
    }

    /// Where the share of sentences in another word order goes, in equal parts.
    pub fn inverted(self) -> &'static [Template] {
        self.description().inverted
    }

    pub(super) fn parts(self) -> &'static [Part] {
        self.description().parts
    }

    /// The names of its fillers.
    pub(crate) fn fillers(self) -> impl Iterator<Item = &'static str> {
        self.parts().iter().filter_map(|part| match part {
            Part::Filler(name) => Some(*name),
            Part::Repeated { filler, .. } => Some(*filler),
            Part::Group(_) | Part::Random => None,
        })
    }

    /// The place of a piece among its parts.
    fn place_of(self, piece: Piece) -> Option<usize> {
        self.parts().iter().position(|part| match part {
            Part::Group(group) | Part::Repeated { group, .. } => group.contains(&piece),
            Part::Filler(_) | Part::Random => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_about_templates_follow_from_their_parts() {
        use {Asks::*, Family::*};
        let known = [
            ("default", Statement, Object, false, false),
            ("sor", Statement, Nothing, false, false),
            ("osr", Statement, Nothing, false, false),
            ("rso", Statement, Object, false, false),
            ("repeats", Statement, Object, false, true),
            ("nonsense", Statement, Object, false, false),
            ("nonsense_rso", Statement, Object, false, false),
            ("question", Question, Object, true, false),
            ("refusal", Family::Refusal, Asks::Refusal, false, false),
            (
                "question_refusal",
                Family::Refusal,
                Asks::Refusal,
                true,
                false,
            ),
        ];
        assert_eq!(known.len(), Template::ALL.len());
        for (template, (name, family, asks, question, follows)) in Template::ALL.iter().zip(known) {
            assert_eq!(template.name(), name);
            assert_eq!(Template::from_name(name).unwrap(), *template);
            assert_eq!(template.family(), family, "{name}");
            assert_eq!(template.asks(), asks, "{name}");
            assert_eq!(template.is_question(), question, "{name}");
            assert_eq!(template.filler_follows(), follows, "{name}");
        }
    }

    #[test]
    fn a_name_that_is_none_is_answered_with_its_neighbour() {
        let error = Template::from_name("repeat").unwrap_err().to_string();
        assert!(error.ends_with("(did you mean repeats?)"), "{error}");
    }
}

//! Templates: the forms of sentences about facts.
//!
//! A template is one file: its name, its parts in order, and the templates that its inverted share
//! is written in. It has one row in the table below. Its other properties (its family, what it
//! asks, whether a filler may follow the answer) follow from its parts, so no code depends on the
//! names of templates. To add one, write its file, modelled on `default.rs`, and its `mod` line and
//! row here.

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

use super::pieces::{Part, Piece};
use crate::error::{Error, Result};
use crate::vocabulary::{WORDING_FILLERS, marker};

/// The definition of a template.
pub(super) struct Description {
    /// Name in specs.
    name: &'static str,
    /// The sentence, without the period.
    parts: &'static [Part],
    /// Templates that the inverted share is written in, in equal parts.
    inverted: &'static [Template],
}

/// The kind of sentence of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Family {
    /// A statement of a fact.
    Statement,
    /// A question with its answer.
    Question,
    /// A sentence whose answer is a refusal.
    Refusal,
}

impl Family {
    /// Returns its name, as used in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Family::Statement => "statement",
            Family::Question => "question",
            Family::Refusal => "refusal",
        }
    }
}

/// What the end of a sentence answers, after its subject and relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Asks {
    /// The object, which a prompt can ask for.
    Object,
    /// A refusal to answer.
    Refusal,
    /// Nothing: the object comes before the subject or the relation.
    Nothing,
}

impl Asks {
    /// Returns its name, as used in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Asks::Object => "object",
            Asks::Refusal => "refusal",
            Asks::Nothing => "nothing",
        }
    }
}

/// Defines [`Template`] and its dispatch from the table of templates.
macro_rules! templates {
    ($($(#[$doc:meta])* $Template:ident in $file:ident,)*) => {
        /// A form of sentences about facts.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Template {
            $($(#[$doc])* $Template,)*
        }

        impl Template {
            /// All templates, in order.
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
    /// Subject, relation, object, each surrounded by copies of a filler.
    Repeats in repeats,
    /// Subject, relation, object, each after random fillers.
    Nonsense in nonsense,
    /// Relation, subject, object, each after random fillers.
    NonsenseRelationFirst in nonsense_rso,
    /// A question and its answer.
    Question in question,
    /// A statement with a refusal instead of the object.
    Refusal in refusal,
    /// A question with a refusal instead of the answer.
    QuestionRefusal in question_refusal,
}

/// Checks that no template has more fillers than a wording: it would use those of the next wording.
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
    /// Returns its name, as used in specs and tables.
    pub fn name(self) -> &'static str {
        self.description().name
    }

    /// Returns the template with a name.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] if there is no such template.
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

    /// Returns the kind of sentence.
    pub fn family(self) -> Family {
        if self.asks() == Asks::Refusal {
            Family::Refusal
        } else if self.is_question() {
            Family::Question
        } else {
            Family::Statement
        }
    }

    /// Returns `true` if it is a question with an answer or a refusal.
    pub fn is_question(self) -> bool {
        self.place_of(Piece::Token(marker::QUESTION)).is_some()
    }

    /// Returns what the end of its sentences answers.
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

    /// Returns `true` if a filler may be between the object and the period.
    pub fn filler_follows(self) -> bool {
        matches!(self.parts().last(), Some(Part::Repeated { .. }))
    }

    /// Returns `true` if its sentences have random fillers, which have a separate vocabulary.
    pub fn has_random_fillers(self) -> bool {
        self.parts().iter().any(|part| matches!(part, Part::Random))
    }

    /// Returns the templates that its inverted share is written in, in equal parts.
    pub fn inverted(self) -> &'static [Template] {
        self.description().inverted
    }

    pub(super) fn parts(self) -> &'static [Part] {
        self.description().parts
    }

    /// Returns the names of its fillers.
    pub(crate) fn fillers(self) -> impl Iterator<Item = &'static str> {
        self.parts().iter().filter_map(|part| match part {
            Part::Filler(name) => Some(*name),
            Part::Repeated { filler, .. } => Some(*filler),
            Part::Group(_) | Part::Random => None,
        })
    }

    /// Returns the position of a piece among its parts.
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
        assert!(
            error.contains("got 'repeat' (did you mean repeats?), allowed: "),
            "{error}"
        );
    }
}

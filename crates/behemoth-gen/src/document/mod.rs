//! Documents: the unit of order, and where each stands.
//!
//! A kind of document is one file: how many there are, which sentences each holds, and where a
//! sentence stands. It has one row in the table below; nothing else in the crate tells kinds apart.
//! To add one, write its file after the pattern of `bios.rs`, and its `mod` line and row here.

mod bios;
mod shuffle;
mod spec;

use serde::Serialize;

use self::bios::Bios;
use self::shuffle::Shuffle;
use crate::error::Result;
use crate::exposure::Exposures;
use crate::schedule::{ScheduleSpec, Seeds, Timeline};

pub use self::spec::{DocumentSpec, Naming, QuestionPlace, SentenceOrder};

/// The facts of a world, by whose documents they may stand in.
pub(crate) trait Facts {
    /// Whose facts may share a document: the subjects, and after them one for each link fact.
    fn entities(&self) -> u64;

    /// How many of them are subjects.
    fn subjects(&self) -> u64;

    /// The entity that a fact belongs to.
    fn entity_of(&self, fact: u64) -> u64;

    /// The facts of an entity.
    fn facts_of_entity(&self, entity: u64) -> std::ops::Range<u64>;

    /// Most facts that an entity has.
    fn most_facts_of_entity(&self) -> u64;

    /// Whether all entities have equally many facts.
    fn is_even(&self) -> bool;
}

/// What documents are made of.
pub(crate) struct Settings {
    /// Decides the order.
    pub order_seed: u64,
    /// Decides what does not change with the order.
    pub world_seed: u64,
    /// Over how many documents a subject's sentences are spread, if that was said.
    pub documents_per_subject: Option<u64>,
    /// What is asked of documents that hold several sentences.
    pub documents: DocumentSpec,
    /// Where copies stand.
    pub schedule: ScheduleSpec,
    /// Documents that say no fact and stand among the others.
    pub others: u64,
    /// Whether sentences stand inside those, and are no documents.
    pub inserts: bool,
    /// Whether link facts are written at all, if the spec says how often.
    pub writes_links: bool,
}

impl Settings {
    fn seeds(&self) -> Seeds {
        Seeds {
            order: self.order_seed,
            world: self.world_seed,
        }
    }
}

/// A sentence of a document: the fact, which of its copies, and of how many.
pub(crate) type Place = (u64, u64, u64);

/// Which of the sentences that could stand in a document do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// All, wherever questions fall.
    All,
    /// Statements first, then questions.
    QuestionsLast,
    Statements,
    Questions,
}

/// What a kind of document says of itself.
pub(crate) trait Kind: Sized {
    /// The documents of a corpus.
    fn new(settings: &Settings, facts: &impl Facts, exposures: &Exposures) -> Result<Self>;

    /// Where documents stand: the place of a document among all -> what it holds.
    fn order(&self) -> &Timeline;

    /// Number of documents.
    fn len(&self) -> u64 {
        self.order().len()
    }

    /// Number of documents that say facts; from here on the order numbers others.
    fn own(&self) -> u64;

    /// Places of the order that a document takes.
    fn width(&self) -> u64 {
        1
    }

    /// Number of places of the order.
    fn places(&self) -> u64 {
        self.order().len()
    }

    /// What the order has at the places from `start` on, where a document begins.
    #[inline(always)]
    fn slots(&self, start: u64, out: &mut [u64]) {
        self.order().apply_range(start, out);
    }

    /// Of a document that says no fact: its number among such.
    #[inline(always)]
    fn other(&self, document: u64) -> Option<u64> {
        self.order().apply(document).checked_sub(self.own())
    }

    /// The place of a document that says no fact, by its number among such.
    fn place_of_other(&self, number: u64) -> u64 {
        self.order().invert(self.own() + number)
    }

    /// Which of its sentences a document holds, by what the order has at its first place.
    fn holds(&self, _slot: u64) -> Holds {
        Holds::All
    }

    /// The entity that a place of the order is about.
    fn entity(&self, slot: u64) -> Option<u64>;

    /// The number of a copy by which its wording is drawn: copies with one number read alike.
    fn rendering(&self, _fact: u64, copy: u64) -> u64 {
        copy
    }

    /// Whether document and sentence are one: then what a document holds is a sentence number.
    const IS_SENTENCE: bool = false;

    /// Over how many documents a subject's sentences are spread.
    fn spread(&self) -> u64;

    /// Most sentences of a document.
    fn most_sentences(&self, facts: &impl Facts, exposures: &Exposures) -> u64;

    /// Sentences of every document, where that is one number.
    fn even_sentences(&self, facts: &impl Facts, exposures: &Exposures) -> Option<u64>;

    /// The sentences of a document by what the order has at its places, fact by fact, and which
    /// of them is written first, second and so on.
    fn sentences(
        &self,
        slots: &[u64],
        facts: &impl Facts,
        exposures: &Exposures,
        sentences: &mut Vec<Place>,
        order: &mut Vec<u32>,
    );

    /// The document of a copy of a fact, whose sentence number is given as well.
    fn document_of(&self, place: &Copy, facts: &impl Facts) -> u64;
}

/// A copy of a fact whose document is looked for.
pub(crate) struct Copy {
    pub fact: u64,
    pub copy: u64,
    /// Its number among all sentences.
    pub number: u64,
    pub is_question: bool,
}

/// From the table of kinds: what users write, and who answers for whom.
macro_rules! kinds {
    ($($(#[$doc:meta])* $Kind:ident = $name:literal,)*) => {
        /// What a document is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
        #[serde(rename_all = "lowercase")]
        #[non_exhaustive]
        pub enum Order {
            $($(#[$doc])* $Kind,)*
        }

        impl Order {
            /// The names of the kinds.
            pub(crate) const NAMES: &[(&str, Order)] = &[$(($name, Order::$Kind),)*];
        }

        /// The documents of a corpus.
        #[derive(Clone, Debug)]
        pub(crate) enum Documents {
            $($Kind($Kind),)*
        }

        impl Documents {
            pub(crate) fn new(
                order: Order,
                settings: &Settings,
                facts: &impl Facts,
                exposures: &Exposures,
            ) -> Result<Self> {
                Ok(match order {
                    $(Order::$Kind => Documents::$Kind($Kind::new(settings, facts, exposures)?),)*
                })
            }

            /// The order of sentences, where each is a document.
            #[inline(always)]
            pub(crate) fn of_sentences(&self) -> Option<&Timeline> {
                match self {
                    $(Documents::$Kind(kind) => $Kind::IS_SENTENCE.then(|| kind.order()),)*
                }
            }

            /// Over how many documents a subject's sentences are spread.
            pub(crate) fn spread(&self) -> u64 {
                match self {
                    $(Documents::$Kind(kind) => kind.spread(),)*
                }
            }

            /// Most sentences of a document.
            pub(crate) fn most_sentences(&self, facts: &impl Facts, exposures: &Exposures) -> u64 {
                match self {
                    $(Documents::$Kind(kind) => kind.most_sentences(facts, exposures),)*
                }
            }

            /// Sentences of every document, where that is one number.
            pub(crate) fn even_sentences(
                &self,
                facts: &impl Facts,
                exposures: &Exposures,
            ) -> Option<u64> {
                match self {
                    $(Documents::$Kind(kind) => kind.even_sentences(facts, exposures),)*
                }
            }

            /// Replaces `sentences` by those of a document, fact by fact, and `order` by the order
            /// in which they are written; those that a twin leaves out are included: so it keeps
            /// the order of the rest.
            #[inline]
            pub(crate) fn sentences(
                &self,
                slots: &[u64],
                facts: &impl Facts,
                exposures: &Exposures,
                sentences: &mut Vec<Place>,
                order: &mut Vec<u32>,
            ) {
                sentences.clear();
                order.clear();
                match self {
                    $(Documents::$Kind(kind) => {
                        kind.sentences(slots, facts, exposures, sentences, order);
                    })*
                }
            }

            /// Places of the order that a document takes.
            pub(crate) fn width(&self) -> u64 {
                match self {
                    $(Documents::$Kind(kind) => kind.width(),)*
                }
            }

            /// What the order has at some places.
            #[inline]
            pub(crate) fn slots(&self, start: u64, out: &mut [u64]) {
                match self {
                    $(Documents::$Kind(kind) => kind.slots(start, out),)*
                }
            }

            /// Number of places of the order.
            pub(crate) fn places(&self) -> u64 {
                match self {
                    $(Documents::$Kind(kind) => kind.places(),)*
                }
            }

            /// The entity that a place of the order is about.
            #[inline]
            pub(crate) fn entity(&self, slot: u64) -> Option<u64> {
                match self {
                    $(Documents::$Kind(kind) => kind.entity(slot),)*
                }
            }

            /// The document of a copy of a fact.
            pub(crate) fn document_of(&self, place: &Copy, facts: &impl Facts) -> u64 {
                match self {
                    $(Documents::$Kind(kind) => kind.document_of(place, facts),)*
                }
            }

            /// Number of documents, those without tokens included.
            pub(crate) fn len(&self) -> u64 {
                match self {
                    $(Documents::$Kind(kind) => kind.len(),)*
                }
            }

            /// Of a document that says no fact: its number among such.
            #[inline]
            pub(crate) fn other(&self, document: u64) -> Option<u64> {
                match self {
                    $(Documents::$Kind(kind) => kind.other(document),)*
                }
            }

            /// The place of a document that says no fact, by its number among such.
            pub(crate) fn place_of_other(&self, number: u64) -> u64 {
                match self {
                    $(Documents::$Kind(kind) => kind.place_of_other(number),)*
                }
            }

            /// Number of documents that say facts.
            #[inline(always)]
            pub(crate) fn own(&self) -> u64 {
                match self {
                    $(Documents::$Kind(kind) => kind.own(),)*
                }
            }

            /// Which of its sentences a document holds, by what the order has at its first place.
            #[inline]
            pub(crate) fn holds(&self, slot: u64) -> Holds {
                match self {
                    $(Documents::$Kind(kind) => kind.holds(slot),)*
                }
            }

            /// The number of a copy by which its wording is drawn.
            #[inline(always)]
            pub(crate) fn rendering(&self, fact: u64, copy: u64) -> u64 {
                match self {
                    $(Documents::$Kind(kind) => kind.rendering(fact, copy),)*
                }
            }
        }
    };
}

kinds! {
    /// Every sentence is a document, all documents shuffled.
    Shuffle = "shuffle",
    /// A document holds sentences of one subject, all documents shuffled.
    Bios = "bios",
}

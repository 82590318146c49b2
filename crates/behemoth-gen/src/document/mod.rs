//! Documents: the unit of order, and their positions.
//!
//! A kind of document is one file: the number of documents, the sentences of each, and the document
//! of each sentence. It has one row in the table below; no other code in the crate distinguishes
//! kinds. To add one, write its file, modelled on `bios.rs`, and its `mod` line and row here.

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

/// The facts of a world, grouped by entity; facts of one entity may share a document.
pub(crate) trait Facts {
    /// Returns the number of entities: the subjects, followed by one for each link fact.
    fn entities(&self) -> u64;

    /// Returns the number of entities that are subjects.
    fn subjects(&self) -> u64;

    /// Returns the entity of a fact.
    fn entity_of(&self, fact: u64) -> u64;

    /// Returns the facts of an entity.
    fn facts_of_entity(&self, entity: u64) -> std::ops::Range<u64>;

    /// Returns the maximum number of facts of an entity.
    fn most_facts_of_entity(&self) -> u64;

    /// Returns `true` if all entities have equally many facts.
    fn is_even(&self) -> bool;
}

/// The inputs of documents.
pub(crate) struct Settings {
    /// Seed of the order.
    pub order_seed: u64,
    /// Seed of everything that does not change with the order.
    pub world_seed: u64,
    /// Number of documents over which a subject's sentences are spread, if set.
    pub documents_per_subject: Option<u64>,
    /// Settings of documents of several sentences.
    pub documents: DocumentSpec,
    /// Positions of copies.
    pub schedule: ScheduleSpec,
    /// Number of documents without facts, mixed with the others.
    pub others: u64,
    /// Whether sentences are inserted into documents without facts instead of having documents.
    pub inserts: bool,
    /// Whether link facts may be written.
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

/// A sentence of a document: the fact, the number of the copy, and the exposures of the fact.
pub(crate) type Place = (u64, u64, u64);

/// The selection of the sentences of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// All, with questions at any position.
    All,
    /// Statements first, then questions.
    QuestionsLast,
    Statements,
    Questions,
}

/// A kind of document.
pub(crate) trait Kind: Sized {
    /// Creates the documents of a corpus.
    fn new(settings: &Settings, facts: &impl Facts, exposures: &Exposures) -> Result<Self>;

    /// Returns the order, which maps the position of a document to its slot.
    fn order(&self) -> &Timeline;

    /// Returns the number of documents.
    fn len(&self) -> u64 {
        self.order().len()
    }

    /// Returns the number of slots of documents with facts; the order numbers documents without
    /// facts after them.
    fn own(&self) -> u64;

    /// Returns the number of positions of the order that form a document.
    fn width(&self) -> u64 {
        1
    }

    /// Returns the number of positions of the order.
    fn places(&self) -> u64 {
        self.order().len()
    }

    /// Writes the slots of the order to `out`, starting at position `start`, where a document
    /// begins.
    #[inline(always)]
    fn slots(&self, start: u64, out: &mut [u64]) {
        self.order().apply_range(start, out);
    }

    /// Returns the number of a document among those without facts, or `None` if it is one of facts.
    #[inline(always)]
    fn other(&self, document: u64) -> Option<u64> {
        self.order().apply(document).checked_sub(self.own())
    }

    /// Returns the document that has a number among those without facts.
    fn place_of_other(&self, number: u64) -> u64 {
        self.order().invert(self.own() + number)
    }

    /// Returns the selection of the sentences of a document, given its first slot.
    fn holds(&self, _slot: u64) -> Holds {
        Holds::All
    }

    /// Returns the entity of a slot.
    fn entity(&self, slot: u64) -> Option<u64>;

    /// Returns the number that the wording of a copy is drawn by: copies of a fact with the same
    /// number have the same wording.
    fn rendering(&self, _fact: u64, copy: u64) -> u64 {
        copy
    }

    /// Whether every sentence is a document; the slot of a document is then a sentence number.
    const IS_SENTENCE: bool = false;

    /// Returns the number of documents over which a subject's sentences are spread.
    fn spread(&self) -> u64;

    /// Returns the maximum number of sentences in a document.
    fn most_sentences(&self, facts: &impl Facts, exposures: &Exposures) -> u64;

    /// Returns the number of sentences in every document, or `None` if it varies.
    fn even_sentences(&self, facts: &impl Facts, exposures: &Exposures) -> Option<u64>;

    /// Appends the sentences of a document, given its slots, fact by fact, and the order in which
    /// they are written.
    fn sentences(
        &self,
        slots: &[u64],
        facts: &impl Facts,
        exposures: &Exposures,
        sentences: &mut Vec<Place>,
        order: &mut Vec<u32>,
    );

    /// Returns the document of a copy of a fact.
    fn document_of(&self, place: &Copy, facts: &impl Facts) -> u64;
}

/// A copy of a fact whose document is looked up.
pub(crate) struct Copy {
    pub fact: u64,
    pub copy: u64,
    /// Number among all sentences.
    pub number: u64,
    pub is_question: bool,
}

/// Defines [`Order`], `Documents` and their dispatch from the table of kinds.
macro_rules! kinds {
    ($($(#[$doc:meta])* $Kind:ident = $name:literal,)*) => {
        /// The order of a corpus, which defines what a document is.
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

            /// Returns the order of sentences, if every sentence is a document.
            #[inline(always)]
            pub(crate) fn of_sentences(&self) -> Option<&Timeline> {
                match self {
                    $(Documents::$Kind(kind) => $Kind::IS_SENTENCE.then(|| kind.order()),)*
                }
            }

            /// Returns the number of documents over which a subject's sentences are spread.
            pub(crate) fn spread(&self) -> u64 {
                match self {
                    $(Documents::$Kind(kind) => kind.spread(),)*
                }
            }

            /// Returns the maximum number of sentences in a document.
            pub(crate) fn most_sentences(&self, facts: &impl Facts, exposures: &Exposures) -> u64 {
                match self {
                    $(Documents::$Kind(kind) => kind.most_sentences(facts, exposures),)*
                }
            }

            /// Returns the number of sentences in every document, or `None` if it varies.
            pub(crate) fn even_sentences(
                &self,
                facts: &impl Facts,
                exposures: &Exposures,
            ) -> Option<u64> {
                match self {
                    $(Documents::$Kind(kind) => kind.even_sentences(facts, exposures),)*
                }
            }

            /// Replaces `sentences` with those of a document, fact by fact, and `order` with the
            /// order in which they are written. Those of omitted facts are included, so that a twin
            /// keeps the order of the rest.
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

            /// Returns the number of positions of the order that form a document.
            pub(crate) fn width(&self) -> u64 {
                match self {
                    $(Documents::$Kind(kind) => kind.width(),)*
                }
            }

            /// Writes the slots at consecutive positions of the order to `out`.
            #[inline]
            pub(crate) fn slots(&self, start: u64, out: &mut [u64]) {
                match self {
                    $(Documents::$Kind(kind) => kind.slots(start, out),)*
                }
            }

            /// Returns the number of positions of the order.
            pub(crate) fn places(&self) -> u64 {
                match self {
                    $(Documents::$Kind(kind) => kind.places(),)*
                }
            }

            /// Returns the entity of a slot.
            #[inline]
            pub(crate) fn entity(&self, slot: u64) -> Option<u64> {
                match self {
                    $(Documents::$Kind(kind) => kind.entity(slot),)*
                }
            }

            /// Returns the document of a copy of a fact.
            pub(crate) fn document_of(&self, place: &Copy, facts: &impl Facts) -> u64 {
                match self {
                    $(Documents::$Kind(kind) => kind.document_of(place, facts),)*
                }
            }

            /// Returns the number of documents, those without tokens included.
            pub(crate) fn len(&self) -> u64 {
                match self {
                    $(Documents::$Kind(kind) => kind.len(),)*
                }
            }

            /// Returns the number of a document among those without facts, or `None` if it is one
            /// of facts.
            #[inline]
            pub(crate) fn other(&self, document: u64) -> Option<u64> {
                match self {
                    $(Documents::$Kind(kind) => kind.other(document),)*
                }
            }

            /// Returns the document that has a number among those without facts.
            pub(crate) fn place_of_other(&self, number: u64) -> u64 {
                match self {
                    $(Documents::$Kind(kind) => kind.place_of_other(number),)*
                }
            }

            /// Returns the number of slots of documents with facts.
            #[inline(always)]
            pub(crate) fn own(&self) -> u64 {
                match self {
                    $(Documents::$Kind(kind) => kind.own(),)*
                }
            }

            /// Returns the selection of the sentences of a document, given its first slot.
            #[inline]
            pub(crate) fn holds(&self, slot: u64) -> Holds {
                match self {
                    $(Documents::$Kind(kind) => kind.holds(slot),)*
                }
            }

            /// Returns the number that the wording of a copy is drawn by.
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
    /// Every sentence is a document; all documents are shuffled.
    Shuffle = "shuffle",
    /// A document contains sentences of one subject, or of several; all documents are shuffled.
    Bios = "bios",
}

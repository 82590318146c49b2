//! Fact ids: conversion between fact and (subject, relation).

use std::ops::Range;

use super::World;
use crate::document::Facts;

/// A fact, as ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fact {
    /// The subject; for a link fact, an object of the relation that the link is about.
    pub subject: u64,
    /// The relation; link relations follow those of the subjects.
    pub relation: u32,
    /// The object, numbered within its relation.
    pub object: u32,
    /// The second object, if the fact has one.
    pub minority: Option<u32>,
}

/// A link relation: object -> nested object.
#[derive(Clone, Debug)]
pub struct Link {
    /// The composed relation that it belongs to.
    pub composed: u32,
    /// The relation whose objects are its subjects.
    pub of: u32,
    pub(super) first_fact: u64,
    facts: u64,
    /// The objects that have a link, if a table does not contain the links of all objects.
    known: Option<Vec<u32>>,
}

impl Link {
    /// Creates the link relation of a composed relation; `known` are the objects whose link a table
    /// contains.
    pub(super) fn new(
        composed: usize,
        of: usize,
        first_fact: u64,
        known: Option<Vec<u32>>,
        objects: u64,
    ) -> Self {
        Link {
            composed: composed as u32,
            of: of as u32,
            first_fact,
            facts: known.as_ref().map_or(objects, |known| known.len() as u64),
            known,
        }
    }

    /// Returns the number of its facts.
    pub(super) fn facts(&self) -> u64 {
        self.facts
    }

    /// Returns the object that a fact of this relation is about.
    pub(super) fn object(&self, fact: u64) -> u64 {
        let place = fact - self.first_fact;
        match &self.known {
            None => place,
            Some(known) => u64::from(known[place as usize]),
        }
    }

    /// Returns the fact about an object.
    pub(super) fn fact(&self, object: u64) -> Option<u64> {
        let place = match &self.known {
            None => (object < self.facts).then_some(object),
            Some(known) => known
                .binary_search_by_key(&object, |&o| u64::from(o))
                .ok()
                .map(|at| at as u64),
        };
        place.map(|place| self.first_fact + place)
    }
}

/// A table in which not every subject has every relation.
#[derive(Debug)]
pub(super) struct Sparse {
    /// `subject * relations + relation` of each fact, in ascending order.
    pub(super) dense: Vec<u64>,
}

impl World {
    /// Returns the subject and the relation of a fact; the fact must exist.
    #[inline(always)]
    pub(crate) fn subject_relation(&self, fact: u64) -> (u64, u32) {
        debug_assert!(fact < self.shared.facts);
        if fact >= self.shared.subject_facts {
            return self.link_subject_relation(fact);
        }
        let dense = match &self.shared.sparse {
            None => fact,
            Some(sparse) => sparse.dense[fact as usize],
        };
        let (subject, relation) = self.shared.by_relations.divide(dense);
        (subject, relation as u32)
    }

    #[cold]
    fn link_subject_relation(&self, fact: u64) -> (u64, u32) {
        let links = &self.shared.links;
        let at = links.partition_point(|link| link.first_fact <= fact) - 1;
        (
            links[at].object(fact),
            (self.shared.draws.len() + at) as u32,
        )
    }

    /// Returns the id of the fact of a subject in a relation (in a link relation, of an object), or
    /// `None` if there is no such fact.
    pub fn fact_id(&self, subject: u64, relation: u32) -> Option<u64> {
        if let Some(link) = self.link(relation) {
            return link.fact(subject);
        }
        let relations = self.shared.draws.len() as u64;
        if subject >= self.subjects() || u64::from(relation) >= relations {
            return None;
        }
        let dense = subject * relations + u64::from(relation);
        match &self.shared.sparse {
            None => Some(dense),
            Some(sparse) => sparse.dense.binary_search(&dense).ok().map(|f| f as u64),
        }
    }
}

impl Facts for World {
    fn entities(&self) -> u64 {
        self.subjects() + (self.facts() - self.subject_facts())
    }

    fn subjects(&self) -> u64 {
        World::subjects(self)
    }

    fn entity_of(&self, fact: u64) -> u64 {
        if fact >= self.subject_facts() {
            self.subjects() + (fact - self.subject_facts())
        } else {
            self.subject_relation(fact).0
        }
    }

    fn facts_of_entity(&self, entity: u64) -> Range<u64> {
        if entity >= self.subjects() {
            let fact = self.subject_facts() + (entity - self.subjects());
            return fact..fact + 1;
        }
        let relations = self.shared.draws.len() as u64;
        let dense = entity * relations..(entity + 1) * relations;
        match &self.shared.sparse {
            None => dense,
            Some(sparse) => {
                let at = |limit: u64| sparse.dense.partition_point(|&f| f < limit) as u64;
                at(dense.start)..at(dense.end)
            }
        }
    }

    fn most_facts_of_entity(&self) -> u64 {
        u64::from(self.relations())
    }

    fn is_even(&self) -> bool {
        self.links().is_empty() && self.is_complete()
    }
}

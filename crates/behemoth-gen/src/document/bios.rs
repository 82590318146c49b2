//! Bios: a document holds sentences of one subject.
//!
//! Copy c of a fact goes to document (c + offset) mod `spread` of its subject. Copies of a link
//! fact go to documents of their own.

use super::{Facts, Kind, Place, Settings};
use crate::error::Result;
use crate::exposure::Exposures;
use crate::hash::{Divider, Key, multiply_high};
use crate::numbers::{positive, product};
use crate::permutation::Permutation;

#[derive(Clone, Debug)]
pub(crate) struct Bios {
    /// Of slots `part * entities + entity`.
    order: Permutation,
    /// Subjects, and after them the objects that links are about.
    entities: u64,
    by_entities: Divider,
    /// Documents of each entity.
    spread: u64,
    shuffle: Key,
    copy_offset: Key,
}

impl Bios {
    /// The document of a fact's copy 0, so that facts with a copy more do not all have it in
    /// the same document.
    fn offset(&self, fact: u64) -> u64 {
        multiply_high(self.copy_offset.hash(fact), self.spread)
    }
}

impl Kind for Bios {
    fn new(settings: &Settings, facts: &impl Facts, exposures: &Exposures) -> Result<Self> {
        let entities = facts.entities();
        let spread = settings
            .documents_per_subject
            .unwrap_or_else(|| exposures.fewest());
        positive("documents_per_subject", spread)?;
        let slots = product("documents_per_subject", entities, spread)?;
        Ok(Bios {
            order: Permutation::new(slots, settings.order_seed, "order", 1),
            entities,
            by_entities: Divider::new(entities),
            spread,
            shuffle: Key::new(settings.order_seed, "order-in-document", 0),
            copy_offset: Key::new(settings.world_seed, "document-of-copy", 0),
        })
    }

    fn order(&self) -> &Permutation {
        &self.order
    }

    fn spread(&self) -> u64 {
        self.spread
    }

    fn most_sentences(&self, facts: &impl Facts, exposures: &Exposures) -> u64 {
        let copies = exposures.most().div_ceil(self.spread);
        facts.most_facts_of_entity().saturating_mul(copies)
    }

    fn even_sentences(&self, facts: &impl Facts, exposures: &Exposures) -> Option<u64> {
        let most = exposures.most();
        let is_even = exposures.fewest() == most
            && exposures.classes().iter().all(|c| c.exposures > 0)
            && most.is_multiple_of(self.spread)
            && facts.is_even();
        is_even.then(|| facts.most_facts_of_entity() * most / self.spread)
    }

    fn sentences(
        &self,
        document: u64,
        facts: &impl Facts,
        exposures: &Exposures,
        sentences: &mut Vec<Place>,
    ) {
        let slot = self.order.apply(document);
        let (part, entity) = self.by_entities.divide(slot);
        for fact in facts.facts_of_entity(entity) {
            let of = exposures.of_existing(fact);
            let offset = self.offset(fact);
            let mut copy = (part + self.spread - offset) % self.spread;
            while copy < of {
                sentences.push((fact, copy, of));
                copy += self.spread;
            }
        }
        for i in (1..sentences.len()).rev() {
            let j = multiply_high(self.shuffle.hash_pair(slot, i as u64), i as u64 + 1);
            sentences.swap(i, j as usize);
        }
    }

    fn document_of(&self, fact: u64, copy: u64, _: u64, facts: &impl Facts) -> u64 {
        let part = (copy + self.offset(fact)) % self.spread;
        self.order
            .invert(part * self.entities + facts.entity_of(fact))
    }
}

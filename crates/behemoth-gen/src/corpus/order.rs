//! Where documents stand, and which sentences they hold.

use super::Corpus;
use crate::error::{Error, Result};
use crate::exposure::Exposures;
use crate::hash::{Divider, Key, multiply_high};
use crate::permutation::Permutation;
use crate::spec::{CorpusSpec, Order, product};
use crate::world::World;

/// Where documents stand.
#[derive(Clone, Debug)]
pub(super) struct Documents {
    pub(super) order: Permutation,
    pub(super) bios: Option<Bios>,
}

#[derive(Clone, Debug)]
pub(super) struct Bios {
    /// Subjects, and after them the objects that links are about.
    pub(super) entities: u64,
    pub(super) by_entities: Divider,
    /// Documents of each entity.
    pub(super) spread: u64,
    pub(super) shuffle: Key,
    copy_offset: Key,
}

impl Documents {
    pub(super) fn new(spec: &CorpusSpec, world: &World, exposures: &Exposures) -> Result<Self> {
        let seed = spec.order_seed.unwrap_or(world.seed());
        match spec.order {
            Order::Shuffle => {
                if let Some(documents) = spec.documents_per_subject {
                    return Err(Error::argument(
                        "documents_per_subject",
                        documents,
                        "none in order 'shuffle', where every sentence is a document",
                    ));
                }
                Ok(Documents {
                    order: Permutation::new(exposures.sentences(), seed, "order", 0),
                    bios: None,
                })
            }
            Order::Bios => {
                let entities = world.entities();
                let spread = spec
                    .documents_per_subject
                    .unwrap_or_else(|| exposures.fewest());
                let slots = product("documents_per_subject", entities, spread)?;
                Ok(Documents {
                    order: Permutation::new(slots, seed, "order", 1),
                    bios: Some(Bios {
                        entities,
                        by_entities: Divider::new(entities),
                        spread,
                        shuffle: Key::new(seed, "order-in-document", 0),
                        copy_offset: Key::new(world.seed(), "document-of-copy", 0),
                    }),
                })
            }
        }
    }
}

impl Bios {
    /// The document of a fact's copy 0, so that facts with a copy more do not all have it in
    /// the same document.
    pub(super) fn offset(&self, fact: u64) -> u64 {
        multiply_high(self.copy_offset.hash(fact), self.spread)
    }
}

impl Corpus {
    /// The sentences (fact, copy, exposures) of a document in `bios` order, in their order,
    /// those that are left out included: so a twin keeps the order of the rest.
    pub(super) fn document_sentences(&self, document: u64, sentences: &mut Vec<(u64, u64, u64)>) {
        let bios = self.layout.bios.as_ref().expect("bios order");
        sentences.clear();
        let slot = self.layout.order.apply(document);
        let (part, entity) = bios.by_entities.divide(slot);
        for fact in self.world.facts_of_entity(entity) {
            let exposures = self.exposures.of(fact);
            let offset = bios.offset(fact);
            let mut copy = (part + bios.spread - offset) % bios.spread;
            while copy < exposures {
                sentences.push((fact, copy, exposures));
                copy += bios.spread;
            }
        }
        for i in (1..sentences.len()).rev() {
            let j = multiply_high(bios.shuffle.hash_pair(slot, i as u64), i as u64 + 1);
            sentences.swap(i, j as usize);
        }
    }
}

//! Order `bios`: a document contains sentences of one subject, or of several with `subjects`.
//!
//! Copy c of a fact is in document (c + offset) mod `spread` of its subject. Copies of a link fact
//! are in separate documents, and questions may be too.

use super::{
    Copy, DocumentSpec, Facts, Holds, Kind, Place, QuestionPlace, SentenceOrder, Settings,
};
use crate::error::{Error, Result};
use crate::exposure::Exposures;
use crate::hash::{Divider, Key, multiply_high};
use crate::numbers::{positive, product};
use crate::permutation::Permutation;
use crate::schedule::{Stratum, Timeline};

#[derive(Clone, Debug)]
pub(crate) struct Bios {
    /// Order of the slots `part * entities + entity`; those of questions are numbered after all
    /// others.
    order: Timeline,
    /// Order of documents of several subjects mixed with documents without facts, which are
    /// numbered after them. If this is `None`, `order` includes the documents without facts.
    among: Option<Permutation>,
    /// Number of subjects and, numbered after them, of objects that links are about.
    entities: u64,
    by_entities: Divider,
    /// Number of documents of each entity.
    spread: u64,
    shuffle: Key,
    copy_offset: Key,
    spec: DocumentSpec,
    /// Number of positions of the order that form a document: the subjects that share one, but at
    /// most all of them, since a document without facts has as many positions.
    width: u64,
}

/// Placeholder for a missing subject in the last document.
const NO_SLOT: u64 = u64::MAX;

impl Bios {
    /// Returns the number of documents formed by the positions of the order.
    fn groups(&self) -> u64 {
        self.order.len().div_ceil(self.width)
    }

    /// Returns the document of a fact's copy 0, which varies so that facts with one copy more do
    /// not all have it in the same document.
    fn offset(&self, fact: u64) -> u64 {
        multiply_high(self.copy_offset.hash(fact), self.spread)
    }

    /// Returns the number of slots of documents with statements.
    fn statement_slots(&self) -> u64 {
        self.spread * self.entities
    }

    /// Appends the sentences of a slot, fact by fact, and their order.
    fn sentences_of_slot(
        &self,
        slot: u64,
        facts: &impl Facts,
        exposures: &Exposures,
        sentences: &mut Vec<Place>,
        order: &mut Vec<u32>,
    ) {
        let first = sentences.len();
        let (part, entity) = self.by_entities.divide(slot);
        // Questions have the part of the statements that they replace.
        let (part, slot) = match slot.checked_sub(self.statement_slots()) {
            Some(slot) => (part - self.spread, slot),
            None => (part, slot),
        };
        exposures.for_each(facts.facts_of_entity(entity), |fact, of| {
            let offset = self.offset(fact);
            // The remainder modulo `spread`, without a division.
            let mut copy = match part.checked_sub(offset) {
                Some(copy) => copy,
                None => part + self.spread - offset,
            };
            while copy < of {
                sentences.push((fact, copy, of));
                copy += self.spread;
            }
        });
        order.extend(first as u32..sentences.len() as u32);
        let order = &mut order[first..];
        if self.spec.sentences == SentenceOrder::Fixed {
            // Every fact once before any fact twice.
            order.sort_by_key(|&at| {
                let (fact, copy, _) = sentences[at as usize];
                (copy / self.spread, fact)
            });
            return;
        }
        let slot = match self.spec.renderings {
            Some(renderings) => part % renderings * self.entities + entity,
            None => slot,
        };
        for i in (1..order.len()).rev() {
            let j = multiply_high(self.shuffle.hash_pair(slot, i as u64), i as u64 + 1);
            order.swap(i, j as usize);
        }
    }
}

impl Kind for Bios {
    fn new(settings: &Settings, facts: &impl Facts, exposures: &Exposures) -> Result<Self> {
        // If subjects share documents, no slots are reserved for links that are never written.
        let entities = if settings.documents.subjects > 1 && !settings.writes_links {
            facts.subjects()
        } else {
            facts.entities()
        };
        let spread = settings
            .documents_per_subject
            .unwrap_or_else(|| exposures.fewest());
        positive("documents_per_subject", spread)?;
        let slots = product("documents_per_subject", entities, spread)?;
        let spec = settings.documents.clone();
        let slots = match spec.questions {
            QuestionPlace::Own => product("documents_per_subject", slots, 2)?,
            _ => slots,
        };
        let shares = settings.others > 0 && spec.subjects > 1;
        if shares && !settings.schedule.is_uniform() {
            let allowed = "1 together with a schedule and a filler or a background";
            let error = Error::argument("subjects", spec.subjects, allowed);
            return Err(error.within("documents"));
        }
        let mut parts = settings.schedule.parts.iter();
        if let Some(part) = parts.find(|part| part.exposures.is_some()) {
            return Err(Error::argument(
                "schedule",
                format!("'{part}'"),
                "no level of exposures in order 'bios', where documents hold facts of all levels",
            ));
        }
        // The documents of a subject are at the positions that a schedule assigns to its copies.
        let stratum = |first| Stratum {
            first,
            facts: entities,
            copies: spread,
            exposures: 0,
        };
        let strata: Vec<Stratum> = (0..slots)
            .step_by((entities * spread).max(1) as usize)
            .map(stratum)
            .collect();
        let order = |others| {
            let seeds = settings.seeds();
            Timeline::new(&strata, others, &settings.schedule, seeds, 1)
        };
        let order = order(if shares { 0 } else { settings.others })?;
        let width = spec.subjects.min(order.len()).max(1);
        let among = match shares {
            false => None,
            true => {
                let all = order.len().div_ceil(width) + settings.others;
                product("subjects", all, width).map_err(|e| e.within("documents"))?;
                let seed = settings.order_seed;
                Some(Permutation::new(all, seed, "documents-among-others", 0))
            }
        };
        Ok(Bios {
            spec,
            width,
            order,
            among,
            entities,
            by_entities: Divider::new(entities),
            spread,
            shuffle: Key::new(settings.order_seed, "order-in-document", 0),
            copy_offset: Key::new(settings.world_seed, "document-of-copy", 0),
        })
    }

    fn order(&self) -> &Timeline {
        &self.order
    }

    fn len(&self) -> u64 {
        match &self.among {
            None => self.groups(),
            Some(among) => among.len(),
        }
    }

    fn own(&self) -> u64 {
        match self.spec.questions {
            QuestionPlace::Own => 2 * self.statement_slots(),
            _ => self.statement_slots(),
        }
    }

    fn width(&self) -> u64 {
        self.width
    }

    fn entity(&self, slot: u64) -> Option<u64> {
        Some(self.by_entities.divide(slot).1)
    }

    fn holds(&self, slot: u64) -> Holds {
        match self.spec.questions {
            QuestionPlace::Mixed => Holds::All,
            QuestionPlace::After => Holds::QuestionsLast,
            // A document of questions has one subject.
            QuestionPlace::Own if slot < self.statement_slots() => Holds::Statements,
            QuestionPlace::Own => Holds::Questions,
        }
    }

    fn rendering(&self, fact: u64, copy: u64) -> u64 {
        let Some(renderings) = self.spec.renderings else {
            return copy;
        };
        let part = (copy + self.offset(fact)) % self.spread;
        // Further copies in one document have other wordings.
        part % renderings + copy / self.spread * renderings
    }

    fn spread(&self) -> u64 {
        self.spread
    }

    fn most_sentences(&self, facts: &impl Facts, exposures: &Exposures) -> u64 {
        let copies = exposures.most().div_ceil(self.spread);
        facts
            .most_facts_of_entity()
            .saturating_mul(copies)
            .saturating_mul(self.width)
    }

    fn even_sentences(&self, facts: &impl Facts, exposures: &Exposures) -> Option<u64> {
        let most = exposures.most();
        let is_even = exposures.fewest() == most
            && exposures.classes().iter().all(|c| c.exposures > 0)
            && most.is_multiple_of(self.spread)
            && facts.is_even()
            && self.spec.questions != QuestionPlace::Own
            && self.among.is_none()
            && self.order.len().is_multiple_of(self.spec.subjects);
        is_even.then(|| facts.most_facts_of_entity() * most / self.spread * self.spec.subjects)
    }

    fn sentences(
        &self,
        slots: &[u64],
        facts: &impl Facts,
        exposures: &Exposures,
        sentences: &mut Vec<Place>,
        order: &mut Vec<u32>,
    ) {
        for &slot in slots.iter().filter(|&&slot| slot != NO_SLOT) {
            self.sentences_of_slot(slot, facts, exposures, sentences, order);
        }
    }

    fn document_of(&self, place: &Copy, facts: &impl Facts) -> u64 {
        let part = (place.copy + self.offset(place.fact)) % self.spread;
        let is_apart = place.is_question && self.spec.questions == QuestionPlace::Own;
        let half = if is_apart { self.statement_slots() } else { 0 };
        let slot = half + part * self.entities + facts.entity_of(place.fact);
        let document = self.order.invert(slot) / self.width;
        match &self.among {
            None => document,
            Some(among) => among.invert(document),
        }
    }

    fn places(&self) -> u64 {
        match &self.among {
            None => self.order.len(),
            Some(among) => among.len() * self.width,
        }
    }

    fn slots(&self, start: u64, out: &mut [u64]) {
        let Some(among) = &self.among else {
            return self.order.apply_range(start, out);
        };
        let width = self.width;
        for (document, out) in (start / width..).zip(out.chunks_mut(width as usize)) {
            let number = among.apply(document);
            match number.checked_sub(self.groups()) {
                Some(other) => out.fill(self.own() + other),
                None => {
                    let first = number * width;
                    let (own, none) =
                        out.split_at_mut((self.order.len() - first).min(width) as usize);
                    self.order.apply_range(first, own);
                    none.fill(NO_SLOT);
                }
            }
        }
    }

    fn other(&self, document: u64) -> Option<u64> {
        match &self.among {
            None => self.order.apply(document).checked_sub(self.own()),
            Some(among) => among.apply(document).checked_sub(self.groups()),
        }
    }

    fn place_of_other(&self, number: u64) -> u64 {
        match &self.among {
            None => self.order.invert(self.own() + number),
            Some(among) => among.invert(self.groups() + number),
        }
    }
}

//! All facts: a pure function of a spec and its seed, or a table.
//!
//! Fact ids are arithmetic. Subject facts come first, `subject * relations + relation` (in a
//! table with missing facts: the place in that order). Then, for each composed relation, the
//! *link* facts object -> nested object, one for each object, under a relation id of their own
//! after those of the subjects.

mod entropy;
mod minority;
mod overrides;
mod table;

use std::sync::Arc;

use self::minority::{Minority, drawn_minority};
use self::overrides::Overrides;
use crate::error::{Error, Result};
use crate::hash::{Divider, multiply_high};
use crate::relation::{Draw, RelationSpec, correlated_object};
use crate::spec::{WorldSpec, product};

pub use self::table::Table;

/// One fact, as ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fact {
    /// A subject, or for a link fact an object of the relation that it is about.
    pub subject: u64,
    /// The relation; link relations come after those of the subjects.
    pub relation: u32,
    /// The object, within its relation.
    pub object: u32,
    /// The second object, of facts that have one.
    pub minority: Option<u32>,
}

/// A link relation: object -> nested object.
#[derive(Clone, Debug)]
pub struct Link {
    /// The composed relation that it belongs to.
    pub composed: u32,
    /// The relation whose objects are its subjects.
    pub of: u32,
    first_fact: u64,
    facts: u64,
    /// The objects that have a link, where a table does not tell it of all.
    known: Option<Vec<u32>>,
}

impl Link {
    /// The object that a fact of this relation is about.
    fn object(&self, fact: u64) -> u64 {
        let place = fact - self.first_fact;
        match &self.known {
            None => place,
            Some(known) => u64::from(known[place as usize]),
        }
    }

    /// The fact about an object.
    fn fact(&self, object: u64) -> Option<u64> {
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

/// A world, ready to be asked.
#[derive(Clone, Debug)]
pub struct World {
    shared: Arc<Shared>,
    overrides: Option<Arc<Overrides>>,
}

#[derive(Debug)]
struct Shared {
    spec: WorldSpec,
    draws: Vec<Draw>,
    objects: Vec<u64>,
    links: Vec<Link>,
    by_relations: Divider,
    subject_facts: u64,
    facts: u64,
    minority: Option<Minority>,
    sparse: Option<Sparse>,
}

/// A table in which not every subject has every relation.
#[derive(Debug)]
struct Sparse {
    /// `subject * relations + relation` of each fact, ascending.
    dense: Vec<u64>,
}

impl World {
    /// Builds the world of a spec without a table.
    pub fn new(spec: WorldSpec) -> Result<World> {
        if spec.table.is_some() {
            return Err(Error::argument(
                "table",
                "no rows",
                "the rows that the spec's table names",
            ));
        }
        let list = &spec.relations;
        let mut objects = Vec::with_capacity(list.len());
        for relation in list {
            objects.push(match relation {
                RelationSpec::Independent { objects, .. }
                | RelationSpec::Zipf { objects, .. }
                | RelationSpec::Composed { objects, .. } => *objects,
                RelationSpec::Correlated { with, .. } => objects[*with as usize],
                RelationSpec::OneToOne { objects } => objects.unwrap_or(spec.subjects),
                RelationSpec::Inverse { .. } => spec.subjects,
            });
        }
        let draws: Vec<Draw> = (0..list.len())
            .map(|r| Draw::new(spec.seed, r, list, &objects))
            .collect();
        let minority = drawn_minority(&spec, &draws, &objects)?;
        World::assemble(spec, draws, objects, minority, None)
    }

    fn assemble(
        spec: WorldSpec,
        draws: Vec<Draw>,
        objects: Vec<u64>,
        minority: Option<Minority>,
        sparse: Option<Sparse>,
    ) -> Result<World> {
        let relations = draws.len() as u64;
        let dense = product("subjects x relations", spec.subjects, relations)?;
        let subject_facts = sparse
            .as_ref()
            .map_or(dense, |sparse| sparse.dense.len() as u64);
        if subject_facts == 0 {
            return Err(Error::argument("table", "no fact", "at least one fact"));
        }
        let mut facts = subject_facts;
        let mut links = Vec::new();
        for (r, draw) in draws.iter().enumerate() {
            if let Draw::Composed { of, map } = draw {
                let known = map.known();
                let count = known.as_ref().map_or(objects[*of], |k| k.len() as u64);
                links.push(Link {
                    composed: r as u32,
                    of: *of as u32,
                    first_fact: facts,
                    facts: count,
                    known,
                });
                facts += count;
            }
        }
        Ok(World {
            shared: Arc::new(Shared {
                by_relations: Divider::new(relations),
                spec,
                draws,
                objects,
                links,
                subject_facts,
                facts,
                minority,
                sparse,
            }),
            overrides: None,
        })
    }

    /// The spec it was built from.
    pub fn spec(&self) -> &WorldSpec {
        &self.shared.spec
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.shared.spec.seed
    }

    /// Number of subjects.
    pub fn subjects(&self) -> u64 {
        self.shared.spec.subjects
    }

    /// Number of relations of a subject, composed ones included.
    pub fn relations(&self) -> u32 {
        self.shared.draws.len() as u32
    }

    /// The link relations; their relation ids follow those of the subjects.
    pub fn links(&self) -> &[Link] {
        &self.shared.links
    }

    /// Number of facts about subjects.
    pub fn subject_facts(&self) -> u64 {
        self.shared.subject_facts
    }

    /// Number of facts, link facts included.
    pub fn facts(&self) -> u64 {
        self.shared.facts
    }

    /// Whether every subject has every relation.
    pub fn is_complete(&self) -> bool {
        self.shared.sparse.is_none()
    }

    /// Whether any fact has a second object.
    pub fn has_minority(&self) -> bool {
        self.shared.minority.is_some()
    }

    /// Whether a relation (of a subject) is composed: its objects are nested objects.
    pub fn is_composed(&self, relation: u32) -> bool {
        matches!(
            self.shared.draws.get(relation as usize),
            Some(Draw::Composed { .. })
        )
    }

    /// Number of objects of a relation; of a link relation, its nested objects.
    pub fn objects_of(&self, relation: u32) -> u64 {
        let relation = self.link(relation).map_or(relation, |link| link.composed);
        self.shared.objects[relation as usize]
    }

    /// The link relation with this relation id, if it is one.
    pub fn link(&self, relation: u32) -> Option<&Link> {
        (relation as usize)
            .checked_sub(self.shared.draws.len())
            .and_then(|at| self.shared.links.get(at))
    }

    /// The object of a subject in a relation, which must exist; overrides included.
    #[inline]
    pub fn object(&self, subject: u64, relation: u32) -> u32 {
        match &self.overrides {
            None => self.drawn_object(subject, relation as usize),
            Some(overrides) => self.overridden_object(overrides, subject, relation),
        }
    }

    /// The object that the spec draws, whatever was overridden.
    #[inline(always)]
    fn drawn_object(&self, subject: u64, relation: usize) -> u32 {
        match &self.shared.draws[relation] {
            Draw::Uniform { key, objects } => multiply_high(key.hash(subject), *objects) as u32,
            other => self.derived_object(other, subject),
        }
    }

    fn derived_object(&self, draw: &Draw, subject: u64) -> u32 {
        match draw {
            Draw::Uniform { key, objects } => multiply_high(key.hash(subject), *objects) as u32,
            Draw::Weighted { key, alias } => alias.draw(key.hash(subject)),
            Draw::Correlated {
                with,
                matches,
                match_key,
                other_key,
                objects,
            } => correlated_object(
                self.drawn_object(subject, *with),
                *matches,
                match_key.hash(subject),
                other_key.hash(subject),
                *objects,
            ),
            Draw::OneToOne(permutation) => permutation.apply(subject) as u32,
            Draw::Inverse(permutation) => permutation.invert(subject) as u32,
            Draw::Composed { of, map } => map.get(self.drawn_object(subject, *of)),
            Draw::Stored { objects } => objects[subject as usize],
        }
    }

    /// Subject and relation of a fact.
    #[inline(always)]
    pub fn subject_relation(&self, fact: u64) -> (u64, u32) {
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

    /// The object of a fact whose subject and relation are known.
    #[inline(always)]
    pub(crate) fn object_of(&self, fact: u64, subject: u64, relation: u32) -> u32 {
        if (relation as usize) < self.shared.draws.len() {
            self.object(subject, relation)
        } else {
            self.link_object(fact, subject, relation)
        }
    }

    #[cold]
    fn link_object(&self, fact: u64, object: u64, relation: u32) -> u32 {
        if let Some(overrides) = &self.overrides
            && let Some(object) = overrides.get(fact)
        {
            return object;
        }
        let link = &self.shared.links[relation as usize - self.shared.draws.len()];
        match &self.shared.draws[link.composed as usize] {
            Draw::Composed { map, .. } => map.get(object as u32),
            _ => unreachable!("a link belongs to a composed relation"),
        }
    }

    /// A fact by its id, which must be below [`World::facts`].
    pub fn fact(&self, fact: u64) -> Fact {
        let (subject, relation) = self.subject_relation(fact);
        Fact {
            subject,
            relation,
            object: self.object_of(fact, subject, relation),
            minority: self
                .minority(fact, subject, relation)
                .map(|(_, object)| object),
        }
    }

    /// The id of the fact of a subject (of a link relation: of an object) in a relation; none if
    /// there is no such fact.
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

    /// Whose facts may share a document: the subjects, and after them one for each link fact.
    pub(crate) fn entities(&self) -> u64 {
        self.subjects() + (self.facts() - self.subject_facts())
    }

    /// The entity that a fact belongs to.
    pub(crate) fn entity_of(&self, fact: u64) -> u64 {
        if fact >= self.subject_facts() {
            self.subjects() + (fact - self.subject_facts())
        } else {
            self.subject_relation(fact).0
        }
    }

    /// The facts of an entity.
    pub(crate) fn facts_of_entity(&self, entity: u64) -> std::ops::Range<u64> {
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

    /// The nested object of each object, for a composed relation; `u32::MAX` for objects of
    /// which a table does not tell it.
    pub fn nested_objects(&self, relation: u32) -> Result<Vec<u32>> {
        let at = self
            .shared
            .links
            .iter()
            .position(|link| link.composed == relation)
            .ok_or_else(|| {
                Error::argument(
                    "relation",
                    relation,
                    "a composed relation; only those have links",
                )
            })?;
        let link = &self.shared.links[at];
        let id = (self.shared.draws.len() + at) as u32;
        Ok((0..self.shared.objects[link.of as usize])
            .map(|object| match link.fact(object) {
                Some(fact) => self.link_object(fact, object, id),
                None => u32::MAX,
            })
            .collect())
    }

    /// Every relation id with its kind and sizes, links included, as JSON.
    pub fn relation_table(&self) -> serde_json::Value {
        let shared = &*self.shared;
        let own = shared.draws.iter().enumerate().map(|(r, draw)| {
            let mut entry = match shared.spec.relations.get(r) {
                Some(spec) => serde_json::to_value(spec).expect("plain data"),
                None => match draw {
                    Draw::Composed { of, .. } => {
                        serde_json::json!({"kind": "composed", "of": of})
                    }
                    _ => serde_json::json!({"kind": "table"}),
                },
            };
            entry["relation"] = r.into();
            entry["objects"] = shared.objects[r].into();
            entry["link"] = false.into();
            entry
        });
        let links = shared.links.iter().enumerate().map(|(at, link)| {
            serde_json::json!({
                "relation": shared.draws.len() + at,
                "kind": "link",
                "of": link.of,
                "composed": link.composed,
                "objects": shared.objects[link.composed as usize],
                "link": true,
            })
        });
        own.chain(links).collect::<Vec<_>>().into()
    }
}

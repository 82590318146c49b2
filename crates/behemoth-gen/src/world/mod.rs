//! All facts: a pure function of a spec and its seed, or a table.
//!
//! Fact ids are arithmetic. Subject facts come first, `subject * relations + relation` (in a
//! table with missing facts: the place in that order). Then, for each composed relation, the
//! *link* facts object -> nested object, one for each object, under a relation id of their own
//! after those of the subjects.

mod describe;
mod entropy;
mod ids;
mod minority;
mod overrides;
mod table;

use std::sync::Arc;

use self::ids::Sparse;
use self::minority::{Minority, drawn_minority};
use self::overrides::Overrides;
use crate::error::{Error, Result};
use crate::exposure::Population;
use crate::hash::Divider;
use crate::numbers::product;
use crate::relation::{Draw, Draws, NO_OBJECT, draws};
use crate::spec::{FormatVersion, WorldSpec};

pub use self::ids::{Fact, Link};
pub use self::table::Table;

/// A world, ready to be asked.
#[derive(Clone, Debug)]
pub struct World {
    shared: Arc<Shared>,
    overrides: Option<Arc<Overrides>>,
}

#[derive(Debug)]
struct Shared {
    version: FormatVersion,
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

impl World {
    /// Builds the world of a spec without a table. The spec is checked, wherever it is from.
    pub fn new(spec: WorldSpec) -> Result<World> {
        World::of_version(FormatVersion::LATEST, spec, None)
    }

    /// Builds the world of a spec and of the rows of its table, if it names one, as a version of
    /// the format has it. What is made of the world is of the same version.
    pub fn of_version(
        version: FormatVersion,
        spec: WorldSpec,
        table: Option<&Table>,
    ) -> Result<World> {
        match table {
            None => World::drawn(version, spec),
            Some(table) => World::stored(version, spec, table),
        }
    }

    fn drawn(version: FormatVersion, mut spec: WorldSpec) -> Result<World> {
        if spec.table.is_some() {
            return Err(Error::argument(
                "table",
                "no rows",
                "the rows that the spec's table names",
            ));
        }
        let objects = spec.check()?;
        let draws = draws(&spec.relations, &objects, spec.seed);
        let minority = drawn_minority(&spec, &draws, &objects, version.rules().rounding)?;
        World::assemble(version, spec, draws, objects, minority, None)
    }

    fn assemble(
        version: FormatVersion,
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
            if let Some((of, map)) = draw.nested() {
                let link = Link::new(r, of, facts, map.known(), objects[of]);
                facts += link.facts();
                links.push(link);
            }
        }
        Ok(World {
            shared: Arc::new(Shared {
                by_relations: Divider::new(relations),
                version,
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

    /// The version of the format that it is of.
    pub fn version(&self) -> FormatVersion {
        self.shared.version
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
        let draw = self.shared.draws.get(relation as usize);
        draw.is_some_and(|draw| draw.nested().is_some())
    }

    /// Number of objects of a relation; of a link relation, its nested objects. Of a relation that
    /// there is not, 0.
    pub fn objects_of(&self, relation: u32) -> u64 {
        let relation = self.link(relation).map_or(relation, |link| link.composed);
        let objects = self.shared.objects.get(relation as usize);
        objects.copied().unwrap_or(0)
    }

    /// The link relation with this relation id, if it is one.
    pub fn link(&self, relation: u32) -> Option<&Link> {
        (relation as usize)
            .checked_sub(self.shared.draws.len())
            .and_then(|at| self.shared.links.get(at))
    }

    /// The object of a subject in a relation, overrides included; none if there is no such fact.
    #[inline]
    pub fn object(&self, subject: u64, relation: u32) -> Option<u32> {
        let is_own = (relation as usize) < self.shared.draws.len() && subject < self.subjects();
        let object = is_own.then(|| self.existing_object(subject, relation));
        // A table may lack facts.
        object.filter(|&object| object != NO_OBJECT)
    }

    /// The object of a subject in a relation, which must exist.
    #[inline]
    pub(crate) fn existing_object(&self, subject: u64, relation: u32) -> u32 {
        match &self.overrides {
            None => self.drawn_object(subject, relation as usize),
            Some(overrides) => self.overridden_object(overrides, subject, relation),
        }
    }

    /// The object that the spec draws, whatever was overridden.
    #[inline(always)]
    fn drawn_object(&self, subject: u64, relation: usize) -> u32 {
        match &self.shared.draws[relation] {
            // Nearly every fact: the one draw that is worth having in each caller.
            Draw::Independent(draw) => draw.object(subject, |_| 0),
            other => self.derived_object(other, subject),
        }
    }

    fn derived_object(&self, draw: &Draw, subject: u64) -> u32 {
        draw.object(subject, |earlier| self.drawn_object(subject, earlier))
    }

    /// The object of a fact whose subject and relation are known.
    #[inline(always)]
    pub(crate) fn object_of(&self, fact: u64, subject: u64, relation: u32) -> u32 {
        if (relation as usize) < self.shared.draws.len() {
            self.existing_object(subject, relation)
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
        match self.shared.draws[link.composed as usize].nested() {
            Some((_, map)) => map.get(object as u32),
            None => NO_OBJECT,
        }
    }

    /// A fact by its id; none if there is no such fact.
    pub fn fact(&self, fact: u64) -> Option<Fact> {
        (fact < self.facts()).then(|| self.existing_fact(fact))
    }

    /// A fact by its id, which must be below [`World::facts`].
    pub(crate) fn existing_fact(&self, fact: u64) -> Fact {
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

    /// The facts that exposures are for.
    pub(crate) fn population(&self) -> Population {
        Population {
            seed: self.seed(),
            subjects: self.subjects(),
            relations: u64::from(self.relations()),
            facts: self.subject_facts(),
            link_facts: self.facts() - self.subject_facts(),
            is_complete: self.is_complete(),
        }
    }
}

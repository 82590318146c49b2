//! Worlds: all facts as a pure function of a spec and its seed, or from a table.
//!
//! Fact ids are arithmetic. Subject facts come first, `subject * relations + relation` (in a table
//! with missing facts: the position in that order). They are followed, for each composed relation,
//! by the *link* facts object -> nested object, one for each object, under a separate relation id
//! after those of the subjects.

mod bits;
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

pub(crate) use self::bits::FactBits;
pub use self::ids::{Fact, Link};
pub use self::table::Table;

/// A world of facts, which can be queried at any id.
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
    /// Builds the world of a spec without a table. The spec is always checked.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] if the spec is invalid or names a table.
    pub fn new(spec: WorldSpec) -> Result<World> {
        World::of_version(FormatVersion::LATEST, spec, None)
    }

    /// Builds the world of a spec and of the rows of its table, if it names one, in a version of
    /// the format. Corpora of the world have the same version.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] if the spec is invalid or does not match the table.
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
        let draws = draws(&spec.relations, &objects, spec.seed)?;
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

    /// Returns its format version.
    pub fn version(&self) -> FormatVersion {
        self.shared.version
    }

    /// Returns the spec it was built from.
    pub fn spec(&self) -> &WorldSpec {
        &self.shared.spec
    }

    /// Returns the seed.
    pub fn seed(&self) -> u64 {
        self.shared.spec.seed
    }

    /// Returns the number of subjects.
    pub fn subjects(&self) -> u64 {
        self.shared.spec.subjects
    }

    /// Returns the number of relations of a subject, composed ones included.
    pub fn relations(&self) -> u32 {
        self.shared.draws.len() as u32
    }

    /// Returns the link relations; their relation ids follow those of the subjects.
    pub fn links(&self) -> &[Link] {
        &self.shared.links
    }

    /// Returns the number of facts about subjects.
    pub fn subject_facts(&self) -> u64 {
        self.shared.subject_facts
    }

    /// Returns the number of facts, link facts included.
    pub fn facts(&self) -> u64 {
        self.shared.facts
    }

    /// Returns `true` if every subject has every relation.
    pub fn is_complete(&self) -> bool {
        self.shared.sparse.is_none()
    }

    /// Returns `true` if any fact has a second object.
    pub fn has_minority(&self) -> bool {
        self.shared.minority.is_some()
    }

    /// Returns `true` if a relation (of a subject) is composed: its objects are nested objects.
    pub fn is_composed(&self, relation: u32) -> bool {
        let draw = self.shared.draws.get(relation as usize);
        draw.is_some_and(|draw| draw.nested().is_some())
    }

    /// Returns the number of objects of a relation (for a link relation, of its nested objects), or
    /// 0 if the relation does not exist.
    pub fn objects_of(&self, relation: u32) -> u64 {
        let relation = self.link(relation).map_or(relation, |link| link.composed);
        let objects = self.shared.objects.get(relation as usize);
        objects.copied().unwrap_or(0)
    }

    /// Returns the link relation with a relation id, or `None` if the id is not one of a link.
    pub fn link(&self, relation: u32) -> Option<&Link> {
        (relation as usize)
            .checked_sub(self.shared.draws.len())
            .and_then(|at| self.shared.links.get(at))
    }

    /// Returns the object of a subject in a relation, overrides included, or `None` if there is no
    /// such fact.
    #[inline]
    pub fn object(&self, subject: u64, relation: u32) -> Option<u32> {
        let is_own = (relation as usize) < self.shared.draws.len();
        // A table may lack facts, and what is composed from one that it lacks cannot be derived.
        let exists = is_own && self.fact_id(subject, relation).is_some();
        exists.then(|| self.existing_object(subject, relation))
    }

    /// Returns the object of a subject in a relation; the fact must exist.
    #[inline]
    pub(crate) fn existing_object(&self, subject: u64, relation: u32) -> u32 {
        match &self.overrides {
            None => self.drawn_object(subject, relation as usize),
            Some(overrides) => self.overridden_object(overrides, subject, relation),
        }
    }

    /// Returns the object that the spec draws, ignoring overrides.
    #[inline(always)]
    fn drawn_object(&self, subject: u64, relation: usize) -> u32 {
        match &self.shared.draws[relation] {
            // Nearly every fact: the only draw that is worth inlining into each caller.
            Draw::Independent(draw) => draw.object(subject, |_| 0),
            other => self.derived_object(other, subject),
        }
    }

    fn derived_object(&self, draw: &Draw, subject: u64) -> u32 {
        draw.object(subject, |earlier| self.drawn_object(subject, earlier))
    }

    /// Returns the object of a fact whose subject and relation are known.
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

    /// Returns a fact by its id, or `None` if there is no such fact.
    pub fn fact(&self, fact: u64) -> Option<Fact> {
        (fact < self.facts()).then(|| self.existing_fact(fact))
    }

    /// Returns a fact by its id, which must be below [`World::facts`].
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

    /// Returns the population of facts that exposures are assigned to.
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

//! Twins: the same corpus with other objects for some facts, or without their sentences.

use std::sync::Arc;

use super::style::Style;
use super::{Corpus, Inherited, Parts};
use crate::error::Result;
use crate::spec::CorpusSpec;
use crate::world::World;

impl Corpus {
    /// Returns this corpus with other objects for some facts; see [`World::with_overrides`].
    ///
    /// # Errors
    ///
    /// As for [`World::with_overrides`], and for a view of roles: take that of the twin instead.
    pub fn with_overrides(&self, changes: &[(u64, u32)], follow: bool) -> Result<Corpus> {
        let world = self.world.with_overrides(changes, follow)?;
        let mut spec = self.spec.corpus.clone();
        let (overrides, follow) = world.overrides();
        spec.twin.overrides = overrides.to_vec();
        // False without overrides: the flag would otherwise be in the hash of later twins.
        spec.twin.follow = follow;
        self.twin(world, spec)
    }

    /// Returns this corpus without the sentences of some facts.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`](crate::error::Error::Argument) if there is no such fact, and for a
    /// view of roles.
    pub fn without(&self, facts: &[u64]) -> Result<Corpus> {
        let mut spec = self.spec.corpus.clone();
        spec.twin.without.extend_from_slice(facts);
        self.twin(self.world.clone(), spec)
    }

    fn twin(&self, world: World, spec: CorpusSpec) -> Result<Corpus> {
        self.check_own_tokens()?;
        let parts = Parts {
            array: self.array.clone(),
            lexicon: match &self.style {
                Style::Templates(_) => None,
                Style::Text(text) => Some(text.lexicon().clone()),
            },
            background: self.background.clone(),
        };
        let inherited = Inherited {
            exposures: Some(Arc::clone(&self.exposures)),
            filler: self.filler_of_twins(),
            background: self.others.background.clone(),
            // Inserted sentences add no tokens: in every version, all documents are as long.
            insert: self.insert.clone(),
        };
        Corpus::inheriting(world, spec, parts, inherited)
    }
}

//! Overrides of the objects of some facts: the worlds of twins.

use std::sync::Arc;

use super::{FactBits, World};
use crate::error::{Error, Result};
use crate::relation::{NO_OBJECT, NestedMap};

#[derive(Debug)]
pub(super) struct Overrides {
    /// Sorted by fact.
    objects: Vec<(u64, u32)>,
    follow: bool,
    /// The same facts, if there are many in a world that is not too large: most queries are about
    /// other facts, and a search costs more than a bit.
    facts: Option<FactBits>,
}

impl Overrides {
    /// Number of overrides that a search finds as fast as a bit.
    const FEW: usize = 16;

    fn new(objects: Vec<(u64, u32)>, follow: bool, facts: u64) -> Self {
        let set = objects.iter().map(|&(fact, _)| fact);
        Overrides {
            facts: (objects.len() > Self::FEW)
                .then(|| FactBits::new(set, facts))
                .flatten(),
            objects,
            follow,
        }
    }

    #[inline]
    pub(super) fn get(&self, fact: u64) -> Option<u32> {
        if self.facts.as_ref().is_some_and(|set| !set.contains(fact)) {
            return None;
        }
        self.objects
            .binary_search_by_key(&fact, |&(fact, _)| fact)
            .ok()
            .map(|at| self.objects[at].1)
    }
}

impl World {
    pub(super) fn overridden_object(
        &self,
        overrides: &Overrides,
        subject: u64,
        relation: u32,
    ) -> u32 {
        if let Some(fact) = self.fact_id(subject, relation)
            && let Some(object) = overrides.get(fact)
        {
            return object;
        }
        if overrides.follow
            && let Some((of, map)) = self.shared.draws[relation as usize].nested()
        {
            let object = self.overridden_object(overrides, subject, of as u32);
            return self.linked(overrides, relation, map, object);
        }
        self.drawn_object(subject, relation as usize)
    }

    /// Returns the nested object of an object, overridden links included.
    fn linked(&self, overrides: &Overrides, composed: u32, map: &NestedMap, object: u32) -> u32 {
        // They are in the order of their composed relations.
        let links = &self.shared.links;
        let link = links.binary_search_by_key(&composed, |link| link.composed);
        let link = link.ok().and_then(|at| links[at].fact(u64::from(object)));
        link.and_then(|fact| overrides.get(fact))
            .unwrap_or_else(|| map.get(object))
    }

    /// Returns this world with other objects for some facts, given as pairs of fact and object.
    /// With `follow`, facts composed from a changed fact or link change with it; otherwise they
    /// stay as they were. No changes give the same world.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] if a fact occurs twice, a fact or an object does not exist,
    /// `follow` is not that of the overrides that the world has already, or, with `follow`, a
    /// table does not contain the nested object of the new object.
    pub fn with_overrides(&self, changes: &[(u64, u32)], follow: bool) -> Result<World> {
        if changes.is_empty() {
            return Ok(self.clone());
        }
        let mut objects: Vec<(u64, u32)> = changes.to_vec();
        if let Some(earlier) = &self.overrides {
            // One flag for all: another one would change what follows from the earlier overrides.
            if earlier.follow != follow {
                let allowed = format!("{}, as in the earlier override", earlier.follow);
                return Err(Error::argument("follow", follow, allowed));
            }
            let changed: std::collections::HashSet<u64> =
                changes.iter().map(|&(fact, _)| fact).collect();
            objects.extend(earlier.objects.iter().filter(|(f, _)| !changed.contains(f)));
        }
        objects.sort_unstable();
        for pair in objects.windows(2) {
            if pair[0].0 == pair[1].0 {
                return Err(Error::argument(
                    "override",
                    format!("fact {} twice", pair[0].0),
                    "each fact once",
                ));
            }
        }
        for &(fact, object) in &objects {
            if fact >= self.facts() {
                return Err(Error::argument(
                    "override",
                    format!("fact {fact}"),
                    format!("a fact below {}", self.facts()),
                ));
            }
            let (_, relation) = self.subject_relation(fact);
            let objects = self.objects_of(relation);
            if u64::from(object) >= objects {
                return Err(Error::argument(
                    "override",
                    format!("object {object} for fact {fact}"),
                    format!("an object below {objects}, those of relation {relation}"),
                ));
            }
        }
        let world = World {
            shared: Arc::clone(&self.shared),
            overrides: Some(Arc::new(Overrides::new(objects, follow, self.facts()))),
        };
        // Relations that are drawn have a nested object for every object.
        if follow && self.spec().table.is_some() {
            world.check_links()?;
        }
        Ok(world)
    }

    /// Returns this world without overrides: the world of the parent of a twin.
    pub(crate) fn without_overrides(&self) -> World {
        World {
            shared: Arc::clone(&self.shared),
            overrides: None,
        }
    }

    /// Refuses overrides whose consequences a table does not contain.
    fn check_links(&self) -> Result<()> {
        for &(fact, object) in self.overrides().0 {
            let (subject, relation) = self.subject_relation(fact);
            if relation >= self.relations() {
                continue;
            }
            for composed in (0..self.relations()).filter(|&r| self.is_composed(r)) {
                if self.fact_id(subject, composed).is_some()
                    && self.existing_object(subject, composed) == NO_OBJECT
                {
                    return Err(Error::argument(
                        "override",
                        format!("object {object} for fact {fact}"),
                        format!(
                            "an object whose nested object in relation {composed} the table tells, \
                             or composed facts that stay"
                        ),
                    ));
                }
            }
        }
        Ok(())
    }

    /// Returns the overrides, sorted by fact, and whether composed facts follow.
    pub fn overrides(&self) -> (&[(u64, u32)], bool) {
        match &self.overrides {
            None => (&[], false),
            Some(overrides) => (&overrides.objects, overrides.follow),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_overrides_are_found_as_few_are() {
        let few: Vec<(u64, u32)> = (0..10).map(|i| (i * 7, i as u32)).collect();
        let many: Vec<(u64, u32)> = (0..100).map(|i| (i * 7, i as u32)).collect();
        for (objects, has_set) in [(few, false), (many, true)] {
            let overrides = Overrides::new(objects.clone(), false, 1000);
            assert_eq!(overrides.facts.is_some(), has_set);
            for fact in 0..1000 {
                let expected = objects.iter().find(|&&(own, _)| own == fact);
                assert_eq!(overrides.get(fact), expected.map(|&(_, object)| object));
            }
        }
    }
}

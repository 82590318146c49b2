//! Facts that a twin omits.

use super::Corpus;
use crate::world::FactBits;

/// A set of facts with a fast membership test.
#[derive(Debug)]
pub(super) enum FactSet {
    Bits(FactBits),
    Sorted(Vec<u64>),
}

impl FactSet {
    pub(super) fn new(sorted: &[u64], facts: u64) -> Self {
        match FactBits::new(sorted.iter().copied(), facts) {
            Some(bits) => FactSet::Bits(bits),
            None => FactSet::Sorted(sorted.to_vec()),
        }
    }

    #[inline]
    pub(super) fn contains(&self, fact: u64) -> bool {
        match self {
            FactSet::Bits(bits) => bits.contains(fact),
            FactSet::Sorted(sorted) => sorted.binary_search(&fact).is_ok(),
        }
    }
}

impl Corpus {
    /// Returns `true` if a twin omits a fact.
    #[inline(always)]
    pub(super) fn is_left_out(&self, fact: u64) -> bool {
        self.without.as_ref().is_some_and(|set| set.contains(fact))
    }
}

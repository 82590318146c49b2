//! Sets of facts, queried for each sentence.

use super::Corpus;

/// A set of facts with a fast membership test.
#[derive(Debug)]
pub(super) enum FactSet {
    Bits(Vec<u64>),
    Sorted(Vec<u64>),
}

impl FactSet {
    /// Maximum number of facts for a bit set, of 64 MiB; larger worlds search a sorted list.
    const BITS_LIMIT: u64 = 1 << 29;

    pub(super) fn new(sorted: &[u64], facts: u64) -> Self {
        if facts <= Self::BITS_LIMIT {
            let mut bits = vec![0u64; facts.div_ceil(64) as usize];
            for &fact in sorted {
                bits[(fact / 64) as usize] |= 1 << (fact % 64);
            }
            FactSet::Bits(bits)
        } else {
            FactSet::Sorted(sorted.to_vec())
        }
    }

    #[inline]
    pub(super) fn contains(&self, fact: u64) -> bool {
        match self {
            FactSet::Bits(bits) => {
                let word = bits.get((fact / 64) as usize);
                word.is_some_and(|word| word >> (fact % 64) & 1 == 1)
            }
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

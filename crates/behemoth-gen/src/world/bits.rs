//! Sets of facts, queried for each sentence.

/// A set of facts as one bit for each fact of the world.
#[derive(Debug)]
pub(crate) struct FactBits(Vec<u64>);

impl FactBits {
    /// Maximum number of facts for a bit set, of 64 MiB; larger worlds search a sorted list.
    const LIMIT: u64 = 1 << 29;

    /// Creates the set of these facts, or `None` if the world has too many for a bit each.
    pub(crate) fn new(set: impl IntoIterator<Item = u64>, facts: u64) -> Option<Self> {
        if facts > Self::LIMIT {
            return None;
        }
        let mut bits = vec![0u64; facts.div_ceil(64) as usize];
        for fact in set {
            bits[(fact / 64) as usize] |= 1 << (fact % 64);
        }
        Some(FactBits(bits))
    }

    #[inline]
    pub(crate) fn contains(&self, fact: u64) -> bool {
        let word = self.0.get((fact / 64) as usize);
        word.is_some_and(|word| word >> (fact % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_its_facts_and_no_others() {
        let set = FactBits::new([0, 63, 64, 129], 130).unwrap();
        let found: Vec<u64> = (0..1000).filter(|&fact| set.contains(fact)).collect();
        assert_eq!(found, [0, 63, 64, 129]);
        assert!(FactBits::new([0], FactBits::LIMIT + 1).is_none());
    }
}

//! Sets of numbers below a limit, with rank and selection.

use crate::error::{Error, Result};
use crate::memory::zeros;

/// Number of words in a block.
const BLOCK: usize = 8;

/// Maximum number of documents that sentences are inserted into: each is looked at once, which
/// takes minutes for this many, and has a bit in memory.
const LIMIT: u64 = 1 << 34;

/// Returns a bit for each of `documents` documents, in words of 64.
pub(crate) fn bits(documents: u64) -> Result<Vec<u64>> {
    if documents > LIMIT {
        let got = format!("{documents} documents");
        let allowed = format!("up to {LIMIT} documents to insert into");
        return Err(Error::argument("insert", got, allowed));
    }
    zeros("insert", documents.div_ceil(64), "sets of 64 documents")
}

/// A subset of `0..n`: a bit for each number and a count for each block. A list would be 64 times
/// as large and slower to search.
#[derive(Clone, Debug)]
pub(super) struct Chosen {
    bits: Vec<u64>,
    /// Count of chosen numbers before each block.
    before: Vec<u64>,
    count: u64,
}

impl Chosen {
    /// Chooses documents; refuses more of them than memory or time suffice for.
    pub(super) fn new(n: u64, mut is_chosen: impl FnMut(u64) -> bool) -> Result<Self> {
        let mut bits = bits(n)?;
        for number in (0..n).filter(|&number| is_chosen(number)) {
            bits[(number / 64) as usize] |= 1 << (number % 64);
        }
        let mut count = 0;
        let before = bits
            .chunks(BLOCK)
            .map(|block| {
                let own = block.iter().map(|word| u64::from(word.count_ones()));
                let before = count;
                count += own.sum::<u64>();
                before
            })
            .collect();
        Ok(Chosen {
            bits,
            before,
            count,
        })
    }

    /// Returns the count of chosen numbers.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Returns the count of chosen numbers before a chosen number, or `None` if the number is not
    /// chosen.
    pub(super) fn rank(&self, number: u64) -> Option<u64> {
        let at = (number / 64) as usize;
        let word = *self.bits.get(at)?;
        if word >> (number % 64) & 1 == 0 {
            return None;
        }
        let block = at / BLOCK;
        let below = word & ((1 << (number % 64)) - 1);
        let words = self.bits[block * BLOCK..at].iter().chain([&below]);
        let own: u64 = words.map(|word| u64::from(word.count_ones())).sum();
        Some(self.before[block] + own)
    }

    /// Returns the chosen number at a rank, which must be below the count.
    pub(super) fn number(&self, rank: u64) -> u64 {
        let block = self.before.partition_point(|&before| before <= rank) - 1;
        let mut left = rank - self.before[block];
        let words = self.bits.iter().enumerate().skip(block * BLOCK);
        for (at, &word) in words {
            let own = u64::from(word.count_ones());
            if left >= own {
                left -= own;
                continue;
            }
            let mut word = word;
            for _ in 0..left {
                word &= word - 1;
            }
            return at as u64 * 64 + u64::from(word.trailing_zeros());
        }
        debug_assert!(false, "a rank below the count");
        0
    }
}

#[cfg(test)]
mod tests {
    use super::Chosen;
    use crate::hash::Key;

    #[test]
    fn ranks_and_numbers_are_those_of_a_list() {
        let key = Key::new(0, "chosen-test", 0);
        for n in [0u64, 1, 63, 64, 65, 511, 512, 513, 5000] {
            for share in [0u64, 1, 3, 60, 64] {
                let is_chosen = |number: u64| key.hash(number) % 64 < share;
                let list: Vec<u64> = (0..n).filter(|&number| is_chosen(number)).collect();
                let chosen = Chosen::new(n, is_chosen).unwrap();
                assert_eq!(chosen.count(), list.len() as u64);
                for (rank, &number) in (0..).zip(&list) {
                    assert_eq!(chosen.rank(number), Some(rank));
                    assert_eq!(chosen.number(rank), number);
                }
                let others = (0..n + 100).filter(|number| list.binary_search(number).is_err());
                assert!(
                    others
                        .into_iter()
                        .all(|number| chosen.rank(number).is_none())
                );
            }
        }
    }
}

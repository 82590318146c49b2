//! Array exposures: one number for each fact, passed separately from the spec.

use serde::Serialize;

use super::{Assignment, Form, Levels, Population};
use crate::error::{Error, Result};
use crate::memory::{room_for, zeros};
use crate::value::{Fields, Value};

/// Exposures with one number for each fact, passed separately from the spec and identified by their
/// digest.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Array {
    /// BLAKE3 of the numbers; filled in if empty.
    pub digest: String,
}

impl Array {
    /// Creates the exposures from the digest of the numbers; an empty digest allows any numbers.
    pub fn new(digest: impl Into<String>) -> Self {
        Array {
            digest: digest.into(),
        }
    }
}

impl Form for Array {
    const EXAMPLES: &'static [&'static str] = &[];

    fn read(fields: &mut Fields<'_>) -> Result<Self> {
        fields.of_kind(&["digest"])?;
        let digest = fields.optional("digest", Value::text)?;
        Ok(Array::new(digest.unwrap_or_default()))
    }

    fn parse(_: &str) -> Option<Self> {
        None
    }

    fn check(&self) -> Result<()> {
        Ok(())
    }

    fn take_numbers(&mut self, numbers: &[u32]) {
        if self.digest.is_empty() {
            self.digest = digest_of(numbers);
        }
    }

    /// Sorts the facts by their exposures, and equal ones by fact.
    fn levels(&self, population: &Population, numbers: Option<&[u32]>) -> Result<Levels> {
        let facts = population.facts;
        let numbers =
            numbers.ok_or_else(|| Error::value("no numbers", "one number for each fact"))?;
        let given = numbers.len() as u64;
        if given != facts && given != facts + population.link_facts {
            let mut allowed = format!("{facts} numbers, one for each fact");
            if population.link_facts > 0 {
                allowed += &format!(", or {}, with the links", facts + population.link_facts);
            }
            return Err(Error::value(format!("{given} numbers"), allowed));
        }
        if self.digest != digest_of(numbers) {
            return Err(Error::value(
                "other numbers than the spec names",
                format!("those with digest {}", self.digest),
            ));
        }
        let mut sorted: Vec<(u32, u64)> =
            room_for("exposures", given, "exposures").map_err(Error::without_place)?;
        sorted.extend(numbers.iter().copied().zip(0..));
        // No two pairs are equal.
        sorted.sort_unstable();
        let mut rank_of_fact =
            zeros("exposures", given, "exposures").map_err(Error::without_place)?;
        let mut counts: Vec<(u64, u64)> = Vec::new();
        for (rank, &(exposures, fact)) in (0..).zip(&sorted) {
            rank_of_fact[fact as usize] = rank;
            match counts.last_mut() {
                Some((level, facts)) if *level == u64::from(exposures) => *facts += 1,
                _ => counts.push((u64::from(exposures), 1)),
            }
        }
        // Collected in the place of the pairs, which are twice as large.
        let mut fact_of_rank: Vec<u64> = sorted.into_iter().map(|(_, fact)| fact).collect();
        fact_of_rank.shrink_to_fit();
        Ok(Levels {
            counts,
            assignment: Assignment::Stored {
                fact_of_rank,
                rank_of_fact,
            },
            covers_links: given > facts,
        })
    }
}

/// Returns the BLAKE3 digest of an exposure array, as hexadecimal digits.
pub fn digest_of(array: &[u32]) -> String {
    /// Number of exposures per update of the hasher, which is faster with many bytes.
    const PIECE: usize = 1 << 12;
    let mut hasher = blake3::Hasher::new();
    let mut bytes = [[0u8; 4]; PIECE];
    for piece in array.chunks(PIECE) {
        for (bytes, exposures) in bytes.iter_mut().zip(piece) {
            *bytes = exposures.to_le_bytes();
        }
        hasher.update(bytes[..piece.len()].as_flattened());
    }
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_that_of_the_little_endian_bytes() {
        for count in [0, 1, 4095, 4096, 4097, 10_000] {
            let array: Vec<u32> = (0..count)
                .map(|i: u32| i.wrapping_mul(0x0102_0305))
                .collect();
            let bytes: Vec<u8> = array.iter().flat_map(|n| n.to_le_bytes()).collect();
            let expected = blake3::hash(&bytes).to_hex().to_string();
            assert_eq!(digest_of(&array), expected, "{count}");
        }
    }
}

//! Parquet's hybrid of runs and packed numbers: levels and dictionary indices.

use super::thrift::varint;
use crate::vocabulary::Token;

/// Appends levels that are all the same, as one run behind its length in bytes.
pub(super) fn level_run(out: &mut Vec<u8>, level: u8, count: usize) {
    sized(out, |out| {
        varint(out, (count as u64) << 1);
        out.push(level);
    });
}

/// Appends repetition levels: 0 where a document begins, which `starts` gives in ascending order,
/// and 1 elsewhere, as packed bits behind their length in bytes.
pub(super) fn level_bits(out: &mut Vec<u8>, count: usize, starts: impl Iterator<Item = usize>) {
    sized(out, |out| {
        packed_header(out, count);
        let first = out.len();
        out.resize(first + count.div_ceil(8), 0xff);
        for start in starts {
            out[first + start / 8] &= !(1 << (start % 8));
        }
    });
}

/// Appends token ids of a number of bits each, without their number of bytes. An id must fit in the
/// bits.
pub(super) fn indices<T: Token + Into<u32>>(out: &mut Vec<u8>, tokens: &[T], bits: u32) {
    packed_header(out, tokens.len());
    let stop = out.len() + tokens.len().div_ceil(8) * bits as usize;
    out.reserve(stop + 8 - out.len());
    let (mut held, mut filled) = (0u64, 0);
    for &token in tokens {
        let id: u32 = token.into();
        held |= u64::from(id) << filled;
        filled += bits;
        if filled >= 32 {
            out.extend_from_slice(&(held as u32).to_le_bytes());
            held >>= 32;
            filled -= 32;
        }
    }
    out.extend_from_slice(&held.to_le_bytes());
    out.resize(stop, 0);
}

/// Appends the header of packed numbers, which are counted in groups of eight.
fn packed_header(out: &mut Vec<u8>, count: usize) {
    varint(out, (count.div_ceil(8) as u64) << 1 | 1);
}

/// Appends what `write` appends, behind its length in bytes.
fn sized(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out);
    let length = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&length.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_runs_or_bits() {
        let mut out = Vec::new();
        level_run(&mut out, 3, 200);
        assert_eq!(out, [3, 0, 0, 0, 0x90, 0x03, 3]);
        out.clear();
        level_bits(&mut out, 10, [0, 3, 9].into_iter());
        assert_eq!(out, [3, 0, 0, 0, 0x05, 0b1111_0110, 0b1111_1101]);
    }

    #[test]
    fn ids_are_packed_from_the_lowest_bit_in_groups_of_eight() {
        let unpack = |bytes: &[u8], bits: u32, count: u32| -> Vec<u32> {
            let bit = |at: u32| u32::from(bytes[(at / 8) as usize] >> (at % 8) & 1);
            (0..count)
                .map(|id| (0..bits).map(|at| bit(id * bits + at) << at).sum())
                .collect()
        };
        for bits in [1u32, 3, 8, 12, 13, 16, 17, 31, 32] {
            for count in [0u32, 1, 7, 8, 9, 31] {
                let mask = u32::MAX >> (32 - bits);
                let ids: Vec<u32> = (0..count)
                    .map(|at| at.wrapping_mul(0x9e37_79b9) & mask)
                    .collect();
                let mut out = Vec::new();
                indices(&mut out, &ids, bits);
                let groups = count.div_ceil(8);
                assert_eq!(out[0], (groups << 1 | 1) as u8);
                assert_eq!(out.len(), 1 + (groups * bits) as usize, "{bits} {count}");
                assert_eq!(unpack(&out[1..], bits, count), ids);
            }
        }
    }
}

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
    let first = out.len();
    let group = bits as usize;
    let stop = first + tokens.len().div_ceil(8) * group;
    // Each group of eight is written as whole words, the last of which reach beyond it.
    out.resize(stop + 32, 0);
    let mut rest = &mut out[first..];
    let groups = tokens.chunks_exact(8);
    let last = groups.remainder();
    for ids in groups {
        let ids: &[T; 8] = ids.try_into().expect("chunks of eight");
        rest = pack(rest, ids, bits);
    }
    if !last.is_empty() {
        let mut ids = [T::default(); 8];
        ids[..last.len()].copy_from_slice(last);
        pack(rest, &ids, bits);
    }
    out.truncate(stop);
}

/// Packs eight ids at the beginning of `out`, which has 32 bytes; returns what follows them.
#[inline(always)]
fn pack<'a, T: Token + Into<u32>>(out: &'a mut [u8], ids: &[T; 8], bits: u32) -> &'a mut [u8] {
    let pair = |at: usize| {
        let (low, high): (u32, u32) = (ids[at].into(), ids[at + 1].into());
        u64::from(low) | u64::from(high) << bits
    };
    if bits <= 16 {
        let four = |at: usize| pair(at) | pair(at + 2) << (2 * bits);
        let eight = u128::from(four(0)) | u128::from(four(4)) << (4 * bits);
        out[..16].copy_from_slice(&eight.to_le_bytes());
    } else {
        let four = |at: usize| u128::from(pair(at)) | u128::from(pair(at + 2)) << (2 * bits);
        let (low, high) = (four(0), four(4));
        out[..16].copy_from_slice(&low.to_le_bytes());
        // The first four ids end within a byte if their number of bits is odd: then below 128.
        let ended = bits / 2;
        let second = match bits % 2 {
            0 => high,
            _ => high << 4 | low >> (8 * ended),
        };
        out[ended as usize..][..16].copy_from_slice(&second.to_le_bytes());
    }
    &mut out[bits as usize..]
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

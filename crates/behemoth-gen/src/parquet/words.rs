//! A compressor to Snappy's format for texts with words.
//!
//! It looks for repetitions only at spaces, and only for such of eight bytes or more. What costs
//! time in the search are not the bytes but the turns that a processor cannot foresee, two or three
//! for each repetition that is found; it has fewer and longer ones to find than a compressor that
//! starts at every byte and with four.
//!
//! Other ways were tried on the tokens, whose texts need not be made if they are copied: repetitions
//! found for all tokens ahead without any turns, and in one pass with selections instead of turns.
//! They took 0.9 to 2 times as long as decoding and the usual compressor.

/// Bits of the number of a place in the table.
const PLACE_BITS: u32 = 13;
/// Repetitions do not begin in the last bytes, so that whole words can be read and copied.
const MARGIN: usize = 64;
/// Positions are this far apart at most; a format for larger distances is not used.
const FARTHEST: usize = u16::MAX as usize;
/// The longest copy of one element.
const LONGEST_COPY: usize = 64;
/// Literals up to this length have it in their first byte.
const SHORT_LITERAL: usize = 60;

/// A compressor, with the memory that it uses again.
pub(super) struct Words {
    /// The last position where a hash of eight bytes was seen.
    seen: Box<[u32; 1 << PLACE_BITS]>,
    out: Vec<u8>,
}

impl Words {
    pub(super) fn new() -> Self {
        Words {
            seen: Box::new([0; 1 << PLACE_BITS]),
            out: Vec::new(),
        }
    }

    /// Returns whether a page has words enough, by its first bytes: texts of languages without
    /// spaces would hardly be compressed.
    pub(super) fn suit(page: &[u8]) -> bool {
        let sample = &page[..page.len().min(1 << 12)];
        let spaces = sample.iter().filter(|&&byte| byte == b' ').count();
        16 * spaces >= sample.len()
    }

    /// Compresses a page of less than 2 GiB.
    pub(super) fn compress(&mut self, page: &[u8]) -> &[u8] {
        // A copy is no longer than what it copies, and so many literals have at most 5 bytes each.
        let room = page.len() + page.len() / 8 + 2 * MARGIN;
        if self.out.len() < room {
            self.out.resize(room, 0);
        }
        let out = &mut self.out[..];
        self.seen.fill(0);
        let mut end = write_length(out, page.len());
        // Bytes before `kept` are written.
        let (mut kept, mut at) = (0, 0);
        let limit = page.len().saturating_sub(MARGIN);
        while at < limit {
            let here = eight(page, at);
            let hash = here.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (u64::BITS - PLACE_BITS);
            let place = &mut self.seen[hash as usize];
            let before = *place as usize;
            *place = at as u32;
            // One comparison, without a turn between: most places differ. The first position is its
            // own predecessor, 0, and no repetition.
            let distance = at - before;
            if (eight(page, before) != here) | (distance.wrapping_sub(1) >= FARTHEST) {
                at = next_space(page, at);
                continue;
            }
            let length = common(page, at, before);
            end = write_literal(out, end, &page[kept..], at - kept);
            kept = at + length;
            let mut left = length;
            while left > 0 {
                let part = left.min(LONGEST_COPY);
                let element = (part as u32 - 1) << 2 | 2 | (distance as u32) << 8;
                out[end..end + 4].copy_from_slice(&element.to_le_bytes());
                end += 3;
                left -= part;
            }
            at = kept;
            if at < limit && page[at] != b' ' {
                at = next_space(page, at);
            }
        }
        end = write_long_literal(out, end, &page[kept..]);
        &self.out[..end]
    }
}

#[inline(always)]
fn eight(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// Returns the position of the first space among the next eight bytes, or of the byte after them.
#[inline(always)]
fn next_space(bytes: &[u8], at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let others = eight(bytes, at + 1) ^ (ONES * b' ' as u64);
    // The lowest bit that is set is that of the first byte of zeros; of no byte it is the 64th.
    let spaces = others.wrapping_sub(ONES) & !others & (ONES << 7);
    at + 1 + (spaces.trailing_zeros() / 8) as usize
}

/// Returns how many bytes are alike, of which eight are known to be; a repetition may reach into
/// itself.
#[inline(always)]
fn common(bytes: &[u8], at: usize, before: usize) -> usize {
    let mut length = 8;
    while at + length + 8 <= bytes.len() {
        let differing = eight(bytes, at + length) ^ eight(bytes, before + length);
        if differing != 0 {
            return length + (differing.trailing_zeros() / 8) as usize;
        }
        length += 8;
    }
    length
}

/// Writes the first bytes of `rest`, which has at least `MARGIN`, as they are; returns the new end.
#[inline(always)]
fn write_literal(out: &mut [u8], end: usize, rest: &[u8], length: usize) -> usize {
    if length > SHORT_LITERAL {
        return write_long_literal(out, end, &rest[..length]);
    }
    out[end] = (length as u8).wrapping_sub(1) << 2;
    let begin = end + usize::from(length > 0);
    // Copies of a known size are a few instructions; what they write too much is overwritten.
    out[begin..begin + 32].copy_from_slice(&rest[..32]);
    if length > 32 {
        out[begin + 32..begin + 64].copy_from_slice(&rest[32..64]);
    }
    begin + length
}

fn write_long_literal(out: &mut [u8], end: usize, bytes: &[u8]) -> usize {
    let Some(last) = bytes.len().checked_sub(1) else {
        return end;
    };
    let sized = match last {
        0..SHORT_LITERAL => 0,
        SHORT_LITERAL..0x100 => 1,
        0x100..0x1_0000 => 2,
        _ => 4,
    };
    out[end] = match sized {
        0 => (last as u8) << 2,
        _ => (SHORT_LITERAL as u8 + sized as u8 - 1) << 2,
    };
    let begin = end + 1 + sized;
    out[end + 1..begin].copy_from_slice(&(last as u32).to_le_bytes()[..sized]);
    out[begin..begin + bytes.len()].copy_from_slice(bytes);
    begin + bytes.len()
}

fn write_length(out: &mut [u8], length: usize) -> usize {
    let mut header = Vec::with_capacity(5);
    super::thrift::varint(&mut header, length as u64);
    out[..header.len()].copy_from_slice(&header);
    header.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(compressor: &mut Words, page: &[u8]) -> usize {
        let stored = compressor.compress(page).to_vec();
        let again = snap::raw::Decoder::new().decompress_vec(&stored).unwrap();
        assert!(again == page, "{} bytes", page.len());
        stored.len()
    }

    #[test]
    fn repetitions_far_and_near_and_long_literals_are_what_they_were() {
        let mut compressor = Words::new();
        let mut state = 1u64;
        let mut random = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8
        };
        let noise: Vec<u8> = (0..70_000).map(|_| random()).collect();
        // The phrase of the beginning is within reach at one place, and one byte too far at another.
        let phrase = b" a phrase of some words that comes again ";
        for filler in [&noise, &vec![b'x'; 70_000]] {
            let sizes = [0, 7, 60, 61, 255, 256, 257, 65_494, 65_495, 69_000].map(|between| {
                let page = [phrase, &filler[..between], phrase, phrase].concat();
                check(&mut compressor, &page)
            });
            if filler[0] == b'x' {
                assert!(sizes[7] + 30 < sizes[8], "{sizes:?}");
            }
        }
        for length in 0..200 {
            check(&mut compressor, &b" ab".repeat(70)[..length]);
            check(&mut compressor, &noise[..length]);
        }
        assert!(check(&mut compressor, &b"all the same ".repeat(10_000)) < 7000);
        assert!(check(&mut compressor, &noise) <= noise.len() + 8);
    }

    #[test]
    fn texts_without_spaces_do_not_suit() {
        assert!(Words::suit(b"subject S1 has the relation R2"));
        assert!(!Words::suit("中文没有空格。".repeat(30).as_bytes()));
    }

    proptest! {
        #[test]
        fn random_texts_are_what_they_were(numbers in prop::collection::vec(0usize..40, 0..2000)) {
            let words: Vec<String> = numbers.iter().map(|&n| "aword".repeat(n % 7 + 1) + &n.to_string()).collect();
            check(&mut Words::new(), words.join(" ").as_bytes());
        }
    }
}

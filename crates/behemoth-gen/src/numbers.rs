//! Counts, fractions, products and shares: checked once, used everywhere.

// Reads what users wrote: nothing here may be out of bounds.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

use crate::error::{Error, Result};

/// Largest count that a spec takes: counts stay exact in products checked as `u64`.
pub const COUNT_LIMIT: u64 = 1 << 62;

/// From here on not every whole number is a float of its own.
const EXACT_FLOATS: f64 = 9_007_199_254_740_992.0;

/// A float as the whole number it is; none if it is not one that floats hold exactly.
pub(crate) fn whole(value: f64) -> Option<u64> {
    // 1e8 is how people write counts.
    (value >= 0.0 && value.fract() == 0.0 && value <= EXACT_FLOATS).then_some(value as u64)
}

/// A count as people write it: `10`, `1e8`, `1_000`.
pub(crate) fn parse_count(text: &str) -> Option<u64> {
    let plain = text.trim().replace('_', "");
    if let Ok(n) = plain.parse::<u64>() {
        return (n <= COUNT_LIMIT).then_some(n);
    }
    whole(plain.parse().ok()?)
}

/// Refuses a fraction outside 0 to 1.
pub(crate) fn fraction(name: &str, value: f64) -> Result<()> {
    if (0.0..=1.0).contains(&value) {
        Ok(())
    } else {
        Err(Error::argument(name, value, "a fraction from 0 to 1"))
    }
}

/// Refuses 0.
pub(crate) fn positive(name: &str, value: u64) -> Result<()> {
    if value > 0 {
        Ok(())
    } else {
        Err(Error::argument(name, value, "at least 1"))
    }
}

/// `a * b` of counts, refused past [`COUNT_LIMIT`].
pub(crate) fn product(name: &str, a: u64, b: u64) -> Result<u64> {
    a.checked_mul(b)
        .filter(|&n| n <= COUNT_LIMIT)
        .ok_or_else(|| {
            Error::argument(
                name,
                format!("{a} x {b}"),
                format!("a product up to {COUNT_LIMIT}"),
            )
        })
}

const BILLION: u64 = 1_000_000_000;

/// A fraction as a whole number of billionths, so that decimal fractions split counts exactly.
pub(crate) fn billionths(fraction: f64) -> u64 {
    (fraction * BILLION as f64).round() as u64
}

/// `floor(n * fraction)` with the fraction in billionths.
pub(crate) fn share(n: u64, billionths: u64) -> u64 {
    (u128::from(n) * u128::from(billionths) / u128::from(BILLION)) as u64
}

/// So many of `exposures` copies that the share is exact: each fact is within one copy of it, and
/// where all facts are written equally often the total of any run of ranks is as well.
pub(crate) fn share_of_copies(rank: u64, exposures: u64, billionths: u64) -> u64 {
    // Whole billions of ranks add whole numbers to both sides of the difference. Without them the
    // products stay below 2^122; with them a rare Zipf law wrapped past 2^128.
    let rank = rank % BILLION;
    let up_to = |rank: u64| {
        u128::from(rank) * u128::from(exposures) * u128::from(billionths) / u128::from(BILLION)
    };
    (up_to(rank + 1) - up_to(rank)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_as_people_write_them() {
        for (text, count) in [
            ("10", Some(10)),
            ("1e8", Some(100_000_000)),
            (" 1_000 ", Some(1000)),
            ("1.5", None),
            ("-1", None),
            ("4611686018427387905", None),
            ("", None),
        ] {
            assert_eq!(parse_count(text), count, "{text}");
        }
    }

    #[test]
    fn shares_of_copies_add_up_and_never_wrap() {
        for (exposures, billionths) in [(7, 300_000_000), (1, 500_000_000), (1000, 1)] {
            let total: u64 = (0..10_000)
                .map(|rank| share_of_copies(rank, exposures, billionths))
                .sum();
            assert_eq!(total, share(10_000 * exposures, billionths));
        }
        // Past 2^128 without the remainder: then a debug build panics here.
        let most = share_of_copies(COUNT_LIMIT - 1, 1 << 40, 999_999_999);
        assert!(((1 << 40) - 1200..1 << 40).contains(&most), "{most}");
        // Whole billions of ranks make no difference.
        for rank in [0, 1, 77] {
            let (near, far) = (rank, rank + 3 * BILLION);
            let copies = |rank| share_of_copies(rank, 12_345, 123_456_789);
            assert_eq!(copies(near), copies(far));
        }
    }
}

//! Checked counts, fractions, products and shares.

// Handles user input: no indexing that can panic.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

use std::fmt::Display;

use crate::error::{Error, Result};

/// Largest count that a spec accepts: counts stay exact in products checked as `u64`.
pub const COUNT_LIMIT: u64 = 1 << 62;

/// Largest seed: those of TOML are signed 64-bit integers.
pub(crate) const SEED_LIMIT: u64 = i64::MAX as u64;

/// Limit of the number of tokens in a document, which is generated in memory.
pub(crate) const DOCUMENT_LIMIT: u64 = 1 << 27;

/// Maximum number of token ids.
pub(crate) const TOKEN_LIMIT: u64 = 1 << 31;

/// Largest float up to which every whole number is exactly representable: 2^53.
const EXACT_FLOATS: f64 = 9_007_199_254_740_992.0;

/// Converts a float to the whole number it equals; `None` if it has a fraction, is negative or
/// exceeds 2^53.
pub(crate) fn whole(value: f64) -> Option<u64> {
    // Counts are often written as 1e8.
    (value >= 0.0 && value.fract() == 0.0 && value <= EXACT_FLOATS).then_some(value as u64)
}

/// Parses a count: `10`, `1e8`, `1_000`.
pub(crate) fn parse_count(text: &str) -> Option<u64> {
    parse_up_to(text, COUNT_LIMIT)
}

/// Parses a seed, with the same limit as in a table.
pub(crate) fn parse_seed(text: &str) -> Option<u64> {
    parse_up_to(text, SEED_LIMIT)
}

fn parse_up_to(text: &str, limit: u64) -> Option<u64> {
    let plain = text.trim().replace('_', "");
    if let Ok(n) = plain.parse::<u64>() {
        return (n <= limit).then_some(n);
    }
    whole(plain.parse().ok()?)
}

/// Returns the error of a number above its limit, such as `1e30`; `None` if the word is no whole
/// number, or one up to the limit.
pub(crate) fn above(word: &str, limit: u64) -> Option<Error> {
    let word = word.trim();
    let text = word.replace('_', "");
    let is_integer = text.bytes().all(|letter| letter.is_ascii_digit());
    let number: f64 = text.parse().ok()?;
    let is_whole = number.fract() == 0.0 || text.contains(['e', 'E']) && number == f64::INFINITY;
    let is_allowed = parse_up_to(&text, limit).is_some_and(|n| n <= limit);
    if !is_whole || number < 1.0 || is_allowed {
        return None;
    }
    Some(Error::value(word, up_to(limit, is_integer)))
}

/// Returns what is allowed in place of a number above a limit; floats are exact up to 2^53 alone.
pub(crate) fn up_to(limit: u64, is_integer: bool) -> String {
    match is_integer || limit as f64 <= EXACT_FLOATS {
        true => format!("a whole number up to {limit}"),
        false => format!("a whole number up to {limit}, from 2^53 as an integer"),
    }
}

/// Refuses a fraction outside 0 to 1.
pub(crate) fn fraction(name: &str, value: f64) -> Result<()> {
    if (0.0..=1.0).contains(&value) {
        Ok(())
    } else {
        Err(Error::argument(name, value, "a fraction from 0 to 1"))
    }
}

/// Refuses a fraction outside 0 to 1, and one that its rounding to billionths would make 0.
pub(crate) fn counted_fraction(name: &str, value: f64) -> Result<()> {
    fraction(name, value)?;
    if value > 0.0 && billionths(value) == 0 {
        let allowed = "0, or at least a billionth: fractions are rounded to billionths";
        return Err(Error::argument(name, value, allowed));
    }
    Ok(())
}

/// Refuses 0.
pub(crate) fn positive(name: &str, value: u64) -> Result<()> {
    if value > 0 {
        Ok(())
    } else {
        Err(Error::argument(name, value, "at least 1"))
    }
}

/// Refuses a seed above [`SEED_LIMIT`].
pub(crate) fn seed(name: &str, value: u64) -> Result<()> {
    if value <= SEED_LIMIT {
        Ok(())
    } else {
        let limit = format!("a whole number up to {SEED_LIMIT}");
        Err(Error::argument(name, value, limit))
    }
}

/// Refuses more than [`TOKEN_LIMIT`] token ids; `got` describes their number, and `advice` how to
/// have fewer.
pub(crate) fn vocabulary(size: u64, got: impl Display, advice: &str) -> Result<()> {
    if size <= TOKEN_LIMIT {
        Ok(())
    } else {
        let allowed = format!("up to {TOKEN_LIMIT} tokens{advice}");
        Err(Error::argument("vocabulary", got, allowed))
    }
}

/// Multiplies two counts; refuses products above [`COUNT_LIMIT`].
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

pub(crate) const BILLION: u64 = 1_000_000_000;

/// Converts a fraction to a whole number of billionths, so that decimal fractions split counts
/// exactly.
pub(crate) fn billionths(fraction: f64) -> u64 {
    (fraction * BILLION as f64).round() as u64
}

/// Rounding of a share of a count to a whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounding {
    /// To the whole number below.
    Down,
    /// To the nearest whole number, a half up.
    Nearest,
}

impl Rounding {
    /// Returns `n * fraction` rounded, with the fraction in billionths.
    pub(crate) fn share(self, n: u64, billionths: u64) -> u64 {
        let half = match self {
            Rounding::Down => 0,
            Rounding::Nearest => BILLION / 2,
        };
        let product = u128::from(n) * u128::from(billionths) + u128::from(half);
        (product / u128::from(BILLION)) as u64
    }
}

/// Returns how many of the `exposures` copies of the fact at `rank` belong to the share: each fact
/// is within one copy of the exact share, and if all facts are written equally often, so is the
/// total of any run of ranks.
pub(crate) fn share_of_copies(rank: u64, exposures: u64, billionths: u64) -> u64 {
    // Whole billions of ranks add whole numbers to both sides of the difference. Without them the
    // products stay below 2^122; with them a rare Zipf law overflowed 2^128.
    let rank = rank % BILLION;
    let up_to = |rank: u64| {
        u128::from(rank) * u128::from(exposures) * u128::from(billionths) / u128::from(BILLION)
    };
    (up_to(rank + 1) - up_to(rank)) as u64
}

/// A share of the copies of facts whose total over all facts is a requested number: each fact is
/// within one copy of its share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quota {
    /// Share of each copy, in units of 2^-64.
    share: u128,
}

impl Quota {
    /// Creates the quota of `part` out of `whole` copies, with `part <= whole`.
    pub(crate) fn new(part: u64, whole: u64) -> Self {
        // Rounded up, by less than one copy in total: the sum, rounded down, is therefore `part`.
        Quota {
            share: (u128::from(part) << 64).div_ceil(u128::from(whole.max(1))),
        }
    }

    /// Returns the number of copies of a fact that belong to the share. If all facts have equally
    /// many copies, the sum over the ranks from 0 is `part`.
    #[inline]
    pub(crate) fn copies(self, rank: u64, exposures: u64) -> u64 {
        let each = self.share * u128::from(exposures);
        let (rank, rest) = (u128::from(rank), u128::from(each as u64));
        // The remainder of the division into whole copies is spread over the ranks.
        let left = (((rank + 1) * rest) >> 64) - ((rank * rest) >> 64);
        ((each >> 64) + left) as u64
    }
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
    fn a_number_above_its_limit_is_told_from_what_is_no_number() {
        let integer = "a whole number up to 4611686018427387904";
        let float = "a whole number up to 4611686018427387904, from 2^53 as an integer";
        for (word, limit, allowed) in [
            ("1e30", COUNT_LIMIT, Some(float)),
            ("1e400", COUNT_LIMIT, Some(float)),
            ("1E400", COUNT_LIMIT, Some(float)),
            ("1e16", COUNT_LIMIT, Some(float)),
            ("1e13", 1 << 40, Some("a whole number up to 1099511627776")),
            ("4611686018427387905", COUNT_LIMIT, Some(integer)),
            ("9_999_999_999_999_999_999_999", COUNT_LIMIT, Some(integer)),
            ("4611686018427387904", COUNT_LIMIT, None),
            ("1e8", COUNT_LIMIT, None),
            ("1.5", COUNT_LIMIT, None),
            ("-1e30", COUNT_LIMIT, None),
            ("inf", COUNT_LIMIT, None),
            ("often", COUNT_LIMIT, None),
            ("", COUNT_LIMIT, None),
        ] {
            let wanted = allowed.map(|allowed| format!("got {word}, allowed: {allowed}"));
            let refused = above(word, limit).map(|error| error.to_string());
            match (&refused, &wanted) {
                (Some(refused), Some(wanted)) => assert!(refused.ends_with(wanted), "{refused}"),
                _ => assert_eq!(refused, wanted, "{word}"),
            }
        }
    }

    #[test]
    fn shares_are_rounded_down_or_to_nearest() {
        let third = billionths(1.0 / 3.0);
        for (n, part, down, nearest) in [
            (21, third, 6, 7),
            (20, third, 6, 7),
            (19, third, 6, 6),
            (5, 500_000_000, 2, 3),
            (COUNT_LIMIT, BILLION, COUNT_LIMIT, COUNT_LIMIT),
            (COUNT_LIMIT, 0, 0, 0),
        ] {
            assert_eq!(Rounding::Down.share(n, part), down);
            assert_eq!(Rounding::Nearest.share(n, part), nearest);
        }
    }

    #[test]
    fn quotas_add_up_and_never_wrap() {
        for (facts, exposures, part) in [
            (600, 1, 240),
            (600, 2, 240),
            (1, 1, 1),
            (7, 3, 0),
            (7, 3, 21),
            (1000, 7, 3333),
            (999, 1, 998),
        ] {
            let quota = Quota::new(part, facts * exposures);
            let copies = (0..facts).map(|rank| quota.copies(rank, exposures));
            let even = exposures as f64 * part as f64 / (facts * exposures) as f64;
            assert!(copies.clone().all(|n| (n as f64 - even).abs() < 1.0));
            assert_eq!(copies.sum::<u64>(), part);
        }
        for (part, most) in [(COUNT_LIMIT, 1 << 62), (COUNT_LIMIT - 1, (1 << 62) - 1)] {
            assert_eq!(Quota::new(part, COUNT_LIMIT).copies(0, COUNT_LIMIT), most);
        }
        assert_eq!(Quota::new(1, COUNT_LIMIT).copies(u64::MAX - 1, 1 << 40), 0);
    }

    #[test]
    fn shares_of_copies_add_up_and_never_wrap() {
        for (exposures, billionths) in [(7, 300_000_000), (1, 500_000_000), (1000, 1)] {
            let total: u64 = (0..10_000)
                .map(|rank| share_of_copies(rank, exposures, billionths))
                .sum();
            assert_eq!(total, Rounding::Down.share(10_000 * exposures, billionths));
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

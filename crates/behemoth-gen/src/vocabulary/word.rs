//! Words: things written as digits, each a token.

use crate::hash::Divider;

/// Maximum number of digits of a word: a 64-bit id in base 10.
const DIGIT_LIMIT: usize = 20;

/// The form in which the ids of one kind of thing are written: a fixed number of digits, most
/// significant first, each from a separate range.
#[derive(Clone, Debug)]
pub struct Word {
    digits: usize,
    base: Divider,
    /// First token of each digit position, with the leading digit first.
    first: [u32; DIGIT_LIMIT],
    /// Number of things.
    count: u64,
}

impl Word {
    /// Creates the shortest words of `count` things in a base.
    pub(super) fn new(count: u64, base: u64) -> Self {
        Word::of_digits(count, fewest_digits(count, base), base)
    }

    /// Creates words with the lengths that they have in the reference.
    pub(super) fn of_reference(count: u64) -> Self {
        let (digits, base) = reference_digits(count);
        Word::of_digits(count, digits, base)
    }

    fn of_digits(count: u64, digits: usize, base: u64) -> Self {
        Word {
            digits,
            base: Divider::new(base),
            first: [0; DIGIT_LIMIT],
            count,
        }
    }

    /// Returns the number of different digits at a position.
    pub(super) fn digits_at(&self, position: usize) -> u64 {
        let base = self.base.divisor();
        if position > 0 {
            return base;
        }
        // The leading digit has only the values that occur.
        self.count.div_ceil(base.pow(self.digits as u32 - 1)).max(1)
    }

    /// Sets the first token of a position.
    pub(super) fn place(&mut self, position: usize, first: u32) {
        self.first[position] = first;
    }

    /// Returns the number of tokens in a word.
    pub fn len(&self) -> usize {
        self.digits
    }

    /// Returns `false`: a word is never empty.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Writes the word of `id`, which must be below the number of things, to the first [`Word::len`]
    /// elements of `out`.
    ///
    /// # Panics
    ///
    /// Panics if `out` is shorter, and may panic for any other `id`; if it does not, the tokens are
    /// meaningless.
    #[inline(always)]
    pub fn write<T: Token>(&self, id: u64, out: &mut [T]) {
        debug_assert!(id < self.count);
        let mut rest = id;
        for position in (1..self.digits).rev() {
            let (quotient, digit) = self.base.divide(rest);
            out[position] = T::from_id(self.first[position] + digit as u32);
            rest = quotient;
        }
        out[0] = T::from_id(self.first[0] + rest as u32);
    }

    /// Returns the id of a word, or `None` if the tokens are not a word.
    pub fn read(&self, tokens: &[u32]) -> Option<u64> {
        if tokens.len() != self.digits {
            return None;
        }
        let mut id = 0u64;
        for (position, &token) in tokens.iter().enumerate() {
            let digit = u64::from(token.checked_sub(self.first[position])?);
            if position > 0 && digit >= self.base.divisor() {
                return None;
            }
            id = id.checked_mul(self.base.divisor())?.checked_add(digit)?;
        }
        (id < self.count).then_some(id)
    }
}

/// An integer type that tokens are written as: `u16`, `u32` or `u64`.
pub trait Token: sealed::Stored + Copy + Default + Send + Sync + 'static {
    /// Converts a token id, which must fit.
    fn from_id(id: u32) -> Self;
    /// Size of a token in bytes.
    const BYTES: usize = std::mem::size_of::<Self>();
}

/// What only this crate calls, and no other crate can implement.
mod sealed {
    /// The form in which tokens of a type are stored.
    pub trait Stored {
        /// Type in which tokens are stored that are copied many times.
        type Kept: Copy + Send + Sync;
        /// Converts a stored token.
        fn from_kept(kept: Self::Kept) -> Self;
        /// Returns the stored tokens of this type from the same tokens in 16 bits (if they fit) and
        /// in 32.
        fn kept<'a>(small: &'a [u16], large: &'a [u32]) -> &'a [Self::Kept];
        /// Returns the id of a token.
        fn id(self) -> u32;
    }
}

/// Implements [`Token`] for a type whose tokens are stored as `$Kept`, the list `$kept`.
macro_rules! tokens {
    ($($Type:ty as $Kept:ty: |$small:ident, $large:ident| $kept:ident;)*) => {$(
        impl Token for $Type {
            #[inline(always)]
            fn from_id(id: u32) -> Self {
                id as $Type
            }
        }

        impl sealed::Stored for $Type {
            type Kept = $Kept;

            #[inline(always)]
            fn from_kept(kept: $Kept) -> Self {
                kept as $Type
            }

            #[inline(always)]
            fn kept<'a>($small: &'a [u16], $large: &'a [u32]) -> &'a [$Kept] {
                $kept
            }

            #[inline(always)]
            fn id(self) -> u32 {
                self as u32
            }
        }
    )*};
}

tokens! {
    u16 as u16: |small, _large| small;
    u32 as u32: |_small, large| large;
    u64 as u32: |_small, large| large;
}

/// Returns the minimum number of digits in which `0..count` can be written.
fn fewest_digits(count: u64, base: u64) -> usize {
    let mut digits = 1;
    let mut reach = base;
    while reach < count {
        digits += 1;
        reach = reach.saturating_mul(base);
    }
    digits
}

/// Returns the number of digits and the base of the reference: one token below 1,000; otherwise
/// two, split at 1,000 if that divides the count, and otherwise at the result of the reference's
/// search for a divisor.
fn reference_digits(count: u64) -> (usize, u64) {
    if count < 1000 {
        return (1, 1000);
    }
    if count.is_multiple_of(1000) {
        return (2, 1000);
    }
    let root = count.isqrt();
    (2, root - count % root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_the_fewest_digits() {
        for (count, digits) in [(1, 1), (999, 1), (1000, 1), (1001, 2), (1_000_000, 2)] {
            assert_eq!(fewest_digits(count, 1000), digits, "{count}");
        }
        assert_eq!(fewest_digits(1_000_001, 1000), 3);
        assert_eq!(fewest_digits(u64::MAX, 10), 20);
    }

    #[test]
    fn reference_words_split_where_the_reference_splits() {
        // Known answers from the reference's word maker.
        assert_eq!(reference_digits(400), (1, 1000));
        assert_eq!(reference_digits(1000), (2, 1000));
        assert_eq!(reference_digits(100_000), (2, 1000));
        assert_eq!(reference_digits(1500), (2, 20));
    }

    #[test]
    fn words_round_trip() {
        let mut word = Word::new(12_345, 10);
        assert_eq!(word.len(), 5);
        let mut next = 8;
        for position in 0..5 {
            word.place(position, next);
            next += word.digits_at(position) as u32;
        }
        let mut tokens = [0u32; 5];
        for id in 0..12_345 {
            word.write(id, &mut tokens);
            assert_eq!(word.read(&tokens), Some(id));
        }
        word.write(99_999 % 12_345, &mut tokens);
        tokens[0] = 8 + 9;
        assert_eq!(word.read(&tokens), None, "beyond the count");
    }

    /// Its tokens would be those of the things in the next range.
    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "id < self.count")]
    fn an_id_beyond_the_count_is_not_written() {
        Word::new(50, 1000).write(60, &mut [0u32]);
    }
}

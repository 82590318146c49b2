//! Bijections of `0..n`, used for the global shuffle and every choice of an exact number of
//! elements.
//!
//! `gfn8-v1` evaluates a permutation one index at a time, so memory is constant and any part of a
//! corpus can be generated anywhere, in any order. It is the generalised Feistel network of Black
//! and Rogaway ("Ciphers with arbitrary finite domains", 2002) on mixed radix: `a = ceil(sqrt n)`,
//! `b = ceil(n / a)`, eight alternating rounds `l = (l + f(r)) mod a`, `r = (r + f(l)) mod b`,
//! and cycle-walking while the result is not below `n`. Up to [`TABLE_LIMIT`] elements it is a
//! keyed Fisher-Yates shuffle stored as a table, exact where a Feistel network is weakest.
//!
//! Four rounds show structure in small domains: `tests/permutation.rs` applies the same chi-square
//! tests to such weak variants and requires that they fail.

use crate::hash::{Divider, Key, multiply_high};

/// Largest domain that is shuffled with a table.
pub const TABLE_LIMIT: u64 = 65_536;

/// Number of rounds of the Feistel network, fixed by format version 1.
const ROUNDS: usize = 8;

/// Largest domain for which [`Permutation::compact`] uses a table.
const COMPACT_LIMIT: u64 = 1 << 8;

/// Number of indices that are processed together, so that their multiplications overlap.
const LANES: usize = 8;

/// A bijection of `0..len`, a pure function of its key.
///
/// # Examples
///
/// ```
/// use behemoth_gen::permutation::Permutation;
/// let shuffle = Permutation::new(1_000_000, 0, "order", 0);
/// assert_eq!(shuffle.invert(shuffle.apply(7)), 7);
/// ```
#[derive(Clone, Debug)]
pub struct Permutation {
    len: u64,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Table {
        forward: Box<[u16]>,
        inverse: Box<[u16]>,
    },
    Feistel(Feistel),
}

impl Permutation {
    /// Creates the permutation of `0..len` for a seed and a purpose; `index` distinguishes several
    /// of one purpose.
    pub fn new(len: u64, seed: u64, purpose: &str, index: u64) -> Self {
        let kind = if len <= TABLE_LIMIT {
            fisher_yates(len as usize, Key::new(seed, purpose, index))
        } else {
            Kind::Feistel(Feistel::new(len, seed, purpose, index, ROUNDS))
        };
        Permutation { len, kind }
    }

    /// Like [`Permutation::new`], for use with many permutations: only the smallest are tables.
    pub(crate) fn compact(len: u64, seed: u64, purpose: &str, index: u64) -> Self {
        if len <= COMPACT_LIMIT {
            return Permutation::new(len, seed, purpose, index);
        }
        let kind = Kind::Feistel(Feistel::new(len, seed, purpose, index, ROUNDS));
        Permutation { len, kind }
    }

    /// Creates a Feistel network of any size and number of rounds, for the tests that justify eight
    /// rounds.
    #[doc(hidden)]
    pub fn feistel(len: u64, seed: u64, rounds: usize) -> Self {
        Permutation {
            len,
            kind: Kind::Feistel(Feistel::new(len, seed, "feistel", 0, rounds)),
        }
    }

    /// Returns the number of elements.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Returns the image of `x`, which must be below `len`.
    ///
    /// # Panics
    ///
    /// May panic for any other `x`; if it does not, the result is meaningless.
    #[inline]
    pub fn apply(&self, x: u64) -> u64 {
        debug_assert!(x < self.len);
        match &self.kind {
            Kind::Table { forward, .. } => u64::from(forward[x as usize]),
            Kind::Feistel(feistel) => feistel.apply(x),
        }
    }

    /// Returns the element whose image is `y`, which must be below `len`.
    ///
    /// # Panics
    ///
    /// May panic for any other `y`; if it does not, the result is meaningless.
    #[inline]
    pub fn invert(&self, y: u64) -> u64 {
        debug_assert!(y < self.len);
        match &self.kind {
            Kind::Table { inverse, .. } => u64::from(inverse[y as usize]),
            Kind::Feistel(feistel) => feistel.invert(y),
        }
    }

    /// Replaces each value, which must be below `len`, with its image.
    ///
    /// # Panics
    ///
    /// May panic for any other value; if it does not, the result is meaningless.
    pub fn apply_each(&self, values: &mut [u64]) {
        match &self.kind {
            Kind::Table { forward, .. } => {
                for value in values {
                    *value = u64::from(forward[*value as usize]);
                }
            }
            Kind::Feistel(feistel) => feistel.apply_each(values),
        }
    }

    /// Replaces each value, which must be below `len`, with the element whose image it is.
    ///
    /// # Panics
    ///
    /// May panic for any other value; if it does not, the result is meaningless.
    pub fn invert_each(&self, values: &mut [u64]) {
        match &self.kind {
            Kind::Table { inverse, .. } => {
                for value in values {
                    *value = u64::from(inverse[*value as usize]);
                }
            }
            Kind::Feistel(feistel) => feistel.invert_each(values),
        }
    }

    /// Writes the images of `start..start + out.len()`, which must be at most `len`, to `out`.
    ///
    /// # Panics
    ///
    /// May panic for any other range; if it does not, the result is meaningless.
    pub fn apply_range(&self, start: u64, out: &mut [u64]) {
        debug_assert!(start + out.len() as u64 <= self.len);
        match &self.kind {
            Kind::Table { forward, .. } => {
                for (y, x) in out.iter_mut().zip(&forward[start as usize..]) {
                    *y = u64::from(*x);
                }
            }
            Kind::Feistel(feistel) => feistel.apply_range(start, out),
        }
    }
}

fn fisher_yates(len: usize, key: Key) -> Kind {
    let mut forward: Box<[u16]> = (0..len).map(|x| x as u16).collect();
    for i in (1..len).rev() {
        let j = multiply_high(key.hash(i as u64), i as u64 + 1) as usize;
        forward.swap(i, j);
    }
    let mut inverse = vec![0u16; len].into_boxed_slice();
    for (x, &y) in forward.iter().enumerate() {
        inverse[usize::from(y)] = x as u16;
    }
    Kind::Table { forward, inverse }
}

#[derive(Clone, Debug)]
struct Feistel {
    len: u64,
    /// Radix of the left half, `ceil(sqrt len)`.
    a: u64,
    by_a: Divider,
    /// Radix of the right half, `ceil(len / a)`.
    b: u64,
    keys: Vec<Key>,
}

impl Feistel {
    fn new(len: u64, seed: u64, purpose: &str, index: u64, rounds: usize) -> Self {
        let len_or_one = len.max(1);
        let root = len_or_one.isqrt();
        let a = if root * root < len_or_one {
            root + 1
        } else {
            root
        };
        let b = len_or_one.div_ceil(a);
        let keys = (0..rounds as u64)
            .map(|round| Key::new(seed, purpose, (index << 8) | (round + 1)))
            .collect();
        Feistel {
            len,
            a,
            by_a: Divider::new(a),
            b,
            keys,
        }
    }

    /// Applies all rounds to `N` independent pairs of halves.
    #[inline(always)]
    fn rounds<const N: usize>(&self, l: &mut [u64; N], r: &mut [u64; N]) {
        for pair in self.keys.chunks_exact(2) {
            for i in 0..N {
                l[i] = add_modulo(l[i], multiply_high(pair[0].hash(r[i]), self.a), self.a);
            }
            for i in 0..N {
                r[i] = add_modulo(r[i], multiply_high(pair[1].hash(l[i]), self.b), self.b);
            }
        }
    }

    #[inline]
    fn apply(&self, x: u64) -> u64 {
        let mut x = x;
        loop {
            let (quotient, remainder) = self.by_a.divide(x);
            let (mut l, mut r) = ([remainder], [quotient]);
            self.rounds(&mut l, &mut r);
            x = r[0] * self.a + l[0];
            if x < self.len {
                return x;
            }
        }
    }

    /// Reverts all rounds on `N` independent pairs of halves.
    #[inline(always)]
    fn rounds_back<const N: usize>(&self, l: &mut [u64; N], r: &mut [u64; N]) {
        for pair in self.keys.chunks_exact(2).rev() {
            for i in 0..N {
                r[i] = subtract_modulo(r[i], multiply_high(pair[1].hash(l[i]), self.b), self.b);
            }
            for i in 0..N {
                l[i] = subtract_modulo(l[i], multiply_high(pair[0].hash(r[i]), self.a), self.a);
            }
        }
    }

    fn invert(&self, y: u64) -> u64 {
        let mut y = y;
        loop {
            let (quotient, remainder) = self.by_a.divide(y);
            let (mut l, mut r) = ([remainder], [quotient]);
            self.rounds_back(&mut l, &mut r);
            y = r[0] * self.a + l[0];
            if y < self.len {
                return y;
            }
        }
    }

    fn invert_each(&self, values: &mut [u64]) {
        // All lanes take longer than one.
        if let [value] = values {
            *value = self.invert(*value);
            return;
        }
        for chunk in values.chunks_mut(LANES) {
            let (mut l, mut r) = self.split(chunk);
            self.rounds_back(&mut l, &mut r);
            for (i, x) in chunk.iter_mut().enumerate() {
                let y = r[i] * self.a + l[i];
                *x = if y < self.len { y } else { self.invert(y) };
            }
        }
    }

    #[inline(always)]
    fn split(&self, chunk: &[u64]) -> ([u64; LANES], [u64; LANES]) {
        let (mut l, mut r) = ([0; LANES], [0; LANES]);
        for (i, &x) in chunk.iter().enumerate() {
            (r[i], l[i]) = self.by_a.divide(x);
        }
        (l, r)
    }

    fn apply_each(&self, values: &mut [u64]) {
        if let [value] = values {
            *value = self.apply(*value);
            return;
        }
        for chunk in values.chunks_mut(LANES) {
            let (mut l, mut r) = self.split(chunk);
            self.rounds(&mut l, &mut r);
            self.join(&l, &r, chunk);
        }
    }

    /// Joins halves; results outside the domain, at most one index in sqrt(len), continue
    /// cycle-walking.
    #[inline(always)]
    fn join(&self, l: &[u64; LANES], r: &[u64; LANES], out: &mut [u64]) {
        for (i, y) in out.iter_mut().enumerate() {
            let x = r[i] * self.a + l[i];
            *y = if x < self.len { x } else { self.apply(x) };
        }
    }

    fn apply_range(&self, start: u64, out: &mut [u64]) {
        // For consecutive indices the mixed-radix digits are incremented, which avoids the
        // division.
        let (mut next_l, mut next_r) = (start % self.a, start / self.a);
        let mut step = || {
            let at = (next_l, next_r);
            next_l += 1;
            if next_l == self.a {
                next_l = 0;
                next_r += 1;
            }
            at
        };
        for chunk in out.chunks_mut(LANES) {
            let (mut l, mut r) = ([0; LANES], [0; LANES]);
            for i in 0..chunk.len() {
                (l[i], r[i]) = step();
            }
            self.rounds(&mut l, &mut r);
            self.join(&l, &r, chunk);
        }
    }
}

/// Returns `(x + y) mod m` for `x, y < m`.
#[inline(always)]
fn add_modulo(x: u64, y: u64, m: u64) -> u64 {
    let sum = x + y;
    if sum >= m { sum - m } else { sum }
}

/// Returns `(x - y) mod m` for `x, y < m`.
#[inline(always)]
fn subtract_modulo(x: u64, y: u64, m: u64) -> u64 {
    if x >= y { x - y } else { x + m - y }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(permutation: &Permutation) -> Vec<u64> {
        (0..permutation.len())
            .map(|x| permutation.apply(x))
            .collect()
    }

    #[test]
    fn golden_values() {
        let table: Vec<u64> = images(&Permutation::new(8, 0, "golden", 0));
        assert_eq!(table, [3, 4, 5, 2, 0, 1, 6, 7], "{table:?}");
        let feistel = Permutation::new(1_000_000_007, 0, "golden", 0);
        let seen: Vec<u64> = [0, 1, 2, 1_000_000_006].map(|x| feistel.apply(x)).to_vec();
        assert_eq!(
            seen,
            [960_642_352, 7_740_914, 849_177_394, 108_012_402],
            "{seen:?}"
        );
    }

    #[test]
    fn the_ways_to_apply_agree() {
        for len in [10, 65_536, 65_537, 100_003, 1 << 40] {
            let permutation = Permutation::new(len, 4, "range", 0);
            let mut out = vec![0; 9.min(len as usize)];
            for start in [0, len / 2, len - out.len() as u64] {
                permutation.apply_range(start.min(len - out.len() as u64), &mut out);
                let first = start.min(len - out.len() as u64);
                for (i, &y) in out.iter().enumerate() {
                    assert_eq!(y, permutation.apply(first + i as u64));
                    assert_eq!(permutation.invert(y), first + i as u64);
                }
                let images = out.clone();
                permutation.invert_each(&mut out);
                assert_eq!(out[0], first);
                permutation.apply_each(&mut out);
                assert_eq!(out, images);
                // One value has a path of its own.
                permutation.invert_each(&mut out[..1]);
                assert_eq!(out[0], first);
                permutation.apply_each(&mut out[..1]);
                assert_eq!(out, images);
            }
        }
    }
}

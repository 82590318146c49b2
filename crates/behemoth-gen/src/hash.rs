//! Keys and counter-based hashing, the only source of randomness.
//!
//! Nothing is drawn from a sequential generator. A [`Key`] is a BLAKE3 digest of (seed, purpose,
//! index); a draw is a hash of (key, ids) that costs two multiplications. Every draw can therefore
//! be computed separately, in any order, on any thread, and a key never depends on the rest of a
//! spec: two worlds that differ in one setting share everything that the setting does not affect.

/// Odd constants of the two multiplications; part of format version 1.
const FIRST: u64 = 0x9E37_79B9_7F4A_7C15;
const SECOND: u64 = 0xD6E8_FEB8_6659_FD93;

/// A keyed hash function from integers to uniform 64-bit integers.
///
/// # Examples
///
/// ```
/// use behemoth_gen::hash::Key;
/// let key = Key::new(0, "example", 0);
/// assert_eq!(key.hash(7), Key::new(0, "example", 0).hash(7));
/// assert_ne!(key.hash(7), Key::new(1, "example", 0).hash(7));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    first: u64,
    second: u64,
}

impl Key {
    /// Creates the key of a purpose: BLAKE3 over the format's name, `seed`, `index` and `purpose`.
    ///
    /// `index` distinguishes keys of one purpose (a relation, a Feistel round).
    pub fn new(seed: u64, purpose: &str, index: u64) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"behemoth-v1");
        hasher.update(&seed.to_le_bytes());
        hasher.update(&index.to_le_bytes());
        hasher.update(purpose.as_bytes());
        let digest = hasher.finalize();
        let word = |at: usize| {
            let mut bytes = [0u8; 8];
            bytes.copy_from_slice(&digest.as_bytes()[at..at + 8]);
            u64::from_le_bytes(bytes)
        };
        Key {
            first: word(0),
            second: word(8),
        }
    }

    /// Hashes one integer to 64 uniform bits.
    ///
    /// Two folded multiplications: the high half of each 128-bit product is not discarded but XORed
    /// onto the low half, so every input bit reaches every output bit. Shifts between two plain
    /// multiplications cost the same and left the bits from 45 up visibly biased.
    #[inline(always)]
    pub fn hash(self, x: u64) -> u64 {
        fold(fold(x ^ self.first, FIRST) ^ self.second, SECOND)
    }

    /// Hashes an ordered pair of integers to 64 uniform bits.
    ///
    /// The first id is hashed completely before the second is added, so no two pairs collide by
    /// arithmetic (as they would with `x + c * y`).
    #[inline(always)]
    pub fn hash_pair(self, x: u64, y: u64) -> u64 {
        self.hash(self.hash(x) ^ y)
    }
}

/// Returns the XOR of the two halves of a 128-bit product.
#[inline(always)]
fn fold(x: u64, y: u64) -> u64 {
    let product = u128::from(x) * u128::from(y);
    (product >> 64) as u64 ^ product as u64
}

/// Returns the high 64 bits of a 128-bit product, which maps a uniform `x` to `0..n` without a
/// division.
#[inline(always)]
pub fn multiply_high(x: u64, n: u64) -> u64 {
    ((u128::from(x) * u128::from(n)) >> 64) as u64
}

/// Division by a fixed number, computed by multiplication.
///
/// A 64-bit division costs 15 to 18 cycles of latency on current cores, and a sentence needs
/// three; the reciprocal costs 5 and pipelines.
#[derive(Clone, Copy, Debug)]
pub struct Divider {
    divisor: u64,
    reciprocal: u64,
}

impl Divider {
    /// Prepares the division by `divisor`.
    ///
    /// # Panics
    ///
    /// Panics if `divisor` is 0.
    pub fn new(divisor: u64) -> Self {
        assert!(divisor > 0, "division by zero");
        // floor(2^64 / divisor), or 2^64 - 1 for 1: the quotient estimate in `divide` is then exact
        // or one too small, for every 64-bit dividend.
        let reciprocal = if divisor == 1 {
            u64::MAX
        } else {
            ((1u128 << 64) / u128::from(divisor)) as u64
        };
        Divider {
            divisor,
            reciprocal,
        }
    }

    /// Returns the divisor.
    pub fn divisor(self) -> u64 {
        self.divisor
    }

    /// Returns the quotient and the remainder of `x`.
    #[inline(always)]
    pub fn divide(self, x: u64) -> (u64, u64) {
        let quotient = multiply_high(x, self.reciprocal);
        let remainder = x - quotient * self.divisor;
        let over = remainder >= self.divisor;
        (
            quotient + u64::from(over),
            remainder - if over { self.divisor } else { 0 },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_values() {
        let key = Key::new(0, "golden", 0);
        let seen: Vec<u64> = [0, 1, u64::MAX].map(|x| key.hash(x)).to_vec();
        assert_eq!(seen, GOLDEN, "the hash is part of the format: {seen:#x?}");
    }
    const GOLDEN: [u64; 3] = [
        0xbdd5_297f_2865_1810,
        0x2de1_dbfc_ebbd_dbe0,
        0x4605_de9b_d5ab_f1ff,
    ];

    #[test]
    fn divider_equals_division() {
        let key = Key::new(3, "divider", 0);
        for d in (1..200).chain([1 << 32, u64::MAX, u64::MAX - 1, (1 << 63) + 1]) {
            let divider = Divider::new(d);
            for i in 0..200u64 {
                for x in [i, key.hash(i), key.hash(i) >> 32, u64::MAX - i] {
                    assert_eq!(divider.divide(x), (x / d, x % d), "{x} / {d}");
                }
            }
        }
    }

    #[test]
    fn every_input_bit_flips_every_output_bit_about_half_the_time() {
        // 4,096 trials a cell; 5.5 sigma over 4,096 cells: false alarm below 2e-4, seed fixed.
        let key = Key::new(1, "avalanche", 0);
        for bit in 0..64 {
            let mut flips = [0u32; 64];
            for i in 0..4096u64 {
                let x = Key::new(2, "inputs", 0).hash(i);
                let change = key.hash(x) ^ key.hash(x ^ (1 << bit));
                for (out, count) in flips.iter_mut().enumerate() {
                    *count += ((change >> out) & 1) as u32;
                }
            }
            for (out, &count) in flips.iter().enumerate() {
                assert!(
                    (f64::from(count) - 2048.0).abs() < 5.5 * 32.0,
                    "input bit {bit}, output bit {out}: {count} of 4096"
                );
            }
        }
    }
}

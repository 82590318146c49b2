//! Weighted and binary draws, and the logarithm of factorials.

use crate::error::Result;
use crate::memory::room_for;

/// Walker's alias method: one multiplication and one comparison for a draw from any weights (A. J.
/// Walker, "An efficient method for generating discrete random variables", 1977).
#[derive(Clone, Debug)]
pub(crate) struct Alias {
    /// For each cell, the threshold below which the cell is kept. Two lists, since a list of pairs
    /// would need a third more memory.
    keep: Vec<u64>,
    /// For each cell, the alternative.
    other: Vec<u32>,
}

impl Alias {
    /// Creates the table from a few weights; see [`Alias::of_many`].
    pub(crate) fn new(weights: impl Iterator<Item = f64>) -> Self {
        let weights: Vec<f64> = weights.collect();
        Alias::of_many("weights", weights.into_iter()).expect("room for few weights")
    }

    /// Creates the table from weights, at least one of them positive, none negative; refuses
    /// `argument` if memory is insufficient. Bit-exact on every machine: only IEEE additions,
    /// subtractions, multiplications, divisions and comparisons in a fixed order.
    #[allow(clippy::indexing_slicing)] // only with indices of its own lists
    pub(crate) fn of_many(
        argument: &str,
        weights: impl ExactSizeIterator<Item = f64>,
    ) -> Result<Self> {
        let n = weights.len();
        let count = n as u64;
        let mut scaled: Vec<f64> = room_for(argument, count, "weights")?;
        let mut keep: Vec<u64> = room_for(argument, count, "weights")?;
        let mut other: Vec<u32> = room_for(argument, count, "weights")?;
        // Cells below and above the mean; a cell is in one of the two stacks.
        let mut small: Vec<u32> = room_for(argument, count, "weights")?;
        let mut large: Vec<u32> = room_for(argument, count, "weights")?;
        scaled.extend(weights);
        let sum: f64 = scaled.iter().sum();
        for weight in &mut scaled {
            *weight = *weight / sum * n as f64;
        }
        keep.resize(n, u64::MAX);
        other.extend(0..n as u32);
        for (cell, &weight) in (0..).zip(&scaled) {
            let stack = if weight < 1.0 { &mut small } else { &mut large };
            stack.push(cell);
        }
        while let (Some(&s), Some(&l)) = (small.last(), large.last()) {
            small.pop();
            keep[s as usize] = (scaled[s as usize] * 18_446_744_073_709_551_616.0) as u64;
            other[s as usize] = l;
            scaled[l as usize] -= 1.0 - scaled[s as usize];
            if scaled[l as usize] < 1.0 {
                large.pop();
                small.push(l);
            }
        }
        Ok(Alias { keep, other })
    }

    /// Returns the index drawn by 64 uniform bits: the high half of the product selects the cell,
    /// the low half decides between the cell and its alternative.
    #[inline(always)]
    #[allow(clippy::indexing_slicing)] // the high half of a product with n is below n
    pub(crate) fn draw(&self, uniform: u64) -> u32 {
        let product = u128::from(uniform) * self.keep.len() as u128;
        let cell = (product >> 64) as usize;
        if (product as u64) < self.keep[cell] {
            cell as u32
        } else {
            self.other[cell]
        }
    }
}

/// A probability as a threshold on 64 uniform bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Threshold {
    bits: u64,
    always: bool,
}

impl Threshold {
    pub(crate) fn new(probability: f64) -> Self {
        Threshold {
            // `as` saturates: a probability of 1 would miss one draw in 2^64 without `always`.
            bits: (probability * 18_446_744_073_709_551_616.0) as u64,
            always: probability >= 1.0,
        }
    }

    #[inline(always)]
    pub(crate) fn passes(self, uniform: u64) -> bool {
        uniform < self.bits || self.always
    }
}

/// Returns log2(n!).
pub(crate) fn log2_factorial(n: f64) -> f64 {
    libm::lgamma(n + 1.0) / std::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_weights_than_memory_are_refused() {
        let weights = (0..1usize << 60).map(|_| 1.0);
        assert_eq!(
            Alias::of_many("objects", weights).unwrap_err().to_string(),
            "argument 'objects': got 1152921504606846976 weights, allowed: as many weights as fit \
             in memory"
        );
        let alias = Alias::new([0.0, 3.0, 1.0].into_iter());
        let drawn = (0..1u64 << 10).map(|high| alias.draw(high << 54));
        assert_eq!(drawn.filter(|&drawn| drawn == 1).count(), 768);
    }
}

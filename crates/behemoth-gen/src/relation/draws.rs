//! Weighted and binary draws, and the logarithm of factorials.

/// Walker's alias method: one multiplication and one comparison for a draw from any weights (A. J.
/// Walker, "An efficient method for generating discrete random variables", 1977).
#[derive(Clone, Debug)]
pub(crate) struct Alias {
    /// For each cell, the threshold below which the cell is kept, and the alternative.
    cells: Vec<(u64, u32)>,
}

impl Alias {
    /// Creates the table from weights, at least one of them positive, none negative. Bit-exact on
    /// every machine: only IEEE additions, subtractions, multiplications, divisions and comparisons
    /// in a fixed order.
    #[allow(clippy::indexing_slicing)] // only with indices of its own lists
    pub(crate) fn new(weights: impl Iterator<Item = f64>) -> Self {
        let mut scaled: Vec<f64> = weights.collect();
        let sum: f64 = scaled.iter().sum();
        let n = scaled.len();
        for weight in &mut scaled {
            *weight = *weight / sum * n as f64;
        }
        let mut cells = vec![(u64::MAX, 0u32); n];
        for (i, cell) in cells.iter_mut().enumerate() {
            cell.1 = i as u32;
        }
        let (mut small, mut large): (Vec<u32>, Vec<u32>) =
            (0..n as u32).partition(|&i| scaled[i as usize] < 1.0);
        while let (Some(&s), Some(&l)) = (small.last(), large.last()) {
            small.pop();
            cells[s as usize] = (
                (scaled[s as usize] * 18_446_744_073_709_551_616.0) as u64,
                l,
            );
            scaled[l as usize] -= 1.0 - scaled[s as usize];
            if scaled[l as usize] < 1.0 {
                large.pop();
                small.push(l);
            }
        }
        Alias { cells }
    }

    /// Returns the index drawn by 64 uniform bits: the high half of the product selects the cell,
    /// the low half decides between the cell and its alternative.
    #[inline(always)]
    #[allow(clippy::indexing_slicing)] // the high half of a product with n is below n
    pub(crate) fn draw(&self, uniform: u64) -> u32 {
        let product = u128::from(uniform) * self.cells.len() as u128;
        let cell = (product >> 64) as usize;
        let (keep, other) = self.cells[cell];
        if (product as u64) < keep {
            cell as u32
        } else {
            other
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

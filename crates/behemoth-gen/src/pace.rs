//! How much to do between two checks for Ctrl-C, where nothing says how long it takes.

use std::time::Duration;

/// Time between two checks, about.
const PIECE: Duration = Duration::from_millis(50);

/// The number of items to process before the next check.
pub(crate) struct Pace {
    /// The number.
    pub(crate) next: u64,
    /// Its maximum.
    pub(crate) most: u64,
}

impl Pace {
    /// Takes the time of the last `next` items into account.
    pub(crate) fn took(&mut self, time: Duration) {
        let fitting = u128::from(self.next) * PIECE.as_nanos() / time.as_nanos().max(1);
        // At most twice as many, since the next may take longer.
        let most = self.most.min(2 * self.next);
        self.next = fitting.clamp(1, most.into()) as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_time_that_items_take() {
        let mut pace = Pace { next: 1, most: 100 };
        let times = [1, 0, 1, 1, 1, 1, 1, 1, 100, 50, 500, 10_000, 10_000, 40];
        let numbers = times.map(|milliseconds| {
            pace.took(Duration::from_millis(milliseconds));
            pace.next
        });
        assert_eq!(numbers, [2, 4, 8, 16, 32, 64, 100, 100, 50, 50, 5, 1, 1, 1]);
    }
}

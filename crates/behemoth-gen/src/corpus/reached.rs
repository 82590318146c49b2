//! Places in the stream of tokens where calls ended, from which later calls go on.

use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard};

use super::emit::Mark;

/// Maximum number of places. With one alone, threads that read pieces of 32k tokens took each
/// other's: documents of 500 tokens then took six times as long.
const PLACES: usize = 64;

/// The last places: one for each thread that reads the stream in pieces, and some that nobody asks
/// for again.
#[derive(Debug, Default)]
pub(super) struct Reached(Mutex<Vec<Mark>>);

impl Reached {
    /// Takes the last place within a range of tokens.
    pub(super) fn take(&self, tokens: RangeInclusive<u64>) -> Option<Mark> {
        let mut marks = self.marks();
        let within = (0..marks.len()).filter(|&at| tokens.contains(&marks[at].token));
        let last = within.max_by_key(|&at| marks[at].token);
        last.map(|at| marks.remove(at))
    }

    /// Keeps a place, instead of the oldest if there are too many.
    pub(super) fn keep(&self, mark: Mark) {
        let mut marks = self.marks();
        if marks.len() == PLACES {
            marks.remove(0);
        }
        marks.push(mark);
    }

    fn marks(&self) -> MutexGuard<'_, Vec<Mark>> {
        self.0.lock().expect("no thread panics")
    }
}

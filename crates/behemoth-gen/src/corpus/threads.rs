//! Long calls: their threads, how far they have come, and whether they should stop.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::error::{Error, Result};

/// How far a long call has come, and whether it should stop; shared with the caller.
#[derive(Debug, Default)]
pub struct Progress {
    /// Units done (bytes or tokens, as the call says).
    pub done: AtomicU64,
    /// Set to make the call stop with [`Error::Cancelled`].
    pub cancel: AtomicBool,
}

impl Progress {
    pub(crate) fn add(&self, n: u64) -> Result<()> {
        self.done.fetch_add(n, Ordering::Relaxed);
        if self.cancel.load(Ordering::Relaxed) {
            Err(Error::Cancelled)
        } else {
            Ok(())
        }
    }
}

/// `threads`, or all there are for 0.
pub(crate) fn threads_or_all(threads: usize) -> usize {
    if threads > 0 {
        threads
    } else {
        std::thread::available_parallelism().map_or(1, usize::from)
    }
}

/// Runs `work` on so many threads and gives the first error.
pub(crate) fn on_threads(threads: usize, work: impl Fn() -> Result<()> + Sync) -> Result<()> {
    let threads = threads_or_all(threads);
    if threads == 1 {
        return work();
    }
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(&work)).collect();
        let mut result = Ok(());
        for handle in handles {
            let this = match handle.join() {
                Ok(this) => this,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            result = result.and(this);
        }
        result
    })
}

//! Threads, progress and cancellation of long calls.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::error::{Error, Result};

/// Progress of a long call and a flag to cancel it, shared with the caller.
#[derive(Debug, Default)]
pub struct Progress {
    /// Number of units done; each call documents its unit.
    pub done: AtomicU64,
    /// Set to `true` to make the call return [`Error::Cancelled`].
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

/// Returns `threads`, or the number of cores for 0.
pub(crate) fn threads_or_all(threads: usize) -> usize {
    if threads > 0 {
        threads
    } else {
        std::thread::available_parallelism().map_or(1, usize::from)
    }
}

/// Runs `work` on a number of threads (0: one per core); returns the error of the first thread that
/// failed, in order of threads.
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

//! Threads, progress and cancellation of long calls.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

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

/// Maximum number of threads of a call: more than any machine has use for.
const THREAD_LIMIT: usize = 1024;

/// Returns `threads` up to [`THREAD_LIMIT`], or the number of cores for 0.
pub(crate) fn threads_or_all(threads: usize) -> usize {
    let threads = match threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        asked => asked,
    };
    threads.min(THREAD_LIMIT)
}

/// Calls `each` for every number below `count` on up to `threads` threads (0: one per core), which
/// take the numbers in turn, each with a state from `set_up`. After an error, threads finish their
/// numbers and take no more; returns the error of the first thread that failed, in order of
/// threads.
pub(crate) fn in_turn<S>(
    threads: usize,
    count: usize,
    set_up: impl Fn() -> S + Sync,
    each: impl Fn(&mut S, usize) -> Result<()> + Sync,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<()> {
        let mut state = set_up();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return Ok(());
            }
            each(&mut state, number).inspect_err(|_| next.store(count, Ordering::Relaxed))?;
        }
    };
    match threads_or_all(threads).min(count) {
        0 => Ok(()),
        1 => work(),
        threads => on_threads(threads, work),
    }
}

/// Runs `work` on this thread and on others, fewer than asked for if the system has no more.
fn on_threads(threads: usize, work: impl Fn() -> Result<()> + Sync) -> Result<()> {
    std::thread::scope(|scope| {
        let other = || std::thread::Builder::new().spawn_scoped(scope, &work);
        let others: Vec<_> = (1..threads).map_while(|_| other().ok()).collect();
        let mut result = work();
        for handle in others {
            let this = match handle.join() {
                Ok(this) => this,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            result = result.and(this);
        }
        result
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_its_turn_and_none_after_an_error() {
        for threads in [1, 3, 100_000] {
            let taken = AtomicUsize::new(0);
            let sum = AtomicUsize::new(0);
            let set_up = || taken.fetch_add(1, Ordering::Relaxed);
            in_turn(threads, 1000, set_up, |_, number| {
                sum.fetch_add(number, Ordering::Relaxed);
                Ok(())
            })
            .unwrap();
            assert_eq!(sum.into_inner(), 499_500);
            assert!((1..=threads.min(1000)).contains(&taken.into_inner()));
            let calls = AtomicUsize::new(0);
            let stopped = in_turn(
                threads,
                usize::MAX / 2,
                || (),
                |(), number| {
                    calls.fetch_add(1, Ordering::Relaxed);
                    if number == 7 {
                        Err(Error::Cancelled)
                    } else {
                        Ok(())
                    }
                },
            );
            assert!(matches!(stopped, Err(Error::Cancelled)));
            assert!(calls.into_inner() >= 8);
        }
        in_turn(4, 0, || panic!("no work, no thread"), |(), _| Ok(())).unwrap();
    }
}

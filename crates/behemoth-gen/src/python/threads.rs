//! Long calls, on separate threads with the interpreter released.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use crate::corpus::Progress;
use crate::pace::Pace;

/// Maximum number of facts processed between two checks for Ctrl-C.
const FACTS_AT_ONCE: u64 = 1 << 18;

/// Number of facts that are processed first, without knowing how long they take.
const FACTS_AT_FIRST: u64 = 1 << 10;

/// Wakes the calling thread on drop, when the work returns or panics.
struct Wake<'a> {
    finished: &'a AtomicBool,
    caller: std::thread::Thread,
}

impl Drop for Wake<'_> {
    fn drop(&mut self) {
        self.finished.store(true, Ordering::Release);
        self.caller.unpark();
    }
}

/// Runs `work` on a thread while this one reports progress and checks for Ctrl-C; if the system has
/// no more threads, on this one, without either.
pub(super) fn run<R: Send>(
    py: Python<'_>,
    total: u64,
    callback: Option<&Bound<'_, PyAny>>,
    work: impl FnOnce(&Progress) -> crate::Result<R> + Send,
) -> PyResult<R> {
    let progress = Progress::default();
    let finished = AtomicBool::new(false);
    let caller = std::thread::current();
    let mut interrupt: Option<PyErr> = None;
    // A thread that is not started drops its closure, but the work must remain.
    let work = Mutex::new(Some(work));
    let take = || work.lock().expect("no panic").take().expect("taken once");
    let result = std::thread::scope(|scope| {
        let (progress, finished, take) = (&progress, &finished, &take);
        let started = std::thread::Builder::new().spawn_scoped(scope, move || {
            // Also if `work` panics: the caller must not wait forever.
            let _wake = Wake { finished, caller };
            take()(progress)
        });
        let Ok(handle) = started else {
            return Ok(py.detach(|| take()(progress)));
        };
        let mut reported = u64::MAX;
        loop {
            py.detach(|| std::thread::park_timeout(Duration::from_millis(100)));
            let is_finished = finished.load(Ordering::Acquire);
            let done = progress.done.load(Ordering::Relaxed);
            let mut tell = || -> PyResult<()> {
                py.check_signals()?;
                if let Some(callback) = callback
                    && done != reported
                {
                    reported = done;
                    callback.call1((done, total))?;
                }
                Ok(())
            };
            if interrupt.is_none()
                && let Err(error) = tell()
            {
                progress.cancel.store(true, Ordering::Relaxed);
                interrupt = Some(error);
            }
            if is_finished {
                break;
            }
        }
        handle.join()
    });
    if let Some(error) = interrupt {
        return Err(error);
    }
    match result {
        Ok(result) => Ok(result?),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Processes `count` items in pieces with the interpreter released, and checks for Ctrl-C between
/// them. How many the next piece has is decided by the time that the last one took.
pub(super) fn in_pieces(
    py: Python<'_>,
    count: usize,
    mut piece: impl FnMut(Range<usize>) -> crate::Result<()> + Send,
) -> PyResult<()> {
    let mut pace = Pace {
        next: FACTS_AT_FIRST,
        most: FACTS_AT_ONCE,
    };
    let mut first = 0;
    while first < count {
        let last = (first + pace.next as usize).min(count);
        let time = py.detach(|| -> crate::Result<Duration> {
            let began = Instant::now();
            piece(first..last)?;
            Ok(began.elapsed())
        })?;
        py.check_signals()?;
        pace.took(time);
        first = last;
    }
    Ok(())
}

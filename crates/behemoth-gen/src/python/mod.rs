//! The Python module `behemoth._gen`: with its two parts the only code that knows Python.
//!
//! Specs come as JSON text, arrays as numpy arrays of exactly the dtype the stub names. Long calls
//! run on a thread of their own with the interpreter released; the calling thread wakes ten times
//! a second to report progress and to look for Ctrl-C.

mod corpus;
mod world;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use numpy::{Element, PyReadonlyArray1};
use pyo3::exceptions::{PyKeyboardInterrupt, PyOSError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};

use self::corpus::Corpus;
use self::world::World;
use crate::corpus::Progress;
use crate::error::Error;
use crate::world::World as EngineWorld;

// Python defines the errors, so that what is refused there and here is one class.
pyo3::import_exception!(behemoth.support.errors, ArgumentError);
pyo3::import_exception!(behemoth.support.errors, CorpusError);

/// Calls that make fewer tokens than this are not worth a thread.
const SMALL_CALL: usize = 1 << 20;

/// Facts handled between two looks at Ctrl-C.
const FACTS_AT_ONCE: usize = 1 << 18;

impl From<Error> for PyErr {
    fn from(error: Error) -> PyErr {
        let message = error.to_string();
        match error {
            Error::Argument { name, got, allowed } => {
                Python::attach(
                    |py| match PyTuple::new(py, name.split('.').collect::<Vec<_>>()) {
                        Ok(path) => ArgumentError::new_err((path.unbind(), got, allowed)),
                        Err(error) => error,
                    },
                )
            }
            Error::Corpus { .. } => CorpusError::new_err(message),
            Error::Cancelled => PyKeyboardInterrupt::new_err(message),
            // OSError picks its own subclass (PermissionError, ...) from the number.
            Error::Io {
                source,
                path,
                action,
            } => {
                let number = source.raw_os_error().unwrap_or(5);
                let reason = format!("cannot {action}: {source}");
                PyOSError::new_err((number, reason, path.display().to_string()))
            }
            Error::Disk { path, .. } => {
                let number = rustix::io::Errno::NOSPC.raw_os_error();
                PyOSError::new_err((number, message, path.display().to_string()))
            }
        }
    }
}

/// Wakes the calling thread when the work is over, however it ends.
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

/// Runs `work` on a thread while this one reports progress and looks for Ctrl-C.
fn run<R: Send>(
    py: Python<'_>,
    total: u64,
    callback: Option<&Bound<'_, PyAny>>,
    work: impl FnOnce(&Progress) -> crate::Result<R> + Send,
) -> PyResult<R> {
    let progress = Progress::default();
    let finished = AtomicBool::new(false);
    let caller = std::thread::current();
    let mut interrupt: Option<PyErr> = None;
    let result = std::thread::scope(|scope| {
        let (progress, finished) = (&progress, &finished);
        let handle = scope.spawn(move || {
            // Also when `work` panics: the caller must not wait for ever.
            let _wake = Wake { finished, caller };
            work(progress)
        });
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

/// Makes `count` things in pieces, released, with a look at Ctrl-C between them.
fn in_pieces(
    py: Python<'_>,
    count: usize,
    mut piece: impl FnMut(std::ops::Range<usize>) -> crate::Result<()> + Send,
) -> PyResult<()> {
    let mut first = 0;
    while first < count {
        let last = (first + FACTS_AT_ONCE).min(count);
        py.detach(|| piece(first..last))?;
        py.check_signals()?;
        first = last;
    }
    Ok(())
}

fn same_length(name: &str, a: usize, b: usize) -> crate::Result<()> {
    if a == b {
        Ok(())
    } else {
        Err(Error::argument(
            name,
            format!("{b} values beside {a}"),
            "arrays of equal length",
        ))
    }
}

fn check_facts(facts: &[u64], world: &EngineWorld) -> crate::Result<()> {
    match facts.iter().find(|&&fact| fact >= world.facts()) {
        None => Ok(()),
        Some(fact) => Err(Error::argument(
            "facts",
            fact,
            format!("facts below {}", world.facts()),
        )),
    }
}

fn slice<'a, T: Element>(array: &'a PyReadonlyArray1<'_, T>) -> PyResult<&'a [T]> {
    Ok(array.as_slice()?)
}

fn pairs(
    facts: &PyReadonlyArray1<'_, u64>,
    objects: &PyReadonlyArray1<'_, u32>,
) -> PyResult<Vec<(u64, u32)>> {
    let (facts, objects) = (slice(facts)?, slice(objects)?);
    same_length("objects", facts.len(), objects.len())?;
    Ok(facts.iter().copied().zip(objects.iter().copied()).collect())
}

/// The version of the engine.
#[pyfunction]
fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// BLAKE3 of a bytes-like object, 64 hexadecimal digits.
#[pyfunction]
fn digest(data: &Bound<'_, PyBytes>) -> String {
    blake3::hash(data.as_bytes()).to_hex().to_string()
}

#[pymodule]
fn _gen(py: Python<'_>, module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("FORMAT_VERSION", crate::FORMAT_VERSION)?;
    module.add("TEMPLATES", PyList::new(py, crate::template::TEMPLATES)?)?;
    module.add_class::<World>()?;
    module.add_class::<Corpus>()?;
    module.add_function(wrap_pyfunction!(version, module)?)?;
    module.add_function(wrap_pyfunction!(digest, module)?)?;
    Ok(())
}

//! Conversion of errors to Python exceptions.

use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyKeyboardInterrupt, PyOSError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::error::{Error, PathKey};

/// `ENOSPC`, which is the same number in Python on every system.
const NO_SPACE: i32 = 28;

/// `EIO`, likewise: for errors that are not the operating system's, such as the end of a file.
const INPUT_OUTPUT: i32 = 5;

// The exceptions are defined in Python, so that both sides raise the same classes.
pyo3::import_exception!(behemoth.support.errors, ArgumentError);
pyo3::import_exception!(behemoth.support.errors, CorpusError);

/// Converts a path to a Python tuple of names and list indices.
fn as_path(py: Python<'_>, path: Vec<PathKey>) -> PyResult<Bound<'_, PyTuple>> {
    let keys = path.into_iter().map(|key| match key {
        PathKey::Name(name) => name.into_bound_py_any(py),
        PathKey::Index(index) => index.into_bound_py_any(py),
    });
    PyTuple::new(py, keys.collect::<PyResult<Vec<_>>>()?)
}

impl From<Error> for PyErr {
    fn from(error: Error) -> PyErr {
        let message = error.to_string();
        match error {
            Error::Argument {
                path,
                got,
                allowed,
                nearest,
            } => Python::attach(|py| match as_path(py, path) {
                Ok(path) => ArgumentError::new_err((path.unbind(), got, allowed, nearest)),
                Err(error) => error,
            }),
            Error::Corpus { .. } => CorpusError::new_err(message),
            Error::Cancelled => PyKeyboardInterrupt::new_err(message),
            // OSError selects its subclass (PermissionError, ...) by the number.
            Error::Io {
                source,
                path,
                action,
            } => {
                let reason = format!("cannot {action}: {source}");
                let path = path.display().to_string();
                match source.raw_os_error() {
                    // Python translates the codes of Windows to numbers itself.
                    Some(code) if cfg!(windows) => PyOSError::new_err((0, reason, path, code)),
                    Some(number) => PyOSError::new_err((number, reason, path)),
                    None => PyOSError::new_err((INPUT_OUTPUT, reason, path)),
                }
            }
            Error::Disk { path, .. } => {
                PyOSError::new_err((NO_SPACE, message, path.display().to_string()))
            }
        }
    }
}

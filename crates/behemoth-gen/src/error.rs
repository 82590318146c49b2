//! The one error of the crate.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What went wrong, in words a user can act on: every variant prints as one line.
#[derive(Debug)]
pub enum Error {
    /// An argument or a field of a spec is not allowed.
    Argument {
        /// The argument or the path of the field, as the user wrote it.
        name: String,
        /// The value that was given.
        got: String,
        /// What would have been allowed.
        allowed: String,
    },
    /// The operating system refused.
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was tried, as in "write".
        action: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// A corpus directory is not what it should be.
    Corpus {
        /// The file or directory.
        path: PathBuf,
        /// Why it cannot be used, and what can be done about it.
        reason: String,
    },
    /// The disk has too little room; found before anything was written.
    Disk {
        /// The directory that was to be written.
        path: PathBuf,
        /// Bytes still to be written.
        needed: u64,
        /// Bytes free.
        free: u64,
    },
    /// The caller asked to stop.
    Cancelled,
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An argument that is not allowed: its name, the value got, the values allowed.
    pub fn argument(
        name: impl Into<String>,
        got: impl fmt::Display,
        allowed: impl Into<String>,
    ) -> Self {
        Error::Argument {
            name: name.into(),
            got: got.to_string(),
            allowed: allowed.into(),
        }
    }

    /// A directory or file of a corpus that cannot be used.
    pub fn corpus(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Error::Corpus {
            path: path.as_ref().to_path_buf(),
            reason: reason.into(),
        }
    }

    /// Adapter for `map_err` that remembers the path and the action.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Error::Io {
            path,
            action,
            source,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Argument { name, got, allowed } => {
                write!(f, "argument '{name}': got {got}, allowed: {allowed}")
            }
            Error::Io {
                path,
                action,
                source,
            } => write!(f, "cannot {action} {}: {source}", path.display()),
            Error::Corpus { path, reason } => write!(f, "{}: {reason}", path.display()),
            Error::Disk { path, needed, free } => write!(
                f,
                "not enough disk for {}: {needed} bytes needed, {free} bytes free",
                path.display()
            ),
            Error::Cancelled => f.write_str("cancelled"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

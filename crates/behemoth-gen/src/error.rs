//! The error type of the crate: its fields describe what was refused, and the text is formatted on
//! display.

// Handles user input: no indexing that can panic.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

use std::fmt::{self, Write as _};
use std::io;
use std::path::{Path, PathBuf};

/// Bytes left free on the disk for the small files of a corpus.
pub(crate) const DISK_RESERVE: u64 = 16 << 20;

/// One key in the path to a refused value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathKey {
    /// The name of an argument or a field.
    Name(String),
    /// An index into a list, from 0.
    Index(usize),
}

impl PathKey {
    fn shortened(self) -> Self {
        match self {
            PathKey::Name(name) => PathKey::Name(cut(name)),
            PathKey::Index(index) => PathKey::Index(index),
        }
    }
}

impl From<&str> for PathKey {
    fn from(name: &str) -> Self {
        PathKey::Name(name.to_string())
    }
}

impl From<String> for PathKey {
    fn from(name: String) -> Self {
        PathKey::Name(name)
    }
}

impl From<usize> for PathKey {
    fn from(index: usize) -> Self {
        PathKey::Index(index)
    }
}

/// An error with fields that a program can act on; every variant prints as one line.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// An argument or a field of a spec has a value that is not allowed.
    Argument {
        /// Path of the value: the argument, then the keys within it.
        path: Vec<PathKey>,
        /// The value got.
        got: String,
        /// The allowed values.
        allowed: String,
        /// The allowed name closest to the one got, if one is close enough.
        nearest: Option<String>,
    },
    /// The operating system reported an error.
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The operation that failed, such as "write".
        action: &'static str,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A corpus directory or file cannot be used.
    Corpus {
        /// The file or directory.
        path: PathBuf,
        /// Why it cannot be used, and how to fix it.
        reason: String,
    },
    /// The disk has too little space; detected before anything was written.
    Disk {
        /// The directory to be written.
        path: PathBuf,
        /// Bytes still to be written.
        needed: u64,
        /// Bytes free.
        free: u64,
    },
    /// The caller cancelled the call.
    Cancelled,
}

/// The result type of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Creates the error of an argument from its name, the value got and the allowed values.
    ///
    /// # Examples
    ///
    /// ```
    /// use behemoth_gen::Error;
    /// let error = Error::argument("alpha", -1, "0 to 100").within(2).within("relations");
    /// assert_eq!(
    ///     error.to_string(),
    ///     "argument 'relations[2].alpha': got -1, allowed: 0 to 100"
    /// );
    /// ```
    pub fn argument(
        key: impl Into<PathKey>,
        got: impl fmt::Display,
        allowed: impl Into<String>,
    ) -> Self {
        Error::Argument {
            path: vec![key.into().shortened()],
            got: cut(got.to_string()),
            allowed: allowed.into(),
            nearest: None,
        }
    }

    /// Creates the error of a value whose path is not known here: callers add it with
    /// [`Error::within`].
    pub(crate) fn value(got: impl fmt::Display, allowed: impl Into<String>) -> Self {
        Error::Argument {
            path: Vec::new(),
            got: cut(got.to_string()),
            allowed: allowed.into(),
            nearest: None,
        }
    }

    /// Clears the path, for a caller that sets another one.
    pub(crate) fn without_place(mut self) -> Self {
        if let Error::Argument { path, .. } = &mut self {
            path.clear();
        }
        self
    }

    /// Prepends a key to the path of a refused argument; leaves other errors unchanged.
    #[must_use]
    pub fn within(mut self, key: impl Into<PathKey>) -> Self {
        if let Error::Argument { path, .. } = &mut self {
            path.insert(0, key.into().shortened());
        }
        self
    }

    /// Sets `nearest` to the one of `names` closest to `written`, if one is close enough.
    #[must_use]
    pub(crate) fn near<'a>(
        mut self,
        written: &str,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        if let Error::Argument { nearest, .. } = &mut self {
            *nearest = nearest_name(written, names).map(str::to_string);
        }
        self
    }

    /// Creates the error of a corpus directory or file that cannot be used.
    pub fn corpus(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Error::Corpus {
            path: path.as_ref().to_path_buf(),
            reason: reason.into(),
        }
    }

    /// Returns an adapter for `map_err` that adds the action and the path.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Error::Io {
            path,
            action,
            source,
        }
    }
}

/// Maximum number of characters of a value or a key in an error: more than a path or a line of
/// exposures has.
const SHOWN: usize = 400;

/// Truncates a text to [`SHOWN`] characters.
fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(SHOWN) {
        text.truncate(end);
        text.push_str("...");
    }
    text
}

/// A writer that escapes characters that would end a line or move the cursor of a terminal.
struct OneLine<'a, W>(&'a mut W);

impl<W: fmt::Write> fmt::Write for OneLine<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let ends_line =
            |letter: char| letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}');
        for part in text.split_inclusive(ends_line) {
            match part.char_indices().next_back() {
                Some((at, last)) if ends_line(last) => {
                    let (plain, _) = part.split_at(at);
                    self.0.write_str(plain)?;
                    write!(self.0, "{}", last.escape_default())?;
                }
                _ => self.0.write_str(part)?,
            }
        }
        Ok(())
    }
}

/// Returns the name with the smallest edit distance, if that is at most two fifths of its length:
/// about as tolerant as `difflib`, which Python uses for suggestions.
fn nearest_name<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    names
        .into_iter()
        .map(|name| (distance(written, name), name))
        .filter(|&(changes, name)| 5 * changes <= 2 * name.chars().count())
        .min_by_key(|&(changes, _)| changes)
        .map(|(_, name)| name)
}

/// Returns the Levenshtein distance: the number of letters to insert, remove or replace.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (&above, &y) in row.iter().skip(1).zip(&b) {
            let replaced = diagonal + usize::from(x != y);
            left = replaced.min(left + 1).min(above + 1);
            diagonal = above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

/// Writes the keys of a path in the form `a.b[2]`.
fn write_path(path: &[PathKey], f: &mut impl fmt::Write) -> fmt::Result {
    for (at, key) in path.iter().enumerate() {
        match key {
            PathKey::Name(name) if at == 0 => f.write_str(name)?,
            PathKey::Name(name) => write!(f, ".{name}")?,
            PathKey::Index(index) => write!(f, "[{index}]")?,
        }
    }
    Ok(())
}

/// Formats a number of bytes in decimal units; the largest number means that or more.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    match bytes {
        u64::MAX => return "more than 18 EB".to_string(),
        0..1000 => return format!("{bytes} bytes"),
        _ => {}
    }
    let mut amount = bytes as f64 / 1e3;
    for unit in UNITS {
        if amount < 999.95 {
            return format!("{amount:.1} {unit}");
        }
        amount /= 1e3;
    }
    format!("{amount:.1} EB")
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let f = &mut OneLine(f);
        match self {
            Error::Argument {
                path,
                got,
                allowed,
                nearest,
            } => {
                f.write_str("argument '")?;
                write_path(path, f)?;
                write!(f, "': got {got}")?;
                // The hint comes first: a list of what is allowed may be long.
                if let Some(name) = nearest {
                    write!(f, " (did you mean {name}?)")?;
                }
                write!(f, ", allowed: {allowed}")
            }
            Error::Io {
                path,
                action,
                source,
            } => write!(f, "cannot {action} {}: {source}", path.display()),
            Error::Corpus { path, reason } => write!(f, "{}: {reason}", path.display()),
            Error::Disk { path, needed, free } => write!(
                f,
                "not enough disk for {}: {} needed and {} MiB to be left free, {} free; up to {} \
                 would fit",
                path.display(),
                size(*needed),
                DISK_RESERVE >> 20,
                size(*free),
                size(free.saturating_sub(DISK_RESERVE)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1_000, "1.0 kB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (168_000_000_000_000, "168.0 TB"),
            (10_000_000_000_000_000_000, "10.0 EB"),
            (u64::MAX, "more than 18 EB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn distances_are_known() {
        for (a, b, changes) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("subject", "subjects", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), changes, "{a} {b}");
        }
    }

    #[test]
    fn a_name_is_near_within_two_fifths_of_its_letters() {
        let names = ["subjects", "objects", "seed"];
        assert_eq!(nearest_name("subject", names), Some("subjects"));
        assert_eq!(nearest_name("sead", names), Some("seed"));
        assert_eq!(nearest_name("alfa", ["alpha"]), Some("alpha"));
        assert_eq!(nearest_name("templates", names), None);
    }

    #[test]
    fn whatever_was_got_a_refusal_is_one_line_of_some_length() {
        let error = Error::argument("a\nb", "groups:1\r\n\u{2028}ü\u{1b}[2J", "1");
        assert_eq!(
            error.to_string(),
            "argument 'a\\nb': got groups:1\\r\\n\\u{2028}ü\\u{1b}[2J, allowed: 1"
        );
        let error = Error::corpus("a\nb", "no");
        assert_eq!(error.to_string(), "a\\nb: no");
        let long = Error::argument("a", "ü".repeat(1 << 20), "1").to_string();
        assert!(long.ends_with("üü..., allowed: 1") && long.len() < 1000);
        let key = "ü".repeat(1 << 20);
        let long = Error::argument(key.as_str(), 1, "2")
            .within(key)
            .to_string();
        assert!(
            long.starts_with("argument 'üü") && long.contains("üü....üü"),
            "{long}"
        );
        assert!(long.ends_with("üü...': got 1, allowed: 2") && long.len() < 2000);
    }

    #[test]
    fn a_path_is_keys_and_prints_as_people_write_it() {
        let error = Error::argument("b", 1, "2").within(3).within("a");
        let Error::Argument { path, .. } = &error else {
            panic!("{error:?}")
        };
        assert_eq!(
            path,
            &[PathKey::from("a"), PathKey::from(3), PathKey::from("b")]
        );
        assert_eq!(error.to_string(), "argument 'a[3].b': got 1, allowed: 2");
        let near = Error::argument("x", "'on'", "one, two").near("on", ["one", "two"]);
        assert_eq!(
            near.to_string(),
            "argument 'x': got 'on' (did you mean one?), allowed: one, two"
        );
    }
}

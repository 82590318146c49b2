//! The one error of the crate: what was refused, as fields; its text is made when it is shown.

// Reads what users wrote: nothing here may be out of bounds.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

use std::fmt::{self, Write as _};
use std::io;
use std::path::{Path, PathBuf};

/// Bytes left free on the disk for the small files of a corpus.
pub(crate) const DISK_RESERVE: u64 = 16 << 20;

/// One step on the way to a refused value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// A name, of an argument or of a field.
    Name(String),
    /// A place in a list, from 0.
    Index(usize),
}

impl From<&str> for Key {
    fn from(name: &str) -> Self {
        Key::Name(name.to_string())
    }
}

impl From<String> for Key {
    fn from(name: String) -> Self {
        Key::Name(name)
    }
}

impl From<usize> for Key {
    fn from(index: usize) -> Self {
        Key::Index(index)
    }
}

/// What went wrong, in fields that a program can act on; every variant prints as one line.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// An argument or a field of a spec is not allowed.
    Argument {
        /// Where the value stands: the argument, then the keys within it.
        path: Vec<Key>,
        /// The value that was given.
        got: String,
        /// What would have been allowed.
        allowed: String,
        /// The allowed name that is most like the one given, where one is like it.
        nearest: Option<String>,
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
        key: impl Into<Key>,
        got: impl fmt::Display,
        allowed: impl Into<String>,
    ) -> Self {
        Error::Argument {
            path: vec![key.into()],
            got: cut(got.to_string()),
            allowed: allowed.into(),
            nearest: None,
        }
    }

    /// A value whose place is not known here: callers say it with [`Error::within`].
    pub(crate) fn value(got: impl fmt::Display, allowed: impl Into<String>) -> Self {
        Error::Argument {
            path: Vec::new(),
            got: cut(got.to_string()),
            allowed: allowed.into(),
            nearest: None,
        }
    }

    /// The same refusal for a caller that says another place.
    pub(crate) fn without_place(mut self) -> Self {
        if let Error::Argument { path, .. } = &mut self {
            path.clear();
        }
        self
    }

    /// Puts a key before the path of a refused argument; other errors stay as they are.
    #[must_use]
    pub fn within(mut self, key: impl Into<Key>) -> Self {
        if let Error::Argument { path, .. } = &mut self {
            path.insert(0, key.into());
        }
        self
    }

    /// Names the one of `names` that is most like what was written, if any is.
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

/// Most letters of a value that a refusal shows: more than a path or a line of exposures has.
const SHOWN: usize = 400;

/// The value that was given, its end left out where it is longer than anybody reads.
fn cut(mut got: String) -> String {
    if let Some((end, _)) = got.char_indices().nth(SHOWN) {
        got.truncate(end);
        got.push_str("...");
    }
    got
}

/// Text in which what would end a line, or move the cursor of a terminal, is written out.
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

/// The name that takes the fewest changes of one letter, if they are at most two fifths of it: as
/// generous as `difflib`, by which Python names neighbours.
fn nearest_name<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    names
        .into_iter()
        .map(|name| (distance(written, name), name))
        .filter(|&(changes, name)| 5 * changes <= 2 * name.chars().count())
        .min_by_key(|&(changes, _)| changes)
        .map(|(_, name)| name)
}

/// Letters to insert, remove or replace (Levenshtein).
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

/// `a.b[2]`: the keys of a path as people write them.
fn write_path(path: &[Key], f: &mut impl fmt::Write) -> fmt::Result {
    for (at, key) in path.iter().enumerate() {
        match key {
            Key::Name(name) if at == 0 => f.write_str(name)?,
            Key::Name(name) => write!(f, ".{name}")?,
            Key::Index(index) => write!(f, "[{index}]")?,
        }
    }
    Ok(())
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
                write!(f, "': got {got}, allowed: {allowed}")?;
                match nearest {
                    Some(name) => write!(f, " (did you mean {name}?)"),
                    None => Ok(()),
                }
            }
            Error::Io {
                path,
                action,
                source,
            } => write!(f, "cannot {action} {}: {source}", path.display()),
            Error::Corpus { path, reason } => write!(f, "{}: {reason}", path.display()),
            Error::Disk { path, needed, free } => write!(
                f,
                "not enough disk for {}: {needed} bytes needed and {} MiB to be left free, \
                 {free} bytes free",
                path.display(),
                DISK_RESERVE >> 20
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
    }

    #[test]
    fn a_path_is_keys_and_prints_as_people_write_it() {
        let error = Error::argument("b", 1, "2").within(3).within("a");
        let Error::Argument { path, .. } = &error else {
            panic!("{error:?}")
        };
        assert_eq!(path, &[Key::from("a"), Key::from(3), Key::from("b")]);
        assert_eq!(error.to_string(), "argument 'a[3].b': got 1, allowed: 2");
        let near = Error::argument("x", "'on'", "one, two").near("on", ["one", "two"]);
        assert_eq!(
            near.to_string(),
            "argument 'x': got 'on', allowed: one, two (did you mean one?)"
        );
    }
}

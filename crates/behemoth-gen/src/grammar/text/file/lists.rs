//! Lists of words.

// Handles user input: no indexing that can panic.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

use super::List;
use super::patterns::{check_plain, read_plain};
use crate::error::{Error, Result};
use crate::value::Value;

/// Maximum number of words in a range.
const LIST_LIMIT: u64 = 1_000_000;

/// Maximum numbers of words and of bytes in all lists of a grammar.
const ALL_WORDS: u64 = 10_000_000;
const ALL_BYTES: u64 = 1 << 28;

/// Maximum number of bytes in a thousands separator.
const SEPARATOR_LIMIT: usize = 16;

/// Description of the names that a hole may have.
pub(super) const NAMES: &str = "a name of small letters, digits and '_', the first a letter";

/// Returns `true` if a hole may have a name.
pub(super) fn is_key(name: &str) -> bool {
    let is_plain = |l: char| l.is_lowercase() || l.is_ascii_digit() || l == '_';
    name.chars().next().is_some_and(char::is_lowercase) && name.chars().all(is_plain)
}

pub(super) fn read_lists(value: &Value) -> Result<Vec<List>> {
    let fields = value.fields("a table of lists")?;
    let mut left = Room {
        words: ALL_WORDS,
        bytes: ALL_BYTES,
    };
    fields
        .all()
        .map(|(name, value)| {
            if !is_key(name) {
                let allowed = NAMES;
                return Err(Error::argument(name, format!("`{name}`"), allowed));
            }
            let words = read_words(value, &mut left).map_err(|e| e.within(name))?;
            Ok(List {
                name: name.to_string(),
                words,
            })
        })
        .collect()
}

/// The words and bytes that further lists may have.
struct Room {
    words: u64,
    bytes: u64,
}

impl Room {
    /// Takes room for words of these numbers of bytes together, or refuses them.
    fn take(&mut self, words: u64, bytes: u64) -> Result<()> {
        let left = (self.words.checked_sub(words)).zip(self.bytes.checked_sub(bytes));
        let (words, bytes) = left.ok_or_else(|| {
            let allowed =
                format!("lists of at most {ALL_WORDS} words and {ALL_BYTES} bytes in all");
            Error::value(format!("{words} words of {bytes} bytes"), allowed)
        })?;
        *self = Room { words, bytes };
        Ok(())
    }
}

fn read_words(value: &Value, left: &mut Room) -> Result<Vec<String>> {
    if let Value::Table(_) = value {
        return read_range(value, left);
    }
    let wanted = "a list of words, or a table with from and to";
    let words = value.list(wanted, read_plain)?;
    if words.is_empty() {
        return Err(Error::value("an empty list", "at least one word"));
    }
    let bytes: usize = words.iter().map(String::len).sum();
    left.take(words.len() as u64, bytes as u64)?;
    let mut seen = std::collections::HashMap::new();
    for (at, word) in words.iter().enumerate() {
        if let Some(first) = seen.insert(word, at) {
            let allowed = format!("each word once, and word [{first}] is the same");
            return Err(Error::argument(at, format!("{word:?}"), allowed));
        }
    }
    Ok(words)
}

/// Reads the thousands separator, which may be a space.
fn read_separator(value: &Value) -> Result<&str> {
    let separator = value.text()?;
    if separator.len() > SEPARATOR_LIMIT {
        let got = format!("{} bytes", separator.len());
        return Err(Error::value(got, format!("up to {SEPARATOR_LIMIT} bytes")));
    }
    check_plain(&format!("0{separator}0")).map_err(|_| {
        let allowed = "what may stand between digits on one line, without braces or two spaces in \
                       a row";
        Error::value(format!("{separator:?}"), allowed)
    })?;
    Ok(separator)
}

fn read_range(value: &Value, left: &mut Room) -> Result<Vec<String>> {
    let mut fields = value.table(&["from", "to", "step", "separator", "digits"])?;
    let from = fields.required("from", Value::count)?;
    let to = fields.required("to", Value::count)?;
    let step = fields.optional("step", Value::count)?.unwrap_or(1);
    let separator = fields.optional("separator", read_separator)?.unwrap_or("");
    let digits = fields.optional("digits", Value::count)?.unwrap_or(0);
    if step == 0 {
        return Err(Error::argument("step", 0, "at least 1"));
    }
    if digits > 20 {
        return Err(Error::argument("digits", digits, "0 to 20"));
    }
    if to < from {
        return Err(Error::argument(
            "to",
            to,
            format!("at least {from}, as `from`"),
        ));
    }
    if (to - from) / step >= LIST_LIMIT {
        let allowed = format!("a range of at most {LIST_LIMIT} numbers");
        return Err(Error::argument("to", to, allowed));
    }
    let written = |number: u64| {
        let plain = format!("{number:0width$}", width = digits as usize);
        let mut parts: Vec<&str> = Vec::new();
        let mut end = plain.len();
        while end > 3 && !separator.is_empty() {
            parts.push(&plain[end - 3..end]);
            end -= 3;
        }
        parts.push(&plain[..end]);
        parts.reverse();
        parts.join(separator)
    };
    // Before they are made: the last number is the longest.
    let count = (to - from) / step + 1;
    left.take(count, count * written(to).len() as u64)?;
    Ok((0..count).map(|i| written(from + i * step)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(toml: &str) -> Result<Vec<List>> {
        read_lists(&Value::from_toml("lists", toml).unwrap())
    }

    #[test]
    fn ranges_that_are_too_many_in_all_are_refused_before_they_are_made() {
        let range = |list: usize| format!("r{list} = {{from = 1, to = 1000000}}\n");
        let lists: String = (0..5000).map(range).collect();
        let error = read(&lists).unwrap_err().to_string();
        assert!(
            error.ends_with(
                "got 1000000 words of 7000000 bytes, allowed: lists of at most 10000000 words and \
                 268435456 bytes in all"
            ),
            "{error}"
        );
        assert_eq!(read(&range(0)).unwrap()[0].words.len(), 1_000_000);
    }

    #[test]
    fn a_separator_has_a_limited_length() {
        let with = |separator: &str| {
            read(&format!(
                "r = {{from = 9999, to = 10000, separator = \"{separator}\"}}"
            ))
        };
        let words = &with(&"x".repeat(16)).unwrap()[0].words;
        assert_eq!(words[1], format!("10{}000", "x".repeat(16)));
        let error = with(&"x".repeat(17)).unwrap_err().to_string();
        assert!(
            error.ends_with("got 17 bytes, allowed: up to 16 bytes"),
            "{error}"
        );
    }
}

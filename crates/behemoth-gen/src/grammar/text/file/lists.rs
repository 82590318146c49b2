//! Lists of words.

// Handles user input: no indexing that can panic.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

use super::List;
use super::patterns::check_plain;
use crate::error::{Error, Result};
use crate::value::Value;

/// Maximum number of words in a range.
const LIST_LIMIT: u64 = 1_000_000;

/// Description of the names that a hole may have.
pub(super) const NAMES: &str = "a name of small letters, digits and '_', the first a letter";

/// Returns `true` if a hole may have a name.
pub(super) fn is_key(name: &str) -> bool {
    let is_plain = |l: char| l.is_lowercase() || l.is_ascii_digit() || l == '_';
    name.chars().next().is_some_and(char::is_lowercase) && name.chars().all(is_plain)
}

pub(super) fn read_lists(value: &Value) -> Result<Vec<List>> {
    let fields = value.fields("a table of lists")?;
    fields
        .all()
        .map(|(name, value)| {
            if !is_key(name) {
                let allowed = NAMES;
                return Err(Error::argument(name, format!("`{name}`"), allowed));
            }
            let words = read_words(value).map_err(|e| e.within(name))?;
            Ok(List {
                name: name.to_string(),
                words,
            })
        })
        .collect()
}

fn read_words(value: &Value) -> Result<Vec<String>> {
    if let Value::Table(_) = value {
        return read_range(value);
    }
    let wanted = "a list of words, or a table with from and to";
    let words = value.list(wanted, |value| {
        let word = value.text()?;
        check_plain(word)?;
        Ok(word.to_string())
    })?;
    if words.is_empty() {
        return Err(Error::value("an empty list", "at least one word"));
    }
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
    check_plain(&format!("0{separator}0")).map_err(|_| {
        let allowed = "what may stand between digits on one line, without braces or two spaces in \
                       a row";
        Error::value(format!("{separator:?}"), allowed)
    })?;
    Ok(separator)
}

fn read_range(value: &Value) -> Result<Vec<String>> {
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
    Ok((0..=(to - from) / step)
        .map(|i| written(from + i * step))
        .collect())
}

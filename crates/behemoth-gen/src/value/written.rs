//! What is written in text: lines of `key=value`, and TOML with the line of an error.

// Handles user input: no indexing that can panic.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

use crate::error::{Error, Result};

/// Calls `set` for each `key=value` of a line, separated by commas; `unnamed` is the key of a value
/// without one. Returns `None` if a key occurs twice or `set` refuses it or its value.
pub(crate) fn each_pair<'a>(
    line: &'a str,
    unnamed: Option<&'a str>,
    mut set: impl FnMut(&str, &str) -> Option<()>,
) -> Option<()> {
    let mut seen = Vec::new();
    for field in line.split(',') {
        let named = field.split_once('=');
        let (key, value) = named.or_else(|| Some((unnamed?, field)))?;
        let key = key.trim();
        if seen.contains(&key) {
            return None;
        }
        seen.push(key);
        set(key, value.trim())?;
    }
    Some(())
}

/// Parses TOML; an error names the line and, if it is short, its text.
pub(crate) fn parse_toml(root: &str, text: &str) -> Result<toml::Value> {
    toml::from_str(text).map_err(|e: toml::de::Error| {
        let message = one_line(e.message());
        let Some(span) = e.span() else {
            return Error::argument(root, message, "valid TOML");
        };
        let line = 1 + text
            .bytes()
            .take(span.start)
            .filter(|&b| b == b'\n')
            .count();
        let written = text.lines().nth(line - 1).unwrap_or_default().trim();
        let got = match written.chars().count() {
            1..=60 => format!("{message} in {written:?}"),
            _ => message,
        };
        Error::argument(format!("{root}, line {line}"), got, "valid TOML")
    })
}

/// Joins the lines of a parser's message.
pub(super) fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

//! Reading and checking the patterns of a grammar and their text.

// Handles user input: no indexing that can panic.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

use super::{DIGIT_LIMIT, TextGrammar};
use crate::decode::is_line_end;
use crate::error::{Error, Result};
use crate::grammar::text::pattern::Pattern;
use crate::value::Value;

/// Maximum length of a sentence, name, or word of a list, in characters.
///
/// A million names may be compared, and each has all of the text that its words stand in.
const TEXT_LIMIT: usize = 1000;

/// Checks text of a sentence: one line of limited length, without two spaces in a row or a space at
/// an end.
fn check_text(text: &str) -> Result<()> {
    let length = text.chars().count();
    if length > TEXT_LIMIT {
        return Err(Error::value(
            format!("{length} characters"),
            format!("up to {TEXT_LIMIT} characters"),
        ));
    }
    let is_bad = text.is_empty()
        || text.starts_with(char::is_whitespace)
        || text.ends_with(char::is_whitespace)
        || text.contains("  ")
        || text.contains(|letter: char| letter.is_control() || is_line_end(letter));
    if is_bad {
        return Err(Error::value(
            format!("{text:?}"),
            "text on one line, without two spaces in a row or a space at an end",
        ));
    }
    Ok(())
}

/// Checks text of a sentence that must not have holes.
pub(super) fn check_plain(text: &str) -> Result<()> {
    check_text(text)?;
    if text.contains(['{', '}']) {
        return Err(Error::value(format!("{text:?}"), "text without braces"));
    }
    Ok(())
}

/// Reads text of a sentence that must not have holes.
pub(super) fn read_plain(value: &Value) -> Result<String> {
    let text = value.text()?;
    check_plain(text)?;
    Ok(text.to_string())
}

/// Parses text of a sentence, with any holes.
pub(super) fn parsed(text: &str) -> Result<Pattern> {
    check_text(text)?;
    Pattern::parse(text)
}

/// Reads a pattern whose holes are lists.
pub(super) fn read_product(value: &Value, grammar: &TextGrammar) -> Result<Pattern> {
    let text = value.text()?;
    let pattern = parsed(text)?;
    let lists = || grammar.lists.iter().map(|list| list.name.as_str());
    for hole in pattern.holes() {
        if grammar.list(&hole.name).is_none() {
            let allowed: Vec<&str> = lists().collect();
            return Err(Error::value(
                format!("`{}`", hole.written()),
                format!("the lists {}", allowed.join(", ")),
            )
            .near(&hole.name, lists()));
        }
    }
    let digits = pattern.holes().count();
    if !(1..=DIGIT_LIMIT).contains(&digits) {
        let got = match digits {
            0 => format!("no list in {text:?}"),
            _ => format!("{digits} lists in {text:?}"),
        };
        let allowed = format!("1 to {DIGIT_LIMIT} lists in braces, such as `{{city}}`");
        return Err(Error::value(got, allowed));
    }
    Ok(pattern)
}

/// Reads a pattern whose holes are all in `holes`.
pub(super) fn read_pattern(value: &Value, holes: &[&str]) -> Result<Pattern> {
    let pattern = parsed(value.text()?)?;
    check_holes(&pattern, holes)?;
    Ok(pattern)
}

pub(super) fn check_holes(pattern: &Pattern, allowed: &[&str]) -> Result<()> {
    for hole in pattern.holes() {
        if !allowed.contains(&hole.name.as_str()) {
            let names: Vec<String> = allowed.iter().map(|name| format!("{{{name}}}")).collect();
            let error = Error::value(format!("`{}`", hole.written()), names.join(", "));
            // In small letters, as the names are: `{PRONOUN}` means `{Pronoun}`.
            return Err(error.near(&hole.name.to_lowercase(), allowed.iter().copied()));
        }
    }
    Ok(())
}

pub(super) fn once(text: &Pattern, hole: &str) -> Result<()> {
    match text.count(hole) {
        1 => Ok(()),
        count => {
            let got = match count {
                0 => format!("no `{{{hole}}}`"),
                _ => format!("`{{{hole}}}` {count} times"),
            };
            Err(Error::value(got, format!("`{{{hole}}}` once")))
        }
    }
}

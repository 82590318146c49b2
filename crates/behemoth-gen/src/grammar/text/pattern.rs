//! Patterns: text with holes, such as `"{Pronoun} was born in {object}."`.

use std::borrow::Cow;

use crate::error::{Error, Result};

/// A part of a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    /// Literal text.
    Text(String),
    /// A hole.
    Hole(Hole),
}

/// A hole of a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Hole {
    /// Name of its content, in lower case.
    pub name: String,
    /// Whether the first letter of its content is capitalised.
    pub is_capital: bool,
}

/// Text with holes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pattern {
    pub parts: Vec<Part>,
}

impl Pattern {
    /// Parses a pattern; `{{` and `}}` are braces.
    pub(crate) fn parse(text: &str) -> Result<Pattern> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text.chars().peekable();
        while let Some(letter) = rest.next() {
            match letter {
                '{' | '}' if rest.peek() == Some(&letter) => {
                    rest.next();
                    plain.push(letter);
                }
                '{' => {
                    let mut name = String::new();
                    loop {
                        match rest.next() {
                            Some('}') => break,
                            Some(letter) if letter.is_alphanumeric() || letter == '_' => {
                                name.push(letter);
                            }
                            _ => return Err(unclosed(text)),
                        }
                    }
                    if name.is_empty() {
                        return Err(unclosed(text));
                    }
                    if !plain.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut plain)));
                    }
                    parts.push(Part::Hole(Hole::new(&name)));
                }
                '}' => return Err(unclosed(text)),
                letter => plain.push(letter),
            }
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Pattern { parts })
    }

    /// Returns the holes, in order.
    pub(crate) fn holes(&self) -> impl Iterator<Item = &Hole> {
        self.parts.iter().filter_map(|part| match part {
            Part::Hole(hole) => Some(hole),
            Part::Text(_) => None,
        })
    }

    /// Returns the number of holes with a name.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.holes().filter(|hole| hole.name == name).count()
    }
}

impl Hole {
    fn new(written: &str) -> Hole {
        let mut letters = written.chars();
        let first = letters.next();
        let is_capital = first.is_some_and(char::is_uppercase);
        let name = first
            .into_iter()
            .flat_map(char::to_lowercase)
            .chain(letters)
            .collect();
        Hole { name, is_capital }
    }

    /// Returns the hole as it is written, for errors.
    pub(crate) fn written(&self) -> String {
        format!("{{{}}}", cased(&self.name, self.is_capital))
    }
}

/// Returns the text, with its first letter capitalised if `is_capital`.
pub(super) fn cased(text: &str, is_capital: bool) -> Cow<'_, str> {
    match is_capital {
        true => capitalised(text).into(),
        false => text.into(),
    }
}

/// Returns the text with its first letter capitalised.
fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .chain(letters)
        .collect()
}

fn unclosed(text: &str) -> Error {
    Error::value(
        format!("{text:?}"),
        "text with holes, each a name of letters, digits and '_' in braces ('{{' for a brace)",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hole(name: &str, is_capital: bool) -> Part {
        Part::Hole(Hole {
            name: name.to_string(),
            is_capital,
        })
    }

    #[test]
    fn a_pattern_is_text_and_holes() {
        let pattern = Pattern::parse("{Pronoun} likes {{{object}}}.").unwrap();
        assert_eq!(
            pattern.parts,
            [
                hole("pronoun", true),
                Part::Text(" likes {".into()),
                hole("object", false),
                Part::Text("}.".into())
            ]
        );
        assert_eq!(pattern.count("object"), 1);
    }

    #[test]
    fn braces_that_do_not_match_are_refused() {
        for text in ["{", "a}", "{}", "{a b}", "{a", "{a{b}}"] {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_capital_is_one_letter() {
        assert_eq!(capitalised("élan vital"), "Élan vital");
        assert_eq!(capitalised(""), "");
    }
}

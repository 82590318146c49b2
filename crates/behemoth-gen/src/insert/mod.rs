//! Insert: sentences inside documents without facts, instead of documents of their own.
//!
//! A sentence replaces as many tokens of its document as it has, so documents keep their lengths
//! and the corpus its number of tokens, however often facts are written. The position depends on
//! the number of the sentence, the lengths of the documents and the length of the longest sentence,
//! but not on its own length: with another object of another length it begins at the same token.

mod chosen;
mod slots;

use std::fmt;

use serde::{Serialize, Serializer};

use crate::error::{Error, Result};
use crate::hash::multiply_high;
use crate::numbers::{COUNT_LIMIT, Rounding, above, billionths, fraction, parse_count, positive};
use crate::value::{Value, each_pair};

pub(crate) use self::chosen::bits;
pub(crate) use self::slots::{Room, Slots};

const EXAMPLES: &str = "'anywhere', 'start', 'middle', 'end' or a share such as 0.25, with \
                        ',per_document=2' for up to two in each document, and ',words=true' for \
                        word boundaries";

/// The position of a sentence in its part of a document.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Position {
    /// Uniform over all positions with room for the longest sentence.
    #[default]
    Anywhere,
    /// After this share of the tokens that remain without the longest sentence.
    Share(f64),
}

impl Position {
    /// At the first token.
    pub const START: Position = Position::Share(0.0);
    /// With the longest sentence in the middle.
    pub const MIDDLE: Position = Position::Share(0.5);
    /// With the longest sentence at the end.
    pub const END: Position = Position::Share(1.0);

    const NAMES: [(&str, Position); 4] = [
        ("anywhere", Position::Anywhere),
        ("start", Position::START),
        ("middle", Position::MIDDLE),
        ("end", Position::END),
    ];

    fn name(self) -> Option<&'static str> {
        let mut names = Position::NAMES.iter();
        names.find(|(_, own)| *own == self).map(|(name, _)| *name)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut names = Position::NAMES.iter();
        match names.find(|(name, _)| *name == text) {
            Some(&(_, position)) => Some(position),
            None => text.parse().ok().map(Position::Share),
        }
    }

    fn read(value: &Value) -> Result<Self> {
        let Value::Text(text) = value else {
            return value.number().map(Position::Share);
        };
        Position::parse(text).ok_or_else(|| {
            let allowed = "`anywhere`, `start`, `middle`, `end`, or a share from 0 to 1";
            let names = Position::NAMES.iter().map(|&(name, _)| name);
            Error::value(format!("`{text}`"), allowed).near(text, names)
        })
    }

    /// Returns the first token of a sentence, within `0..=last`; `hash` returns the hash of the
    /// sentence.
    fn first_token(self, last: u64, hash: impl FnOnce() -> u64) -> u64 {
        match self {
            Position::Anywhere => multiply_high(hash(), last + 1),
            Position::Share(share) => Rounding::Nearest.share(last, billionths(share)),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name(), self) {
            (Some(name), _) => f.write_str(name),
            (None, Position::Share(share)) => write!(f, "{share}"),
            (None, Position::Anywhere) => f.write_str("anywhere"),
        }
    }
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        match (self.name(), self) {
            (None, Position::Share(share)) => s.serialize_f64(*share),
            _ => s.collect_str(self),
        }
    }
}

/// The insertion of sentences into other documents, as in a spec.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct InsertSpec {
    /// Position of a sentence in its part of a document.
    pub position: Position,
    /// Maximum number of sentences in a document, which is divided into as many equal parts.
    pub per_document: u64,
    /// Whether sentences begin at a word boundary of their document, in the form of a sentence
    /// within a document.
    // Omitted, so that specs without it keep their hashes.
    #[serde(skip_serializing_if = "crate::canonical::is_false")]
    pub words: bool,
}

impl Default for InsertSpec {
    fn default() -> Self {
        InsertSpec::new(Position::Anywhere)
    }
}

impl InsertSpec {
    /// Creates an insert of up to one sentence in each document.
    pub fn new(position: Position) -> Self {
        InsertSpec {
            position,
            per_document: 1,
            words: false,
        }
    }

    /// Makes sentences begin at word boundaries.
    pub fn words(mut self) -> Self {
        self.words = true;
        self
    }

    /// Sets the maximum number of sentences in a document.
    pub fn per_document(mut self, sentences: u64) -> Self {
        self.per_document = sentences;
        self
    }

    /// Reads a position, a line of text or a table.
    pub(crate) fn read(value: &Value) -> Result<Self> {
        let spec = match value {
            Value::Text(text) => Self::parse(text).ok_or_else(|| Self::unread(text))?,
            Value::Table(_) => {
                let mut fields = value.table(&["position", "per_document", "words"])?;
                let default = InsertSpec::default();
                InsertSpec {
                    position: fields
                        .optional("position", Position::read)?
                        .unwrap_or(default.position),
                    per_document: fields
                        .optional("per_document", Value::count)?
                        .unwrap_or(default.per_document),
                    words: fields.optional("words", Value::boolean)?.unwrap_or(false),
                }
            }
            Value::Whole(_) | Value::Negative(_) | Value::Float(_) => {
                let position = Position::read(value)?;
                let spec = InsertSpec::new(position);
                return spec.check().map(|()| spec).map_err(Error::without_place);
            }
            _ => return Err(Error::value(value, EXAMPLES)),
        };
        spec.check()?;
        Ok(spec)
    }

    /// Parses the one-line syntax, such as `start`, `0.25,per_document=2`, `position=end`.
    fn parse(text: &str) -> Option<Self> {
        let mut spec = InsertSpec::default();
        each_pair(text, Some("position"), |key, value| {
            match key {
                "position" => spec.position = Position::parse(value)?,
                "per_document" => spec.per_document = parse_count(value)?,
                "words" => spec.words = value.parse().ok()?,
                _ => return None,
            }
            Some(())
        })?;
        Some(spec)
    }

    /// Returns the error of a line that `parse` could not read.
    fn unread(text: &str) -> Error {
        let mut fields = text.split(',').filter_map(|field| field.split_once('='));
        let above = fields
            .find(|(key, _)| key.trim() == "per_document")
            .and_then(|(_, value)| above(value, COUNT_LIMIT));
        let above = above.map(|error| error.within("per_document"));
        above.unwrap_or_else(|| Error::value(format!("'{text}'"), EXAMPLES))
    }

    /// Refuses invalid fields.
    pub(crate) fn check(&self) -> Result<()> {
        if let Position::Share(share) = self.position {
            fraction("position", share)?;
        }
        positive("per_document", self.per_document)
    }
}

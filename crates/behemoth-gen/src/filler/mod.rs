//! Filler: documents in a generated language without facts.
//!
//! Its words have a Zipf distribution and each word has its own successors, so that there is
//! something to learn besides facts, which is measured as perplexity. It has its own seed, so that
//! different worlds can have the same filler, and its own words, at the end of the vocabulary; with
//! a tokenizer that was not built for the corpus, they are words of the tokenizer that are in no
//! name. The number of its tokens is exact, or is the difference between an exact total and the
//! tokens of the facts.

mod language;
mod words;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::numbers::{COUNT_LIMIT, SEED_LIMIT, above, fraction, parse_count, parse_seed, seed};
use crate::value::{Value, each_pair};

pub(crate) use self::language::{Filler, WordIds};

/// Maximum number of words, which are kept in memory.
const WORD_LIMIT: u64 = 1 << 20;

/// Maximum mean length of documents, in tokens.
const LENGTH_LIMIT: u64 = 1 << 20;

const EXAMPLES: &str = "'zipf:tokens=1e6' or 'zipf:total_tokens=1e7', optionally with words=10000, \
                        alpha=1, bigram=0.5, length=256 or seed=0 (the defaults)";

/// The filler of a corpus, as in a spec.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum FillerSpec {
    /// Words with a Zipf distribution, each with its own successors.
    Zipf(Zipf),
}

/// A language of words with a Zipf distribution.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Zipf {
    /// Exact number of tokens in all its documents, their ends included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Number of tokens in the complete corpus, instead of `tokens`. Twins have as much filler as
    /// their parent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_tokens: Option<u64>,
    /// Number of words.
    pub words: u64,
    /// Exponent: the word of rank k, from 0, has weight `(k + 1)^-alpha`.
    pub alpha: f64,
    /// Share of the words that are drawn from the successors of the preceding word: the same number
    /// of ranks with the same weights, in an order specific to each word.
    pub bigram: f64,
    /// Mean number of tokens in a document, its end included; lengths are uniform from half to
    /// three halves of it, except for the last document, which has what remains.
    pub length: u64,
    /// Seed of the filler, on which alone its content depends.
    pub seed: u64,
}

impl Zipf {
    /// Creates a filler with a number of tokens and the default 10,000 words.
    pub fn new(tokens: u64) -> Self {
        Zipf {
            tokens: Some(tokens),
            ..Zipf::default()
        }
    }

    /// Creates a filler that fills the corpus up to a total number of tokens.
    pub fn up_to(total_tokens: u64) -> Self {
        Zipf {
            total_tokens: Some(total_tokens),
            ..Zipf::default()
        }
    }
}

impl Default for Zipf {
    fn default() -> Self {
        Zipf {
            tokens: None,
            total_tokens: None,
            words: 10_000,
            alpha: 1.0,
            bigram: 0.5,
            length: 256,
            seed: 0,
        }
    }
}

impl From<Zipf> for FillerSpec {
    fn from(zipf: Zipf) -> Self {
        FillerSpec::Zipf(zipf)
    }
}

impl FillerSpec {
    /// Reads a line of text or a table.
    pub(crate) fn read(value: &Value) -> Result<Self> {
        let spec = match value {
            Value::Text(text) => Self::parse(text).ok_or_else(|| Self::unread(text))?,
            Value::Table(_) => Self::read_table(value)?,
            _ => return Err(Error::value(value, EXAMPLES)),
        };
        spec.check()?;
        Ok(spec)
    }

    fn read_table(value: &Value) -> Result<Self> {
        let (mut fields, default) = value.kind(&[("zipf", Zipf::default as fn() -> Zipf)])?;
        let default = default();
        fields.of_kind(&[
            "tokens",
            "total_tokens",
            "words",
            "alpha",
            "bigram",
            "length",
            "seed",
        ])?;
        let count = Value::count;
        Ok(FillerSpec::Zipf(Zipf {
            tokens: fields.nullable("tokens", count)?,
            total_tokens: fields.nullable("total_tokens", count)?,
            words: fields.optional("words", count)?.unwrap_or(default.words),
            alpha: fields
                .optional("alpha", Value::number)?
                .unwrap_or(default.alpha),
            bigram: fields
                .optional("bigram", Value::number)?
                .unwrap_or(default.bigram),
            length: fields.optional("length", count)?.unwrap_or(default.length),
            seed: fields
                .optional("seed", Value::seed)?
                .unwrap_or(default.seed),
        }))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut zipf = Zipf::default();
        each_pair(text.strip_prefix("zipf:")?, None, |key, value| {
            match key {
                "tokens" => zipf.tokens = Some(parse_count(value)?),
                "total_tokens" => zipf.total_tokens = Some(parse_count(value)?),
                "words" => zipf.words = parse_count(value)?,
                "alpha" => zipf.alpha = value.parse().ok()?,
                "bigram" => zipf.bigram = value.parse().ok()?,
                "length" => zipf.length = parse_count(value)?,
                "seed" => zipf.seed = parse_seed(value)?,
                _ => return None,
            }
            Some(())
        })?;
        Some(FillerSpec::Zipf(zipf))
    }

    /// Returns the error of a line that `parse` could not read.
    fn unread(text: &str) -> Error {
        let line = text.strip_prefix("zipf:").unwrap_or("");
        let mut pairs = line.split(',').filter_map(|field| field.split_once('='));
        let above = pairs.find_map(|(key, value)| {
            let limit = match key.trim() {
                "tokens" | "total_tokens" => COUNT_LIMIT,
                "words" => WORD_LIMIT,
                "length" => LENGTH_LIMIT,
                "seed" => SEED_LIMIT,
                _ => return None,
            };
            above(value, limit).map(|error| error.within(key.trim()))
        });
        above.unwrap_or_else(|| Error::value(format!("'{text}'"), EXAMPLES))
    }

    pub(crate) fn check(&self) -> Result<()> {
        let FillerSpec::Zipf(zipf) = self;
        match (zipf.tokens, zipf.total_tokens) {
            (Some(_), None) | (None, Some(_)) => {}
            (None, None) => {
                return Err(Error::value(
                    "no number of tokens",
                    "`tokens` or `total_tokens`",
                ));
            }
            (Some(_), Some(_)) => {
                let got = "both `tokens` and `total_tokens`";
                return Err(Error::value(got, "one of them"));
            }
        }
        if !(2..=WORD_LIMIT).contains(&zipf.words) {
            return Err(Error::argument(
                "words",
                zipf.words,
                format!("2 to {WORD_LIMIT}"),
            ));
        }
        if !(0.0..=100.0).contains(&zipf.alpha) {
            return Err(Error::argument("alpha", zipf.alpha, "0 to 100"));
        }
        fraction("bigram", zipf.bigram)?;
        if !(4..=LENGTH_LIMIT).contains(&zipf.length) {
            return Err(Error::argument(
                "length",
                zipf.length,
                format!("4 to {LENGTH_LIMIT}"),
            ));
        }
        seed("seed", zipf.seed)
    }

    /// Returns the number of tokens in the complete corpus, if set.
    pub(crate) fn total_tokens(&self) -> Option<u64> {
        let FillerSpec::Zipf(zipf) = self;
        zipf.total_tokens
    }

    /// Returns the number of words.
    pub(crate) fn words(&self) -> u64 {
        let FillerSpec::Zipf(zipf) = self;
        zipf.words
    }

    /// Returns the number of tokens in the filler, given that of the facts.
    pub(crate) fn tokens(&self, facts: u64) -> Result<u64> {
        let FillerSpec::Zipf(zipf) = self;
        match zipf.total_tokens {
            None => Ok(zipf.tokens.unwrap_or(0)),
            Some(total) => total.checked_sub(facts).ok_or_else(|| {
                let allowed = format!("at least {facts}, the tokens of the facts");
                Error::argument("total_tokens", total, allowed)
            }),
        }
    }
}

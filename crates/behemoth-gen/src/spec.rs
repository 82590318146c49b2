//! What a user asks for: [`WorldSpec`] and [`CorpusSpec`], validated inputs.
//!
//! A [`Spec`] is read from TOML or JSON, with shorthands (`relations = 6`, `exposures =
//! "groups:1,4,16"`), and is normalised: what comes back has every relation written out. Rules
//! that need only the numbers of a spec are checked here; rules that need the built world (an
//! override of a fact that does not exist) are checked where the thing is built.

mod read;

use serde::de::Deserializer;
use serde::{Deserialize, Serialize};

use self::read::{RawSpec, RawWorld, one_line, optional_count, optional_seed, read, weights};
use crate::error::{Error, Result};
use crate::exposure::ExposureSpec;
use crate::relation::RelationSpec;

pub(crate) use self::read::count;

/// The version of everything that decides output bytes.
pub const FORMAT_VERSION: u32 = 1;

/// Most nonsense words of all wordings together: the vocabulary names each of them.
const NONSENSE_LIMIT: u64 = 1_000_000;

/// Largest count that a spec takes: counts stay exact in products checked as `u64`.
pub const COUNT_LIMIT: u64 = 1 << 62;

/// A world and a corpus of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spec {
    /// Version of the output bytes.
    pub format_version: u32,
    /// The facts.
    pub world: WorldSpec,
    /// How they are written.
    pub corpus: CorpusSpec,
}

/// All facts: a pure function of this and its seed (or a table, named by its digest).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorldSpec {
    /// Decides every draw of the world.
    pub seed: u64,
    /// Number of subjects.
    pub subjects: u64,
    /// The relations of a subject, in order; empty for a table world.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub relations: Vec<RelationSpec>,
    /// Exact fraction of the facts of drawn relations that have a second, different object.
    pub minority: f64,
    /// Set when the facts are stored instead of drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<TableSpec>,
}

/// A world read from a table: its sizes and the digest of its rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableSpec {
    /// One entry for each relation of the table.
    pub relations: Vec<TableRelation>,
    /// BLAKE3 of the rows, so that a spec names exactly one table; filled in where it is empty.
    #[serde(default)]
    pub digest: String,
    /// Whether words have the lengths that the reference gives them.
    #[serde(default)]
    pub reference_words: bool,
}

/// A relation of a table world.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableRelation {
    /// Number of objects.
    #[serde(deserialize_with = "count")]
    pub objects: u64,
    /// Number of nested objects, when the table has them.
    #[serde(
        default,
        deserialize_with = "optional_count",
        skip_serializing_if = "Option::is_none"
    )]
    pub nested: Option<u64>,
}

/// The order of the corpus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Every sentence is a document, all documents shuffled.
    Shuffle,
    /// A document holds sentences of one subject, all documents shuffled.
    Bios,
}

/// Questions about some of the subjects.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuestionSpec {
    /// Exact fraction of the subjects that questions are asked about.
    pub subjects: f64,
    /// Exact fraction of their sentences that are written as questions.
    pub sentences: f64,
}

/// A template and its weight in the grammar.
#[derive(Clone, Debug, PartialEq)]
pub struct Weight {
    /// The template's name.
    pub name: String,
    /// Its weight, relative to the others.
    pub weight: f64,
}

/// The differences of a twin from its parent corpus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TwinSpec {
    /// Pairs of (fact, new object), by fact.
    #[serde(default)]
    pub overrides: Vec<(u64, u32)>,
    /// Whether composed facts follow the overridden object.
    #[serde(default)]
    pub follow: bool,
    /// Facts whose sentences are left out, in ascending order.
    #[serde(default)]
    pub without: Vec<u64>,
}

impl TwinSpec {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.overrides.is_empty() && self.without.is_empty()
    }
}

/// The ordered token stream of all sentences: a pure function of this, the world and the seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CorpusSpec {
    /// How often each fact is written.
    pub exposures: ExposureSpec,
    /// How often each link fact (object -> nested object) is written; by default as often as the
    /// most exposed fact.
    #[serde(
        deserialize_with = "optional_count",
        skip_serializing_if = "Option::is_none"
    )]
    pub nested_exposures: Option<u64>,
    /// What a document is.
    pub order: Order,
    /// Decides the order alone; by default the world's seed.
    #[serde(
        deserialize_with = "optional_seed",
        skip_serializing_if = "Option::is_none"
    )]
    pub order_seed: Option<u64>,
    /// `bios`: over how many documents a subject's sentences are spread; by default the fewest
    /// exposures of any fact, so that a document holds every fact of its subject at least once.
    #[serde(
        deserialize_with = "optional_count",
        skip_serializing_if = "Option::is_none"
    )]
    pub documents_per_subject: Option<u64>,
    /// Weights of the templates.
    #[serde(with = "weights")]
    pub templates: Vec<Weight>,
    /// Share of `default` and `nonsense` sentences that are written in another word order.
    pub inversion: f64,
    /// Whether template shares are exact over the corpus; otherwise each sentence draws.
    pub exact_shares: bool,
    /// Questions, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub questions: Option<QuestionSpec>,
    /// Exact fraction of the sentences of a fact with two objects that have the second.
    pub minority_sentences: f64,
    /// Wordings of each template in all; the first is the template itself.
    #[serde(deserialize_with = "count")]
    pub paraphrases: u64,
    /// How many of the wordings, from the last, are never written: probes only.
    #[serde(deserialize_with = "count")]
    pub held_out: u64,
    /// Number of filler words of the nonsense grammar.
    #[serde(deserialize_with = "count")]
    pub nonsense_words: u64,
    /// Radix of words: a word has the fewest digits, each a token of its own range.
    #[serde(deserialize_with = "count")]
    pub base: u64,
    /// Bytes of a shard at the most; by default a 64th of the corpus, 64 MiB to 1 GiB.
    #[serde(
        deserialize_with = "optional_count",
        skip_serializing_if = "Option::is_none"
    )]
    pub shard_bytes: Option<u64>,
    /// Set on twins.
    #[serde(skip_serializing_if = "TwinSpec::is_empty")]
    pub twin: TwinSpec,
}

impl Default for CorpusSpec {
    fn default() -> Self {
        CorpusSpec {
            exposures: ExposureSpec::Constant { exposures: 1 },
            nested_exposures: None,
            order: Order::Shuffle,
            order_seed: None,
            documents_per_subject: None,
            templates: vec![Weight {
                name: "default".into(),
                weight: 1.0,
            }],
            inversion: 0.0,
            exact_shares: false,
            questions: None,
            minority_sentences: 0.1,
            paraphrases: 1,
            held_out: 0,
            nonsense_words: 1000,
            base: 1000,
            shard_bytes: None,
            twin: TwinSpec::default(),
        }
    }
}

impl Spec {
    /// Reads and validates TOML text with the tables `world` and `corpus`.
    pub fn from_toml(text: &str) -> Result<Spec> {
        let value: toml::Value = toml::from_str(text)
            .map_err(|e| Error::argument("spec", one_line(e.message()), "TOML text"))?;
        Spec::from_raw(value)
    }

    /// Reads and validates JSON text with the objects `world` and `corpus`.
    pub fn from_json(text: &str) -> Result<Spec> {
        from_json_text("spec", text).and_then(Spec::from_raw)
    }

    fn from_raw<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Spec> {
        let raw: RawSpec = read("spec", deserializer)?;
        if let Some(version) = raw.format_version
            && version != FORMAT_VERSION
        {
            return Err(Error::argument(
                "format_version",
                version,
                format!("{FORMAT_VERSION}, the format this version of behemoth writes"),
            ));
        }
        let corpus = raw.corpus;
        corpus.validate()?;
        Ok(Spec {
            format_version: FORMAT_VERSION,
            world: raw.world.normalise()?,
            corpus,
        })
    }

    /// The spec as JSON text, with every shorthand written out.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a spec is plain data")
    }

    /// The spec as TOML text, with every shorthand written out.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a spec is plain data")
    }

    /// BLAKE3 of the normalised JSON: two corpora are the same exactly when this is.
    pub fn hash(&self) -> String {
        blake3::hash(self.to_json().as_bytes()).to_hex().to_string()
    }
}

impl WorldSpec {
    /// Reads and validates JSON text.
    pub fn from_json(text: &str) -> Result<WorldSpec> {
        let raw: RawWorld = read("world", from_json_text("world", text)?)?;
        raw.normalise()
    }

    /// The spec as JSON text.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a spec is plain data")
    }
}

impl CorpusSpec {
    /// Reads and validates JSON text.
    pub fn from_json(text: &str) -> Result<CorpusSpec> {
        let spec: CorpusSpec = read("corpus", from_json_text("corpus", text)?)?;
        spec.validate()?;
        Ok(spec)
    }

    fn validate(&self) -> Result<()> {
        self.exposures.validate()?;
        fraction("inversion", self.inversion)?;
        fraction("minority_sentences", self.minority_sentences)?;
        if let Some(questions) = &self.questions {
            fraction("questions.subjects", questions.subjects)?;
            fraction("questions.sentences", questions.sentences)?;
        }
        positive("paraphrases", self.paraphrases)?;
        if self.paraphrases > 10_000 {
            return Err(Error::argument(
                "paraphrases",
                self.paraphrases,
                "1 to 10000",
            ));
        }
        if self.held_out >= self.paraphrases {
            return Err(Error::argument(
                "held_out",
                self.held_out,
                format!(
                    "fewer than paraphrases ({}), since one wording must be written",
                    self.paraphrases
                ),
            ));
        }
        let most_words = NONSENSE_LIMIT / self.paraphrases;
        if !(1..=most_words).contains(&self.nonsense_words) {
            return Err(Error::argument(
                "nonsense_words",
                self.nonsense_words,
                format!("1 to {most_words} with {} paraphrases", self.paraphrases),
            ));
        }
        if !(10..=1 << 24).contains(&self.base) {
            return Err(Error::argument("base", self.base, "10 to 16777216"));
        }
        if let Some(documents) = self.documents_per_subject {
            positive("documents_per_subject", documents)?;
        }
        if let Some(bytes) = self.shard_bytes
            && bytes < 4096
        {
            return Err(Error::argument("shard_bytes", bytes, "at least 4096"));
        }
        Ok(())
    }
}

/// JSON text as a value: the whole text, and nothing after it.
fn from_json_text(root: &str, text: &str) -> Result<serde_json::Value> {
    serde_json::from_str(text)
        .map_err(|e| Error::argument(root, one_line(&e.to_string()), "JSON text"))
}

/// Refuses a fraction outside 0 to 1.
pub(crate) fn fraction(name: &str, value: f64) -> Result<()> {
    if (0.0..=1.0).contains(&value) {
        Ok(())
    } else {
        Err(Error::argument(name, value, "a fraction from 0 to 1"))
    }
}

/// Refuses 0.
pub(crate) fn positive(name: &str, value: u64) -> Result<()> {
    if value > 0 {
        Ok(())
    } else {
        Err(Error::argument(name, value, "at least 1"))
    }
}

/// `a * b` of counts, refused past [`COUNT_LIMIT`].
pub(crate) fn product(name: &str, a: u64, b: u64) -> Result<u64> {
    a.checked_mul(b)
        .filter(|&n| n <= COUNT_LIMIT)
        .ok_or_else(|| {
            Error::argument(
                name,
                format!("{a} x {b}"),
                format!("a product up to {COUNT_LIMIT}"),
            )
        })
}

/// A fraction as a whole number of billionths, so that decimal fractions split counts exactly.
pub(crate) fn billionths(fraction: f64) -> u64 {
    (fraction * 1e9).round() as u64
}

/// `floor(n * fraction)` with the fraction in billionths.
pub(crate) fn share(n: u64, billionths: u64) -> u64 {
    (u128::from(n) * u128::from(billionths) / 1_000_000_000) as u64
}

//! The spec of a corpus.

use serde::ser::{SerializeMap, Serializer};

use super::as_argument;
use super::grammar::GrammarSpec;
use super::twin::{QuestionSpec, TwinSpec};
use crate::background::BackgroundSpec;
use crate::document::{self, DocumentSpec, Order};
use crate::error::{Error, Result};
use crate::exposure::ExposureSpec;
use crate::filler::FillerSpec;
use crate::grammar::{self, Template, TemplateWeight};
use crate::insert::InsertSpec;
use crate::schedule::ScheduleSpec;
use crate::value::Value;

/// The spec of a corpus: its ordered token stream is a pure function of this, the world and the
/// seeds.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct CorpusSpec {
    /// Number of times each fact is written.
    pub exposures: ExposureSpec,
    /// Number of times each link fact (object -> nested object) is written; by default as often as
    /// the most exposed fact. Refused beside an array that has numbers for the links.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nested_exposures: Option<u64>,
    /// Order of the corpus, which defines what a document is.
    pub order: Order,
    /// Seed of the order alone; by default the world's seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_seed: Option<u64>,
    /// Number of documents over which a subject's sentences are spread, in order `bios`; by default
    /// the minimum exposures of any fact that is written, links included, so that a document
    /// contains every fact of its subject at least once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documents_per_subject: Option<u64>,
    /// Weights of the templates, by name.
    #[serde(serialize_with = "as_map")]
    pub templates: Vec<TemplateWeight>,
    /// Share of `default` and `nonsense` sentences that are written in another word order.
    pub inversion: f64,
    /// Whether template shares are exact over the corpus; otherwise each sentence is drawn
    /// independently.
    pub exact_shares: bool,
    /// Questions, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub questions: Option<QuestionSpec>,
    /// Exact fraction of the sentences of a fact with two objects that state the second.
    pub minority_sentences: f64,
    /// Total number of wordings of each template; the first is the template itself.
    pub paraphrases: u64,
    /// Number of wordings, from the last, that are never written and serve only as probes.
    pub held_out: u64,
    /// Number of filler words of the nonsense grammar. The reference has 1,004: the four words of
    /// its questions are among them, by the first letter of their names.
    pub nonsense_words: u64,
    /// Radix of words: a word has the minimum number of digits, each a token of its own range.
    pub base: u64,
    /// Target size of a shard in bytes; by default a 64th of the corpus, within 64 MiB to 1 GiB. A
    /// shard has whole pages of 1,024 documents, at least one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shard_bytes: Option<u64>,
    /// Positions of copies within the corpus.
    #[serde(skip_serializing_if = "ScheduleSpec::is_uniform")]
    pub schedule: ScheduleSpec,
    /// Documents without facts, mixed with the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filler: Option<FillerSpec>,
    /// Documents of another corpus, mixed with the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub background: Option<BackgroundSpec>,
    /// Insertion of the sentences into those documents, instead of documents of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insert: Option<InsertSpec>,
    /// Composition of documents, in order `bios`.
    #[serde(skip_serializing_if = "DocumentSpec::is_default")]
    pub documents: DocumentSpec,
    /// The text grammar that replaces the templates, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grammar: Option<GrammarSpec>,
    /// Differences from the parent corpus; empty unless this is a twin.
    #[serde(skip_serializing_if = "TwinSpec::is_empty")]
    pub twin: TwinSpec,
}

/// Serializes weights as a map from the template's name.
fn as_map<S: Serializer>(weights: &[TemplateWeight], s: S) -> std::result::Result<S::Ok, S::Error> {
    let mut map = s.serialize_map(Some(weights.len()))?;
    for weight in weights {
        map.serialize_entry(weight.template.name(), &weight.weight)?;
    }
    map.end()
}

impl Default for CorpusSpec {
    fn default() -> Self {
        CorpusSpec {
            exposures: ExposureSpec::default(),
            nested_exposures: None,
            order: Order::Shuffle,
            order_seed: None,
            documents_per_subject: None,
            templates: vec![TemplateWeight::new(Template::Default, 1.0)],
            inversion: 0.0,
            exact_shares: false,
            questions: None,
            minority_sentences: 0.1,
            paraphrases: 1,
            held_out: 0,
            nonsense_words: 1000,
            base: 1000,
            shard_bytes: None,
            schedule: ScheduleSpec::default(),
            filler: None,
            background: None,
            insert: None,
            documents: DocumentSpec::default(),
            grammar: None,
            twin: TwinSpec::default(),
        }
    }
}

impl CorpusSpec {
    /// Reads a corpus spec from JSON.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] if the text is not valid JSON or the spec is invalid.
    pub fn from_json(text: &str) -> Result<CorpusSpec> {
        let value = Value::from_json("corpus", text)?;
        CorpusSpec::read(&value).map_err(|e| as_argument(e, "corpus"))
    }

    /// Reads and checks a corpus spec, shorthands included.
    pub(super) fn read(value: &Value) -> Result<Self> {
        let default = CorpusSpec::default();
        let mut fields = value.table(&[
            "exposures",
            "nested_exposures",
            "order",
            "order_seed",
            "documents_per_subject",
            "templates",
            "inversion",
            "exact_shares",
            "questions",
            "minority_sentences",
            "paraphrases",
            "held_out",
            "nonsense_words",
            "base",
            "shard_bytes",
            "schedule",
            "filler",
            "background",
            "insert",
            "documents",
            "grammar",
            "twin",
        ])?;
        macro_rules! field {
            ($name:ident, $read:expr) => {
                fields
                    .optional(stringify!($name), $read)?
                    .unwrap_or(default.$name)
            };
        }
        macro_rules! nullable {
            ($name:ident, $read:expr) => {
                fields.nullable(stringify!($name), $read)?
            };
        }
        CorpusSpec {
            exposures: field!(exposures, ExposureSpec::read),
            nested_exposures: nullable!(nested_exposures, Value::count),
            order: field!(order, |value| value.name(Order::NAMES)),
            order_seed: nullable!(order_seed, Value::seed),
            documents_per_subject: nullable!(documents_per_subject, Value::count),
            templates: field!(templates, read_weights),
            inversion: field!(inversion, Value::number),
            exact_shares: field!(exact_shares, Value::boolean),
            questions: nullable!(questions, QuestionSpec::read),
            minority_sentences: field!(minority_sentences, Value::number),
            paraphrases: field!(paraphrases, Value::count),
            held_out: field!(held_out, Value::count),
            nonsense_words: field!(nonsense_words, Value::count),
            base: field!(base, Value::count),
            shard_bytes: nullable!(shard_bytes, Value::count),
            schedule: field!(schedule, ScheduleSpec::read),
            filler: nullable!(filler, FillerSpec::read),
            background: nullable!(background, BackgroundSpec::read),
            insert: nullable!(insert, InsertSpec::read),
            documents: field!(documents, DocumentSpec::read),
            grammar: nullable!(grammar, GrammarSpec::read),
            twin: field!(twin, TwinSpec::read),
        }
        .checked()
    }

    /// Returns the settings of its templates.
    pub(crate) fn template_settings(&self) -> grammar::Settings<'_> {
        grammar::Settings {
            templates: &self.templates,
            inversion: self.inversion,
            wordings: self.paraphrases,
            held_out: self.held_out,
            nonsense_words: self.nonsense_words,
            asks_questions: self.questions.is_some(),
        }
    }

    /// Returns the settings of its documents, when `others` documents without facts are mixed in.
    pub(crate) fn document_settings(&self, world_seed: u64, others: u64) -> document::Settings {
        document::Settings {
            order_seed: self.order_seed.unwrap_or(world_seed),
            world_seed,
            documents_per_subject: self.documents_per_subject,
            documents: self.documents.clone(),
            schedule: self.schedule.clone(),
            others,
            inserts: self.insert.is_some(),
            writes_links: self.nested_exposures != Some(0)
                || matches!(self.exposures, ExposureSpec::Array(_)),
        }
    }
}

/// Reads a table of template names and weights.
fn read_weights(value: &Value) -> Result<Vec<TemplateWeight>> {
    value
        .fields("a table of template names and weights")?
        .all()
        .map(|(name, weight)| {
            let template = Template::from_name(name).map_err(Error::without_place)?;
            let weight = weight.number().map_err(|e| e.within(name))?;
            Ok(TemplateWeight::new(template, weight))
        })
        .collect()
}

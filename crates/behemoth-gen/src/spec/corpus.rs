//! What may be asked of a corpus.

use serde::ser::{Serialize, SerializeMap, Serializer};

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

/// The ordered token stream of all sentences: a pure function of this, the world and the seeds.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct CorpusSpec {
    /// How often each fact is written.
    pub exposures: ExposureSpec,
    /// How often each link fact (object -> nested object) is written; by default as often as the
    /// most exposed fact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nested_exposures: Option<u64>,
    /// What a document is.
    pub order: Order,
    /// Decides the order alone; by default the world's seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_seed: Option<u64>,
    /// `bios`: over how many documents a subject's sentences are spread; by default the fewest
    /// exposures of any fact, so that a document holds every fact of its subject at least once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documents_per_subject: Option<u64>,
    /// Weights of the templates, by their names.
    #[serde(serialize_with = "as_map")]
    pub templates: Vec<TemplateWeight>,
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
    pub paraphrases: u64,
    /// How many of the wordings, from the last, are never written: probes only.
    pub held_out: u64,
    /// Number of filler words of the nonsense grammar. The reference has 1,004: the four words of
    /// its questions are among them, by the first letter of their names.
    pub nonsense_words: u64,
    /// Radix of words: a word has the fewest digits, each a token of its own range.
    pub base: u64,
    /// Bytes of a shard at the most; by default a 64th of the corpus, 64 MiB to 1 GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shard_bytes: Option<u64>,
    /// Where in the corpus copies stand.
    #[serde(skip_serializing_if = "ScheduleSpec::is_uniform")]
    pub schedule: ScheduleSpec,
    /// Documents that say no fact, among the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filler: Option<FillerSpec>,
    /// Documents of another corpus, among the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub background: Option<BackgroundSpec>,
    /// How sentences stand inside those documents, if they have none of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insert: Option<InsertSpec>,
    /// How documents are made, in order `bios`.
    #[serde(skip_serializing_if = "DocumentSpec::is_default")]
    pub documents: DocumentSpec,
    /// The grammar that it is written with, in place of templates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grammar: Option<GrammarSpec>,
    /// Set on twins.
    #[serde(skip_serializing_if = "TwinSpec::is_empty")]
    pub twin: TwinSpec,
}

/// Weights as a map from the template's name.
fn as_map<S: Serializer>(weights: &[TemplateWeight], s: S) -> std::result::Result<S::Ok, S::Error> {
    let mut map = s.serialize_map(Some(weights.len()))?;
    for weight in weights {
        map.serialize_entry(weight.template.name(), &weight.weight)?;
    }
    map.end()
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        s.serialize_str(self.name())
    }
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
    /// Reads and validates JSON text.
    pub fn from_json(text: &str) -> Result<CorpusSpec> {
        let value = Value::from_json("corpus", text)?;
        CorpusSpec::read(&value).map_err(|e| as_argument(e, "corpus"))
    }

    /// Reads and checks a corpus as people write it.
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

    /// What its grammar is made of.
    pub(crate) fn grammar(&self) -> grammar::Settings<'_> {
        grammar::Settings {
            templates: &self.templates,
            inversion: self.inversion,
            wordings: self.paraphrases,
            held_out: self.held_out,
            nonsense_words: self.nonsense_words,
            asks_questions: self.questions.is_some(),
        }
    }

    /// What its documents are made of, beside so many that say no fact.
    pub(crate) fn documents(&self, world_seed: u64, others: u64) -> document::Settings {
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

/// A table of template names and weights.
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

//! The ordered stream of all sentences, and random access to it.
//!
//! The unit of order is the *document*: in `shuffle` order a sentence, in `bios` order some of the
//! sentences of one subject. A permutation assigns documents to their positions, so document i is
//! generated without the documents before it. If every document has the same number of tokens,
//! token offsets are arithmetic; otherwise an index of the tokens in fixed *pages* of
//! [`PAGE_DOCUMENTS`] documents is computed once.
//!
//! A twin keeps the positions of its parent: overridden facts change tokens in place, and the
//! documents of omitted facts have no tokens.

mod count;
mod emit;
mod facts;
mod held;
mod insert;
mod labelled;
mod ledger;
mod others;
mod probe;
mod questions;
mod reached;
mod sentence;
mod settle;
mod shapes;
mod size;
mod stream;
mod style;
mod text;
mod threads;
mod twin;

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use self::facts::FactSet;
use self::others::Others;
use self::questions::Questions;
use self::reached::Reached;
use self::sentence::{Choice, MinorityShare};
use self::settle::{settle, vocabulary};
use self::style::Style;
use self::text::Text;
use crate::background::{Background, Taken};
use crate::document::Documents;
use crate::error::{Error, Result};
use crate::exposure::Exposures;
use crate::filler::Filler;
use crate::grammar::{Lexicon, Shares, Wording};
use crate::hash::Key;
use crate::insert::Slots;
use crate::spec::{CorpusSpec, Spec};
use crate::vocabulary::{Token, Vocabulary};
use crate::world::World;

pub use self::labelled::{Blocks, Labelling};
pub use self::ledger::Entry;
pub use self::others::DocumentKind;
pub use self::probe::{Probe, Prober};
pub use self::text::{BACKGROUND_ROLE, Span};
pub use self::threads::Progress;

pub(crate) use self::style::Pen;
pub(crate) use self::threads::{in_turn, threads_or_all};

/// Number of documents in a page, fixed by format version 1.
pub const PAGE_DOCUMENTS: u64 = 1024;

/// Returns a range of documents in pieces of [`PAGE_DOCUMENTS`].
fn pages(documents: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let end = documents.end;
    let firsts = documents.step_by(PAGE_DOCUMENTS as usize);
    firsts.map(move |first| first..first.saturating_add(PAGE_DOCUMENTS).min(end))
}

/// Optional inputs of a corpus besides its spec.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// Exposures by fact, if the spec has the form `array`; shared with twins.
    pub array: Option<Arc<[u32]>>,
    /// The compiled text grammar that replaces the templates.
    pub lexicon: Option<Arc<Lexicon>>,
    /// Documents to mix with those of the corpus.
    pub background: Option<Arc<Background>>,
}

/// What a corpus takes over from another one whose specs of it are the same.
#[derive(Default)]
struct Inherited {
    exposures: Option<Arc<Exposures>>,
    filler: Option<Arc<Filler>>,
    background: Option<Arc<Taken>>,
    insert: Option<Arc<Slots>>,
}

/// A corpus, which can be written to disk or streamed.
#[derive(Clone, Debug)]
pub struct Corpus {
    world: World,
    spec: Spec,
    array: Option<Arc<[u32]>>,
    vocabulary: Vocabulary,
    style: Style,
    /// Shared with twins: an array takes 16 bytes and its share of a sort for each fact.
    exposures: Arc<Exposures>,
    documents: Documents,
    others: Others,
    insert: Option<Arc<Slots>>,
    background: Option<Arc<Background>>,
    choice: Choice,
    questions: Option<Questions>,
    minority: Option<MinorityShare>,
    without: Option<Arc<FactSet>>,
    sentence_key: Key,
    most_tokens: usize,
    document_tokens: Option<u64>,
    index: Arc<OnceLock<Vec<u64>>>,
    mean: Arc<OnceLock<f64>>,
    /// Where the last calls that filled tokens by their offset ended, if they used the index.
    reached: Arc<Reached>,
    /// The same stream as text, compiled on first use.
    written: Arc<OnceLock<Corpus>>,
}

impl Corpus {
    /// Builds the corpus of a world; `array` is the list of exposures by fact, if the spec has the
    /// form `array`. Overrides of the world are copied to the corpus's twin spec. The spec is
    /// always checked; the format version is that of the world.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] if the spec is invalid or does not fit the world or `array`.
    pub fn new(world: World, spec: CorpusSpec, array: Option<Vec<u32>>) -> Result<Corpus> {
        let parts = Parts {
            array: array.map(Arc::from),
            ..Parts::default()
        };
        Corpus::with_parts(world, spec, parts)
    }

    /// Builds a corpus that is written with a text grammar; otherwise like [`Corpus::new`].
    ///
    /// # Errors
    ///
    /// As for [`Corpus::new`], and if the lexicon does not fit the world or the spec.
    pub fn with_lexicon(
        world: World,
        spec: CorpusSpec,
        array: Option<Vec<u32>>,
        lexicon: Arc<Lexicon>,
    ) -> Result<Corpus> {
        let parts = Parts {
            array: array.map(Arc::from),
            lexicon: Some(lexicon),
            ..Parts::default()
        };
        Corpus::with_parts(world, spec, parts)
    }

    /// Builds a corpus from a spec and all optional inputs; otherwise like [`Corpus::new`].
    ///
    /// # Errors
    ///
    /// As for [`Corpus::new`], and if the parts do not fit the world or the spec.
    pub fn with_parts(world: World, spec: CorpusSpec, parts: Parts) -> Result<Corpus> {
        Corpus::inheriting(world, spec, parts, Inherited::default())
    }

    fn inheriting(
        world: World,
        spec: CorpusSpec,
        parts: Parts,
        inherited: Inherited,
    ) -> Result<Corpus> {
        let (world, spec) = settle(world, spec, &parts)?;
        let seed = world.seed();
        let (style, vocabulary) = match &parts.lexicon {
            None => {
                let shares = Shares::new(&spec.template_settings())?;
                let vocabulary = vocabulary(&world, &spec, &shares)?;
                let style = Style::of_templates(&world, &spec, &shares, &vocabulary);
                (style, vocabulary)
            }
            Some(lexicon) => {
                let vocabulary = Text::vocabulary(lexicon, spec.filler.as_ref())?;
                let text = Text::new(&world, &spec, lexicon.clone())?;
                (Style::Text(Arc::new(text)), vocabulary)
            }
        };
        let exposures = match inherited.exposures {
            Some(exposures) => exposures,
            None => Arc::new(Exposures::new(
                &spec.exposures,
                spec.nested_exposures,
                &world.population(),
                parts.array.as_deref(),
            )?),
        };
        let filler = match inherited.filler {
            Some(filler) => Some(filler),
            None => others::filler(&world, &spec, &parts, &vocabulary, &exposures)?,
        };
        let background = others::background(&spec, &parts, &vocabulary, inherited.background)?;
        let others = Others::new(filler, background, &spec, &exposures)?;
        let insert = match inherited.insert {
            Some(slots) => Some(slots),
            None => insert::slots(&world, &spec, &style, &others, &exposures)?,
        };
        let settings = spec.document_settings(seed, others.documents());
        let documents = Documents::new(spec.order, &settings, &world, &exposures)?;
        let mut corpus = Corpus {
            most_tokens: style.most_tokens(),
            choice: style.choice(&spec, &exposures, seed)?,
            questions: spec
                .questions
                .as_ref()
                .map(|questions| Questions::new(questions, style.asked(), &world, &exposures))
                .transpose()?,
            minority: (world.has_minority())
                .then(|| MinorityShare::new(spec.minority_sentences, seed)),
            without: (!spec.twin.without.is_empty())
                .then(|| Arc::new(FactSet::new(&spec.twin.without, world.facts()))),
            spec: Spec {
                format_version: world.version(),
                world: world.spec().clone(),
                corpus: spec,
            },
            world,
            array: parts.array,
            background: parts.background,
            vocabulary,
            style,
            exposures,
            documents,
            others,
            insert,
            sentence_key: Key::new(seed, "sentence", 0),
            document_tokens: None,
            index: Arc::default(),
            mean: Arc::default(),
            reached: Arc::default(),
            written: Arc::default(),
        };
        corpus.check_document_size()?;
        corpus.document_tokens = corpus.fixed_document_tokens();
        Ok(corpus)
    }

    /// Builds the corpus of a spec that needs no table, array, grammar or background.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] if the spec is invalid or needs one of these.
    pub fn from_spec(spec: Spec) -> Result<Corpus> {
        let world = World::of_version(spec.format_version, spec.world, None)?;
        Corpus::new(world, spec.corpus, None)
    }

    /// Returns the world, overrides of a twin included.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Returns the normalised spec.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Returns the partition of the token ids.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Returns all wordings of all templates; [`Entry::wording_index`] is an index into this list.
    pub fn wordings(&self) -> &[Wording] {
        self.style.wordings()
    }

    /// Returns the exposures of the facts, before a twin omits any.
    pub fn exposures(&self) -> &Exposures {
        &self.exposures
    }

    /// Returns the number of documents, those without tokens included.
    pub fn documents(&self) -> u64 {
        self.documents.len()
    }

    /// Returns the number of sentences that are written.
    pub fn sentences(&self) -> u64 {
        let left_out: u64 = self
            .spec
            .corpus
            .twin
            .without
            .iter()
            .map(|&fact| self.exposures.of(fact))
            .sum();
        self.exposures.sentences() - left_out
    }

    /// Returns the number of times a fact is written, or 0 if it is omitted.
    pub fn exposures_of(&self, fact: u64) -> u64 {
        if self.is_left_out(fact) {
            0
        } else {
            self.exposures.of(fact)
        }
    }

    /// Returns the number of tokens in every document, or `None` if it varies.
    pub fn document_tokens(&self) -> Option<u64> {
        self.document_tokens
    }

    /// Returns the size of a token in a shard, in bytes.
    pub fn token_bytes(&self) -> u64 {
        if self.vocabulary.fits_u16() { 2 } else { 4 }
    }

    /// Refuses a token type that cannot hold every id.
    fn check_token_type<T: Token>(&self) -> Result<()> {
        if T::BYTES >= self.token_bytes() as usize {
            return Ok(());
        }
        Err(Error::argument(
            "dtype",
            format!("{} bits", 8 * T::BYTES),
            format!(
                "at least 32 bits for a vocabulary of {} tokens",
                self.vocabulary.size()
            ),
        ))
    }

    /// Refuses a range that is not within the documents of the corpus.
    pub(crate) fn check_documents(&self, documents: &Range<u64>) -> Result<()> {
        self.check_range("stop", documents.start, documents.end, self.documents())
    }

    fn check_range(&self, name: &str, start: u64, stop: u64, limit: u64) -> Result<()> {
        if start > stop || stop > limit {
            return Err(Error::argument(
                name,
                format!("{start} to {stop}"),
                format!("a range within 0 to {limit}"),
            ));
        }
        Ok(())
    }
}

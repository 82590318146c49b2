//! The ordered stream of all sentences, and random access to it.
//!
//! The unit of order is the *document*: in `shuffle` order a sentence, in `bios` order some of
//! the sentences of one subject. Documents stand at the places that a permutation gives them, so
//! document i is made without the documents before it. Where every document has the same number
//! of tokens, token offsets are arithmetic; elsewhere an index counts the tokens of fixed
//! *pages* of [`PAGE_DOCUMENTS`] documents, once.
//!
//! A twin keeps the places of its parent: overridden facts change tokens in place, and the
//! documents of facts that are left out have no tokens.

mod emit;
mod ledger;
mod order;
mod sentence;
mod stream;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use self::order::Documents;
use self::sentence::{Choice, MinorityShare, Questions};
use crate::error::{Error, Result};
use crate::exposure::{ExposureSpec, Exposures, digest_of};
use crate::hash::Key;
use crate::spec::{CorpusSpec, FORMAT_VERSION, Spec, billionths};
use crate::template::{self, Grammar, Lengths, Wording, most_tokens};
use crate::vocabulary::{Token, Vocabulary, Word};
use crate::world::World;

pub use self::ledger::{Entry, Prober};

/// Documents of a page, fixed by format version 1.
pub const PAGE_DOCUMENTS: u64 = 1024;

/// Most tokens of one document: it is made in memory.
const DOCUMENT_LIMIT: u64 = 1 << 27;

/// How far a long call has come, and whether it should stop; shared with the caller.
#[derive(Debug, Default)]
pub struct Progress {
    /// Units done (bytes or tokens, as the call says).
    pub done: AtomicU64,
    /// Set to make the call stop with [`Error::Cancelled`].
    pub cancel: AtomicBool,
}

impl Progress {
    pub(crate) fn add(&self, n: u64) -> Result<()> {
        self.done.fetch_add(n, Ordering::Relaxed);
        if self.cancel.load(Ordering::Relaxed) {
            Err(Error::Cancelled)
        } else {
            Ok(())
        }
    }
}

/// A corpus, ready to be written or streamed.
#[derive(Clone, Debug)]
pub struct Corpus {
    world: World,
    spec: Spec,
    array: Option<Arc<Vec<u32>>>,
    vocabulary: Vocabulary,
    grammar: Grammar,
    exposures: Exposures,
    layout: Documents,
    choice: Choice,
    questions: Option<Questions>,
    minority: Option<MinorityShare>,
    without: Option<Arc<FactSet>>,
    /// Word lengths that occur, and which of them each relation has.
    shapes: Vec<Lengths>,
    shape_of: Vec<usize>,
    /// Words by relation id, links included.
    words: Vec<(Word, Word)>,
    sentence_key: Key,
    filler_key: Key,
    most_tokens: usize,
    document_tokens: Option<u64>,
    index: Arc<OnceLock<Vec<u64>>>,
}

/// A set of facts with a fast test.
#[derive(Debug)]
enum FactSet {
    Bits(Vec<u64>),
    Sorted(Vec<u64>),
}

impl FactSet {
    /// Up to 64 MiB of bits; larger worlds search a sorted list.
    const BITS_LIMIT: u64 = 1 << 29;

    fn new(sorted: &[u64], facts: u64) -> Self {
        if facts <= Self::BITS_LIMIT {
            let mut bits = vec![0u64; facts.div_ceil(64) as usize];
            for &fact in sorted {
                bits[(fact / 64) as usize] |= 1 << (fact % 64);
            }
            FactSet::Bits(bits)
        } else {
            FactSet::Sorted(sorted.to_vec())
        }
    }

    #[inline]
    fn contains(&self, fact: u64) -> bool {
        match self {
            FactSet::Bits(bits) => bits[(fact / 64) as usize] >> (fact % 64) & 1 == 1,
            FactSet::Sorted(sorted) => sorted.binary_search(&fact).is_ok(),
        }
    }
}

impl Corpus {
    /// Builds the corpus of a world; `array` are the exposures by fact, when the spec says
    /// `array`. Overrides that the world has are taken into the corpus's twin spec.
    pub fn new(world: World, mut spec: CorpusSpec, array: Option<Vec<u32>>) -> Result<Corpus> {
        if let (ExposureSpec::Array { digest }, Some(array)) = (&mut spec.exposures, &array)
            && digest.is_empty()
        {
            *digest = digest_of(array);
        }
        // The world may come with overrides of its own, and the spec with those of a twin.
        let (overrides, follow) = world.overrides();
        if !overrides.is_empty() {
            spec.twin.overrides = overrides.to_vec();
            spec.twin.follow = follow;
        }
        let world = world.with_overrides(&spec.twin.overrides, spec.twin.follow)?;
        // Sorted, so that two ways of writing one twin have one hash.
        spec.twin.overrides = world.overrides().0.to_vec();
        spec.twin.without.sort_unstable();
        spec.twin.without.dedup();
        if let Some(&last) = spec.twin.without.last()
            && last >= world.facts()
        {
            return Err(Error::argument(
                "without",
                format!("fact {last}"),
                format!("facts below {}", world.facts()),
            ));
        }
        let seed = world.seed();
        let vocabulary = Vocabulary::new(&world, &spec, template::templates_in_use(&spec)?)?;
        let grammar = Grammar::new(&spec, &vocabulary)?;
        if let Some(exposures) = spec.nested_exposures
            && world.links().is_empty()
        {
            return Err(Error::argument(
                "nested_exposures",
                exposures,
                "none in a world without composed relations",
            ));
        }
        let exposures = Exposures::new(
            &spec.exposures,
            spec.nested_exposures,
            &world,
            array.as_deref(),
        )?;
        let relations = world.relations() + world.links().len() as u32;
        let words: Vec<(Word, Word)> = (0..relations)
            .map(|relation| {
                (
                    vocabulary.subject_of(&world, relation).clone(),
                    vocabulary.object_of(&world, relation).clone(),
                )
            })
            .collect();
        let mut shapes: Vec<Lengths> = Vec::new();
        let shape_of = words
            .iter()
            .map(|(subject, object)| {
                let lengths = Lengths {
                    subject: subject.len(),
                    relation: vocabulary.relation().len(),
                    object: object.len(),
                };
                shapes
                    .iter()
                    .position(|&s| s == lengths)
                    .unwrap_or_else(|| {
                        shapes.push(lengths);
                        shapes.len() - 1
                    })
            })
            .collect();
        let layout = Documents::new(&spec, &world, &exposures)?;
        let choice = Choice::new(&spec, &grammar, &exposures, seed)?;
        let questions = spec
            .questions
            .as_ref()
            .map(|questions| Questions::new(questions, &grammar, &world));
        let minority = (world.has_minority()).then(|| MinorityShare {
            sentences: billionths(spec.minority_sentences),
            rotation: Key::new(seed, "minority-copies", 0),
        });
        let without = (!spec.twin.without.is_empty())
            .then(|| Arc::new(FactSet::new(&spec.twin.without, world.facts())));
        let spec = Spec {
            format_version: FORMAT_VERSION,
            world: world.spec().clone(),
            corpus: spec,
        };
        let mut corpus = Corpus {
            most_tokens: most_tokens(grammar.written().map(|w| &grammar.wordings[w]), &shapes),
            world,
            spec,
            array: array.map(Arc::new),
            vocabulary,
            grammar,
            exposures,
            layout,
            choice,
            questions,
            minority,
            without,
            shapes,
            shape_of,
            words,
            sentence_key: Key::new(seed, "sentence", 0),
            filler_key: Key::new(seed, "filler", 0),
            document_tokens: None,
            index: Arc::new(OnceLock::new()),
        };
        let most = corpus.most_document_tokens();
        if most > DOCUMENT_LIMIT {
            return Err(Error::argument(
                "documents_per_subject",
                corpus.layout.bios.as_ref().map_or(1, |bios| bios.spread),
                format!(
                    "more: a document may have {DOCUMENT_LIMIT} tokens, and would have up to {most}"
                ),
            ));
        }
        corpus.document_tokens = corpus.fixed_document_tokens();
        Ok(corpus)
    }

    /// The corpus of a spec without table and array.
    pub fn from_spec(spec: Spec) -> Result<Corpus> {
        Corpus::new(World::new(spec.world)?, spec.corpus, None)
    }

    /// The facts, overrides of a twin included.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The normalised spec.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The partition of the token ids.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// All wordings of all templates; [`Entry::wording`] points here.
    pub fn wordings(&self) -> &[Wording] {
        &self.grammar.wordings
    }

    /// The exposures of the facts, before any are left out.
    pub fn exposures(&self) -> &Exposures {
        &self.exposures
    }

    /// Number of documents, those without tokens included.
    pub fn documents(&self) -> u64 {
        self.layout.order.len()
    }

    /// Number of sentences that are written.
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

    /// How often a fact is written; 0 for one that is left out.
    pub fn exposures_of(&self, fact: u64) -> u64 {
        if self.is_left_out(fact) {
            0
        } else {
            self.exposures.of(fact)
        }
    }

    /// Tokens of every document, when all have the same number.
    pub fn document_tokens(&self) -> Option<u64> {
        self.document_tokens
    }

    /// Bytes of a token in a shard.
    pub fn token_bytes(&self) -> u64 {
        if self.vocabulary.fits_u16() { 2 } else { 4 }
    }

    /// The same corpus with other objects for some facts; see [`World::with_overrides`].
    pub fn with_overrides(&self, changes: &[(u64, u32)], follow: bool) -> Result<Corpus> {
        let world = self.world.with_overrides(changes, follow)?;
        let mut spec = self.spec.corpus.clone();
        spec.twin.overrides = world.overrides().0.to_vec();
        spec.twin.follow = follow;
        self.twin(world, spec)
    }

    /// The same corpus without the sentences of some facts.
    pub fn without(&self, facts: &[u64]) -> Result<Corpus> {
        let mut spec = self.spec.corpus.clone();
        spec.twin.without.extend_from_slice(facts);
        self.twin(self.world.clone(), spec)
    }

    fn twin(&self, world: World, spec: CorpusSpec) -> Result<Corpus> {
        let array = self.array.as_ref().map(|array| array.to_vec());
        Corpus::new(world, spec, array)
    }

    #[inline(always)]
    fn is_left_out(&self, fact: u64) -> bool {
        self.without.as_ref().is_some_and(|set| set.contains(fact))
    }

    /// Most tokens of a document.
    fn most_document_tokens(&self) -> u64 {
        let sentence = self.most_tokens as u64;
        match &self.layout.bios {
            None => sentence,
            Some(bios) => {
                let copies = self.exposures.most().div_ceil(bios.spread);
                u64::from(self.world.relations())
                    .saturating_mul(copies)
                    .saturating_mul(sentence)
                    .saturating_add(1)
            }
        }
    }

    fn fixed_document_tokens(&self) -> Option<u64> {
        if self.without.is_some() {
            return None;
        }
        let writer = self.writer::<u32>();
        let mut tokens = None;
        for wording in self.grammar.written() {
            for shape in 0..self.shapes.len() {
                let this = writer.fixed_tokens(wording, shape)? as u64;
                if tokens.is_some_and(|tokens| tokens != this) {
                    return None;
                }
                tokens = Some(this);
            }
        }
        match &self.layout.bios {
            None => tokens,
            Some(bios) => {
                let even = self.exposures.fewest() == self.exposures.most()
                    && self.exposures.classes().iter().all(|c| c.exposures > 0)
                    && self.exposures.most().is_multiple_of(bios.spread)
                    && self.world.links().is_empty()
                    && self.world.is_complete();
                let sentences = u64::from(self.world.relations()) * self.exposures.most();
                even.then(|| Some(tokens? * (sentences / bios.spread) + 1))?
            }
        }
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

/// `threads`, or all there are for 0.
pub(crate) fn threads_or_all(threads: usize) -> usize {
    if threads > 0 {
        threads
    } else {
        std::thread::available_parallelism().map_or(1, usize::from)
    }
}

/// Runs `work` on so many threads and gives the first error.
pub(crate) fn on_threads(threads: usize, work: impl Fn() -> Result<()> + Sync) -> Result<()> {
    let threads = threads_or_all(threads);
    if threads == 1 {
        return work();
    }
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(&work)).collect();
        let mut result = Ok(());
        for handle in handles {
            let this = match handle.join() {
                Ok(this) => this,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            result = result.and(this);
        }
        result
    })
}

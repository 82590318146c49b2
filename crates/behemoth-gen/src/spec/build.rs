//! Builders of specs, which set fields one by one and check the result.

use super::{CorpusSpec, Order, QuestionSpec, TableSpec, WorldSpec};
use crate::error::Result;
use crate::exposure::ExposureSpec;
use crate::filler::FillerSpec;
use crate::grammar::{Template, TemplateWeight};
use crate::insert::InsertSpec;
use crate::relation::RelationSpec;
use crate::schedule::{Part, ScheduleSpec};

/// A builder of [`WorldSpec`]; fields that are not set are those of [`WorldSpec::default`].
///
/// # Examples
///
/// ```
/// use behemoth_gen::{World, WorldSpec};
/// use behemoth_gen::relation::{Correlated, Independent};
/// let spec = WorldSpec::builder()
///     .subjects(1_000)
///     .relations([Independent::new(50).into(), Correlated::new(0, 0.9).into()])
///     .build()?;
/// assert_eq!(World::new(spec)?.facts(), 2_000);
/// let error = WorldSpec::builder()
///     .relations([Correlated::new(7, 0.9).into()])
///     .build()
///     .unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "argument 'relations[0].with': got 7, allowed: an earlier relation (this is the first)"
/// );
/// # Ok::<(), behemoth_gen::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct WorldSpecBuilder {
    spec: WorldSpec,
}

/// A builder of [`CorpusSpec`]; fields that are not set are those of [`CorpusSpec::default`].
///
/// # Examples
///
/// ```
/// use behemoth_gen::CorpusSpec;
/// use behemoth_gen::exposure::Groups;
/// let spec = CorpusSpec::builder()
///     .exposures(Groups::new([1, 4, 16]))
///     .paraphrases(5, 2)
///     .build()?;
/// assert_eq!(spec.held_out, 2);
/// let error = CorpusSpec::builder().paraphrases(0, 0).build().unwrap_err();
/// assert_eq!(error.to_string(), "argument 'paraphrases': got 0, allowed: at least 1");
/// # Ok::<(), behemoth_gen::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct CorpusSpecBuilder {
    spec: CorpusSpec,
}

impl WorldSpec {
    /// Returns a builder with the default values.
    pub fn builder() -> WorldSpecBuilder {
        WorldSpecBuilder::default()
    }
}

impl WorldSpecBuilder {
    /// Sets the seed of every draw of the world.
    pub fn seed(mut self, seed: u64) -> Self {
        self.spec.seed = seed;
        self
    }

    /// Sets the number of subjects.
    pub fn subjects(mut self, subjects: u64) -> Self {
        self.spec.subjects = subjects;
        self
    }

    /// Sets the relations of a subject, in order.
    pub fn relations(mut self, relations: impl Into<Vec<RelationSpec>>) -> Self {
        self.spec.relations = relations.into();
        self
    }

    /// Sets the exact fraction of the facts of drawn relations that have a second, different
    /// object.
    pub fn minority(mut self, fraction: f64) -> Self {
        self.spec.minority = fraction;
        self
    }

    /// Sets a table of stored facts, which also defines the relations.
    pub fn table(mut self, table: TableSpec) -> Self {
        self.spec.relations = Vec::new();
        self.spec.table = Some(table);
        self
    }

    /// Checks the spec and returns it with its defaults written out.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`](crate::Error::Argument) if a field is invalid.
    pub fn build(self) -> Result<WorldSpec> {
        self.spec.checked()
    }
}

impl CorpusSpec {
    /// Returns a builder with the default values.
    pub fn builder() -> CorpusSpecBuilder {
        CorpusSpecBuilder::default()
    }
}

impl CorpusSpecBuilder {
    /// Sets the number of times each fact is written.
    pub fn exposures(mut self, exposures: impl Into<ExposureSpec>) -> Self {
        self.spec.exposures = exposures.into();
        self
    }

    /// Sets the number of times each link fact is written, unless an array of exposures does.
    pub fn nested_exposures(mut self, exposures: u64) -> Self {
        self.spec.nested_exposures = Some(exposures);
        self
    }

    /// Sets the order of the corpus, which defines what a document is.
    pub fn order(mut self, order: Order) -> Self {
        self.spec.order = order;
        self
    }

    /// Sets the seed of the order alone.
    pub fn order_seed(mut self, seed: u64) -> Self {
        self.spec.order_seed = Some(seed);
        self
    }

    /// Sets the number of documents over which a subject's sentences are spread.
    pub fn documents_per_subject(mut self, documents: u64) -> Self {
        self.spec.documents_per_subject = Some(documents);
        self
    }

    /// Sets the positions of copies within the corpus.
    pub fn schedule(mut self, parts: impl Into<Vec<Part>>) -> Self {
        self.spec.schedule = ScheduleSpec::new(parts);
        self
    }

    /// Adds documents without facts, mixed with the others.
    pub fn filler(mut self, filler: impl Into<FillerSpec>) -> Self {
        self.spec.filler = Some(filler.into());
        self
    }

    /// Inserts the sentences into the documents of a filler or a background, instead of documents
    /// of their own.
    pub fn insert(mut self, insert: InsertSpec) -> Self {
        self.spec.insert = Some(insert);
        self
    }

    /// Sets the weights of the templates; the default is the template `default` alone.
    pub fn templates(mut self, weights: impl IntoIterator<Item = (Template, f64)>) -> Self {
        self.spec.templates = weights
            .into_iter()
            .map(|(template, weight)| TemplateWeight::new(template, weight))
            .collect();
        self
    }

    /// Sets the share of `default` and `nonsense` sentences that are written in another word order.
    pub fn inversion(mut self, share: f64) -> Self {
        self.spec.inversion = share;
        self
    }

    /// Sets whether template shares are exact over the corpus.
    pub fn exact_shares(mut self, exact: bool) -> Self {
        self.spec.exact_shares = exact;
        self
    }

    /// Adds questions about a fraction of the subjects, in a fraction of all sentences.
    pub fn questions(mut self, subjects: f64, sentences: f64) -> Self {
        self.spec.questions = Some(QuestionSpec::new(subjects, sentences));
        self
    }

    /// Sets the exact fraction of the sentences of a fact with two objects that state the second.
    pub fn minority_sentences(mut self, fraction: f64) -> Self {
        self.spec.minority_sentences = fraction;
        self
    }

    /// Sets the total number of wordings of each template, and the number of them, from the last,
    /// that are never written.
    pub fn paraphrases(mut self, wordings: u64, held_out: u64) -> Self {
        self.spec.paraphrases = wordings;
        self.spec.held_out = held_out;
        self
    }

    /// Sets the number of filler words of the nonsense grammar.
    pub fn nonsense_words(mut self, words: u64) -> Self {
        self.spec.nonsense_words = words;
        self
    }

    /// Sets the radix of words.
    pub fn base(mut self, base: u64) -> Self {
        self.spec.base = base;
        self
    }

    /// Sets the target size of a shard in bytes; a shard has at least one page of 1,024 documents.
    pub fn shard_bytes(mut self, bytes: u64) -> Self {
        self.spec.shard_bytes = Some(bytes);
        self
    }

    /// Checks the spec and returns it.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`](crate::Error::Argument) if a field is invalid.
    pub fn build(self) -> Result<CorpusSpec> {
        self.spec.checked()
    }
}

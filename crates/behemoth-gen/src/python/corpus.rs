//! `behemoth._gen.Corpus`.

use std::sync::Arc;

use numpy::{PyArray1, PyReadonlyArray1, PyUntypedArray};
use pyo3::prelude::*;

use super::arguments::{known_facts, pairs, slice};
use super::background::Background;
use super::fill::{FillDocuments, FillTokens, fill_array, tokens};
use super::lexicon::Lexicon;
use super::threads::run;
use super::world::World;
use super::{documents, ledger, shards, templates};
use crate::corpus::{Corpus as Engine, Parts, Progress};
use crate::shard::{self, WriteOptions};
use crate::spec::CorpusSpec;

/// The ordered token stream of all sentences of a world.
#[pyclass(module = "behemoth._gen", frozen)]
pub(super) struct Corpus {
    pub(super) inner: Engine,
}

#[pymethods]
impl Corpus {
    #[new]
    #[pyo3(signature = (world, spec, exposures=None, lexicon=None, background=None))]
    fn new(
        py: Python<'_>,
        world: &World,
        spec: &str,
        exposures: Option<PyReadonlyArray1<'_, u32>>,
        lexicon: Option<&Lexicon>,
        background: Option<&Background>,
    ) -> PyResult<Self> {
        let array = exposures.as_ref().map(|array| slice(array)).transpose()?;
        let world = world.inner.clone();
        let lexicon = lexicon.map(|lexicon| Arc::clone(&lexicon.inner));
        let background = background.map(|background| Arc::clone(&background.inner));
        let inner = py.detach(|| {
            let spec = CorpusSpec::from_json(spec)?;
            let parts = Parts {
                array: array.map(Arc::from),
                lexicon,
                background,
            };
            Engine::with_parts(world, spec, parts)
        })?;
        Ok(Corpus { inner })
    }

    #[getter]
    fn spec(&self) -> String {
        self.inner.spec().to_json()
    }

    #[getter]
    fn spec_hash(&self) -> String {
        self.inner.spec().hash()
    }

    #[getter]
    fn spec_toml(&self) -> String {
        self.inner.spec().to_toml()
    }

    #[getter]
    fn world(&self) -> World {
        World {
            inner: self.inner.world().clone(),
        }
    }

    #[getter]
    fn facts(&self) -> u64 {
        self.inner.world().facts()
    }

    #[getter]
    fn sentences(&self) -> u64 {
        self.inner.sentences()
    }

    #[getter]
    fn documents(&self) -> u64 {
        self.inner.documents()
    }

    #[getter]
    fn fact_documents(&self, py: Python<'_>) -> PyResult<u64> {
        documents::with_facts(py, &self.inner)
    }

    /// Returns the kinds of documents as codes.
    fn document_kinds<'py>(
        &self,
        py: Python<'py>,
        start: u64,
        stop: u64,
    ) -> PyResult<Bound<'py, PyArray1<u8>>> {
        documents::kinds(py, &self.inner, start..stop)
    }

    /// Returns the number of tokens in each document.
    fn document_lengths<'py>(
        &self,
        py: Python<'py>,
        start: u64,
        stop: u64,
    ) -> PyResult<Bound<'py, PyArray1<u64>>> {
        documents::lengths(py, &self.inner, start..stop)
    }

    /// Returns held-out documents of the filler, which are in no corpus.
    fn filler_documents<'py>(
        &self,
        py: Python<'py>,
        start: u64,
        stop: u64,
    ) -> PyResult<Vec<Bound<'py, PyArray1<u32>>>> {
        documents::fillers(py, &self.inner, start..stop)
    }

    #[getter]
    fn shards(&self, py: Python<'_>) -> u64 {
        py.detach(|| shard::ShardPlan::new(&self.inner).count)
    }

    #[getter]
    fn thread_bytes(&self) -> u64 {
        shard::thread_bytes(&self.inner)
    }

    #[getter]
    fn dtype(&self) -> &'static str {
        shard::dtype(&self.inner)
    }

    #[getter]
    fn vocabulary_size(&self) -> u64 {
        self.inner.vocabulary().size()
    }

    #[getter]
    fn document_tokens(&self) -> Option<u64> {
        self.inner.document_tokens()
    }

    #[getter]
    fn estimated_bytes(&self, py: Python<'_>) -> u64 {
        py.detach(|| shard::estimated_bytes(&self.inner))
    }

    #[getter]
    fn vocabulary(&self) -> String {
        self.inner.vocabulary().to_json()
    }

    #[getter]
    fn templates(&self) -> String {
        templates::wordings(&self.inner)
    }

    #[getter]
    fn exposure_classes(&self, py: Python<'_>) -> String {
        py.detach(|| ledger::classes_json(&self.inner))
    }

    #[pyo3(signature = (threads=0, progress=None))]
    fn token_count(
        &self,
        py: Python<'_>,
        threads: usize,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<u64> {
        if self.inner.document_tokens().is_some() {
            return Ok(self.inner.token_count(threads, &Progress::default())?);
        }
        run(py, self.inner.documents(), progress, |progress| {
            self.inner.token_count(threads, progress)
        })
    }

    #[pyo3(signature = (start, stop, threads=0))]
    fn tokens<'py>(
        &self,
        py: Python<'py>,
        start: u64,
        stop: u64,
        threads: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        if self.inner.token_bytes() == 2 {
            tokens::<u16>(py, &self.inner, start..stop, threads)
        } else {
            tokens::<u32>(py, &self.inner, start..stop, threads)
        }
    }

    fn fill(&self, py: Python<'_>, out: &Bound<'_, PyUntypedArray>, start: u64) -> PyResult<usize> {
        fill_array(py, &self.inner, out, FillDocuments(&self.inner, start))
    }

    #[pyo3(signature = (out, token, threads=0))]
    fn fill_tokens(
        &self,
        py: Python<'_>,
        out: &Bound<'_, PyUntypedArray>,
        token: u64,
        threads: usize,
    ) -> PyResult<usize> {
        fill_array(
            py,
            &self.inner,
            out,
            FillTokens(&self.inner, token, threads),
        )
    }

    fn exposures<'py>(
        &self,
        py: Python<'py>,
        facts: PyReadonlyArray1<'py, u64>,
    ) -> PyResult<Bound<'py, PyArray1<u64>>> {
        let facts = known_facts(&facts, self.inner.world())?;
        ledger::exposures(py, &self.inner, facts)
    }

    fn ledger<'py>(
        &self,
        py: Python<'py>,
        facts: PyReadonlyArray1<'py, u64>,
    ) -> PyResult<ledger::Columns<'py>> {
        let facts = known_facts(&facts, self.inner.world())?;
        ledger::columns(py, &self.inner, facts)
    }

    /// Returns every sentence of a range of documents.
    fn entries<'py>(
        &self,
        py: Python<'py>,
        start: u64,
        stop: u64,
    ) -> PyResult<ledger::Columns<'py>> {
        ledger::entries(py, &self.inner, start..stop)
    }

    /// Returns questions about facts and their answers as separate texts.
    fn question_texts(
        &self,
        py: Python<'_>,
        facts: PyReadonlyArray1<'_, u64>,
        wording_index: usize,
    ) -> PyResult<(Vec<String>, Vec<String>)> {
        let facts = known_facts(&facts, self.inner.world())?;
        ledger::question_texts(py, &self.inner, facts, wording_index)
    }

    /// Returns the documents of a corpus written with a grammar as text.
    fn texts(&self, py: Python<'_>, start: u64, stop: u64) -> PyResult<Vec<String>> {
        documents::texts(py, &self.inner, start..stop)
    }

    /// Returns the same stream with the role of each token instead of its id.
    fn as_roles(&self, py: Python<'_>) -> PyResult<Corpus> {
        let inner = py.detach(|| self.inner.as_roles())?;
        Ok(Corpus { inner })
    }

    /// Returns the mentions of subjects and objects by name.
    fn spans<'py>(&self, py: Python<'py>, start: u64, stop: u64) -> PyResult<ledger::Spans<'py>> {
        ledger::spans(py, &self.inner, start..stop)
    }

    /// Returns probes of facts with other objects as answers.
    fn answers<'py>(
        &self,
        py: Python<'py>,
        facts: PyReadonlyArray1<'py, u64>,
        objects: PyReadonlyArray1<'py, u32>,
        wording_index: usize,
    ) -> PyResult<ledger::Probes<'py>> {
        let facts = known_facts(&facts, self.inner.world())?;
        let objects = slice(&objects)?;
        ledger::answers(py, &self.inner, facts, objects, wording_index)
    }

    fn sample_facts<'py>(&self, py: Python<'py>, n: u64) -> PyResult<Bound<'py, PyArray1<u64>>> {
        ledger::sample(py, &self.inner, n)
    }

    #[pyo3(signature = (facts, wording_index, combination=None))]
    fn probes<'py>(
        &self,
        py: Python<'py>,
        facts: PyReadonlyArray1<'py, u64>,
        wording_index: usize,
        combination: Option<u32>,
    ) -> PyResult<ledger::Probes<'py>> {
        let facts = known_facts(&facts, self.inner.world())?;
        ledger::probes(py, &self.inner, facts, wording_index, combination)
    }

    fn seen_in_questions<'py>(
        &self,
        py: Python<'py>,
        facts: PyReadonlyArray1<'py, u64>,
    ) -> PyResult<Bound<'py, PyArray1<bool>>> {
        let facts = known_facts(&facts, self.inner.world())?;
        ledger::seen_in_questions(py, &self.inner, facts)
    }

    #[pyo3(name = "override")]
    fn with_overrides(
        &self,
        py: Python<'_>,
        facts: PyReadonlyArray1<'_, u64>,
        objects: PyReadonlyArray1<'_, u32>,
        follow: bool,
    ) -> PyResult<Corpus> {
        let changes = pairs(&facts, &objects)?;
        let inner = py.detach(|| self.inner.with_overrides(&changes, follow))?;
        Ok(Corpus { inner })
    }

    fn without(&self, py: Python<'_>, facts: PyReadonlyArray1<'_, u64>) -> PyResult<Corpus> {
        let facts = slice(&facts)?;
        let inner = py.detach(|| self.inner.without(facts))?;
        Ok(Corpus { inner })
    }

    #[pyo3(signature = (out, threads=0, part=(0, 1), force=false, progress=None))]
    fn write(
        &self,
        py: Python<'_>,
        out: &str,
        threads: usize,
        part: (u64, u64),
        force: bool,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<String> {
        let options = WriteOptions {
            threads,
            part,
            force,
        };
        shards::write(py, &self.inner, out, &options, progress)
    }

    #[pyo3(signature = (directory, threads=0, progress=None))]
    fn verify(
        &self,
        py: Python<'_>,
        directory: &str,
        threads: usize,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<String> {
        shards::verify(py, &self.inner, directory, threads, progress)
    }
}

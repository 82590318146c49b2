//! `behemoth._gen.Corpus`.

use std::path::Path;
use std::time::Instant;

use numpy::{
    Element, IntoPyArray, PyArray1, PyArrayDescrMethods, PyArrayMethods, PyReadonlyArray1,
    PyReadwriteArray1, PyUntypedArray, PyUntypedArrayMethods,
};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use super::world::World;
use super::{SMALL_CALL, check_facts, in_pieces, pairs, run, slice};
use crate::corpus::{Corpus as Engine, PAGE_DOCUMENTS, Progress};
use crate::error::Error;
use crate::manifest;
use crate::shard::{self, WriteOptions};
use crate::spec::CorpusSpec;
use crate::vocabulary::Token;

/// The ordered token stream of all sentences of a world.
#[pyclass(module = "behemoth._gen", frozen)]
pub(super) struct Corpus {
    inner: Engine,
}

impl Corpus {
    /// Calls `fill` with the array as unsigned integers of its width.
    fn fill_array(
        &self,
        py: Python<'_>,
        out: &Bound<'_, PyUntypedArray>,
        fill: impl Fill,
    ) -> PyResult<usize> {
        if self.inner.token_bytes() == 4 && out.dtype().itemsize() == 2 {
            return Err(Error::argument(
                "out",
                format!("an array of {}", out.dtype()),
                "uint32, int32 or int64: the vocabulary does not fit 16 bits",
            )
            .into());
        }
        if let Ok(array) = out.cast::<PyArray1<u16>>() {
            return fill_as::<u16, u16>(py, array, fill);
        }
        if let Ok(array) = out.cast::<PyArray1<u32>>() {
            return fill_as::<u32, u32>(py, array, fill);
        }
        if let Ok(array) = out.cast::<PyArray1<i32>>() {
            return fill_as::<i32, u32>(py, array, fill);
        }
        if let Ok(array) = out.cast::<PyArray1<i64>>() {
            return fill_as::<i64, u64>(py, array, fill);
        }
        Err(PyTypeError::new_err(format!(
            "argument 'out': got an array of {} with {} dimensions, allowed: a one-dimensional \
             array of uint16, uint32, int32 or int64",
            out.dtype(),
            out.ndim()
        )))
    }
}

/// A way to fill memory with tokens of any type.
trait Fill: Send + Sync {
    fn fill<T: Token>(&self, out: &mut [T], progress: &Progress) -> crate::Result<usize>;
}

fn fill_as<E, T>(py: Python<'_>, array: &Bound<'_, PyArray1<E>>, fill: impl Fill) -> PyResult<usize>
where
    E: Element + bytemuck::Pod + Send,
    T: Token + bytemuck::Pod,
{
    let mut array: PyReadwriteArray1<'_, E> = array.try_readwrite().map_err(|_| {
        Error::argument(
            "out",
            "an array that is read-only or borrowed",
            "a writeable array",
        )
    })?;
    let out = array
        .as_slice_mut()
        .map_err(|_| Error::argument("out", "a strided array", "a contiguous array"))?;
    let out: &mut [T] = bytemuck::cast_slice_mut(out);
    if out.len() < SMALL_CALL {
        return Ok(py.detach(|| fill.fill(out, &Progress::default()))?);
    }
    let total = out.len() as u64;
    run(py, total, None, |progress| fill.fill(out, progress))
}

struct FillDocuments<'a>(&'a Engine, u64);

impl Fill for FillDocuments<'_> {
    fn fill<T: Token>(&self, out: &mut [T], progress: &Progress) -> crate::Result<usize> {
        self.0.fill(out, self.1, 0, progress)
    }
}

struct FillTokens<'a>(&'a Engine, u64, usize);

impl Fill for FillTokens<'_> {
    fn fill<T: Token>(&self, out: &mut [T], progress: &Progress) -> crate::Result<usize> {
        self.0.fill_tokens(out, self.1, self.2, progress)
    }
}

#[pymethods]
impl Corpus {
    #[new]
    #[pyo3(signature = (world, spec, exposures=None))]
    fn new(
        py: Python<'_>,
        world: &World,
        spec: &str,
        exposures: Option<PyReadonlyArray1<'_, u32>>,
    ) -> PyResult<Self> {
        let spec = CorpusSpec::from_json(spec)?;
        let array = match exposures {
            None => None,
            Some(array) => Some(slice(&array)?.to_vec()),
        };
        let world = world.inner.clone();
        let inner = py.detach(|| Engine::new(world, spec, array))?;
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
    fn page_documents(&self) -> u64 {
        PAGE_DOCUMENTS
    }

    #[getter]
    fn shard_documents(&self) -> u64 {
        shard::ShardPlan::new(&self.inner).each
    }

    #[getter]
    fn shards(&self) -> u64 {
        shard::ShardPlan::new(&self.inner).count
    }

    #[getter]
    fn dtype(&self) -> &'static str {
        manifest::dtype(&self.inner)
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
        let list: Vec<serde_json::Value> = self
            .inner
            .wordings()
            .iter()
            .enumerate()
            .map(|(template, wording)| {
                serde_json::json!({
                    "template": template,
                    "name": wording.name,
                    "wording": wording.wording,
                    "held_out": wording.held_out,
                    "family": wording.family,
                    "weight": wording.share,
                    "probe": wording.can_probe(),
                })
            })
            .collect();
        serde_json::Value::from(list).to_string()
    }

    #[getter]
    fn exposure_classes(&self) -> String {
        manifest::classes_json(self.inner.exposures())
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
            self.tokens_as::<u16>(py, start, stop, threads)
        } else {
            self.tokens_as::<u32>(py, start, stop, threads)
        }
    }

    fn fill(&self, py: Python<'_>, out: &Bound<'_, PyUntypedArray>, start: u64) -> PyResult<usize> {
        self.fill_array(py, out, FillDocuments(&self.inner, start))
    }

    #[pyo3(signature = (out, token, threads=0))]
    fn fill_tokens(
        &self,
        py: Python<'_>,
        out: &Bound<'_, PyUntypedArray>,
        token: u64,
        threads: usize,
    ) -> PyResult<usize> {
        self.fill_array(py, out, FillTokens(&self.inner, token, threads))
    }

    fn exposures<'py>(
        &self,
        py: Python<'py>,
        facts: PyReadonlyArray1<'py, u64>,
    ) -> PyResult<Bound<'py, PyArray1<u64>>> {
        let facts = slice(&facts)?;
        check_facts(facts, self.inner.world())?;
        let mut exposures = Vec::with_capacity(facts.len());
        in_pieces(py, facts.len(), |range| {
            exposures.extend(facts[range].iter().map(|&f| self.inner.exposures_of(f)));
            Ok(())
        })?;
        Ok(exposures.into_pyarray(py))
    }

    #[allow(clippy::type_complexity)]
    fn ledger<'py>(
        &self,
        py: Python<'py>,
        facts: PyReadonlyArray1<'py, u64>,
    ) -> PyResult<(
        Bound<'py, PyArray1<u64>>,
        Bound<'py, PyArray1<u64>>,
        Bound<'py, PyArray1<u32>>,
        Bound<'py, PyArray1<u64>>,
        Bound<'py, PyArray1<u32>>,
        Bound<'py, PyArray1<u32>>,
        Bound<'py, PyArray1<bool>>,
    )> {
        let facts = slice(&facts)?;
        check_facts(facts, self.inner.world())?;
        let mut entries = Vec::new();
        in_pieces(py, facts.len(), |range| {
            for &fact in &facts[range] {
                entries.extend(self.inner.ledger(fact)?);
            }
            Ok(())
        })?;
        Ok((
            entries
                .iter()
                .map(|e| e.fact)
                .collect::<Vec<_>>()
                .into_pyarray(py),
            entries
                .iter()
                .map(|e| e.copy)
                .collect::<Vec<_>>()
                .into_pyarray(py),
            entries
                .iter()
                .map(|e| e.wording)
                .collect::<Vec<_>>()
                .into_pyarray(py),
            entries
                .iter()
                .map(|e| e.document)
                .collect::<Vec<_>>()
                .into_pyarray(py),
            entries
                .iter()
                .map(|e| e.place)
                .collect::<Vec<_>>()
                .into_pyarray(py),
            entries
                .iter()
                .map(|e| e.object)
                .collect::<Vec<_>>()
                .into_pyarray(py),
            entries
                .iter()
                .map(|e| e.minority)
                .collect::<Vec<_>>()
                .into_pyarray(py),
        ))
    }

    fn sample_facts<'py>(&self, py: Python<'py>, n: u64) -> Bound<'py, PyArray1<u64>> {
        py.detach(|| self.inner.sample_facts(n)).into_pyarray(py)
    }

    #[allow(clippy::type_complexity)]
    fn probes<'py>(
        &self,
        py: Python<'py>,
        facts: PyReadonlyArray1<'py, u64>,
        template: usize,
    ) -> PyResult<(
        Bound<'py, PyArray1<u32>>,
        Bound<'py, PyArray1<u64>>,
        Bound<'py, PyArray1<u32>>,
        Bound<'py, PyArray1<u64>>,
    )> {
        let facts = slice(&facts)?;
        check_facts(facts, self.inner.world())?;
        let (mut prompts, mut prompt_ends) = (Vec::new(), Vec::new());
        let (mut answers, mut answer_ends) = (Vec::new(), Vec::new());
        let prober = self.inner.prober(template)?;
        in_pieces(py, facts.len(), |range| {
            for &fact in &facts[range] {
                let (prompt, answer) = prober.probe(fact);
                prompts.extend(prompt);
                prompt_ends.push(prompts.len() as u64);
                answers.extend(answer);
                answer_ends.push(answers.len() as u64);
            }
            Ok(())
        })?;
        Ok((
            prompts.into_pyarray(py),
            prompt_ends.into_pyarray(py),
            answers.into_pyarray(py),
            answer_ends.into_pyarray(py),
        ))
    }

    fn seen_in_questions<'py>(
        &self,
        py: Python<'py>,
        facts: PyReadonlyArray1<'py, u64>,
    ) -> PyResult<Bound<'py, PyArray1<bool>>> {
        let facts = slice(&facts)?;
        check_facts(facts, self.inner.world())?;
        let seen: Vec<bool> = facts
            .iter()
            .map(|&fact| self.inner.seen_in_questions(fact).unwrap_or(false))
            .collect();
        Ok(seen.into_pyarray(py))
    }

    #[pyo3(name = "override")]
    fn with_overrides(
        &self,
        facts: PyReadonlyArray1<'_, u64>,
        objects: PyReadonlyArray1<'_, u32>,
        follow: bool,
    ) -> PyResult<Corpus> {
        let inner = self
            .inner
            .with_overrides(&pairs(&facts, &objects)?, follow)?;
        Ok(Corpus { inner })
    }

    fn without(&self, facts: PyReadonlyArray1<'_, u64>) -> PyResult<Corpus> {
        let inner = self.inner.without(slice(&facts)?)?;
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
        let total = shard::estimated_bytes(&self.inner) / part.1.max(1);
        let start = Instant::now();
        let summary = run(py, total, progress, |progress| {
            shard::write(&self.inner, Path::new(out), &options, progress)
        })?;
        let mut json = serde_json::to_value(&summary).expect("plain data");
        json["out"] = out.into();
        json["seconds"] = start.elapsed().as_secs_f64().into();
        Ok(json.to_string())
    }

    #[pyo3(signature = (directory, threads=0, progress=None))]
    fn verify(
        &self,
        py: Python<'_>,
        directory: &str,
        threads: usize,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<String> {
        let total = shard::estimated_bytes(&self.inner);
        let found = run(py, total, progress, |progress| {
            shard::verify(&self.inner, Path::new(directory), threads, progress)
        })?;
        Ok(serde_json::to_string(&found).expect("plain data"))
    }
}

impl Corpus {
    fn tokens_as<'py, T: Token + Element>(
        &self,
        py: Python<'py>,
        start: u64,
        stop: u64,
        threads: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        let small = stop.saturating_sub(start) < 4096;
        let tokens: Vec<T> = if small {
            py.detach(|| self.inner.tokens(start..stop, 1, &Progress::default()))?
        } else {
            run(py, 0, None, |progress| {
                self.inner.tokens(start..stop, threads, progress)
            })?
        };
        Ok(tokens.into_pyarray(py).into_any())
    }
}

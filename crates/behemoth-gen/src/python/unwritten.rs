//! Probes of a grammar's sentences that are not in any corpus.

use numpy::PyReadonlyArray1;
use pyo3::prelude::*;

use super::arguments::{known_facts, same_length, slice};
use super::corpus::Corpus;
use super::ledger::{Asked, Probes};
use super::threads::in_pieces;

/// Returns probes of facts in one wording with a refusal as the answer; empty if there is none.
#[pyfunction]
fn refusals<'py>(
    py: Python<'py>,
    corpus: &Corpus,
    facts: PyReadonlyArray1<'py, u64>,
    wording_index: usize,
) -> PyResult<Probes<'py>> {
    let corpus = &corpus.inner;
    let facts = known_facts(&facts, corpus.world())?;
    let mut all = Asked::default();
    in_pieces(py, facts.len(), |range| {
        let found = corpus.refusals(&facts[range], wording_index)?;
        found.into_iter().try_for_each(|probe| all.push(probe))
    })?;
    Ok(all.columns(py))
}

/// Returns probes of facts in their relations' edit sentences, with new objects as answers.
#[pyfunction]
fn edit_prompts<'py>(
    py: Python<'py>,
    corpus: &Corpus,
    facts: PyReadonlyArray1<'py, u64>,
    objects: PyReadonlyArray1<'py, u32>,
    number: usize,
) -> PyResult<Probes<'py>> {
    let corpus = &corpus.inner;
    let facts = known_facts(&facts, corpus.world())?;
    let objects = slice(&objects)?;
    same_length("objects", facts.len(), objects.len())?;
    let mut all = Asked::default();
    in_pieces(py, facts.len(), |range| {
        let found = corpus.edit_prompts(&facts[range.clone()], &objects[range], number)?;
        found.into_iter().try_for_each(|probe| all.push(probe))
    })?;
    Ok(all.columns(py))
}

/// Returns the tokens of the refusals, each distinct one once.
#[pyfunction]
fn refusal_answers(corpus: &Corpus) -> PyResult<Vec<Vec<u32>>> {
    Ok(corpus.inner.refusal_answers()?)
}

pub(super) fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(refusals, module)?)?;
    module.add_function(wrap_pyfunction!(edit_prompts, module)?)?;
    module.add_function(wrap_pyfunction!(refusal_answers, module)?)
}

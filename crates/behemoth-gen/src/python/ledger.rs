//! The ledger and probes, as columns.

use numpy::{Element, IntoPyArray, PyArray1};
use pyo3::prelude::*;

use super::threads::in_pieces;
use crate::corpus::{Corpus, Entry};

type Column<'py, T> = Bound<'py, PyArray1<T>>;

/// Fact, copy, index of the wording, document, place, object, whether it is the second object.
pub(super) type Columns<'py> = (
    Column<'py, u64>,
    Column<'py, u64>,
    Column<'py, u32>,
    Column<'py, u64>,
    Column<'py, u32>,
    Column<'py, u32>,
    Column<'py, bool>,
);

/// Every writing of the facts given.
pub(super) fn columns<'py>(
    py: Python<'py>,
    corpus: &Corpus,
    facts: &[u64],
) -> PyResult<Columns<'py>> {
    let mut entries = Vec::new();
    in_pieces(py, facts.len(), |range| {
        for &fact in &facts[range] {
            entries.extend(corpus.ledger(fact)?);
        }
        Ok(())
    })?;
    fn column<'py, T: Element>(
        py: Python<'py>,
        entries: &[Entry],
        field: impl Fn(&Entry) -> T,
    ) -> Column<'py, T> {
        entries
            .iter()
            .map(field)
            .collect::<Vec<_>>()
            .into_pyarray(py)
    }
    Ok((
        column(py, &entries, |entry| entry.fact),
        column(py, &entries, |entry| entry.copy),
        column(py, &entries, |entry| entry.wording_index),
        column(py, &entries, |entry| entry.document),
        column(py, &entries, |entry| entry.place),
        column(py, &entries, |entry| entry.object),
        column(py, &entries, |entry| entry.minority),
    ))
}

/// Prompt tokens end to end, where each prompt ends, and the same of answers.
pub(super) type Probes<'py> = (
    Column<'py, u32>,
    Column<'py, u64>,
    Column<'py, u32>,
    Column<'py, u64>,
);

/// Prompts and answers of facts in one wording.
pub(super) fn probes<'py>(
    py: Python<'py>,
    corpus: &Corpus,
    facts: &[u64],
    wording_index: usize,
) -> PyResult<Probes<'py>> {
    let (mut prompts, mut prompt_ends) = (Vec::new(), Vec::new());
    let (mut answers, mut answer_ends) = (Vec::new(), Vec::new());
    let prober = corpus.prober(wording_index)?;
    in_pieces(py, facts.len(), |range| {
        for &fact in &facts[range] {
            let probe = prober.probe(fact).unwrap_or_default();
            prompts.extend(probe.prompt);
            prompt_ends.push(prompts.len() as u64);
            answers.extend(probe.answer);
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

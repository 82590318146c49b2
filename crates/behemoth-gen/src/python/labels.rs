//! Labels and positions of a packed stream, written to arrays of the caller.

use numpy::{Element, PyArray1, PyArrayMethods, PyReadonlyArray1, PyReadwriteArray1};
use pyo3::prelude::*;

use super::arguments::slice;
use super::corpus::Corpus;
use super::fill::SMALL_CALL;
use super::threads::run;
use crate::corpus::{Blocks, Labelling, Progress};
use crate::error::Error;
use crate::labels;

/// Writes the labels of the last tokens of a piece of a stream.
#[pyfunction]
fn label_answers(
    py: Python<'_>,
    structure: PyReadonlyArray1<'_, u8>,
    tokens: PyReadonlyArray1<'_, i64>,
    labels: &Bound<'_, PyArray1<i64>>,
) -> PyResult<()> {
    let mut labels = writeable("labels", labels)?;
    let (structure, tokens, labels) = (slice(&structure)?, slice(&tokens)?, out(&mut labels)?);
    py.detach(|| labels::label_answers(structure, tokens, labels))?;
    Ok(())
}

/// Writes the positions of tokens in their documents, and the labels.
#[pyfunction]
fn place_tokens(
    tokens: PyReadonlyArray1<'_, i64>,
    length: usize,
    end: i64,
    positions: &Bound<'_, PyArray1<i32>>,
    labels: &Bound<'_, PyArray1<i64>>,
    copied: bool,
) -> PyResult<()> {
    let py = labels.py();
    let mut positions = writeable("positions", positions)?;
    let mut labels = writeable("labels", labels)?;
    let tokens = slice(&tokens)?;
    let (positions, labels) = (out(&mut positions)?, out(&mut labels)?);
    py.detach(|| labels::place_tokens(tokens, length, end, positions, labels, copied))?;
    Ok(())
}

/// Fills `tokens` from a token on, and the labels of the last of them; with `blocks`, which are
/// their length, the token at the end of a document and positions, also the latter.
#[pyfunction]
fn fill_labelled(
    corpus: &Bound<'_, Corpus>,
    tokens: &Bound<'_, PyArray1<i64>>,
    token: u64,
    threads: usize,
    labels: &Bound<'_, PyArray1<i64>>,
    structure: Option<PyReadonlyArray1<'_, u8>>,
    blocks: Option<(usize, i64, Bound<'_, PyArray1<i32>>)>,
) -> PyResult<usize> {
    let py = corpus.py();
    let corpus = &corpus.get().inner;
    let mut tokens = writeable("tokens", tokens)?;
    let mut labels = writeable("labels", labels)?;
    let blocks = blocks.as_ref().map(|(length, end, positions)| {
        writeable("positions", positions).map(|positions| (*length, *end, positions))
    });
    let mut blocks = blocks.transpose()?;
    let tokens = out(&mut tokens)?;
    let blocks = blocks.as_mut().map(|(length, end, positions)| {
        out(positions).map(|positions| Blocks {
            length: *length,
            end: *end,
            positions,
        })
    });
    let labelling = Labelling {
        labels: out(&mut labels)?,
        structure: structure.as_ref().map(slice).transpose()?,
        blocks: blocks.transpose()?,
    };
    if tokens.len() < SMALL_CALL && corpus.has_offsets() {
        let progress = Progress::default();
        return Ok(
            py.detach(|| corpus.fill_labelled(tokens, token, threads, labelling, &progress))?
        );
    }
    let total = tokens.len() as u64;
    run(py, total, None, |progress| {
        corpus.fill_labelled(tokens, token, threads, labelling, progress)
    })
}

fn writeable<'py, T: Element>(
    name: &str,
    array: &Bound<'py, PyArray1<T>>,
) -> crate::Result<PyReadwriteArray1<'py, T>> {
    let refused = "an array that is read-only or borrowed";
    array
        .try_readwrite()
        .map_err(|_| Error::argument(name, refused, "a separate writeable array"))
}

fn out<'a, T: Element>(array: &'a mut PyReadwriteArray1<'_, T>) -> PyResult<&'a mut [T]> {
    Ok(array.as_slice_mut()?)
}

pub(super) fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(fill_labelled, module)?)?;
    module.add_function(wrap_pyfunction!(label_answers, module)?)?;
    module.add_function(wrap_pyfunction!(place_tokens, module)?)
}

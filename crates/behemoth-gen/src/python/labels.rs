//! Labels and documents of a packed stream, written to arrays of the caller.

use numpy::{PyArray1, PyArrayMethods, PyReadonlyArray1, PyReadwriteArray1};
use pyo3::prelude::*;

use super::arguments::slice;
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

/// Writes the positions of tokens in their documents, the numbers of documents, and the labels.
#[pyfunction]
fn number_documents(
    tokens: PyReadonlyArray1<'_, i64>,
    length: usize,
    end: i64,
    positions: &Bound<'_, PyArray1<i64>>,
    numbers: &Bound<'_, PyArray1<i64>>,
    labels: &Bound<'_, PyArray1<i64>>,
    copied: bool,
) -> PyResult<()> {
    let py = labels.py();
    let mut positions = writeable("positions", positions)?;
    let mut numbers = writeable("numbers", numbers)?;
    let mut labels = writeable("labels", labels)?;
    let tokens = slice(&tokens)?;
    let (positions, numbers) = (out(&mut positions)?, out(&mut numbers)?);
    let labels = out(&mut labels)?;
    let places = labels::Places {
        positions,
        numbers,
        labels,
    };
    py.detach(|| labels::number_documents(tokens, length, end, places, copied))?;
    Ok(())
}

fn writeable<'py>(
    name: &str,
    array: &Bound<'py, PyArray1<i64>>,
) -> crate::Result<PyReadwriteArray1<'py, i64>> {
    let refused = "an array that is read-only or borrowed";
    array
        .try_readwrite()
        .map_err(|_| Error::argument(name, refused, "a separate writeable array"))
}

fn out<'a>(array: &'a mut PyReadwriteArray1<'_, i64>) -> PyResult<&'a mut [i64]> {
    Ok(array.as_slice_mut()?)
}

pub(super) fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(label_answers, module)?)?;
    module.add_function(wrap_pyfunction!(number_documents, module)?)
}

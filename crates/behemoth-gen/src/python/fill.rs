//! Writing tokens to arrays.

use std::ops::Range;

use numpy::{
    Element, IntoPyArray, PyArray1, PyArrayDescrMethods, PyArrayMethods, PyReadwriteArray1,
    PyUntypedArray, PyUntypedArrayMethods,
};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use super::threads::run;
use crate::corpus::{Corpus, Progress};
use crate::error::Error;
use crate::vocabulary::Token;

/// Number of tokens below which a call does not start a thread.
pub(super) const SMALL_CALL: usize = 1 << 20;

/// Number of documents without tokens that are passed in less than a millisecond.
const SMALL_CORPUS: u64 = 1 << 10;

/// Returns the tokens of a range of documents as an array.
pub(super) fn tokens<'py, T: Token + Element>(
    py: Python<'py>,
    corpus: &Corpus,
    documents: Range<u64>,
    threads: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let count = documents.end.saturating_sub(documents.start);
    let most = corpus.most_document_tokens().saturating_mul(count);
    let tokens: Vec<T> = if most < SMALL_CALL as u64 {
        py.detach(|| corpus.tokens(documents, 1, &Progress::default()))?
    } else {
        run(py, 0, None, |progress| {
            corpus.tokens(documents.clone(), threads, progress)
        })?
    };
    Ok(tokens.into_pyarray(py).into_any())
}

/// Converts documents to arrays.
pub(super) fn lists(py: Python<'_>, documents: Vec<Vec<u32>>) -> Vec<Bound<'_, PyArray1<u32>>> {
    let arrays = documents.into_iter().map(|tokens| tokens.into_pyarray(py));
    arrays.collect()
}

/// Calls `fill` with the array viewed as unsigned integers of its width.
pub(super) fn fill_array(
    py: Python<'_>,
    corpus: &Corpus,
    out: &Bound<'_, PyUntypedArray>,
    fill: impl Fill,
) -> PyResult<usize> {
    if corpus.token_bytes() == 4 && out.dtype().itemsize() == 2 {
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

/// A function that fills a slice with tokens of any type.
pub(super) trait Fill: Send + Sync {
    /// Returns whether the work is in proportion to the slice, however large the corpus is.
    fn is_direct(&self) -> bool;

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
    if out.len() < SMALL_CALL && fill.is_direct() {
        return Ok(py.detach(|| fill.fill(out, &Progress::default()))?);
    }
    let total = out.len() as u64;
    run(py, total, None, |progress| fill.fill(out, progress))
}

pub(super) struct FillDocuments<'a>(pub(super) &'a Corpus, pub(super) u64);

impl Fill for FillDocuments<'_> {
    /// Nearly all documents of a twin may have no tokens, and are passed to find the others.
    fn is_direct(&self) -> bool {
        self.0.spec().corpus.twin.without.is_empty() || self.0.documents() <= SMALL_CORPUS
    }

    fn fill<T: Token>(&self, out: &mut [T], progress: &Progress) -> crate::Result<usize> {
        self.0.fill(out, self.1, 0, progress)
    }
}

pub(super) struct FillTokens<'a>(pub(super) &'a Corpus, pub(super) u64, pub(super) usize);

impl Fill for FillTokens<'_> {
    /// The first call may have to count the tokens of the whole corpus.
    fn is_direct(&self) -> bool {
        self.0.has_offsets()
    }

    fn fill<T: Token>(&self, out: &mut [T], progress: &Progress) -> crate::Result<usize> {
        self.0.fill_tokens(out, self.1, self.2, progress)
    }
}

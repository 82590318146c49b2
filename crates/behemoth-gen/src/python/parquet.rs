//! `behemoth._gen.parquet_documents`.

use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use super::arguments::slice;
use super::decode::with_tokens;
use crate::error::Error;
use crate::parquet::{self, Compression};

pub(super) fn compression(compressed: bool) -> Compression {
    if compressed {
        Compression::Snappy
    } else {
        Compression::None
    }
}

/// Returns the bytes of a Parquet file with the text and the tokens of documents.
#[pyfunction]
#[pyo3(signature = (texts, text_ends, tokens, ends, compressed=true))]
pub(super) fn parquet_documents<'py>(
    py: Python<'py>,
    texts: PyReadonlyArray1<'py, u8>,
    text_ends: PyReadonlyArray1<'py, u64>,
    tokens: &Bound<'py, PyUntypedArray>,
    ends: PyReadonlyArray1<'py, u64>,
    compressed: bool,
) -> PyResult<Bound<'py, PyArray1<u8>>> {
    let (texts, text_ends, ends) = (slice(&texts)?, slice(&text_ends)?, slice(&ends)?);
    with_tokens!(tokens, |tokens| {
        let file = py.detach(|| {
            let texts = std::str::from_utf8(texts).map_err(|error| {
                let got = format!("a byte at {} that is not UTF-8", error.valid_up_to());
                Error::argument("texts", got, "UTF-8")
            })?;
            parquet::documents((texts, text_ends), (tokens, ends), compression(compressed))
        })?;
        Ok(file.into_pyarray(py))
    })
}

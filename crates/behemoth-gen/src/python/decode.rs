//! `behemoth._gen.Decoder`.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use numpy::{PyReadonlyArray1, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};

use super::arguments::slice;
use super::parquet::compression;
use crate::decode::{Bytes, Decoder as Engine};
use crate::error::Error;
use crate::parquet;

/// Bytes of lines that are decoded before they are hashed and written.
const LINES: usize = 1 << 18;

/// A decoder of documents to text.
#[pyclass(module = "behemoth._gen", frozen)]
pub(super) struct Decoder {
    inner: Engine,
}

/// Calls `work` with tokens of either width.
macro_rules! with_tokens {
    ($tokens:expr, |$slice:ident| $work:expr) => {
        if let Ok(array) = $tokens.extract::<PyReadonlyArray1<'_, u16>>() {
            let $slice = slice(&array)?;
            $work
        } else if let Ok(array) = $tokens.extract::<PyReadonlyArray1<'_, u32>>() {
            let $slice = slice(&array)?;
            $work
        } else {
            Err(PyTypeError::new_err(format!(
                "argument 'tokens': got an array of {} with {} dimensions, allowed: a \
                 one-dimensional array of uint16 or uint32",
                $tokens.dtype(),
                $tokens.ndim()
            )))
        }
    };
}
pub(super) use with_tokens;

#[pymethods]
impl Decoder {
    #[new]
    fn new(
        opening: &Bound<'_, PyBytes>,
        opening_ends: PyReadonlyArray1<'_, u64>,
        within: &Bound<'_, PyBytes>,
        within_ends: PyReadonlyArray1<'_, u64>,
        end: u32,
    ) -> PyResult<Self> {
        let opening = (opening.as_bytes(), slice(&opening_ends)?);
        let within = (within.as_bytes(), slice(&within_ends)?);
        Ok(Decoder {
            inner: Engine::new(opening, within, end)?,
        })
    }

    /// Writes a file of lines of UTF-8 from pieces of whole documents; returns its BLAKE3 digest.
    fn write_lines(
        &self,
        py: Python<'_>,
        path: PathBuf,
        pieces: &Bound<'_, PyAny>,
    ) -> PyResult<String> {
        let failed = |error| Error::io("write", &path)(error);
        let mut file = File::create(&path).map_err(failed)?;
        let mut hasher = blake3::Hasher::new();
        let mut out = Bytes::with_room(LINES);
        for tokens in pieces.try_iter()? {
            let tokens = tokens?.cast_into::<PyUntypedArray>()?;
            with_tokens!(tokens, |tokens| {
                py.detach(|| {
                    let mut rest = tokens;
                    while !rest.is_empty() {
                        rest = &rest[self.inner.line(rest, &mut out)?..];
                        if out.len() >= LINES || rest.is_empty() {
                            // Hashed and written while they are in the cache.
                            hasher.update(out.written_mut());
                            file.write_all(out.written_mut()).map_err(failed)?;
                            out.truncate(0);
                        }
                    }
                    Ok::<_, Error>(())
                })?;
                Ok::<_, PyErr>(())
            })?;
        }
        Ok(hasher.finalize().to_hex().to_string())
    }

    /// Decodes documents with given ends to texts; the last token of each is omitted.
    fn texts<'py>(
        &self,
        py: Python<'py>,
        tokens: &Bound<'py, PyUntypedArray>,
        ends: PyReadonlyArray1<'py, u64>,
    ) -> PyResult<Bound<'py, PyList>> {
        let (text, ends) = self.decoded(py, tokens, slice(&ends)?)?;
        let firsts = std::iter::once(0).chain(ends.iter().copied());
        let ranges = firsts.zip(&ends);
        let texts: Vec<_> = ranges
            .map(|(first, &end)| PyString::new(py, &text[first as usize..end as usize]))
            .collect();
        PyList::new(py, texts)
    }

    /// Writes a Parquet file of documents; returns its BLAKE3 digest as 64 hexadecimal digits.
    #[pyo3(signature = (path, tokens, compressed=true))]
    fn write_parquet(
        &self,
        py: Python<'_>,
        path: PathBuf,
        tokens: &Bound<'_, PyUntypedArray>,
        compressed: bool,
    ) -> PyResult<String> {
        let compression = compression(compressed);
        let failed = |error| Error::io("write", &path)(error);
        with_tokens!(tokens, |tokens| {
            let digest = py.detach(|| {
                // Writing past the page cache took 0.96 to 1 of the processor time, and as long.
                let mut file = File::create(&path).map_err(failed)?;
                // Hashed while they are in the cache: a file that is read again takes twice as long.
                let mut hasher = blake3::Hasher::new();
                parquet::decoded(&self.inner, tokens, compression, &mut |bytes| {
                    hasher.update(bytes);
                    file.write_all(bytes).map_err(failed)
                })?;
                Ok::<_, Error>(hasher.finalize())
            })?;
            Ok(digest.to_hex().to_string())
        })
    }
}

impl Decoder {
    fn decoded(
        &self,
        py: Python<'_>,
        tokens: &Bound<'_, PyUntypedArray>,
        ends: &[u64],
    ) -> PyResult<(String, Vec<u64>)> {
        if let Some(pair) = ends.windows(2).find(|pair| pair[1] < pair[0]) {
            let got = format!("{} after {}", pair[1], pair[0]);
            return Err(Error::argument("ends", got, "ends that do not decrease").into());
        }
        let firsts = std::iter::once(0).chain(ends.iter().copied());
        let ranges = firsts
            .zip(ends)
            .map(|(first, &end)| first as usize..(end.saturating_sub(1).max(first)) as usize);
        with_tokens!(tokens, |tokens| {
            Ok(py.detach(|| self.inner.joined(tokens, ranges))?)
        })
    }
}

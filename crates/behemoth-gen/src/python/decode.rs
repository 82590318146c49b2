//! `behemoth._gen.Decoder`.

use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};

use super::arguments::slice;
use crate::decode::Decoder as Engine;
use crate::error::Error;

/// Joined UTF-8, and the end of each text in it.
type Joined<'py> = (Bound<'py, PyArray1<u8>>, Bound<'py, PyArray1<u64>>);

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

    /// Decodes documents to lines of UTF-8.
    fn lines<'py>(
        &self,
        py: Python<'py>,
        tokens: &Bound<'py, PyUntypedArray>,
    ) -> PyResult<Bound<'py, PyArray1<u8>>> {
        with_tokens!(tokens, |tokens| {
            let lines = py.detach(|| self.inner.lines(tokens))?;
            Ok(lines.into_pyarray(py))
        })
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

    /// Decodes documents like `texts`, to the joined UTF-8 and the end of each text in it.
    fn joined<'py>(
        &self,
        py: Python<'py>,
        tokens: &Bound<'py, PyUntypedArray>,
        ends: PyReadonlyArray1<'py, u64>,
    ) -> PyResult<Joined<'py>> {
        let (text, ends) = self.decoded(py, tokens, slice(&ends)?)?;
        Ok((text.into_bytes().into_pyarray(py), ends.into_pyarray(py)))
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

//! `behemoth._gen.Background`.

use std::path::PathBuf;
use std::sync::Arc;

use numpy::PyReadonlyArray1;
use pyo3::prelude::*;

use super::arguments::slice;
use crate::background::Background as Engine;

/// Documents of an existing tokenised corpus.
#[pyclass(module = "behemoth._gen", frozen)]
pub(super) struct Background {
    pub(super) inner: Arc<Engine>,
}

#[pymethods]
impl Background {
    #[new]
    #[pyo3(signature = (files, width, end, ends=None))]
    fn new(
        py: Python<'_>,
        files: Vec<PathBuf>,
        width: usize,
        end: u32,
        ends: Option<PyReadonlyArray1<'_, u64>>,
    ) -> PyResult<Self> {
        let ends = match ends {
            None => None,
            Some(ends) => Some(slice(&ends)?.to_vec()),
        };
        let inner = py.detach(|| Engine::open(&files, width, end, ends))?;
        Ok(Background {
            inner: Arc::new(inner),
        })
    }

    #[getter]
    fn digest(&self) -> &str {
        self.inner.digest()
    }

    #[getter]
    fn documents(&self) -> u64 {
        self.inner.documents()
    }

    #[getter]
    fn tokens(&self) -> u64 {
        self.inner.tokens()
    }
}

//! Writing and verifying corpus directories.

use std::path::Path;
use std::time::Instant;

use pyo3::prelude::*;

use super::threads::run;
use crate::corpus::Corpus;
use crate::shard::{self, WriteOptions};

/// Writes the shards of a part; what there is then, as JSON.
pub(super) fn write(
    py: Python<'_>,
    corpus: &Corpus,
    out: &str,
    options: &WriteOptions,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<String> {
    let total = shard::estimated_bytes(corpus) / options.part.1.max(1);
    let start = Instant::now();
    let summary = run(py, total, progress, |progress| {
        shard::write(corpus, Path::new(out), options, progress)
    })?;
    let mut json = serde_json::to_value(&summary).expect("plain data");
    json["out"] = out.into();
    json["seconds"] = start.elapsed().as_secs_f64().into();
    Ok(json.to_string())
}

/// Recomputes the shards of a directory; what was found, as JSON.
pub(super) fn verify(
    py: Python<'_>,
    corpus: &Corpus,
    directory: &str,
    threads: usize,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<String> {
    let total = shard::estimated_bytes(corpus);
    let found = run(py, total, progress, |progress| {
        shard::verify(corpus, Path::new(directory), threads, progress)
    })?;
    Ok(serde_json::to_string(&found).expect("plain data"))
}

//! Writing and verifying corpus directories, and digests of files.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::Instant;

use pyo3::prelude::*;

use super::threads::run;
use crate::corpus::Corpus;
use crate::error::Error;
use crate::shard::{self, WriteOptions};

/// Writes the shards of a part; returns a summary as JSON.
pub(super) fn write(
    py: Python<'_>,
    corpus: &Corpus,
    out: &str,
    options: &WriteOptions,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<String> {
    let total = py.detach(|| shard::estimated_bytes(corpus)) / options.part.1.max(1);
    let start = Instant::now();
    let summary = run(py, total, progress, |progress| {
        shard::write(corpus, Path::new(out), options, progress)
    })?;
    let mut json = serde_json::to_value(&summary).expect("plain data");
    json["out"] = out.into();
    json["seconds"] = start.elapsed().as_secs_f64().into();
    Ok(json.to_string())
}

/// Verifies the shards of a directory; returns a report as JSON.
pub(super) fn verify(
    py: Python<'_>,
    corpus: &Corpus,
    directory: &str,
    threads: usize,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<String> {
    let total = py.detach(|| shard::estimated_bytes(corpus));
    let found = run(py, total, progress, |progress| {
        shard::verify(corpus, Path::new(directory), threads, progress)
    })?;
    Ok(serde_json::to_string(&found).expect("plain data"))
}

/// Returns the BLAKE3 digest of a file, as 64 hexadecimal digits.
#[pyfunction]
pub(super) fn digest_file(py: Python<'_>, path: PathBuf) -> PyResult<String> {
    let failed = |error| Error::io("read", &path)(error);
    // Opening a pipe would wait for its writer.
    let metadata = path.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(Error::corpus(&path, "not a regular file").into());
    }
    let mut file = File::open(&path).map_err(failed)?;
    let mut hasher = blake3::Hasher::new();
    // A piece stays in the processor's cache from its reading to its hashing: with 16 MiB the rate
    // was 3.1 instead of 3.5 GB/s. No more than the file has: most files are small.
    let mut piece = vec![0; metadata.len().clamp(1, 1 << 18) as usize];
    loop {
        let read = py.detach(|| -> std::io::Result<usize> {
            let read = file.read(&mut piece)?;
            hasher.update(&piece[..read]);
            Ok(read)
        });
        py.check_signals()?;
        match read {
            Ok(0) => return Ok(hasher.finalize().to_hex().to_string()),
            Ok(_) => {}
            // A signal that is not Ctrl-C.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error).into()),
        }
    }
}

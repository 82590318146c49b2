//! The Python module `behemoth._gen`, the only code that depends on Python.
//!
//! Specs are passed as JSON, arrays as numpy arrays of exactly the dtype in the stub. Long calls
//! run on a separate thread with the interpreter released, while the calling thread wakes ten times
//! a second to report progress and to check for Ctrl-C; or they run in pieces, with a check between
//! them. Calls that create an object release the interpreter and cannot be interrupted.

// Only the macros of pyo3 generate unsafe code, which calls the interpreter.
#![allow(unsafe_code)]

mod arguments;
mod background;
mod corpus;
mod decode;
mod documents;
mod errors;
mod fill;
mod labels;
mod ledger;
mod lexicon;
mod parquet;
mod shards;
mod templates;
mod threads;
mod unwritten;
mod world;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use self::corpus::Corpus;
use self::world::World;
use crate::spec::FormatVersion;

/// Returns the version of the engine.
#[pyfunction]
fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// Returns the BLAKE3 digest of a bytes object, as 64 hexadecimal digits.
#[pyfunction]
fn digest(py: Python<'_>, data: &Bound<'_, PyBytes>) -> String {
    let data = data.as_bytes();
    py.detach(|| blake3::hash(data)).to_hex().to_string()
}

#[pymodule]
fn _gen(py: Python<'_>, module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("FORMAT_VERSION", FormatVersion::LATEST.number())?;
    let versions = FormatVersion::ALL.iter().map(|version| version.number());
    module.add("FORMAT_VERSIONS", PyTuple::new(py, versions)?)?;
    module.add("TEMPLATES", templates::all(py)?)?;
    module.add_class::<World>()?;
    module.add_class::<Corpus>()?;
    module.add_class::<background::Background>()?;
    module.add_class::<decode::Decoder>()?;
    labels::add(module)?;
    lexicon::add(module)?;
    unwritten::add(module)?;
    module.add_function(wrap_pyfunction!(version, module)?)?;
    module.add_function(wrap_pyfunction!(digest, module)?)?;
    module.add_function(wrap_pyfunction!(shards::digest_file, module)?)?;
    module.add_function(wrap_pyfunction!(parquet::parquet_documents, module)?)?;
    Ok(())
}

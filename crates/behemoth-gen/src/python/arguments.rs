//! Checked conversion of numpy arguments to slices.

use numpy::{Element, PyArray1, PyArrayMethods, PyReadonlyArray1};
use pyo3::prelude::*;

use crate::error::Error;
use crate::world::World;

pub(super) fn same_length(name: &str, a: usize, b: usize) -> crate::Result<()> {
    if a == b {
        Ok(())
    } else {
        Err(Error::argument(
            name,
            format!("{a} and {b} values"),
            "arrays of equal length",
        ))
    }
}

/// Loads NumPy, whose functions are otherwise loaded for the first array: an interrupt meanwhile is
/// an error here, and would be a panic there.
pub(super) fn load_numpy(py: Python<'_>) -> PyResult<()> {
    py.import("numpy")?;
    PyArray1::<u8>::zeros(py, 0, false).try_readonly()?;
    Ok(())
}

/// Returns the ids of facts; refuses facts that the world does not have.
pub(super) fn known_facts<'a>(
    facts: &'a PyReadonlyArray1<'_, u64>,
    world: &World,
) -> PyResult<&'a [u64]> {
    let facts = slice(facts)?;
    match facts.iter().find(|&&fact| fact >= world.facts()) {
        None => Ok(facts),
        Some(fact) => {
            let allowed = format!("facts below {}", world.facts());
            Err(Error::argument("facts", fact, allowed).into())
        }
    }
}

pub(super) fn slice<'a, T: Element>(array: &'a PyReadonlyArray1<'_, T>) -> PyResult<&'a [T]> {
    Ok(array.as_slice()?)
}

pub(super) fn pairs(
    facts: &PyReadonlyArray1<'_, u64>,
    objects: &PyReadonlyArray1<'_, u32>,
) -> PyResult<Vec<(u64, u32)>> {
    let (facts, objects) = (slice(facts)?, slice(objects)?);
    same_length("objects", facts.len(), objects.len())?;
    Ok(facts.iter().copied().zip(objects.iter().copied()).collect())
}

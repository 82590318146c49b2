//! `behemoth._gen.World`.

use numpy::{Element, IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::arguments::{known_facts, load_numpy, pairs, same_length, slice};
use super::threads::in_pieces;
use crate::error::Error;
use crate::memory::room_for;
use crate::spec::{FormatVersion, WorldSpec};
use crate::world::{Table, World as EngineWorld};

type Arrays<'py> = (
    Bound<'py, PyArray1<u64>>,
    Bound<'py, PyArray1<u32>>,
    Bound<'py, PyArray1<u32>>,
    Bound<'py, PyArray1<i64>>,
);

fn no_fact(subject: u64, relation: u32) -> Error {
    Error::argument(
        "subjects, relations",
        format!("subject {subject}, relation {relation}"),
        "a pair that has a fact in this world",
    )
}

/// Reads an optional column of a table from a dict of arrays, where -1 means none.
fn optional_column(table: &Bound<'_, PyDict>, name: &str) -> PyResult<Vec<u32>> {
    let Some(column) = table.get_item(name)? else {
        return Ok(Vec::new());
    };
    let column: PyReadonlyArray1<'_, i64> = column.extract()?;
    let column = slice(&column)?;
    let mut rows = room_for("table", column.len() as u64, "rows")?;
    for &value in column {
        rows.push(match value {
            -1 => u32::MAX,
            // The engine uses the largest 32-bit number for none.
            value => match u32::try_from(value) {
                Ok(id) if id != u32::MAX => id,
                _ => {
                    let allowed = format!("-1 for none, or an id below {}", u32::MAX);
                    return Err(Error::argument(name, value, allowed).into());
                }
            },
        });
    }
    Ok(rows)
}

fn column<T: Element + Clone>(table: &Bound<'_, PyDict>, name: &str) -> PyResult<Vec<T>> {
    let column = table
        .get_item(name)?
        .ok_or_else(|| Error::argument("table", format!("no column '{name}'"), "all columns"))?;
    let column: PyReadonlyArray1<'_, T> = column.extract()?;
    let column = slice(&column)?;
    let mut rows = room_for("table", column.len() as u64, "rows")?;
    rows.extend_from_slice(column);
    Ok(rows)
}

/// Reads the rows of a table from a dict of arrays.
fn rows(table: &Bound<'_, PyDict>) -> PyResult<Table> {
    Ok(Table {
        subject: column(table, "subject")?,
        relation: column(table, "relation")?,
        object: column(table, "object")?,
        minority: optional_column(table, "minority")?,
        nested: optional_column(table, "nested")?,
    })
}

/// A world of facts: a pure function of a spec and its seed, or a table.
#[pyclass(module = "behemoth._gen", frozen)]
#[derive(Clone)]
pub(super) struct World {
    pub(super) inner: EngineWorld,
}

impl World {
    fn facts_as_arrays<'py>(
        &self,
        py: Python<'py>,
        count: usize,
        fact: impl Fn(usize) -> u64 + Sync + Send,
    ) -> PyResult<Arrays<'py>> {
        let facts = count as u64;
        let mut subjects = room_for("facts", facts, "facts")?;
        let mut relations = room_for("facts", facts, "facts")?;
        let mut objects = room_for("facts", facts, "facts")?;
        let mut minorities = room_for("facts", facts, "facts")?;
        in_pieces(py, count, |range| {
            for i in range {
                let fact = self.inner.existing_fact(fact(i));
                subjects.push(fact.subject);
                relations.push(fact.relation);
                objects.push(fact.object);
                minorities.push(fact.minority.map_or(-1, i64::from));
            }
            Ok(())
        })?;
        Ok((
            subjects.into_pyarray(py),
            relations.into_pyarray(py),
            objects.into_pyarray(py),
            minorities.into_pyarray(py),
        ))
    }
}

#[pymethods]
impl World {
    #[new]
    #[pyo3(signature = (spec, table=None, format_version=None))]
    fn new(
        py: Python<'_>,
        spec: &str,
        table: Option<&Bound<'_, PyDict>>,
        format_version: Option<u32>,
    ) -> PyResult<Self> {
        load_numpy(py)?;
        let version = match format_version {
            None => FormatVersion::LATEST,
            Some(number) => FormatVersion::from_number(number)?,
        };
        let spec = WorldSpec::from_json(spec)?;
        let rows = table.map(rows).transpose()?;
        let inner = py.detach(|| EngineWorld::of_version(version, spec, rows.as_ref()))?;
        Ok(World { inner })
    }

    #[getter]
    fn format_version(&self) -> u32 {
        self.inner.version().number()
    }

    #[getter]
    fn spec(&self) -> String {
        self.inner.spec().to_json()
    }

    #[getter]
    fn subjects(&self) -> u64 {
        self.inner.subjects()
    }

    #[getter]
    fn relations(&self) -> u32 {
        self.inner.relations()
    }

    #[getter]
    fn link_relations(&self) -> usize {
        self.inner.links().len()
    }

    #[getter]
    fn facts(&self) -> u64 {
        self.inner.facts()
    }

    #[getter]
    fn subject_facts(&self) -> u64 {
        self.inner.subject_facts()
    }

    #[getter]
    fn entropy_bits(&self, py: Python<'_>) -> f64 {
        py.detach(|| self.inner.entropy_bits())
    }

    fn relation_table(&self) -> String {
        self.inner.relation_table().to_string()
    }

    fn objects<'py>(
        &self,
        py: Python<'py>,
        subjects: PyReadonlyArray1<'py, u64>,
        relations: PyReadonlyArray1<'py, u32>,
    ) -> PyResult<Bound<'py, PyArray1<u32>>> {
        let (subjects, relations) = (slice(&subjects)?, slice(&relations)?);
        same_length("relations", subjects.len(), relations.len())?;
        let mut objects = room_for("subjects", subjects.len() as u64, "objects")?;
        in_pieces(py, subjects.len(), |range| {
            for i in range {
                let (subject, relation) = (subjects[i], relations[i]);
                let fact = self
                    .inner
                    .fact_id(subject, relation)
                    .ok_or_else(|| no_fact(subject, relation))?;
                objects.push(self.inner.object_of(fact, subject, relation));
            }
            Ok(())
        })?;
        Ok(objects.into_pyarray(py))
    }

    fn facts_range<'py>(&self, py: Python<'py>, start: u64, stop: u64) -> PyResult<Arrays<'py>> {
        if start > stop || stop > self.inner.facts() {
            return Err(Error::argument(
                "range",
                format!("{start}:{stop}"),
                format!("a range within 0:{}", self.inner.facts()),
            )
            .into());
        }
        self.facts_as_arrays(py, (stop - start) as usize, |i| start + i as u64)
    }

    fn facts_of<'py>(
        &self,
        py: Python<'py>,
        facts: PyReadonlyArray1<'py, u64>,
    ) -> PyResult<Arrays<'py>> {
        let facts = known_facts(&facts, &self.inner)?;
        self.facts_as_arrays(py, facts.len(), |i| facts[i])
    }

    fn fact_ids<'py>(
        &self,
        py: Python<'py>,
        subjects: PyReadonlyArray1<'py, u64>,
        relations: PyReadonlyArray1<'py, u32>,
    ) -> PyResult<Bound<'py, PyArray1<u64>>> {
        let (subjects, relations) = (slice(&subjects)?, slice(&relations)?);
        same_length("relations", subjects.len(), relations.len())?;
        let mut facts = room_for("subjects", subjects.len() as u64, "facts")?;
        in_pieces(py, subjects.len(), |range| {
            for i in range {
                let (subject, relation) = (subjects[i], relations[i]);
                facts.push(
                    self.inner
                        .fact_id(subject, relation)
                        .ok_or_else(|| no_fact(subject, relation))?,
                );
            }
            Ok(())
        })?;
        Ok(facts.into_pyarray(py))
    }

    fn links<'py>(&self, py: Python<'py>, relation: u32) -> PyResult<Bound<'py, PyArray1<u32>>> {
        let (count, nested_of) = self.inner.nested(relation)?;
        let mut map = room_for("relation", count, "objects")?;
        in_pieces(py, count as usize, |objects| {
            map.extend(objects.map(|object| nested_of(object as u64)));
            Ok(())
        })?;
        Ok(map.into_pyarray(py))
    }

    #[getter]
    fn overrides<'py>(
        &self,
        py: Python<'py>,
    ) -> (Bound<'py, PyArray1<u64>>, Bound<'py, PyArray1<u32>>, bool) {
        let (changes, follow) = self.inner.overrides();
        let (facts, objects): (Vec<u64>, Vec<u32>) = changes.iter().copied().unzip();
        (facts.into_pyarray(py), objects.into_pyarray(py), follow)
    }

    #[pyo3(name = "override")]
    fn with_overrides(
        &self,
        py: Python<'_>,
        facts: PyReadonlyArray1<'_, u64>,
        objects: PyReadonlyArray1<'_, u32>,
        follow: bool,
    ) -> PyResult<World> {
        let changes = pairs(&facts, &objects)?;
        let inner = py.detach(|| self.inner.with_overrides(&changes, follow))?;
        Ok(World { inner })
    }
}

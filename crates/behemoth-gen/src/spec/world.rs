//! The spec of a world.

use serde::Serialize;

use super::as_argument;
use super::shorthand::{NumberOrList, Shorthand};
use super::table::TableSpec;
use crate::canonical::to_json;
use crate::error::{Error, Result};
use crate::numbers::{COUNT_LIMIT, counted_fraction, positive, seed};
use crate::relation::{RelationSpec, check_all};
use crate::value::Value;

/// The spec of a world: its facts are a pure function of this and its seed (or a table, identified
/// by its digest).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct WorldSpec {
    /// Seed of every draw of the world.
    pub seed: u64,
    /// Number of subjects.
    pub subjects: u64,
    /// The relations of a subject, in order; empty for a table world.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub relations: Vec<RelationSpec>,
    /// Exact fraction of the facts of drawn relations that have a second, different object.
    pub minority: f64,
    /// The table of facts, if they are stored instead of drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<TableSpec>,
}

impl Default for WorldSpec {
    /// Returns a world of 100,000 subjects with six independent relations of 400 objects each.
    fn default() -> Self {
        WorldSpec {
            seed: 0,
            subjects: DEFAULT_SUBJECTS,
            relations: Shorthand::default().relations().unwrap_or_default(),
            minority: 0.0,
            table: None,
        }
    }
}

const DEFAULT_SUBJECTS: u64 = 100_000;

impl WorldSpec {
    /// Reads a world spec from JSON.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] if the text is not valid JSON or the spec is invalid.
    pub fn from_json(text: &str) -> Result<WorldSpec> {
        let value = Value::from_json("world", text)?;
        WorldSpec::read(&value).map_err(|e| as_argument(e, "world"))
    }

    /// Returns the spec as JSON.
    pub fn to_json(&self) -> String {
        to_json(self)
    }

    /// Refuses an invalid spec; returns it with every default written out.
    pub(crate) fn checked(mut self) -> Result<Self> {
        self.check()?;
        Ok(self)
    }

    /// Like [`WorldSpec::checked`], in place; returns the number of objects of each drawn relation.
    pub(crate) fn check(&mut self) -> Result<Vec<u64>> {
        positive("subjects", self.subjects)?;
        if self.subjects > COUNT_LIMIT {
            let limit = format!("a whole number up to {COUNT_LIMIT}");
            return Err(Error::argument("subjects", self.subjects, limit));
        }
        seed("seed", self.seed)?;
        counted_fraction("minority", self.minority)?;
        match &self.table {
            None => check_all(&mut self.relations, self.subjects),
            Some(table) => {
                refuse_beside_table(&[
                    ("relations", !self.relations.is_empty()),
                    ("minority", self.minority != 0.0),
                ])?;
                table.check()?;
                Ok(Vec::new())
            }
        }
    }

    /// Reads a world spec, shorthands included.
    pub(super) fn read(value: &Value) -> Result<Self> {
        let mut fields = value.table(&[
            "seed",
            "subjects",
            "relations",
            "objects",
            "nested",
            "correlated",
            "minority",
            "table",
        ])?;
        let seed = fields.optional("seed", Value::seed)?;
        let subjects = fields.optional("subjects", Value::count)?;
        let relations = fields.nullable("relations", |value| {
            NumberOrList::read(value, RelationSpec::read)
        })?;
        let shorthand = Shorthand::read(&mut fields)?;
        let minority = fields.optional("minority", Value::number)?;
        let table = fields.nullable("table", TableSpec::read)?;
        let mut spec = WorldSpec {
            seed: seed.unwrap_or(0),
            subjects: subjects.unwrap_or(DEFAULT_SUBJECTS),
            relations: Vec::new(),
            minority: minority.unwrap_or(0.0),
            table,
        };
        positive("subjects", spec.subjects)?;
        counted_fraction("minority", spec.minority)?;
        if spec.table.is_some() {
            refuse_beside_table(&[
                ("relations", relations.is_some()),
                ("objects", shorthand.objects.is_some()),
                ("nested", shorthand.nested.is_some()),
                ("correlated", shorthand.correlated.is_some()),
            ])?;
            spec.check()?;
            return Ok(spec);
        }
        match relations {
            Some(NumberOrList::List(list)) => {
                shorthand.refuse_beside_list()?;
                spec.relations = list;
                spec.check()?;
            }
            number => {
                let shorthand = match number {
                    Some(NumberOrList::Number(count)) => Shorthand { count, ..shorthand },
                    _ => shorthand,
                };
                spec.relations = shorthand.relations()?;
                let relations = spec.relations.clone();
                spec.check().map_err(|e| Shorthand::blamed(e, &relations))?;
            }
        }
        Ok(spec)
    }
}

fn refuse_beside_table(given: &[(&str, bool)]) -> Result<()> {
    match given.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((name, _)) => Err(Error::argument(
            *name,
            "a value beside a table",
            "nothing: the table determines it",
        )),
    }
}

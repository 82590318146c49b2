//! What may be asked of a world.

use serde::Serialize;

use super::as_argument;
use super::shorthand::{Relations, Shorthand};
use crate::error::{Error, Result};
use crate::numbers::{COUNT_LIMIT, fraction, positive};
use crate::relation::{OBJECT_LIMIT, RELATION_LIMIT, RelationSpec, check_all};
use crate::value::Value;

/// All facts: a pure function of this and its seed (or a table, named by its digest).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct WorldSpec {
    /// Decides every draw of the world.
    pub seed: u64,
    /// Number of subjects.
    pub subjects: u64,
    /// The relations of a subject, in order; empty for a table world.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub relations: Vec<RelationSpec>,
    /// Exact fraction of the facts of drawn relations that have a second, different object.
    pub minority: f64,
    /// Set when the facts are stored instead of drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<TableSpec>,
}

/// A world read from a table: its sizes and the digest of its rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TableSpec {
    /// One entry for each relation of the table.
    pub relations: Vec<TableRelation>,
    /// BLAKE3 of the rows, so that a spec names exactly one table; filled in where it is empty.
    pub digest: String,
    /// Whether words have the lengths that the reference gives them.
    pub reference_words: bool,
}

/// A relation of a table world.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TableRelation {
    /// Number of objects.
    pub objects: u64,
    /// Number of nested objects, when the table has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nested: Option<u64>,
    /// The earlier relation that it is known to be correlated with: it moves no byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub with: Option<u32>,
    /// Whether only objects 0 and 1 are known to be drawn.
    #[serde(skip_serializing_if = "is_false")]
    pub binarised: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // what serde calls
fn is_false(value: &bool) -> bool {
    !value
}

impl Default for WorldSpec {
    /// 100,000 subjects of six independent relations of 400 objects each.
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
    /// Reads and validates JSON text.
    pub fn from_json(text: &str) -> Result<WorldSpec> {
        let value = Value::from_json("world", text)?;
        WorldSpec::read(&value).map_err(|e| as_argument(e, "world"))
    }

    /// The spec as JSON text.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a spec is plain data")
    }

    /// Refuses what no world can be; gives the spec with every default written out.
    pub(crate) fn checked(mut self) -> Result<Self> {
        self.check()?;
        Ok(self)
    }

    /// The same in place; gives the number of objects of each drawn relation.
    pub(crate) fn check(&mut self) -> Result<Vec<u64>> {
        positive("subjects", self.subjects)?;
        if self.subjects > COUNT_LIMIT {
            let limit = format!("a whole number up to {COUNT_LIMIT}");
            return Err(Error::argument("subjects", self.subjects, limit));
        }
        if i64::try_from(self.seed).is_err() {
            let limit = format!("a whole number up to {}", i64::MAX);
            return Err(Error::argument("seed", self.seed, limit));
        }
        fraction("minority", self.minority)?;
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

    /// Reads a world as people write it, shorthands included.
    pub(super) fn read(value: &Value) -> Result<Self> {
        let mut fields = value.fields()?;
        fields.known(&[
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
        let relations = fields.nullable("relations", Relations::read)?;
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
        fraction("minority", spec.minority)?;
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
            Some(Relations::List(list)) => {
                shorthand.refuse_beside_list()?;
                spec.relations = list;
                spec.check()?;
            }
            number => {
                let shorthand = match number {
                    Some(Relations::Count(count)) => Shorthand { count, ..shorthand },
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
            "nothing: the table says it",
        )),
    }
}

impl TableSpec {
    /// A table of relations, whose rows are named later.
    pub fn new(relations: impl Into<Vec<TableRelation>>) -> Self {
        TableSpec {
            relations: relations.into(),
            ..TableSpec::default()
        }
    }

    fn read(value: &Value) -> Result<Self> {
        let mut fields = value.fields()?;
        fields.known(&["relations", "digest", "reference_words"])?;
        Ok(TableSpec {
            relations: fields.required("relations", |value| {
                value.list("a list of relations", TableRelation::read)
            })?,
            digest: fields
                .optional("digest", Value::text)?
                .unwrap_or("")
                .to_string(),
            reference_words: fields
                .optional("reference_words", Value::boolean)?
                .unwrap_or(false),
        })
    }

    fn check(&self) -> Result<()> {
        let count = self.relations.len() as u64;
        if count == 0 {
            return Err(Error::argument("relations", 0, "at least 1"));
        }
        let nested = self.relations.iter().filter(|r| r.nested.is_some()).count();
        if count + nested as u64 > RELATION_LIMIT {
            let got = count + nested as u64;
            return Err(Error::argument(
                "relations",
                got,
                format!("1 to {RELATION_LIMIT}"),
            ));
        }
        for (at, relation) in self.relations.iter().enumerate() {
            relation
                .check(self.relations.get(..at).unwrap_or_default())
                .map_err(|e| e.within(at).within("relations").within("table"))?;
        }
        Ok(())
    }
}

impl TableRelation {
    /// A relation of so many objects, and of so many nested ones when the table has them.
    pub fn new(objects: u64, nested: Option<u64>) -> Self {
        TableRelation {
            objects,
            nested,
            with: None,
            binarised: false,
        }
    }

    /// The same, known to be correlated with an earlier relation.
    pub fn with(self, with: u32) -> Self {
        TableRelation {
            with: Some(with),
            ..self
        }
    }

    fn read(value: &Value) -> Result<Self> {
        let mut fields = value.fields()?;
        fields.known(&["objects", "nested", "with", "binarised"])?;
        Ok(TableRelation {
            objects: fields.required("objects", Value::count)?,
            nested: fields.nullable("nested", Value::count)?,
            with: fields.nullable("with", Value::id32)?,
            binarised: fields
                .optional("binarised", Value::boolean)?
                .unwrap_or(false),
        })
    }

    fn check(&self, earlier: &[TableRelation]) -> Result<()> {
        if let Some(with) = self.with {
            let Some(base) = earlier.get(with as usize) else {
                let limit = match earlier.len() {
                    0 => "an earlier relation, and this is the first".to_string(),
                    count => format!("an earlier relation, below {count}"),
                };
                return Err(Error::argument("with", with, limit));
            };
            if base.objects != self.objects {
                let limit = format!("one of {} objects, as this has", self.objects);
                let got = format!("relation {with} of {} objects", base.objects);
                return Err(Error::argument("with", got, limit));
            }
        }
        for (name, count) in [("objects", Some(self.objects)), ("nested", self.nested)] {
            let Some(count) = count else { continue };
            positive(name, count)?;
            if count > OBJECT_LIMIT {
                return Err(Error::argument(
                    name,
                    count,
                    format!("up to {OBJECT_LIMIT}"),
                ));
            }
        }
        Ok(())
    }
}

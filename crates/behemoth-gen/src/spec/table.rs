//! Part of a world spec: a table of facts, the sizes of its relations, and what its things are
//! called.

use serde::Serialize;

use crate::error::{Error, Result};
use crate::numbers::positive;
use crate::relation::{OBJECT_LIMIT, RELATION_LIMIT};
use crate::value::Value;

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
    /// What its things are called, where they have names.
    #[serde(skip_serializing_if = "TableNames::is_empty")]
    pub names: TableNames,
}

/// The names of the things of a table, which lie beside the spec: of each kind of things that has
/// them the digest. A thing of a kind with names is one token, whatever the base.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TableNames {
    /// Of the subjects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subjects: Option<String>,
    /// Of the relations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relations: Option<String>,
    /// Of the objects of all relations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objects: Option<String>,
    /// Of the nested objects of all relations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nested: Option<String>,
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

impl TableSpec {
    /// A table of relations, whose rows are named later.
    pub fn new(relations: impl Into<Vec<TableRelation>>) -> Self {
        TableSpec {
            relations: relations.into(),
            ..TableSpec::default()
        }
    }

    pub(super) fn read(value: &Value) -> Result<Self> {
        let mut fields = value.table(&["relations", "digest", "reference_words", "names"])?;
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
            names: fields
                .optional("names", TableNames::read)?
                .unwrap_or_default(),
        })
    }

    pub(super) fn check(&self) -> Result<()> {
        let count = self.relations.len() as u64;
        if count == 0 {
            return Err(Error::argument("relations", 0, "at least 1").within("table"));
        }
        let nested = self.relations.iter().filter(|r| r.nested.is_some()).count();
        if count + nested as u64 > RELATION_LIMIT {
            let got = count + nested as u64;
            let limit = format!("1 to {RELATION_LIMIT}");
            return Err(Error::argument("relations", got, limit).within("table"));
        }
        for (at, relation) in self.relations.iter().enumerate() {
            relation
                .check(self.relations.get(..at).unwrap_or_default())
                .map_err(|e| e.within(at).within("relations").within("table"))?;
        }
        Ok(())
    }
}

impl TableNames {
    /// Whether nothing has a name.
    pub fn is_empty(&self) -> bool {
        *self == TableNames::default()
    }

    fn read(value: &Value) -> Result<Self> {
        let mut fields = value.table(&["subjects", "relations", "objects", "nested"])?;
        let digest = |value: &Value| value.text().map(str::to_string);
        Ok(TableNames {
            subjects: fields.nullable("subjects", digest)?,
            relations: fields.nullable("relations", digest)?,
            objects: fields.nullable("objects", digest)?,
            nested: fields.nullable("nested", digest)?,
        })
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
        let mut fields = value.table(&["objects", "nested", "with", "binarised"])?;
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

//! The table part of a world spec: the sizes of the table's relations and the digests of its rows
//! and names.

use serde::Serialize;

use crate::error::{Error, Result};
use crate::relation::{RELATION_LIMIT, check_objects, earlier_relations};
use crate::value::Value;

/// The spec of a table of facts: the sizes of its relations and the digest of its rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TableSpec {
    /// One entry for each relation of the table.
    pub relations: Vec<TableRelation>,
    /// BLAKE3 of the rows, so that a spec identifies exactly one table; filled in if empty.
    pub digest: String,
    /// Whether words have the lengths that they have in the reference.
    pub reference_words: bool,
    /// Digests of the names of its things, if they have names.
    #[serde(skip_serializing_if = "TableNames::is_empty")]
    pub names: TableNames,
}

/// Digests of the names of the things of a table, one for each kind of things with names; the names
/// themselves are stored next to the spec. A thing with a name is one token, whatever the base.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TableNames {
    /// Digest of the names of the subjects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subjects: Option<String>,
    /// Digest of the names of the relations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relations: Option<String>,
    /// Digest of the names of the objects of all relations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objects: Option<String>,
    /// Digest of the names of the nested objects of all relations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nested: Option<String>,
}

/// A relation of a table world.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TableRelation {
    /// Number of objects.
    pub objects: u64,
    /// Number of nested objects, if the table has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nested: Option<u64>,
    /// The earlier relation that it is known to be correlated with; it does not affect the corpus
    /// bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub with: Option<u32>,
    /// Whether only objects 0 and 1 are known to be drawn.
    #[serde(skip_serializing_if = "crate::canonical::is_false")]
    pub binarised: bool,
}

impl TableSpec {
    /// Creates the spec of a table whose digest is filled in later.
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
    /// Returns `true` if nothing has a name.
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
    /// Creates a relation from its number of objects and, if the table has them, of nested objects.
    pub fn new(objects: u64, nested: Option<u64>) -> Self {
        TableRelation {
            objects,
            nested,
            with: None,
            binarised: false,
        }
    }

    /// Sets the earlier relation that this one is known to be correlated with.
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
                let limit = earlier_relations(earlier.len());
                return Err(Error::argument("with", with, limit));
            };
            if base.objects != self.objects {
                let limit = format!("a relation of {} objects, like this one", self.objects);
                let got = format!("relation {with} of {} objects", base.objects);
                return Err(Error::argument("with", got, limit));
            }
        }
        check_objects("objects", self.objects)?;
        if let Some(nested) = self.nested {
            check_objects("nested", nested)?;
        }
        Ok(())
    }
}

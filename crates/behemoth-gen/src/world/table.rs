//! Worlds read from a table instead of drawn.

use super::ids::Sparse;
use super::{Minority, World};
use crate::error::{Error, Result};
use crate::numbers::product;
use crate::relation::{Draw, NO_OBJECT, OBJECT_LIMIT};
use crate::spec::{FormatVersion, TableRelation, TableSpec, WorldSpec};

/// Maximum number of cells (subjects x relations) of a table: 4 bytes each.
const TABLE_LIMIT: u64 = 1 << 32;

/// Cells for facts and nested objects that any table may have, plus a number for each of its rows:
/// a spec with large sizes for a table of few rows must not allocate much memory.
const FREE_PLACES: u64 = 1 << 24;
const PLACES_PER_ROW: u64 = 1 << 10;

/// The rows of a table world: parallel columns, in any row order.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Subject ids.
    pub subject: Vec<u64>,
    /// Relation ids.
    pub relation: Vec<u32>,
    /// Object ids, within the relation.
    pub object: Vec<u32>,
    /// Second objects; `u32::MAX` if absent.
    pub minority: Vec<u32>,
    /// Nested objects of the object; `u32::MAX` if absent.
    pub nested: Vec<u32>,
}

/// The checked columns of a table, by relation.
struct Stored {
    objects: Vec<Vec<u32>>,
    nested: Vec<Vec<u32>>,
    /// Second objects by `subject * relations + relation`, composed relations included.
    second: Vec<(u64, u32)>,
    /// Number of relations, composed ones included.
    relations: u64,
    missing: bool,
}

impl Table {
    /// Returns the BLAKE3 digest of the rows sorted by (subject, relation), as hexadecimal digits;
    /// it does not depend on the row order.
    ///
    /// # Panics
    ///
    /// Panics if `relation` or `object` has fewer rows than `subject`.
    pub fn digest(&self) -> String {
        let mut rows: Vec<usize> = (0..self.subject.len()).collect();
        rows.sort_by_key(|&row| (self.subject[row], self.relation[row]));
        let mut hasher = blake3::Hasher::new();
        let at = |column: &[u32], row: usize| column.get(row).copied().unwrap_or(u32::MAX);
        for row in rows {
            hasher.update(&self.subject[row].to_le_bytes());
            for value in [
                self.relation[row],
                self.object[row],
                at(&self.minority, row),
                at(&self.nested, row),
            ] {
                hasher.update(&value.to_le_bytes());
            }
        }
        hasher.finalize().to_hex().to_string()
    }

    /// Refuses columns of unequal length; optional columns may be empty.
    fn check_lengths(&self) -> Result<()> {
        let rows = self.subject.len();
        let optional = |column: &[u32]| column.is_empty() || column.len() == rows;
        if self.relation.len() == rows
            && self.object.len() == rows
            && optional(&self.minority)
            && optional(&self.nested)
        {
            Ok(())
        } else {
            Err(Error::argument(
                "table",
                "columns of unequal length",
                "columns of equal length",
            ))
        }
    }

    /// Refuses sizes with far more cells than the rows could fill.
    fn check_places(&self, spec: &TableSpec, dense: u64) -> Result<()> {
        let rows = self.subject.len() as u64;
        let with_nested = spec.relations.iter().filter(|r| r.nested.is_some());
        let objects: u64 = with_nested.map(|relation| relation.objects).sum();
        let (places, limit) = (dense + objects, FREE_PLACES + PLACES_PER_ROW * rows);
        if places <= limit {
            return Ok(());
        }
        Err(Error::argument(
            "table",
            format!("{rows} rows with {places} places for facts and nested objects"),
            format!("up to {limit} places for so many rows, which are kept in memory"),
        ))
    }

    fn row(&self, row: usize) -> Option<Row> {
        let optional = |column: &[u32]| column.get(row).copied().unwrap_or(NO_OBJECT);
        Some(Row {
            subject: *self.subject.get(row)?,
            relation: *self.relation.get(row)?,
            object: *self.object.get(row)?,
            minority: optional(&self.minority),
            nested: optional(&self.nested),
        })
    }

    fn load(&self, spec: &TableSpec, subjects: u64, dense: u64) -> Result<Stored> {
        let rows = self.subject.len();
        let mut stored = Stored::new(spec, subjects, rows as u64 != dense);
        for row in 0..rows {
            let Some(values) = self.row(row) else { break };
            stored
                .add(&values, spec, subjects)
                .map_err(|error| match error {
                    Error::Argument { got, allowed, .. } => {
                        Error::argument("table", format!("row {row}: {got}"), allowed)
                    }
                    other => other,
                })?;
        }
        stored.second.sort_unstable();
        Ok(stored)
    }
}

/// A row of a table; [`NO_OBJECT`] for absent values.
struct Row {
    subject: u64,
    relation: u32,
    object: u32,
    minority: u32,
    nested: u32,
}

impl Stored {
    fn new(spec: &TableSpec, subjects: u64, missing: bool) -> Self {
        let of_relation = |relation: &TableRelation| match relation.nested {
            Some(_) => vec![NO_OBJECT; relation.objects as usize],
            None => Vec::new(),
        };
        let composed = spec.relations.iter().filter(|r| r.nested.is_some()).count();
        Stored {
            relations: (spec.relations.len() + composed) as u64,
            objects: vec![vec![NO_OBJECT; subjects as usize]; spec.relations.len()],
            nested: spec.relations.iter().map(of_relation).collect(),
            second: Vec::new(),
            missing,
        }
    }

    /// Checks and stores a row.
    fn add(&mut self, row: &Row, spec: &TableSpec, subjects: u64) -> Result<()> {
        let (subject, relation, object) = (row.subject, row.relation as usize, row.object);
        let relations = spec.relations.len();
        if subject >= subjects {
            let got = format!("subject {subject}");
            return Err(Error::value(got, format!("below {subjects}")));
        }
        let (Some(sizes), Some(column)) =
            (spec.relations.get(relation), self.objects.get_mut(relation))
        else {
            let got = format!("relation {relation}");
            return Err(Error::value(got, format!("below {relations}")));
        };
        if u64::from(object) >= sizes.objects.min(OBJECT_LIMIT) {
            let got = format!("object {object}");
            return Err(Error::value(got, format!("below {}", sizes.objects)));
        }
        let cell = &mut column[subject as usize];
        if *cell != NO_OBJECT {
            return Err(Error::value(
                format!("subject {subject} and relation {relation} again"),
                "each pair once",
            ));
        }
        *cell = object;
        if row.minority != NO_OBJECT {
            if u64::from(row.minority) >= sizes.objects || row.minority == object {
                return Err(Error::value(
                    format!("second object {}", row.minority),
                    format!("below {} and not the first object", sizes.objects),
                ));
            }
            let dense = subject * self.relations + relation as u64;
            self.second.push((dense, row.minority));
        }
        self.add_nested(row, sizes)
    }

    /// Takes the nested object of a row's object.
    fn add_nested(&mut self, row: &Row, sizes: &TableRelation) -> Result<()> {
        let nested = row.nested;
        let known = sizes.nested.filter(|&count| u64::from(nested) < count);
        if known.is_none() {
            if sizes.nested.is_none() && nested == NO_OBJECT {
                return Ok(());
            }
            return Err(Error::value(
                match nested {
                    NO_OBJECT => "no nested object".to_string(),
                    nested => format!("nested object {nested}"),
                },
                match (sizes.nested, nested) {
                    (Some(_), NO_OBJECT) => {
                        "one in each row of a relation with nested objects".to_string()
                    }
                    (Some(count), _) => format!("below {count}"),
                    (None, _) => "none, as in the relation's other rows".to_string(),
                },
            ));
        }
        let cell = &mut self.nested[row.relation as usize][row.object as usize];
        if *cell != NO_OBJECT && *cell != nested {
            return Err(Error::value(
                format!(
                    "nested objects {} and {nested} of object {}",
                    *cell, row.object
                ),
                "one nested object for each object",
            ));
        }
        *cell = nested;
        Ok(())
    }
}

impl World {
    /// Builds the world of a table; the digest in `spec.table` must match the rows, or be empty, in
    /// which case it is filled in.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] if the spec is invalid or does not match the table.
    pub fn from_table(spec: WorldSpec, table: &Table) -> Result<World> {
        World::of_version(FormatVersion::LATEST, spec, Some(table))
    }

    pub(super) fn stored(
        version: FormatVersion,
        mut spec: WorldSpec,
        table: &Table,
    ) -> Result<World> {
        spec.check()?;
        let Some(named) = &mut spec.table else {
            return Err(Error::argument(
                "table",
                "rows for a spec without a table",
                "a spec whose table names the rows",
            ));
        };
        table.check_lengths()?;
        let digest = table.digest();
        if named.digest.is_empty() {
            named.digest.clone_from(&digest);
        }
        let named = &*named;
        if named.digest != digest {
            return Err(Error::argument(
                "table",
                format!("rows with digest {digest}"),
                format!("the rows that the spec names, with digest {}", named.digest),
            ));
        }
        let relations = named.relations.len() as u64;
        let dense_len = product("subjects x relations", spec.subjects, relations)?;
        if dense_len > TABLE_LIMIT {
            return Err(Error::argument(
                "subjects x relations",
                dense_len,
                format!("up to {TABLE_LIMIT} in a table, which is kept in memory"),
            ));
        }
        table.check_places(named, dense_len)?;
        let stored = table.load(named, spec.subjects, dense_len)?;
        let mut draws: Vec<Draw> = Vec::new();
        let mut objects = Vec::new();
        for (relation, column) in named.relations.iter().zip(stored.objects) {
            objects.push(relation.objects);
            draws.push(Draw::of_table(column));
        }
        for (of, (relation, map)) in named.relations.iter().zip(stored.nested).enumerate() {
            if let Some(nested) = relation.nested {
                objects.push(nested);
                draws.push(Draw::nested_of_table(of, map));
            }
        }
        let sparse = stored.missing.then(|| Sparse {
            dense: facts_there(spec.subjects, &draws),
        });
        let minority = (!stored.second.is_empty()).then(|| {
            let fact = |dense: u64| match &sparse {
                None => dense,
                Some(sparse) => sparse.dense.partition_point(|&f| f < dense) as u64,
            };
            let second = stored.second.iter();
            Minority::Stored(
                second
                    .map(|&(dense, object)| (fact(dense), object))
                    .collect(),
            )
        });
        World::assemble(version, spec, draws, objects, minority, sparse)
    }
}

/// Returns `subject * relations + relation` of the facts that a table contains, in ascending order.
fn facts_there(subjects: u64, draws: &[Draw]) -> Vec<u64> {
    // A composed fact exists if the fact it is composed from does.
    let columns: Vec<&Draw> = draws
        .iter()
        .map(|draw| draw.nested().map_or(draw, |(of, _)| &draws[of]))
        .collect();
    (0..subjects)
        .flat_map(|subject| (0..).zip(&columns).map(move |at| (subject, at)))
        .filter(|(subject, (_, draw))| match draw {
            Draw::Stored(column) => column.has(*subject),
            _ => true,
        })
        .map(|(subject, (relation, _))| subject * draws.len() as u64 + relation)
        .collect()
}

//! Worlds that are read from a table instead of drawn.

use super::{Minority, Sparse, World};
use crate::error::{Error, Result};
use crate::relation::{Draw, NestedMap, OBJECT_LIMIT};
use crate::spec::{TableSpec, WorldSpec, product};

/// Most places for facts of a table: 4 bytes each.
const TABLE_LIMIT: u64 = 1 << 32;

/// Rows of a table world: parallel columns, in any order.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Subject ids.
    pub subject: Vec<u64>,
    /// Relation ids.
    pub relation: Vec<u32>,
    /// Object ids, within the relation.
    pub object: Vec<u32>,
    /// Second objects; `u32::MAX` for none.
    pub minority: Vec<u32>,
    /// Nested objects of the object; `u32::MAX` for none.
    pub nested: Vec<u32>,
}

/// The columns of a table by relation, checked.
struct Stored {
    objects: Vec<Vec<u32>>,
    nested: Vec<Vec<u32>>,
    /// Second objects by `subject * relations + relation`, composed relations counted.
    second: Vec<(u64, u32)>,
    missing: bool,
}

impl Table {
    /// BLAKE3 of the rows in the order of (subject, relation), whatever order they are in.
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

    /// Refuses columns of unequal length; the optional ones may be empty.
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

    fn load(&self, spec: &TableSpec, subjects: u64, dense: u64) -> Result<Stored> {
        let rows = self.subject.len();
        let refuse = |row: usize, what: String, allowed: String| {
            Error::argument("table", format!("row {row}: {what}"), allowed)
        };
        let relations = spec.relations.len();
        let none = u32::MAX;
        let mut stored = Stored {
            objects: vec![vec![none; subjects as usize]; relations],
            nested: spec
                .relations
                .iter()
                .map(|r| match r.nested {
                    Some(_) => vec![none; r.objects as usize],
                    None => Vec::new(),
                })
                .collect(),
            second: Vec::new(),
            missing: rows as u64 != dense,
        };
        let composed = spec.relations.iter().filter(|r| r.nested.is_some()).count();
        let all = relations + composed;
        for row in 0..rows {
            let (subject, relation, object) = (
                self.subject[row],
                self.relation[row] as usize,
                self.object[row],
            );
            if subject >= subjects {
                return Err(refuse(
                    row,
                    format!("subject {subject}"),
                    format!("below {subjects}"),
                ));
            }
            if relation >= relations {
                return Err(refuse(
                    row,
                    format!("relation {relation}"),
                    format!("below {relations}"),
                ));
            }
            let sizes = &spec.relations[relation];
            if u64::from(object) >= sizes.objects.min(OBJECT_LIMIT) {
                return Err(refuse(
                    row,
                    format!("object {object}"),
                    format!("below {}", sizes.objects),
                ));
            }
            let cell = &mut stored.objects[relation][subject as usize];
            if *cell != none {
                return Err(refuse(
                    row,
                    format!("subject {subject} and relation {relation} again"),
                    "each pair once".into(),
                ));
            }
            *cell = object;
            if let Some(&minority) = self.minority.get(row)
                && minority != none
            {
                if u64::from(minority) >= sizes.objects || minority == object {
                    return Err(refuse(
                        row,
                        format!("second object {minority}"),
                        format!("below {} and not the first object", sizes.objects),
                    ));
                }
                let dense = subject * all as u64 + relation as u64;
                stored.second.push((dense, minority));
            }
            match (sizes.nested, self.nested.get(row).copied().unwrap_or(none)) {
                (None, n) if n == none => {}
                (Some(count), nested) if nested != none && u64::from(nested) < count => {
                    let cell = &mut stored.nested[relation][object as usize];
                    if *cell != none && *cell != nested {
                        return Err(refuse(
                            row,
                            format!("nested objects {} and {nested} of object {object}", *cell),
                            "one nested object for each object".into(),
                        ));
                    }
                    *cell = nested;
                }
                (count, nested) => {
                    return Err(refuse(
                        row,
                        if nested == none {
                            "no nested object".into()
                        } else {
                            format!("nested object {nested}")
                        },
                        match count {
                            Some(count) => format!("below {count}"),
                            None => "none, as in the relation's other rows".into(),
                        },
                    ));
                }
            }
        }
        stored.second.sort_unstable();
        Ok(stored)
    }
}

impl World {
    /// Builds the world of a table; `spec.table` must name these very rows.
    /// An empty digest in the spec is filled in.
    pub fn from_table(mut spec: WorldSpec, table: &Table) -> Result<World> {
        let Some(named) = &mut spec.table else {
            return Err(Error::argument(
                "table",
                "rows beside a spec without a table",
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
        let stored = table.load(named, spec.subjects, dense_len)?;
        let mut draws: Vec<Draw> = Vec::new();
        let mut objects = Vec::new();
        for (relation, column) in named.relations.iter().zip(stored.objects) {
            objects.push(relation.objects);
            draws.push(Draw::Stored { objects: column });
        }
        for (of, (relation, map)) in named.relations.iter().zip(stored.nested).enumerate() {
            if let Some(nested) = relation.nested {
                objects.push(nested);
                draws.push(Draw::Composed {
                    of,
                    map: NestedMap::Stored(map),
                });
            }
        }
        // Composed facts exist where the fact they are composed of does.
        let sparse = stored.missing.then(|| {
            let all = draws.len() as u64;
            let of = |r: u64| match &draws[r as usize] {
                Draw::Composed { of, .. } => *of,
                _ => r as usize,
            };
            let dense = (0..spec.subjects * all)
                .filter(|f| match &draws[of(f % all)] {
                    Draw::Stored { objects } => objects[(f / all) as usize] != u32::MAX,
                    _ => true,
                })
                .collect();
            Sparse { dense }
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
        World::assemble(spec, draws, objects, minority, sparse)
    }
}

//! Composed relations: the nested object of the subject's object in an earlier relation.

use std::cell::Cell;

use serde::Serialize;

use super::{Draws, Earlier, Kind, NO_OBJECT, Place, Sizes, log2_factorial};
use crate::error::{Error, Result};
use crate::memory::room_for;
use crate::numbers::positive;
use crate::permutation::Permutation;
use crate::value::{Fields, Value};

/// A relation to the nested object of the subject's object in an earlier relation.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Composed {
    /// The earlier relation, which may itself be composed.
    pub of: u32,
    /// Number of nested objects; divides the number of objects of `of`.
    pub objects: u64,
}

impl Composed {
    /// Creates the relation from its earlier relation and its number of nested objects.
    pub fn new(of: u32, objects: u64) -> Self {
        Composed { of, objects }
    }
}

impl Kind for Composed {
    type Draw = Draw;

    fn read(fields: &mut Fields<'_>) -> Result<Self> {
        fields.of_kind(&["of", "objects"])?;
        Ok(Composed {
            of: fields.required("of", Value::id32)?,
            objects: fields.required("objects", Value::count)?,
        })
    }

    fn check(&mut self, earlier: &Earlier<'_>) -> Result<u64> {
        let (at, _, objects) = earlier.relation("of", self.of)?;
        positive("objects", self.objects)?;
        if !objects.is_multiple_of(self.objects) {
            return Err(Error::argument(
                "objects",
                self.objects,
                format!("a divisor of {objects}, the objects of relation {at}"),
            ));
        }
        Ok(self.objects)
    }

    fn draw(&self, place: &Place<'_>) -> Result<Draw> {
        let of = self.of as usize;
        let relation = place.relation as u64;
        let shuffle = Permutation::new(place.objects_of(of), place.seed, "nested", relation);
        Ok(Draw {
            of,
            map: NestedMap::balanced(shuffle, self.objects, place.tabled)?,
        })
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Draw {
    of: usize,
    map: NestedMap,
}

impl Draw {
    /// Creates the draws from the nested objects in a table, `u32::MAX` if unknown.
    pub(super) fn of_table(of: usize, nested: Vec<u32>) -> Self {
        Draw {
            of,
            map: NestedMap::Stored(nested),
        }
    }
}

impl Draws for Draw {
    #[inline(always)]
    fn object(&self, _: u64, earlier: impl Fn(usize) -> u32) -> u32 {
        self.map.get(earlier(self.of))
    }

    fn bits(&self, sizes: &Sizes<'_>) -> f64 {
        let objects = sizes.own_objects();
        match self.map.known() {
            Some(known) => known.len() as f64 * objects.log2(),
            // Choosing a balanced map: a multinomial coefficient.
            None => {
                let from = sizes.objects_of(self.of);
                log2_factorial(from) - objects * log2_factorial(from / objects)
            }
        }
    }

    fn nested(&self) -> Option<(usize, &NestedMap)> {
        Some((self.of, &self.map))
    }
}

/// The map object -> nested object of a composed relation.
#[derive(Clone, Debug)]
pub(crate) enum NestedMap {
    /// Evaluated once, in nearly every world.
    Table(Vec<u32>),
    /// From a table world; [`NO_OBJECT`] if unknown.
    Stored(Vec<u32>),
    /// Evaluated at each call, if a table, or those of all relations, would need too much memory.
    Function { shuffle: Permutation, nested: u64 },
}

impl NestedMap {
    /// Maximum number of objects for which the map is stored as a table (4 MiB).
    const TABLE_LIMIT: u64 = 1 << 20;

    /// Maximum number of objects in the tables of all relations of a world (64 MiB).
    const TABLES_LIMIT: u64 = 1 << 24;

    /// Creates a map in which each nested object has equally many objects: a permutation of the
    /// objects, modulo the number of nested objects. `tabled` counts the objects in tables.
    fn balanced(shuffle: Permutation, nested: u64, tabled: &Cell<u64>) -> Result<Self> {
        let objects = shuffle.len();
        let function = NestedMap::Function { shuffle, nested };
        let together = tabled.get().saturating_add(objects);
        if objects > Self::TABLE_LIMIT || together > Self::TABLES_LIMIT {
            return Ok(function);
        }
        tabled.set(together);
        let mut table = room_for("objects", objects, "objects")?;
        table.extend((0..objects).map(|object| function.get(object as u32)));
        Ok(NestedMap::Table(table))
    }

    /// Returns the objects with a known nested object, in ascending order, or `None` if the map is
    /// not from a table.
    pub(crate) fn known(&self) -> Option<Vec<u32>> {
        match self {
            NestedMap::Stored(table) => Some(
                (0u32..)
                    .zip(table)
                    .filter(|&(_, &nested)| nested != NO_OBJECT)
                    .map(|(object, _)| object)
                    .collect(),
            ),
            _ => None,
        }
    }

    #[inline]
    #[allow(clippy::indexing_slicing)] // called only with objects of its relation
    pub(crate) fn get(&self, object: u32) -> u32 {
        match self {
            NestedMap::Table(table) | NestedMap::Stored(table) => table[object as usize],
            NestedMap::Function { shuffle, nested } => {
                (shuffle.apply(u64::from(object)) % nested) as u32
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_without_room_for_its_table_is_the_same() {
        let map = |tabled| {
            let shuffle = Permutation::new(70_000, 0, "nested", 1);
            NestedMap::balanced(shuffle, 7, &Cell::new(tabled)).unwrap()
        };
        let [table, function] = [0, NestedMap::TABLES_LIMIT].map(map);
        assert!(matches!(table, NestedMap::Table(_)));
        assert!(matches!(function, NestedMap::Function { .. }));
        assert!((0..70_000).all(|object| table.get(object) == function.get(object)));
    }
}

//! Tables of facts: the columns of a file, together with the sizes in the spec.

use behemoth_gen::spec::{TableRelation, TableSpec};
use behemoth_gen::{Spec, Table, World, WorldSpec};

use super::bytes::Bytes;
use super::refused;

/// Value for no object.
const NONE: u32 = u32::MAX;

/// A table is refused, or its world has the facts of its rows, in any row order.
///
/// The input: the optional columns (two bits of one byte), the number of subjects (8 bytes), the
/// number of relations (one byte); for each relation the numbers of its objects (4 bytes) and
/// nested objects (4 bytes, 0 for none); then the rows, of 5 x 4 bytes.
pub fn table(data: &[u8]) -> bool {
    let Some((spec, table)) = read(data) else {
        return false;
    };
    let text = spec.to_json();
    let world = match World::from_table(spec, &table) {
        Ok(world) => world,
        Err(error) => return refused(&error),
    };
    for (row, &subject) in table.subject.iter().enumerate() {
        let object = world.object(subject, table.relation[row]);
        assert_eq!(object, Some(table.object[row]), "row {row} of {text}");
    }
    let backwards = World::from_table(WorldSpec::from_json(&text).unwrap(), &reversed(&table));
    assert_eq!(backwards.unwrap().spec(), world.spec(), "the order of rows");
    true
}

fn read(data: &[u8]) -> Option<(WorldSpec, Table)> {
    let mut bytes = Bytes(data);
    let columns = bytes.u8()?;
    let subjects = bytes.u64()?;
    let mut relations = Vec::new();
    for _ in 0..bytes.u8()? {
        let (objects, nested) = (bytes.u32()?, bytes.u32()?);
        let nested = (nested > 0).then_some(u64::from(nested));
        relations.push(TableRelation::new(u64::from(objects), nested));
    }
    let mut table = Table::default();
    while let Some(subject) = bytes.u32() {
        table.subject.push(u64::from(subject));
        table.relation.push(bytes.u32().unwrap_or(0));
        table.object.push(bytes.u32().unwrap_or(0));
        let (minority, nested) = (bytes.u32(), bytes.u32());
        if columns & 1 > 0 {
            table.minority.push(minority.unwrap_or(NONE));
        }
        if columns & 2 > 0 {
            table.nested.push(nested.unwrap_or(NONE));
        }
    }
    let spec = Spec::from_toml("[world]\n[corpus]\n").unwrap();
    let mut spec = spec.world;
    spec.relations.clear();
    spec.subjects = subjects;
    spec.table = Some(TableSpec::new(relations));
    Some((spec, table))
}

fn reversed(table: &Table) -> Table {
    let mut table = table.clone();
    table.subject.reverse();
    table.relation.reverse();
    table.object.reverse();
    table.minority.reverse();
    table.nested.reverse();
    table
}

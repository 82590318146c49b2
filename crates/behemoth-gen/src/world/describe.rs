//! Descriptions of the relations of a world, as tables.

use super::World;
use crate::error::{Error, Result};
use crate::memory::room_for;
use crate::relation::NO_OBJECT;
use crate::spec::TableSpec;

impl World {
    /// Returns the nested object of each object of a composed relation; `u32::MAX` where a table
    /// does not contain it.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] if the relation is not composed or memory is insufficient.
    pub fn nested_objects(&self, relation: u32) -> Result<Vec<u32>> {
        let (count, nested_of) = self.nested(relation)?;
        let mut nested = room_for("relation", count, "objects")?;
        nested.extend((0..count).map(nested_of));
        Ok(nested)
    }

    /// Returns the number of objects that [`World::nested_objects`] maps, and the map.
    pub(crate) fn nested(&self, relation: u32) -> Result<(u64, impl Fn(u64) -> u32)> {
        let at = self
            .shared
            .links
            .iter()
            .position(|link| link.composed == relation)
            .ok_or_else(|| {
                Error::argument(
                    "relation",
                    relation,
                    "a composed relation; only those have links",
                )
            })?;
        let link = &self.shared.links[at];
        let id = (self.shared.draws.len() + at) as u32;
        let count = self.shared.objects[link.of as usize];
        let nested_of = move |object| match link.fact(object) {
            Some(fact) => self.link_object(fact, object, id),
            None => NO_OBJECT,
        };
        Ok((count, nested_of))
    }

    /// Returns every relation id with its kind and sizes, links included, as JSON.
    pub fn relation_table(&self) -> serde_json::Value {
        let shared = &*self.shared;
        let own = shared.draws.iter().enumerate().map(|(r, draw)| {
            let mut entry = match shared.spec.relations.get(r) {
                Some(spec) => serde_json::to_value(spec).expect("plain data"),
                None => match draw.nested() {
                    Some((of, _)) => serde_json::json!({"kind": "composed", "of": of}),
                    None => stored(shared.spec.table.as_ref(), r),
                },
            };
            entry["relation"] = r.into();
            entry["objects"] = shared.objects[r].into();
            entry["link"] = false.into();
            entry
        });
        let links = shared.links.iter().enumerate().map(|(at, link)| {
            serde_json::json!({
                "relation": shared.draws.len() + at,
                "kind": "link",
                "of": link.of,
                "composed": link.composed,
                "objects": shared.objects[link.composed as usize],
                "link": true,
            })
        });
        own.chain(links).collect::<Vec<_>>().into()
    }
}

/// Describes a relation of a table, with what is known about its distribution.
fn stored(table: Option<&TableSpec>, relation: usize) -> serde_json::Value {
    let mut entry = serde_json::json!({"kind": "table"});
    if let Some(own) = table.and_then(|table| table.relations.get(relation)) {
        if let Some(with) = own.with {
            entry["with"] = with.into();
        }
        if own.binarised {
            entry["binarised"] = true.into();
        }
    }
    entry
}

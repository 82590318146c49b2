//! Shorthands: `relations = 6` with `objects`, `nested` and `correlated` for a list of relations.

use crate::error::{Error, PathKey, Result};
use crate::numbers::positive;
use crate::relation::{Composed, Correlated, Independent, RelationSpec, check_number};
use crate::value::{Fields, Value};

/// A field that is a number, or a list with an item for each relation.
pub(super) enum NumberOrList<T> {
    Number(u64),
    List(Vec<T>),
}

impl<T> NumberOrList<T> {
    pub(super) fn read(value: &Value, item: impl Fn(&Value) -> Result<T>) -> Result<Self> {
        match value {
            Value::List(_) => value.list("", item).map(NumberOrList::List),
            Value::Whole(_) | Value::Negative(_) | Value::Float(_) => {
                value.count().map(NumberOrList::Number)
            }
            _ => Err(Error::value(value, "a whole number or a list")),
        }
    }
}

/// The field `correlated`: relation 1 is correlated with relation 0.
pub(super) struct Follows {
    strength: f64,
    binarised: bool,
}

impl Follows {
    fn read(value: &Value) -> Result<Self> {
        let mut fields = value.table(&["strength", "binarised"])?;
        Ok(Follows {
            strength: fields.required("strength", Value::number)?,
            binarised: fields
                .optional("binarised", Value::boolean)?
                .unwrap_or(false),
        })
    }
}

/// The fields that a list of relations is expanded from.
pub(super) struct Shorthand {
    pub(super) count: u64,
    /// The number of objects of all relations, or of each.
    pub(super) objects: Option<NumberOrList<u64>>,
    pub(super) nested: Option<u64>,
    pub(super) correlated: Option<Follows>,
}

impl Default for Shorthand {
    fn default() -> Self {
        Shorthand {
            count: 6,
            objects: None,
            nested: None,
            correlated: None,
        }
    }
}

impl Shorthand {
    const OBJECTS: u64 = 400;

    pub(super) fn read(fields: &mut Fields<'_>) -> Result<Self> {
        Ok(Shorthand {
            objects: fields.nullable("objects", |value| NumberOrList::read(value, Value::count))?,
            nested: fields.nullable("nested", Value::count)?,
            correlated: fields.nullable("correlated", Follows::read)?,
            ..Shorthand::default()
        })
    }

    /// Refuses fields that have no meaning next to a list of relations.
    pub(super) fn refuse_beside_list(&self) -> Result<()> {
        let given = [
            ("objects", self.objects.is_some()),
            ("nested", self.nested.is_some()),
            ("correlated", self.correlated.is_some()),
        ];
        match given.iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((name, _)) => Err(Error::argument(
                *name,
                "a value beside a list of relations",
                "only with a number of relations; in a list, each relation has its own",
            )),
        }
    }

    /// Returns the list of relations.
    pub(super) fn relations(&self) -> Result<Vec<RelationSpec>> {
        check_number(self.count)?;
        let relations = self.count as usize;
        let objects: Vec<u64> = match &self.objects {
            None => vec![Self::OBJECTS; relations],
            Some(NumberOrList::Number(objects)) => vec![*objects; relations],
            Some(NumberOrList::List(each)) if each.len() == relations => each.clone(),
            Some(NumberOrList::List(each)) => {
                return Err(Error::argument(
                    "objects",
                    format!("{} numbers", each.len()),
                    format!("one number, or one for each of the {relations} relations"),
                ));
            }
        };
        let mut list: Vec<RelationSpec> = objects
            .iter()
            .map(|&objects| Independent::new(objects).into())
            .collect();
        if let Some(follows) = &self.correlated {
            let (Some([base, follower]), [first, second, ..]) =
                (list.first_chunk_mut::<2>(), &objects[..])
            else {
                return Err(Error::argument(
                    "relations",
                    relations,
                    "at least 2, so that the second can be correlated with the first",
                ));
            };
            if first != second {
                return Err(Error::argument(
                    "objects",
                    format!("{first} and {second}"),
                    "the same number for relations 0 and 1, which are correlated",
                ));
            }
            *base = Independent::new(*first).binarised(follows.binarised).into();
            *follower = Correlated::new(0, follows.strength).into();
        }
        if let Some(nested) = self.nested {
            positive("nested", nested)?;
            list.extend((0..relations as u32).map(|of| Composed::new(of, nested).into()));
        }
        Ok(list)
    }

    /// Replaces the path of an error in the expanded list by the field of the shorthand.
    pub(super) fn blamed(mut error: Error, relations: &[RelationSpec]) -> Error {
        if let Error::Argument { path, .. } = &mut error
            && let [
                PathKey::Name(list),
                PathKey::Index(at),
                PathKey::Name(field),
            ] = &path[..]
            && list == "relations"
        {
            *path = match (relations.get(*at), field.as_str()) {
                (Some(RelationSpec::Composed(_)), _) => vec![PathKey::from("nested")],
                (Some(RelationSpec::Correlated(_)), "strength") => {
                    vec![PathKey::from("correlated"), PathKey::from("strength")]
                }
                _ => vec![PathKey::from("objects")],
            };
        }
        error
    }
}

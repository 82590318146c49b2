//! Kinds of relations: their parameters and how they draw objects.
//!
//! A kind is one file: its parameters, their limits, its draws and their entropy. It has one row in
//! the table below; no other code in the crate distinguishes kinds. To add one, write its file,
//! modelled on `independent.rs`, and its `mod` line and row here.

// Handles user input: no indexing that can panic.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

mod composed;
mod correlated;
mod draws;
mod independent;
mod inverse;
mod one_to_one;
mod stored;
mod zipf;

use std::cell::Cell;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::numbers::positive;
use crate::value::{Fields, Value};

pub use self::composed::Composed;
pub use self::correlated::Correlated;
pub use self::independent::Independent;
pub use self::inverse::Inverse;
pub use self::one_to_one::OneToOne;
pub use self::zipf::Zipf;

pub(crate) use self::composed::NestedMap;
pub(crate) use self::draws::{Alias, Threshold, log2_factorial};

/// Maximum number of objects of a relation: object ids are 32-bit, and `u32::MAX` means none.
pub const OBJECT_LIMIT: u64 = u32::MAX as u64 - 1;

/// No object: a fact that a table does not contain.
pub(crate) const NO_OBJECT: u32 = u32::MAX;

/// Maximum number of relations of a subject. Correlated and composed relations refer to earlier
/// ones, and a chain of them is resolved by recursion.
pub(crate) const RELATION_LIMIT: u64 = 10_000;

/// A kind of relation, with its parameters as in a spec.
pub(crate) trait Kind: Sized {
    /// The prepared draws of the kind.
    type Draw: Draws;

    /// Reads its parameters from the fields of a table; `check` checks their limits.
    fn read(fields: &mut Fields<'_>) -> Result<Self>;

    /// Refuses invalid parameters, writes defaults out and returns the number of objects.
    fn check(&mut self, earlier: &Earlier<'_>) -> Result<u64>;

    /// Returns `true` if only objects 0 and 1 are drawn.
    fn is_binarised(&self) -> bool {
        false
    }

    /// Prepares the draws of a checked relation; refused if memory is insufficient.
    fn draw(&self, place: &Place<'_>) -> Result<Self::Draw>;
}

/// The prepared draws of a relation.
pub(crate) trait Draws {
    /// Whether a fact may have a second object: not in a bijection or in facts that follow from
    /// others.
    const TAKES_SECOND: bool = false;

    /// Returns the object of a subject; `earlier` returns its object in an earlier relation.
    fn object(&self, subject: u64, earlier: impl Fn(usize) -> u32) -> u32;

    /// Returns the entropy of its facts, in bits.
    fn bits(&self, sizes: &Sizes<'_>) -> f64;

    /// Returns the relation whose objects are mapped to nested ones, and the map.
    fn nested(&self) -> Option<(usize, &NestedMap)> {
        None
    }
}

/// The relations before a relation, for its check.
pub(crate) struct Earlier<'a> {
    relations: &'a [RelationSpec],
    /// Number of objects of each relation.
    objects: &'a [u64],
    subjects: u64,
}

impl<'a> Earlier<'a> {
    /// Returns the earlier relation that a field refers to: its index, its spec and its number of
    /// objects.
    fn relation(&self, field: &str, id: u32) -> Result<(usize, &'a RelationSpec, u64)> {
        let at = id as usize;
        match (self.relations.get(at), self.objects.get(at)) {
            (Some(relation), Some(&objects)) => Ok((at, relation, objects)),
            _ => Err(Error::argument(
                field,
                id,
                earlier_relations(self.relations.len()),
            )),
        }
    }
}

/// The inputs of the draws of a relation: the world's seed and its index among the relations.
pub(crate) struct Place<'a> {
    seed: u64,
    relation: usize,
    objects: &'a [u64],
    /// Number of objects in the tables of all composed relations so far.
    tabled: &'a Cell<u64>,
}

impl Place<'_> {
    fn key(&self, purpose: &str) -> crate::hash::Key {
        crate::hash::Key::new(self.seed, purpose, self.relation as u64)
    }

    /// Returns the number of objects of a checked relation.
    fn objects_of(&self, relation: usize) -> u64 {
        self.objects.get(relation).copied().unwrap_or(0)
    }
}

/// Sizes that the entropy of a relation depends on.
pub(crate) struct Sizes<'a> {
    pub subjects: f64,
    pub relation: usize,
    pub objects: &'a [u64],
}

impl Sizes<'_> {
    fn objects_of(&self, relation: usize) -> f64 {
        self.objects.get(relation).copied().unwrap_or(0) as f64
    }

    fn own_objects(&self) -> f64 {
        self.objects_of(self.relation)
    }
}

/// Defines [`RelationSpec`], `Draw` and their dispatch from the table of kinds.
macro_rules! kinds {
    ($($(#[$doc:meta])* $Kind:ident = $name:literal,)*) => {
        /// A relation, as in a spec.
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[serde(tag = "kind", rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum RelationSpec {
            $($(#[$doc])* $Kind($Kind),)*
        }

        /// The prepared draws of a relation.
        #[derive(Clone, Debug)]
        pub(crate) enum Draw {
            $($Kind(<$Kind as Kind>::Draw),)*
            /// Objects of a table, which is not a kind in specs.
            Stored(stored::Stored),
        }

        impl RelationSpec {
            /// The names of the kinds.
            pub const KINDS: &[&str] = &[$($name,)*];

            /// Reads a relation from a table of fields, one of which is its kind.
            pub(crate) fn read(value: &Value) -> Result<Self> {
                type Read = fn(&mut Fields<'_>) -> Result<RelationSpec>;
                const KINDS: &[(&str, Read)] =
                    &[$(($name, |fields| $Kind::read(fields).map(RelationSpec::$Kind)),)*];
                let (mut fields, read) = value.kind(KINDS)?;
                read(&mut fields)
            }

            fn check(&mut self, earlier: &Earlier<'_>) -> Result<u64> {
                match self {
                    $(RelationSpec::$Kind(kind) => kind.check(earlier),)*
                }
            }

            fn is_binarised(&self) -> bool {
                match self {
                    $(RelationSpec::$Kind(kind) => kind.is_binarised(),)*
                }
            }

            fn draw(&self, place: &Place<'_>) -> Result<Draw> {
                match self {
                    $(RelationSpec::$Kind(kind) => kind.draw(place).map(Draw::$Kind),)*
                }
            }
        }

        impl Draw {
            /// Returns the object of a subject; `earlier` returns its object in an earlier
            /// relation.
            #[inline(always)]
            pub(crate) fn object(&self, subject: u64, earlier: impl Fn(usize) -> u32) -> u32 {
                match self {
                    $(Draw::$Kind(draw) => draw.object(subject, earlier),)*
                    Draw::Stored(draw) => draw.object(subject, earlier),
                }
            }

            /// Returns the entropy of its facts, in bits.
            pub(crate) fn bits(&self, sizes: &Sizes<'_>) -> f64 {
                match self {
                    $(Draw::$Kind(draw) => draw.bits(sizes),)*
                    Draw::Stored(draw) => draw.bits(sizes),
                }
            }

            /// Returns `true` if a fact may have a second object.
            pub(crate) fn takes_second(&self) -> bool {
                match self {
                    $(Draw::$Kind(_) => <<$Kind as Kind>::Draw as Draws>::TAKES_SECOND,)*
                    Draw::Stored(_) => stored::Stored::TAKES_SECOND,
                }
            }

            /// Returns the relation whose objects are mapped to nested ones, and the map.
            #[inline]
            pub(crate) fn nested(&self) -> Option<(usize, &NestedMap)> {
                match self {
                    $(Draw::$Kind(draw) => draw.nested(),)*
                    Draw::Stored(draw) => draw.nested(),
                }
            }
        }

        $(impl From<$Kind> for RelationSpec {
            fn from(kind: $Kind) -> Self {
                RelationSpec::$Kind(kind)
            }
        })*
    };
}

kinds! {
    /// Every object equally likely, drawn separately for each subject.
    Independent = "independent",
    /// Object k with probability proportional to `(k + 1)^-alpha`.
    Zipf = "zipf",
    /// The object of an earlier relation with probability `strength`, otherwise any *other*
    /// object, all equally likely.
    Correlated = "correlated",
    /// Different subjects have different objects.
    OneToOne = "one_to_one",
    /// If subject s has object o in the one-to-one relation `of`, subject o has object s here.
    Inverse = "inverse",
    /// The nested object of the subject's object in an earlier relation.
    Composed = "composed",
}

impl Draw {
    /// Creates the draws of a table's relation from its objects by subject, `u32::MAX` if absent.
    pub(crate) fn of_table(objects: Vec<u32>) -> Draw {
        Draw::Stored(stored::Stored::new(objects))
    }

    /// Creates the draws of a composed relation from the nested objects in a table.
    pub(crate) fn nested_of_table(of: usize, nested: Vec<u32>) -> Draw {
        Draw::Composed(composed::Draw::of_table(of, nested))
    }
}

/// Refuses a number of relations outside 1 to [`RELATION_LIMIT`].
pub(crate) fn check_number(relations: u64) -> Result<()> {
    if (1..=RELATION_LIMIT).contains(&relations) {
        Ok(())
    } else {
        Err(Error::argument(
            "relations",
            relations,
            format!("1 to {RELATION_LIMIT}"),
        ))
    }
}

/// Checks every relation, writes its defaults out, and returns the number of objects of each.
pub(crate) fn check_all(list: &mut [RelationSpec], subjects: u64) -> Result<Vec<u64>> {
    check_number(list.len() as u64)?;
    let mut objects: Vec<u64> = Vec::with_capacity(list.len());
    let mut at = 0;
    while let Some((relation, relations)) = list.get_mut(..=at).and_then(<[_]>::split_last_mut) {
        let earlier = Earlier {
            relations,
            objects: &objects,
            subjects,
        };
        let count = check_one(relation, &earlier).map_err(|e| e.within(at).within("relations"))?;
        objects.push(count);
        at += 1;
    }
    Ok(objects)
}

fn check_one(relation: &mut RelationSpec, earlier: &Earlier<'_>) -> Result<u64> {
    let count = relation.check(earlier)?;
    check_objects("objects", count)?;
    Ok(count)
}

/// Refuses a number of objects that no relation may have.
pub(crate) fn check_objects(name: &str, count: u64) -> Result<()> {
    positive(name, count)?;
    if count > OBJECT_LIMIT {
        let limit = format!("up to {OBJECT_LIMIT}");
        return Err(Error::argument(name, count, limit));
    }
    Ok(())
}

/// Describes the relations before a relation, for errors.
pub(crate) fn earlier_relations(count: usize) -> String {
    match count {
        0 => "an earlier relation (this is the first)".to_string(),
        _ => format!("an earlier relation, 0 to {}", count - 1),
    }
}

/// Prepares the draws of checked relations; `objects` is the result of [`check_all`].
pub(crate) fn draws(list: &[RelationSpec], objects: &[u64], seed: u64) -> Result<Vec<Draw>> {
    let tabled = Cell::new(0);
    list.iter()
        .enumerate()
        .map(|(relation, spec)| {
            let place = Place {
                seed,
                relation,
                objects,
                tabled: &tabled,
            };
            let draw = spec.draw(&place);
            draw.map_err(|e| e.within(relation).within("relations"))
        })
        .collect()
}

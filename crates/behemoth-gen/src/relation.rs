//! How a relation draws its objects: one kind each.

mod alias;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::hash::{Key, multiply_high};
use crate::permutation::Permutation;
use crate::spec::{count, fraction, positive};

pub(crate) use self::alias::{Alias, Threshold};

/// Largest number of objects of a relation: object ids are 32-bit, and `u32::MAX` means none.
pub const OBJECT_LIMIT: u64 = u32::MAX as u64 - 1;

/// A relation as a user writes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum RelationSpec {
    /// Every object equally likely, drawn for each subject alone.
    Independent {
        /// Number of objects.
        #[serde(deserialize_with = "count")]
        objects: u64,
        /// Whether only objects 0 and 1 are drawn.
        #[serde(default)]
        binarised: bool,
    },
    /// Object k with probability proportional to `(k + 1)^-alpha`.
    Zipf {
        /// Number of objects.
        #[serde(deserialize_with = "count")]
        objects: u64,
        /// The exponent, at least 0.
        alpha: f64,
    },
    /// The object of an earlier relation with probability `strength`, otherwise any *other*
    /// object, all equally likely.
    Correlated {
        /// The earlier relation.
        with: u32,
        /// Probability of a match, above chance.
        strength: f64,
        /// Whether only objects 0 and 1 are drawn.
        #[serde(default)]
        binarised: bool,
    },
    /// Different subjects have different objects.
    OneToOne {
        /// Number of objects; by default, and at least, the number of subjects.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        objects: Option<u64>,
    },
    /// If subject s has object o in the one-to-one relation `of`, subject o has object s here.
    Inverse {
        /// An earlier one-to-one relation with as many objects as there are subjects.
        of: u32,
    },
    /// The nested object of the subject's object in an earlier relation.
    Composed {
        /// The earlier relation; it may itself be composed.
        of: u32,
        /// Number of nested objects; divides the number of objects of `of`.
        #[serde(deserialize_with = "count")]
        objects: u64,
    },
}

/// The relations that the shorthands `relations`, `objects`, `nested` and `correlated` stand for.
pub(crate) fn expand(
    relations: u64,
    objects: &[u64],
    nested: Option<u64>,
    correlated: Option<(f64, bool)>,
) -> Result<Vec<RelationSpec>> {
    check_number(relations)?;
    if correlated.is_some() && relations < 2 {
        return Err(Error::argument(
            "relations",
            relations,
            "at least 2, so that the second can be correlated with the first",
        ));
    }
    let mut list: Vec<RelationSpec> = (0..relations as usize)
        .map(|r| RelationSpec::Independent {
            objects: objects[r.min(objects.len() - 1)],
            binarised: r == 0 && correlated.is_some_and(|(_, binarised)| binarised),
        })
        .collect();
    if let Some((strength, _)) = correlated {
        if objects.len() > 1 && objects[0] != objects[1] {
            return Err(Error::argument(
                "objects",
                format!("{} and {}", objects[0], objects[1]),
                "the same number for relations 0 and 1, which are correlated",
            ));
        }
        list[1] = RelationSpec::Correlated {
            with: 0,
            strength,
            binarised: false,
        };
    }
    if let Some(nested) = nested {
        positive("nested", nested)?;
        list.extend((0..relations as u32).map(|of| RelationSpec::Composed {
            of,
            objects: nested,
        }));
    }
    Ok(list)
}

/// An error about a relation that a shorthand stands for, in the words of the shorthand.
pub(crate) fn as_shorthand(error: Error) -> Error {
    match error {
        Error::Argument { name, got, allowed } => {
            let name = if name.ends_with(".with") {
                "objects".into()
            } else if name.ends_with(".strength") {
                "correlated".into()
            } else if name.ends_with(".objects") && allowed.starts_with("a divisor") {
                "nested".into()
            } else if name.ends_with(".objects") {
                "objects".into()
            } else {
                name
            };
            Error::Argument { name, got, allowed }
        }
        other => other,
    }
}

/// Most relations of a subject. Correlated and composed relations refer to earlier ones, and a
/// chain of them is followed by recursion.
const RELATION_LIMIT: u64 = 10_000;

fn check_number(relations: u64) -> Result<()> {
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

/// Checks every relation and writes its defaults out.
pub(crate) fn normalise(mut list: Vec<RelationSpec>, subjects: u64) -> Result<Vec<RelationSpec>> {
    check_number(list.len() as u64)?;
    let mut objects: Vec<u64> = Vec::with_capacity(list.len());
    for r in 0..list.len() {
        let field = |name: &str| format!("relations[{r}].{name}");
        let earlier = |name: &str, other: u32| {
            if (other as usize) < r {
                Ok(other as usize)
            } else {
                Err(Error::argument(
                    field(name),
                    other,
                    if r == 0 {
                        "an earlier relation, and this is the first".to_string()
                    } else {
                        format!("an earlier relation, 0 to {}", r - 1)
                    },
                ))
            }
        };
        let count = match &list[r] {
            RelationSpec::Independent { objects, binarised } => {
                if *binarised && *objects < 2 {
                    return Err(Error::argument(field("objects"), objects, "at least 2"));
                }
                *objects
            }
            RelationSpec::Zipf { objects, alpha } => {
                if !(alpha.is_finite() && (0.0..=100.0).contains(alpha)) {
                    return Err(Error::argument(field("alpha"), alpha, "0 to 100"));
                }
                if *objects > 1 << 28 {
                    return Err(Error::argument(
                        field("objects"),
                        objects,
                        "up to 268435456 for kind zipf, whose weights are kept in memory",
                    ));
                }
                *objects
            }
            RelationSpec::Correlated {
                with,
                strength,
                binarised,
            } => {
                let with = earlier("with", *with)?;
                let objects = objects[with];
                if objects < 2 {
                    return Err(Error::argument(
                        field("with"),
                        format!("a relation of {objects} objects"),
                        "a relation of at least 2 objects",
                    ));
                }
                fraction(&field("strength"), *strength)?;
                let base_binarised = matches!(
                    list[with],
                    RelationSpec::Independent {
                        binarised: true,
                        ..
                    } | RelationSpec::Correlated {
                        binarised: true,
                        ..
                    }
                );
                if *binarised && !base_binarised {
                    return Err(Error::argument(
                        field("binarised"),
                        true,
                        "only when the relation it is correlated with is binarised",
                    ));
                }
                // As in the reference, a binarised base makes one half the chance level.
                let (chance, shown) = if base_binarised {
                    (0.5, "1/2".to_string())
                } else {
                    (1.0 / objects as f64, format!("1/{objects}"))
                };
                if *strength <= chance {
                    return Err(Error::argument(
                        field("strength"),
                        strength,
                        format!("above chance ({shown}) up to 1"),
                    ));
                }
                objects
            }
            RelationSpec::OneToOne { objects } => {
                let objects = objects.unwrap_or(subjects);
                if objects < subjects {
                    return Err(Error::argument(
                        field("objects"),
                        objects,
                        format!("at least subjects ({subjects}) for kind one_to_one"),
                    ));
                }
                objects
            }
            RelationSpec::Inverse { of } => {
                let target = earlier("of", *of)?;
                match list[target] {
                    RelationSpec::OneToOne { .. } if objects[target] == subjects => subjects,
                    RelationSpec::OneToOne { .. } => {
                        return Err(Error::argument(
                            field("of"),
                            format!("a relation of {} objects", objects[target]),
                            format!("one of as many objects as subjects ({subjects})"),
                        ));
                    }
                    _ => {
                        return Err(Error::argument(
                            field("of"),
                            format!("relation {target}"),
                            "a relation of kind one_to_one",
                        ));
                    }
                }
            }
            RelationSpec::Composed {
                of,
                objects: nested,
            } => {
                let target = earlier("of", *of)?;
                positive(&field("objects"), *nested)?;
                if !objects[target].is_multiple_of(*nested) {
                    return Err(Error::argument(
                        field("objects"),
                        nested,
                        format!(
                            "a divisor of {}, the objects of relation {target}",
                            objects[target]
                        ),
                    ));
                }
                *nested
            }
        };
        positive(&field("objects"), count)?;
        if count > OBJECT_LIMIT {
            return Err(Error::argument(
                field("objects"),
                count,
                format!("up to {OBJECT_LIMIT}"),
            ));
        }
        if let RelationSpec::OneToOne { objects } = &mut list[r] {
            *objects = Some(count);
        }
        objects.push(count);
    }
    Ok(list)
}

/// A relation ready to draw from.
#[derive(Clone, Debug)]
pub(crate) enum Draw {
    Uniform {
        key: Key,
        objects: u64,
    },
    Weighted {
        key: Key,
        alias: Alias,
    },
    Correlated {
        with: usize,
        matches: Threshold,
        match_key: Key,
        other_key: Key,
        objects: u64,
    },
    OneToOne(Permutation),
    Inverse(Permutation),
    Composed {
        of: usize,
        map: NestedMap,
    },
    Stored {
        objects: Vec<u32>,
    },
}

impl Draw {
    /// Prepares relation `r` of a normalised list.
    pub(crate) fn new(seed: u64, r: usize, list: &[RelationSpec], objects: &[u64]) -> Draw {
        let key = |purpose: &str| Key::new(seed, purpose, r as u64);
        match &list[r] {
            RelationSpec::Independent { objects, binarised } => Draw::Uniform {
                key: key("object"),
                objects: if *binarised { 2 } else { *objects },
            },
            RelationSpec::Zipf { objects, alpha } => Draw::Weighted {
                key: key("object"),
                alias: Alias::new((0..*objects).map(|k| libm::pow((k + 1) as f64, -alpha))),
            },
            RelationSpec::Correlated {
                with,
                strength,
                binarised,
            } => Draw::Correlated {
                with: *with as usize,
                matches: Threshold::new(*strength),
                match_key: key("match"),
                other_key: key("object"),
                objects: if *binarised { 2 } else { objects[r] },
            },
            RelationSpec::OneToOne { .. } => {
                Draw::OneToOne(Permutation::new(objects[r], seed, "one-to-one", r as u64))
            }
            RelationSpec::Inverse { of } => Draw::Inverse(Permutation::new(
                objects[r],
                seed,
                "one-to-one",
                u64::from(*of),
            )),
            RelationSpec::Composed {
                of,
                objects: nested,
            } => {
                let shuffle = Permutation::new(objects[*of as usize], seed, "nested", r as u64);
                Draw::Composed {
                    of: *of as usize,
                    map: NestedMap::balanced(shuffle, *nested),
                }
            }
        }
    }
}

/// The map object -> nested object of a composed relation.
#[derive(Clone, Debug)]
pub(crate) enum NestedMap {
    /// Evaluated once: nearly every world.
    Table(Vec<u32>),
    /// Told by a table world, which may not tell all: `u32::MAX` for unknown.
    Stored(Vec<u32>),
    /// Evaluated at each call, where a table would take more memory than a generator should.
    Function { shuffle: Permutation, nested: u64 },
}

impl NestedMap {
    /// Objects for which the map is kept as a table (4 MiB).
    const TABLE_LIMIT: u64 = 1 << 20;

    /// Each nested object from equally many objects: a permutation of the objects, folded.
    fn balanced(shuffle: Permutation, nested: u64) -> Self {
        let objects = shuffle.len();
        let function = NestedMap::Function { shuffle, nested };
        if objects <= Self::TABLE_LIMIT {
            NestedMap::Table((0..objects).map(|o| function.get(o as u32)).collect())
        } else {
            function
        }
    }

    /// The objects whose nested object is known, ascending; none if all are.
    pub(crate) fn known(&self) -> Option<Vec<u32>> {
        match self {
            NestedMap::Stored(table) => Some(
                (0..table.len() as u32)
                    .filter(|&object| table[object as usize] != u32::MAX)
                    .collect(),
            ),
            _ => None,
        }
    }

    #[inline]
    pub(crate) fn get(&self, object: u32) -> u32 {
        match self {
            NestedMap::Table(table) | NestedMap::Stored(table) => table[object as usize],
            NestedMap::Function { shuffle, nested } => {
                (shuffle.apply(u64::from(object)) % nested) as u32
            }
        }
    }
}

/// The object of a correlated relation, given that of the relation it follows.
#[inline(always)]
pub(crate) fn correlated_object(
    base: u32,
    matches: Threshold,
    match_draw: u64,
    other_draw: u64,
    objects: u64,
) -> u32 {
    if matches.passes(match_draw) {
        return base;
    }
    // Uniform over the objects without `base`: skip it.
    let other = multiply_high(other_draw, objects - 1) as u32;
    other + u32::from(other >= base)
}

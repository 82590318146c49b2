//! Reading specs as users write them: shorthands, counts such as `1e8`, and errors that name the
//! field, the value and what is allowed.

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use super::{COUNT_LIMIT, CorpusSpec, TableSpec, Weight, WorldSpec, fraction, positive};
use crate::error::{Error, Result};
use crate::relation::{self, RelationSpec};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSpec {
    pub(super) format_version: Option<u32>,
    pub(super) world: RawWorld,
    #[serde(default)]
    pub(super) corpus: CorpusSpec,
}

/// A world as a user may write it, shorthands included.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWorld {
    #[serde(default, deserialize_with = "seed")]
    seed: u64,
    #[serde(default = "default_subjects", deserialize_with = "count")]
    subjects: u64,
    #[serde(default)]
    relations: Option<Relations>,
    #[serde(default)]
    objects: Option<Objects>,
    #[serde(default, deserialize_with = "optional_count")]
    nested: Option<u64>,
    #[serde(default)]
    correlated: Option<Correlated>,
    #[serde(default)]
    minority: f64,
    #[serde(default)]
    table: Option<TableSpec>,
}

fn default_subjects() -> u64 {
    100_000
}

enum Relations {
    Count(u64),
    List(Vec<RelationSpec>),
}

enum Objects {
    Same(u64),
    Each(Vec<u64>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Correlated {
    strength: f64,
    #[serde(default)]
    binarised: bool,
}

impl RawWorld {
    pub(super) fn normalise(self) -> Result<WorldSpec> {
        positive("subjects", self.subjects)?;
        fraction("minority", self.minority)?;
        if let Some(table) = self.table {
            let beside = [
                ("relations", self.relations.is_some()),
                ("objects", self.objects.is_some()),
                ("nested", self.nested.is_some()),
                ("correlated", self.correlated.is_some()),
                ("minority", self.minority != 0.0),
            ];
            if let Some((name, _)) = beside.iter().find(|(_, given)| *given) {
                return Err(Error::argument(
                    *name,
                    "a value beside a table",
                    "nothing: the table says it",
                ));
            }
            if table.relations.is_empty() {
                return Err(Error::argument("relations", 0, "at least 1"));
            }
            for (r, relation) in table.relations.iter().enumerate() {
                let counts = [
                    ("objects", Some(relation.objects)),
                    ("nested", relation.nested),
                ];
                for (name, count) in counts {
                    let name = format!("table.relations[{r}].{name}");
                    positive(&name, count.unwrap_or(1))?;
                    if count.is_some_and(|count| count > relation::OBJECT_LIMIT) {
                        let limit = format!("up to {}", relation::OBJECT_LIMIT);
                        return Err(Error::argument(name, count.unwrap_or(0), limit));
                    }
                }
            }
            return Ok(WorldSpec {
                seed: self.seed,
                subjects: self.subjects,
                relations: Vec::new(),
                minority: 0.0,
                table: Some(table),
            });
        }
        let given = self.relations.unwrap_or(Relations::Count(6));
        let shorthand = matches!(given, Relations::Count(_));
        let relations = match given {
            Relations::List(list) => {
                let shorthand = [
                    ("objects", self.objects.is_some()),
                    ("nested", self.nested.is_some()),
                    ("correlated", self.correlated.is_some()),
                ];
                if let Some((name, _)) = shorthand.iter().find(|(_, given)| *given) {
                    return Err(Error::argument(
                        *name,
                        "a value beside a list of relations",
                        "only beside a number of relations; in a list each relation says its own",
                    ));
                }
                list
            }
            Relations::Count(n) => relation::expand(
                n,
                match &self.objects {
                    None => &[400],
                    Some(Objects::Same(o)) => std::slice::from_ref(o),
                    Some(Objects::Each(each)) => {
                        if each.len() as u64 != n {
                            return Err(Error::argument(
                                "objects",
                                format!("{} numbers", each.len()),
                                format!("one number, or one for each of the {n} relations"),
                            ));
                        }
                        each
                    }
                },
                self.nested,
                self.correlated.map(|c| (c.strength, c.binarised)),
            )?,
        };
        let relations =
            relation::normalise(relations, self.subjects).map_err(|e| match shorthand {
                true => relation::as_shorthand(e),
                false => e,
            })?;
        Ok(WorldSpec {
            seed: self.seed,
            subjects: self.subjects,
            relations,
            minority: self.minority,
            table: None,
        })
    }
}

/// Deserialises with the path of the field in the error.
pub(super) fn read<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    root: &str,
    deserializer: D,
) -> Result<T> {
    serde_path_to_error::deserialize(deserializer).map_err(|e| {
        let path = e.path().to_string();
        // The flags and the fields have the same names; where a field stands is in its path.
        let name = match path.split_once('.') {
            _ if path == "." => root.to_string(),
            Some(("world" | "corpus", field)) => field.to_string(),
            _ => path,
        };
        let message = one_line(&e.into_inner().to_string());
        // Where in the text it was tells the user nothing that the field's name does not.
        let message = message.split(" at line ").next().unwrap_or(&message);
        let message = message.split(" in `").next().unwrap_or(message);
        let (got, allowed) = got_and_allowed(message);
        Error::argument(name, got, allowed)
    })
}

/// What was got and what is allowed, from the messages of our own visitors ("got X, allowed: Y")
/// and those of serde.
fn got_and_allowed(message: &str) -> (String, String) {
    if let Some((got, allowed)) = message
        .strip_prefix("got ")
        .and_then(|rest| rest.split_once(", allowed: "))
    {
        return (got.into(), allowed.into());
    }
    if let Some(field) = message.strip_prefix("missing field ") {
        return (format!("no {field}"), "a value for it".into());
    }
    for prefix in [
        "unknown field ",
        "unknown variant ",
        "invalid type: ",
        "invalid value: ",
    ] {
        if let Some((got, allowed)) = message
            .strip_prefix(prefix)
            .and_then(|rest| rest.split_once(", expected "))
        {
            let allowed = allowed.strip_prefix("one of ").unwrap_or(allowed);
            return (got.into(), in_plain_words(allowed).into());
        }
    }
    if let Some(rest) = message.strip_prefix("invalid length ") {
        let (got, allowed) = rest.split_once(", expected ").unwrap_or((rest, "another"));
        return (format!("{got} values"), in_plain_words(allowed).into());
    }
    ("what cannot be read".into(), message.into())
}

/// What serde expects, without the names of Rust's types.
fn in_plain_words(expected: &str) -> &str {
    match expected {
        "f64" => "a number",
        "u32" | "u64" => "a whole number, not negative",
        "a tuple of size 2" => "a pair of fact and object",
        "a boolean" => "true or false",
        other if other.starts_with("struct ") || other.starts_with("internally tagged") => {
            "a table of fields"
        }
        other => other,
    }
}

pub(super) fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

struct CountVisitor {
    limit: u64,
}

impl Visitor<'_> for CountVisitor {
    type Value = u64;
    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a whole number")
    }
    fn visit_u64<E: de::Error>(self, v: u64) -> std::result::Result<u64, E> {
        if v <= self.limit {
            Ok(v)
        } else {
            Err(E::custom(format!(
                "got {v}, allowed: a whole number up to {}",
                self.limit
            )))
        }
    }
    fn visit_i64<E: de::Error>(self, v: i64) -> std::result::Result<u64, E> {
        match u64::try_from(v) {
            Ok(v) => self.visit_u64(v),
            Err(_) => Err(E::custom(format!(
                "got {v}, allowed: a whole number, not negative"
            ))),
        }
    }
    fn visit_f64<E: de::Error>(self, v: f64) -> std::result::Result<u64, E> {
        // 1e8 is how people write counts; 2^53 is where f64 stops being exact.
        if v >= 0.0 && v.fract() == 0.0 && v <= 9_007_199_254_740_992.0 {
            self.visit_u64(v as u64)
        } else if v.fract() == 0.0 && v > 0.0 {
            Err(E::custom(format!(
                "got {v:e}, allowed: a whole number up to {}, from 2^53 on written out",
                self.limit
            )))
        } else {
            Err(E::custom(format!(
                "got {v}, allowed: a whole number, not negative"
            )))
        }
    }
}

/// Deserialises a count: an integer, or a float with an integer value such as `1e8`.
pub(crate) fn count<'de, D: Deserializer<'de>>(d: D) -> std::result::Result<u64, D::Error> {
    d.deserialize_any(CountVisitor { limit: COUNT_LIMIT })
}

fn seed<'de, D: Deserializer<'de>>(d: D) -> std::result::Result<u64, D::Error> {
    // TOML integers are signed 64-bit.
    d.deserialize_any(CountVisitor {
        limit: i64::MAX as u64,
    })
}

#[derive(Deserialize)]
struct CountValue(#[serde(deserialize_with = "count")] u64);

#[derive(Deserialize)]
struct SeedValue(#[serde(deserialize_with = "seed")] u64);

pub(super) fn optional_count<'de, D: Deserializer<'de>>(
    d: D,
) -> std::result::Result<Option<u64>, D::Error> {
    Ok(Option::<CountValue>::deserialize(d)?.map(|v| v.0))
}

pub(super) fn optional_seed<'de, D: Deserializer<'de>>(
    d: D,
) -> std::result::Result<Option<u64>, D::Error> {
    Ok(Option::<SeedValue>::deserialize(d)?.map(|v| v.0))
}

/// A number or a list, without the errors of serde's untagged enums, which say nothing.
struct OneOrList<T>(std::marker::PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrList<T> {
    type Value = (Option<u64>, Vec<T>);
    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a whole number or a list")
    }
    fn visit_u64<E: de::Error>(self, v: u64) -> std::result::Result<Self::Value, E> {
        Ok((
            Some(CountVisitor { limit: COUNT_LIMIT }.visit_u64(v)?),
            Vec::new(),
        ))
    }
    fn visit_i64<E: de::Error>(self, v: i64) -> std::result::Result<Self::Value, E> {
        Ok((
            Some(CountVisitor { limit: COUNT_LIMIT }.visit_i64(v)?),
            Vec::new(),
        ))
    }
    fn visit_f64<E: de::Error>(self, v: f64) -> std::result::Result<Self::Value, E> {
        Ok((
            Some(CountVisitor { limit: COUNT_LIMIT }.visit_f64(v)?),
            Vec::new(),
        ))
    }
    fn visit_seq<A: de::SeqAccess<'de>>(
        self,
        mut seq: A,
    ) -> std::result::Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = seq.next_element()? {
            list.push(item);
        }
        Ok((None, list))
    }
}

impl<'de> Deserialize<'de> for Relations {
    fn deserialize<D: Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        let (one, list) = d.deserialize_any(OneOrList::<RelationSpec>(std::marker::PhantomData))?;
        Ok(match one {
            Some(n) => Relations::Count(n),
            None => Relations::List(list),
        })
    }
}

impl<'de> Deserialize<'de> for Objects {
    fn deserialize<D: Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        let (one, list) = d.deserialize_any(OneOrList::<CountValue>(std::marker::PhantomData))?;
        Ok(match one {
            Some(n) => Objects::Same(n),
            None => Objects::Each(list.into_iter().map(|v| v.0).collect()),
        })
    }
}

/// Template weights as a map from name to weight, kept in the order of writing.
pub(super) mod weights {
    use super::{Visitor, Weight, de};
    use serde::ser::SerializeMap;
    use serde::{Deserializer, Serializer};

    pub fn serialize<S: Serializer>(weights: &[Weight], s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(Some(weights.len()))?;
        for weight in weights {
            map.serialize_entry(&weight.name, &weight.weight)?;
        }
        map.end()
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Weight>, D::Error> {
        struct MapVisitor;
        impl<'de> Visitor<'de> for MapVisitor {
            type Value = Vec<Weight>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a table of template names and weights")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Vec<Weight>, A::Error> {
                let mut weights = Vec::new();
                while let Some((name, weight)) = map.next_entry::<String, f64>()? {
                    if weights.iter().any(|w: &Weight| w.name == name) {
                        return Err(de::Error::custom(format!(
                            "got '{name}' twice, allowed: each template once"
                        )));
                    }
                    weights.push(Weight { name, weight });
                }
                // By name, so that two ways of writing one grammar give the same bytes.
                weights.sort_by(|a, b| a.name.cmp(&b.name));
                Ok(weights)
            }
        }
        d.deserialize_map(MapVisitor)
    }
}

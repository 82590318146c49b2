//! The form in which values are written: with the keys of tables in order, and without defaults.
//!
//! Another crate of the same program may enable the feature `preserve_order` of `toml` or
//! `serde_json`, which keeps keys as they were written. Digests and files must not depend on it.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

/// Serializes a value with the keys of its tables in order.
pub(crate) struct Sorted<'a, T>(pub(crate) &'a T);

/// Implements [`Serialize`] for the values of a parser, given its lists and tables.
macro_rules! sorted {
    ($Value:ty: $List:path, $Table:path) => {
        impl Serialize for Sorted<'_, $Value> {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                match self.0 {
                    $List(list) => s.collect_seq(list.iter().map(Sorted)),
                    $Table(table) => {
                        let fields = table.iter().map(|(key, value)| (key, Sorted(value)));
                        s.collect_map(fields.collect::<BTreeMap<_, _>>())
                    }
                    plain => plain.serialize(s),
                }
            }
        }
    };
}

sorted!(toml::Value: toml::Value::Array, toml::Value::Table);
sorted!(serde_json::Value: serde_json::Value::Array, serde_json::Value::Object);

/// For `serialize_with`: see [`Sorted`].
pub(crate) fn sorted<S: Serializer>(
    value: &serde_json::Value,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    Sorted(value).serialize(serializer)
}

/// For `skip_serializing_if`, which passes a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
pub(crate) fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_order_at_every_depth() {
        let sorted = r#"[1,{"a":{"a":0.5,"c":null},"b":[{"x":"y","z":-1}]}]"#;
        let json = r#"[1, {"b": [{"z": -1, "x": "y"}], "a": {"c": null, "a": 0.5}}]"#;
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&Sorted(&json)).unwrap(), sorted);
        let toml = "b = [{z = -1, x = 1990-01-01}]\na = {c = true, a = 2.0}";
        let toml: toml::Value = toml::from_str(toml).unwrap();
        assert_eq!(
            serde_json::to_string(&Sorted(&toml)).unwrap(),
            r#"{"a":{"a":2.0,"c":true},"b":[{"x":{"$__toml_private_datetime":"1990-01-01"},"z":-1}]}"#
        );
    }
}

//! The form in which values are written: with the keys of tables in order, and without defaults.
//!
//! Another crate of the same program may enable the feature `preserve_order` of `toml` or
//! `serde_json`, which keeps keys as they were written. Digests and files must not depend on it, nor
//! on how the version of `serde_json` in the program writes floats: 1e16 was `1e16` in some and is
//! `1e+16` in others.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::{Serialize, Serializer};
use serde_json::ser::Formatter;

/// Returns a value as JSON, the text of which identifies it.
pub(crate) fn to_json(value: &impl Serialize) -> String {
    let mut json = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut json, Floats);
    value.serialize(&mut serializer).expect("plain data");
    String::from_utf8(json).expect("JSON is text")
}

/// Compact JSON with the shortest digits of floats, which have an exponent outside 1e-5 to 1e16.
struct Floats;

impl Formatter for Floats {
    fn write_f64<W: ?Sized + Write>(&mut self, out: &mut W, value: f64) -> io::Result<()> {
        if value != 0.0 && !(1e-5..1e16).contains(&value.abs()) {
            let text = format!("{value:e}");
            let sign = if text.contains("e-") { "e" } else { "e+" };
            return out.write_all(text.replace('e', sign).as_bytes());
        }
        let point = if value.fract() == 0.0 { ".0" } else { "" };
        write!(out, "{value}{point}")
    }
}

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

    /// Hashes of specs and digests of grammars are made of these texts.
    #[test]
    fn floats_are_written_as_in_every_version() {
        let texts = "0.0 -0.0 1.0 -2.5 0.1 0.00001 0.000015 9.9e-6 1e-7 -1.25e-7 5e-324 123456.75 \
                     1000000000000000.0 9007199254740992.0 1e+16 -1.5e+16 1e+100 \
                     1.7976931348623157e+308";
        for text in texts.split_whitespace() {
            let value: f64 = text.parse().unwrap();
            assert_eq!(to_json(&value), text);
            assert_eq!(
                to_json(&Sorted(&serde_json::json!([value]))),
                format!("[{text}]")
            );
        }
        assert_eq!(
            to_json(&(f64::NAN, "ö\n", None::<u8>)),
            r#"[null,"ö\n",null]"#
        );
    }

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

//! User input as a tree of values, read field by field.
//!
//! TOML and JSON are parsed to the same [`Value`]. A type reads itself from the [`Fields`] of a
//! table; invalid input is returned as an [`Error`] with the path of keys, the value got and the
//! allowed values. Serde's errors are text that would have to be parsed again, and have no path
//! within tagged enums; serde therefore only writes specs and does not read them.

// Handles user input: no indexing that can panic.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

use std::collections::BTreeMap;
use std::fmt;

use crate::error::{Error, Result};
use crate::numbers::{COUNT_LIMIT, SEED_LIMIT, up_to, whole};

use written::one_line;
pub(crate) use written::{each_pair, parse_toml};

mod written;

/// A value of TOML or JSON.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Boolean(bool),
    Whole(u64),
    Negative(i64),
    Float(f64),
    Text(String),
    List(Vec<Value>),
    Table(BTreeMap<String, Value>),
}

impl From<serde_json::Value> for Value {
    fn from(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(value) => Value::Boolean(value),
            serde_json::Value::Number(value) => match (value.as_u64(), value.as_i64()) {
                (Some(value), _) => Value::Whole(value),
                (None, Some(value)) => Value::Negative(value),
                (None, None) => Value::Float(value.as_f64().unwrap_or(f64::NAN)),
            },
            serde_json::Value::String(value) => Value::Text(value),
            serde_json::Value::Array(list) => {
                Value::List(list.into_iter().map(Value::from).collect())
            }
            serde_json::Value::Object(map) => {
                Value::Table(map.into_iter().map(|(k, v)| (k, v.into())).collect())
            }
        }
    }
}

impl From<toml::Value> for Value {
    fn from(value: toml::Value) -> Self {
        match value {
            toml::Value::Boolean(value) => Value::Boolean(value),
            toml::Value::Integer(value) => match u64::try_from(value) {
                Ok(value) => Value::Whole(value),
                Err(_) => Value::Negative(value),
            },
            toml::Value::Float(value) => Value::Float(value),
            toml::Value::String(value) => Value::Text(value),
            toml::Value::Datetime(value) => Value::Text(value.to_string()),
            toml::Value::Array(list) => Value::List(list.into_iter().map(Value::from).collect()),
            toml::Value::Table(map) => {
                Value::Table(map.into_iter().map(|(k, v)| (k, v.into())).collect())
            }
        }
    }
}

/// Writes the value as TOML writes it; long values are truncated.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Boolean(value) => write!(f, "{value}"),
            Value::Whole(value) => write!(f, "{value}"),
            Value::Negative(value) => write!(f, "{value}"),
            Value::Float(value) => write!(f, "{value:?}"),
            Value::Text(value) if value.chars().nth(SHOWN).is_some() => {
                let start: String = value.chars().take(SHOWN).collect();
                write!(f, "{start:?}...")
            }
            Value::Text(value) => write!(f, "{value:?}"),
            Value::List(list) => {
                let items = list.iter().map(ToString::to_string);
                write!(f, "[{}]", shortened(items))
            }
            Value::Table(table) if table.is_empty() => f.write_str("{}"),
            Value::Table(table) => {
                let items = table.iter().map(|(key, value)| format!("{key} = {value}"));
                write!(f, "{{ {} }}", shortened(items))
            }
        }
    }
}

/// Maximum number of characters of a value in an error.
const SHOWN: usize = 40;

/// Joins items with commas, up to [`SHOWN`] characters.
fn shortened(items: impl Iterator<Item = String>) -> String {
    let mut text = String::new();
    for item in items {
        if !text.is_empty() {
            text.push_str(", ");
        }
        if text.chars().count() + item.chars().count() > SHOWN {
            text.push_str("...");
            break;
        }
        text.push_str(&item);
    }
    text
}

impl Value {
    /// Parses JSON; text after the value is refused.
    pub(crate) fn from_json(root: &str, text: &str) -> Result<Value> {
        let value: serde_json::Value = serde_json::from_str(text)
            .map_err(|e| Error::argument(root, one_line(&e.to_string()), "valid JSON"))?;
        Ok(value.into())
    }

    /// Parses TOML.
    pub(crate) fn from_toml(root: &str, text: &str) -> Result<Value> {
        parse_toml(root, text).map(Value::from)
    }

    /// Reads a whole number up to a limit; a float with a whole value, such as `1e8`, is accepted.
    fn whole_up_to(&self, limit: u64, wanted: &str) -> Result<u64> {
        match *self {
            Value::Whole(value) if value <= limit => Ok(value),
            Value::Whole(value) => Err(Error::value(value, up_to(limit, true))),
            Value::Negative(value) => Err(Error::value(value, "a whole number, not negative")),
            Value::Float(value) => match whole(value) {
                Some(value) => Value::Whole(value).whole_up_to(limit, wanted),
                None if value.fract() == 0.0 && value > 0.0 => {
                    Err(Error::value(format!("{value:e}"), up_to(limit, false)))
                }
                None => Err(Error::value(value, "a whole number, not negative")),
            },
            _ => Err(Error::value(self, wanted)),
        }
    }

    /// Reads a count: a whole number, or a float with a whole value.
    pub(crate) fn count(&self) -> Result<u64> {
        self.whole_up_to(COUNT_LIMIT, "a whole number")
    }

    /// Reads a seed, which must fit the signed 64-bit integers of TOML.
    pub(crate) fn seed(&self) -> Result<u64> {
        self.whole_up_to(SEED_LIMIT, "a whole number")
    }

    /// Reads a 32-bit id.
    pub(crate) fn id32(&self) -> Result<u32> {
        let id = self.whole_up_to(u32::MAX.into(), "a whole number")?;
        Ok(id as u32)
    }

    /// Reads a 64-bit id up to [`COUNT_LIMIT`], which TOML can write again.
    pub(crate) fn id64(&self) -> Result<u64> {
        self.count()
    }

    /// Reads any number.
    pub(crate) fn number(&self) -> Result<f64> {
        match *self {
            Value::Whole(value) => Ok(value as f64),
            Value::Negative(value) => Ok(value as f64),
            Value::Float(value) => Ok(value),
            _ => Err(Error::value(self, "a number")),
        }
    }

    /// Reads a boolean.
    pub(crate) fn boolean(&self) -> Result<bool> {
        match self {
            Value::Boolean(value) => Ok(*value),
            _ => Err(Error::value(self, "true or false")),
        }
    }

    /// Reads a string.
    pub(crate) fn text(&self) -> Result<&str> {
        match self {
            Value::Text(value) => Ok(value),
            _ => Err(Error::value(self, "a string")),
        }
    }

    /// Reads one of the given names and returns its value.
    pub(crate) fn name<T: Copy>(&self, names: &[(&'static str, T)]) -> Result<T> {
        let allowed = || quoted(names.iter().map(|&(name, _)| name));
        let Value::Text(written) = self else {
            return Err(Error::value(self, allowed()));
        };
        match names.iter().find(|(name, _)| name == written) {
            Some(&(_, found)) => Ok(found),
            None => Err(Error::value(format!("`{written}`"), allowed())
                .near(written, names.iter().map(|&(name, _)| name))),
        }
    }

    /// Reads a list, each item with `item`.
    pub(crate) fn list<T>(
        &self,
        wanted: &str,
        item: impl Fn(&Value) -> Result<T>,
    ) -> Result<Vec<T>> {
        let Value::List(list) = self else {
            return Err(Error::value(self, wanted));
        };
        list.iter()
            .enumerate()
            .map(|(at, value)| item(value).map_err(|e| e.within(at)))
            .collect()
    }

    /// Returns the fields of a table whose field names are chosen by the user.
    pub(crate) fn fields(&self, wanted: &str) -> Result<Fields<'_>> {
        match self {
            Value::Table(table) => Ok(Fields { table }),
            _ => Err(Error::value(self, wanted)),
        }
    }

    /// Returns the fields of a table; a field that is not in `names` is refused.
    pub(crate) fn table(&self, names: &[&'static str]) -> Result<Fields<'_>> {
        let wanted = || {
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            format!("a table of {}", names.join(", "))
        };
        let Value::Table(table) = self else {
            return Err(Error::value(self, wanted()));
        };
        Fields::known(table.keys(), names)?;
        Ok(Fields { table })
    }

    /// Returns the fields of a table and its kind, read from the field `kind`.
    pub(crate) fn kind<T: Copy>(&self, kinds: &[(&'static str, T)]) -> Result<(Fields<'_>, T)> {
        let wanted = || quoted(kinds.iter().map(|&(name, _)| name));
        let Value::Table(table) = self else {
            let wanted = format!("a table with a `{KIND}`: {}", wanted());
            return Err(Error::value(self, wanted));
        };
        match table.get(KIND) {
            None => Err(Error::argument(KIND, "nothing", wanted())),
            Some(value) => {
                let kind = value.name(kinds).map_err(|e| e.within(KIND))?;
                Ok((Fields { table }, kind))
            }
        }
    }
}

/// The fields of a table, read one by one.
pub(crate) struct Fields<'a> {
    table: &'a BTreeMap<String, Value>,
}

impl<'a> Fields<'a> {
    /// Refuses the first field that is not in `names` or [`KIND`]. Call it before reading the
    /// fields: for `{alfa = 1}` the error should name `alfa`, not a missing `alpha`.
    pub(crate) fn of_kind(&self, names: &[&'static str]) -> Result<()> {
        let written = self.table.keys().filter(|written| *written != KIND);
        Self::known(written, names)
    }

    fn known(written: impl Iterator<Item = &'a String>, names: &[&'static str]) -> Result<()> {
        for written in written {
            if names.contains(&written.as_str()) {
                continue;
            }
            let allowed = quoted(names.iter().copied());
            let error = Error::argument(written.as_str(), format!("`{written}`"), allowed);
            return Err(error.near(written, names.iter().copied()));
        }
        Ok(())
    }

    /// Reads a field that may be absent.
    pub(crate) fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'a Value) -> Result<T>,
    ) -> Result<Option<T>> {
        match self.table.get(name) {
            None => Ok(None),
            Some(value) => read(value).map(Some).map_err(|e| e.within(name)),
        }
    }

    /// Reads a field that may be absent or `null`.
    pub(crate) fn nullable<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'a Value) -> Result<T>,
    ) -> Result<Option<T>> {
        let read = |value: &'a Value| match value {
            Value::Null => Ok(None),
            value => read(value).map(Some),
        };
        self.optional(name, read).map(Option::flatten)
    }

    /// Reads a required field.
    pub(crate) fn required<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'a Value) -> Result<T>,
    ) -> Result<T> {
        self.optional(name, read)?
            .ok_or_else(|| Error::value(format!("no `{name}`"), "a value for it"))
    }

    /// Returns all fields in the order of their names, if these are chosen by the user.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&'a str, &'a Value)> + use<'a> {
        self.table
            .iter()
            .map(|(name, value)| (name.as_str(), value))
    }
}

/// The field with the kind of a table.
const KIND: &str = "kind";

/// Lists names in backquotes: "`a`", "`a` or `b`", "`a`, `b`, `c`".
fn quoted(names: impl Iterator<Item = &'static str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    match names.len() {
        0 => "no field".to_string(),
        2 => names.join(" or "),
        _ => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_as_they_were_written_and_cut_short() {
        for (written, shown) in [
            ("x = 3", "3"),
            ("x = -3", "-3"),
            ("x = 0.5", "0.5"),
            ("x = 2.0", "2.0"),
            ("x = true", "true"),
            ("x = \"many\"", "\"many\""),
            ("x = [1, \"a\", [2]]", "[1, \"a\", [2]]"),
            ("x = []", "[]"),
            ("x = {}", "{}"),
            ("x = {b = 1, a = {c = []}}", "{ a = { c = [] }, b = 1 }"),
            (
                "x = [10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110]",
                "[10, 20, 30, 40, 50, 60, 70, 80, 90, 100, ...]",
            ),
        ] {
            let Value::Table(table) = Value::from_toml("spec", written).unwrap() else {
                panic!("{written}")
            };
            assert_eq!(table["x"].to_string(), shown);
        }
        let long = Value::Text("ü".repeat(50));
        assert_eq!(long.to_string(), format!("\"{}\"...", "ü".repeat(40)));
        let lists = Value::List(vec![Value::List(vec![long; 9]); 9]);
        assert!(lists.to_string().chars().count() < 100, "{lists}");
    }
}

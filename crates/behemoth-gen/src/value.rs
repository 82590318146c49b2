//! What people write, as a tree of values, and reading it field by field.
//!
//! TOML and JSON text become the same [`Value`]. A type reads itself from the [`Fields`] of a
//! table; what is wrong comes back as an [`Error`] with the path of keys, the value got and what
//! is allowed. Serde's own errors are text, which would have to be taken apart again, and know no
//! path within tagged enums; so it only writes specs, and does not read them.

// Reads what users wrote: nothing here may be out of bounds.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

use std::collections::BTreeMap;
use std::fmt;

use crate::error::{Error, Result};
use crate::numbers::{COUNT_LIMIT, whole};

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

/// What was got, in the words of a refusal.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Boolean(value) => write!(f, "boolean `{value}`"),
            Value::Whole(value) => write!(f, "integer `{value}`"),
            Value::Negative(value) => write!(f, "integer `{value}`"),
            Value::Float(value) => write!(f, "floating point `{value:?}`"),
            Value::Text(value) => write!(f, "string {value:?}"),
            Value::List(list) if list.len() == 1 => f.write_str("a list of 1 value"),
            Value::List(list) => write!(f, "a list of {} values", list.len()),
            Value::Table(_) => f.write_str("a table"),
        }
    }
}

impl Value {
    /// JSON text: the whole text, and nothing after it.
    pub(crate) fn from_json(root: &str, text: &str) -> Result<Value> {
        match serde_json::from_str::<serde_json::Value>(text) {
            Ok(value) => Ok(value.into()),
            Err(e) => Err(Error::argument(root, one_line(&e.to_string()), "JSON text")),
        }
    }

    /// TOML text.
    pub(crate) fn from_toml(root: &str, text: &str) -> Result<Value> {
        match toml::from_str::<toml::Value>(text) {
            Ok(value) => Ok(value.into()),
            Err(e) => Err(Error::argument(root, one_line(e.message()), "TOML text")),
        }
    }

    /// A whole number up to a limit; floats that are one count, as `1e8`.
    fn whole_up_to(&self, limit: u64, wanted: &str) -> Result<u64> {
        match *self {
            Value::Whole(value) if value <= limit => Ok(value),
            Value::Whole(value) => {
                Err(Error::value(value, format!("a whole number up to {limit}")))
            }
            Value::Negative(value) => Err(Error::value(value, "a whole number, not negative")),
            Value::Float(value) => match whole(value) {
                Some(value) => Value::Whole(value).whole_up_to(limit, wanted),
                None if value.fract() == 0.0 && value > 0.0 => Err(Error::value(
                    format!("{value:e}"),
                    format!("a whole number up to {limit}, from 2^53 on written out"),
                )),
                None => Err(Error::value(value, "a whole number, not negative")),
            },
            _ => Err(Error::value(self, wanted)),
        }
    }

    /// A count: a whole number, or a float that is one.
    pub(crate) fn count(&self) -> Result<u64> {
        self.whole_up_to(COUNT_LIMIT, "a whole number")
    }

    /// A seed; TOML integers are signed 64-bit.
    pub(crate) fn seed(&self) -> Result<u64> {
        self.whole_up_to(i64::MAX as u64, "a whole number")
    }

    /// A whole number that is written as one, below 2^32 or 2^64.
    fn integer<T: TryFrom<u64>>(&self) -> Result<T> {
        let refuse = || Error::value(self, "a whole number, not negative");
        match self {
            Value::Whole(value) => T::try_from(*value).map_err(|_| refuse()),
            _ => Err(refuse()),
        }
    }

    /// An id of 32 bits.
    pub(crate) fn id32(&self) -> Result<u32> {
        self.integer()
    }

    /// An id of 64 bits.
    pub(crate) fn id64(&self) -> Result<u64> {
        self.integer()
    }

    /// Any number.
    pub(crate) fn number(&self) -> Result<f64> {
        match *self {
            Value::Whole(value) => Ok(value as f64),
            Value::Negative(value) => Ok(value as f64),
            Value::Float(value) => Ok(value),
            _ => Err(Error::value(self, "a number")),
        }
    }

    /// True or false.
    pub(crate) fn boolean(&self) -> Result<bool> {
        match self {
            Value::Boolean(value) => Ok(*value),
            _ => Err(Error::value(self, "true or false")),
        }
    }

    /// Text.
    pub(crate) fn text(&self) -> Result<&str> {
        match self {
            Value::Text(value) => Ok(value),
            _ => Err(Error::value(self, "a string")),
        }
    }

    /// One of the names of a table of names.
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

    /// The items of a list, each read by `item`.
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

    /// The fields of a table.
    pub(crate) fn fields(&self) -> Result<Fields<'_>> {
        match self {
            Value::Table(table) => Ok(Fields {
                table,
                is_tagged: false,
            }),
            Value::List(list) => Err(Error::value(
                format!("{} values", list.len()),
                "a table of fields",
            )),
            _ => Err(Error::value(self, "a table of fields")),
        }
    }
}

/// The fields of a table, to be read one by one.
pub(crate) struct Fields<'a> {
    table: &'a BTreeMap<String, Value>,
    /// Whether the kind was read already: then it is no field of what is read next.
    is_tagged: bool,
}

impl<'a> Fields<'a> {
    /// The kind of thing that the table is, by its field `kind`.
    pub(crate) fn kind<T: Copy>(&mut self, kinds: &[(&'static str, T)]) -> Result<T> {
        self.is_tagged = true;
        self.required(KIND, |value| value.name(kinds))
    }

    /// Refuses the first field that is none of these. It comes before the fields are read: of
    /// `{alfa = 1}` the user wants to hear about `alfa`, and not that there is no `alpha`.
    pub(crate) fn known(&mut self, names: &[&'static str]) -> Result<()> {
        for written in self.table.keys() {
            if names.contains(&written.as_str()) || (self.is_tagged && written == KIND) {
                continue;
            }
            let allowed = quoted(names.iter().copied());
            let error = Error::argument(written.as_str(), format!("`{written}`"), allowed);
            return Err(error.near(written, names.iter().copied()));
        }
        Ok(())
    }

    /// A field that may be left out.
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

    /// A field that may be left out or be `null`.
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

    /// A field that must be there.
    pub(crate) fn required<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'a Value) -> Result<T>,
    ) -> Result<T> {
        self.optional(name, read)?
            .ok_or_else(|| Error::value(format!("no `{name}`"), "a value for it"))
    }

    /// All fields with their names, in the order of these: where users choose the names.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&'a str, &'a Value)> + use<'a> {
        self.table
            .iter()
            .map(|(name, value)| (name.as_str(), value))
    }
}

/// The field that says of which kind a table is.
const KIND: &str = "kind";

/// Names in quotes: "`a`", "`a` or `b`", "`a`, `b`, `c`".
fn quoted(names: impl Iterator<Item = &'static str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    match names.len() {
        0 => "no field".to_string(),
        2 => names.join(" or "),
        _ => names.join(", "),
    }
}

fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

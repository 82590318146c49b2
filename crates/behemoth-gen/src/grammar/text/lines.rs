//! Line numbers of the values of a TOML file, for errors.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::{Error, PathKey};

/// The lines of the values of a TOML file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LineNumbers {
    file: String,
    /// Paths of keys with their offsets in bytes, in the order of the text.
    places: Vec<(Vec<PathKey>, usize)>,
    /// Offset of the end of each line, in bytes.
    ends: Vec<usize>,
}

impl LineNumbers {
    /// Finds the lines of the values of valid TOML; `file` is its name in errors.
    pub(super) fn new(file: &str, text: &str) -> LineNumbers {
        let mut places = Vec::new();
        if let Ok(table) = DeTable::parse(text) {
            walk_table(&mut Vec::new(), table.get_ref(), &mut places);
        }
        places.sort_by_key(|&(_, at)| at);
        let ends = text.match_indices('\n').map(|(at, _)| at).collect();
        LineNumbers {
            file: file.to_string(),
            places,
            ends,
        }
    }

    /// Returns the names in a table, in the order of the text.
    pub(super) fn names_in(&self, table: &str) -> Vec<&str> {
        self.places
            .iter()
            .filter_map(|(path, _)| match &path[..] {
                [PathKey::Name(outer), PathKey::Name(inner)] if outer == table => {
                    Some(inner.as_str())
                }
                _ => None,
            })
            .collect()
    }

    /// Removes the words of lists, which are by far the most.
    pub(super) fn of_sentences(mut self) -> LineNumbers {
        self.places
            .retain(|(path, _)| path.first() != Some(&PathKey::from("lists")));
        self
    }

    /// Adds file and line to the path of an error.
    pub(super) fn place(&self, mut error: Error) -> Error {
        if let Error::Argument { path, .. } = &mut error {
            let known = |length: usize| {
                let place = self.places.iter().find(|(p, _)| p[..] == path[..length]);
                place.map(|&(_, at)| 1 + self.ends.partition_point(|&end| end < at))
            };
            let line = (1..=path.len()).rev().find_map(known);
            // A missing key at the top level is reported at the first line.
            let place = format!("{}, line {}", self.file, line.unwrap_or(1));
            match path.first_mut() {
                Some(PathKey::Name(name)) => *name = format!("{place}: {name}"),
                _ => path.insert(0, PathKey::Name(place)),
            }
        }
        error
    }
}

fn walk_table(
    path: &mut Vec<PathKey>,
    table: &DeTable<'_>,
    found: &mut Vec<(Vec<PathKey>, usize)>,
) {
    for (key, value) in table {
        path.push(PathKey::Name(key.get_ref().to_string()));
        found.push((path.clone(), key.span().start));
        walk(path, value, found);
        path.pop();
    }
}

fn walk(
    path: &mut Vec<PathKey>,
    value: &Spanned<DeValue<'_>>,
    found: &mut Vec<(Vec<PathKey>, usize)>,
) {
    match value.get_ref() {
        DeValue::Table(table) => walk_table(path, table, found),
        DeValue::Array(list) => {
            for (at, item) in list.iter().enumerate() {
                path.push(PathKey::Index(at));
                found.push((path.clone(), item.span().start));
                walk(path, item, found);
                path.pop();
            }
        }
        _ => {}
    }
}

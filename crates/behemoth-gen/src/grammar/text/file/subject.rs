//! Reading subjects: their names and classes.

// Handles user input: no indexing that can panic.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

use std::collections::BTreeMap;

use super::lists::{NAMES, is_key};
use super::patterns::{once, read_pattern, read_plain, read_product};
use super::{Class, Form, Subject, TextGrammar};
use crate::error::{Error, Result};
use crate::grammar::text::pattern::Pattern;
use crate::value::Value;

impl Subject {
    pub(super) fn read(value: &Value, grammar: &TextGrammar) -> Result<Subject> {
        let mut fields = value.table(&["name", "possessive", "classes"])?;
        let name = fields.required("name", |value| read_product(value, grammar))?;
        let possessive = fields.optional("possessive", |value| {
            let possessive = read_pattern(value, &["name"])?;
            once(&possessive, "name")?;
            Ok(possessive)
        })?;
        let possessive = match possessive {
            Some(possessive) => possessive,
            None => Pattern::parse("{name}'s")?,
        };
        let classes = fields.optional("classes", |value| {
            let classes = value.fields("a table of classes")?;
            let classes: Result<Vec<Class>> = classes
                .all()
                .map(|(key, value)| {
                    Class::read(key, value, Some((grammar, &name))).map_err(|e| e.within(key))
                })
                .collect();
            check_classes(classes?)
        })?;
        Ok(Subject {
            name,
            possessive,
            classes: classes.unwrap_or_else(|| vec![Class::of_things()]),
        })
    }

    /// Returns the holes that every class has a form for.
    pub(super) fn form_names(&self) -> Vec<&str> {
        let first = self.classes.first();
        first
            .into_iter()
            .flat_map(|class| class.forms.keys().map(String::as_str))
            .collect()
    }
}

/// Maximum number of classes of a grammar.
const CLASS_LIMIT: usize = 16;

fn check_classes(classes: Vec<Class>) -> Result<Vec<Class>> {
    if !(1..=CLASS_LIMIT).contains(&classes.len()) {
        let allowed = format!("1 to {CLASS_LIMIT} classes");
        return Err(Error::value(classes.len(), allowed));
    }
    let weights: f64 = classes.iter().map(|class| class.weight).sum();
    if !weights.is_finite() {
        return Err(Error::value(
            "weights that add up to infinity",
            "weights of classes whose sum is finite",
        ));
    }
    if weights <= 0.0 {
        return Err(Error::value(
            "weights that add up to 0",
            "at least one class with a weight above 0",
        ));
    }
    if let Some((first, others)) = classes.split_first() {
        for class in others {
            let one_has = |a: &Class, b: &Class| {
                let missing = a.forms.keys().find(|name| !b.forms.contains_key(*name));
                missing.cloned()
            };
            if let Some(name) = one_has(first, class) {
                let got = format!("no `{name}`");
                let allowed = forms_of(first);
                return Err(Error::argument(class.key.clone(), got, allowed));
            }
            if let Some(name) = one_has(class, first) {
                let got = format!("no `{name}`");
                let allowed = forms_of(class);
                return Err(Error::argument(first.key.clone(), got, allowed));
            }
        }
    }
    Ok(classes)
}

/// Describes the forms of a class, which every other class must also have.
fn forms_of(class: &Class) -> String {
    let names: Vec<&str> = class.forms.keys().map(String::as_str).collect();
    let (key, names) = (&class.key, names.join(", "));
    format!("the forms that class {key} has: {names}")
}

impl Class {
    /// Returns the class of a grammar that defines no classes.
    fn of_things() -> Class {
        let form = |text: &str| Form {
            after_name: text.to_string(),
            after_pronoun: text.to_string(),
        };
        Class {
            key: "it".to_string(),
            weight: 1.0,
            forms: BTreeMap::from([
                ("pronoun".to_string(), form("it")),
                ("possessive".to_string(), form("its")),
            ]),
            lists: BTreeMap::new(),
        }
    }

    pub(super) fn read(
        key: &str,
        value: &Value,
        names: Option<(&TextGrammar, &Pattern)>,
    ) -> Result<Class> {
        let mut fields = value.fields("a table of forms")?;
        let (own, others) = match names {
            Some(_) => (["weight", "lists"], ["statements", "questions"]),
            None => (["statements", "questions"], ["weight", "lists"]),
        };
        let weight = match own.contains(&"weight") {
            true => fields.optional("weight", Value::number)?.unwrap_or(1.0),
            false => 1.0,
        };
        if !(weight.is_finite() && weight >= 0.0) {
            return Err(Error::argument("weight", weight, "a weight of at least 0"));
        }
        let lists = fields.optional("lists", |value| read_other_lists(value, names))?;
        for form in ["pronoun", "possessive"] {
            fields.required(form, |_| Ok(()))?;
        }
        let mut forms = BTreeMap::new();
        for (name, value) in fields.all() {
            if own.contains(&name) {
                continue;
            }
            if RESERVED.contains(&name) || others.contains(&name) || !is_key(name) {
                let none = [&RESERVED[..], &others].concat().join(", ");
                let allowed = format!("{NAMES}, and none of {none}");
                return Err(Error::argument(name, format!("`{name}`"), allowed));
            }
            let form = Form::read(value).map_err(|e| e.within(name))?;
            forms.insert(name.to_string(), form);
        }
        Ok(Class {
            key: key.to_string(),
            weight,
            forms,
            lists: lists.unwrap_or_default(),
        })
    }
}

/// Holes with a fixed meaning, which are not allowed as names of forms.
pub(super) const RESERVED: [&str; 7] = [
    "subject", "object", "relation", "new", "name", "question", "answer",
];

fn read_other_lists(
    value: &Value,
    names: Option<(&TextGrammar, &Pattern)>,
) -> Result<BTreeMap<String, String>> {
    let Some((grammar, name)) = names else {
        return Err(Error::value(
            "a table",
            "no `lists` in a link, whose subjects are objects",
        ));
    };
    value
        .fields("a table of lists")?
        .all()
        .map(|(list, value)| {
            let other = value.text().map_err(|e| e.within(list))?;
            let (Some((_, own)), true) = (grammar.list(list), name.count(list) > 0) else {
                let lists: Vec<&str> = name.holes().map(|hole| hole.name.as_str()).collect();
                let allowed = format!("a list of the name: {}", lists.join(", "));
                return Err(Error::argument(list, format!("`{list}`"), allowed));
            };
            let Some((_, found)) = grammar.list(other) else {
                let lists = || grammar.lists.iter().map(|list| list.name.as_str());
                let allowed = format!("the lists {}", lists().collect::<Vec<_>>().join(", "));
                let error = Error::argument(list, format!("`{other}`"), allowed);
                return Err(error.near(other, lists()));
            };
            if found.words.len() != own.words.len() {
                return Err(Error::argument(
                    list,
                    format!("`{other}`, a list of {} words", found.words.len()),
                    format!("a list of as many words as {list}: {}", own.words.len()),
                ));
            }
            Ok((list.to_string(), other.to_string()))
        })
        .collect()
}

impl Form {
    pub(super) fn read(value: &Value) -> Result<Form> {
        if let Value::Table(_) = value {
            let mut fields = value.table(&["named", "pronoun"])?;
            return Ok(Form {
                after_name: fields.required("named", read_plain)?,
                after_pronoun: fields.required("pronoun", read_plain)?,
            });
        }
        let text = read_plain(value)?;
        Ok(Form {
            after_name: text.clone(),
            after_pronoun: text,
        })
    }
}

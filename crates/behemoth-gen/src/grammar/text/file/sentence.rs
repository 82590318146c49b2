//! Reading sentences and checking their holes.

// Handles user input: no indexing that can panic.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

use std::collections::HashMap;

use super::Sentence;
use super::patterns::{check_holes, once, parsed};
use crate::error::{Error, Result};
use crate::grammar::text::pattern::Pattern;
use crate::value::Value;

/// The role of a sentence, which decides the holes that it may have.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Role<'a> {
    /// A statement, with the pattern of the objects.
    Statement(&'a Pattern),
    Question,
    Edit,
    Joint(&'a [&'a str]),
}

pub(super) fn read_sentences(
    value: &Value,
    forms: &[&str],
    role: Role<'_>,
) -> Result<Vec<Sentence>> {
    let sentences = value.list("a list of sentences", |value| {
        read_sentence(value, forms, role)
    })?;
    let mut seen = HashMap::new();
    for (at, sentence) in sentences.iter().enumerate() {
        if let Some(first) = seen.insert(&sentence.text, at) {
            let allowed = format!("each sentence once, and sentence [{first}] is the same");
            return Err(Error::argument(at, "a repeated text", allowed));
        }
    }
    let written = sentences.iter().filter(|sentence| !sentence.held_out);
    let weights: f64 = written.map(|sentence| sentence.weight).sum();
    if !weights.is_finite() {
        return Err(Error::value(
            "weights that add up to infinity",
            "weights of sentences whose sum is finite",
        ));
    }
    let is_written = |sentence: &Sentence| !sentence.held_out && sentence.weight > 0.0;
    if matches!(role, Role::Statement(_) | Role::Joint(_)) && !sentences.iter().any(is_written) {
        return Err(Error::value(
            "no sentence that is written",
            "at least one that is not held out and has a weight above 0",
        ));
    }
    Ok(sentences)
}

fn read_sentence(value: &Value, forms: &[&str], role: Role<'_>) -> Result<Sentence> {
    let mut own: Vec<&str> = vec!["subject", "relation"];
    own.extend(forms);
    match role {
        Role::Statement(_) => own.push("object"),
        Role::Question => {}
        Role::Edit => own.extend(["object", "new"]),
        Role::Joint(keys) => own.extend(keys),
    }
    let text = |value: &Value| {
        let text = parsed(value.text()?)?;
        match role {
            Role::Question if text.count("object") > 0 => {
                let allowed = "a question without it: `answer` states the object";
                return Err(Error::value("`{object}`", allowed));
            }
            // A hole such as {city} probably means the object, which is built from the list of that
            // name.
            Role::Statement(objects) => {
                let known = |name: &str| own.contains(&name) || objects.count(name) == 0;
                if let Some(hole) = text.holes().find(|hole| !known(&hole.name)) {
                    let got = format!("`{}`, a list", hole.written());
                    return Err(Error::value(got, "`{object}`, which is made of the lists"));
                }
            }
            _ => {}
        }
        check_holes(&text, &own)?;
        match role {
            Role::Statement(_) => once(&text, "object")?,
            Role::Question => {}
            Role::Edit => once(&text, "new")?,
            Role::Joint(keys) => keys.iter().try_for_each(|key| once(&text, key))?,
        }
        let mentions = ["subject", "pronoun", "possessive"];
        if mentions.iter().all(|name| text.count(name) == 0) {
            let allowed = "at least one of {subject}, {pronoun} and {possessive}";
            return Err(Error::value("a sentence without its subject", allowed));
        }
        if text.count("relation") > 0 && matches!(role, Role::Joint(_)) {
            return Err(Error::value(
                "`{relation}`",
                "no `{relation}` in a joint statement",
            ));
        }
        Ok(text)
    };
    let Value::Table(_) = value else {
        return Ok(Sentence {
            text: text(value)?,
            weight: 1.0,
            held_out: false,
        });
    };
    let mut fields = value.table(&["text", "weight", "held_out"])?;
    let weight = fields.optional("weight", Value::number)?.unwrap_or(1.0);
    if !(weight.is_finite() && weight >= 0.0) {
        return Err(Error::argument("weight", weight, "a weight of at least 0"));
    }
    Ok(Sentence {
        text: fields.required("text", text)?,
        weight,
        held_out: fields
            .optional("held_out", Value::boolean)?
            .unwrap_or(false),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: Vec<String>) -> Result<Vec<Sentence>> {
        let texts = texts.into_iter().map(Value::Text).collect();
        read_sentences(&Value::List(texts), &[], Role::Question)
    }

    /// Each sentence with all before it would be five billion comparisons.
    #[test]
    fn many_sentences_are_compared_in_one_pass() {
        let mut texts: Vec<String> = (0..100_000)
            .map(|i| format!("What is {i} of {{subject}}?"))
            .collect();
        let start = std::time::Instant::now();
        assert_eq!(read(texts.clone()).unwrap().len(), 100_000);
        assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
        texts[70_000] = texts[12].clone();
        let error = read(texts).unwrap_err().to_string();
        assert!(
            error.contains("each sentence once, and sentence [12] is the same"),
            "{error}"
        );
    }
}

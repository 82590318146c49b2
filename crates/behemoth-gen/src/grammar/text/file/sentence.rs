//! Sentences, and the holes that they may have.

// Reads what users wrote: nothing here may be out of bounds.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

use super::Sentence;
use super::patterns::{once, read_pattern};
use crate::error::{Error, Result};
use crate::value::Value;

/// What a sentence is for: it decides the holes that it may have.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Role<'a> {
    Statement,
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
    for (at, sentence) in sentences.iter().enumerate() {
        let first = sentences
            .iter()
            .take(at)
            .position(|s| s.text == sentence.text);
        if let Some(first) = first {
            let allowed = format!("each sentence once: it is sentence {first} already");
            return Err(Error::argument(at, "the same text", allowed));
        }
    }
    if sentences.is_empty() && role == Role::Statement {
        return Err(Error::value("no sentence", "at least one"));
    }
    Ok(sentences)
}

fn read_sentence(value: &Value, forms: &[&str], role: Role<'_>) -> Result<Sentence> {
    let mut own: Vec<&str> = vec!["subject", "relation"];
    own.extend(forms);
    match role {
        Role::Statement => own.push("object"),
        Role::Question => {}
        Role::Edit => own.extend(["object", "new"]),
        Role::Joint(keys) => own.extend(keys),
    }
    let text = |value: &Value| {
        let text = read_pattern(value, &own)?;
        match role {
            Role::Statement => once(&text, "object")?,
            Role::Question => {}
            Role::Edit => once(&text, "new")?,
            Role::Joint(keys) => keys.iter().try_for_each(|key| once(&text, key))?,
        }
        let mentions = ["subject", "pronoun", "possessive"];
        if mentions.iter().all(|name| text.count(name) == 0) {
            let allowed =
                "a sentence that mentions its subject: {subject}, {pronoun} or {possessive}";
            return Err(Error::value("no subject", allowed));
        }
        if text.count("relation") > 0 && matches!(role, Role::Joint(_)) {
            return Err(Error::value("`{relation}`", "none in a joint statement"));
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
    let mut fields = value.fields()?;
    fields.known(&["text", "weight", "held_out"])?;
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

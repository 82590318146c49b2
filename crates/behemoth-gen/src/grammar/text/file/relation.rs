//! Reading relations: their objects and the sentences about them.

// Handles user input: no indexing that can panic.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

use std::collections::BTreeMap;

use super::lists::{NAMES, is_key};
use super::patterns::{once, read_pattern, read_plain, read_product};
use super::sentence::{Role, read_sentences};
use super::subject::RESERVED;
use super::{Class, JOINT_LIMIT, Joint, Kind, Link, Refusal, Relation, TextGrammar};
use crate::error::{Error, Result};
use crate::grammar::text::pattern::Pattern;
use crate::relation::check_objects;
use crate::value::{Fields, Value};

pub(super) fn read_relations(
    value: &Value,
    order: &[&str],
    grammar: &TextGrammar,
) -> Result<Vec<Relation>> {
    let fields = value.fields("a table of relations")?;
    let tables: BTreeMap<&str, &Value> = fields.all().collect();
    let mut relations: Vec<Relation> = Vec::new();
    for &key in order {
        let Some(value) = tables.get(key) else {
            continue;
        };
        let forms = grammar.subject.form_names();
        if !is_key(key) || RESERVED.contains(&key) || forms.contains(&key) {
            let allowed = format!("{NAMES}, and not that of another hole");
            return Err(Error::argument(key, format!("`{key}`"), allowed));
        }
        let relation = Relation::read(key, value, grammar, &relations);
        relations.push(relation.map_err(|e| e.within(key))?);
    }
    if relations.is_empty() {
        return Err(Error::value("no relation", "at least one relation"));
    }
    Ok(relations)
}

impl Relation {
    fn read(
        key: &str,
        value: &Value,
        grammar: &TextGrammar,
        earlier: &[Relation],
    ) -> Result<Relation> {
        let mut fields = value.table(&[
            "name",
            "kind",
            "of",
            "with",
            "strength",
            "alpha",
            "objects",
            "statements",
            "questions",
            "answer",
            "edits",
            "refusal",
            "link",
        ])?;
        let objects = fields.required("objects", |value| read_product(value, grammar))?;
        let count = grammar.count(&objects, None);
        check_objects("objects", count)?;
        let kind = Kind::read(&mut fields, earlier)?;
        let of_earlier = |at: usize| {
            earlier
                .get(at)
                .map_or(0, |r| grammar.count(&r.objects, None))
        };
        match kind {
            Kind::Composed { of } if !of_earlier(of).is_multiple_of(count) => {
                let allowed = format!(
                    "a number of objects that divides {}, the number of those of `of`",
                    of_earlier(of)
                );
                return Err(Error::argument("objects", count, allowed));
            }
            Kind::Correlated { with, .. } if of_earlier(with) != count => {
                let allowed = format!("{} objects, as many as `with` has", of_earlier(with));
                return Err(Error::argument("objects", count, allowed));
            }
            _ => {}
        }
        let forms = grammar.subject.form_names();
        let statements = fields.required("statements", |value| {
            read_sentences(value, &forms, Role::Statement(&objects))
        })?;
        let questions = fields.optional("questions", |value| {
            read_sentences(value, &forms, Role::Question)
        })?;
        let answer = fields.optional("answer", |value| {
            let holes: Vec<&str> = forms.iter().copied().chain(["subject", "object"]).collect();
            let answer = read_pattern(value, &holes)?;
            once(&answer, "object")?;
            Ok(answer)
        })?;
        let edits = fields.optional("edits", |value| read_sentences(value, &forms, Role::Edit))?;
        let link = fields.optional("link", |value| {
            if !matches!(kind, Kind::Composed { .. }) {
                return Err(Error::value(
                    "a table",
                    "`link` only in a relation of kind composed",
                ));
            }
            Link::read(value, &objects, answer.as_ref())
        })?;
        Ok(Relation {
            key: key.to_string(),
            name: fields
                .optional("name", read_plain)?
                .unwrap_or_else(|| key.replace('_', " ")),
            kind,
            objects,
            statements,
            questions: questions.unwrap_or_default(),
            answer: match answer {
                Some(answer) => answer,
                None => Pattern::parse("{object}")?,
            },
            edits: edits.unwrap_or_default(),
            refusal: fields.optional("refusal", Refusal::read)?,
            link,
        })
    }
}

impl Kind {
    fn read(fields: &mut Fields<'_>, earlier: &[Relation]) -> Result<Kind> {
        const KINDS: &[(&str, &[&str])] = &[
            ("independent", &[]),
            ("zipf", &["alpha"]),
            ("composed", &["of"]),
            ("correlated", &["with", "strength"]),
            ("one_to_one", &[]),
        ];
        let kind = fields.optional("kind", |value| {
            let names: Vec<(&'static str, usize)> = KINDS
                .iter()
                .enumerate()
                .map(|(at, &(name, _))| (name, at))
                .collect();
            value.name(&names)
        })?;
        let (name, own) = KINDS.get(kind.unwrap_or(0)).copied().unwrap_or(("", &[]));
        for field in ["alpha", "of", "with", "strength"] {
            if !own.contains(&field) && fields.optional(field, |_| Ok(()))?.is_some() {
                let got = format!("`{field}`");
                let allowed = format!("no `{field}` in a relation of kind {name}");
                return Err(Error::argument(field, got, allowed));
            }
        }
        let mut of = |field: &'static str| {
            fields.required(field, |value| {
                let wanted = value.text()?;
                let keys = || earlier.iter().map(|relation| relation.key.as_str());
                keys().position(|key| key == wanted).ok_or_else(|| {
                    let keys: Vec<&str> = keys().collect();
                    let allowed = if keys.is_empty() {
                        "an earlier relation (this is the first)".to_string()
                    } else {
                        format!("an earlier relation: {}", keys.join(", "))
                    };
                    Error::value(format!("`{wanted}`"), allowed).near(wanted, keys)
                })
            })
        };
        Ok(match name {
            "zipf" => Kind::Zipf {
                alpha: fields.required("alpha", Value::number)?,
            },
            "composed" => Kind::Composed { of: of("of")? },
            "correlated" => Kind::Correlated {
                with: of("with")?,
                strength: fields.required("strength", Value::number)?,
            },
            "one_to_one" => Kind::OneToOne,
            _ => Kind::Independent,
        })
    }
}

impl Link {
    fn read(value: &Value, objects: &Pattern, answer: Option<&Pattern>) -> Result<Link> {
        let class = Class::read("link", value, None)?;
        let forms: Vec<&str> = class.forms.keys().map(String::as_str).collect();
        let mut fields = value.fields("a table of forms and sentences")?;
        let statements = fields.required("statements", |value| {
            read_sentences(value, &forms, Role::Statement(objects))
        })?;
        let questions = fields.optional("questions", |value| {
            read_sentences(value, &forms, Role::Question)
        })?;
        let questions = questions.unwrap_or_default();
        if let (false, Some(answer)) = (questions.is_empty(), answer) {
            let known = |name: &str| ["subject", "object"].contains(&name) || forms.contains(&name);
            if let Some(hole) = answer.holes().find(|hole| !known(&hole.name)) {
                let name = hole.name.clone();
                let allowed = "a text, since `answer` also answers the link's questions";
                return Err(Error::argument(name, "nothing", allowed));
            }
        }
        Ok(Link {
            statements,
            questions,
            class,
        })
    }
}

impl Joint {
    pub(super) fn read(value: &Value, grammar: &TextGrammar) -> Result<Joint> {
        let mut fields = value.table(&["relations", "statements"])?;
        let keys = || {
            grammar
                .relations
                .iter()
                .map(|relation| relation.key.as_str())
        };
        let relations = fields.required("relations", |value| {
            let relations = value.list("a list of relations", |value| {
                let wanted = value.text()?;
                keys().position(|key| key == wanted).ok_or_else(|| {
                    let allowed: Vec<&str> = keys().collect();
                    Error::value(format!("`{wanted}`"), allowed.join(", ")).near(wanted, keys())
                })
            })?;
            let mut once = relations.clone();
            once.sort_unstable();
            once.dedup();
            let allowed = format!("2 to {JOINT_LIMIT} different relations");
            if once.len() != relations.len() {
                return Err(Error::value("a relation twice", allowed));
            }
            if !(2..=JOINT_LIMIT).contains(&once.len()) {
                return Err(Error::value(value, allowed));
            }
            Ok(relations)
        })?;
        let own: Vec<&str> = relations
            .iter()
            .filter_map(|&at| grammar.relations.get(at))
            .map(|relation| relation.key.as_str())
            .collect();
        let forms = grammar.subject.form_names();
        let statements = fields.required("statements", |value| {
            read_sentences(value, &forms, Role::Joint(&own))
        })?;
        Ok(Joint {
            relations,
            statements,
        })
    }
}

/// Refuses two joint tables with the same relations: the set of relations must identify the table.
pub(super) fn check_joints(joints: &[Joint]) -> Result<()> {
    let set = |joint: &Joint| {
        let mut relations = joint.relations.clone();
        relations.sort_unstable();
        relations
    };
    for (at, joint) in joints.iter().enumerate() {
        if let Some(first) = joints.iter().take(at).position(|j| set(j) == set(joint)) {
            let allowed = format!("each set of relations once, and joint[{first}] has these");
            let error = Error::argument("relations", "the same relations", allowed);
            return Err(error.within(at).within("joint"));
        }
    }
    Ok(())
}

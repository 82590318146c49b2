//! Reading and checking the TOML file of a grammar.
//!
//! The file defines the names of a world's relations and the sentences about their facts: lists of
//! words, names and objects as products of lists, statements and questions with holes.

// Handles user input: no indexing that can panic.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

mod lists;
mod parts;
mod patterns;
mod relation;
mod sentence;
mod subject;

use std::collections::BTreeMap;

use self::lists::read_lists;
use self::patterns::{once, read_pattern, read_plain};
use self::relation::{check_joints, read_relations};
use super::lines::LineNumbers;
use super::pattern::{Hole, Pattern};
use crate::canonical::{Sorted, to_json};
use crate::error::{Error, PathKey, Result};
use crate::relation::{Composed, Correlated, Independent, OneToOne, RelationSpec, Zipf, check_all};
use crate::value::{Value, parse_toml};

pub(crate) use self::parts::{
    Class, Form, Joint, Kind, Layout, Link, List, Refusal, Relation, Sentence, Subject,
};

/// Maximum number of lists in a name or object: the engine stores a digit for each.
pub(crate) const DIGIT_LIMIT: usize = 8;

/// Maximum number of facts in a joint statement.
pub(crate) const JOINT_LIMIT: usize = 3;

/// A text grammar, read from its file.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TextGrammar {
    /// Name of the grammar.
    pub name: String,
    /// Language, as a BCP 47 tag.
    pub language: String,
    /// One-line description.
    pub about: String,
    /// BLAKE3 digest of the content of the file, excluding comments and layout.
    pub digest: String,
    pub(crate) lists: Vec<List>,
    pub(crate) subject: Subject,
    pub(crate) relations: Vec<Relation>,
    pub(crate) joints: Vec<Joint>,
    pub(crate) question_form: Pattern,
    pub(crate) layout: Layout,
    pub(crate) refusal: Option<Refusal>,
    /// Lines of its sentences in the file.
    pub(crate) lines: LineNumbers,
}

impl TextGrammar {
    /// Reads a grammar from TOML; `file` is its name in errors.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] with the line and the key of the first value that is not
    /// allowed.
    pub fn from_toml(file: &str, text: &str) -> Result<TextGrammar> {
        let value = parse_toml(file, text)?;
        let lines = LineNumbers::new(file, text);
        let order = lines.names_in("relations");
        let canonical = to_json(&(Sorted(&value), &order));
        let read = read(&Value::from(value), &order).and_then(|grammar| {
            grammar.check_relations()?;
            grammar.check_held_out()?;
            Ok(grammar)
        });
        let mut grammar = read.map_err(|e| lines.place(e))?;
        grammar.lines = lines.of_sentences();
        grammar.digest = blake3::hash(canonical.as_bytes()).to_hex().to_string();
        Ok(grammar)
    }

    /// Returns the relations of a world for this grammar.
    pub fn relations(&self) -> Vec<RelationSpec> {
        self.relations
            .iter()
            .map(|relation| {
                let objects = self.count(&relation.objects, None);
                match relation.kind {
                    Kind::Independent => Independent::new(objects).into(),
                    Kind::Zipf { alpha } => Zipf::new(objects, alpha).into(),
                    Kind::Composed { of } => Composed::new(of as u32, objects).into(),
                    Kind::Correlated { with, strength } => {
                        Correlated::new(with as u32, strength).into()
                    }
                    Kind::OneToOne => OneToOne::new(Some(objects)).into(),
                }
            })
            .collect()
    }

    /// Refuses parameters of relations that no world may have.
    fn check_relations(&self) -> Result<()> {
        // With the minimum number of subjects: the actual number is checked with the world.
        let checked = check_all(&mut self.relations(), 1);
        checked.map(drop).map_err(|mut error| {
            // The error has the index of the relation, which is replaced with its key.
            if let Error::Argument { path, .. } = &mut error
                && let Some(place) = path.get_mut(1)
                && let PathKey::Index(at) = *place
                && let Some(relation) = self.relations.get(at)
            {
                *place = PathKey::Name(relation.key.clone());
            }
            error
        })
    }

    /// Returns the keys of the relations, in order.
    pub fn relation_keys(&self) -> impl Iterator<Item = &str> {
        self.relations.iter().map(|relation| relation.key.as_str())
    }

    /// Returns the number of different names.
    pub fn names(&self) -> u64 {
        self.count(&self.subject.name, None)
    }

    /// Returns the number of objects that a relation can name, or `None` if there is no such
    /// relation.
    pub fn objects(&self, relation: usize) -> Option<u64> {
        let relation = self.relations.get(relation)?;
        Some(self.count(&relation.objects, None))
    }

    /// Returns the index and the words of a list.
    pub(crate) fn list(&self, name: &str) -> Option<(usize, &List)> {
        let at = self.lists.iter().position(|list| list.name == name)?;
        self.lists.get(at).map(|list| (at, list))
    }

    /// Returns the list of a hole in the names of a class.
    pub(crate) fn list_of(&self, hole: &Hole, class: Option<&Class>) -> Option<(usize, &List)> {
        let own = class.and_then(|class| class.lists.get(&hole.name));
        self.list(own.unwrap_or(&hole.name))
    }

    /// Returns the number of ways to fill a pattern of lists, at most 2^64 - 1.
    pub(crate) fn count(&self, pattern: &Pattern, class: Option<&Class>) -> u64 {
        pattern.holes().fold(1u64, |product, hole| {
            let words = self.list_of(hole, class).map_or(0, |(_, l)| l.words.len());
            product.saturating_mul(words as u64)
        })
    }
}

fn read(value: &Value, order: &[&str]) -> Result<TextGrammar> {
    let mut fields = value.table(&[
        "name",
        "language",
        "about",
        "lists",
        "subject",
        "relations",
        "joint",
        "question",
        "document",
        "refusal",
    ])?;
    let name = fields.required("name", read_name)?;
    let language = fields.optional("language", Value::text)?;
    let about = fields.optional("about", Value::text)?;
    let lists = fields.optional("lists", read_lists)?.unwrap_or_default();
    let mut grammar = TextGrammar {
        name,
        language: language.unwrap_or("und").to_string(),
        about: about.unwrap_or("").to_string(),
        digest: String::new(),
        lists,
        subject: Subject {
            name: Pattern { parts: Vec::new() },
            possessive: Pattern { parts: Vec::new() },
            classes: Vec::new(),
        },
        relations: Vec::new(),
        joints: Vec::new(),
        question_form: Pattern { parts: Vec::new() },
        layout: Layout::read(&Value::Table(BTreeMap::new()))?,
        refusal: fields.optional("refusal", Refusal::read)?,
        lines: LineNumbers::default(),
    };
    grammar.subject = fields.required("subject", |value| Subject::read(value, &grammar))?;
    grammar.relations =
        fields.required("relations", |value| read_relations(value, order, &grammar))?;
    let joints = fields.optional("joint", |value| {
        value.list("a list of tables", |value| Joint::read(value, &grammar))
    })?;
    grammar.joints = joints.unwrap_or_default();
    check_joints(&grammar.joints)?;
    grammar.question_form = match fields.optional("question", read_question_form)? {
        Some(form) => form,
        None => Pattern::parse("{question} {answer}")?,
    };
    if let Some(layout) = fields.optional("document", Layout::read)? {
        grammar.layout = layout;
    }
    Ok(grammar)
}

fn read_name(value: &Value) -> Result<String> {
    let name = value.text()?;
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    if name.is_empty() || !name.chars().all(is_plain) {
        return Err(Error::value(
            format!("{name:?}"),
            "a name of letters, digits and '-'",
        ));
    }
    Ok(name.to_string())
}

fn read_question_form(value: &Value) -> Result<Pattern> {
    let mut fields = value.table(&["form"])?;
    fields.required("form", |value| {
        let form = read_pattern(value, &["question", "answer"])?;
        once(&form, "question")?;
        once(&form, "answer")?;
        Ok(form)
    })
}

impl Refusal {
    pub(super) fn read(value: &Value) -> Result<Refusal> {
        let text = |value: &Value| Pattern::parse(&read_plain(value)?);
        if let Value::Table(_) = value {
            let mut fields = value.table(&["statement", "question"])?;
            return Ok(Refusal {
                statement: fields.required("statement", text)?,
                question: fields.required("question", text)?,
            });
        }
        let both = text(value)?;
        Ok(Refusal {
            statement: both.clone(),
            question: both,
        })
    }
}

impl Layout {
    fn read(value: &Value) -> Result<Layout> {
        let mut fields = value.table(&["separator", "subject_separator", "share_joint"])?;
        let mut separator = |name, default: &str| {
            let read = fields.optional(name, |value| {
                let text = value.text()?;
                if text.is_empty() || !text.chars().all(char::is_whitespace) {
                    let allowed = "spaces or line breaks, at least one";
                    return Err(Error::value(format!("{text:?}"), allowed));
                }
                Ok(text.to_string())
            });
            read.map(|text| text.unwrap_or_else(|| default.to_string()))
        };
        let (sentences, subjects) = (
            separator("separator", " ")?,
            separator("subject_separator", "\n")?,
        );
        let share = fields
            .optional("share_joint", Value::number)?
            .unwrap_or(0.5);
        crate::numbers::counted_fraction("share_joint", share)?;
        Ok(Layout {
            separator: sentences,
            subject_separator: subjects,
            share_joint: share,
        })
    }
}

//! What may be asked of documents that hold several sentences.

use serde::Serialize;

use crate::error::{Error, Result};
use crate::numbers::positive;
use crate::value::Value;

/// How a document calls its subject after the first sentence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Naming {
    /// By the full name first, and then by pronouns.
    #[default]
    First,
    /// By the full name always.
    Always,
}

/// In which order a document says the facts of its subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SentenceOrder {
    /// In an order of each document's own.
    #[default]
    Permuted,
    /// In the order of the relations.
    Fixed,
}

/// Where questions stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum QuestionPlace {
    /// Among the statements.
    #[default]
    Mixed,
    /// After the statements of their document.
    After,
    /// In documents of their own.
    Own,
}

/// How the documents of order `bios` are made.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DocumentSpec {
    /// How the subject is called after the first sentence, with a grammar.
    pub naming: Naming,
    /// In which order sentences stand.
    pub sentences: SentenceOrder,
    /// How many renderings each subject has, which its documents repeat in turn; by default each
    /// document has one of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renderings: Option<u64>,
    /// How many subjects share a document.
    pub subjects: u64,
    /// Where questions stand.
    pub questions: QuestionPlace,
}

impl Default for DocumentSpec {
    fn default() -> Self {
        DocumentSpec {
            naming: Naming::First,
            sentences: SentenceOrder::Permuted,
            renderings: None,
            subjects: 1,
            questions: QuestionPlace::Mixed,
        }
    }
}

impl DocumentSpec {
    /// Whether documents are what they are without it.
    pub(crate) fn is_default(&self) -> bool {
        *self == DocumentSpec::default()
    }

    pub(crate) fn read(value: &Value) -> Result<Self> {
        let mut fields =
            value.table(&["naming", "sentences", "renderings", "subjects", "questions"])?;
        let default = DocumentSpec::default();
        let naming = fields.optional("naming", |value| {
            value.name(&[("first", Naming::First), ("always", Naming::Always)])
        })?;
        let sentences = fields.optional("sentences", |value| {
            value.name(&[
                ("permuted", SentenceOrder::Permuted),
                ("fixed", SentenceOrder::Fixed),
            ])
        })?;
        let questions = fields.optional("questions", |value| {
            value.name(&[
                ("mixed", QuestionPlace::Mixed),
                ("after", QuestionPlace::After),
                ("own", QuestionPlace::Own),
            ])
        })?;
        Ok(DocumentSpec {
            naming: naming.unwrap_or(default.naming),
            sentences: sentences.unwrap_or(default.sentences),
            renderings: fields.nullable("renderings", Value::count)?,
            subjects: fields
                .optional("subjects", Value::count)?
                .unwrap_or(default.subjects),
            questions: questions.unwrap_or(default.questions),
        })
    }

    pub(crate) fn check(&self) -> Result<()> {
        positive("subjects", self.subjects)?;
        if let Some(renderings) = self.renderings {
            positive("renderings", renderings)?;
        }
        if self.questions == QuestionPlace::Own && self.subjects > 1 {
            return Err(Error::argument(
                "questions",
                "own",
                "mixed or after, where documents have several subjects",
            ));
        }
        Ok(())
    }
}

//! The spec of documents of several sentences.

use serde::Serialize;

use crate::error::{Error, Result};
use crate::numbers::positive;
use crate::value::Value;

/// How a document names its subject after the first sentence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Naming {
    /// The full name first, then pronouns.
    #[default]
    First,
    /// Always the full name.
    Always,
}

/// The order of the sentences in a document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SentenceOrder {
    /// A random order for each document.
    #[default]
    Permuted,
    /// The order of the relations.
    Fixed,
}

/// The positions of questions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum QuestionPlace {
    /// Mixed with the statements.
    #[default]
    Mixed,
    /// After the statements of their document.
    After,
    /// In separate documents.
    Own,
}

/// The composition of the documents of order `bios`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DocumentSpec {
    /// How the subject is named after the first sentence, with a grammar.
    pub naming: Naming,
    /// Order of the sentences.
    pub sentences: SentenceOrder,
    /// Number of renderings of each subject, which its documents repeat in turn; by default each
    /// document has its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renderings: Option<u64>,
    /// Number of subjects that share a document.
    pub subjects: u64,
    /// Positions of questions.
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
    /// Returns `true` if all fields have their default values.
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

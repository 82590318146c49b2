//! How a corpus turns facts into tokens: by templates, or by a text grammar.

use std::sync::Arc;

use super::questions::Asked;
use super::sentence::{Choice, Weighted};
use super::shapes::Shapes;
use super::text::Text;
use crate::error::Result;
use crate::exposure::Exposures;
use crate::grammar::{Grammar, Says, Shares, Wording, Writer, most_tokens};
use crate::hash::Key;
use crate::spec::CorpusSpec;
use crate::vocabulary::Vocabulary;
use crate::world::World;

/// How facts become tokens.
#[derive(Clone, Debug)]
pub(super) enum Style {
    Templates(Arc<Templates>),
    Text(Arc<Text>),
}

/// Templates over a partitioned vocabulary.
#[derive(Clone, Debug)]
pub(crate) struct Templates {
    pub(super) grammar: Grammar,
    pub(super) shapes: Shapes,
    pub(super) filler_key: Key,
}

impl Style {
    /// Templates, with the vocabulary that was made for them.
    pub(super) fn of_templates(
        world: &World,
        spec: &CorpusSpec,
        shares: &Shares,
        vocabulary: &Vocabulary,
    ) -> Style {
        Style::Templates(Arc::new(Templates {
            grammar: Grammar::new(&spec.grammar(), shares, vocabulary),
            shapes: Shapes::new(world, vocabulary).expect("a vocabulary of words"),
            filler_key: Key::new(world.seed(), "filler", 0),
        }))
    }

    /// All wordings.
    pub(super) fn wordings(&self) -> &[Wording] {
        match self {
            Style::Templates(templates) => &templates.grammar.wordings,
            Style::Text(text) => text.wordings(),
        }
    }

    /// Most tokens of a sentence, the end of the document included.
    pub(super) fn most_tokens(&self) -> usize {
        match self {
            Style::Templates(templates) => {
                let grammar = &templates.grammar;
                let written = grammar.written().map(|w| &grammar.wordings[w]);
                most_tokens(written, &templates.shapes.lengths)
            }
            Style::Text(text) => text.lexicon().most_tokens() + 1,
        }
    }

    /// Most tokens of a sentence that stands alone, without an end; questions among them if the
    /// corpus asks, and as it stands within a document as well if it may.
    pub(super) fn most_tokens_alone(&self, asks: bool, within: bool) -> usize {
        match self {
            Style::Templates(_) => self.most_tokens() - 1,
            Style::Text(text) => text.lexicon().most_tokens_alone(asks, within),
        }
    }

    /// How a statement takes its wording.
    pub(super) fn choice(
        &self,
        spec: &CorpusSpec,
        exposures: &Exposures,
        seed: u64,
    ) -> Result<Choice> {
        match self {
            Style::Templates(templates) => Choice::new(spec, &templates.grammar, exposures, seed),
            Style::Text(text) => Ok(Choice::OfRelation {
                key: Key::new(seed, "template", 0),
                relations: of_relations(text, Says::Statement),
            }),
        }
    }

    /// The wordings of questions.
    pub(super) fn asked(&self) -> Asked {
        match self {
            Style::Templates(templates) => Asked::Alike(templates.grammar.questions.clone()),
            Style::Text(text) => Asked::OfRelation(of_relations(text, Says::Question)),
        }
    }

    /// Whether a wording asks before it answers.
    pub(super) fn is_question(&self, wording: usize) -> bool {
        self.wordings()[wording].is_question()
    }
}

fn of_relations(text: &Text, says: Says) -> Vec<Weighted> {
    let lexicon = text.lexicon();
    (0..lexicon.relations() as u32)
        .map(|relation| Weighted::new(lexicon.sentences(relation, says)))
        .collect()
}

/// What writes sentences as tokens of one type.
pub(crate) enum Pen<'a, T> {
    Templates(Writer<'a, T>, &'a Templates),
    Text(&'a Text),
}

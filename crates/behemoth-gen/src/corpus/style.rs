//! Styles of writing facts as tokens: templates or a text grammar.

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

/// A style of writing facts as tokens.
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
    /// Creates the style of templates with the vocabulary built for them.
    pub(super) fn of_templates(
        world: &World,
        spec: &CorpusSpec,
        shares: &Shares,
        vocabulary: &Vocabulary,
    ) -> Style {
        Style::Templates(Arc::new(Templates {
            grammar: Grammar::new(&spec.template_settings(), shares, vocabulary),
            shapes: Shapes::new(world, vocabulary).expect("a vocabulary of words"),
            filler_key: Key::new(world.seed(), "filler", 0),
        }))
    }

    /// Returns all wordings.
    pub(super) fn wordings(&self) -> &[Wording] {
        match self {
            Style::Templates(templates) => &templates.grammar.wordings,
            Style::Text(text) => text.wordings(),
        }
    }

    /// Returns the maximum number of tokens in a sentence, the end of the document included.
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

    /// Returns the maximum number of tokens in a sentence that stands alone, without an end; `asks`
    /// includes questions, and `within` the form of a sentence within a document.
    pub(super) fn most_tokens_alone(&self, asks: bool, within: bool) -> usize {
        match self {
            Style::Templates(_) => self.most_tokens() - 1,
            Style::Text(text) => text.lexicon().most_tokens_alone(asks, within),
        }
    }

    /// Returns how the wording of a statement is chosen.
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

    /// Returns the wordings of questions.
    pub(super) fn asked(&self) -> Asked {
        match self {
            Style::Templates(templates) => Asked::Alike(templates.grammar.questions.clone()),
            Style::Text(text) => Asked::OfRelation(of_relations(text, Says::Question)),
        }
    }

    /// Returns `true` if statements may be written in the wording of a question with an answer.
    pub(super) fn asks_by_weight(&self) -> bool {
        match self {
            Style::Templates(templates) => {
                let grammar = &templates.grammar;
                let asks = |w: &Wording| w.is_question() && w.can_probe();
                (grammar.statements.iter()).any(|&(index, _)| asks(&grammar.wordings[index]))
            }
            Style::Text(_) => false,
        }
    }

    /// Returns `true` if a wording is a question with an answer or a refusal.
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

/// A writer of sentences as tokens of one type.
pub(crate) enum Pen<'a, T> {
    Templates(Writer<'a, T>, &'a Templates),
    Text(&'a Text),
}

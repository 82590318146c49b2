//! Questions and answers as separate texts, which a corpus writes as one sentence.

use super::expand::{About, Content, Expansion, Mention, Segment};
use super::lexicon::{Lexicon, Says};
use super::pattern::cased;
use super::write::Digits;

/// A question and its answer, for one relation and class.
#[derive(Clone, Debug)]
pub(crate) struct Question([Vec<Segment>; 2]);

impl Lexicon {
    /// Returns the question of a relation in a column, or `None` if there is none.
    pub(crate) fn question(&self, relation: u32, column: usize, class: u32) -> Option<Question> {
        let is_of = |says, held_out| {
            let columns = self.columns.iter();
            columns.filter(move |c| c.says == says && c.held_out == held_out)
        };
        let column = *self.columns.get(column)?;
        if column.says != Says::Question {
            return None;
        }
        // The numbering continues from the written columns to the held-out ones.
        let first = is_of(Says::Question, column.held_out).next()?.number;
        let at = relation as usize;
        let grammar = &self.grammar;
        let (own, about, questions) = match at.checked_sub(grammar.relations.len()) {
            None => {
                let own = &grammar.relations[at];
                let class = grammar.subject.classes.get(class as usize)?;
                (own, About::Subject(class), &own.questions)
            }
            Some(link) => {
                let (composed, of) = grammar.linked().nth(link)?;
                let own = &grammar.relations[composed];
                let link = own.link.as_ref()?;
                let of = &grammar.relations[of];
                (own, About::Object { link, of }, &link.questions)
            }
        };
        let mut alike = questions.iter().filter(|q| q.held_out == column.held_out);
        let question = alike.nth((column.number - first) as usize)?;
        let expansion = Expansion {
            grammar,
            about,
            mention: Mention::First,
            objects: vec![("object", &own.objects)],
            relation: &own.name,
        };
        Some(Question(expansion.apart(&question.text, &own.answer)))
    }

    /// Returns the texts of a question and its answer, with the words selected by the digits.
    pub(crate) fn question_texts(&self, question: &Question, digits: &Digits) -> [String; 2] {
        question.0.each_ref().map(|segments| {
            let mut text = String::new();
            for segment in segments {
                match &segment.content {
                    Content::Text(own) => text.push_str(own),
                    &Content::Word {
                        list,
                        is_capital,
                        slot,
                    } => {
                        let word = &self.grammar.lists[list].words[digits.at(slot) as usize];
                        text.push_str(&cased(word, is_capital));
                    }
                }
            }
            text
        })
    }
}

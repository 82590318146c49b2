//! Questions and answers as text.

use std::collections::HashMap;

use super::super::Corpus;
use super::super::held::Named;
use crate::error::{Error, Result};
use crate::grammar::Digits;

impl Corpus {
    /// Returns a question about each of some facts and its answer as two texts, without the form
    /// that joins them in a corpus; both are empty if the relation has no question in this wording.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] if the corpus is written with templates, the wording is not a
    /// question or a fact does not exist.
    pub fn question_texts(&self, facts: &[u64], wording: usize) -> Result<Vec<[String; 2]>> {
        let text = self.text()?;
        if !(self.wordings().get(wording)).is_some_and(|wording| wording.is_question()) {
            let allowed = "the index of a wording that is a question";
            return Err(Error::argument("wording", wording, allowed));
        }
        // The wording of a question depends on the relation and the class.
        let mut known = HashMap::new();
        let texts = facts.iter().map(|&fact| {
            self.check_range("fact", fact, fact.saturating_add(1), self.world.facts())?;
            let (subject, relation) = self.world.subject_relation(fact);
            let object = self.world.object_of(fact, subject, relation);
            let mut digits = Digits::default();
            let class = text.set_subject(&mut digits, relation, subject, Named::NONE);
            text.set_object(&mut digits, 0, relation, object);
            let question = known
                .entry((relation, class))
                .or_insert_with(|| text.lexicon.question(relation, wording, class));
            Ok(question.as_ref().map_or_else(Default::default, |question| {
                text.lexicon.question_texts(question, &digits)
            }))
        });
        texts.collect()
    }
}

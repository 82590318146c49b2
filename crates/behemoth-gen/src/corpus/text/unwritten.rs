//! Probes of sentences that are not in any corpus: with a refusal, or with a new object.

use super::super::Corpus;
use super::super::held::Named;
use super::super::probe::Probe;
use super::Text;
use crate::error::{Error, Result};
use crate::grammar::{Digits, Mention, TextRole, TextSpan};

impl Corpus {
    /// Returns the probes of facts in a wording with a refusal as the answer; `None` if the wording
    /// cannot be a prompt, the grammar has no refusal for the relation, or the tokenizer merges the
    /// refusal, but no name, with what is before it.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] if the corpus is written with templates, or the wording or a
    /// fact does not exist.
    pub fn refusals(&self, facts: &[u64], wording: usize) -> Result<Vec<Option<Probe>>> {
        let text = self.text()?;
        if wording >= text.wordings.len() {
            let allowed = format!("below {}", text.wordings.len());
            return Err(Error::argument("wording", wording, allowed));
        }
        self.unwritten(facts, |subject, relation, _| {
            let mut digits = Digits::default();
            let class = text.set_subject(&mut digits, relation, subject, Named::NONE);
            let (tokens, refusal) = text.lexicon.refusal(relation, wording, class, &digits)?;
            // Only a sentence that is a prompt for a name is one for a refusal.
            let plan = text.lexicon.plan(relation, wording, class, Mention::First);
            text.cut(plan, &digits, TextRole::Object(0))?;
            Some(Probe {
                prompt: tokens[..refusal.start].to_vec(),
                answer: tokens[refusal.clone()].to_vec(),
                rest: tokens[refusal.end..].to_vec(),
            })
        })
    }

    /// Returns the probes of facts in one of their relations' edit sentences, with the new object
    /// as the answer; `None` if the new object does not exist, or the relation has no edit sentence
    /// of that number, or the sentence names the new object before the subject.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] if the corpus is written with templates, a fact does not exist or
    /// there are not as many objects as facts.
    pub fn edit_prompts(
        &self,
        facts: &[u64],
        objects: &[u32],
        number: usize,
    ) -> Result<Vec<Option<Probe>>> {
        let text = self.text()?;
        if objects.len() != facts.len() {
            let allowed = format!("{}, one for each fact", facts.len());
            return Err(Error::argument("objects", objects.len(), allowed));
        }
        let mut objects = objects.iter();
        self.unwritten(facts, |subject, relation, object| {
            let new = *objects.next()?;
            if u64::from(new) >= self.world.objects_of(relation) {
                return None;
            }
            let mut digits = Digits::default();
            let class = text.set_subject(&mut digits, relation, subject, Named::NONE);
            text.set_object(&mut digits, 0, relation, object);
            text.set_object(&mut digits, 1, relation, new);
            let plan = text.lexicon.edit(relation, number, class)?;
            text.cut(plan, &digits, TextRole::Object(1))
        })
    }

    /// Returns the number of edit sentences of a relation.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] if the corpus is written with templates or the relation does not
    /// exist.
    pub fn edit_sentences(&self, relation: u32) -> Result<usize> {
        let text = self.text()?;
        let relations = text.lexicon.relations() as u32;
        match relation < relations {
            true => Ok(text.lexicon.edits(relation)),
            false => Err(Error::argument(
                "relation",
                relation,
                format!("below {relations}"),
            )),
        }
    }

    /// Returns the tokens of the refusals, each distinct one once.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] if the corpus is written with templates.
    pub fn refusal_answers(&self) -> Result<Vec<Vec<u32>>> {
        Ok(self.text()?.lexicon.refusals())
    }

    fn unwritten(
        &self,
        facts: &[u64],
        mut probe: impl FnMut(u64, u32, u32) -> Option<Probe>,
    ) -> Result<Vec<Option<Probe>>> {
        let each = |&fact: &u64| {
            self.check_range("fact", fact, fact.saturating_add(1), self.world.facts())?;
            let (subject, relation) = self.world.subject_relation(fact);
            let object = self.world.object_of(fact, subject, relation);
            Ok(probe(subject, relation, object))
        };
        facts.iter().map(each).collect()
    }
}

impl Text {
    /// Cuts a sentence around the answer with a role; `None` if it names its subject after the
    /// answer.
    pub(super) fn cut(&self, plan: u32, digits: &Digits, role: TextRole) -> Option<Probe> {
        let tokens = self.lexicon.sentence(plan, digits);
        let spans = self.lexicon.spans(plan, digits);
        let answer = spans.iter().find(|span| span.role == role)?;
        // A prompt must name the subject.
        let says = |span: &TextSpan| span.role == TextRole::Subject && span.end <= answer.start;
        spans.iter().any(says).then(|| Probe {
            prompt: tokens[..answer.start].to_vec(),
            answer: tokens[answer.start..answer.end].to_vec(),
            rest: tokens[answer.end..].to_vec(),
        })
    }
}

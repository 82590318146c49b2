//! Prompts of sentences that no corpus has: with a refusal, or with a new object.

use super::super::Corpus;
use super::super::held::Named;
use super::super::probe::Probe;
use super::Text;
use crate::error::{Error, Result};
use crate::grammar::{Digits, Mention, TextRole, TextSpan, slots};

impl Corpus {
    /// The prompts of facts in a wording with a refusal for an answer; none where that wording
    /// cannot ask, or nothing says how the relation is refused.
    pub fn refusals(&self, facts: &[u64], wording: usize) -> Result<Vec<Option<Probe>>> {
        let text = self.text()?;
        if wording >= text.wordings.len() {
            let allowed = format!("below {}", text.wordings.len());
            return Err(Error::argument("wording", wording, allowed));
        }
        self.unwritten(facts, |subject, relation, _| {
            let mut digits = Digits::default();
            let class = text.set_subject(&mut digits, relation, subject, Named::NONE);
            let plan = text.lexicon.refusing(relation, wording, class)?;
            let refused = text.cut(plan, &digits, TextRole::Object(0))?;
            // What is asked must not depend on the answer.
            let plan = text.lexicon.plan(relation, wording, class, Mention::First);
            let own = text.cut(plan, &digits, TextRole::Object(0))?;
            (own.prompt == refused.prompt).then_some(refused)
        })
    }

    /// The prompts of facts in one of their relations' sentences of edits, with the new object for
    /// an answer. None where a relation has no sentence of that number, or that names the new object
    /// before the subject.
    pub fn edit_prompts(
        &self,
        facts: &[u64],
        objects: &[u32],
        number: usize,
    ) -> Result<Vec<Option<Probe>>> {
        let text = self.text()?;
        let mut objects = objects.iter();
        self.unwritten(facts, |subject, relation, object| {
            let new = *objects.next()?;
            if u64::from(new) >= self.world.objects_of(relation) {
                return None;
            }
            let mut digits = Digits::default();
            let class = text.set_subject(&mut digits, relation, subject, Named::NONE);
            text.set_object(&mut digits, 0, relation, object);
            let radices = &text.object_radices[text.objects[relation as usize]];
            digits.set(slots::of_object(1), u64::from(new), radices);
            let plan = text.lexicon.edit(relation, number, class)?;
            text.cut(plan, &digits, TextRole::Object(1))
        })
    }

    /// How many sentences of edits a relation has.
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

    /// The tokens of refusals, each way that they are written once.
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
    /// A sentence cut where it says what has a role; none where it names its subject later.
    pub(super) fn cut(&self, plan: u32, digits: &Digits, role: TextRole) -> Option<Probe> {
        let tokens = self.lexicon.sentence(plan, digits);
        let spans = self.lexicon.spans(plan, digits);
        let answer = spans.iter().find(|span| span.role == role)?;
        // A prompt that does not say whom it asks about asks nothing.
        let says = |span: &TextSpan| span.role == TextRole::Subject && span.end <= answer.start;
        spans.iter().any(says).then(|| Probe {
            prompt: tokens[..answer.start].to_vec(),
            answer: tokens[answer.start..answer.end].to_vec(),
            rest: tokens[answer.end..].to_vec(),
        })
    }
}

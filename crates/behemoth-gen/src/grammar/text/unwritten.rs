//! Sentences that are not in any corpus: refusals instead of objects, and edit sentences.
//!
//! They are compiled after all others, so that they do not change the ids of a corpus's words in a
//! tokenizer built from a grammar's words.

use std::ops::Range;

use super::compile::Compiler;
use super::expand::{About, Mention, TextRole};
use super::file::{Relation, Sentence};
use super::lexicon::{Lexicon, OfRelation};
use super::write::Digits;
use crate::error::Result;

/// The only context of these sentences: they stand alone.
const ALONE: &[Mention] = &[Mention::First];

impl Compiler<'_> {
    /// Adds refusals and edits to the relations, links included.
    pub(super) fn unwritten(&mut self, relations: &mut [OfRelation]) -> Result<()> {
        let grammar = self.grammar;
        let subjects = grammar.subjects();
        for (own, relation) in relations.iter_mut().zip(&grammar.relations) {
            let all = [&relation.statements[..], &relation.questions];
            self.refusing(own, relation, &subjects, all)
                .map_err(|e| e.within(relation.key.as_str()).within("relations"))?;
            let objects = [("object", &relation.objects), ("new", &relation.objects)];
            for (at, edit) in relation.edits.iter().enumerate() {
                let name = &relation.name;
                let edit = self.sentence(&edit.text, None, &subjects, &objects, name, ALONE);
                let edit = edit.map_err(|e| e.within(at).within("edits"));
                own.edits
                    .push(edit.map_err(|e| e.within(relation.key.as_str()).within("relations"))?);
            }
        }
        for (own, (at, of)) in relations[grammar.relations.len()..]
            .iter_mut()
            .zip(grammar.linked())
        {
            let relation = &grammar.relations[at];
            let Some(link) = &relation.link else {
                continue;
            };
            let of = &grammar.relations[of];
            let all = [&link.statements[..], &link.questions];
            self.refusing(own, relation, &[About::Object { link, of }], all)
                .map_err(|e| e.within(relation.key.as_str()).within("relations"))?;
        }
        Ok(())
    }

    /// Adds statements and questions with a refusal, in the columns of those with an object.
    fn refusing(
        &mut self,
        own: &mut OfRelation,
        relation: &Relation,
        abouts: &[About<'_>],
        all: [&[Sentence]; 2],
    ) -> Result<()> {
        let Some(refusal) = relation.refusal.as_ref().or(self.grammar.refusal.as_ref()) else {
            return Ok(());
        };
        // Columns are in the order of statements and questions, with held-out ones last in each.
        let placed = own.placed.iter().enumerate();
        let columns = placed.filter_map(|(at, placed)| placed.map(|_| at));
        let mut columns = columns.collect::<Vec<usize>>().into_iter();
        for (sentences, text, answer) in [
            (all[0], &refusal.statement, None),
            (all[1], &refusal.question, Some(&relation.answer)),
        ] {
            let written = sentences.iter().filter(|sentence| !sentence.held_out);
            let held_out = sentences.iter().filter(|sentence| sentence.held_out);
            for sentence in written.chain(held_out) {
                let objects = [("object", text)];
                let name = &relation.name;
                let placed =
                    self.sentence(&sentence.text, answer, abouts, &objects, name, ALONE)?;
                if let Some(column) = columns.next() {
                    own.refusing[column] = Some(placed);
                }
            }
        }
        Ok(())
    }
}

impl Lexicon {
    /// Returns the tokens of one of a relation's sentences with a refusal, for a class, and the
    /// range of the refusal. `None` if there is none, or if it is merged with the tokens before the
    /// object, which are the same for every object.
    pub(crate) fn refusal(
        &self,
        relation: u32,
        column: usize,
        class: u32,
        digits: &Digits,
    ) -> Option<(Vec<u32>, Range<usize>)> {
        let refusing = self.relations[relation as usize].refusing[column]?;
        let of_object = |plan| {
            let spans = self.spans(plan, digits);
            let span = spans.iter().find(|span| span.role == TextRole::Object(0))?;
            Some((self.sentence(plan, digits), span.start..span.end))
        };
        let plan = self.plan(relation, column, class, Mention::First);
        let (named, object) = of_object(plan)?;
        let (refused, own) = of_object(refusing.plan(class, Mention::First))?;
        // With what some names are merged with, as every other name has it.
        let rest = refused.strip_prefix(&named[..object.start])?;
        let end = match rest.strip_suffix(&named[object.end..]) {
            Some(refusal) if !refusal.is_empty() => object.start + refusal.len(),
            _ => own.end,
        };
        (object.start < end).then_some((refused, object.start..end))
    }

    /// Returns the plan of one of a relation's edit sentences, for a class.
    pub(crate) fn edit(&self, relation: u32, number: usize, class: u32) -> Option<u32> {
        let placed = self.relations[relation as usize].edits.get(number)?;
        Some(placed.plan(class, Mention::First))
    }

    /// Returns the number of edit sentences of a relation.
    pub(crate) fn edits(&self, relation: u32) -> usize {
        self.relations[relation as usize].edits.len()
    }

    /// Returns the tokens of the refusals, each distinct one once.
    pub(crate) fn refusals(&self) -> Vec<Vec<u32>> {
        let digits = Digits::default();
        let relations = 0..self.relations.len() as u32;
        let columns = relations.flat_map(|own| (0..self.columns.len()).map(move |at| (own, at)));
        let mut found: Vec<Vec<u32>> = columns
            .filter_map(|(relation, column)| self.refusal(relation, column, 0, &digits))
            .map(|(tokens, refusal)| tokens[refusal].to_vec())
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}

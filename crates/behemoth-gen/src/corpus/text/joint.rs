//! Joint statements: adjacent facts of a document that are stated in one sentence.

use super::super::Corpus;
use super::super::sentence::Sentence;
use super::Text;
use crate::grammar::Lexicon;
use crate::hash::multiply_high;

impl Text {
    /// Returns how many of the next sentences are written as one, and the joint statement and its
    /// variant if there is one.
    #[inline]
    pub(super) fn joint(
        &self,
        sentences: &[Sentence],
        corpus: &Corpus,
    ) -> (usize, Option<(usize, usize)>) {
        let [first, second, ..] = sentences else {
            return (1, None);
        };
        // Nearly all pairs are rejected here.
        if second.subject != first.subject || !self.may_join(first.relation, second.relation) {
            return (1, None);
        }
        self.joined(sentences, corpus).unwrap_or((1, None))
    }

    fn may_join(&self, first: u32, second: u32) -> bool {
        let relations = self.objects.len();
        self.joins[first as usize * relations + second as usize]
    }

    fn joined(
        &self,
        sentences: &[Sentence],
        corpus: &Corpus,
    ) -> Option<(usize, Option<(usize, usize)>)> {
        let first = sentences.first()?;
        let rendering = corpus.rendering(first.fact, first.copy);
        let hash = self.joint_key.hash_pair(first.fact, rendering);
        // The high half decides whether to join, the low half which variant is used.
        if multiply_high(hash, 1_000_000_000) >= self.share_joint {
            return None;
        }
        for (joint, found) in self.lexicon.joints().iter().enumerate() {
            let facts = found.relations.len();
            let Some(window) = sentences.get(..facts) else {
                continue;
            };
            let says = |sentence: &Sentence| {
                sentence.subject == first.subject
                    && found.relations.contains(&sentence.relation)
                    && !self.wordings[sentence.wording].is_question()
            };
            let is_each_once = || {
                window
                    .iter()
                    .enumerate()
                    .all(|(i, a)| window[..i].iter().all(|b| b.relation != a.relation))
            };
            if window.iter().all(says) && is_each_once() {
                return Some((facts, Some((joint, found.draw(hash << 32)))));
            }
        }
        None
    }

    /// Returns the sentence of a group that is at a position of the joint statement.
    pub(super) fn place_in_joint<'a>(
        &self,
        group: &'a [Sentence],
        place: usize,
    ) -> Option<&'a Sentence> {
        let joints = self.lexicon.joints().iter();
        let own = |relations: &[u32]| {
            relations.len() == group.len() && group.iter().all(|s| relations.contains(&s.relation))
        };
        let found = joints
            .map(|joint| &joint.relations)
            .find(|relations| own(relations))?;
        let relation = found.get(place)?;
        group.iter().find(|sentence| sentence.relation == *relation)
    }
}

/// Returns, for each pair of relations, whether a joint statement can state both.
pub(super) fn joins(lexicon: &Lexicon) -> Vec<bool> {
    let relations = lexicon.relations() as u32;
    let pairs = (0..relations).flat_map(|a| (0..relations).map(move |b| (a, b)));
    pairs
        .map(|(a, b)| {
            let mut joints = lexicon.joints().iter();
            a != b && joints.any(|j| j.relations.contains(&a) && j.relations.contains(&b))
        })
        .collect()
}

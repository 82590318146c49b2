//! Text: everything besides the lexicon that a corpus needs to write facts in a language.

mod ask;
mod emit;
mod joint;
mod unwritten;
mod views;
mod vocabulary;

use std::sync::Arc;

use super::Corpus;
use super::held::Named;
use super::probe::Probe;
use super::sentence::Sentence;
use crate::document::Naming;
use crate::error::{Error, Result};
use crate::grammar::{
    Digits, Lexicon, Mention, Says, SentenceBuffer, TextGrammar, TextRole, Wording, slots,
};
use crate::hash::{Divider, Key};
use crate::permutation::Permutation;
use crate::spec::CorpusSpec;
use crate::vocabulary::Token;
use crate::world::World;

pub use self::views::{BACKGROUND_ROLE, Span};

/// A lexicon applied to one world.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    lexicon: Arc<Lexicon>,
    wordings: Vec<Wording>,
    /// Maps a subject to its name, as a number among all names.
    names: Permutation,
    name_radices: Vec<Divider>,
    /// For each relation, links included: the relation whose objects a fact is about (`None` for a
    /// subject), and the relation of its object.
    about: Vec<Option<usize>>,
    objects: Vec<usize>,
    /// For each relation of a subject; all lists have the same length, padded with ones: relations
    /// change with every sentence, and so would the length of a loop over their lists.
    object_radices: Vec<Vec<Divider>>,
    class_key: Key,
    /// Upper ends of the hashes of each class; the last class has no end.
    class_ends: Vec<u64>,
    naming: Naming,
    joint_key: Key,
    share_joint: u64,
    /// For each pair of relations: whether a joint statement can state both.
    joins: Vec<bool>,
}

impl Text {
    pub(in crate::corpus) fn new(
        world: &World,
        spec: &CorpusSpec,
        lexicon: Arc<Lexicon>,
    ) -> Result<Self> {
        let grammar = lexicon.grammar();
        let relations = world.relations() as usize;
        let keys: Vec<&str> = grammar.relation_keys().collect();
        if relations != keys.len() {
            return Err(Error::argument(
                "relations",
                relations,
                format!(
                    "{}, as the grammar '{}' has: {}",
                    keys.len(),
                    grammar.name,
                    keys.join(", ")
                ),
            ));
        }
        let names = grammar.names();
        if world.subjects() > names {
            let allowed = format!(
                "up to {names}, as many as the grammar '{}' names",
                grammar.name
            );
            return Err(Error::argument("subjects", world.subjects(), allowed));
        }
        for (relation, key) in keys.iter().enumerate() {
            let own = grammar.objects(relation).unwrap_or(0);
            let objects = world.objects_of(relation as u32);
            if objects > own {
                let allowed = format!(
                    "up to {own}, as many as the grammar names for '{key}' \
                     (Grammar.world makes a world that fits)"
                );
                let error = Error::argument("objects", objects, allowed);
                return Err(error.within(relation).within("relations"));
            }
        }
        let composed: Vec<usize> = (0..relations)
            .filter(|&r| world.is_composed(r as u32))
            .collect();
        let links: Vec<usize> = world
            .links()
            .iter()
            .map(|link| link.composed as usize)
            .collect();
        let linked: Vec<(usize, usize)> = grammar.linked().collect();
        let agree = world
            .links()
            .iter()
            .map(|link| (link.composed as usize, link.of as usize));
        if !agree.eq(linked.iter().copied()) {
            return Err(Error::argument(
                "relations",
                format!("composed relations {composed:?}"),
                format!(
                    "{linked:?} (relation, of), as in the grammar '{}'",
                    grammar.name
                ),
            ));
        }
        let own = |radices: Vec<u64>| radices.into_iter().map(Divider::new).collect();
        let seed = world.seed();
        Ok(Text {
            wordings: wordings(&lexicon),
            names: Permutation::new(names, seed, "names", 0),
            name_radices: own(grammar.name_radices()),
            about: (0..relations)
                .map(|_| None)
                .chain(world.links().iter().map(|link| Some(link.of as usize)))
                .collect(),
            objects: (0..relations).chain(links).collect(),
            object_radices: even(grammar, relations),
            class_key: Key::new(seed, "class", 0),
            class_ends: grammar.class_ends(),
            naming: spec.documents.naming,
            joint_key: Key::new(seed, "joint", 0),
            joins: joint::joins(&lexicon),
            share_joint: crate::numbers::billionths(grammar.share_joint()),
            lexicon,
        })
    }

    pub(in crate::corpus) fn lexicon(&self) -> &Arc<Lexicon> {
        &self.lexicon
    }

    pub(in crate::corpus) fn wordings(&self) -> &[Wording] {
        &self.wordings
    }

    /// Returns the class of a subject, which other words agree with.
    #[inline(always)]
    fn class(&self, subject: u64) -> u32 {
        let hash = self.class_key.hash(subject);
        self.class_ends
            .iter()
            .map(|&end| u32::from(hash >= end))
            .sum()
    }

    /// Sets the digits of what a fact is about; returns its class.
    #[inline(always)]
    fn set_subject(&self, digits: &mut Digits, relation: u32, subject: u64, named: Named) -> u32 {
        let class = match self.about[relation as usize] {
            None => {
                let name = match named.subject == subject {
                    true => named.name,
                    false => self.names.apply(subject),
                };
                digits.set(slots::SUBJECT, name, &self.name_radices);
                self.class(subject)
            }
            Some(of) => {
                digits.set(slots::SUBJECT, subject, &self.object_radices[of]);
                0
            }
        };
        digits.set_class(class);
        class
    }

    #[inline(always)]
    fn set_object(&self, digits: &mut Digits, place: usize, relation: u32, object: u32) {
        let radices = &self.object_radices[self.objects[relation as usize]];
        digits.set(slots::of_object(place), u64::from(object), radices);
    }

    /// Returns the plan and the digits of a sentence that stands alone.
    #[inline(always)]
    pub(in crate::corpus) fn alone(&self, sentence: &Sentence, mention: Mention) -> (u32, Digits) {
        let mut digits = Digits::default();
        let relation = sentence.relation;
        let class = self.set_subject(&mut digits, relation, sentence.subject, Named::NONE);
        self.set_object(&mut digits, 0, relation, sentence.object);
        let plan = self
            .lexicon
            .plan(relation, sentence.wording, class, mention);
        (plan, digits)
    }

    /// Writes a sentence that stands alone, without an end of the document, to the front of `out`,
    /// which must have room for it and a chunk; returns the number of its tokens.
    pub(in crate::corpus) fn write_alone<T: Token>(
        &self,
        sentence: &Sentence,
        mention: Mention,
        lines: &mut SentenceBuffer,
        out: &mut [T],
    ) -> usize {
        let (plan, digits) = self.alone(sentence, mention);
        lines.push(&self.lexicon, plan, &digits);
        lines.write(&self.lexicon, out)
    }

    /// Calls `each` for every written sentence of a document: those of a joint statement form one
    /// group. `sentences` includes those of omitted facts, so that a twin joins what its parent
    /// joins.
    pub(in crate::corpus) fn for_each(
        &self,
        sentences: &[Sentence],
        named: Named,
        corpus: &Corpus,
        mut each: impl FnMut(u32, &Digits, &[Sentence]),
    ) {
        let mut digits = Digits::default();
        let mut subject = None;
        let mut class = 0;
        let mut is_first = true;
        let mut at = 0;
        while at < sentences.len() {
            let sentence = &sentences[at];
            let (facts, joint) = self.joint(&sentences[at..], corpus);
            let group = &sentences[at..at + facts];
            at += facts;
            let left_out = match &corpus.without {
                None => 0,
                Some(_) => group.iter().filter(|s| corpus.is_left_out(s.fact)).count(),
            };
            if left_out == facts {
                continue;
            }
            let about = (self.about[sentence.relation as usize], sentence.subject);
            let is_further = subject != Some(about);
            if is_further {
                class = self.set_subject(&mut digits, sentence.relation, sentence.subject, named);
                subject = Some(about);
            }
            let mut mention = if is_first {
                Mention::First
            } else if is_further {
                Mention::Further
            } else if self.naming == Naming::Always {
                Mention::Named
            } else {
                Mention::Pronoun
            };
            is_first = false;
            match joint {
                Some((joint, number)) if left_out == 0 => {
                    let of = &self.lexicon.joints()[joint].relations;
                    for sentence in group {
                        let place = of.iter().position(|&r| r == sentence.relation);
                        let place = place.expect("a joint statement says these relations");
                        self.set_object(&mut digits, place, sentence.relation, sentence.object);
                    }
                    let plan = self.lexicon.joint_plan(joint, number, class, mention);
                    each(plan, &digits, group);
                }
                // If a twin omits part of a joint statement, it writes the rest one by one.
                _ => {
                    for sentence in group.iter().filter(|s| !corpus.is_left_out(s.fact)) {
                        self.set_object(&mut digits, 0, sentence.relation, sentence.object);
                        let (relation, wording) = (sentence.relation, sentence.wording);
                        let plan = self.lexicon.plan(relation, wording, class, mention);
                        each(plan, &digits, std::slice::from_ref(sentence));
                        mention = match self.naming {
                            Naming::Always => Mention::Named,
                            Naming::First => Mention::Pronoun,
                        };
                    }
                }
            }
        }
    }

    /// Returns the prompt and the answer of a fact in a wording, and what follows the answer;
    /// `None` if the relation has no such sentence or it names its object before its subject.
    pub(in crate::corpus) fn probe(&self, sentence: &Sentence) -> Option<Probe> {
        if !self.lexicon.has(sentence.relation, sentence.wording) {
            return None;
        }
        let (plan, digits) = self.alone(sentence, Mention::First);
        self.cut(plan, &digits, TextRole::Object(0))
    }

    /// Returns this text with other tokens in the same positions.
    fn with_lexicon(&self, lexicon: Lexicon) -> Text {
        Text {
            lexicon: Arc::new(lexicon),
            ..self.clone()
        }
    }
}

/// Returns the lengths of the lists that objects are products of, padded to the same number of
/// lists in each relation.
fn even(grammar: &TextGrammar, relations: usize) -> Vec<Vec<Divider>> {
    let mut radices: Vec<Vec<u64>> = (0..relations).map(|r| grammar.object_radices(r)).collect();
    let most = radices.iter().map(Vec::len).max().unwrap_or(0);
    for own in &mut radices {
        own.resize(most, 1);
    }
    let dividers = |own: Vec<u64>| own.into_iter().map(Divider::new).collect();
    radices.into_iter().map(dividers).collect()
}

/// Converts the columns of a lexicon to wordings of a corpus.
fn wordings(lexicon: &Lexicon) -> Vec<Wording> {
    let columns = lexicon.columns().iter().enumerate();
    columns
        .map(|(at, column)| {
            let relations = lexicon.relations() as u32;
            let share = |relation| {
                let own = lexicon.sentences(relation, column.says);
                let sum: f64 = own.iter().map(|&(_, weight)| weight).sum();
                let weight = own.iter().find(|&&(c, _)| c == at).map_or(0.0, |&(_, w)| w);
                if sum > 0.0 { weight / sum } else { 0.0 }
            };
            let mean = (0..relations).map(share).sum::<f64>() / f64::from(relations);
            Wording::of_text(
                column.says == Says::Question,
                column.number,
                column.held_out,
                mean,
            )
        })
        .collect()
}

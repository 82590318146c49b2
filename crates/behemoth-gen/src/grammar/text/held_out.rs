//! Held-out sentences are probes that no corpus contains.

use std::collections::HashMap;

use super::expand::{About, Content, Expansion, Mention, Segment, TextRole};
use super::file::{Kind, Relation, Sentence, TextGrammar};
use super::pattern::Pattern;
use crate::error::{Error, Result};

/// What a sentence about a class of subjects, by its index, says before the object.
type Prompt = (usize, Vec<Segment>);

impl TextGrammar {
    /// Refuses a held-out sentence that equals a written one up to the object: a probe ends with
    /// the object, so corpora would contain it.
    pub(super) fn check_held_out(&self) -> Result<()> {
        // Names that are the same at the beginning of a sentence as within it.
        let is_capital = |word: &String| {
            let first = word.chars().next();
            first.is_none_or(|letter| letter.to_uppercase().eq([letter]))
        };
        let lists = self.lists.iter();
        let prompts = Prompts {
            grammar: self,
            capital: lists
                .map(|list| list.words.iter().all(is_capital))
                .collect(),
        };
        let classes = self.subjects();
        for (at, relation) in self.relations.iter().enumerate() {
            let own = [&relation.statements, &relation.questions];
            prompts
                .check(relation, &classes, own, prompts.of_joints(at, &classes))
                .map_err(|e| e.within(relation.key.as_str()).within("relations"))?;
            if let (Some(link), Kind::Composed { of }) = (&relation.link, relation.kind) {
                let of = &self.relations[of];
                let about = [About::Object { link, of }];
                let own = [&link.statements, &link.questions];
                let checked = prompts.check(relation, &about, own, HashMap::new());
                checked.map_err(|e| {
                    let within = e.within("link").within(relation.key.as_str());
                    within.within("relations")
                })?;
            }
        }
        Ok(())
    }
}

struct Prompts<'a> {
    grammar: &'a TextGrammar,
    /// Whether all words of a list begin with a capital letter, or with none.
    capital: Vec<bool>,
}

impl Prompts<'_> {
    /// Refuses held-out statements and questions with a prompt of the written ones, or with one in
    /// `said`, the prompts of other statements with the places of these.
    fn check(
        &self,
        relation: &Relation,
        abouts: &[About<'_>],
        [statements, questions]: [&Vec<Sentence>; 2],
        said: HashMap<Prompt, String>,
    ) -> Result<()> {
        let objects = [("object", &relation.objects)];
        for (name, sentences, answer, mut said) in [
            ("statements", statements, None, said),
            (
                "questions",
                questions,
                Some(&relation.answer),
                HashMap::new(),
            ),
        ] {
            if sentences.iter().all(|sentence| !sentence.held_out) {
                continue;
            }
            let prompts = |sentence| self.of(sentence, answer, abouts, &objects, &relation.name);
            for (at, sentence) in sentences.iter().enumerate().filter(|(_, s)| !s.held_out) {
                for (prompt, _) in prompts(sentence) {
                    said.entry(prompt)
                        .or_insert_with(|| format!("{name}[{at}]"));
                }
            }
            for (at, sentence) in sentences.iter().enumerate().filter(|(_, s)| s.held_out) {
                let mut own = prompts(sentence).into_iter();
                if let Some(first) = own.find_map(|(prompt, _)| said.get(&prompt)) {
                    let got = format!("the words of {first} up to the object");
                    let allowed = "a held-out sentence with words of its own up to there, where \
                                   probes end";
                    return Err(Error::argument(at, got, allowed).within(name));
                }
            }
        }
        Ok(())
    }

    /// Returns the prompts of the joint statements that begin with the object of a relation.
    fn of_joints(&self, relation: usize, abouts: &[About<'_>]) -> HashMap<Prompt, String> {
        let mut said = HashMap::new();
        for (number, joint) in self.grammar.joints.iter().enumerate() {
            if !joint.relations.contains(&relation) {
                continue;
            }
            let objects = self.grammar.objects_of(joint);
            for (at, sentence) in joint.statements.iter().enumerate() {
                if sentence.held_out {
                    continue; // never written
                }
                for (prompt, place) in self.of(sentence, None, abouts, &objects, "") {
                    if joint.relations[usize::from(place)] == relation {
                        let name = || format!("joint[{number}].statements[{at}]");
                        said.entry(prompt).or_insert_with(name);
                    }
                }
            }
        }
        said
    }

    /// Returns the prompts of a sentence, of which none has no subject, and the place of the object
    /// after each.
    fn of(
        &self,
        sentence: &Sentence,
        answer: Option<&Pattern>,
        abouts: &[About<'_>],
        objects: &[(&str, &Pattern)],
        relation: &str,
    ) -> Vec<(Prompt, u8)> {
        let of_class = |(class, &about): (usize, &About<'_>)| {
            let expansion = Expansion {
                grammar: self.grammar,
                about,
                mention: Mention::First, // as in a probe
                objects: objects.to_vec(),
                relation,
            };
            let mut segments = expansion.sentence(&sentence.text, answer);
            let is_object = |segment: &Segment| match segment.role {
                TextRole::Object(place) => Some(place),
                _ => None,
            };
            let (end, place) = (segments.iter().enumerate())
                .find_map(|(at, segment)| is_object(segment).map(|place| (at, place)))?;
            segments.truncate(end);
            for segment in &mut segments {
                if let Content::Word {
                    list, is_capital, ..
                } = &mut segment.content
                {
                    *is_capital &= self.capital.get(*list) == Some(&false);
                }
            }
            let is_named = segments.iter().any(|s| s.role == TextRole::Subject);
            is_named.then_some(((class, segments), place))
        };
        abouts.iter().enumerate().filter_map(of_class).collect()
    }
}

//! Descriptions of a grammar and its ambiguities.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::expand::{About, Content, Expansion, Mention, Segment, TextRole};
use super::file::{Class, Kind, Relation, Sentence, TextGrammar};
use super::pattern::{Part, Pattern};
use crate::error::{Error, Result};

/// Maximum number of names or objects that are searched for ambiguities.
const LOOKED_THROUGH: u64 = 1 << 20;

/// Maximum number of reported ambiguities of one kind.
const TOLD: usize = 5;

impl TextGrammar {
    /// Describes the grammar: names, classes, and each relation with its numbers of sentences.
    #[cfg_attr(not(feature = "python"), allow(dead_code))]
    pub(crate) fn facts(&self) -> Value {
        let relations: Vec<Value> = self
            .relations
            .iter()
            .map(|r| self.relation_facts(r))
            .collect();
        let classes: Vec<Value> = self
            .subject
            .classes
            .iter()
            .map(|class| json!({"name": class.key, "weight": class.weight}))
            .collect();
        let joints: Vec<Value> = self
            .joints
            .iter()
            .map(|joint| {
                let keys = joint
                    .relations
                    .iter()
                    .map(|&at| self.relations[at].key.as_str());
                json!({
                    "relations": keys.collect::<Vec<_>>(),
                    "statements": written(&joint.statements),
                })
            })
            .collect();
        json!({
            "name": self.name,
            "language": self.language,
            "about": self.about,
            "digest": self.digest,
            "names": self.names(),
            "forms": self.forms(),
            "separator": self.layout.separator,
            "classes": classes,
            "relations": relations,
            "joint": joints,
        })
    }

    /// Returns the number of sentences that differ in more than names and objects: by wording, by
    /// class, and by whether the subject is named.
    fn forms(&self) -> usize {
        let mut forms: HashSet<Vec<Segment>> = HashSet::new();
        let subjects = self.subjects();
        for relation in &self.relations {
            let objects = [("object", &relation.objects)];
            let answer = Some(&relation.answer);
            let mut add = |abouts: &[About<'_>], sentences: &[Sentence], answer| {
                self.add_forms(
                    &mut forms,
                    abouts,
                    sentences,
                    answer,
                    &objects,
                    &relation.name,
                );
            };
            add(&subjects, &relation.statements, None);
            add(&subjects, &relation.questions, answer);
            if let (Some(link), Kind::Composed { of }) = (&relation.link, relation.kind) {
                let of = &self.relations[of];
                let about = [About::Object { link, of }];
                add(&about, &link.statements, None);
                add(&about, &link.questions, answer);
            }
        }
        for joint in &self.joints {
            let objects = self.objects_of(joint);
            self.add_forms(&mut forms, &subjects, &joint.statements, None, &objects, "");
        }
        forms.len()
    }

    fn add_forms(
        &self,
        forms: &mut HashSet<Vec<Segment>>,
        abouts: &[About<'_>],
        sentences: &[Sentence],
        answer: Option<&Pattern>,
        objects: &[(&str, &Pattern)],
        relation: &str,
    ) {
        for sentence in sentences.iter().filter(|sentence| !sentence.held_out) {
            for &about in abouts {
                for mention in [Mention::Named, Mention::Pronoun] {
                    let expansion = Expansion {
                        grammar: self,
                        about,
                        mention,
                        objects: objects.to_vec(),
                        relation,
                    };
                    let mut form = expansion.sentence(&sentence.text, answer);
                    for segment in &mut form {
                        // The lists that a class uses for names do not make a different form.
                        if let (TextRole::Subject, Content::Word { list, .. }) =
                            (segment.role, &mut segment.content)
                        {
                            *list = 0;
                        }
                    }
                    forms.insert(form);
                }
            }
        }
    }

    fn relation_facts(&self, relation: &Relation) -> Value {
        let key_of = |at: usize| self.relations[at].key.as_str();
        let (kind, of) = match relation.kind {
            Kind::Independent => ("independent", None),
            Kind::Zipf { .. } => ("zipf", None),
            Kind::Composed { of } => ("composed", Some(key_of(of))),
            Kind::Correlated { with, .. } => ("correlated", Some(key_of(with))),
            Kind::OneToOne => ("one_to_one", None),
        };
        json!({
            "key": relation.key,
            "name": relation.name,
            "kind": kind,
            "of": of,
            "objects": self.count(&relation.objects, None),
            "statements": written(&relation.statements),
            "held_out_statements": relation.statements.len() - written(&relation.statements),
            "questions": written(&relation.questions),
            "held_out_questions": relation.questions.len() - written(&relation.questions),
            "edits": relation.edits.len(),
            "refuses": relation.refusal.is_some() || self.refusal.is_some(),
            "link_statements": relation.link.as_ref().map(|link| written(&link.statements)),
        })
    }

    /// Returns objects of a relation as text, without adjacent text.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] if the relation or an object does not exist.
    pub fn object_texts(&self, relation: usize, objects: &[u32]) -> Result<Vec<String>> {
        let Some(own) = self.relations.get(relation) else {
            let allowed = format!("relations below {}", self.relations.len());
            return Err(Error::argument("relation", relation, allowed));
        };
        let count = self.count(&own.objects, None);
        objects
            .iter()
            .map(|&object| {
                if u64::from(object) >= count {
                    let allowed = format!("objects below {count}");
                    return Err(Error::argument("objects", object, allowed));
                }
                Ok(self.filled(&own.objects, None, u64::from(object)))
            })
            .collect()
    }

    /// Fills a pattern of lists with the words of a number.
    fn filled(&self, pattern: &Pattern, class: Option<&Class>, number: u64) -> String {
        let lists: Vec<&[String]> = pattern
            .holes()
            .filter_map(|hole| self.list_of(hole, class))
            .map(|(_, list)| &list.words[..])
            .collect();
        let mut rest = number;
        let mut words: Vec<&str> = Vec::new();
        for list in lists.iter().rev() {
            words.push(&list[(rest % list.len() as u64) as usize]);
            rest /= list.len() as u64;
        }
        let mut text = String::new();
        for part in &pattern.parts {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Hole(_) => text.push_str(words.pop().unwrap_or_default()),
            }
        }
        text
    }

    /// Returns the ambiguities of the grammar, one line each: facts with the same text, and answers
    /// that are the beginning of another answer.
    ///
    /// `compared` is called for every name and object that was compared; an error that it returns,
    /// such as [`Error::Cancelled`], ends the search.
    ///
    /// # Errors
    ///
    /// Returns the error of `compared`.
    pub fn ambiguities(&self, mut compared: impl FnMut() -> Result<()>) -> Result<Vec<String>> {
        let mut found = self.ambiguous_names(&mut compared)?;
        for relation in &self.relations {
            found.extend(self.ambiguous_objects(relation, &mut compared)?);
        }
        found.extend(self.ambiguous_statements());
        Ok(found)
    }

    /// Returns the names that two subjects may have.
    fn ambiguous_names(&self, mut compared: impl FnMut() -> Result<()>) -> Result<Vec<String>> {
        let name = &self.subject.name;
        if self.names() > LOOKED_THROUGH {
            return Ok(Vec::new());
        }
        // Digests and not the texts, which may be long: a million of them would fill the memory.
        let mut seen: HashMap<Digest, u64> = HashMap::new();
        let mut found = Vec::new();
        for class in &self.subject.classes {
            for number in 0..self.names() {
                compared()?;
                let text = self.filled(name, Some(class), number);
                if *seen.entry(digest(&text)).or_insert(number) != number {
                    found.push(format!("subject: two subjects may be called {text:?}"));
                }
                if found.len() == TOLD {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }

    /// Returns the objects that are written alike, and those that are the beginning of another.
    fn ambiguous_objects(
        &self,
        relation: &Relation,
        mut compared: impl FnMut() -> Result<()>,
    ) -> Result<Vec<String>> {
        let count = self.count(&relation.objects, None);
        if count > LOOKED_THROUGH {
            return Ok(Vec::new());
        }
        // Digests here too. They are sorted, which takes less memory than a set.
        let mut all: Vec<Digest> = Vec::with_capacity(count as usize);
        for object in 0..count {
            compared()?;
            all.push(digest(&self.filled(&relation.objects, None, object)));
        }
        all.sort_unstable();
        let has = |text: &str| all.binary_search(&digest(text)).is_ok();
        let twice = all.windows(2).filter(|pair| pair[0] == pair[1]);
        let mut twice: HashSet<Digest> = twice.map(|pair| pair[0]).collect();
        let mut found = Vec::new();
        for object in 0..count {
            compared()?;
            let text = self.filled(&relation.objects, None, object);
            let mut tell = |told: String| {
                found.push(format!("relations.{}: {told}", relation.key));
                found.len() == TOLD
            };
            if twice.remove(&digest(&text)) && tell(format!("two objects are written {text:?}")) {
                return Ok(found);
            }
            let ends = text
                .char_indices()
                .filter(|(_, next)| !next.is_alphanumeric());
            for start in ends.map(|(end, _)| &text[..end]).filter(|start| has(start)) {
                if tell(format!("the answer {start:?} is the beginning of {text:?}")) {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }

    /// Returns statements of two relations that are equal for equal objects.
    fn ambiguous_statements(&self) -> Vec<String> {
        let mut seen: HashMap<String, &str> = HashMap::new();
        let mut found = Vec::new();
        for relation in &self.relations {
            for sentence in &relation.statements {
                let parts = sentence.text.parts.iter().map(|part| match part {
                    Part::Text(text) => text.clone(),
                    Part::Hole(hole) if hole.name == "object" => format!("{:?}", relation.objects),
                    Part::Hole(hole) if hole.name == "relation" => relation.name.clone(),
                    Part::Hole(hole) => format!("{hole:?}"),
                });
                if let Some(other) = seen.insert(parts.collect(), &relation.key) {
                    found.push(format!(
                        "relations.{}: a statement reads as one of relations.{other}, with the \
                         same objects",
                        relation.key
                    ));
                    if found.len() == TOLD {
                        return found;
                    }
                }
            }
        }
        found
    }
}

/// The first half of the hash of a text, which is as unlikely to be that of another one.
type Digest = [u8; 16];

fn digest(text: &str) -> Digest {
    let mut digest = Digest::default();
    blake3::Hasher::new()
        .update(text.as_bytes())
        .finalize_xof()
        .fill(&mut digest);
    digest
}

fn written(sentences: &[Sentence]) -> usize {
    sentences
        .iter()
        .filter(|sentence| !sentence.held_out)
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "name = \"some\"\n[lists]\nwho = [\"Ann\", \"Bea\"]\n\
        one = [\"A\", \"A-B\"]\ntwo = [\"B-C\", \"C\", \"C D\"]\n\
        [subject]\nname = \"{who}\"\n\
        [subject.classes.she]\npronoun = \"she\"\npossessive = \"her\"\n\
        [relations.city]\nobjects = \"{one}-{two}\"\n\
        statements = [\"{subject} lives in {object}.\"]\n";

    #[test]
    fn objects_are_compared_and_the_comparison_can_be_stopped() {
        let grammar = TextGrammar::from_toml("some.toml", TEXT).unwrap();
        let mut compared = 0;
        let found = grammar.ambiguities(|| {
            compared += 1;
            Ok(())
        });
        assert_eq!(
            found.unwrap(),
            [
                "relations.city: two objects are written \"A-B-C\"",
                "relations.city: the answer \"A-C\" is the beginning of \"A-C D\"",
                "relations.city: the answer \"A-B-C\" is the beginning of \"A-B-C D\"",
            ]
        );
        // The names, and each object twice.
        assert_eq!(compared, 2 + 2 * 6);
        let mut left = 3;
        let stopped = grammar.ambiguities(|| {
            left -= 1;
            if left > 0 {
                Ok(())
            } else {
                Err(Error::Cancelled)
            }
        });
        assert!(matches!(stopped, Err(Error::Cancelled)), "{stopped:?}");
    }

    #[test]
    fn of_many_like_statements_the_first_are_told() {
        let mut text = TEXT.to_string();
        for relation in 0..2 * TOLD {
            text += &format!(
                "[relations.r{relation}]\nobjects = \"{{one}}-{{two}}\"\n\
                 statements = [\"{{subject}} lives in {{object}}.\"]\n"
            );
        }
        let grammar = TextGrammar::from_toml("some.toml", &text).unwrap();
        assert_eq!(grammar.ambiguous_statements().len(), TOLD);
    }
}

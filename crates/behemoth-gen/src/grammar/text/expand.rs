//! Expansion of a sentence in one context to segments: text, and lists with the digit that selects
//! a word.

use super::file::{Class, Joint, Link, Relation, TextGrammar};
use super::pattern::{Hole, Part, Pattern, cased};
use super::slots;

/// A part of a sentence.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Segment {
    pub content: Content,
    pub role: TextRole,
}

/// The content of a part of a sentence.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Content {
    Text(String),
    /// The word of a list that is selected by a digit.
    Word {
        list: usize,
        is_capital: bool,
        slot: u8,
    },
}

/// The role of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TextRole {
    /// Words of the grammar.
    Grammar,
    /// The name of the subject; a pronoun has the role `Grammar`.
    Subject,
    /// The object of the fact with this index among those of the sentence.
    Object(u8),
}

impl TextRole {
    /// Returns the role as a number: 0 for the grammar, 1 for the subject, 2 for an object.
    pub const fn code(self) -> u32 {
        match self {
            TextRole::Grammar => 0,
            TextRole::Subject => 1,
            TextRole::Object(_) => 2,
        }
    }
}

/// The context of a sentence, which decides how the subject is named and the separator before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mention {
    /// At the beginning of a document.
    First,
    /// Later, with the full name: the first sentence of a further subject.
    Further,
    /// Later, with the full name again.
    Named,
    /// Later, with the pronoun.
    Pronoun,
}

impl Mention {
    pub(crate) const ALL: [Mention; 4] = [
        Mention::First,
        Mention::Further,
        Mention::Named,
        Mention::Pronoun,
    ];
}

/// What a sentence is about: a subject, or the object of a relation.
#[derive(Clone, Copy)]
pub(super) enum About<'a> {
    Subject(&'a Class),
    Object { link: &'a Link, of: &'a Relation },
}

impl TextGrammar {
    /// Returns what its sentences about subjects are about: each class, in order.
    pub(super) fn subjects(&self) -> Vec<About<'_>> {
        self.subject.classes.iter().map(About::Subject).collect()
    }

    /// Returns the objects in the sentences of a joint: the hole and the pattern of lists.
    pub(super) fn objects_of(&self, joint: &Joint) -> Vec<(&str, &Pattern)> {
        let own = joint.relations.iter().map(|&at| &self.relations[at]);
        own.map(|relation| (relation.key.as_str(), &relation.objects))
            .collect()
    }
}

/// An expansion of the sentences of one grammar in one context.
pub(super) struct Expansion<'a> {
    pub grammar: &'a TextGrammar,
    pub about: About<'a>,
    pub mention: Mention,
    /// The objects in the sentence: the hole and the pattern of lists.
    pub objects: Vec<(&'a str, &'a Pattern)>,
    /// Text of `{relation}`.
    pub relation: &'a str,
}

impl Expansion<'_> {
    /// Expands a statement, or a question with its answer.
    pub(super) fn sentence(&self, text: &Pattern, answer: Option<&Pattern>) -> Vec<Segment> {
        let mut writing = self.begin();
        let Some(answer) = answer else {
            writing.pattern(text);
            return writing.segments;
        };
        for part in &self.grammar.question_form.parts {
            match part {
                Part::Text(text) => writing.text(text),
                Part::Hole(hole) if hole.name == "question" => writing.pattern(text),
                Part::Hole(_) => writing.pattern(answer),
            }
        }
        writing.segments
    }

    /// Expands a question and its answer separately, without the form that joins them.
    pub(super) fn apart(&self, question: &Pattern, answer: &Pattern) -> [Vec<Segment>; 2] {
        let mut writing = self.begin();
        writing.pattern(question);
        let question = std::mem::take(&mut writing.segments);
        writing.pattern(answer);
        [question, writing.segments]
    }

    fn begin(&self) -> Writing<'_> {
        let layout = &self.grammar.layout;
        let mut writing = Writing {
            expansion: self,
            is_named: self.mention == Mention::Pronoun,
            was_pronoun: self.mention == Mention::Pronoun,
            segments: Vec::new(),
        };
        match self.mention {
            Mention::First => {}
            Mention::Further => writing.text(&layout.subject_separator),
            Mention::Named | Mention::Pronoun => writing.text(&layout.separator),
        }
        writing
    }

    fn class(&self) -> &Class {
        match self.about {
            About::Subject(class) => class,
            About::Object { link, .. } => &link.class,
        }
    }
}

struct Writing<'a> {
    expansion: &'a Expansion<'a>,
    /// Whether the subject was mentioned in this document.
    is_named: bool,
    /// Whether its last mention was a pronoun.
    was_pronoun: bool,
    segments: Vec<Segment>,
}

impl Writing<'_> {
    fn text(&mut self, text: &str) {
        self.text_of(text, TextRole::Grammar);
    }

    fn text_of(&mut self, text: &str, role: TextRole) {
        if let Some(last) = self.segments.last_mut()
            && last.role == role
            && let Content::Text(last) = &mut last.content
        {
            last.push_str(text);
        } else if !text.is_empty() {
            self.segments.push(Segment {
                content: Content::Text(text.to_string()),
                role,
            });
        }
    }

    fn pattern(&mut self, pattern: &Pattern) {
        for part in &pattern.parts {
            match part {
                Part::Text(text) => self.text(text),
                Part::Hole(hole) => self.hole(hole),
            }
        }
    }

    fn hole(&mut self, hole: &Hole) {
        let expansion = self.expansion;
        let object = expansion
            .objects
            .iter()
            .position(|&(name, _)| name == hole.name);
        if let Some(place) = object {
            let (_, pattern) = expansion.objects[place];
            let first = slots::of_object(place);
            self.words(
                pattern,
                None,
                first,
                TextRole::Object(place as u8),
                hole.is_capital,
            );
            return;
        }
        match hole.name.as_str() {
            "relation" => self.text(&cased(expansion.relation, hole.is_capital)),
            "subject" => self.name(hole.is_capital),
            "pronoun" if !self.is_named => self.name(hole.is_capital),
            "possessive" if !self.is_named => {
                let possessive = &expansion.grammar.subject.possessive;
                let mut is_capital = hole.is_capital;
                for part in &possessive.parts {
                    match part {
                        Part::Text(text) => self.text(&cased(text, is_capital)),
                        Part::Hole(_) => self.name(is_capital),
                    }
                    is_capital = false;
                }
            }
            name => {
                if name == "pronoun" || name == "possessive" {
                    self.was_pronoun = true;
                }
                // Every class has every form, as was checked.
                let form = expansion.class().forms.get(name);
                let text = form.map_or("", |form| {
                    if self.was_pronoun {
                        &form.after_pronoun
                    } else {
                        &form.after_name
                    }
                });
                self.text(&cased(text, hole.is_capital));
            }
        }
    }

    fn name(&mut self, is_capital: bool) {
        let (pattern, class) = match self.expansion.about {
            About::Subject(class) => (&self.expansion.grammar.subject.name, Some(class)),
            About::Object { of, .. } => (&of.objects, None),
        };
        self.words(
            pattern,
            class,
            slots::SUBJECT,
            TextRole::Subject,
            is_capital,
        );
        self.is_named = true;
        self.was_pronoun = false;
    }

    fn words(
        &mut self,
        pattern: &Pattern,
        class: Option<&Class>,
        first: u8,
        role: TextRole,
        is_capital: bool,
    ) {
        let mut slot = first;
        for (at, part) in pattern.parts.iter().enumerate() {
            let is_capital = at == 0 && is_capital;
            match part {
                Part::Text(text) => self.text_of(&cased(text, is_capital), role),
                Part::Hole(digit) => {
                    let found = self.expansion.grammar.list_of(digit, class);
                    let content = Content::Word {
                        list: found.map_or(0, |(at, _)| at),
                        is_capital,
                        slot,
                    };
                    self.segments.push(Segment { content, role });
                    slot += 1;
                }
            }
        }
    }
}

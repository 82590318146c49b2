//! A sentence in one context, as segments: text, and lists that a digit chooses from.

use super::file::{Class, Link, Relation, TextGrammar};
use super::pattern::{Hole, Part, Pattern, capitalised};
use super::slots;

/// A part of a sentence.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Segment {
    pub content: Content,
    pub role: TextRole,
}

/// What a part of a sentence is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Content {
    Text(String),
    /// The word of a list that a digit says.
    Word {
        list: usize,
        is_capital: bool,
        slot: u8,
    },
}

/// What a token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TextRole {
    /// Words of the grammar.
    Grammar,
    /// The name of the subject; a pronoun is grammar.
    Subject,
    /// The object of the fact with this place among those of the sentence.
    Object(u8),
}

impl TextRole {
    /// As a number: 0 of the grammar, 1 of the subject, 2 of the object.
    pub const fn code(self) -> u32 {
        match self {
            TextRole::Grammar => 0,
            TextRole::Subject => 1,
            TextRole::Object(_) => 2,
        }
    }
}

/// Where a sentence stands: it decides how the subject is called, and what stands before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mention {
    /// At the beginning of a document.
    First,
    /// Later, by the full name: the first sentence of a further subject.
    Further,
    /// Later, by the full name again.
    Named,
    /// Later, by the pronoun.
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

/// Who a sentence is about: a subject, or the object of a relation.
#[derive(Clone, Copy)]
pub(super) enum About<'a> {
    Subject(&'a Class),
    Object { link: &'a Link, of: &'a Relation },
}

/// Expands the sentences of one grammar.
pub(super) struct Expansion<'a> {
    pub grammar: &'a TextGrammar,
    pub about: About<'a>,
    pub mention: Mention,
    /// The objects that the sentence says: the hole, and the pattern of lists.
    pub objects: Vec<(&'a str, &'a Pattern)>,
    /// What `{relation}` is.
    pub relation: &'a str,
}

impl Expansion<'_> {
    /// A statement.
    pub(super) fn statement(&self, text: &Pattern) -> Vec<Segment> {
        let mut writing = self.begin();
        writing.pattern(text);
        writing.segments
    }

    /// A question with its answer.
    pub(super) fn question(&self, question: &Pattern, answer: &Pattern) -> Vec<Segment> {
        let mut writing = self.begin();
        for part in &self.grammar.question_form.parts {
            match part {
                Part::Text(text) => writing.text(text),
                Part::Hole(hole) if hole.name == "question" => writing.pattern(question),
                Part::Hole(_) => writing.pattern(answer),
            }
        }
        writing.segments
    }

    /// A question and its answer apart, without the form that joins them.
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
            "relation" => {
                let name = expansion.relation;
                let name = if hole.is_capital {
                    capitalised(name)
                } else {
                    name.to_string()
                };
                self.text(&name);
            }
            "subject" => self.name(hole.is_capital),
            "pronoun" if !self.is_named => self.name(hole.is_capital),
            "possessive" if !self.is_named => {
                let possessive = &expansion.grammar.subject.possessive;
                let mut is_capital = hole.is_capital;
                for part in &possessive.parts {
                    match part {
                        Part::Text(text) if is_capital => self.text(&capitalised(text)),
                        Part::Text(text) => self.text(text),
                        Part::Hole(_) => self.name(is_capital),
                    }
                    is_capital = false;
                }
            }
            name => {
                if name == "pronoun" || name == "possessive" {
                    self.was_pronoun = true;
                }
                // Every class has every form: the grammar was checked.
                let form = expansion.class().forms.get(name);
                let text = form.map_or("", |form| {
                    if self.was_pronoun {
                        &form.after_pronoun
                    } else {
                        &form.after_name
                    }
                });
                let text = if hole.is_capital {
                    capitalised(text)
                } else {
                    text.to_string()
                };
                self.text(&text);
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
                Part::Text(text) if is_capital => self.text_of(&capitalised(text), role),
                Part::Text(text) => self.text_of(text, role),
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

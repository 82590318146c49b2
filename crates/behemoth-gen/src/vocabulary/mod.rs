//! The partition of token ids, and words.
//!
//! Ids are cut into ranges: special tokens, markers, the fillers of the grammar, then the digits
//! of subjects, relations, objects (a range for each relation) and nested objects, and last the
//! fillers whose number a spec may change. Each digit position of a word has its own range, so
//! the role of a token, and with it the answer in a sentence, is known from its id.

mod builder;
mod range;
mod word;

use serde::Serialize;

use self::builder::Builder;
use crate::error::{Error, Result};

pub use self::range::{Range, Role};
pub use self::word::{Token, Word};

/// End of document.
pub const END_OF_SEQUENCE: u32 = 0;
/// Padding; never written.
pub const PADDING: u32 = 1;
/// End of sentence.
pub const PERIOD: u32 = 2;

const SPECIAL: [&str; 3] = ["<|endoftext|>", "<|padding|>", "."];
const MARKERS: [&str; 5] = ["subject", "relation", "object", "question:", "answer:"];
/// The fillers of the templates, named so that a decoded sentence reads as English.
const FILLERS: [&str; 16] = [
    "has",
    "the",
    "with",
    "for",
    "its",
    "is",
    "of",
    "'s",
    "The",
    "what",
    "does",
    "have",
    "?",
    "~subject",
    "~relation",
    "~object",
];

/// Markers by their role.
pub(crate) mod marker {
    pub const SUBJECT: u32 = 3;
    pub const RELATION: u32 = 4;
    pub const OBJECT: u32 = 5;
    pub const QUESTION: u32 = 6;
    pub const ANSWER: u32 = 7;
}

/// All token ids of a corpus.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    size: u64,
    base: u64,
    ranges: Vec<Range>,
    /// None where the tokens are those of a tokenizer.
    subject: Option<Word>,
    relation: Option<Word>,
    /// By relation of a subject.
    objects: Vec<Word>,
    end: u32,
    paraphrases: u32,
    nonsense: u32,
    /// Fillers that the list does not have, and the first of their ids.
    others: Vec<&'static str>,
    first_other: u32,
}

/// What a vocabulary has to name.
pub(crate) struct Things<'a> {
    /// Radix of words.
    pub base: u64,
    /// Whether words have the lengths that the reference gives them.
    pub reference_words: bool,
    /// Kinds of things that have names.
    pub named: Named,
    pub subjects: u64,
    /// Number of objects of each relation of a subject, and whether they are nested objects.
    pub objects: &'a [(u64, bool)],
    /// Link relations.
    pub links: u64,
    /// Wordings beyond the first of all templates that are written.
    pub wordings: u64,
    /// Random fillers of all wordings; 0 where no template has such.
    pub nonsense_words: u64,
    /// The fillers that templates name.
    pub fillers: Vec<&'static str>,
    /// Words of documents that say no fact; their ids come last.
    pub words: &'a [String],
}

/// Kinds of things whose words are names: one token each, whatever the base.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Named {
    pub subjects: bool,
    pub relations: bool,
    pub objects: bool,
    pub nested: bool,
}

/// Fillers of its own that each wording of each template has.
pub(crate) const WORDING_FILLERS: u32 = 4;

impl Vocabulary {
    /// Partitions the ids.
    pub(crate) fn new(things: &Things<'_>) -> Result<Self> {
        let mut builder = Builder {
            ranges: Vec::new(),
            next: 0,
            base: things.base,
            reference_words: things.reference_words,
        };
        builder.named(Role::Special, &SPECIAL);
        builder.named(Role::Marker, &MARKERS);
        builder.named(Role::Filler, &FILLERS);
        let subject = builder.word(Role::Subject, None, things.subjects, things.named.subjects)?;
        let relations = things.objects.len() as u64 + things.links;
        let relation = builder.word(Role::Relation, None, relations, things.named.relations)?;
        let mut objects: Vec<Option<Word>> = vec![None; things.objects.len()];
        for (role, nested, has_names) in [
            (Role::Object, false, things.named.objects),
            (Role::Nested, true, things.named.nested),
        ] {
            for (id, (word, &(count, is_nested))) in
                (0..).zip(objects.iter_mut().zip(things.objects))
            {
                if is_nested == nested {
                    *word = Some(builder.word(role, Some(id), count, has_names)?);
                }
            }
        }
        let paraphrases = builder.next;
        builder.fillers("w", things.wordings * u64::from(WORDING_FILLERS));
        let nonsense = builder.next;
        builder.fillers("n", things.nonsense_words);
        // Of templates that came later; no range of theirs moves the ids of others.
        let first_other = builder.next;
        let mut others: Vec<&str> = Vec::new();
        for &name in &things.fillers {
            if !FILLERS.contains(&name) && !others.contains(&name) {
                others.push(name);
            }
        }
        if !others.is_empty() {
            builder.named(Role::Filler, &others);
        }
        if !things.words.is_empty() {
            builder.named(Role::Filler, things.words);
        }
        let size = builder.next;
        if size > 1 << 31 {
            return Err(Error::argument(
                "vocabulary",
                format!("{size} tokens"),
                "up to 2147483648 tokens; a smaller base makes fewer",
            ));
        }
        Ok(Vocabulary {
            size,
            base: things.base,
            ranges: builder.ranges,
            subject: Some(subject),
            relation: Some(relation),
            objects: objects.into_iter().flatten().collect(),
            end: END_OF_SEQUENCE,
            paraphrases: paraphrases as u32,
            nonsense: nonsense as u32,
            others,
            first_other: first_other as u32,
        })
    }

    /// The ids of a tokenizer; `names` are those of its tokens, where it is made for the corpus, and
    /// begin with so many special ones; `words` of a filler are the last of all.
    pub(crate) fn of_tokenizer(
        size: u64,
        end: u32,
        names: Option<&[String]>,
        special: usize,
        words: &[String],
    ) -> Self {
        let mut ranges = Vec::new();
        let mut push = |kind, first: usize, names: &[String], count: u64| {
            ranges.push(Range {
                kind,
                relation: None,
                position: 0,
                first: first as u32,
                count: count as u32,
                names: names.to_vec(),
            });
        };
        match names {
            Some(names) => {
                let (special, own) = names.split_at(special);
                push(Role::Special, 0, special, special.len() as u64);
                push(Role::Text, special.len(), own, own.len() as u64);
                if !words.is_empty() {
                    push(Role::Filler, names.len(), words, words.len() as u64);
                }
            }
            None => push(Role::Text, 0, &[], size),
        }
        Vocabulary {
            size,
            base: 0,
            ranges,
            subject: None,
            relation: None,
            objects: Vec::new(),
            end,
            paraphrases: 0,
            nonsense: 0,
            others: Vec::new(),
            first_other: 0,
        }
    }

    /// The token that ends a document.
    pub fn end_of_document(&self) -> u32 {
        self.end
    }

    /// Number of token ids.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether tokens fit 16 bits.
    pub fn fits_u16(&self) -> bool {
        self.size <= 1 << 16
    }

    /// The ranges, in the order of their ids.
    pub fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    /// How subjects are written; none where the tokens are those of a tokenizer, as below.
    pub fn subject(&self) -> Option<&Word> {
        self.subject.as_ref()
    }

    /// How relations are written.
    pub fn relation(&self) -> Option<&Word> {
        self.relation.as_ref()
    }

    /// How the objects of a subject's relation are written; none if it has no such relation.
    pub fn object(&self, relation: u32) -> Option<&Word> {
        self.objects.get(relation as usize)
    }

    /// The id of a filler that a template names.
    pub(crate) fn filler(&self, name: &str) -> u32 {
        let place = |names: &[&str]| names.iter().position(|&known| known == name);
        let listed = place(&FILLERS).map(|at| (SPECIAL.len() + MARKERS.len() + at) as u32);
        let other = || place(&self.others).map(|at| self.first_other + at as u32);
        listed
            .or_else(other)
            .expect("the vocabulary names all fillers of templates")
    }

    /// First of the fillers of a wording beyond the first of a template that is written.
    pub(crate) fn wording_fillers(&self, template: u32, wordings: u32, wording: u32) -> u32 {
        self.paraphrases + (template * (wordings - 1) + wording - 1) * WORDING_FILLERS
    }

    /// First of the nonsense words of a wording.
    pub(crate) fn nonsense_words(&self, words: u32, wording: u32) -> u32 {
        self.nonsense + words * wording
    }

    /// The partition as JSON.
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Whole<'a> {
            size: u64,
            base: u64,
            #[serde(skip_serializing_if = "Option::is_none")]
            end_of_document: Option<u32>,
            ranges: &'a [Range],
        }
        serde_json::to_string(&Whole {
            size: self.size,
            base: self.base,
            end_of_document: self.subject.is_none().then_some(self.end),
            ranges: &self.ranges,
        })
        .expect("plain data")
    }
}

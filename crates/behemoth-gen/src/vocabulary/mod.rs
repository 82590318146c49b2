//! The partition of token ids into ranges, and words.
//!
//! Ids are divided into ranges: special tokens, markers, the fillers of the grammar, then the
//! digits of subjects, relations, objects (a range for each relation) and nested objects, and last
//! the fillers whose number depends on the spec. Each digit position of a word has its own range,
//! so the role of a token, and with it the answer in a sentence, is known from its id.

mod builder;
mod range;
mod word;

use serde::Serialize;

use self::builder::Builder;
use crate::error::Result;
use crate::numbers;

pub use self::range::{Role, TokenRange};
pub use self::word::{Token, Word};

/// What makes fewer tokens, for errors.
const SMALLER_BASE: &str = "; a smaller base makes fewer";

/// The token that ends a document.
pub const END_OF_SEQUENCE: u32 = 0;
/// The padding token, which is never written.
pub const PADDING: u32 = 1;
/// The token that ends a sentence.
pub const PERIOD: u32 = 2;

const SPECIAL: [&str; 3] = ["<|endoftext|>", "<|padding|>", "."];
const MARKERS: [&str; 5] = ["subject", "relation", "object", "question:", "answer:"];
/// The fillers of the templates, with names that make a decoded sentence read as English.
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

/// Ids of the markers.
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
    ranges: Vec<TokenRange>,
    /// `None` if the tokens are those of a tokenizer.
    subject: Option<Word>,
    relation: Option<Word>,
    /// Indexed by the relation of a subject.
    objects: Vec<Word>,
    end: u32,
    paraphrases: u32,
    nonsense: u32,
    /// Fillers that are not in [`FILLERS`]; their ids start at `first_other`.
    others: Vec<&'static str>,
    first_other: u32,
}

/// The things that a vocabulary must name.
pub(crate) struct Things<'a> {
    /// Radix of words.
    pub base: u64,
    /// Whether words have the lengths that they have in the reference.
    pub reference_words: bool,
    /// Kinds of things with names.
    pub named: Named,
    pub subjects: u64,
    /// Number of objects of each relation of a subject, and whether they are nested objects.
    pub objects: &'a [(u64, bool)],
    /// Number of link relations.
    pub links: u64,
    /// Total number of wordings of the written templates, the first of each excluded.
    pub wordings: u64,
    /// Number of random fillers of all wordings; 0 if no template has random fillers.
    pub nonsense_words: u64,
    /// The fillers used by the templates.
    pub fillers: Vec<&'static str>,
    /// Words of documents without facts; their ids come last.
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

/// Number of separate fillers of each wording of each template.
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
        // Fillers of templates added later; their ranges do not change the ids of others.
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
        numbers::vocabulary(size, format!("{size} tokens"), SMALLER_BASE)?;
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

    /// Creates the vocabulary of a tokenizer; `names` are the names of its tokens if it was built
    /// for the corpus, starting with `special` special ones; the `words` of a filler come last.
    pub(crate) fn of_tokenizer(
        size: u64,
        end: u32,
        names: Option<&[String]>,
        special: usize,
        words: &[String],
    ) -> Self {
        let mut ranges = Vec::new();
        let mut push = |kind, first: usize, names: &[String], count: u64| {
            ranges.push(TokenRange {
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

    /// Returns the token that ends a document.
    pub fn end_of_document(&self) -> u32 {
        self.end
    }

    /// Returns the number of token ids.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns `true` if tokens fit in 16 bits.
    pub fn fits_u16(&self) -> bool {
        self.size <= 1 << 16
    }

    /// Returns the ranges, in the order of their ids.
    pub fn ranges(&self) -> &[TokenRange] {
        &self.ranges
    }

    /// Returns the word form of subjects, or `None` if the tokens are those of a tokenizer.
    pub fn subject(&self) -> Option<&Word> {
        self.subject.as_ref()
    }

    /// Returns the word form of relations, or `None` if the tokens are those of a tokenizer.
    pub fn relation(&self) -> Option<&Word> {
        self.relation.as_ref()
    }

    /// Returns the word form of the objects of a subject's relation, or `None` if there is no such
    /// relation or the tokens are those of a tokenizer.
    pub fn object(&self, relation: u32) -> Option<&Word> {
        self.objects.get(relation as usize)
    }

    /// Returns the id of a filler of a template.
    pub(crate) fn filler(&self, name: &str) -> u32 {
        let place = |names: &[&str]| names.iter().position(|&known| known == name);
        let listed = place(&FILLERS).map(|at| (SPECIAL.len() + MARKERS.len() + at) as u32);
        let other = || place(&self.others).map(|at| self.first_other + at as u32);
        listed
            .or_else(other)
            .expect("the vocabulary names all fillers of templates")
    }

    /// Returns the id of the first filler of a wording, other than the first, of a written
    /// template.
    pub(crate) fn wording_fillers(&self, template: u32, wordings: u32, wording: u32) -> u32 {
        self.paraphrases + (template * (wordings - 1) + wording - 1) * WORDING_FILLERS
    }

    /// Returns the id of the first nonsense word of a wording.
    pub(crate) fn nonsense_words(&self, words: u32, wording: u32) -> u32 {
        self.nonsense + words * wording
    }

    /// Returns the partition as JSON.
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Whole<'a> {
            size: u64,
            base: u64,
            #[serde(skip_serializing_if = "Option::is_none")]
            end_of_document: Option<u32>,
            ranges: &'a [TokenRange],
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

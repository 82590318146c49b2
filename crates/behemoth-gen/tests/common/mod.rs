//! Helpers of several test files: one-line specs, a reader of sentences that is independent of
//! templates, and chi-square tests.
#![allow(dead_code)] // each test file uses a part of it

use behemoth_gen::vocabulary::Role;
use behemoth_gen::world::Fact;
use behemoth_gen::{Corpus, Error, Progress, Spec, World};

/// Returns the corpus of a TOML spec; panics with the engine's message.
pub fn corpus(toml: &str) -> Corpus {
    try_corpus(toml).unwrap_or_else(|e| panic!("{e}\nin\n{toml}"))
}

/// Returns the corpus of a TOML spec, or its error.
pub fn try_corpus(toml: &str) -> Result<Corpus, Error> {
    Corpus::from_spec(Spec::from_toml(toml)?)
}

/// Returns the world of the fields of a `[world]` table.
pub fn world(fields: &str) -> World {
    let spec = Spec::from_toml(&format!("[world]\n{fields}\n"));
    World::new(spec.unwrap_or_else(|e| panic!("{e}")).world).unwrap_or_else(|e| panic!("{e}"))
}

/// Access to facts that a test knows to exist.
pub trait Known {
    fn known(&self, fact: u64) -> Fact;
    fn known_object(&self, subject: u64, relation: u32) -> u32;
}

impl Known for World {
    fn known(&self, fact: u64) -> Fact {
        self.fact(fact).expect("a fact of the world")
    }
    fn known_object(&self, subject: u64, relation: u32) -> u32 {
        self.object(subject, relation).expect("a fact of the world")
    }
}

/// Returns all tokens of a corpus, generated on one thread.
pub fn all_tokens(corpus: &Corpus) -> Vec<u32> {
    corpus
        .tokens(0..corpus.documents(), 1, &Progress::default())
        .unwrap()
}

/// A sentence, as read from the tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentence {
    /// Number of its document, excluding those without tokens.
    pub document: u64,
    /// Position in the document.
    pub place: u32,
    /// The fact it is about.
    pub fact: u64,
    pub subject: u64,
    pub relation: u32,
    /// The written object; `None` in a refusal.
    pub object: Option<u32>,
    /// The order of subject, relation and object: "sro" and so on.
    pub order: String,
    /// All its tokens, including the period and excluding the end of the document.
    pub tokens: Vec<u32>,
    /// Offset of its first token in the corpus.
    pub start: usize,
}

impl Sentence {
    pub fn is_question(&self) -> bool {
        self.tokens.contains(&6)
    }

    /// Returns its tokens without the digits of words, which leaves the wording.
    pub fn pattern(&self, roles: &[Role]) -> Vec<u32> {
        let digit = |token: u32| is_digit(roles, token);
        self.tokens.iter().copied().filter(|&t| !digit(t)).collect()
    }

    /// Returns its fillers, in the order of the sentence.
    pub fn fillers(&self, roles: &[Role]) -> Vec<u32> {
        let filler = |token: u32| roles[token as usize] == Role::Filler;
        self.tokens.iter().copied().filter(|&t| filler(t)).collect()
    }
}

fn is_digit(roles: &[Role], token: u32) -> bool {
    !matches!(
        roles[token as usize],
        Role::Special | Role::Marker | Role::Filler
    )
}

/// Returns the role of each token id, from the public partition.
pub fn roles(corpus: &Corpus) -> Vec<Role> {
    let mut roles = Vec::new();
    for range in corpus.vocabulary().ranges() {
        assert_eq!(roles.len(), range.first as usize, "ranges leave no gap");
        roles.resize(roles.len() + range.count as usize, range.kind);
    }
    assert_eq!(roles.len() as u64, corpus.vocabulary().size());
    roles
}

const END: u32 = 0;
const PERIOD: u32 = 2;
const MARKERS: std::ops::RangeInclusive<u32> = 3..=5;

/// Reads all sentences from the tokens of a corpus: sentences end with a period, documents with the
/// end token; a word is the run of digits after its marker, and is decoded with
/// [`behemoth_gen::vocabulary::Word::read`].
pub fn read(corpus: &Corpus, tokens: &[u32]) -> Vec<Sentence> {
    let roles = roles(corpus);
    let mut sentences = Vec::new();
    let (mut document, mut place, mut start) = (0, 0, 0);
    for (at, &token) in tokens.iter().enumerate() {
        if token == END {
            assert_eq!(at, start, "a document ends after a sentence");
            assert!(place > 0, "a document has a sentence");
            document += 1;
            place = 0;
            start = at + 1;
        } else if token == PERIOD {
            sentences.push(read_one(
                corpus,
                &tokens[start..=at],
                |token| is_digit(&roles, token),
                (document, place, start),
            ));
            place += 1;
            start = at + 1;
        }
    }
    assert_eq!(start, tokens.len(), "a corpus ends with a document");
    sentences
}

fn read_one(
    corpus: &Corpus,
    tokens: &[u32],
    is_digit: impl Fn(u32) -> bool,
    (document, place, start): (u64, u32, usize),
) -> Sentence {
    let mut order = String::new();
    let mut words: [&[u32]; 3] = [&[]; 3];
    for (at, &token) in tokens.iter().enumerate() {
        let end = at
            + 1
            + tokens[at + 1..]
                .iter()
                .take_while(|&&t| is_digit(t))
                .count();
        if MARKERS.contains(&token) && end > at + 1 {
            let part = (token - 3) as usize;
            assert!(words[part].is_empty(), "a part once: {tokens:?}");
            words[part] = &tokens[at + 1..end];
            order.push(['s', 'r', 'o'][part]);
        } else if !is_digit(token) {
            assert!(end == at + 1, "a word stands after its marker: {tokens:?}");
        }
    }
    let (world, vocabulary) = (corpus.world(), corpus.vocabulary());
    let relation = vocabulary
        .relation()
        .unwrap()
        .read(words[1])
        .expect("a relation") as u32;
    let (subject_word, object_of) = match world.link(relation) {
        Some(link) => (vocabulary.object(link.of).unwrap(), link.composed),
        None => (vocabulary.subject().unwrap(), relation),
    };
    let subject = subject_word.read(words[0]).expect("a subject");
    let object = (!words[2].is_empty()).then(|| {
        vocabulary
            .object(object_of)
            .unwrap()
            .read(words[2])
            .expect("an object") as u32
    });
    Sentence {
        document,
        place,
        fact: world
            .fact_id(subject, relation)
            .expect("a fact of the world"),
        subject,
        relation,
        object,
        order,
        tokens: tokens.to_vec(),
        start,
    }
}

/// Returns all sentences of a corpus.
pub fn sentences(corpus: &Corpus) -> Vec<Sentence> {
    read(corpus, &all_tokens(corpus))
}

/// Returns the count of each value below `n`.
pub fn histogram(values: impl IntoIterator<Item = u64>, n: u64) -> Vec<u64> {
    let mut counts = vec![0; n as usize];
    for value in values {
        counts[value as usize] += 1;
    }
    counts
}

/// Returns the p-value of counts that should be equal.
pub fn uniform_p(counts: &[u64]) -> f64 {
    let total: u64 = counts.iter().sum();
    chi_square_p(
        counts,
        &vec![total as f64 / counts.len() as f64; counts.len()],
    )
}

/// Returns the p-value of Pearson's chi-square: the probability of a fit at least this bad.
pub fn chi_square_p(counts: &[u64], expected: &[f64]) -> f64 {
    assert_eq!(counts.len(), expected.len());
    assert!(
        expected.iter().all(|&e| e >= 5.0),
        "cells too small for chi-square"
    );
    let statistic: f64 = counts
        .iter()
        .zip(expected)
        .map(|(&count, &e)| (count as f64 - e).powi(2) / e)
        .sum();
    upper_gamma((counts.len() - 1) as f64 / 2.0, statistic / 2.0)
}

/// Returns the regularised upper incomplete gamma function Q(a, x), by its series below a + 1 and
/// its continued fraction (modified Lentz) above.
pub fn upper_gamma(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    let scale = (a * x.ln() - x - libm::lgamma(a)).exp();
    if x < a + 1.0 {
        let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
        while term > sum * 1e-15 {
            n += 1.0;
            term *= x / n;
            sum += term;
        }
        return (1.0 - sum * scale).max(0.0);
    }
    let not_zero = |v: f64| if v.abs() < 1e-300 { 1e-300 } else { v };
    let mut b = x + 1.0 - a;
    let mut c = 1e300;
    let mut d = 1.0 / b;
    let mut h = d;
    for i in 1..100_000 {
        let an = -f64::from(i) * (f64::from(i) - a);
        b += 2.0;
        d = 1.0 / not_zero(an * d + b);
        c = not_zero(b + an / c);
        h *= d * c;
        if (d * c - 1.0).abs() < 1e-14 {
            break;
        }
    }
    h * scale
}

/// Panics unless `count` of `n` is within 5 sigma of the share `p`; false-alarm probability 6e-7.
pub fn assert_share(what: &str, count: u64, n: u64, p: f64) {
    let (mean, sigma) = (n as f64 * p, (n as f64 * p * (1.0 - p)).sqrt());
    assert!(
        (count as f64 - mean).abs() <= 5.0 * sigma,
        "{what}: {count} of {n}, expected {mean:.1} +- {sigma:.1}"
    );
}

/// Returns all sentences, with the numbers of their documents, those without tokens included.
pub fn sentences_by_document(corpus: &Corpus) -> Vec<Sentence> {
    (0..corpus.documents())
        .flat_map(|document| {
            let tokens = corpus
                .tokens(document..document + 1, 1, &Progress::default())
                .unwrap();
            let mut found = read(corpus, &tokens);
            for sentence in &mut found {
                assert_eq!(sentence.document, 0, "one document");
                sentence.document = document;
            }
            found
        })
        .collect()
}

/// Returns the number of times each fact of the world is written, counted from the tokens.
pub fn written(corpus: &Corpus) -> Vec<u64> {
    histogram(
        sentences(corpus).iter().map(|sentence| sentence.fact),
        corpus.world().facts(),
    )
}

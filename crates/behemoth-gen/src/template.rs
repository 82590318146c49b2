//! Fact -> tokens: templates, their wordings, and the compiled form that writes sentences.
//!
//! A template is a list of [`Piece`]s. Compiling one for given word lengths gives an image of
//! the sentence with holes where the words go; writing a sentence is a copy of the image and
//! three words. Templates with random fillers have no image and are written piece by piece,
//! without branches on the random counts: the most fillers are always written, and the cursor
//! moves on by the number that was drawn.

mod writer;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::spec::{CorpusSpec, Weight};
use crate::vocabulary::{END_OF_SEQUENCE, PERIOD, Vocabulary, WORDING_FILLERS, filler, marker};

pub(crate) use self::writer::{Words, Writer, probe};

/// Tokens that a write may touch beyond the end of a sentence.
pub(crate) const SLACK: usize = 32;

/// Most fillers in one place of the nonsense grammar.
const NONSENSE_MOST: usize = 5;

/// A part of a template.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Piece {
    Token(u32),
    Subject,
    Relation,
    Object,
    /// One to three copies of a filler (the repeats grammar, before a word).
    Before(u32),
    /// None to three copies of a filler (after a word).
    After(u32),
    /// One to five random fillers out of so many from this one on.
    Nonsense {
        first: u32,
        words: u32,
    },
}

/// What kind of sentence a template makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// A fact, stated.
    Statement,
    /// A question with its answer.
    Question,
    /// A sentence whose answer is a refusal.
    Refusal,
}

/// The names of the templates, in their order.
pub const TEMPLATES: [&str; 10] = [
    "default",
    "sor",
    "osr",
    "rso",
    "repeats",
    "nonsense",
    "nonsense_rso",
    "question",
    "refusal",
    "question_refusal",
];

fn family(name: &str) -> Family {
    match name {
        "question" => Family::Question,
        "refusal" | "question_refusal" => Family::Refusal,
        _ => Family::Statement,
    }
}

/// One wording of one template, compiled.
#[derive(Clone, Debug)]
pub struct Wording {
    /// The template's name.
    pub name: &'static str,
    /// 0 for the template itself.
    pub wording: u32,
    /// Never written; for probes only.
    pub held_out: bool,
    /// What kind of sentence it makes.
    pub family: Family,
    /// Its share of the statements (of the questions, for questions).
    pub share: f64,
    pieces: Vec<Piece>,
}

impl Wording {
    /// Whether the object comes after subject and relation, so that a prompt can ask for it.
    pub fn can_probe(&self) -> bool {
        let at = |piece: Piece| self.pieces.iter().position(|&p| p == piece);
        match at(Piece::Object) {
            Some(object) => at(Piece::Subject) < Some(object) && at(Piece::Relation) < Some(object),
            None => false,
        }
    }

    fn has_random_length(&self) -> bool {
        self.pieces.iter().any(|piece| {
            matches!(
                piece,
                Piece::Before(_) | Piece::After(_) | Piece::Nonsense { .. }
            )
        })
    }

    /// Most tokens of a sentence, the end of the document included.
    fn most_tokens(&self, words: &Lengths) -> usize {
        1 + self
            .pieces
            .iter()
            .map(|piece| match piece {
                Piece::Token(_) => 1,
                Piece::Subject => words.subject,
                Piece::Relation => words.relation,
                Piece::Object => words.object,
                Piece::Before(_) | Piece::After(_) => 3,
                Piece::Nonsense { .. } => NONSENSE_MOST,
            })
            .sum::<usize>()
    }
}

/// Word lengths of a kind of fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lengths {
    pub subject: usize,
    pub relation: usize,
    pub object: usize,
}

/// The weighted set of templates of a corpus.
#[derive(Clone, Debug)]
pub(crate) struct Grammar {
    pub wordings: Vec<Wording>,
    /// Indices of the wordings that statements draw from, with their weights.
    pub statements: Vec<(usize, f64)>,
    /// Indices of the wordings that questions draw from, all equally likely.
    pub questions: Vec<usize>,
}

/// The weights of all templates once inversion is shared out.
fn shared_out(spec: &CorpusSpec) -> Result<Vec<f64>> {
    let mut weights = vec![0.0; TEMPLATES.len()];
    let at = |name: &str| TEMPLATES.iter().position(|&t| t == name);
    for Weight { name, weight } in &spec.templates {
        let index = at(name).ok_or_else(|| {
            Error::argument("templates", format!("'{name}'"), TEMPLATES.join(", "))
        })?;
        if !(weight.is_finite() && *weight >= 0.0) {
            return Err(Error::argument(
                format!("templates.{name}"),
                weight,
                "a weight of at least 0",
            ));
        }
        let inverted = weight * spec.inversion;
        let mut add = |name: &str, weight: f64| {
            weights[at(name).expect("a name of the list")] += weight;
        };
        match name.as_str() {
            "default" => {
                add("default", weight - inverted);
                for other in ["sor", "osr", "rso"] {
                    add(other, inverted / 3.0);
                }
            }
            "nonsense" => {
                add("nonsense", weight - inverted);
                add("nonsense_rso", inverted);
            }
            _ => weights[index] += weight,
        }
    }
    if weights.iter().sum::<f64>() <= 0.0 {
        return Err(Error::argument(
            "templates",
            "no weight above 0",
            "at least one template with a weight above 0",
        ));
    }
    Ok(weights)
}

/// How many templates a spec writes: those have wordings of their own.
pub(crate) fn templates_in_use(spec: &CorpusSpec) -> Result<u64> {
    let questions = u64::from(spec.questions.is_some());
    let weights = shared_out(spec)?;
    let asked = TEMPLATES
        .iter()
        .zip(&weights)
        .any(|(&name, &weight)| name == "question" && weight > 0.0);
    let used = weights.iter().filter(|&&weight| weight > 0.0).count() as u64;
    Ok(used + if asked { 0 } else { questions })
}

impl Grammar {
    pub(crate) fn new(spec: &CorpusSpec, vocabulary: &Vocabulary) -> Result<Self> {
        let weights = shared_out(spec)?;
        let sum: f64 = weights.iter().sum();
        let wordings = spec.paraphrases as u32;
        let written = spec.paraphrases - spec.held_out;
        let mut grammar = Grammar {
            wordings: Vec::new(),
            statements: Vec::new(),
            questions: Vec::new(),
        };
        let nonsense = spec
            .templates
            .iter()
            .any(|t| t.name.starts_with("nonsense"));
        let mut in_use = 0;
        for (&name, &weight) in TEMPLATES.iter().zip(&weights) {
            let asked = name == "question" && spec.questions.is_some();
            let used = weight > 0.0 || asked;
            if name.starts_with("nonsense") && !nonsense {
                continue;
            }
            for wording in 0..if used { wordings } else { 1 } {
                let pieces = if name.starts_with("nonsense") {
                    let words = spec.nonsense_words as u32;
                    nonsense_pieces(name, vocabulary.nonsense_words(words, wording), words)
                } else {
                    let own = (wording > 0)
                        .then(|| vocabulary.wording_fillers(in_use, wordings, wording));
                    fixed_pieces(name, wording, own)
                };
                let held_out = used && u64::from(wording) >= written;
                let each = weight / sum / written as f64;
                let index = grammar.wordings.len();
                if used && !held_out {
                    if weight > 0.0 {
                        grammar.statements.push((index, each));
                    }
                    if asked {
                        grammar.questions.push(index);
                    }
                }
                grammar.wordings.push(Wording {
                    name,
                    wording,
                    held_out,
                    family: family(name),
                    share: match (used && !held_out, asked && weight == 0.0) {
                        (false, _) => 0.0,
                        (true, true) => 1.0 / written as f64,
                        (true, false) => each,
                    },
                    pieces,
                });
            }
            in_use += u32::from(used);
        }
        Ok(grammar)
    }

    /// All wordings that sentences of the corpus may have.
    pub(crate) fn written(&self) -> impl Iterator<Item = usize> + '_ {
        self.statements
            .iter()
            .map(|&(index, _)| index)
            .chain(self.questions.iter().copied())
    }
}

/// A template as groups of tokens that stay together, with fillers between them.
enum Part {
    Filler(&'static str),
    Group(&'static [Piece]),
}

const SUBJECT: Part = Part::Group(&[Piece::Token(marker::SUBJECT), Piece::Subject]);
const RELATION: Part = Part::Group(&[Piece::Token(marker::RELATION), Piece::Relation]);
const OBJECT: Part = Part::Group(&[Piece::Token(marker::OBJECT), Piece::Object]);
const QUESTION: Part = Part::Group(&[Piece::Token(marker::QUESTION)]);
const ANSWER: Part = Part::Group(&[
    Piece::Token(marker::ANSWER),
    Piece::Token(marker::OBJECT),
    Piece::Object,
]);
const REFUSAL: Part = Part::Group(&[
    Piece::Token(marker::OBJECT),
    Piece::Token(marker::OBJECT),
    Piece::Token(marker::OBJECT),
]);
const REFUSED_ANSWER: Part = Part::Group(&[
    Piece::Token(marker::ANSWER),
    Piece::Token(marker::OBJECT),
    Piece::Token(marker::OBJECT),
    Piece::Token(marker::OBJECT),
]);

/// The reference's sentences, part by part (arXiv 2601.23153; `shared_out` weighs them).
fn parts(name: &str) -> Vec<Part> {
    use Part::Filler as F;
    match name {
        "default" => vec![SUBJECT, F("has"), F("the"), RELATION, F("with"), OBJECT],
        "sor" => vec![SUBJECT, F("has"), OBJECT, F("for"), F("its"), RELATION],
        "osr" => vec![OBJECT, F("is"), SUBJECT, F("'s"), RELATION],
        "rso" => vec![F("The"), RELATION, F("of"), SUBJECT, F("is"), OBJECT],
        "question" => vec![
            QUESTION,
            F("what"),
            RELATION,
            F("does"),
            SUBJECT,
            F("have"),
            F("?"),
            ANSWER,
        ],
        "refusal" => vec![SUBJECT, F("has"), F("the"), RELATION, F("with"), REFUSAL],
        "question_refusal" => vec![
            QUESTION,
            F("what"),
            RELATION,
            F("does"),
            SUBJECT,
            F("have"),
            F("?"),
            REFUSED_ANSWER,
        ],
        other => unreachable!("{other} has random fillers"),
    }
}

/// The pieces of a template without nonsense. Wordings after the first keep the order of the
/// words and the number of tokens; their fillers are their own (from `own` on) and stand in
/// other places.
fn fixed_pieces(name: &str, wording: u32, own: Option<u32>) -> Vec<Piece> {
    if name == "repeats" {
        let filler = |at: u32, name: &str| own.map_or_else(|| filler(name), |first| first + at);
        let (s, r, o) = (
            filler(0, "~subject"),
            filler(1, "~relation"),
            filler(2, "~object"),
        );
        return vec![
            Piece::Before(s),
            Piece::Token(marker::SUBJECT),
            Piece::Subject,
            Piece::After(s),
            Piece::Before(r),
            Piece::Token(marker::RELATION),
            Piece::Relation,
            Piece::After(r),
            Piece::Before(o),
            Piece::Token(marker::OBJECT),
            Piece::Object,
            Piece::After(o),
            Piece::Token(PERIOD),
        ];
    }
    let parts = parts(name);
    let mut pieces = Vec::new();
    match own {
        None => {
            for part in &parts {
                match part {
                    Part::Filler(name) => pieces.push(Piece::Token(filler(name))),
                    Part::Group(group) => pieces.extend_from_slice(group),
                }
            }
        }
        Some(first) => {
            let fillers = parts
                .iter()
                .filter(|part| matches!(part, Part::Filler(_)))
                .count();
            let groups: Vec<&[Piece]> = parts
                .iter()
                .filter_map(|part| match part {
                    Part::Group(group) => Some(*group),
                    Part::Filler(_) => None,
                })
                .collect();
            assert!(
                fillers <= WORDING_FILLERS as usize,
                "a wording has 4 fillers"
            );
            let gaps = spread(fillers, groups.len(), wording as usize);
            let mut next = first;
            for (group, gap) in groups.iter().zip(gaps) {
                for _ in 0..gap {
                    pieces.push(Piece::Token(next));
                    next += 1;
                }
                pieces.extend_from_slice(group);
            }
        }
    }
    pieces.push(Piece::Token(PERIOD));
    pieces
}

/// The `index`-th way, round and round, to put `fillers` into the gaps before `groups` groups.
fn spread(fillers: usize, groups: usize, index: usize) -> Vec<usize> {
    let mut ways: Vec<Vec<usize>> = vec![vec![]];
    for group in 0..groups {
        ways = ways
            .into_iter()
            .flat_map(|way| {
                let left = fillers - way.iter().sum::<usize>();
                let from = if group + 1 == groups { left } else { 0 };
                (from..=left).map(move |n| {
                    let mut way = way.clone();
                    way.push(n);
                    way
                })
            })
            .collect();
    }
    let index = index % ways.len();
    ways.swap_remove(index)
}

fn nonsense_pieces(name: &str, first: u32, words: u32) -> Vec<Piece> {
    let random = Piece::Nonsense { first, words };
    let subject = [random, Piece::Token(marker::SUBJECT), Piece::Subject];
    let relation = [random, Piece::Token(marker::RELATION), Piece::Relation];
    let mut pieces = Vec::new();
    if name == "nonsense" {
        pieces.extend_from_slice(&subject);
        pieces.extend_from_slice(&relation);
    } else {
        pieces.extend_from_slice(&relation);
        pieces.extend_from_slice(&subject);
    }
    pieces.extend_from_slice(&[random, Piece::Token(marker::OBJECT), Piece::Object]);
    pieces.push(Piece::Token(PERIOD));
    pieces
}

/// Most tokens of any of the wordings, the end of the document included.
pub(crate) fn most_tokens<'a>(
    wordings: impl Iterator<Item = &'a Wording>,
    shapes: &[Lengths],
) -> usize {
    wordings
        .flat_map(|wording| shapes.iter().map(|shape| wording.most_tokens(shape)))
        .max()
        .unwrap_or(0)
}

/// The token at the end of a document.
pub(crate) fn end_of_document() -> u32 {
    END_OF_SEQUENCE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_are_all_ways_to_fill_the_gaps() {
        let ways: std::collections::BTreeSet<Vec<usize>> =
            (0..10).map(|i| spread(3, 3, i)).collect();
        assert_eq!(ways.len(), 10);
        assert!(ways.iter().all(|way| way.iter().sum::<usize>() == 3));
        assert_eq!(spread(3, 3, 10), spread(3, 3, 0));
    }
}

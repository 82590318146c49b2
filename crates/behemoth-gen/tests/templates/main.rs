//! Sentences: every template token by token, and the shares, counts and fillers of drawn ones.
//!
//! Statistical tests have fixed seeds. A correct grammar fails each chi-square test with
//! probability [`ALARM`] and each bound of 5 sigma with 6e-7; there are about 40 in total.
//!
//! This file has helpers of several topics, and templates that are refused.

#[path = "../common/mod.rs"]
mod common;
mod fillers;
mod questions;
mod second_objects;
mod shares;
mod wording;

use std::collections::BTreeMap;

use behemoth_gen::Corpus;
use behemoth_gen::grammar::Template;
use behemoth_gen::vocabulary::Role;
use common::{corpus, sentences, try_corpus};

const ALARM: f64 = 1e-6;

fn assert_fits(what: &str, p: f64) {
    assert!(p > ALARM, "{what}: p = {p:.1e}");
}

/// Returns a corpus of `subjects` x 5 facts with 40 objects.
fn with(subjects: u64, fields: &str) -> Corpus {
    corpus(&format!(
        "[world]\nsubjects = {subjects}\nrelations = 5\nobjects = 40\n[corpus]\n{fields}\n"
    ))
}

/// Returns tokens as words: the names of the partition, and for digits the kind and the digit.
fn text(corpus: &Corpus, tokens: &[u32]) -> String {
    let words: Vec<String> = tokens
        .iter()
        .map(|&token| {
            let ranges = corpus.vocabulary().ranges();
            let range = ranges
                .iter()
                .find(|r| (r.first..r.first + r.count).contains(&token))
                .expect("a token of the vocabulary");
            let at = (token - range.first) as usize;
            match range.kind {
                Role::Subject => format!("S{at}"),
                Role::Relation => format!("R{at}"),
                Role::Object => format!("O{at}"),
                Role::Nested => format!("N{at}"),
                _ => range.names[at].clone(),
            }
        })
        .collect();
    words.join(" ")
}

/// Counts the names of the wordings of all sentences, from the ledger.
fn names(corpus: &Corpus) -> BTreeMap<&'static str, u64> {
    let mut names = BTreeMap::new();
    for fact in 0..corpus.world().facts() {
        for entry in corpus.ledger(fact).unwrap() {
            let name = corpus.wordings()[entry.wording_index as usize].form.name();
            *names.entry(name).or_default() += 1;
        }
    }
    names
}

/// Counts sentences by the order of their parts, from the tokens.
fn orders(corpus: &Corpus) -> BTreeMap<String, u64> {
    let mut orders = BTreeMap::new();
    for sentence in sentences(corpus) {
        *orders.entry(sentence.order).or_default() += 1;
    }
    orders
}

#[test]
fn templates_are_refused_by_name() {
    let names: Vec<&str> = Template::ALL.iter().map(|each| each.name()).collect();
    let unknown = format!(
        "argument 'templates': got 'deafult' (did you mean default?), allowed: {}",
        names.join(", ")
    );
    for (fields, message) in [
        ("templates = {deafult = 1}", unknown.as_str()),
        (
            "templates = {default = -1}",
            "argument 'templates.default': got -1, allowed: a weight of at least 0",
        ),
        (
            "templates = {default = nan}",
            "argument 'templates.default': got NaN, allowed: a weight of at least 0",
        ),
        (
            "templates = {default = 0, osr = 0}",
            "argument 'templates': got no weight above 0, \
             allowed: at least one template with a weight above 0",
        ),
        (
            "templates = {}",
            "argument 'templates': got no weight above 0, \
             allowed: at least one template with a weight above 0",
        ),
        (
            "exact_shares = true\ninversion = 0.5\nquestions = {subjects = 1, sentences = 1}",
            "argument 'exact_shares': got true, allowed: false together with questions, \
             which take their sentences from all templates",
        ),
    ] {
        let error = try_corpus(&format!("[world]\nsubjects = 5\n[corpus]\n{fields}\n"));
        assert_eq!(error.unwrap_err().to_string(), message);
    }
}

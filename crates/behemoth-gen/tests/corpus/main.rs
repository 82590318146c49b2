//! The stream: the same tokens for every way of access, documents of one subject in `bios` order,
//! and twins that differ only where they should.
//!
//! This file has the corpora used by several topics, and samples of facts.

mod background;
#[path = "../common/mod.rs"]
mod common;
mod filler;
mod insert;
mod insert_specs;
mod order;
mod ranges;
mod schedule;
mod twins;

use std::ops::Range;

use behemoth_gen::vocabulary::Token;
use behemoth_gen::{Corpus, Progress};
use common::corpus;

fn with(subjects: u64, fields: &str) -> Corpus {
    corpus(&format!(
        "[world]\nsubjects = {subjects}\nrelations = 3\nobjects = [40, 1500, 8]\nminority = 0.2\n\
         [corpus]\n{fields}\n"
    ))
}

/// A combination: several lengths of words and sentences, questions, second objects.
const MIXED: &str = "templates = {default = 3, repeats = 1, nonsense = 1, refusal = 1}\n\
                     inversion = 0.4\nquestions = {subjects = 0.5, sentences = 0.1}\n\
                     paraphrases = 3\nheld_out = 1\nnonsense_words = 30";

/// Returns corpora for each way in which the engine generates tokens: of fixed and of varying
/// length, in both orders, with empty documents.
fn corpora() -> Vec<(&'static str, Corpus)> {
    let fixed = |fields| {
        corpus(&format!(
            "[world]\nsubjects = 911\nrelations = 3\nobjects = 40\n[corpus]\n{fields}\n"
        ))
    };
    vec![
        ("fixed", fixed("exposures = 2")),
        ("fixed, bios", fixed("exposures = 4\norder = \"bios\"")),
        ("paraphrases", fixed("paraphrases = 5\nheld_out = 1")),
        ("words of two lengths", with(911, "exposures = 2")),
        (
            "mixed",
            with(611, &format!("exposures = \"groups:1,4\"\n{MIXED}")),
        ),
        (
            "mixed, bios",
            with(
                611,
                &format!(
                    "exposures = \"groups:0,1,7\"\norder = \"bios\"\ndocuments_per_subject = 3\n{MIXED}"
                ),
            ),
        ),
        (
            "scheduled",
            with(
                611,
                &format!(
                    "exposures = \"groups:1,4\"\nschedule = \"late:0.3@0.1,spaced@0.5\"\n{MIXED}"
                ),
            ),
        ),
        (
            "scheduled, bios",
            fixed("exposures = 4\norder = \"bios\"\nschedule = \"bursts:2@0.5\""),
        ),
        (
            "filler",
            fixed("exposures = 2\nfiller = \"zipf:tokens=90000,words=50,length=30\""),
        ),
        (
            "filler, bios",
            with(
                511,
                &format!(
                    "exposures = 3\norder = \"bios\"\ndocuments = {{questions = \"own\"}}\n\
                     filler = \"zipf:total_tokens=200000,words=50,length=300\"\n{MIXED}"
                ),
            ),
        ),
        (
            "inserted",
            with(
                311,
                &format!(
                    "exposures = \"groups:0,1,4\"\ninsert = \"anywhere,per_document=3\"\n\
                     filler = \"zipf:tokens=300_000,words=50,length=200\"\n{MIXED}"
                ),
            ),
        ),
        (
            "left out",
            fixed("exposures = 2")
                .without(&(0..1500).collect::<Vec<_>>())
                .unwrap(),
        ),
        (
            "left out, bios",
            with(511, &format!("order = \"bios\"\nexposures = 2\n{MIXED}"))
                .without(&(0..700).chain([901, 1203]).collect::<Vec<_>>())
                .unwrap(),
        ),
    ]
}

fn tokens_of<T: Token>(corpus: &Corpus, documents: Range<u64>, threads: usize) -> Vec<T> {
    corpus
        .tokens(documents, threads, &Progress::default())
        .unwrap()
}

#[test]
fn samples_of_facts_are_exact() {
    let corpus = with(400, "");
    let sample = |count| corpus.sample_facts(count, &Progress::default()).unwrap();
    for count in [0, 1, 600, 1199, 1200, 5000] {
        let sample = sample(count);
        assert_eq!(sample.len() as u64, count.min(1200));
        assert!(
            sample.is_sorted_by(|a, b| a < b),
            "each fact once, in order"
        );
        assert!(sample.iter().all(|&fact| fact < 1200));
    }
    let (small, large) = (sample(100), sample(300));
    assert!(
        small.iter().all(|fact| large.contains(fact)),
        "a larger sample keeps a smaller"
    );
    assert_ne!(small, (0..100).collect::<Vec<u64>>());
}

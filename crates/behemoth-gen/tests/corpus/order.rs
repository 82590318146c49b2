//! The order of sentences: its seed, the shuffle of all sentences, and documents of one subject in
//! `bios` order.

use std::collections::{HashMap, HashSet};

use behemoth_gen::Corpus;

use crate::common::{
    Sentence, all_tokens, assert_share, corpus, histogram, sentences, sentences_by_document,
    uniform_p, written,
};
use crate::{MIXED, tokens_of, with};

/// Probability that a correct corpus fails a chi-square test, of which there are 3.
const ALARM: f64 = 1e-6;

#[test]
fn order_seed_moves_sentences_and_changes_none() {
    for order in ["shuffle", "bios"] {
        let of = |seed: &str| {
            with(
                300,
                &format!("exposures = 3\norder = \"{order}\"\n{seed}\n{MIXED}"),
            )
        };
        let (first, second) = (of("order_seed = 1"), of("order_seed = 2"));
        let sorted = |corpus: &Corpus| {
            let mut tokens: Vec<Vec<u32>> =
                sentences(corpus).into_iter().map(|s| s.tokens).collect();
            tokens.sort_unstable();
            tokens
        };
        assert!(all_tokens(&first) != all_tokens(&second));
        assert!(sorted(&first) == sorted(&second), "{order}");
        assert!(
            all_tokens(&of("")) == all_tokens(&of("order_seed = 0")),
            "by default it is the world's"
        );
    }
}

/// More exposures only add copies, and leave the first ones unchanged.
#[test]
fn more_exposures_keep_the_wordings_of_the_copies_there_were() {
    let few = with(200, "exposures = 2\ninversion = 0.5");
    let many = with(200, "exposures = 6\ninversion = 0.5");
    for fact in 0..600 {
        let wordings = |corpus: &Corpus| -> Vec<u32> {
            corpus
                .ledger(fact)
                .unwrap()
                .iter()
                .map(|e| e.wording_index)
                .collect()
        };
        assert_eq!(wordings(&few), wordings(&many)[..2]);
    }
}

#[test]
fn shuffled_sentences_are_in_no_order() {
    let corpus = with(4000, "exposures = 3");
    let found = sentences(&corpus);
    let place = |s: &Sentence| s.document * 20 / 36_000;
    let relations = found.iter().map(|s| place(s) * 3 + u64::from(s.relation));
    let p = uniform_p(&histogram(relations, 60));
    assert!(p > ALARM, "relation by place: p = {p:.1e}");
    let subjects = found.iter().map(|s| place(s) * 20 + s.subject / 200);
    let p = uniform_p(&histogram(subjects, 400));
    assert!(p > ALARM, "subject by place: p = {p:.1e}");
    // Three copies at random positions: the gap between two consecutive ones exceeds half the
    // corpus in 1/8 of the cases.
    let mut before = HashMap::new();
    let wide = found
        .iter()
        .filter_map(|s| Some(s.document - before.insert(s.fact, s.document)?))
        .filter(|&gap| gap >= 18_000)
        .count() as u64;
    assert_share("wide gaps", wide, 24_000, 0.125);
}

#[test]
fn a_document_of_bios_is_one_subject_and_holds_all_its_facts() {
    for (fields, documents, least) in [
        ("exposures = 1", 1, 1),
        ("exposures = 5", 5, 1),
        ("exposures = \"groups:2,5,9\"", 2, 1),
        ("exposures = \"groups:0,3,4\"", 3, 0),
        ("exposures = 7\ndocuments_per_subject = 2", 2, 3),
        ("exposures = 2\ndocuments_per_subject = 5", 5, 0),
    ] {
        let corpus = with(150, &format!("order = \"bios\"\n{fields}"));
        assert_eq!(corpus.documents(), 150 * documents);
        let mut by_document: HashMap<u64, Vec<Sentence>> = HashMap::new();
        for sentence in sentences_by_document(&corpus) {
            by_document
                .entry(sentence.document)
                .or_default()
                .push(sentence);
        }
        let mut of_subject: HashMap<u64, HashSet<u64>> = HashMap::new();
        for (document, own) in &by_document {
            let subject = own[0].subject;
            assert!(own.iter().all(|s| s.subject == subject), "{fields}");
            of_subject.entry(subject).or_default().insert(*document);
            let counts = histogram(own.iter().map(|s| u64::from(s.relation)), 3);
            for (relation, &count) in (0..).zip(&counts) {
                let exposures = corpus.exposures_of(subject * 3 + relation);
                // Copies are distributed evenly over the documents of the subject.
                let dealt = exposures / documents..=exposures.div_ceil(documents);
                assert!(dealt.contains(&count), "{fields}");
                assert!(count >= least || exposures == 0, "{fields}");
            }
        }
        assert!(of_subject.values().all(|own| own.len() as u64 <= documents));
        let counts = written(&corpus);
        assert!((0..450).all(|fact| counts[fact] == corpus.exposures_of(fact as u64)));
    }
}

/// One copy more than documents is in any of them, not in the first one for all facts.
#[test]
fn odd_copies_are_dealt_to_any_document_of_the_subject() {
    let corpus = with(
        4000,
        "order = \"bios\"\nexposures = 1\ndocuments_per_subject = 3",
    );
    let ledger = |fact| corpus.ledger(fact).unwrap()[0].document;
    let together = (0..4000)
        .filter(|subject| ledger(subject * 3) == ledger(subject * 3 + 1))
        .count() as u64;
    assert_share("two facts in one document", together, 4000, 1.0 / 3.0);
}

#[test]
fn bios_shuffles_documents_and_the_sentences_in_them() {
    let corpus = with(3000, "order = \"bios\"\nexposures = 2");
    let found = sentences(&corpus);
    let places = found
        .iter()
        .map(|s| u64::from(s.place) * 3 + u64::from(s.relation));
    let p = uniform_p(&histogram(places, 9));
    assert!(p > ALARM, "relation by place: p = {p:.1e}");
    let subjects = found
        .iter()
        .filter(|s| s.place == 0)
        .map(|s| s.document * 10 / 6000 * 10 + s.subject / 300);
    let p = uniform_p(&histogram(subjects, 100));
    assert!(p > ALARM, "subject by place: p = {p:.1e}");
}

#[test]
fn links_have_documents_of_their_own() {
    let corpus = corpus(
        "[world]\nsubjects = 20\nrelations = 2\nobjects = 6\nnested = 3\n\
         [corpus]\norder = \"bios\"\nexposures = 2\n",
    );
    // 20 subjects and 12 links, two documents each.
    assert_eq!(corpus.documents(), 64);
    for sentence in sentences_by_document(&corpus) {
        if sentence.relation >= 4 {
            let tokens = tokens_of::<u32>(&corpus, sentence.document..sentence.document + 1, 1);
            assert_eq!(tokens.len(), sentence.tokens.len() + 1, "alone");
        }
    }
    assert_eq!(written(&corpus), [2; 92]);
}

#[test]
fn documents_too_long_to_make_in_memory_are_refused() {
    let error = crate::common::try_corpus(
        "[world]\nsubjects = 5\nrelations = 1000\nobjects = 9\n\
         [corpus]\norder = \"bios\"\nexposures = 100_000\ndocuments_per_subject = 1\n",
    )
    .unwrap_err()
    .to_string();
    assert_eq!(
        error,
        "argument 'documents_per_subject': got 1, allowed: more: \
         a document may have 134217728 tokens, and would have up to 1100000001"
    );
    // No copy is left to move to another document.
    let error = crate::common::try_corpus(
        "[world]\nsubjects = 100_000\nrelations = 1000\nobjects = 9\n\
         [corpus]\norder = \"bios\"\nexposures = 4\ndocuments_per_subject = 4\n\
         documents = {subjects = 20_000}\n",
    )
    .unwrap_err()
    .to_string();
    assert_eq!(
        error,
        "argument 'documents.subjects': got 20000, allowed: fewer: \
         a document may have 134217728 tokens, and would have up to 240000001"
    );
    let error =
        crate::common::try_corpus("[world]\nsubjects = 5\n[corpus]\ndocuments_per_subject = 2\n")
            .unwrap_err()
            .to_string();
    assert_eq!(
        error,
        "argument 'documents_per_subject': got 2, allowed: none in order 'shuffle', \
         where every sentence is a document"
    );
}

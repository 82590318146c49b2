//! The stream: the same tokens whatever way they are asked for, documents of one subject in
//! `bios` order, and twins that differ only where they should.

mod common;

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::atomic::Ordering;

use behemoth_gen::vocabulary::Token;
use behemoth_gen::{Corpus, Error, Progress, Spec};
use common::{
    Sentence, all_tokens, assert_share, corpus, histogram, sentences, sentences_by_document,
    uniform_p, written,
};

/// A right corpus fails a chi-square test with this probability; there are 3.
const ALARM: f64 = 1e-6;

fn with(subjects: u64, fields: &str) -> Corpus {
    corpus(&format!(
        "[world]\nsubjects = {subjects}\nrelations = 3\nobjects = [40, 1500, 8]\nminority = 0.2\n\
         [corpus]\n{fields}\n"
    ))
}

/// Everything at once: several lengths of words and sentences, questions, second objects.
const MIXED: &str = "templates = {default = 3, repeats = 1, nonsense = 1, refusal = 1}\n\
                     inversion = 0.4\nquestions = {subjects = 0.5, sentences = 0.3}\n\
                     paraphrases = 3\nheld_out = 1\nnonsense_words = 30";

/// Corpora of each way that the engine makes tokens: of fixed and of varying length, in both
/// orders, with documents that are empty.
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
fn any_number_of_threads_gives_the_same_tokens() {
    for (name, corpus) in corpora() {
        let all = all_tokens(&corpus);
        for threads in [0, 2, 3, 8] {
            assert!(
                tokens_of::<u32>(&corpus, 0..corpus.documents(), threads) == all,
                "{name} on {threads} threads"
            );
            // A fresh corpus, so that its index is counted on so many threads too.
            let fresh = Corpus::from_spec(corpus.spec().clone()).unwrap();
            let count = fresh.token_count(threads, &Progress::default()).unwrap();
            assert_eq!(count, all.len() as u64, "{name} on {threads} threads");
        }
    }
    // More than the million tokens that a thread makes at a time.
    let large = corpus("[world]\nsubjects = 40_000\nrelations = 5\nobjects = 9\n");
    let one = tokens_of::<u16>(&large, 0..200_000, 1);
    assert_eq!(one.len(), 200_000 * 12);
    assert!(
        [2, 3, 8]
            .iter()
            .all(|&n| tokens_of::<u16>(&large, 0..200_000, n) == one)
    );
}

#[test]
fn any_type_of_token_gives_the_same_tokens() {
    for (name, corpus) in corpora() {
        let all = all_tokens(&corpus);
        let documents = 0..corpus.documents();
        assert!(corpus.vocabulary().fits_u16(), "{name}");
        let narrow = tokens_of::<u16>(&corpus, documents.clone(), 2);
        assert!(narrow.iter().map(|&t| u32::from(t)).eq(all.iter().copied()));
        let wide = tokens_of::<u64>(&corpus, documents, 2);
        assert!(wide.iter().copied().eq(all.iter().map(|&t| u64::from(t))));
        let mut out = vec![7u16; all.len()];
        let made = corpus
            .fill_tokens(&mut out, 0, 1, &Progress::default())
            .unwrap();
        assert_eq!((made, out), (all.len(), narrow), "{name}");
    }
}

/// Documents, and tokens before each, counted document by document.
fn starts(corpus: &Corpus) -> Vec<usize> {
    let mut start = 0;
    let mut starts = vec![0];
    for document in 0..corpus.documents() {
        start += tokens_of::<u32>(corpus, document..document + 1, 1).len();
        starts.push(start);
    }
    starts
}

#[test]
fn any_part_is_the_same_tokens() {
    for (name, corpus) in corpora() {
        let all = all_tokens(&corpus);
        let starts = starts(&corpus);
        let n = corpus.documents();
        assert_eq!(*starts.last().unwrap(), all.len(), "{name}");
        if let Some(each) = corpus.document_tokens() {
            assert!(starts.windows(2).all(|w| w[1] - w[0] == each as usize));
        }
        // Around pages of 1,024 documents, batches of 128, and both ends.
        for (first, last) in [
            (0, 0),
            (0, 1),
            (1, 3),
            (100, 300),
            (127, 129),
            (1023, 1025),
            (1000, n.min(2100)),
            (n - 1, n),
            (n, n),
        ]
        .into_iter()
        .filter(|(first, last)| first <= last && *last <= n)
        {
            let expected = &all[starts[first as usize]..starts[last as usize]];
            assert!(
                tokens_of::<u32>(&corpus, first..last, 2) == expected,
                "{name}: documents {first} to {last}"
            );
        }
        for document in [0, 1, 500, 910, n.min(1023), n.min(1024), n - 1, n] {
            for room in [0, 1, 5, 64, 3000, all.len()] {
                let mut out = vec![9u64; room];
                let made = corpus
                    .fill(&mut out, document, 2, &Progress::default())
                    .unwrap();
                let rest = &all[starts[document as usize]..];
                assert_eq!(made, room.min(rest.len()), "{name}: short only at the end");
                let expected = rest[..made].iter().map(|&t| u64::from(t));
                assert!(out[..made].iter().copied().eq(expected), "{name}");
                assert!(out[made..].iter().all(|&t| t == 9), "nothing past the end");
            }
        }
        let len = all.len() as u64;
        for token in (0..len).step_by(997).chain([1, 2, len - 3, len - 1, len]) {
            for room in [1, 13, 2500] {
                let mut out = vec![9u32; room];
                let made = corpus
                    .fill_tokens(&mut out, token, 2, &Progress::default())
                    .unwrap();
                let rest = &all[token as usize..];
                assert_eq!(made, room.min(rest.len()));
                assert!(out[..made] == rest[..made], "{name}: from token {token}");
            }
        }
    }
}

#[test]
fn ranges_outside_the_corpus_are_refused() {
    let corpus = corpus("[world]\nsubjects = 10\nrelations = 1\nobjects = 9\n");
    let none = Progress::default();
    let mut out = [0u16; 4];
    for (error, message) in [
        (
            corpus.tokens::<u16>(3..11, 1, &none).err(),
            "argument 'stop': got 3 to 11, allowed: a range within 0 to 10",
        ),
        (
            #[expect(clippy::reversed_empty_ranges, reason = "that is what is refused")]
            corpus.tokens::<u16>(3..2, 1, &none).err(),
            "argument 'stop': got 3 to 2, allowed: a range within 0 to 10",
        ),
        (
            corpus.fill(&mut out, 11, 1, &none).err(),
            "argument 'start': got 11 to 10, allowed: a range within 0 to 10",
        ),
        (
            corpus.fill_tokens(&mut out, 111, 1, &none).err(),
            "argument 'token': got 111 to 110, allowed: a range within 0 to 110",
        ),
    ] {
        assert_eq!(error.unwrap().to_string(), message);
    }
    for fact in [10, u64::MAX] {
        let error = corpus.ledger(fact).unwrap_err().to_string();
        assert!(error.starts_with("argument 'fact': got "), "{error}");
    }
}

#[test]
fn a_token_type_that_is_too_narrow_is_refused() {
    let corpus = corpus(
        "[world]\nsubjects = 70_000\nrelations = 1\nobjects = 9\n[corpus]\nbase = 100_000\n",
    );
    assert!(!corpus.vocabulary().fits_u16());
    assert_eq!(corpus.token_bytes(), 4);
    let none = Progress::default();
    assert!(corpus.tokens::<u16>(0..5, 1, &none).is_err());
    assert!(corpus.fill(&mut [0u16; 9], 0, 1, &none).is_err());
    assert!(corpus.fill_tokens(&mut [0u16; 9], 0, 1, &none).is_err());
    assert!(corpus.tokens::<u32>(0..5, 1, &none).is_ok());
}

#[test]
fn long_calls_stop_when_they_are_asked_to() {
    let progress = Progress::default();
    progress.cancel.store(true, Ordering::Relaxed);
    for (name, corpus) in corpora() {
        let error = corpus.tokens::<u32>(0..corpus.documents(), 2, &progress);
        assert!(matches!(error, Err(Error::Cancelled)), "{name}");
        let mut out = vec![0u32; 5000];
        let error = corpus.fill(&mut out, 0, 2, &progress);
        assert!(matches!(error, Err(Error::Cancelled)), "{name}");
    }
}

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

/// What a knob does not touch stays: more exposures add copies, and the first are as they were.
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
                .map(|e| e.wording)
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
    // Three copies anywhere: a gap between two is more than half the corpus in 1/8 of them.
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
                // Copies are dealt evenly over the documents of the subject.
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

/// A copy more than there are documents goes to any of them: not to the first, for all facts.
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
    let error = common::try_corpus(
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
    let error = common::try_corpus("[world]\nsubjects = 5\n[corpus]\ndocuments_per_subject = 2\n")
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "argument 'documents_per_subject': got 2, allowed: none in order 'shuffle', \
         where every sentence is a document"
    );
}

/// A world with a chain and links, written in every way, in both orders.
fn twin_parents() -> Vec<Corpus> {
    ["shuffle", "bios"]
        .into_iter()
        .flat_map(|order| {
            ["exposures = \"groups:1,2,6\"", "exposures = 4"].map(|exposures| {
                corpus(&format!(
                    "[world]\nsubjects = 90\nminority = 0.5\nrelations = [\
                     {{kind = \"independent\", objects = 1200}},\
                     {{kind = \"composed\", of = 0, objects = 12}},\
                     {{kind = \"composed\", of = 1, objects = 3}},\
                     {{kind = \"independent\", objects = 7}}]\n\
                     [corpus]\n{exposures}\norder = \"{order}\"\nminority_sentences = 0.4\n\
                     nested_exposures = 2\n{MIXED}\n"
                ))
            })
        })
        .collect()
}

/// Checks that a twin has the tokens of its parent but for the object of some sentences, and
/// gives the facts whose sentences changed.
fn changed_facts(parent: &Corpus, twin: &Corpus) -> HashSet<u64> {
    let (before, after) = (all_tokens(parent), all_tokens(twin));
    assert_eq!(before.len(), after.len(), "the same length");
    let (old, new) = (sentences(parent), sentences(twin));
    let mut changed = HashSet::new();
    let mut differing = 0;
    for (old, new) in old.iter().zip(&new) {
        assert_eq!((old.fact, old.start), (new.fact, new.start));
        let differ: Vec<usize> = (0..old.tokens.len())
            .filter(|&i| old.tokens[i] != new.tokens[i])
            .collect();
        differing += differ.len();
        if differ.is_empty() {
            continue;
        }
        changed.insert(old.fact);
        // The digits of the object, and nothing else.
        let marker = old.tokens.iter().rposition(|&t| t == 5).unwrap();
        let word = parent
            .vocabulary()
            .object(match parent.world().link(old.relation) {
                Some(link) => link.composed,
                None => old.relation,
            });
        assert!(
            differ
                .iter()
                .all(|&i| (marker + 1..=marker + word.len()).contains(&i)),
            "only object tokens change"
        );
        let fact = parent.world().fact(old.fact);
        assert_eq!(
            old.object,
            Some(fact.object),
            "a sentence with the second object changed"
        );
        assert_eq!(new.object, Some(twin.world().fact(old.fact).object));
    }
    let all = before.iter().zip(&after).filter(|(a, b)| a != b).count();
    assert_eq!(all, differing);
    changed
}

#[test]
fn an_override_changes_the_object_tokens_of_its_fact_and_no_others() {
    for parent in twin_parents() {
        let world = parent.world();
        // Facts that are only refused, or have their second object only, would change unseen.
        let shown: Vec<u64> = sentences(&parent)
            .iter()
            .filter(|s| s.fact % 4 == 0 && s.relation == 0)
            .filter(|s| s.object == Some(world.fact(s.fact).object))
            .map(|s| s.subject)
            .take(3)
            .collect();
        for subject in shown {
            let fact = subject * 4;
            let new = (world.object(subject, 0) + 601) % 1200;
            let stays = parent.with_overrides(&[(fact, new)], false).unwrap();
            assert_eq!(changed_facts(&parent, &stays), HashSet::from([fact]));
            let follows = parent.with_overrides(&[(fact, new)], true).unwrap();
            let expected: HashSet<u64> = (fact..fact + 3)
                .filter(|&f| world.fact(f).object != follows.world().fact(f).object)
                .collect();
            assert!(expected.contains(&fact));
            let seen = changed_facts(&parent, &follows);
            assert!(seen.is_subset(&expected) && seen.contains(&fact));
            // Every sentence of the fact that shows the first object shows the new one.
            let shown: HashSet<Option<u32>> = sentences(&stays)
                .iter()
                .filter(|s| s.fact == fact && s.order != "sr")
                .map(|s| s.object)
                .collect();
            assert!(!shown.contains(&Some(world.object(subject, 0))));
            // The spec of a twin makes the twin.
            let again = Corpus::from_spec(follows.spec().clone()).unwrap();
            assert!(all_tokens(&again) == all_tokens(&follows));
            assert_eq!(again.spec().hash(), follows.spec().hash());
            assert_ne!(follows.spec().hash(), stays.spec().hash());
        }
    }
}

#[test]
fn a_changed_link_changes_its_sentences_and_with_follow_those_of_its_subjects() {
    for parent in twin_parents() {
        let world = parent.world();
        let object = world.object(3, 0);
        let link = world.fact_id(u64::from(object), 4).unwrap();
        let new = (world.fact(link).object + 1) % 12;
        let stays = parent.with_overrides(&[(link, new)], false).unwrap();
        assert_eq!(changed_facts(&parent, &stays), HashSet::from([link]));
        let follows = parent.with_overrides(&[(link, new)], true).unwrap();
        let seen = changed_facts(&parent, &follows);
        assert!(seen.contains(&link));
        for fact in seen.iter().filter(|&&fact| fact != link) {
            assert_eq!(
                world.object(fact / 4, 0),
                object,
                "only subjects of the object"
            );
            assert!([1, 2].contains(&(fact % 4)), "only what is composed of it");
        }
    }
}

#[test]
fn twins_of_many_facts_change_those_facts_only() {
    for parent in twin_parents() {
        let changes: Vec<(u64, u32)> = (0..90)
            .map(|subject| {
                let fact = subject * 4 + 3;
                (fact, (parent.world().fact(fact).object + 1) % 7)
            })
            .collect();
        let twin = parent.with_overrides(&changes, true).unwrap();
        let facts: HashSet<u64> = changes.iter().map(|&(fact, _)| fact).collect();
        assert!(changed_facts(&parent, &twin).is_subset(&facts));
        // Facts in any order make the same twin.
        let mut reversed = changes;
        reversed.reverse();
        let again = parent.with_overrides(&reversed, true).unwrap();
        assert_eq!(again.spec().hash(), twin.spec().hash());
    }
}

#[test]
fn what_is_left_out_leaves_the_rest_in_its_order() {
    for parent in twin_parents() {
        let all = sentences_by_document(&parent);
        for without in [
            vec![0],
            vec![5, 5, 4],
            (0..180).collect::<Vec<u64>>(),
            (360..parent.world().facts()).collect(),
            (0..parent.world().facts()).step_by(2).collect(),
        ] {
            let gone: HashSet<u64> = without.iter().copied().collect();
            let twin = parent.without(&without).unwrap();
            assert_eq!(twin.documents(), parent.documents(), "places are kept");
            let expected: Vec<&Sentence> = all.iter().filter(|s| !gone.contains(&s.fact)).collect();
            let found = sentences_by_document(&twin);
            assert_eq!(found.len(), expected.len());
            assert_eq!(twin.sentences(), found.len() as u64);
            for (found, expected) in found.iter().zip(expected) {
                assert_eq!(found.document, expected.document);
                assert_eq!(found.tokens, expected.tokens);
            }
            assert!(gone.iter().all(|&fact| twin.exposures_of(fact) == 0));
            assert!(
                gone.iter()
                    .all(|&fact| twin.ledger(fact).unwrap().is_empty())
            );
            // Document ends are those of documents that still have a sentence.
            let whole = sentences(&twin);
            assert!(
                whole
                    .iter()
                    .map(|s| &s.tokens)
                    .eq(found.iter().map(|s| &s.tokens))
            );
            let ends = all_tokens(&twin).iter().filter(|&&t| t == 0).count();
            let documents: HashSet<u64> = found.iter().map(|s| s.document).collect();
            assert_eq!(ends, documents.len());
        }
    }
}

#[test]
fn a_corpus_without_any_fact_is_empty() {
    for parent in twin_parents() {
        let all: Vec<u64> = (0..parent.world().facts()).collect();
        let twin = parent.without(&all).unwrap();
        assert_eq!(twin.sentences(), 0);
        assert_eq!(twin.token_count(2, &Progress::default()).unwrap(), 0);
        assert!(all_tokens(&twin).is_empty());
        let made = twin.fill_tokens(&mut [0u16; 5], 0, 1, &Progress::default());
        assert_eq!(made.unwrap(), 0);
    }
}

#[test]
fn twins_of_twins_add_up() {
    for parent in twin_parents() {
        let steps = parent
            .without(&[8, 2])
            .unwrap()
            .with_overrides(&[(4, 11)], true)
            .unwrap()
            .without(&[3])
            .unwrap();
        let once = parent
            .with_overrides(&[(4, 11)], true)
            .unwrap()
            .without(&[2, 3, 8])
            .unwrap();
        assert_eq!(steps.spec().hash(), once.spec().hash());
        assert!(all_tokens(&steps) == all_tokens(&once));
    }
    let parent = &twin_parents()[0];
    let facts = parent.world().facts();
    assert_eq!(
        parent.without(&[1, facts]).unwrap_err().to_string(),
        format!("argument 'without': got fact {facts}, allowed: facts below {facts}")
    );
}

#[test]
fn samples_of_facts_are_exact() {
    let corpus = with(400, "");
    for count in [0, 1, 600, 1199, 1200, 5000] {
        let sample = corpus.sample_facts(count);
        assert_eq!(sample.len() as u64, count.min(1200));
        assert!(
            sample.is_sorted_by(|a, b| a < b),
            "each fact once, in order"
        );
        assert!(sample.iter().all(|&fact| fact < 1200));
    }
    let (small, large) = (corpus.sample_facts(100), corpus.sample_facts(300));
    assert!(
        small.iter().all(|fact| large.contains(fact)),
        "a larger sample keeps a smaller"
    );
    assert_ne!(small, (0..100).collect::<Vec<u64>>());
}

#[test]
fn a_large_fill_of_varying_lengths_is_the_same_on_all_threads() {
    // More than a turn of the threads, and an end inside a piece.
    let spec = "[world]\nsubjects = 60000\nrelations = 4\nobjects = 50\n\
                [corpus]\ntemplates = { repeats = 1.0 }";
    let corpus = Corpus::from_spec(Spec::from_toml(spec).unwrap()).unwrap();
    let fill = |document: u64, threads: usize| {
        let mut out = vec![0u16; 2_000_001];
        let made = corpus
            .fill(&mut out, document, threads, &Progress::default())
            .unwrap();
        out.truncate(made);
        out
    };
    assert_eq!(fill(5, 3), fill(5, 1));
    // From near the end there is less than the memory takes.
    assert_eq!(fill(190_000, 2), fill(190_000, 1));
    assert!(fill(190_000, 2).len() < 2_000_001);
}

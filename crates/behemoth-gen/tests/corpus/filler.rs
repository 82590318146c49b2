//! Filler: documents without facts, in exact numbers, mixed with those of facts.

use std::collections::HashSet;

use behemoth_gen::{Corpus, Progress};

use crate::common::{all_tokens, assert_share, corpus, histogram, try_corpus, uniform_p};
use crate::{MIXED, tokens_of};

fn text(fields: &str) -> String {
    format!("[world]\nsubjects = 211\nrelations = 3\nobjects = 7\n[corpus]\n{fields}\n")
}

fn with(fields: &str) -> Corpus {
    corpus(&text(fields))
}

/// Returns the id of the filler's first word.
fn first_word(corpus: &Corpus) -> u32 {
    corpus.vocabulary().ranges().last().unwrap().first
}

/// Returns all documents in order, and whether each is filler.
fn documents(corpus: &Corpus) -> Vec<(bool, Vec<u32>)> {
    let first = first_word(corpus);
    (0..corpus.documents())
        .map(|document| {
            let mut tokens = tokens_of::<u32>(corpus, document..document + 1, 1);
            let is_filler = tokens.iter().any(|&token| token >= first);
            if is_filler {
                assert_eq!(tokens.pop(), Some(0));
                assert!(tokens.iter().all(|&token| token >= first), "words alone");
            }
            (is_filler, tokens)
        })
        .collect()
}

#[test]
fn facts_are_as_without_it_and_its_tokens_are_exact() {
    for fields in [
        "exposures = 3".to_string(),
        format!("exposures = \"groups:1,4\"\n{MIXED}"),
        format!("exposures = 3\norder = \"bios\"\n{MIXED}"),
        format!("exposures = 3\norder = \"bios\"\ndocuments = {{questions = \"own\"}}\n{MIXED}"),
    ] {
        let plain = with(&fields);
        let mut facts: Vec<Vec<u32>> = (0..plain.documents())
            .map(|document| tokens_of::<u32>(&plain, document..document + 1, 1))
            .collect();
        facts.sort_unstable();
        for tokens in [1, 99, 5_000, 20_001] {
            let filled = with(&format!(
                "{fields}\nfiller = \"zipf:tokens={tokens},words=70,length=50\""
            ));
            let all = documents(&filled);
            let filler = all.iter().filter(|(is_filler, _)| *is_filler).count();
            let count = all.iter().filter(|(is_filler, _)| *is_filler);
            let words: usize = count.map(|(_, words)| words.len() + 1).sum();
            if tokens > 1 {
                assert_eq!(words, tokens, "{fields}");
                assert_eq!(filler, (tokens / 50).max(1));
            }
            let mut own: Vec<Vec<u32>> = all
                .into_iter()
                .filter(|(is_filler, tokens)| !is_filler && tokens != &[0])
                .map(|(_, tokens)| tokens)
                .collect();
            own.sort_unstable();
            let facts: Vec<_> = facts.iter().filter(|tokens| !tokens.is_empty()).collect();
            assert!(own.iter().filter(|t| !t.is_empty()).eq(facts), "{fields}");
            assert_eq!(filled.sentences(), plain.sentences());
            assert_eq!(
                filled.fact_documents(&Progress::default()).unwrap(),
                plain.documents()
            );
            let total = filled.token_count(2, &Progress::default()).unwrap();
            let before = plain.token_count(2, &Progress::default()).unwrap();
            assert_eq!(total, before + tokens as u64);
            // The ledger finds each sentence among the filler.
            for fact in (0..filled.world().facts()).step_by(17) {
                for entry in filled.ledger(fact).unwrap() {
                    let tokens = tokens_of::<u32>(&filled, entry.document..entry.document + 1, 1);
                    assert!(tokens.iter().all(|&token| token < first_word(&filled)));
                }
            }
        }
    }
}

#[test]
fn the_total_is_fixed_whatever_the_exposures() {
    for order in ["shuffle", "bios"] {
        for exposures in ["1", "5", "groups:1,4,16", "zipf:alpha=1,min=1,max=9"] {
            for grammar in ["", MIXED] {
                let corpus = with(&format!(
                    "exposures = \"{exposures}\"\norder = \"{order}\"\n\
                     filler = \"zipf:total_tokens=123_457,words=70\"\n{grammar}"
                ));
                let all = all_tokens(&corpus);
                assert_eq!(all.len(), 123_457, "{exposures}");
                // A twin that omits facts has the filler of its parent, at the same positions.
                let twin = corpus.without(&(0..300).collect::<Vec<_>>()).unwrap();
                assert!(all_tokens(&twin).len() < 123_457);
                let (before, after) = (documents(&corpus), documents(&twin));
                for (before, after) in before.iter().zip(&after) {
                    assert!(!before.0 || before == after);
                }
                let again = Corpus::from_spec(twin.spec().clone()).unwrap();
                assert!(all_tokens(&again) == all_tokens(&twin));
            }
        }
    }
}

#[test]
fn it_is_the_same_language_in_every_corpus_and_held_out_documents_are_in_none() {
    let filler = "filler = \"zipf:tokens=40_000,words=90,length=20\"";
    let words = |corpus: &Corpus| -> HashSet<Vec<u32>> {
        let first = first_word(corpus);
        let all = documents(corpus)
            .into_iter()
            .filter(|(is_filler, _)| *is_filler);
        all.map(|(_, words)| words.iter().map(|word| word - first).collect())
            .collect()
    };
    let a = with(&format!("exposures = 3\n{filler}"));
    let b = with(&format!(
        "exposures = \"groups:1,4\"\norder = \"bios\"\norder_seed = 9\n{filler}\nbase = 10"
    ));
    assert_ne!(first_word(&a), first_word(&b));
    assert_eq!(words(&a), words(&b));
    // A longer filler has the documents of a shorter one, except the last two.
    let more = with(&format!(
        "exposures = 3\n{}",
        filler.replace("40_000", "60_000")
    ));
    assert!(words(&a).difference(&words(&more)).count() <= 2);
    let other = with(&format!(
        "exposures = 3\n{}",
        filler.replace("length=20", "length=20,seed=1")
    ));
    let (own, others) = (words(&a), words(&other));
    // Documents of two words may be the same.
    assert!(own.intersection(&others).count() < own.len() / 20);

    let held: Vec<Vec<u32>> = a.filler_documents(0..500).unwrap();
    assert_eq!(held[3..5], a.filler_documents::<u32>(3..5).unwrap());
    assert_eq!(held, more.filler_documents::<u32>(0..500).unwrap());
    assert_eq!(held.iter().map(Vec::len).sum::<usize>(), 500 * 20);
    let first = first_word(&a);
    let fresh = held.iter().filter(|tokens| {
        let words: Vec<u32> = tokens[..tokens.len() - 1]
            .iter()
            .map(|w| w - first)
            .collect();
        !own.contains(&words)
    });
    assert!(fresh.count() > 480);
    let error = with("").filler_documents::<u32>(0..1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "argument 'filler': got none, allowed: a corpus with a filler"
    );
}

/// Returns each word with the word before it.
fn pairs(corpus: &Corpus) -> Vec<(u32, u32)> {
    let first = first_word(corpus);
    documents(corpus)
        .into_iter()
        .filter(|(is_filler, _)| *is_filler)
        .flat_map(|(_, words)| {
            let pair = |w: &[u32]| (w[0] - first, w[1] - first);
            words.windows(2).map(pair).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn words_are_zipf_and_each_has_successors_of_its_own() {
    let weights: Vec<f64> = (1..=20).map(|rank| 1.0 / f64::from(rank)).collect();
    let sum: f64 = weights.iter().sum();
    let of = |bigram: f64| {
        pairs(&with(&format!(
            "filler = \"zipf:tokens=200_000,words=20,bigram={bigram}\""
        )))
    };
    let plain = of(0.0);
    for (word, weight) in (0..20).zip(&weights) {
        let count = plain.iter().filter(|&&(_, next)| next == word).count();
        assert_share("a word", count as u64, plain.len() as u64, weight / sum);
    }
    // With successors only, the weights are those of ranks, in a different order for each word.
    let bound = of(1.0);
    let mut orders = HashSet::new();
    for before in 0..20 {
        let next: Vec<u64> = bound
            .iter()
            .filter(|&&(word, _)| word == before)
            .map(|&(_, next)| u64::from(next))
            .collect();
        let counts = histogram(next.iter().copied(), 20);
        let best = (0..20).max_by_key(|&word| counts[word]).unwrap();
        orders.insert(best);
        assert_share(
            "the first successor",
            counts[best],
            next.len() as u64,
            weights[0] / sum,
        );
    }
    assert!(orders.len() > 5, "{orders:?}");
}

#[test]
fn it_stands_everywhere() {
    let corpus = with("exposures = 9\nfiller = \"zipf:tokens=80_000,words=90,length=20\"");
    let all = documents(&corpus);
    let places = (0..).zip(&all).filter(|(_, (is_filler, _))| *is_filler);
    let p = uniform_p(&histogram(
        places.map(|(at, _): (u64, _)| at * 20 / all.len() as u64),
        20,
    ));
    assert!(p > 1e-6, "p = {p:.1e}");
}

#[test]
fn facts_may_be_scheduled_among_it() {
    let corpus =
        with("exposures = 3\nschedule = \"late:0.25\"\nfiller = \"zipf:tokens=80_000,length=10\"");
    let n = corpus.documents();
    assert_eq!(n, 633 * 3 + 8000);
    for (at, (is_filler, _)) in (0..).zip(documents(&corpus)) {
        assert!(is_filler || at >= n - n / 4);
    }
    let spaced =
        with("exposures = 4\nschedule = \"spaced\"\nfiller = \"zipf:tokens=80_000,length=10\"");
    let n = spaced.documents();
    for fact in 0..633 {
        let mut windows: Vec<usize> = spaced
            .ledger(fact)
            .unwrap()
            .iter()
            .map(|entry| (1..4u64).filter(|at| entry.document >= n * at / 4).count())
            .collect();
        windows.sort_unstable();
        assert_eq!(windows, [0, 1, 2, 3]);
    }
}

#[test]
fn words_have_names_of_their_own() {
    let corpus = with("filler = \"zipf:tokens=500,words=6000\"\nparaphrases = 3");
    let names: Vec<&String> = corpus
        .vocabulary()
        .ranges()
        .iter()
        .flat_map(|range| &range.names)
        .collect();
    assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
    assert!(names.len() > 6000);
}

#[test]
fn fillers_are_refused_by_name() {
    for (filler, name, got, allowed) in [
        (
            "\"zipf:words=9\"",
            "filler",
            "no number of tokens",
            "`tokens` or `total_tokens`",
        ),
        (
            "\"zipf:tokens=9,total_tokens=9\"",
            "filler",
            "both `tokens` and `total_tokens`",
            "one of them",
        ),
        (
            "\"zipf:tokens=9,words=1\"",
            "filler.words",
            "1",
            "2 to 1048576",
        ),
        (
            "\"zipf:tokens=9,alpha=-1\"",
            "filler.alpha",
            "-1",
            "0 to 100",
        ),
        (
            "\"zipf:tokens=9,bigram=2\"",
            "filler.bigram",
            "2",
            "a fraction from 0 to 1",
        ),
        (
            "\"zipf:tokens=9,length=3\"",
            "filler.length",
            "3",
            "4 to 1048576",
        ),
        (
            "\"zipf:total_tokens=6962\"",
            "filler.total_tokens",
            "6962",
            "at least 6963, the tokens of the facts",
        ),
        ("{kind = \"pareto\"}", "filler.kind", "`pareto`", "`zipf`"),
    ] {
        let error = try_corpus(&text(&format!("filler = {filler}"))).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("argument '{name}': got {got}, allowed: {allowed}")
        );
    }
    let error = try_corpus(&text("filler = \"pareto:3\""))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("argument 'filler': got 'pareto:3', allowed: 'zipf:tokens=1e6' or"),
        "{error}"
    );
    for repeated in ["tokens=9,tokens=9", "tokens=9,seed=1,seed=2"] {
        let error = try_corpus(&text(&format!("filler = \"zipf:{repeated}\"")));
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains(&format!("got 'zipf:{repeated}',")),
            "{error}"
        );
    }
    let bios = "order = \"bios\"\ndocuments = {subjects = 2}\nfiller = \"zipf:tokens=99\"\nschedule = \"spaced\"";
    assert_eq!(
        try_corpus(&text(bios)).unwrap_err().to_string(),
        "argument 'documents.subjects': got 2, allowed: \
         1 together with a schedule and a filler or a background"
    );
}

#[test]
fn more_subjects_a_document_than_there_are_are_all_of_them() {
    let of = |subjects: u64| {
        with(&format!(
            "exposures = 2\norder = \"bios\"\ndocuments = {{subjects = {subjects}}}\n\
             filler = \"zipf:tokens=9_000,length=50\""
        ))
    };
    // Two documents for each of 211 subjects.
    let (all, more) = (of(422), of(1 << 62));
    assert_eq!(all.documents(), more.documents());
    assert_eq!(all_tokens(&all), all_tokens(&more));
    for document in [0, 1, all.documents() - 1] {
        let range = document..document + 1;
        assert_eq!(
            tokens_of::<u32>(&all, range.clone(), 1),
            tokens_of::<u32>(&more, range, 1)
        );
    }
    assert_eq!(all.ledger(77).unwrap(), more.ledger(77).unwrap());
    let text = text(
        "order = \"bios\"\ndocuments = {subjects = 211}\nfiller = \"zipf:tokens=4_000_000_000_000_000_000,length=4\"",
    );
    let error = try_corpus(&text).unwrap_err().to_string();
    assert!(
        error.starts_with("argument 'documents.subjects': got ")
            && error.ends_with(" x 211, allowed: a product up to 4611686018427387904"),
        "{error}"
    );
}

#[test]
fn a_line_has_the_seeds_of_a_table() {
    let seed = i64::MAX;
    let line = with(&format!("filler = \"zipf:tokens=900,seed={seed}\""));
    let table = with(&format!(
        "filler = {{kind = \"zipf\", tokens = 900, seed = {seed}}}"
    ));
    assert_eq!(line.spec(), table.spec());
    let more = format!("filler = \"zipf:tokens=900,seed={}\"", seed as u64 + 1);
    assert!(try_corpus(&text(&more)).is_err());
}

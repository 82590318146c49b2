//! The stream does not depend on threads, parts and token types; ranges outside it are refused; and
//! long calls can be cancelled.

use std::sync::atomic::Ordering;

use behemoth_gen::corpus::{DocumentKind, Entry};
use behemoth_gen::{Corpus, Error, Progress, Spec};

use crate::common::{all_tokens, corpus};
use crate::{MIXED, corpora, tokens_of, with};

#[test]
fn any_number_of_threads_gives_the_same_tokens() {
    for (name, corpus) in corpora() {
        let all = all_tokens(&corpus);
        for threads in [0, 2, 3, 8] {
            assert!(
                tokens_of::<u32>(&corpus, 0..corpus.documents(), threads) == all,
                "{name} on {threads} threads"
            );
            // A new corpus, so that its index is also computed with this number of threads.
            let fresh = Corpus::from_spec(corpus.spec().clone()).unwrap();
            let count = fresh.token_count(threads, &Progress::default()).unwrap();
            assert_eq!(count, all.len() as u64, "{name} on {threads} threads");
        }
    }
    // More than the million tokens that a thread generates at a time.
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

/// Returns the number of tokens before each document, counted document by document.
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

/// Blocks are read one after the other, by several readers of one corpus.
#[test]
fn blocks_are_the_same_tokens() {
    for (name, corpus) in corpora() {
        let all = all_tokens(&corpus);
        let read = |room: usize, blocks: std::ops::Range<usize>| {
            let mut out = vec![0u32; room];
            let own = all.chunks(room).enumerate();
            for (block, expected) in own.skip(blocks.start).take(blocks.len()) {
                let made = corpus
                    .fill_tokens(&mut out, (block * room) as u64, 1, &Progress::default())
                    .unwrap();
                assert!(out[..made] == *expected, "{name}: block {block} of {room}");
            }
        };
        for room in [17, 64, 1000, 40_000] {
            read(room, 0..1 << 13);
        }
        std::thread::scope(|scope| {
            for room in [33, 500] {
                scope.spawn(move || read(room, 3..150));
            }
        });
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
fn calls_about_long_documents_stop_within_a_page() {
    let corpus = corpus(
        "[world]\nsubjects = 600\nrelations = 2\n[corpus]\norder = \"bios\"\nexposures = 200\n\
         documents_per_subject = 1\ntemplates = {nonsense = 1}\n",
    );
    let progress = Progress::default();
    progress.cancel.store(true, Ordering::Relaxed);
    let error = corpus.token_count(1, &progress);
    assert!(matches!(error, Err(Error::Cancelled)));
    let error = corpus.tokens::<u32>(0..600, 1, &progress);
    assert!(matches!(error, Err(Error::Cancelled)));
    assert!(progress.done.load(Ordering::Relaxed) < 600);
}

#[test]
fn the_last_documents_are_read_where_the_tokens_before_them_cannot_be_counted() {
    let corpus = corpus("[world]\nsubjects = 4611686018427387904\nrelations = 1\nobjects = 7\n");
    let each = corpus.document_tokens().unwrap() as usize;
    let (none, stop) = (Progress::default(), corpus.documents());
    assert!(corpus.token_count(1, &none).is_err());
    let tokens = tokens_of::<u32>(&corpus, stop - 3..stop, 2);
    let single = (stop - 3..stop).flat_map(|at| tokens_of::<u32>(&corpus, at..at + 1, 1));
    assert!(single.eq(tokens.iter().copied()));
    let mut out = vec![0; 5 * each];
    assert_eq!(corpus.fill(&mut out, stop - 3, 2, &none).unwrap(), 3 * each);
    assert_eq!(out[..3 * each], tokens);
}

#[test]
fn a_large_fill_of_varying_lengths_is_the_same_on_all_threads() {
    // More than one round of the threads, and an end inside a piece.
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
    // Near the end, the rest of the stream is shorter than the buffer.
    assert_eq!(fill(190_000, 2), fill(190_000, 1));
    assert!(fill(190_000, 2).len() < 2_000_001);
}

#[test]
fn more_threads_than_a_machine_has_are_no_error() {
    let spec = "[world]\nsubjects = 90_000\nrelations = 4\nobjects = 50\n\
                [corpus]\ntemplates = { repeats = 1.0 }";
    let of = |threads: usize| {
        let corpus = Corpus::from_spec(Spec::from_toml(spec).unwrap()).unwrap();
        let quiet = Progress::default();
        let mut out = vec![0u16; 1_500_000];
        corpus.fill(&mut out, 0, threads, &quiet).unwrap();
        (corpus.token_count(threads, &quiet).unwrap(), out)
    };
    assert!(of(1) == of(1_000_000));
}

#[test]
fn documents_say_what_the_ledger_says() {
    let mut corpora = corpora();
    let joint = "order = \"bios\"\ndocuments = {subjects = 2, questions = \"after\"}";
    corpora.push(("two subjects", with(300, &format!("{joint}\n{MIXED}"))));
    let exact = "exact_shares = true\ntemplates = {default = 3, repeats = 1}";
    for order in ["shuffle", "bios"] {
        let fields = format!("exposures = \"groups:2,3\"\norder = \"{order}\"\n{exact}");
        corpora.push(("exact shares", with(300, &fields)));
    }
    for (name, corpus) in corpora {
        let said = corpus.entries(0..corpus.documents()).unwrap();
        let place = |entry: &Entry| (entry.document, entry.place);
        assert!(said.is_sorted_by_key(place), "{name}");
        let facts = 0..corpus.world().facts();
        let mut ledger: Vec<Entry> = facts
            .flat_map(|fact| corpus.ledger(fact).unwrap())
            .collect();
        ledger.sort_by_key(place);
        assert_eq!(said, ledger, "{name}");
        assert_eq!(said.len() as u64, corpus.sentences(), "{name}");
        let middle = corpus.documents() / 3;
        let parts = [0..middle, middle..corpus.documents()];
        let parts = parts.map(|range| corpus.entries(range).unwrap());
        assert_eq!(parts.concat(), said, "{name}");
    }
}

#[test]
fn lengths_of_documents_are_counted() {
    for (name, corpus) in corpora() {
        let lengths = corpus.document_lengths(0..corpus.documents()).unwrap();
        let starts = starts(&corpus);
        let counted = starts.windows(2).map(|pair| (pair[1] - pair[0]) as u64);
        assert!(counted.eq(lengths.iter().copied()), "{name}");
        let kinds = corpus.document_kinds(0..corpus.documents()).unwrap();
        let says = corpus.says_facts(0..corpus.documents()).unwrap();
        let facts = says.iter().filter(|&&says| says).count() as u64;
        assert_eq!(
            facts,
            corpus.fact_documents(&Progress::default()).unwrap(),
            "{name}"
        );
        // A document with inserted sentences keeps its kind, and has facts.
        let own = kinds.iter().map(|&kind| kind == DocumentKind::Facts);
        assert!(own.zip(&says).all(|(own, &says)| says || !own), "{name}");
        assert!(!kinds.contains(&DocumentKind::Background));
    }
}

#[test]
fn a_ledger_that_does_not_fit_in_memory_is_refused_before_it_is_made() {
    let corpus = corpus("[world]\nsubjects = 2\nrelations = 1\n[corpus]\nexposures = 1e14\n");
    let error = corpus.ledger(1).unwrap_err().to_string();
    assert_eq!(
        error,
        "argument 'facts': got 100000000000000 sentences, allowed: as many sentences as fit in \
         memory"
    );
}

#[test]
fn a_count_of_documents_with_facts_can_be_cancelled() {
    let corpus = corpus(
        "[world]\nsubjects = 100\nrelations = 2\n[corpus]\nfiller = \"zipf:tokens=20_000,words=50,length=90\"\n\
         insert = \"anywhere,per_document=2\"\n",
    );
    let progress = Progress::default();
    corpus.fact_documents(&progress).unwrap();
    assert_eq!(progress.done.load(Ordering::Relaxed), corpus.sentences());
    progress.cancel.store(true, Ordering::Relaxed);
    let result = corpus.fact_documents(&progress);
    assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
}

/// Sentences of long documents are remembered from one fact to the next.
#[test]
fn the_ledger_of_long_documents_is_that_of_their_sentences() {
    let corpus = corpus(
        "[world]\nsubjects = 30\nrelations = 5\nobjects = 2000\n\
         [corpus]\norder = \"bios\"\nexposures = \"groups:7,12,31\"\n\
         documents_per_subject = 3\ndocuments = {subjects = 2}\n",
    );
    let corpus = corpus.without(&[3, 77]).unwrap();
    let mut written = corpus.entries(0..corpus.documents()).unwrap();
    written.sort_by_key(|entry| (entry.fact, entry.copy));
    assert!(written.iter().any(|entry| entry.place >= 64));
    let mut facts: Vec<u64> = (0..corpus.world().facts()).collect();
    let none = Progress::default();
    assert_eq!(corpus.ledger_of(&facts, &none).unwrap(), written);
    facts.reverse();
    let mut found = corpus.ledger_of(&facts, &none).unwrap();
    found.sort_by_key(|entry| (entry.fact, entry.copy));
    assert_eq!(found, written);
}

#[test]
fn a_ledger_stops_within_a_fact() {
    let corpus = corpus("[world]\nsubjects = 3\n[corpus]\nexposures = 1e6\n");
    let progress = Progress::default();
    progress.cancel.store(true, Ordering::Relaxed);
    let stopped = corpus.ledger_of(&[0], &progress);
    assert!(matches!(stopped, Err(Error::Cancelled)), "{stopped:?}");
}

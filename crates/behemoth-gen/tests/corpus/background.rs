//! Background: documents of other corpora mixed with those of facts, read from their files.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use behemoth_gen::background::Background;
use behemoth_gen::corpus::Parts;
use behemoth_gen::hash::{Key, multiply_high};
use behemoth_gen::{Corpus, Progress, Spec, World};

use crate::common::all_tokens;
use crate::{MIXED, tokens_of};

/// A tenth of the documents of the background begin with this marker, with which no sentence
/// begins.
const MARKER: u32 = 5;

/// Returns 400 different documents of 1 to 60 tokens before the end.
fn documents() -> Vec<Vec<u32>> {
    let key = Key::new(3, "background-test", 0);
    (0..400)
        .map(|document| {
            let draw = |at: u64, n: u64| multiply_high(key.hash_pair(document, at), n);
            let mut tokens = vec![MARKER, 8 + document as u32 / 10, 8 + document as u32 % 10];
            tokens.extend((0..draw(0, 60)).map(|at| 8 + draw(at + 1, 12) as u32));
            tokens
        })
        .collect()
}

/// Writes documents to two files, with their ends if `with_ends`; returns the ends.
fn write(directory: &Path, width: usize, with_ends: bool) -> (Vec<PathBuf>, Vec<u64>) {
    let mut ends = Vec::new();
    let mut tokens = Vec::new();
    for document in documents() {
        tokens.extend(document);
        if with_ends {
            tokens.push(0);
        }
        ends.push(tokens.len() as u64);
    }
    // The second file begins inside a document.
    let paths = [(0, 1000), (1000, tokens.len())].map(|(start, stop)| {
        let path = directory.join(format!("{width}-{with_ends}-{start}.bin"));
        let bytes = tokens[start..stop].iter();
        let bytes: Vec<u8> = bytes
            .flat_map(|id| id.to_le_bytes()[..width].to_vec())
            .collect();
        fs::write(&path, bytes).unwrap();
        path
    });
    (paths.to_vec(), ends)
}

fn with(fields: &str, background: Option<&Arc<Background>>) -> behemoth_gen::Result<Corpus> {
    let spec = Spec::from_toml(&format!(
        "[world]\nsubjects = 211\nrelations = 3\nobjects = 7\n[corpus]\n{fields}\n"
    ))?;
    let parts = Parts {
        background: background.cloned(),
        ..Parts::default()
    };
    Corpus::with_parts(World::new(spec.world)?, spec.corpus, parts)
}

/// Returns the documents of the background in a corpus, in its order, without their ends.
fn found(corpus: &Corpus) -> Vec<Vec<u32>> {
    let says_facts = corpus.says_facts(0..corpus.documents()).unwrap();
    (0..corpus.documents())
        .zip(says_facts)
        .filter(|(_, says_facts)| !says_facts)
        .map(|(document, _)| {
            let mut tokens = tokens_of::<u32>(corpus, document..document + 1, 1);
            assert_eq!(tokens.pop(), Some(0));
            tokens
        })
        .collect()
}

#[test]
fn all_documents_stand_among_the_facts_once() {
    let directory = tempfile::TempDir::new().unwrap();
    let mut wanted = documents();
    wanted.sort_unstable();
    let all: u64 = wanted.iter().map(|tokens| tokens.len() as u64 + 1).sum();
    for (width, with_ends) in [(2, true), (4, true), (2, false), (4, false)] {
        let (paths, ends) = write(directory.path(), width, with_ends);
        let background = Arc::new(Background::open(&paths, width, 0, Some(ends)).unwrap());
        assert_eq!((background.documents(), background.tokens()), (400, all));
        assert_eq!(background.largest_token(), 47);
        if with_ends {
            let seen = Background::open(&paths, width, 0, None).unwrap();
            assert_eq!(seen.digest(), background.digest());
        }
        for fields in [
            "exposures = 2".to_string(),
            format!("exposures = \"groups:1,4\"\norder = \"bios\"\n{MIXED}"),
            "exposures = 2\nschedule = \"late:0.9\"\nfiller = \"zipf:total_tokens=60_000\"".into(),
        ] {
            let plain = with(
                &fields.replace(
                    "\nschedule = \"late:0.9\"\nfiller = \"zipf:total_tokens=60_000\"",
                    "",
                ),
                None,
            )
            .unwrap();
            let corpus = with(&fields, Some(&background)).unwrap();
            let mut own = found(&corpus);
            own.retain(|tokens| tokens[0] == MARKER && wanted.contains(tokens));
            own.sort_unstable();
            assert!(own == wanted, "{fields}");
            let count = |corpus: &Corpus| corpus.token_count(2, &Progress::default()).unwrap();
            let filled = if fields.contains("total") {
                60_000
            } else {
                count(&plain) + all
            };
            assert_eq!(count(&corpus), filled);
            assert_eq!(all_tokens(&corpus).len() as u64, filled);
            assert_eq!(corpus.sentences(), plain.sentences());
            // Random access and threads.
            let mut out = vec![0u16; 700];
            corpus
                .fill_tokens(&mut out, 9_999, 2, &Progress::default())
                .unwrap();
            let tokens = &all_tokens(&corpus)[9_999..10_699];
            assert!(
                out.iter()
                    .map(|&token| u32::from(token))
                    .eq(tokens.iter().copied())
            );
        }
    }
}

#[test]
fn so_many_tokens_are_exact_and_more_add_documents() {
    let directory = tempfile::TempDir::new().unwrap();
    let (paths, _) = write(directory.path(), 2, true);
    let background = Arc::new(Background::open(&paths, 2, 0, None).unwrap());
    let mut before: HashSet<Vec<u32>> = HashSet::new();
    for tokens in [0, 1, 50, 999, 5000] {
        let fields = format!("background = {{tokens = {tokens}}}\norder_seed = {tokens}");
        let corpus = with(&fields, Some(&background)).unwrap();
        let own = found(&corpus);
        let sum: usize = own.iter().map(|tokens| tokens.len() + 1).sum();
        assert_eq!(sum, tokens);
        let own: HashSet<Vec<u32>> = own.into_iter().collect();
        // Except the one that was truncated.
        assert!(before.difference(&own).count() <= 1);
        before = own;
    }
}

#[test]
fn twins_and_specs_name_the_background() {
    let directory = tempfile::TempDir::new().unwrap();
    let (paths, _) = write(directory.path(), 2, true);
    let background = Arc::new(Background::open(&paths, 2, 0, None).unwrap());
    let parent = with(
        "exposures = 3\nbackground = {tokens = 3000}",
        Some(&background),
    )
    .unwrap();
    let twin = parent.without(&(0..400).collect::<Vec<_>>()).unwrap();
    assert_eq!(found(&twin), found(&parent));
    assert_eq!(twin.documents(), parent.documents());
    let json = parent.spec().to_json();
    assert!(json.contains(&format!(
        "\"background\":{{\"digest\":\"{}\",\"tokens\":3000}}",
        background.digest()
    )));
    let spec = Spec::from_json(&json).unwrap();
    let error = Corpus::from_spec(spec.clone()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "argument 'background': got none of its documents, allowed: the documents that the spec \
         names"
    );
    let parts = Parts {
        background: Some(background),
        ..Parts::default()
    };
    let again = Corpus::with_parts(World::new(spec.world).unwrap(), spec.corpus, parts).unwrap();
    assert_eq!(again.spec().hash(), parent.spec().hash());
    assert!(all_tokens(&again) == all_tokens(&parent));
}

#[test]
fn backgrounds_are_refused_by_name() {
    let directory = tempfile::TempDir::new().unwrap();
    let (paths, mut ends) = write(directory.path(), 2, true);
    let open = |width, ends| Background::open(&paths, width, 0, ends);
    ends.pop();
    for (error, message) in [
        (
            open(3, None).unwrap_err(),
            "argument 'background': got 3 bytes a token, allowed: 2 or 4",
        ),
        (
            open(2, Some(vec![5, 3])).unwrap_err(),
            "argument 'background': got an index out of order, allowed: ends of documents in \
             ascending order",
        ),
        (
            open(2, Some(vec![5])).unwrap_err(),
            "argument 'background': got an index that ends at token 5, allowed: an index that ends at ",
        ),
        (
            Background::open(&paths, 2, 5, None)
                .and_then(|b| with("", Some(&Arc::new(b))))
                .unwrap_err(),
            "argument 'background': got documents that end with token 5, allowed: 0, the end of a \
             document of the corpus",
        ),
        (
            open(2, None)
                .and_then(|b| with("background = {digest = \"00\"}", Some(&Arc::new(b))))
                .unwrap_err(),
            "argument 'background.digest': got `",
        ),
        (
            open(2, None)
                .and_then(|b| with("background = {tokens = 1e9}", Some(&Arc::new(b))))
                .unwrap_err(),
            "argument 'background.tokens': got 1000000000, allowed: up to ",
        ),
    ] {
        let error = error.to_string();
        assert!(error.starts_with(message), "{error}");
    }
    assert!(open(2, Some(ends)).is_err());
    let large = directory.path().join("large.bin");
    fs::write(&large, 60_000u16.to_le_bytes()).unwrap();
    let large = Arc::new(Background::open(&[large], 2, 0, None).unwrap());
    let error = with("", Some(&large)).unwrap_err().to_string();
    assert!(
        error.starts_with("argument 'background': got token 60000, allowed: ids below "),
        "{error}"
    );
}

#[test]
fn an_index_of_blocks_is_refused_for_a_new_corpus() {
    let directory = tempfile::TempDir::new().unwrap();
    let path = directory.path().join("blocks.bin");
    // Ends at the beginning of a document are allowed, with which some tokenizers begin one, and so
    // are several at its end.
    let tokens = [0u16, 8, 9, 0, 0, 8, 0, 9, 8, 0];
    fs::write(&path, tokens.map(u16::to_le_bytes).as_flattened()).unwrap();
    let open = |ends: &[u64]| {
        let opened = Background::open(std::slice::from_ref(&path), 2, 0, Some(ends.to_vec()));
        Arc::new(opened.unwrap())
    };
    for (ends, inside) in [
        (&[4, 5, 7, 10][..], None),
        (&[4, 4, 7, 10], None),
        (&[5, 7, 10], None),
        (&[3, 7, 10], None),
        (&[4, 10], Some(1)),
        (&[4, 5, 8, 10], Some(2)),
        (&[3, 5, 7, 10], None),
        (&[2, 7, 10], Some(1)),
    ] {
        let background = open(ends);
        let made = with("", Some(&background));
        let Some(document) = inside else {
            assert!(made.is_ok(), "{ends:?}");
            continue;
        };
        assert_eq!(
            made.unwrap_err().to_string(),
            format!(
                "argument 'background': got an index whose document {document} has an end of \
                 document inside, allowed: an index of documents, not of blocks; or the corpus \
                 directory that was exported"
            )
        );
        // A spec that has the digest is of a corpus that was made before.
        let digest = format!("background = {{digest = \"{}\"}}", background.digest());
        assert!(with(&digest, Some(&background)).is_ok());
    }
}

#[test]
fn a_file_that_is_gone_short_is_an_error_and_no_tokens() {
    let directory = tempfile::TempDir::new().unwrap();
    let (paths, _) = write(directory.path(), 2, true);
    let background = Arc::new(Background::open(&paths, 2, 0, None).unwrap());
    let corpus = with("exposures = 3", Some(&background)).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&paths[1]).unwrap();
    file.set_len(100).unwrap();
    let error = corpus.tokens::<u16>(0..corpus.documents(), 1, &Progress::default());
    let error = error.unwrap_err().to_string();
    assert!(error.contains("2-true-1000.bin"), "{error}");
}

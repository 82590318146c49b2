//! Text mixed with the documents of another corpus.

use std::sync::Arc;

use behemoth_gen::background::Background;
use behemoth_gen::corpus::{BACKGROUND_ROLE, Parts};
use behemoth_gen::shard::{WriteOptions, write};
use behemoth_gen::{Corpus, Progress, Spec, World, WorldSpec};

use super::{corpus, grammar, lexicon};

#[test]
fn text_keeps_its_texts_roles_and_spans_among_a_background() {
    let directory = tempfile::TempDir::new().unwrap();
    let path = directory.path().join("tokens.bin");
    let tokens: Vec<u8> = (0..50u16)
        .flat_map(|document| [3 + document % 7, 4, 5, 0])
        .flat_map(u16::to_le_bytes)
        .collect();
    std::fs::write(&path, tokens).unwrap();
    let background = Arc::new(Background::open(&[path], 2, 0, None).unwrap());
    for keys in ["exposures = 4", "exposures = 4\norder = \"bios\""] {
        let world = WorldSpec::builder()
            .subjects(6)
            .relations(grammar().relations())
            .seed(3)
            .build()
            .unwrap();
        let spec = Spec::from_toml(&format!("[world]\n[corpus]\n{keys}")).unwrap();
        let parts = Parts {
            lexicon: Some(lexicon()),
            background: Some(Arc::clone(&background)),
            ..Parts::default()
        };
        let mixed = Corpus::with_parts(World::new(world).unwrap(), spec.corpus, parts).unwrap();
        let plain = corpus(keys);
        let n = mixed.documents();
        assert_eq!(n, plain.documents() + 50);
        let says_facts = mixed.says_facts(0..n).unwrap();
        let texts = mixed.texts(0..n).unwrap();
        let mut own: Vec<&String> = texts
            .iter()
            .zip(&says_facts)
            .filter_map(|(text, &says_facts)| says_facts.then_some(text))
            .collect();
        let mut wanted = plain.texts(0..plain.documents()).unwrap();
        own.sort_unstable();
        wanted.sort_unstable();
        assert!(own.into_iter().eq(&wanted));
        let roles = mixed.as_roles().unwrap();
        let of = |corpus: &Corpus, document: u64| -> Vec<u16> {
            corpus
                .tokens(document..document + 1, 1, &Progress::default())
                .unwrap()
        };
        for (document, &says_facts) in (0..).zip(&says_facts) {
            let (tokens, roles) = (of(&mixed, document), of(&roles, document));
            assert_eq!(tokens.len(), roles.len());
            let is_background = roles[0] == BACKGROUND_ROLE as u16;
            assert_eq!(is_background, !says_facts && !tokens.is_empty());
        }
        let spans = mixed.spans(0..n).unwrap();
        assert_eq!(
            spans.len(),
            plain.spans(0..plain.documents()).unwrap().len()
        );
        assert!(spans.iter().all(|span| says_facts[span.document as usize]));
        let total = mixed.token_count(1, &Progress::default()).unwrap();
        assert_eq!(
            total,
            plain.token_count(1, &Progress::default()).unwrap() + 200
        );
    }
}

#[test]
fn the_tokens_of_roles_are_those_of_words_and_are_counted_once() {
    let corpus = corpus("exposures = 40");
    let (first, second) = (Progress::default(), Progress::default());
    let tokens = corpus.token_count(1, &first).unwrap();
    let roles = corpus.as_roles().unwrap();
    assert_eq!(roles.token_count(1, &second).unwrap(), tokens);
    let done = [first, second].map(|progress| progress.done.into_inner());
    assert_eq!(done, [corpus.documents(), 0]);
}

/// Its spec is that of the corpus: a directory of roles would be taken for the corpus's own.
#[test]
fn roles_are_not_written_and_have_no_twins() {
    let roles = corpus("exposures = 4").as_roles().unwrap();
    let directory = tempfile::TempDir::new().unwrap();
    let (path, progress) = (directory.path().join("out"), Progress::default());
    let written = write(&roles, &path, &WriteOptions::default(), &progress);
    for error in [
        written.unwrap_err(),
        roles.without(&[0]).unwrap_err(),
        roles.with_overrides(&[(0, 1)], false).unwrap_err(),
    ] {
        assert_eq!(
            error.to_string(),
            "argument 'corpus': got the roles of its tokens, allowed: the corpus itself, of which \
             roles are a view"
        );
    }
    assert!(!path.exists());
}

//! Text mixed with documents of a filler.

use std::collections::HashSet;
use std::sync::Arc;

use behemoth_gen::corpus::{BACKGROUND_ROLE, DocumentKind, Parts};
use behemoth_gen::grammar::{Lexicon, TextToken, Tokenizer, WordTokenizer};
use behemoth_gen::{Corpus, FormatVersion, Progress, Result, Spec, World, WorldSpec};
use proptest::prelude::*;

use super::{corpus, grammar, lexicon, try_corpus};

const FILLER: &str = "filler = \"zipf:tokens=900,words=40,length=30\"";

fn documents(corpus: &Corpus) -> Vec<Vec<u16>> {
    let quiet = Progress::default();
    (0..corpus.documents())
        .map(|document| corpus.tokens(document..document + 1, 1, &quiet).unwrap())
        .collect()
}

/// Returns the documents with facts, and the others.
fn apart(corpus: &Corpus) -> [Vec<Vec<u16>>; 2] {
    let kinds = corpus.document_kinds(0..corpus.documents()).unwrap();
    let mut apart = [Vec::new(), Vec::new()];
    for (kind, document) in kinds.into_iter().zip(documents(corpus)) {
        apart[usize::from(kind != DocumentKind::Facts)].push(document);
    }
    apart[0].retain(|document| !document.is_empty());
    apart.iter_mut().for_each(|own| own.sort_unstable());
    apart
}

#[test]
fn facts_are_written_as_without_a_filler_in_documents_of_any_kind() {
    for keys in [
        "exposures = 4",
        "exposures = 4\norder = \"bios\"",
        "exposures = 4\norder = \"bios\"\ndocuments = { subjects = 2 }",
        "exposures = 3\norder = \"bios\"\ndocuments = { subjects = 4, naming = \"always\" }",
    ] {
        let plain = corpus(keys);
        let mixed = corpus(&format!("{keys}\n{FILLER}"));
        let [facts, filler] = apart(&mixed);
        assert_eq!(facts, apart(&plain)[0], "{keys}");
        assert_eq!(mixed.documents(), plain.documents() + filler.len() as u64);
        assert_eq!(filler.iter().map(Vec::len).sum::<usize>(), 900);
        // Its words are exactly the last ones of the vocabulary.
        let first = lexicon().size() as u16;
        assert_eq!(mixed.vocabulary().size(), u64::from(first) + 40);
        for document in &filler {
            let (end, words) = document.split_last().unwrap();
            assert_eq!(*end, 0);
            assert!(words.iter().all(|&word| word >= first && word < first + 40));
        }
        let names: Vec<&String> = mixed
            .vocabulary()
            .ranges()
            .iter()
            .flat_map(|range| &range.names)
            .collect();
        assert_eq!(names.len() as u64, mixed.vocabulary().size());
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
        assert!(
            names[usize::from(first)..]
                .iter()
                .all(|n| n.starts_with(' '))
        );
    }
}

#[test]
fn the_ledger_finds_every_copy_among_filler() {
    for keys in [
        "exposures = 5\norder = \"bios\"",
        "exposures = 5\norder = \"bios\"\ndocuments = { subjects = 2 }",
        "exposures = 5\norder = \"bios\"\ndocuments = { subjects = 4 }",
        "exposures = 5\ninsert = \"anywhere,per_document=9\"",
    ] {
        let filler = match keys.contains("insert") {
            true => "filler = \"zipf:tokens=60000,words=40,length=500\"",
            false => FILLER,
        };
        let corpus = corpus(&format!("{keys}\n{filler}"));
        let facts: Vec<u64> = (0..corpus.world().facts()).collect();
        let ledger = corpus.ledger_of(&facts, &Progress::default()).unwrap();
        let entries = corpus.entries(0..corpus.documents()).unwrap();
        assert_eq!(ledger.len() as u64, corpus.sentences());
        let key = |e: &behemoth_gen::corpus::Entry| (e.fact, e.copy, e.document, e.place);
        let mut both = [&ledger, &entries].map(|own| own.iter().map(key).collect::<Vec<_>>());
        both.iter_mut().for_each(|own| own.sort_unstable());
        assert_eq!(both[0], both[1], "{keys}");
        let says = corpus.says_facts(0..corpus.documents()).unwrap();
        assert!(ledger.iter().all(|entry| says[entry.document as usize]));
    }
}

#[test]
fn a_total_is_kept_at_any_exposures_and_by_twins() {
    for order in [
        "",
        "\norder = \"bios\"",
        "\norder = \"bios\"\ndocuments = { subjects = 2 }",
    ] {
        let of = |exposures: u64| {
            corpus(&format!(
                "exposures = {exposures}{order}\nfiller = \"zipf:total_tokens=9000,words=40\""
            ))
        };
        let count = |corpus: &Corpus| corpus.token_count(1, &Progress::default()).unwrap();
        for exposures in [1, 2, 7] {
            assert_eq!(count(&of(exposures)), 9000);
        }
        let parent = of(4);
        let twin = parent.without(&[0, 7]).unwrap();
        assert_eq!(twin.documents(), parent.documents());
        assert_eq!(apart(&twin)[1], apart(&parent)[1]);
        assert!(count(&twin) < 9000);
    }
}

/// Returns a corpus with a total number of tokens, in a format version.
fn up_to_a_total(version: FormatVersion, seed: u64, keys: &str) -> Corpus {
    let world = WorldSpec::builder()
        .subjects(6)
        .relations(grammar().relations())
        .seed(seed)
        .build()
        .unwrap();
    let filler = "filler = \"zipf:total_tokens=5000,words=40,length=8\"";
    let spec = Spec::from_toml(&format!("[world]\n[corpus]\n{keys}\n{filler}")).unwrap();
    let world = World::of_version(version, world, None).unwrap();
    Corpus::with_lexicon(world, spec.corpus, None, lexicon()).unwrap()
}

/// Returns another object for each of some facts: the one a number of steps further in its
/// relation.
fn others_of(parent: &Corpus, facts: &[(u64, u32)]) -> Vec<(u64, u32)> {
    let world = parent.world();
    let chosen = facts.iter().map(|&(fact, steps)| {
        let own = world.fact(fact).unwrap();
        let objects = world.objects_of(own.relation) as u32;
        (fact, (own.object + 1 + steps % (objects - 1)) % objects)
    });
    chosen.collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(64)
    })]

    /// In documents of the parent without changed facts, the twin is identical.
    #[test]
    fn a_twin_with_other_objects_has_the_filler_and_the_places_of_its_parent(
        seed in 0..1000u64,
        exposures in 1..6u64,
        order in prop::sample::select(vec![
            "",
            "order = \"bios\"",
            "order = \"bios\"\ndocuments = { subjects = 2 }",
            "schedule = \"spaced\"",
        ]),
        facts in prop::collection::btree_map(0..24u64, 0..100u32, 1..6),
        follow in any::<bool>(),
    ) {
        let keys = format!("exposures = {exposures}\n{order}");
        let parent = up_to_a_total(FormatVersion::V3, seed, &keys);
        let facts: Vec<(u64, u32)> = facts.into_iter().collect();
        let twin = parent.with_overrides(&others_of(&parent, &facts), follow).unwrap();
        prop_assert_eq!(parent.documents(), twin.documents());
        let everything = 0..parent.documents();
        let kinds = parent.document_kinds(everything.clone()).unwrap();
        prop_assert_eq!(&kinds, &twin.document_kinds(everything.clone()).unwrap());
        let places = |corpus: &Corpus| -> Vec<_> {
            let entries = corpus.entries(everything.clone()).unwrap();
            entries.iter().map(|e| (e.fact, e.copy, e.document, e.place)).collect()
        };
        let own = places(&parent);
        prop_assert_eq!(&own, &places(&twin));
        let changed = |fact: u64| parent.world().fact(fact) != twin.world().fact(fact);
        let touched: HashSet<u64> =
            own.iter().filter(|entry| changed(entry.0)).map(|entry| entry.2).collect();
        let both = documents(&parent).into_iter().zip(documents(&twin));
        for (number, (before, after)) in (0..).zip(both) {
            if !touched.contains(&number) {
                prop_assert_eq!(before, after);
            }
        }
        // The same for every way to build it: from its spec, from a twin, and with omitted facts.
        let spec = twin.spec().corpus.clone();
        let world = World::of_version(FormatVersion::V3, twin.spec().world.clone(), None).unwrap();
        let again = Corpus::with_lexicon(world, spec, None, lexicon()).unwrap();
        prop_assert!(documents(&again) == documents(&twin));
        let drawn = |&(fact, _): &(u64, u32)| (fact, parent.world().fact(fact).unwrap().object);
        let drawn: Vec<(u64, u32)> = facts.iter().map(drawn).collect();
        let back = twin.with_overrides(&drawn, follow).unwrap();
        prop_assert!(documents(&back) == documents(&parent));
        let without = twin.without(&[facts[0].0]).unwrap();
        prop_assert_eq!(without.documents(), parent.documents());
        prop_assert_eq!(&apart(&without)[1], &apart(&parent)[1]);
    }
}

/// Earlier versions keep the total of a twin, and so have more filler if its objects are shorter.
#[test]
fn before_version_3_a_twin_with_other_objects_keeps_the_total() {
    let count = |corpus: &Corpus| corpus.token_count(1, &Progress::default()).unwrap();
    for &version in FormatVersion::ALL {
        let parent = up_to_a_total(version, 3, "exposures = 16");
        // From New York to Oslo: one token less in each of 16 sentences, and two more documents of
        // filler.
        assert_eq!(parent.world().object(0, 0), Some(2));
        let twin = parent.with_overrides(&[(0, 0)], false).unwrap();
        assert_eq!(count(&parent), 5000);
        let kept = version < FormatVersion::V3;
        assert_eq!(count(&twin), if kept { 5000 } else { 4984 }, "{version}");
        let more = twin.documents() - parent.documents();
        assert_eq!(more, if kept { 2 } else { 0 }, "{version}");
    }
}

#[test]
fn roles_tell_a_filler_apart() {
    let mixed = corpus(&format!("exposures = 2\n{FILLER}"));
    let kinds = mixed.document_kinds(0..mixed.documents()).unwrap();
    let roles = documents(&mixed.as_roles().unwrap());
    for (kind, (roles, tokens)) in kinds.iter().zip(roles.iter().zip(documents(&mixed))) {
        assert_eq!(roles.len(), tokens.len());
        let is_filler = *kind == DocumentKind::Filler;
        assert_eq!(roles[0] == BACKGROUND_ROLE as u16, is_filler);
    }
}

/// The words of a grammar as an external tokenizer, which has words that are in no sentence.
struct Foreign(WordTokenizer);

impl Tokenizer for Foreign {
    fn digest(&self) -> String {
        "foreign".into()
    }
    fn size(&self) -> u64 {
        5000
    }
    fn end_of_document(&self) -> u32 {
        0
    }
    fn encode(&mut self, texts: &[String]) -> Result<Vec<Vec<TextToken>>> {
        self.0.encode(texts)
    }
}

#[test]
fn words_of_another_tokenizer_are_those_of_no_name() {
    let mut tokenizer = Foreign(WordTokenizer::default());
    let plain = Lexicon::new(grammar(), &mut tokenizer).unwrap();
    let known = plain.size();
    // Including names and an object, two tokens, and one that differs between positions.
    let candidates = [
        " Ada",
        " apple",
        " was",
        " Oslo",
        " New York",
        "pear",
        " apple",
        " Ames",
        " fig",
    ];
    let mut pairs: Vec<(String, String)> =
        candidates.map(|c| (c.to_string(), c.to_string())).into();
    pairs.push((" kiwi".into(), " lime".into()));
    let lexicon = Arc::new(plain.with_words(&mut tokenizer, &pairs, &[]).unwrap());
    // Its ids may be those of other words, or of none.
    let error = Lexicon::clone(&lexicon)
        .with_words(&mut WordTokenizer::default(), &pairs, &[])
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "argument 'tokenizer': got 'words-v1', allowed: 'foreign', that of the lexicon"
    );
    let mut id = |word: &str| tokenizer.encode(&[word.to_string()]).unwrap()[0][0].id;
    let wanted = [" apple", " was", "pear", " fig"].map(&mut id);
    assert_eq!(lexicon.words(), wanted);
    assert_eq!(lexicon.size(), known);
    let of = |words: u64| {
        let world = WorldSpec::builder()
            .subjects(6)
            .relations(grammar().relations())
            .build()
            .unwrap();
        let keys = format!("[world]\n[corpus]\nfiller = \"zipf:tokens=500,words={words}\"");
        let parts = Parts {
            lexicon: Some(Arc::clone(&lexicon)),
            ..Parts::default()
        };
        let spec = Spec::from_toml(&keys).unwrap();
        Corpus::with_parts(World::new(world).unwrap(), spec.corpus, parts)
    };
    let [_, filler] = apart(&of(4).unwrap());
    let said: HashSet<u16> = filler.concat().into_iter().collect();
    let all = wanted.iter().map(|&id| id as u16).chain([0]);
    assert_eq!(said, all.collect::<HashSet<u16>>());
    let error = of(5).unwrap_err().to_string();
    assert!(
        error.contains("'filler.words': got 5, allowed: 2 to 4: words of the tok"),
        "{error}"
    );
}

#[test]
fn a_schedule_beside_shared_documents_and_filler_is_refused() {
    let keys =
        "exposures = 4\norder = \"bios\"\ndocuments = { subjects = 2 }\nschedule = \"spaced\"";
    assert!(try_corpus(6, keys).is_ok());
    let error = try_corpus(6, &format!("{keys}\n{FILLER}"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("'documents.subjects': got 2, allowed: 1 together with a schedule"),
        "{error}"
    );
}

//! Golden bytes: the meaning of a spec is frozen. A change of any of these numbers changes
//! everyone's corpora, and so requires a new [`FormatVersion`] and a line in CHANGELOG.md. The
//! numbers of a version never change, since its specs remain readable and writable.

mod common;

use std::sync::Arc;

use behemoth_gen::exposure::Array;
use behemoth_gen::grammar::{Lexicon, TextGrammar, WordTokenizer};
use behemoth_gen::{Corpus, CorpusSpec, FormatVersion, Progress, Spec, Table, World, WorldSpec};
use common::corpus;

/// Every feature at least once in a small corpus, and sizes above the limits of tables and of 32
/// bits.
const SPECS: [(&str, &str); 15] = [
    ("the default", "[world]\n"),
    (
        "small",
        "[world]\nseed = 7\nsubjects = 50\nrelations = 3\nobjects = [4, 5, 6]\n",
    ),
    (
        "large",
        "[world]\nsubjects = 10_000_000_000\nrelations = 6\nobjects = 400\n\
         [corpus]\nexposures = 1000\n",
    ),
    (
        "every relation",
        "[world]\nsubjects = 3000\nminority = 0.25\nrelations = [\
         {kind = \"independent\", objects = 60}, {kind = \"zipf\", objects = 60, alpha = 1.1},\
         {kind = \"correlated\", with = 0, strength = 0.7}, {kind = \"one_to_one\"},\
         {kind = \"inverse\", of = 3}, {kind = \"composed\", of = 0, objects = 12},\
         {kind = \"composed\", of = 5, objects = 4},\
         {kind = \"independent\", objects = 60, binarised = true}]\n\
         [corpus]\nexposures = 2\nminority_sentences = 0.5\n",
    ),
    (
        "groups",
        "[world]\nsubjects = 2000\n[corpus]\nexposures = \"groups:1,4,16,64\"\n",
    ),
    (
        "latin",
        "[world]\nsubjects = 2000\nnested = 20\n[corpus]\nexposures = \"latin:1,4,16\"\n\
         nested_exposures = 7\n",
    ),
    (
        "zipf",
        "[world]\nsubjects = 2000\n[corpus]\nexposures = \"zipf:alpha=1.05,min=1,max=1000\"\n",
    ),
    (
        "bios",
        "[world]\nsubjects = 2000\nnested = 20\n[corpus]\nexposures = \"groups:2,3,9\"\n\
         order = \"bios\"\norder_seed = 5\n",
    ),
    (
        "inversion and paraphrases",
        "[world]\nsubjects = 2000\n[corpus]\ninversion = 0.5\nparaphrases = 5\nheld_out = 2\n",
    ),
    (
        "exact shares",
        "[world]\nsubjects = 2000\n[corpus]\ntemplates = {default = 3, refusal = 1}\n\
         inversion = 0.3\nexact_shares = true\n",
    ),
    (
        "repeats",
        "[world]\nsubjects = 2000\n[corpus]\ntemplates = {repeats = 1}\nparaphrases = 2\n",
    ),
    (
        "nonsense",
        "[world]\nsubjects = 2000\n[corpus]\ntemplates = {nonsense = 1}\ninversion = 0.5\n",
    ),
    (
        "questions",
        "[world]\nsubjects = 2000\n[corpus]\nexposures = 5\ntemplates = {default = 1, sor = 1, \
         osr = 1, rso = 1, question = 1, refusal = 1, question_refusal = 1}\n\
         questions = {subjects = 0.5, sentences = 0.3}\nparaphrases = 3\n",
    ),
    (
        "a small base",
        "[world]\nsubjects = 2000\nobjects = 123\n[corpus]\nbase = 10\n",
    ),
    (
        "32 bits",
        "[world]\nsubjects = 70_000\n[corpus]\nbase = 100_000\n",
    ),
];

/// Specs that have other bytes since the second version.
const CHANGED: [(&str, &str); 2] = [
    ("questions", SPECS[12].1),
    (
        "a third of the facts",
        "[world]\nsubjects = 7\nrelations = 3\nobjects = 9\nminority = 0.3333\n\
         [corpus]\nexposures = 4\nminority_sentences = 0.5\n",
    ),
];

/// Returns the corpus of a TOML spec in a version.
fn of_version(version: FormatVersion, toml: &str) -> Corpus {
    corpus(&format!("format_version = {version}\n{toml}"))
}

/// Returns twins, arrays and tables, which need more than a spec.
fn built(version: FormatVersion) -> Vec<(&'static str, Corpus)> {
    // Six relations and their composed ones: the first fact of every subject; every third fact.
    let parent = of_version(version, SPECS[7].1);
    let changes: Vec<(u64, u32)> = (0..2000).map(|subject| (subject * 12, 399)).collect();
    let without: Vec<u64> = (0..parent.world().facts()).step_by(3).collect();
    let array: Vec<u32> = (0..300).map(|fact| fact * 7 % 11).collect();
    let spec = CorpusSpec::builder()
        .exposures(Array::default())
        .build()
        .unwrap();
    let small = Spec::from_toml("[world]\nsubjects = 50\n").unwrap().world;
    let rows = 0..1100u32;
    let table = Table {
        subject: rows.clone().map(|row| u64::from(row / 2)).collect(),
        relation: rows.clone().map(|row| row % 2).collect(),
        object: rows.clone().map(|row| row * row % 97).collect(),
        minority: Vec::new(),
        nested: rows
            .map(|row| match row % 2 {
                0 => row * row % 97 % 5,
                _ => u32::MAX,
            })
            .collect(),
    };
    let reference = WorldSpec::from_json(
        "{\"subjects\": 1055, \"table\": {\"relations\": [{\"objects\": 97, \"nested\": 5}, \
         {\"objects\": 1500}], \"reference_words\": true}}",
    )
    .unwrap();
    let reference = World::of_version(version, reference, Some(&table)).unwrap();
    let small = World::of_version(version, small, None).unwrap();
    vec![
        (
            "a twin that follows",
            parent.with_overrides(&changes, true).unwrap(),
        ),
        ("a twin without", parent.without(&without).unwrap()),
        ("an array", Corpus::new(small, spec, Some(array)).unwrap()),
        (
            "a table",
            Corpus::new(reference, CorpusSpec::default(), None).unwrap(),
        ),
    ]
}

/// Returns a corpus of text up to a total number of tokens, and its twin with an object of fewer
/// words.
fn beside_a_filler(version: FormatVersion) -> Vec<(&'static str, Corpus)> {
    let grammar = TextGrammar::from_toml("small.toml", include_str!("text/small.toml")).unwrap();
    let world = WorldSpec::builder()
        .subjects(6)
        .relations(grammar.relations())
        .seed(3)
        .build()
        .unwrap();
    let world = World::of_version(version, world, None).unwrap();
    let lexicon = Lexicon::new(grammar, &mut WordTokenizer::default()).unwrap();
    let spec = Spec::from_toml(
        "[world]\n[corpus]\nexposures = 8\nfiller = \"zipf:total_tokens=4000,words=40,length=4\"\n",
    )
    .unwrap();
    let parent = Corpus::with_lexicon(world, spec.corpus, None, Arc::new(lexicon)).unwrap();
    // From New York, which is two tokens, to Oslo.
    assert_eq!(parent.world().object(0, 0), Some(2));
    let twin = parent.with_overrides(&[(0, 0)], false).unwrap();
    vec![
        ("a parent beside a filler", parent),
        ("a twin beside a filler", twin),
    ]
}

type Rows = Vec<(&'static str, String, String)>;

/// Returns the rows of every feature in a version.
fn all(version: FormatVersion) -> Rows {
    let specs = SPECS.into_iter();
    rows(
        specs
            .map(|(name, toml)| (name, of_version(version, toml)))
            .chain(built(version)),
    )
}

/// Returns name, BLAKE3 of the first 5,000 tokens and the last 100 documents, and hash of the spec.
fn rows(corpora: impl Iterator<Item = (&'static str, Corpus)>) -> Rows {
    corpora
        .map(|(name, corpus)| {
            let mut first = vec![0u32; 5_000];
            let progress = Progress::default();
            let made = corpus.fill(&mut first, 0, 1, &progress).unwrap();
            let end = corpus.documents();
            let last: Vec<u32> = corpus
                .tokens(end.saturating_sub(100)..end, 1, &progress)
                .unwrap();
            let mut hasher = blake3::Hasher::new();
            for token in first[..made].iter().chain(&last) {
                hasher.update(&token.to_le_bytes());
            }
            let short = |hash: &str| hash[..16].to_string();
            (
                name,
                short(hasher.finalize().to_hex().as_str()),
                short(&corpus.spec().hash()),
            )
        })
        .collect()
}

#[test]
fn bytes_and_hashes_of_version_1_are_those_of_version_1() {
    assert_golden(&all(FormatVersion::V1), &GOLDEN);
}

#[test]
fn what_version_2_changed_is_as_it_was_changed_to() {
    let specs = CHANGED.into_iter().chain([SPECS[0]]);
    let rows = rows(specs.map(|(name, toml)| (name, of_version(FormatVersion::V2, toml))));
    assert_golden(&rows, &GOLDEN_2);
}

#[test]
fn what_version_3_changed_is_as_it_was_changed_to() {
    let corpora = FormatVersion::ALL.iter().copied().flat_map(beside_a_filler);
    assert_golden(&rows(corpora), &GOLDEN_BESIDE_A_FILLER);
}

#[test]
fn version_3_changed_the_bytes_of_nothing_else() {
    let (second, third) = (all(FormatVersion::V2), all(FormatVersion::V3));
    for ((name, bytes, hash), (_, golden, other)) in third.iter().zip(&second) {
        assert_eq!(bytes, golden, "{name}");
        assert_ne!(hash, other, "a spec says which version it is of");
    }
}

#[test]
fn version_2_changed_the_bytes_of_nothing_else() {
    for ((name, bytes, hash), (_, golden, other)) in all(FormatVersion::V2).iter().zip(GOLDEN) {
        assert_eq!(bytes == golden, *name != "questions", "{name}");
        assert_ne!(hash, other, "a spec says which version it is of");
    }
}

#[test]
fn specs_without_a_version_are_of_the_latest() {
    assert_eq!(
        corpus("[world]\n").spec().format_version,
        FormatVersion::LATEST
    );
    assert_eq!(
        FormatVersion::LATEST,
        FormatVersion::V3,
        "then there are more constants"
    );
}

/// A spec keeps its version when it is written and read, in either language.
#[test]
fn versions_go_through_toml_and_json() {
    for &version in FormatVersion::ALL {
        let corpus = of_version(version, SPECS[12].1);
        let spec = corpus.spec();
        assert_eq!(spec.format_version, version);
        for again in [
            Spec::from_toml(&spec.to_toml()),
            Spec::from_json(&spec.to_json()),
        ] {
            assert_eq!(&again.unwrap(), spec);
        }
        let twin = corpus.without(&[1]).unwrap();
        assert_eq!(twin.spec().format_version, version);
        let twin = corpus.with_overrides(&[(1, 1)], false).unwrap();
        assert_eq!(twin.spec().format_version, version);
        assert_eq!(twin.world().version(), version);
    }
}

fn assert_golden(rows: &Rows, golden: &[(&str, &str, &str)]) {
    let same = rows.len() == golden.len()
        && rows
            .iter()
            .zip(golden)
            .all(|((name, bytes, hash), golden)| (*name, &bytes[..], &hash[..]) == *golden);
    if !same {
        let table: String = rows
            .iter()
            .map(|(name, bytes, hash)| format!("    (\"{name}\", \"{bytes}\", \"{hash}\"),\n"))
            .collect();
        panic!("the format has changed; if that is meant, these are the constants:\n{table}");
    }
}

/// Versions 1, 2 and 3.
#[rustfmt::skip]
const GOLDEN_BESIDE_A_FILLER: [(&str, &str, &str); 6] = [
    ("a parent beside a filler", "5cbc74b77d3fc222", "638dfcf933867eb5"),
    ("a twin beside a filler", "78a78837c1f57bc0", "0585bcb6ffb5dee3"),
    ("a parent beside a filler", "5cbc74b77d3fc222", "8a066d11f8f46016"),
    ("a twin beside a filler", "78a78837c1f57bc0", "bb6a2bc1a7d44020"),
    ("a parent beside a filler", "5cbc74b77d3fc222", "53fdb77bed165e87"),
    ("a twin beside a filler", "582977089679187d", "3578912bc99c0767"),
];

#[rustfmt::skip]
const GOLDEN_2: [(&str, &str, &str); 3] = [
    ("questions", "127ab0ae184a15b5", "ef39416424677b18"),
    ("a third of the facts", "058952998d505ecc", "02c19044c06ae656"),
    ("the default", "a249ed452474dddd", "b864e90a15aad277"),
];

#[rustfmt::skip]
const GOLDEN: [(&str, &str, &str); 19] = [
    ("the default", "a249ed452474dddd", "d7ca77f56c4cd735"),
    ("small", "131ab80a0316b504", "783b97cda184d5f9"),
    ("large", "1ecd84ec52f19572", "0380803b7997e32e"),
    ("every relation", "8368ef07f9e5273f", "df50091819310cf7"),
    ("groups", "83ccfe2fb3049b5d", "fd69d19e6068e7ce"),
    ("latin", "dc3c127b22335999", "1b64c46b1841dc91"),
    ("zipf", "889ca7deec842dae", "815cd33b25b22158"),
    ("bios", "5740700022cdebfd", "c70b5c94589f6da8"),
    ("inversion and paraphrases", "96c8f90fcd28b3b1", "18e0d82bf17f264d"),
    ("exact shares", "5e51db30b963c849", "5e3cf3a3cc5c26c2"),
    ("repeats", "16695b50367928ad", "ae70d13fe9b68ade"),
    ("nonsense", "736f70acec39a0a9", "78d70c764386059e"),
    ("questions", "e99ebfc1a71d4912", "8511b5456cb48562"),
    ("a small base", "74697cc44e6e3571", "b99341537cd68607"),
    ("32 bits", "791d3a8bb211077d", "6374a290246d9557"),
    ("a twin that follows", "c7d5d1e7ab04da76", "f9da0b21a241bffb"),
    ("a twin without", "9ee3f844daeef9d0", "4a4c76ac562b4bdb"),
    ("an array", "d98f97c46449ef42", "b8d2b341913e01da"),
    ("a table", "d796dc697355119d", "e5edfbfcb4068094"),
];

//! Insert: sentences inside the documents of a filler and a background.
//!
//! The expected corpus is composed separately: the documents without facts, with the sentences of
//! the same corpus without an insert over their tokens, at the positions in the ledger.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use behemoth_gen::background::Background;
use behemoth_gen::corpus::{Entry, Parts};
use behemoth_gen::hash::{Key, multiply_high};
use behemoth_gen::{Corpus, Error, Progress, Spec, World};
use proptest::prelude::*;

use crate::common::{all_tokens, histogram, uniform_p};
use crate::{MIXED, tokens_of};

/// Returns 300 documents of 1 to 90 tokens, the end included.
fn background_documents() -> Vec<Vec<u32>> {
    let key = Key::new(5, "insert-test", 0);
    let of = |document| {
        let draw = |at: u64, n: u64| multiply_high(key.hash_pair(document, at), n);
        let words = (0..draw(0, 90)).map(|at| 8 + draw(at + 1, 12) as u32);
        words.chain([0]).collect()
    };
    (0..300).map(of).collect()
}

static BACKGROUND: LazyLock<Arc<Background>> = LazyLock::new(|| {
    let tokens = background_documents().concat();
    let bytes: Vec<u8> = tokens
        .iter()
        .flat_map(|&token| (token as u16).to_le_bytes())
        .collect();
    let directory = tempfile::TempDir::new().unwrap();
    let path = directory.path().join("tokens.bin");
    std::fs::write(&path, bytes).unwrap();
    // The file is already open when its directory is removed.
    Arc::new(Background::open(&[path], 2, 0, None).unwrap())
});

/// 151 facts, those of 40 links among them.
const WORLD: &str = "[world]\nsubjects = 37\nminority = 0.2\nrelations = [\
                     {kind = \"independent\", objects = 40}, \
                     {kind = \"independent\", objects = 1500}, \
                     {kind = \"composed\", of = 0, objects = 4}]\n";

pub(crate) fn try_with(fields: &str, background: bool) -> Result<Corpus, Error> {
    let spec = Spec::from_toml(&format!("{WORLD}[corpus]\n{fields}\n"))?;
    let parts = Parts {
        background: background.then(|| Arc::clone(&BACKGROUND)),
        ..Parts::default()
    };
    Corpus::with_parts(World::new(spec.world)?, spec.corpus, parts)
}

pub(crate) fn with(fields: &str) -> Corpus {
    try_with(fields, fields.contains("background")).unwrap_or_else(|e| panic!("{e}\nin\n{fields}"))
}

/// Returns the documents of a corpus, in order.
fn documents(corpus: &Corpus) -> Vec<Vec<u32>> {
    (0..corpus.documents())
        .map(|document| tokens_of(corpus, document..document + 1, 1))
        .collect()
}

/// Returns the complete ledger, by fact and copy.
fn ledger(corpus: &Corpus) -> Vec<Entry> {
    let facts = 0..corpus.world().facts();
    facts.flat_map(|f| corpus.ledger(f).unwrap()).collect()
}

/// Returns the same corpus without its facts: the documents before insertion.
fn bare(corpus: &Corpus) -> Corpus {
    let facts: Vec<u64> = (0..corpus.world().facts()).collect();
    corpus.without(&facts).unwrap()
}

/// Returns a corpus with the same sentences in documents of their own.
fn plain(corpus: &Corpus) -> Corpus {
    let mut spec = corpus.spec().corpus.clone();
    (spec.insert, spec.filler, spec.background) = (None, None, None);
    Corpus::new(corpus.world().clone(), spec, None).unwrap()
}

/// Composes the documents of a corpus from those without facts and the sentences of all copies, in
/// the order of the ledger.
fn put_together(corpus: &Corpus, sentences: &[Vec<u32>]) -> Vec<Vec<u32>> {
    let mut made = documents(&bare(corpus));
    let ledger = ledger(corpus);
    assert_eq!(ledger.len(), sentences.len());
    let mut taken = HashSet::new();
    for (entry, sentence) in ledger.iter().zip(sentences) {
        let (document, first) = (entry.document as usize, entry.offset as usize);
        let places = first..first + sentence.len();
        // A token belongs to at most one sentence, and the end of the document to none.
        assert!(places.end < made[document].len());
        assert!(places.clone().all(|place| taken.insert((document, place))));
        made[document][places].copy_from_slice(sentence);
    }
    made
}

/// Returns the sentences of a corpus in documents of their own, by fact and copy, without their
/// ends.
fn sentences(plain: &Corpus) -> Vec<Vec<u32>> {
    let entries = ledger(plain);
    assert!(entries.iter().all(|e| (e.place, e.offset) == (0, 0)));
    let tokens = entries.iter().map(|entry| {
        let mut tokens = tokens_of(plain, entry.document..entry.document + 1, 1);
        assert_eq!(tokens.pop(), Some(0));
        tokens
    });
    tokens.collect()
}

fn count(corpus: &Corpus) -> u64 {
    corpus.token_count(2, &Progress::default()).unwrap()
}

#[derive(Clone, Debug)]
struct Settings {
    fields: String,
    filler: u64,
    background: Option<u64>,
}

fn settings() -> impl Strategy<Value = Settings> {
    let exposures = prop::sample::select(vec![
        "1",
        "3",
        "groups:0,1,4",
        "latin:1,2",
        "zipf:alpha=1,min=1,max=5",
    ]);
    let grammar = prop::sample::select(vec![
        "",
        MIXED,
        "templates = {nonsense = 1}\ninversion = 0.5",
        "templates = {default = 3, refusal = 1}\nexact_shares = true",
        "base = 10\nparaphrases = 3",
    ]);
    let position = prop::sample::select(vec!["anywhere", "start", "middle", "end", "0.37"]);
    let seed = prop::option::of(0u64..1000);
    let filler = (prop::bool::ANY, 10_000u64..90_000, 20u64..300);
    let background = prop::option::of(1u64..BACKGROUND.tokens());
    (exposures, grammar, position, 1u64..5, seed, filler, background).prop_map(
        |(exposures, grammar, position, per_document, seed, filler, background)| {
            let (is_total, tokens, length) = filler;
            let which = if is_total { "total_tokens" } else { "tokens" };
            let mut fields = format!(
                "exposures = \"{exposures}\"\ninsert = \"{position},per_document={per_document}\"\n\
                 filler = \"zipf:{which}={tokens},words=50,length={length}\"\n{grammar}\n"
            );
            if let Some(seed) = seed {
                fields += &format!("order_seed = {seed}\n");
            }
            let background = background.filter(|&own| !is_total || own < tokens);
            if let Some(own) = background {
                fields += &format!("background = {{tokens = {own}}}\n");
            }
            let own = background.filter(|_| is_total).unwrap_or(0);
            Settings {
                fields,
                filler: tokens - own,
                background,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_copy_stands_once_where_the_ledger_says_and_nothing_else_moves(
        Settings { fields, filler, background } in settings(),
        at in any::<prop::sample::Index>(),
        size in 0usize..3000,
    ) {
        let corpus = match try_with(&fields, background.is_some()) {
            Ok(corpus) => corpus,
            Err(error) => {
                let text = error.to_string();
                prop_assert!(text.starts_with("argument 'insert': got ") && text.contains(" slots"));
                return Ok(());
            }
        };
        let plain = plain(&corpus);
        let made = put_together(&corpus, &sentences(&plain));
        prop_assert!(documents(&corpus) == made);

        // Counts.
        let all = all_tokens(&corpus);
        let wanted = filler + background.unwrap_or(0);
        prop_assert_eq!(all.len() as u64, wanted);
        prop_assert_eq!((count(&corpus), count(&bare(&corpus))), (wanted, wanted));
        prop_assert_eq!(corpus.sentences(), plain.sentences());
        let says_facts = corpus.says_facts(0..corpus.documents()).unwrap();
        let holding: HashSet<u64> = ledger(&corpus).iter().map(|e| e.document).collect();
        prop_assert_eq!(corpus.fact_documents(&Progress::default()).unwrap(), holding.len() as u64);
        for (document, says_facts) in (0..).zip(says_facts) {
            prop_assert_eq!(says_facts, holding.contains(&document));
        }

        // The ledger by document equals the ledger by fact.
        let mut by_fact = ledger(&corpus);
        by_fact.sort_by_key(|entry| (entry.document, entry.offset));
        prop_assert!(corpus.entries(0..corpus.documents()).unwrap() == by_fact);
        for pair in by_fact.windows(2) {
            let is_next = pair[0].document == pair[1].document;
            prop_assert_eq!(pair[1].place, if is_next { pair[0].place + 1 } else { 0 });
        }

        // Any part of the stream, on any number of threads.
        let start = at.index(all.len());
        let wanted = &all[start..(start + size).min(all.len())];
        for threads in [1, 3] {
            let mut out = vec![u32::MAX; size];
            let made = corpus.fill_tokens(&mut out, start as u64, threads, &Progress::default());
            prop_assert_eq!(made.unwrap(), wanted.len());
            prop_assert!(out[..wanted.len()] == *wanted);
            prop_assert!(tokens_of::<u32>(&corpus, 0..corpus.documents(), threads) == all);
        }
        let document = at.index(corpus.documents() as usize);
        let mut out = vec![u32::MAX; size];
        let filled = corpus.fill(&mut out, document as u64, 1, &Progress::default()).unwrap();
        prop_assert!(made[document..].concat().starts_with(&out[..filled]));

        // The spec gives the same corpus.
        let parts = Parts {
            background: background.map(|_| Arc::clone(&BACKGROUND)),
            ..Parts::default()
        };
        let spec = Spec::from_toml(&corpus.spec().to_toml()).unwrap();
        prop_assert_eq!(&spec, corpus.spec());
        let again = Corpus::with_parts(World::new(spec.world).unwrap(), spec.corpus, parts);
        prop_assert!(all_tokens(&again.unwrap()) == all);
    }

    #[test]
    fn twins_differ_in_the_tokens_of_their_facts_alone(
        Settings { fields, background, .. } in settings(),
        gone in prop::collection::btree_set(0u64..151, 1..60),
        fact in 0u64..111,
        object in 0u32..8,
    ) {
        let Ok(corpus) = try_with(&fields, background.is_some()) else {
            return Ok(());
        };
        let (all, alone) = (documents(&corpus), documents(&bare(&corpus)));
        let plain = plain(&corpus);
        let lengths: Vec<usize> = sentences(&plain).iter().map(Vec::len).collect();

        let gone: Vec<u64> = gone.into_iter().filter(|&f| f < corpus.world().facts()).collect();
        let mut wanted = all.clone();
        for (entry, &tokens) in ledger(&corpus).iter().zip(&lengths) {
            if gone.contains(&entry.fact) {
                let document = entry.document as usize;
                let own = entry.offset as usize..entry.offset as usize + tokens;
                wanted[document][own.clone()].copy_from_slice(&alone[document][own]);
            }
        }
        let twin = corpus.without(&gone).unwrap();
        prop_assert!(documents(&twin) == wanted);
        prop_assert_eq!(twin.documents(), corpus.documents());
        let mut rest = ledger(&corpus);
        rest.retain(|entry| !gone.contains(&entry.fact));
        let places = |entries: &[Entry]| -> Vec<(u64, u64, u64, u32)> {
            entries.iter().map(|e| (e.fact, e.copy, e.document, e.offset)).collect()
        };
        prop_assert_eq!(places(&ledger(&twin)), places(&rest));

        let Ok(twin) = corpus.with_overrides(&[(fact, object)], false) else {
            return Ok(()); // its second object
        };
        prop_assert_eq!(places(&ledger(&twin)), places(&ledger(&corpus)));
        prop_assert!(documents(&twin) == put_together(&twin, &sentences(&self::plain(&twin))));
        prop_assert!(documents(&bare(&twin)) == alone);
    }
}

#[test]
fn the_documents_are_those_that_would_stand_among_facts() {
    let between = with(
        "exposures = 2\nbackground = {tokens = 9000}\n\
         filler = \"zipf:tokens=20_000,words=50,length=90\"",
    );
    let inside = with(
        "exposures = 2\nbackground = {tokens = 9000}\ninsert = \"anywhere\"\n\
         filler = \"zipf:tokens=20_000,words=50,length=90\"",
    );
    let says_facts = between.says_facts(0..between.documents()).unwrap();
    let mut wanted = documents(&between);
    let mut facts = says_facts.into_iter();
    wanted.retain(|_| !facts.next().unwrap());
    let mut own = documents(&bare(&inside));
    wanted.sort_unstable();
    own.sort_unstable();
    assert!(own == wanted);
    // The ledger names the documents of the background.
    let (bare, known) = (documents(&bare(&inside)), background_documents());
    let (mut named, mut cut) = (0, 0);
    for entry in ledger(&inside) {
        let Some(number) = entry.background else {
            continue;
        };
        let (document, whole) = (&bare[entry.document as usize], &known[number as usize]);
        named += 1;
        cut += usize::from(document != whole);
        let words = &document[..document.len() - 1];
        assert!(whole.starts_with(words) && document.ends_with(&[0]));
    }
    assert!((50..250).contains(&named) && cut <= 1, "{named} {cut}");
}

#[test]
fn positions_are_what_they_say() {
    let of = |insert: &str| {
        with(&format!(
            "exposures = 2\nbase = 10_000\n{insert}\nnested_exposures = 2\n\
             filler = \"zipf:tokens=200_000,words=50,length=150\"",
        ))
    };
    // Sentences of the default template with words of one token each.
    let longest = 10;
    for (insert, share, parts) in [
        ("insert = \"start\"", 0.0, 1),
        ("insert = \"middle\"", 0.5, 1),
        ("insert = 1", 1.0, 1),
        ("insert = {position = 0.25, per_document = 3}", 0.25, 3),
        ("insert = \"end,per_document=2\"", 1.0, 2),
    ] {
        let corpus = of(insert);
        let lengths: Vec<u64> = documents(&corpus).iter().map(|d| d.len() as u64).collect();
        let mut seen = HashSet::new();
        for entry in ledger(&corpus) {
            let body = lengths[entry.document as usize] - 1;
            let first = u64::from(entry.offset);
            let part = (0..parts)
                .rev()
                .find(|part| part * body / parts <= first)
                .unwrap();
            let (from, to) = (part * body / parts, (part + 1) * body / parts);
            let wanted = ((to - from - longest) as f64 * share).round() as u64;
            assert_eq!(first - from, wanted, "{insert}");
            seen.insert(part);
        }
        assert_eq!(seen.len() as u64, parts, "{insert}");
    }
}

#[test]
fn documents_parts_and_places_are_taken_evenly() {
    let corpus = with(
        "exposures = 60\nbase = 10_000\nnested_exposures = 60\ninsert = \"anywhere,per_document=2\"\n\
         filler = \"zipf:tokens=5_000_000,words=50,length=400\"",
    );
    let lengths: Vec<u64> = documents(&corpus).iter().map(|d| d.len() as u64).collect();
    let ledger = ledger(&corpus);
    assert!(ledger.len() > 6_000);
    let (mut places, mut parts) = (Vec::new(), Vec::new());
    for entry in &ledger {
        let body = lengths[entry.document as usize] - 1;
        let first = u64::from(entry.offset);
        let part = u64::from(first >= body / 2);
        let (from, to) = (part * body / 2, (part + 1) * body / 2);
        parts.push(part);
        // In parts of 90 places and more, an eighth of them is an eighth to one in a hundred.
        places.push((first - from) * 8 / (to - from - 10 + 1));
    }
    for (counts, least) in [
        (histogram(parts, 2), 1e-4),
        (histogram(places, 8), 1e-6),
        (
            histogram(
                ledger.iter().map(|e| e.document * 20 / corpus.documents()),
                20,
            ),
            1e-4,
        ),
    ] {
        assert!(uniform_p(&counts) > least, "{counts:?}");
    }
    // With another order, the positions differ.
    let other = with(
        "exposures = 60\nbase = 10_000\nnested_exposures = 60\ninsert = \"anywhere,per_document=2\"\n\
         filler = \"zipf:tokens=5_000_000,words=50,length=400\"\norder_seed = 1",
    );
    let same = self::ledger(&other)
        .iter()
        .zip(&ledger)
        .filter(|(a, b)| (a.document, a.offset) == (b.document, b.offset))
        .count();
    assert!(same < 20, "{same}");
}

#[test]
fn bytes_are_frozen() {
    let corpus = with(
        "exposures = \"groups:1,4\"\ninsert = \"anywhere,per_document=2\"\nbackground = {tokens = 8000}\n\
         filler = \"zipf:total_tokens=70_000,words=90,length=70\"\nparaphrases = 3\n\
         templates = {default = 2, repeats = 1}\nquestions = {subjects = 0.5, sentences = 0.1}",
    );
    let bytes: Vec<u8> = all_tokens(&corpus)
        .iter()
        .flat_map(|t| t.to_le_bytes())
        .collect();
    let digest = blake3::hash(&bytes).to_hex();
    assert_eq!(&digest[..16], "3812887174ec3294", "the format has changed");
}

//! Text inside the documents of another corpus.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use behemoth_gen::background::Background;
use behemoth_gen::corpus::{BACKGROUND_ROLE, Entry, Parts, Span};
use behemoth_gen::grammar::{END_ROLE, Lexicon, TextGrammar, WordTokenizer};
use behemoth_gen::hash::{Key, multiply_high};
use behemoth_gen::{Corpus, Progress, Result, Spec, World, WorldSpec};
use proptest::prelude::*;

use crate::made::{grammar_of, has_links};

/// Returns documents of 1 to `longest` tokens, the end included, with ids below `size`.
fn background(documents: u64, longest: u64, size: u64) -> Arc<Background> {
    let directory = tempfile::TempDir::new().unwrap();
    background_at(
        &directory.path().join("tokens.bin"),
        documents,
        longest,
        size,
    )
}

/// Like [`background`], in a file of a given path.
fn background_at(path: &Path, documents: u64, longest: u64, size: u64) -> Arc<Background> {
    let key = Key::new(7, "text-insert-test", 0);
    let of = |document: u64| {
        let draw = |at: u64, n: u64| multiply_high(key.hash_pair(document, at), n);
        let words = (0..draw(0, longest)).map(move |at| 1 + draw(at + 1, size - 1) as u16);
        words.collect::<Vec<u16>>().into_iter().chain([0])
    };
    let bytes: Vec<u8> = (0..documents)
        .flat_map(of)
        .flat_map(u16::to_le_bytes)
        .collect();
    std::fs::write(path, bytes).unwrap();
    Arc::new(Background::open(&[path.to_path_buf()], 2, 0, None).unwrap())
}

/// Returns the corpora of a grammar with and without an insert.
fn both(grammar: &TextGrammar, keys: &str, insert: &str, longest: u64) -> Result<[Corpus; 2]> {
    let lexicon = Arc::new(Lexicon::new(
        grammar.clone(),
        &mut WordTokenizer::default(),
    )?);
    let background = background(150, longest, lexicon.size());
    let world = WorldSpec::builder()
        .subjects(grammar.names().min(5))
        .relations(grammar.relations())
        .seed(3)
        .build()?;
    let of = |keys: &str, background: Option<Arc<Background>>| {
        let spec = Spec::from_toml(&format!("[world]\n[corpus]\n{keys}"))?;
        let parts = Parts {
            lexicon: Some(Arc::clone(&lexicon)),
            background,
            ..Parts::default()
        };
        Corpus::with_parts(World::new(world.clone())?, spec.corpus, parts)
    };
    let inside = format!("{keys}\ninsert = \"{insert}\"");
    Ok([of(&inside, Some(background))?, of(keys, None)?])
}

fn documents(corpus: &Corpus) -> Vec<Vec<u32>> {
    let quiet = Progress::default();
    let of = |document| corpus.tokens(document..document + 1, 1, &quiet).unwrap();
    (0..corpus.documents()).map(of).collect()
}

fn ledger(corpus: &Corpus) -> Vec<Entry> {
    let facts: Vec<u64> = (0..corpus.world().facts()).collect();
    corpus.ledger_of(&facts, &Progress::default()).unwrap()
}

fn bare(corpus: &Corpus) -> Corpus {
    let facts: Vec<u64> = (0..corpus.world().facts()).collect();
    corpus.without(&facts).unwrap()
}

/// Returns documents with the sentences of another corpus over their tokens, at the positions in
/// the ledger.
fn laid_over(
    mut made: Vec<Vec<u32>>,
    inside: &Corpus,
    plain: &Corpus,
    own: &Corpus,
) -> Vec<Vec<u32>> {
    let sentences = documents(own);
    for (entry, place) in ledger(inside).iter().zip(ledger(plain)) {
        assert_eq!((entry.fact, entry.copy), (place.fact, place.copy));
        let tokens = &sentences[place.document as usize];
        let (first, tokens) = (entry.offset as usize, &tokens[..tokens.len() - 1]);
        let document = &mut made[entry.document as usize];
        assert!(first + tokens.len() < document.len());
        document[first..first + tokens.len()].copy_from_slice(tokens);
    }
    made
}

type Mention = (u64, u64, u32, u32, u32);

/// Returns the mentions by fact and copy, with offsets from the first token of their sentence.
fn mentions(corpus: &Corpus) -> Vec<Mention> {
    let places: BTreeMap<(u64, u64), Entry> = ledger(corpus)
        .into_iter()
        .map(|entry| ((entry.fact, entry.copy), entry))
        .collect();
    let spans = corpus.spans(0..corpus.documents()).unwrap();
    let of = |span: &Span| {
        let entry = places[&(span.fact, span.copy)];
        assert_eq!(
            (span.document, span.sentence),
            (entry.document, entry.place)
        );
        let (start, end) = (span.start - entry.offset, span.end - entry.offset);
        (span.fact, span.copy, span.role.code(), start, end)
    };
    let mut mentions: Vec<Mention> = spans.iter().map(of).collect();
    mentions.sort_unstable();
    mentions
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 150,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn sentences_of_any_grammar_stand_where_the_ledger_says(
        tape in prop::collection::vec(any::<u8>(), 0..160),
        exposures in 1u64..4,
        asks in any::<bool>(),
        per_document in 1u64..4,
        position in prop::sample::select(vec!["anywhere", "start", "end", "0.3"]),
        at in any::<prop::sample::Index>(),
    ) {
        let text = grammar_of(&tape);
        let grammar = TextGrammar::from_toml("random.toml", &text).unwrap();
        let mut keys = format!("exposures = {exposures}\n");
        if has_links(&text) {
            keys += "nested_exposures = 2\n";
        }
        if asks {
            keys += "questions = {subjects = 0.5, sentences = 0.4}\n";
        }
        let insert = format!("{position},per_document={per_document}");
        let [inside, plain] = match both(&grammar, &keys, &insert, 140) {
            Ok(both) => both,
            // Half of very few subjects may be none, so that there can be no questions.
            Err(e) => {
                let is_known = asks || e.to_string().contains(" slots: ");
                prop_assert!(is_known, "{}\n{}\n{}", e, keys, text);
                return Ok(());
            }
        };
        let (alone, all) = (documents(&bare(&inside)), documents(&inside));
        prop_assert!(all == laid_over(alone.clone(), &inside, &plain, &plain));

        // Roles.
        let as_role = |document: &Vec<u32>| {
            let mut roles = vec![BACKGROUND_ROLE; document.len()];
            *roles.last_mut().unwrap() = END_ROLE;
            roles
        };
        let roles = laid_over(
            alone.iter().map(as_role).collect(),
            &inside,
            &plain,
            &plain.as_roles().unwrap(),
        );
        prop_assert!(documents(&inside.as_roles().unwrap()) == roles);

        // Mentions, and texts.
        prop_assert_eq!(mentions(&inside), mentions(&plain));
        let own = plain.texts(0..plain.documents()).unwrap();
        let mut texts = vec![Vec::new(); all.len()];
        let mut places: Vec<(Entry, Entry)> = ledger(&inside).into_iter().zip(ledger(&plain)).collect();
        places.sort_by_key(|(entry, _)| entry.offset);
        for (entry, place) in places {
            texts[entry.document as usize].push(own[place.document as usize].as_str());
        }
        let texts: Vec<String> = texts.into_iter().map(|lines| lines.join("\n")).collect();
        prop_assert_eq!(inside.texts(0..inside.documents()).unwrap(), texts);

        // Any part of the stream.
        let (quiet, stream) = (Progress::default(), all.concat());
        let start = at.index(stream.len());
        let mut out = vec![0u16; 500.min(stream.len() - start)];
        let made = inside.fill_tokens(&mut out, start as u64, 2, &quiet).unwrap();
        prop_assert_eq!(made, out.len());
        prop_assert!(out.iter().map(|&t| u32::from(t)).eq(stream[start..start + made].iter().copied()));
        prop_assert_eq!(inside.token_count(1, &quiet).unwrap(), stream.len() as u64);

        // Twins: objects of other lengths do not move anything.
        let fact = at.index(inside.world().subject_facts() as usize) as u64;
        let found = inside.world().fact(fact).unwrap();
        let objects = grammar.objects(found.relation as usize).unwrap();
        let other = ((u64::from(found.object) + 1) % objects) as u32;
        let change = [(fact, other)];
        // The object of a fact that follows from another cannot be overridden.
        if let (Ok(twin), Ok(own)) = (
            inside.with_overrides(&change, false),
            plain.with_overrides(&change, false),
        ) {
            prop_assert!(documents(&twin) == laid_over(alone.clone(), &twin, &own, &own));
            let places = |corpus: &Corpus| -> Vec<(u64, u32)> {
                ledger(corpus).iter().map(|e| (e.document, e.offset)).collect()
            };
            prop_assert_eq!(places(&twin), places(&inside));
        }
        let (twin, own) = (inside.without(&[fact]).unwrap(), plain.without(&[fact]).unwrap());
        prop_assert!(documents(&twin) == laid_over(alone, &twin, &own, &own));
    }
}

/// Longer sentences that are not inserted do not count: held out, of several facts, or questions if
/// there are none.
#[test]
fn the_longest_sentence_is_one_that_is_written_alone() {
    for (keys, longest) in [
        // "Beth O'Neil's first home (New York) was small."
        ("exposures = 2", 15),
        // "Q: What is Adele van Dam's city of birth? A: New York."
        (
            "exposures = 2\nquestions = {subjects = 0.5, sentences = 0.2}",
            20,
        ),
    ] {
        let of = |keys: &str, longest| both(&super::grammar(), keys, "start", longest);
        let error = of(keys, 3).unwrap_err().to_string();
        let up_to = error.split("up to ").nth(1).unwrap();
        assert!(up_to.starts_with(&format!("{longest} tokens")), "{error}");
        // Five people do not necessarily have the longest name and the longest objects.
        let [_, plain] = of(keys, 140).unwrap();
        let most = documents(&plain).iter().map(|d| d.len() - 1).max().unwrap();
        assert!((longest - 5..=longest).contains(&most), "{most}");
    }
}

#[test]
fn at_borders_of_words_a_sentence_is_what_it_is_within_a_document() {
    let known = super::known();
    let lexicon = super::lexicon();
    let names = lexicon.names().unwrap();
    let read =
        |tokens: &[u32]| -> String { tokens.iter().map(|&t| names[t as usize].as_str()).collect() };
    for position in ["anywhere", "start", "end", "0.4"] {
        let insert = format!("{position},per_document=3,words=true");
        let keys = "exposures = 4\nquestions = {subjects = 0.5, sentences = 0.2}";
        let [inside, plain] = both(&super::grammar(), keys, &insert, 140).unwrap();
        let (hosts, all) = (documents(&bare(&inside)), documents(&inside));
        assert!(
            hosts
                .iter()
                .zip(&all)
                .all(|(host, own)| host.len() == own.len())
        );
        let (mut at_start, mut within, mut inside_word) = (0, 0, 0);
        for entry in ledger(&inside) {
            let (first, document) = (entry.offset as usize, &all[entry.document as usize]);
            let text = read(&document[first..]);
            let is_said = known.keys().any(|own| text.trim_start().starts_with(own));
            assert!(is_said, "{text}");
            assert_eq!(text.starts_with(' '), first > 0);
            let host = &hosts[entry.document as usize];
            let begins = names[host[first] as usize].starts_with(' ');
            match (first, begins) {
                (0, _) => at_start += 1,
                (_, true) => within += 1,
                // In a part with little room there may be no word boundary.
                (_, false) => inside_word += 1,
            }
        }
        assert!(within > 20.max(9 * inside_word), "{within} {inside_word}");
        assert!(at_start > 0 || position != "start");
        // Mentions are at the same positions, except that a name may begin with a space.
        let spans = inside.spans(0..inside.documents()).unwrap();
        assert_eq!(
            spans.len(),
            plain.spans(0..plain.documents()).unwrap().len()
        );
        for span in spans {
            let tokens = &all[span.document as usize][span.start as usize..span.end as usize];
            assert!(text_of_mention(&read(tokens)), "{}", read(tokens));
        }
        // None of this depends on the content of the facts.
        let fact = 3;
        let twin = inside.without(&[fact]).unwrap();
        let differ = documents(&twin).concat().into_iter().zip(all.concat());
        let own = ledger(&inside)
            .iter()
            .filter(|entry| entry.fact == fact)
            .count();
        assert!(differ.filter(|(a, b)| a != b).count() <= own * 25);
        // The same document, read separately.
        let stream = all.concat();
        let mut out = vec![0u16; 200];
        inside
            .fill_tokens(&mut out, 333, 1, &Progress::default())
            .unwrap();
        assert!(
            out.iter()
                .map(|&t| u32::from(t))
                .eq(stream[333..533].iter().copied())
        );
    }
}

/// Returns `true` if a text is the name of a person or an object.
fn text_of_mention(text: &str) -> bool {
    let text = text.trim_start();
    super::known().values().flatten().any(|(_, name, object)| {
        let object = object.as_str();
        text == name || text == object
    })
}

#[test]
fn borders_of_words_need_a_tokenizer_that_has_them() {
    let text = "[world]\nsubjects = 9\n[corpus]\nfiller = \"zipf:tokens=9000\"\n\
                insert = {position = \"start\", words = true}";
    let error = Corpus::from_spec(Spec::from_toml(text).unwrap())
        .unwrap_err()
        .to_string();
    let wanted = "argument 'insert.words': got true, allowed: false: only a grammar's tokenizer";
    assert!(error.starts_with(wanted), "{error}");
}

/// Word boundaries are found in the tokens of the background: without them, positions are wrong.
#[test]
fn a_background_that_is_gone_short_is_an_error_and_no_positions() {
    let lexicon = super::lexicon();
    let world = WorldSpec::builder()
        .subjects(5)
        .relations(super::grammar().relations())
        .build()
        .unwrap();
    type Look = fn(&Corpus) -> Result<usize>;
    let looks: [Look; 3] = [
        |corpus| Ok(corpus.ledger_of(&[0, 1], &Progress::default())?.len()),
        |corpus| Ok(corpus.entries(0..corpus.documents())?.len()),
        |corpus| Ok(corpus.spans(0..corpus.documents())?.len()),
    ];
    for look in looks {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("tokens.bin");
        let spec = Spec::from_toml("[world]\n[corpus]\ninsert = \"anywhere,words=true\"").unwrap();
        let parts = Parts {
            lexicon: Some(Arc::clone(&lexicon)),
            background: Some(background_at(&path, 400, 200, lexicon.size())),
            ..Parts::default()
        };
        let world = World::new(world.clone()).unwrap();
        let corpus = Corpus::with_parts(world, spec.corpus, parts).unwrap();
        assert!(look(&corpus).unwrap() > 0);
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(0).unwrap();
        let error = look(&corpus).unwrap_err().to_string();
        assert!(
            error.starts_with("cannot read ") && error.contains("tokens.bin"),
            "{error}"
        );
    }
}

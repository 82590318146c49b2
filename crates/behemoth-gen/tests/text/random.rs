//! Random grammars: for every file, the text agrees with the ledger.

use std::collections::BTreeMap;
use std::sync::Arc;

use behemoth_gen::grammar::{END_ROLE, Lexicon, TextGrammar, TextRole, Tokenizer, WordTokenizer};
use behemoth_gen::{Corpus, Progress, Result, Spec, World, WorldSpec};
use proptest::prelude::*;

use crate::SMALL;
use crate::made::{Tape, grammar_of, has_links, keys_of};

fn corpus_of(grammar: TextGrammar, seed: u64, keys: &str) -> Result<Corpus> {
    let subjects = grammar.names().min(5);
    let world = WorldSpec::builder()
        .subjects(subjects)
        .relations(grammar.relations())
        .seed(seed)
        .build()?;
    let spec = Spec::from_toml(&format!("[world]\n[corpus]\n{keys}"))?;
    let lexicon = Lexicon::new(grammar, &mut WordTokenizer::default())?;
    Corpus::with_lexicon(World::new(world)?, spec.corpus, None, Arc::new(lexicon))
}

/// Returns the tokens of each document, without its end.
fn documents(corpus: &Corpus, end: u32) -> Vec<Vec<u32>> {
    (0..corpus.documents())
        .map(|document| {
            let own: Vec<u32> = corpus
                .tokens(document..document + 1, 1, &Progress::default())
                .unwrap();
            match own.split_last() {
                Some((last, own)) => {
                    assert_eq!(*last, end);
                    own.to_vec()
                }
                None => own,
            }
        })
        .collect()
}

/// Returns the number of times each fact's object is mentioned.
fn mentions(corpus: &Corpus) -> BTreeMap<u64, u64> {
    let mut counts = BTreeMap::new();
    for span in corpus.spans(0..corpus.documents()).unwrap() {
        if let TextRole::Object(_) = span.role {
            *counts.entry(span.fact).or_default() += 1;
        }
    }
    counts
}

/// Returns the object of a fact as text; a link has the objects of its composed relation.
fn object_text(grammar: &TextGrammar, corpus: &Corpus, fact: u64) -> String {
    let found = corpus.world().fact(fact).unwrap();
    let own = grammar.relation_keys().count();
    let composed: Vec<usize> = grammar
        .relations()
        .iter()
        .enumerate()
        .filter(|(_, relation)| {
            matches!(relation, behemoth_gen::relation::RelationSpec::Composed(_))
        })
        .map(|(at, _)| at)
        .collect();
    let relation = match (found.relation as usize).checked_sub(own) {
        None => found.relation as usize,
        Some(link) => composed[link],
    };
    grammar
        .object_texts(relation, &[found.object])
        .unwrap()
        .remove(0)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_grammar_writes_what_it_says(
        tape in prop::collection::vec(any::<u8>(), 0..160),
        choices in prop::collection::vec(any::<u8>(), 0..12),
        seed in 0u64..1000,
    ) {
        let text = grammar_of(&tape);
        let grammar = TextGrammar::from_toml("random.toml", &text).map_err(|e| {
            TestCaseError::fail(format!("{e}\n{text}"))
        })?;
        let keys = keys_of(&mut Tape { bytes: &choices }, has_links(&text));
        let corpus = match corpus_of(grammar.clone(), seed, &keys) {
            Ok(corpus) => corpus,
            // Half of very few subjects may be none, so that there can be no questions.
            Err(e) => {
                prop_assert!(keys.contains("questions = {s"), "{}\n{}\n{}", e, keys, text);
                return Ok(());
            }
        };
        let lexicon = Lexicon::new(grammar.clone(), &mut WordTokenizer::default()).unwrap();
        let names = lexicon.names().unwrap();
        let decoded = |tokens: &[u32]| -> String {
            tokens.iter().map(|&token| names[token as usize].as_str()).collect()
        };
        let own = documents(&corpus, 0);
        let texts = corpus.texts(0..corpus.documents()).unwrap();

        // The tokens of the complete text equal those of its pieces.
        let whole = WordTokenizer::default().encode(&texts).unwrap();
        for ((tokens, text), whole) in own.iter().zip(&texts).zip(&whole) {
            prop_assert_eq!(&decoded(tokens), text);
            prop_assert_eq!(tokens.len(), whole.len());
            for (&token, whole) in tokens.iter().zip(whole) {
                let letters: String = text
                    .chars()
                    .skip(whole.start)
                    .take(whole.end - whole.start)
                    .collect();
                prop_assert_eq!(&names[token as usize], &letters);
            }
        }

        // Reading one document at a time equals reading all, and so does any part.
        let quiet = Progress::default();
        let all: Vec<u32> = corpus.tokens(0..corpus.documents(), 2, &quiet).unwrap();
        let joined: Vec<u32> = own
            .iter()
            .filter(|document| !document.is_empty())
            .flat_map(|document| document.iter().copied().chain([0]))
            .collect();
        prop_assert_eq!(&all, &joined);
        prop_assert_eq!(corpus.token_count(1, &quiet).unwrap(), all.len() as u64);
        if !all.is_empty() {
            let start = seed as usize % all.len();
            let mut out = vec![0u32; 40.min(all.len() - start)];
            let got = corpus.fill_tokens(&mut out, start as u64, 1, &quiet).unwrap();
            prop_assert_eq!(got, out.len());
            prop_assert_eq!(&out[..], &all[start..start + got]);
        }

        // Each fact is stated as often as in the ledger, at the same positions and with its object.
        let counts = mentions(&corpus);
        for fact in 0..corpus.world().facts() {
            let exposures = corpus.exposures_of(fact);
            prop_assert_eq!(counts.get(&fact).copied().unwrap_or(0), exposures, "fact {}", fact);
            prop_assert_eq!(corpus.ledger(fact).unwrap().len() as u64, exposures);
        }
        let spans = corpus.spans(0..corpus.documents()).unwrap();
        let mut roles: Vec<Vec<u32>> = own.iter().map(|tokens| vec![0; tokens.len()]).collect();
        for span in &spans {
            let range = span.start as usize..span.end as usize;
            let said = decoded(&own[span.document as usize][range.clone()]);
            if let TextRole::Object(_) = span.role {
                let object = object_text(&grammar, &corpus, span.fact);
                prop_assert_eq!(said.trim(), object.as_str());
            }
            roles[span.document as usize][range].fill(span.role.code());
        }
        let written = documents(&corpus.as_roles().unwrap(), END_ROLE);
        prop_assert_eq!(written, roles);
    }

    #[test]
    fn a_twin_of_any_grammar_differs_in_what_was_asked(
        tape in prop::collection::vec(any::<u8>(), 0..160),
        choices in prop::collection::vec(any::<u8>(), 0..12),
        seed in 0u64..1000,
    ) {
        let text = grammar_of(&tape);
        let grammar = TextGrammar::from_toml("random.toml", &text).unwrap();
        let keys = keys_of(&mut Tape { bytes: &choices }, has_links(&text));
        let Ok(corpus) = corpus_of(grammar.clone(), seed, &keys) else {
            return Ok(());
        };
        let all = corpus.documents();
        let texts = corpus.texts(0..all).unwrap();
        let fact = seed % corpus.world().subject_facts();
        let twin = corpus.without(&[fact]).unwrap();
        let mut counts = mentions(&corpus);
        counts.remove(&fact);
        prop_assert_eq!(mentions(&twin), counts);

        let found = corpus.world().fact(fact).unwrap();
        let objects = grammar.objects(found.relation as usize).unwrap();
        let other = ((u64::from(found.object) + 1) % objects) as u32;
        let changed = match corpus.with_overrides(&[(fact, other)], false) {
            Ok(changed) => changed,
            // The object of a fact that follows from another, or a single object, cannot be
            // overridden.
            Err(_) => return Ok(()),
        };
        let says: Vec<u64> = corpus.ledger(fact).unwrap().iter().map(|entry| entry.document).collect();
        let after = changed.texts(0..all).unwrap();
        for (document, (before, after)) in texts.iter().zip(&after).enumerate() {
            if other == found.object || !says.contains(&(document as u64)) {
                prop_assert_eq!(before, after);
            } else {
                prop_assert_ne!(before, after);
            }
        }
        prop_assert_eq!(mentions(&changed), mentions(&corpus));
    }
}

/// Snippets that are inserted into a text to break it.
const SNIPPETS: [&str; 24] = [
    "{",
    "}",
    "{{",
    "{object}",
    "{subject}",
    "{Pronoun}",
    "\"",
    "'''",
    "[",
    "]",
    "[[joint]]\n",
    "[relations.firm]\n",
    "[lists]\n",
    "=",
    " = 3\n",
    "  ",
    "\n",
    ",",
    "-1",
    "1e99",
    "weight = nan\n",
    "{ from = 0, to = 9 }",
    "\u{0}",
    "ß\u{301}",
];

/// Returns a text with some mistakes.
fn broken(text: &str, tape: &[u8]) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for mistake in tape.chunks_exact(4) {
        let at = (usize::from(mistake[0]) * 256 + usize::from(mistake[1])) % (letters.len() + 1);
        let few = usize::from(mistake[3]) % 12;
        match mistake[2] % 5 {
            0 => {
                letters.drain(at..(at + few).min(letters.len()));
            }
            1 => {
                let snippet = SNIPPETS[usize::from(mistake[3]) % SNIPPETS.len()];
                letters.splice(at..at, snippet.chars());
            }
            2 => {
                let part: Vec<char> = letters[at..(at + 5 * few).min(letters.len())].to_vec();
                let to = letters.len() - at;
                letters.splice(to..to, part);
            }
            3 => {
                // Removes a line.
                let from = letters[..at]
                    .iter()
                    .rposition(|&l| l == '\n')
                    .map_or(0, |n| n + 1);
                let to = letters[at..]
                    .iter()
                    .position(|&l| l == '\n')
                    .map_or(letters.len(), |n| at + n);
                letters.drain(from..to);
            }
            _ => {
                let other = (at * 7 + few) % (letters.len() + 1);
                if at < letters.len() && other < letters.len() {
                    letters.swap(at, other);
                }
            }
        }
    }
    letters.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_broken_grammar_is_refused_in_one_line_or_written(
        of in prop::option::of(prop::collection::vec(any::<u8>(), 0..100)),
        mistakes in prop::collection::vec(any::<u8>(), 4..24),
    ) {
        let text = broken(&of.map_or(SMALL.to_string(), |tape| grammar_of(&tape)), &mistakes);
        let read = TextGrammar::from_toml("broken.toml", &text)
            .and_then(|grammar| corpus_of(grammar, 1, "exposures = 1\norder = \"bios\""));
        match read {
            Ok(corpus) => {
                let texts = corpus.texts(0..corpus.documents()).unwrap();
                prop_assert_eq!(texts.len() as u64, corpus.documents());
            }
            Err(error) => {
                let told = error.to_string();
                prop_assert!(told.starts_with("argument '"), "{}", told);
                prop_assert!(!told.contains('\n'), "{}", told);
            }
        }
    }
}

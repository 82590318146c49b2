//! Refusals and edit sentences, which are not in any corpus.

use std::sync::Arc;

use behemoth_gen::grammar::{Lexicon, TextGrammar, WordTokenizer};
use behemoth_gen::{Corpus, Spec, World, WorldSpec};
use proptest::prelude::*;

use super::{SMALL, corpus, tokens};
use crate::made::grammar_of;

fn source() -> String {
    let with_edits = SMALL.replace(
        "questions = [\"Where was {subject} born?\"",
        "edits = [\"{Subject} was not born in {object} but in {new}.\", \"{new} it is for {subject}.\"]\n\
         questions = [\"Where was {subject} born?\"",
    );
    let with_own = with_edits.replace(
        "[relations.firm]\n",
        "[relations.firm]\nrefusal = { statement = \"no firm\", question = \"No\" }\n",
    );
    format!("refusal = \"I cannot say\"\n{with_own}")
}

fn unwritten() -> Corpus {
    let grammar = TextGrammar::from_toml("unwritten.toml", &source()).unwrap();
    written_with(grammar, "exposures = 3")
}

fn written_with(grammar: TextGrammar, keys: &str) -> Corpus {
    let world = WorldSpec::builder()
        .subjects(grammar.names().min(6))
        .relations(grammar.relations())
        .seed(3)
        .build()
        .unwrap();
    let lexicon = Lexicon::new(grammar, &mut WordTokenizer::default()).unwrap();
    let spec = Spec::from_toml(&format!("[world]\n[corpus]\n{keys}")).unwrap();
    let world = World::new(world).unwrap();
    Corpus::with_lexicon(world, spec.corpus, None, Arc::new(lexicon)).unwrap()
}

fn read(corpus: &Corpus, tokens: &[u32]) -> String {
    let ranges = corpus.vocabulary().ranges().iter();
    let names: Vec<&String> = ranges.flat_map(|range| &range.names).collect();
    tokens
        .iter()
        .map(|&token| names[token as usize].as_str())
        .collect()
}

#[test]
fn a_corpus_keeps_its_tokens() {
    assert_eq!(tokens(&unwritten()), tokens(&corpus("exposures = 3")));
}

#[test]
fn a_refusal_follows_the_prompt_of_its_wording() {
    let corpus = unwritten();
    let facts: Vec<u64> = (0..corpus.world().facts()).collect();
    let mut seen = 0;
    for wording in 0..corpus.wordings().len() {
        if !corpus.wordings()[wording].can_probe() {
            continue;
        }
        let prober = corpus.prober(wording).unwrap();
        for (&fact, refused) in facts.iter().zip(corpus.refusals(&facts, wording).unwrap()) {
            let asked = prober.probe(fact);
            let relation = corpus.world().fact(fact).unwrap().relation;
            let Some(refused) = refused else {
                assert_eq!(asked, None);
                continue;
            };
            let asked = asked.unwrap();
            assert_eq!(refused.prompt, asked.prompt);
            assert_eq!(refused.rest, asked.rest);
            let (said, is_question) = (read(&corpus, &refused.answer), wording >= 4);
            let wanted = match (relation, is_question) {
                (2, false) => "no firm",
                (2, true) => "No",
                _ => "I cannot say",
            };
            assert_eq!(said.trim_start(), wanted);
            assert!(corpus.refusal_answers().unwrap().contains(&refused.answer));
            seen += 1;
        }
    }
    assert!(seen > 50, "{seen}");
}

#[test]
fn a_sentence_of_an_edit_says_the_old_object_and_asks_for_the_new_one() {
    let corpus = unwritten();
    for subject in 0..6 {
        let fact = (0..corpus.world().facts())
            .find(|&f| {
                let own = corpus.world().fact(f).unwrap();
                own.subject == subject && own.relation == 0
            })
            .unwrap();
        let own = corpus.world().fact(fact).unwrap().object;
        let name = |object: u32| super::CITIES[object as usize];
        for new in 0..4 {
            let prompts = corpus.edit_prompts(&[fact], &[new], 0).unwrap();
            let [Some(edit)] = &prompts[..] else {
                panic!("a prompt");
            };
            let prompt = read(&corpus, &edit.prompt);
            let wanted = format!(" was not born in {} but in", name(own));
            assert!(prompt.ends_with(&wanted), "{prompt}");
            assert_eq!(read(&corpus, &edit.answer), format!(" {}", name(new)));
            assert_eq!(read(&corpus, &edit.rest), ".");
        }
        // The one that names the new object first cannot be a prompt, and there is no third.
        for number in [1, 2] {
            assert_eq!(corpus.edit_prompts(&[fact], &[0], number).unwrap(), [None]);
        }
        assert_eq!(corpus.edit_prompts(&[fact], &[4], 0).unwrap(), [None]);
    }
    assert_eq!(
        corpus
            .edit_prompts(&[0, 1], &[0], 0)
            .unwrap_err()
            .to_string(),
        "argument 'objects': got 1, allowed: 2, one for each fact"
    );
    assert_eq!(corpus.edit_sentences(0).unwrap(), 2);
    assert_eq!(corpus.edit_sentences(1).unwrap(), 0);
    assert!(corpus.edit_sentences(9).is_err());
}

#[test]
fn a_grammar_without_refusals_refuses_nothing() {
    let corpus = corpus("exposures = 1");
    assert_eq!(corpus.refusals(&[0, 1], 0).unwrap(), [None, None]);
    assert!(corpus.refusal_answers().unwrap().is_empty());
    assert!(corpus.refusals(&[0], 99).is_err());
    for (bad, message) in [
        ("refusal = 3", "'bad.toml, line 1: refusal': got 3"),
        (
            "refusal = \"{object}\"",
            "'bad.toml, line 1: refusal': got \"{object}\", allowed: text without braces",
        ),
        (
            "refusal = {statement = \"no\"}",
            "'bad.toml, line 1: refusal': got no `question`",
        ),
    ] {
        let error = TextGrammar::from_toml("bad.toml", &format!("{bad}\n{SMALL}")).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 150,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_the_grammar_its_corpora_stay_and_its_prompts_are_asked(
        tape in prop::collection::vec(any::<u8>(), 0..160),
    ) {
        let plain = grammar_of(&tape);
        let with_edits: Vec<String> = plain
            .lines()
            .map(|line| match line.starts_with("objects = ") {
                true => format!("{line}\nedits = ['{{subject}} has {{new}}, and not {{object}}.']"),
                false => line.to_string(),
            })
            .collect();
        let text = format!("refusal = 'who knows'\n{}", with_edits.join("\n"));
        let [plain, own] = [&plain, &text].map(|text| {
            let grammar = TextGrammar::from_toml("random.toml", text).unwrap();
            (grammar.clone(), written_with(grammar, "exposures = 2"))
        });
        let (grammar, own) = own;
        prop_assert!(tokens(&own) == tokens(&plain.1));
        let facts: Vec<u64> = (0..own.world().facts()).collect();
        for wording in (0..own.wordings().len()).filter(|&w| own.wordings()[w].can_probe()) {
            let prober = own.prober(wording).unwrap();
            for (&fact, refused) in facts.iter().zip(own.refusals(&facts, wording).unwrap()) {
                let asked = prober.probe(fact);
                prop_assert_eq!(asked.is_some(), refused.is_some());
                if let (Some(asked), Some(refused)) = (asked, refused) {
                    prop_assert_eq!(asked.prompt, refused.prompt);
                    let said = read(&own, &refused.answer);
                    prop_assert_eq!(said.trim_start(), "who knows");
                }
            }
        }
        for &fact in &facts[..own.world().subject_facts() as usize] {
            let found = own.world().fact(fact).unwrap();
            let new = own.world().objects_of(found.relation) - 1;
            let prompts = own.edit_prompts(&[fact], &[new as u32], 0).unwrap();
            let [Some(edit)] = &prompts[..] else {
                panic!("a prompt");
            };
            let wanted = grammar.object_texts(found.relation as usize, &[new as u32]).unwrap();
            let said = read(&own, &edit.answer);
            prop_assert_eq!(said.trim_start(), wanted[0].as_str());
        }
    }
}

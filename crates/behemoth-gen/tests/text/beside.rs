//! Refusals and sentences of edits: what no corpus says.

use std::sync::Arc;

use behemoth_gen::grammar::{Lexicon, TextGrammar, WordTokenizer};
use behemoth_gen::{Corpus, Spec, World, WorldSpec};

use super::{SMALL, corpus, tokens};

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

fn beside() -> Corpus {
    let grammar = TextGrammar::from_toml("beside.toml", &source()).unwrap();
    let world = WorldSpec::builder()
        .subjects(6)
        .relations(grammar.relations())
        .seed(3)
        .build()
        .unwrap();
    let lexicon = Lexicon::new(grammar, &mut WordTokenizer::default()).unwrap();
    let spec = Spec::from_toml("[world]\n[corpus]\nexposures = 3").unwrap();
    Corpus::with_lexicon(
        World::new(world).unwrap(),
        spec.corpus,
        None,
        Arc::new(lexicon),
    )
    .unwrap()
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
    assert_eq!(tokens(&beside()), tokens(&corpus("exposures = 3")));
}

#[test]
fn a_refusal_follows_the_prompt_of_its_wording() {
    let corpus = beside();
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
    let corpus = beside();
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
            let [Some(edit)] = &corpus.edit_prompts(&[fact], &[new], 0).unwrap()[..] else {
                panic!("a prompt");
            };
            let prompt = read(&corpus, &edit.prompt);
            let wanted = format!(" was not born in {} but in", name(own));
            assert!(prompt.ends_with(&wanted), "{prompt}");
            assert_eq!(read(&corpus, &edit.answer), format!(" {}", name(new)));
            assert_eq!(read(&corpus, &edit.rest), ".");
        }
        // One that names the new object first asks nothing, and there is no third.
        for number in [1, 2] {
            assert_eq!(corpus.edit_prompts(&[fact], &[0], number).unwrap(), [None]);
        }
        assert_eq!(corpus.edit_prompts(&[fact], &[4], 0).unwrap(), [None]);
    }
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

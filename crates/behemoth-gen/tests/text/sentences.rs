//! Sentences: their content, tokens and frequencies.

use std::collections::{BTreeMap, BTreeSet};

use behemoth_gen::grammar::{Tokenizer, WordTokenizer};

use crate::{corpus, decoded, known, lexicon, object, tokens};

#[test]
fn every_fact_is_written_as_often_as_the_ledger_says_and_right() {
    let corpus = corpus("exposures = \"groups:1,5,40\"\nnested_exposures = 30");
    let known = known();
    let mut written: BTreeMap<(usize, String), BTreeMap<String, u64>> = BTreeMap::new();
    for document in decoded(&corpus) {
        let said = &known.get(&document).unwrap_or_else(|| panic!("{document}"));
        let [(relation, name, object)] = &said[..] else {
            panic!("{document}");
        };
        let objects = written.entry((*relation, name.clone())).or_default();
        *objects.entry(object.clone()).or_default() += 1;
    }
    // One name for each subject, the same in all relations.
    let names: BTreeSet<&String> = written
        .keys()
        .filter(|(relation, _)| *relation < 4)
        .map(|(_, name)| name)
        .collect();
    assert_eq!(names.len(), 6);
    let world = corpus.world();
    let mut counts: Vec<(usize, String, u64)> = written
        .iter()
        .map(|((relation, _), objects)| {
            assert_eq!(objects.len(), 1, "one object");
            let (object, &count) = objects.iter().next().unwrap();
            (*relation, object.clone(), count)
        })
        .collect();
    let mut expected: Vec<(usize, String, u64)> = (0..world.facts())
        .map(|fact| {
            let found = world.fact(fact).unwrap();
            let said = object(found.relation, found.object);
            (found.relation as usize, said, corpus.exposures_of(fact))
        })
        .collect();
    counts.sort();
    expected.sort();
    assert_eq!(counts, expected);
}

#[test]
fn tokens_are_those_of_the_text() {
    for keys in [
        "exposures = 9",
        "exposures = 9\norder = \"bios\"",
        "exposures = 4\norder = \"bios\"\ndocuments_per_subject = 2\n\
         questions = {subjects = 0.5, sentences = 0.1}\n\
         documents = {subjects = 2, naming = \"always\", questions = \"after\"}",
    ] {
        let corpus = corpus(keys);
        let texts = corpus.texts(0..corpus.documents()).unwrap();
        assert_eq!(decoded(&corpus), texts, "{keys}");
        // Encoding the complete text with the tokenizer gives the same words.
        let mut tokenizer = WordTokenizer::default();
        let lexicon = lexicon();
        let names = lexicon.names().unwrap();
        for (document, text) in tokens(&corpus).split(|&token| token == 0).zip(&texts) {
            let whole = tokenizer.encode(std::slice::from_ref(text)).unwrap();
            let own = tokenizer.names().unwrap();
            let words: Vec<&str> = whole[0]
                .iter()
                .map(|t| own[t.id as usize].as_str())
                .collect();
            let written: Vec<&str> = document
                .iter()
                .map(|&t| names[t as usize].as_str())
                .collect();
            assert_eq!(written, words, "{text}");
        }
    }
}

#[test]
fn weights_are_shares() {
    let corpus = corpus("exposures = 2000");
    let texts = decoded(&corpus);
    let homes = texts
        .iter()
        .filter(|text| text.contains("first home"))
        .count();
    // 12,000 draws at 3/4: 5 sigma are 237, exceeded by a correct grammar with probability 6e-7.
    assert!(homes.abs_diff(9000) < 237, "{homes}");
}

#[test]
fn held_out_sentences_are_probes_alone() {
    let corpus = corpus("exposures = 50");
    assert!(
        decoded(&corpus)
            .iter()
            .all(|text| !text.contains("is where"))
    );
    let wordings = corpus.wordings().iter().enumerate();
    let held_out: Vec<usize> = wordings
        .filter(|(_, w)| w.held_out)
        .map(|(at, _)| at)
        .collect();
    let lexicon = lexicon();
    let names = lexicon.names().unwrap();
    let text =
        |tokens: &[u32]| -> String { tokens.iter().map(|&t| names[t as usize].as_str()).collect() };
    // The first names its object before its subject, and so cannot be a probe.
    assert!(corpus.prober(held_out[0]).unwrap().probe(0).is_none());
    let prober = corpus.prober(held_out[1]).unwrap();
    let found = prober.probe(0).unwrap();
    let said = object(0, corpus.world().fact(0).unwrap().object);
    assert_eq!(text(&found.answer), format!(" {said}"));
    assert!(text(&found.prompt).starts_with("As ") && text(&found.prompt).ends_with(" says,"));
    let rest = text(&found.rest);
    assert!(
        rest == " is their home." || rest == " is her home.",
        "{rest}"
    );
    // No other relation has a held-out sentence.
    assert!(prober.probe(1).is_none());
    let other = prober.probe_of(0, 2).unwrap();
    assert_eq!(text(&other.answer), " New York");
    assert_eq!(other.prompt, found.prompt);
}

#[test]
fn questions_end_in_their_answers() {
    let corpus = corpus("exposures = 1");
    let question = corpus
        .wordings()
        .iter()
        .position(|w| w.is_question())
        .unwrap();
    let lexicon = lexicon();
    let names = lexicon.names().unwrap();
    let text =
        |tokens: &[u32]| -> String { tokens.iter().map(|&t| names[t as usize].as_str()).collect() };
    let found = corpus.prober(question).unwrap().probe(1).unwrap();
    let prompt = text(&found.prompt);
    assert!(
        prompt.starts_with("Q: When was ") && prompt.ends_with(" born? A: On"),
        "{prompt}"
    );
    let said = object(1, corpus.world().fact(1).unwrap().object);
    assert_eq!(text(&found.answer), format!(" {said}"));
    assert_eq!(text(&found.rest), ".");
}

#[test]
fn questions_and_their_answers_come_apart() {
    let corpus = corpus("exposures = 2");
    let known = known();
    let facts: Vec<u64> = (0..corpus.world().facts()).collect();
    let mut asked = 0;
    for (wording, form) in corpus.wordings().iter().enumerate() {
        if !form.is_question() {
            let error = corpus.question_texts(&facts, wording).unwrap_err();
            assert!(error.to_string().contains("a wording that is a question"));
            continue;
        }
        let texts = corpus.question_texts(&facts, wording).unwrap();
        for (&fact, [question, answer]) in facts.iter().zip(&texts) {
            if question.is_empty() {
                assert!(answer.is_empty());
                continue;
            }
            asked += 1;
            let found = corpus.world().fact(fact).unwrap();
            let said = &known[&format!("Q: {question} A: {answer}.")][0];
            let own = object(found.relation, found.object);
            assert_eq!((said.0, &said.2), (found.relation as usize, &own));
        }
    }
    // Two questions about the city and one about the day, of six people.
    assert_eq!(asked, 18);
    let error = corpus.question_texts(&[1_000], corpus.wordings().len() - 1);
    assert!(error.unwrap_err().to_string().contains("'fact'"));
}

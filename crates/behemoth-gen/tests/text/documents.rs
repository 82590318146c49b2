//! Documents: pronouns, order, renderings, several subjects, questions, joint statements, twins.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use behemoth_gen::grammar::{END_ROLE, Lexicon, TextGrammar, TextRole, WordTokenizer};
use behemoth_gen::{Corpus, Progress, Spec, World, WorldSpec};

use crate::{corpus, decoded, known, lexicon, object, tokens};

/// Splits a document into sentences. Names of firms end with a period, which does not end a
/// sentence.
fn sentences(document: &str) -> Vec<String> {
    let marked = document.replace("Axle & Co.", "Axle & Co#");
    let parts = marked.split_inclusive(['.', '\n']);
    let mut found: Vec<String> = Vec::new();
    for part in parts {
        let part = part.trim();
        match found.last_mut() {
            _ if part.is_empty() => {}
            _ => found.push(part.replace("Axle & Co#", "Axle & Co.")),
        }
    }
    // A firm may be at the end of its sentence: "for Axle & Co.." was split after the first period.
    found.retain(|part| part != ".");
    found
}

/// Replaces the pronoun with the full name, as in the sentences of `known`.
fn named(sentence: &str, name: &str) -> String {
    for (pronoun, plain) in [
        ("They were ", format!("{name} was ")),
        ("She was ", format!("{name} was ")),
        ("They ", format!("{name} ")),
        ("She ", format!("{name} ")),
        ("Their ", format!("{name}'s ")),
        ("Her ", format!("{name}'s ")),
    ] {
        if let Some(rest) = sentence.strip_prefix(pronoun) {
            return format!("{plain}{rest}");
        }
    }
    for pronoun in ["their", "her"] {
        let question = format!("What is {pronoun} city");
        if sentence.contains(&question) {
            return sentence.replace(&question, &format!("What is {name}'s city"));
        }
    }
    sentence.to_string()
}

/// Returns the facts stated in a document, in order; each document names its subject first.
fn said(document: &str) -> Vec<(usize, String, String)> {
    let known = known();
    let mut name = String::new();
    let mut all = Vec::new();
    for sentence in sentences(document) {
        let found = known
            .get(&sentence)
            .or_else(|| known.get(&named(&sentence, &name)))
            .unwrap_or_else(|| panic!("{sentence:?} in {document:?}"));
        name = found[0].1.clone();
        all.extend(found.iter().cloned());
    }
    all
}

#[test]
fn a_document_names_its_subject_once_and_says_every_fact() {
    let corpus = corpus("exposures = 5\norder = \"bios\"\nnested_exposures = 0");
    let documents = decoded(&corpus);
    assert_eq!(documents.len(), 30);
    let mut counts: BTreeMap<(usize, String), u64> = BTreeMap::new();
    for document in &documents {
        let said = said(document);
        assert_eq!(said.len(), 4, "{document}");
        let name = &said[0].1;
        assert!(said.iter().all(|(_, other, _)| other == name), "{document}");
        // "It was May 3 when Ada came" has the name at any position.
        let again = document.matches(name.as_str()).count();
        let always = document.matches("It was").count();
        assert!(again <= 1 + always, "{document}");
        for (relation, name, _) in said {
            *counts.entry((relation, name)).or_default() += 1;
        }
    }
    assert_eq!(counts.len(), 24);
    assert!(counts.values().all(|&count| count == 5));
}

#[test]
fn full_name_always_is_never_a_pronoun() {
    let corpus = corpus(
        "exposures = 5\norder = \"bios\"\nnested_exposures = 0\ndocuments = {naming = \"always\"}",
    );
    for document in decoded(&corpus) {
        for pronoun in ["They", "She", "Their", "Her "] {
            assert!(!document.contains(pronoun), "{document}");
        }
    }
}

#[test]
fn renderings_are_what_their_number_says() {
    let distinct = |keys: &str| {
        let corpus = corpus(&format!(
            "exposures = 12\norder = \"bios\"\nnested_exposures = 0\n{keys}"
        ));
        let mut by_name: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for document in decoded(&corpus) {
            let name = said(&document)[0].1.clone();
            by_name.entry(name).or_default().insert(document);
        }
        assert_eq!(by_name.len(), 6);
        by_name.values().map(BTreeSet::len).collect::<Vec<_>>()
    };
    assert_eq!(distinct("documents = {renderings = 1}"), [1; 6]);
    let two = distinct("documents = {renderings = 2}");
    assert!(two.iter().all(|&n| n <= 2) && two.contains(&2), "{two:?}");
    let fresh = distinct("");
    assert!(fresh.iter().all(|&n| n > 3), "{fresh:?}");
}

#[test]
fn a_fixed_order_is_that_of_the_relations() {
    let corpus = corpus(
        "exposures = 6\ndocuments_per_subject = 3\norder = \"bios\"\nnested_exposures = 0\n\
         documents = {sentences = \"fixed\"}",
    );
    for document in decoded(&corpus) {
        let mut relations: Vec<usize> = said(&document).iter().map(|said| said.0).collect();
        // A joint statement states the second fact first.
        for pair in 0..relations.len() - 1 {
            if relations[pair..pair + 2] == [1, 0] {
                relations.swap(pair, pair + 1);
            }
        }
        assert_eq!(relations, [0, 1, 2, 3, 0, 1, 2, 3], "{document}");
    }
}

#[test]
fn several_subjects_share_a_document() {
    let corpus =
        corpus("exposures = 4\norder = \"bios\"\nnested_exposures = 0\ndocuments = {subjects = 3}");
    let documents = decoded(&corpus);
    assert_eq!(documents.len(), 8);
    let facts: usize = documents.iter().map(|document| said(document).len()).sum();
    assert_eq!(facts, 6 * 4 * 4);
    assert!(documents.iter().all(|document| said(document).len() == 12));
}

#[test]
fn questions_stand_where_they_are_asked_to() {
    let keys = "exposures = 10\norder = \"bios\"\nnested_exposures = 0\n\
                questions = {subjects = 0.5, sentences = 0.1}\n";
    let with = |place: &str| {
        decoded(&corpus(&format!(
            "{keys}documents = {{questions = \"{place}\"}}"
        )))
    };
    let is_question = |sentence: &String| sentence.starts_with("Q: ");
    for document in with("after") {
        let order: Vec<bool> = questions_of(&document).iter().map(is_question).collect();
        assert!(order.is_sorted(), "{document}");
    }
    let mut asked = 0;
    for document in with("own") {
        let own = questions_of(&document);
        let questions = own.iter().filter(|s| is_question(s)).count();
        assert!(questions == 0 || questions == own.len(), "{document}");
        asked += questions;
    }
    // Half the subjects, two relations that have questions, 4 of 10 copies.
    assert_eq!(asked, 3 * 2 * 4);
}

/// Splits a document into sentences, with a question and its answer as one.
fn questions_of(document: &str) -> Vec<String> {
    sentences(document)
}

#[test]
fn a_joint_statement_says_two_facts_and_the_ledger_knows() {
    let corpus = corpus("exposures = 40\norder = \"bios\"\nnested_exposures = 0");
    let documents = decoded(&corpus);
    let is_joint = |text: &str| text.contains(" born in ") && text.contains(" on ");
    let joint: usize = documents
        .iter()
        .map(|d| sentences(d).iter().filter(|s| is_joint(s)).count())
        .sum();
    assert!(joint > 30, "{joint}");
    let by_place: usize = (0..corpus.world().subject_facts())
        .map(|fact| corpus.ledger(fact).unwrap().len())
        .sum();
    assert_eq!(by_place as u64, corpus.sentences());
    let texts = corpus.texts(0..corpus.documents()).unwrap();
    for fact in 0..corpus.world().subject_facts() {
        let found = corpus.world().fact(fact).unwrap();
        for entry in corpus.ledger(fact).unwrap() {
            let sentence = &sentences(&texts[entry.document as usize])[entry.place as usize];
            let said = object(found.relation, found.object);
            assert!(sentence.contains(&said), "{sentence} says {said}");
        }
    }
}

/// A range is counted and read in one pass over its documents.
#[test]
fn a_range_has_the_lengths_and_texts_of_its_documents() {
    let quiet = Progress::default();
    for keys in [
        "exposures = 5\nfiller = \"zipf:tokens=900,words=40,length=30\"",
        "exposures = 5\norder = \"bios\"\nfiller = \"zipf:tokens=900,words=40,length=30\"",
        "exposures = 3\norder = \"bios\"\ndocuments = {subjects = 4}",
        "exposures = 2\ninsert = \"anywhere,per_document=2\"\n\
         filler = \"zipf:tokens=9000,words=40,length=100\"",
    ] {
        let parent = corpus(keys);
        for corpus in [parent.without(&[0, 5]).unwrap(), parent] {
            let range = 1..corpus.documents();
            let length = |document: u64| {
                let tokens = corpus.tokens::<u16>(document..document + 1, 1, &quiet);
                tokens.unwrap().len() as u64
            };
            let lengths: Vec<u64> = range.clone().map(length).collect();
            assert_eq!(corpus.document_lengths(range.clone()).unwrap(), lengths);
            let text = |document: u64| corpus.texts(document..document + 1).unwrap();
            let texts: Vec<String> = range.clone().flat_map(text).collect();
            assert!(texts.iter().any(|text| !text.is_empty()));
            assert_eq!(corpus.texts(range).unwrap(), texts, "{keys}");
        }
    }
}

#[test]
fn spans_are_names_and_objects() {
    let corpus =
        corpus("exposures = 8\norder = \"bios\"\nquestions = {subjects = 0.5, sentences = 0.1}");
    let lexicon = lexicon();
    let names = lexicon.names().unwrap();
    let documents = corpus.documents();
    let spans = corpus.spans(0..documents).unwrap();
    let all = tokens(&corpus);
    let by_document: Vec<&[u16]> = all.split(|&token| token == 0).collect();
    let mut roles = vec![0u32; all.len()];
    let mut starts = vec![0];
    for document in &by_document {
        starts.push(starts[starts.len() - 1] + document.len() + 1);
    }
    let mut objects = 0;
    for span in &spans {
        let own = &by_document[span.document as usize][span.start as usize..span.end as usize];
        let text: String = own.iter().map(|&t| names[t as usize].as_str()).collect();
        let found = corpus.world().fact(span.fact).unwrap();
        if let TextRole::Object(_) = span.role {
            assert_eq!(text.trim(), object(found.relation, found.object));
            objects += 1;
        } else {
            assert!(
                known().values().any(|said| said[0].1 == text.trim()),
                "{text}"
            );
        }
        let at = starts[span.document as usize];
        roles[at + span.start as usize..at + span.end as usize].fill(span.role.code());
    }
    assert_eq!(objects, corpus.sentences());
    for (role, &token) in roles.iter_mut().zip(&all) {
        if token == 0 {
            *role = END_ROLE;
        }
    }
    let written: Vec<u32> = corpus
        .as_roles()
        .unwrap()
        .tokens(0..documents, 2, &Progress::default())
        .unwrap();
    assert_eq!(written, roles);
}

/// The capital of "ß" is "SS": a name has one letter more at the beginning of a sentence.
#[test]
fn a_name_whose_capital_has_more_letters_is_covered_whole() {
    let text = "name = \"capitals\"\n\
        [lists]\n\
        object = [\"ßa.\", \"qq.\"]\n\
        name = [\"ßb.\", \"pp.\", \"rr.\"]\n\
        [subject]\nname = \"{name}\"\n\
        [relations.r]\nobjects = \"{object}\"\n\
        statements = [\"{Object} is of {subject}!\", \"{Subject} has {object}!\"]\n";
    let grammar = TextGrammar::from_toml("capitals.toml", text).unwrap();
    let world = WorldSpec::builder()
        .subjects(3)
        .relations(grammar.relations())
        .build();
    let lexicon = Arc::new(Lexicon::new(grammar, &mut WordTokenizer::default()).unwrap());
    let spec = Spec::from_toml("[world]\n[corpus]\nexposures = 8").unwrap();
    let world = World::new(world.unwrap()).unwrap();
    let corpus = Corpus::with_lexicon(world, spec.corpus, None, Arc::clone(&lexicon)).unwrap();
    let names = lexicon.names().unwrap();
    let all = tokens(&corpus);
    let documents: Vec<&[u16]> = all.split(|&token| token == 0).collect();
    let mut found = BTreeSet::new();
    for span in corpus.spans(0..corpus.documents()).unwrap() {
        let own = &documents[span.document as usize][span.start as usize..span.end as usize];
        let text: String = own.iter().map(|&t| names[t as usize].as_str()).collect();
        found.insert((span.role.code(), text.trim().to_string()));
    }
    let expected = [
        (1, ["Pp.", "Rr.", "SSb.", "pp.", "rr.", "ßb."].as_slice()),
        (2, ["Qq.", "SSa.", "qq.", "ßa."].as_slice()),
    ];
    let expected = expected
        .iter()
        .flat_map(|&(role, texts)| texts.iter().map(move |text| (role, text.to_string())));
    assert_eq!(found, expected.collect());
}

#[test]
fn any_part_is_the_same_by_any_way() {
    let corpus = corpus(
        "exposures = 700\norder = \"bios\"\ndocuments_per_subject = 350\n\
         questions = {subjects = 0.5, sentences = 0.1}",
    );
    let all = tokens(&corpus);
    let quiet = Progress::default();
    assert_eq!(corpus.token_count(2, &quiet).unwrap(), all.len() as u64);
    for (start, count) in [(0, 10), (1, 999), (777, 50_000), (all.len() as u64 - 5, 5)] {
        let mut out = vec![0u32; count];
        let got = corpus.fill_tokens(&mut out, start, 2, &quiet).unwrap();
        let want = &all[start as usize..(start as usize + count).min(all.len())];
        assert_eq!(got, want.len());
        assert!(
            out[..got]
                .iter()
                .zip(want)
                .all(|(&a, &b)| a == u32::from(b))
        );
    }
}

fn without(corpus: &Corpus, facts: &[u64]) -> Vec<String> {
    corpus
        .without(facts)
        .unwrap()
        .texts(0..corpus.documents())
        .unwrap()
}

#[test]
fn a_twin_leaves_out_what_it_is_asked_to_and_nothing_else() {
    let corpus = corpus("exposures = 6\norder = \"bios\"\nnested_exposures = 0");
    let (subject_facts, left_out) = (corpus.world().subject_facts(), [1, 6]);
    let texts = corpus.texts(0..corpus.documents()).unwrap();
    let twin = without(&corpus, &left_out);
    assert_eq!(texts.len(), twin.len());
    let mut fewer = 0;
    for (text, twin) in texts.iter().zip(&twin) {
        let (before, after) = (said(text), said(twin));
        let kept: BTreeSet<_> = after.iter().collect();
        assert!(before.iter().collect::<BTreeSet<_>>().is_superset(&kept));
        fewer += before.len() - after.len();
    }
    assert_eq!(fewer, 12);
    assert!(subject_facts > 6);
    // With other objects, the words around them do not change.
    let fact = corpus.world().fact(0).unwrap();
    let other = (fact.object + 1) % 4;
    let changed = corpus.with_overrides(&[(0, other)], false).unwrap();
    let changed = changed.texts(0..corpus.documents()).unwrap();
    let (old, new) = (object(0, fact.object), object(0, other));
    let mut moved = 0;
    for (text, changed) in texts.iter().zip(&changed) {
        if text != changed {
            assert_eq!(&text.replace(&old, &new), changed);
            moved += 1;
        }
    }
    assert_eq!(moved, 6);
}

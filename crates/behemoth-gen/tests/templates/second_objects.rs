//! Second objects: the number and the choice of the sentences that state them.

use crate::common::Known;
use std::collections::HashMap;

use behemoth_gen::{Corpus, CorpusSpec, Table, World, WorldSpec};

use crate::assert_fits;
use crate::common::{corpus, sentences, uniform_p};

/// A third of 7 x 3 facts has a second object: 6.9993, with the written fraction.
#[test]
fn the_share_of_facts_is_rounded_to_nearest_and_down_in_the_first_version() {
    for (version, minority, facts) in [(1, 0.3333, 6), (2, 0.3333, 7), (1, 0.3, 6), (2, 0.3, 6)] {
        let world = corpus(&format!(
            "format_version = {version}\n[world]\nsubjects = 7\nrelations = 3\nobjects = 9\n\
             minority = {minority}\n"
        ));
        let second = (0..21).filter(|&fact| world.world().known(fact).minority.is_some());
        assert_eq!(second.count(), facts);
    }
}

#[test]
fn second_objects_stand_in_an_exact_share_of_sentences() {
    for (minority, exposures, share, second) in [
        (0.5, 10, 0.1, 2_500),
        (0.5, 3, 0.5, 3_750),
        (1.0, 1, 0.1, 500),
        (0.25, 7, 1.0, 8_750),
        (0.25, 7, 0.0, 0),
    ] {
        for order in ["shuffle", "bios"] {
            let corpus = corpus(&format!(
                "[world]\nsubjects = 1000\nrelations = 5\nobjects = 40\nminority = {minority}\n\
                 [corpus]\nexposures = {exposures}\nminority_sentences = {share}\n\
                 order = \"{order}\"\ninversion = 0.5\n"
            ));
            let mut by_fact: HashMap<u64, u64> = HashMap::new();
            for sentence in sentences(&corpus) {
                let fact = corpus.world().known(sentence.fact);
                if sentence.object != Some(fact.object) {
                    assert_eq!(sentence.object, fact.minority);
                    *by_fact.entry(sentence.fact).or_default() += 1;
                }
            }
            assert_eq!(by_fact.values().sum::<u64>(), second);
            let even = exposures as f64 * share;
            for fact in (0..5_000).filter(|&f| corpus.world().known(f).minority.is_some()) {
                let count = by_fact.get(&fact).copied().unwrap_or(0) as f64;
                assert!(
                    (even.floor()..=even.ceil()).contains(&count),
                    "{count} of {exposures} sentences of one fact, {even} asked"
                );
            }
        }
    }
}

/// The second object and the question may be in any copy, not in the first one for all facts.
#[test]
fn any_copy_may_be_the_one_that_differs() {
    let corpus = corpus(
        "[world]\nsubjects = 1000\nrelations = 5\nobjects = 40\nminority = 1\n\
         [corpus]\nexposures = 4\nminority_sentences = 0.25\n\
         questions = {subjects = 1, sentences = 0.25}\n",
    );
    let (mut second, mut asked) = (vec![0; 4], vec![0; 4]);
    for entry in (0..5_000).flat_map(|fact| corpus.ledger(fact).unwrap()) {
        let is_question = corpus.wordings()[entry.wording_index as usize]
            .form
            .is_question();
        second[entry.copy as usize] += u64::from(entry.minority);
        asked[entry.copy as usize] += u64::from(is_question);
    }
    assert_fits("copy with the second object", uniform_p(&second));
    assert_fits("copy that is a question", uniform_p(&asked));
}

/// With unequal exposures, each fact is rounded separately, up or down at random.
#[test]
fn second_objects_of_unequal_exposures_are_each_within_one_sentence() {
    let corpus = corpus(
        "[world]\nsubjects = 1000\nrelations = 5\nobjects = 40\nminority = 0.5\n\
         [corpus]\nexposures = \"groups:1,3,7\"\nminority_sentences = 0.1\n",
    );
    let (mut expected, mut variance, mut found) = (0.0, 0.0, 0.0);
    for fact in (0..5_000).filter(|&f| corpus.world().known(f).minority.is_some()) {
        let even = corpus.exposures_of(fact) as f64 * 0.1;
        let entries = corpus.ledger(fact).unwrap();
        let second = entries.iter().filter(|e| e.minority).count() as f64;
        assert!((even.floor()..=even.ceil()).contains(&second));
        expected += even;
        variance += even.fract() * (1.0 - even.fract());
        found += second;
    }
    let off = (found - expected).abs();
    assert!(
        off <= 5.0 * variance.sqrt(),
        "{found} sentences, {expected} asked"
    );
}

/// A table defines which facts have a second object; the share of their sentences is exact for
/// every choice of facts.
#[test]
fn second_objects_of_a_table_stand_in_an_exact_share_too() {
    for chosen in [
        |_: u64, relation: u32| relation == 0,
        |subject: u64, _: u32| subject.is_multiple_of(100),
        |_: u64, _: u32| true,
    ] {
        let rows: Vec<(u64, u32)> = (0..10_000)
            .map(|row| (row / 10, (row % 10) as u32))
            .collect();
        let table = Table {
            subject: rows.iter().map(|row| row.0).collect(),
            relation: rows.iter().map(|row| row.1).collect(),
            object: vec![0; rows.len()],
            minority: rows
                .iter()
                .map(|&(s, r)| if chosen(s, r) { 1 } else { u32::MAX })
                .collect(),
            nested: Vec::new(),
        };
        let relations = ["{\"objects\": 2}"; 10].join(", ");
        let spec = format!("{{\"subjects\": 1000, \"table\": {{\"relations\": [{relations}]}}}}");
        let world = World::from_table(WorldSpec::from_json(&spec).unwrap(), &table).unwrap();
        let corpus = Corpus::new(world, CorpusSpec::default(), None).unwrap();
        let facts = rows.iter().filter(|&&(s, r)| chosen(s, r)).count();
        let second = sentences(&corpus)
            .iter()
            .filter(|s| s.object == Some(1))
            .count();
        assert_eq!(second, facts / 10, "a tenth of {facts}");
    }
}

//! Facts: every kind of relation has its documented distribution, a setting changes only what it
//! affects, and tables, ids, overrides and the entropy are exact.
//!
//! Statistical tests have fixed seeds. A correct world fails each chi-square test with probability
//! [`ALARM`] and each bound of 5 sigma with 6e-7; there are about 40 in total.
//!
//! This file has helpers of several topics, and tests of settings and of the ids of facts.

#[path = "../common/mod.rs"]
mod common;
mod entropy;
mod overrides;
mod relations;
mod tables;

use behemoth_gen::world::Fact;
use behemoth_gen::{Table, World, WorldSpec};
use common::Known;
use common::{assert_share, world};

const ALARM: f64 = 1e-6;

fn objects(world: &World, relation: u32) -> impl Iterator<Item = u64> {
    (0..world.subjects()).map(move |subject| u64::from(world.known_object(subject, relation)))
}

/// Returns the facts whose object differs between two worlds.
fn changed(a: &World, b: &World) -> Vec<u64> {
    (0..a.facts())
        .filter(|&fact| a.known(fact).object != b.known(fact).object)
        .collect()
}

const NONE: u32 = u32::MAX;

fn table_spec(subjects: u64, relations: &str) -> WorldSpec {
    let text = format!("{{\"subjects\": {subjects}, \"table\": {{\"relations\": [{relations}]}}}}");
    WorldSpec::from_json(&text).unwrap()
}

/// Creates a table from rows of (subject, relation, object, second object, nested object).
fn table(rows: &[(u64, u32, u32, u32, u32)]) -> Table {
    Table {
        subject: rows.iter().map(|row| row.0).collect(),
        relation: rows.iter().map(|row| row.1).collect(),
        object: rows.iter().map(|row| row.2).collect(),
        minority: rows.iter().map(|row| row.3).collect(),
        nested: rows.iter().map(|row| row.4).collect(),
    }
}

/// Worlds that differ in one setting share everything that the setting does not affect.
#[test]
fn knobs_change_only_what_they_touch() {
    let base = "{kind = \"independent\", objects = 50},\
                {kind = \"correlated\", with = 0, strength = 0.5},\
                {kind = \"one_to_one\", objects = 9000},\
                {kind = \"composed\", of = 0, objects = 10}";
    let small = world(&format!("subjects = 2000\nrelations = [{base}]"));
    let same = |other: &World, relations: &[u32], subjects: u64| {
        for &relation in relations {
            for subject in 0..subjects {
                assert_eq!(
                    small.known_object(subject, relation),
                    other.known_object(subject, relation)
                );
            }
        }
    };
    let more_subjects = world(&format!("subjects = 9000\nrelations = [{base}]"));
    same(&more_subjects, &[0, 1, 2, 3], 2000);
    let more_relations = world(&format!(
        "subjects = 2000\nrelations = [{base}, {{kind = \"independent\", objects = 50}},\
         {{kind = \"composed\", of = 3, objects = 5}}]"
    ));
    same(&more_relations, &[0, 1, 2, 3], 2000);
    let second_objects = world(&format!(
        "subjects = 2000\nminority = 0.5\nrelations = [{base}]"
    ));
    same(&second_objects, &[0, 1, 2, 3], 2000);
    let other_kinds = world(
        "subjects = 2000\nrelations = [{kind = \"independent\", objects = 50},\
         {kind = \"zipf\", objects = 30, alpha = 1}, {kind = \"one_to_one\", objects = 9000},\
         {kind = \"composed\", of = 0, objects = 10}]",
    );
    same(&other_kinds, &[0, 2, 3], 2000);
    let stronger = world(&format!(
        "subjects = 2000\nrelations = [{}]",
        base.replace("0.5", "0.75")
    ));
    same(&stronger, &[0, 2, 3], 2000);
    let (mut kept, mut turned) = (0, 0);
    for subject in 0..2000 {
        let (base, was, is) = (
            small.known_object(subject, 0),
            small.known_object(subject, 1),
            stronger.known_object(subject, 1),
        );
        if was == base {
            assert_eq!(is, base, "a match stays one at a higher strength");
        } else if is == base {
            turned += 1;
        } else {
            assert_eq!(is, was, "what does not match is what it was");
            kept += 1;
        }
    }
    assert!(turned > 0 && kept > 0);
    let other_seed = world(&format!("seed = 1\nsubjects = 2000\nrelations = [{base}]"));
    let equal = objects(&small, 0)
        .zip(objects(&other_seed, 0))
        .filter(|(a, b)| a == b)
        .count();
    assert_share("objects of another seed", equal as u64, 2000, 1.0 / 50.0);
}

#[test]
fn fact_ids_are_arithmetic_and_go_both_ways() {
    let world = world(
        "subjects = 100\nrelations = [{kind = \"independent\", objects = 12},\
         {kind = \"composed\", of = 0, objects = 4}, {kind = \"composed\", of = 1, objects = 2}]",
    );
    assert_eq!(
        (world.subject_facts(), world.facts()),
        (300, 300 + 12 + 4),
        "links of 12 and of 4 objects"
    );
    for fact in 0..world.facts() {
        let Fact {
            subject, relation, ..
        } = world.known(fact);
        assert_eq!(world.fact_id(subject, relation), Some(fact));
        if fact < 300 {
            assert_eq!((subject, u64::from(relation)), (fact / 3, fact % 3));
        }
    }
    assert_eq!(
        (world.known(300).subject, world.known(300).relation),
        (0, 3)
    );
    assert_eq!(
        (world.known(312).subject, world.known(312).relation),
        (0, 4)
    );
    for (subject, relation) in [(100, 0), (0, 5), (12, 3), (4, 4), (u64::MAX, 0)] {
        assert_eq!(world.fact_id(subject, relation), None);
    }
}

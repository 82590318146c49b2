//! Every kind of relation, and second objects: the objects have their documented distribution.

use crate::common::Known;
use std::collections::HashSet;

use behemoth_gen::World;

use crate::common::{assert_share, chi_square_p, histogram, uniform_p, world};
use crate::{ALARM, objects};

const SUBJECTS: u64 = 100_000;

fn assert_fits(what: &str, p: f64) {
    assert!(p > ALARM, "{what}: p = {p:.1e}");
}

#[test]
fn independent_relations_are_uniform_and_independent() {
    let world = world(&format!(
        "subjects = {SUBJECTS}\nrelations = 3\nobjects = [40, 7, 400]"
    ));
    for (relation, count) in [(0, 40), (1, 7), (2, 400)] {
        let p = uniform_p(&histogram(objects(&world, relation), count));
        assert_fits("objects", p);
    }
    let pairs = objects(&world, 0).zip(objects(&world, 1));
    assert_fits(
        "two relations of a subject",
        uniform_p(&histogram(pairs.map(|(a, b)| a * 7 + b), 280)),
    );
    let neighbours = objects(&world, 0).zip(objects(&world, 0).skip(1));
    assert_fits(
        "one relation of two subjects",
        uniform_p(&histogram(neighbours.map(|(a, b)| a * 40 + b), 1600)),
    );
}

#[test]
fn zipf_relations_have_the_frequencies_of_their_weights() {
    for (alpha, count) in [(0.0, 50), (0.5, 50), (1.0, 300), (2.5, 12)] {
        let world = world(&format!(
            "seed = 5\nsubjects = {SUBJECTS}\n\
             relations = [{{kind = \"zipf\", objects = {count}, alpha = {alpha}}}]"
        ));
        let weights: Vec<f64> = (1..=count).map(|k| f64::from(k).powf(-alpha)).collect();
        let sum: f64 = weights.iter().sum();
        let expected: Vec<f64> = weights.iter().map(|w| w / sum * SUBJECTS as f64).collect();
        let counts = histogram(objects(&world, 0), u64::from(count as u32));
        assert_fits(&format!("zipf({alpha})"), chi_square_p(&counts, &expected));
    }
}

/// Returns how often relation 1 equals relation 0, and the counts of the pairs that differ.
fn mismatches(world: &World, count: u64) -> (u64, Vec<u64>) {
    let mut others = vec![0; (count * count) as usize];
    let mut matches = 0;
    for (base, object) in objects(world, 0).zip(objects(world, 1)) {
        if base == object {
            matches += 1;
        } else {
            others[(base * count + object) as usize] += 1;
        }
    }
    (matches, others)
}

/// The reference never drew object 0, drew the last object twice as often, and matched in 0.67 of
/// the subjects at a strength of 0.5.
#[test]
fn correlated_relations_match_as_often_as_asked_and_are_uniform_elsewhere() {
    let count = 20;
    for strength in [0.06, 0.5, 0.8] {
        let world = world(&format!(
            "subjects = {SUBJECTS}\nrelations = 2\nobjects = {count}\n\
             correlated = {{strength = {strength}}}"
        ));
        let (matches, others) = mismatches(&world, count);
        assert_share("matches", matches, SUBJECTS, strength);
        let others: Vec<u64> = (0..count * count)
            .filter(|pair| pair / count != pair % count)
            .map(|pair| others[pair as usize])
            .collect();
        assert_fits("every other object, by base", uniform_p(&others));
        // The two objects that were wrong in the reference, each against its own expectation.
        for object in [0, count - 1] {
            let drawn = objects(&world, 1).filter(|&o| o == object).count() as u64;
            assert_share(
                &format!("object {object}"),
                drawn,
                SUBJECTS,
                1.0 / count as f64,
            );
        }
    }
}

#[test]
fn a_strength_of_one_always_matches() {
    let world = world("subjects = 5000\nrelations = 2\nobjects = 9\ncorrelated = {strength = 1}");
    assert_eq!(mismatches(&world, 9).0, 5000);
}

#[test]
fn correlation_follows_any_base() {
    // With a Zipf relation, and with a relation that is itself correlated.
    let world = world(&format!(
        "subjects = {SUBJECTS}\nrelations = [\
         {{kind = \"zipf\", objects = 10, alpha = 1}},\
         {{kind = \"correlated\", with = 0, strength = 0.7}},\
         {{kind = \"correlated\", with = 1, strength = 0.4}}]"
    ));
    for (base, relation, strength) in [(0, 1, 0.7), (1, 2, 0.4)] {
        let pairs: Vec<(u64, u64)> = objects(&world, base)
            .zip(objects(&world, relation))
            .collect();
        let matches = pairs.iter().filter(|(a, b)| a == b).count() as u64;
        assert_share("matches", matches, SUBJECTS, strength);
        let others = pairs
            .iter()
            .filter(|(a, b)| a != b)
            .map(|(a, b)| (b + 10 - a) % 10 - 1);
        assert_fits("which other object", uniform_p(&histogram(others, 9)));
    }
}

#[test]
fn binarised_relations_have_two_objects() {
    let world = world(&format!(
        "subjects = {SUBJECTS}\nrelations = [\
         {{kind = \"independent\", objects = 30, binarised = true}},\
         {{kind = \"correlated\", with = 0, strength = 0.75, binarised = true}},\
         {{kind = \"correlated\", with = 0, strength = 0.75}}]"
    ));
    assert_fits("base", uniform_p(&histogram(objects(&world, 0), 2)));
    let (mut both, mut wide, mut others) = (0, 0, Vec::new());
    for subject in 0..SUBJECTS {
        let [base, narrow, other] = [0, 1, 2].map(|r| u64::from(world.known_object(subject, r)));
        assert!(narrow < 2, "a binarised relation has objects 0 and 1");
        both += u64::from(base == narrow);
        wide += u64::from(base == other);
        if base != other {
            others.push((other + 30 - base) % 30 - 1);
        }
    }
    assert_share("binarised matches", both, SUBJECTS, 0.75);
    assert_share("matches of a binarised base", wide, SUBJECTS, 0.75);
    assert_fits("all 29 others", uniform_p(&histogram(others, 29)));
}

#[test]
fn one_to_one_is_injective_and_its_inverse_undoes_it() {
    // Below and above the size at which the permutation changes its algorithm.
    for subjects in [1, 1000, 70_000] {
        let world = world(&format!(
            "subjects = {subjects}\nrelations = [{{kind = \"one_to_one\"}},\
             {{kind = \"inverse\", of = 0}}, {{kind = \"one_to_one\", objects = {}}}]",
            subjects * 3
        ));
        let image: HashSet<u64> = objects(&world, 0).collect();
        assert_eq!(image.len() as u64, subjects);
        for subject in 0..subjects {
            let object = u64::from(world.known_object(subject, 0));
            assert!(object < subjects);
            assert_eq!(u64::from(world.known_object(object, 1)), subject);
        }
        let wide: HashSet<u64> = objects(&world, 2).collect();
        assert_eq!(wide.len() as u64, subjects, "injective into more objects");
        assert!(wide.iter().all(|&object| object < subjects * 3));
        if subjects > 1 {
            assert_ne!(image, wide, "another relation, another map");
        }
    }
}

#[test]
fn composed_maps_are_exactly_balanced_to_any_depth() {
    let world = world(
        "subjects = 5000\nrelations = [{kind = \"independent\", objects = 120},\
         {kind = \"composed\", of = 0, objects = 24},\
         {kind = \"composed\", of = 1, objects = 6},\
         {kind = \"composed\", of = 2, objects = 2},\
         {kind = \"composed\", of = 0, objects = 24},\
         {kind = \"composed\", of = 0, objects = 1}]",
    );
    for (relation, of, from, to) in [
        (1, 0, 120, 24),
        (2, 1, 24, 6),
        (3, 2, 6, 2),
        (4, 0, 120, 24),
        (5, 0, 120, 1),
    ] {
        let map = world.nested_objects(relation).unwrap();
        assert_eq!(map.len(), from);
        let counts = histogram(map.iter().map(|&o| u64::from(o)), to);
        assert!(
            counts.iter().all(|&c| c == from as u64 / to),
            "relation {relation}: {counts:?}"
        );
        for subject in 0..world.subjects() {
            let object = world.known_object(subject, of);
            assert_eq!(world.known_object(subject, relation), map[object as usize]);
        }
        // The link facts agree.
        let (at, link) = world
            .links()
            .iter()
            .enumerate()
            .find(|(_, link)| link.composed == relation)
            .unwrap();
        assert_eq!(link.of, of);
        let id = world.relations() + at as u32;
        for (object, &nested) in map.iter().enumerate() {
            let fact = world.fact_id(object as u64, id).unwrap();
            assert_eq!(world.known(fact).object, nested);
        }
    }
    assert_ne!(
        world.nested_objects(1).unwrap(),
        world.nested_objects(4).unwrap(),
        "two composed relations of one relation draw their own maps"
    );
}

#[test]
fn composed_maps_too_large_for_a_table_are_balanced_too() {
    let objects = (1 << 20) + 8;
    let world = world(&format!(
        "subjects = 10\nrelations = [{{kind = \"independent\", objects = {objects}}},\
         {{kind = \"composed\", of = 0, objects = 8}}]"
    ));
    let map = world.nested_objects(1).unwrap();
    assert_eq!(
        histogram(map.iter().map(|&o| u64::from(o)), 8),
        [objects / 8; 8]
    );
}

#[test]
fn a_random_map_is_composed_from_any_object_alike() {
    // Which nested object an object gets does not depend on the object: over 4,000 worlds.
    let mut counts = vec![0; 6 * 3];
    for seed in 0..4_000 {
        let world = world(&format!(
            "seed = {seed}\nsubjects = 1\nrelations = 1\nobjects = 6\nnested = 3"
        ));
        for (object, nested) in world.nested_objects(1).unwrap().into_iter().enumerate() {
            counts[object * 3 + nested as usize] += 1;
        }
    }
    assert_fits("nested objects", uniform_p(&counts));
}

#[test]
fn minority_is_an_exact_share_of_the_drawn_facts_and_another_object() {
    for (minority, expected) in [(0.1, 4_000), (0.3333, 13_332), (1.0, 40_000), (1e-9, 0)] {
        let world = world(&format!(
            "seed = 2\nsubjects = 10_000\nminority = {minority}\nrelations = [\
             {{kind = \"independent\", objects = 12}},\
             {{kind = \"zipf\", objects = 12, alpha = 1}},\
             {{kind = \"one_to_one\"}}, {{kind = \"inverse\", of = 2}},\
             {{kind = \"correlated\", with = 0, strength = 0.5}},\
             {{kind = \"composed\", of = 0, objects = 4}},\
             {{kind = \"independent\", objects = 12, binarised = true}}]"
        ));
        let (mut count, mut by_relation, mut shifts) = (0, [0u64; 8], Vec::new());
        for fact in (0..world.facts()).map(|fact| world.known(fact)) {
            if let Some(second) = fact.minority {
                assert!(second < 12 && second != fact.object);
                count += 1;
                by_relation[fact.relation as usize] += 1;
                shifts.push(u64::from((second + 12 - fact.object) % 12 - 1));
            }
        }
        assert_eq!(count, expected, "of 40,000 facts of four drawn relations");
        // One-to-one, inverse, composed and link facts follow from others or must stay unique.
        assert_eq!([2, 3, 5, 7].map(|r| by_relation[r]), [0; 4]);
        if expected > 1000 {
            assert_fits("which other", uniform_p(&histogram(shifts, 11)));
            for relation in [0, 1, 4, 6] {
                let chosen = by_relation[relation];
                assert_share("facts of a relation", chosen, 10_000, minority);
            }
        }
    }
}

//! Facts: every kind of relation has the law it promises, nothing that a knob does not touch
//! changes with it, and tables, ids, overrides and the entropy are exact.
//!
//! Statistical tests have fixed seeds. Each chi-square fails a right world with probability
//! [`ALARM`], each bound of 5 sigma with 6e-7; together about 40 of them.

mod common;

use std::collections::HashSet;

use behemoth_gen::{Table, World, WorldSpec};
use common::{assert_share, chi_square_p, histogram, uniform_p, world};

const ALARM: f64 = 1e-6;
const SUBJECTS: u64 = 100_000;

fn objects(world: &World, relation: u32) -> impl Iterator<Item = u64> {
    (0..world.subjects()).map(move |subject| u64::from(world.object(subject, relation)))
}

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

/// How often relation 1 equals relation 0, and the law of the pairs where it does not.
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
/// the subjects where 0.5 was asked.
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
        // The two objects that the reference had wrong, each against its own expectation.
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
        let [base, narrow, other] = [0, 1, 2].map(|r| u64::from(world.object(subject, r)));
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
            let object = u64::from(world.object(subject, 0));
            assert!(object < subjects);
            assert_eq!(u64::from(world.object(object, 1)), subject);
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
            let object = world.object(subject, of);
            assert_eq!(world.object(subject, relation), map[object as usize]);
        }
        // The link facts say the same.
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
            assert_eq!(world.fact(fact).object, nested);
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
        for fact in (0..world.facts()).map(|fact| world.fact(fact)) {
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

/// Worlds that differ in one knob share all that the knob does not touch.
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
                    small.object(subject, relation),
                    other.object(subject, relation)
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
            small.object(subject, 0),
            small.object(subject, 1),
            stronger.object(subject, 1),
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
        let (subject, relation) = world.subject_relation(fact);
        assert_eq!(world.fact_id(subject, relation), Some(fact));
        if fact < 300 {
            assert_eq!((subject, u64::from(relation)), (fact / 3, fact % 3));
        }
        let found = world.fact(fact);
        assert_eq!((found.subject, found.relation), (subject, relation));
    }
    assert_eq!(world.subject_relation(300), (0, 3));
    assert_eq!(world.subject_relation(312), (0, 4));
    for (subject, relation) in [(100, 0), (0, 5), (12, 3), (4, 4), (u64::MAX, 0)] {
        assert_eq!(world.fact_id(subject, relation), None);
    }
}

/// A chain 0 -> 1 -> 2 and a second map 3 of relation 0.
fn chain() -> World {
    world(
        "subjects = 200\nrelations = [{kind = \"independent\", objects = 12},\
         {kind = \"composed\", of = 0, objects = 6}, {kind = \"composed\", of = 1, objects = 3},\
         {kind = \"composed\", of = 0, objects = 2}, {kind = \"correlated\", with = 0, strength = 1}]",
    )
}

/// Facts whose object differs between two worlds.
fn changed(a: &World, b: &World) -> Vec<u64> {
    (0..a.facts())
        .filter(|&fact| a.fact(fact).object != b.fact(fact).object)
        .collect()
}

#[test]
fn an_override_changes_its_fact_alone_or_what_follows_from_it() {
    let world = chain();
    for subject in 0..50 {
        let fact = world.fact_id(subject, 0).unwrap();
        let old = world.object(subject, 0);
        for new in (0..12).filter(|&new| new != old) {
            let stays = world.with_overrides(&[(fact, new)], false).unwrap();
            assert_eq!(changed(&world, &stays), [fact]);
            assert_eq!(stays.object(subject, 0), new);
            let follows = world.with_overrides(&[(fact, new)], true).unwrap();
            let map =
                |relation, object: u32| world.nested_objects(relation).unwrap()[object as usize];
            assert_eq!(follows.object(subject, 1), map(1, new));
            assert_eq!(follows.object(subject, 2), map(2, map(1, new)));
            assert_eq!(follows.object(subject, 3), map(3, new));
            // Not the correlated relation: its fact is a draw of its own.
            assert_eq!(follows.object(subject, 4), old);
            let allowed: Vec<u64> = (0..4).map(|r| world.fact_id(subject, r).unwrap()).collect();
            assert!(
                changed(&world, &follows)
                    .iter()
                    .all(|f| allowed.contains(f))
            );
        }
    }
}

#[test]
fn an_override_in_the_middle_of_a_chain_moves_what_is_below_it_only() {
    let world = chain();
    let fact = world.fact_id(7, 1).unwrap();
    let new = (world.object(7, 1) + 1) % 6;
    let follows = world.with_overrides(&[(fact, new)], true).unwrap();
    assert_eq!(follows.object(7, 0), world.object(7, 0));
    assert_eq!(follows.object(7, 1), new);
    assert_eq!(
        follows.object(7, 2),
        world.nested_objects(2).unwrap()[new as usize]
    );
    // An override of its own wins over what follows.
    let below = world.fact_id(7, 2).unwrap();
    let other = (follows.object(7, 2) + 1) % 3;
    let both = world
        .with_overrides(&[(fact, new), (below, other)], true)
        .unwrap();
    assert_eq!(both.object(7, 2), other);
}

#[test]
fn a_changed_link_moves_all_its_subjects_or_none() {
    let world = chain();
    let (object, link) = (5, world.relations());
    let fact = world.fact_id(object, link).unwrap();
    let new = (world.fact(fact).object + 1) % 6;
    let stays = world.with_overrides(&[(fact, new)], false).unwrap();
    assert_eq!(changed(&world, &stays), [fact]);
    assert_eq!(stays.nested_objects(1).unwrap()[5], new);
    let follows = world.with_overrides(&[(fact, new)], true).unwrap();
    let below = world.nested_objects(2).unwrap();
    let mut moved = 0;
    for subject in 0..world.subjects() {
        let has = u64::from(world.object(subject, 0)) == object;
        let expected = if has { new } else { world.object(subject, 1) };
        assert_eq!(follows.object(subject, 1), expected);
        assert_eq!(follows.object(subject, 2), below[expected as usize]);
        moved += u64::from(has);
    }
    assert!(moved > 0, "some subject has the object");
    assert_eq!(follows.nested_objects(2).unwrap(), below);
}

#[test]
fn overrides_add_up_and_the_last_word_counts() {
    let world = chain();
    let once = world.with_overrides(&[(0, 3), (5, 4)], false).unwrap();
    let twice = once.with_overrides(&[(5, 7), (10, 1)], false).unwrap();
    assert_eq!(twice.overrides(), (&[(0, 3), (5, 7), (10, 1)][..], false));
    assert_eq!(
        world.with_overrides(&[], true).unwrap().overrides().0,
        &[],
        "none at all is no twin"
    );
}

#[test]
fn overrides_are_refused_by_name() {
    let world = chain();
    let links = world.facts();
    for (changes, message) in [
        (
            vec![(1, 1), (1, 2)],
            "argument 'override': got fact 1 twice, allowed: each fact once".to_string(),
        ),
        (
            vec![(links, 0)],
            format!("argument 'override': got fact {links}, allowed: a fact below {links}"),
        ),
        (
            vec![(0, 12)],
            "argument 'override': got object 12 for fact 0, \
             allowed: an object below 12, those of relation 0"
                .to_string(),
        ),
        (
            vec![(1000, 6)],
            "argument 'override': got object 6 for fact 1000, \
             allowed: an object below 6, those of relation 5"
                .to_string(),
        ),
    ] {
        let error = world.with_overrides(&changes, false).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

const NONE: u32 = u32::MAX;

fn table_spec(subjects: u64, relations: &str) -> WorldSpec {
    let text = format!("{{\"subjects\": {subjects}, \"table\": {{\"relations\": [{relations}]}}}}");
    WorldSpec::from_json(&text).unwrap()
}

/// Rows of (subject, relation, object, second object, nested object).
fn table(rows: &[(u64, u32, u32, u32, u32)]) -> Table {
    Table {
        subject: rows.iter().map(|row| row.0).collect(),
        relation: rows.iter().map(|row| row.1).collect(),
        object: rows.iter().map(|row| row.2).collect(),
        minority: rows.iter().map(|row| row.3).collect(),
        nested: rows.iter().map(|row| row.4).collect(),
    }
}

#[test]
fn a_complete_table_is_the_world_it_says() {
    let rows = [
        (0, 0, 4, NONE, 1),
        (0, 1, 2, 0, NONE),
        (1, 0, 3, NONE, 0),
        (1, 1, 0, NONE, NONE),
        (2, 0, 4, 1, 1),
        (2, 1, 1, NONE, NONE),
    ];
    let spec = table_spec(3, r#"{"objects": 5, "nested": 2}, {"objects": 3}"#);
    let world = World::from_table(spec.clone(), &table(&rows)).unwrap();
    assert!(world.is_complete() && world.has_minority());
    // Relations 0 and 1 of the table, 2 composed of 0; links of the two objects that were seen.
    assert_eq!((world.relations(), world.links().len()), (3, 1));
    assert_eq!((world.subject_facts(), world.facts()), (9, 11));
    for &(subject, relation, object, minority, nested) in &rows {
        let fact = world.fact(world.fact_id(subject, relation).unwrap());
        assert_eq!(fact.object, object);
        assert_eq!(fact.minority, (minority != NONE).then_some(minority));
        if nested != NONE {
            assert_eq!(world.object(subject, 2), nested);
        }
    }
    // Objects that no subject has: nothing is known of them, so there is no fact.
    assert_eq!(world.nested_objects(2).unwrap(), [NONE, NONE, NONE, 0, 1]);
    assert_eq!(world.fact_id(0, 3), None);
    assert_eq!(world.fact_id(3, 3), Some(9));
    assert_eq!(world.fact_id(4, 3), Some(10));
    assert_eq!(world.fact(10).object, 1);

    // The order of the rows says nothing; the digest is the same, and is kept in the spec.
    let mut shuffled = rows;
    shuffled.reverse();
    let again = World::from_table(spec, &table(&shuffled)).unwrap();
    assert_eq!(again.spec(), world.spec());
    assert!(changed(&world, &again).is_empty());
    assert_eq!(
        world.spec().table.as_ref().unwrap().digest,
        table(&rows).digest()
    );
    // A spec that names the rows takes these rows and no others.
    let named = world.spec().clone();
    World::from_table(named.clone(), &table(&rows)).unwrap();
    let mut other = rows;
    other[3].2 = 1;
    let error = World::from_table(named.clone(), &table(&other)).unwrap_err();
    let message = error.to_string();
    assert!(
        message.starts_with("argument 'table': got rows with digest "),
        "{message}"
    );
    let error = World::new(named).unwrap_err().to_string();
    assert_eq!(
        error,
        "argument 'table': got no rows, allowed: the rows that the spec's table names"
    );
}

#[test]
fn a_table_may_lack_facts() {
    let rows = [
        (0, 1, 2, NONE, NONE),
        (2, 0, 4, 3, 1),
        (3, 0, 0, NONE, 0),
        (3, 1, 1, 0, NONE),
    ];
    let spec = table_spec(5, r#"{"objects": 5, "nested": 2}, {"objects": 3}"#);
    let world = World::from_table(spec, &table(&rows)).unwrap();
    assert!(!world.is_complete());
    // Four rows, two of which bring a composed fact, and two links.
    assert_eq!((world.subject_facts(), world.facts()), (6, 8));
    let facts: Vec<(u64, u32, u32, Option<u32>)> = (0..world.facts())
        .map(|fact| {
            let f = world.fact(fact);
            assert_eq!(world.fact_id(f.subject, f.relation), Some(fact));
            (f.subject, f.relation, f.object, f.minority)
        })
        .collect();
    assert_eq!(
        facts,
        [
            (0, 1, 2, None),
            (2, 0, 4, Some(3)),
            (2, 2, 1, None),
            (3, 0, 0, None),
            (3, 1, 1, Some(0)),
            (3, 2, 0, None),
            (0, 3, 0, None),
            (4, 3, 1, None),
        ]
    );
    for (subject, relation) in [(0, 0), (0, 2), (1, 1), (4, 0), (2, 1)] {
        assert_eq!(world.fact_id(subject, relation), None);
    }
}

#[test]
fn overrides_of_a_table_follow_its_links() {
    let rows = [(0, 0, 0, NONE, 1), (1, 0, 1, NONE, 0), (2, 0, 0, NONE, 1)];
    let world = World::from_table(
        table_spec(3, r#"{"objects": 3, "nested": 2}"#),
        &table(&rows),
    )
    .unwrap();
    let follows = world.with_overrides(&[(0, 1)], true).unwrap();
    assert_eq!((follows.object(0, 0), follows.object(0, 1)), (1, 0));
    // The nested object of object 2 is unknown: nothing can follow.
    let error = world.with_overrides(&[(0, 2)], true);
    assert!(error.is_err(), "an unknown nested object was taken");
    world.with_overrides(&[(0, 2)], false).unwrap();
}

#[test]
fn tables_are_refused_with_the_row() {
    let relations = r#"{"objects": 5, "nested": 2}, {"objects": 3}"#;
    let good = (0, 1, 1, NONE, NONE);
    for (row, message) in [
        ((9, 0, 0, NONE, 0), "row 1: subject 9, allowed: below 3"),
        ((0, 2, 0, NONE, NONE), "row 1: relation 2, allowed: below 2"),
        ((0, 0, 5, NONE, 0), "row 1: object 5, allowed: below 5"),
        (
            good,
            "row 1: subject 0 and relation 1 again, allowed: each pair once",
        ),
        (
            (1, 1, 1, 1, NONE),
            "row 1: second object 1, allowed: below 3 and not the first object",
        ),
        (
            (1, 1, 1, 3, NONE),
            "row 1: second object 3, allowed: below 3 and not the first object",
        ),
        (
            (0, 0, 4, NONE, 2),
            "row 1: nested object 2, allowed: below 2",
        ),
        (
            (0, 0, 4, NONE, NONE),
            "row 1: no nested object, allowed: below 2",
        ),
        (
            (1, 1, 1, NONE, 0),
            "row 1: nested object 0, allowed: none, as in the relation's other rows",
        ),
    ] {
        let error = World::from_table(table_spec(3, relations), &table(&[good, row])).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("argument 'table': got {message}")
        );
    }
    let torn = [(0, 0, 1, NONE, 0), (1, 0, 1, NONE, 1)];
    let error = World::from_table(table_spec(3, relations), &table(&torn)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "argument 'table': got row 1: nested objects 0 and 1 of object 1, \
         allowed: one nested object for each object"
    );
    let error = World::from_table(table_spec(3, relations), &table(&[])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "argument 'table': got no fact, allowed: at least one fact"
    );
    let mut uneven = table(&[good, (1, 1, 1, NONE, NONE)]);
    uneven.relation.pop();
    let error = World::from_table(table_spec(3, relations), &uneven).unwrap_err();
    assert_eq!(
        error.to_string(),
        "argument 'table': got columns of unequal length, allowed: columns of equal length"
    );
    let drawn = world("subjects = 3").spec().clone();
    let error = World::from_table(drawn, &table(&[good])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "argument 'table': got rows beside a spec without a table, \
         allowed: a spec whose table names the rows"
    );
}

fn assert_bits(world: &World, expected: f64) {
    let bits = world.entropy_bits();
    assert!(
        (bits - expected).abs() <= 1e-9 * expected.max(1.0),
        "{bits} bits, expected {expected}"
    );
}

#[test]
fn entropy_has_its_known_answers() {
    let bits = |relations: &str, more: &str| {
        world(&format!("subjects = 8\nrelations = [{relations}]\n{more}"))
    };
    let uniform = "{kind = \"independent\", objects = 64}";
    assert_bits(&bits(uniform, ""), 8.0 * 6.0);
    assert_bits(
        &bits(
            "{kind = \"independent\", objects = 64, binarised = true}",
            "",
        ),
        8.0,
    );
    // Weights 1 and 1/3 in quarters.
    let quarters = 0.75 * (4.0f64 / 3.0).log2() + 0.25 * 2.0;
    assert_bits(
        &bits(
            "{kind = \"zipf\", objects = 2, alpha = 1.584962500721156}",
            "",
        ),
        8.0 * quarters,
    );
    assert_bits(
        &bits("{kind = \"zipf\", objects = 64, alpha = 0}", ""),
        8.0 * 6.0,
    );
    // Always equal: nothing more to know. Half the time: which half, and which of 63 others.
    let correlated = |strength: f64| {
        format!("{uniform}, {{kind = \"correlated\", with = 0, strength = {strength}}}")
    };
    assert_bits(&bits(&correlated(1.0), ""), 48.0);
    assert_bits(
        &bits(&correlated(0.5), ""),
        48.0 + 8.0 * (1.0 + 0.5 * 63f64.log2()),
    );
    // 8! one-to-one maps; of 10 objects, 10!/2!; the inverse is free.
    let factorial = |n: u32| (1..=n).map(|k| f64::from(k).log2()).sum::<f64>();
    assert_bits(
        &bits("{kind = \"one_to_one\"}, {kind = \"inverse\", of = 0}", ""),
        factorial(8),
    );
    assert_bits(
        &bits("{kind = \"one_to_one\", objects = 10}", ""),
        factorial(10) - 1.0,
    );
    // A balanced map of 64 objects to 4: 64! / (16!)^4 of them, however many subjects there are.
    assert_bits(
        &bits(
            &format!("{uniform}, {{kind = \"composed\", of = 0, objects = 4}}"),
            "",
        ),
        48.0 + factorial(64) - 4.0 * factorial(16),
    );
    // Two of eight facts have a second object: which two, and which of 63 others each.
    assert_bits(
        &bits(uniform, "minority = 0.25"),
        48.0 + 28f64.log2() + 2.0 * 63f64.log2(),
    );
}

#[test]
fn entropy_of_a_table_counts_what_it_holds() {
    let rows = [(0, 0, 0, NONE, 1), (1, 0, 1, 3, 0), (2, 1, 0, NONE, NONE)];
    let world = World::from_table(
        table_spec(3, r#"{"objects": 8, "nested": 4}, {"objects": 32}"#),
        &table(&rows),
    )
    .unwrap();
    // Two facts of 8 objects, one of 32, links of two objects to 4, a second object among 7.
    assert_bits(&world, 2.0 * 3.0 + 5.0 + 2.0 * 2.0 + 7f64.log2());
}

//! Overrides: their direct changes, the facts that follow from them, and their refusals.

use crate::common::Known;
use behemoth_gen::World;

use crate::changed;
use crate::common::world;

/// Returns a world with a chain 0 -> 1 -> 2 and a second map 3 of relation 0.
fn chain() -> World {
    world(
        "subjects = 200\nrelations = [{kind = \"independent\", objects = 12},\
         {kind = \"composed\", of = 0, objects = 6}, {kind = \"composed\", of = 1, objects = 3},\
         {kind = \"composed\", of = 0, objects = 2}, {kind = \"correlated\", with = 0, strength = 1}]",
    )
}

#[test]
fn an_override_changes_its_fact_alone_or_what_follows_from_it() {
    let world = chain();
    for subject in 0..50 {
        let fact = world.fact_id(subject, 0).unwrap();
        let old = world.known_object(subject, 0);
        for new in (0..12).filter(|&new| new != old) {
            let stays = world.with_overrides(&[(fact, new)], false).unwrap();
            assert_eq!(changed(&world, &stays), [fact]);
            assert_eq!(stays.known_object(subject, 0), new);
            let follows = world.with_overrides(&[(fact, new)], true).unwrap();
            let map =
                |relation, object: u32| world.nested_objects(relation).unwrap()[object as usize];
            assert_eq!(follows.known_object(subject, 1), map(1, new));
            assert_eq!(follows.known_object(subject, 2), map(2, map(1, new)));
            assert_eq!(follows.known_object(subject, 3), map(3, new));
            // Not the correlated relation: its fact is drawn separately.
            assert_eq!(follows.known_object(subject, 4), old);
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
    let new = (world.known_object(7, 1) + 1) % 6;
    let follows = world.with_overrides(&[(fact, new)], true).unwrap();
    assert_eq!(follows.known_object(7, 0), world.known_object(7, 0));
    assert_eq!(follows.known_object(7, 1), new);
    assert_eq!(
        follows.known_object(7, 2),
        world.nested_objects(2).unwrap()[new as usize]
    );
    // A direct override takes precedence over following another.
    let below = world.fact_id(7, 2).unwrap();
    let other = (follows.known_object(7, 2) + 1) % 3;
    let both = world
        .with_overrides(&[(fact, new), (below, other)], true)
        .unwrap();
    assert_eq!(both.known_object(7, 2), other);
}

#[test]
fn a_changed_link_moves_all_its_subjects_or_none() {
    let world = chain();
    let (object, link) = (5, world.relations());
    let fact = world.fact_id(object, link).unwrap();
    let new = (world.known(fact).object + 1) % 6;
    let stays = world.with_overrides(&[(fact, new)], false).unwrap();
    assert_eq!(changed(&world, &stays), [fact]);
    assert_eq!(stays.nested_objects(1).unwrap()[5], new);
    let follows = world.with_overrides(&[(fact, new)], true).unwrap();
    let below = world.nested_objects(2).unwrap();
    let mut moved = 0;
    for subject in 0..world.subjects() {
        let has = u64::from(world.known_object(subject, 0)) == object;
        let expected = if has {
            new
        } else {
            world.known_object(subject, 1)
        };
        assert_eq!(follows.known_object(subject, 1), expected);
        assert_eq!(follows.known_object(subject, 2), below[expected as usize]);
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
fn a_later_override_never_changes_what_followed_an_earlier_one() {
    let world = chain();
    for follow in [false, true] {
        let once = world.with_overrides(&[(0, 3)], follow).unwrap();
        let error = once.with_overrides(&[(20, 1)], !follow).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "argument 'follow': got {}, allowed: {follow}, as in the earlier override",
                !follow
            )
        );
        let twice = once.with_overrides(&[(20, 1)], follow).unwrap();
        assert_eq!(twice.overrides(), (&[(0, 3), (20, 1)][..], follow));
        assert_eq!(twice.known_object(0, 1), once.known_object(0, 1));
        let same = once.with_overrides(&[], !follow).unwrap();
        assert_eq!(same.overrides(), once.overrides());
    }
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

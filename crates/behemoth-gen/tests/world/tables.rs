//! Worlds of a user's table: complete, with missing facts, overridden and refused.

use crate::common::Known;
use behemoth_gen::{Corpus, CorpusSpec, World, WorldSpec};

use crate::common::world;
use crate::{NONE, changed, table, table_spec};

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
        let fact = world.known(world.fact_id(subject, relation).unwrap());
        assert_eq!(fact.object, object);
        assert_eq!(fact.minority, (minority != NONE).then_some(minority));
        if nested != NONE {
            assert_eq!(world.known_object(subject, 2), nested);
        }
    }
    // Objects of no subject: their nested object is unknown, so they have no link fact.
    assert_eq!(world.nested_objects(2).unwrap(), [NONE, NONE, NONE, 0, 1]);
    assert_eq!(world.fact_id(0, 3), None);
    assert_eq!(world.fact_id(3, 3), Some(9));
    assert_eq!(world.fact_id(4, 3), Some(10));
    assert_eq!(world.known(10).object, 1);

    // The order of the rows does not matter; the digest is the same, and is stored in the spec.
    let mut shuffled = rows;
    shuffled.reverse();
    let again = World::from_table(spec, &table(&shuffled)).unwrap();
    assert_eq!(again.spec(), world.spec());
    assert!(changed(&world, &again).is_empty());
    assert_eq!(
        world.spec().table.as_ref().unwrap().digest,
        table(&rows).digest()
    );
    // A spec with a digest accepts only the rows with this digest.
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

/// The sizes in a spec may be wrong: memory is allocated only in proportion to the rows.
#[test]
fn few_rows_with_many_places_are_refused() {
    let rows = [(5, 0, 1, NONE, 0)];
    let refused = |subjects, relations: &str| {
        let error = World::from_table(table_spec(subjects, relations), &table(&rows));
        error.unwrap_err().to_string()
    };
    assert_eq!(
        refused(1 << 31, r#"{"objects": 9, "nested": 4}"#),
        "argument 'table': got 1 rows with 2147483657 places for facts and nested objects, \
         allowed: up to 16778240 places for so many rows, which are kept in memory"
    );
    let many = refused(6, r#"{"objects": 4294967294, "nested": 4}"#);
    assert!(many.contains("4294967300 places"), "{many}");
    let spec = table_spec(1 << 20, r#"{"objects": 9, "nested": 4}"#);
    assert_eq!(World::from_table(spec, &table(&rows)).unwrap().facts(), 3);
}

/// The known distribution of a table's facts does not change the bytes, but is reported.
#[test]
fn relations_of_a_table_may_be_known_to_be_correlated() {
    let rows = [(0, 0, 1, NONE, NONE), (0, 1, 1, NONE, NONE)];
    let plain = table_spec(1, r#"{"objects": 5}, {"objects": 5}"#);
    let spec = table_spec(
        1,
        r#"{"objects": 5, "binarised": true}, {"objects": 5, "with": 0}"#,
    );
    let world = World::from_table(spec, &table(&rows)).unwrap();
    let found = world.relation_table();
    assert_eq!(found[0]["binarised"], true);
    assert_eq!(
        (&found[1]["kind"], &found[1]["with"]),
        (&"table".into(), &0.into())
    );
    assert!(found[1].get("binarised").is_none());
    // A table without this information keeps the hash from before it was introduced.
    let plain = World::from_table(plain, &table(&rows)).unwrap();
    assert!(
        !serde_json::to_string(plain.spec())
            .unwrap()
            .contains("with")
    );
    assert!(plain.relation_table()[1].get("with").is_none());
    for (relations, message) in [
        (
            r#"{"objects": 5, "with": 0}, {"objects": 5}"#,
            "argument 'table.relations[0].with': got 0, \
             allowed: an earlier relation (this is the first)",
        ),
        (
            r#"{"objects": 5}, {"objects": 5, "with": 1}"#,
            "argument 'table.relations[1].with': got 1, allowed: an earlier relation, 0 to 0",
        ),
        (
            r#"{"objects": 5}, {"objects": 6, "with": 0}"#,
            "argument 'table.relations[1].with': got relation 0 of 5 objects, \
             allowed: a relation of 6 objects, like this one",
        ),
    ] {
        let text = format!("{{\"subjects\": 1, \"table\": {{\"relations\": [{relations}]}}}}");
        let error = WorldSpec::from_json(&text).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
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
    // Four rows, two of which have a composed fact, and two links.
    assert_eq!((world.subject_facts(), world.facts()), (6, 8));
    let facts: Vec<(u64, u32, u32, Option<u32>)> = (0..world.facts())
        .map(|fact| {
            let f = world.known(fact);
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
    assert_eq!(
        (follows.known_object(0, 0), follows.known_object(0, 1)),
        (1, 0)
    );
    // The nested object of object 2 is unknown, so the composed fact cannot follow.
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
            "row 1: no nested object, allowed: one in each row of a relation with nested objects",
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
        "argument 'table': got rows for a spec without a table, \
         allowed: a spec whose table names the rows"
    );
}

#[test]
fn things_with_names_are_one_token_each_whatever_the_base() {
    let rows: Vec<_> = (0..1200u64)
        .map(|s| (s, 0, (s % 1100) as u32, NONE, (s % 1100 % 1050) as u32))
        .collect();
    let plain = table_spec(1200, r#"{"objects": 1100, "nested": 1050}"#);
    let lengths = |spec: &WorldSpec, base: u64| {
        let world = World::from_table(spec.clone(), &table(&rows))?;
        assert_eq!(world.spec().table.as_ref().unwrap().names, {
            spec.table.as_ref().unwrap().names.clone()
        });
        let spec = CorpusSpec::builder().base(base).build()?;
        let corpus = Corpus::new(world, spec, None)?;
        let words = corpus.vocabulary();
        let objects = [0, 1].map(|relation| words.object(relation).unwrap().len());
        Ok::<_, behemoth_gen::Error>((
            words.subject().unwrap().len(),
            words.relation().unwrap().len(),
            objects,
        ))
    };
    assert_eq!(lengths(&plain, 1000).unwrap(), (2, 1, [2, 2]));
    let named = |names: &str| {
        let json = plain.to_json();
        let table = json.replace("\"reference_words\":false", names);
        WorldSpec::from_json(&table).unwrap()
    };
    let some = named(r#""names": {"subjects": "a", "nested": "b"}"#);
    assert_eq!(lengths(&some, 1000).unwrap(), (1, 1, [2, 1]));
    assert_eq!(lengths(&some, 10).unwrap(), (1, 1, [4, 1]));
    // The word lengths of the reference apply to numbers.
    let both = named(r#""names": {"objects": "a"}, "reference_words": true"#);
    assert_eq!(lengths(&both, 1000).unwrap(), (2, 1, [1, 2]));
    let all = r#""names": {"subjects": "a", "relations": "b", "objects": "c", "nested": "d"}"#;
    assert_eq!(lengths(&named(all), 1000).unwrap(), (1, 1, [1, 1]));
    assert_eq!(
        lengths(&named(all), 10).unwrap_err().to_string(),
        "argument 'base': got 10, allowed: nothing: each name is one token"
    );
    // A spec without names is unchanged from before names were introduced.
    assert!(!plain.to_json().contains("names"));
    assert_eq!(named(r#""names": {}"#).to_json(), plain.to_json());
}

#[test]
fn names_are_told_by_digests_of_kinds() {
    for (names, message) in [
        (
            r#"{"subject": "a"}"#,
            "argument 'table.names.subject': got `subject` (did you mean subjects?), \
             allowed: `subjects`, `relations`, `objects`, `nested`",
        ),
        (r#"{"objects": 3}"#, "argument 'table.names.objects': got "),
        (r#"["a"]"#, "argument 'table.names': got "),
    ] {
        let text = format!(r#"{{"table": {{"relations": [{{"objects": 2}}], "names": {names}}}}}"#);
        let error = WorldSpec::from_json(&text).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
    }
}

#[test]
fn what_is_composed_from_a_missing_fact_is_missing() {
    let spec = table_spec(2, r#"{"objects": 3, "nested": 2}"#);
    let world = World::from_table(spec, &table(&[(0, 0, 1, NONE, 1)])).unwrap();
    assert_eq!((world.object(0, 0), world.object(0, 1)), (Some(1), Some(1)));
    assert_eq!((world.object(1, 0), world.object(1, 1)), (None, None));
    assert_eq!((world.object(2, 0), world.object(0, 2)), (None, None));
}

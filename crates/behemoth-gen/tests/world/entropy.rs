//! The entropy of drawn worlds and of tables, against known answers.

use behemoth_gen::World;

use crate::common::world;
use crate::{NONE, table, table_spec};

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

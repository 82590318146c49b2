//! Specs: whatever is valid builds, reads back as itself and counts right; whatever is not is
//! refused in one line that names the argument, the value got and the values allowed.

mod common;

use behemoth_gen::{Corpus, Progress, Spec};
use common::{all_tokens, histogram, read, sentences, try_corpus};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A number in 0..1 and the choices of one relation.
type Choices = (u8, u64, f64, bool);

/// Relations that are allowed, made from any choices: each takes its kind if it can.
fn relations(subjects: u64, choices: &[Choices]) -> (Vec<Value>, bool) {
    let mut list: Vec<Value> = Vec::new();
    let (mut objects, mut binarised, mut drawn) = (Vec::<u64>::new(), Vec::new(), false);
    for &(kind, n, x, flag) in choices {
        let earlier = (!list.is_empty()).then(|| n as usize % list.len().max(1));
        let one_to_one =
            (0..list.len()).find(|&r| list[r]["kind"] == "one_to_one" && objects[r] == subjects);
        let (relation, count, two) = match (kind, earlier, one_to_one) {
            (1, ..) => {
                let count = n % 40 + 2;
                (
                    json!({"kind": "zipf", "objects": count, "alpha": x * 3.0}),
                    count,
                    false,
                )
            }
            (2, Some(with), _) if objects[with] >= 2 => {
                let chance = if binarised[with] {
                    0.5
                } else {
                    1.0 / objects[with] as f64
                };
                let strength = 1.0 - (1.0 - chance) * x * 0.99;
                let two = flag && binarised[with];
                let relation = json!({
                    "kind": "correlated", "with": with, "strength": strength, "binarised": two,
                });
                (relation, objects[with], two)
            }
            (3, ..) => {
                let count = if flag { subjects } else { subjects + n % 9 };
                (
                    json!({"kind": "one_to_one", "objects": count}),
                    count,
                    false,
                )
            }
            (4, _, Some(of)) => (json!({"kind": "inverse", "of": of}), subjects, false),
            (5, Some(of), _) => {
                let divisors: Vec<u64> = (1..=objects[of])
                    .filter(|d| objects[of].is_multiple_of(*d))
                    .collect();
                let nested = divisors[(x * divisors.len() as f64) as usize];
                (
                    json!({"kind": "composed", "of": of, "objects": nested}),
                    nested,
                    false,
                )
            }
            _ => {
                let count = n % 40 + 2;
                let relation = json!({"kind": "independent", "objects": count, "binarised": flag});
                (relation, count, flag)
            }
        };
        let kind = relation["kind"].as_str().unwrap();
        drawn |= ["independent", "zipf", "correlated"].contains(&kind);
        list.push(relation);
        objects.push(count);
        binarised.push(two);
    }
    (list, drawn)
}

fn exposures() -> impl Strategy<Value = Value> {
    let levels = (1..7u64, prop::collection::vec(0..7u64, 0..4))
        .prop_map(|(first, rest)| std::iter::once(first).chain(rest).collect::<Vec<u64>>());
    let text = |kind: &'static str| {
        move |levels: Vec<u64>| {
            let levels: Vec<String> = levels.iter().map(u64::to_string).collect();
            json!(format!("{kind}:{}", levels.join(",")))
        }
    };
    prop_oneof![
        (1..5u64).prop_map(|n| json!(n)),
        (1..5u64).prop_map(|n| json!({"kind": "constant", "exposures": n})),
        levels.clone().prop_map(text("groups")),
        levels.clone().prop_map(text("latin")),
        (levels, any::<bool>()).prop_map(
            |(levels, balanced)| json!({"kind": "groups", "levels": levels, "balanced": balanced})
        ),
        (0.0..3.0, 0..4u64, 4..30u64).prop_map(|(alpha, minimum, maximum)| json!(
            {"kind": "zipf", "alpha": alpha, "minimum": minimum, "maximum": maximum}
        )),
    ]
}

/// Any field of a corpus but the exposures.
fn corpus_fields() -> impl Strategy<Value = Value> {
    let order = (
        any::<bool>(),
        prop::option::of(1..5u64),
        prop::option::of(0..1u64 << 63),
    );
    let weights = prop::collection::btree_map(
        prop::sample::select(&behemoth_gen::template::TEMPLATES[..]),
        0.0..5.0,
        0..4usize,
    );
    let grammar = (
        prop::sample::select(&behemoth_gen::template::TEMPLATES[..]),
        0.1..5.0,
        weights,
        prop::option::of(0.0..=1.0),
        any::<bool>(),
        prop::option::of((0.0..=1.0, 0.0..=1.0)),
    );
    let words = (
        1..5u64,
        0..4u64,
        1..50u64,
        10..2000u64,
        prop::option::of(4096..1u64 << 40),
    );
    (order, grammar, words, 0.0..=1.0).prop_map(|(order, grammar, words, minority)| {
        let (bios, documents, order_seed) = order;
        let (template, weight, weights, inversion, exact, questions) = grammar;
        let (paraphrases, held_out, nonsense_words, base, shard_bytes) = words;
        let mut templates = json!(weights);
        templates[template] = json!(weight);
        json!({
            "order": if bios { "bios" } else { "shuffle" },
            "documents_per_subject": documents.filter(|_| bios),
            "order_seed": order_seed,
            "templates": templates,
            "inversion": inversion.unwrap_or(0.0),
            "exact_shares": exact && questions.is_none(),
            "questions": questions.map(|(s, n)| json!({"subjects": s, "sentences": n})),
            "paraphrases": paraphrases,
            "held_out": held_out.min(paraphrases - 1),
            "nonsense_words": nonsense_words,
            "base": base,
            "shard_bytes": shard_bytes,
            "minority_sentences": minority,
        })
    })
}

fn valid_spec() -> impl Strategy<Value = Value> {
    let choices = prop::collection::vec((0..6u8, 0..1000u64, 0.0..1.0, any::<bool>()), 1..6);
    (
        1..60u64,
        0..1u64 << 63,
        choices,
        prop::option::of(0.0..=1.0),
        exposures(),
        corpus_fields(),
        prop::option::of(0..5u64),
    )
        .prop_map(
            |(subjects, seed, choices, minority, exposures, mut corpus, nested)| {
                let (relations, drawn) = relations(subjects, &choices);
                let composed = relations.iter().any(|r| r["kind"] == "composed");
                corpus["exposures"] = exposures;
                corpus["nested_exposures"] = json!(nested.filter(|_| composed));
                json!({
                    "world": {
                        "seed": seed,
                        "subjects": subjects,
                        "relations": relations,
                        "minority": minority.filter(|_| drawn).unwrap_or(0.0),
                    },
                    "corpus": corpus,
                })
            },
        )
}

/// Every place in a value that holds no other values.
fn leaves(value: &Value, path: String, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            map.iter()
                .for_each(|(key, v)| leaves(v, format!("{path}/{key}"), out));
        }
        Value::Array(list) => {
            list.iter()
                .enumerate()
                .for_each(|(i, v)| leaves(v, format!("{path}/{i}"), out));
        }
        _ => out.push(path),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_valid_spec_builds_reads_back_and_counts_right(value in valid_spec()) {
        let spec = Spec::from_json(&value.to_string()).unwrap();
        let corpus = Corpus::from_spec(spec).unwrap();
        let spec = corpus.spec();
        for again in [Spec::from_json(&spec.to_json()), Spec::from_toml(&spec.to_toml())] {
            let again = again.unwrap();
            prop_assert_eq!(&again, spec);
            prop_assert_eq!(again.hash(), spec.hash());
        }
        let tokens = all_tokens(&corpus);
        let count = corpus.token_count(1, &Progress::default()).unwrap();
        prop_assert_eq!(count, tokens.len() as u64);
        if let Some(each) = corpus.document_tokens() {
            prop_assert_eq!(count, each * corpus.documents());
        }
        let facts = corpus.world().facts();
        let written = histogram(read(&corpus, &tokens).iter().map(|s| s.fact), facts);
        let exposures: Vec<u64> = (0..facts).map(|fact| corpus.exposures_of(fact)).collect();
        prop_assert_eq!(corpus.sentences(), exposures.iter().sum::<u64>());
        prop_assert_eq!(written, exposures);
        prop_assert!(corpus.world().entropy_bits().is_finite());
    }

    #[test]
    fn any_way_to_ask_for_any_corpus_gives_the_same_tokens(
        value in valid_spec(),
        threads in 2..9usize,
        at in any::<prop::sample::Index>(),
        room in 1..200usize,
    ) {
        let corpus = Corpus::from_spec(Spec::from_json(&value.to_string()).unwrap()).unwrap();
        let tokens = all_tokens(&corpus);
        let progress = Progress::default();
        let again = corpus.tokens::<u64>(0..corpus.documents(), threads, &progress).unwrap();
        prop_assert!(again.iter().copied().eq(tokens.iter().map(|&t| u64::from(t))));
        let start = at.index(tokens.len());
        let mut out = vec![0u16; room];
        let made = corpus.fill_tokens(&mut out, start as u64, threads, &progress).unwrap();
        prop_assert_eq!(made, room.min(tokens.len() - start));
        let part = &tokens[start..start + made];
        prop_assert!(out[..made].iter().map(|&t| u32::from(t)).eq(part.iter().copied()));
    }

    #[test]
    fn any_twin_of_any_corpus_differs_where_it_should(
        value in valid_spec(),
        fact in any::<prop::sample::Index>(),
        object in any::<prop::sample::Index>(),
        follow in any::<bool>(),
        gone in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let parent = Corpus::from_spec(Spec::from_json(&value.to_string()).unwrap()).unwrap();
        let world = parent.world();
        let facts = world.facts() as usize;
        let fact = fact.index(facts) as u64;
        let object = object.index(world.objects_of(world.fact(fact).relation) as usize) as u32;
        let twin = parent.with_overrides(&[(fact, object)], follow).unwrap();
        prop_assert_eq!(twin.world().fact(fact).object, object);
        let roles = common::roles(&parent);
        let (old, new) = (sentences(&parent), sentences(&twin));
        prop_assert_eq!(old.len(), new.len());
        for (old, new) in old.iter().zip(&new) {
            prop_assert_eq!((old.fact, old.start), (new.fact, new.start));
            prop_assert_eq!(old.pattern(&roles), new.pattern(&roles));
            let changes = world.fact(old.fact).object != twin.world().fact(old.fact).object;
            prop_assert!(changes || old.tokens == new.tokens);
            prop_assert!(old.fact == fact || follow || !changes);
        }
        let gone: Vec<u64> = gone.iter().map(|at| at.index(facts) as u64).collect();
        let rest = sentences(&twin.without(&gone).unwrap());
        let kept = new.iter().filter(|s| !gone.contains(&s.fact)).map(|s| &s.tokens);
        prop_assert!(rest.iter().map(|s| &s.tokens).eq(kept));
    }

    /// One value of a good spec is replaced by something strange: then it is taken or refused in
    /// one line, and never panics.
    #[test]
    fn a_damaged_spec_is_refused_in_one_line(
        mut value in valid_spec(),
        at in any::<prop::sample::Index>(),
        strange in prop::sample::select(vec![
            json!(-1), json!(0), json!(1.5), json!(-0.5), json!(1e30), json!(1_000_000_007),
            json!(1u64 << 32), json!(i64::MAX), json!(u64::MAX), json!("x"), json!(""),
            json!(null), json!(true), json!([]), json!({}), json!([1, [2]]), json!({"kind": "x"}),
        ]),
    ) {
        let mut places = Vec::new();
        leaves(&value, String::new(), &mut places);
        let place = &places[at.index(places.len())];
        *value.pointer_mut(place).unwrap() = strange;
        let result = Spec::from_json(&value.to_string()).and_then(Corpus::from_spec);
        if let Err(error) = result {
            let message = error.to_string();
            prop_assert!(message.starts_with("argument '"), "{}", message);
            prop_assert!(message.contains("': got ") && message.contains(", allowed: "));
            prop_assert_eq!(message.lines().count(), 1);
        }
    }
}

const FORMS: &str = "a number, 'groups:1,4,16', 'latin:1,4,16' or 'zipf:alpha=1,min=1,max=1000'";

#[test]
fn worlds_are_refused_by_name() {
    for (text, name, got, allowed) in [
        ("subjects = 0", "subjects", "0", "at least 1"),
        (
            "subjects = -1",
            "subjects",
            "-1",
            "a whole number, not negative",
        ),
        (
            "subjects = 1.5",
            "subjects",
            "1.5",
            "a whole number, not negative",
        ),
        (
            "subjects = \"many\"",
            "subjects",
            "string \"many\"",
            "a whole number",
        ),
        (
            "subjects = 5000000000000000000",
            "subjects",
            "5000000000000000000",
            "a whole number up to 4611686018427387904",
        ),
        (
            "subjects = inf",
            "subjects",
            "inf",
            "a whole number, not negative",
        ),
        (
            "subjects = nan",
            "subjects",
            "NaN",
            "a whole number, not negative",
        ),
        ("relations = 0", "relations", "0", "1 to 10000"),
        (
            "relations = -3",
            "relations",
            "-3",
            "a whole number, not negative",
        ),
        ("relations = 2000000", "relations", "2000000", "1 to 10000"),
        ("relations = []", "relations", "0", "1 to 10000"),
        (
            "relations = \"six\"",
            "relations",
            "string \"six\"",
            "a whole number or a list",
        ),
        ("objects = 0", "objects", "0", "at least 1"),
        (
            "objects = -1",
            "objects",
            "-1",
            "a whole number, not negative",
        ),
        (
            "objects = 0.5",
            "objects",
            "0.5",
            "a whole number, not negative",
        ),
        (
            "objects = 4294967295",
            "objects",
            "4294967295",
            "up to 4294967294",
        ),
        (
            "relations = 3\nobjects = [4, 5]",
            "objects",
            "2 numbers",
            "one number, or one for each of the 3 relations",
        ),
        (
            "relations = 1\nobjects = [-4]",
            "objects[0]",
            "-4",
            "a whole number, not negative",
        ),
        (
            "subject = 5",
            "subject",
            "`subject`",
            "`seed`, `subjects`, `relations`, `objects`, `nested`, `correlated`, `minority`, `table`",
        ),
        ("seed = -1", "seed", "-1", "a whole number, not negative"),
        ("seed = 0.5", "seed", "0.5", "a whole number, not negative"),
        (
            "minority = 1.5",
            "minority",
            "1.5",
            "a fraction from 0 to 1",
        ),
        (
            "minority = -0.1",
            "minority",
            "-0.1",
            "a fraction from 0 to 1",
        ),
        (
            "minority = nan",
            "minority",
            "NaN",
            "a fraction from 0 to 1",
        ),
        (
            "minority = 0.5\nobjects = 1",
            "minority",
            "0.5",
            "0, since a relation has one object only and so no second",
        ),
        (
            "minority = 0.5\nrelations = [{kind = \"one_to_one\"}]",
            "minority",
            "0.5",
            "0, since no relation draws its objects",
        ),
        (
            "objects = 10\nnested = 3",
            "nested",
            "3",
            "a divisor of 10, the objects of relation 0",
        ),
        ("objects = 10\nnested = 0", "nested", "0", "at least 1"),
        (
            "objects = 10\nnested = 20",
            "nested",
            "20",
            "a divisor of 10, the objects of relation 0",
        ),
        (
            "relations = 1\ncorrelated = {strength = 0.5}",
            "relations",
            "1",
            "at least 2, so that the second can be correlated with the first",
        ),
        (
            "objects = 10\ncorrelated = {strength = 0.1}",
            "correlated",
            "0.1",
            "above chance (1/10) up to 1",
        ),
        (
            "objects = 10\ncorrelated = {strength = 0.5, binarised = true}",
            "correlated",
            "0.5",
            "above chance (1/2) up to 1",
        ),
        (
            "objects = 10\ncorrelated = {strength = 1.5}",
            "correlated",
            "1.5",
            "a fraction from 0 to 1",
        ),
        (
            "objects = 10\ncorrelated = {}",
            "correlated",
            "no `strength`",
            "a value for it",
        ),
        (
            "objects = 1\ncorrelated = {strength = 1}",
            "objects",
            "a relation of 1 objects",
            "a relation of at least 2 objects",
        ),
        (
            "relations = 2\nobjects = [4, 5]\ncorrelated = {strength = 1}",
            "objects",
            "4 and 5",
            "the same number for relations 0 and 1, which are correlated",
        ),
        (
            "objects = 4\nrelations = [{kind = \"one_to_one\"}]",
            "objects",
            "a value beside a list of relations",
            "only beside a number of relations; in a list each relation says its own",
        ),
        (
            "nested = 4\nrelations = [{kind = \"one_to_one\"}]",
            "nested",
            "a value beside a list of relations",
            "only beside a number of relations; in a list each relation says its own",
        ),
        (
            "relations = [{kind = \"unknown\"}]",
            "relations[0].kind",
            "`unknown`",
            "`independent`, `zipf`, `correlated`, `one_to_one`, `inverse`, `composed`",
        ),
        (
            "relations = [{objects = 4}]",
            "relations[0]",
            "no `kind`",
            "a value for it",
        ),
        (
            "relations = [{kind = \"independent\"}]",
            "relations[0]",
            "no `objects`",
            "a value for it",
        ),
        (
            "relations = [{kind = \"independent\", objects = -4}]",
            "relations[0]",
            "-4",
            "a whole number, not negative",
        ),
        (
            "relations = [{kind = \"independent\", objects = 4, alpha = 1}]",
            "relations[0]",
            "`alpha`",
            "`objects` or `binarised`",
        ),
        (
            "relations = [{kind = \"independent\", objects = 1, binarised = true}]",
            "relations[0].objects",
            "1",
            "at least 2",
        ),
        (
            "relations = [{kind = \"zipf\", objects = 4}]",
            "relations[0]",
            "no `alpha`",
            "a value for it",
        ),
        (
            "relations = [{kind = \"zipf\", objects = 4, alpha = -1}]",
            "relations[0].alpha",
            "-1",
            "0 to 100",
        ),
        (
            "relations = [{kind = \"zipf\", objects = 4, alpha = nan}]",
            "relations[0].alpha",
            "NaN",
            "0 to 100",
        ),
        (
            "relations = [{kind = \"zipf\", objects = 1000000000, alpha = 1}]",
            "relations[0].objects",
            "1000000000",
            "up to 268435456 for kind zipf, whose weights are kept in memory",
        ),
        (
            "relations = [{kind = \"correlated\", with = 0, strength = 0.5}]",
            "relations[0].with",
            "0",
            "an earlier relation, and this is the first",
        ),
        (
            "relations = [{kind = \"independent\", objects = 4}, {kind = \"correlated\", with = 1, strength = 0.5}]",
            "relations[1].with",
            "1",
            "an earlier relation, 0 to 0",
        ),
        (
            "relations = [{kind = \"independent\", objects = 4}, {kind = \"correlated\", with = 0, strength = 0.5, binarised = true}]",
            "relations[1].binarised",
            "true",
            "only when the relation it is correlated with is binarised",
        ),
        (
            "relations = [{kind = \"independent\", objects = 4, binarised = true}, {kind = \"correlated\", with = 0, strength = 0.5}]",
            "relations[1].strength",
            "0.5",
            "above chance (1/2) up to 1",
        ),
        (
            "subjects = 10\nrelations = [{kind = \"one_to_one\", objects = 9}]",
            "relations[0].objects",
            "9",
            "at least subjects (10) for kind one_to_one",
        ),
        (
            "subjects = 10\nrelations = [{kind = \"one_to_one\", objects = 11}, {kind = \"inverse\", of = 0}]",
            "relations[1].of",
            "a relation of 11 objects",
            "one of as many objects as subjects (10)",
        ),
        (
            "subjects = 10\nrelations = [{kind = \"independent\", objects = 10}, {kind = \"inverse\", of = 0}]",
            "relations[1].of",
            "relation 0",
            "a relation of kind one_to_one",
        ),
        (
            "relations = [{kind = \"independent\", objects = 10}, {kind = \"composed\", of = 0, objects = 4}]",
            "relations[1].objects",
            "4",
            "a divisor of 10, the objects of relation 0",
        ),
        (
            "relations = [{kind = \"independent\", objects = 10}, {kind = \"composed\", of = 5, objects = 5}]",
            "relations[1].of",
            "5",
            "an earlier relation, 0 to 0",
        ),
        (
            "subjects = 4000000000000000000\nrelations = 2",
            "subjects x relations",
            "4000000000000000000 x 2",
            "a product up to 4611686018427387904",
        ),
        (
            "subjects = 8589934592\nrelations = [{kind = \"one_to_one\"}]",
            "relations[0].objects",
            "8589934592",
            "up to 4294967294",
        ),
        ("table = {relations = []}", "relations", "0", "at least 1"),
        (
            "table = {relations = [{objects = 0}]}",
            "table.relations[0].objects",
            "0",
            "at least 1",
        ),
        (
            "table = {relations = [{objects = 4, nested = 0}]}",
            "table.relations[0].nested",
            "0",
            "at least 1",
        ),
        (
            "objects = 4\ntable = {relations = [{objects = 4}]}",
            "objects",
            "a value beside a table",
            "nothing: the table says it",
        ),
        (
            "relations = 4000000000",
            "relations",
            "4000000000",
            "1 to 10000",
        ),
    ] {
        let error = try_corpus(&format!("[world]\n{text}\n"));
        assert_eq!(
            error.unwrap_err().to_string(),
            format!("argument '{name}': got {got}, allowed: {allowed}"),
            "{text}"
        );
    }
}

#[test]
fn corpora_are_refused_by_name() {
    for (text, name, got, allowed) in [
        ("exposures = 0", "exposures", "0", "at least 1"),
        ("exposures = -1", "exposures", "-1", FORMS),
        ("exposures = 1.5", "exposures", "'1.5'", FORMS),
        ("exposures = true", "exposures", "boolean `true`", FORMS),
        ("exposures = \"ten\"", "exposures", "'ten'", FORMS),
        ("exposures = \"groups:\"", "exposures", "'groups:'", FORMS),
        (
            "exposures = \"groups:1,x\"",
            "exposures",
            "'groups:1,x'",
            FORMS,
        ),
        (
            "exposures = \"groups:0,0\"",
            "exposures",
            "groups:0,0",
            "at least one level above 0",
        ),
        (
            "exposures = \"latin:0\"",
            "exposures",
            "latin:0",
            "at least one level above 0",
        ),
        (
            "exposures = \"groups:1,-4\"",
            "exposures",
            "'groups:1,-4'",
            FORMS,
        ),
        (
            "exposures = \"zipf:alpha=1\"",
            "exposures",
            "'zipf:alpha=1'",
            FORMS,
        ),
        (
            "exposures = \"zipf:alpha=-1,max=10\"",
            "exposures",
            "alpha=-1",
            "0 to 100",
        ),
        (
            "exposures = \"zipf:alpha=1,min=10,max=5\"",
            "exposures",
            "min=10, max=5",
            "min up to max, max at least 1",
        ),
        (
            "exposures = \"zipf:alpha=1,max=2e12\"",
            "exposures",
            "max=2000000000000",
            "up to 2^40",
        ),
        (
            "exposures = \"zipf:beta=1,max=5\"",
            "exposures",
            "'zipf:beta=1,max=5'",
            FORMS,
        ),
        ("exposures = \"pareto:1\"", "exposures", "'pareto:1'", FORMS),
        (
            "exposures = {kind = \"pareto\"}",
            "exposures.kind",
            "`pareto`",
            "`constant`, `groups`, `zipf`, `array`",
        ),
        (
            "exposures = {kind = \"groups\", levels = []}",
            "exposures",
            "groups:",
            "at least one level above 0",
        ),
        (
            "exposures = {kind = \"groups\", levels = [1, 0.5]}",
            "exposures",
            "0.5",
            "a whole number, not negative",
        ),
        (
            "exposures = {kind = \"constant\"}",
            "exposures",
            "no `exposures`",
            "a value for it",
        ),
        (
            "exposures = {kind = \"constant\", exposures = -2}",
            "exposures",
            "-2",
            "a whole number, not negative",
        ),
        ("exposures = [1, 2]", "exposures", "sequence", FORMS),
        (
            "nested_exposures = -1",
            "nested_exposures",
            "-1",
            "a whole number, not negative",
        ),
        (
            "nested_exposures = 3",
            "nested_exposures",
            "3",
            "none in a world without composed relations",
        ),
        (
            "order = \"sorted\"",
            "order",
            "`sorted`",
            "`shuffle` or `bios`",
        ),
        (
            "order_seed = -1",
            "order_seed",
            "-1",
            "a whole number, not negative",
        ),
        (
            "documents_per_subject = 0",
            "documents_per_subject",
            "0",
            "at least 1",
        ),
        (
            "order = \"bios\"\ndocuments_per_subject = 0",
            "documents_per_subject",
            "0",
            "at least 1",
        ),
        (
            "inversion = 1.5",
            "inversion",
            "1.5",
            "a fraction from 0 to 1",
        ),
        (
            "inversion = \"half\"",
            "inversion",
            "string \"half\"",
            "a number",
        ),
        (
            "questions = 0.5",
            "questions",
            "floating point `0.5`",
            "a table of fields",
        ),
        (
            "questions = {subjects = 0.5}",
            "questions",
            "no `sentences`",
            "a value for it",
        ),
        (
            "questions = {subjects = 2, sentences = 0.5}",
            "questions.subjects",
            "2",
            "a fraction from 0 to 1",
        ),
        (
            "questions = {subjects = 0.5, sentences = -1}",
            "questions.sentences",
            "-1",
            "a fraction from 0 to 1",
        ),
        (
            "minority_sentences = 2",
            "minority_sentences",
            "2",
            "a fraction from 0 to 1",
        ),
        ("paraphrases = 0", "paraphrases", "0", "at least 1"),
        ("paraphrases = 20000", "paraphrases", "20000", "1 to 10000"),
        (
            "held_out = 1",
            "held_out",
            "1",
            "fewer than paraphrases (1), since one wording must be written",
        ),
        (
            "paraphrases = 3\nheld_out = 3",
            "held_out",
            "3",
            "fewer than paraphrases (3), since one wording must be written",
        ),
        (
            "nonsense_words = 0",
            "nonsense_words",
            "0",
            "1 to 1000000 with 1 paraphrases",
        ),
        (
            "nonsense_words = 2000000",
            "nonsense_words",
            "2000000",
            "1 to 1000000 with 1 paraphrases",
        ),
        ("base = 9", "base", "9", "10 to 16777216"),
        ("base = 1e9", "base", "1000000000", "10 to 16777216"),
        ("shard_bytes = 100", "shard_bytes", "100", "at least 4096"),
        (
            "templates = [\"default\"]",
            "templates",
            "sequence",
            "a table of template names and weights",
        ),
        (
            "templates = {default = \"x\"}",
            "templates.default",
            "string \"x\"",
            "a number",
        ),
        (
            "template = 1",
            "template",
            "`template`",
            "`exposures`, `nested_exposures`, `order`, `order_seed`, `documents_per_subject`, `templates`, `inversion`, `exact_shares`, `questions`, `minority_sentences`, `paraphrases`, `held_out`, `nonsense_words`, `base`, `shard_bytes`, `twin`",
        ),
        (
            "templates = {nonsense = 1}\nnonsense_words = 1000000\nparaphrases = 1000",
            "nonsense_words",
            "1000000",
            "1 to 1000 with 1000 paraphrases",
        ),
        (
            "exact_shares = 1",
            "exact_shares",
            "integer `1`",
            "true or false",
        ),
        (
            "twin = {overrides = [[0]]}",
            "twin.overrides[0]",
            "1 values",
            "a pair of fact and object",
        ),
        (
            "twin = {overrides = [[0, -1]]}",
            "twin.overrides[0][1]",
            "integer `-1`",
            "a whole number, not negative",
        ),
        (
            "twin = {without = [99999999999]}",
            "without",
            "fact 99999999999",
            "facts below 60",
        ),
        (
            "exposures = 18446744073709551615",
            "spec",
            "u64 value was too large",
            "TOML text",
        ),
        (
            "exposures = 9000000000000000000",
            "exposures",
            "9000000000000000000",
            "up to 4611686018427387904",
        ),
        ("exposures = 1e300", "exposures", "'1e300'", FORMS),
    ] {
        let error = try_corpus(&format!("[world]\nsubjects = 10\n[corpus]\n{text}\n"));
        assert_eq!(
            error.unwrap_err().to_string(),
            format!("argument '{name}': got {got}, allowed: {allowed}"),
            "{text}"
        );
    }
}

#[test]
fn json_is_refused_by_name() {
    for (text, name, got, allowed) in [
        (
            "",
            "spec",
            "EOF while parsing a value at line 1 column 0",
            "JSON text",
        ),
        (
            "{",
            "spec",
            "EOF while parsing an object at line 1 column 1",
            "JSON text",
        ),
        ("[]", "spec", "0 values", "a table of fields"),
        ("{}", "spec", "no `world`", "a value for it"),
        (
            "{\"world\": {}} x",
            "spec",
            "trailing characters at line 1 column 15",
            "JSON text",
        ),
        (
            "{\"world\": {}, \"corpus\": 1}",
            "corpus",
            "integer `1`",
            "a table of fields",
        ),
        (
            "{\"world\": {}, \"format_version\": 2}",
            "format_version",
            "2",
            "1, the format this version of behemoth writes",
        ),
        (
            "{\"world\": {\"seed\": 18446744073709551615}}",
            "seed",
            "18446744073709551615",
            "a whole number up to 9223372036854775807",
        ),
        (
            "{\"world\": {\"subjects\": 1e30}}",
            "subjects",
            "1e30",
            "a whole number up to 4611686018427387904, from 2^53 on written out",
        ),
        (
            "{\"world\": {\"subjects\": null}}",
            "subjects",
            "null",
            "a whole number",
        ),
        (
            "{\"world\": {}, \"corpora\": {}}",
            "corpora",
            "`corpora`",
            "`format_version`, `world`, `corpus`",
        ),
    ] {
        let error = Spec::from_json(text);
        assert_eq!(
            error.unwrap_err().to_string(),
            format!("argument '{name}': got {got}, allowed: {allowed}"),
            "{text}"
        );
    }
}

#[test]
fn toml_is_refused_by_name() {
    for (text, name, got, allowed) in [
        ("", "spec", "no `world`", "a value for it"),
        (
            "[world",
            "spec",
            "unclosed table, expected `]`",
            "TOML text",
        ),
        (
            "[world]\nsubjects = 5\nsubjects = 6",
            "spec",
            "duplicate key",
            "TOML text",
        ),
        (
            "subjects = 5",
            "subjects",
            "`subjects`",
            "`format_version`, `world`, `corpus`",
        ),
    ] {
        let error = Spec::from_toml(text);
        assert_eq!(
            error.unwrap_err().to_string(),
            format!("argument '{name}': got {got}, allowed: {allowed}"),
            "{text}"
        );
    }
}

#[test]
fn of_two_values_for_one_name_the_last_counts() {
    let spec = Spec::from_json(
        r#"{"world": {}, "corpus": {"templates": {"default": 1, "sor": 3, "default": 2}}}"#,
    )
    .unwrap();
    let weights: Vec<(&str, f64)> = spec
        .corpus
        .templates
        .iter()
        .map(|weight| (&weight.name[..], weight.weight))
        .collect();
    assert_eq!(weights, [("default", 2.0), ("sor", 3.0)]);
    assert_eq!(Spec::from_toml(&spec.to_toml()).unwrap(), spec);
}

#[test]
fn vocabularies_past_2_to_the_31_are_refused() {
    // 2^27 leading digits in each of 16 relations.
    let error = try_corpus(
        "[world]\nsubjects = 10\nrelations = 300\nobjects = 4_000_000_000\n\
         [corpus]\nbase = 16_000_000\n",
    );
    let message = error.unwrap_err().to_string();
    assert!(
        message.starts_with("argument 'vocabulary': got 21"),
        "{message}"
    );
    assert!(
        message.ends_with(
            " tokens or more, allowed: up to 2147483648 tokens; a smaller base makes fewer"
        ),
        "{message}"
    );
}

/// Every shorthand stands for a list of relations, and is the same corpus.
#[test]
fn shorthands_are_what_they_stand_for() {
    let independent = |objects| json!({"kind": "independent", "objects": objects});
    let binarised = json!({"kind": "independent", "objects": 6, "binarised": true});
    let composed = |of| json!({"kind": "composed", "of": of, "objects": 3});
    let correlated = json!({"kind": "correlated", "with": 0, "strength": 0.75});
    for (short, long) in [
        (json!({}), json!([400; 6].map(independent))),
        (
            json!({"relations": 2, "objects": 7}),
            json!([independent(7), independent(7)]),
        ),
        (
            json!({"relations": 2, "objects": [6, 9], "nested": 3}),
            json!([independent(6), independent(9), composed(0), composed(1)]),
        ),
        (
            json!({"relations": 3, "objects": 6, "correlated": {"strength": 0.75}}),
            json!([independent(6), correlated, independent(6)]),
        ),
        (
            json!({"relations": 2, "objects": 6, "correlated": {"strength": 0.75, "binarised": true}}),
            json!([binarised, correlated]),
        ),
    ] {
        let hash = |world: &Value| {
            let text = json!({"world": world}).to_string();
            Spec::from_json(&text).unwrap().hash()
        };
        assert_eq!(hash(&short), hash(&json!({"relations": long})), "{short}");
    }
    for (short, long) in [
        ("1e3", json!({"kind": "constant", "exposures": 1000})),
        ("1_000", json!({"kind": "constant", "exposures": 1000})),
        ("groups:1,4", json!({"kind": "groups", "levels": [1, 4]})),
        (
            "latin:1,4",
            json!({"kind": "groups", "levels": [1, 4], "balanced": true}),
        ),
        (
            "zipf:max=9",
            json!({"kind": "zipf", "alpha": 1.0, "minimum": 1, "maximum": 9}),
        ),
        (
            "zipf:alpha=0.5,min=2,max=1e2",
            json!({"kind": "zipf", "alpha": 0.5, "minimum": 2, "maximum": 100}),
        ),
    ] {
        let hash = |exposures: &Value| {
            let text = json!({"world": {}, "corpus": {"exposures": exposures}}).to_string();
            Spec::from_json(&text).unwrap().hash()
        };
        assert_eq!(hash(&json!(short)), hash(&long), "{short}");
    }
    let numbers = Spec::from_json(r#"{"world": {"subjects": 1e5, "objects": 4e2}}"#).unwrap();
    assert_eq!(
        numbers.hash(),
        Spec::from_json(r#"{"world": {}}"#).unwrap().hash()
    );
}

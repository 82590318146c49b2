//! Specs: valid specs build, are read back unchanged and have correct counts; invalid specs are
//! refused in one line that names the argument, the value got and the values allowed.
//!
//! This file has the strategies that generate valid specs, and their properties.

#[path = "../common/mod.rs"]
mod common;
mod corpora;
mod formats;
mod worlds;

use behemoth_gen::grammar::Template;
use behemoth_gen::{Corpus, FormatVersion, Progress, Spec};
use common::Known;
use common::{all_tokens, histogram, read, sentences};
use proptest::prelude::*;
use serde_json::{Value, json};

/// The choices for one relation, including a number in 0..1.
type Choices = (u8, u64, f64, bool);

/// Returns valid relations for any choices: each has the chosen kind if possible.
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

fn template_name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(Template::ALL).prop_map(Template::name)
}

/// Any field of a corpus except the exposures.
fn corpus_fields() -> impl Strategy<Value = Value> {
    let order = (
        any::<bool>(),
        prop::option::of(1..5u64),
        prop::option::of(0..1u64 << 63),
    );
    let weights = prop::collection::btree_map(template_name(), 0.0..5.0, 0..4usize);
    let grammar = (
        template_name(),
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
        prop::sample::select(FormatVersion::ALL.to_vec()),
    )
        .prop_map(
            |(subjects, seed, choices, minority, exposures, mut corpus, nested, version)| {
                let (relations, drawn) = relations(subjects, &choices);
                let composed = relations.iter().any(|r| r["kind"] == "composed");
                corpus["exposures"] = exposures;
                corpus["nested_exposures"] = json!(nested.filter(|_| composed));
                let mut spec = json!({
                    "format_version": version.number(),
                    "world": {
                        "seed": seed,
                        "subjects": subjects,
                        "relations": relations,
                        "minority": minority.filter(|_| drawn).unwrap_or(0.0),
                    },
                    "corpus": corpus,
                });
                // There may be more questions than sentences about the chosen subjects; any share
                // is allowed in the first version.
                let made = Spec::from_json(&spec.to_string()).and_then(Corpus::from_spec);
                if made.is_err_and(|error| error.to_string().contains("'questions.sentences'")) {
                    spec["format_version"] = json!(1);
                }
                spec
            },
        )
}

/// Collects the paths of all scalar values.
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
        let object = object.index(world.objects_of(world.known(fact).relation) as usize) as u32;
        let twin = parent.with_overrides(&[(fact, object)], follow).unwrap();
        prop_assert_eq!(twin.world().known(fact).object, object);
        let roles = common::roles(&parent);
        let (old, new) = (sentences(&parent), sentences(&twin));
        prop_assert_eq!(old.len(), new.len());
        for (old, new) in old.iter().zip(&new) {
            prop_assert_eq!((old.fact, old.start), (new.fact, new.start));
            prop_assert_eq!(old.pattern(&roles), new.pattern(&roles));
            let changes = world.known(old.fact).object != twin.world().known(old.fact).object;
            prop_assert!(changes || old.tokens == new.tokens);
            prop_assert!(old.fact == fact || follow || !changes);
        }
        let gone: Vec<u64> = gone.iter().map(|at| at.index(facts) as u64).collect();
        let rest = sentences(&twin.without(&gone).unwrap());
        let kept = new.iter().filter(|s| !gone.contains(&s.fact)).map(|s| &s.tokens);
        prop_assert!(rest.iter().map(|s| &s.tokens).eq(kept));
    }

    /// If one value of a valid spec is replaced with an arbitrary one, the spec is accepted or
    /// refused in one line, and never panics.
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

//! JSON and TOML: invalid texts and shorthands.

use behemoth_gen::Spec;
use serde_json::{Value, json};

#[test]
fn json_is_refused_by_name() {
    for (text, name, got, allowed) in [
        (
            "",
            "spec",
            "EOF while parsing a value at line 1 column 0",
            "valid JSON",
        ),
        (
            "{",
            "spec",
            "EOF while parsing an object at line 1 column 1",
            "valid JSON",
        ),
        (
            "[]",
            "spec",
            "[]",
            "a table of `format_version`, `world`, `corpus`",
        ),
        ("{}", "spec", "no `world`", "a value for it"),
        (
            "{\"world\": {}} x",
            "spec",
            "trailing characters at line 1 column 15",
            "valid JSON",
        ),
        (
            "{\"world\": {}, \"corpus\": 1}",
            "corpus",
            "1",
            "a table of `exposures`, `nested_exposures`, `order`, `order_seed`, `documents_per_subject`, `templates`, `inversion`, `exact_shares`, `questions`, `minority_sentences`, `paraphrases`, `held_out`, `nonsense_words`, `base`, `shard_bytes`, `schedule`, `filler`, `background`, `insert`, `documents`, `grammar`, `twin`",
        ),
        (
            "{\"world\": {}, \"format_version\": 9}",
            "format_version",
            "9",
            "1, 2 and 3",
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
            "a whole number up to 4611686018427387904, from 2^53 as an integer",
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
            "spec, line 1",
            "unclosed table, expected `]` in \"[world\"",
            "valid TOML",
        ),
        (
            "[world]\nsubjects = 5\nsubjects = 6",
            "spec, line 3",
            "duplicate key in \"subjects = 6\"",
            "valid TOML",
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
        .map(|weight| (weight.template.name(), weight.weight))
        .collect();
    assert_eq!(weights, [("default", 2.0), ("sor", 3.0)]);
    assert_eq!(Spec::from_toml(&spec.to_toml()).unwrap(), spec);
}

/// Every shorthand is expanded to a list of relations, with the same corpus.
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

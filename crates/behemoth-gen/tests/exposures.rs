//! Exposures are exact for every fact, counted from the tokens and not read from the engine. The
//! ledger has the position of every copy.

mod common;

use common::Known;
use std::collections::{BTreeMap, HashMap};

use behemoth_gen::exposure::{Array, ExposureSpec, digest_of};
use behemoth_gen::{Corpus, CorpusSpec, World, WorldSpec};
use common::{corpus, histogram, sentences_by_document, try_corpus, uniform_p, world, written};

/// Probability that a correct corpus fails a chi-square test, of which there are 3.
const ALARM: f64 = 1e-6;

fn with(world_fields: &str, corpus_fields: &str) -> Corpus {
    corpus(&format!(
        "[world]\n{world_fields}\n[corpus]\n{corpus_fields}\n"
    ))
}

const WORLD: &str = "subjects = 211\nrelations = 5\nobjects = 7";

#[test]
fn constant_in_both_orders() {
    for order in [
        "",
        "order = \"bios\"",
        "order = \"bios\"\ndocuments_per_subject = 2",
        "order = \"bios\"\ndocuments_per_subject = 7",
    ] {
        let corpus = with(WORLD, &format!("exposures = 3\n{order}"));
        assert_eq!(written(&corpus), vec![3; 1055], "{order}");
        assert_eq!(corpus.sentences(), 3 * 1055);
        assert!((0..1055).all(|fact| corpus.exposures_of(fact) == 3));
    }
}

#[test]
fn groups_are_equal_shares_of_the_facts() {
    // 1,055 facts in four groups: 264, 264, 264, 263; and a group that is never written.
    for (levels, sizes) in [
        ("1,4,16,2", [(1, 264), (4, 264), (16, 264), (2, 263)]),
        ("5,0,1,8", [(5, 264), (0, 264), (1, 264), (8, 263)]),
        ("0,3,0,0", [(0, 264 + 264 + 263), (3, 264), (9, 0), (9, 0)]),
    ] {
        for order in ["shuffle", "bios"] {
            let corpus = with(
                WORLD,
                &format!("exposures = \"groups:{levels}\"\norder = \"{order}\""),
            );
            let counts = written(&corpus);
            for (level, facts) in sizes {
                let found = counts.iter().filter(|&&count| count == level).count();
                assert_eq!(found, facts, "facts with {level} of {levels}, {order}");
            }
            assert_eq!(corpus.sentences(), counts.iter().sum::<u64>());
            for (fact, &count) in counts.iter().enumerate() {
                assert_eq!(corpus.exposures_of(fact as u64), count);
            }
        }
    }
}

#[test]
fn groups_do_not_depend_on_subject_relation_or_object() {
    let corpus = with(
        "subjects = 4000\nrelations = 5\nobjects = 8",
        "exposures = \"groups:1,2,3,4\"",
    );
    let facts: Vec<(u64, u32, u32, u64)> = (0..20_000)
        .map(|id| {
            let fact = corpus.world().known(id);
            let level = corpus.exposures_of(id) - 1;
            (fact.subject, fact.relation, fact.object, level)
        })
        .collect();
    let cells = [
        (
            "subject",
            histogram(facts.iter().map(|f| f.0 / 500 * 4 + f.3), 32),
        ),
        (
            "relation",
            histogram(facts.iter().map(|f| u64::from(f.1) * 4 + f.3), 20),
        ),
        (
            "object",
            histogram(facts.iter().map(|f| u64::from(f.2) * 4 + f.3), 32),
        ),
    ];
    for (what, counts) in cells {
        let p = uniform_p(&counts);
        assert!(p > ALARM, "level and {what}: p = {p:.1e}");
    }
}

#[test]
fn latin_is_balanced_within_each_subject_and_each_relation() {
    // As many levels as relations, more, and fewer.
    for levels in [vec![1, 2, 4, 8, 0], vec![1, 2, 3, 4, 5, 6, 7], vec![6, 1]] {
        let text: Vec<String> = levels.iter().map(u64::to_string).collect();
        let corpus = with(WORLD, &format!("exposures = \"latin:{}\"", text.join(",")));
        let counts = written(&corpus);
        let n = levels.len();
        let mut by_relation = vec![HashMap::new(); 5];
        for subject in 0..211 {
            let own = &counts[subject * 5..subject * 5 + 5];
            let mut seen: HashMap<u64, usize> = HashMap::new();
            for (relation, &count) in own.iter().enumerate() {
                assert!(levels.contains(&count));
                *seen.entry(count).or_default() += 1;
                *by_relation[relation].entry(count).or_insert(0u64) += 1;
            }
            let most = 5usize.div_ceil(n);
            assert!(seen.values().all(|&times| times <= most && times >= 5 / n));
        }
        for (relation, seen) in by_relation.iter().enumerate() {
            for level in &levels {
                let subjects = seen.get(level).copied().unwrap_or(0);
                let even = 211 / n as u64;
                assert!(
                    (even..=even + 1).contains(&subjects),
                    "relation {relation} at {level}: {subjects} subjects of 211, {n} levels"
                );
            }
        }
        for (fact, &count) in counts.iter().enumerate() {
            assert_eq!(corpus.exposures_of(fact as u64), count);
        }
    }
}

#[test]
fn latin_with_fewer_subjects_than_levels() {
    // Some levels have no facts; the arithmetic must skip them.
    for subjects in 1..6 {
        let corpus = with(
            &format!("subjects = {subjects}\nrelations = 3\nobjects = 7"),
            "exposures = \"latin:1,2,3,4,5,6,7,8\"",
        );
        let counts = written(&corpus);
        assert!(
            counts
                .chunks(3)
                .all(|own| own[0] != own[1] && own[1] != own[2])
        );
        assert_eq!(counts.iter().sum::<u64>(), corpus.sentences());
    }
}

#[test]
fn zipf_is_the_rounded_law() {
    for (alpha, minimum, maximum) in [
        (1.0, 1, 100),
        (0.5, 2, 40),
        (2.0, 0, 300),
        (0.0, 1, 3),
        (1.0, 5, 5),
    ] {
        let corpus = with(
            WORLD,
            &format!("exposures = \"zipf:alpha={alpha},min={minimum},max={maximum}\""),
        );
        let mut counts = written(&corpus);
        for (fact, &count) in counts.iter().enumerate() {
            assert_eq!(corpus.exposures_of(fact as u64), count);
        }
        assert!(
            alpha == 0.0 || minimum == maximum || !counts.is_sorted_by(|a, b| a >= b),
            "the most exposed facts are not simply the first"
        );
        counts.sort_unstable_by(|a, b| b.cmp(a));
        for (rank, &count) in counts.iter().enumerate() {
            let law = (maximum as f64 * (rank as f64 + 1.0).powf(-alpha)).round() as u64;
            assert_eq!(
                count,
                law.clamp(minimum, maximum),
                "rank {rank}, alpha {alpha}"
            );
        }
    }
}

fn with_array(world: World, array: &[u32], digest: &str) -> behemoth_gen::Result<Corpus> {
    let spec = CorpusSpec::builder()
        .exposures(Array::new(digest))
        .build()?;
    Corpus::new(world, spec, Some(array.to_vec()))
}

#[test]
fn an_array_says_it_fact_by_fact() {
    let small = || world("subjects = 50\nrelations = 2\nobjects = 6\nnested = 3");
    // Two relations, two composed ones: 200 facts about subjects, 12 links.
    let array: Vec<u32> = (0..200).map(|fact| fact * 7 % 5).collect();
    let corpus = with_array(small(), &array, "").unwrap();
    let counts = written(&corpus);
    assert!(counts.iter().zip(&array).all(|(&c, &a)| c == u64::from(a)));
    assert_eq!(counts[200..], [4; 12], "links as often as the most exposed");
    let ExposureSpec::Array(Array { digest, .. }) = &corpus.spec().corpus.exposures else {
        panic!("an array stays one");
    };
    assert_eq!(*digest, digest_of(&array), "the spec names its array");

    let all: Vec<u32> = (0..212).map(|fact| (fact + 1) % 3).collect();
    let counts = written(&with_array(small(), &all, "").unwrap());
    assert!(counts.iter().zip(&all).all(|(&c, &a)| c == u64::from(a)));

    for (array, digest, message) in [
        (
            &all[..199],
            "",
            "argument 'exposures': got 199 numbers, allowed: 200 numbers, one for each fact, \
             or 212, with the links",
        ),
        (
            &[0; 200][..],
            "",
            "argument 'exposures': got no sentences, \
             allowed: at least one fact that is written",
        ),
        (
            &all[..200],
            "abc",
            "argument 'exposures': got other numbers than the spec names, \
             allowed: those with digest abc",
        ),
    ] {
        let error = with_array(small(), array, digest).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    let spec = CorpusSpec::from_json(r#"{"exposures": {"kind": "array"}}"#).unwrap();
    let error = Corpus::new(small(), spec, None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "argument 'exposures': got no numbers, allowed: one number for each fact"
    );
}

#[test]
fn links_have_exposures_of_their_own() {
    let nested = "subjects = 60\nrelations = 2\nobjects = 6\nnested = 3";
    for (fields, of_links) in [
        ("exposures = 2", 2),
        ("exposures = \"groups:1,5\"", 5),
        ("exposures = 2\nnested_exposures = 9", 9),
        ("exposures = \"latin:1,5\"\nnested_exposures = 1", 1),
        ("exposures = 1\nnested_exposures = 0", 0),
    ] {
        for order in ["shuffle", "bios"] {
            let corpus = with(nested, &format!("{fields}\norder = \"{order}\""));
            let counts = written(&corpus);
            assert_eq!(counts.len(), 60 * 4 + 12);
            assert_eq!(counts[240..], [of_links; 12], "{fields}");
            assert!(counts[..240].iter().all(|&count| count > 0));
        }
    }
}

#[test]
fn numbers_and_another_rule_for_the_same_facts_are_refused() {
    let world = || world("subjects = 4\nrelations = 1\nobjects = 2\nnested = 2");
    let all = [1; 10];
    for (fields, numbers, message) in [
        (
            r#"{"exposures": {"kind": "array"}, "nested_exposures": 7}"#,
            &all[..],
            Some(
                "argument 'nested_exposures': got 7, allowed: nothing: the exposures have a number for each link fact",
            ),
        ),
        (
            r#"{"exposures": {"kind": "array"}, "nested_exposures": 7}"#,
            &all[..8],
            None,
        ),
        (
            r#"{"exposures": 2}"#,
            &all[..8],
            Some(
                "argument 'exposures': got numbers for the facts beside another form, allowed: the form array, or no numbers",
            ),
        ),
    ] {
        let spec = CorpusSpec::from_json(fields).unwrap();
        let made = Corpus::new(world(), spec, Some(numbers.to_vec()));
        assert_eq!(
            made.err().map(|error| error.to_string()).as_deref(),
            message
        );
    }
}

#[test]
fn a_table_with_missing_facts_is_written_in_full() {
    let spec = WorldSpec::from_json(
        r#"{"subjects": 40, "table": {"relations": [{"objects": 5, "nested": 2}, {"objects": 5}]}}"#,
    )
    .unwrap();
    let rows: Vec<(u64, u32)> = (0..80u32)
        .map(|i| (u64::from(i / 2), i % 2))
        .filter(|(s, r)| !(s + u64::from(*r)).is_multiple_of(3))
        .collect();
    let table = behemoth_gen::Table {
        subject: rows.iter().map(|row| row.0).collect(),
        relation: rows.iter().map(|row| row.1).collect(),
        object: rows.iter().map(|row| (row.0 % 5) as u32).collect(),
        minority: Vec::new(),
        // Object o has one nested object, for every subject.
        nested: rows
            .iter()
            .map(|&(s, r)| if r == 0 { (s % 5 % 2) as u32 } else { u32::MAX })
            .collect(),
    };
    for fields in [
        r#"{"exposures": 2}"#,
        r#"{"exposures": "groups:1,3"}"#,
        r#"{"exposures": 2, "order": "bios"}"#,
    ] {
        let world = World::from_table(spec.clone(), &table).unwrap();
        let corpus = Corpus::new(world, CorpusSpec::from_json(fields).unwrap(), None).unwrap();
        let counts = written(&corpus);
        for (fact, &count) in counts.iter().enumerate() {
            assert_eq!(count, corpus.exposures_of(fact as u64), "{fields}");
            assert!(count > 0);
        }
        assert_eq!(counts.iter().sum::<u64>(), corpus.sentences());
    }
    let world = World::from_table(spec, &table).unwrap();
    let latin = CorpusSpec::from_json(r#"{"exposures": "latin:1,3"}"#).unwrap();
    assert_eq!(
        Corpus::new(world, latin, None).unwrap_err().to_string(),
        "argument 'exposures': got latin:1,3, allowed: groups, \
         since facts are missing from the table and a Latin square needs all"
    );
}

#[test]
fn more_sentences_than_can_be_counted_are_refused() {
    let error = try_corpus(
        "[world]\nsubjects = 4000000000000000000\nrelations = 1\n[corpus]\nexposures = 2\n",
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "argument 'exposures': got 2 x 4000000000000000000, \
         allowed: a product up to 4611686018427387904"
    );
    let error = try_corpus(
        "[world]\nsubjects = 3000000000000000000\nrelations = 1\n[corpus]\n\
         exposures = \"groups:1,3\"\n",
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "argument 'exposures': got more sentences than can be counted, \
         allowed: up to 4611686018427387904 sentences"
    );
}

/// The entries of the ledger are exactly the sentences in the tokens.
#[test]
fn the_ledger_is_what_the_tokens_say() {
    let grammar = "templates = {default = 4, repeats = 1, nonsense = 1, refusal = 1}\n\
                   inversion = 0.4\nquestions = {subjects = 0.5, sentences = 0.15}\n\
                   paraphrases = 3\nheld_out = 1\nnonsense_words = 50";
    let drawn = "subjects = 40\nminority = 0.5\nrelations = [\
                 {kind = \"independent\", objects = 1200}, {kind = \"zipf\", objects = 6, alpha = 1},\
                 {kind = \"composed\", of = 1, objects = 3}]";
    for fields in [
        "exposures = \"groups:1,2,6,0\"\nminority_sentences = 0.5",
        "exposures = \"groups:1,2,6,0\"\nminority_sentences = 0.5\norder = \"bios\"",
        "exposures = \"latin:3,1,4\"\norder = \"bios\"\ndocuments_per_subject = 4\norder_seed = 9",
        "exposures = \"zipf:alpha=1,max=30\"\norder_seed = 9",
    ] {
        let corpus = with(drawn, &format!("{fields}\n{grammar}"));
        let twin = corpus
            .without(&[0, 5, 17])
            .unwrap()
            .with_overrides(&[(3, 7), (4, 2)], true)
            .unwrap();
        for corpus in [corpus, twin] {
            check_ledger(&corpus);
        }
    }
}

fn check_ledger(corpus: &Corpus) {
    let found = sentences_by_document(corpus);
    let mut by_place: BTreeMap<(u64, u32), &common::Sentence> =
        found.iter().map(|s| ((s.document, s.place), s)).collect();
    assert_eq!(by_place.len() as u64, corpus.sentences());
    let roles = common::roles(corpus);
    let mut patterns: HashMap<u32, Vec<u32>> = HashMap::new();
    for fact in 0..corpus.world().facts() {
        let entries = corpus.ledger(fact).unwrap();
        assert_eq!(entries.len() as u64, corpus.exposures_of(fact));
        let own = corpus.world().known(fact);
        for (copy, entry) in entries.iter().enumerate() {
            assert_eq!((entry.fact, entry.copy), (fact, copy as u64));
            let sentence = by_place
                .remove(&(entry.document, entry.place))
                .expect("a sentence where the ledger says, claimed once");
            assert_eq!(sentence.fact, fact);
            assert!(sentence.object.is_none_or(|object| object == entry.object));
            let expected = if entry.minority {
                own.minority.expect("a fact with a second object")
            } else {
                own.object
            };
            assert_eq!(entry.object, expected);
            let wording = &corpus.wordings()[entry.wording_index as usize];
            assert!(!wording.held_out, "a held-out wording is written");
            let order = match wording.form.name() {
                "default" | "repeats" | "nonsense" => "sro",
                "nonsense_rso" | "question" | "rso" => "rso",
                "refusal" => "sr",
                other => other,
            };
            assert_eq!(sentence.order, order, "{}", wording.form.name());
            assert_eq!(sentence.is_question(), wording.form.name() == "question");
            if !["repeats", "nonsense", "nonsense_rso"].contains(&wording.form.name()) {
                let pattern = sentence.pattern(&roles);
                let first = patterns
                    .entry(entry.wording_index)
                    .or_insert(pattern.clone());
                assert_eq!(*first, pattern, "one wording, one pattern");
            }
        }
    }
    assert!(by_place.is_empty(), "sentences that no ledger has");
    let distinct: std::collections::HashSet<&Vec<u32>> = patterns.values().collect();
    assert_eq!(distinct.len(), patterns.len(), "two wordings, two patterns");
}

#[test]
fn a_key_may_stand_once_in_a_line() {
    for line in ["zipf:max=3,max=9", "zipf:alpha=1,max=9,alpha=1"] {
        let error = line.parse::<ExposureSpec>().unwrap_err().to_string();
        assert!(
            error.contains(&format!("got '{line}', allowed: ")),
            "{error}"
        );
    }
}

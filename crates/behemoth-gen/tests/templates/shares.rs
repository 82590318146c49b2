//! The shares of templates: drawn by their weights, inverted, or exact.

use std::collections::BTreeMap;

use crate::common::{assert_share, histogram, sentences, uniform_p, written};
use crate::{assert_fits, names, orders, with};

#[test]
fn inversion_turns_its_share_of_sentences_a_third_each_way() {
    for inversion in [0.0, 0.3, 1.0] {
        let corpus = with(10_000, &format!("inversion = {inversion}"));
        let orders = orders(&corpus);
        let of = |order: &str| orders.get(order).copied().unwrap_or(0);
        assert_share("default", of("sro"), 50_000, 1.0 - inversion);
        for order in ["sor", "osr", "rso"] {
            assert_share(order, of(order), 50_000, inversion / 3.0);
        }
    }
}

#[test]
fn drawn_shares_are_those_of_the_weights() {
    // Weights may have any sum; a weight of 0 is never drawn; copies of a fact are drawn
    // independently.
    let corpus = with(
        2_000,
        "exposures = 5\ntemplates = {default = 3, repeats = 2, refusal = 0.5, question = 0.5, osr = 0}\n\
         inversion = 0.5",
    );
    let names = names(&corpus);
    let shares = [
        ("default", 0.25),
        ("sor", 0.25 / 3.0),
        ("osr", 0.25 / 3.0),
        ("rso", 0.25 / 3.0),
        ("repeats", 1.0 / 3.0),
        ("refusal", 1.0 / 12.0),
        ("question", 1.0 / 12.0),
    ];
    assert_eq!(names.len(), shares.len());
    for (name, share) in shares {
        assert_share(name, names[name], 50_000, share);
        let stated: f64 = corpus
            .wordings()
            .iter()
            .filter(|w| w.form.name() == name)
            .map(|w| w.share)
            .sum();
        assert!((stated - share).abs() < 1e-12, "{name} says {stated}");
    }
    let differ = (0..1_000)
        .filter(|&fact| {
            let entries = corpus.ledger(fact).unwrap();
            entries
                .iter()
                .any(|e| e.wording_index != entries[0].wording_index)
        })
        .count();
    assert!(differ > 900, "copies of one fact in several wordings");
}

#[test]
fn exact_shares_are_exact() {
    for order in ["shuffle", "bios"] {
        let corpus = with(
            2_000,
            &format!(
                "order = \"{order}\"\nexposures = 2\ntemplates = {{default = 6, refusal = 2}}\n\
                 inversion = 0.2\nexact_shares = true"
            ),
        );
        // 3/4 of 20,000 sentences are of the default template, a fifth of them inverted.
        let expected = [
            ("default", 12_000),
            ("osr", 1_000),
            ("refusal", 5_000),
            ("rso", 1_000),
            ("sor", 1_000),
        ];
        assert_eq!(names(&corpus), BTreeMap::from(expected));
        assert_eq!(orders(&corpus)["sro"], 12_000);
        assert_eq!(written(&corpus), [2; 10_000]);
        // The choice of sentences does not depend on the fact.
        let relations = sentences(&corpus)
            .into_iter()
            .filter(|s| s.order == "sr")
            .map(|s| u64::from(s.relation));
        assert_fits("relation of refusals", uniform_p(&histogram(relations, 5)));
    }
}

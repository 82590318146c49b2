//! Corpora that are refused, each with the complete message.

use behemoth_gen::{Corpus, Spec};

use crate::common::try_corpus;

const FORMS: &str =
    "a whole number, 'groups:1,4,16', 'latin:1,4,16' or 'zipf:alpha=1,min=1,max=1000'";

#[test]
fn corpora_are_refused_by_name() {
    for (text, name, got, allowed) in [
        ("exposures = 0", "exposures", "0", "at least 1"),
        ("exposures = -1", "exposures", "-1", FORMS),
        ("exposures = 1.5", "exposures", "1.5", FORMS),
        ("exposures = true", "exposures", "true", FORMS),
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
            "exposures.levels[1]",
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
            "exposures.exposures",
            "-2",
            "a whole number, not negative",
        ),
        ("exposures = [1, 2]", "exposures", "[1, 2]", FORMS),
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
        ("inversion = \"half\"", "inversion", "\"half\"", "a number"),
        (
            "questions = 0.5",
            "questions",
            "0.5",
            "a table of `subjects`, `sentences`",
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
            "questions = {subjects = 1, sentences = 4e-10}",
            "questions.sentences",
            "0.0000000004",
            "0, or at least a billionth: fractions are rounded to billionths",
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
        ("nonsense_words = 0", "nonsense_words", "0", "1 to 1000000"),
        (
            "nonsense_words = 2000000",
            "nonsense_words",
            "2000000",
            "1 to 1000000",
        ),
        ("base = 9", "base", "9", "10 to 16777216"),
        ("base = 1e9", "base", "1000000000", "10 to 16777216"),
        ("shard_bytes = 100", "shard_bytes", "100", "at least 4096"),
        (
            "templates = [\"default\"]",
            "templates",
            "[\"default\"]",
            "a table of template names and weights",
        ),
        (
            "templates = {default = \"x\"}",
            "templates.default",
            "\"x\"",
            "a number",
        ),
        (
            "template = 1",
            "template",
            "`template` (did you mean templates?)",
            "`exposures`, `nested_exposures`, `order`, `order_seed`, `documents_per_subject`, `templates`, `inversion`, `exact_shares`, `questions`, `minority_sentences`, `paraphrases`, `held_out`, `nonsense_words`, `base`, `shard_bytes`, `schedule`, `filler`, `background`, `insert`, `documents`, `grammar`, `twin`",
        ),
        (
            "templates = {nonsense = 1}\nnonsense_words = 1000000\nparaphrases = 1000",
            "nonsense_words",
            "1000000",
            "1 to 1000 with 1000 paraphrases",
        ),
        (
            "templates = {nonsense = 0, default = 1}\nparaphrases = 2000",
            "nonsense_words",
            "1000",
            "1 to 500 with 2000 paraphrases",
        ),
        ("exact_shares = 1", "exact_shares", "1", "true or false"),
        (
            "twin = {overrides = [[0]]}",
            "twin.overrides[0]",
            "[0]",
            "a pair of fact and object",
        ),
        (
            "twin = {overrides = [[0, -1]]}",
            "twin.overrides[0][1]",
            "-1",
            "a whole number, not negative",
        ),
        (
            "twin = {overrides = [[0, 4294967296]]}",
            "twin.overrides[0][1]",
            "4294967296",
            "a whole number up to 4294967295",
        ),
        (
            "twin = {without = [99999999999]}",
            "without",
            "fact 99999999999",
            "facts below 60",
        ),
        (
            "exposures = 18446744073709551615",
            "spec, line 4",
            "u64 value was too large in \"exposures = 18446744073709551615\"",
            "valid TOML",
        ),
        (
            "exposures = 9000000000000000000",
            "exposures",
            "9000000000000000000",
            "up to 4611686018427387904",
        ),
        (
            "exposures = 1e300",
            "exposures",
            "1e300",
            "a whole number up to 4611686018427387904, from 2^53 as an integer",
        ),
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

#[test]
fn words_of_nonsense_limit_the_paraphrases_only_where_there_are_such_words() {
    let text = "[world]\nsubjects = 10\n[corpus]\nparaphrases = 10_000\n";
    let spec = Spec::from_toml(text).unwrap();
    let corpus = Corpus::from_spec(spec).unwrap();
    assert!(corpus.wordings().len() >= 10_000);
}

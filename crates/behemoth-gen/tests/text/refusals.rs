//! Grammars and corpora that are refused: one line each, with the place.

use behemoth_gen::grammar::TextGrammar;

use crate::{SMALL, try_corpus};

#[test]
fn a_refusal_names_file_line_and_key() {
    let text = SMALL.replace(
        "{Pronoun} worked for {object}.",
        "{Pronoun} worked for {objekt}.",
    );
    let error = TextGrammar::from_toml("mine.toml", &text).unwrap_err();
    let line = 1 + text
        .lines()
        .position(|line| line.contains("{objekt}"))
        .unwrap();
    assert_eq!(
        error.to_string(),
        format!(
            "argument 'mine.toml, line {line}: relations.firm.statements[0]': got `{{objekt}}`, \
             allowed: {{subject}}, {{relation}}, {{possessive}}, {{pronoun}}, {{was}}, {{object}} \
             (did you mean object?)"
        )
    );
}

#[test]
fn a_world_that_the_grammar_cannot_name_is_refused() {
    let error = try_corpus(7, "exposures = 1").unwrap_err().to_string();
    assert_eq!(
        error,
        "argument 'subjects': got 7, allowed: up to 6, as many as the grammar 'small' names"
    );
    let error = try_corpus(6, "templates = {repeats = 1}")
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("argument 'templates': got "), "{error}");
}

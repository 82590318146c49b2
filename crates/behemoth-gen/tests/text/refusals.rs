//! Grammars and corpora that are refused, in one line each, with the position.

use std::sync::Arc;

use behemoth_gen::grammar::{Lexicon, TextGrammar, TextToken, Tokenizer, WordTokenizer};
use behemoth_gen::{Corpus, CorpusSpec, World, WorldSpec};

use crate::{SMALL, corpus, try_corpus};

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
            "argument 'mine.toml, line {line}: relations.firm.statements[0]': got `{{objekt}}` \
             (did you mean object?), \
             allowed: {{subject}}, {{relation}}, {{possessive}}, {{pronoun}}, {{was}}, {{object}}"
        )
    );
}

#[test]
fn a_hole_is_refused_as_it_is_written() {
    for (written, near) in [
        ("PRONOUN", " (did you mean pronoun?)"),
        ("Pronuon", " (did you mean pronoun?)"),
        ("Xyz", ""),
    ] {
        let text = SMALL.replace(
            "{Pronoun} worked for {object}.",
            &format!("{{{written}}} worked for {{object}}."),
        );
        let error = TextGrammar::from_toml("mine.toml", &text).unwrap_err();
        let said = format!("got `{{{written}}}`{near}, allowed: {{subject}}");
        assert!(error.to_string().contains(&said), "{error}");
    }
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

/// Six subjects with four facts each, and the links of four firms.
#[test]
fn a_number_for_a_link_without_sentences_is_refused() {
    let of_link = SMALL.find("[relations.seat.link]").unwrap();
    let after = SMALL.find("[[joint]]").unwrap();
    let text = [&SMALL[..of_link], &SMALL[after..]].concat();
    let grammar = TextGrammar::from_toml("silent.toml", &text).unwrap();
    let world = corpus("").world().spec().clone();
    let lexicon = Lexicon::new(grammar, &mut WordTokenizer::default()).unwrap();
    let lexicon = Arc::new(lexicon);
    let made = |spec: &CorpusSpec, of_links| {
        let numbers = [[1; 24].as_slice(), of_links].concat();
        let world = World::new(WorldSpec::clone(&world)).unwrap();
        Corpus::with_lexicon(world, spec.clone(), Some(numbers), lexicon.clone())
    };
    let spec = CorpusSpec::from_json(r#"{"exposures": {"kind": "array"}}"#).unwrap();
    assert_eq!(
        made(&spec, &[0, 0, 3, 0]).unwrap_err().to_string(),
        "argument 'exposures': got 3 for link fact 26, \
         allowed: 0: the grammar has no sentences about its link"
    );
    let corpus = made(&spec, &[0; 4]).unwrap();
    assert_eq!(corpus.sentences(), 24);
    let again = made(&corpus.spec().corpus, &[0; 4]).unwrap();
    assert_eq!(again.spec(), corpus.spec());
}

#[test]
fn more_words_than_can_be_compiled_are_refused_at_once() {
    let statements: Vec<String> = (0..5)
        .map(|i| format!("\"{{subject}} is x{i}{{object}}.\""))
        .collect();
    let text = format!(
        "name = \"many\"\n[lists]\nname = [\"p\", \"q\"]\nobject = {{from = 1, to = 1000000}}\n\
         [subject]\nname = \"{{name}}\"\n[relations.r]\nobjects = \"{{object}}\"\n\
         statements = [{}]\n",
        statements.join(", ")
    );
    let grammar = TextGrammar::from_toml("many.toml", &text).unwrap();
    let error = Lexicon::new(grammar, &mut WordTokenizer::default()).unwrap_err();
    let error = error.to_string();
    assert!(
        error.starts_with(
            "argument 'many.toml, line 9: relations.r.statements[4]': got \"x4{object}.\", a piece \
             that 1000000 words fill, after pieces that 4000007 fill, allowed: pieces of sentences \
             that up to 4194304 words fill"
        ),
        "{error}"
    );
}

/// A tokenizer of the words of a grammar with another end of documents and another size.
struct Ends(WordTokenizer, u32, u64);

impl Tokenizer for Ends {
    fn digest(&self) -> String {
        self.0.digest()
    }

    fn size(&self) -> u64 {
        self.2
    }

    fn end_of_document(&self) -> u32 {
        self.1
    }

    fn encode(&mut self, texts: &[String]) -> behemoth_gen::Result<Vec<Vec<TextToken>>> {
        self.0.encode(texts)
    }
}

/// A tokenizer that changes what another one returns.
struct Changed(WordTokenizer, fn(&mut Vec<Vec<TextToken>>));

impl Tokenizer for Changed {
    fn digest(&self) -> String {
        self.0.digest()
    }

    fn size(&self) -> u64 {
        self.0.size()
    }

    fn end_of_document(&self) -> u32 {
        self.0.end_of_document()
    }

    fn encode(&mut self, texts: &[String]) -> behemoth_gen::Result<Vec<Vec<TextToken>>> {
        let mut encoded = self.0.encode(texts)?;
        self.1(&mut encoded);
        Ok(encoded)
    }
}

#[test]
fn a_tokenizer_with_other_tokens_than_it_has_is_refused() {
    let compiled = |change: fn(&mut Vec<Vec<TextToken>>)| {
        let mut tokenizer = Changed(WordTokenizer::default(), change);
        Lexicon::new(crate::grammar(), &mut tokenizer).map(drop)
    };
    assert!(compiled(|_| {}).is_ok());
    let error = compiled(|all| drop(all.pop())).unwrap_err().to_string();
    assert_eq!(
        error,
        "argument 'tokenizer': got 0 lists of tokens, allowed: 1, one for each text"
    );
    let error = compiled(|all| all[0][0].id = 4_000_000_000).unwrap_err();
    let message = "argument 'tokenizer': got token 4000000000, allowed: ids below ";
    assert!(error.to_string().starts_with(message), "{error}");
}

#[test]
fn a_tokenizer_without_its_own_end_of_documents_is_refused() {
    let compiled = |end, size| {
        let mut tokenizer = Ends(WordTokenizer::default(), end, size);
        Lexicon::new(crate::grammar(), &mut tokenizer)
    };
    assert!(compiled(999, 1000).is_ok());
    assert_eq!(
        compiled(1000, 1000).unwrap_err().to_string(),
        "argument 'tokenizer': got token 1000 for the end of a document, allowed: an id below 1000"
    );
    for size in [1 << 46, 1 << 63] {
        assert_eq!(
            compiled(0, size).unwrap_err().to_string(),
            format!(
                "argument 'vocabulary': got a tokenizer of {size} tokens, \
                 allowed: up to 2147483648 tokens"
            )
        );
    }
}

/// A tokenizer of the words of a grammar with other names.
struct Named(WordTokenizer, fn(&mut Vec<String>), Vec<String>);

impl Tokenizer for Named {
    fn digest(&self) -> String {
        "named".into()
    }

    fn size(&self) -> u64 {
        self.0.size()
    }

    fn end_of_document(&self) -> u32 {
        self.0.end_of_document()
    }

    fn encode(&mut self, texts: &[String]) -> behemoth_gen::Result<Vec<Vec<TextToken>>> {
        let encoded = self.0.encode(texts);
        self.2 = self.0.names().unwrap().to_vec();
        self.1(&mut self.2);
        encoded
    }

    fn names(&self) -> Option<&[String]> {
        Some(&self.2)
    }
}

/// A vocabulary is divided into special words and others by the names.
#[test]
fn a_tokenizer_with_other_names_than_tokens_is_refused() {
    let compiled = |change: fn(&mut Vec<String>)| {
        let mut tokenizer = Named(WordTokenizer::default(), change, Vec::new());
        Lexicon::new(crate::grammar(), &mut tokenizer)
    };
    let size = compiled(|_| {}).unwrap().size();
    let refused = |change| compiled(change).unwrap_err().to_string();
    for (error, names) in [
        (refused(|names| names.truncate(2)), 2),
        (refused(|names| drop(names.pop())), size - 1),
        (refused(|names| names.push("more".into())), size + 1),
    ] {
        let wanted = format!("got {names} names, allowed: {size}, one for each token");
        assert_eq!(error, format!("argument 'tokenizer': {wanted}"));
    }
    assert_eq!(
        refused(|names| names.swap(2, 3)),
        "argument 'tokenizer': got the names [\"<|endoftext|>\", \"<|padding|>\", \".\"] for \
         its first tokens, allowed: [\"<|endoftext|>\", \"<|padding|>\", \"<|unknown|>\"]"
    );
}

/// A probe ends with the object: with the same words up to there, a corpus contains it.
#[test]
fn a_held_out_sentence_with_the_prompt_of_a_written_one_is_refused() {
    for (statements, first) in [
        (
            "\"{Pronoun} has {object} men.\", {text = \"{Pronoun} has {object} hands.\", held_out = true}",
            Some("statements[0]"),
        ),
        (
            "\"{Pronoun} has {object}.\", {text = \"{subject} has {object}.\", held_out = true}",
            Some("statements[0]"),
        ),
        (
            "\"Of {possessive} men, {object}.\", {text = \"Of {subject}'s men, {object}.\", held_out = true}",
            Some("statements[0]"),
        ),
        (
            "\"{Pronoun} has {object}.\", {text = \"{Pronoun} owns {object}.\", held_out = true}",
            None,
        ),
        (
            "\"{object} men has {pronoun}.\", {text = \"{object} men are {possessive}.\", held_out = true}",
            None,
        ),
        (
            "{text = \"{Pronoun} has {object} men.\", held_out = true}, \"{Pronoun} is {object}.\", {text = \"{Pronoun} has {object}.\", held_out = true}",
            None,
        ),
        (
            "\"{Pronoun} is {object}.\", {text = \"{Pronoun} heads {object}.\", held_out = true}",
            Some("joint[0].statements[0]"),
        ),
    ] {
        let text = format!(
            "name = \"crews\"\n[lists]\nname = [\"Ann\", \"Bo\"]\nmen = [\"six\", \"ten\"]\n\
             [subject]\nname = \"{{name}}\"\n[relations.crew]\nobjects = \"{{men}}\"\n\
             statements = [{statements}]\n[relations.boats]\nobjects = \"{{men}}\"\n\
             statements = [\"{{Pronoun}} rows {{object}}.\"]\n\
             [[joint]]\nrelations = [\"crew\", \"boats\"]\n\
             statements = [\"{{Pronoun}} heads {{crew}} in {{boats}}.\"]\n"
        );
        let read = TextGrammar::from_toml("crews.toml", &text);
        let Some(first) = first else {
            read.unwrap();
            continue;
        };
        assert_eq!(
            read.unwrap_err().to_string(),
            format!(
                "argument 'crews.toml, line 9: relations.crew.statements[1]': got the words of \
                 {first} up to the object, allowed: a held-out sentence with words of its own up \
                 to there, where probes end"
            ),
            "{statements}"
        );
    }
}

#[test]
fn a_held_out_question_with_the_words_of_a_written_one_is_refused() {
    let held_out = "{ text = \"When was {pronoun} born?\", held_out = true }";
    let own = "\"When was {subject} born?\"";
    let text = SMALL.replace(own, &format!("{own}, {held_out}"));
    let error = TextGrammar::from_toml("small.toml", &text).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("relations.birthday.questions[1]': got the words of questions[0] up to"),
        "{error}"
    );
}

#[test]
fn forms_of_a_class_and_of_a_link_are_no_keys_of_the_other() {
    let refused = |from: &str, to: &str| {
        let text = SMALL.replace(from, to);
        assert_ne!(text, SMALL);
        let error = TextGrammar::from_toml("x.toml", &text).unwrap_err();
        error.to_string()
    };
    let error = refused("weight = 2\n", "statements = [\"It is.\"]\n");
    assert!(error.contains("subject.classes.they.statements"), "{error}");
    let link = "pronoun = \"it\"\npossessive = \"its\"\n";
    let error = refused(link, &format!("{link}weight = 2\n"));
    assert!(error.contains("relations.seat.link.weight"), "{error}");
}

/// A hole that a link has no form for would be written as nothing.
#[test]
fn an_answer_needs_the_forms_of_a_link_that_is_asked_about() {
    let seat = "objects = \"{seat}\"\n";
    let text = SMALL.replace(seat, &format!("{seat}answer = \"It {{was}} {{object}}\"\n"));
    TextGrammar::from_toml("x.toml", &text).unwrap();
    let of_link = "pronoun = \"it\"\npossessive = \"its\"\n";
    let asked = format!("{of_link}questions = [\"Where is {{subject}}?\"]\n");
    let error = TextGrammar::from_toml("x.toml", &text.replace(of_link, &asked)).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("relations.seat.link.was': got nothing"),
        "{error}"
    );
    let with = text.replace(of_link, &format!("{asked}was = \"was\"\n"));
    TextGrammar::from_toml("x.toml", &with).unwrap();
}

/// More documents, mentions or sentences than fit in memory are errors and do not abort the program.
#[test]
fn ranges_past_all_memory_are_refused_where_they_are_asked_for() {
    let corpus = corpus("exposures = 100_000_000_000_000_000");
    let all = 0..corpus.documents();
    assert!(all.end > 1 << 58, "{}", all.end);
    let told = [
        (corpus.texts(all.clone()).map(drop), "documents"),
        (corpus.spans(all.clone()).map(drop), "mentions"),
        (corpus.entries(all).map(drop), "sentences"),
    ];
    for (found, of) in told {
        let error = found.unwrap_err().to_string();
        assert!(error.starts_with("argument 'stop': got "), "{error}");
        let allowed = format!(" {of}, allowed: as many {of} as fit in memory");
        assert!(error.ends_with(&allowed), "{error}");
    }
}

//! A tokenizer may merge a name with what is beside it, and may do so for some names only: prompts
//! and rests are the same for all objects, so that a plan can join them with other answers.

use std::sync::Arc;

use behemoth_gen::grammar::{Lexicon, SHIPPED, TextGrammar, TextToken, Tokenizer, WordTokenizer};
use behemoth_gen::{Corpus, Progress, Result, Spec, World, WorldSpec};
use proptest::prelude::*;

use super::SMALL;
use crate::made::grammar_of;

/// Letters, of which some pairs are one token, but never one that ends in white space.
struct Pairs {
    names: Vec<String>,
    merges: Box<dyn Fn(char, char) -> bool>,
}

impl Pairs {
    fn new(merges: impl Fn(char, char) -> bool + 'static) -> Self {
        Pairs {
            names: vec!["<end>".to_string()],
            merges: Box::new(merges),
        }
    }

    fn id(&mut self, name: String) -> u32 {
        let known = self.names.iter().position(|own| *own == name);
        let id = known.unwrap_or_else(|| {
            self.names.push(name);
            self.names.len() - 1
        });
        id as u32
    }

    fn tokens(&mut self, text: &str) -> Vec<TextToken> {
        let letters: Vec<char> = text.chars().collect();
        let mut tokens = Vec::new();
        let mut start = 0;
        while start < letters.len() {
            let pair = letters.get(start..start + 2);
            let is_one =
                |pair: &[char]| !pair[1].is_whitespace() && (self.merges)(pair[0], pair[1]);
            let end = start + 1 + usize::from(pair.is_some_and(is_one));
            let id = self.id(letters[start..end].iter().collect());
            tokens.push(TextToken { id, start, end });
            start = end;
        }
        tokens
    }

    fn read(&self, tokens: &[u32]) -> String {
        let names = tokens
            .iter()
            .map(|&token| self.names[token as usize].as_str());
        names.collect()
    }
}

impl Tokenizer for Pairs {
    fn digest(&self) -> String {
        "pairs".into()
    }
    fn size(&self) -> u64 {
        1 << 16
    }
    fn end_of_document(&self) -> u32 {
        0
    }
    fn encode(&mut self, texts: &[String]) -> Result<Vec<Vec<TextToken>>> {
        Ok(texts.iter().map(|text| self.tokens(text)).collect())
    }
}

fn corpus_of(text: &str, tokenizer: &mut Pairs) -> Corpus {
    let grammar = TextGrammar::from_toml("boundaries.toml", text).unwrap();
    let world = WorldSpec::builder()
        .subjects(grammar.names().min(4))
        .relations(grammar.relations())
        .seed(3)
        .build()
        .unwrap();
    let lexicon = Lexicon::new(grammar, tokenizer).unwrap();
    let spec = Spec::from_toml("[world]\n[corpus]\nexposures = 2").unwrap();
    let world = World::new(world).unwrap();
    Corpus::with_lexicon(world, spec.corpus, None, Arc::new(lexicon)).unwrap()
}

/// Checks that the prompts and rests of a fact are those of all objects, and that they are the
/// sentence around the name; returns the answers.
fn answers(corpus: &Corpus, tokenizer: &Pairs, wording: usize, fact: u64) -> Vec<String> {
    let prober = corpus.prober(wording).unwrap();
    let relation = corpus.world().fact(fact).unwrap().relation;
    let objects = 0..corpus.world().objects_of(relation) as u32;
    let asked: Vec<_> = objects
        .filter_map(|object| prober.probe_of(fact, object))
        .collect();
    for other in asked.iter().skip(1) {
        assert_eq!(asked[0].prompt, other.prompt);
        assert_eq!(asked[0].rest, other.rest);
    }
    for own in &asked {
        let prompt = tokenizer.read(&own.prompt);
        assert!(!tokenizer.read(&own.answer).starts_with('\n'));
        assert!(!prompt.ends_with(' '), "{prompt:?}");
    }
    asked
        .iter()
        .map(|own| tokenizer.read(&own.answer))
        .collect()
}

#[test]
fn the_space_before_a_name_belongs_to_it_whatever_its_first_letter() {
    let mut tokenizer = Pairs::new(|first, second| first == ' ' && "ON".contains(second));
    let corpus = corpus_of(SMALL, &mut tokenizer);
    let mut seen = [0, 0];
    for wording in (0..corpus.wordings().len()).filter(|&w| corpus.wordings()[w].can_probe()) {
        for fact in 0..corpus.world().facts() {
            let said = answers(&corpus, &tokenizer, wording, fact);
            if corpus.world().fact(fact).unwrap().relation == 0 && !said.is_empty() {
                let bracketed = said[0] == "Oslo";
                let space = if bracketed { "" } else { " " };
                let names = ["Oslo", "Rio", "New York", "Bonn"];
                assert_eq!(said, names.map(|name| format!("{space}{name}")));
                seen[usize::from(bracketed)] += 1;
            }
        }
    }
    assert!(seen.iter().all(|&times| times > 0), "{seen:?}");
}

/// The refusal takes the place of any name, so it has what some names are merged with.
#[test]
fn a_refusal_is_cut_where_the_names_are() {
    let text = SMALL.replace("born in {object}.", r#"born in \"{object}\", they say."#);
    let text = format!("refusal = \"a secret\"\n{text}");
    for (merged, wanted) in [
        ("__", Some("a secret")),
        ("\"O", Some(" \"a secret")),
        ("n\"", Some("a secret\"")),
        // Of what no name is merged with, the refusal has what is after it.
        ("t\"", Some("a secret\"")),
        ("\"a", None),
    ] {
        let pair: Vec<char> = merged.chars().collect();
        let mut tokenizer = Pairs::new(move |first, second| pair == [first, second]);
        let corpus = corpus_of(&text, &mut tokenizer);
        let relation = |fact: &u64| corpus.world().fact(*fact).unwrap().relation;
        let facts: Vec<u64> = (0..corpus.world().facts())
            .filter(|fact| relation(fact) == 0)
            .collect();
        let prober = corpus.prober(0).unwrap();
        for (&fact, refused) in facts.iter().zip(corpus.refusals(&facts, 0).unwrap()) {
            let asked = prober.probe(fact).unwrap();
            let said = refused.as_ref().map(|own| tokenizer.read(&own.answer));
            assert_eq!(said.as_deref(), wanted, "{merged}");
            if let Some(own) = refused {
                let whole = [&own.prompt[..], &own.answer, &own.rest].concat();
                let whole = tokenizer.read(&whole);
                assert!(
                    whole.ends_with(" born in \"a secret\", they say."),
                    "{whole}"
                );
                assert_eq!(own.prompt, asked.prompt);
                assert_eq!(own.rest == asked.rest, merged != "t\"");
                assert!(corpus.refusal_answers().unwrap().contains(&own.answer));
            }
        }
    }
}

/// Sentences are separated by line ends where a document goes on to another subject.
#[test]
fn a_line_end_before_a_name_is_no_part_of_it() {
    for (name, text) in SHIPPED {
        let grammar = TextGrammar::from_toml(name, text).unwrap();
        let world = WorldSpec::builder()
            .subjects(12)
            .relations(grammar.relations())
            .build()
            .unwrap();
        let lexicon = Arc::new(Lexicon::new(grammar, &mut WordTokenizer::default()).unwrap());
        let keys = "exposures = 2\norder = \"bios\"\ndocuments = { subjects = 3 }";
        let spec = Spec::from_toml(&format!("[world]\n[corpus]\n{keys}")).unwrap();
        let world = World::new(world).unwrap();
        let corpus = Corpus::with_lexicon(world, spec.corpus, None, lexicon.clone()).unwrap();
        let names = lexicon.names().unwrap();
        for span in corpus.spans(0..corpus.documents()).unwrap() {
            let documents = span.document..span.document + 1;
            let quiet = Progress::default();
            let tokens: Vec<u32> = corpus.tokens(documents, 1, &quiet).unwrap();
            let first = &names[tokens[span.start as usize] as usize];
            assert!(!first.starts_with('\n'), "{name}: {first:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 150,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Also where a name is in quotation marks, or a comma follows it, which are merged with some.
    #[test]
    fn all_objects_follow_the_same_prompt(
        tape in prop::collection::vec(any::<u8>(), 0..160),
        salt in 0u32..1000,
    ) {
        let text = grammar_of(&tape);
        let text = text.lines().map(|line| match line.starts_with("objects = ") {
            true => format!("{line}\nedits = ['{{subject}} has \"{{new}}\", and not {{object}}.']\n"),
            false => format!("{line}\n"),
        });
        let mut tokenizer = Pairs::new(move |first, second| {
            let mixed = (first as u32 * 31 + second as u32 + salt).wrapping_mul(0x9E37_79B1);
            mixed >> 31 == 1
        });
        let corpus = corpus_of(&text.collect::<String>(), &mut tokenizer);
        for wording in (0..corpus.wordings().len()).filter(|&w| corpus.wordings()[w].can_probe()) {
            for fact in 0..corpus.world().facts() {
                answers(&corpus, &tokenizer, wording, fact);
            }
        }
        for fact in 0..corpus.world().subject_facts() {
            let found = corpus.world().fact(fact).unwrap();
            let objects: Vec<u32> = (0..corpus.world().objects_of(found.relation) as u32).collect();
            let facts = vec![fact; objects.len()];
            let prompts = corpus.edit_prompts(&facts, &objects, 0).unwrap();
            for own in &prompts {
                let (own, first) = (own.as_ref().unwrap(), prompts[0].as_ref().unwrap());
                prop_assert_eq!(&own.prompt, &first.prompt);
                prop_assert_eq!(&own.rest, &first.rest);
            }
        }
    }
}

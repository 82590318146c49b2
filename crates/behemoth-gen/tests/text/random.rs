//! Random grammars: whatever a file may say, what is written is what the ledger counts.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use behemoth_gen::grammar::{END_ROLE, Lexicon, TextGrammar, TextRole, Tokenizer, WordTokenizer};
use behemoth_gen::{Corpus, Progress, Result, Spec, World, WorldSpec};
use proptest::prelude::*;

use crate::SMALL;

/// What a grammar is made by: each choice takes the next byte, and 0 once there are none. So a
/// shorter tape is a simpler grammar, and proptest shrinks it.
struct Tape<'a> {
    bytes: &'a [u8],
}

impl Tape<'_> {
    /// A number below `n`.
    fn below(&mut self, n: usize) -> usize {
        let Some((first, rest)) = self.bytes.split_first() else {
            return 0;
        };
        self.bytes = rest;
        usize::from(*first) % n
    }

    fn is(&mut self) -> bool {
        self.below(2) == 1
    }

    fn of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }
}

/// Words as people write them: spaces, marks, apostrophes and letters beyond ASCII.
const SHAPES: [&str; 8] = [
    "Wo#", "wo#", "Wo wo#", "O'Wo#", "Wo-wo#", "W.#", "Ö#ß", "«#»",
];

struct Making<'a> {
    tape: Tape<'a>,
    /// No word is written twice, so that every object can be told from its text.
    words: usize,
    lists: String,
}

impl Making<'_> {
    fn list(&mut self, name: &str, len: usize) {
        let words: Vec<String> = (0..len)
            .map(|_| {
                self.words += 1;
                let shape = self.tape.of(&SHAPES);
                format!("{:?}", shape.replace('#', &self.words.to_string()))
            })
            .collect();
        writeln!(self.lists, "{name} = [{}]", words.join(", ")).unwrap();
    }

    /// A sentence with these holes for objects, which no other sentence equals.
    fn sentence(&mut self, objects: &[&str], forms: &[&str]) -> String {
        self.words += 1;
        let mut words = vec![format!("say{}", self.words)];
        for object in objects {
            let shape = self
                .tape
                .of(&["{#}", "({#})", "{#},", "\"{#}\"", "a {#} b", "{{{#}}}"]);
            let own = shape.replace('#', object);
            let at = self.tape.below(words.len() + 1);
            words.insert(at, own);
        }
        for _ in 0..=self.tape.below(2) {
            let mention = self.tape.of(&[
                "{Pronoun}",
                "{subject}",
                "{possessive} own",
                "{Possessive}",
                "{pronoun}",
                "{Subject}'s",
            ]);
            let at = self.tape.below(words.len() + 1);
            words.insert(at, mention.to_string());
        }
        if self.tape.is() && !forms.is_empty() {
            let form = self.tape.of(forms);
            let at = self.tape.below(words.len() + 1);
            words.insert(at, format!("{{{form}}}"));
        }
        let mut text = words.join(" ");
        text.push_str(self.tape.of(&[".", "!", "", " ."]));
        text
    }

    /// A list of sentences; some have weights, some are held out, the first is written.
    fn sentences(&mut self, objects: &[&str], forms: &[&str]) -> String {
        let count = 1 + self.tape.below(3);
        let own: Vec<String> = (0..count)
            .map(|at| {
                let text = self.sentence(objects, forms);
                match self.tape.below(4) {
                    1 => format!("{{ text = '''{text}''', weight = 2.5 }}"),
                    2 if at > 0 => format!("{{ text = '''{text}''', held_out = true }}"),
                    3 if at > 0 => format!("{{ text = '''{text}''', weight = 0 }}"),
                    _ => format!("'''{text}'''"),
                }
            })
            .collect();
        format!("[{}]", own.join(", "))
    }
}

/// A grammar of a tape, as TOML.
pub fn grammar_of(tape: &[u8]) -> String {
    let mut making = Making {
        tape: Tape { bytes: tape },
        words: 0,
        lists: String::new(),
    };
    let first = 1 + making.tape.below(3);
    making.list("first", first);
    let last = 2 + making.tape.below(3);
    making.list("last", last);
    making.list("first_other", first);
    let mut text = String::from("[subject]\n");
    let name = making.tape.of(&[
        "{first} {last}",
        "{first}-{last}",
        "the {last} of {first}",
        "{last}",
    ]);
    writeln!(text, "name = '{name}'").unwrap();
    let classes = making.tape.below(3);
    let forms: &[&str] = if classes > 0 {
        &["was", "Was", "them"]
    } else {
        &[]
    };
    for at in 0..classes {
        writeln!(
            text,
            "[subject.classes.c{at}]\npronoun = 'pro{at}'\npossessive = 'pos{at}'"
        )
        .unwrap();
        writeln!(
            text,
            "them = 'obj {at}'\nweight = {}",
            1 + making.tape.below(3)
        )
        .unwrap();
        if making.tape.is() {
            writeln!(text, "was = {{ named = 'was', pronoun = 'were{at}' }}").unwrap();
        } else {
            writeln!(text, "was = 'was'").unwrap();
        }
        if making.tape.is() && name.contains("{first}") {
            writeln!(text, "lists = {{ first = 'first_other' }}").unwrap();
        }
    }
    let relations = 1 + making.tape.below(4);
    let mut keys: Vec<(String, usize)> = Vec::new();
    for at in 0..relations {
        let key = format!("r{at}");
        let earlier = keys.last().cloned();
        let (kind, sizes) = match (making.tape.below(5), earlier) {
            (1, _) => ("kind = 'zipf'\nalpha = 1.25\n".to_string(), None),
            (2, Some((of, count))) if count % 2 == 0 => (
                format!("kind = 'composed'\nof = '{of}'\n"),
                Some([count / 2, 1]),
            ),
            (3, Some((with, count))) if count > 1 => (
                format!("kind = 'correlated'\nwith = '{with}'\nstrength = 0.75\n"),
                Some([count, 1]),
            ),
            _ => (String::new(), None),
        };
        let is_composed = kind.contains("composed");
        let [a, b] = sizes.unwrap_or_else(|| [1 + making.tape.below(4), 1 + making.tape.below(3)]);
        making.list(&format!("a{at}"), a);
        making.list(&format!("b{at}"), b);
        let shape = making.tape.of(&[
            "{a#} {b#}",
            "{a#}, {b#}",
            "{a#}-{b#}",
            "in {b#} of {a#}",
            "{b#}: {a#}",
        ]);
        let shape = shape.replace('#', &at.to_string());
        writeln!(text, "[relations.{key}]\n{kind}objects = '{shape}'").unwrap();
        writeln!(
            text,
            "statements = {}",
            making.sentences(&["object"], forms)
        )
        .unwrap();
        if making.tape.is() {
            writeln!(text, "questions = {}", making.sentences(&[], forms)).unwrap();
            let answer = making.tape.of(&[
                "{object}",
                "it is {object}",
                "({object})",
                "{subject}: {object}",
            ]);
            writeln!(text, "answer = '{answer}'").unwrap();
        }
        if is_composed && making.tape.is() {
            writeln!(
                text,
                "[relations.{key}.link]\npronoun = 'it'\npossessive = 'its'"
            )
            .unwrap();
            writeln!(text, "statements = {}", making.sentences(&["object"], &[])).unwrap();
        }
        keys.push((key, a * b));
    }
    if relations > 1 && making.tape.is() {
        let pair = [keys[0].0.as_str(), keys[relations - 1].0.as_str()];
        writeln!(text, "[[joint]]\nrelations = {pair:?}").unwrap();
        writeln!(text, "statements = {}", making.sentences(&pair, forms)).unwrap();
    }
    let form = making.tape.of(&[
        "{question} {answer}",
        "Q: {question} A: {answer}.",
        "{answer} < {question}",
    ]);
    writeln!(text, "[question]\nform = '{form}'").unwrap();
    let (separator, other) = (
        making.tape.of(&[" ", "\\n", " \\n"]),
        making.tape.of(&["\\n", "\\n\\n", " "]),
    );
    writeln!(
        text,
        "[document]\nseparator = \"{separator}\"\nsubject_separator = \"{other}\""
    )
    .unwrap();
    writeln!(text, "share_joint = 0.{}", making.tape.below(10)).unwrap();
    format!("name = 'random'\n[lists]\n{}{text}", making.lists)
}

/// Whether every composed relation has sentences about its link.
pub fn has_links(grammar: &str) -> bool {
    let links = grammar.matches(".link]").count();
    links > 0 && links == grammar.matches("kind = 'composed'").count()
}

fn keys_of(tape: &mut Tape<'_>, has_links: bool) -> String {
    let mut keys = String::new();
    writeln!(keys, "exposures = {}", 1 + tape.below(5)).unwrap();
    if has_links && tape.is() {
        writeln!(keys, "nested_exposures = {}", tape.below(4)).unwrap();
    }
    if tape.is() {
        writeln!(keys, "questions = {{subjects = 0.5, sentences = 0.4}}").unwrap();
    }
    if tape.below(4) > 0 {
        writeln!(keys, "order = \"bios\"").unwrap();
        let naming = tape.of(&["first", "always"]);
        let order = tape.of(&["permuted", "fixed"]);
        let places: &[&str] = if keys.contains("questions") {
            &["mixed", "after", "own"]
        } else {
            &["mixed"]
        };
        let questions = tape.of(places);
        let subjects = 1 + tape.below(3);
        let renderings = tape.of(&["", ", renderings = 1", ", renderings = 2"]);
        writeln!(
            keys,
            "documents = {{naming = \"{naming}\", sentences = \"{order}\", \
             questions = \"{questions}\", subjects = {subjects}{renderings}}}"
        )
        .unwrap();
    }
    keys
}

fn corpus_of(grammar: TextGrammar, seed: u64, keys: &str) -> Result<Corpus> {
    let subjects = grammar.names().min(5);
    let world = WorldSpec::builder()
        .subjects(subjects)
        .relations(grammar.relations())
        .seed(seed)
        .build()?;
    let spec = Spec::from_toml(&format!("[world]\n[corpus]\n{keys}"))?;
    let lexicon = Lexicon::new(grammar, &mut WordTokenizer::default())?;
    Corpus::with_lexicon(World::new(world)?, spec.corpus, None, Arc::new(lexicon))
}

/// Tokens of each document, without its end.
fn documents(corpus: &Corpus, end: u32) -> Vec<Vec<u32>> {
    (0..corpus.documents())
        .map(|document| {
            let own: Vec<u32> = corpus
                .tokens(document..document + 1, 1, &Progress::default())
                .unwrap();
            match own.split_last() {
                Some((last, own)) => {
                    assert_eq!(*last, end);
                    own.to_vec()
                }
                None => own,
            }
        })
        .collect()
}

/// How often each fact's object is mentioned.
fn mentions(corpus: &Corpus) -> BTreeMap<u64, u64> {
    let mut counts = BTreeMap::new();
    for span in corpus.spans(0..corpus.documents()).unwrap() {
        if let TextRole::Object(_) = span.role {
            *counts.entry(span.fact).or_default() += 1;
        }
    }
    counts
}

/// The relation whose objects a fact has, links among the facts of their relation.
fn object_text(grammar: &TextGrammar, corpus: &Corpus, fact: u64) -> String {
    let found = corpus.world().fact(fact).unwrap();
    let own = grammar.relation_keys().count();
    let composed: Vec<usize> = grammar
        .relations()
        .iter()
        .enumerate()
        .filter(|(_, relation)| {
            matches!(relation, behemoth_gen::relation::RelationSpec::Composed(_))
        })
        .map(|(at, _)| at)
        .collect();
    let relation = match (found.relation as usize).checked_sub(own) {
        None => found.relation as usize,
        Some(link) => composed[link],
    };
    grammar
        .object_texts(relation, &[found.object])
        .unwrap()
        .remove(0)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_grammar_writes_what_it_says(
        tape in prop::collection::vec(any::<u8>(), 0..160),
        choices in prop::collection::vec(any::<u8>(), 0..12),
        seed in 0u64..1000,
    ) {
        let text = grammar_of(&tape);
        let grammar = TextGrammar::from_toml("random.toml", &text).map_err(|e| {
            TestCaseError::fail(format!("{e}\n{text}"))
        })?;
        let keys = keys_of(&mut Tape { bytes: &choices }, has_links(&text));
        let corpus = match corpus_of(grammar.clone(), seed, &keys) {
            Ok(corpus) => corpus,
            // Half of very few subjects may be none, which cannot be asked about.
            Err(e) => {
                prop_assert!(keys.contains("questions = {s"), "{}\n{}\n{}", e, keys, text);
                return Ok(());
            }
        };
        let lexicon = Lexicon::new(grammar.clone(), &mut WordTokenizer::default()).unwrap();
        let names = lexicon.names().unwrap();
        let decoded = |tokens: &[u32]| -> String {
            tokens.iter().map(|&token| names[token as usize].as_str()).collect()
        };
        let own = documents(&corpus, 0);
        let texts = corpus.texts(0..corpus.documents()).unwrap();

        // The tokens are those of the text, of all of it as of its pieces.
        let whole = WordTokenizer::default().encode(&texts).unwrap();
        for ((tokens, text), whole) in own.iter().zip(&texts).zip(&whole) {
            prop_assert_eq!(&decoded(tokens), text);
            prop_assert_eq!(tokens.len(), whole.len());
            for (&token, whole) in tokens.iter().zip(whole) {
                let letters: String = text
                    .chars()
                    .skip(whole.start)
                    .take(whole.end - whole.start)
                    .collect();
                prop_assert_eq!(&names[token as usize], &letters);
            }
        }

        // One document at a time is all at once, and so is any part.
        let quiet = Progress::default();
        let all: Vec<u32> = corpus.tokens(0..corpus.documents(), 2, &quiet).unwrap();
        let joined: Vec<u32> = own
            .iter()
            .filter(|document| !document.is_empty())
            .flat_map(|document| document.iter().copied().chain([0]))
            .collect();
        prop_assert_eq!(&all, &joined);
        prop_assert_eq!(corpus.token_count(1, &quiet).unwrap(), all.len() as u64);
        if !all.is_empty() {
            let start = seed as usize % all.len();
            let mut out = vec![0u32; 40.min(all.len() - start)];
            let got = corpus.fill_tokens(&mut out, start as u64, 1, &quiet).unwrap();
            prop_assert_eq!(got, out.len());
            prop_assert_eq!(&out[..], &all[start..start + got]);
        }

        // Each fact is said as often as the ledger says, where it says, and by its own object.
        let counts = mentions(&corpus);
        for fact in 0..corpus.world().facts() {
            let exposures = corpus.exposures_of(fact);
            prop_assert_eq!(counts.get(&fact).copied().unwrap_or(0), exposures, "fact {}", fact);
            prop_assert_eq!(corpus.ledger(fact).unwrap().len() as u64, exposures);
        }
        let spans = corpus.spans(0..corpus.documents()).unwrap();
        let mut roles: Vec<Vec<u32>> = own.iter().map(|tokens| vec![0; tokens.len()]).collect();
        for span in &spans {
            let range = span.start as usize..span.end as usize;
            let said = decoded(&own[span.document as usize][range.clone()]);
            if let TextRole::Object(_) = span.role {
                let object = object_text(&grammar, &corpus, span.fact);
                prop_assert_eq!(said.trim(), object.as_str());
            }
            roles[span.document as usize][range].fill(span.role.code());
        }
        let written = documents(&corpus.as_roles().unwrap(), END_ROLE);
        prop_assert_eq!(written, roles);
    }

    #[test]
    fn a_twin_of_any_grammar_differs_in_what_was_asked(
        tape in prop::collection::vec(any::<u8>(), 0..160),
        choices in prop::collection::vec(any::<u8>(), 0..12),
        seed in 0u64..1000,
    ) {
        let text = grammar_of(&tape);
        let grammar = TextGrammar::from_toml("random.toml", &text).unwrap();
        let keys = keys_of(&mut Tape { bytes: &choices }, has_links(&text));
        let Ok(corpus) = corpus_of(grammar.clone(), seed, &keys) else {
            return Ok(());
        };
        let all = corpus.documents();
        let texts = corpus.texts(0..all).unwrap();
        let fact = seed % corpus.world().subject_facts();
        let twin = corpus.without(&[fact]).unwrap();
        let mut counts = mentions(&corpus);
        counts.remove(&fact);
        prop_assert_eq!(mentions(&twin), counts);

        let found = corpus.world().fact(fact).unwrap();
        let objects = grammar.objects(found.relation as usize).unwrap();
        let other = ((u64::from(found.object) + 1) % objects) as u32;
        let changed = match corpus.with_overrides(&[(fact, other)], false) {
            Ok(changed) => changed,
            // What follows from another fact has no object of its own, one of one no other.
            Err(_) => return Ok(()),
        };
        let says: Vec<u64> = corpus.ledger(fact).unwrap().iter().map(|entry| entry.document).collect();
        let after = changed.texts(0..all).unwrap();
        for (document, (before, after)) in texts.iter().zip(&after).enumerate() {
            if other == found.object || !says.contains(&(document as u64)) {
                prop_assert_eq!(before, after);
            } else {
                prop_assert_ne!(before, after);
            }
        }
        prop_assert_eq!(mentions(&changed), mentions(&corpus));
    }
}

/// What is put into a text to break it.
const SNIPPETS: [&str; 24] = [
    "{",
    "}",
    "{{",
    "{object}",
    "{subject}",
    "{Pronoun}",
    "\"",
    "'''",
    "[",
    "]",
    "[[joint]]\n",
    "[relations.firm]\n",
    "[lists]\n",
    "=",
    " = 3\n",
    "  ",
    "\n",
    ",",
    "-1",
    "1e99",
    "weight = nan\n",
    "{ from = 0, to = 9 }",
    "\u{0}",
    "ß\u{301}",
];

/// A text with some mistakes.
fn broken(text: &str, tape: &[u8]) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for mistake in tape.chunks_exact(4) {
        let at = (usize::from(mistake[0]) * 256 + usize::from(mistake[1])) % (letters.len() + 1);
        let few = usize::from(mistake[3]) % 12;
        match mistake[2] % 5 {
            0 => {
                letters.drain(at..(at + few).min(letters.len()));
            }
            1 => {
                let snippet = SNIPPETS[usize::from(mistake[3]) % SNIPPETS.len()];
                letters.splice(at..at, snippet.chars());
            }
            2 => {
                let part: Vec<char> = letters[at..(at + 5 * few).min(letters.len())].to_vec();
                let to = letters.len() - at;
                letters.splice(to..to, part);
            }
            3 => {
                // A line less.
                let from = letters[..at]
                    .iter()
                    .rposition(|&l| l == '\n')
                    .map_or(0, |n| n + 1);
                let to = letters[at..]
                    .iter()
                    .position(|&l| l == '\n')
                    .map_or(letters.len(), |n| at + n);
                letters.drain(from..to);
            }
            _ => {
                let other = (at * 7 + few) % (letters.len() + 1);
                if at < letters.len() && other < letters.len() {
                    letters.swap(at, other);
                }
            }
        }
    }
    letters.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_broken_grammar_is_refused_in_one_line_or_written(
        of in prop::option::of(prop::collection::vec(any::<u8>(), 0..100)),
        mistakes in prop::collection::vec(any::<u8>(), 4..24),
    ) {
        let text = broken(&of.map_or(SMALL.to_string(), |tape| grammar_of(&tape)), &mistakes);
        let read = TextGrammar::from_toml("broken.toml", &text)
            .and_then(|grammar| corpus_of(grammar, 1, "exposures = 1\norder = \"bios\""));
        match read {
            Ok(corpus) => {
                let texts = corpus.texts(0..corpus.documents()).unwrap();
                prop_assert_eq!(texts.len() as u64, corpus.documents());
            }
            Err(error) => {
                let told = error.to_string();
                prop_assert!(told.starts_with("argument '"), "{}", told);
                prop_assert!(!told.contains('\n'), "{}", told);
            }
        }
    }
}

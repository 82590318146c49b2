//! Grammars and keys of corpora generated from tapes of bytes.

use std::fmt::Write;

/// The source of choices for a grammar: each choice uses the next byte, or 0 at the end. A shorter
/// tape is therefore a simpler grammar, to which proptest shrinks.
pub(crate) struct Tape<'a> {
    pub(crate) bytes: &'a [u8],
}

impl Tape<'_> {
    /// Returns a number below `n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
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

/// Realistic words: with spaces, punctuation marks, apostrophes and letters beyond ASCII.
const SHAPES: [&str; 8] = [
    "Wo#", "wo#", "Wo wo#", "O'Wo#", "Wo-wo#", "W.#", "Ö#ß", "«#»",
];

struct Making<'a> {
    tape: Tape<'a>,
    /// No word is used twice, so that every object can be identified by its text.
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

    /// Returns a unique sentence with these holes for objects.
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

    /// Returns a list of sentences; some have weights, some are held out, the first is written.
    fn sentences(&mut self, objects: &[&str], forms: &[&str]) -> String {
        let count = 1 + self.tape.below(3);
        let own: Vec<String> = (0..count)
            .map(|at| {
                let text = self.sentence(objects, forms);
                match self.tape.below(4) {
                    1 => format!("{{ text = '''{text}''', weight = 2.5 }}"),
                    2 if at > 0 => {
                        // Words of its own before the object, where probes end.
                        self.words += 1;
                        let text = format!("say{} {text}", self.words);
                        format!("{{ text = '''{text}''', held_out = true }}")
                    }
                    3 if at > 0 => format!("{{ text = '''{text}''', weight = 0 }}"),
                    _ => format!("'''{text}'''"),
                }
            })
            .collect();
        format!("[{}]", own.join(", "))
    }
}

/// Returns the grammar of a tape, as TOML.
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
    let question_forms = [
        "{question} {answer}",
        "Q: {question} A: {answer}.",
        "{answer} < {question}",
    ];
    // Where the answer comes first and names the subject, all questions are one probe.
    let is_one = text.contains("answer = '{subject}") && text.contains("held_out");
    let form = making.tape.of(&question_forms[..3 - usize::from(is_one)]);
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

/// Returns `true` if every composed relation has sentences about its link.
pub(crate) fn has_links(grammar: &str) -> bool {
    let links = grammar.matches(".link]").count();
    links > 0 && links == grammar.matches("kind = 'composed'").count()
}

pub(crate) fn keys_of(tape: &mut Tape<'_>, has_links: bool) -> String {
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

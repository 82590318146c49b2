//! Corpora written with a text grammar.
//!
//! `small.toml` is small enough for these tests to know every sentence of it: they compose
//! sentences by replacing holes in strings, unlike the engine.

mod background;
mod boundaries;
mod documents;
mod filler;
mod insert;
mod made;
mod random;
mod refusals;
mod sentences;
mod unwritten;

use std::collections::BTreeMap;
use std::sync::Arc;

use behemoth_gen::grammar::{Lexicon, TextGrammar, WordTokenizer};
use behemoth_gen::{Corpus, Progress, Spec, World, WorldSpec};

const SMALL: &str = include_str!("small.toml");

fn grammar() -> TextGrammar {
    TextGrammar::from_toml("small.toml", SMALL).unwrap()
}

fn lexicon() -> Arc<Lexicon> {
    Arc::new(Lexicon::new(grammar(), &mut WordTokenizer::default()).unwrap())
}

/// Returns a corpus of six subjects with these keys of `[corpus]`.
fn corpus(keys: &str) -> Corpus {
    try_corpus(6, keys).unwrap()
}

fn try_corpus(subjects: u64, keys: &str) -> behemoth_gen::Result<Corpus> {
    let world = WorldSpec::builder()
        .subjects(subjects)
        .relations(grammar().relations())
        .seed(3)
        .build()?;
    let spec = Spec::from_toml(&format!("[world]\n[corpus]\n{keys}"))?;
    Corpus::with_lexicon(World::new(world)?, spec.corpus, None, lexicon())
}

fn tokens(corpus: &Corpus) -> Vec<u16> {
    corpus
        .tokens(0..corpus.documents(), 1, &Progress::default())
        .unwrap()
}

/// Returns the documents as the concatenated names of the word tokenizer.
fn decoded(corpus: &Corpus) -> Vec<String> {
    let lexicon = lexicon();
    let names = lexicon.names().unwrap();
    tokens(corpus)
        .split(|&token| token == 0)
        .map(|document| {
            document
                .iter()
                .map(|&t| names[t as usize].as_str())
                .collect()
        })
        .filter(|document: &String| !document.is_empty())
        .collect()
}

const CITIES: [&str; 4] = ["Oslo", "Rio", "New York", "Bonn"];
const FIRMS: [&str; 4] = ["Axle & Co.", "Brix", "Corun", "Delph"];

/// A fact, read from a sentence with the full name: relation, name, object.
type Said = (usize, String, String);

/// Returns every sentence that can be written with the full name, and its facts.
fn known() -> BTreeMap<String, Vec<Said>> {
    let mut known = BTreeMap::new();
    let classes = [
        (["Ada", "Bo"], "they", "their"),
        (["Adele", "Beth"], "she", "her"),
    ];
    let days: Vec<String> = ["May", "June"]
        .iter()
        .flat_map(|month| (1..=3).map(move |day| format!("{month} {day}")))
        .collect();
    for (firsts, _, _) in classes {
        for first in firsts {
            for last in ["Ames", "O'Neil", "van Dam"] {
                let name = format!("{first} {last}");
                let mut add = |text: String, said: &[(usize, &str)]| {
                    let said = said.iter().map(|&(r, o)| (r, name.clone(), o.to_string()));
                    known.insert(text, said.collect());
                };
                for city in CITIES {
                    let said = [(0, city)];
                    add(format!("{name} was born in {city}."), &said);
                    add(format!("{name}'s first home ({city}) was small."), &said);
                    add(format!("Q: Where was {name} born? A: {city}."), &said);
                    add(
                        format!("Q: What is {name}'s city of birth? A: {city}."),
                        &said,
                    );
                    for day in &days {
                        let both = [(1, day.as_str()), (0, city)];
                        add(format!("{name} was born in {city} on {day}."), &both);
                    }
                }
                for day in &days {
                    let said = [(1, day.as_str())];
                    add(format!("{name} was born on {day}."), &said);
                    add(format!("It was {day} when {name} came."), &said);
                    add(format!("Q: When was {name} born? A: On {day}."), &said);
                }
                for firm in FIRMS {
                    add(format!("{name} worked for {firm}."), &[(2, firm)]);
                }
                for seat in ["Lima", "Quito"] {
                    add(format!("{name}'s office was in {seat}."), &[(3, seat)]);
                }
            }
        }
    }
    for firm in FIRMS {
        for seat in ["Lima", "Quito"] {
            let text = format!("{firm} has its seat in {seat}.");
            known.insert(text, vec![(4, firm.to_string(), seat.to_string())]);
        }
    }
    known
}

/// Returns the object of a relation as text.
fn object(relation: u32, object: u32) -> String {
    let object = object as usize;
    match relation {
        0 => CITIES[object].to_string(),
        1 => format!("{} {}", ["May", "June"][object / 3], object % 3 + 1),
        2 => FIRMS[object].to_string(),
        _ => ["Lima", "Quito"][object].to_string(),
    }
}

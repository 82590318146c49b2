//! Prints a small world fact by fact, and its sentences in words: `cargo run --example world`.

use behemoth_gen::exposure::Groups;
use behemoth_gen::grammar::Template;
use behemoth_gen::relation::{Composed, Correlated, Independent};
use behemoth_gen::{Corpus, CorpusSpec, Progress, Result, World, WorldSpec};

fn main() -> Result<()> {
    let world = WorldSpec::builder()
        .subjects(1_000)
        .relations([
            Independent::new(20).into(),
            Correlated::new(0, 0.8).into(),
            Composed::new(0, 4).into(),
        ])
        .build()?;
    let world = World::new(world)?;
    println!(
        "{} facts, {:.0} bits that are free to choose\n",
        world.facts(),
        world.entropy_bits()
    );
    for id in 0..6 {
        if let Some(fact) = world.fact(id) {
            println!(
                "fact {id}: subject {} has in relation {} the object {}",
                fact.subject, fact.relation, fact.object
            );
        }
    }

    let spec = CorpusSpec::builder()
        .exposures(Groups::new([1, 4, 16]))
        .templates([(Template::Default, 2.0), (Template::Question, 1.0)])
        .inversion(0.3)
        .build()?;
    let corpus = Corpus::new(world, spec, None)?;
    println!("\n{} sentences; the first five:", corpus.sentences());
    for document in 0..5 {
        let tokens = corpus.tokens::<u32>(document..document + 1, 1, &Progress::default())?;
        println!("  {}", in_words(&corpus, &tokens));
    }
    println!("\nwhere fact 1 is written:");
    for entry in corpus.ledger(1)? {
        println!("  copy {} in document {}", entry.copy, entry.document);
    }
    Ok(())
}

/// Returns tokens as their names, and digits of words as numbers.
fn in_words(corpus: &Corpus, tokens: &[u32]) -> String {
    let ranges = corpus.vocabulary().ranges();
    let words = tokens.iter().filter_map(|&token| {
        let range = ranges.iter().rfind(|range| range.first <= token)?;
        let place = token - range.first;
        let name = range.names.get(place as usize).cloned();
        Some(name.unwrap_or_else(|| place.to_string()))
    });
    words.collect::<Vec<_>>().join(" ")
}

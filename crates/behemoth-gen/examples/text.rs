//! Prints documents of a grammar that is part of the crate, and how fast it is written.
//!
//!     cargo run --release --example text -- bios-en

use std::sync::Arc;
use std::time::Instant;

use behemoth_gen::grammar::{Lexicon, TextGrammar, WordTokenizer};
use behemoth_gen::spec::Order;
use behemoth_gen::{Corpus, CorpusSpec, Progress, World, WorldSpec};

fn main() -> behemoth_gen::Result<()> {
    let name = std::env::args().nth(1).unwrap_or("bios-en".to_string());
    let grammar = TextGrammar::shipped(&name)?;
    let world = WorldSpec::builder()
        .subjects(100_000)
        .relations(grammar.relations())
        .build()?;
    let start = Instant::now();
    let lexicon = Arc::new(Lexicon::new(grammar, &mut WordTokenizer::default())?);
    let compiled = start.elapsed();
    let spec = CorpusSpec::builder()
        .exposures(behemoth_gen::exposure::Constant::new(20))
        .order(Order::Bios)
        .nested_exposures(0)
        .build()?;
    let corpus = Corpus::with_lexicon(World::new(world)?, spec, None, lexicon)?;
    for text in corpus.texts(0..3)? {
        println!("{text}\n");
    }
    let mut out = vec![0u16; 1 << 26];
    for threads in [1, 2] {
        let start = Instant::now();
        let tokens = corpus.fill(&mut out, 0, threads, &Progress::default())?;
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "{threads} threads: {:.0} M tokens/s",
            tokens as f64 / seconds / 1e6
        );
    }
    println!(
        "compiled in {compiled:.2?}, {} token ids",
        corpus.vocabulary().size()
    );
    Ok(())
}

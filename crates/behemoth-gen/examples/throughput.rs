//! Prints tokens per second into memory, by kind of corpus.
use behemoth_gen::{Corpus, Progress, Spec};
use std::time::Instant;

fn main() {
    let threads: usize = std::env::args()
        .nth(1)
        .and_then(|t| t.parse().ok())
        .unwrap_or(2);
    let cases = [
        ("default", "exposures = 1"),
        ("exposures 10", "exposures = 10"),
        ("groups", "exposures = \"groups:1,4,16,64\""),
        ("zipf", "exposures = \"zipf:alpha=1,min=1,max=1000\""),
        ("inversion", "exposures = 1\ninversion = 0.5"),
        ("paraphrases", "exposures = 1\nparaphrases = 5"),
        ("repeats", "exposures = 1\ntemplates = {repeats = 1.0}"),
        ("nonsense", "exposures = 1\ntemplates = {nonsense = 1.0}"),
        (
            "questions",
            "exposures = 4\nquestions = {subjects = 0.5, sentences = 0.5}",
        ),
        ("bios", "exposures = 4\norder = \"bios\""),
    ];
    for (name, corpus) in cases {
        let spec = format!(
            "[world]\nsubjects = 20_000_000\nrelations = 5\nobjects = 400\n[corpus]\n{corpus}\n"
        );
        let corpus = Corpus::from_spec(Spec::from_toml(&spec).unwrap()).unwrap();
        let documents = if name == "bios" { 500_000 } else { 4_000_000 };
        let start = Instant::now();
        let tokens: Vec<u16> = corpus
            .tokens(0..documents, threads, &Progress::default())
            .unwrap();
        let first = start.elapsed().as_secs_f64();
        let mut best = f64::MAX;
        let mut out = tokens.clone();
        for _ in 0..3 {
            let start = Instant::now();
            corpus
                .fill_tokens(&mut out, 0, threads, &Progress::default())
                .unwrap();
            best = best.min(start.elapsed().as_secs_f64());
        }
        println!(
            "{name:14} {:8.0} M tokens/s  (first {:.0})",
            tokens.len() as f64 / best / 1e6,
            tokens.len() as f64 / first / 1e6
        );
    }
}

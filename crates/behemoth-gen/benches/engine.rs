//! Speed of the parts of the engine, from a permutation to tokens in memory: `cargo bench`.
//!
//! Elements per second are images, objects, sentences or tokens, by group. All groups use one
//! thread, except the last. This is never a test with a time limit, since machines differ.

use std::hint::black_box;
use std::time::Duration;

use behemoth_gen::permutation::Permutation;
use behemoth_gen::vocabulary::Token;
use behemoth_gen::{Corpus, Progress, Spec, World};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};

type Group<'a> = BenchmarkGroup<'a, WallTime>;

/// Number of images per round; the batch of the engine is 128.
const BATCH: usize = 1024;

fn permutation(c: &mut Criterion) {
    let mut group = c.benchmark_group("permutation");
    group.throughput(Throughput::Elements(BATCH as u64));
    for (name, len) in [
        ("table of 60,000", 60_000),
        ("network of 1e9", 1_000_000_007),
    ] {
        let permutation = Permutation::new(len, 0, "bench", 0);
        let some: Vec<u64> = (0..BATCH as u64).map(|i| i * 49_999 % len).collect();
        let mut out = some.clone();
        group.bench_function(format!("apply, {name}"), |b| {
            b.iter(|| {
                black_box(&some)
                    .iter()
                    .fold(0, |sum, &x| sum ^ permutation.apply(x))
            });
        });
        group.bench_function(format!("apply_each, {name}"), |b| {
            b.iter(|| {
                out.copy_from_slice(black_box(&some));
                permutation.apply_each(&mut out);
            });
        });
        group.bench_function(format!("apply_range, {name}"), |b| {
            b.iter(|| permutation.apply_range(black_box(12_345), &mut out));
        });
        group.bench_function(format!("invert, {name}"), |b| {
            b.iter(|| {
                black_box(&some)
                    .iter()
                    .fold(0, |sum, &y| sum ^ permutation.invert(y))
            });
        });
    }
    group.finish();
}

/// Returns a world of a million subjects with a relation of every kind, a tenth of the facts with
/// two objects.
fn every_kind() -> World {
    let spec = "[world]\nsubjects = 1_000_000\nminority = 0.1\nrelations = [\
                {kind = \"independent\", objects = 400},\
                {kind = \"zipf\", objects = 400, alpha = 1},\
                {kind = \"correlated\", with = 0, strength = 0.8},\
                {kind = \"one_to_one\"}, {kind = \"inverse\", of = 3},\
                {kind = \"composed\", of = 0, objects = 20},\
                {kind = \"composed\", of = 5, objects = 4}]\n";
    World::new(Spec::from_toml(spec).expect("a spec").world).expect("a world")
}

fn world(c: &mut Criterion) {
    let world = every_kind();
    let subjects: Vec<u64> = (0..BATCH as u64).map(|i| i * 49_999 % 1_000_000).collect();
    let mut group = c.benchmark_group("world, objects");
    group.throughput(Throughput::Elements(BATCH as u64));
    let kinds = [
        "independent",
        "zipf",
        "correlated",
        "one-to-one",
        "inverse",
        "composed",
        "composed twice",
    ];
    for (relation, kind) in (0..).zip(kinds) {
        group.bench_function(kind, |b| {
            b.iter(|| {
                black_box(&subjects).iter().fold(0, |sum, &subject| {
                    sum ^ world.object(subject, relation).unwrap_or(0)
                })
            });
        });
    }
    let twin = world
        .with_overrides(&(0..1000).map(|i| (i * 7000, 1)).collect::<Vec<_>>(), true)
        .expect("a twin");
    group.bench_function("independent, 1,000 overridden", |b| {
        b.iter(|| {
            black_box(&subjects).iter().fold(0, |sum, &subject| {
                sum ^ twin.object(subject, 0).unwrap_or(0)
            })
        });
    });
    group.bench_function("facts, with minority", |b| {
        b.iter(|| {
            black_box(&subjects)
                .iter()
                .filter(|&&subject| {
                    world
                        .fact(subject * 7)
                        .is_some_and(|f| f.minority.is_some())
                })
                .count()
        });
    });
    group.finish();
}

/// Returns a corpus of 20 million subjects with five relations and the given fields.
fn corpus(fields: &str) -> Corpus {
    let spec = format!(
        "[world]\nsubjects = 20_000_000\nrelations = 5\nobjects = 400\n[corpus]\n{fields}\n"
    );
    Corpus::from_spec(Spec::from_toml(&spec).expect("a spec")).expect("a corpus")
}

const CORPORA: [(&str, &str); 12] = [
    ("default", "exposures = 1"),
    ("exposures 10", "exposures = 10"),
    ("groups", "exposures = \"groups:1,4,16,64\""),
    ("latin", "exposures = \"latin:1,4,16,64\""),
    ("zipf", "exposures = \"zipf:alpha=1,min=1,max=1000\""),
    ("inversion", "inversion = 0.5"),
    ("exact shares", "inversion = 0.5\nexact_shares = true"),
    ("paraphrases", "paraphrases = 5"),
    ("repeats", "templates = {repeats = 1}"),
    ("nonsense", "templates = {nonsense = 1}"),
    (
        "questions",
        "exposures = 4\nquestions = {subjects = 0.5, sentences = 0.5}",
    ),
    ("bios", "exposures = 4\norder = \"bios\""),
];

/// Single sentences: the cost of random access to a document.
fn sentences(c: &mut Criterion) {
    let mut group = c.benchmark_group("sentences, one by one");
    group.throughput(Throughput::Elements(1));
    for (name, fields) in CORPORA.into_iter().filter(|(name, _)| *name != "bios") {
        let corpus = corpus(fields);
        let (mut out, mut document, progress) = ([0u16; 11], 0, Progress::default());
        group.bench_function(name, |b| {
            b.iter(|| {
                document = (document + 49_999_999) % corpus.documents();
                corpus
                    .fill(&mut out, document, 1, &progress)
                    .expect("tokens")
            });
        });
    }
    group.finish();
}

/// The stream into allocated memory, from changing positions in the corpus.
fn fill<T: Token>(group: &mut Group<'_>, name: &str, corpus: &Corpus, room: usize, threads: usize) {
    let progress = Progress::default();
    let mut out = vec![T::default(); room];
    let mut document = 0;
    group.throughput(Throughput::Elements(room as u64));
    group.bench_function(name, |b| {
        b.iter(|| {
            document = (document + 1_000_003) % (corpus.documents() / 2);
            let made = corpus
                .fill(&mut out, document, threads, &progress)
                .expect("tokens");
            assert_eq!(made, room, "the end of the corpus is far");
        });
    });
}

fn fill_u16(c: &mut Criterion) {
    let mut group = c.benchmark_group("fill, tokens as u16");
    for (name, fields) in CORPORA {
        fill::<u16>(&mut group, name, &corpus(fields), 1 << 19, 1);
    }
    let twin = corpus("exposures = 1")
        .without(&(0..100_000_000).step_by(1000).collect::<Vec<_>>())
        .expect("a twin");
    fill::<u16>(&mut group, "a twin without", &twin, 1 << 19, 1);
    group.finish();
}

fn fill_u64(c: &mut Criterion) {
    let mut group = c.benchmark_group("fill, tokens as u64");
    for (name, fields) in CORPORA {
        fill::<u64>(&mut group, name, &corpus(fields), 1 << 19, 1);
    }
    group.finish();
}

fn fill_threads(c: &mut Criterion) {
    let mut group = c.benchmark_group("fill, all threads");
    for (name, fields) in CORPORA {
        fill::<u16>(&mut group, name, &corpus(fields), 1 << 24, 0);
    }
    group.finish();
}

criterion_group! {
    name = engine;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = permutation, world, sentences, fill_u16, fill_u64, fill_threads
}
criterion_main!(engine);

//! Runs the target of every parser on the inputs of `fuzz/corpus` and on mutations of them: what
//! `cargo fuzz` does for hours, here for some seconds and with stable Rust.
//!
//! `FUZZ_ROUNDS` sets the number of mutations of each set of inputs; each is a function of its
//! number, so that failures are reproducible. If the process is aborted, `FUZZ_KEEP=1` leaves the
//! current input in `fuzz-TARGET` in Cargo's folder of temporary files.

mod memory;
mod mutate;
mod targets;

use std::fs;
use std::panic;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mutate::{Draws, mutated};
use targets::Target;

#[global_allocator]
static MEMORY: memory::Counting = memory::Counting::new();

/// Number of mutations of the inputs of a target; fewer for targets that build a corpus or a
/// directory for each.
const ROUNDS: u64 = 2000;
const FEWER_ROUNDS: u64 = 200;

/// Memory that an input may use: a fixed amount, and an amount for each of its bytes.
const MEMORY_FIXED: usize = 160 << 20;
const MEMORY_PER_BYTE: usize = 64 << 10;

/// Time limit, far above the time of any input, even on a busy machine.
const TIME: Duration = Duration::from_secs(20);

/// Inputs that are refused; all others that are checked in are accepted.
const REFUSED: [(&str, &str); 16] = [
    ("spec", "twin.json"),
    ("manifest", "empty.json"),
    ("manifest", "foreign.json"),
    ("manifest", "future.json"),
    ("manifest", "no-text.json"),
    ("manifest", "other.json"),
    ("record", "bytes.json"),
    ("record", "no-text.json"),
    ("record", "other.json"),
    ("record", "tokens.json"),
    ("record", "torn.json"),
    ("table", "larger"),
    ("table", "none"),
    ("background", "disorder"),
    ("background", "short"),
    ("decode", "beyond"),
];

/// Returns the inputs that are checked in, in the order of their names.
fn seeds(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} has inputs", folder.display());
    paths
        .into_iter()
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

/// Runs a target on one input and checks its time and memory and that it does not panic; returns
/// whether it accepts the input.
fn hold(name: &str, target: Target, what: &str, input: &[u8]) -> bool {
    if std::env::var_os("FUZZ_KEEP").is_some() {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}"));
        fs::write(&kept, input).unwrap();
    }
    let started = Instant::now();
    let (outcome, taken) = MEMORY.most_during(|| panic::catch_unwind(|| target(input)));
    let shown = || format!("{name}, {what}: {:?}", String::from_utf8_lossy(input));
    let is_accepted = outcome.unwrap_or_else(|_| panic!("{}", shown()));
    let allowed = MEMORY_FIXED + MEMORY_PER_BYTE * input.len();
    assert!(taken <= allowed, "{} takes {taken} bytes", shown());
    let seconds = started.elapsed();
    assert!(seconds < TIME, "{} takes {seconds:?}", shown());
    is_accepted
}

fn rounds(name: &str) -> u64 {
    match std::env::var("FUZZ_ROUNDS") {
        Ok(rounds) => rounds.parse().expect("a number of rounds"),
        Err(_) if ["corpus", "manifest", "record"].contains(&name) => FEWER_ROUNDS,
        Err(_) => ROUNDS,
    }
}

/// A single test, since memory is counted for the whole process.
#[test]
fn whatever_a_parser_is_given_it_keeps_its_word() {
    for (name, target) in targets::ALL {
        let (seeds, started) = (seeds(name), Instant::now());
        for (path, input) in &seeds {
            let is_accepted = hold(name, target, &path.display().to_string(), input);
            // Mutations of inputs that are all refused would test little but refusals.
            let file = path.file_name().unwrap().to_str().unwrap();
            let wanted = !REFUSED.contains(&(name, file));
            assert_eq!(is_accepted, wanted, "{}", path.display());
        }
        for round in 0..rounds(name) {
            let input = mutated(&seeds, &mut Draws::new(round));
            hold(name, target, &format!("mutation {round}"), &input);
        }
        println!("{name}: {:.1?}", started.elapsed());
    }
}

/// The targets, the folders of inputs and the programs of `cargo fuzz` correspond.
#[test]
fn every_target_has_inputs_and_a_program() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let names = |folder: &str| {
        let entries = fs::read_dir(fuzz.join(folder)).unwrap();
        let stem = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_string();
        let mut names: Vec<String> = entries.map(|entry| stem(entry.unwrap().path())).collect();
        names.sort();
        names
    };
    let mut targets: Vec<&str> = targets::ALL.iter().map(|&(name, _)| name).collect();
    targets.sort_unstable();
    assert_eq!(names("corpus"), targets);
    assert_eq!(names("fuzz_targets"), targets);
}

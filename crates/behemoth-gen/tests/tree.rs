//! The tree: each module uses only modules before it, and no code identifies templates by parts of
//! their names.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules in the order of the data; `lib.rs` and the binding use all of them.
const ORDER: [&str; 25] = [
    "error",
    "numbers",
    "memory",
    "pace",
    "value",
    "canonical",
    "system",
    "hash",
    "permutation",
    "vocabulary",
    "decode",
    "parquet",
    "labels",
    "relation",
    "exposure",
    "schedule",
    "filler",
    "background",
    "insert",
    "grammar",
    "document",
    "spec",
    "world",
    "corpus",
    "shard",
];

fn files(at: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(at).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// Returns the sources as paths from `src`, with their code outside of tests.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&root, &mut found);
    found
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let text = text
                .split("#[cfg(test)]\nmod tests")
                .next()
                .unwrap()
                .to_string();
            let path = path.strip_prefix(&root).unwrap().display().to_string();
            (path.replace('\\', "/"), text)
        })
        .collect()
}

fn module(path: &str) -> &str {
    path.split(['/', '.']).next().unwrap()
}

#[test]
fn each_module_knows_only_those_before_it() {
    let mut seen = 0;
    for (path, text) in sources() {
        let Some(place) = ORDER.iter().position(|&name| name == module(&path)) else {
            assert!(
                ["lib", "python"].contains(&module(&path)),
                "{path} has no place"
            );
            continue;
        };
        seen += 1;
        for line in text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
        {
            for used in line.split("crate::").skip(1) {
                let used = used
                    .split(|c: char| !c.is_alphanumeric() && c != '_')
                    .next()
                    .unwrap();
                let other = ORDER.iter().position(|&name| name == used);
                let other = other.unwrap_or_else(|| panic!("{path} uses {used}"));
                assert!(other <= place, "{path} is before {used} and uses it");
            }
        }
    }
    assert!(seen > 40, "{seen} files");
}

#[test]
fn the_core_knows_no_python() {
    for (path, text) in sources() {
        let knows = text.contains("pyo3") || text.contains("numpy");
        assert!(!knows || module(&path) == "python", "{path}");
    }
}

/// Every file has a limited length.
#[test]
fn files_can_be_read_at_one_go() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= 360, "{path} has {lines} lines");
    }
}

//! Directories: the bytes do not depend on how they are written, an incomplete file is never
//! mistaken for a complete one, and every error is reported.
//!
//! This file has the corpora, and helpers that write, verify and compare directories.

#[path = "../common/mod.rs"]
mod common;
mod refusals;
mod resume;
mod verify;
mod write;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use behemoth_gen::shard::{Summary, Verification, WriteOptions, verify, write};
use behemoth_gen::{Corpus, Progress, Result};
use common::corpus;
use tempfile::TempDir;

/// Returns corpora of about ten shards each: fixed length, varying length, `bios`, 32-bit tokens.
fn corpora() -> Vec<Corpus> {
    [
        "[world]\nsubjects = 7000\nrelations = 3\nobjects = 40\n[corpus]\nshard_bytes = 65_536\n",
        "[world]\nsubjects = 2500\nrelations = 3\nobjects = 40\n[corpus]\nshard_bytes = 40_000\n\
         exposures = \"groups:1,2,4\"\ntemplates = {default = 1, repeats = 1, nonsense = 1}\n\
         inversion = 0.5\n",
        "[world]\nsubjects = 3000\nrelations = 4\nobjects = 40\n[corpus]\nshard_bytes = 65_536\n\
         order = \"bios\"\nexposures = \"groups:0,1,7\"\ndocuments_per_subject = 3\n",
        "[world]\nsubjects = 70_000\nrelations = 1\nobjects = 40\n[corpus]\nbase = 100_000\n\
         shard_bytes = 500_000\n",
    ]
    .map(corpus)
    .into()
}

fn small() -> Corpus {
    corpora().swap_remove(0)
}

/// Creates a directory in memory if possible: syncing to a disk would take most of the time of
/// these tests. It does not support `O_DIRECT`; the first two tests of `write.rs` write to a disk.
fn in_memory() -> TempDir {
    let shm = Path::new("/dev/shm");
    if shm.is_dir() {
        TempDir::new_in(shm).unwrap()
    } else {
        TempDir::new().unwrap()
    }
}

fn on_disk() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn write_with(corpus: &Corpus, directory: &Path, options: &WriteOptions) -> Result<Summary> {
    write(corpus, directory, options, &Progress::default())
}

fn write_all(corpus: &Corpus, directory: &Path) -> Summary {
    write_with(corpus, directory, &WriteOptions::default()).unwrap()
}

fn check(corpus: &Corpus, directory: &Path) -> Verification {
    verify(corpus, directory, 2, &Progress::default()).unwrap()
}

/// Returns every file below a directory with its bytes.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for folder in ["", "tokens"] {
        let entries = fs::read_dir(directory.join(folder));
        for entry in entries.into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let name = path.strip_prefix(directory).unwrap().display();
                let name = name.to_string().replace('\\', "/");
                files.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// Returns the files of a corpus written by one call, for comparison.
fn whole(corpus: &Corpus) -> BTreeMap<String, Vec<u8>> {
    let directory = in_memory();
    write_all(corpus, directory.path());
    files(directory.path())
}

fn assert_same(a: &BTreeMap<String, Vec<u8>>, b: &BTreeMap<String, Vec<u8>>) {
    assert!(a.keys().eq(b.keys()), "{:?} and {:?}", a.keys(), b.keys());
    for (name, bytes) in a {
        assert!(bytes == &b[name], "{name} differs");
    }
}

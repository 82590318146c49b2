//! The manifest of a corpus directory and the record of a shard.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use behemoth_gen::shard::{Verification, WriteOptions, verify, write};
use behemoth_gen::{Corpus, Progress, Result, Spec};
use serde::Deserialize;
use tempfile::TempDir;

use super::{in_memory, refused};

const MANIFEST: &str = "manifest.json";
const RECORD: &str = "tokens/00001.json";

/// The fields of a record, all of which are verified.
#[derive(Debug, PartialEq, Deserialize)]
struct Record {
    file: String,
    first_document: u64,
    documents: u64,
    tokens: u64,
    bytes: u64,
    blake3: String,
    spec_hash: String,
}

/// A directory of two shards, restored for each input.
struct Fixture {
    corpus: Corpus,
    directory: TempDir,
    files: Vec<(PathBuf, Vec<u8>)>,
}

static FIXTURE: Mutex<Option<Fixture>> = Mutex::new(None);

impl Fixture {
    fn new() -> Self {
        let spec = Spec::from_toml(include_str!("../directory.toml")).unwrap();
        let corpus = Corpus::from_spec(spec).unwrap();
        let directory = TempDir::new_in(in_memory()).unwrap();
        let mut fixture = Fixture {
            corpus,
            directory,
            files: Vec::new(),
        };
        fixture.write().unwrap();
        for name in [
            "spec.toml",
            MANIFEST,
            "tokens/00000.bin",
            "tokens/00000.json",
        ]
        .into_iter()
        .chain(["tokens/00001.bin", RECORD])
        {
            let path = fixture.path().join(name);
            let bytes = fs::read(&path).unwrap();
            fixture.files.push((path, bytes));
        }
        fixture
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn write(&self) -> Result<bool> {
        let options = WriteOptions {
            threads: 1,
            ..WriteOptions::default()
        };
        let summary = write(&self.corpus, self.path(), &options, &Progress::default())?;
        Ok(summary.complete)
    }

    fn verify(&self) -> Result<Verification> {
        verify(&self.corpus, self.path(), 1, &Progress::default())
    }

    fn restore(&self) {
        for (path, bytes) in &self.files {
            if fs::read(path).ok().as_ref() != Some(bytes) {
                fs::write(path, bytes).unwrap();
            }
        }
    }
}

/// Calls `hold` with the single fixture: inputs are run one after the other.
fn with_fixture(hold: impl FnOnce(&Fixture) -> bool) -> bool {
    let mut guard: MutexGuard<'_, Option<Fixture>> =
        FIXTURE.lock().unwrap_or_else(PoisonError::into_inner);
    let fixture = guard.get_or_insert_with(Fixture::new);
    fixture.restore();
    hold(fixture)
}

/// A manifest is refused as that of another corpus, or verified, and a resumed write repairs it.
pub fn manifest(data: &[u8]) -> bool {
    with_fixture(|fixture| {
        fs::write(fixture.path().join(MANIFEST), data).unwrap();
        match (fixture.verify(), fixture.write()) {
            (Err(verified), Err(written)) => refused(&verified) || refused(&written),
            (Ok(found), Ok(complete)) => {
                assert!(complete);
                assert_eq!(fixture.verify().unwrap().bad, []);
                found.bad.is_empty()
            }
            (verified, written) => panic!("one of the two is refused: {verified:?}, {written:?}"),
        }
    })
}

/// A record other than the written one is detected, or its shard is written again.
pub fn record(data: &[u8]) -> bool {
    with_fixture(|fixture| {
        let path = fixture.path().join(RECORD);
        fs::write(&path, data).unwrap();
        let found = fixture.verify().unwrap();
        fixture.write().unwrap();
        let read = |text: &[u8]| serde_json::from_slice::<Record>(text).ok();
        let (_, written) = fixture.files.last().unwrap();
        if read(&fs::read(&path).unwrap()) == read(written) {
            assert_eq!(fixture.verify().unwrap().bad, []);
        } else {
            assert_ne!(found.bad, [], "a record of something else");
        }
        found.bad.is_empty()
    })
}

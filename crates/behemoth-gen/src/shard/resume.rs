//! The state of a corpus directory: its owner, free space and the shards already present.

// Handles user input: no indexing that can panic.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::files::{self, create_directories, read_if_there, write_atomically, write_if_new};
use super::manifest::{Found, Manifest, ShardRecord, read_record};
use super::names::{self, FOLDERS, MANIFEST, SPEC, TOKENS, shard_file};
use super::plan::ShardPlan;
use crate::corpus::Corpus;
use crate::error::{DISK_RESERVE, Error, Result};
use crate::spec::Spec;
use crate::system;

/// Refuses a directory that contains something else; returns whether to start over.
pub(super) fn prepare(directory: &Path, corpus: &Corpus, force: bool) -> Result<bool> {
    match Manifest::find(directory, corpus.spec())? {
        Found::Same => return Ok(force),
        Found::Other(_) if force => return Ok(true),
        Found::Other(e) | Found::Foreign(e) => return Err(e),
        Found::Nothing => {}
    }
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(Error::io("read", directory)(e)),
    };
    let names = entries
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect::<std::io::Result<Vec<_>>>()
        .map_err(Error::io("read", directory))?;
    // Another job of an array may have started here, writing the spec first; its files are not
    // foreign. The spec is therefore read after the names: for every name that was seen, the spec
    // exists by now.
    let spec = read_if_there(&directory.join(SPEC))?;
    // A forced removal that was killed leaves the spec and some shards. Without shards it may be a
    // directory that `behemoth import` wrote, with the only copy of its table.
    let killed = directory.join(TOKENS).is_dir();
    let is_spec = |bytes: &Vec<u8>| {
        std::str::from_utf8(bytes).is_ok_and(|text| Spec::from_toml(text).is_ok())
    };
    if force && killed && spec.as_ref().is_some_and(is_spec) {
        return Ok(true);
    }
    let are_all = |is_ours: fn(&str) -> bool| names.iter().all(|name| is_ours(name));
    let begun = match spec {
        None => false,
        // The engine wrote it, or a user has copied it: into a folder of the user's own, without
        // the directory of shards that the engine makes next.
        Some(spec) if spec == corpus.spec().to_toml().as_bytes() => {
            killed || are_all(|name| name == SPEC || names::is_passing(name))
        }
        // The engine wrote it and a user has added comments, or a user wrote all of it, from which
        // the corpus follows as well: only the record of a shard tells that it was begun here.
        Some(spec) => killed && is_spec_of(&spec, corpus) && has_shard(directory, corpus)?,
    };
    if begun || are_all(names::is_passing) {
        Ok(false)
    } else {
        Err(of_something_else(directory))
    }
}

/// Returns `true` if a shard of a corpus is present.
fn has_shard(directory: &Path, corpus: &Corpus) -> Result<bool> {
    let hash = corpus.spec().hash();
    for shard in 0..ShardPlan::new(corpus).count {
        if whole(directory, shard, &hash)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns `true` if a file of the directory is the spec of a corpus, in which a user may have
/// written comments; one that a user wrote is the spec of the corpus that is made from it.
pub(super) fn is_spec_of(bytes: &[u8], corpus: &Corpus) -> bool {
    if bytes == corpus.spec().to_toml().as_bytes() {
        return true;
    }
    let text = std::str::from_utf8(bytes).ok();
    let found = text.and_then(|text| Spec::from_toml(text).ok());
    found.is_some_and(|spec| spec.hash() == corpus.spec().hash())
}

fn of_something_else(directory: &Path) -> Error {
    let reason = "is not empty and not this corpus; choose another directory";
    Error::corpus(directory, reason)
}

/// Creates the spec, the directory of the shards and the manifest.
///
/// Other corpora may have begun in a new directory since [`prepare`] read it: the first spec there
/// stays, and all others are refused.
pub(super) fn begin(
    corpus: &Corpus,
    directory: &Path,
    plan: &ShardPlan,
    fresh: bool,
) -> Result<()> {
    let (spec, text) = (directory.join(SPEC), corpus.spec().to_toml());
    let tokens = directory.join(TOKENS);
    if fresh {
        // The old spec and this folder identify a removal that was killed, which can then be
        // resumed: the folder stays, and the new spec replaces the old one at the end.
        create_directories(&tokens)?;
        clear(directory)?;
        write_atomically(&spec, text.as_bytes())?;
    }
    create_directories(directory)?;
    write_if_new(&spec, text.as_bytes())?;
    let found = read_if_there(&spec)?;
    if !found.is_some_and(|found| is_spec_of(&found, corpus)) {
        return Err(of_something_else(directory));
    }
    create_directories(&tokens)?;
    // An incomplete shard of a killed run may have any size.
    sweep(directory);
    let manifest = directory.join(MANIFEST);
    if !manifest.exists() {
        let text = manifest_text(corpus, plan, &vec![None; plan.count as usize]);
        write_if_new(&manifest, text.as_bytes())?;
    }
    match Manifest::find(directory, corpus.spec())? {
        Found::Same => Ok(()),
        Found::Other(e) | Found::Foreign(e) => Err(e),
        Found::Nothing => Err(of_something_else(directory)),
    }
}

/// Removes the files of a corpus and nothing else, except for its spec and the directory of its
/// shards: files with other names stay, and so do the folders that contain them.
fn clear(directory: &Path) -> Result<()> {
    // The manifest first: without it, the rest is not mistaken for a corpus.
    for name in [MANIFEST, "table.parquet", "exposures.parquet"] {
        remove(&directory.join(name))?;
    }
    for (name, is_ours) in FOLDERS {
        let folder = directory.join(name);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            Err(e) => return Err(Error::io("read", &folder)(e)),
        };
        for entry in entries {
            let entry = entry.map_err(Error::io("read", &folder))?;
            if entry.file_name().to_str().is_some_and(is_ours) {
                remove(&entry.path())?;
            }
        }
        if name != TOKENS {
            // Fails if the folder contains other files.
            let _ = fs::remove_dir(&folder);
        }
    }
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io("remove", path)(e)),
        _ => Ok(()),
    }
}

/// Returns the number of bytes of all files in the directory of the shards.
pub(super) fn tokens_bytes(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory.join(TOKENS)) else {
        return 0;
    };
    let sizes = entries.filter_map(|entry| entry.ok()?.metadata().ok());
    sizes.map(|metadata| metadata.len()).sum()
}

/// Removes temporary files of killed runs.
pub(super) fn sweep(directory: &Path) {
    files::sweep(&[directory.to_path_buf(), directory.join(TOKENS)]);
}

/// Returns the record of a shard that is present in full length.
pub(super) fn whole(directory: &Path, shard: u64, spec_hash: &str) -> Result<Option<ShardRecord>> {
    // A record may be forged: it must be of this file, with a number of tokens that fits its bytes.
    let is_its_own = |record: &ShardRecord| {
        let widths = [2, 4].map(|width| record.tokens.checked_mul(width));
        record.file == shard_file(shard) && widths.contains(&Some(record.bytes))
    };
    let Some(record) = read_record(directory, shard, spec_hash)?.filter(is_its_own) else {
        return Ok(None);
    };
    let path = directory.join(shard_file(shard));
    match fs::metadata(&path) {
        Ok(metadata) if metadata.len() == record.bytes => Ok(Some(record)),
        Ok(_) => Ok(None),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("read", &path)(e)),
    }
}

/// Refuses to start if the disk has too little space to finish.
pub(super) fn require_room(directory: &Path, needed: u64, freed: u64) -> Result<()> {
    let free = free_bytes(directory)?.saturating_add(freed);
    if needed.saturating_add(DISK_RESERVE) > free {
        return Err(Error::Disk {
            path: directory.to_path_buf(),
            needed,
            free,
        });
    }
    Ok(())
}

/// Returns the number of bytes available to the user in the file system of a directory, or of its
/// nearest existing parent.
///
/// # Errors
///
/// Returns [`Error::Io`] if the file system cannot be queried.
pub fn free_bytes(directory: &Path) -> Result<u64> {
    let mut at: PathBuf = std::path::absolute(directory).map_err(Error::io("find", directory))?;
    while !at.exists() && at.pop() {}
    system::free_bytes(&at).map_err(Error::io("read", &at))
}

pub(super) fn write_manifest(
    corpus: &Corpus,
    directory: &Path,
    plan: &ShardPlan,
    records: &[Option<ShardRecord>],
) -> Result<()> {
    let text = manifest_text(corpus, plan, records);
    write_atomically(&directory.join(MANIFEST), text.as_bytes())
}

fn manifest_text(corpus: &Corpus, plan: &ShardPlan, records: &[Option<ShardRecord>]) -> String {
    let manifest = Manifest::new(corpus, plan, records);
    let mut text = serde_json::to_string_pretty(&manifest).expect("plain data");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus(seed: u64) -> Corpus {
        let text = format!("[world]\nsubjects = 40\nseed = {seed}\n[corpus]\n");
        Corpus::from_spec(Spec::from_toml(&text).unwrap()).unwrap()
    }

    fn start(corpus: &Corpus, directory: &Path, fresh: bool) -> Result<()> {
        begin(corpus, directory, &ShardPlan::new(corpus), fresh)
    }

    #[test]
    fn of_two_corpora_that_begin_in_one_new_directory_the_second_is_refused() {
        let place = tempfile::TempDir::new().unwrap();
        let [one, other] = [1, 2].map(corpus);
        // Both have found nothing there.
        for corpus in [&one, &other] {
            assert!(!prepare(place.path(), corpus, false).unwrap());
        }
        start(&one, place.path(), false).unwrap();
        let error = start(&other, place.path(), false).unwrap_err().to_string();
        assert!(
            error.ends_with(": is not empty and not this corpus; choose another directory"),
            "{error}"
        );
        // Another job of the same corpus goes on.
        start(&one, place.path(), false).unwrap();
        let spec = fs::read_to_string(place.path().join(SPEC)).unwrap();
        assert_eq!(spec, one.spec().to_toml());
        let left = fs::read_dir(place.path()).unwrap().count();
        assert_eq!(
            left, 3,
            "the spec, the manifest and the directory of shards"
        );
    }

    #[test]
    fn a_forced_removal_that_was_killed_at_its_end_can_be_resumed() {
        let place = tempfile::TempDir::new().unwrap();
        let [one, other] = [1, 2].map(corpus);
        start(&one, place.path(), false).unwrap();
        fs::write(place.path().join("notes.txt"), "the user's own").unwrap();
        clear(place.path()).unwrap();
        assert!(prepare(place.path(), &other, true).unwrap());
        start(&other, place.path(), true).unwrap();
        let found = Manifest::find(place.path(), other.spec()).unwrap();
        assert!(matches!(found, Found::Same), "{found:?}");
        let spec = fs::read_to_string(place.path().join(SPEC)).unwrap();
        assert_eq!(spec, other.spec().to_toml());
    }

    #[test]
    fn a_folder_with_a_spec_of_the_users_own_is_not_a_corpus_begun_there() {
        let corpus = corpus(1);
        let engine = corpus.spec().to_toml();
        let commented = format!("# Mine.\n{engine}");
        let short = "[world]\nsubjects = 40\nseed = 1\n[corpus]\n";
        assert_eq!(Spec::from_toml(short).unwrap().hash(), corpus.spec().hash());
        for (spec, others, allowed) in [
            (short, &[][..], false),
            (short, &["notes.txt"], false),
            (short, &["tokens/"], false),
            (
                short,
                &[
                    "tokens/",
                    "tokens/00000.bin",
                    "probes/",
                    "probes/own.parquet",
                ],
                false,
            ),
            (&commented, &[], false),
            (&commented, &["tokens/", "notes.txt"], false),
            // A copy of what the engine writes.
            (&engine, &[], true),
            (&engine, &["spec.toml.0123456789abcdef.partial"], true),
            (&engine, &["notes.txt"], false),
            (&engine, &["probes/", "probes/own.parquet"], false),
            (&engine, &["table.parquet"], false),
            // Files that were added to a corpus without shards.
            (&engine, &["tokens/", "notes.txt"], true),
        ] {
            let place = tempfile::TempDir::new().unwrap();
            fs::write(place.path().join(SPEC), spec).unwrap();
            for other in others {
                match other.strip_suffix('/') {
                    Some(folder) => fs::create_dir(place.path().join(folder)).unwrap(),
                    None => fs::write(place.path().join(other), "the user's own").unwrap(),
                }
            }
            let found = prepare(place.path(), &corpus, false).map_err(|error| error.to_string());
            let refusal = format!(
                "{}: is not empty and not this corpus; choose another directory",
                place.path().display()
            );
            let expected = if allowed { Ok(false) } else { Err(refusal) };
            assert_eq!(found, expected, "{spec} beside {others:?}");
        }
    }

    #[test]
    fn a_manifest_of_another_corpus_is_refused_beside_an_own_spec() {
        let place = tempfile::TempDir::new().unwrap();
        let [one, other] = [1, 2].map(corpus);
        start(&other, place.path(), false).unwrap();
        fs::write(place.path().join(SPEC), one.spec().to_toml()).unwrap();
        let error = start(&one, place.path(), false).unwrap_err().to_string();
        assert!(
            error.contains(": contains another corpus (spec "),
            "{error}"
        );
    }
}

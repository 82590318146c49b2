//! The directory of a corpus: whose it is, whether there is room, what is there already.

// Reads what users wrote: nothing here may be out of bounds.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::files::{self, read_if_there, write_atomically};
use super::manifest::{Found, Manifest, ShardRecord, read_record};
use super::names::{self, FOLDERS, MANIFEST, SPEC, TOKENS, shard_file};
use super::plan::ShardPlan;
use crate::corpus::Corpus;
use crate::error::{DISK_RESERVE, Error, Result};
use crate::spec::Spec;

/// Refuses a directory of something else; gives whether it is to be begun anew.
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
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<std::io::Result<Vec<_>>>()
        .map_err(Error::io("read", directory))?;
    // Two jobs of an array may meet here: what another has begun, spec first, is not foreign. So
    // the spec is read after the names: a name that was seen has its spec beside it by now.
    let spec = read_if_there(&directory.join(SPEC))?;
    let begun = spec.as_deref() == Some(corpus.spec().to_toml().as_bytes());
    // A removal by force that was killed leaves the spec and some shards. Without shards it may
    // be a directory that `behemoth import` wrote, and its table the only copy.
    let killed = directory.join(TOKENS).is_dir();
    let is_spec = |bytes: Vec<u8>| {
        std::str::from_utf8(&bytes).is_ok_and(|text| Spec::from_toml(text).is_ok())
    };
    if force && killed && spec.is_some_and(is_spec) {
        return Ok(true);
    }
    for name in names {
        if !begun && !names::is_passing(&name.to_string_lossy()) {
            return Err(Error::corpus(
                directory,
                "is not empty and not this corpus; choose another directory",
            ));
        }
    }
    Ok(false)
}

/// Makes the directory one of this corpus: spec, place of the shards, manifest.
pub(super) fn begin(
    corpus: &Corpus,
    directory: &Path,
    plan: &ShardPlan,
    fresh: bool,
) -> Result<()> {
    if fresh {
        clear(directory)?;
    }
    fs::create_dir_all(directory).map_err(Error::io("create", directory))?;
    let spec = directory.join(SPEC);
    if !spec.exists() {
        write_atomically(&spec, corpus.spec().to_toml().as_bytes())?;
    }
    let tokens = directory.join(TOKENS);
    fs::create_dir_all(&tokens).map_err(Error::io("create", &tokens))?;
    // Half a shard of a killed run may be of any size.
    sweep(directory);
    if !directory.join(MANIFEST).exists() {
        write_manifest(corpus, directory, plan, &vec![None; plan.count as usize])?;
    }
    Ok(())
}

/// Removes what belongs to a corpus, and nothing else: files of other names stay, and so does the
/// folder that they lie in.
fn clear(directory: &Path) -> Result<()> {
    // The manifest first: without it, what is left is not taken for a corpus. The spec last: by
    // it a removal that was killed is known for what it is, and can be gone on with.
    for name in [MANIFEST, "table.parquet", "exposures.parquet"] {
        remove(&directory.join(name))?;
    }
    for (folder, is_ours) in FOLDERS {
        let folder = directory.join(folder);
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
        // Not empty: somebody else's files are in it.
        let _ = fs::remove_dir(&folder);
    }
    remove(&directory.join(SPEC))
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io("remove", path)(e)),
        _ => Ok(()),
    }
}

/// Bytes of all shards that are there.
pub(super) fn tokens_bytes(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory.join(TOKENS)) else {
        return 0;
    };
    let sizes = entries.filter_map(|entry| entry.ok()?.metadata().ok());
    sizes.map(|metadata| metadata.len()).sum()
}

/// Removes what killed runs left of files in work.
pub(super) fn sweep(directory: &Path) {
    files::sweep(&[directory.to_path_buf(), directory.join(TOKENS)]);
}

/// The record of a shard that is there in full length.
pub(super) fn whole(directory: &Path, shard: u64, spec_hash: &str) -> Result<Option<ShardRecord>> {
    // A record may be of anybody: it is of this file, and of tokens that such a file can hold.
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

/// Refuses to begin what cannot be finished for want of disk.
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

/// Bytes that a user may still write in the file system of a directory, or of its nearest parent
/// that exists.
pub fn free_bytes(directory: &Path) -> Result<u64> {
    let mut at: PathBuf = std::path::absolute(directory).map_err(Error::io("find", directory))?;
    while !at.exists() && at.pop() {}
    let status = rustix::fs::statvfs(&at).map_err(|e| Error::io("read", &at)(e.into()))?;
    Ok(status.f_bavail.saturating_mul(status.f_frsize))
}

pub(super) fn write_manifest(
    corpus: &Corpus,
    directory: &Path,
    plan: &ShardPlan,
    records: &[Option<ShardRecord>],
) -> Result<()> {
    let manifest = Manifest::new(corpus, plan, records);
    let mut text = serde_json::to_string_pretty(&manifest).expect("plain data");
    text.push('\n');
    write_atomically(&directory.join(MANIFEST), text.as_bytes())
}

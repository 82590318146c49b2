//! Verifying a corpus directory by recomputing it.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;

use serde::Serialize;

use super::files::read_if_there;
use super::manifest::{Found, Manifest, read_record};
use super::names::{MANIFEST, SPEC, record_file, shard_file};
use super::plan::ShardPlan;
use super::resume::is_spec_of;
use crate::corpus::{Corpus, Progress, in_turn};
use crate::error::{Error, Result};
use crate::vocabulary::Token;

/// The result of [`verify()`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Verification {
    /// Number of shards in the corpus.
    pub shards: u64,
    /// Number of tokens in the correct shards.
    pub tokens: u64,
    /// Files that are not correct.
    pub bad: Vec<BadFile>,
    /// Files of missing shards.
    pub missing: Vec<String>,
}

/// A file that is not correct.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BadFile {
    /// Number of the shard; `None` for the manifest and the spec.
    pub shard: Option<u64>,
    /// Path from the corpus directory.
    pub file: String,
    /// What is wrong with the file.
    pub reason: String,
}

/// Recomputes every shard from the spec and compares every token, the hash and the record, and also
/// the manifest and the spec; `threads` is the number of threads (0: one per core). Progress is in
/// bytes.
///
/// # Errors
///
/// Returns [`Error::Corpus`] if the directory is not one of this corpus, [`Error::Io`] if a file
/// cannot be read, and [`Error::Cancelled`] if `progress` is cancelled. Files that differ are not
/// errors: the result lists them.
pub fn verify(
    corpus: &Corpus,
    directory: &Path,
    threads: usize,
    progress: &Progress,
) -> Result<Verification> {
    let spec_hash = corpus.spec().hash();
    match Manifest::find(directory, corpus.spec())? {
        Found::Same => {}
        Found::Other(e) | Found::Foreign(e) => return Err(e),
        Found::Nothing => {
            return Err(Error::corpus(
                directory,
                format!("is not a corpus: it has no {MANIFEST}"),
            ));
        }
    }
    let plan = ShardPlan::new(corpus);
    plan.check()?;
    let found = Mutex::new(Verification {
        shards: plan.count,
        ..Verification::default()
    });
    in_turn(
        threads,
        plan.count as usize,
        || (),
        |(), shard| {
            // A missing shard has no other check for cancellation.
            progress.add(0)?;
            let shard = shard as u64;
            let documents = plan.documents(shard);
            let checked = if corpus.token_bytes() == 2 {
                check_shard::<u16>(corpus, directory, shard, documents, &spec_hash, progress)
            } else {
                check_shard::<u32>(corpus, directory, shard, documents, &spec_hash, progress)
            }?;
            let mut found = found.lock().expect("no thread panics");
            match checked {
                Checked::Good(tokens) => found.tokens += tokens,
                Checked::Missing => found.missing.push(shard_file(shard)),
                Checked::Bad(reason) => found.bad.push(BadFile {
                    shard: Some(shard),
                    file: shard_file(shard),
                    reason,
                }),
            }
            Ok(())
        },
    )?;
    corpus.check_read()?;
    let mut found = found.into_inner().expect("no thread panics");
    found.bad.sort_by_key(|bad| bad.shard);
    found.missing.sort();
    found
        .bad
        .extend(check_descriptions(corpus, directory, &plan, progress)?);
    Ok(found)
}

/// Compares the manifest and the spec with their expected content, given the records that are
/// present.
fn check_descriptions(
    corpus: &Corpus,
    directory: &Path,
    plan: &ShardPlan,
    progress: &Progress,
) -> Result<Vec<BadFile>> {
    let spec_hash = corpus.spec().hash();
    let mut records = (0..plan.count)
        .map(|shard| {
            progress.add(0)?;
            read_record(directory, shard, &spec_hash)
        })
        .collect::<Result<Vec<_>>>()?;
    // If a record is missing, its shard is reported already; only the fields of the manifest that
    // do not depend on records are then compared.
    let unknown: &[&str] = if records.iter().any(Option::is_none) {
        records.fill(None);
        &["counts", "shards", "complete", "behemoth"]
    } else {
        &["behemoth"]
    };
    let path = directory.join(MANIFEST);
    let text = fs::read(&path).map_err(Error::io("read", &path))?;
    let mut bad = Vec::new();
    let mut report = |file: &str, reason: String| {
        bad.push(BadFile {
            shard: None,
            file: file.into(),
            reason,
        });
    };
    let wanted = serde_json::to_value(Manifest::new(corpus, plan, &records)).expect("plain data");
    let got: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
    let fields = wanted.as_object().into_iter().flatten();
    for (field, value) in fields.filter(|(field, _)| !unknown.contains(&field.as_str())) {
        if got.get(field) != Some(value) {
            report(MANIFEST, format!("has another '{field}' than the corpus"));
        }
    }
    let spec = read_if_there(&directory.join(SPEC))?;
    if !spec.is_some_and(|text| is_spec_of(&text, corpus)) {
        report(SPEC, "is not the spec of the manifest".into());
    }
    Ok(bad)
}

enum Checked {
    Good(u64),
    Missing,
    Bad(String),
}

fn check_shard<T: Token + bytemuck::Pod + PartialEq>(
    corpus: &Corpus,
    directory: &Path,
    shard: u64,
    documents: Range<u64>,
    spec_hash: &str,
    progress: &Progress,
) -> Result<Checked> {
    let path = directory.join(shard_file(shard));
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Checked::Missing),
        Err(e) => return Err(Error::io("read", &path)(e)),
    };
    let length = file.metadata().map_err(Error::io("read", &path))?.len();
    let Some(record) = read_record(directory, shard, spec_hash)? else {
        return Ok(Checked::Bad(format!(
            "has no readable completion record of this corpus, {}",
            record_file(shard)
        )));
    };
    if length != record.bytes {
        return Ok(Checked::Bad(format!(
            "has {length} bytes, but its record states {}",
            record.bytes
        )));
    }
    let (at, hash) = match compare::<T>(corpus, (&mut file, &path), documents.clone(), progress)? {
        Ok(same) => same,
        Err(reason) => return Ok(Checked::Bad(reason)),
    };
    if at != length {
        return Ok(Checked::Bad(format!(
            "has {length} bytes, but its spec requires {at}"
        )));
    }
    if hash != record.blake3 {
        return Ok(Checked::Bad(
            "matches its spec, but its record has another hash".into(),
        ));
    }
    if (record.first_document, record.documents, record.tokens)
        != (
            documents.start,
            documents.end - documents.start,
            at / T::BYTES as u64,
        )
        || record.file != shard_file(shard)
    {
        return Ok(Checked::Bad(
            "has a record with other counts or of another file".into(),
        ));
    }
    Ok(Checked::Good(record.tokens))
}

/// Number of bytes of a shard and their hash, or the first difference from its spec.
type Compared = std::result::Result<(u64, String), String>;

/// Compares a shard with its documents recomputed from the spec.
fn compare<T: Token + bytemuck::Pod>(
    corpus: &Corpus,
    (file, path): (&mut File, &Path),
    documents: Range<u64>,
    progress: &Progress,
) -> Result<Compared> {
    let writer = corpus.writer::<T>();
    let batch = corpus.batch_documents();
    let mut expected = vec![T::default(); corpus.room(batch as usize)];
    let mut read = vec![0u8; expected.len() * T::BYTES];
    let mut hasher = blake3::Hasher::new();
    let length = file.metadata().map_err(Error::io("read", path))?.len();
    let (mut at, mut document) = (0u64, documents.start);
    while document < documents.end {
        let last = (document + batch).min(documents.end);
        let tokens = corpus.emit(&writer, document..last, &mut expected);
        let wanted: &[u8] = bytemuck::cast_slice(&expected[..tokens]);
        let got = &mut read[..wanted.len()];
        match file.read_exact(got) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => {
                return Ok(Err(format!(
                    "ends after {length} bytes, inside documents {document} to {last}"
                )));
            }
            Err(e) => return Err(Error::io("read", path)(e)),
        }
        hasher.update(got);
        if wanted != got {
            let byte = wanted.iter().zip(got.iter()).position(|(a, b)| a != b);
            let token = (at + byte.unwrap_or(0) as u64) / T::BYTES as u64;
            return Ok(Err(format!(
                "differs from its spec at token {token}, inside documents {document} to {last}"
            )));
        }
        at += wanted.len() as u64;
        document = last;
        progress.add(wanted.len() as u64)?;
    }
    Ok(Ok((at, hasher.finalize().to_hex().to_string())))
}

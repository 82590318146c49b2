//! The manifest of a corpus directory and the records of its shards, as JSON.

// Handles user input: no indexing that can panic.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::files::read_if_there;
use super::names::{MANIFEST, record_file, shard_file};
use super::plan::ShardPlan;
use crate::canonical::sorted;
use crate::corpus::Corpus;
use crate::error::{Error, Result};
use crate::spec::{FormatVersion, Spec};

/// The record of a finished shard; its presence means that the shard is complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ShardRecord {
    /// Path from the corpus directory.
    pub file: String,
    /// Number of the first document.
    pub first_document: u64,
    /// Number of documents, those without tokens included.
    pub documents: u64,
    /// Number of tokens.
    pub tokens: u64,
    /// Number of bytes.
    pub bytes: u64,
    /// BLAKE3 of the bytes.
    pub blake3: String,
    /// Hash of the spec that it was generated from.
    pub spec_hash: String,
}

/// The sizes of a corpus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    /// Number of subjects.
    pub subjects: u64,
    /// Number of relations of a subject.
    pub relations: u64,
    /// Number of link relations.
    pub link_relations: u64,
    /// Number of facts, link facts included.
    pub facts: u64,
    /// Number of sentences that are written.
    pub sentences: u64,
    /// Number of documents, those without tokens included.
    pub documents: u64,
    /// Number of tokens; present once every shard is complete.
    pub tokens: Option<u64>,
}

/// The description of a corpus directory.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Manifest {
    /// Version of the output bytes.
    pub format_version: FormatVersion,
    /// Version of the program that wrote it.
    pub behemoth: String,
    /// Hash of the spec.
    pub spec_hash: String,
    /// The spec, in the form that is hashed.
    #[serde(serialize_with = "sorted")]
    pub spec: serde_json::Value,
    /// Type of the tokens: `uint16` or `uint32`, little-endian.
    pub dtype: &'static str,
    /// Sizes of the corpus.
    pub counts: Counts,
    /// The partition of the token ids.
    #[serde(serialize_with = "sorted")]
    pub vocabulary: serde_json::Value,
    /// Every shard, with tokens and hash once it is complete.
    pub shards: Vec<ShardEntry>,
    /// Whether every shard is complete.
    pub complete: bool,
}

/// A shard in the manifest.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ShardEntry {
    /// Path from the corpus directory.
    pub file: String,
    /// Number of the first document.
    pub first_document: u64,
    /// Number of documents.
    pub documents: u64,
    /// Number of tokens, once written.
    pub tokens: Option<u64>,
    /// Number of bytes, once written.
    pub bytes: Option<u64>,
    /// BLAKE3 of the bytes, once written.
    pub blake3: Option<String>,
}

/// The two fields that decide whether a directory can be resumed.
#[derive(Deserialize)]
struct Identity {
    format_version: u32,
    spec_hash: String,
}

/// The result of [`Manifest::find`].
#[derive(Debug)]
pub(super) enum Found {
    /// No manifest.
    Nothing,
    /// The manifest of this corpus.
    Same,
    /// The manifest of another corpus or another version, as an error.
    Other(Error),
    /// A file of that name that is not a manifest, as an error.
    Foreign(Error),
}

impl Manifest {
    /// Describes a corpus with the records of its shards, in the order of `plan`.
    pub(super) fn new(corpus: &Corpus, plan: &ShardPlan, records: &[Option<ShardRecord>]) -> Self {
        let world = corpus.world();
        let complete = records.iter().all(Option::is_some);
        let shards = (0..plan.count)
            .zip(records)
            .map(|(shard, record)| ShardEntry {
                file: shard_file(shard),
                first_document: plan.documents(shard).start,
                documents: plan.documents(shard).end - plan.documents(shard).start,
                tokens: record.as_ref().map(|r| r.tokens),
                bytes: record.as_ref().map(|r| r.bytes),
                blake3: record.as_ref().map(|r| r.blake3.clone()),
            })
            .collect();
        Manifest {
            format_version: corpus.spec().format_version,
            behemoth: env!("CARGO_PKG_VERSION").to_string(),
            spec_hash: corpus.spec().hash(),
            spec: parse(&corpus.spec().to_json()),
            dtype: dtype(corpus),
            counts: Counts {
                subjects: world.subjects(),
                relations: u64::from(world.relations()),
                link_relations: world.links().len() as u64,
                facts: world.facts(),
                sentences: corpus.sentences(),
                documents: corpus.documents(),
                // Records may be forged: a sum beyond 64 bits becomes `None`.
                tokens: records
                    .iter()
                    .try_fold(0u64, |sum, record| sum.checked_add(record.as_ref()?.tokens)),
            },
            vocabulary: parse(&corpus.vocabulary().to_json()),
            shards,
            complete,
        }
    }

    /// Reads a directory's manifest and compares it with a spec.
    pub(super) fn find(directory: &Path, spec: &Spec) -> Result<Found> {
        let path = directory.join(MANIFEST);
        let Some(text) = read_if_there(&path)? else {
            return Ok(Found::Nothing);
        };
        let found: Identity = match serde_json::from_slice(&text) {
            Ok(found) => found,
            Err(e) => {
                let reason = format!("not a manifest of behemoth: {e}");
                return Ok(Found::Foreign(Error::corpus(&path, reason)));
            }
        };
        let (found_version, asked) = (found.format_version, spec.format_version);
        if FormatVersion::from_number(found_version).is_err() {
            return Ok(Found::Other(Error::corpus(
                &path,
                format!(
                    "format version {found_version}, and this version of behemoth reads and writes {}",
                    FormatVersion::known()
                ),
            )));
        }
        if found_version != asked.number() {
            return Ok(Found::Other(Error::corpus(
                directory,
                format!(
                    "contains a corpus of format version {found_version}, not {asked}; choose another directory, or `force` to replace it"
                ),
            )));
        }
        let spec_hash = spec.hash();
        if found.spec_hash != spec_hash {
            return Ok(Found::Other(Error::corpus(
                directory,
                format!(
                    "contains another corpus (spec {}, not {}); choose another directory, or `force` to replace it",
                    short(&found.spec_hash),
                    short(&spec_hash)
                ),
            )));
        }
        Ok(Found::Same)
    }
}

/// Returns the type of the tokens: `uint16` or `uint32`.
pub fn dtype(corpus: &Corpus) -> &'static str {
    if corpus.token_bytes() == 2 {
        "uint16"
    } else {
        "uint32"
    }
}

/// Returns the record of a shard, if it is readable and of this spec.
pub(super) fn read_record(
    directory: &Path,
    shard: u64,
    spec_hash: &str,
) -> Result<Option<ShardRecord>> {
    let path = directory.join(record_file(shard));
    let Some(text) = read_if_there(&path)? else {
        return Ok(None);
    };
    Ok(serde_json::from_slice::<ShardRecord>(&text)
        .ok()
        .filter(|record| record.spec_hash == spec_hash))
}

fn parse(json: &str) -> serde_json::Value {
    serde_json::from_str(json).expect("written by serde_json")
}

fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

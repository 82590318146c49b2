//! The JSON that describes a corpus directory, and the record beside each shard.

// Reads what users wrote: nothing here may be out of bounds.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::files::read_if_there;
use super::names::{MANIFEST, record_file, shard_file};
use super::plan::ShardPlan;
use crate::corpus::Corpus;
use crate::error::{Error, Result};
use crate::exposure::Exposures;
use crate::spec::{FormatVersion, Spec};

/// What a finished shard holds; its presence says that the shard is whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardRecord {
    /// Path from the corpus directory.
    pub file: String,
    /// First document.
    pub first_document: u64,
    /// Number of documents, those without tokens included.
    pub documents: u64,
    /// Number of tokens.
    pub tokens: u64,
    /// Number of bytes.
    pub bytes: u64,
    /// BLAKE3 of the bytes.
    pub blake3: String,
    /// Hash of the spec that it was made from.
    pub spec_hash: String,
}

/// What can be counted without writing anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
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
    /// Number of tokens; known once every shard is.
    pub tokens: Option<u64>,
}

/// A corpus directory, described.
#[derive(Clone, Debug, Serialize)]
pub struct Manifest {
    /// Version of the output bytes.
    pub format_version: FormatVersion,
    /// Version of the program that wrote it.
    pub behemoth: String,
    /// Hash of the spec.
    pub spec_hash: String,
    /// The spec, as it is hashed.
    pub spec: serde_json::Value,
    /// `uint16` or `uint32`, little-endian.
    pub dtype: &'static str,
    /// Sizes.
    pub counts: Counts,
    /// The partition of the token ids.
    pub vocabulary: serde_json::Value,
    /// Every shard; tokens and hash once it is whole.
    pub shards: Vec<ShardEntry>,
    /// Whether every shard is.
    pub complete: bool,
}

/// A shard in the manifest.
#[derive(Clone, Debug, Serialize)]
pub struct ShardEntry {
    /// Path from the corpus directory.
    pub file: String,
    /// First document.
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

/// The two fields that decide whether a directory can be gone on with.
#[derive(Deserialize)]
struct Identity {
    format_version: u32,
    spec_hash: String,
}

/// What [`Manifest::find`] found.
#[derive(Debug)]
pub(super) enum Found {
    /// No manifest.
    Nothing,
    /// The manifest of this corpus.
    Same,
    /// The manifest of another corpus or another version; the error says so.
    Other(Error),
    /// A file of that name that is none of ours; the error says so.
    Foreign(Error),
}

impl Manifest {
    /// Describes a corpus whose shards, as `plan` lists them, have these records.
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
                // Records may be of anybody: a sum beyond 64 bits is none.
                tokens: records
                    .iter()
                    .try_fold(0u64, |sum, record| sum.checked_add(record.as_ref()?.tokens)),
            },
            vocabulary: parse(&corpus.vocabulary().to_json()),
            shards,
            complete,
        }
    }

    /// What a directory's manifest says of the corpus with this spec.
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
                    "holds a corpus of format version {found_version}, and {asked} is asked for; choose another directory or replace it by force"
                ),
            )));
        }
        let spec_hash = spec.hash();
        if found.spec_hash != spec_hash {
            return Ok(Found::Other(Error::corpus(
                directory,
                format!(
                    "holds another corpus (spec {}, asked for {}); choose another directory or replace it by force",
                    short(&found.spec_hash),
                    short(&spec_hash)
                ),
            )));
        }
        Ok(Found::Same)
    }
}

/// `uint16` or `uint32`.
pub fn dtype(corpus: &Corpus) -> &'static str {
    if corpus.token_bytes() == 2 {
        "uint16"
    } else {
        "uint32"
    }
}

/// What exposures a corpus has, as JSON: how many facts at each number of exposures.
pub fn classes_json(exposures: &Exposures) -> String {
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for class in exposures.classes() {
        match merged.iter_mut().find(|(e, _)| *e == class.exposures) {
            Some((_, facts)) => *facts += class.facts,
            None => merged.push((class.exposures, class.facts)),
        }
    }
    merged.sort_unstable();
    let list: Vec<serde_json::Value> = merged
        .into_iter()
        .map(|(exposures, facts)| serde_json::json!({"exposures": exposures, "facts": facts}))
        .collect();
    serde_json::Value::from(list).to_string()
}

/// The record of a shard, if it has a readable one of this spec.
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

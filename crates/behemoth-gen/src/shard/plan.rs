//! The division of the documents into shards, a function of the spec.

use std::ops::Range;

use crate::corpus::{Corpus, PAGE_DOCUMENTS};
use crate::error::{Error, Result};

/// Maximum number of shards of a corpus: the manifest lists them.
const SHARD_LIMIT: u64 = 1 << 20;

/// The division of a corpus into shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShardPlan {
    /// Number of shards.
    pub count: u64,
    /// Number of documents in every shard but the last.
    pub each: u64,
    documents: u64,
}

impl ShardPlan {
    /// Divides a corpus into shards; a twin that omits facts has the division of its parent.
    pub fn new(corpus: &Corpus) -> Self {
        let documents = corpus.documents();
        let bytes = mean_document_bytes(corpus);
        let total = bytes * documents as f64;
        let target = corpus.spec().corpus.shard_bytes.map_or_else(
            || (total / 64.0).clamp((64u64 << 20) as f64, (1u64 << 30) as f64),
            |bytes| bytes as f64,
        );
        let pages = (target / bytes / PAGE_DOCUMENTS as f64).floor().max(1.0) as u64;
        let each = pages.saturating_mul(PAGE_DOCUMENTS);
        ShardPlan {
            count: documents.div_ceil(each),
            each,
            documents,
        }
    }

    /// Refuses more than [`SHARD_LIMIT`] shards.
    pub(super) fn check(&self) -> Result<()> {
        if self.count <= SHARD_LIMIT {
            return Ok(());
        }
        Err(Error::argument(
            "shard_bytes",
            format!("a size that makes {} shards", self.count),
            format!("a size that makes at most {SHARD_LIMIT}"),
        ))
    }

    /// Returns the documents of a shard; the range is empty if there is no such shard.
    pub fn documents(&self, shard: u64) -> Range<u64> {
        let before = |shard: u64| shard.saturating_mul(self.each).min(self.documents);
        before(shard)..before(shard.saturating_add(1))
    }
}

/// Returns the number of bytes of the complete corpus: exact if documents have a fixed length,
/// otherwise estimated from the first pages.
pub fn estimated_bytes(corpus: &Corpus) -> u64 {
    match corpus.document_tokens() {
        Some(tokens) => corpus
            .documents()
            .saturating_mul(tokens)
            .saturating_mul(corpus.token_bytes()),
        None => (mean_document_bytes(corpus) * corpus.documents() as f64) as u64,
    }
}

/// Returns the mean number of bytes of a document.
pub(super) fn mean_document_bytes(corpus: &Corpus) -> f64 {
    let tokens = match corpus.document_tokens() {
        Some(tokens) => tokens as f64,
        None => corpus.mean_document_tokens(),
    };
    tokens * corpus.token_bytes() as f64
}

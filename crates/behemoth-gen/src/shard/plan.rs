//! Which documents each shard holds: a function of the spec.

use std::ops::Range;

use crate::corpus::{Corpus, PAGE_DOCUMENTS};
use crate::error::{Error, Result};

/// Most shards of a corpus: the manifest lists them.
const SHARD_LIMIT: u64 = 1 << 20;

/// The shards of a corpus: a function of the spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShardPlan {
    /// Number of shards.
    pub count: u64,
    /// Documents of every shard but the last.
    pub each: u64,
    documents: u64,
}

impl ShardPlan {
    /// The shards of a corpus; twins that leave facts out have those of their parent.
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

    /// Refuses more shards than a corpus may have.
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

    /// The documents of a shard; none of one that the plan does not have.
    pub fn documents(&self, shard: u64) -> Range<u64> {
        let before = |shard: u64| shard.saturating_mul(self.each).min(self.documents);
        before(shard)..before(shard.saturating_add(1))
    }
}

/// Bytes of the whole corpus: exact where documents are of fixed length, else estimated from the
/// first pages.
pub fn estimated_bytes(corpus: &Corpus) -> u64 {
    match corpus.document_tokens() {
        Some(tokens) => corpus
            .documents()
            .saturating_mul(tokens)
            .saturating_mul(corpus.token_bytes()),
        None => (mean_document_bytes(corpus) * corpus.documents() as f64) as u64,
    }
}

/// Bytes of a document, on average.
pub(super) fn mean_document_bytes(corpus: &Corpus) -> f64 {
    let tokens = match corpus.document_tokens() {
        Some(tokens) => tokens as f64,
        None => corpus.mean_document_tokens(),
    };
    tokens * corpus.token_bytes() as f64
}

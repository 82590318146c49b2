//! Write, resume and verify the shards of a corpus directory.
//!
//! A shard is some pages of documents, made from first to last by one thread; threads take
//! shards in turn, so the bytes cannot depend on their number. Tokens are written by the engine
//! straight into the buffer that goes to the disk, past the page cache where the file system
//! allows it (`O_DIRECT`): on the machine this was tuned on that writes 3 GB/s where buffered
//! writes reach 1.1 to 1.8, and it costs no copy. Writing through a mapping of a new file was
//! three times slower.
//!
//! A shard has a temporary name until it is whole and synced; then it is renamed, then recorded.
//! A killed run loses the shards in work and nothing else.

mod directory;
mod file;
mod verify;

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Serialize;

use self::directory::{begin, prepare, require_room, sweep, tokens_bytes, whole, write_manifest};
use self::file::{ALIGNMENT, AlignedBuffer, DirectFile};
use crate::corpus::{Corpus, PAGE_DOCUMENTS, Progress, on_threads, threads_or_all};
use crate::error::{Error, Result};
use crate::manifest::{
    ShardRecord, TOKENS, record_file, shard_file, sync_directory, write_atomically,
};
use crate::template::Writer;
use crate::vocabulary::Token;

pub use self::directory::free_bytes;
pub use self::verify::{BadFile, Verification, verify};

/// Bytes that go to the disk at once. Smaller writes cost calls, larger ones cache misses.
const WRITE_BYTES: usize = 4 << 20;

/// How a corpus is written.
#[derive(Clone, Copy, Debug)]
pub struct WriteOptions {
    /// Number of threads; 0 for all there are.
    pub threads: usize,
    /// Which part of how many, from 0: for arrays of jobs that share a directory.
    pub part: (u64, u64),
    /// Whether a directory that holds another corpus is replaced.
    pub force: bool,
}

impl Default for WriteOptions {
    fn default() -> Self {
        WriteOptions {
            threads: 0,
            part: (0, 1),
            force: false,
        }
    }
}

/// What a call of [`write`] did, and what there is now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Shards written by this call.
    pub shards_written: u64,
    /// Shards of this part that were there already.
    pub shards_present: u64,
    /// Shards in the whole corpus.
    pub shards_total: u64,
    /// Shards of this part that another process is writing.
    pub shards_locked: u64,
    /// Whether the whole corpus is there.
    pub complete: bool,
    /// Tokens of this part that are there now.
    pub tokens: u64,
    /// Bytes of this part that are there now.
    pub bytes: u64,
    /// Tokens written by this call.
    pub tokens_written: u64,
    /// Bytes written by this call.
    pub bytes_written: u64,
}

/// Most shards of a corpus: the manifest lists them.
const SHARD_LIMIT: u64 = 1 << 20;

/// The shards of a corpus: a function of the spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
        let each = pages * PAGE_DOCUMENTS;
        ShardPlan {
            count: documents.div_ceil(each),
            each,
            documents,
        }
    }

    /// The documents of a shard.
    pub fn documents(&self, shard: u64) -> Range<u64> {
        shard * self.each..((shard + 1) * self.each).min(self.documents)
    }
}

/// Bytes of the whole corpus: exact where documents are of fixed length, else estimated from the
/// first pages.
pub fn estimated_bytes(corpus: &Corpus) -> u64 {
    match corpus.document_tokens() {
        Some(tokens) => corpus.documents() * tokens * corpus.token_bytes(),
        None => (mean_document_bytes(corpus) * corpus.documents() as f64) as u64,
    }
}

fn mean_document_bytes(corpus: &Corpus) -> f64 {
    let tokens = match corpus.document_tokens() {
        Some(tokens) => tokens as f64,
        None => corpus.mean_document_tokens(),
    };
    tokens * corpus.token_bytes() as f64
}

/// Writes a corpus, or a part of it, to a directory; goes on where an earlier call stopped.
/// Progress is in bytes.
pub fn write(
    corpus: &Corpus,
    directory: &Path,
    options: &WriteOptions,
    progress: &Progress,
) -> Result<Summary> {
    let (part, parts) = options.part;
    if parts == 0 || part >= parts {
        return Err(Error::argument(
            "part",
            format!("{part}/{parts}"),
            "i/n with i from 0 to n - 1",
        ));
    }
    if options.force && parts > 1 {
        return Err(Error::argument(
            "force",
            format!("true for part {part}/{parts}"),
            "false for a part: each job would remove what the others wrote",
        ));
    }
    let plan = ShardPlan::new(corpus);
    if plan.count > SHARD_LIMIT {
        // A corpus of so many bytes fails for want of disk, whatever its shards are.
        require_room(directory, estimated_bytes(corpus) / parts, 0)?;
        return Err(Error::argument(
            "shard_bytes",
            format!("a size that makes {} shards", plan.count),
            format!("a size that makes at most {SHARD_LIMIT}"),
        ));
    }
    let spec_hash = corpus.spec().hash();
    let at = |part: u64| (u128::from(part) * u128::from(plan.count) / u128::from(parts)) as u64;
    let mine = at(part)..at(part + 1);
    let mut summary = Summary {
        shards_total: plan.count,
        ..Summary::default()
    };
    let fresh = prepare(directory, corpus, &spec_hash, options.force)?;
    let mut waiting = Vec::new();
    for shard in mine {
        match whole(directory, shard, &spec_hash)?.filter(|_| !fresh) {
            Some(record) => {
                summary.shards_present += 1;
                summary.tokens += record.tokens;
                summary.bytes += record.bytes;
                progress.add(record.bytes)?;
            }
            None => waiting.push(shard),
        }
    }
    // Before anything is written, the directory itself included.
    let documents: u64 = waiting
        .iter()
        .map(|&shard| plan.documents(shard).end - plan.documents(shard).start)
        .sum();
    if documents > 0 {
        let needed = mean_document_bytes(corpus) * documents as f64;
        let freed = if fresh { tokens_bytes(directory) } else { 0 };
        require_room(directory, needed as u64, freed)?;
    }
    begin(corpus, directory, &plan, fresh)?;
    let next = AtomicUsize::new(0);
    let written = Mutex::new(&mut summary);
    let threads = threads_or_all(options.threads).min(waiting.len()).max(1);
    let job = Job {
        corpus,
        directory,
        spec_hash: &spec_hash,
        progress,
    };
    on_threads(threads, || {
        let work = |write: &mut dyn FnMut(u64, Range<u64>) -> Result<Option<ShardRecord>>| {
            while let Some(&shard) = waiting.get(next.fetch_add(1, Ordering::Relaxed)) {
                let record = write(shard, plan.documents(shard))?;
                let mut summary = written.lock().expect("no thread panics");
                match record {
                    Some(record) => {
                        summary.shards_written += 1;
                        summary.tokens += record.tokens;
                        summary.bytes += record.bytes;
                        summary.tokens_written += record.tokens;
                        summary.bytes_written += record.bytes;
                    }
                    None => summary.shards_locked += 1,
                }
            }
            Ok(())
        };
        let stop_others = |result: Result<()>| {
            if result.is_err() {
                next.store(usize::MAX / 2, Ordering::Relaxed);
            }
            result
        };
        stop_others(if corpus.token_bytes() == 2 {
            let mut shards = ShardWriter::<u16>::new(&job);
            work(&mut |shard, documents| shards.write(shard, documents))
        } else {
            let mut shards = ShardWriter::<u32>::new(&job);
            work(&mut |shard, documents| shards.write(shard, documents))
        })
    })?;
    finish(corpus, directory, &plan, &spec_hash, summary)
}

fn finish(
    corpus: &Corpus,
    directory: &Path,
    plan: &ShardPlan,
    spec_hash: &str,
    mut summary: Summary,
) -> Result<Summary> {
    let records: Vec<Option<ShardRecord>> = (0..plan.count)
        .map(|shard| whole(directory, shard, spec_hash))
        .collect::<Result<_>>()?;
    summary.complete = records.iter().all(Option::is_some);
    if summary.complete {
        sweep(directory);
        // Whoever finishes last sees all records; two that see them write the same bytes.
        write_manifest(corpus, directory, plan, &records)?;
    }
    Ok(summary)
}

struct Job<'a> {
    corpus: &'a Corpus,
    directory: &'a Path,
    spec_hash: &'a str,
    progress: &'a Progress,
}

/// One thread's share of the writing: its buffer is used for one shard after another.
struct ShardWriter<'a, T> {
    job: &'a Job<'a>,
    writer: Writer<'a, T>,
    buffer: AlignedBuffer,
    /// Documents that are made at a time.
    batch: u64,
}

impl<'a, T: Token + bytemuck::Pod> ShardWriter<'a, T> {
    fn new(job: &'a Job<'a>) -> Self {
        let batch = job.corpus.batch_documents();
        let room = job.corpus.room(batch as usize) * T::BYTES;
        ShardWriter {
            job,
            writer: job.corpus.writer(),
            buffer: AlignedBuffer::new(WRITE_BYTES + room),
            batch,
        }
    }

    /// Writes one shard; nothing if another process is at it.
    fn write(&mut self, shard: u64, documents: Range<u64>) -> Result<Option<ShardRecord>> {
        let file = shard_file(shard);
        let path = self.job.directory.join(&file);
        let temporary = path.with_extension("bin.partial");
        let mut out = match DirectFile::create(&temporary)? {
            Some(out) => out,
            None => return Ok(None),
        };
        // Another process may have finished it between our look and our lock.
        if let Some(record) = whole(self.job.directory, shard, self.job.spec_hash)? {
            let _ = fs::remove_file(&temporary);
            self.job.progress.add(record.bytes)?;
            return Ok(Some(record));
        }
        out.truncate()?;
        let written = self.write_tokens(&mut out, documents.clone());
        let (bytes, hash) = match written {
            Ok(written) => written,
            Err(e) => {
                // Half a shard is of no use; a full disk is glad of the room.
                let _ = fs::remove_file(&temporary);
                return Err(e);
            }
        };
        out.file
            .sync_data()
            .map_err(Error::io("sync", &temporary))?;
        fs::rename(&temporary, &path).map_err(Error::io("rename", &temporary))?;
        sync_directory(&self.job.directory.join(TOKENS))?;
        let record = ShardRecord {
            file,
            first_document: documents.start,
            documents: documents.end - documents.start,
            tokens: bytes / T::BYTES as u64,
            bytes,
            blake3: hash,
            spec_hash: self.job.spec_hash.to_string(),
        };
        let mut text = serde_json::to_string_pretty(&record).expect("plain data");
        text.push('\n');
        write_atomically(
            &self.job.directory.join(record_file(shard)),
            text.as_bytes(),
        )?;
        Ok(Some(record))
    }

    fn write_tokens(
        &mut self,
        out: &mut DirectFile,
        documents: Range<u64>,
    ) -> Result<(u64, String)> {
        let mut hasher = blake3::Hasher::new();
        let (mut filled, mut offset) = (0usize, 0u64);
        let mut first = documents.start;
        while first < documents.end {
            let last = (first + self.batch).min(documents.end);
            let tokens: &mut [T] = bytemuck::cast_slice_mut(self.buffer.bytes_mut());
            let made =
                self.job
                    .corpus
                    .emit(&self.writer, first..last, &mut tokens[filled / T::BYTES..]);
            filled += made * T::BYTES;
            first = last;
            if filled >= WRITE_BYTES {
                let bytes = self.buffer.bytes_mut();
                let now = filled / ALIGNMENT * ALIGNMENT;
                hasher.update(&bytes[..now]);
                out.write_at(&bytes[..now], offset)?;
                offset += now as u64;
                bytes.copy_within(now..filled, 0);
                filled -= now;
                self.job.progress.add(now as u64)?;
            }
        }
        let rest = &self.buffer.bytes_mut()[..filled];
        hasher.update(rest);
        out.write_tail(rest, offset)?;
        self.job.progress.add(filled as u64)?;
        Ok((
            offset + filled as u64,
            hasher.finalize().to_hex().to_string(),
        ))
    }
}

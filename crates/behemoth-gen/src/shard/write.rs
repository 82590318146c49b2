//! Writing the shards of a corpus or of a part of it.

use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;

use serde::Serialize;

use super::direct::{ALIGNMENT, AlignedBuffer, DirectFile};
use super::files::{Claim, sync_directory, write_atomically};
use super::manifest::ShardRecord;
use super::names::{TOKENS, record_file, shard_file};
use super::plan::{ShardPlan, estimated_bytes, mean_document_bytes};
use super::resume::{begin, prepare, require_room, sweep, tokens_bytes, whole, write_manifest};
use crate::corpus::{Corpus, Pen, Progress, in_turn, threads_or_all};
use crate::error::{Error, Result};
use crate::vocabulary::Token;

/// Bytes per write to disk. Smaller writes cost calls, larger ones cache misses.
const WRITE_BYTES: usize = 4 << 20;

/// Options of [`write()`].
#[derive(Clone, Copy, Debug)]
pub struct WriteOptions {
    /// Number of threads; 0 for two per core.
    pub threads: usize,
    /// Index of the part, from 0, and number of parts, for job arrays that share a directory.
    pub part: (u64, u64),
    /// Whether an existing corpus in the directory is replaced.
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

impl WriteOptions {
    fn check(&self) -> Result<()> {
        let (part, parts) = self.part;
        if part >= parts {
            return Err(Error::argument(
                "part",
                format!("{part}/{parts}"),
                "i/n with i from 0 to n - 1",
            ));
        }
        if self.force && parts > 1 {
            return Err(Error::argument(
                "force",
                format!("true for part {part}/{parts}"),
                "false for a part: each job would remove what the others wrote",
            ));
        }
        Ok(())
    }
}

/// The result of a call of [`write()`] and the state of the directory after it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// Number of shards written by this call.
    pub shards_written: u64,
    /// Number of shards of this part that were already present.
    pub shards_present: u64,
    /// Number of shards in the complete corpus.
    pub shards_total: u64,
    /// Number of shards of this part that another process is writing.
    pub shards_locked: u64,
    /// Whether all shards of the corpus are present.
    pub complete: bool,
    /// Number of tokens of this part that are now present.
    pub tokens: u64,
    /// Number of bytes of this part that are now present.
    pub bytes: u64,
    /// Number of tokens written by this call.
    pub tokens_written: u64,
    /// Number of bytes written by this call.
    pub bytes_written: u64,
}

impl Summary {
    fn add_present(&mut self, record: &ShardRecord) {
        self.shards_present += 1;
        self.tokens += record.tokens;
        self.bytes += record.bytes;
    }

    fn add_written(&mut self, record: &ShardRecord) {
        self.shards_written += 1;
        self.tokens += record.tokens;
        self.bytes += record.bytes;
        self.tokens_written += record.tokens;
        self.bytes_written += record.bytes;
    }
}

/// Writes a corpus, or a part of it, to a directory; resumes where an earlier call stopped.
/// Progress is in bytes.
///
/// # Errors
///
/// Returns [`Error::Argument`] if an option or the number of shards is not allowed or the corpus is
/// a view of roles, [`Error::Corpus`] if the directory contains something else, [`Error::Disk`] if the disk has too
/// little space, [`Error::Io`] if a file cannot be read or written, and [`Error::Cancelled`] if
/// `progress` is cancelled.
pub fn write(
    corpus: &Corpus,
    directory: &Path,
    options: &WriteOptions,
    progress: &Progress,
) -> Result<Summary> {
    options.check()?;
    corpus.check_own_tokens()?;
    let (part, parts) = options.part;
    let plan = ShardPlan::new(corpus);
    plan.check().or_else(|error| {
        // A corpus that is too large for the disk fails for that reason, whatever its shards are.
        require_room(directory, estimated_bytes(corpus) / parts, 0)?;
        Err(error)
    })?;
    let spec_hash = corpus.spec().hash();
    let at = |part: u64| (u128::from(part) * u128::from(plan.count) / u128::from(parts)) as u64;
    let mut summary = Summary {
        shards_total: plan.count,
        ..Summary::default()
    };
    let fresh = prepare(directory, corpus, options.force)?;
    let mut waiting = Vec::new();
    for shard in at(part)..at(part + 1) {
        match whole(directory, shard, &spec_hash)?.filter(|_| !fresh) {
            Some(record) => {
                summary.add_present(&record);
                progress.add(record.bytes)?;
            }
            None => waiting.push(shard),
        }
    }
    // Before anything is written, the directory itself included.
    let documents = |shard: &u64| plan.documents(*shard);
    let documents: u64 = waiting.iter().map(documents).map(|d| d.end - d.start).sum();
    if documents > 0 {
        let needed = mean_document_bytes(corpus) * documents as f64;
        let freed = if fresh { tokens_bytes(directory) } else { 0 };
        require_room(directory, needed as u64, freed)?;
    }
    begin(corpus, directory, &plan, fresh)?;
    let job = Job {
        corpus,
        directory,
        plan,
        spec_hash: &spec_hash,
        progress,
    };
    job.write_all(&waiting, options.threads, &mut summary)?;
    job.finish(summary)
}

/// Returns an upper bound of the bytes of the buffers that each thread of [`write()`] needs.
pub fn thread_bytes(corpus: &Corpus) -> u64 {
    let tokens = corpus.room(corpus.batch_documents() as usize) as u64;
    let buffer = tokens.saturating_mul(corpus.token_bytes());
    (buffer.saturating_add(corpus.draft_bytes())).saturating_add(WRITE_BYTES as u64)
}

/// The shared data of the threads of one call.
struct Job<'a> {
    corpus: &'a Corpus,
    directory: &'a Path,
    plan: ShardPlan,
    spec_hash: &'a str,
    progress: &'a Progress,
}

impl Job<'_> {
    /// Writes shards on a number of threads, which take them in turn.
    fn write_all(&self, waiting: &[u64], threads: usize, summary: &mut Summary) -> Result<()> {
        let written = Mutex::new(summary);
        // A thread generates tokens or waits for the disk: with one thread per core, 2 cores wrote
        // 1e8 facts in 4.3 s, with two in 3.5 s, and with three or four no faster; into memory all
        // were equal.
        let threads = match threads {
            0 => 2 * threads_or_all(0),
            asked => asked,
        };
        if self.corpus.token_bytes() == 2 {
            self.write_in_turn::<u16>(waiting, threads, &written)
        } else {
            self.write_in_turn::<u32>(waiting, threads, &written)
        }
    }

    fn write_in_turn<T: Token + bytemuck::Pod>(
        &self,
        waiting: &[u64],
        threads: usize,
        summary: &Mutex<&mut Summary>,
    ) -> Result<()> {
        let set_up = || ShardWriter::<T>::new(self);
        in_turn(threads, waiting.len(), set_up, |shards, turn| {
            let shard = waiting[turn];
            let written = shards.write(shard, self.plan.documents(shard))?;
            let mut summary = summary.lock().expect("no thread panics");
            match written {
                Written::Now(record) => summary.add_written(&record),
                Written::Before(record) => summary.add_present(&record),
                Written::Elsewhere => summary.shards_locked += 1,
            }
            Ok(())
        })
    }

    fn finish(&self, mut summary: Summary) -> Result<Summary> {
        let records: Vec<Option<ShardRecord>> = (0..self.plan.count)
            .map(|shard| whole(self.directory, shard, self.spec_hash))
            .collect::<Result<_>>()?;
        summary.complete = records.iter().all(Option::is_some);
        if summary.complete {
            sweep(self.directory);
            // The last process to finish sees all records; if two see them, they write the same
            // bytes.
            write_manifest(self.corpus, self.directory, &self.plan, &records)?;
        }
        Ok(summary)
    }
}

/// The outcome of writing a shard.
enum Written {
    /// Written by this call.
    Now(ShardRecord),
    /// Present: another process finished it after this call had found it missing.
    Before(ShardRecord),
    /// Another process is writing it.
    Elsewhere,
}

/// The writer of one thread, whose buffer is reused for each shard.
struct ShardWriter<'a, T> {
    job: &'a Job<'a>,
    writer: Pen<'a, T>,
    buffer: AlignedBuffer,
    /// Number of documents generated at a time.
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

    /// Writes a shard, unless another process has written it or is writing it.
    fn write(&mut self, shard: u64, documents: Range<u64>) -> Result<Written> {
        let job = self.job;
        let file = shard_file(shard);
        let path = job.directory.join(&file);
        let Some(_claim) = Claim::take(&path)? else {
            return Ok(Written::Elsewhere);
        };
        // Another process may have finished it between the first check and the claim.
        if let Some(record) = whole(job.directory, shard, job.spec_hash)? {
            job.progress.add(record.bytes)?;
            return Ok(Written::Before(record));
        }
        let mut out = DirectFile::create(&path)?;
        let (bytes, hash) = self.write_tokens(&mut out, documents.clone())?;
        job.corpus.check_read()?;
        out.keep()?;
        sync_directory(&job.directory.join(TOKENS))?;
        let record = ShardRecord {
            file,
            first_document: documents.start,
            documents: documents.end - documents.start,
            tokens: bytes / T::BYTES as u64,
            bytes,
            blake3: hash,
            spec_hash: job.spec_hash.to_string(),
        };
        let mut text = serde_json::to_string_pretty(&record).expect("plain data");
        text.push('\n');
        write_atomically(&job.directory.join(record_file(shard)), text.as_bytes())?;
        Ok(Written::Now(record))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_that_another_process_has_finished_is_present_and_not_written() {
        let directory = tempfile::TempDir::new().unwrap();
        let spec = "[world]\nsubjects = 40\n[corpus]\n";
        let corpus = Corpus::from_spec(crate::Spec::from_toml(spec).unwrap()).unwrap();
        let (plan, spec_hash) = (ShardPlan::new(&corpus), corpus.spec().hash());
        begin(&corpus, directory.path(), &plan, false).unwrap();
        let job = Job {
            corpus: &corpus,
            directory: directory.path(),
            plan,
            spec_hash: &spec_hash,
            progress: &Progress::default(),
        };
        // Both calls have found it missing.
        let [mut one, mut other] = [Summary::default(), Summary::default()];
        job.write_all(&[0], 1, &mut one).unwrap();
        job.write_all(&[0], 1, &mut other).unwrap();
        assert_eq!((one.shards_written, one.shards_present), (1, 0));
        assert_eq!((other.shards_written, other.shards_present), (0, 1));
        assert_eq!((other.tokens_written, other.bytes_written), (0, 0));
        assert_eq!((one.tokens, one.bytes), (other.tokens, other.bytes));
        // And one that it is writing.
        let claim = Claim::take(&directory.path().join(shard_file(0))).unwrap();
        let mut last = Summary::default();
        job.write_all(&[0], 1, &mut last).unwrap();
        assert!(claim.is_some());
        assert_eq!(
            last,
            Summary {
                shards_locked: 1,
                ..Summary::default()
            }
        );
    }
}

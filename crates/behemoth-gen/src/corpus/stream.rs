//! The corpus as a stream: reading documents, or tokens by offset, into memory.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::emit::Scratch;
use super::style::Pen;
use super::{Corpus, PAGE_DOCUMENTS, Progress, on_threads, threads_or_all};
use crate::error::Result;
use crate::memory::{make_room, room_for, zeros};
use crate::numbers::product;
use crate::vocabulary::Token;

impl Corpus {
    /// Returns the tokens of a range of documents, generated on `threads` threads (0: one per
    /// core). Progress is in tokens.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`](crate::Error::Argument) if the range is not within the corpus,
    /// `T` cannot hold every id or memory is insufficient;
    /// [`Error::Cancelled`](crate::Error::Cancelled) if `progress` is cancelled; and the error of a
    /// background that cannot be read.
    pub fn tokens<T: Token>(
        &self,
        documents: Range<u64>,
        threads: usize,
        progress: &Progress,
    ) -> Result<Vec<T>> {
        self.check_documents(&documents)?;
        self.check_token_type::<T>()?;
        let count = documents.end - documents.start;
        if let Some(each) = self.document_tokens {
            let mut out = zeros("stop", product("tokens", count, each)?, "tokens")?;
            let start = product("tokens", documents.start, each)?;
            self.fill_tokens_fixed(&mut out, start, each, threads, progress)?;
            return Ok(out);
        }
        // Free threads take pieces in turn; the pieces are joined in order.
        let pieces = count.div_ceil(PAGE_DOCUMENTS);
        let mut made = room_for::<Vec<T>>("stop", pieces, "pages of documents")?;
        made.resize_with(pieces as usize, Vec::new);
        self.check_room::<T>(&documents)?;
        let next = AtomicU64::new(0);
        let made = Mutex::new(made);
        on_threads(threads_or_all(threads).min(pieces as usize).max(1), || {
            let writer = self.writer::<T>();
            let mut scratch = Scratch::new(self);
            loop {
                let piece = next.fetch_add(1, Ordering::Relaxed);
                if piece >= pieces {
                    return Ok(());
                }
                let first = documents.start + piece * PAGE_DOCUMENTS;
                let last = (first + PAGE_DOCUMENTS).min(documents.end);
                let mut tokens = Vec::new();
                let mut room = Ok(());
                scratch.for_each(&writer, first..last, |part| {
                    if room.is_ok() {
                        room = make_room(&mut tokens, part.len(), "stop", "tokens");
                    }
                    if room.is_ok() {
                        tokens.extend_from_slice(part);
                    }
                });
                room?;
                progress.add(tokens.len() as u64)?;
                made.lock().expect("no thread panics")[piece as usize] = tokens;
            }
        })?;
        self.check_read()?;
        let made = made.into_inner().expect("no thread panics");
        let tokens: usize = made.iter().map(Vec::len).sum();
        let mut out = room_for("stop", tokens as u64, "tokens")?;
        // Each piece is freed after it is copied, so that the tokens are in memory about once.
        made.into_iter()
            .for_each(|piece| out.extend_from_slice(&piece));
        Ok(out)
    }

    /// Refuses a long range if memory is insufficient for half of it, estimated from its first
    /// page: earlier than when memory is full.
    fn check_room<T: Token>(&self, documents: &Range<u64>) -> Result<()> {
        const LONG: u64 = 1024 * PAGE_DOCUMENTS;
        let count = documents.end - documents.start;
        if count < LONG {
            return Ok(());
        }
        let page = documents.start..documents.start + PAGE_DOCUMENTS;
        let tokens = self.count_tokens(&self.writer::<u16>(), page);
        let tokens = tokens.saturating_mul(count / PAGE_DOCUMENTS);
        match room_for::<T>("stop", tokens / 2, "tokens") {
            Ok(_) => Ok(()),
            Err(_) => room_for::<T>("stop", tokens, "tokens").map(drop),
        }
    }

    /// Fills `out` with the stream starting at a document; returns the number of tokens written,
    /// less than the length of `out` only at the end of the corpus. Progress is in tokens.
    ///
    /// # Errors
    ///
    /// As for [`Corpus::tokens`].
    pub fn fill<T: Token>(
        &self,
        out: &mut [T],
        document: u64,
        threads: usize,
        progress: &Progress,
    ) -> Result<usize> {
        self.check_range("start", document, self.documents(), self.documents())?;
        self.check_token_type::<T>()?;
        if let Some(each) = self.document_tokens {
            return self.fill_tokens(out, product("tokens", document, each)?, threads, progress);
        }
        let threads = threads_or_all(threads);
        let made = if threads > 1 && out.len() >= 1 << 20 {
            self.fill_in_turns(out, document, threads, progress)?
        } else {
            let writer = self.writer();
            Scratch::new(self).fill(&writer, document, 0, out, progress)?
        };
        self.check_read()?;
        Ok(made)
    }

    /// Fills `out` if lengths vary and there is no index of offsets: in rounds, each thread
    /// generates some pages into its own buffer, and the buffers are joined in order.
    fn fill_in_turns<T: Token>(
        &self,
        out: &mut [T],
        document: u64,
        threads: usize,
        progress: &Progress,
    ) -> Result<usize> {
        const DOCUMENTS: u64 = 32 * PAGE_DOCUMENTS;
        let mut pieces: Vec<Vec<T>> = vec![Vec::new(); threads];
        let (mut at, mut next) = (0, document);
        while at < out.len() && next < self.documents() {
            std::thread::scope(|scope| {
                for (i, piece) in (0..).zip(&mut pieces) {
                    let first = (next + i * DOCUMENTS).min(self.documents());
                    let last = (first + DOCUMENTS).min(self.documents());
                    scope.spawn(move || {
                        piece.clear();
                        let writer = self.writer();
                        Scratch::new(self)
                            .for_each(&writer, first..last, |part| piece.extend_from_slice(part));
                    });
                }
            });
            let before = at;
            for piece in &pieces {
                let take = piece.len().min(out.len() - at);
                out[at..at + take].copy_from_slice(&piece[..take]);
                at += take;
            }
            next = (next + threads as u64 * DOCUMENTS).min(self.documents());
            progress.add((at - before) as u64)?;
        }
        Ok(at)
    }

    /// Fills `out` with the stream starting at a token; returns the number of tokens written. If
    /// documents vary in length, the first call counts the tokens of the corpus. Progress is in
    /// tokens, and in documents during the count.
    ///
    /// # Errors
    ///
    /// As for [`Corpus::tokens`] and [`Corpus::token_count`].
    pub fn fill_tokens<T: Token>(
        &self,
        out: &mut [T],
        token: u64,
        threads: usize,
        progress: &Progress,
    ) -> Result<usize> {
        self.check_token_type::<T>()?;
        let total = self.token_count(threads, progress)?;
        self.check_range("token", token, total, total)?;
        let count = (total - token).min(out.len() as u64) as usize;
        let out = &mut out[..count];
        if let Some(each) = self.document_tokens {
            self.fill_tokens_fixed(out, token, each, threads, progress)?;
            return Ok(count);
        }
        self.fill_tokens_indexed(out, token, threads, progress)?;
        self.check_read()?;
        Ok(count)
    }

    /// Fills `out` starting at a token, using the index of pages; threads take pages in turn.
    fn fill_tokens_indexed<T: Token>(
        &self,
        out: &mut [T],
        token: u64,
        threads: usize,
        progress: &Progress,
    ) -> Result<()> {
        let index = self.page_index(threads, progress)?;
        let end = token + out.len() as u64;
        let first_page = index.partition_point(|&before| before <= token) - 1;
        let mut pages = Vec::new();
        let (mut rest, mut at) = (out, token);
        for page in first_page.. {
            if at >= end {
                break;
            }
            let (part, others) = rest.split_at_mut((index[page + 1].min(end) - at) as usize);
            pages.push((page as u64, Mutex::new(part)));
            rest = others;
            at = index[page + 1];
        }
        let next = AtomicU64::new(0);
        on_threads(threads_or_all(threads).min(pages.len()).max(1), || {
            let writer = self.writer::<T>();
            let mut scratch = Scratch::new(self);
            loop {
                let turn = next.fetch_add(1, Ordering::Relaxed);
                let Some((page, part)) = pages.get(turn as usize) else {
                    return Ok(());
                };
                let mut part = part.lock().expect("no thread panics");
                let skip = token.saturating_sub(index[*page as usize]) as usize;
                let first = page * PAGE_DOCUMENTS;
                scratch.fill(&writer, first, skip, &mut part, progress)?;
            }
        })
    }

    /// Fills `out` starting at a token, if every document has `each` tokens.
    fn fill_tokens_fixed<T: Token>(
        &self,
        out: &mut [T],
        token: u64,
        each: u64,
        threads: usize,
        progress: &Progress,
    ) -> Result<()> {
        /// Number of tokens that a thread generates between two checks for cancellation.
        const PART: usize = 1 << 20;
        let parts: Vec<Mutex<&mut [T]>> = out.chunks_mut(PART).map(Mutex::new).collect();
        let next = AtomicU64::new(0);
        on_threads(threads_or_all(threads).min(parts.len()).max(1), || {
            let writer = self.writer();
            let mut scratch = vec![T::default(); self.room(1)];
            loop {
                let part = next.fetch_add(1, Ordering::Relaxed);
                let Some(out) = parts.get(part as usize) else {
                    return Ok(());
                };
                let mut out = out.lock().expect("no thread panics");
                let first = token + part * PART as u64;
                self.fill_part(&writer, &mut scratch, &mut out, first, each);
                progress.add(out.len() as u64)?;
            }
        })
    }

    fn fill_part<T: Token>(
        &self,
        writer: &Pen<'_, T>,
        scratch: &mut [T],
        out: &mut [T],
        token: u64,
        each: u64,
    ) {
        let each_tokens = each as usize;
        let (mut document, skip) = (token / each, (token % each) as usize);
        let mut at = 0;
        let mut one = |document: u64, from: usize, to: &mut [T]| {
            let tokens = self.emit(writer, document..document + 1, scratch);
            debug_assert_eq!(tokens, each_tokens);
            let take = (each_tokens - from).min(to.len());
            to[..take].copy_from_slice(&scratch[from..from + take]);
            take
        };
        if skip > 0 {
            at += one(document, skip, out);
            document += 1;
        }
        // Complete documents are written directly to `out` while it has room to overrun.
        let room = out.len() - at;
        let whole = room.saturating_sub(self.room(1)) / each_tokens;
        if whole > 0 {
            let end = document + whole as u64;
            at += self.emit(writer, document..end, &mut out[at..]);
            document = end;
        }
        while at < out.len() {
            let take = one(document, 0, &mut out[at..]);
            at += take;
            document += 1;
        }
    }
}

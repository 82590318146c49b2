//! The corpus as a stream: any documents, or any tokens by their offset, into memory.

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
    /// The tokens of a range of documents, on so many threads (0: all).
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
        // Pieces are made by whoever is free and joined in order.
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
        // One piece after the other is let go, so that memory holds the tokens once.
        made.into_iter()
            .for_each(|piece| out.extend_from_slice(&piece));
        Ok(out)
    }

    /// Refuses a long range that memory does not hold half of, by its first page: better before it
    /// is full than when it is.
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

    /// Fills `out` with the stream from a document on; gives the number of tokens written, fewer
    /// than `out` takes only at the end of the corpus.
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

    /// Fills `out` where lengths vary and no index says what goes where: in turns, each thread
    /// makes some pages into memory of its own, and these are joined in order.
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

    /// Fills `out` with the stream from a token on; gives the number of tokens written.
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

    /// Fills `out` from a token on by the index of pages; threads take pages in turn.
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

    /// Fills `out` from a token on, where every document has `each` tokens.
    fn fill_tokens_fixed<T: Token>(
        &self,
        out: &mut [T],
        token: u64,
        each: u64,
        threads: usize,
        progress: &Progress,
    ) -> Result<()> {
        /// Tokens that a thread makes between two looks at whether to stop.
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
        // Whole documents go straight to the caller's memory while there is room to overrun.
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

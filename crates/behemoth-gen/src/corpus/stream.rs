//! The corpus as a stream: reading documents, or tokens by offset, into memory.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;

use super::emit::{Mark, Sample, Scratch, Stretch};
use super::style::Pen;
use super::{Corpus, PAGE_DOCUMENTS, Progress, in_turn, threads_or_all};
use crate::error::Result;
use crate::memory::{make_room, room_for, zeros};
use crate::numbers::product;
use crate::vocabulary::Token;

/// Number of tokens that are not worth a thread.
const SMALL: usize = 1 << 16;

/// Pieces of a stream, joined in order as soon as those before them are there: the tokens are in
/// memory about once. Pieces that are kept to the end and freed while they are copied do not
/// achieve that, since the allocator returns little of the memory of small pieces to the system.
#[derive(Default)]
struct Joined<T> {
    out: Vec<T>,
    /// Number of pieces in `out`.
    pieces: usize,
    /// Pieces after a missing one, by number.
    early: BTreeMap<usize, Vec<T>>,
}

impl<T: Token> Joined<T> {
    fn add(&mut self, piece: usize, tokens: Vec<T>) -> Result<()> {
        self.early.insert(piece, tokens);
        while let Some(tokens) = self.early.remove(&self.pieces) {
            make_room(&mut self.out, tokens.len(), "stop", "tokens")?;
            self.out.extend_from_slice(&tokens);
            self.pieces += 1;
        }
        Ok(())
    }
}

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
            let start = (documents.start, 0);
            self.fill_tokens_fixed(&mut out, start, each, threads, progress)?;
            return Ok(out);
        }
        // Free threads take pieces in turn; the pieces are joined in order.
        let pieces = count.div_ceil(PAGE_DOCUMENTS);
        let count_in = |page| Ok(self.count_tokens(&self.writer::<u16>(), page));
        self.check_room::<T>(&documents, "tokens", count_in)?;
        let joined = Mutex::new(Joined::default());
        let set_up = || (self.writer::<T>(), Scratch::new(self));
        in_turn(
            threads,
            pieces as usize,
            set_up,
            |(writer, scratch), piece| {
                let first = documents.start + piece as u64 * PAGE_DOCUMENTS;
                let last = (first + PAGE_DOCUMENTS).min(documents.end);
                let mut tokens = Vec::new();
                scratch.append(writer, first..last, "stop", &mut tokens, progress)?;
                progress.add(tokens.len() as u64)?;
                joined.lock().expect("no thread panics").add(piece, tokens)
            },
        )?;
        self.check_read()?;
        let mut out = joined.into_inner().expect("no thread panics").out;
        out.shrink_to_fit();
        Ok(out)
    }

    /// Refuses a long range if memory is insufficient for half of its values (the error calls them
    /// `of`), as estimated from those of its first page.
    pub(super) fn check_room<T>(
        &self,
        documents: &Range<u64>,
        of: &str,
        count_in: impl FnOnce(Range<u64>) -> Result<u64>,
    ) -> Result<()> {
        let pages = (documents.end - documents.start) / PAGE_DOCUMENTS;
        if pages < 1024 {
            return Ok(());
        }
        let page = documents.start..documents.start + PAGE_DOCUMENTS;
        let values = count_in(page)?.saturating_mul(pages);
        let half = room_for::<T>("stop", values / 2, of).map(drop);
        half.or_else(|_| room_for::<T>("stop", values, of).map(drop))
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
            let left = (self.documents() - document).saturating_mul(each);
            let count = left.min(out.len() as u64) as usize;
            self.fill_tokens_fixed(&mut out[..count], (document, 0), each, threads, progress)?;
            return Ok(count);
        }
        let threads = threads_or_all(threads).min(out.len() / SMALL);
        let (mut made, mut next) = (0, document);
        if threads > 1 && out.len() >= 1 << 20 {
            (made, next) = self.fill_in_turns(out, document, threads, progress)?;
        }
        let rest = &mut out[made..];
        // No document is longer.
        let sample = Sample {
            documents: 1,
            tokens: self.most_document_tokens(),
        };
        let start = Mark {
            document: next,
            token: 0,
        };
        let end = self.documents();
        let stretch = Stretch { start, end, sample };
        let mut scratch = Scratch::for_tokens(self, sample, rest.len());
        made += scratch.fill(&self.writer(), stretch, 0, rest, progress)?.0;
        self.check_read()?;
        Ok(made)
    }

    /// Fills all but less than [`SMALL`] tokens of `out` if lengths vary and there is no index of
    /// offsets; returns the number of tokens and the next document. In rounds, each thread generates
    /// some documents into its own buffer, and the buffers are joined in order. The lengths so far
    /// decide how many documents, so that few tokens are made that `out` has no room for.
    fn fill_in_turns<T: Token>(
        &self,
        out: &mut [T],
        document: u64,
        threads: usize,
        progress: &Progress,
    ) -> Result<(usize, u64)> {
        /// Number of documents from which the first round estimates lengths.
        const SAMPLE: u64 = 64;
        /// Maximum number of documents and of tokens, about, of a thread in a round.
        const DOCUMENTS: u64 = 32 * PAGE_DOCUMENTS;
        const TOKENS: usize = 1 << 19;
        let mut pieces: Vec<Mutex<Vec<T>>> = Vec::new();
        pieces.resize_with(threads, Mutex::default);
        let sample = document..(document + SAMPLE).min(self.documents());
        let mut documents = sample.end - sample.start;
        let mut tokens = self.count_tokens(&self.writer::<u16>(), sample);
        let (mut at, mut next) = (0, document);
        while out.len() - at >= SMALL && next < self.documents() {
            let wanted = ((out.len() - at) / threads).min(TOKENS) as u128;
            let each = wanted * u128::from(documents) / u128::from(tokens.max(1));
            let each = each.clamp(1, DOCUMENTS.into()) as u64;
            let first = |piece: usize| (next + piece as u64 * each).min(self.documents());
            let set_up = || (self.writer::<T>(), Scratch::new(self));
            in_turn(threads, threads, set_up, |(writer, scratch), piece| {
                let mut tokens = pieces[piece].lock().expect("no thread panics");
                tokens.clear();
                let documents = first(piece)..first(piece + 1);
                scratch.append(writer, documents, "out", &mut tokens, progress)
            })?;
            let (before, end) = (at, first(threads));
            for piece in &mut pieces {
                let piece = piece.get_mut().expect("no thread panics");
                let take = piece.len().min(out.len() - at);
                out[at..at + take].copy_from_slice(&piece[..take]);
                at += take;
                tokens += piece.len() as u64;
            }
            documents += end - next;
            next = end;
            progress.add((at - before) as u64)?;
        }
        Ok((at, next))
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
            let start = (token / each, token % each);
            self.fill_tokens_fixed(out, start, each, threads, progress)?;
            return Ok(count);
        }
        self.fill_tokens_indexed(out, token, threads, progress)?;
        self.check_read()?;
        Ok(count)
    }

    /// Fills `out` starting at a token, using the index of pages; threads take pages in turn. A call
    /// that continues where another ended, as blocks are read, does not start at its page.
    fn fill_tokens_indexed<T: Token>(
        &self,
        out: &mut [T],
        token: u64,
        threads: usize,
        progress: &Progress,
    ) -> Result<()> {
        let index = self.page_index(threads, progress)?;
        let (end, wanted) = (token + out.len() as u64, out.len());
        let first_page = index.partition_point(|&before| before <= token) - 1;
        let mut pages = Vec::new();
        let (mut rest, mut at) = (out, token);
        for page in first_page.. {
            if at >= end {
                break;
            }
            let (part, others) = rest.split_at_mut((index[page + 1].min(end) - at) as usize);
            pages.push((page, Mutex::new(part)));
            rest = others;
            at = index[page + 1];
        }
        let end_of = |page: usize| ((page as u64 + 1) * PAGE_DOCUMENTS).min(self.documents());
        let sample = |page: usize| Sample {
            documents: end_of(page) - page as u64 * PAGE_DOCUMENTS,
            tokens: index[page + 1] - index[page],
        };
        let before = self.reached.take(index[first_page]..=token);
        let after = Mutex::new(None);
        // A short call takes less time than starting a thread.
        let threads = if wanted < 2 * SMALL { 1 } else { threads };
        let set_up = || {
            let scratch = Scratch::for_tokens(self, sample(first_page), wanted);
            (self.writer::<T>(), scratch)
        };
        in_turn(threads, pages.len(), set_up, |(writer, scratch), turn| {
            let (page, part) = &pages[turn];
            let mut part = part.lock().expect("no thread panics");
            let own = Mark {
                document: *page as u64 * PAGE_DOCUMENTS,
                token: index[*page],
            };
            let stretch = Stretch {
                start: before.filter(|_| turn == 0).unwrap_or(own),
                end: end_of(*page),
                sample: sample(*page),
            };
            let first = token.max(own.token);
            let (_, mark) = scratch.fill(writer, stretch, first, &mut part, progress)?;
            if turn + 1 == pages.len() {
                *after.lock().expect("no thread panics") = Some(mark);
            }
            Ok(())
        })?;
        if let Some(mark) = after.into_inner().expect("no thread panics") {
            self.reached.keep(mark);
        }
        Ok(())
    }

    /// Fills `out` starting at a document and a token in it, if every document has `each` tokens:
    /// the number of tokens before it may be more than can be counted.
    fn fill_tokens_fixed<T: Token>(
        &self,
        out: &mut [T],
        start: (u64, u64),
        each: u64,
        threads: usize,
        progress: &Progress,
    ) -> Result<()> {
        /// Number of tokens, about, that a thread generates between two checks for cancellation.
        const PART: u64 = 1 << 20;
        // Only complete documents, since those that parts share would be generated for each.
        let complete = (PART / each).max(1);
        let mut parts = Vec::new();
        let (mut rest, (mut document, mut skip)) = (out, start);
        while !rest.is_empty() {
            let length = (complete * each - skip).min(rest.len() as u64);
            let (part, others) = rest.split_at_mut(length as usize);
            parts.push((document, skip as usize, Mutex::new(part)));
            rest = others;
            document += complete;
            skip = 0;
        }
        let set_up = || (self.writer(), vec![T::default(); self.room(1)]);
        in_turn(threads, parts.len(), set_up, |(writer, scratch), part| {
            let (document, skip, part) = &parts[part];
            let mut out = part.lock().expect("no thread panics");
            self.fill_part(writer, scratch, &mut out, (*document, *skip), each as usize);
            progress.add(out.len() as u64)
        })
    }

    fn fill_part<T: Token>(
        &self,
        writer: &Pen<'_, T>,
        scratch: &mut [T],
        out: &mut [T],
        (mut document, skip): (u64, usize),
        each_tokens: usize,
    ) {
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

//! The corpus as a stream: any documents, or any tokens by their offset, into memory.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::emit::{Document, Scratch};
use super::sentence::Sentence;
use super::style::Pen;
use super::{Corpus, PAGE_DOCUMENTS, Progress, on_threads, threads_or_all};
use crate::error::{Error, Result};
use crate::numbers::product;
use crate::vocabulary::Token;

/// Refuses more tokens than memory can hold, where making room for them would end the program.
fn check_room<T>(tokens: usize) -> Result<()> {
    Vec::<T>::new().try_reserve_exact(tokens).map_err(|_| {
        Error::argument(
            "stop",
            format!("a range of {tokens} tokens"),
            "one whose tokens fit memory",
        )
    })
}

impl Corpus {
    /// Tokens of the whole corpus; counts them once where documents vary in length, on so many
    /// threads (0: all), with documents as the unit of progress.
    pub fn token_count(&self, threads: usize, progress: &Progress) -> Result<u64> {
        match self.document_tokens {
            Some(tokens) => product("tokens", self.documents(), tokens),
            None => Ok(self
                .page_index(threads, progress)?
                .last()
                .copied()
                .unwrap_or(0)),
        }
    }

    /// Mean tokens of a document over the first pages; twins have that of their parent.
    pub(crate) fn mean_document_tokens(&self) -> f64 {
        let documents = self.documents().min(4 * PAGE_DOCUMENTS);
        let parent;
        let whole = if self.without.is_none() {
            self
        } else {
            parent = Corpus {
                without: None,
                ..self.clone()
            };
            &parent
        };
        let tokens = whole.count_tokens(&whole.writer(), 0..documents);
        (tokens as f64 / documents as f64).max(1.0)
    }

    /// Tokens of a range of documents, counted without writing them.
    fn count_tokens(&self, pen: &Pen<'_, u16>, documents: Range<u64>) -> u64 {
        if let Some(tokens) = self.document_tokens {
            return tokens * (documents.end - documents.start);
        }
        let (writer, templates) = match pen {
            Pen::Templates(writer, templates) => (writer, *templates),
            Pen::Text(text) => return self.count_text(text, documents),
        };
        let count = |sentence: &Sentence| {
            let shape = templates.shapes.of(sentence.relation);
            let lengths = &templates.shapes.lengths[shape];
            writer.tokens(sentence.wording, shape, lengths, || {
                self.sentence_key.hash_pair(sentence.fact, sentence.copy)
            }) as u64
        };
        let mut tokens = 0;
        if let Some(order) = self.documents.of_sentences() {
            self.for_each_document(order, documents, |document| {
                tokens += match document {
                    Document::Sentence(sentence) => count(&sentence),
                    Document::Other(number) => self.count_other(number),
                }
            });
            return tokens;
        }
        let (mut places, mut sentences) = (Vec::new(), Vec::new());
        for document in documents {
            if let Some(other) = self.other(document) {
                tokens += self.count_other(other);
                continue;
            }
            self.sentences_of(document, &mut places, &mut sentences);
            let written = sentences.iter().filter(|s| !self.is_left_out(s.fact));
            let before = tokens;
            tokens += written.map(count).sum::<u64>();
            tokens += u64::from(tokens > before);
        }
        tokens
    }

    /// Cumulative tokens before each page, and after the last.
    fn page_index(&self, threads: usize, progress: &Progress) -> Result<&[u64]> {
        if let Some(index) = self.index.get() {
            return Ok(index);
        }
        let pages = self.documents().div_ceil(PAGE_DOCUMENTS);
        let mut counts = vec![0u64; pages as usize + 1];
        let next = AtomicU64::new(0);
        // Threads take runs of pages in turn, so that none waits long for another.
        const RUN: usize = 64;
        let runs: Vec<Mutex<&mut [u64]>> = counts[1..].chunks_mut(RUN).map(Mutex::new).collect();
        let work = || -> Result<()> {
            let writer = self.writer::<u16>();
            loop {
                let run = next.fetch_add(1, Ordering::Relaxed) as usize;
                let Some(counts) = runs.get(run) else {
                    return Ok(());
                };
                let mut counts = counts.lock().expect("no thread panics");
                for (i, count) in counts.iter_mut().enumerate() {
                    let first = (run * RUN + i) as u64 * PAGE_DOCUMENTS;
                    let last = (first + PAGE_DOCUMENTS).min(self.documents());
                    *count = self.count_tokens(&writer, first..last);
                    progress.add(last - first)?;
                }
            }
        };
        on_threads(threads, work)?;
        drop(runs);
        let mut sum = 0;
        for count in &mut counts {
            sum += *count;
            *count = sum;
        }
        Ok(self.index.get_or_init(|| counts))
    }

    /// The tokens of a range of documents, on so many threads (0: all).
    pub fn tokens<T: Token>(
        &self,
        documents: Range<u64>,
        threads: usize,
        progress: &Progress,
    ) -> Result<Vec<T>> {
        self.check_range("stop", documents.start, documents.end, self.documents())?;
        self.check_token_type::<T>()?;
        let count = documents.end - documents.start;
        if let Some(each) = self.document_tokens {
            let tokens = product("tokens", count, each)? as usize;
            check_room::<T>(tokens)?;
            let mut out = vec![T::default(); tokens];
            let start = product("tokens", documents.start, each)?;
            self.fill_tokens_fixed(&mut out, start, each, threads, progress)?;
            return Ok(out);
        }
        // Pieces are made by whoever is free and joined in order.
        let pieces = count.div_ceil(PAGE_DOCUMENTS);
        let next = AtomicU64::new(0);
        let made = Mutex::new(vec![Vec::new(); pieces as usize]);
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
                scratch.for_each(&writer, first..last, |part| tokens.extend_from_slice(part));
                progress.add(tokens.len() as u64)?;
                made.lock().expect("no thread panics")[piece as usize] = tokens;
            }
        })?;
        Ok(made.into_inner().expect("no thread panics").concat())
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
        if threads > 1 && out.len() >= 1 << 20 {
            return self.fill_in_turns(out, document, threads, progress);
        }
        let writer = self.writer();
        Scratch::new(self).fill(&writer, document, 0, out, progress)
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

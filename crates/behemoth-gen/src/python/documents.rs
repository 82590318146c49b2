//! Properties and content of a range of documents, with checks for Ctrl-C.

use std::ops::Range;
use std::time::{Duration, Instant};

use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;

use super::fill::lists;
use super::threads::run;
use crate::corpus::{Corpus, Progress};
use crate::memory::{make_room, room_for};
use crate::pace::Pace;

/// Number of documents processed between two checks for Ctrl-C, if they have few sentences.
const AT_ONCE: u64 = 1 << 14;

/// Number of sentences in the first documents that are processed without a check for Ctrl-C, unless
/// one document has more.
const SENTENCES_AT_ONCE: u64 = 1 << 17;

/// Number of documents that are processed at once if those before them took little time, although
/// some may have many sentences. More would be no faster, and take longer if they are all long.
const AT_ONCE_IF_FAST: u64 = 1 << 10;

/// The same for documents of a filler, each of which may have a million tokens.
const FILLERS_AT_ONCE: u64 = 16;

/// Returns the number of documents with facts.
pub(super) fn with_facts(py: Python<'_>, corpus: &Corpus) -> PyResult<u64> {
    if corpus.spec().corpus.insert.is_none() {
        return Ok(corpus.fact_documents(&Progress::default())?);
    }
    run(py, corpus.sentences(), None, |progress| {
        corpus.fact_documents(progress)
    })
}

/// Computes a value for each document of a range and appends them to `all`.
pub(super) fn of_documents<R: Send>(
    py: Python<'_>,
    corpus: &Corpus,
    documents: Range<u64>,
    all: Vec<R>,
    make: impl Fn(Range<u64>) -> crate::Result<Vec<R>> + Sync,
) -> PyResult<Vec<R>> {
    // One long document among many short ones must not make them all slow: how many documents
    // follow is decided by the time that those before them took.
    let most = corpus.most_document_sentences().max(1);
    let first = (SENTENCES_AT_ONCE / most).clamp(1, AT_ONCE);
    let pace = Pace {
        next: first,
        most: first.max(AT_ONCE_IF_FAST),
    };
    at_pace(py, corpus, documents, pace, all, make)
}

fn at_pace<R: Send>(
    py: Python<'_>,
    corpus: &Corpus,
    documents: Range<u64>,
    mut pace: Pace,
    mut all: Vec<R>,
    make: impl Fn(Range<u64>) -> crate::Result<Vec<R>> + Sync,
) -> PyResult<Vec<R>> {
    corpus.check_documents(&documents)?;
    let mut first = documents.start;
    // At least one call, even for an empty range, so that invalid arguments are refused.
    loop {
        let last = (first + pace.next).min(documents.end);
        let time = py.detach(|| -> crate::Result<Duration> {
            // Without the wait for the interpreter, which may take longer than the work.
            let began = Instant::now();
            let mut made = make(first..last)?;
            make_room(&mut all, made.len(), "stop", "values of documents")?;
            all.append(&mut made);
            Ok(began.elapsed())
        })?;
        py.check_signals()?;
        pace.took(time);
        first = last;
        if first == documents.end {
            return Ok(all);
        }
    }
}

/// Returns the kinds of documents as codes.
pub(super) fn kinds<'py>(
    py: Python<'py>,
    corpus: &Corpus,
    documents: Range<u64>,
) -> PyResult<Bound<'py, PyArray1<u8>>> {
    // No document is drafted for its kind.
    let pace = Pace {
        next: AT_ONCE,
        most: AT_ONCE,
    };
    let codes = at_pace(py, corpus, documents, pace, Vec::new(), |piece| {
        let kinds = corpus.document_kinds(piece)?;
        Ok(kinds.iter().map(|kind| kind.code()).collect())
    })?;
    Ok(codes.into_pyarray(py))
}

/// Returns the number of tokens in each document.
pub(super) fn lengths<'py>(
    py: Python<'py>,
    corpus: &Corpus,
    documents: Range<u64>,
) -> PyResult<Bound<'py, PyArray1<u64>>> {
    let count = documents.end.saturating_sub(documents.start);
    let room = room_for("stop", count, "documents")?;
    let lengths = of_documents(py, corpus, documents, room, |piece| {
        corpus.document_lengths(piece)
    })?;
    Ok(lengths.into_pyarray(py))
}

/// Returns the documents of a corpus written with a grammar as text.
pub(super) fn texts(
    py: Python<'_>,
    corpus: &Corpus,
    documents: Range<u64>,
) -> PyResult<Vec<String>> {
    of_documents(py, corpus, documents, Vec::new(), |piece| {
        corpus.texts(piece)
    })
}

/// Returns held-out documents of the filler, which are in no corpus.
pub(super) fn fillers<'py>(
    py: Python<'py>,
    corpus: &Corpus,
    documents: Range<u64>,
) -> PyResult<Vec<Bound<'py, PyArray1<u32>>>> {
    let mut all = Vec::new();
    let mut first = documents.start;
    loop {
        let last = first.saturating_add(FILLERS_AT_ONCE).min(documents.end);
        all.extend(py.detach(|| corpus.filler_documents(first..last))?);
        py.check_signals()?;
        first = last;
        if first >= documents.end {
            return Ok(lists(py, all));
        }
    }
}

//! Properties and content of a range of documents, with checks for Ctrl-C.

use std::ops::Range;

use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;

use super::fill::lists;
use super::threads::run;
use crate::corpus::{Corpus, Progress};
use crate::memory::{make_room, room_for};

/// Number of documents processed between two checks for Ctrl-C, if they have few sentences.
const AT_ONCE: u64 = 1 << 14;

/// Number of sentences processed between two checks for Ctrl-C, unless one document has more.
const SENTENCES_AT_ONCE: u64 = 1 << 17;

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
    mut all: Vec<R>,
    make: impl Fn(Range<u64>) -> crate::Result<Vec<R>> + Sync,
) -> PyResult<Vec<R>> {
    corpus.check_documents(&documents)?;
    let most = corpus.most_document_sentences().max(1);
    let at_once = (SENTENCES_AT_ONCE / most).clamp(1, AT_ONCE);
    let mut first = documents.start;
    // At least one call, even for an empty range, so that invalid arguments are refused.
    loop {
        let last = (first + at_once).min(documents.end);
        py.detach(|| -> crate::Result<()> {
            let mut made = make(first..last)?;
            make_room(&mut all, made.len(), "stop", "values of documents")?;
            all.append(&mut made);
            Ok(())
        })?;
        py.check_signals()?;
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
    let codes = of_documents(py, corpus, documents, Vec::new(), |piece| {
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

//! The ledger, probes and mentions as columns.

use std::collections::BTreeMap;
use std::ops::Range;

use numpy::{Element, IntoPyArray, PyArray1};
use pyo3::prelude::*;

use super::arguments::same_length;
use super::documents::of_documents;
use super::threads::{in_pieces, run};
use crate::corpus::{Corpus, Entry, Probe, Prober, Progress, Span};
use crate::memory::{make_room, room_for};

type Column<'py, T> = Bound<'py, PyArray1<T>>;

/// Fact, copy, index of the wording, document, position of the sentence, first token, document of
/// the background (-1 for none), object, whether it is the second object, whether it is stated
/// jointly.
pub(super) type Columns<'py> = (
    Column<'py, u64>,
    Column<'py, u64>,
    Column<'py, u32>,
    Column<'py, u64>,
    Column<'py, u32>,
    Column<'py, u32>,
    Column<'py, i64>,
    Column<'py, u32>,
    Column<'py, bool>,
    Column<'py, bool>,
);

/// Number of sentences to draft below which a ledger is made faster than a thread is started.
const SMALL_LEDGER: u64 = 1 << 16;

/// Returns every written copy of some facts.
pub(super) fn columns<'py>(
    py: Python<'py>,
    corpus: &Corpus,
    facts: &[u64],
) -> PyResult<Columns<'py>> {
    let ledger = |progress: &Progress| corpus.ledger_of(facts, progress);
    let most = corpus.most_document_sentences();
    // Every copy is looked for in its document.
    let drafted = |facts: &[u64]| {
        let copies = facts.iter().map(|&fact| corpus.exposures_of(fact));
        copies.fold(0, u64::saturating_add).saturating_mul(most)
    };
    let entries = if facts.len() as u64 <= SMALL_LEDGER && drafted(facts) <= SMALL_LEDGER {
        py.detach(|| ledger(&Progress::default()))?
    } else {
        run(py, facts.len() as u64, None, ledger)?
    };
    as_columns(py, "facts", &entries)
}

/// Returns every sentence of a range of documents.
pub(super) fn entries<'py>(
    py: Python<'py>,
    corpus: &Corpus,
    documents: Range<u64>,
) -> PyResult<Columns<'py>> {
    let entries = of_documents(py, corpus, documents, Vec::new(), |documents| {
        corpus.entries(documents)
    })?;
    as_columns(py, "stop", &entries)
}

fn as_columns<'py>(py: Python<'py>, argument: &str, all: &[Entry]) -> PyResult<Columns<'py>> {
    let background = |entry: &Entry| entry.background.map_or(-1, |number| number as i64);
    Ok((
        column(py, argument, all, |entry| entry.fact)?,
        column(py, argument, all, |entry| entry.copy)?,
        column(py, argument, all, |entry| entry.wording_index)?,
        column(py, argument, all, |entry| entry.document)?,
        column(py, argument, all, |entry| entry.place)?,
        column(py, argument, all, |entry| entry.offset)?,
        column(py, argument, all, background)?,
        column(py, argument, all, |entry| entry.object)?,
        column(py, argument, all, |entry| entry.minority)?,
        column(py, argument, all, |entry| entry.joint)?,
    ))
}

/// Returns a value of each row; if memory is insufficient, `argument` is refused.
fn column<'py, R, T: Element>(
    py: Python<'py>,
    argument: &str,
    rows: &[R],
    value: impl Fn(&R) -> T,
) -> PyResult<Column<'py, T>> {
    let mut all = room_for(argument, rows.len() as u64, "rows")?;
    all.extend(rows.iter().map(value));
    Ok(all.into_pyarray(py))
}

/// Number of facts below which drawing them is faster than starting a thread.
const SMALL_SAMPLE: u64 = 1 << 16;

/// Returns a sample of `count` facts.
pub(super) fn sample<'py>(
    py: Python<'py>,
    corpus: &Corpus,
    count: u64,
) -> PyResult<Column<'py, u64>> {
    let sample = |progress: &Progress| corpus.sample_facts(count, progress);
    let facts = match count {
        ..SMALL_SAMPLE => py.detach(|| sample(&Progress::default()))?,
        _ => run(py, count, None, sample)?,
    };
    Ok(facts.into_pyarray(py))
}

/// Returns the number of times each fact is written.
pub(super) fn exposures<'py>(
    py: Python<'py>,
    corpus: &Corpus,
    facts: &[u64],
) -> PyResult<Column<'py, u64>> {
    let mut exposures = room_for("facts", facts.len() as u64, "facts")?;
    in_pieces(py, facts.len(), |range| {
        exposures.extend(facts[range].iter().map(|&fact| corpus.exposures_of(fact)));
        Ok(())
    })?;
    Ok(exposures.into_pyarray(py))
}

/// Returns, for each fact, whether the corpus has questions about its subject.
pub(super) fn seen_in_questions<'py>(
    py: Python<'py>,
    corpus: &Corpus,
    facts: &[u64],
) -> PyResult<Column<'py, bool>> {
    let mut seen = room_for("facts", facts.len() as u64, "facts")?;
    // All facts of a subject have one answer, for which all its relations may be tried: facts that
    // follow one another are often of one subject. Those of links are of none.
    let mut last = None;
    in_pieces(py, facts.len(), |range| {
        seen.extend(facts[range].iter().map(|&fact| {
            let (subject, relation) = corpus.world().subject_relation(fact);
            let subject = (relation < corpus.world().relations()).then_some(subject);
            match last {
                Some((of, asked)) if of == subject => asked,
                _ => {
                    let asked = corpus.seen_in_questions(fact).unwrap_or(false);
                    last = Some((subject, asked));
                    asked
                }
            }
        }));
        Ok(())
    })?;
    Ok(seen.into_pyarray(py))
}

/// The concatenated tokens of the prompts and the end of each, followed by the same for the answers
/// and for the rests of the sentences. All are empty for a fact without a probe.
pub(super) type Probes<'py> = (
    Column<'py, u32>,
    Column<'py, u64>,
    Column<'py, u32>,
    Column<'py, u64>,
    Column<'py, u32>,
    Column<'py, u64>,
);

/// Concatenated lists of tokens.
#[derive(Default)]
struct Lists {
    tokens: Vec<u32>,
    ends: Vec<u64>,
}

impl Lists {
    fn push(&mut self, tokens: &[u32]) -> crate::Result<()> {
        make_room(&mut self.tokens, tokens.len(), "facts", "tokens")?;
        make_room(&mut self.ends, 1, "facts", "facts")?;
        self.tokens.extend_from_slice(tokens);
        self.ends.push(self.tokens.len() as u64);
        Ok(())
    }
}

/// Prompts, answers and rests of sentences; empty if there is no probe.
#[derive(Default)]
pub(super) struct Asked([Lists; 3]);

impl Asked {
    pub(super) fn push(&mut self, probe: Option<Probe>) -> crate::Result<()> {
        let found = probe.unwrap_or_default();
        let parts = [found.prompt, found.answer, found.rest];
        let mut lists = self.0.iter_mut().zip(parts);
        lists.try_for_each(|(list, tokens)| list.push(&tokens))
    }

    pub(super) fn columns(self, py: Python<'_>) -> Probes<'_> {
        let [prompts, answers, rests] = self.0;
        (
            prompts.tokens.into_pyarray(py),
            prompts.ends.into_pyarray(py),
            answers.tokens.into_pyarray(py),
            answers.ends.into_pyarray(py),
            rests.tokens.into_pyarray(py),
            rests.ends.into_pyarray(py),
        )
    }
}

/// Returns the probes of facts in one wording, with drawn fillers or those of a combination.
pub(super) fn probes<'py>(
    py: Python<'py>,
    corpus: &Corpus,
    facts: &[u64],
    wording_index: usize,
    combination: Option<u32>,
) -> PyResult<Probes<'py>> {
    asked(
        py,
        corpus,
        facts.len(),
        wording_index,
        |prober, at| match combination {
            None => prober.probe(facts[at]),
            Some(combination) => prober.probe_of_combination(facts[at], combination),
        },
    )
}

/// Returns questions about facts and their answers as separate texts.
pub(super) fn question_texts(
    py: Python<'_>,
    corpus: &Corpus,
    facts: &[u64],
    wording_index: usize,
) -> PyResult<(Vec<String>, Vec<String>)> {
    let texts = py.detach(|| corpus.question_texts(facts, wording_index))?;
    Ok(texts
        .into_iter()
        .map(|[asked, answer]| (asked, answer))
        .unzip())
}

/// Returns the probes of facts with other objects as answers.
pub(super) fn answers<'py>(
    py: Python<'py>,
    corpus: &Corpus,
    facts: &[u64],
    objects: &[u32],
    wording_index: usize,
) -> PyResult<Probes<'py>> {
    same_length("objects", facts.len(), objects.len())?;
    asked(py, corpus, facts.len(), wording_index, |prober, at| {
        prober.probe_of(facts[at], objects[at])
    })
}

fn asked<'py>(
    py: Python<'py>,
    corpus: &Corpus,
    count: usize,
    wording_index: usize,
    probe: impl Fn(&Prober<'_>, usize) -> Option<Probe> + Send + Sync,
) -> PyResult<Probes<'py>> {
    let prober = corpus.prober(wording_index)?;
    let mut all = Asked::default();
    in_pieces(py, count, |mut range| {
        range.try_for_each(|at| all.push(probe(&prober, at)))
    })?;
    Ok(all.columns(py))
}

/// Document, sentence, fact, copy, role, first token, end.
pub(super) type Spans<'py> = (
    Column<'py, u64>,
    Column<'py, u32>,
    Column<'py, u64>,
    Column<'py, u64>,
    Column<'py, u32>,
    Column<'py, u32>,
    Column<'py, u32>,
);

/// Returns the mentions of subjects and objects.
pub(super) fn spans<'py>(
    py: Python<'py>,
    corpus: &Corpus,
    documents: Range<u64>,
) -> PyResult<Spans<'py>> {
    let spans = of_documents(py, corpus, documents, Vec::new(), |documents| {
        corpus.spans(documents)
    })?;
    Ok((
        column(py, "stop", &spans, |span: &Span| span.document)?,
        column(py, "stop", &spans, |span| span.sentence)?,
        column(py, "stop", &spans, |span| span.fact)?,
        column(py, "stop", &spans, |span| span.copy)?,
        column(py, "stop", &spans, |span| span.role.code())?,
        column(py, "stop", &spans, |span| span.start)?,
        column(py, "stop", &spans, |span| span.end)?,
    ))
}

/// Returns the number of facts at each number of exposures, as JSON.
pub(super) fn classes_json(corpus: &Corpus) -> String {
    let mut merged: BTreeMap<u64, u64> = BTreeMap::new();
    for class in corpus.exposures().classes() {
        *merged.entry(class.exposures).or_default() += class.facts;
    }
    // The classes are those of the parent: the facts that a twin omits are written zero times.
    for &fact in &corpus.spec().corpus.twin.without {
        *merged.entry(corpus.exposures().of(fact)).or_default() -= 1;
        *merged.entry(0).or_default() += 1;
    }
    merged.retain(|_, facts| *facts > 0);
    let list: Vec<serde_json::Value> = merged
        .into_iter()
        .map(|(exposures, facts)| serde_json::json!({"exposures": exposures, "facts": facts}))
        .collect();
    serde_json::Value::from(list).to_string()
}

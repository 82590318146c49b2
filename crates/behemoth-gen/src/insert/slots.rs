//! Slots: the positions of sentences inside documents, with lookup in both directions.
//!
//! A document with room for the maximum number of longest sentences has that many slots, one in
//! each of its equal parts; other documents have none, so that the selection of documents does not
//! depend on the content of the facts. A permutation of all slots assigns sentences to slots.

use std::ops::Range;

use super::chosen::Chosen;
use super::{InsertSpec, Position};
use crate::error::{Error, Result};
use crate::hash::Key;
use crate::numbers::product;
use crate::permutation::Permutation;

/// The slots of a corpus.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    /// The documents with slots.
    documents: Chosen,
    per_document: u64,
    /// Maps a slot to the number of its sentence; the slot is empty if that is not below
    /// `sentences`.
    order: Permutation,
    sentences: u64,
    position: Position,
    position_key: Key,
    /// Number of tokens in the longest sentence.
    longest: u64,
}

/// The documents that sentences are inserted into.
pub(crate) struct Room<F> {
    /// Number of documents.
    pub documents: u64,
    /// Returns the number of tokens in a document, its end included.
    pub tokens_of: F,
}

impl Slots {
    /// Creates the slots of a number of sentences of at most `longest` tokens.
    pub(crate) fn new(
        spec: &InsertSpec,
        room: &Room<impl Fn(u64) -> u64>,
        sentences: u64,
        longest: u64,
        seed: u64,
    ) -> Result<Self> {
        let wanted = longest.saturating_mul(spec.per_document);
        let documents = Chosen::new(room.documents, |document| {
            body(&room.tokens_of, document) >= wanted
        })?;
        let slots = product("per_document", documents.count(), spec.per_document)
            .map_err(|e| e.within("insert"))?;
        if slots < sentences {
            return Err(too_few(spec, room, &documents, sentences, longest));
        }
        Ok(Slots {
            documents,
            per_document: spec.per_document,
            order: Permutation::new(slots, seed, "insert", 0),
            sentences,
            position: spec.position,
            position_key: Key::new(seed, "insert-position", 0),
            longest,
        })
    }

    /// Returns the numbers of the sentences in a document, each with its spot; `tokens` returns the
    /// number of tokens in the document, its end included.
    pub(crate) fn of(
        &self,
        document: u64,
        tokens: impl FnOnce() -> u64,
    ) -> impl Iterator<Item = (u64, Spot)> + '_ {
        let rank = self.documents.rank(document);
        let (first, body) = rank.map_or((0, 0), |rank| (rank * self.per_document, tokens() - 1));
        let parts = if rank.is_some() { self.per_document } else { 0 };
        (0..parts).filter_map(move |part| {
            let sentence = self.order.apply(first + part);
            (sentence < self.sentences).then(|| (sentence, self.spot(sentence, part, body)))
        })
    }

    /// Returns the document of a sentence.
    pub(crate) fn document_of(&self, sentence: u64) -> u64 {
        let slot = self.order.invert(sentence);
        self.documents.number(slot / self.per_document)
    }

    /// Returns the maximum number of sentences in a document.
    pub(crate) fn per_document(&self) -> u64 {
        self.per_document
    }

    fn spot(&self, sentence: u64, part: u64, body: u64) -> Spot {
        let start = |part: u64| {
            let product = u128::from(part) * u128::from(body);
            (product / u128::from(self.per_document)) as u64
        };
        let (from, to) = (start(part), start(part + 1));
        let hash = || self.position_key.hash(sentence);
        let last = to - from - self.longest;
        Spot {
            first: from + self.position.first_token(last, hash),
            room: from..from + last + 1,
        }
    }
}

/// The position of a sentence in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    /// Offset of the first token.
    pub first: u64,
    /// Offsets in its part at which the longest sentence could begin.
    pub room: Range<u64>,
}

impl Spot {
    /// Returns the first token moved to a word boundary: to the next one with room, otherwise to
    /// the last one before; unchanged if there is none.
    pub(crate) fn at_word(&self, begins: impl Fn(u64) -> bool) -> u64 {
        let begins = |at: &u64| *at == 0 || begins(*at);
        let after = (self.first..self.room.end).find(begins);
        let before = || (self.room.start..self.first).rev().find(begins);
        after.or_else(before).unwrap_or(self.first)
    }
}

/// Returns the number of tokens in a document that a sentence may replace: all but its end.
fn body(tokens_of: impl Fn(u64) -> u64, document: u64) -> u64 {
    tokens_of(document).saturating_sub(1)
}

/// Returns the error for more sentences than slots, with suggestions.
fn too_few(
    spec: &InsertSpec,
    room: &Room<impl Fn(u64) -> u64>,
    documents: &Chosen,
    sentences: u64,
    longest: u64,
) -> Error {
    let own = documents.count();
    let each = match spec.per_document {
        1 => "one sentence".to_string(),
        sentences => format!("{sentences} sentences"),
    };
    let got = format!(
        "{sentences} sentences and {} slots: {own} of {} documents have room for {each} of up to \
         {longest} tokens",
        own * spec.per_document,
        room.documents,
    );
    let mut help = "more or longer documents, or fewer exposures".to_string();
    if let Some(per_document) = enough(room, sentences, longest) {
        help = format!("per_document={per_document}, {help}");
    }
    let allowed = format!("at least as many slots as sentences: {help}");
    Error::argument("insert", got, allowed)
}

/// Returns the minimum number of sentences per document that makes enough slots, if there is one.
fn enough(room: &Room<impl Fn(u64) -> u64>, sentences: u64, longest: u64) -> Option<u64> {
    // Number of documents by the number of sentences they have room for.
    let mut fit: Vec<u64> = Vec::new();
    for document in 0..room.documents {
        let most = (body(&room.tokens_of, document) / longest) as usize;
        if fit.len() <= most {
            fit.resize(most + 1, 0);
        }
        fit[most] += 1;
    }
    let mut documents = room.documents;
    (1..).zip(fit).find_map(|(per_document, fewer)| {
        documents -= fewer;
        (documents.saturating_mul(per_document) >= sentences).then_some(per_document)
    })
}

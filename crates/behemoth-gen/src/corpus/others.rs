//! Documents among those of facts that say none.

use std::ops::Range;
use std::sync::Arc;

use super::Corpus;
use crate::error::{Error, Result};
use crate::exposure::Exposures;
use crate::filler::Filler;
use crate::grammar::Lexicon;
use crate::schedule::ScheduleSpec;
use crate::spec::{CorpusSpec, TwinSpec};
use crate::vocabulary::{Token, Vocabulary};
use crate::world::World;

use super::Progress;

/// The filler of a corpus, if it has one.
pub(super) fn filler(
    world: &World,
    spec: &CorpusSpec,
    array: Option<&[u32]>,
    lexicon: Option<&Arc<Lexicon>>,
    vocabulary: &Vocabulary,
) -> Result<Option<Arc<Filler>>> {
    let Some(own) = &spec.filler else {
        return Ok(None);
    };
    let facts = match own.total_tokens() {
        None => 0,
        // A twin has the filler of its parent, whatever it leaves out.
        Some(_) => {
            let spec = CorpusSpec {
                filler: None,
                schedule: ScheduleSpec::default(),
                twin: TwinSpec::default(),
                ..spec.clone()
            };
            let array = array.map(<[u32]>::to_vec);
            let facts = Corpus::assemble(world.clone(), spec, array, lexicon.cloned())?;
            facts.token_count(0, &Progress::default())?
        }
    };
    let tokens = own.tokens(facts).map_err(|e| e.within("filler"))?;
    let first = vocabulary.size() - own.words();
    Ok(Some(Arc::new(Filler::new(own, tokens, first as u32))))
}

/// Refuses more documents than can be counted.
pub(super) fn check_count(exposures: &Exposures, filler: Option<&Filler>) -> Result<u64> {
    let others = filler.map_or(0, Filler::documents);
    let all = exposures.sentences().checked_add(others);
    match all.filter(|&n| n <= crate::numbers::COUNT_LIMIT) {
        Some(_) => Ok(others),
        None => {
            let allowed = format!("up to {} documents in all", crate::numbers::COUNT_LIMIT);
            Err(Error::argument(
                "filler",
                format!("{others} documents"),
                allowed,
            ))
        }
    }
}

impl Corpus {
    /// Number of documents that say facts, those without tokens included.
    pub fn fact_documents(&self) -> u64 {
        self.documents() - self.filler.as_ref().map_or(0, |filler| filler.documents())
    }

    /// Documents of the filler's language that are in no corpus, by number: the same for every
    /// corpus with this filler, however much it has of it.
    pub fn filler_documents<T: Token>(&self, documents: Range<u64>) -> Result<Vec<Vec<T>>> {
        self.check_token_type::<T>()?;
        let Some(filler) = &self.filler else {
            return Err(Error::argument("filler", "none", "a corpus with a filler"));
        };
        let end = self.vocabulary.end_of_document();
        documents
            .map(|document| filler.held_out(document, end))
            .collect()
    }

    /// Of a document that says no fact: its number among such.
    #[inline(always)]
    pub(super) fn other(&self, document: u64) -> Option<u64> {
        self.filler.as_ref()?;
        self.documents.other(document)
    }

    /// Whether a document that the order numbers so says no fact, and its number among such.
    #[inline(always)]
    pub(super) fn other_of(&self, number: u64) -> Option<u64> {
        self.filler.as_ref()?;
        number.checked_sub(self.documents.own())
    }

    /// Writes a document that says no fact; gives its number of tokens.
    pub(super) fn emit_other<T: Token>(&self, number: u64, out: &mut [T]) -> usize {
        let end = self.vocabulary.end_of_document();
        self.filler
            .as_ref()
            .map_or(0, |filler| filler.write(number, end, out))
    }

    /// Tokens of a document that says no fact.
    pub(super) fn count_other(&self, number: u64) -> u64 {
        self.filler
            .as_ref()
            .map_or(0, |filler| filler.tokens_of(number))
    }
}

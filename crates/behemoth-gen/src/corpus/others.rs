//! Documents among those of facts that say none: filler first, and then background.

use std::ops::Range;
use std::sync::Arc;

use super::{Corpus, Parts, Progress};
use crate::background::Taken;
use crate::error::{Error, Result};
use crate::exposure::Exposures;
use crate::filler::{Filler, WordIds};
use crate::memory::room_for;
use crate::numbers::COUNT_LIMIT;
use crate::schedule::ScheduleSpec;
use crate::spec::{CorpusSpec, TwinFiller, TwinSpec};
use crate::vocabulary::{Token, Vocabulary};
use crate::world::World;

/// What a document is, whatever is inserted in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DocumentKind {
    /// Facts.
    Facts,
    /// Words of a filler.
    Filler,
    /// What another corpus says.
    Background,
}

impl DocumentKind {
    /// As a number: 0 of facts, 1 of filler, 2 of a background.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// What stands between facts.
#[derive(Clone, Debug, Default)]
pub(super) struct Others {
    filler: Option<Arc<Filler>>,
    background: Option<Arc<Taken>>,
    /// Stands for each of their tokens but the last, where a stream says what tokens are.
    pub(super) role: Option<u32>,
}

impl Others {
    /// Those of a spec that was settled on.
    pub(super) fn new(
        world: &World,
        spec: &CorpusSpec,
        parts: &Parts,
        vocabulary: &Vocabulary,
        exposures: &Exposures,
    ) -> Result<Self> {
        let others = Others {
            filler: filler(world, spec, parts, vocabulary)?,
            background: background(spec, parts, vocabulary)?,
            role: None,
        };
        let own = others.documents();
        let all = match spec.insert {
            None => exposures.sentences(),
            Some(_) => 0,
        };
        match all.checked_add(own).filter(|&n| n <= COUNT_LIMIT) {
            Some(_) => Ok(others),
            None => {
                let got = format!("{own} documents");
                let allowed = format!("up to {COUNT_LIMIT} documents in all");
                Err(Error::argument("filler", got, allowed))
            }
        }
    }

    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.filler.is_none() && self.background.is_none()
    }

    /// Number of documents.
    pub(super) fn documents(&self) -> u64 {
        let background = self
            .background
            .as_ref()
            .map_or(0, |taken| taken.documents());
        self.filler_documents() + background
    }

    /// What a document is.
    fn kind(&self, number: u64) -> DocumentKind {
        if number < self.filler_documents() {
            DocumentKind::Filler
        } else {
            DocumentKind::Background
        }
    }

    fn filler_documents(&self) -> u64 {
        self.filler.as_ref().map_or(0, |filler| filler.documents())
    }

    /// Most tokens of a document.
    pub(super) fn most_tokens(&self) -> u64 {
        let filler = self
            .filler
            .as_ref()
            .map_or(0, |filler| filler.most_tokens());
        let background = self
            .background
            .as_ref()
            .map_or(0, |taken| taken.most_tokens());
        filler.max(background)
    }

    /// Tokens of a document.
    pub(super) fn tokens_of(&self, number: u64) -> u64 {
        match (number.checked_sub(self.filler_documents()), &self.filler) {
            (None, Some(filler)) => filler.tokens_of(number),
            (Some(number), _) => self
                .background
                .as_ref()
                .map_or(0, |taken| taken.tokens_of(number)),
            (None, None) => 0,
        }
    }

    /// Of a document of the background: its number among all of that.
    pub(super) fn in_background(&self, number: u64) -> Option<u64> {
        let number = number.checked_sub(self.filler_documents())?;
        Some(self.background.as_ref()?.document(number))
    }

    /// Writes a document; gives its number of tokens.
    pub(super) fn write<T: Token>(&self, number: u64, end: u32, out: &mut [T]) -> usize {
        if let Some(role) = self.role {
            let tokens = self.tokens_of(number) as usize;
            if let Some((last, body)) = out[..tokens].split_last_mut() {
                body.fill(T::from_id(role));
                *last = T::from_id(end);
            }
            return tokens;
        }
        self.write_tokens(number, end, out)
    }

    /// The same, whatever a stream says of tokens.
    pub(super) fn write_tokens<T: Token>(&self, number: u64, end: u32, out: &mut [T]) -> usize {
        match (number.checked_sub(self.filler_documents()), &self.filler) {
            (None, Some(filler)) => filler.write(number, end, out),
            (Some(number), _) => {
                let taken = self.background.as_ref();
                taken.map_or(0, |taken| taken.write(number, end, out))
            }
            (None, None) => 0,
        }
    }
}

/// The filler of a corpus, if it has one.
fn filler(
    world: &World,
    spec: &CorpusSpec,
    parts: &Parts,
    vocabulary: &Vocabulary,
) -> Result<Option<Arc<Filler>>> {
    let Some(own) = &spec.filler else {
        return Ok(None);
    };
    let facts = match own.total_tokens() {
        None => 0,
        // Sentences that are inserted add none.
        Some(_) if spec.insert.is_some() => {
            spec.background.as_ref().and_then(|b| b.tokens).unwrap_or(0)
        }
        // A twin has the filler of its parent, whatever it leaves out and whatever its objects.
        Some(_) => {
            let world = match world.version().rules().twin_filler {
                TwinFiller::BesideItsOwn => world.clone(),
                TwinFiller::BesideItsParents => world.without_overrides(),
            };
            let spec = CorpusSpec {
                filler: None,
                schedule: ScheduleSpec::default(),
                twin: TwinSpec::default(),
                ..spec.clone()
            };
            let rest = Corpus::with_parts(world, spec, parts.clone())?;
            rest.token_count(0, &Progress::default())?
        }
    };
    let tokens = own.tokens(facts).map_err(|e| e.within("filler"))?;
    let ids = match &parts.lexicon {
        Some(lexicon) if lexicon.names().is_none() => {
            let words = lexicon.words();
            if own.words() > words.len() as u64 {
                let allowed = format!(
                    "2 to {}: words of the tokenizer that are one token each, and of no name",
                    words.len()
                );
                let error = Error::argument("words", own.words(), allowed);
                return Err(error.within("filler"));
            }
            WordIds::Listed(words.into())
        }
        // The last of a vocabulary that is made for the corpus.
        _ => WordIds::From((vocabulary.size() - own.words()) as u32),
    };
    Ok(Some(Arc::new(Filler::new(own, tokens, ids))))
}

/// The documents of its background.
fn background(
    spec: &CorpusSpec,
    parts: &Parts,
    vocabulary: &Vocabulary,
) -> Result<Option<Arc<Taken>>> {
    let (Some(spec), Some(background)) = (&spec.background, &parts.background) else {
        return Ok(None);
    };
    let largest = background.largest_token();
    if u64::from(largest) >= vocabulary.size() {
        return Err(Error::argument(
            "background",
            format!("token {largest}"),
            format!("ids below {}, those of the corpus", vocabulary.size()),
        ));
    }
    let tokens = spec.tokens.unwrap_or_else(|| background.tokens());
    let taken = Taken::new(background.clone(), tokens).map_err(|e| e.within("background"))?;
    Ok(Some(Arc::new(taken)))
}

impl Corpus {
    /// Number of documents that say facts: those without tokens included, or those that sentences
    /// are inserted in, which takes a pass over them where they may have several.
    pub fn fact_documents(&self) -> u64 {
        match &self.insert {
            None => self.documents() - self.others.documents(),
            Some(slots) => self.documents_with_inserted(slots),
        }
    }

    /// What each of a range of documents is.
    pub fn document_kinds(&self, documents: Range<u64>) -> Result<Vec<DocumentKind>> {
        self.check_documents(&documents)?;
        let kind = |document| match self.other(document) {
            None => DocumentKind::Facts,
            Some(number) => self.others.kind(number),
        };
        let mut kinds = room_for("stop", documents.end - documents.start, "documents")?;
        kinds.extend(documents.map(kind));
        Ok(kinds)
    }

    /// Whether each of a range of documents says facts.
    pub fn says_facts(&self, documents: Range<u64>) -> Result<Vec<bool>> {
        self.check_documents(&documents)?;
        let says = |other: Option<u64>| other.is_none_or(|other| self.has_inserted(other));
        let mut all = room_for("stop", documents.end - documents.start, "documents")?;
        all.extend(documents.map(|document| says(self.other(document))));
        Ok(all)
    }

    /// Documents of the filler's language that are in no corpus, by number: the same for every
    /// corpus with this filler, however much it has of it.
    pub fn filler_documents<T: Token>(&self, documents: Range<u64>) -> Result<Vec<Vec<T>>> {
        self.check_token_type::<T>()?;
        let Some(filler) = &self.others.filler else {
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
        if self.others.is_empty() {
            return None;
        }
        self.documents.other(document)
    }

    /// Whether a document that the order numbers so says no fact, and its number among such.
    #[inline(always)]
    pub(super) fn other_of(&self, number: u64) -> Option<u64> {
        if self.others.is_empty() {
            return None;
        }
        number.checked_sub(self.documents.own())
    }

    /// Writes a document that says no fact; gives its number of tokens.
    pub(super) fn emit_other<T: Token>(&self, number: u64, out: &mut [T]) -> usize {
        self.others
            .write(number, self.vocabulary.end_of_document(), out)
    }

    /// An error if a background could not be read: then the tokens are not what they should be.
    pub(crate) fn check_read(&self) -> Result<()> {
        match &self.others.background {
            None => Ok(()),
            Some(taken) => taken.background().check(),
        }
    }
}

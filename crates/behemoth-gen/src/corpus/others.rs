//! Documents without facts of their own: filler, followed in numbering by background.

use std::ops::Range;
use std::sync::Arc;

use super::{Corpus, Inherited, Parts, Progress};
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

/// The kind of a document, regardless of inserted sentences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DocumentKind {
    /// A document of facts.
    Facts,
    /// A document of a filler.
    Filler,
    /// A document of another corpus.
    Background,
}

impl DocumentKind {
    /// Returns the kind as a number: 0 for facts, 1 for filler, 2 for a background.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// The documents without facts of their own.
#[derive(Clone, Debug, Default)]
pub(super) struct Others {
    filler: Option<Arc<Filler>>,
    /// Shared with twins: it takes a pass over the documents to select them.
    pub(super) background: Option<Arc<Taken>>,
    /// The role written for each of their tokens but the last, if the stream consists of roles.
    pub(super) role: Option<u32>,
}

impl Others {
    /// Creates the documents of a settled spec.
    pub(super) fn new(
        filler: Option<Arc<Filler>>,
        background: Option<Arc<Taken>>,
        spec: &CorpusSpec,
        exposures: &Exposures,
    ) -> Result<Self> {
        let others = Others {
            filler,
            background,
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

    /// Returns the number of documents.
    pub(super) fn documents(&self) -> u64 {
        let background = self
            .background
            .as_ref()
            .map_or(0, |taken| taken.documents());
        self.filler_documents() + background
    }

    /// Returns the kind of a document.
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

    /// Returns the maximum number of tokens in a document.
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

    /// Returns the number of tokens in a document.
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

    /// Returns the number within the background of a document, or `None` if it is not of the
    /// background.
    pub(super) fn in_background(&self, number: u64) -> Option<u64> {
        let number = number.checked_sub(self.filler_documents())?;
        Some(self.background.as_ref()?.document(number))
    }

    /// Writes a document, as roles if the stream consists of roles; returns its number of tokens.
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

    /// Writes the tokens of a document, even if the stream consists of roles; returns their number.
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

/// Creates the filler of a corpus, if it has one.
pub(super) fn filler(
    world: &World,
    spec: &CorpusSpec,
    parts: &Parts,
    vocabulary: &Vocabulary,
    exposures: &Arc<Exposures>,
) -> Result<Option<Arc<Filler>>> {
    let Some(own) = &spec.filler else {
        return Ok(None);
    };
    let facts = match own.total_tokens() {
        None => 0,
        // Inserted sentences do not add tokens.
        Some(_) if spec.insert.is_some() => {
            spec.background.as_ref().and_then(|b| b.tokens).unwrap_or(0)
        }
        // A twin has the filler of its parent, even if it omits facts or, except in earlier
        // versions, has objects of other lengths.
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
            let inherited = Inherited {
                exposures: Some(Arc::clone(exposures)),
                ..Inherited::default()
            };
            let rest = Corpus::inheriting(world, spec, parts.clone(), inherited)?;
            rest.token_count(0, &Progress::default())?
        }
    };
    let tokens = own.tokens(facts).map_err(|e| e.within("filler"))?;
    let ids = match &parts.lexicon {
        Some(lexicon) if lexicon.names().is_none() => {
            let words = lexicon.words();
            if own.words() > words.len() as u64 {
                let allowed = format!(
                    "2 to {}: words of the tokenizer that are one token each and in no name",
                    words.len()
                );
                let error = Error::argument("words", own.words(), allowed);
                return Err(error.within("filler"));
            }
            WordIds::Listed(words.into())
        }
        // The last ids of a vocabulary built for the corpus.
        _ => WordIds::From((vocabulary.size() - own.words()) as u32),
    };
    Ok(Some(Arc::new(Filler::new(own, tokens, ids))))
}

/// Selects the documents of the background of a corpus, if it has one and inherits none.
pub(super) fn background(
    spec: &CorpusSpec,
    parts: &Parts,
    vocabulary: &Vocabulary,
    inherited: Option<Arc<Taken>>,
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
    let (end, own) = (background.end_of_document(), vocabulary.end_of_document());
    if end != own {
        return Err(Error::argument(
            "background",
            format!("documents that end with token {end}"),
            format!("{own}, the end of a document of the corpus"),
        ));
    }
    if inherited.is_some() {
        return Ok(inherited);
    }
    let tokens = spec.tokens.unwrap_or_else(|| background.tokens());
    let taken = Taken::new(background.clone(), tokens).map_err(|e| e.within("background"))?;
    Ok(Some(Arc::new(taken)))
}

impl Corpus {
    /// Returns the filler that every twin has too, if there is one: counting the tokens of the
    /// facts again would take as long as writing them. In earlier versions, a twin with other
    /// objects may have more or fewer tokens of filler.
    pub(super) fn filler_of_twins(&self) -> Option<Arc<Filler>> {
        let is_shared = match self.world.version().rules().twin_filler {
            TwinFiller::BesideItsOwn => false,
            TwinFiller::BesideItsParents => true,
        };
        self.others.filler.clone().filter(|_| is_shared)
    }

    /// Returns the number of documents with facts, those without tokens included. With an insert,
    /// this is the number of documents that sentences are inserted into, which needs a pass over
    /// all sentences if documents may have several. Progress is in sentences.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] if memory is insufficient for that pass, and
    /// [`Error::Cancelled`] if `progress` is cancelled during it.
    pub fn fact_documents(&self, progress: &Progress) -> Result<u64> {
        match &self.insert {
            None => Ok(self.documents() - self.others.documents()),
            Some(slots) => self.documents_with_inserted(slots, progress),
        }
    }

    /// Returns the kind of each document of a range.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] if the range is not within the corpus or memory is insufficient.
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

    /// Returns, for each document of a range, whether it has facts, inserted ones included.
    /// Documents of facts that are not written, which have no tokens, count as those with facts.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] if the range is not within the corpus or memory is insufficient.
    pub fn says_facts(&self, documents: Range<u64>) -> Result<Vec<bool>> {
        self.check_documents(&documents)?;
        let says = |other: Option<u64>| other.is_none_or(|other| self.has_inserted(other));
        let mut all = room_for("stop", documents.end - documents.start, "documents")?;
        all.extend(documents.map(|document| says(self.other(document))));
        Ok(all)
    }

    /// Returns held-out documents of the filler's language, by number: documents that are in no
    /// corpus, the same for every amount of this filler.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] if the corpus has no filler, `T` cannot hold every id or a
    /// number is too large.
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

    /// Returns the number of a document among those without facts, or `None` if it is one of facts.
    #[inline(always)]
    pub(super) fn other(&self, document: u64) -> Option<u64> {
        if self.others.is_empty() {
            return None;
        }
        self.documents.other(document)
    }

    /// Returns the number among documents without facts of a slot of the order, or `None` if the
    /// slot is one of facts.
    #[inline(always)]
    pub(super) fn other_of(&self, number: u64) -> Option<u64> {
        if self.others.is_empty() {
            return None;
        }
        number.checked_sub(self.documents.own())
    }

    /// Writes a document without facts; returns its number of tokens.
    pub(super) fn emit_other<T: Token>(&self, number: u64, out: &mut [T]) -> usize {
        self.others
            .write(number, self.vocabulary.end_of_document(), out)
    }

    /// Returns an error if a background could not be read, in which case the tokens are wrong.
    pub(crate) fn check_read(&self) -> Result<()> {
        match &self.others.background {
            None => Ok(()),
            Some(taken) => taken.background().check(),
        }
    }
}

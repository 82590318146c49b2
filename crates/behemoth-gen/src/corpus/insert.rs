//! Sentences inserted into documents without facts of their own.

use std::cell::OnceCell;
use std::ops::Range;
use std::sync::Arc;

use super::held::Held;
use super::others::Others;
use super::sentence::Sentence;
use super::style::{Pen, Style};
use super::{Corpus, Progress};
use crate::error::Result;
use crate::exposure::Exposures;
use crate::grammar::{Lexicon, Mention, SentenceBuffer};
use crate::insert::{Room, Slots, bits};
use crate::spec::CorpusSpec;
use crate::vocabulary::Token;
use crate::world::World;

/// A copy of a fact inserted into a document.
struct Inserted {
    /// Number among all sentences.
    number: u64,
    fact: u64,
    copy: u64,
    /// Number of copies of the fact.
    exposures: u64,
    /// Offset of the first token in the document.
    first: u64,
}

/// Creates the slots of the sentences of a corpus, if the spec inserts them.
pub(super) fn slots(
    world: &World,
    spec: &CorpusSpec,
    style: &Style,
    others: &Others,
    exposures: &Exposures,
) -> Result<Option<Arc<Slots>>> {
    let Some(insert) = &spec.insert else {
        return Ok(None);
    };
    let room = Room {
        documents: others.documents(),
        tokens_of: |document| others.tokens_of(document),
    };
    let longest = style.most_tokens_alone(spec.questions.is_some(), insert.words) as u64;
    let seed = spec.order_seed.unwrap_or(world.seed());
    let slots = Slots::new(insert, &room, exposures.sentences(), longest, seed)?;
    Ok(Some(Arc::new(slots)))
}

/// Begins of words for callers that ignore offsets.
const ANYWHERE: Option<fn(u64) -> bool> = None;

impl Corpus {
    /// Returns the copies of facts inserted into a document, given by its number among those
    /// without facts of their own; omitted facts are excluded. `begins` returns whether a token of
    /// the document begins a word, if sentences are inserted at word boundaries.
    fn inserted<'a>(
        &'a self,
        other: u64,
        begins: Option<impl Fn(u64) -> bool + 'a>,
    ) -> impl Iterator<Item = Inserted> + 'a {
        let slots = self.insert.iter();
        let all =
            slots.flat_map(move |slots| slots.of(other, move || self.others.tokens_of(other)));
        all.filter_map(move |(number, spot)| {
            let first = match &begins {
                None => spot.first,
                Some(begins) => spot.at_word(begins),
            };
            let (mut fact, mut copy) = ([number], [(0, 0)]);
            self.exposures.locate(&mut fact, &mut copy);
            let ([fact], [(copy, exposures)]) = (fact, copy);
            (!self.is_left_out(fact)).then_some(Inserted {
                number,
                fact,
                copy,
                exposures,
                first,
            })
        })
    }

    /// Returns the lexicon whose words sentences are inserted between, if they are inserted at word
    /// boundaries.
    fn words(&self) -> Option<&Lexicon> {
        let Style::Text(text) = &self.style else {
            return None;
        };
        self.spec.corpus.insert.filter(|insert| insert.words)?;
        Some(text.lexicon())
    }

    /// Returns a function that returns whether a token of a document begins a word, if sentences
    /// are inserted at word boundaries. The document is made when it is first asked: most documents
    /// may have no sentence, and their tokens need not be looked at.
    fn begins_word(&self, other: u64) -> Option<impl Fn(u64) -> bool> {
        let lexicon = self.words()?;
        let made = OnceCell::new();
        Some(move |at| {
            let tokens = made.get_or_init(|| {
                let mut tokens = vec![0u32; self.others.tokens_of(other) as usize];
                let end = self.vocabulary.end_of_document();
                self.others.write_tokens(other, end, &mut tokens);
                tokens
            });
            lexicon.begins_word(tokens[at as usize])
        })
    }

    /// Returns how a sentence inserted at a token of a document names its subject.
    pub(super) fn mention_at(&self, first: u64) -> Mention {
        let words = self.spec.corpus.insert.is_some_and(|insert| insert.words);
        match words && first > 0 {
            true => Mention::Named,
            false => Mention::First,
        }
    }

    /// Calls `each` for every sentence inserted into a document, with the offset of its first
    /// token.
    pub(super) fn for_each_inserted(&self, other: u64, mut each: impl FnMut(u64, &Sentence)) {
        for inserted in self.inserted(other, self.begins_word(other)) {
            each(inserted.first, &self.sentence_of(&inserted));
        }
    }

    /// Returns the sentences inserted into a document, wherever in it they begin.
    pub(super) fn sentences_inserted(&self, other: u64) -> impl Iterator<Item = Sentence> {
        self.inserted(other, ANYWHERE)
            .map(|inserted| self.sentence_of(&inserted))
    }

    fn sentence_of(&self, inserted: &Inserted) -> Sentence {
        let &Inserted {
            number,
            fact,
            copy,
            exposures,
            ..
        } = inserted;
        let rank = self.question_rank(fact);
        self.sentence(number, fact, copy, exposures, rank)
    }

    /// Returns `true` if a sentence is inserted into a document.
    pub(super) fn has_inserted(&self, other: u64) -> bool {
        self.inserted(other, ANYWHERE).next().is_some()
    }

    /// Returns the number of documents that sentences are inserted into; refused if memory is
    /// insufficient.
    pub(super) fn documents_with_inserted(
        &self,
        slots: &Slots,
        progress: &Progress,
    ) -> Result<u64> {
        /// Number of sentences between two checks for cancellation.
        const PIECE: u64 = 1 << 16;
        if slots.per_document() == 1 {
            return Ok(self.sentences());
        }
        // There are fewer sentences than slots, usually far fewer.
        let mut bits = bits(self.others.documents())?;
        let sentences = self.exposures.sentences();
        for number in 0..sentences {
            if number % PIECE == 0 {
                progress.add(PIECE.min(sentences - number))?;
            }
            let mut fact = [number];
            self.exposures.locate(&mut fact, &mut [(0, 0)]);
            if !self.is_left_out(fact[0]) {
                let other = slots.document_of(number);
                bits[(other / 64) as usize] |= 1 << (other % 64);
            }
        }
        Ok(bits.iter().map(|word| u64::from(word.count_ones())).sum())
    }

    /// [`Corpus::emit`] for a corpus with an insert.
    pub(super) fn emit_inserted<T: Token>(
        &self,
        pen: &Pen<'_, T>,
        documents: Range<u64>,
        out: &mut [T],
    ) -> usize {
        let (mut at, mut lines) = (0, SentenceBuffer::new());
        let mut all: Vec<Inserted> = Vec::new();
        self.for_each_held(documents, None, |_, held| {
            let Held::Other(other) = held else {
                return;
            };
            let end = at + self.emit_other(other, &mut out[at..]);
            all.clear();
            match self.words() {
                // In a stream of roles, words are in the tokens that the document would have.
                Some(_) if self.others.role.is_some() => {
                    all.extend(self.inserted(other, self.begins_word(other)));
                }
                // Each sentence is placed in the document as it was before any other was inserted.
                // If it could not be read, the caller's `check_read` refuses the result.
                Some(lexicon) => {
                    let written = &out[at..end];
                    let begins = |token: u64| lexicon.begins_word(written[token as usize].id());
                    all.extend(self.inserted(other, Some(begins)));
                }
                None => all.extend(self.inserted(other, ANYWHERE)),
            }
            for inserted in &all {
                let (first, sentence) = (inserted.first, &self.sentence_of(inserted));
                // Writing a sentence overruns its end. It is therefore written behind the document,
                // where the next one will be written, and only its tokens are moved.
                let made = match pen {
                    Pen::Templates(writer, templates) => {
                        self.emit_sentence(writer, templates, sentence, &mut out[end..])
                    }
                    Pen::Text(text) => {
                        let mention = self.mention_at(first);
                        text.write_alone(sentence, mention, &mut lines, &mut out[end..])
                    }
                };
                out.copy_within(end..end + made, at + first as usize);
            }
            at = end;
        });
        at
    }

    /// Calls `each` with every document of a range and its number of tokens, in a corpus with an
    /// insert, which replaces tokens and adds none.
    pub(super) fn count_others(&self, documents: Range<u64>, mut each: impl FnMut(u64, u64)) {
        self.for_each_held(documents, None, |document, held| {
            if let Held::Other(other) = held {
                each(document, self.others.tokens_of(other));
            }
        });
    }
}

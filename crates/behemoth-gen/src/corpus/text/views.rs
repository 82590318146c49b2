//! Views of a corpus of text: as text, as roles, as mentions.

use std::ops::Range;
use std::slice::from_ref;
use std::sync::Arc;

use super::super::held::Held;
use super::super::sentence::Sentence;
use super::super::style::Style;
use super::super::{Corpus, pages};
use super::Text;
use super::emit::Sink;
use crate::error::{Error, Result};
use crate::grammar::{Digits, Lexicon, Mention, SentenceBuffer, TextRole};
use crate::memory::{make_room, room_for};

/// Role of the tokens of a background.
pub const BACKGROUND_ROLE: u32 = 4;

/// A mention of a subject or an object by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Span {
    /// Number of the document.
    pub document: u64,
    /// Position of the sentence in the document, from 0.
    pub sentence: u32,
    /// The fact that the sentence states; for the subject of a joint statement, the first.
    pub fact: u64,
    /// Number of the copy among those of the fact, from 0.
    pub copy: u64,
    /// Role of the mention.
    pub role: TextRole,
    /// Offset of the first token from the start of the document.
    pub start: u32,
    /// Offset one past the last token.
    pub end: u32,
}

impl Corpus {
    pub(super) fn text(&self) -> Result<&Text> {
        match &self.style {
            Style::Text(text) => Ok(text),
            Style::Templates(_) => Err(Error::argument(
                "corpus",
                "a corpus written with templates",
                "a corpus written with a grammar",
            )),
        }
    }

    fn rewritten(&self, lexicon: Lexicon) -> Result<Corpus> {
        let text = self.text()?.with_lexicon(lexicon);
        let vocabulary = Text::vocabulary(&text.lexicon, self.spec.corpus.filler.as_ref())?;
        let style = Style::Text(Arc::new(text));
        let most_tokens = style.most_tokens();
        Ok(Corpus {
            style,
            vocabulary,
            most_tokens,
            index: Arc::default(),
            mean: Arc::default(),
            reached: Arc::default(),
            written: Arc::default(),
            ..self.clone()
        })
    }

    /// Returns the same stream with the role of each token instead of its id: [`TextRole::code`],
    /// [`END_ROLE`](crate::grammar::END_ROLE) at the end of a document, and [`BACKGROUND_ROLE`] in
    /// documents of a filler or a background. It cannot be written to a directory and has no twins.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] if the corpus is written with templates.
    pub fn as_roles(&self) -> Result<Corpus> {
        let mut corpus = self.rewritten(self.text()?.lexicon.as_roles())?;
        corpus.others.role = Some(BACKGROUND_ROLE);
        // One role for each token: documents are as long.
        corpus.index = Arc::clone(&self.index);
        Ok(corpus)
    }

    /// Refuses a view of roles: its spec is that of the corpus, and its tokens are others.
    pub(crate) fn check_own_tokens(&self) -> Result<()> {
        match self.others.role {
            None => Ok(()),
            Some(_) => Err(Error::argument(
                "corpus",
                "the roles of its tokens",
                "the corpus itself, of which roles are a view",
            )),
        }
    }

    /// Returns the same stream with pieces of text as tokens; compiling it takes a while, and the
    /// result is kept.
    fn as_text(&self) -> Result<&Corpus> {
        if let Some(written) = self.written.get() {
            return Ok(written);
        }
        let written = self.rewritten(self.text()?.lexicon.as_text()?)?;
        Ok(self.written.get_or_init(|| written))
    }

    /// Returns the documents of a corpus written with a grammar as text. For documents of a filler
    /// or a background, only the inserted sentences are returned, one per line.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] if the corpus is written with templates, the range is not within
    /// the corpus or memory is insufficient for its documents, even if they had no text.
    pub fn texts(&self, documents: Range<u64>) -> Result<Vec<String>> {
        self.check_documents(&documents)?;
        let written = self.as_text()?;
        let text = written.text()?;
        let count = documents.end - documents.start;
        let mut texts = room_for("stop", count, "documents")?;
        texts.resize(count as usize, String::new());
        let mut texts = Texts {
            corpus: written,
            text,
            tokens: vec![0; written.room(1)],
            at: 0,
            first: documents.start,
            texts,
            current: String::new(),
        };
        written.pass_text(text, documents, &mut texts);
        Ok(texts.texts)
    }

    /// Returns the mentions of subjects and objects by name in a range of documents, in order.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] if the corpus is written with templates, the range is not within
    /// the corpus or memory is insufficient, and the error of a background that cannot be read.
    pub fn spans(&self, documents: Range<u64>) -> Result<Vec<Span>> {
        self.check_documents(&documents)?;
        let text = self.text()?;
        self.check_room::<Span>(&documents, "mentions", |page| {
            Ok(self.spans(page)?.len() as u64)
        })?;
        let mut spans = Vec::new();
        for page in pages(documents) {
            let mut room = Ok(());
            let mut add = |plan, digits: &Digits, group: &[Sentence], at, first| {
                if room.is_ok() {
                    room = text.add_spans(plan, digits, group, at, first, &mut spans);
                }
            };
            self.for_each_held(page, Some(&text.names), |document, held| {
                let mut at = (document, 0);
                match held {
                    Held::Sentences(sentences, named) => {
                        let mut first = 0;
                        text.for_each(sentences, named, self, |plan, digits, group| {
                            add(plan, digits, group, at, first);
                            first += text.lexicon.tokens(plan, digits) as u64;
                            at.1 += 1;
                        });
                    }
                    Held::Other(other) => self.for_each_inserted(other, |first, sentence| {
                        let (plan, digits) = text.alone(sentence, self.mention_at(first));
                        add(plan, &digits, from_ref(sentence), at, first);
                        at.1 += 1;
                    }),
                }
            });
            room?;
        }
        self.check_read()?;
        Ok(spans)
    }
}

/// Writes each document as text.
struct Texts<'a> {
    /// The stream with pieces of text as tokens.
    corpus: &'a Corpus,
    text: &'a Text,
    /// Tokens of the current document, and their number.
    tokens: Vec<u32>,
    at: usize,
    /// Number of the first document.
    first: u64,
    texts: Vec<String>,
    /// Text of the current document, but for its tokens.
    current: String,
}

impl Texts<'_> {
    /// Moves the tokens to the text of the current document. The end of a document has no name.
    fn read(&mut self) {
        let names = self.text.lexicon.names().unwrap_or_default();
        let tokens = self.tokens[..self.at].iter();
        let names = tokens.filter_map(|&token| names.get(token as usize));
        self.current.extend(names.map(String::as_str));
        self.at = 0;
    }
}

impl Sink for Texts<'_> {
    fn lines(&mut self, lines: &mut SentenceBuffer) {
        self.at += lines.write(&self.text.lexicon, &mut self.tokens[self.at..]);
    }

    fn other(&mut self, number: u64) {
        let mut lines = SentenceBuffer::new();
        for sentence in self.corpus.sentences_inserted(number) {
            if !self.current.is_empty() {
                self.current.push('\n');
            }
            let (first, tokens) = (Mention::First, &mut self.tokens);
            self.at = self.text.write_alone(&sentence, first, &mut lines, tokens);
            self.read();
        }
    }

    fn end(&mut self, document: u64, lines: &mut SentenceBuffer) {
        self.lines(lines);
        self.read();
        self.texts[(document - self.first) as usize] = std::mem::take(&mut self.current);
    }
}

impl Text {
    /// Adds the mentions of a sentence that states a group of facts, `at` a document and a position
    /// in it, with its first token at offset `first`; if memory is insufficient, the list is emptied.
    fn add_spans(
        &self,
        plan: u32,
        digits: &Digits,
        group: &[Sentence],
        at: (u64, u32),
        first: u64,
        spans: &mut Vec<Span>,
    ) -> Result<()> {
        let found = self.lexicon.spans(plan, digits);
        make_room(spans, found.len(), "stop", "mentions")?;
        for span in found {
            let of = match span.role {
                // A joint statement numbers objects in the order of its relations.
                TextRole::Object(place) if group.len() > 1 => {
                    self.place_in_joint(group, usize::from(place))
                }
                _ => group.first(),
            };
            let Some(of) = of else { continue };
            spans.push(Span {
                document: at.0,
                sentence: at.1,
                fact: of.fact,
                copy: of.copy,
                role: span.role,
                start: first as u32 + span.start as u32,
                end: first as u32 + span.end as u32,
            });
        }
        Ok(())
    }
}

//! A corpus of text, looked at otherwise: as text, as roles, as mentions.

use std::ops::Range;
use std::sync::Arc;

use super::super::Corpus;
use super::super::bios::Held;
use super::super::style::Style;
use super::Text;
use crate::error::{Error, Result};
use crate::grammar::{Lexicon, TextRole};

/// Stands for what a background says among roles.
pub const BACKGROUND_ROLE: u32 = 4;

/// A mention of a subject or an object by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Span {
    /// The document.
    pub document: u64,
    /// Its sentence, counted in the document.
    pub sentence: u32,
    /// The fact that the sentence says; for the subject of a joint statement the first.
    pub fact: u64,
    /// Which of the fact's copies.
    pub copy: u64,
    /// What is mentioned.
    pub role: TextRole,
    /// First token, counted in the document.
    pub start: u32,
    /// One past its last token.
    pub end: u32,
}

impl Corpus {
    pub(super) fn text(&self) -> Result<&Text> {
        match &self.style {
            Style::Text(text) => Ok(text),
            Style::Templates(_) => Err(Error::argument(
                "corpus",
                "one written by templates",
                "a corpus that is written with a grammar",
            )),
        }
    }

    fn rewritten(&self, lexicon: Lexicon) -> Result<Corpus> {
        let text = self.text()?.with_lexicon(lexicon);
        let vocabulary = Text::vocabulary(&text.lexicon)?;
        let style = Style::Text(Arc::new(text));
        let most_tokens = style.most_tokens();
        Ok(Corpus {
            style,
            vocabulary,
            most_tokens,
            index: Arc::default(),
            written: Arc::default(),
            ..self.clone()
        })
    }

    /// The same stream with the role of each token in the place of its id: [`TextRole::code`],
    /// [`END_ROLE`](crate::grammar::END_ROLE) at the end of a document, and [`BACKGROUND_ROLE`] in
    /// those of a background.
    pub fn as_roles(&self) -> Result<Corpus> {
        let mut corpus = self.rewritten(self.text()?.lexicon.as_roles())?;
        corpus.others.role = Some(BACKGROUND_ROLE);
        Ok(corpus)
    }

    /// The same stream with pieces of text for tokens, which takes a while to compile.
    fn as_text(&self) -> Result<&Corpus> {
        if let Some(written) = self.written.get() {
            return Ok(written);
        }
        let written = self.rewritten(self.text()?.lexicon.as_text()?)?;
        Ok(self.written.get_or_init(|| written))
    }

    /// The documents of a corpus that is written with a grammar, as text; nothing for those of a
    /// background, which is known as tokens alone.
    pub fn texts(&self, documents: Range<u64>) -> Result<Vec<String>> {
        self.check_range("stop", documents.start, documents.end, self.documents())?;
        let written = self.as_text()?;
        let text = written.text()?;
        let names = text.lexicon.names().unwrap_or_default();
        let mut tokens = vec![0u32; written.room(1)];
        let texts = documents.map(|document| {
            if self.other(document).is_some() {
                return String::new();
            }
            let count = written.emit_text(text, document..document + 1, &mut tokens);
            let own = tokens[..count].iter();
            own.filter_map(|&token| names.get(token as usize))
                .map(String::as_str)
                .collect()
        });
        Ok(texts.collect())
    }

    /// Where documents mention subjects and objects by name, in order.
    pub fn spans(&self, documents: Range<u64>) -> Result<Vec<Span>> {
        self.check_range("stop", documents.start, documents.end, self.documents())?;
        let text = self.text()?;
        let mut spans = Vec::new();
        self.for_each_bio(documents, Some(&text.names), |document, held| {
            let Held::Sentences(sentences, named) = held else {
                return;
            };
            let (mut at, mut sentence) = (0, 0);
            text.for_each(sentences, named, self, |plan, digits, group| {
                for span in text.lexicon.spans(plan, digits) {
                    let of = match span.role {
                        // A joint statement says objects in the order of its relations.
                        TextRole::Object(place) if group.len() > 1 => {
                            text.place_in_joint(group, usize::from(place))
                        }
                        _ => group.first(),
                    };
                    let Some(of) = of else { continue };
                    spans.push(Span {
                        document,
                        sentence,
                        fact: of.fact,
                        copy: of.copy,
                        role: span.role,
                        start: at + span.start as u32,
                        end: at + span.end as u32,
                    });
                }
                at += text.lexicon.tokens(plan, digits) as u32;
                sentence += 1;
            });
        });
        Ok(spans)
    }
}

//! Tokenizers, which encode text as tokens with character offsets.

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::numbers::TOKEN_LIMIT;

/// Prefix of a piece that does not begin a text, while it is encoded.
pub(super) const ANCHOR: &str = ".";

/// A token of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextToken {
    /// Id of the token.
    pub id: u32,
    /// Offset of the first character that it covers, counted in characters.
    pub start: usize,
    /// Offset one past its last character.
    pub end: usize,
}

/// An encoder of text, used to compile a grammar: every piece of it is encoded once.
pub trait Tokenizer {
    /// Returns an identifier that differs between tokenizers and is part of a corpus's spec.
    fn digest(&self) -> String;

    /// Returns the number of token ids, once all texts are encoded.
    fn size(&self) -> u64;

    /// Returns the token that ends a document.
    fn end_of_document(&self) -> u32;

    /// Encodes each text, without special tokens at its beginning or end: a list of tokens for each
    /// text, with ids below [`Tokenizer::size`].
    ///
    /// # Errors
    ///
    /// Returns an error if the texts cannot be encoded.
    fn encode(&mut self, texts: &[String]) -> Result<Vec<Vec<TextToken>>>;

    /// Returns the names of its tokens by id, if it was built for the grammar: [`Tokenizer::size`]
    /// of them, once all texts are encoded, the first of which are [`SPECIAL_WORDS`].
    fn names(&self) -> Option<&[String]> {
        None
    }
}

/// Encodes texts; refuses a tokenizer that returns another number of lists, or an id that it does
/// not have.
pub(super) fn encoded(
    tokenizer: &mut dyn Tokenizer,
    texts: &[String],
) -> Result<Vec<Vec<TextToken>>> {
    let all = tokenizer.encode(texts)?;
    if all.len() != texts.len() {
        let got = format!("{} lists of tokens", all.len());
        let allowed = format!("{}, one for each text", texts.len());
        return Err(Error::argument("tokenizer", got, allowed));
    }
    let size = tokenizer.size();
    match all
        .iter()
        .flatten()
        .find(|token| u64::from(token.id) >= size)
    {
        None => Ok(all),
        Some(TextToken { id, .. }) => {
            let allowed = format!("ids below {size}");
            Err(Error::argument("tokenizer", format!("token {id}"), allowed))
        }
    }
}

/// Characters that are a token each, in addition to white space; the tokenizer file that Python
/// writes has the same characters in its regular expression.
pub const PUNCTUATION: &str = "!\"#$%&'()*+,./:;<=>?@[\\]^`{|}~“”„‘’‚«»‹›–—…¿¡·";

/// The end of a document, padding, and the token for unknown words.
pub const SPECIAL_WORDS: [&str; 3] = ["<|endoftext|>", "<|padding|>", "<|unknown|>"];

/// The tokenizer of a grammar's own words: a token is a word or a punctuation mark, with the space
/// before it.
///
/// Decoding restores texts exactly, since spaces belong to tokens. Ids are in the order in which
/// words are first encoded.
#[derive(Clone, Debug)]
pub struct WordTokenizer {
    names: Names,
}

impl Default for WordTokenizer {
    fn default() -> Self {
        let names = SPECIAL_WORDS.map(String::from).to_vec();
        let ids = (0..).zip(&names).map(|(id, n)| (n.clone(), id)).collect();
        WordTokenizer {
            names: Names { names, ids },
        }
    }
}

/// Names of tokens, with ids in the order in which they are first asked for.
#[derive(Clone, Debug, Default)]
struct Names {
    names: Vec<String>,
    ids: HashMap<String, u32>,
}

impl Names {
    fn id(&mut self, word: &str) -> Result<u32> {
        if let Some(&id) = self.ids.get(word) {
            return Ok(id);
        }
        let id = u32::try_from(self.names.len())
            .ok()
            .filter(|&id| u64::from(id) < TOKEN_LIMIT)
            .ok_or_else(|| {
                let got = format!("{TOKEN_LIMIT} words");
                Error::argument("vocabulary", got, "fewer words")
            })?;
        self.ids.insert(word.to_string(), id);
        self.names.push(word.to_string());
        Ok(id)
    }
}

/// Splits a text into words and punctuation marks, each with the space before it.
fn words(text: &str) -> Vec<(&str, usize, usize)> {
    let letters: Vec<(usize, char)> = text.char_indices().collect();
    let at = |i: usize| letters.get(i).map_or(text.len(), |&(at, _)| at);
    let is_word = |i: usize| {
        letters
            .get(i)
            .is_some_and(|&(_, l)| !l.is_whitespace() && !PUNCTUATION.contains(l))
    };
    let mut found = Vec::new();
    let mut i = 0;
    while i < letters.len() {
        let start = i;
        if letters[i].1 == ' ' && letters.get(i + 1).is_some_and(|(_, l)| !l.is_whitespace()) {
            i += 1;
        }
        if is_word(i) {
            while is_word(i) {
                i += 1;
            }
        } else {
            i += 1;
        }
        found.push((&text[at(start)..at(i)], start, i));
    }
    found
}

impl Tokenizer for WordTokenizer {
    fn digest(&self) -> String {
        "words-v1".to_string()
    }

    fn size(&self) -> u64 {
        self.names.names.len() as u64
    }

    fn end_of_document(&self) -> u32 {
        0
    }

    fn encode(&mut self, texts: &[String]) -> Result<Vec<Vec<TextToken>>> {
        texts
            .iter()
            .map(|text| {
                words(text)
                    .into_iter()
                    .map(|(word, start, end)| {
                        Ok(TextToken {
                            id: self.names.id(word)?,
                            start,
                            end,
                        })
                    })
                    .collect()
            })
            .collect()
    }

    fn names(&self) -> Option<&[String]> {
        Some(&self.names.names)
    }
}

/// A tokenizer in which every piece is a token, used to write a corpus as text.
#[derive(Clone, Debug, Default)]
pub(crate) struct PieceTokenizer {
    names: Names,
}

impl Tokenizer for PieceTokenizer {
    fn digest(&self) -> String {
        "text".to_string()
    }

    fn size(&self) -> u64 {
        self.names.names.len() as u64 + 1
    }

    fn end_of_document(&self) -> u32 {
        u32::MAX
    }

    fn encode(&mut self, texts: &[String]) -> Result<Vec<Vec<TextToken>>> {
        let mut encode = |text: &String| {
            // The prefix is not part of the piece.
            let (before, own) = match text.strip_prefix(ANCHOR) {
                Some(own) => (Some(self.names.id(ANCHOR)?), own),
                None => (None, text.as_str()),
            };
            let shift = usize::from(before.is_some());
            let mut tokens: Vec<TextToken> = before
                .map(|id| TextToken {
                    id,
                    start: 0,
                    end: 1,
                })
                .into_iter()
                .collect();
            if !own.is_empty() {
                tokens.push(TextToken {
                    id: self.names.id(own)?,
                    start: shift,
                    end: shift + own.chars().count(),
                });
            }
            Ok(tokens)
        };
        texts.iter().map(&mut encode).collect()
    }

    fn names(&self) -> Option<&[String]> {
        Some(&self.names.names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_every_letter() {
        for text in [
            "Anya Petrova's birthday is May 3, 1912.",
            " (Oslo)\nNew  York “x”",
            "",
        ] {
            let parts: String = words(text).iter().map(|&(word, ..)| word).collect();
            assert_eq!(parts, text);
        }
        let parts: Vec<&str> = words("It's Jean-Luc, 5.").iter().map(|w| w.0).collect();
        assert_eq!(parts, ["It", "'", "s", " Jean-Luc", ",", " 5", "."]);
    }

    #[test]
    fn ids_are_in_the_order_of_first_use() {
        let mut tokenizer = WordTokenizer::default();
        let texts = ["a b a".to_string(), " b".to_string()];
        let found = tokenizer.encode(&texts).unwrap();
        let ids: Vec<Vec<u32>> = found
            .iter()
            .map(|tokens| tokens.iter().map(|token| token.id).collect())
            .collect();
        assert_eq!(ids, [vec![3, 4, 5], vec![4]]);
        assert_eq!((found[0][1].start, found[0][1].end), (1, 3));
        assert_eq!(tokenizer.size(), 6);
    }
}

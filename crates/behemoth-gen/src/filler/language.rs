//! The filler language: sequences of words and lengths of documents.

use std::collections::HashSet;
use std::sync::Arc;

use super::FillerSpec;
use super::words::words;
use crate::error::{Error, Result};
use crate::hash::{Divider, Key, multiply_high};
use crate::relation::{Alias, Threshold};
use crate::vocabulary::Token;

/// First number of held-out documents, which are in no corpus.
const HELD_OUT: u64 = 1 << 62;

/// The token ids of words, by rank.
#[derive(Clone, Debug)]
pub(crate) enum WordIds {
    /// Consecutive ids, starting here.
    From(u32),
    /// A list of ids: words of a tokenizer that was not built for the corpus.
    Listed(Arc<[u32]>),
}

/// The filler of a corpus.
#[derive(Clone, Debug)]
pub(crate) struct Filler {
    documents: u64,
    tokens: u64,
    length: u64,
    by_words: Divider,
    ids: WordIds,
    ranks: Alias,
    /// Whether a word is drawn from the successors of the word before.
    bigram: Threshold,
    /// For each word, `(factor, shift)`: its successor of rank k is `factor * k + shift` modulo the
    /// number of words.
    successors: Vec<(u32, u32)>,
    document_key: Key,
    rank_key: Key,
    coin_key: Key,
    length_key: Key,
}

impl Filler {
    /// Creates a filler of a number of tokens; `ids` are the ids of at least as many words as the
    /// spec has.
    pub(crate) fn new(spec: &FillerSpec, tokens: u64, ids: WordIds) -> Self {
        let FillerSpec::Zipf(spec) = spec;
        let key = |purpose| Key::new(spec.seed, purpose, 0);
        let weights = (0..spec.words).map(|k| libm::pow((k + 1) as f64, -spec.alpha));
        let documents = match tokens {
            0 => 0,
            tokens => (tokens / spec.length).max(1),
        };
        Filler {
            documents,
            tokens,
            length: spec.length,
            by_words: Divider::new(spec.words),
            ids,
            ranks: Alias::new(weights),
            bigram: Threshold::new(spec.bigram),
            successors: successors(spec.words, key("filler-successors")),
            document_key: key("filler-document"),
            rank_key: key("filler-rank"),
            coin_key: key("filler-coin"),
            length_key: key("filler-length"),
        }
    }

    /// Returns the names of its words, in order of rank.
    pub(crate) fn names(spec: &FillerSpec) -> Vec<String> {
        words(spec.words())
    }

    /// Like [`Filler::names`], for texts in which words include their spaces, and without known
    /// words.
    pub(crate) fn names_beside(spec: &FillerSpec, known: &[String]) -> Vec<String> {
        let known: HashSet<&str> = known.iter().map(String::as_str).collect();
        let more = spec.words() + known.len() as u64;
        let words = words(more).into_iter().map(|word| format!(" {word}"));
        let others = words.filter(|word| !known.contains(word.as_str()));
        others.take(spec.words() as usize).collect()
    }

    /// Returns the number of documents.
    pub(crate) fn documents(&self) -> u64 {
        self.documents
    }

    /// Returns the number of tokens in a document, its end included.
    ///
    /// Documents come in pairs, one longer than the mean by as much as the other is shorter; the
    /// last has the remainder. The sum is therefore exact, and the length of a document does not
    /// need any other document.
    pub(crate) fn tokens_of(&self, document: u64) -> u64 {
        if document + 1 == self.documents {
            return self.tokens - self.length * (self.documents - 1);
        }
        let is_last_of_odd = document + 2 == self.documents && document.is_multiple_of(2);
        if is_last_of_odd {
            return self.length;
        }
        let half = (self.length - 2) / 2;
        let drawn = multiply_high(self.length_key.hash(document / 2), 2 * half + 1);
        if document.is_multiple_of(2) {
            self.length - half + drawn
        } else {
            self.length + half - drawn
        }
    }

    /// Returns an upper bound of the number of tokens in a document.
    pub(crate) fn most_tokens(&self) -> u64 {
        let last = self.documents.checked_sub(1);
        let last = last.map_or(0, |last| self.tokens_of(last));
        match self.documents {
            0 | 1 => last,
            _ => last.max(self.length + (self.length - 2) / 2),
        }
    }

    /// Writes a document; returns its number of tokens.
    pub(crate) fn write<T: Token>(&self, document: u64, end: u32, out: &mut [T]) -> usize {
        match &self.ids {
            WordIds::From(first) => self.write_words(document, end, |word| first + word, out),
            WordIds::Listed(ids) => self.write_words(document, end, |word| ids[word as usize], out),
        }
    }

    #[inline(always)]
    fn write_words<T: Token>(
        &self,
        document: u64,
        end: u32,
        id: impl Fn(u32) -> u32,
        out: &mut [T],
    ) -> usize {
        let tokens = self.tokens_of(document) as usize;
        let (last, body) = out[..tokens].split_last_mut().expect("at least its end");
        let draw = self.document_key.hash(document);
        let mut before = None;
        for (at, out) in (0..).zip(body) {
            let rank = self.ranks.draw(self.rank_key.hash(draw ^ at));
            let word = match before {
                Some(before) if self.bigram.passes(self.coin_key.hash(draw ^ at)) => {
                    let (factor, shift) = self.successors[before as usize];
                    let place = u64::from(factor) * u64::from(rank) + u64::from(shift);
                    self.by_words.divide(place).1 as u32
                }
                _ => rank,
            };
            *out = T::from_id(id(word));
            before = Some(word);
        }
        *last = T::from_id(end);
        tokens
    }

    /// Returns a held-out document, which is in no corpus.
    pub(crate) fn held_out<T: Token>(&self, document: u64, end: u32) -> Result<Vec<T>> {
        if document >= HELD_OUT {
            let allowed = format!("documents below {HELD_OUT}");
            return Err(Error::argument("stop", document, allowed));
        }
        let document = HELD_OUT + document;
        let mut tokens = vec![T::default(); self.tokens_of(document) as usize];
        self.write(document, end, &mut tokens);
        Ok(tokens)
    }
}

/// Returns, for each word, a factor that is coprime with the number of words, and a shift.
fn successors(words: u64, key: Key) -> Vec<(u32, u32)> {
    let of = |word: u64| {
        let shift = multiply_high(key.hash_pair(word, 0), words) as u32;
        let mut factors = (1..).map(|at| 1 + multiply_high(key.hash_pair(word, at), words - 1));
        let factor = factors.find(|&factor| greatest_common_divisor(factor, words) == 1);
        (
            factor.expect("1 is such a factor, and is drawn some time") as u32,
            shift,
        )
    };
    (0..words).map(of).collect()
}

fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filler::Zipf;

    #[test]
    fn tokens_are_exact_for_every_number_and_length() {
        for length in [4, 5, 16, 17] {
            for tokens in 0..600 {
                let spec = Zipf {
                    length,
                    words: 10,
                    ..Zipf::new(tokens)
                };
                let filler = Filler::new(&spec.into(), tokens, WordIds::From(0));
                let of = |document| filler.tokens_of(document);
                let sum: u64 = (0..filler.documents()).map(of).sum();
                assert_eq!(sum, tokens);
                let most = (0..filler.documents()).map(of).max().unwrap_or(0);
                assert!(most <= filler.most_tokens());
                // But for the last of few tokens, documents have words.
                assert!((0..filler.documents()).all(|d| of(d) >= 3 || tokens < length));
            }
        }
    }

    #[test]
    fn successors_are_all_words_in_another_order() {
        for words in [2u64, 10, 97, 360] {
            for (factor, shift) in successors(words, Key::new(1, "test", 0)) {
                let mut seen: Vec<u64> = (0..words)
                    .map(|rank| (u64::from(factor) * rank + u64::from(shift)) % words)
                    .collect();
                seen.sort_unstable();
                assert!(seen.into_iter().eq(0..words));
            }
        }
    }
}

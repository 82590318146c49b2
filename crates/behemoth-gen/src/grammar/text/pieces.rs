//! The pieces that sentences are split into, each encoded once.
//!
//! Pieces within a text are encoded after a prefix, since the beginning of a text may be encoded
//! differently. That their tokens do not depend on the prefix is checked here for each piece, and
//! for documents when a corpus is written.

use std::collections::HashMap;

use super::boundaries::{Around, core_tokens};
use super::expand::{Content, Segment, TextRole};
use super::file::List;
use super::pattern::cased;
use super::slots;
use super::tokenizer::{ANCHOR, Tokenizer, encoded};
use crate::error::{Error, Result};

/// Maximum number of ways to fill a piece: for two adjacent lists, this is the product of their
/// lengths.
const FILLED_LIMIT: usize = 1 << 20;

/// Maximum total number of ways to fill all pieces: each needs about half a KiB and is encoded.
const ALL_FILLED_LIMIT: usize = 1 << 22;

/// The tokens of a piece, or of one way to fill it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub at: u32,
    pub tokens: u8,
    /// Range of the tokens that name the subject or the object.
    pub core: (u8, u8),
}

/// A piece of a sentence, with the index of its entry as a function of the digits of the sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Piece {
    pub first: u32,
    pub stride: u32,
    pub slots: [u8; 2],
    pub role: TextRole,
}

impl Piece {
    pub(super) fn has_words(&self) -> bool {
        self.slots != [slots::NONE; 2]
    }
}

/// A piece with all ways to fill it.
struct Gathered {
    segments: Vec<Segment>,
    is_first: bool,
    /// Index of the first entry, the number of entries, and the number for each word of the first
    /// of two lists.
    first: usize,
    count: usize,
    stride: usize,
    /// The piece with lists in braces, for errors.
    name: String,
}

/// A text to encode, with the range of the characters that name the subject or the object.
struct Filled {
    text: String,
    core: Option<(usize, usize)>,
    is_first: bool,
}

/// All pieces of a grammar, which are collected first and then encoded in one call.
pub(super) struct Pieces<'a> {
    lists: &'a [List],
    known: HashMap<(bool, Vec<Segment>), Piece>,
    gathered: Vec<Gathered>,
    /// Total number of ways to fill the pieces.
    count: usize,
}

impl<'a> Pieces<'a> {
    pub(super) fn new(lists: &'a [List]) -> Self {
        Pieces {
            lists,
            known: HashMap::new(),
            gathered: Vec::new(),
            count: 0,
        }
    }

    /// Returns the piece of some segments; `is_first` if it begins a text.
    pub(super) fn piece(&mut self, segments: &[Segment], is_first: bool) -> Result<Piece> {
        let words: Vec<(usize, u8)> = segments
            .iter()
            .filter_map(|segment| match segment.content {
                Content::Word { list, slot, .. } => Some((self.lists[list].words.len(), slot)),
                Content::Text(_) => None,
            })
            .collect();
        let mut slots = [slots::NONE; 2];
        let (mut count, mut stride) = (1, 1);
        for (at, &(len, slot)) in words.iter().rev().enumerate() {
            if at == 2 || count * len > FILLED_LIMIT {
                return Err(Error::value(
                    format!("{:?}, adjacent lists", self.written(segments).trim()),
                    format!(
                        "a space between two lists of more than {FILLED_LIMIT} pairs of words, \
                         or in three lists"
                    ),
                ));
            }
            slots[1 - at] = slot;
            if at == 0 {
                stride = len;
            }
            count *= len;
        }
        let role = role_of(segments).map_err(|()| {
            Error::value(
                format!("{:?}, adjacent names", self.written(segments).trim()),
                "a space between a subject and an object",
            )
        })?;
        let key = (is_first, without_slots(segments));
        if let Some(known) = self.known.get(&key) {
            return Ok(Piece {
                slots,
                role,
                ..*known
            });
        }
        let name = self.written(segments);
        if self.count + count > ALL_FILLED_LIMIT {
            return Err(Error::value(
                format!(
                    "{:?}, a piece that {count} words fill, after pieces that {} fill",
                    name.trim(),
                    self.count
                ),
                format!("pieces of sentences that up to {ALL_FILLED_LIMIT} words fill"),
            ));
        }
        let piece = Piece {
            first: self.count as u32,
            stride: stride as u32,
            slots,
            role,
        };
        self.gathered.push(Gathered {
            segments: segments.to_vec(),
            is_first,
            first: self.count,
            count,
            stride,
            name,
        });
        self.count += count;
        self.known.insert(key, piece);
        Ok(piece)
    }

    /// Returns all ways to fill all pieces, in order.
    fn filled(&self) -> Vec<Filled> {
        let mut filled = Vec::with_capacity(self.count);
        for piece in &self.gathered {
            filled.extend((0..piece.count).map(|index| self.fill(piece, index)));
        }
        filled
    }

    fn fill(&self, piece: &Gathered, index: usize) -> Filled {
        let mut text = String::new();
        let mut letters = 0;
        let mut core: Option<(usize, usize)> = None;
        let is_word = |segment: &&Segment| matches!(segment.content, Content::Word { .. });
        let words = piece.segments.iter().filter(is_word).count();
        let digits = [index / piece.stride, index % piece.stride];
        let mut digits = digits.iter().skip(2 - words);
        for segment in &piece.segments {
            let start = letters;
            match &segment.content {
                Content::Text(part) => {
                    text.push_str(part);
                    letters += part.chars().count();
                }
                Content::Word {
                    list, is_capital, ..
                } => {
                    let word = &self.lists[*list].words[*digits.next().unwrap_or(&0)];
                    let word = cased(word, *is_capital);
                    // Capitalisation may change the number of characters: "ß" becomes "SS".
                    letters += word.chars().count();
                    text.push_str(&word);
                }
            }
            if segment.role != TextRole::Grammar {
                core = Some((core.map_or(start, |(from, _)| from), letters));
            }
        }
        Filled {
            text,
            core,
            is_first: piece.is_first,
        }
    }

    /// Returns a piece as text with lists in braces.
    fn written(&self, segments: &[Segment]) -> String {
        segments
            .iter()
            .map(|segment| match &segment.content {
                Content::Text(text) => text.clone(),
                Content::Word { list, .. } => format!("{{{}}}", self.lists[*list].name),
            })
            .collect()
    }

    /// Encodes all pieces; returns their concatenated tokens and an entry for each way to fill each
    /// piece.
    pub(super) fn encode(self, tokenizer: &mut dyn Tokenizer) -> Result<(Vec<u32>, Vec<Entry>)> {
        let anchor = encoded(tokenizer, &[ANCHOR.to_string()])?;
        let anchor: Vec<u32> = anchor.iter().flatten().map(|token| token.id).collect();
        let all = self.filled();
        let texts: Vec<String> = all
            .iter()
            .map(|filled| match filled.is_first {
                true => filled.text.clone(),
                false => format!("{ANCHOR}{}", filled.text),
            })
            .collect();
        let tokens_of = encoded(tokenizer, &texts)?;
        let mut pool = Vec::new();
        let mut entries = Vec::with_capacity(all.len());
        for (index, (filled, tokens)) in all.iter().zip(&tokens_of).enumerate() {
            let name = || {
                let at = self.gathered.partition_point(|piece| piece.first <= index);
                let piece = at.checked_sub(1).and_then(|at| self.gathered.get(at));
                let piece = piece.map_or("", |piece| piece.name.as_str());
                format!("piece {piece:?} as {:?}", filled.text)
            };
            let own = if filled.is_first {
                &tokens[..]
            } else {
                let (before, own) = tokens.split_at(anchor.len().min(tokens.len()));
                if !before
                    .iter()
                    .map(|token| token.id)
                    .eq(anchor.iter().copied())
                {
                    let allowed =
                        format!("a piece whose tokens do not depend on a {ANCHOR:?} before");
                    return Err(Error::argument("tokenizer", name(), allowed));
                }
                own
            };
            if own.is_empty() || own.len() > 255 {
                let got = format!("{} tokens for {}", own.len(), name());
                return Err(Error::argument("tokenizer", got, "1 to 255 tokens"));
            }
            let shift = if filled.is_first { 0 } else { ANCHOR.len() };
            let core = filled.core.map_or((0, 0), |(from, to)| {
                core_tokens(&texts[index], own, from + shift..to + shift, from == 0)
            });
            entries.push(Entry {
                at: pool.len() as u32,
                tokens: own.len() as u8,
                core,
            });
            pool.extend(own.iter().map(|token| token.id));
        }
        if u32::try_from(pool.len()).is_err() {
            return Err(Error::argument(
                "grammar",
                "more than 2^32 tokens",
                "fewer words",
            ));
        }
        check_distinct(&self.gathered, &all, &pool, &entries)?;
        for piece in &self.gathered {
            cut_alike(piece, &pool, &mut entries[piece.first..][..piece.count]);
        }
        Ok((pool, entries))
    }
}

/// Cuts all names that can fill a piece at the same place, with the same tokens before and after.
///
/// Words of lists are always of a name, so all ways to fill a piece differ in the name alone.
fn cut_alike(piece: &Gathered, pool: &[u32], entries: &mut [Entry]) {
    let is_named = |segment: &Segment| segment.role != TextRole::Grammar;
    if !piece.segments.iter().any(is_named) {
        return;
    }
    let around = |entry: &Entry| {
        let tokens = &pool[entry.at as usize..][..usize::from(entry.tokens)];
        Around::new(tokens, entry.core)
    };
    if let Some(all) = entries.iter().map(around).reduce(Around::and) {
        for entry in entries {
            entry.core = all.core(entry.tokens);
        }
    }
}

/// Refuses two words of a list with the same tokens.
fn check_distinct(
    pieces: &[Gathered],
    all: &[Filled],
    pool: &[u32],
    entries: &[Entry],
) -> Result<()> {
    for piece in pieces {
        let mut seen = HashMap::new();
        let (first, name) = (piece.first, &piece.name);
        for (index, entry) in (first..).zip(&entries[first..][..piece.count]) {
            let tokens = &pool[entry.at as usize..][..usize::from(entry.tokens)];
            if let Some(first) = seen.insert(tokens, index) {
                let (a, b) = (&all[first].text, &all[index].text);
                return Err(Error::argument(
                    "tokenizer",
                    format!("the same tokens for {a:?} and {b:?} (piece {name:?})"),
                    "a tokenizer with different tokens for the words of a list",
                ));
            }
        }
    }
    Ok(())
}

/// Returns the role of a piece, or an error if it has two besides the grammar's.
fn role_of(segments: &[Segment]) -> std::result::Result<TextRole, ()> {
    let mut role = TextRole::Grammar;
    for segment in segments {
        if segment.role != TextRole::Grammar {
            if role != TextRole::Grammar && role != segment.role {
                return Err(());
            }
            role = segment.role;
        }
    }
    Ok(role)
}

/// Returns the segments without their slots, so that equal pieces compare equal.
fn without_slots(segments: &[Segment]) -> Vec<Segment> {
    let mut segments = segments.to_vec();
    for segment in &mut segments {
        if let Content::Word { slot, .. } = &mut segment.content {
            *slot = 0;
        }
        if let TextRole::Object(_) = segment.role {
            segment.role = TextRole::Object(0);
        }
    }
    segments
}

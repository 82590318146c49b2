//! Decoding of tokens to text, with a table of the bytes of each token.
//!
//! A token has one byte string at the start of a document and another after other tokens. That is
//! sufficient for word tokenizers and most subword tokenizers: names separated by spaces, a
//! grammar's words with their own spaces, the bytes of a byte-level BPE. Invalid UTF-8 is replaced
//! with U+FFFD, as libraries do; only documents with a token that is not valid UTF-8 by itself are
//! checked.

use std::borrow::Cow;
use std::ops::Range;

use crate::error::{Error, Result};
use crate::vocabulary::Token;

/// Number of bytes that are copied for every token, whatever its length. Eight in ten tokens of
/// text are shorter than 8 bytes, and names of template words are shorter than 10.
const SLOT: usize = 16;

/// The bytes of a token.
#[derive(Clone, Copy)]
struct Piece {
    /// The first bytes, padded with zeros.
    slot: [u8; SLOT],
    /// Offset of all bytes in the bytes of the table.
    first: u32,
    length: u32,
    /// Whether the document needs a check: the bytes are not valid UTF-8, or contain a line end.
    odd: bool,
}

/// The bytes of every token, either at the start of a document or after other tokens.
struct Table {
    pieces: Vec<Piece>,
    bytes: Vec<u8>,
}

impl Table {
    fn new(name: &str, bytes: &[u8], ends: &[u64]) -> Result<Self> {
        let refused = |got: String| {
            let allowed = format!("ends that do not decrease, up to the {} bytes", bytes.len());
            Error::argument(name, got, allowed)
        };
        if u32::try_from(bytes.len()).is_err() {
            return Err(refused(format!("{} bytes", bytes.len())));
        }
        let mut first = 0;
        let mut pieces = Vec::with_capacity(ends.len());
        for &end in ends {
            let own = usize::try_from(end)
                .ok()
                .and_then(|end| bytes.get(first..end))
                .ok_or_else(|| refused(format!("an end {end} after {first}")))?;
            let mut slot = [0; SLOT];
            let short = own.len().min(SLOT);
            slot[..short].copy_from_slice(&own[..short]);
            pieces.push(Piece {
                slot,
                first: first as u32,
                length: own.len() as u32,
                odd: std::str::from_utf8(own).map_or(true, |text| text.contains(is_line_end)),
            });
            first += own.len();
        }
        if first != bytes.len() {
            return Err(refused(format!("a last end {first}")));
        }
        Ok(Table {
            pieces,
            bytes: bytes.to_vec(),
        })
    }

    /// Appends a token; returns whether it is odd.
    #[inline(always)]
    fn write(&self, token: u32, out: &mut Bytes) -> Result<bool> {
        let Some(piece) = self.pieces.get(token as usize) else {
            let allowed = format!("ids below {}", self.pieces.len());
            return Err(Error::argument("tokens", token, allowed));
        };
        let length = piece.length as usize;
        if length <= SLOT {
            out.slot(&piece.slot, length);
        } else {
            out.long(&self.bytes[piece.first as usize..][..length]);
        }
        Ok(piece.odd)
    }
}

/// A growing buffer of bytes with space for a slot at its end.
pub(crate) struct Bytes {
    bytes: Vec<u8>,
    length: usize,
}

impl Bytes {
    /// Creates a buffer for a number of tokens of about six bytes each.
    fn new(tokens: usize) -> Self {
        Bytes::with_room(tokens * 6)
    }

    pub(crate) fn with_room(bytes: usize) -> Self {
        Bytes {
            bytes: vec![0; bytes + SLOT],
            length: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn written_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }

    /// Forgets what was written after the first `length` bytes.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    #[inline(always)]
    fn slot(&mut self, slot: &[u8; SLOT], length: usize) {
        if self.bytes.len() < self.length + SLOT {
            self.grow(SLOT);
        }
        self.bytes[self.length..self.length + SLOT].copy_from_slice(slot);
        self.length += length;
    }

    #[cold]
    fn grow(&mut self, more: usize) {
        let size = (self.bytes.len() * 3 / 2).max(self.length + more);
        self.bytes.resize(size, 0);
    }

    pub(crate) fn long(&mut self, bytes: &[u8]) {
        if self.bytes.len() < self.length + bytes.len() {
            self.grow(bytes.len());
        }
        self.bytes[self.length..][..bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    /// Replaces what is not valid UTF-8 from an offset on.
    fn replace_invalid(&mut self, begin: usize) {
        if let Cow::Owned(text) = String::from_utf8_lossy(&self.bytes[begin..self.length]) {
            self.length = begin;
            self.long(text.as_bytes());
        }
    }

    /// Ends the line that begins at an offset; an odd one loses what is not valid UTF-8, and its
    /// own line ends.
    #[inline(always)]
    fn end_line(&mut self, begin: usize, odd: bool) {
        if odd {
            let line = one_line(&String::from_utf8_lossy(&self.bytes[begin..self.length]));
            self.length = begin;
            self.long(line.as_bytes());
        }
        self.long(b"\n");
    }

    fn finish(mut self) -> Vec<u8> {
        self.bytes.truncate(self.length);
        self.bytes
    }
}

/// A decoder of documents to text.
pub struct Decoder {
    opening: Table,
    within: Table,
    end: u32,
}

impl Decoder {
    /// Creates a decoder from the concatenated bytes of all tokens in the order of their ids, with
    /// the end offset of each: once for the start of a document and once for positions after other
    /// tokens. `end` is the token that ends a document.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] if the numbers of tokens differ, or the offsets decrease or do
    /// not end at the length of the bytes.
    pub fn new(
        (opening, opening_ends): (&[u8], &[u64]),
        (within, within_ends): (&[u8], &[u64]),
        end: u32,
    ) -> Result<Self> {
        if opening_ends.len() != within_ends.len() {
            return Err(Error::argument(
                "within_ends",
                format!("{} tokens", within_ends.len()),
                format!("{}, as in opening_ends", opening_ends.len()),
            ));
        }
        Ok(Decoder {
            opening: Table::new("opening", opening, opening_ends)?,
            within: Table::new("within", within, within_ends)?,
            end,
        })
    }

    /// Decodes documents to one line each, without the tokens that end them; line ends within a
    /// document are replaced with a space. Tokens after the last document's end are omitted.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] if a token is not in the table.
    pub fn lines<T: Token + Into<u32>>(&self, tokens: &[T]) -> Result<Vec<u8>> {
        let mut out = Bytes::new(tokens.len());
        let mut rest = tokens;
        while !rest.is_empty() {
            let before = out.length;
            let Some((read, odd)) = self.body(rest, &mut out)? else {
                out.length = before;
                break;
            };
            out.end_line(before, odd);
            rest = &rest[read..];
        }
        Ok(out.finish())
    }

    /// Appends the first of the documents in `tokens` as a line; returns the number of its tokens,
    /// its end among them.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] if it does not end, or a token is not in the table.
    #[cfg_attr(not(feature = "python"), allow(dead_code))]
    pub(crate) fn line<T: Token + Into<u32>>(
        &self,
        tokens: &[T],
        out: &mut Bytes,
    ) -> Result<usize> {
        let begin = out.length;
        let (read, odd) = self.body(tokens, out)?.ok_or_else(|| open(tokens.len()))?;
        out.end_line(begin, odd);
        Ok(read)
    }

    /// Appends the first of the documents in `tokens`, without its end; returns the number of its
    /// tokens, its end among them.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] if it does not end, or a token is not in the table.
    pub(crate) fn document<T: Token + Into<u32>>(
        &self,
        tokens: &[T],
        out: &mut Bytes,
    ) -> Result<usize> {
        let begin = out.length;
        let (read, odd) = self.body(tokens, out)?.ok_or_else(|| open(tokens.len()))?;
        if odd {
            out.replace_invalid(begin);
        }
        Ok(read)
    }

    /// Appends the bytes of the first document; returns the number of its tokens and whether one is
    /// odd, or `None` if it does not end.
    #[inline(always)]
    fn body<T: Token + Into<u32>>(
        &self,
        tokens: &[T],
        out: &mut Bytes,
    ) -> Result<Option<(usize, bool)>> {
        let mut odd = false;
        let mut table = &self.opening;
        for (at, &token) in tokens.iter().enumerate() {
            let token: u32 = token.into();
            if token == self.end {
                return Ok(Some((at + 1, odd)));
            }
            odd |= table.write(token, out)?;
            table = &self.within;
        }
        Ok(None)
    }

    /// Decodes ranges of tokens to texts; returns them joined, with the end offset of each in bytes.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] if a range is not within the tokens or a token is not in the
    /// table.
    pub fn joined<T: Token + Into<u32>>(
        &self,
        tokens: &[T],
        ranges: impl Iterator<Item = Range<usize>>,
    ) -> Result<(String, Vec<u64>)> {
        let mut ends = Vec::new();
        let mut out = Bytes::new(tokens.len());
        for range in ranges {
            let Some(own) = tokens.get(range.clone()) else {
                let got = format!("tokens {} to {}", range.start, range.end);
                return Err(Error::argument(
                    "ends",
                    got,
                    format!("up to {}", tokens.len()),
                ));
            };
            let begin = out.length;
            let mut odd = false;
            if let Some((&first, rest)) = own.split_first() {
                odd |= self.opening.write(first.into(), &mut out)?;
                for &token in rest {
                    odd |= self.within.write(token.into(), &mut out)?;
                }
            }
            if odd {
                out.replace_invalid(begin);
            }
            ends.push(out.length as u64);
        }
        let text = String::from_utf8(out.finish());
        Ok((text.expect("odd texts were checked"), ends))
    }
}

/// Refuses tokens at whose end a document is open.
fn open(tokens: usize) -> Error {
    let got = format!("{tokens} tokens after the last end");
    Error::argument("tokens", got, "complete documents")
}

/// Returns `true` for characters that end a line in Python's `str.splitlines`.
pub(crate) fn is_line_end(letter: char) -> bool {
    matches!(
        letter,
        '\n'..='\r' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

/// Joins the lines of a text with spaces, like `" ".join(text.splitlines())` in Python.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(is_line_end) {
        line.push_str(&rest[..at]);
        let letters = if rest[at..].starts_with("\r\n") { 2 } else { 1 };
        let next = rest[at..].char_indices().nth(letters);
        rest = next.map_or("", |(bytes, _)| &rest[at + bytes..]);
        if !rest.is_empty() {
            line.push(' ');
        }
    }
    line + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoder(opening: &[&[u8]], within: &[&[u8]]) -> Decoder {
        let joined = |pieces: &[&[u8]]| {
            let ends = pieces.iter().scan(0, |end, piece| {
                *end += piece.len() as u64;
                Some(*end)
            });
            (pieces.concat(), ends.collect::<Vec<u64>>())
        };
        let (opening, within) = (joined(opening), joined(within));
        Decoder::new((&opening.0, &opening.1), (&within.0, &within.1), 0).unwrap()
    }

    #[test]
    fn documents_are_lines_and_what_is_open_is_left_out() {
        let long = "a name of more than sixteen letters";
        let names = ["<end>", "one", "two", long];
        let spaced: Vec<String> = names.iter().map(|name| format!(" {name}")).collect();
        let opening: Vec<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
        let within: Vec<&[u8]> = spaced.iter().map(|name| name.as_bytes()).collect();
        let decoder = decoder(&opening, &within);
        let lines = decoder.lines(&[1u16, 2, 0, 0, 3, 3, 1, 0, 2, 2]).unwrap();
        let expected = format!("one two\n\n{long} {long} one\n");
        assert_eq!(String::from_utf8(lines).unwrap(), expected);
        let texts = decoder.joined(&[1u32, 2, 0, 3, 0], [0..2, 3..4, 2..2].into_iter());
        let ends = vec![7, 7 + long.len() as u64, 7 + long.len() as u64];
        assert_eq!(texts.unwrap(), (format!("one two{long}"), ends));
        assert!(decoder.lines(&[] as &[u16]).unwrap().is_empty());
    }

    #[test]
    fn letters_of_several_tokens_are_whole_and_others_are_replaced() {
        // U+2028 in three tokens ends a line, and so does a carriage return with its line feed.
        let pieces: [&[u8]; 7] = [b"", b"\xe2", b"\x80", b"\xa8", b"x", b"\r", b"\n"];
        let decoder = decoder(&pieces, &pieces);
        let lines = |tokens: &[u16]| String::from_utf8(decoder.lines(tokens).unwrap()).unwrap();
        assert_eq!(lines(&[4, 1, 2, 3, 4, 0, 4, 0]), "x x\nx\n");
        assert_eq!(lines(&[4, 1, 2, 0, 2, 4, 0]), "x\u{fffd}\n\u{fffd}x\n");
        assert_eq!(lines(&[5, 6, 4, 6, 5, 6, 0]), " x \n");
        assert_eq!(lines(&[6, 0]), "\n");
        let ranges = [0..4, 3..6, 0..0].into_iter();
        let (text, ends) = decoder.joined(&[4u16, 1, 2, 3, 2, 4], ranges).unwrap();
        assert_eq!(text, "x\u{2028}\u{fffd}\u{fffd}x");
        assert_eq!(ends, [4, 11, 11]);
    }

    #[test]
    fn what_is_no_table_or_no_token_is_refused() {
        let refused = |opening: (&[u8], &[u64]), within: (&[u8], &[u64])| {
            Decoder::new(opening, within, 0).err().unwrap().to_string()
        };
        let good: (&[u8], &[u64]) = (b"ab", &[1, 2]);
        assert!(refused((b"ab", &[1, 3]), good).contains("an end 3 after 1"));
        assert!(refused((b"ab", &[2, 1]), good).contains("an end 1 after 2"));
        assert!(refused(good, (b"ab", &[0, 1])).contains("a last end 1"));
        assert!(refused(good, (b"ab", &[2])).contains("got 1 tokens, allowed: 2"));
        let decoder = Decoder::new(good, good, 0).unwrap();
        let error = decoder.lines(&[1u16, 2, 0]).unwrap_err().to_string();
        assert!(error.contains("ids below 2"), "{error}");
        let beyond = std::iter::once(0..3);
        assert!(decoder.joined(&[1u16], beyond).is_err());
    }
}

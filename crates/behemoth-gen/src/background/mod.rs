//! Background: documents of an existing tokenised corpus, mixed with those of facts.
//!
//! A background consists of files of raw little-endian tokens, whose documents end at the offsets
//! of an index or at the end-of-document token. They are read in place, document by document. The
//! selection of documents depends only on the background itself: a number of tokens selects the
//! first documents of one fixed shuffle, and more tokens only add documents.

mod read;

use std::fs::File;
use std::path::PathBuf;
use std::sync::OnceLock;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::permutation::Permutation;
use crate::system::read_exact_at;
use crate::value::Value;
use crate::vocabulary::Token;

/// Maximum number of bytes per read of a document; a multiple of all widths.
const READ_BYTES: usize = 1 << 18;

/// The background of a corpus, as in a spec.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct BackgroundSpec {
    /// Digest of the background; filled in if empty.
    pub digest: String,
    /// Exact number of tokens to use, the ends of documents included; all by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
}

impl BackgroundSpec {
    /// Creates the spec of a number of tokens of a background.
    pub fn new(tokens: u64) -> Self {
        BackgroundSpec {
            tokens: Some(tokens),
            ..BackgroundSpec::default()
        }
    }

    pub(crate) fn read(value: &Value) -> Result<Self> {
        let mut fields = value.table(&["digest", "tokens"])?;
        let digest = fields.optional("digest", |value| value.text().map(str::to_string))?;
        Ok(BackgroundSpec {
            digest: digest.unwrap_or_default(),
            tokens: fields.nullable("tokens", Value::count)?,
        })
    }
}

/// A file of raw tokens.
#[derive(Debug)]
struct TokenFile {
    file: File,
    path: PathBuf,
    /// Offset of its first token, counted over all files.
    first: u64,
}

/// An existing tokenised corpus.
#[derive(Debug)]
pub struct Background {
    files: Vec<TokenFile>,
    /// Size of a token in bytes.
    width: usize,
    /// The token that ends a document.
    end: u32,
    /// Offset one past the last token of each document.
    ends: Vec<u64>,
    /// Whether each document has an end-of-document token; one is added to the others.
    has_end: Vec<bool>,
    /// The first document with an end-of-document token between its first and its last token.
    holds_several: Option<u64>,
    /// The largest token id.
    largest: u32,
    digest: String,
    /// The first file that could no longer be read, and why.
    failed: OnceLock<(PathBuf, std::io::Error)>,
}

impl Background {
    /// Returns the BLAKE3 digest of its tokens and the ends of its documents.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Returns the number of documents.
    pub fn documents(&self) -> u64 {
        self.ends.len() as u64
    }

    /// Returns the token that ends a document.
    pub(crate) fn end_of_document(&self) -> u32 {
        self.end
    }

    /// Returns the largest token id.
    pub fn largest_token(&self) -> u32 {
        self.largest
    }

    /// Returns the number of tokens in all documents, added ends included.
    pub fn tokens(&self) -> u64 {
        let missing = self.has_end.iter().filter(|&&has_end| !has_end).count();
        self.ends.last().copied().unwrap_or(0) + missing as u64
    }

    /// Returns an error if a document has text on both sides of an end-of-document token: an index
    /// of blocks cuts documents and puts several into one.
    pub(crate) fn check_documents(&self) -> Result<()> {
        match self.holds_several {
            None => Ok(()),
            Some(document) => Err(Error::argument(
                "background",
                format!("an index whose document {document} has an end of document inside"),
                "an index of documents, not of blocks; or the corpus directory that was exported",
            )),
        }
    }

    fn range(&self, document: u64) -> (u64, u64) {
        let at = document as usize;
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        (start, self.ends[at])
    }

    /// Returns the number of tokens in a document, its end included.
    fn tokens_of(&self, document: u64) -> u64 {
        let (start, stop) = self.range(document);
        stop - start + u64::from(!self.has_end[document as usize])
    }

    /// Reads tokens starting at `start`; on failure, the rest of `out` is left unchanged and the
    /// error is recorded for [`Background::check`].
    fn read_into<T: Token>(&self, start: u64, out: &mut [T]) {
        // One buffer for all reads of the call.
        let mut buffer = vec![0u8; (out.len() * self.width).min(READ_BYTES)];
        let mut at = 0;
        while at < out.len() {
            let token = start + at as u64;
            let file = self.files.partition_point(|file| file.first <= token) - 1;
            let last = self.files.get(file + 1).map_or(u64::MAX, |next| next.first);
            let most = (READ_BYTES / self.width).min((last - token) as usize);
            let count = (out.len() - at).min(most);
            let file = &self.files[file];
            let bytes = &mut buffer[..count * self.width];
            let offset = (token - file.first) * self.width as u64;
            if let Err(error) = read_exact_at(&file.file, bytes, offset) {
                let _ = self.failed.set((file.path.clone(), error));
                return;
            }
            let mut out = out[at..at + count].iter_mut();
            read::for_each_id(bytes, self.width, |id| {
                *out.next().expect("as many as were read") = T::from_id(id);
            });
            at += count;
        }
    }

    /// Returns an error if reading a file has failed since it was opened.
    pub(crate) fn check(&self) -> Result<()> {
        match self.failed.get() {
            None => Ok(()),
            Some((path, error)) => {
                // An error cannot be cloned; its number or its kind can.
                let again = match error.raw_os_error() {
                    Some(number) => std::io::Error::from_raw_os_error(number),
                    None => error.kind().into(),
                };
                Err(Error::io("read", path)(again))
            }
        }
    }
}

/// The selected documents of a background.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    background: std::sync::Arc<Background>,
    /// Maps the number of a selected document to its number in the background.
    order: Permutation,
    documents: u64,
    /// Number of tokens in the last document, which is truncated to reach the exact total.
    last: u64,
    most: u64,
}

impl Taken {
    /// Selects a number of tokens of a background.
    pub(crate) fn new(background: std::sync::Arc<Background>, tokens: u64) -> Result<Self> {
        /// Number of documents that are looked up together.
        const BATCH: usize = 128;
        let all = background.tokens();
        if tokens > all {
            return Err(Error::argument(
                "tokens",
                tokens,
                format!("up to {all}, the tokens of the background"),
            ));
        }
        let order = Permutation::new(background.documents(), 0, "background", 0);
        let (mut documents, mut left, mut last, mut most) = (0, tokens, 0, 0);
        if tokens == all {
            // By default; the order in which all documents are taken decides only the last one.
            documents = background.documents();
            last = background.tokens_of(order.apply(documents - 1));
            let lengths = (0..documents).map(|document| background.tokens_of(document));
            (left, most) = (0, lengths.max().unwrap_or(0));
        }
        let mut next = [0; BATCH];
        while left > 0 {
            let count = (background.documents() - documents).min(BATCH as u64) as usize;
            order.apply_range(documents, &mut next[..count]);
            for &document in &next[..count] {
                last = background.tokens_of(document).min(left);
                most = last.max(most);
                left -= last;
                documents += 1;
                if left == 0 {
                    break;
                }
            }
        }
        Ok(Taken {
            background,
            order,
            documents,
            last,
            most,
        })
    }

    /// Returns the number of documents.
    pub(crate) fn documents(&self) -> u64 {
        self.documents
    }

    /// Returns the complete background.
    pub(crate) fn background(&self) -> &std::sync::Arc<Background> {
        &self.background
    }

    /// Returns the maximum number of tokens in a document.
    pub(crate) fn most_tokens(&self) -> u64 {
        self.most
    }

    /// Returns the number of tokens in a document, its end included.
    pub(crate) fn tokens_of(&self, number: u64) -> u64 {
        if number + 1 == self.documents {
            self.last
        } else {
            self.background.tokens_of(self.order.apply(number))
        }
    }

    /// Returns the number of a selected document in the background.
    pub(crate) fn document(&self, number: u64) -> u64 {
        self.order.apply(number)
    }

    /// Writes a document; returns its number of tokens.
    pub(crate) fn write<T: Token>(&self, number: u64, end: u32, out: &mut [T]) -> usize {
        let tokens = self.tokens_of(number) as usize;
        let (last, body) = out[..tokens].split_last_mut().expect("at least its end");
        let (start, _) = self.background.range(self.order.apply(number));
        body.fill(T::from_id(end));
        self.background.read_into(start, body);
        *last = T::from_id(end);
        tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_system_keeps_its_number() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, &[1, 0, 0, 0]).unwrap();
        let background = Background::open(&[file.path().into()], 2, 0, None).unwrap();
        // 5 is EIO, which has no kind.
        let error = std::io::Error::from_raw_os_error(5);
        background.failed.set((file.path().into(), error)).unwrap();
        for _ in 0..2 {
            let Err(Error::Io { source, .. }) = background.check() else {
                panic!("an error of the system")
            };
            assert_eq!(source.raw_os_error(), Some(5));
        }
    }
}

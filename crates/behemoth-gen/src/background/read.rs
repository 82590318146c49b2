//! Opening a background in one pass over its tokens.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::{Background, TokenFile};
use crate::error::{Error, Result};
use crate::numbers::DOCUMENT_LIMIT;
use crate::system::is_out_of_files;

/// Number of bytes per read; a multiple of all widths.
const PIECE: usize = 1 << 20;

/// Calls `each` for tokens of `width` bytes, 2 or 4.
#[inline(always)]
pub(super) fn for_each_id(bytes: &[u8], width: usize, mut each: impl FnMut(u32)) {
    if width == 2 {
        let (ids, _) = bytes.as_chunks();
        ids.iter()
            .for_each(|&id| each(u16::from_le_bytes(id).into()));
    } else {
        let (ids, _) = bytes.as_chunks();
        ids.iter().for_each(|&id| each(u32::from_le_bytes(id)));
    }
}

impl Background {
    /// Opens files of raw tokens of `width` bytes (2 or 4), which are concatenated. Documents end
    /// at the offsets `ends`, counted in tokens over all files, or by default after each token
    /// `end`; `end` is added to documents that do not end with it. It must be the end of documents
    /// of the corpus: the digest identifies tokens and ends, not what is added.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] if `width` or `ends` is not allowed, there are no tokens or a
    /// document is too long, or a process may not have so many files open at a time, which they
    /// stay; [`Error::Corpus`] if the size of a file is not a multiple of `width`;
    /// and [`Error::Io`] if a file cannot be read.
    pub fn open(
        paths: &[PathBuf],
        width: usize,
        end: u32,
        ends: Option<Vec<u64>>,
    ) -> Result<Background> {
        if ![2, 4].contains(&width) {
            return Err(Error::argument(
                "background",
                format!("{width} bytes a token"),
                "2 or 4",
            ));
        }
        let mut scan = Scan::new(end, ends)?;
        let mut files = Vec::new();
        for path in paths {
            let first = scan.tokens;
            let mut file = File::open(path).map_err(|e| cannot_open(e, path, paths.len()))?;
            scan.file(&mut file, path, width)?;
            if scan.tokens > first {
                let path = path.clone();
                files.push(TokenFile { file, path, first });
            }
        }
        let Scanned {
            ends,
            has_end,
            holds_several,
            largest,
            digest,
        } = scan.finish(width)?;
        let mut start = 0;
        for &stop in &ends {
            if stop - start >= DOCUMENT_LIMIT {
                return Err(Error::argument(
                    "background",
                    format!("a document of {} tokens", stop - start),
                    format!("documents below {DOCUMENT_LIMIT} tokens"),
                ));
            }
            start = stop;
        }
        Ok(Background {
            files,
            width,
            end,
            ends,
            has_end,
            holds_several,
            largest,
            digest,
            failed: OnceLock::new(),
        })
    }
}

/// Returns the error of one of `files` files that could not be opened.
fn cannot_open(error: io::Error, path: &Path, files: usize) -> Error {
    if !is_out_of_files(&error) {
        return Error::io("open", path)(error);
    }
    Error::argument(
        "background",
        format!("{files} files, of which all stay open"),
        "fewer than a process may have open (`ulimit -n` raises that), or larger ones",
    )
}

/// Fills `piece` from a file; returns the number of bytes, fewer than `piece` has only at the end.
fn fill(file: &mut impl Read, piece: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < piece.len() {
        match file.read(&mut piece[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

struct Scanned {
    ends: Vec<u64>,
    has_end: Vec<bool>,
    holds_several: Option<u64>,
    largest: u32,
    digest: String,
}

/// End-of-document tokens inside the document that is read, whose end an index gives.
#[derive(Default)]
struct Inside {
    /// At its beginning, where some tokenizers have one.
    leading: u64,
    /// Number of tokens up to the first after text, and ends that follow it.
    first: Option<u64>,
    further: u64,
}

/// The state of the pass over the tokens.
struct Scan {
    end: u32,
    /// Ends of the documents, if given.
    given: Option<Vec<u64>>,
    next: usize,
    ends: Vec<u64>,
    has_end: Vec<bool>,
    inside: Inside,
    holds_several: Option<u64>,
    tokens: u64,
    largest: u32,
    hasher: blake3::Hasher,
}

impl Scan {
    fn new(end: u32, mut given: Option<Vec<u64>>) -> Result<Self> {
        if let Some(ends) = &mut given {
            if !ends.is_sorted() {
                let allowed = "ends of documents in ascending order";
                return Err(Error::argument(
                    "background",
                    "an index out of order",
                    allowed,
                ));
            }
            // Documents without tokens are skipped.
            ends.dedup();
            ends.retain(|&end| end > 0);
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"behemoth-background-v1");
        Ok(Scan {
            end,
            given,
            next: 0,
            ends: Vec::new(),
            has_end: Vec::new(),
            inside: Inside::default(),
            holds_several: None,
            tokens: 0,
            largest: 0,
            hasher,
        })
    }

    fn file(&mut self, file: &mut File, path: &PathBuf, width: usize) -> Result<()> {
        let mut piece = vec![0u8; PIECE];
        loop {
            let filled = fill(file, &mut piece).map_err(Error::io("read", path))?;
            if filled % width > 0 {
                let reason = format!("is not a file of tokens of {width} bytes each");
                return Err(Error::corpus(path, reason));
            }
            let bytes = &piece[..filled];
            self.hasher.update(bytes);
            for_each_id(bytes, width, |id| self.token(id));
            if filled < PIECE {
                return Ok(());
            }
        }
    }

    #[inline(always)]
    fn token(&mut self, id: u32) {
        self.tokens += 1;
        self.largest = self.largest.max(id);
        let is_last = match &self.given {
            None => id == self.end,
            Some(ends) => {
                let is_last = ends.get(self.next) == Some(&self.tokens);
                if id == self.end && !is_last {
                    self.end_inside();
                }
                is_last
            }
        };
        if is_last {
            self.close_inside(id == self.end);
            self.next += 1;
            self.ends.push(self.tokens);
            self.has_end.push(id == self.end);
        }
    }

    /// Notes that the last token read is an end-of-document token before the end of its document.
    #[cold]
    fn end_inside(&mut self) {
        let start = self.ends.last().copied().unwrap_or(0);
        let inside = &mut self.inside;
        if inside.first.is_some() {
            inside.further += 1;
        } else if self.tokens - start > inside.leading + 1 {
            inside.first = Some(self.tokens);
        } else {
            inside.leading += 1;
        }
    }

    /// Notes whether the document that the last token read ends goes on after an end inside it.
    fn close_inside(&mut self, has_end: bool) {
        let inside = std::mem::take(&mut self.inside);
        let Some(first) = inside.first else { return };
        if self.tokens - first > inside.further + u64::from(has_end) {
            self.holds_several.get_or_insert(self.ends.len() as u64);
        }
    }

    fn finish(mut self, width: usize) -> Result<Scanned> {
        match &self.given {
            // Tokens after the last end are a document too.
            None if self.ends.last().copied().unwrap_or(0) < self.tokens => {
                self.ends.push(self.tokens);
                self.has_end.push(false);
            }
            Some(ends) if ends.last().copied().unwrap_or(0) != self.tokens => {
                return Err(Error::argument(
                    "background",
                    format!("an index that ends at token {}", ends.last().unwrap_or(&0)),
                    format!(
                        "an index that ends at {}, the number of tokens",
                        self.tokens
                    ),
                ));
            }
            _ => {}
        }
        self.hasher.update(&(width as u64).to_le_bytes());
        for end in &self.ends {
            self.hasher.update(&end.to_le_bytes());
        }
        if self.ends.is_empty() {
            return Err(Error::argument(
                "background",
                "no token",
                "at least one document",
            ));
        }
        Ok(Scanned {
            ends: self.ends,
            has_end: self.has_end,
            holds_several: self.holds_several,
            largest: self.largest,
            digest: self.hasher.finalize().to_hex().to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads two bytes at a time, and is interrupted before each.
    struct Interrupted<'a>(&'a [u8], bool);

    impl Read for Interrupted<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(ErrorKind::Interrupted.into());
            }
            let count = out.len().min(2);
            self.0.read(&mut out[..count])
        }
    }

    #[test]
    fn tokens_of_both_widths_are_little_endian() {
        let bytes = [1, 2, 3, 4, 255, 254, 253, 252];
        for (width, expected) in [
            (2, vec![0x201, 0x403, 0xfeff, 0xfcfd]),
            (4, vec![0x4030201, 0xfcfdfeff]),
        ] {
            let mut found = Vec::new();
            for_each_id(&bytes, width, |id| found.push(id));
            assert_eq!(found, expected);
        }
    }

    #[test]
    #[cfg(unix)]
    fn more_files_than_may_be_open_are_counted() {
        let of = |number| {
            let error = io::Error::from_raw_os_error(number);
            cannot_open(error, Path::new("a.bin"), 2000).to_string()
        };
        // EMFILE and EACCES, on Linux and on macOS.
        let most = of(24);
        assert!(
            most.starts_with("argument 'background': got 2000 files"),
            "{most}"
        );
        assert!(most.contains("ulimit -n"), "{most}");
        assert!(of(13).starts_with("cannot open a.bin: "), "{}", of(13));
    }

    #[test]
    fn a_read_that_is_interrupted_is_tried_again() {
        let mut file = Interrupted(b"abcdefg", false);
        let mut piece = [0; 5];
        assert_eq!(fill(&mut file, &mut piece).unwrap(), 5);
        assert_eq!(&piece, b"abcde");
        assert_eq!(fill(&mut file, &mut piece).unwrap(), 2);
    }
}

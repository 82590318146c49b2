//! Pages of a column: levels and values, or the values of a dictionary.

use std::ops::Range;

use super::Compression;
use super::code;
use super::thrift::Fields;
use crate::error::{Error, Result};

/// One written column, as the footer describes it.
pub(super) struct Column {
    pub(super) codec: i32,
    pub(super) encodings: &'static [i32],
    pub(super) values: usize,
    /// Offset of the dictionary page, if there is one.
    pub(super) dictionary: Option<usize>,
    pub(super) first: usize,
    pub(super) compressed: usize,
    /// Bytes of headers and of pages before their compression.
    pub(super) plain: usize,
}

/// Where the bytes of a file go, in order.
pub(super) struct Output<'a> {
    /// The number of bytes so far.
    pub(super) length: usize,
    take: &'a mut dyn FnMut(&[u8]) -> Result<()>,
}

impl<'a> Output<'a> {
    pub(super) fn new(take: &'a mut dyn FnMut(&[u8]) -> Result<()>) -> Self {
        Output { length: 0, take }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.length += bytes.len();
        (self.take)(bytes)
    }
}

/// How pages are stored.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Storage {
    Plain,
    Compressed,
}

impl From<Compression> for Storage {
    fn from(compression: Compression) -> Self {
        match compression {
            Compression::Snappy => Storage::Compressed,
            Compression::None => Storage::Plain,
        }
    }
}

/// A column that is being written.
pub(super) struct Pages<'a, 'b> {
    pub(super) out: &'a mut Output<'b>,
    begin: usize,
    storage: Storage,
    plain: usize,
    /// For the header of a page and for its compressed bytes; fresh memory for each page would cost
    /// about as much as its packing.
    header: Vec<u8>,
    stored: Vec<u8>,
    encoder: snap::raw::Encoder,
}

impl<'a, 'b> Pages<'a, 'b> {
    pub(super) fn new(out: &'a mut Output<'b>, storage: Storage) -> Self {
        let begin = out.length;
        Pages {
            out,
            begin,
            storage,
            plain: 0,
            header: Vec::new(),
            stored: Vec::new(),
            encoder: snap::raw::Encoder::new(),
        }
    }

    /// Appends a page of levels and values.
    pub(super) fn data(&mut self, page: &[u8], values: usize, encoding: i32) -> Result<()> {
        let values = i32::try_from(values).map_err(|_| too_large(page.len()))?;
        self.page(page, code::DATA_PAGE, |header| {
            header.inner(5, |data| {
                data.i32(1, values);
                data.i32(2, encoding);
                data.i32(3, code::RLE);
                data.i32(4, code::RLE);
            });
        })
    }

    /// Appends a page with the values of the dictionary.
    pub(super) fn dictionary(&mut self, page: &[u8]) -> Result<()> {
        self.page(page, code::DICTIONARY_PAGE, |header| {
            header.inner(7, |dictionary| {
                dictionary.i32(1, (page.len() / 4) as i32);
                dictionary.i32(2, code::PLAIN);
                dictionary.flag(3, true);
            });
        })
    }

    fn page(&mut self, page: &[u8], kind: i32, about: impl FnOnce(&mut Fields<'_>)) -> Result<()> {
        let size = |bytes: usize| i32::try_from(bytes).map_err(|_| too_large(bytes));
        let plain_size = size(page.len())?;
        let stored = if self.storage == Storage::Plain {
            page
        } else {
            let room = snap::raw::max_compress_len(page.len());
            self.stored.resize(room.max(self.stored.len()), 0);
            let made = self.encoder.compress(page, &mut self.stored);
            let length = made.map_err(|_| too_large(page.len()))?;
            &self.stored[..length]
        };
        let stored_size = size(stored.len())?;
        self.header.clear();
        Fields::write(&mut self.header, |header| {
            header.i32(1, kind);
            header.i32(2, plain_size);
            header.i32(3, stored_size);
            about(header);
        });
        self.plain += self.header.len() + page.len();
        self.out.write(&self.header)?;
        self.out.write(stored)
    }

    pub(super) fn finish(
        self,
        encodings: &'static [i32],
        values: usize,
        dictionary: Option<usize>,
    ) -> Column {
        Column {
            codec: match self.storage {
                Storage::Plain => code::UNCOMPRESSED,
                Storage::Compressed => code::SNAPPY,
            },
            encodings,
            values,
            first: dictionary.unwrap_or(self.begin),
            dictionary: dictionary.map(|_| self.begin),
            compressed: self.out.length - self.begin,
            plain: self.plain,
        }
    }
}

pub(super) fn too_large(bytes: usize) -> Error {
    let got = format!("a page of {bytes} bytes, of which one document is most");
    Error::argument("texts or tokens", got, "documents below 2 GiB")
}

/// Calls `write` with ranges of documents of about `units` units each, by the ends of documents.
pub(super) fn in_pages(
    ends: &[usize],
    units: usize,
    mut write: impl FnMut(Range<usize>) -> Result<()>,
) -> Result<()> {
    let (mut first, mut begin) = (0, 0);
    for (document, &end) in ends.iter().enumerate() {
        if end - begin >= units || document + 1 == ends.len() {
            write(first..document + 1)?;
            (first, begin) = (document + 1, end);
        }
    }
    Ok(())
}

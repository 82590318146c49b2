//! Parquet files of documents: the text and the tokens of each.
//!
//! A file has one row group with two columns, `text` (a string) and `input_ids` (a list of 16-bit
//! or 32-bit unsigned integers); the schema is that which Arrow's own writers give such columns.
//! The encodings are those that are fast to write and that every reader knows:
//!
//! - Texts are plain, compressed with Snappy unless [`Compression::None`] is asked for, with which
//!   nothing is compressed. A search of our own for repetitions, at spaces alone, took 0.6 to 0.85 of its time, with files a tenth
//!   larger; one by tokens, each compared with where it was last, 0.9 of its time, with texts a
//!   quarter larger: neither was worth a compressor.
//! - Tokens are indices of the smallest number of bits into a dictionary of all ids up to the
//!   largest, so that an id is its own index and nothing has to be looked up. Packed numbers hardly
//!   compress, so they are not compressed. If the dictionary would be too large for its file, the
//!   ids themselves are written, compressed as the texts are.
//!
//! The bytes depend on the documents alone (and on the version of the compressor, which is fixed).
//! Apache Parquet's own Rust crate was not used: it takes two levels with each value, of which none
//! has to be made here.

mod code;
mod footer;
mod packing;
mod pages;
mod thrift;

use self::footer::footer;
use self::pages::{Column, Output, Pages, Storage, in_pages, too_large};
use crate::decode::{Bytes, Decoder};
use crate::error::{Error, Result};
use crate::vocabulary::Token;

/// Approximate size of a page: readers decompress a page at a time.
const PAGE_BYTES: usize = 1 << 20;
/// The dictionary of ids has at most so many bytes for every token of the file.
const DICTIONARY_BYTES: usize = 1;

const MAGIC: &[u8; 4] = b"PAR1";

/// How texts are compressed, and tokens that are not packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// With Snappy.
    Snappy,
    /// Not at all.
    None,
}

/// Returns the bytes of a Parquet file with a row for each document.
///
/// `texts` are the concatenated texts with the end offset of each, in bytes; `tokens` the
/// concatenated tokens with the end of each document, which has at least one token.
///
/// # Errors
///
/// Returns [`Error::Argument`] if the numbers of documents differ, the ends do not ascend up to the
/// length of texts or tokens, or one document is too large for a page (2 GiB).
pub fn documents<T: Token + Into<u32>>(
    (texts, text_ends): (&str, &[u64]),
    (tokens, ends): (&[T], &[u64]),
    compression: Compression,
) -> Result<Vec<u8>> {
    if text_ends.len() != ends.len() {
        return Err(Error::argument(
            "text_ends",
            format!("{} documents", text_ends.len()),
            format!("{}, as in ends", ends.len()),
        ));
    }
    let text_ends = checked("text_ends", text_ends, texts.len(), 0)?;
    let ends = checked("ends", ends, tokens.len(), 1)?;
    let mut file = Vec::with_capacity(texts.len() / 2 + tokens.len() * T::BYTES);
    let mut take = |bytes: &[u8]| {
        file.extend_from_slice(bytes);
        Ok(())
    };
    let mut out = Output::new(&mut take);
    out.write(MAGIC)?;
    let mut column = Texts::new(&mut out, compression);
    let mut begin = 0;
    for end in text_ends {
        let Some(text) = texts.get(begin..end) else {
            let got = format!("{end}, which is within a character");
            return Err(Error::argument("text_ends", got, "ends of characters"));
        };
        column.add(|page| {
            page.long(text.as_bytes());
            Ok(())
        })?;
        begin = end;
    }
    let texts = column.finish()?;
    write_rest(&mut out, texts, tokens, &ends, compression)?;
    Ok(file)
}

/// Makes the Parquet file of documents that are decoded here, a page at a time: a page stays in the
/// processor's cache until it is compressed and taken. With memory for all texts of a file and for the
/// file, it took half as long again.
///
/// # Parameters
///
/// `take` is called with the bytes of the file, in pieces and in order. They are those that
/// [`documents`] returns for the same texts.
///
/// # Errors
///
/// Returns [`Error::Argument`] if the last document does not end, a token is not in the table, or
/// one document is too large for a page; and what `take` returns.
pub fn decoded<T: Token + Into<u32>>(
    decoder: &Decoder,
    tokens: &[T],
    compression: Compression,
    take: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut out = Output::new(take);
    out.write(MAGIC)?;
    let mut column = Texts::new(&mut out, compression);
    let mut ends = Vec::new();
    let mut end = 0;
    while end < tokens.len() {
        column.add(|page| {
            end += decoder.document(&tokens[end..], page)?;
            Ok(())
        })?;
        ends.push(end);
    }
    let texts = column.finish()?;
    write_rest(&mut out, texts, tokens, &ends, compression)
}

/// Writes what follows the texts.
fn write_rest<T: Token + Into<u32>>(
    out: &mut Output<'_>,
    texts: Column,
    tokens: &[T],
    ends: &[usize],
    compression: Compression,
) -> Result<()> {
    let columns = [texts, write_tokens(out, tokens, ends, compression)?];
    out.write(&footer(&columns, ends.len(), 8 * T::BYTES))
}

/// Returns ends as offsets, each at least `least` above the one before, and the last the length.
fn checked(name: &str, ends: &[u64], length: usize, least: u64) -> Result<Vec<usize>> {
    let mut before = 0;
    for &end in ends {
        if end < before + least || end > length as u64 {
            let allowed = format!("ends that ascend, up to {length}");
            return Err(Error::argument(
                name,
                format!("{end} after {before}"),
                allowed,
            ));
        }
        before = end;
    }
    if before != length as u64 {
        return Err(Error::argument(
            name,
            format!("a last end {before}"),
            length.to_string(),
        ));
    }
    Ok(ends.iter().map(|&end| end as usize).collect())
}

/// Space before the texts of a page for its levels, whose length is known after them.
const LEVELS: usize = 16;

/// The column of texts, which is being written.
struct Texts<'a, 'b> {
    pages: Pages<'a, 'b>,
    page: Bytes,
    /// Bytes of the texts in the page, without their lengths.
    bytes: usize,
    documents: usize,
    before: usize,
}

impl<'a, 'b> Texts<'a, 'b> {
    fn new(out: &'a mut Output<'b>, compression: Compression) -> Self {
        let mut page = Bytes::with_room(PAGE_BYTES * 5 / 4);
        page.long(&[0; LEVELS]);
        Texts {
            pages: Pages::new(out, compression.into()),
            page,
            bytes: 0,
            documents: 0,
            before: 0,
        }
    }

    /// Adds the text that `write` appends.
    fn add(&mut self, write: impl FnOnce(&mut Bytes) -> Result<()>) -> Result<()> {
        let begin = self.page.len();
        self.page.long(&[0; 4]);
        write(&mut self.page)?;
        let length = self.page.len() - begin - 4;
        let stored = u32::try_from(length).map_err(|_| too_large(length))?;
        self.page.written_mut()[begin..begin + 4].copy_from_slice(&stored.to_le_bytes());
        self.bytes += length;
        self.documents += 1;
        if self.bytes >= PAGE_BYTES {
            self.end_page()?;
        }
        Ok(())
    }

    fn end_page(&mut self) -> Result<()> {
        let mut levels = Vec::with_capacity(LEVELS);
        packing::level_run(&mut levels, 1, self.documents);
        let page = &mut self.page.written_mut()[LEVELS - levels.len()..];
        page[..levels.len()].copy_from_slice(&levels);
        self.pages.data(page, self.documents, code::PLAIN)?;
        self.page.truncate(LEVELS);
        self.before += self.documents;
        (self.bytes, self.documents) = (0, 0);
        Ok(())
    }

    fn finish(mut self) -> Result<Column> {
        if self.documents > 0 {
            self.end_page()?;
        }
        Ok(self
            .pages
            .finish(&[code::PLAIN, code::RLE], self.before, None))
    }
}

fn write_tokens<T: Token + Into<u32>>(
    out: &mut Output<'_>,
    tokens: &[T],
    ends: &[usize],
    compression: Compression,
) -> Result<Column> {
    let largest = tokens.iter().map(|&token| token.into()).max().unwrap_or(0);
    let packed = 4 * (largest as usize + 1) <= DICTIONARY_BYTES * tokens.len();
    let bits = (u32::BITS - largest.leading_zeros()).max(1);
    let storage = if packed {
        Storage::Plain
    } else {
        compression.into()
    };
    let mut pages = Pages::new(out, storage);
    let mut page = Vec::with_capacity(PAGE_BYTES * 5 / 4);
    let mut data = None;
    if packed {
        page.extend((0..=largest).flat_map(u32::to_le_bytes));
        pages.dictionary(&page)?;
        data = Some(pages.out.length);
    }
    let each = if packed {
        8 * PAGE_BYTES / bits as usize
    } else {
        PAGE_BYTES / 4
    };
    in_pages(ends, each, |documents| {
        page.clear();
        let before = |document: usize| document.checked_sub(1).map_or(0, |before| ends[before]);
        let begin = before(documents.start);
        let own = &tokens[begin..ends[documents.end - 1]];
        packing::level_bits(&mut page, own.len(), documents.map(|at| before(at) - begin));
        packing::level_run(&mut page, 3, own.len());
        if packed {
            page.push(bits as u8);
            packing::indices(&mut page, own, bits);
            pages.data(&page, own.len(), code::RLE_DICTIONARY)
        } else {
            page.extend(
                own.iter()
                    .flat_map(|&token| Into::<u32>::into(token).to_le_bytes()),
            );
            pages.data(&page, own.len(), code::PLAIN)
        }
    })?;
    let encodings: &[i32] = if packed {
        &[code::PLAIN, code::RLE, code::RLE_DICTIONARY]
    } else {
        &[code::PLAIN, code::RLE]
    };
    Ok(pages.finish(encodings, tokens.len(), data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_a_file_are_known() {
        let texts = ("one two\nthree ä", [7, 8, 8, 16].as_slice());
        let tokens: [u16; 9] = [1, 2, 0, 0, 0, 3, 5, 300, 0];
        let documents = |compression| documents(texts, (&tokens, &[3, 4, 5, 9]), compression);
        let file = documents(Compression::Snappy).unwrap();
        assert_eq!(&file[..4], MAGIC);
        assert_eq!(&file[file.len() - 4..], MAGIC);
        let digest = blake3::hash(&file).to_hex().to_string();
        assert_eq!(
            digest,
            "8b56310f1968ed324feba92b10ef7687bb4ad9cc2e38045fddf56bddc3c68906"
        );
        let plain = documents(Compression::None).unwrap();
        // Its ids are too few to be packed.
        let ids = tokens[3..5].iter().map(|&id| u32::from(id).to_le_bytes());
        for part in ["three ä".as_bytes(), ids.collect::<Vec<_>>().as_flattened()] {
            assert!(plain.windows(part.len()).any(|window| window == part));
        }
    }

    #[test]
    fn what_is_not_documents_is_refused() {
        let refused = |texts: (&str, &[u64]), tokens: (&[u16], &[u64])| {
            let made = documents(texts, tokens, Compression::Snappy);
            made.unwrap_err().to_string()
        };
        let text: (&str, &[u64]) = ("ab", &[1, 2]);
        let tokens: (&[u16], &[u64]) = (&[1, 0, 0], &[2, 3]);
        assert!(refused(("ab", &[2]), tokens).contains("1 documents"));
        assert!(refused(("ab", &[3, 3]), tokens).contains("got 3 after 0"));
        assert!(refused(("ab", &[2, 1]), tokens).contains("got 1 after 2"));
        assert!(refused(("ab", &[1, 1]), tokens).contains("a last end 1"));
        assert!(refused(("ä", &[1, 2]), tokens).contains("within a character"));
        assert!(refused(text, (&[1, 0, 0], &[3, 3])).contains("got 3 after 3"));
        assert!(refused(text, (&[1, 0, 0], &[1, 2])).contains("a last end 2"));
    }
}

//! Parquet files of documents: the text and the tokens of each.
//!
//! A file has one row group with two columns, `text` (a string) and `input_ids` (a list of 16-bit
//! or 32-bit unsigned integers); the schema is that which Arrow's own writers give such columns.
//! The encodings are those that are fast to write and that every reader knows:
//!
//! - Texts are plain, compressed with Snappy.
//! - Tokens are indices of the smallest number of bits into a dictionary of all ids up to the
//!   largest, so that an id is its own index and nothing has to be looked up. Packed numbers hardly
//!   compress, so they are not compressed. If the dictionary would be too large for its file, the
//!   ids themselves are written.
//!
//! The bytes depend on the documents alone (and on the version of the compressor, which is fixed).
//! Apache Parquet's own Rust crate was not used: it takes two levels with each value, of which none
//! has to be made here.

mod code;
mod footer;
mod packing;
mod pages;
mod thrift;

use self::footer::write_footer;
use self::pages::{Column, Pages, in_pages, too_large};
use crate::error::{Error, Result};
use crate::vocabulary::Token;

/// Approximate size of a page: readers decompress a page at a time.
const PAGE_BYTES: usize = 1 << 20;
/// The dictionary of ids has at most so many bytes for every token of the file.
const DICTIONARY_BYTES: usize = 1;

const MAGIC: &[u8; 4] = b"PAR1";

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
    let mut out = Vec::with_capacity(texts.len() / 2 + tokens.len() * T::BYTES);
    out.extend_from_slice(MAGIC);
    let columns = [
        write_texts(&mut out, texts, &text_ends)?,
        write_tokens(&mut out, tokens, &ends)?,
    ];
    write_footer(&mut out, &columns, ends.len(), 8 * T::BYTES);
    Ok(out)
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

fn write_texts(out: &mut Vec<u8>, texts: &str, ends: &[usize]) -> Result<Column> {
    let mut pages = Pages::new(out, code::SNAPPY);
    let mut page = Vec::with_capacity(PAGE_BYTES * 5 / 4);
    in_pages(ends, PAGE_BYTES, |documents| {
        page.clear();
        packing::level_run(&mut page, 1, documents.len());
        let mut begin = documents
            .start
            .checked_sub(1)
            .map_or(0, |before| ends[before]);
        for &end in &ends[documents.clone()] {
            let Some(text) = texts.get(begin..end) else {
                let got = format!("{end}, which is within a character");
                return Err(Error::argument("text_ends", got, "ends of characters"));
            };
            let length = u32::try_from(text.len()).map_err(|_| too_large(text.len()))?;
            page.extend_from_slice(&length.to_le_bytes());
            page.extend_from_slice(text.as_bytes());
            begin = end;
        }
        pages.data(&page, documents.len(), code::PLAIN)
    })?;
    Ok(pages.finish(&[code::PLAIN, code::RLE], ends.len(), None))
}

fn write_tokens<T: Token + Into<u32>>(
    out: &mut Vec<u8>,
    tokens: &[T],
    ends: &[usize],
) -> Result<Column> {
    let largest = tokens.iter().map(|&token| token.into()).max().unwrap_or(0);
    let packed = 4 * (largest as usize + 1) <= DICTIONARY_BYTES * tokens.len();
    let bits = (u32::BITS - largest.leading_zeros()).max(1);
    let codec = if packed {
        code::UNCOMPRESSED
    } else {
        code::SNAPPY
    };
    let mut pages = Pages::new(out, codec);
    let mut page = Vec::with_capacity(PAGE_BYTES * 5 / 4);
    let mut data = None;
    if packed {
        page.extend((0..=largest).flat_map(u32::to_le_bytes));
        pages.dictionary(&page)?;
        data = Some(pages.out.len());
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
        let file = documents(texts, (&tokens, &[3, 4, 5, 9])).unwrap();
        assert_eq!(&file[..4], MAGIC);
        assert_eq!(&file[file.len() - 4..], MAGIC);
        let digest = blake3::hash(&file).to_hex().to_string();
        assert_eq!(
            digest,
            "8b56310f1968ed324feba92b10ef7687bb4ad9cc2e38045fddf56bddc3c68906"
        );
    }

    #[test]
    fn what_is_not_documents_is_refused() {
        let refused = |texts: (&str, &[u64]), tokens: (&[u16], &[u64])| {
            documents(texts, tokens).unwrap_err().to_string()
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

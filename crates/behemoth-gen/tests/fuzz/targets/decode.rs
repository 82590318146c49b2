//! Tables of the bytes of tokens, as built from external tokenizer files.

use behemoth_gen::decode::Decoder;
use behemoth_gen::parquet;

use super::bytes::Bytes;
use super::refused;

/// A table is refused, or there is a line for each document with an end, which equals its text.
///
/// The input: the number of tokens (one byte); the ends of the bytes of each, within documents and
/// at their beginning (2 bytes each); the numbers of these bytes (2 bytes each) and the bytes; then
/// the tokens (one byte each), where 0 ends a document.
pub fn decode(data: &[u8]) -> bool {
    let Some(((opening, opening_ends), (within, within_ends), tokens)) = read(data) else {
        return false;
    };
    let decoder = match Decoder::new((opening, &opening_ends), (within, &within_ends), 0) {
        Ok(decoder) => decoder,
        Err(error) => return refused(&error),
    };
    let tokens: Vec<u32> = tokens.iter().map(|&token| u32::from(token)).collect();
    let is_decoded = match decoder.lines(&tokens) {
        Err(error) => refused(&error),
        Ok(lines) => {
            let ends = tokens.iter().filter(|&&token| token == 0).count();
            let text = String::from_utf8(lines).expect("UTF-8");
            assert_eq!(text.matches('\n').count(), ends);
            true
        }
    };
    let whole = 0..tokens.len();
    match decoder.joined(&tokens, [whole.clone()].into_iter()) {
        Err(error) => assert!(!refused(&error)),
        Ok((text, ends)) => assert_eq!(ends, [text.len() as u64]),
    }
    if tokens.last() == Some(&0) {
        check_parquet(&decoder, &tokens);
    }
    let beyond = whole.start..whole.end + 1;
    assert!(decoder.joined(&tokens, [beyond].into_iter()).is_err());
    is_decoded
}

/// A file of documents that are decoded page by page is that of their texts.
fn check_parquet(decoder: &Decoder, tokens: &[u32]) {
    let ends = || (1..=tokens.len()).filter(|&end| tokens[end - 1] == 0);
    let begins = std::iter::once(0).chain(ends());
    let documents = begins.zip(ends()).map(|(begin, end)| begin..end - 1);
    let mut file = Vec::new();
    let compression = parquet::Compression::Snappy;
    let made = parquet::decoded(decoder, tokens, compression, &mut |bytes| {
        file.extend_from_slice(bytes);
        Ok(())
    });
    match decoder.joined(tokens, documents) {
        Err(_) => assert!(made.is_err()),
        Ok((text, text_ends)) => {
            made.expect("documents that are decoded");
            let ends: Vec<u64> = ends().map(|end| end as u64).collect();
            let whole = parquet::documents((&text, &text_ends), (tokens, &ends), compression);
            assert!(file == whole.expect("documents"));
        }
    }
}

type Bytewise<'a> = (&'a [u8], Vec<u64>);

fn read(data: &[u8]) -> Option<(Bytewise<'_>, Bytewise<'_>, &[u8])> {
    let mut bytes = Bytes(data);
    let count = bytes.u8()?;
    let mut ends =
        || -> Option<Vec<u64>> { (0..count).map(|_| bytes.u16().map(u64::from)).collect() };
    let (opening_ends, within_ends) = (ends()?, ends()?);
    let (opening, within) = (bytes.u16()?, bytes.u16()?);
    let opening = bytes.slice(usize::from(opening));
    let within = bytes.slice(usize::from(within));
    Some(((opening, opening_ends), (within, within_ends), bytes.0))
}

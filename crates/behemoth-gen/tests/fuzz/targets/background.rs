//! Files of external tokens, with or without an index.

use std::io::Write;

use behemoth_gen::background::Background;
use tempfile::NamedTempFile;

use super::bytes::Bytes;
use super::{in_memory, refused};

/// A background is refused, or its documents have all tokens of its file.
///
/// The input: the size of a token, the token that ends a document, and whether there is an index (a
/// byte each); the number of its ends (one byte) and the ends (2 bytes each); then the file.
pub fn background(data: &[u8]) -> bool {
    let Some((width, end, ends, tokens)) = read(data) else {
        return false;
    };
    let mut file = NamedTempFile::new_in(in_memory()).unwrap();
    file.write_all(tokens).unwrap();
    let found = Background::open(&[file.path().to_path_buf()], width, end, ends.clone());
    match found {
        Err(error) => refused(&error),
        Ok(background) => {
            let count = (tokens.len() / width) as u64;
            assert!((count..=2 * count).contains(&background.tokens()));
            assert!((1..=count).contains(&background.documents()));
            if let Some(mut ends) = ends {
                ends.dedup();
                assert_eq!(
                    background.documents(),
                    ends.iter().filter(|&&e| e > 0).count() as u64
                );
            }
            true
        }
    }
}

type Input<'a> = (usize, u32, Option<Vec<u64>>, &'a [u8]);

fn read(data: &[u8]) -> Option<Input<'_>> {
    let mut bytes = Bytes(data);
    let (width, end, has_index) = (bytes.u8()?, bytes.u8()?, bytes.u8()?);
    let mut ends = Vec::new();
    for _ in 0..bytes.u8()? {
        ends.push(u64::from(bytes.u16()?));
    }
    let ends = (has_index > 0).then_some(ends);
    Some((usize::from(width), u32::from(end), ends, bytes.0))
}

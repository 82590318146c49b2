//! Corpora of specs: the combination of the numbers of a spec.

use behemoth_gen::{Corpus, Progress, Spec};

use super::refused;

/// Number of documents generated at the beginning and at the end of a corpus.
const DOCUMENTS: u64 = 2;

/// A corpus is refused, or its first and its last documents can be generated, in any pieces.
pub fn corpus(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let Ok(spec) = Spec::from_toml(text) else {
        return false; // Covered by `spec`.
    };
    let corpus = match Corpus::from_spec(spec) {
        Ok(corpus) => corpus,
        Err(error) => return refused(&error),
    };
    let documents = corpus.documents();
    let mut is_made = true;
    let few = DOCUMENTS.min(documents);
    for range in [0..few, documents - few..documents] {
        let tokens = |range| corpus.tokens::<u32>(range, 1, &Progress::default());
        match tokens(range.clone()) {
            Err(error) => is_made = refused(&error),
            Ok(all) => {
                let vocabulary = corpus.vocabulary().size();
                assert!(all.iter().all(|&token| u64::from(token) < vocabulary));
                let pieces = range.flat_map(|document| tokens(document..document + 1).unwrap());
                assert!(all.iter().copied().eq(pieces), "a document by itself");
            }
        }
    }
    is_made
}

//! Words of a tokenizer that are not in facts, for use in a filler.

use std::collections::HashSet;

use super::lexicon::Lexicon;
use super::tokenizer::{ANCHOR, TextToken, Tokenizer, encoded};
use crate::error::{Error, Result};

impl Lexicon {
    /// Returns this lexicon with words for a filler: those `candidates`, each with its form at the
    /// beginning of a text and its form within one, that are the same single token in both
    /// positions. Tokens of names and objects are excluded, so that a filler is not about any of
    /// them. `begins` are the tokens that begin with a space.
    ///
    /// A text of such words has exactly their tokens if the tokenizer splits before spaces, as
    /// required for grammars.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] if `tokenizer` is not that of this lexicon, and the error of the
    /// tokenizer.
    pub fn with_words(
        self,
        tokenizer: &mut dyn Tokenizer,
        candidates: &[(String, String)],
        begins: &[u32],
    ) -> Result<Lexicon> {
        let digest = tokenizer.digest();
        if digest != self.tokenizer {
            let allowed = format!("'{}', that of the lexicon", self.tokenizer);
            return Err(Error::argument("tokenizer", format!("'{digest}'"), allowed));
        }
        let anchor = encoded(tokenizer, &[ANCHOR.to_string()])?;
        let anchor: Vec<u32> = anchor.iter().flatten().map(|token| token.id).collect();
        let openings: Vec<String> = candidates.iter().map(|(own, _)| own.clone()).collect();
        let further = candidates.iter().map(|(_, own)| format!("{ANCHOR}{own}"));
        let further: Vec<String> = further.collect();
        let openings = encoded(tokenizer, &openings)?;
        let further = encoded(tokenizer, &further)?;
        let cores = self.cores().flat_map(|(core, _)| &self.pool[core]);
        // Each word is included once, even if several candidates have its token.
        let mut taken: HashSet<u32> = cores.copied().chain([self.end]).collect();
        let ids = |tokens: &[TextToken]| tokens.iter().map(|t| t.id).collect::<Vec<u32>>();
        let words = openings
            .iter()
            .zip(&further)
            .filter_map(|(opening, further)| {
                let &[TextToken { id, .. }] = &opening[..] else {
                    return None;
                };
                let within = ids(further);
                (within.strip_prefix(&anchor[..]) == Some(&[id]) && taken.insert(id)).then_some(id)
            });
        let words = words.collect();
        let mut all = vec![false; self.size as usize];
        for &token in begins {
            if let Some(own) = all.get_mut(token as usize) {
                *own = true;
            }
        }
        Ok(Lexicon {
            words,
            begins: all,
            ..self
        })
    }
}

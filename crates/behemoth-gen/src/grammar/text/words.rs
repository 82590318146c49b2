//! Words of a tokenizer that facts do not need: what a filler can say in its tokens.

use std::collections::HashSet;

use super::lexicon::Lexicon;
use super::tokenizer::{ANCHOR, TextToken, Tokenizer};
use crate::error::Result;

impl Lexicon {
    /// The same with words for a filler: of these, each as it stands at the beginning of a text and
    /// within one, those that are the same token in both places. Tokens of names and objects are
    /// left out: what a filler says is about nothing. `begins` are the tokens that begin with a
    /// space.
    ///
    /// A text of such words has their tokens if the tokenizer cuts before spaces, as for grammars.
    pub fn with_words(
        self,
        tokenizer: &mut dyn Tokenizer,
        candidates: &[(String, String)],
        begins: &[u32],
    ) -> Result<Lexicon> {
        let anchor = tokenizer.encode(&[ANCHOR.to_string()])?;
        let anchor: Vec<u32> = anchor.iter().flatten().map(|token| token.id).collect();
        let openings: Vec<String> = candidates.iter().map(|(own, _)| own.clone()).collect();
        let further = candidates.iter().map(|(_, own)| format!("{ANCHOR}{own}"));
        let further: Vec<String> = further.collect();
        let openings = tokenizer.encode(&openings)?;
        let further = tokenizer.encode(&further)?;
        let cores = self.cores().flat_map(|(core, _)| &self.pool[core]);
        // A word is there once, whatever ways there are to write it.
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

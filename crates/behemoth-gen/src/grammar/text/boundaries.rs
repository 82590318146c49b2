//! Which tokens of a piece name the subject or the object.
//!
//! A probe is cut before and after the tokens of its object, and a plan joins the prompt of one
//! object with another as its answer. All words that can fill a piece are therefore cut at the same
//! character, even where a tokenizer merges the space or a quotation mark before only some of them.

use std::ops::Range;

use super::tokenizer::TextToken;

/// Returns the range of the tokens that cover any of the characters of a name, which are `core`,
/// and of those before them that are only spaces: not line ends, which separate sentences. If a
/// piece continues a name, its first token may cover no characters.
pub(super) fn core_tokens(
    text: &str,
    tokens: &[TextToken],
    core: Range<usize>,
    goes_on: bool,
) -> (u8, u8) {
    let is_space = |token: &TextToken| {
        let letters = text.chars().skip(token.start);
        (letters.take(token.end.saturating_sub(token.start))).all(|letter| letter == ' ')
    };
    let covers = |token: &TextToken| token.start < core.end && token.end > core.start;
    let first = match goes_on {
        true => Some(0),
        false => tokens.iter().position(covers).map(|first| {
            let spaces = tokens[..first]
                .iter()
                .rev()
                .take_while(|token| is_space(token));
            first - spaces.count()
        }),
    };
    let last = tokens.iter().rposition(covers);
    match (first, last) {
        (Some(first), Some(last)) => (first as u8, last as u8 + 1),
        _ => (0, 0),
    }
}

/// The tokens before and after a name that are the same in several ways to fill a piece.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around<'a> {
    tokens: &'a [u32],
    before: usize,
    after: usize,
}

impl<'a> Around<'a> {
    pub(super) fn new(tokens: &'a [u32], core: (u8, u8)) -> Self {
        Around {
            tokens,
            before: usize::from(core.0),
            after: tokens.len() - usize::from(core.1),
        }
    }

    /// Returns what is the same in both.
    pub(super) fn and(self, other: Self) -> Self {
        let pairs = || self.tokens.iter().zip(other.tokens);
        let ends = self.tokens.iter().rev().zip(other.tokens.iter().rev());
        let before = pairs().take_while(|(own, other)| own == other).count();
        let after = ends.take_while(|(own, other)| own == other).count();
        Around {
            before: before.min(self.before).min(other.before),
            after: after.min(self.after).min(other.after),
            ..self
        }
    }

    /// Returns the range of the tokens between them in one of the ways, by its number of tokens.
    pub(super) fn core(self, tokens: u8) -> (u8, u8) {
        (self.before as u8, tokens - self.after as u8)
    }
}

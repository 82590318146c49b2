//! Allocation of consecutive ranges of ids.

use super::{Role, SMALLER_BASE, TokenRange, Word};
use crate::error::Result;
use crate::numbers::{self, TOKEN_LIMIT};

/// Allocates ids in consecutive ranges.
pub(super) struct Builder {
    pub(super) ranges: Vec<TokenRange>,
    pub(super) next: u64,
    pub(super) base: u64,
    pub(super) reference_words: bool,
}

impl Builder {
    fn push(&mut self, kind: Role, relation: Option<u32>, position: u32, count: u64) -> u32 {
        let first = self.next as u32;
        self.ranges.push(TokenRange {
            kind,
            relation,
            position,
            first,
            count: count as u32,
            names: Vec::new(),
        });
        // Saturating, so that the error message has a sum that did not wrap.
        self.next = self.next.saturating_add(count);
        first
    }

    /// Allocates the ids of named tokens.
    pub(super) fn named<S: ToString>(&mut self, kind: Role, names: &[S]) {
        self.push(kind, None, 0, names.len() as u64);
        let range = self.ranges.last_mut().expect("just pushed");
        range.names = names.iter().map(ToString::to_string).collect();
    }

    /// Allocates the ids of fillers whose number depends on the spec.
    pub(super) fn fillers(&mut self, prefix: &str, count: u64) {
        if count > 0 && count < TOKEN_LIMIT {
            self.push(Role::Filler, None, 0, count);
            let range = self.ranges.last_mut().expect("just pushed");
            range.names = (0..count).map(|i| format!("{prefix}{i}")).collect();
        } else {
            self.next = self.next.saturating_add(count);
        }
    }

    /// Allocates the words of `count` things; one token each if they have names, whatever the base.
    pub(super) fn word(
        &mut self,
        kind: Role,
        relation: Option<u32>,
        count: u64,
        has_names: bool,
    ) -> Result<Word> {
        let mut word = if has_names {
            Word::new(count, self.base.max(count))
        } else if self.reference_words {
            Word::of_reference(count)
        } else {
            Word::new(count, self.base)
        };
        for position in 0..word.len() {
            let digits = word.digits_at(position);
            word.place(position, self.push(kind, relation, position as u32, digits));
        }
        let got = format!("{} tokens or more", self.next);
        numbers::vocabulary(self.next, got, SMALLER_BASE)?;
        Ok(word)
    }
}

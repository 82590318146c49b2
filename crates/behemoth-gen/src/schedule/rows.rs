//! Rows of a plan: copies that are spread evenly over one run of windows.

use crate::permutation::Permutation;

/// Copies of some facts of one stratum: those of chosen facts from `rank` on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    /// Its first atom in the row.
    pub base: u64,
    pub stratum: usize,
    /// First of its facts, by their rank in the choice.
    pub rank: u64,
    pub facts: u64,
    /// First of its copies.
    pub copy: u64,
}

/// The edges of windows, in the documents that rows are spread over.
#[derive(Clone, Debug, Default)]
pub(super) struct Edges {
    /// In all documents.
    pub all: Vec<u64>,
    /// In those that are not taken up by rows that stand alone.
    pub free: Vec<u64>,
}

/// Copies that are spread evenly over the documents from `start` to `stop`. They go by atoms of
/// one or more copies of a fact that stand in one window.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub start: u64,
    pub stop: u64,
    /// Whether it takes up its windows alone; others are spread as if these documents were not.
    pub is_alone: bool,
    pub atoms: u64,
    /// Copies of an atom.
    pub each: u64,
    pub segments: Vec<Segment>,
    /// Atom -> its place among all.
    pub order: Permutation,
    /// Windows that it is spread over.
    pub windows: (usize, usize),
}

/// A copy of a fact of a stratum, by rank and turned copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub stratum: usize,
    pub rank: u64,
    pub copy: u64,
}

impl Row {
    /// Its copies before a window.
    #[inline]
    pub(super) fn before(&self, edges: &Edges, window: usize) -> u64 {
        let edges = if self.is_alone {
            &edges.all
        } else {
            &edges.free
        };
        let edge = edges[window];
        if edge <= self.start {
            return 0;
        }
        if edge >= self.stop {
            return self.atoms * self.each;
        }
        let passed = u128::from(self.atoms) * u128::from(edge - self.start);
        (passed / u128::from(self.stop - self.start)) as u64 * self.each
    }

    /// The copy at an index of the row.
    pub(super) fn item(&self, index: u64) -> Item {
        let (atom, within) = (index / self.each, index % self.each);
        let atom = self.order.invert(atom);
        let after = self.segments.partition_point(|s| s.base <= atom);
        let segment = &self.segments[after - 1];
        let offset = atom - segment.base;
        Item {
            stratum: segment.stratum,
            rank: segment.rank + offset % segment.facts,
            copy: segment.copy + offset / segment.facts + within,
        }
    }

    /// The index of a copy that is in one of its segments.
    pub(super) fn index(&self, segment: usize, rank: u64, copy: u64) -> u64 {
        let segment = &self.segments[segment];
        let (copy, rank) = (copy - segment.copy, rank - segment.rank);
        if self.each > 1 {
            return self.order.apply(segment.base + rank) * self.each + copy;
        }
        self.order.apply(segment.base + copy * segment.facts + rank)
    }
}

//! Rows of a plan: copies spread evenly over one run of windows.

use crate::permutation::Permutation;

/// Copies of some facts of one stratum: those of the chosen facts starting at `rank`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    /// First atom in the row.
    pub base: u64,
    pub stratum: usize,
    /// Rank of the first fact in the choice.
    pub rank: u64,
    pub facts: u64,
    /// First copy.
    pub copy: u64,
}

/// The edges of windows, counted in the documents that rows are spread over.
#[derive(Clone, Debug, Default)]
pub(super) struct Edges {
    /// Counted in all documents.
    pub all: Vec<u64>,
    /// Counted in the documents that are not used by rows that are alone.
    pub free: Vec<u64>,
}

/// Copies spread evenly over the documents from `start` to `stop`, in atoms of one or more copies
/// of a fact that stay in one window.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub start: u64,
    pub stop: u64,
    /// Whether the row is alone in its windows; other rows are spread as if these documents did not
    /// exist.
    pub is_alone: bool,
    pub atoms: u64,
    /// Number of copies in an atom.
    pub each: u64,
    pub segments: Vec<Segment>,
    /// Maps an atom to its position among all atoms.
    pub order: Permutation,
    /// Range of the windows that the row is spread over.
    pub windows: (usize, usize),
}

/// A copy of a fact of a stratum, by the rank of the fact and the turn of the copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub stratum: usize,
    pub rank: u64,
    pub copy: u64,
}

impl Row {
    /// Returns the number of its copies before a window.
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

    /// Returns the number of its copies in a window.
    pub(super) fn held(&self, edges: &Edges, window: usize) -> u64 {
        self.before(edges, window + 1) - self.before(edges, window)
    }

    /// Returns the copy at an index of the row.
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

    /// Returns the index of a copy in one of its segments.
    pub(super) fn index(&self, segment: usize, rank: u64, copy: u64) -> u64 {
        let segment = &self.segments[segment];
        let (copy, rank) = (copy - segment.copy, rank - segment.rank);
        if self.each > 1 {
            return self.order.apply(segment.base + rank) * self.each + copy;
        }
        self.order.apply(segment.base + copy * segment.facts + rank)
    }
}

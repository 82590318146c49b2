//! The plan of a schedule: windows of the corpus and the copies of facts in each.
//!
//! A plan is two permutations with a table between them. Copies with the same run of windows form a
//! [`Row`] in its own order, which is divided among the windows in proportion to their sizes; the
//! content of a window is in its own shuffle. The window of a document is found by a search over
//! the divisions of its row, and the document at a position by going through the rows of its
//! window; neither needs any other document.

use super::ScheduleSpec;
use super::build::{Built, build};
use super::cut::Cut;
use super::rows::{Edges, Item, Row};
use super::timeline::{Seeds, Stratum};
use crate::error::Result;
use crate::permutation::Permutation;

#[derive(Clone, Debug)]
struct Window {
    order: Permutation,
    /// The rows with copies in the window.
    rows: Vec<usize>,
}

/// The plan of a schedule for one corpus.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    cuts: Vec<Cut>,
    rows: Vec<Row>,
    /// Edges of the windows by the schedule, at which rows are divided.
    edges: Edges,
    /// Actual edges of the windows, which differ where windows are full.
    starts: Vec<u64>,
    /// Number of unscheduled documents before each window.
    filled: Vec<u64>,
    windows: Vec<Window>,
    anywhere: Permutation,
    /// Number of documents of strata; the others are numbered after them.
    own: u64,
}

impl Plan {
    pub(super) fn new(
        strata: &[Stratum],
        others: u64,
        schedule: &ScheduleSpec,
        seeds: Seeds,
    ) -> Result<Self> {
        let own: u64 = strata.iter().map(|s| s.facts * s.copies).sum();
        let Built {
            cuts,
            rows,
            edges,
            starts,
            filled,
        } = build(strata, own + others, schedule, seeds)?;
        let anywhere = filled.last().copied().unwrap_or(0);
        let mut windows: Vec<Window> = (0..)
            .zip(starts.windows(2))
            .map(|(at, pair)| Window {
                order: Permutation::compact(pair[1] - pair[0], seeds.order, "schedule-window", at),
                rows: Vec::new(),
            })
            .collect();
        for (at, row) in rows.iter().enumerate() {
            let (first, last) = row.windows;
            for (window, held) in (first..last).zip(&mut windows[first..last]) {
                if row.held(&edges, window) > 0 {
                    held.rows.push(at);
                }
            }
        }
        Ok(Plan {
            cuts,
            rows,
            edges,
            starts,
            filled,
            windows,
            anywhere: Permutation::new(anywhere, seeds.order, "schedule-anywhere", 0),
            own,
        })
    }

    pub(super) fn len(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Returns the document at a position.
    pub(super) fn document(&self, place: u64) -> u64 {
        let window = self.starts.partition_point(|&start| start <= place) - 1;
        let mut local = self.windows[window]
            .order
            .apply(place - self.starts[window]);
        for &at in &self.windows[window].rows {
            let row = &self.rows[at];
            let before = row.before(&self.edges, window);
            let here = row.before(&self.edges, window + 1) - before;
            if local < here {
                return self.document_of(row.item(before + local));
            }
            local -= here;
        }
        self.document_anywhere(self.anywhere.apply(self.filled[window] + local))
    }

    /// Returns the position of a document.
    pub(super) fn place(&self, document: u64) -> u64 {
        let after = self
            .cuts
            .partition_point(|cut| cut.stratum.first <= document);
        let cut = match after.checked_sub(1) {
            Some(cut) if document < self.own => &self.cuts[cut],
            _ => {
                let strata = self.anywhere.len() - self.others();
                return self.place_anywhere(strata + document - self.own);
            }
        };
        let Stratum { first, facts, .. } = cut.stratum;
        let (copy, place) = ((document - first) / facts, (document - first) % facts);
        let rank = cut.choice.apply(place);
        let part = cut.bounds.partition_point(|&bound| bound <= rank) - 1;
        let Some(spans) = cut.spans.get(part) else {
            let chosen = cut.chosen();
            return self.place_anywhere(cut.anywhere + copy * (facts - chosen) + rank - chosen);
        };
        let copy = cut.turn.apply(copy);
        let span = spans[spans.partition_point(|span| span.copy <= copy) - 1];
        self.place_in_row(
            span.row,
            self.rows[span.row].index(span.segment, rank, copy),
        )
    }

    fn others(&self) -> u64 {
        self.len() - self.own
    }

    fn place_in_row(&self, at: usize, index: u64) -> u64 {
        let row = &self.rows[at];
        // The last window whose copies begin at or before the index.
        let (mut window, mut last) = row.windows;
        while last - window > 1 {
            let middle = window + (last - window) / 2;
            if row.before(&self.edges, middle) <= index {
                window = middle;
            } else {
                last = middle;
            }
        }
        let mut local = index - row.before(&self.edges, window);
        for &other in self.windows[window]
            .rows
            .iter()
            .take_while(|&&row| row != at)
        {
            local += self.rows[other].held(&self.edges, window);
        }
        self.starts[window] + self.windows[window].order.invert(local)
    }

    fn place_anywhere(&self, index: u64) -> u64 {
        let index = self.anywhere.invert(index);
        let window = self.filled.partition_point(|&filled| filled <= index) - 1;
        // Unscheduled documents come after the rows of their window.
        let all = self.windows[window].order.len();
        let here = self.filled[window + 1] - self.filled[window];
        let local = all - here + index - self.filled[window];
        self.starts[window] + self.windows[window].order.invert(local)
    }

    fn document_of(&self, item: Item) -> u64 {
        let cut = &self.cuts[item.stratum];
        let (copy, place) = (cut.turn.invert(item.copy), cut.choice.invert(item.rank));
        cut.stratum.first + copy * cut.stratum.facts + place
    }

    fn document_anywhere(&self, index: u64) -> u64 {
        let strata = self.anywhere.len() - self.others();
        if index >= strata {
            return self.own + index - strata;
        }
        // A stratum without such documents begins at the same index as the next; the last of them
        // is the right one.
        let after = self.cuts.partition_point(|cut| cut.anywhere <= index);
        let cut = &self.cuts[after - 1];
        let left = cut.stratum.facts - cut.chosen();
        let (copy, rank) = ((index - cut.anywhere) / left, (index - cut.anywhere) % left);
        let place = cut.choice.invert(cut.chosen() + rank);
        cut.stratum.first + copy * cut.stratum.facts + place
    }
}

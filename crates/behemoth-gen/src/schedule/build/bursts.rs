//! Copies of a fact in bursts, each spread over an own range of documents.

use super::{Builder, Kind, WINDOW_LIMIT, check_windows, part_of};
use crate::error::Result;
use crate::schedule::cut::{Cut, Span};
use crate::schedule::part::Part;
use crate::schedule::rows::Segment;

/// Maximum number of levels of exposures with separate windows: every lookup of a document checks
/// each.
const LEVEL_LIMIT: usize = 64;

/// Target number of windows of a corpus, over all bursts.
const BURST_WINDOWS: u64 = 1000;

/// Minimum number of documents in a window, per copy of a burst.
const BURST_ROOM: u64 = 16;

impl Builder {
    /// Adds a row for each burst of each stratum.
    pub(super) fn add_bursts(&mut self, part: usize, by: &Part, bursts: u64) -> Result<()> {
        if self.cuts.len() > LEVEL_LIMIT {
            return Err(by.refused(format!(
                "'spaced' and 'bursts' with up to {LEVEL_LIMIT} levels of exposures, not {}",
                self.cuts.len()
            )));
        }
        self.add_burst_edges(part, by, bursts)?;
        for stratum in 0..self.cuts.len() {
            let Cut {
                stratum: own,
                bounds,
                ..
            } = &self.cuts[stratum];
            let (rank, facts) = (bounds[part], bounds[part + 1] - bounds[part]);
            if facts == 0 {
                continue;
            }
            let copies = own.copies;
            let bursts = bursts.min(copies);
            for burst in 0..bursts {
                let (copy, end) = (
                    part_of(copies, burst, bursts),
                    part_of(copies, burst + 1, bursts),
                );
                let (start, stop) = (
                    part_of(self.len, copy, copies),
                    part_of(self.len, end, copies),
                );
                let each = end - copy;
                self.cuts[stratum].spans[part].push(Span {
                    copy,
                    row: self.rows.len(),
                    segment: 0,
                });
                let segment = Segment {
                    base: 0,
                    stratum,
                    rank,
                    facts,
                    copy,
                };
                self.push(start..stop, (facts, each), vec![segment], Kind::Spread);
                if each > 1 {
                    let most = BURST_WINDOWS.div_ceil(bursts);
                    let windows = ((stop - start) / (BURST_ROOM * each)).clamp(1, most);
                    let inner = |at| start + part_of(stop - start, at, windows);
                    self.inner_edges.extend((1..windows).map(inner));
                }
            }
        }
        Ok(())
    }

    /// Refuses bursts with too many windows before their rows, of which there may be millions, are
    /// made.
    fn add_burst_edges(&mut self, part: usize, by: &Part, bursts: u64) -> Result<()> {
        for cut in &self.cuts {
            if cut.bounds[part] == cut.bounds[part + 1] {
                continue;
            }
            let copies = cut.stratum.copies;
            let bursts = bursts.min(copies);
            if bursts > WINDOW_LIMIT as u64 {
                return Err(by.refused(format!("up to {WINDOW_LIMIT} windows, not {bursts}")));
            }
            let edge = |burst| part_of(self.len, part_of(copies, burst, bursts), copies);
            self.burst_edges.extend((1..bursts).map(edge));
            self.burst_edges.sort_unstable();
            self.burst_edges.dedup();
            check_windows(&self.burst_edges)?;
        }
        Ok(())
    }
}

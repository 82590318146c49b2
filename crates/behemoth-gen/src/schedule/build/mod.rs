//! Building the plan of a schedule: shares of facts, rows, windows.

mod bursts;

use std::ops::Range;

use super::ScheduleSpec;
use super::cut::{Cut, Span, cuts, share};
use super::part::{Part, Placement};
use super::rows::{Edges, Row, Segment};
use super::timeline::{Seeds, Stratum};
use crate::error::{Error, Result};
use crate::numbers::billionths;
use crate::permutation::Permutation;

/// Maximum number of windows, which are kept in memory.
const WINDOW_LIMIT: usize = 1 << 16;

/// Returns the size of `parts` out of `of` equal parts of a whole, rounded down.
fn part_of(whole: u64, parts: u64, of: u64) -> u64 {
    (u128::from(whole) * u128::from(parts) / u128::from(of)) as u64
}

/// Returns the error that names the window that is too full.
fn refuse_full(schedule: &ScheduleSpec, edges: &[u64], held: &[u64]) -> Error {
    let over = |at: &usize| held[*at].saturating_sub(edges[at + 1] - edges[*at]);
    let worst = (0..held.len()).max_by_key(over).unwrap_or(0);
    let got: Vec<String> = schedule.parts.iter().map(Part::to_string).collect();
    let mut allowed = "windows with room for their copies".to_string();
    if over(&worst) > 0 {
        // Including adjacent windows that are too full.
        let first = (0..worst).rev().take_while(|at| over(at) > 0).last();
        let last = (worst..held.len()).take_while(|at| over(at) > 0).last();
        let (first, last) = (first.unwrap_or(worst), last.unwrap_or(worst));
        let held: u64 = held[first..=last].iter().sum();
        let (start, stop) = (edges[first], edges[last + 1]);
        let (places, last) = (stop - start, stop - 1);
        allowed += &format!(
            "; {held} copies would go into {places} places, which are documents {start} to {last}"
        );
    }
    Error::value(format!("'{}'", got.join(",")), allowed)
}

/// Refuses too many windows, given their edges.
fn check_windows(edges: &[u64]) -> Result<()> {
    let windows = edges.len() - 1;
    if windows <= WINDOW_LIMIT {
        return Ok(());
    }
    Err(Error::value(
        format!("{windows} windows"),
        format!("up to {WINDOW_LIMIT}; fewer levels of exposures have fewer"),
    ))
}

/// The parts of a plan.
pub(super) struct Built {
    pub cuts: Vec<Cut>,
    pub rows: Vec<Row>,
    pub edges: Edges,
    pub starts: Vec<u64>,
    pub filled: Vec<u64>,
}

/// Divides the strata into the parts of a schedule, and `len` documents into windows.
pub(super) fn build(
    strata: &[Stratum],
    len: u64,
    schedule: &ScheduleSpec,
    seeds: Seeds,
) -> Result<Built> {
    let mut builder = Builder {
        len,
        seed: seeds.order,
        cuts: cuts(strata, schedule, seeds.world),
        rows: Vec::new(),
        is_loose: Vec::new(),
        inner_edges: Vec::new(),
        burst_edges: vec![0, len],
    };
    for (at, part) in schedule.parts.iter().enumerate() {
        builder.place(at, part)?;
    }
    let mut edges = builder.edges()?;
    let held = builder.cut_rows(&mut edges);
    let scheduled: u64 = builder.rows.iter().map(|row| row.atoms * row.each).sum();
    let fits = held.iter().sum::<u64>() == scheduled;
    let (starts, filled) = fits
        .then(|| builder.fill(&edges.all, &held, len - scheduled))
        .flatten()
        .ok_or_else(|| refuse_full(schedule, &edges.all, &held))?;
    Ok(Built {
        cuts: builder.cuts,
        rows: builder.rows,
        edges,
        starts,
        filled,
    })
}

/// The relation of a row to its windows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Exactly within its windows.
    Within,
    /// Exactly within its windows, and alone in them.
    Alone,
    /// Spread over the corpus with other such rows: within its windows except for rounding.
    Spread,
}

/// A builder of a plan.
struct Builder {
    len: u64,
    seed: u64,
    cuts: Vec<Cut>,
    rows: Vec<Row>,
    /// For each row, whether it may be off by a copy.
    is_loose: Vec<bool>,
    /// Edges of windows within rows.
    inner_edges: Vec<u64>,
    /// Different edges of the rows of bursts so far, sorted.
    burst_edges: Vec<u64>,
}

impl Builder {
    /// Adds the rows of a part.
    fn place(&mut self, at: usize, part: &Part) -> Result<()> {
        let facts: u64 = self
            .cuts
            .iter()
            .map(|c| c.bounds[at + 1] - c.bounds[at])
            .sum();
        if facts == 0 {
            return Err(part.refused("a part of at least one fact"));
        }
        match part.placement {
            Placement::Early { window } => {
                let stop = self.documents(window);
                self.add(at, 0, stop, |copies| 0..copies, Kind::Within);
            }
            Placement::Late { window } => {
                let start = self.len - self.documents(window);
                self.add(at, start, self.len, |copies| 0..copies, Kind::Within);
            }
            Placement::Distance { window } => {
                let stop = self.len - self.documents(window);
                let start = stop.checked_sub(facts).ok_or_else(|| {
                    part.refused(format!(
                        "a distance that leaves room for {facts} last copies"
                    ))
                })?;
                self.add(at, 0, start, |copies| 0..copies - 1, Kind::Within);
                self.add(at, start, stop, |copies| copies - 1..copies, Kind::Alone);
            }
            Placement::Spaced => self.add_bursts(at, part, u64::MAX)?,
            Placement::Bursts { bursts } => self.add_bursts(at, part, bursts)?,
        }
        Ok(())
    }

    /// Converts a fraction of the corpus to a number of documents.
    fn documents(&self, fraction: f64) -> u64 {
        share(self.len, billionths(fraction))
    }

    /// Adds a row with a range of copies of all facts of a part.
    fn add(
        &mut self,
        part: usize,
        start: u64,
        stop: u64,
        copies: impl Fn(u64) -> Range<u64>,
        kind: Kind,
    ) {
        let mut atoms = 0;
        let mut segments = Vec::new();
        for (stratum, cut) in self.cuts.iter_mut().enumerate() {
            let (rank, end) = (cut.bounds[part], cut.bounds[part + 1]);
            let own = copies(cut.stratum.copies);
            if end == rank || own.is_empty() {
                continue;
            }
            cut.spans[part].push(Span {
                copy: own.start,
                row: self.rows.len(),
                segment: segments.len(),
            });
            segments.push(Segment {
                base: atoms,
                stratum,
                rank,
                facts: end - rank,
                copy: own.start,
            });
            atoms += (end - rank) * (own.end - own.start);
        }
        self.push(start..stop, (atoms, 1), segments, kind);
    }

    fn push(
        &mut self,
        documents: Range<u64>,
        (atoms, each): (u64, u64),
        segments: Vec<Segment>,
        kind: Kind,
    ) {
        if atoms == 0 {
            return;
        }
        let index = self.rows.len() as u64;
        self.rows.push(Row {
            start: documents.start,
            stop: documents.end,
            is_alone: kind == Kind::Alone,
            atoms,
            each,
            segments,
            order: Permutation::compact(atoms, self.seed, "schedule-row", index),
            windows: (0, 0),
        });
        self.is_loose.push(kind == Kind::Spread);
    }

    fn edges(&self) -> Result<Edges> {
        let of_rows = self.rows.iter().flat_map(|row| [row.start, row.stop]);
        let mut edges: Vec<u64> = of_rows.chain([0, self.len]).collect();
        edges.extend(&self.inner_edges);
        edges.sort_unstable();
        edges.dedup();
        check_windows(&edges)?;
        Ok(Edges {
            all: edges,
            free: Vec::new(),
        })
    }

    /// Assigns windows to each row, starting with rows that are alone; returns the number of copies
    /// in each window.
    fn cut_rows(&mut self, edges: &mut Edges) -> Vec<u64> {
        let mut held = vec![0; edges.all.len() - 1];
        for is_alone in [true, false] {
            for row in self.rows.iter_mut().filter(|row| row.is_alone == is_alone) {
                let place = |edge: u64| edges.all.partition_point(|&e| e < edge);
                let (first, last) = (place(row.start), place(row.stop));
                row.windows = (first, last);
                if !is_alone {
                    (row.start, row.stop) = (edges.free[first], edges.free[last]);
                }
                for (at, held) in (first..last).zip(&mut held[first..last]) {
                    *held += row.held(edges, at);
                }
            }
            if !is_alone {
                continue;
            }
            let mut free = 0;
            edges.free.push(0);
            for (pair, held) in edges.all.windows(2).zip(&held) {
                free += (pair[1] - pair[0]).saturating_sub(*held);
                edges.free.push(free);
            }
        }
        held
    }

    /// Returns the start of each window and the number of unscheduled documents before it, or
    /// `None` if copies do not fit in their windows.
    fn fill(&self, edges: &[u64], held: &[u64], anywhere: u64) -> Option<(Vec<u64>, Vec<u64>)> {
        // The maximum error of each edge: the rows that meet at it are rounded, each by less than
        // an atom, and so are their own edges.
        let mut slack = vec![0u64; edges.len()];
        for (row, _) in self
            .rows
            .iter()
            .zip(&self.is_loose)
            .filter(|(_, loose)| **loose)
        {
            for slack in &mut slack[row.windows.0..=row.windows.1] {
                *slack += row.each + 2 * u64::from(*slack == 0);
            }
        }
        let (mut starts, mut filled) = (vec![0], vec![0]);
        let (mut copies, mut others) = (0u64, 0u64);
        for (at, held) in held.iter().enumerate() {
            copies += held;
            let wanted = edges[at + 1].saturating_sub(copies);
            others = others.max(wanted.min(anywhere));
            let start = copies + others;
            if start.abs_diff(edges[at + 1]) > slack[at + 1] {
                return None;
            }
            starts.push(start);
            filled.push(others);
        }
        Some((starts, filled))
    }
}

#[cfg(test)]
mod tests {
    use super::super::part::Placement;
    use super::*;

    /// Their rows, with the keys of each, would take gigabytes and minutes.
    #[test]
    fn too_many_windows_are_refused_before_there_are_rows() {
        let strata: Vec<Stratum> = (0..40)
            .map(|level| 60_000 - level)
            .map(|copies| Stratum {
                first: 0,
                facts: 1,
                copies,
                exposures: copies,
            })
            .collect();
        let schedule = ScheduleSpec::new([Part::new(Placement::Spaced)]);
        let mut builder = Builder {
            len: strata.iter().map(|own| own.copies).sum(),
            seed: 0,
            cuts: cuts(&strata, &schedule, 0),
            rows: Vec::new(),
            is_loose: Vec::new(),
            inner_edges: Vec::new(),
            burst_edges: vec![0],
        };
        let error = builder.place(0, &schedule.parts[0]).unwrap_err();
        let error = error.to_string();
        assert!(
            error.ends_with(" windows, allowed: up to 65536; fewer levels of exposures have fewer"),
            "{error}"
        );
        assert!(builder.rows.is_empty());
    }
}

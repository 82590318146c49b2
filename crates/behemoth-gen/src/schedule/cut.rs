//! Division of strata into the parts of a schedule, which selects the facts.

use super::ScheduleSpec;
use super::timeline::Stratum;
use crate::numbers::{BILLION, Rounding};
use crate::permutation::Permutation;

/// A stratum, divided into the parts of the schedule.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    pub stratum: Stratum,
    /// Maps the position of a fact in the stratum to its rank; the first ranks are those of the
    /// parts.
    pub choice: Permutation,
    /// Maps a copy to its turn in time. Questions and second objects are runs of copies, which must
    /// not become runs in time.
    pub turn: Permutation,
    /// Rank at which each part begins, and the end of the last one.
    pub bounds: Vec<u64>,
    /// For each part, the first turn of the copies in each row and segment.
    pub spans: Vec<Vec<Span>>,
    /// Number of the first of its unscheduled documents among all unscheduled documents.
    pub anywhere: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub copy: u64,
    pub row: usize,
    pub segment: usize,
}

impl Cut {
    /// Returns the number of facts in any part.
    pub(super) fn chosen(&self) -> u64 {
        self.bounds.last().copied().unwrap_or(0)
    }
}

/// Returns a share of a count, rounded down: the shares of the parts add up to at most the count.
pub(super) fn share(count: u64, billionths: u64) -> u64 {
    Rounding::Down.share(count, billionths)
}

/// Divides the strata that have documents into parts.
pub(super) fn cuts(strata: &[Stratum], schedule: &ScheduleSpec, seed: u64) -> Vec<Cut> {
    let mut anywhere = 0;
    let with_documents = strata.iter().filter(|s| s.facts * s.copies > 0);
    let cut = |stratum: &Stratum| {
        let mut taken = 0;
        let ends = schedule.parts.iter().map(|part| {
            if part.is_about(stratum.exposures) {
                taken += part.billionths();
            }
            // Shares that add up to 1 may exceed it when they are rounded.
            share(stratum.facts, taken.min(BILLION))
        });
        let bounds: Vec<u64> = std::iter::once(0).chain(ends).collect();
        let chosen = bounds.last().copied().unwrap_or(0);
        let first = anywhere;
        anywhere += (stratum.facts - chosen) * stratum.copies;
        let permutation =
            |len, purpose| Permutation::compact(len, seed, purpose, stratum.exposures);
        Cut {
            stratum: *stratum,
            choice: permutation(stratum.facts, "schedule"),
            turn: permutation(stratum.copies, "schedule-turn"),
            spans: vec![Vec::new(); schedule.parts.len()],
            bounds,
            anywhere: first,
        }
    };
    with_documents.map(cut).collect()
}

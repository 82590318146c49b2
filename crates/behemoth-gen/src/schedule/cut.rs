//! Strata, cut into the parts of a schedule: which facts it takes.

use super::ScheduleSpec;
use super::timeline::Stratum;
use crate::numbers::Rounding;
use crate::permutation::Permutation;

/// A stratum, cut into the parts of the schedule.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    pub stratum: Stratum,
    /// Place of a fact in the stratum -> its rank; the first ranks are those of the parts.
    pub choice: Permutation,
    /// Copy -> its turn in time. Questions and second objects are runs of copies: they must not
    /// become runs in time.
    pub turn: Permutation,
    /// Rank at which each part begins, and where the last one ends.
    pub bounds: Vec<u64>,
    /// By part: from which turn on copies are in which row and segment.
    pub spans: Vec<Vec<Span>>,
    /// The first of its documents that stand anywhere, among all such.
    pub anywhere: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub copy: u64,
    pub row: usize,
    pub segment: usize,
}

impl Cut {
    /// Facts in any part.
    pub(super) fn chosen(&self) -> u64 {
        self.bounds.last().copied().unwrap_or(0)
    }
}

/// A share of a count, rounded down: shares of parts add up to no more than there is.
pub(super) fn share(count: u64, billionths: u64) -> u64 {
    Rounding::Down.share(count, billionths)
}

/// The strata that have documents, cut into parts.
pub(super) fn cuts(strata: &[Stratum], schedule: &ScheduleSpec, seed: u64) -> Vec<Cut> {
    let mut anywhere = 0;
    let with_documents = strata.iter().filter(|s| s.facts * s.copies > 0);
    let cut = |stratum: &Stratum| {
        let mut taken = 0;
        let ends = schedule.parts.iter().map(|part| {
            if part.is_about(stratum.exposures) {
                taken += part.billionths();
            }
            share(stratum.facts, taken)
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

//! The timeline: the positions of documents, with lookup in both directions.

use std::sync::Arc;

use super::ScheduleSpec;
use super::plan::Plan;
use crate::error::Result;
use crate::permutation::Permutation;

/// Documents of facts that are written equally often: `facts * copies` documents, copy by copy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stratum {
    /// Number of the first document.
    pub first: u64,
    /// Number of facts (or of other things that documents are about).
    pub facts: u64,
    /// Number of copies of each.
    pub copies: u64,
    /// Level of exposures; a schedule selects the same facts in all strata of one level.
    pub exposures: u64,
}

/// The seeds of a timeline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seeds {
    /// Seed of the order.
    pub order: u64,
    /// Seed of the selection of facts by a schedule.
    pub world: u64,
}

/// A bijection between positions in the corpus and numbers of documents.
#[derive(Clone, Debug)]
pub(crate) enum Timeline {
    /// One shuffle of all documents.
    Shuffled(Permutation),
    Planned(Arc<Plan>),
}

impl Timeline {
    /// Creates the timeline of the documents of the strata, numbered consecutively from 0, and of
    /// `others` unscheduled documents numbered after them; `index` distinguishes orders of one
    /// seed.
    pub(crate) fn new(
        strata: &[Stratum],
        others: u64,
        schedule: &ScheduleSpec,
        seeds: Seeds,
        index: u64,
    ) -> Result<Self> {
        if schedule.is_uniform() {
            let own: u64 = strata.iter().map(|s| s.facts * s.copies).sum();
            let order = Permutation::new(own + others, seeds.order, "order", index);
            return Ok(Timeline::Shuffled(order));
        }
        let plan = Plan::new(strata, others, schedule, seeds);
        let plan = plan.map_err(|e| e.within("schedule"))?;
        Ok(Timeline::Planned(Arc::new(plan)))
    }

    pub(crate) fn len(&self) -> u64 {
        match self {
            Timeline::Shuffled(order) => order.len(),
            Timeline::Planned(plan) => plan.len(),
        }
    }

    /// Returns the document at a position.
    #[inline(always)]
    pub(crate) fn apply(&self, place: u64) -> u64 {
        match self {
            Timeline::Shuffled(order) => order.apply(place),
            Timeline::Planned(plan) => plan.document(place),
        }
    }

    /// Returns the position of a document.
    pub(crate) fn invert(&self, document: u64) -> u64 {
        match self {
            Timeline::Shuffled(order) => order.invert(document),
            Timeline::Planned(plan) => plan.place(document),
        }
    }

    /// Writes the documents at consecutive positions starting at `start` to `out`.
    #[inline(always)]
    pub(crate) fn apply_range(&self, start: u64, out: &mut [u64]) {
        match self {
            Timeline::Shuffled(order) => order.apply_range(start, out),
            Timeline::Planned(plan) => {
                for (place, document) in (start..).zip(out) {
                    *document = plan.document(place);
                }
            }
        }
    }
}

//! The timeline: which document stands where, in both directions.

use std::sync::Arc;

use super::ScheduleSpec;
use super::plan::Plan;
use crate::error::Result;
use crate::permutation::Permutation;

/// Documents that say the same facts equally often: `facts * copies` of them, copy by copy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stratum {
    /// Number of the first.
    pub first: u64,
    /// How many facts (or other things that documents are about) there are.
    pub facts: u64,
    /// How often each of them is written.
    pub copies: u64,
    /// Its level of exposures; strata of one level choose the same facts.
    pub exposures: u64,
}

/// What decides a timeline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seeds {
    /// The order.
    pub order: u64,
    /// Which facts a schedule takes.
    pub world: u64,
}

/// A bijection between places in the corpus and numbers of documents.
#[derive(Clone, Debug)]
pub(crate) enum Timeline {
    /// One shuffle of all.
    Shuffled(Permutation),
    Planned(Arc<Plan>),
}

impl Timeline {
    /// The documents of the strata, one after the other from 0, and `others` after them that stand
    /// anywhere; `index` tells apart the orders of one seed.
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

    /// The document at a place.
    #[inline(always)]
    pub(crate) fn apply(&self, place: u64) -> u64 {
        match self {
            Timeline::Shuffled(order) => order.apply(place),
            Timeline::Planned(plan) => plan.document(place),
        }
    }

    /// The place of a document.
    pub(crate) fn invert(&self, document: u64) -> u64 {
        match self {
            Timeline::Shuffled(order) => order.invert(document),
            Timeline::Planned(plan) => plan.place(document),
        }
    }

    /// The documents at the places from `start` on.
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

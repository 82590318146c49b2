//! Stored: the objects of a table. No user writes it as a kind; a table brings it.

use super::{Draws, NO_OBJECT, Sizes};

#[derive(Clone, Debug)]
pub(crate) struct Stored {
    /// By subject; [`NO_OBJECT`] where the table has no fact.
    objects: Vec<u32>,
}

impl Stored {
    pub(super) fn new(objects: Vec<u32>) -> Self {
        Stored { objects }
    }

    /// Whether the table has a fact of a subject.
    pub(crate) fn has(&self, subject: u64) -> bool {
        self.objects
            .get(subject as usize)
            .is_some_and(|&object| object != NO_OBJECT)
    }
}

impl Draws for Stored {
    #[inline(always)]
    #[allow(clippy::indexing_slicing)] // asked for subjects of its world alone
    fn object(&self, subject: u64, _: impl Fn(usize) -> u32) -> u32 {
        self.objects[subject as usize]
    }

    fn bits(&self, sizes: &Sizes<'_>) -> f64 {
        let known = self.objects.iter().filter(|&&o| o != NO_OBJECT).count();
        known as f64 * sizes.own_objects().log2()
    }
}

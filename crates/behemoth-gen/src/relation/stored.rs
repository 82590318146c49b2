//! Stored relations: the objects of a table. This is not a kind in specs.

use super::{Draws, NO_OBJECT, Sizes};

#[derive(Clone, Debug)]
pub(crate) struct Stored {
    /// The object of each subject; [`NO_OBJECT`] if the table has no such fact.
    objects: Vec<u32>,
}

impl Stored {
    pub(super) fn new(objects: Vec<u32>) -> Self {
        Stored { objects }
    }

    /// Returns `true` if the table has a fact of a subject.
    pub(crate) fn has(&self, subject: u64) -> bool {
        self.objects
            .get(subject as usize)
            .is_some_and(|&object| object != NO_OBJECT)
    }
}

impl Draws for Stored {
    #[inline(always)]
    #[allow(clippy::indexing_slicing)] // called only with subjects of its world
    fn object(&self, subject: u64, _: impl Fn(usize) -> u32) -> u32 {
        self.objects[subject as usize]
    }

    fn bits(&self, sizes: &Sizes<'_>) -> f64 {
        let known = self.objects.iter().filter(|&&o| o != NO_OBJECT).count();
        known as f64 * sizes.own_objects().log2()
    }
}

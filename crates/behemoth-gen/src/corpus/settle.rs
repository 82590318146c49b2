//! What a corpus is settled on before it is built: its spec and world in agreement, its names.

use crate::error::{Error, Result};
use crate::grammar::Shares;
use crate::spec::CorpusSpec;
use crate::vocabulary::{Things, Vocabulary};
use crate::world::World;

/// The world and the spec of a corpus, in agreement: the world has the overrides of the spec's
/// twin, and the spec those of the world.
pub(super) fn settle(
    world: World,
    mut spec: CorpusSpec,
    array: Option<&[u32]>,
) -> Result<(World, CorpusSpec)> {
    if let Some(array) = array {
        spec.exposures.take_numbers(array);
    }
    let mut spec = spec.checked()?;
    // The world may come with overrides of its own, and the spec with those of a twin.
    let (overrides, follow) = world.overrides();
    if !overrides.is_empty() {
        spec.twin.overrides = overrides.to_vec();
        spec.twin.follow = follow;
    }
    let world = world.with_overrides(&spec.twin.overrides, spec.twin.follow)?;
    // Sorted, so that two ways of writing one twin have one hash.
    spec.twin.overrides = world.overrides().0.to_vec();
    spec.twin.without.sort_unstable();
    spec.twin.without.dedup();
    if let Some(&last) = spec.twin.without.last()
        && last >= world.facts()
    {
        return Err(Error::argument(
            "without",
            format!("fact {last}"),
            format!("facts below {}", world.facts()),
        ));
    }
    if let Some(exposures) = spec.nested_exposures
        && world.links().is_empty()
    {
        return Err(Error::argument(
            "nested_exposures",
            exposures,
            "none in a world without composed relations",
        ));
    }
    Ok((world, spec))
}

/// Names for whatever the sentences of a world need.
pub(super) fn vocabulary(world: &World, spec: &CorpusSpec, shares: &Shares) -> Result<Vocabulary> {
    let table = world.spec().table.as_ref();
    let objects: Vec<(u64, bool)> = (0..world.relations())
        .map(|relation| (world.objects_of(relation), world.is_composed(relation)))
        .collect();
    Vocabulary::new(&Things {
        base: spec.base,
        reference_words: table.is_some_and(|table| table.reference_words),
        subjects: world.subjects(),
        objects: &objects,
        links: world.links().len() as u64,
        wordings: (spec.paraphrases - 1) * shares.used().count() as u64,
        nonsense_words: if shares.has_random_fillers {
            spec.nonsense_words * spec.paraphrases
        } else {
            0
        },
        fillers: shares
            .used()
            .flat_map(|template| template.fillers())
            .collect(),
    })
}

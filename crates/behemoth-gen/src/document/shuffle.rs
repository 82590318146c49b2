//! Order `shuffle`: every sentence is a document.

use super::{Copy, DocumentSpec, Facts, Kind, Place, Settings};
use crate::error::{Error, Result};
use crate::exposure::Exposures;
use crate::schedule::{Stratum, Timeline};

#[derive(Clone, Debug)]
pub(crate) struct Shuffle {
    order: Timeline,
    /// Number of sentences that are documents: all, or none with an insert.
    sentences: u64,
}

impl Kind for Shuffle {
    const IS_SENTENCE: bool = true;

    fn new(settings: &Settings, _: &impl Facts, exposures: &Exposures) -> Result<Self> {
        if let Some(documents) = settings.documents_per_subject {
            return Err(Error::argument(
                "documents_per_subject",
                documents,
                "none in order 'shuffle', where every sentence is a document",
            ));
        }
        let fixed = DocumentSpec {
            naming: settings.documents.naming,
            ..DocumentSpec::default()
        };
        if settings.documents != fixed {
            return Err(Error::argument(
                "documents",
                "a table",
                "none in order 'shuffle', where every sentence is a document",
            ));
        }
        let classes = match settings.inserts {
            true => &[],
            false => exposures.classes(),
        };
        let strata: Vec<Stratum> = classes
            .iter()
            .map(|class| Stratum {
                first: class.first_sentence(),
                facts: class.facts,
                copies: class.exposures,
                exposures: class.exposures,
            })
            .collect();
        let (schedule, seeds) = (&settings.schedule, settings.seeds());
        Ok(Shuffle {
            sentences: strata.iter().map(|s| s.facts * s.copies).sum(),
            order: Timeline::new(&strata, settings.others, schedule, seeds, 0)?,
        })
    }

    #[inline(always)]
    fn order(&self) -> &Timeline {
        &self.order
    }

    #[inline(always)]
    fn own(&self) -> u64 {
        self.sentences
    }

    fn entity(&self, _slot: u64) -> Option<u64> {
        None
    }

    fn spread(&self) -> u64 {
        1
    }

    fn most_sentences(&self, _: &impl Facts, _: &Exposures) -> u64 {
        1
    }

    fn even_sentences(&self, _: &impl Facts, _: &Exposures) -> Option<u64> {
        Some(1)
    }

    fn sentences(
        &self,
        slots: &[u64],
        _: &impl Facts,
        exposures: &Exposures,
        sentences: &mut Vec<Place>,
        order: &mut Vec<u32>,
    ) {
        for (&slot, at) in slots.iter().zip(0..) {
            let (mut fact, mut copy) = ([slot], [(0, 0)]);
            exposures.locate(&mut fact, &mut copy);
            let (copy, of) = copy[0];
            sentences.push((fact[0], copy, of));
            order.push(at);
        }
    }

    fn document_of(&self, place: &Copy, _: &impl Facts) -> u64 {
        self.order.invert(place.number)
    }
}

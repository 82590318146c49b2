//! The exposures of a corpus, with lookup in both directions.
//!
//! Facts are ranked by an [`Assignment`] and divided into [`Class`]es of equal exposures; the
//! sentences of a class are numbered copy by copy. The maps sentence number -> (fact, copy) and
//! fact -> sentence numbers are therefore arithmetic for every form.

use std::ops::Range;

use super::{Assignment, ExposureSpec, Levels, Population};
use crate::error::{Error, Result};
use crate::hash::Divider;
use crate::numbers::{COUNT_LIMIT, product};

/// A class of facts that are written equally often.
#[derive(Clone, Debug)]
pub struct Class {
    /// Number of times each fact is written.
    pub exposures: u64,
    /// Number of facts.
    pub facts: u64,
    first_sentence: u64,
    first_rank: u64,
    by_facts: Divider,
}

/// The exposures of a corpus, with lookup in both directions.
#[derive(Clone, Debug)]
pub struct Exposures {
    classes: Vec<Class>,
    assignment: Assignment,
    /// Facts below this are ranked by the assignment; the rank of a link fact above it is its id.
    assigned: u64,
    facts: u64,
    sentences: u64,
}

impl Class {
    /// Returns the number of its first sentence; sentences are numbered copy by copy.
    pub(crate) fn first_sentence(&self) -> u64 {
        self.first_sentence
    }
}

impl Exposures {
    /// Assigns exposures to all facts; `numbers` are those of the form `array`: one for each fact
    /// about a subject, optionally followed by one for each link fact.
    pub(crate) fn new(
        spec: &ExposureSpec,
        nested_exposures: Option<u64>,
        population: &Population,
        numbers: Option<&[u32]>,
    ) -> Result<Self> {
        let Levels {
            mut counts,
            assignment,
            covers_links,
        } = spec
            .levels(population, numbers)
            .map_err(|e| e.within("exposures"))?;
        let facts = population.facts + population.link_facts;
        let assigned = if covers_links {
            facts
        } else {
            population.facts
        };
        if facts > assigned {
            let most = counts.iter().map(|&(level, _)| level).max().unwrap_or(1);
            counts.push((nested_exposures.unwrap_or(most), facts - assigned));
        }
        let mut classes = Vec::with_capacity(counts.len());
        let (mut first_sentence, mut first_rank) = (0u64, 0u64);
        for (exposures, facts) in counts {
            if facts == 0 {
                continue;
            }
            classes.push(Class {
                exposures,
                facts,
                first_sentence,
                first_rank,
                by_facts: Divider::new(facts),
            });
            first_rank += facts;
            first_sentence = product("exposures", exposures, facts)?
                .checked_add(first_sentence)
                .filter(|&n| n <= COUNT_LIMIT)
                .ok_or_else(|| {
                    Error::argument(
                        "exposures",
                        "more sentences than can be counted",
                        format!("up to {COUNT_LIMIT} sentences"),
                    )
                })?;
        }
        if first_sentence == 0 {
            return Err(Error::argument(
                "exposures",
                "no sentences",
                "at least one fact that is written",
            ));
        }
        Ok(Exposures {
            classes,
            assignment,
            assigned,
            facts,
            sentences: first_sentence,
        })
    }

    /// Returns the total number of sentences.
    pub fn sentences(&self) -> u64 {
        self.sentences
    }

    /// Returns the classes, in the order of their ranks.
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// Returns the minimum exposures of any written fact.
    pub(crate) fn fewest(&self) -> u64 {
        self.classes
            .iter()
            .map(|class| class.exposures)
            .filter(|&exposures| exposures > 0)
            .min()
            .unwrap_or(1)
    }

    /// Returns the maximum exposures of any fact.
    pub(crate) fn most(&self) -> u64 {
        self.classes
            .iter()
            .map(|class| class.exposures)
            .max()
            .unwrap_or(0)
    }

    /// Returns the number of times each of the first `facts` facts is written, or `None` if it
    /// varies.
    pub(crate) fn of_first(&self, facts: u64) -> Option<u64> {
        let first = self.classes.first()?;
        let is_even = self.assigned == facts && first.facts >= facts;
        is_even.then_some(first.exposures)
    }

    /// Returns the number of sentences about the facts from `first` on, which is the number of facts
    /// about subjects: one product, unless an array has an own number for each link fact.
    pub(crate) fn sentences_from(&self, first: u64) -> u64 {
        match self.classes.last() {
            Some(links) if first == self.assigned && first < self.facts => {
                links.exposures * links.facts
            }
            _ => (first..self.facts).map(|fact| self.of_existing(fact)).sum(),
        }
    }

    /// Returns the number of times a fact is written, or 0 if it does not exist.
    pub fn of(&self, fact: u64) -> u64 {
        if fact < self.facts {
            self.of_existing(fact)
        } else {
            0
        }
    }

    /// Returns the number of times an existing fact is written.
    pub(crate) fn of_existing(&self, fact: u64) -> u64 {
        self.class_of_rank(self.rank(fact)).exposures
    }

    /// Calls `each` with every fact of a range of existing facts and the number of times it is
    /// written. Ranks are looked up together, for the reason that [`Exposures::locate`] states.
    #[inline]
    pub(crate) fn for_each(&self, facts: Range<u64>, mut each: impl FnMut(u64, u64)) {
        /// Number of facts at a time; few subjects have more.
        const CHUNK: usize = 32;
        if let [class] = &self.classes[..] {
            return facts.for_each(|fact| each(fact, class.exposures));
        }
        let mut ranks = [0; CHUNK];
        for first in facts.clone().step_by(CHUNK) {
            let ranks = &mut ranks[..(facts.end - first).min(CHUNK as u64) as usize];
            for (rank, fact) in ranks.iter_mut().zip(first..) {
                *rank = fact;
            }
            let assigned = self.assigned.saturating_sub(first).min(ranks.len() as u64);
            self.assignment.ranks(&mut ranks[..assigned as usize]);
            for (&rank, fact) in ranks.iter().zip(first..) {
                each(fact, self.class_of_rank(rank).exposures);
            }
        }
    }

    /// Replaces sentence numbers with their facts, and writes for each the number of the copy and
    /// the fact's exposures.
    ///
    /// Each step is done for all numbers: fact by fact, the latency of the multiplications in the
    /// assignment's permutation halves the speed.
    #[inline]
    pub(crate) fn locate(&self, numbers: &mut [u64], copies: &mut [(u64, u64)]) {
        if let [class] = &self.classes[..] {
            for (number, copy) in numbers.iter_mut().zip(copies) {
                let (quotient, place) = class.by_facts.divide(*number);
                *copy = (quotient, class.exposures);
                *number = place;
            }
        } else {
            for (number, copy) in numbers.iter_mut().zip(copies) {
                // A class without sentences has no sentence number: the last class that starts at
                // or before the sentence is the right one.
                let after = self
                    .classes
                    .partition_point(|class| class.first_sentence <= *number);
                let class = &self.classes[after - 1];
                let (quotient, place) = class.by_facts.divide(*number - class.first_sentence);
                *copy = (quotient, class.exposures);
                *number = class.first_rank + place;
            }
        }
        self.facts(numbers);
    }

    /// Replaces ranks with their facts.
    fn facts(&self, ranks: &mut [u64]) {
        /// Number of ranks at a time.
        const CHUNK: usize = 64;
        if self.assigned == self.facts {
            return self.assignment.facts(ranks);
        }
        for ranks in ranks.chunks_mut(CHUNK) {
            let mut facts = [0; CHUNK];
            let facts = &mut facts[..ranks.len()];
            // The rank of a link fact is its id; any other rank will do in its place.
            let own = |rank: u64| if rank < self.assigned { rank } else { 0 };
            for (fact, &rank) in facts.iter_mut().zip(&*ranks) {
                *fact = own(rank);
            }
            self.assignment.facts(facts);
            for (rank, &fact) in ranks.iter_mut().zip(&*facts) {
                *rank = if *rank < self.assigned { fact } else { *rank };
            }
        }
    }

    /// Returns the sentence number of a copy of a fact.
    pub(crate) fn sentence(&self, fact: u64, copy: u64) -> u64 {
        let rank = self.rank(fact);
        let class = self.class_of_rank(rank);
        class.first_sentence + copy * class.facts + (rank - class.first_rank)
    }

    fn class_of_rank(&self, rank: u64) -> &Class {
        let after = self
            .classes
            .partition_point(|class| class.first_rank <= rank);
        &self.classes[after - 1]
    }

    fn rank(&self, fact: u64) -> u64 {
        if fact >= self.assigned {
            return fact;
        }
        self.assignment.rank(fact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposure::{Array, Groups, digest_of};

    #[test]
    fn sentences_about_links_are_those_of_each() {
        let population = |link_facts| Population {
            seed: 3,
            subjects: 5,
            relations: 2,
            facts: 10,
            link_facts,
            is_complete: true,
        };
        let numbers: Vec<u32> = (0..14).collect();
        let digest = digest_of(&numbers);
        let array = ExposureSpec::from(Array { digest });
        let groups = ExposureSpec::from(Groups::new([1, 4, 0]));
        for (spec, nested, numbers, link_facts) in [
            (&groups, None, None, 4),
            (&groups, Some(0), None, 4),
            (&groups, None, None, 0),
            (&array, None, Some(&numbers[..]), 4),
        ] {
            let all = Exposures::new(spec, nested, &population(link_facts), numbers).unwrap();
            let each: u64 = (10..10 + link_facts).map(|fact| all.of(fact)).sum();
            assert_eq!(all.sentences_from(10), each);
        }
        // One by one, these would take far too long.
        let most = Exposures::new(&groups, None, &population(1 << 40), None).unwrap();
        assert_eq!(most.sentences_from(10), 4 << 40);
    }

    #[test]
    fn many_sentences_are_located_as_one_is() {
        let numbers: Vec<u32> = (0..120).map(|i| i % 4).collect();
        let digest = digest_of(&numbers);
        for (line, link_facts) in [
            ("3", 0),
            ("3", 20),
            ("groups:1,0,4,7", 0),
            ("groups:1,0,4,7", 20),
            ("latin:2,0,1", 20),
            ("latin:1,2,3,4,5,6,7", 0),
            ("zipf:alpha=1,min=0,max=50", 20),
            ("", 20),
        ] {
            let spec = match line {
                "" => ExposureSpec::from(Array::new(digest.as_str())),
                line => line.parse().unwrap(),
            };
            let population = Population {
                seed: 3,
                subjects: 20,
                relations: 5,
                facts: 100,
                link_facts,
                is_complete: true,
            };
            let numbers = line.is_empty().then_some(&numbers[..]);
            let all = Exposures::new(&spec, Some(2), &population, numbers).unwrap();
            let mut facts: Vec<u64> = (0..all.sentences()).collect();
            let mut copies = vec![(0, 0); facts.len()];
            all.locate(&mut facts, &mut copies);
            for (number, (&fact, &(copy, exposures))) in (0..).zip(facts.iter().zip(&copies)) {
                assert_eq!(all.sentence(fact, copy), number, "{line}");
                assert_eq!(all.of(fact), exposures, "{line}");
                let (mut one, mut place) = ([number], [(0, 0)]);
                all.locate(&mut one, &mut place);
                assert_eq!((one[0], place[0]), (fact, (copy, exposures)), "{line}");
            }
            // From one fact to more than are looked up together, across the first link.
            for range in [7..8, 0..100, 95..100 + link_facts] {
                let mut each = Vec::new();
                all.for_each(range.clone(), |fact, of| each.push((fact, of)));
                let wanted: Vec<_> = range.map(|fact| (fact, all.of(fact))).collect();
                assert_eq!(each, wanted, "{line}");
            }
        }
    }
}

//! Group exposures: equal shares of the facts at each level, over all facts or within each subject.

use serde::Serialize;

use super::{Assignment, Form, Levels, Population};
use crate::error::{Error, Result};
use crate::memory::room_for;
use crate::numbers::{COUNT_LIMIT, above, parse_count};
use crate::permutation::Permutation;
use crate::value::{Fields, Value};

/// Maximum number of levels.
const LEVEL_LIMIT: usize = 1 << 16;

/// Exposures with equal shares of the facts at each level.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Groups {
    /// Exposures of each group; 0 means never written.
    pub levels: Vec<u64>,
    /// Whether to use a Latin square within each subject instead of a permutation of all facts:
    /// relation r of a subject at shift s has level `(s + r) mod levels`.
    pub balanced: bool,
}

impl Groups {
    /// Creates groups over all facts.
    pub fn new(levels: impl Into<Vec<u64>>) -> Self {
        Groups {
            levels: levels.into(),
            balanced: false,
        }
    }

    /// Creates groups within each subject: a Latin square.
    pub fn latin(levels: impl Into<Vec<u64>>) -> Self {
        Groups {
            balanced: true,
            ..Groups::new(levels)
        }
    }

    /// Returns the one-line form of the groups.
    fn line(&self) -> String {
        let form = if self.balanced { "latin" } else { "groups" };
        let levels: Vec<String> = self.levels.iter().map(u64::to_string).collect();
        format!("{form}:{}", levels.join(","))
    }
}

impl Form for Groups {
    const EXAMPLES: &'static [&'static str] = &["'groups:1,4,16'", "'latin:1,4,16'"];

    fn read(fields: &mut Fields<'_>) -> Result<Self> {
        fields.of_kind(&["levels", "balanced"])?;
        Ok(Groups {
            levels: fields.required("levels", |value| {
                value.list("a list of counts", Value::count)
            })?,
            balanced: fields
                .optional("balanced", Value::boolean)?
                .unwrap_or(false),
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let (form, list) = text.split_once(':')?;
        let levels: Vec<u64> = list.split(',').map(parse_count).collect::<Option<_>>()?;
        match form {
            "groups" => Some(Groups::new(levels)),
            "latin" => Some(Groups::latin(levels)),
            _ => None,
        }
    }

    fn above_limit(text: &str) -> Option<Error> {
        let (form, list) = text.split_once(':')?;
        let mut levels = list.split(',');
        ["groups", "latin"]
            .contains(&form)
            .then(|| levels.find_map(|level| above(level, COUNT_LIMIT)))?
    }

    fn check(&self) -> Result<()> {
        if self.levels.len() > LEVEL_LIMIT {
            let got = format!("{} levels", self.levels.len());
            return Err(Error::value(got, format!("up to {LEVEL_LIMIT}")));
        }
        if self.levels.iter().all(|&level| level == 0) {
            return Err(Error::value(self.line(), "at least one level above 0"));
        }
        match self.levels.iter().find(|&&level| level > COUNT_LIMIT) {
            Some(level) => Err(Error::value(level, format!("up to {COUNT_LIMIT}"))),
            None => Ok(()),
        }
    }

    fn levels(&self, population: &Population, _: Option<&[u32]>) -> Result<Levels> {
        if self.balanced {
            return self.latin_square(population);
        }
        let (facts, groups) = (population.facts, self.levels.len() as u64);
        // The first `facts % groups` groups have one fact more.
        let counts = (0u64..)
            .zip(&self.levels)
            .map(|(i, &level)| (level, facts / groups + u64::from(i < facts % groups)))
            .collect();
        Ok(Levels {
            counts,
            assignment: Assignment::permuted(population),
            covers_links: false,
        })
    }
}

impl Groups {
    /// Assigns levels by a Latin square: subject s has shift `place(s) mod levels`, and its
    /// relation r has level `(shift + r) mod levels`. Ranks are ordered by level, then relation,
    /// then subject.
    fn latin_square(&self, population: &Population) -> Result<Levels> {
        if !population.is_complete {
            return Err(Error::value(
                self.line(),
                "groups, since facts are missing from the table and a Latin square needs all",
            ));
        }
        let levels = self.levels.len() as u64;
        let (subjects, relations) = (population.subjects, population.relations);
        let places = levels.saturating_mul(relations.saturating_add(1));
        room_for::<u64>("levels", places, "pairs of a level and a relation")?;
        let with_shift = |shift: u64| subjects / levels + u64::from(shift < subjects % levels);
        let mut starts = Vec::with_capacity(self.levels.len());
        let mut counts = Vec::with_capacity(self.levels.len());
        let mut rank = 0;
        for (level, &exposures) in (0..).zip(&self.levels) {
            let first = rank;
            let mut start = Vec::with_capacity(relations as usize + 1);
            for relation in 0..relations {
                start.push(rank);
                rank += with_shift((level + levels - relation % levels) % levels);
            }
            start.push(rank);
            starts.push(start);
            counts.push((exposures, rank - first));
        }
        Ok(Levels {
            counts,
            assignment: Assignment::Latin {
                subjects: Permutation::new(subjects, population.seed, "latin", 0),
                relations,
                levels,
                starts,
            },
            covers_links: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_levels_than_anyone_reads_are_refused_briefly() {
        Groups::new(vec![1; LEVEL_LIMIT]).check().unwrap();
        let error = Groups::latin(vec![1; LEVEL_LIMIT + 1]).check();
        let error = error.unwrap_err().to_string();
        assert!(
            error.ends_with("got 65537 levels, allowed: up to 65536"),
            "{error}"
        );
    }

    #[test]
    fn a_square_that_does_not_fit_in_memory_is_refused() {
        let population = Population {
            seed: 0,
            subjects: 1,
            relations: 1 << 40,
            facts: 1 << 40,
            link_facts: 0,
            is_complete: true,
        };
        let square = Groups::latin(vec![1; LEVEL_LIMIT]).levels(&population, None);
        let error = square.err().unwrap().to_string();
        assert!(error.ends_with("fit in memory"), "{error}");
    }
}

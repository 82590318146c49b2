//! Conversion of the parts of a template to the pieces of a wording.

use crate::vocabulary::{PERIOD, Vocabulary};

/// A part of a template.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    /// A word of the grammar; other wordings have other fillers at other positions.
    Filler(&'static str),
    /// Tokens that stay together.
    Group(&'static [Piece]),
    /// A group after one to three copies of a filler, and before zero to three.
    Repeated {
        filler: &'static str,
        group: &'static [Piece],
    },
    /// One to five random fillers.
    Random,
}

/// A part of a wording.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Piece {
    Token(u32),
    Subject,
    Relation,
    Object,
    /// One to three copies of a filler (the repeats grammar, before a word).
    Before(u32),
    /// Zero to three copies of a filler (after a word).
    After(u32),
    /// One to five random fillers out of `words` consecutive ones.
    Nonsense {
        first: u32,
        words: u32,
    },
}

/// The fillers of one wording.
pub(super) struct Fillers<'a> {
    pub vocabulary: &'a Vocabulary,
    /// 0 for the template itself.
    pub number: usize,
    /// First of the wording's own fillers; `None` for the template itself.
    pub own: Option<u32>,
    /// The first random filler and their number.
    pub random: (u32, u32),
}

/// Returns the pieces of a wording. Wordings after the first keep the order of the words and the
/// number of tokens; they have their own fillers at other positions.
pub(super) fn pieces(parts: &[Part], fillers: &Fillers<'_>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut next = fillers.own;
    let mut filler = |name: &'static str| match &mut next {
        None => fillers.vocabulary.filler(name),
        Some(next) => {
            *next += 1;
            *next - 1
        }
    };
    let is_filler = |part: &Part| matches!(part, Part::Filler(_));
    let moved: Vec<Part> = match fillers.own {
        None => parts.to_vec(),
        Some(_) => {
            let (words, others): (Vec<Part>, Vec<Part>) = parts.iter().partition(|p| is_filler(p));
            let gaps = spread(words.len(), others.len(), fillers.number);
            let mut words = words.into_iter();
            let mut moved = Vec::with_capacity(parts.len());
            for (other, gap) in others.into_iter().zip(gaps) {
                moved.extend(words.by_ref().take(gap));
                moved.push(other);
            }
            moved
        }
    };
    for part in moved {
        match part {
            Part::Filler(name) => pieces.push(Piece::Token(filler(name))),
            Part::Group(group) => pieces.extend_from_slice(group),
            Part::Repeated {
                filler: name,
                group,
            } => {
                let copies = filler(name);
                pieces.push(Piece::Before(copies));
                pieces.extend_from_slice(group);
                pieces.push(Piece::After(copies));
            }
            Part::Random => {
                let (first, words) = fillers.random;
                pieces.push(Piece::Nonsense { first, words });
            }
        }
    }
    pieces.push(Piece::Token(PERIOD));
    pieces
}

/// Returns the `index`-th way, modulo their number, to distribute `fillers` over the gaps before
/// `groups` groups.
fn spread(fillers: usize, groups: usize, index: usize) -> Vec<usize> {
    let mut ways: Vec<Vec<usize>> = vec![vec![]];
    for group in 0..groups {
        ways = ways
            .into_iter()
            .flat_map(|way| {
                let left = fillers - way.iter().sum::<usize>();
                let from = if group + 1 == groups { left } else { 0 };
                (from..=left).map(move |n| {
                    let mut way = way.clone();
                    way.push(n);
                    way
                })
            })
            .collect();
    }
    let index = index % ways.len();
    ways.swap_remove(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_are_all_ways_to_fill_the_gaps() {
        let ways: std::collections::BTreeSet<Vec<usize>> =
            (0..10).map(|i| spread(3, 3, i)).collect();
        assert_eq!(ways.len(), 10);
        assert!(ways.iter().all(|way| way.iter().sum::<usize>() == 3));
        assert_eq!(spread(3, 3, 10), spread(3, 3, 0));
    }
}

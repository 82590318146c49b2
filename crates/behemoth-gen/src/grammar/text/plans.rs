//! Preparing the plans of a lexicon for writing: joining pieces, measuring, and the image.

use std::collections::HashMap;

use super::expand::{Mention, TextRole};
use super::image::Image;
use super::lexicon::{CHUNK, Lexicon, Placed, Plan};
use super::pieces::{Entry, Piece};
use crate::error::Result;

impl Lexicon {
    /// Completes the lexicon after all pieces are encoded.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.join_literals();
        self.starts = self.pieces.iter().map(|piece| piece.first).collect();
        self.starts.push(self.entries.len() as u32);
        self.starts.sort_unstable();
        self.starts.dedup();
        self.pool.push(self.end);
        // Copying a chunk may read beyond the end of the last piece.
        self.pool.resize(self.pool.len() + CHUNK, 0);
        self.small = self.narrowed();
        self.most_tokens = self.most_tokens_of(self.plans[..self.written].iter());
        self.image = Image::new(self, &self.families())?;
        Ok(())
    }

    /// Joins adjacent pieces without holes.
    fn join_literals(&mut self) {
        let mut joined: HashMap<Vec<u32>, Piece> = HashMap::new();
        let mut pieces: Vec<Piece> = Vec::new();
        let mut plans = Vec::with_capacity(self.plans.len());
        let mut known: HashMap<Vec<Piece>, Plan> = HashMap::new();
        let is_plain = |piece: &Piece| !piece.has_words() && piece.role == TextRole::Grammar;
        for plan in &self.plans {
            let from = pieces.len();
            let own = &self.pieces[plan.from as usize..plan.to as usize];
            for run in own.chunk_by(|a, b| is_plain(a) && is_plain(b)) {
                let &[first, _, ..] = run else {
                    pieces.extend(run);
                    continue;
                };
                let tokens: Vec<u32> = run
                    .iter()
                    .flat_map(|piece| {
                        let entry = self.entries[piece.first as usize];
                        let at = entry.at as usize;
                        self.pool[at..at + usize::from(entry.tokens)]
                            .iter()
                            .copied()
                    })
                    .collect();
                if tokens.len() > 255 {
                    pieces.extend(run);
                    continue;
                }
                let (pool, entries) = (&mut self.pool, &mut self.entries);
                let piece = *joined.entry(tokens).or_insert_with_key(|tokens| {
                    entries.push(Entry {
                        at: pool.len() as u32,
                        tokens: tokens.len() as u8,
                        core: (0, 0),
                    });
                    pool.extend(tokens);
                    Piece {
                        first: entries.len() as u32 - 1,
                        ..first
                    }
                });
                pieces.push(piece);
            }
            // Most contexts of a sentence have the same pieces; stored once, they stay in the
            // cache.
            let plan = *known.entry(pieces[from..].to_vec()).or_insert(Plan {
                from: from as u32,
                to: pieces.len() as u32,
            });
            if plan.from as usize != from {
                pieces.truncate(from);
            }
            plans.push(plan);
        }
        (self.pieces, self.plans) = (pieces, plans);
    }

    /// Returns the families of plans: the plans of one sentence at one mention for all classes.
    fn families(&self) -> Vec<Vec<u32>> {
        let classes = self.grammar.subject.classes.len() as u32;
        let own = self
            .relations
            .iter()
            .flat_map(|r| r.placed.iter().flatten());
        let joint = self.joints.iter().flat_map(|joint| &joint.placed);
        let placed = own.chain(joint).filter(|placed| placed.stride > 0);
        placed
            .flat_map(|placed| Mention::ALL.map(|mention| (placed, mention)))
            .map(|(placed, mention)| {
                let plan = |class| placed.plan(class, mention);
                (0..classes).map(plan).collect()
            })
            .collect()
    }

    /// Returns the maximum number of tokens in a written sentence that stands alone; `asks`
    /// includes questions, and `within` the form of a sentence within a document, with its
    /// separator.
    pub(crate) fn most_tokens_alone(&self, asks: bool, within: bool) -> usize {
        let mentions: &[Mention] = match within {
            false => &[Mention::First],
            true => &[Mention::First, Mention::Named],
        };
        let classes = self.grammar.subject.classes.len().max(1) as u32;
        let plans = self.relations.iter().flat_map(|relation| {
            let questions = relation.questions.iter().filter(move |_| asks);
            let columns = relation.statements.iter().chain(questions);
            columns.filter_map(|&(column, _)| relation.placed[column])
        });
        let of_classes = |placed: Placed| {
            let plan = move |class| {
                mentions
                    .iter()
                    .map(move |&m| placed.plan(class, m) as usize)
            };
            (0..classes).flat_map(plan)
        };
        self.most_tokens_of(plans.flat_map(of_classes).map(|plan| &self.plans[plan]))
    }

    fn most_tokens_of<'a>(&self, plans: impl Iterator<Item = &'a Plan>) -> usize {
        // The longest way to fill each piece; the entries of a piece end where those of the next
        // known piece begin.
        let most: HashMap<u32, usize> = self
            .starts
            .windows(2)
            .map(|pair| {
                let own = &self.entries[pair[0] as usize..pair[1] as usize];
                let most = own.iter().map(|entry| usize::from(entry.tokens)).max();
                (pair[0], most.unwrap_or(0))
            })
            .collect();
        let own = |plan: &Plan| &self.pieces[plan.from as usize..plan.to as usize];
        let of_plan = |plan| own(plan).iter().map(|piece| most[&piece.first]).sum();
        plans.map(of_plan).max().unwrap_or(0)
    }
}

//! Shapes: the combinations of word lengths, and the shape of each relation.

use crate::grammar::{Lengths, Words};
use crate::vocabulary::{Vocabulary, Word};
use crate::world::World;

#[derive(Clone, Debug)]
pub(super) struct Shapes {
    /// The combinations of word lengths that occur.
    pub(super) lengths: Vec<Lengths>,
    /// Index into `lengths` for each relation, links included.
    of_relation: Vec<usize>,
    /// The words of subject and object by relation, links included.
    words: Vec<(Word, Word)>,
    relation: Word,
}

impl Shapes {
    /// Creates the shapes of a world; `None` if the tokens are those of a tokenizer.
    pub(super) fn new(world: &World, vocabulary: &Vocabulary) -> Option<Self> {
        // The subject of a link fact is an object, and its object a nested object.
        let own = (0..world.relations()).map(|relation| (vocabulary.subject(), relation));
        let links = world.links().iter();
        let links = links.map(|link| (vocabulary.object(link.of), link.composed));
        let words: Vec<(Word, Word)> = own
            .chain(links)
            .filter_map(|(subject, of)| Some((subject?.clone(), vocabulary.object(of)?.clone())))
            .collect();
        let mut shapes = Shapes {
            lengths: Vec::new(),
            of_relation: Vec::with_capacity(words.len()),
            words: Vec::new(),
            relation: vocabulary.relation()?.clone(),
        };
        for (subject, object) in &words {
            let lengths = Lengths {
                subject: subject.len(),
                relation: shapes.relation.len(),
                object: object.len(),
            };
            let known = shapes.lengths.iter().position(|&known| known == lengths);
            let shape = known.unwrap_or_else(|| {
                shapes.lengths.push(lengths);
                shapes.lengths.len() - 1
            });
            shapes.of_relation.push(shape);
        }
        shapes.words = words;
        Some(shapes)
    }

    /// Returns the index into `lengths` of a relation.
    #[inline(always)]
    pub(super) fn of(&self, relation: u32) -> usize {
        self.of_relation[relation as usize]
    }

    /// Returns the words of a fact.
    #[inline(always)]
    pub(super) fn words(&self, subject: u64, relation: u32, object: u32) -> Words<'_> {
        let (subject_word, object_word) = &self.words[relation as usize];
        Words {
            subject: (subject_word, subject),
            relation: (&self.relation, u64::from(relation)),
            object: (object_word, u64::from(object)),
        }
    }
}

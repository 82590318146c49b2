//! Text grammars: sentences of a natural language, in the tokens of any tokenizer.
//!
//! A [`TextGrammar`] is a TOML file. Its sentences are expanded for every context in which they can
//! occur ([`expand`]), split into pieces before each space, and encoded once ([`compile`]): a piece
//! without a hole has fixed tokens, and a piece with a hole has tokens for each word that can fill
//! it. Writing a sentence then only copies pieces ([`write`]).

mod ask;
mod boundaries;
mod compile;
mod cut;
mod describe;
mod expand;
mod file;
mod held_out;
mod image;
mod lexicon;
mod lines;
mod pattern;
mod pieces;
mod plans;
mod shipped;
mod tokenizer;
mod unwritten;
mod words;
mod write;

pub use self::expand::TextRole;
pub use self::file::TextGrammar;
pub use self::lexicon::{END_ROLE, Lexicon};
pub use self::shipped::SHIPPED;
pub use self::tokenizer::{PUNCTUATION, SPECIAL_WORDS, TextToken, Tokenizer, WordTokenizer};

pub(crate) use self::expand::Mention;
pub(crate) use self::lexicon::Says;
pub(crate) use self::write::{Digits, SentenceBuffer, TextSpan};

/// The slots of the digits of a sentence's words.
pub(crate) mod slots {
    use super::file::{DIGIT_LIMIT, JOINT_LIMIT};

    /// First digit of the subject's name.
    pub(crate) const SUBJECT: u8 = 0;

    /// Returns the first digit of the object of a fact of the sentence.
    pub(crate) const fn of_object(place: usize) -> u8 {
        (DIGIT_LIMIT * (place + 1)) as u8
    }

    /// A digit that is always 0, for pieces without holes.
    pub(crate) const NONE: u8 = of_object(JOINT_LIMIT);

    /// The class of the subject.
    pub(crate) const CLASS: u8 = NONE + 1;

    /// Number of slots.
    pub(crate) const COUNT: usize = CLASS as usize + 1;
}

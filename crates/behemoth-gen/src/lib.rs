//! Synthetic worlds of facts, as token corpora of any size.
//!
//! # The story
//!
//! A [`spec`] says what is wanted. Of it a [`World`] is made: subjects, the [`relation`]s they have,
//! and the object that each subject has in each relation. Nobody stores these facts (unless they
//! come from a [`Table`]): a fact is a hash of the seed and its ids, so a world of 10^10 subjects
//! costs nothing until it is asked. [`exposure`] says how often each fact is written, exactly,
//! and a [`schedule`] where in the corpus; [`filler`] and a [`background`] may stand between,
//! or around each sentence ([`insert`]). A [`grammar`] says how: its templates become images of
//! sentences, made of the ids that a [`vocabulary`] partitions. A [`document`] is what stands
//! together in the order. All of these meet in a [`Corpus`], the ordered stream of all sentences,
//! which can be asked for any part of itself; and a [`shard`] is a part of it on the disk.
//!
//! Nothing on the way has state: every fact, every sentence and its place in the order is a
//! [`hash`] of a key and ids, or a [`permutation`] evaluated at one index. So any part of a corpus
//! of any size can be made anywhere, in any order, by any number of threads, with flat memory, and
//! the bytes are the same.
//!
//! ```
//! use behemoth_gen::{Corpus, Progress, Spec};
//! let spec = Spec::from_toml(
//!     "[world]\nsubjects = 1000\nrelations = 4\nobjects = 50\n\
//!      [corpus]\nexposures = \"groups:1,4,16,64\"",
//! )?;
//! let corpus = Corpus::from_spec(spec)?;
//! let tokens: Vec<u16> = corpus.tokens(0..10, 1, &Progress::default())?;
//! assert_eq!(tokens.len(), 10 * 11);
//! # Ok::<(), behemoth_gen::Error>(())
//! ```
//!
//! # Text
//!
//! A corpus can also be text. A [`grammar::TextGrammar`] says in a TOML file how the facts of its
//! relations are said; compiled with a [`grammar::Tokenizer`] it is a [`grammar::Lexicon`], every
//! sentence in every context as pieces of tokens with holes, and [`Corpus::with_lexicon`] writes with
//! it. The counts are those of templates, and where each subject and object is named is known to the
//! token.
//!
//! ```
//! use std::sync::Arc;
//! use behemoth_gen::grammar::{Lexicon, TextGrammar, WordTokenizer};
//! use behemoth_gen::{Corpus, CorpusSpec, World, WorldSpec};
//! let grammar = TextGrammar::from_toml(
//!     "ports.toml",
//!     "name = 'ports'\n\
//!      [lists]\n\
//!      first = ['Ada', 'Bo']\n\
//!      port = ['Oslo', 'Rio']\n\
//!      [subject]\n\
//!      name = '{first}'\n\
//!      [relations.port]\n\
//!      objects = '{port}'\n\
//!      statements = ['{subject} sails from {object}.']",
//! )?;
//! let world = WorldSpec::builder()
//!     .subjects(2)
//!     .relations(grammar.relations())
//!     .build()?;
//! let lexicon = Lexicon::new(grammar, &mut WordTokenizer::default())?;
//! let spec = CorpusSpec::builder().build()?;
//! let corpus = Corpus::with_lexicon(World::new(world)?, spec, None, Arc::new(lexicon))?;
//! let texts = corpus.texts(0..2)?;
//! assert!(texts.iter().any(|text| text.starts_with("Ada sails from ")));
//! # Ok::<(), behemoth_gen::Error>(())
//! ```
//!
//! # The tree
//!
//! Each module knows only those before it (`tests/tree.rs` holds it to that): [`error`], `numbers`,
//! `value`; [`hash`], [`permutation`]; [`vocabulary`], [`decode`],
//! [`labels`]; then what there is to choose from, one file
//! for each choice: [`relation`] kinds, [`exposure`] forms, [`schedule`], [`filler`],
//! [`background`], [`insert`], [`grammar`] templates, [`document`] kinds; then [`spec`], [`world`],
//! [`corpus`], [`shard`]. A refusal is an [`Error`] with the path of the value, the value got and
//! what is allowed, as fields.

// The engine is safe throughout. The Python binding is part of the crate, and the code that its
// macros write is not; so with that feature the lint is one that its module can lift.
#![cfg_attr(not(feature = "python"), forbid(unsafe_code))]
#![cfg_attr(feature = "python", deny(unsafe_code))]
// What a user writes must come back as an error. `expect` stays for what this crate itself has
// just made sure of, and says what that is.
#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::panic, clippy::unreachable, clippy::todo)
)]

pub mod background;
pub mod corpus;
pub mod decode;
pub mod document;
pub mod error;
pub mod exposure;
pub mod filler;
pub mod grammar;
pub mod hash;
pub mod insert;
pub mod labels;
mod memory;
mod numbers;
pub mod permutation;
#[cfg(feature = "python")]
mod python;
pub mod relation;
pub mod schedule;
pub mod shard;
pub mod spec;
mod value;
pub mod vocabulary;
pub mod world;

pub use corpus::{Corpus, Progress};
pub use error::{Error, Key, Result};
pub use spec::{CorpusSpec, FormatVersion, Spec, WorldSpec};
pub use world::{Table, World};

/// The README's example is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

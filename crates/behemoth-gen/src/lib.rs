//! Synthetic worlds of facts, as token corpora of any size.
//!
//! # Overview
//!
//! A [`spec`] describes a world and a corpus. A [`World`] is built from it: subjects, their
//! [`relation`]s, and the object of each subject in each relation. These facts are not stored
//! (unless they come from a [`Table`]): a fact is a hash of the seed and its ids, so a world of
//! 10^10 subjects costs nothing until it is queried. [`exposure`] defines how often each fact is
//! written, exactly, and a [`schedule`] where in the corpus; [`filler`] and a [`background`] add
//! documents between the sentences, or around each sentence ([`insert`]). A [`grammar`] defines the
//! wording: its templates become images of sentences, made of the ids that a [`vocabulary`]
//! partitions. A [`document`] is a group of sentences that stay together in the order. A [`Corpus`]
//! combines all of these: it is the ordered stream of all sentences, with random access to any
//! part; a [`shard`] is a part of it on disk.
//!
//! None of this has state: every fact, every sentence and its place in the order is a [`hash`] of a
//! key and ids, or a [`permutation`] evaluated at one index. Any part of a corpus of any size can
//! therefore be generated anywhere, in any order, by any number of threads, in constant memory,
//! with the same bytes.
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
//! A corpus can also be text. A [`grammar::TextGrammar`] is a TOML file with the sentences of each
//! relation. Compiled with a [`grammar::Tokenizer`] it becomes a [`grammar::Lexicon`]: every
//! sentence in every context as pieces of tokens with holes. [`Corpus::with_lexicon`] writes with
//! it. The counts are the same as with templates, and the tokens that name each subject and object
//! are known.
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
//! # Modules
//!
//! Each module uses only modules before it (`tests/tree.rs` checks this): [`error`], `numbers`,
//! `memory`, `value`, `canonical`, `system`; [`hash`], [`permutation`]; [`vocabulary`], [`decode`],
//! [`parquet`], [`labels`]; then the alternatives, one file each: [`relation`] kinds, [`exposure`]
//! forms, [`schedule`], [`filler`], [`background`], [`insert`], [`grammar`] templates, [`document`]
//! kinds; then [`spec`], [`world`], [`corpus`], [`shard`]. Invalid input is returned as an
//! [`Error`] whose fields are the path of the value, the value and the allowed values.

// The engine has no unsafe code. The Python binding is part of the crate, and its macros generate
// unsafe code; with that feature the lint is therefore `deny`, which the module can override.
#![cfg_attr(not(feature = "python"), forbid(unsafe_code))]
#![cfg_attr(feature = "python", deny(unsafe_code))]
// Invalid user input must be returned as an error. `expect` is for what this crate itself has just
// ensured, and its message names that.
#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::panic, clippy::unreachable, clippy::todo)
)]

#[cfg(target_endian = "big")]
compile_error!("tokens are written as they are in memory, and all files are little-endian");

pub mod background;
mod canonical;
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
#[cfg(any(feature = "python", test))]
mod pace;
pub mod parquet;
pub mod permutation;
#[cfg(feature = "python")]
mod python;
pub mod relation;
pub mod schedule;
pub mod shard;
pub mod spec;
mod system;
mod value;
pub mod vocabulary;
pub mod world;

pub use corpus::{Corpus, Progress};
pub use error::{Error, PathKey, Result};
pub use spec::{CorpusSpec, FormatVersion, Spec, WorldSpec};
pub use world::{Table, World};

/// Runs the README's example as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

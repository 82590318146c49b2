//! Synthetic worlds of facts, as token corpora of any size.
//!
//! The way of the data is the way of the code: a [`spec`] describes a [`world`] of
//! (subject, relation, object) facts and a [`corpus`] of sentences about them; the corpus is
//! streamed, or written as [`shard`]s. Nothing on the way has state: every fact, every sentence
//! and its place in the order is a [`hash`] of a key and ids, or a [`permutation`] evaluated at
//! one index. So any part of a corpus of any size can be made anywhere, in any order, by any
//! number of threads, with flat memory, and the bytes are the same.
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

pub mod corpus;
pub mod error;
pub mod exposure;
pub mod hash;
pub mod manifest;
pub mod permutation;
#[cfg(feature = "python")]
mod python;
pub mod relation;
pub mod shard;
pub mod spec;
pub mod template;
pub mod vocabulary;
pub mod world;

pub use corpus::{Corpus, Progress};
pub use error::{Error, Result};
pub use spec::{CorpusSpec, FORMAT_VERSION, Spec, WorldSpec};
pub use world::{Table, World};

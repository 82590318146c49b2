//! Validated specifications: [`WorldSpec`] and [`CorpusSpec`].
//!
//! A [`Spec`] is read from TOML or JSON, with shorthands (`relations = 6`, `exposures =
//! "groups:1,4,16"`), or built with [`WorldSpec::builder`] and [`CorpusSpec::builder`]; the result
//! has every relation written out. Rules that need only the numbers of a spec are checked here;
//! rules that need the built world (an override of a fact that does not exist) are checked when it
//! is built. Fields are public, so a spec can be changed afterwards: `World::new` and `Corpus::new`
//! check it again.

// Handles user input: no indexing that can panic.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

mod build;
mod checks;
mod corpus;
mod grammar;
mod shorthand;
mod table;
mod twin;
mod version;
mod world;

use serde::Serialize;

use crate::canonical::to_json;
use crate::error::{Error, PathKey, Result};
use crate::value::Value;

pub use self::build::{CorpusSpecBuilder, WorldSpecBuilder};
pub use self::corpus::CorpusSpec;
pub use self::grammar::GrammarSpec;
pub use self::table::{TableNames, TableRelation, TableSpec};
pub use self::twin::{QuestionSpec, TwinSpec};
pub use self::version::FormatVersion;
pub use self::world::WorldSpec;
pub use crate::document::{DocumentSpec, Naming, Order, QuestionPlace, SentenceOrder};
pub use crate::numbers::COUNT_LIMIT;

pub(crate) use self::version::{QuestionShare, TwinFiller};

/// The spec of a world and of a corpus of its facts.
///
/// # Examples
///
/// ```
/// use behemoth_gen::Spec;
/// let spec = Spec::from_toml("[world]\nsubjects = 1e3\n[corpus]\nexposures = \"groups:1,4\"")?;
/// assert_eq!(spec.world.relations.len(), 6);
/// assert_eq!(Spec::from_json(&spec.to_json())?.hash(), spec.hash());
/// # Ok::<(), behemoth_gen::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Spec {
    /// Version of the output bytes.
    pub format_version: FormatVersion,
    /// The facts.
    pub world: WorldSpec,
    /// How they are written.
    pub corpus: CorpusSpec,
}

impl Spec {
    /// Creates a spec of the latest format version from a world and a corpus.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] if either is invalid.
    pub fn new(world: WorldSpec, corpus: CorpusSpec) -> Result<Spec> {
        Ok(Spec {
            format_version: FormatVersion::LATEST,
            world: world.checked()?,
            corpus: corpus.checked()?,
        })
    }

    /// Reads a spec from TOML with the tables `world` and, optionally, `corpus`.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] if the text is not valid TOML or the spec is invalid.
    pub fn from_toml(text: &str) -> Result<Spec> {
        Spec::read(&Value::from_toml(ROOT, text)?)
    }

    /// Reads a spec from JSON with the objects `world` and, optionally, `corpus`.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] if the text is not valid JSON or the spec is invalid.
    pub fn from_json(text: &str) -> Result<Spec> {
        Spec::read(&Value::from_json(ROOT, text)?)
    }

    fn read(value: &Value) -> Result<Spec> {
        Spec::read_fields(value).map_err(|e| as_argument(e, ROOT))
    }

    fn read_fields(value: &Value) -> Result<Spec> {
        let mut fields = value.table(&["format_version", "world", "corpus"])?;
        let version = fields.nullable("format_version", read_version)?;
        let world = fields.required("world", WorldSpec::read)?;
        let corpus = fields.optional("corpus", CorpusSpec::read)?;
        Ok(Spec {
            format_version: version.unwrap_or_default(),
            world,
            corpus: corpus.unwrap_or_default(),
        })
    }

    /// Returns the spec as JSON, with every shorthand written out.
    pub fn to_json(&self) -> String {
        to_json(self)
    }

    /// Returns the spec as TOML, with every shorthand written out.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a spec is plain data")
    }

    /// Returns the BLAKE3 hash of the normalised JSON, as hexadecimal digits: corpora with the same
    /// hash are the same. Specs of different format versions have different hashes, even if the
    /// versions write the same bytes.
    pub fn hash(&self) -> String {
        blake3::hash(self.to_json().as_bytes()).to_hex().to_string()
    }
}

/// Reads a format version from its number.
fn read_version(value: &Value) -> Result<FormatVersion> {
    FormatVersion::from_number(value.id32()?).map_err(Error::without_place)
}

/// Argument name of a value that is in no field.
const ROOT: &str = "spec";

/// Turns the path into the argument of a call: options have the names of the fields of world and
/// corpus, and a value that is in no field gets the name `root`.
fn as_argument(mut error: Error, root: &str) -> Error {
    if let Error::Argument { path, .. } = &mut error {
        match path.first() {
            None => path.push(PathKey::from(root)),
            Some(PathKey::Name(name))
                if path.len() > 1 && (name == "world" || name == "corpus") =>
            {
                path.remove(0);
            }
            _ => {}
        }
    }
    error
}

//! The grammars that are part of the crate.

use super::file::TextGrammar;
use crate::error::{Error, Result};

/// Name and TOML of each grammar that is part of the crate.
pub const SHIPPED: &[(&str, &str)] = &[
    ("bios-de", include_str!("../../../grammars/bios-de.toml")),
    ("bios-en", include_str!("../../../grammars/bios-en.toml")),
    (
        "encyclopedia-en",
        include_str!("../../../grammars/encyclopedia-en.toml"),
    ),
    (
        "stories-en",
        include_str!("../../../grammars/stories-en.toml"),
    ),
];

impl TextGrammar {
    /// Reads a grammar that is part of the crate.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] if there is no such grammar.
    pub fn shipped(name: &str) -> Result<TextGrammar> {
        let names = || SHIPPED.iter().map(|&(name, _)| name);
        match SHIPPED.iter().find(|&&(known, _)| known == name) {
            Some((name, text)) => TextGrammar::from_toml(name, text),
            None => {
                let allowed: Vec<&str> = names().collect();
                Err(
                    Error::argument("grammar", format!("`{name}`"), allowed.join(", "))
                        .near(name, names()),
                )
            }
        }
    }
}

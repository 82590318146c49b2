//! Exposures in the one-line syntax: `groups:1,4,1e3`.

use behemoth_gen::exposure::ExposureSpec;
use behemoth_gen::{CorpusSpec, Spec};

use super::refused;

/// A line is refused, or has the same exposures as the table that it is serialized to.
pub fn exposures(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    match text.parse::<ExposureSpec>() {
        Err(error) => refused(&error),
        Ok(exposures) => {
            let table = serde_json::json!({ "exposures": exposures }).to_string();
            let read = CorpusSpec::from_json(&table).unwrap_or_else(|e| panic!("{e}\n{table}"));
            assert_eq!(read.exposures, exposures);
            let line = serde_json::json!({"world": {}, "corpus": {"exposures": text}}).to_string();
            assert_eq!(Spec::from_json(&line).unwrap().corpus.exposures, exposures);
            true
        }
    }
}

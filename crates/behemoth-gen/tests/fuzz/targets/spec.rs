//! Specs, as JSON and as TOML.

use behemoth_gen::{CorpusSpec, Error, Spec, WorldSpec};

use super::refused;

/// A spec that is accepted is the same after writing and reading it in both languages.
pub fn spec(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let mut is_read = false;
    for read in [Spec::from_toml(text), Spec::from_json(text)] {
        if let Some(spec) = read_or_refused(read) {
            is_read = true;
            let (json, toml) = (spec.to_json(), spec.to_toml());
            let again = Spec::from_json(&json).unwrap_or_else(|e| panic!("{e}\n{json}"));
            assert_eq!(again, spec, "{json}");
            assert_eq!(again.hash(), spec.hash(), "{json}");
            let again = Spec::from_toml(&toml).unwrap_or_else(|e| panic!("{e}\n{toml}"));
            assert_eq!(again, spec, "{toml}");
            assert_eq!(again.hash(), spec.hash(), "{toml}");
        }
    }
    if let Some(world) = read_or_refused(WorldSpec::from_json(text)) {
        assert_eq!(WorldSpec::from_json(&world.to_json()).unwrap(), world);
        is_read = true;
    }
    read_or_refused(CorpusSpec::from_json(text)).is_some() || is_read
}

fn read_or_refused<T>(read: Result<T, Error>) -> Option<T> {
    match read {
        Ok(value) => Some(value),
        Err(error) => {
            refused(&error);
            None
        }
    }
}

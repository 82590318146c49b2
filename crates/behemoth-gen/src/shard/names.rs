//! The names of the files of a corpus directory.

// Handles user input: no indexing that can panic.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

/// File name of the manifest.
pub(super) const MANIFEST: &str = "manifest.json";
/// File name of the spec.
pub(super) const SPEC: &str = "spec.toml";
/// Directory of the shards.
pub(super) const TOKENS: &str = "tokens";

/// A test of whether a name is one of a file that a corpus has in a folder.
type IsOurs = fn(&str) -> bool;

/// Folders of a corpus directory with the test of the names of its files.
pub(super) const FOLDERS: [(&str, IsOurs); 4] = [
    (TOKENS, |name| {
        is_shard(name, ".bin") || is_shard(name, ".json") || is_passing(name)
    }),
    ("tokenizer", |name| {
        [
            "tokenizer.json",
            "tokenizer_config.json",
            "special_tokens_map.json",
        ]
        .contains(&name)
    }),
    ("names", |name| name.ends_with(".parquet")),
    ("probes", |name| name.ends_with(".parquet")),
];

/// Returns the path of a shard from the corpus directory.
pub(super) fn shard_file(shard: u64) -> String {
    format!("{TOKENS}/{shard:05}.bin")
}

/// Returns the path of a shard's record from the corpus directory.
pub(super) fn record_file(shard: u64) -> String {
    format!("{TOKENS}/{shard:05}.json")
}

/// Suffix of temporary names.
const PARTIAL: &str = ".partial";
/// Suffix of the names of claims on shards.
const LOCK: &str = ".lock";

/// Returns the temporary name of a file with a random part.
pub(super) fn temporary(name: &str, random: u64) -> String {
    format!("{name}.{random:016x}{PARTIAL}")
}

/// Returns the name of the claim on a shard.
pub(super) fn lock(name: &str) -> String {
    format!("{name}{LOCK}")
}

/// Returns `true` if a name is one that [`temporary`] or [`lock`] returns for a file of a corpus
/// directory.
pub(super) fn is_passing(name: &str) -> bool {
    if let Some(shard) = name.strip_suffix(LOCK) {
        return is_shard(shard, ".bin");
    }
    let Some((file, random)) = name
        .strip_suffix(PARTIAL)
        .and_then(|rest| rest.rsplit_once('.'))
    else {
        return false;
    };
    let is_random = random.len() == 16 && random.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_ours =
        file == MANIFEST || file == SPEC || is_shard(file, ".bin") || is_shard(file, ".json");
    is_random && is_ours
}

fn is_shard(name: &str, ending: &str) -> bool {
    name.strip_suffix(ending)
        .is_some_and(|number| number.len() >= 5 && number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passing_names_are_those_made_here_and_no_others() {
        for file in [MANIFEST, SPEC, "00003.bin", "1234567.json"] {
            assert!(is_passing(&temporary(file, 7)), "{file}");
            assert!(!is_passing(file));
        }
        assert!(is_passing(&lock("00003.bin")));
        for name in [
            "notes.txt.0123456789abcdef.partial",
            "manifest.json.0123.partial",
            "manifest.json.partial",
            "00003.json.lock",
            "x.bin.lock",
            "Cargo.lock",
            ".partial",
            "",
        ] {
            assert!(!is_passing(name), "{name}");
        }
    }
}

//! Verification of damaged shards, of an altered manifest or spec, and of an incomplete directory.

use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::Ordering;

use behemoth_gen::shard::{ShardPlan, WriteOptions, verify};
use behemoth_gen::{Error, Progress};

use crate::common::corpus;
use crate::{assert_same, check, corpora, files, in_memory, small, whole, write_all, write_with};

/// Everything that can be wrong with a shard, with the reported reason.
#[test]
fn verify_names_what_is_wrong_and_writing_again_mends_it() {
    let corpus = small();
    let plan = ShardPlan::new(&corpus);
    let expected = whole(&corpus);
    type Damage = fn(&Path);
    let cases: [(Damage, &str, bool); 9] = [
        (
            |tokens| {
                let shard = File::options().write(true).open(tokens.join("00003.bin"));
                shard.unwrap().set_len(1000).unwrap();
            },
            "has 1000 bytes, but its record states 49152",
            true,
        ),
        (
            |tokens| {
                let mut bytes = fs::read(tokens.join("00003.bin")).unwrap();
                bytes.push(0);
                fs::write(tokens.join("00003.bin"), bytes).unwrap();
            },
            "has 49153 bytes, but its record states 49152",
            true,
        ),
        (
            |tokens| {
                let mut bytes = fs::read(tokens.join("00003.bin")).unwrap();
                bytes[2 * 12_345] ^= 1;
                fs::write(tokens.join("00003.bin"), bytes).unwrap();
            },
            "differs from its spec at token 12345, inside documents 7168 to 8192",
            false,
        ),
        (
            |tokens| fs::remove_file(tokens.join("00003.json")).unwrap(),
            "has no readable completion record of this corpus, tokens/00003.json",
            true,
        ),
        (
            |tokens| fs::write(tokens.join("00003.json"), "{\"file\":").unwrap(),
            "has no readable completion record of this corpus, tokens/00003.json",
            true,
        ),
        (
            // The record of another shard.
            |tokens| {
                let text = fs::read_to_string(tokens.join("00002.json")).unwrap();
                fs::write(tokens.join("00003.json"), text).unwrap();
            },
            "matches its spec, but its record has another hash",
            true,
        ),
        (
            |tokens| {
                let text = fs::read_to_string(tokens.join("00003.json")).unwrap();
                let text = text.replace("\"documents\": 2048", "\"documents\": 2047");
                fs::write(tokens.join("00003.json"), text).unwrap();
            },
            "has a record with other counts or of another file",
            false,
        ),
        (
            // A shard and its record, both of another corpus.
            |tokens| {
                let other = corpora().swap_remove(1);
                let directory = in_memory();
                write_all(&other, directory.path());
                for name in ["00003.bin", "00003.json"] {
                    fs::copy(
                        directory.path().join("tokens").join(name),
                        tokens.join(name),
                    )
                    .unwrap();
                }
            },
            "has no readable completion record of this corpus, tokens/00003.json",
            true,
        ),
        (
            |tokens| fs::remove_file(tokens.join("00003.bin")).unwrap(),
            "missing",
            true,
        ),
    ];
    for (damage, reason, mended) in cases {
        let directory = in_memory();
        write_all(&corpus, directory.path());
        damage(&directory.path().join("tokens"));
        let found = check(&corpus, directory.path());
        let shards: Vec<_> = found.bad.iter().filter(|bad| bad.shard.is_some()).collect();
        if reason == "missing" {
            assert_eq!(found.missing, ["tokens/00003.bin"]);
            assert!(shards.is_empty());
        } else {
            assert_eq!(shards.len(), 1, "{:?}", found.bad);
            assert_eq!(shards[0].shard, Some(3));
            assert_eq!(shards[0].file, "tokens/00003.bin");
            assert_eq!(shards[0].reason, reason);
            assert!(found.missing.is_empty());
        }
        assert_eq!(found.shards, plan.count);
        // A resume repairs what it can detect without reading every byte; force repairs everything.
        let again = write_all(&corpus, directory.path());
        assert_eq!(again.shards_written, u64::from(mended), "{reason}");
        let options = WriteOptions {
            force: true,
            ..WriteOptions::default()
        };
        if !mended {
            write_with(&corpus, directory.path(), &options).unwrap();
        }
        let found = check(&corpus, directory.path());
        assert!(
            found.bad.is_empty() && found.missing.is_empty(),
            "{found:?}"
        );
        assert_same(&files(directory.path()), &expected);
    }
}

#[test]
fn verify_names_a_manifest_and_a_spec_that_were_altered() {
    let corpus = small();
    for (file, from, to, reason) in [
        (
            "manifest.json",
            "\"facts\": 21000",
            "\"facts\": 21001",
            "has another 'counts' than the corpus",
        ),
        (
            "manifest.json",
            "\"dtype\": \"uint16\"",
            "\"dtype\": \"uint32\"",
            "has another 'dtype' than the corpus",
        ),
        (
            "manifest.json",
            "\"complete\": true",
            "\"complete\": false",
            "has another 'complete' than the corpus",
        ),
        (
            "manifest.json",
            "\"first_document\": 2048",
            "\"first_document\": 2049",
            "has another 'shards' than the corpus",
        ),
        (
            "spec.toml",
            "subjects = 7000",
            "subjects = 7001",
            "is not the spec of the manifest",
        ),
    ] {
        let directory = in_memory();
        write_all(&corpus, directory.path());
        let path = directory.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from} in {file}");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let found = check(&corpus, directory.path());
        assert_eq!(found.bad.len(), 1, "{:?}", found.bad);
        let bad = &found.bad[0];
        assert_eq!(
            (bad.shard, &bad.file[..], &bad.reason[..]),
            (None, file, reason)
        );
    }
}

#[test]
fn comments_in_the_spec_are_accepted_by_verify_as_by_write() {
    let corpus = small();
    let directory = in_memory();
    write_all(&corpus, directory.path());
    let path = directory.path().join("spec.toml");
    let text = format!(
        "# The first corpus.\n{}",
        fs::read_to_string(&path).unwrap()
    );
    fs::write(&path, &text).unwrap();
    assert_eq!(write_all(&corpus, directory.path()).shards_written, 0);
    assert_eq!(check(&corpus, directory.path()).bad, []);
    // Also before there is a manifest, beside files that a user has added.
    fs::remove_file(directory.path().join("manifest.json")).unwrap();
    fs::write(directory.path().join("notes.txt"), "the user's own").unwrap();
    write_all(&corpus, directory.path());
    assert_eq!(check(&corpus, directory.path()).bad, []);
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn a_half_written_directory_has_missing_shards_and_nothing_bad() {
    let corpus = small();
    let directory = in_memory();
    let options = WriteOptions {
        part: (1, 2),
        ..WriteOptions::default()
    };
    let summary = write_with(&corpus, directory.path(), &options).unwrap();
    let found = check(&corpus, directory.path());
    assert_eq!(found.missing.len() as u64, summary.shards_total / 2);
    assert_eq!(found.missing[0], "tokens/00000.bin");
    assert_eq!(found.bad, []);
    assert_eq!(found.tokens, summary.tokens);
}

#[test]
fn verify_stops_where_every_shard_is_missing() {
    let corpus = small();
    let directory = in_memory();
    write_all(&corpus, directory.path());
    fs::remove_dir_all(directory.path().join("tokens")).unwrap();
    let progress = Progress::default();
    let found = verify(&corpus, directory.path(), 2, &progress).unwrap();
    assert_eq!(found.missing.len() as u64, found.shards);
    progress.cancel.store(true, Ordering::Relaxed);
    let stopped = verify(&corpus, directory.path(), 2, &progress);
    assert!(matches!(stopped, Err(Error::Cancelled)), "{stopped:?}");
}

#[test]
fn verify_refuses_as_many_shards_as_write_does() {
    let corpus = corpus(
        "[world]\nsubjects = 10_000_000_000\nrelations = 10\nobjects = 10\n\
         [corpus]\nshard_bytes = 65_536\n",
    );
    let directory = in_memory();
    let manifest = format!(
        "{{\"format_version\": {}, \"spec_hash\": \"{}\"}}",
        corpus.spec().format_version.number(),
        corpus.spec().hash()
    );
    fs::write(directory.path().join("manifest.json"), manifest).unwrap();
    let error = verify(&corpus, directory.path(), 1, &Progress::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "argument 'shard_bytes': got a size that makes {} shards, allowed: a size that makes \
             at most 1048576",
            ShardPlan::new(&corpus).count
        )
    );
}

//! Complete writes: the bytes of the stream, for any number of threads, in parts and by several
//! writers at a time.

use std::fs;
use std::sync::atomic::Ordering;

use behemoth_gen::Progress;
use behemoth_gen::shard::{ShardPlan, Summary, WriteOptions, write};

use crate::common::{all_tokens, corpus};
use crate::{
    assert_same, check, corpora, files, in_memory, on_disk, small, whole, write_all, write_with,
};

#[test]
fn shards_are_the_stream_cut_into_files() {
    for corpus in corpora() {
        let directory = on_disk();
        let progress = Progress::default();
        let path = directory.path().join("new/corpus");
        let summary = write(&corpus, &path, &WriteOptions::default(), &progress).unwrap();
        let tokens = all_tokens(&corpus);
        let bytes: Vec<u8> = if corpus.token_bytes() == 2 {
            tokens
                .iter()
                .flat_map(|&t| (t as u16).to_le_bytes())
                .collect()
        } else {
            tokens.iter().flat_map(|t| t.to_le_bytes()).collect()
        };
        let plan = ShardPlan::new(&corpus);
        assert!((5..40).contains(&plan.count), "{} shards", plan.count);
        let files = files(&path);
        let shards: Vec<u8> = (0..plan.count)
            .flat_map(|shard| files[&format!("tokens/{shard:05}.bin")].clone())
            .collect();
        assert!(shards == bytes);
        let mut all = Summary::default();
        all.shards_written = plan.count;
        all.shards_total = plan.count;
        all.complete = true;
        all.tokens = tokens.len() as u64;
        all.bytes = bytes.len() as u64;
        all.tokens_written = tokens.len() as u64;
        all.bytes_written = bytes.len() as u64;
        assert_eq!(summary, all);
        assert_eq!(progress.done.load(Ordering::Relaxed), bytes.len() as u64);
        // Tokens and a record for each shard, the manifest, the spec; no temporary files.
        assert_eq!(files.len() as u64, plan.count * 2 + 2, "{:?}", files.keys());
        assert_eq!(files["spec.toml"], corpus.spec().to_toml().as_bytes());
        let manifest: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        assert_eq!(manifest["complete"], true);
        assert_eq!(manifest["spec_hash"], corpus.spec().hash());
        assert_eq!(manifest["counts"]["tokens"], tokens.len());
        assert_eq!(manifest["counts"]["sentences"], corpus.sentences());
        for (shard, entry) in manifest["shards"].as_array().unwrap().iter().enumerate() {
            let bytes = &files[entry["file"].as_str().unwrap()];
            let hash = blake3::hash(bytes).to_hex().to_string();
            assert_eq!(entry["blake3"], hash);
            assert_eq!(entry["bytes"], bytes.len());
            assert_eq!(entry["first_document"], plan.documents(shard as u64).start);
        }
        let found = check(&corpus, &path);
        assert_eq!((found.bad, found.missing), (vec![], vec![]));
        assert_eq!(
            (found.shards, found.tokens),
            (plan.count, tokens.len() as u64)
        );
    }
}

/// A shard longer than one write to disk, with aligned and unaligned ends.
#[test]
fn long_shards_are_written_in_pieces() {
    for fields in [
        "subjects = 400_000\nrelations = 1\n[corpus]\nexposures = 1",
        "subjects = 100_000\nrelations = 2\n[corpus]\ninversion = 0.5\nbase = 200_000",
        // 2^21 tokens of 13: 4 MiB exactly is a multiple of a page but not of a sentence.
        "subjects = 161_320\nrelations = 2\n[corpus]\nexposures = 1",
    ] {
        let corpus = corpus(&format!("[world]\n{fields}\n"));
        let directory = on_disk();
        let summary = write_all(&corpus, directory.path());
        assert_eq!(summary.shards_total, 1);
        assert!(summary.bytes > 4 << 20, "{} bytes", summary.bytes);
        let bytes = fs::read(directory.path().join("tokens/00000.bin")).unwrap();
        let same = if corpus.token_bytes() == 2 {
            let tokens: &[u16] = bytemuck::cast_slice(&bytes);
            tokens.iter().map(|&t| u32::from(t)).eq(all_tokens(&corpus))
        } else {
            let tokens: &[u32] = bytemuck::cast_slice(&bytes);
            tokens == all_tokens(&corpus)
        };
        assert!(same);
    }
}

#[test]
fn any_number_of_threads_writes_the_same_bytes() {
    for corpus in corpora() {
        let expected = whole(&corpus);
        for threads in [1, 2, 3, 8] {
            let directory = in_memory();
            let options = WriteOptions {
                threads,
                ..WriteOptions::default()
            };
            assert!(
                write_with(&corpus, directory.path(), &options)
                    .unwrap()
                    .complete
            );
            assert_same(&files(directory.path()), &expected);
        }
    }
}

#[test]
fn parts_in_any_order_write_the_same_bytes() {
    let corpus = small();
    let expected = whole(&corpus);
    for order in [
        vec![0, 1],
        vec![2, 0, 1],
        vec![3, 1, 2, 0],
        (0..30).rev().collect(),
    ] {
        let directory = in_memory();
        let parts = order.len() as u64;
        let mut written = 0;
        for (done, &part) in order.iter().enumerate() {
            let options = WriteOptions {
                part: (part, parts),
                ..WriteOptions::default()
            };
            let summary = write_with(&corpus, directory.path(), &options).unwrap();
            written += summary.shards_written;
            // With more parts than shards, some parts have none.
            let all = written == summary.shards_total;
            assert_eq!(summary.complete, all, "part {part} of {parts}, {done} done");
            assert_eq!(check(&corpus, directory.path()).missing.is_empty(), all);
        }
        assert_same(&files(directory.path()), &expected);
    }
}

#[test]
fn parts_at_the_same_time_write_the_same_bytes() {
    let corpus = small();
    let expected = whole(&corpus);
    for _ in 0..5 {
        let directory = in_memory();
        let path = directory.path().join("new");
        std::thread::scope(|scope| {
            for part in 0..4 {
                let (corpus, path) = (&corpus, &path);
                scope.spawn(move || {
                    let options = WriteOptions {
                        part: (part, 4),
                        threads: 1,
                        force: false,
                    };
                    write_with(corpus, path, &options).unwrap();
                });
            }
        });
        assert_same(&files(&path), &expected);
    }
}

/// All writers try every shard: each is written by one, and found locked or complete by the others.
#[test]
fn writers_of_one_directory_do_not_disturb_each_other() {
    let corpus = small();
    let expected = whole(&corpus);
    for _ in 0..5 {
        let directory = in_memory();
        let path = directory.path();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| write_all(&corpus, path));
            }
        });
        assert!(write_all(&corpus, path).complete);
        assert_same(&files(path), &expected);
    }
}

#[test]
fn twins_keep_the_shards_of_their_parent() {
    for corpus in corpora() {
        let facts: Vec<u64> = (0..corpus.world().facts()).step_by(3).collect();
        let twin = corpus.without(&facts).unwrap();
        assert_eq!(ShardPlan::new(&twin), ShardPlan::new(&corpus));
        let directory = in_memory();
        assert!(write_all(&twin, directory.path()).complete);
        let found = check(&twin, directory.path());
        assert!(found.bad.is_empty() && found.missing.is_empty());
        assert_eq!(found.tokens, all_tokens(&twin).len() as u64);
    }
    // A corpus without any facts is still a directory.
    let corpus = corpus("[world]\nsubjects = 20\nrelations = 1\nobjects = 4\n");
    let twin = corpus.without(&(0..20).collect::<Vec<_>>()).unwrap();
    let directory = in_memory();
    let summary = write_all(&twin, directory.path());
    assert_eq!((summary.complete, summary.bytes), (true, 0));
    assert_eq!(check(&twin, directory.path()).bad, []);
}

#[test]
fn the_estimate_of_bytes_is_exact_for_fixed_lengths_and_close_for_others() {
    for corpus in corpora() {
        let directory = in_memory();
        let bytes = write_all(&corpus, directory.path()).bytes as f64;
        let estimate = behemoth_gen::shard::estimated_bytes(&corpus) as f64;
        if corpus.document_tokens().is_some() {
            assert_eq!(estimate, bytes);
        } else {
            assert!(
                (estimate / bytes - 1.0).abs() < 0.02,
                "{estimate} for {bytes}"
            );
        }
    }
}

//! Directories: the same bytes however they come to be, nothing half-written is ever taken for
//! whole, and whatever is wrong is named.

mod common;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use behemoth_gen::shard::{ShardPlan, Summary, Verification, WriteOptions, verify, write};
use behemoth_gen::{Corpus, Error, Progress, Result};
use common::{all_tokens, corpus};
use tempfile::TempDir;

/// About ten shards each: fixed length, varying length, `bios`, 32-bit tokens.
fn corpora() -> Vec<Corpus> {
    [
        "[world]\nsubjects = 7000\nrelations = 3\nobjects = 40\n[corpus]\nshard_bytes = 65_536\n",
        "[world]\nsubjects = 2500\nrelations = 3\nobjects = 40\n[corpus]\nshard_bytes = 40_000\n\
         exposures = \"groups:1,2,4\"\ntemplates = {default = 1, repeats = 1, nonsense = 1}\n\
         inversion = 0.5\n",
        "[world]\nsubjects = 3000\nrelations = 4\nobjects = 40\n[corpus]\nshard_bytes = 65_536\n\
         order = \"bios\"\nexposures = \"groups:0,1,7\"\ndocuments_per_subject = 3\n",
        "[world]\nsubjects = 70_000\nrelations = 1\nobjects = 40\n[corpus]\nbase = 100_000\n\
         shard_bytes = 500_000\n",
    ]
    .map(corpus)
    .into()
}

fn small() -> Corpus {
    corpora().swap_remove(0)
}

/// A new directory in memory, where there is such a place: syncing to a disk takes most of the
/// time of these tests. It has no `O_DIRECT`; the first two tests write to a disk.
fn in_memory() -> TempDir {
    let shm = Path::new("/dev/shm");
    if shm.is_dir() {
        TempDir::new_in(shm).unwrap()
    } else {
        TempDir::new().unwrap()
    }
}

fn on_disk() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn write_with(corpus: &Corpus, directory: &Path, options: &WriteOptions) -> Result<Summary> {
    write(corpus, directory, options, &Progress::default())
}

fn write_all(corpus: &Corpus, directory: &Path) -> Summary {
    write_with(corpus, directory, &WriteOptions::default()).unwrap()
}

fn check(corpus: &Corpus, directory: &Path) -> Verification {
    verify(corpus, directory, 2, &Progress::default()).unwrap()
}

/// Every file below a directory with its bytes.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for folder in ["", "tokens"] {
        let entries = fs::read_dir(directory.join(folder));
        for entry in entries.into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let name = path.strip_prefix(directory).unwrap();
                files.insert(name.display().to_string(), fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// The files of a corpus written in one go, to compare with.
fn whole(corpus: &Corpus) -> BTreeMap<String, Vec<u8>> {
    let directory = in_memory();
    write_all(corpus, directory.path());
    files(directory.path())
}

fn assert_same(a: &BTreeMap<String, Vec<u8>>, b: &BTreeMap<String, Vec<u8>>) {
    assert!(a.keys().eq(b.keys()), "{:?} and {:?}", a.keys(), b.keys());
    for (name, bytes) in a {
        assert!(bytes == &b[name], "{name} differs");
    }
}

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
        assert_eq!(
            summary,
            Summary {
                shards_written: plan.count,
                shards_total: plan.count,
                complete: true,
                tokens: tokens.len() as u64,
                bytes: bytes.len() as u64,
                tokens_written: tokens.len() as u64,
                bytes_written: bytes.len() as u64,
                ..Summary::default()
            }
        );
        assert_eq!(progress.done.load(Ordering::Relaxed), bytes.len() as u64);
        // A bin and a record for each shard, the manifest, the spec; no temporary files.
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

/// A shard longer than what goes to the disk at once, with ends that are and are not aligned.
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

/// All of them want every shard: each is written by one, and found locked or whole by the others.
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
fn a_cancelled_write_goes_on_where_it_stopped() {
    for (number, corpus) in corpora().into_iter().enumerate() {
        let expected = whole(&corpus);
        for delay in [0u64, 1, 3, 7, 12] {
            let directory = in_memory();
            let progress = Progress::default();
            let first = std::thread::scope(|scope| {
                scope.spawn(|| {
                    std::thread::sleep(Duration::from_millis(delay + number as u64));
                    progress.cancel.store(true, Ordering::Relaxed);
                });
                write(
                    &corpus,
                    directory.path(),
                    &WriteOptions::default(),
                    &progress,
                )
            });
            let done = match first {
                Err(Error::Cancelled) => files(directory.path())
                    .keys()
                    .filter(|name| name.starts_with("tokens/") && name.ends_with(".json"))
                    .count() as u64,
                other => other.unwrap().shards_written,
            };
            let summary = write_all(&corpus, directory.path());
            assert_eq!(summary.shards_present, done, "what was whole is kept");
            assert_eq!(summary.shards_written, summary.shards_total - done);
            assert!(summary.complete);
            assert_same(&files(directory.path()), &expected);
        }
    }
}

const CHILD: &str = "BEHEMOTH_TEST_CHILD";

/// Runs [`child`] in a process of its own that writes `small()` to a directory.
fn in_a_child(directory: &Path, limits: &str) -> std::process::Child {
    let shell = format!("{limits} exec \"$0\" --exact child --nocapture");
    Command::new("sh")
        .args(["-c", &shell])
        .arg(std::env::current_exe().unwrap())
        .env(CHILD, directory)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn child() {
    if let Some(directory) = std::env::var_os(CHILD) {
        let options = WriteOptions {
            threads: 2,
            ..WriteOptions::default()
        };
        match write_with(&small(), Path::new(&directory), &options) {
            Ok(summary) => println!("wrote {}", summary.shards_written),
            Err(error) => println!("failed: {error}"),
        }
    }
}

#[test]
fn a_killed_write_goes_on_where_it_stopped() {
    let corpus = small();
    let expected = whole(&corpus);
    let directory = on_disk();
    let records = || {
        let names = fs::read_dir(directory.path().join("tokens"));
        let names = names
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().file_name());
        names
            .filter(|name| name.to_string_lossy().ends_with(".json"))
            .count()
    };
    // As early as can be, and then each time as one shard more is recorded.
    for wanted in [0, 0, 1, 2, 4, 5, 7] {
        let mut child = in_a_child(directory.path(), "");
        while records() < wanted && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_micros(50));
        }
        std::thread::sleep(Duration::from_micros(300 * wanted as u64));
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();
    }
    assert!(write_all(&corpus, directory.path()).complete);
    assert_same(&files(directory.path()), &expected);
}

/// A file system that refuses to write more, as a full disk does: a limit on the size of files.
#[test]
fn a_write_that_fails_midway_says_so_and_leaves_no_partial_shard() {
    let corpus = small();
    let directory = in_memory();
    // 40 blocks of 512 bytes: the manifest fits, a shard of 65,536 bytes does not.
    let child = in_a_child(directory.path(), "trap '' XFSZ; ulimit -f 40;");
    let output = child.wait_with_output().unwrap();
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = output.lines().find(|line| line.contains("failed: "));
    let line = line.unwrap_or_else(|| panic!("no failure in {output}"));
    assert!(
        line.contains("cannot write ") && line.contains("tokens/"),
        "{line}"
    );
    let left = files(directory.path());
    assert!(
        !left.keys().any(|name| name.contains("partial")),
        "{:?}",
        left.keys()
    );
    assert!(write_all(&corpus, directory.path()).complete);
    assert_same(&files(directory.path()), &whole(&corpus));
}

#[test]
fn a_second_write_finds_everything_there() {
    let corpus = small();
    let directory = in_memory();
    let first = write_all(&corpus, directory.path());
    let before = files(directory.path());
    let progress = Progress::default();
    let second = write(
        &corpus,
        directory.path(),
        &WriteOptions::default(),
        &progress,
    )
    .unwrap();
    assert_eq!(
        second,
        Summary {
            shards_written: 0,
            shards_present: first.shards_total,
            tokens_written: 0,
            bytes_written: 0,
            ..first
        }
    );
    assert_eq!(progress.done.load(Ordering::Relaxed), first.bytes);
    assert_same(&files(directory.path()), &before);
}

/// Everything that can be wrong with a shard, with what verify says of it.
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
            "has 1000 bytes, and its record says 49152",
            true,
        ),
        (
            |tokens| {
                let mut bytes = fs::read(tokens.join("00003.bin")).unwrap();
                bytes.push(0);
                fs::write(tokens.join("00003.bin"), bytes).unwrap();
            },
            "has 49153 bytes, and its record says 49152",
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
            "has no completion record tokens/00003.json",
            true,
        ),
        (
            |tokens| fs::write(tokens.join("00003.json"), "{\"file\":").unwrap(),
            "has no completion record tokens/00003.json",
            true,
        ),
        (
            // The record of another shard.
            |tokens| {
                let text = fs::read_to_string(tokens.join("00002.json")).unwrap();
                fs::write(tokens.join("00003.json"), text).unwrap();
            },
            "is as its spec says, and its record has another hash",
            false,
        ),
        (
            |tokens| {
                let text = fs::read_to_string(tokens.join("00003.json")).unwrap();
                let text = text.replace("\"documents\": 2048", "\"documents\": 2047");
                fs::write(tokens.join("00003.json"), text).unwrap();
            },
            "has a record with other counts",
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
            "has no completion record tokens/00003.json",
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
        // What a resume can see without reading every byte, it mends; force mends all.
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
            "says another 'counts' than the corpus has",
        ),
        (
            "manifest.json",
            "\"dtype\": \"uint16\"",
            "\"dtype\": \"uint32\"",
            "says another 'dtype' than the corpus has",
        ),
        (
            "manifest.json",
            "\"complete\": true",
            "\"complete\": false",
            "says another 'complete' than the corpus has",
        ),
        (
            "manifest.json",
            "\"first_document\": 2048",
            "\"first_document\": 2049",
            "says another 'shards' than the corpus has",
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

/// The message of a write that is refused, after checking that it left the directory alone.
fn refused(corpus: &Corpus, directory: &Path, force: bool) -> String {
    let before = files(directory);
    let options = WriteOptions {
        force,
        ..WriteOptions::default()
    };
    let error = write_with(corpus, directory, &options).unwrap_err();
    assert!(matches!(error, Error::Corpus { .. }), "{error:?}");
    assert_same(&files(directory), &before);
    error.to_string()
}

#[test]
fn a_directory_of_another_corpus_is_refused_and_replaced_by_force() {
    let [corpus, other] = [0, 1].map(|i| corpora().swap_remove(i));
    let directory = in_memory();
    let path = directory.path();
    write_all(&other, path);
    fs::create_dir(path.join("probes")).unwrap();
    fs::write(path.join("probes/default.parquet"), "of the other corpus").unwrap();
    let short = |corpus: &Corpus| corpus.spec().hash()[..12].to_string();
    let expected = format!(
        "{}: holds another corpus (spec {}, asked for {}); \
         choose another directory or replace it by force",
        path.display(),
        short(&other),
        short(&corpus)
    );
    assert_eq!(refused(&corpus, path, false), expected);
    assert_eq!(
        verify(&corpus, path, 1, &Progress::default())
            .unwrap_err()
            .to_string(),
        expected
    );
    let options = WriteOptions {
        force: true,
        ..WriteOptions::default()
    };
    fs::write(path.join("notes.txt"), "the user's own").unwrap();
    assert!(write_with(&corpus, path, &options).unwrap().complete);
    assert_eq!(
        fs::read_to_string(path.join("notes.txt")).unwrap(),
        "the user's own"
    );
    assert!(
        !path.join("probes").exists(),
        "probes of the other corpus are gone"
    );
    fs::remove_file(path.join("notes.txt")).unwrap();
    assert_same(&files(path), &whole(&corpus));
}

#[test]
fn a_manifest_of_another_version_is_refused() {
    let corpus = small();
    let directory = in_memory();
    let path = directory.path();
    write_all(&corpus, path);
    let manifest = path.join("manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    let newer = text.replacen("\"format_version\": 1", "\"format_version\": 2", 1);
    fs::write(&manifest, newer).unwrap();
    let expected = format!(
        "{}: format version 2, and this version of behemoth reads and writes 1",
        manifest.display()
    );
    assert_eq!(refused(&corpus, path, false), expected);
    let error = verify(&corpus, path, 1, &Progress::default()).unwrap_err();
    assert_eq!(error.to_string(), expected);
    let options = WriteOptions {
        force: true,
        ..WriteOptions::default()
    };
    write_with(&corpus, path, &options).unwrap();
    assert_same(&files(path), &whole(&corpus));
}

fn replace(corpus: &Corpus, path: &Path) {
    let options = WriteOptions {
        force: true,
        ..WriteOptions::default()
    };
    assert!(write_with(corpus, path, &options).unwrap().complete);
    assert_same(&files(path), &whole(corpus));
}

#[test]
fn directories_of_something_else_are_refused_even_by_force() {
    let corpus = small();
    type Make = fn(&Path);
    let cases: [Make; 6] = [
        |path| fs::write(path.join("thesis.tex"), "years of work").unwrap(),
        |path| fs::write(path.join("manifest.json"), "{\"name\": \"an extension\"}").unwrap(),
        |path| fs::write(path.join("manifest.json"), "not even JSON").unwrap(),
        |path| {
            fs::create_dir(path.join("tokens")).unwrap();
            fs::write(path.join("tokens/00000.bin"), "a numismatist's").unwrap();
        },
        |path| fs::write(path.join("spec.toml"), "[package]\n").unwrap(),
        |path| {
            // Another corpus that lost its manifest.
            write_all(&corpora().swap_remove(1), path);
            fs::remove_file(path.join("manifest.json")).unwrap();
        },
    ];
    for (number, make) in cases.into_iter().enumerate() {
        for force in [false, true] {
            let directory = in_memory();
            let path = directory.path();
            fs::create_dir_all(path.join("tokens")).unwrap();
            fs::remove_dir(path.join("tokens")).unwrap();
            make(path);
            fs::create_dir_all(path.join("tokens")).unwrap();
            if number == 5 && force {
                // What is known for a corpus of ours can be replaced.
                replace(&corpus, path);
                continue;
            }
            let message = refused(&corpus, path, force);
            let expected = if number == 1 || number == 2 {
                ": not a manifest of behemoth: "
            } else {
                ": is not empty and not this corpus; choose another directory"
            };
            assert!(message.contains(expected), "{message}");
        }
    }
    let empty = in_memory();
    let error = verify(&corpus, empty.path(), 1, &Progress::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{}: is not a corpus: it has no manifest.json",
            empty.path().display()
        )
    );
}

/// The state between the first two files of a write, as a kill may leave it.
#[test]
fn a_directory_that_has_only_its_spec_is_gone_on_with() {
    let corpus = small();
    let directory = in_memory();
    let path = directory.path();
    fs::write(path.join("spec.toml"), corpus.spec().to_toml()).unwrap();
    assert!(write_all(&corpus, path).complete);
    assert_same(&files(path), &whole(&corpus));
}

#[test]
fn parts_are_refused_that_do_not_exist_or_come_with_force() {
    let corpus = small();
    let directory = in_memory();
    let path = directory.path().join("never");
    for (part, force, message) in [
        (
            (2, 2),
            false,
            "argument 'part': got 2/2, allowed: i/n with i from 0 to n - 1",
        ),
        (
            (0, 0),
            false,
            "argument 'part': got 0/0, allowed: i/n with i from 0 to n - 1",
        ),
        (
            (1, 2),
            true,
            "argument 'force': got true for part 1/2, \
             allowed: false for a part: each job would remove what the others wrote",
        ),
    ] {
        let options = WriteOptions {
            threads: 1,
            part,
            force,
        };
        let error = write_with(&corpus, &path, &options).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    assert!(!path.exists(), "refused before anything is written");
}

#[test]
fn too_little_disk_is_found_before_anything_is_written() {
    let directory = in_memory();
    let path = directory.path().join("never");
    let corpus = corpus("[world]\nsubjects = 1e15\nrelations = 1\nobjects = 9\n");
    let error = write_with(&corpus, &path, &WriteOptions::default()).unwrap_err();
    let Error::Disk { needed, free, .. } = error else {
        panic!("{error:?}");
    };
    // Subjects of five tokens, 15 tokens a sentence.
    assert_eq!(needed, 15 * 2 * 1_000_000_000_000_000);
    assert_eq!(
        error.to_string(),
        format!(
            "not enough disk for {}: {needed} bytes needed, {free} bytes free",
            path.display()
        )
    );
    assert!(!path.exists());
}

#[test]
fn more_shards_than_a_manifest_can_list_are_refused() {
    let directory = on_disk();
    let path = directory.path().join("never");
    // 2.2 billion documents, of which one in 2,200 has a sentence.
    let corpus = corpus(
        "[world]\nsubjects = 1_000_000\nrelations = 1\n[corpus]\nshard_bytes = 4096\n\
         order = \"bios\"\ndocuments_per_subject = 2200\n",
    );
    match write_with(&corpus, &path, &WriteOptions::default()) {
        Err(Error::Disk { free, .. }) if free < 5 << 30 => {}
        other => assert_eq!(
            other.unwrap_err().to_string(),
            "argument 'shard_bytes': got a size that makes 1074219 shards, \
             allowed: a size that makes at most 1048576"
        ),
    }
    assert!(!path.exists());
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let corpus = small();
    let directory = in_memory();
    // Below a regular file nobody can make a directory, not even root.
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("corpus")] {
        let error = write_with(&corpus, &path, &WriteOptions::default()).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error:?}");
        let message = error.to_string();
        assert!(
            message.starts_with("cannot ") && message.contains(&path.display().to_string()),
            "{message}"
        );
        assert_eq!(message.lines().count(), 1);
    }
    assert_eq!(fs::read(&file).unwrap(), b"");
    // A directory without permission to write, which stops everybody but root.
    let closed = directory.path().join("closed");
    fs::create_dir(&closed).unwrap();
    let mut permissions = fs::metadata(&closed).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&closed, permissions).unwrap();
    if File::create(closed.join("probe")).is_err() {
        let path = closed.join("corpus");
        let error = write_with(&corpus, &path, &WriteOptions::default()).unwrap_err();
        assert!(error.to_string().contains("ermission denied"), "{error}");
    }
}

#[test]
fn a_shard_that_another_process_writes_is_left_to_it() {
    let corpus = small();
    let directory = in_memory();
    let path = directory.path();
    let tokens = path.join("tokens");
    fs::write(path.join("spec.toml"), corpus.spec().to_toml()).unwrap();
    fs::create_dir(&tokens).unwrap();
    let partial = tokens.join("00004.bin.partial");
    let lock = File::create(&partial).unwrap();
    lock.lock().unwrap();
    fs::write(&partial, "half a shard").unwrap();
    let summary = write_all(&corpus, path);
    assert_eq!(summary.shards_locked, 1);
    assert_eq!(summary.shards_written, summary.shards_total - 1);
    assert!(!summary.complete);
    assert_eq!(fs::read(&partial).unwrap(), b"half a shard", "left alone");
    assert_eq!(check(&corpus, path).missing, ["tokens/00004.bin"]);
    // The other process dies, and with it its lock: the next write takes its shard over.
    drop(lock);
    // A process that another test was just starting may hold the lock a moment longer.
    while File::open(&partial).unwrap().try_lock().is_err() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let summary = write_all(&corpus, path);
    assert_eq!((summary.shards_locked, summary.shards_written), (0, 1));
    assert!(summary.complete);
    assert_same(&files(path), &whole(&corpus));
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
    // Left without any fact, a corpus is all the same a directory.
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

#[test]
fn what_killed_runs_left_of_manifest_and_spec_is_swept_away() {
    let corpus = small();
    let expected = whole(&corpus);
    let directory = on_disk();
    write_all(&corpus, directory.path());
    fs::remove_file(directory.path().join("tokens/00003.json")).unwrap();
    for name in [
        "manifest.json.6875598fbcfdaeb2.partial",
        "spec.toml.0123456789abcdef.partial",
        "tokens/00003.json.fedcba9876543210.partial",
    ] {
        fs::write(directory.path().join(name), "{").unwrap();
    }
    assert!(write_all(&corpus, directory.path()).complete);
    assert_same(&files(directory.path()), &expected);
}

//! Writes that were cancelled, killed, failed or are running in another process: the next one
//! resumes where they stopped.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use behemoth_gen::shard::{WriteOptions, write};
use behemoth_gen::{Error, Progress};

use crate::{
    assert_same, check, corpora, files, in_memory, on_disk, small, whole, write_all, write_with,
};

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

/// Runs [`child`] in a separate process that writes `small()` to a directory; `before` are words of
/// a command that starts another.
fn in_a_child(directory: &Path, before: &[&str]) -> std::process::Child {
    let own = std::env::current_exe().unwrap();
    let mut words: Vec<_> = before.iter().map(std::ffi::OsString::from).collect();
    words.push(own.into());
    Command::new(&words[0])
        .args(&words[1..])
        .args(["--exact", "resume::child", "--nocapture"])
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
    // As early as possible, then each time when one more shard is recorded.
    for wanted in [0, 0, 1, 2, 4, 5, 7] {
        let mut child = in_a_child(directory.path(), &[]);
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

/// A file system that refuses to write more, like a full disk: a limit on the size of files.
#[cfg(unix)] // Windows has no such limit
#[test]
fn a_write_that_fails_midway_says_so_and_leaves_no_partial_shard() {
    let corpus = small();
    let directory = in_memory();
    // 40 blocks of 512 bytes: the manifest fits, a shard of 65,536 bytes does not.
    let limit = "trap '' XFSZ; ulimit -f 40; exec \"$0\" \"$@\"";
    let child = in_a_child(directory.path(), &["sh", "-c", limit]);
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
    assert_eq!(progress.done.load(Ordering::Relaxed), first.bytes);
    let mut present = first;
    present.shards_written = 0;
    present.shards_present = present.shards_total;
    present.tokens_written = 0;
    present.bytes_written = 0;
    assert_eq!(second, present);
    assert_same(&files(directory.path()), &before);
}

/// The state between the first two files of a write, which a kill may leave.
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
fn a_shard_that_another_process_writes_is_left_to_it() {
    let corpus = small();
    let directory = in_memory();
    let path = directory.path();
    let tokens = path.join("tokens");
    fs::write(path.join("spec.toml"), corpus.spec().to_toml()).unwrap();
    fs::create_dir(&tokens).unwrap();
    let claim = tokens.join("00004.bin.lock");
    let lock = File::create(&claim).unwrap();
    lock.lock().unwrap();
    fs::write(&claim, "a claim").unwrap();
    let summary = write_all(&corpus, path);
    assert_eq!(summary.shards_locked, 1);
    assert_eq!(summary.shards_written, summary.shards_total - 1);
    assert!(!summary.complete);
    assert_eq!(fs::read(&claim).unwrap(), b"a claim", "left alone");
    assert_eq!(check(&corpus, path).missing, ["tokens/00004.bin"]);
    // The other process ends and releases its lock: the next write takes over its shard.
    drop(lock);
    // A process that another test was just starting may hold the lock slightly longer.
    while File::open(&claim).unwrap().try_lock().is_err() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let summary = write_all(&corpus, path);
    assert_eq!((summary.shards_locked, summary.shards_written), (0, 1));
    assert!(summary.complete);
    assert_same(&files(path), &whole(&corpus));
}

#[test]
fn what_killed_runs_left_is_swept_away() {
    let corpus = small();
    let expected = whole(&corpus);
    let directory = on_disk();
    write_all(&corpus, directory.path());
    fs::remove_file(directory.path().join("tokens/00003.json")).unwrap();
    for name in [
        "manifest.json.6875598fbcfdaeb2.partial",
        "spec.toml.0123456789abcdef.partial",
        "tokens/00003.json.fedcba9876543210.partial",
        "tokens/00003.bin.fedcba9876543210.partial",
        "tokens/00003.bin.lock",
    ] {
        fs::write(directory.path().join(name), "{").unwrap();
    }
    assert!(write_all(&corpus, directory.path()).complete);
    assert_same(&files(directory.path()), &expected);
}

/// Links with the names that a write uses: they are replaced or removed, and never followed.
#[cfg(unix)] // on Windows only administrators may make links
#[test]
fn planted_links_are_not_followed() {
    let corpus = small();
    let directory = in_memory();
    let path = directory.path().join("corpus");
    let victim = directory.path().join("victim");
    fs::write(&victim, "years of work").unwrap();
    fs::create_dir_all(path.join("tokens")).unwrap();
    fs::write(path.join("spec.toml"), corpus.spec().to_toml()).unwrap();
    for name in [
        "tokens/00000.bin",
        "tokens/00001.bin.lock",
        "tokens/00002.bin.0123456789abcdef.partial",
        "tokens/00003.json.0123456789abcdef.partial",
        "manifest.json.0123456789abcdef.partial",
    ] {
        std::os::unix::fs::symlink(&victim, path.join(name)).unwrap();
    }
    assert!(write_all(&corpus, &path).complete);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "years of work");
    assert_same(&files(&path), &whole(&corpus));
    for name in files(&path).keys() {
        let found = fs::symlink_metadata(path.join(name)).unwrap();
        assert!(found.is_file(), "{name} is no link");
    }
}

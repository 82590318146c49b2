//! Writes that are refused: directories of something else, parts that do not exist, and directories
//! without space or permission.

use std::fs::{self, File};
use std::path::Path;

use behemoth_gen::shard::{WriteOptions, verify};
use behemoth_gen::{Corpus, Error, Progress};

use crate::common::corpus;
use crate::{assert_same, corpora, files, in_memory, on_disk, small, whole, write_all, write_with};

/// Returns the message of a write that is refused, after checking that it did not change the
/// directory.
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
        "{}: contains another corpus (spec {}, not {}); \
         choose another directory, or `force` to replace it",
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
    let own = ["notes.txt", "tokens/notes.txt"].map(|name| path.join(name));
    for file in &own {
        fs::write(file, "the user's own").unwrap();
    }
    assert!(write_with(&corpus, path, &options).unwrap().complete);
    for file in &own {
        assert_eq!(fs::read_to_string(file).unwrap(), "the user's own");
    }
    assert!(
        !path.join("probes").exists(),
        "probes of the other corpus are gone"
    );
    for file in &own {
        fs::remove_file(file).unwrap();
    }
    assert_same(&files(path), &whole(&corpus));
}

#[test]
fn a_manifest_of_an_unknown_version_is_refused() {
    let corpus = small();
    let directory = in_memory();
    let path = directory.path();
    write_all(&corpus, path);
    let manifest = path.join("manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    let newer = text.replacen("\"format_version\": 3", "\"format_version\": 99", 1);
    fs::write(&manifest, newer).unwrap();
    let expected = format!(
        "{}: format version 99, and this version of behemoth reads and writes 1, 2 and 3",
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

#[test]
fn a_directory_of_an_earlier_version_is_gone_on_with_as_such_alone() {
    let text = "[world]\nsubjects = 50\n[corpus]\nquestions = {subjects = 0.5, sentences = 0.2}\n";
    let (earlier, latest) = (corpus(&format!("format_version = 1\n{text}")), corpus(text));
    let directory = in_memory();
    let path = directory.path();
    write_all(&earlier, path);
    let manifest = fs::read_to_string(path.join("manifest.json")).unwrap();
    assert!(
        manifest.starts_with("{\n  \"format_version\": 1,"),
        "{manifest}"
    );
    let before = whole(&earlier);
    fs::remove_file(path.join("tokens/00000.json")).unwrap();
    write_all(&earlier, path);
    assert_same(&files(path), &before);
    let found = verify(&earlier, path, 1, &Progress::default()).unwrap();
    assert!(
        found.bad.is_empty() && found.missing.is_empty(),
        "{found:?}"
    );
    let expected = format!(
        "{}: contains a corpus of format version 1, not 3; \
         choose another directory, or `force` to replace it",
        path.display()
    );
    assert_eq!(refused(&latest, path, false), expected);
    replace(&latest, path);
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
                // A directory identified as a corpus can be replaced.
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
    let Error::Disk { needed, .. } = error else {
        panic!("{error:?}");
    };
    // Subjects of five tokens, 15 tokens per sentence.
    assert_eq!(needed, 15 * 2 * 1_000_000_000_000_000);
    let message = error.to_string();
    let start = format!(
        "not enough disk for {}: 30.0 PB needed and 16 MiB to be left free, ",
        path.display()
    );
    assert!(message.starts_with(&start), "{message}");
    assert!(message.ends_with(" would fit"), "{message}");
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
    // No user can create a directory below a regular file, not even root.
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
    // A directory without permission to write, which stops every user except root.
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

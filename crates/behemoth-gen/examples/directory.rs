//! A corpus on disk: written in two parts, as two jobs would, verified, damaged and verified again.
//! `cargo run --example directory [DIR]`.

use std::path::PathBuf;
use std::{env, fs, process};

use behemoth_gen::shard::{WriteOptions, verify, write};
use behemoth_gen::{Corpus, Progress, Result, Spec};

fn main() -> Result<()> {
    let directory = env::args_os().nth(1).map_or_else(
        || env::temp_dir().join(format!("behemoth-example-{}", process::id())),
        PathBuf::from,
    );
    let spec = Spec::from_toml(
        "[world]\nsubjects = 50_000\nrelations = 4\nobjects = 100\n\
         [corpus]\nexposures = \"zipf:alpha=1,min=1,max=100\"\nshard_bytes = 1_000_000\n",
    )?;
    let corpus = Corpus::from_spec(spec)?;
    let progress = Progress::default();
    for part in 0..2 {
        let options = WriteOptions {
            part: (part, 2),
            ..WriteOptions::default()
        };
        let summary = write(&corpus, &directory, &options, &progress)?;
        println!(
            "part {part}: {} of {} shards, {} tokens; complete: {}",
            summary.shards_written, summary.shards_total, summary.tokens_written, summary.complete
        );
    }
    let found = verify(&corpus, &directory, 0, &progress)?;
    println!(
        "verified: {} tokens, {} bad files",
        found.tokens,
        found.bad.len()
    );

    let shard = directory.join("tokens/00001.bin");
    if let Ok(mut bytes) = fs::read(&shard) {
        if let Some(byte) = bytes.get_mut(12_345) {
            *byte ^= 1;
        }
        if fs::write(&shard, bytes).is_ok() {
            let found = verify(&corpus, &directory, 0, &progress)?;
            for bad in found.bad {
                println!("one bit later: {} {}", bad.file, bad.reason);
            }
        }
    }
    if env::args_os().nth(1).is_none() {
        // Only a directory that this run created.
        let _ = fs::remove_dir_all(&directory);
    }
    Ok(())
}

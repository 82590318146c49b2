//! The properties of each parser for any input: one function per parser, which panics on a
//! violation and otherwise returns whether the input is accepted.
//!
//! `cargo fuzz` searches for inputs that make one panic, hang or use too much memory (`fuzz/`); the
//! test `fuzz` runs the same functions on the inputs that are checked in, with stable Rust.

mod background;
mod bytes;
mod corpus;
mod decode;
mod directory;
mod exposures;
mod grammar;
mod spec;
mod table;

use std::path::PathBuf;

use behemoth_gen::Error;

pub use self::background::background;
pub use self::corpus::corpus;
pub use self::decode::decode;
pub use self::directory::{manifest, record};
pub use self::exposures::exposures;
pub use self::grammar::grammar;
pub use self::spec::spec;
pub use self::table::table;

/// A function of this module.
pub type Target = fn(&[u8]) -> bool;

/// All functions, by the names of their folders in `fuzz/corpus`.
pub const ALL: [(&str, Target); 9] = [
    ("spec", spec),
    ("corpus", corpus),
    ("exposures", exposures),
    ("grammar", grammar),
    ("manifest", manifest),
    ("record", record),
    ("table", table),
    ("background", background),
    ("decode", decode),
];

/// Returns a folder for temporary files, in memory if possible, since syncing to a disk would take
/// most of the time.
fn in_memory() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() {
        memory
    } else {
        std::env::temp_dir()
    }
}

/// Checks that an error is one line of limited length; returns that the input is not accepted.
fn refused(error: &Error) -> bool {
    let text = error.to_string();
    assert!(!text.contains('\n'), "two lines: {text:?}");
    assert!(text.len() < 4096, "a refusal of {} bytes", text.len());
    false
}

//! What is held of each parser whatever it is given: one function a parser, which panics where
//! it does not hold.
//!
//! `cargo fuzz` looks for inputs that make one panic, hang or take memory (`fuzz/`); the test
//! beside this file runs the same functions over the inputs that are checked in, with stable Rust.

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

/// One of the functions of this module.
pub type Target = fn(&[u8]);

/// All of them, by the names of their folders in `fuzz/corpus`.
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

/// A folder for files that are gone soon: in memory, where there is such a place, since syncing
/// to a disk would take most of the time.
fn in_memory() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() {
        memory
    } else {
        std::env::temp_dir()
    }
}

/// A refusal is one line of a length that people read.
fn assert_refusal(error: &Error) {
    let text = error.to_string();
    assert!(!text.contains('\n'), "two lines: {text:?}");
    assert!(text.len() < 4096, "a refusal of {} bytes", text.len());
}

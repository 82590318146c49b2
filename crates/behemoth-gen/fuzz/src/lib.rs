//! The targets, which the test `fuzz` of the crate also runs.

#[path = "../../tests/fuzz/targets/mod.rs"]
pub mod targets;

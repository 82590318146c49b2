//! The targets, which the test `fuzz` of the crate runs as well.

#[path = "../../tests/fuzz/targets/mod.rs"]
pub mod targets;

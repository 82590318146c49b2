//! Write, resume and verify the shards of a corpus directory.
//!
//! A shard is some pages of documents, made from first to last by one thread; threads take
//! shards in turn, so the bytes cannot depend on their number. Tokens are written by the engine
//! straight into the buffer that goes to the disk, past the page cache where the file system
//! allows it (`O_DIRECT`): on the machine this was tuned on that writes 3 GB/s where buffered
//! writes reach 1.1 to 1.8, and it costs no copy. Writing through a mapping of a new file was
//! three times slower.
//!
//! A shard has a temporary name until it is whole and synced; then it is renamed, then recorded.
//! A killed run loses the shards in work and nothing else.

mod direct;
mod files;
mod manifest;
mod names;
mod plan;
mod resume;
mod verify;
mod write;

pub use self::manifest::{Counts, Manifest, ShardEntry, ShardRecord, classes_json, dtype};
pub use self::plan::{ShardPlan, estimated_bytes};
pub use self::resume::free_bytes;
pub use self::verify::{BadFile, Verification, verify};
pub use self::write::{Summary, WriteOptions, write};

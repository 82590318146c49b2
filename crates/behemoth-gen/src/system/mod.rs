//! What each operating system does in a way of its own: reads and writes at an offset, files that
//! are opened without following links, identities of files, free space.
//!
//! Both modules have the same functions; no other module asks for the system.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::{
    create_unfollowed, free_bytes, is_at, is_out_of_files, open_unfollowed, read_exact_at, rename,
    set_direct, sync_directory, write_all_at,
};
#[cfg(windows)]
pub(crate) use windows::{
    create_unfollowed, free_bytes, is_at, is_out_of_files, open_unfollowed, read_exact_at, rename,
    set_direct, sync_directory, write_all_at,
};

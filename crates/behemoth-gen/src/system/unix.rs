//! Linux and macOS.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// Reads bytes at an offset, whatever the position of the file.
pub(crate) fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    file.read_exact_at(bytes, offset)
}

/// Writes bytes at an offset, whatever the position of the file.
pub(crate) fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    file.write_all_at(bytes, offset)
}

/// Returns `true` if an open file is the one at a path, and not the target of a link there.
pub(crate) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// Returns `true` if a file was not opened because the process has too many open.
pub(crate) fn is_out_of_files(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error())
}

/// Opens a file to read and write, or creates it; returns `None` if there is a link at the path.
pub(crate) fn create_unfollowed(path: &Path) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    opened(&mut options, OFlags::NOFOLLOW, path)
}

/// Opens a file to lock it, without waiting for the writer of a pipe; returns `None` if there is a
/// link at the path.
///
/// NFS locks only files that are open for writing. A file that may only be read is opened to read.
pub(crate) fn open_unfollowed(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    match opened(options.read(true).write(true), flags, path) {
        Err(e) if e.kind() == ErrorKind::PermissionDenied => {
            opened(OpenOptions::new().read(true), flags, path)
        }
        result => result,
    }
}

fn opened(options: &mut OpenOptions, flags: OFlags, path: &Path) -> io::Result<Option<File>> {
    match options.custom_flags(flags.bits() as i32).open(path) {
        Err(e) if e.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => Ok(None),
        result => result.map(Some),
    }
}

/// Makes writes to a file bypass the page cache, or not; returns whether they do. They never do on
/// macOS.
///
/// # Errors
///
/// File systems that do not support it (tmpfs, some network ones) return an error.
#[cfg(target_os = "linux")]
pub(crate) fn set_direct(file: &File, is_direct: bool) -> io::Result<bool> {
    let flags = rustix::fs::fcntl_getfl(file)?;
    let flags = if is_direct {
        flags | OFlags::DIRECT
    } else {
        flags - OFlags::DIRECT
    };
    rustix::fs::fcntl_setfl(file, flags)?;
    Ok(is_direct)
}

/// See Linux.
#[cfg(not(target_os = "linux"))]
pub(crate) fn set_direct(_: &File, _: bool) -> io::Result<bool> {
    Ok(false)
}

/// Renames a file, over another one if there is one.
pub(crate) fn rename(path: &Path, target: &Path) -> io::Result<()> {
    fs::rename(path, target)
}

/// Syncs a directory, and so the names of its files.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Returns the number of bytes available to the user in the file system of a directory.
pub(crate) fn free_bytes(directory: &Path) -> io::Result<u64> {
    let status = rustix::fs::statvfs(directory)?;
    Ok(status.f_bavail.saturating_mul(status.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What NFS requires of a file that is to be locked.
    #[test]
    fn a_file_to_be_locked_is_open_for_writing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let opened = open_unfollowed(file.path()).unwrap().unwrap();
        write_all_at(&opened, b"x", 0).unwrap();
        let mut permissions = file.as_file().metadata().unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(file.path(), permissions).unwrap();
        assert!(open_unfollowed(file.path()).unwrap().is_some());
    }
}

//! Windows.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::windows::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

/// `ERROR_TOO_MANY_OPEN_FILES`.
const TOO_MANY_FILES: i32 = 4;

/// `FILE_FLAG_OPEN_REPARSE_POINT`: a link is opened itself, instead of its target.
const OPEN_LINK: u32 = 0x0020_0000;

/// Each pause before another attempt to rename is twice the one before.
const LONGEST_PAUSE: Duration = Duration::from_millis(1000);

/// Reads bytes at an offset; this moves the position of the file, which no caller uses.
pub(crate) fn read_exact_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.seek_read(bytes, offset) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                bytes = &mut bytes[count..];
                offset += count as u64;
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Returns `true` if a file was not opened because the process has too many open.
pub(crate) fn is_out_of_files(error: &io::Error) -> bool {
    error.raw_os_error() == Some(TOO_MANY_FILES)
}

/// Writes bytes at an offset; this moves the position of the file, which no caller uses.
pub(crate) fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.seek_write(bytes, offset) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => {
                bytes = &bytes[count..];
                offset += count as u64;
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Returns `true` if an open file is the one at a path, and not the target of a link there.
pub(crate) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    // The standard library does not yet show the number of a file.
    let ours = same_file::Handle::from_file(file.try_clone()?)?;
    match open_unfollowed(path) {
        Ok(None) => Ok(false),
        Ok(Some(there)) => Ok(same_file::Handle::from_file(there)? == ours),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// Opens a file to read and write, or creates it; returns `None` if there is a link at the path.
pub(crate) fn create_unfollowed(path: &Path) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    opened(
        options.read(true).write(true).create(true).truncate(false),
        path,
    )
}

/// Opens a file to read; returns `None` if there is a link at the path.
pub(crate) fn open_unfollowed(path: &Path) -> io::Result<Option<File>> {
    opened(OpenOptions::new().read(true), path)
}

fn opened(options: &mut OpenOptions, path: &Path) -> io::Result<Option<File>> {
    // Before it is opened: that of a link to a directory would be refused.
    if fs::symlink_metadata(path).is_ok_and(|there| there.is_symlink()) {
        return Ok(None);
    }
    let file = options.custom_flags(OPEN_LINK).open(path)?;
    Ok((!file.metadata()?.is_symlink()).then_some(file))
}

/// Returns that writes to a file do not bypass the page cache.
pub(crate) fn set_direct(_: &File, _: bool) -> io::Result<bool> {
    Ok(false)
}

/// Renames a file, over another one if there is one.
///
/// This is refused for as long as another process (a writer of the same file, a virus scanner) has
/// the target open, so it is tried again for about a second.
pub(crate) fn rename(path: &Path, target: &Path) -> io::Result<()> {
    let mut pause = Duration::from_millis(1);
    loop {
        match fs::rename(path, target) {
            Err(e) if e.kind() == ErrorKind::PermissionDenied && pause < LONGEST_PAUSE => {
                std::thread::sleep(pause);
                pause *= 2;
            }
            result => return result,
        }
    }
}

/// Does nothing: NTFS records names in its journal, and directories cannot be synced.
pub(crate) fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Returns the number of bytes available to the user in the file system of a directory.
pub(crate) fn free_bytes(directory: &Path) -> io::Result<u64> {
    fs4::available_space(directory)
}

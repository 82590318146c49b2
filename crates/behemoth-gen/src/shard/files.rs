//! Files in work: the one place where the engine makes, claims and sweeps temporary files.
//!
//! A temporary file has a random name and is opened exclusively, so that nothing that stands at
//! the name is ever followed or overwritten, and two runs never meet at it. It is locked as long as
//! it is in work: what is unlocked was left by a run that was killed, and may be swept. Before it
//! is locked a sweeper may take a new file for a leftover; so whoever has locked one looks whether
//! it is still there, and otherwise makes another.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::names;
use crate::error::{Error, Result};

/// Attempts at a file that is gone each time it is locked: each means that another process swept
/// or renamed it just then.
const TURNS: usize = 100;

/// Whether an open file is the one that stands at a path.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    // Not the target of a link that has taken its place.
    match fs::symlink_metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// Whether this process has the file to itself; none where its file system has no locks.
fn try_lock(file: &File) -> Option<bool> {
    match file.try_lock() {
        Ok(()) => Some(true),
        Err(TryLockError::WouldBlock) => Some(false),
        Err(TryLockError::Error(_)) => None,
    }
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// A file under a temporary name: removed when it is dropped before it was kept.
pub(super) struct Temporary {
    pub(super) file: File,
    pub(super) path: PathBuf,
    target: PathBuf,
    is_kept: bool,
}

impl Temporary {
    /// Makes a new file beside `target`, which it may become.
    pub(super) fn create(target: &Path) -> Result<Self> {
        for _ in 0..TURNS {
            let random = std::hash::RandomState::new().build_hasher().finish();
            let path = target.with_file_name(names::temporary(&file_name(target), random));
            // O_EXCL: neither a file nor a link may stand there.
            let file = match OpenOptions::new().write(true).create_new(true).open(&path) {
                Err(e) if e.kind() == ErrorKind::AlreadyExists => continue,
                result => result.map_err(Error::io("create", &path))?,
            };
            let temporary = Temporary {
                file,
                path,
                target: target.to_path_buf(),
                is_kept: false,
            };
            // Locked by somebody: a sweeper, who takes it for a leftover.
            let is_ours = try_lock(&temporary.file) != Some(false);
            let path = &temporary.path;
            if is_ours && is_at(&temporary.file, path).map_err(Error::io("read", path))? {
                return Ok(temporary);
            }
        }
        Err(Error::corpus(
            target,
            "its temporary file is gone each time it is made; its file system cannot hold it",
        ))
    }

    /// Syncs the bytes and gives the file its name; the directory is the caller's to sync.
    pub(super) fn keep(mut self) -> Result<()> {
        self.file
            .sync_data()
            .map_err(Error::io("sync", &self.path))?;
        fs::rename(&self.path, &self.target).map_err(Error::io("rename", &self.path))?;
        self.is_kept = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.is_kept {
            // What is left of it would only take up room; the first error is the one to tell.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Writes a file so that it is never seen half-written: temporary name, sync, rename, sync of
/// the directory.
pub(super) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut temporary = Temporary::create(path)?;
    temporary
        .file
        .write_all(bytes)
        .map_err(Error::io("write", path))?;
    temporary.keep()?;
    sync_directory(path.parent().unwrap_or(Path::new(".")))
}

/// Syncs the names of a directory.
pub(super) fn sync_directory(path: &Path) -> Result<()> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(Error::io("sync", path))
}

/// The bytes of a file, which may be no text; nothing if there is none.
pub(super) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("read", path)(e)),
    }
}

/// The claim of a process on a shard: an empty file beside it, locked. It says to others which
/// shard is in work, which the random name of its bytes does not.
pub(super) struct Claim {
    /// Keeps the lock.
    _file: File,
    path: PathBuf,
}

impl Claim {
    /// Claims a shard; nothing if another process has.
    pub(super) fn take(shard: &Path) -> Result<Option<Self>> {
        let path = shard.with_file_name(names::lock(&file_name(shard)));
        for _ in 0..TURNS {
            // Not followed, not truncated, never written to: whatever stands there stays as it is.
            let no_follow = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
            let opened = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .custom_flags(no_follow)
                .open(&path);
            let file = match opened {
                Err(e) if e.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                    // A link in place of the claim: it goes, and what it points to stays.
                    fs::remove_file(&path).map_err(Error::io("remove", &path))?;
                    continue;
                }
                result => result.map_err(Error::io("create", &path))?,
            };
            // Without locks two jobs may both write the shard: the same bytes.
            if try_lock(&file) == Some(false) {
                return Ok(None);
            }
            if is_at(&file, &path).map_err(Error::io("read", &path))? {
                return Ok(Some(Claim { _file: file, path }));
            }
        }
        Err(Error::corpus(
            path,
            "is another file each time it is opened; its file system cannot hold a shard in work",
        ))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Still locked: nobody else can have it yet.
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes what killed runs left of files in work in these directories: files of our names that
/// nobody has locked.
pub(super) fn sweep(directories: &[PathBuf]) {
    for directory in directories {
        let Ok(entries) = fs::read_dir(directory) else {
            continue;
        };
        for entry in entries.flatten() {
            if names::is_passing(&entry.file_name().to_string_lossy()) {
                // Litter at worst; the corpus is whole without this.
                let _ = remove_unlocked(&entry.path());
            }
        }
    }
}

fn remove_unlocked(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_symlink() {
        return fs::remove_file(path);
    }
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits() as i32)
        .open(path)?;
    if try_lock(&file) == Some(true) && is_at(&file, path)? {
        fs::remove_file(path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> tempfile::TempDir {
        tempfile::TempDir::new().unwrap()
    }

    #[test]
    fn temporary_files_are_others_each_time_and_gone_unless_they_are_kept() {
        let directory = directory();
        let target = directory.path().join("manifest.json");
        let [a, b] = [0, 1].map(|_| Temporary::create(&target).unwrap());
        assert_ne!(a.path, b.path);
        a.keep().unwrap();
        drop(b);
        let left: Vec<_> = fs::read_dir(directory.path()).unwrap().collect();
        assert_eq!(left.len(), 1);
        assert!(target.exists());
    }

    #[test]
    fn what_a_link_points_to_is_left_alone() {
        let directory = directory();
        let victim = directory.path().join("victim");
        fs::write(&victim, "years of work").unwrap();
        let link = |name: &str| {
            let path = directory.path().join(name);
            std::os::unix::fs::symlink(&victim, &path).unwrap();
            path
        };
        // In place of a file, of a claim, and of a leftover.
        let manifest = link("manifest.json");
        write_atomically(&manifest, b"{}").unwrap();
        assert!(!fs::symlink_metadata(&manifest).unwrap().is_symlink());
        let claim = link("00001.bin.lock");
        drop(
            Claim::take(&directory.path().join("00001.bin"))
                .unwrap()
                .unwrap(),
        );
        assert!(fs::symlink_metadata(&claim).is_err(), "the link is gone");
        let leftover = link("spec.toml.0123456789abcdef.partial");
        sweep(&[directory.path().to_path_buf()]);
        assert!(fs::symlink_metadata(&leftover).is_err(), "the link is gone");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "years of work");
    }

    #[test]
    fn what_is_in_work_is_not_swept_and_what_is_not_ours_neither() {
        let directory = directory();
        let place = [directory.path().to_path_buf()];
        let target = directory.path().join("00000.bin");
        let temporary = Temporary::create(&target).unwrap();
        let claim = Claim::take(&target).unwrap().unwrap();
        assert!(Claim::take(&target).unwrap().is_none());
        let foreign = directory.path().join("notes.0123456789abcdef.partial");
        fs::write(&foreign, "the user's own").unwrap();
        let left = directory.path().join("00007.bin.0123456789abcdef.partial");
        fs::write(&left, "half a shard").unwrap();
        sweep(&place);
        assert!(temporary.path.exists() && claim.path.exists() && foreign.exists());
        assert!(!left.exists(), "left by a run that was killed");
        drop(claim);
        assert!(Claim::take(&target).unwrap().is_some());
    }
}

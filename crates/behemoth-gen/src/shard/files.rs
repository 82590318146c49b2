//! Temporary files: the only place where the engine creates, locks and removes them.
//!
//! A temporary file has a random name and is opened exclusively, so that an existing file or link
//! of that name is never followed or overwritten, and two runs never share it. It is locked while
//! it is in use: an unlocked file was left by a killed run and may be removed. Before a new file is
//! locked, a sweep may mistake it for a leftover; after locking, the creator therefore checks that
//! the file still exists, and otherwise creates another.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::names;
use crate::error::{Error, Result};
use crate::system::{self, is_at};

/// Maximum number of attempts to create a file that is gone each time it is locked: each means that
/// another process has just removed or renamed it.
const TURNS: usize = 100;

/// A tick of the time in which a sweep is done with a file. A lock that is held for [`TURNS`] of
/// them is a claim.
const SWEEP: Duration = Duration::from_millis(1);

/// Tries to lock a file; returns whether this process has the lock, or `None` if the file system
/// has no locks.
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

/// A file with a temporary name, removed on drop unless it was kept.
pub(super) struct Temporary {
    pub(super) file: File,
    pub(super) path: PathBuf,
    target: PathBuf,
    is_kept: bool,
}

impl Temporary {
    /// Creates a new file in the directory of `target`, the name it gets if it is kept.
    pub(super) fn create(target: &Path) -> Result<Self> {
        for _ in 0..TURNS {
            let random = std::hash::RandomState::new().build_hasher().finish();
            let path = target.with_file_name(names::temporary(&file_name(target), random));
            // O_EXCL: fails if a file or a link exists there.
            let file = match OpenOptions::new().write(true).create_new(true).open(&path) {
                Err(e) if e.kind() == ErrorKind::AlreadyExists => continue,
                result => result.map_err(Error::io("create", target))?,
            };
            let temporary = Temporary {
                file,
                path,
                target: target.to_path_buf(),
                is_kept: false,
            };
            // Locked by another process: a sweep that mistakes it for a leftover.
            let is_ours = try_lock(&temporary.file) != Some(false);
            let path = &temporary.path;
            if is_ours && is_at(&temporary.file, path).map_err(Error::io("read", path))? {
                return Ok(temporary);
            }
        }
        Err(Error::corpus(
            target,
            "its temporary file disappears each time it is created; the file system cannot store it",
        ))
    }

    /// Syncs the bytes and renames the file to its target; the caller must sync the directory.
    pub(super) fn keep(mut self) -> Result<()> {
        self.sync()?;
        system::rename(&self.path, &self.target).map_err(Error::io("rename", &self.target))?;
        self.is_kept = true;
        Ok(())
    }

    /// Like [`Temporary::keep`], but never replaces a file: the first of several writers wins, and
    /// the file of each other one is removed.
    fn keep_if_new(self) -> Result<()> {
        self.sync()?;
        match fs::hard_link(&self.path, &self.target) {
            Ok(()) => Ok(()),
            Err(_) if fs::symlink_metadata(&self.target).is_ok() => Ok(()),
            // A file system without links.
            Err(_) => self.keep(),
        }
    }

    fn sync(&self) -> Result<()> {
        let synced = self.file.sync_data();
        synced.map_err(Error::io("sync", &self.target))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.is_kept {
            // A leftover only uses space; the first error is the one to report.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Writes a file atomically: temporary name, sync, rename, sync of the directory.
pub(super) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    written(path, bytes)?.keep()?;
    sync_directory(path.parent().unwrap_or(Path::new(".")))
}

/// Like [`write_atomically`], but leaves a file that exists: the caller must read what is there.
pub(super) fn write_if_new(path: &Path, bytes: &[u8]) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    written(path, bytes)?.keep_if_new()?;
    sync_directory(path.parent().unwrap_or(Path::new(".")))
}

fn written(path: &Path, bytes: &[u8]) -> Result<Temporary> {
    let mut temporary = Temporary::create(path)?;
    let result = temporary.file.write_all(bytes);
    result.map_err(Error::io("write", path))?;
    Ok(temporary)
}

/// Syncs a directory, and so the names of its files.
pub(super) fn sync_directory(path: &Path) -> Result<()> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    system::sync_directory(path).map_err(Error::io("sync", path))
}

/// Creates a directory and those above it that are missing, and syncs their names.
pub(super) fn create_directories(path: &Path) -> Result<()> {
    let missing = missing_directories(path);
    fs::create_dir_all(path).map_err(Error::io("create", path))?;
    for made in missing {
        match sync_directory(made.parent().unwrap_or(Path::new("."))) {
            // One that may be written to and not read cannot be opened to sync it.
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::PermissionDenied => {}
            result => result?,
        }
    }
    Ok(())
}

fn missing_directories(path: &Path) -> Vec<&Path> {
    let above = path.ancestors().filter(|at| !at.as_os_str().is_empty());
    above.take_while(|at| !at.exists()).collect()
}

/// Returns the bytes of a file, which may not be text, or `None` if the file does not exist.
pub(super) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("read", path)(e)),
    }
}

/// The claim of a process on a shard: a locked empty file next to it. It tells other processes
/// which shard is being written, which the random name of the temporary file does not.
pub(super) struct Claim {
    /// Holds the lock.
    _file: File,
    path: PathBuf,
}

impl Claim {
    /// Claims a shard; returns `None` if another process has claimed it.
    ///
    /// A sweep locks a new claim for a moment if it takes it for a leftover, and removes it. Taken
    /// for a claim, the lock left a shard to a process that there was not.
    pub(super) fn take(shard: &Path) -> Result<Option<Self>> {
        let path = shard.with_file_name(names::lock(&file_name(shard)));
        let mut is_locked = false;
        for _ in 0..TURNS {
            // Not followed, not truncated, never written to: an existing file is not changed.
            let opened = system::create_unfollowed(&path).map_err(Error::io("create", &path))?;
            let Some(file) = opened else {
                // A link instead of the claim: it is removed, and its target is not changed.
                fs::remove_file(&path).map_err(Error::io("remove", &path))?;
                continue;
            };
            // Without locks, two jobs may both write the shard, with the same bytes.
            is_locked = try_lock(&file) == Some(false);
            if is_locked {
                thread::sleep(SWEEP);
                continue;
            }
            if is_at(&file, &path).map_err(Error::io("read", &path))? {
                return Ok(Some(Claim { _file: file, path }));
            }
        }
        if is_locked {
            return Ok(None);
        }
        Err(Error::corpus(
            path,
            "is a different file each time it is opened; the file system cannot store a locked file",
        ))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Still locked: no other process can have claimed it yet.
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes temporary files that killed runs left in these directories: files with our names that no
/// process has locked.
pub(super) fn sweep(directories: &[PathBuf]) {
    for directory in directories {
        let Ok(entries) = fs::read_dir(directory) else {
            continue;
        };
        for entry in entries.flatten() {
            if names::is_passing(&entry.file_name().to_string_lossy()) {
                // A leftover does no harm: the corpus is complete without this.
                let _ = remove_unlocked(&entry.path());
            }
        }
    }
}

fn remove_unlocked(path: &Path) -> io::Result<()> {
    let Some(file) = system::open_unfollowed(path)? else {
        return fs::remove_file(path);
    };
    if try_lock(&file) == Some(true) && is_at(&file, path)? {
        fs::remove_file(path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn directory() -> tempfile::TempDir {
        tempfile::TempDir::new().unwrap()
    }

    #[test]
    fn the_names_of_all_new_directories_are_synced() {
        let directory = directory();
        let at = |path: &str| directory.path().join(path);
        let path = at("a/b/c");
        assert_eq!(
            missing_directories(&path),
            [at("a/b/c"), at("a/b"), at("a")]
        );
        create_directories(&path).unwrap();
        assert!(path.is_dir() && missing_directories(&path).is_empty());
        create_directories(&path).unwrap();
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

    #[cfg(unix)] // on Windows only administrators may make links
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

    #[test]
    fn a_sweep_at_the_same_time_is_no_claim() {
        let directory = directory();
        let place = [directory.path().to_path_buf()];
        let is_done = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !is_done.load(Ordering::Relaxed) {
                        sweep(&place);
                    }
                });
            }
            let taken = |shard: usize| {
                let target = directory.path().join(format!("{shard:05}.bin"));
                Claim::take(&target).is_ok_and(|claim| claim.is_some())
            };
            let all = (0..2_000).all(taken);
            is_done.store(true, Ordering::Relaxed);
            assert!(all);
        });
    }
}

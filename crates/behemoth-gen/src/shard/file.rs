//! Files and memory for writing past the page cache.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Alignment that `O_DIRECT` asks for, of memory, offset and length.
pub(super) const ALIGNMENT: usize = 4096;

/// Memory that begins at a multiple of [`ALIGNMENT`].
pub(super) struct AlignedBuffer {
    memory: Vec<u8>,
    start: usize,
    len: usize,
}

impl AlignedBuffer {
    pub(super) fn new(len: usize) -> Self {
        let len = len.next_multiple_of(ALIGNMENT);
        let memory = vec![0u8; len + ALIGNMENT];
        let start = memory.as_ptr().align_offset(ALIGNMENT);
        AlignedBuffer { memory, start, len }
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.len]
    }
}

/// A new file, locked, written past the page cache where that is possible.
pub(super) struct DirectFile {
    pub(super) file: File,
    path: PathBuf,
    direct: bool,
}

/// What became of an attempt to take a temporary file.
enum Taken {
    Ours(DirectFile),
    Theirs,
    Renamed,
}

impl DirectFile {
    /// Creates or takes over a temporary file; nothing if another process holds it.
    pub(super) fn create(path: &Path) -> Result<Option<Self>> {
        // Each turn means that another process renamed a finished shard under our hands.
        const TURNS: usize = 100;
        for _ in 0..TURNS {
            match Self::try_create(path)? {
                Taken::Ours(file) => return Ok(Some(file)),
                Taken::Theirs => return Ok(None),
                Taken::Renamed => {}
            }
        }
        Err(Error::corpus(
            path,
            "is another file each time it is opened; its file system cannot hold a shard in work",
        ))
    }

    fn try_create(path: &Path) -> Result<Taken> {
        let open = |direct: bool| {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(false);
            #[cfg(target_os = "linux")]
            if direct {
                use std::os::unix::fs::OpenOptionsExt;
                options.custom_flags(rustix::fs::OFlags::DIRECT.bits() as i32);
            }
            options.open(path).map(|file| (file, direct))
        };
        let direct = cfg!(target_os = "linux");
        let (file, direct) = match open(direct) {
            // Some file systems (tmpfs, some network ones) do not know O_DIRECT.
            Err(e) if direct && e.kind() == ErrorKind::InvalidInput => open(false),
            result => result,
        }
        .map_err(Error::io("create", path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Taken::Theirs),
            // Without locks two jobs may both write the shard: the same bytes.
            Err(TryLockError::Error(_)) => {}
        }
        // Between our opening and our lock its owner may have renamed it: then this is the
        // finished shard, and the temporary name is free again.
        let ours = file.metadata().map_err(Error::io("read", path))?;
        match fs::metadata(path) {
            Ok(there) if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) => {}
            _ => return Ok(Taken::Renamed),
        }
        Ok(Taken::Ours(DirectFile {
            file,
            path: path.to_path_buf(),
            direct,
        }))
    }

    /// Empties the file: a killed run may have left some of it.
    pub(super) fn truncate(&mut self) -> Result<()> {
        self.file
            .set_len(0)
            .map_err(Error::io("truncate", &self.path))
    }

    pub(super) fn write_at(&mut self, bytes: &[u8], offset: u64) -> Result<()> {
        match self.file.write_all_at(bytes, offset) {
            // Others take the flag and refuse the write.
            Err(e) if self.direct && e.kind() == ErrorKind::InvalidInput => {
                self.buffered()?;
                self.file.write_all_at(bytes, offset)
            }
            result => result,
        }
        .map_err(Error::io("write", &self.path))
    }

    /// Writes the last bytes, whose length is not a multiple of the alignment.
    pub(super) fn write_tail(&mut self, bytes: &[u8], offset: u64) -> Result<()> {
        if self.direct {
            self.buffered()?;
        }
        self.file
            .write_all_at(bytes, offset)
            .map_err(Error::io("write", &self.path))
    }

    fn buffered(&mut self) -> Result<()> {
        #[cfg(target_os = "linux")]
        {
            let flags = rustix::fs::fcntl_getfl(&self.file)
                .and_then(|flags| {
                    rustix::fs::fcntl_setfl(&self.file, flags - rustix::fs::OFlags::DIRECT)
                })
                .map_err(std::io::Error::from);
            flags.map_err(Error::io("write", &self.path))?;
        }
        self.direct = false;
        Ok(())
    }
}

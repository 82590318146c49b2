//! Writing past the page cache: aligned buffers and files opened for direct writes.

use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::files::Temporary;
use crate::error::{Error, Result};

/// Alignment of memory, offset and length that `O_DIRECT` requires.
pub(super) const ALIGNMENT: usize = 4096;

/// A buffer whose address is a multiple of [`ALIGNMENT`].
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

/// A temporary file that is written past the page cache if possible.
pub(super) struct DirectFile {
    temporary: Temporary,
    is_direct: bool,
}

impl DirectFile {
    /// Creates a new file in the directory of `target`, the name it gets if it is kept.
    pub(super) fn create(target: &Path) -> Result<Self> {
        let temporary = Temporary::create(target)?;
        let mut file = DirectFile {
            temporary,
            is_direct: false,
        };
        // Some file systems (tmpfs, some network ones) do not support O_DIRECT. If it is set on
        // opening, they return an error but create the file nevertheless.
        file.is_direct = file.set_direct(true).is_ok() && cfg!(target_os = "linux");
        Ok(file)
    }

    #[cfg(target_os = "linux")]
    fn set_direct(&self, is_direct: bool) -> io::Result<()> {
        let direct = rustix::fs::OFlags::DIRECT;
        let flags = rustix::fs::fcntl_getfl(&self.temporary.file)?;
        let flags = if is_direct {
            flags | direct
        } else {
            flags - direct
        };
        Ok(rustix::fs::fcntl_setfl(&self.temporary.file, flags)?)
    }

    #[cfg(not(target_os = "linux"))]
    fn set_direct(&self, _: bool) -> io::Result<()> {
        Ok(())
    }

    fn error(&self) -> impl FnOnce(io::Error) -> Error {
        Error::io("write", &self.temporary.path)
    }

    pub(super) fn write_at(&mut self, bytes: &[u8], offset: u64) -> Result<()> {
        match self.temporary.file.write_all_at(bytes, offset) {
            // Other file systems accept the flag and refuse the write.
            Err(e) if self.is_direct && e.kind() == ErrorKind::InvalidInput => {
                self.buffered()?;
                self.temporary.file.write_all_at(bytes, offset)
            }
            result => result,
        }
        .map_err(self.error())
    }

    /// Writes the last bytes, whose length is not a multiple of the alignment.
    pub(super) fn write_tail(&mut self, bytes: &[u8], offset: u64) -> Result<()> {
        if self.is_direct {
            self.buffered()?;
        }
        let file = &self.temporary.file;
        file.write_all_at(bytes, offset).map_err(self.error())
    }

    fn buffered(&mut self) -> Result<()> {
        self.set_direct(false).map_err(self.error())?;
        self.is_direct = false;
        Ok(())
    }

    /// Syncs the bytes and renames the file to its target; the caller must sync the directory.
    pub(super) fn keep(self) -> Result<()> {
        self.temporary.keep()
    }
}

//! Writing past the page cache: aligned buffers and files opened for direct writes.

use std::io::{self, ErrorKind};
use std::path::Path;

use super::files::Temporary;
use crate::error::{Error, Result};
use crate::system::{set_direct, write_all_at};

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
        // Some file systems (tmpfs, some network ones) do not support O_DIRECT. If it is set on
        // opening, they return an error but create the file nevertheless.
        let is_direct = set_direct(&temporary.file, true).unwrap_or(false);
        Ok(DirectFile {
            temporary,
            is_direct,
        })
    }

    fn error(&self) -> impl FnOnce(io::Error) -> Error {
        Error::io("write", &self.temporary.path)
    }

    pub(super) fn write_at(&mut self, bytes: &[u8], offset: u64) -> Result<()> {
        match write_all_at(&self.temporary.file, bytes, offset) {
            // Other file systems accept the flag and refuse the write.
            Err(e) if self.is_direct && e.kind() == ErrorKind::InvalidInput => {
                self.buffered()?;
                write_all_at(&self.temporary.file, bytes, offset)
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
        write_all_at(&self.temporary.file, bytes, offset).map_err(self.error())
    }

    fn buffered(&mut self) -> Result<()> {
        self.is_direct = set_direct(&self.temporary.file, false).map_err(self.error())?;
        Ok(())
    }

    /// Syncs the bytes and renames the file to its target; the caller must sync the directory.
    pub(super) fn keep(self) -> Result<()> {
        self.temporary.keep()
    }
}

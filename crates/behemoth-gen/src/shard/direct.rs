//! Writing past the page cache: aligned memory, and files that take it as it is.

use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::files::Temporary;
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

/// A temporary file that is written past the page cache where that is possible.
pub(super) struct DirectFile {
    temporary: Temporary,
    is_direct: bool,
}

impl DirectFile {
    /// Makes a new file beside `target`, which it may become.
    pub(super) fn create(target: &Path) -> Result<Self> {
        let temporary = Temporary::create(target)?;
        let mut file = DirectFile {
            temporary,
            is_direct: false,
        };
        // Some file systems (tmpfs, some network ones) do not know O_DIRECT. Asked for it when the
        // file is opened they refuse, but make the file all the same.
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
            // Others take the flag and refuse the write.
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

    /// Syncs the bytes and gives the file its name; the directory is the caller's to sync.
    pub(super) fn keep(self) -> Result<()> {
        self.temporary.keep()
    }
}

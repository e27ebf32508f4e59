//! A fresh log, written beside the old one: whole, durable and read back before it takes the old one's place.

use std::io;
use std::path::{Path, PathBuf};

use super::store::{LogFile, NAME};
use crate::error::StoreError;
use crate::fs::{Fs, FsFile, OpenOptions};

/// Bytes gathered for one write.
const BUFFER_BYTES: usize = 1 << 20;
/// Bytes after which what was written is synced: a long log must not come to a disk that others use all at once.
const SYNC_EVERY_BYTES: u64 = 16 << 20;

/// See the module.
pub(super) struct Fresh {
    dir: PathBuf,
    path: PathBuf,
    file: Box<dyn FsFile>,
    length: u64,
    synced: u64,
    crc: u32,
    buffer: Vec<u8>,
}

impl Fresh {
    /// Begins one; an attempt that was broken off before is removed.
    pub(super) fn create(fs: &dyn Fs, dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(format!("{NAME}.new"));
        match fs.remove(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::io("remove old attempt", &path)(e));
            }
            _ => {}
        }
        let file = fs.open(&path, OpenOptions::NEW).map_err(StoreError::io("create file", &path))?;
        let (dir, buffer) = (dir.to_path_buf(), Vec::with_capacity(BUFFER_BYTES));
        Ok(Self { dir, path, file, length: 0, synced: 0, crc: 0, buffer })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        if self.length - self.synced >= SYNC_EVERY_BYTES {
            self.sync()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let failed = StoreError::io("write file", &self.path);
        self.file.write_at(self.length, &self.buffer).map_err(failed)?;
        self.length += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Makes everything written so far durable.
    pub(super) fn sync(&mut self) -> Result<(), StoreError> {
        self.flush()?;
        self.file.sync_all().map_err(StoreError::io("sync file", &self.path))?;
        self.synced = self.length;
        Ok(())
    }

    /// Syncs, reads everything back and compares.
    pub(super) fn verify(&mut self) -> Result<(), StoreError> {
        self.sync()?;
        let (mut crc, mut at, mut room) = (0, 0, vec![0; BUFFER_BYTES]);
        while at < self.length {
            let n = self.file.read_at(at, &mut room).map_err(StoreError::io("read back file", &self.path))?;
            let Some(bytes) = room.get(..n).filter(|b| !b.is_empty()) else { break };
            crc = crc32c::crc32c_append(crc, bytes);
            at += n as u64;
        }
        if (crc, at) == (self.crc, self.length) {
            return Ok(());
        }
        let wrong =
            io::Error::new(io::ErrorKind::InvalidData, "what was written does not read back the same");
        Err(StoreError::io("verify file", &self.path)(wrong))
    }

    /// Takes the place of the old log. Everything must be durable by now; the name is once the directory is synced.
    pub(super) fn put_in_place(self, fs: &dyn Fs) -> Result<LogFile, StoreError> {
        let path = self.dir.join(NAME);
        fs.rename(&self.path, &path).map_err(StoreError::io("rename catalogue", &path))?;
        Ok(LogFile::new(path, self.file, self.length))
    }
}

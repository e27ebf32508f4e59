//! The file system as storage sees it: a small trait, the real one ([`RealFs`]) and one that fails on command
//! ([`SimFs`]). No other module of this crate calls `std::fs`.

mod pages;
mod real;
mod sim;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;

pub use pages::{PAGE, PageBuf};
pub use real::RealFs;
pub use sim::{Fault, FaultPlan, Operation, SimFs, SimStats};

/// How to open a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenOptions {
    /// Open for writing as well as reading.
    pub write: bool,
    /// The file must not exist yet and is created.
    pub create_new: bool,
    /// Created if missing (not with `create_new`).
    pub create: bool,
    /// Bypass the page cache where the file system can: reads give what the disk has. Writes should come from a
    /// [`PageBuf`] and be whole pages at page offsets; for others, and where a file system refuses, the handle falls
    /// back to the page cache on its own.
    pub direct: bool,
    /// A file that is created is for its owner alone; otherwise its group may read it.
    pub private: bool,
}

impl OpenOptions {
    /// Reading an existing file.
    pub const READ: Self =
        Self { write: false, create_new: false, create: false, direct: false, private: false };
    /// Reading and writing an existing file.
    pub const WRITE: Self =
        Self { write: true, create_new: false, create: false, direct: false, private: false };
    /// A new file for whole-page writes past the page cache.
    pub const NEW_DIRECT: Self =
        Self { write: true, create_new: true, create: false, direct: true, private: false };
    /// Reading an existing file as the disk has it, not as the page cache remembers it: after a failed sync they differ.
    pub const READ_DISK: Self =
        Self { write: false, create_new: false, create: false, direct: true, private: false };
    /// As [`Self::READ_DISK`], and writing.
    pub const WRITE_DISK: Self =
        Self { write: true, create_new: false, create: false, direct: true, private: false };
    /// A new file.
    pub const NEW: Self =
        Self { write: true, create_new: true, create: false, direct: false, private: false };
    /// A new file that nobody but its owner may read.
    pub const NEW_PRIVATE: Self =
        Self { write: true, create_new: true, create: false, direct: false, private: true };
    /// A file that is created when missing.
    pub const CREATE: Self =
        Self { write: true, create_new: false, create: true, direct: false, private: false };
}

/// What is known of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// Length in bytes; 0 for directories.
    pub len: u64,
    /// A directory.
    pub is_dir: bool,
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The name, without the directory. Names that are not UTF-8 are listed with replacement characters.
    pub name: String,
    /// A directory.
    pub is_dir: bool,
}

/// Room of the file system that holds a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Size in bytes.
    pub total: u64,
    /// Bytes an ordinary user may still use.
    pub free: u64,
    /// Files that may still be created.
    pub inodes_free: u64,
}

/// A file system. All paths are absolute or relative to the process; implementations are used from many threads.
/// Every method returns the operating system's error as it is.
pub trait Fs: Send + Sync + std::fmt::Debug {
    /// Opens or creates a file.
    fn open(&self, path: &Path, options: OpenOptions) -> io::Result<Box<dyn FsFile>>;
    /// Renames within one file system, replacing `to`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Creates a directory and its parents.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory, sorted.
    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>>;
    /// Length and kind.
    fn metadata(&self, path: &Path) -> io::Result<Metadata>;
    /// Makes everything written to the file system that holds `path` durable (`syncfs`).
    fn sync_volume(&self, path: &Path) -> io::Result<()>;
    /// Room of the file system that holds `path`.
    fn space(&self, path: &Path) -> io::Result<Space>;
    /// The whole file; refuses files longer than `max` bytes.
    fn read(&self, path: &Path, max: u64) -> io::Result<Vec<u8>> {
        read_whole(&*self.open(path, OpenOptions::READ)?, max)
    }
    /// The whole file as the disk has it ([`OpenOptions::READ_DISK`]); refuses files longer than `max` bytes.
    fn read_disk(&self, path: &Path, max: u64) -> io::Result<Vec<u8>> {
        read_whole(&*self.open(path, OpenOptions::READ_DISK)?, max)
    }
}

fn read_whole(file: &dyn FsFile, max: u64) -> io::Result<Vec<u8>> {
    let len = file.len()?;
    if len > max {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("{len} bytes, at most {max}")));
    }
    let mut out = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
    file.read_exact_at(0, &mut out)?;
    Ok(out)
}

/// An open file. Reads and writes carry their own offset, so that one handle serves many threads.
pub trait FsFile: Send + Sync + std::fmt::Debug {
    /// Writes all of `bytes` at `offset`, or fails; after a failure any part of it may have been written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Reads up to `out.len()` bytes; 0 at the end of the file.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize>;
    /// Reserves room up to `len` bytes without changing the length. Not an error where it cannot be done.
    fn allocate_keep_size(&self, len: u64) -> io::Result<()>;
    /// Sets the length and gives back room reserved beyond it.
    fn truncate(&self, len: u64) -> io::Result<()>;
    /// Makes the contents durable (`fdatasync`).
    fn sync_data(&self) -> io::Result<()>;
    /// Makes contents and metadata durable (`fsync`).
    fn sync_all(&self) -> io::Result<()>;
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Fills `out`, or fails with `UnexpectedEof`.
    fn read_exact_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut done = 0;
        while let Some(rest) = out.get_mut(done..).filter(|r| !r.is_empty()) {
            match self.read_at(offset + done as u64, rest) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

//! An archive in a folder: another disk, or a mount.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use fengsui_config::limits;

use super::store::{ArchiveError, ArchiveStore, Listed, LockReport, LockState, Retention};
use crate::fs::{Fs, FsFile, OpenOptions};

/// Ending of files that are not complete yet.
const PART: &str = ".part";

/// A folder as an archive. Files appear under their name only when they are complete and durable.
#[derive(Debug)]
pub struct DirectoryStore {
    fs: Arc<dyn Fs>,
    root: PathBuf,
    /// Tells apart the unfinished files of uploads that run at once.
    attempt: AtomicU64,
}

impl DirectoryStore {
    /// The folder `root`, which must exist: an archive whose disk is not mounted must not fill the disk below it.
    #[must_use]
    pub fn new(fs: Arc<dyn Fs>, root: PathBuf) -> Self {
        Self { fs, root, attempt: AtomicU64::new(0) }
    }

    fn path(&self, key: &str) -> Result<PathBuf, ArchiveError> {
        let sound = !key.is_empty() && key.split('/').all(|p| !p.is_empty() && p != "." && p != "..");
        if sound { Ok(self.root.join(key)) } else { Err(ArchiveError::Refused(format!("{key:?} is no key"))) }
    }

    fn write(&self, path: &Path, source: &dyn FsFile, len: u64) -> Result<(), ArchiveError> {
        let dir = path.parent().unwrap_or(&self.root);
        self.fs.metadata(&self.root).map_err(|e| failed("find the folder", &e))?;
        self.fs.create_dir_all(dir).map_err(|e| failed("make a folder", &e))?;
        let number = self.attempt.fetch_add(1, Ordering::Relaxed);
        let aside = path.with_extension(format!("{number}{PART}"));
        // What an upload before a crash left under this name is of no use.
        match self.fs.remove(&aside) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed("remove an old attempt", &e)),
            _ => {}
        }
        let done = self.copy(&aside, source, len).and_then(|()| {
            self.fs.rename(&aside, path).map_err(|e| failed("rename", &e))?;
            // The day's folder and those above it may be new.
            for dir in dir.ancestors().take_while(|d| d.starts_with(&self.root)) {
                self.fs.sync_dir(dir).map_err(|e| failed("sync a folder", &e))?;
            }
            Ok(())
        });
        if done.is_err() {
            // The error is what counts; the rest is removed by the next attempt.
            let _ = self.fs.remove(&aside);
        }
        done
    }

    fn copy(&self, path: &Path, source: &dyn FsFile, len: u64) -> Result<(), ArchiveError> {
        let file = self.fs.open(path, OpenOptions::NEW).map_err(|e| failed("create a file", &e))?;
        let part = limits::ARCHIVE_PART_BYTES.min(usize::try_from(len).unwrap_or(usize::MAX).max(1));
        let mut room = vec![0; part];
        let mut at = 0;
        while at < len {
            let want = usize::try_from((len - at).min(part as u64)).unwrap_or(part);
            let Some(room) = room.get_mut(..want) else { break };
            source.read_exact_at(at, room).map_err(|e| ArchiveError::Local(format!("read segment: {e}")))?;
            file.write_at(at, room).map_err(|e| failed("write", &e))?;
            at += want as u64;
        }
        file.sync_all().map_err(|e| failed("sync", &e))
    }

    fn walk(&self, dir: &Path, key: &str, each: &mut dyn FnMut(Listed)) -> Result<(), ArchiveError> {
        let names = match self.fs.read_dir(dir) {
            Ok(names) => names,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(failed("list a folder", &e)),
        };
        for name in names {
            let (path, key) = (dir.join(&name.name), format!("{key}/{}", name.name));
            if name.is_dir {
                self.walk(&path, &key, each)?;
            } else if !name.name.ends_with(PART) {
                let bytes = self.fs.metadata(&path).map_err(|e| failed("measure a file", &e))?.len;
                each(Listed { key, bytes });
            }
        }
        Ok(())
    }
}

/// What a refusal of the file system means for an archive.
fn failed(what: &str, e: &io::Error) -> ArchiveError {
    use io::ErrorKind as K;
    match e.kind() {
        K::PermissionDenied | K::ReadOnlyFilesystem | K::StorageFull | K::QuotaExceeded => {
            ArchiveError::Refused(format!("cannot {what}: {e}"))
        }
        _ => ArchiveError::Unreachable(format!("cannot {what}: {e}")),
    }
}

impl ArchiveStore for DirectoryStore {
    fn put(&self, key: &str, source: &dyn FsFile, len: u64) -> Result<(), ArchiveError> {
        self.write(&self.path(key)?, source, len)
    }

    fn size(&self, key: &str) -> Result<Option<u64>, ArchiveError> {
        // A folder that is not there is not an archive without objects.
        self.fs.metadata(&self.root).map_err(|e| failed("find the folder", &e))?;
        match self.fs.metadata(&self.path(key)?) {
            Ok(found) => Ok(Some(found.len)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(failed("measure a file", &e)),
        }
    }

    fn get(&self, key: &str, offset: u64, len: usize) -> Result<Bytes, ArchiveError> {
        let path = self.path(key)?;
        let file = match self.fs.open(&path, OpenOptions::READ) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                self.fs.metadata(&self.root).map_err(|e| failed("find the folder", &e))?;
                return Err(ArchiveError::NotFound(key.to_owned()));
            }
            Err(e) => return Err(failed("open a file", &e)),
        };
        let mut room = vec![0; len];
        file.read_exact_at(offset, &mut room).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => {
                ArchiveError::Wrong(format!("{key} ends before {offset} + {len}"))
            }
            _ => failed("read", &e),
        })?;
        Ok(Bytes::from(room))
    }

    fn list(&self, folder: &str, each: &mut dyn FnMut(Listed)) -> Result<(), ArchiveError> {
        self.fs.metadata(&self.root).map_err(|e| failed("find the folder", &e))?;
        self.walk(&self.path(folder)?, folder, each)
    }

    fn retain(&self, _: &str, _: Retention) -> Result<(), ArchiveError> {
        Err(ArchiveError::Refused("a folder has no object lock; leave lock out, or use an S3 store".into()))
    }

    fn remove(&self, key: &str) -> Result<(), ArchiveError> {
        // A folder that is not there is not one without the file.
        self.fs.metadata(&self.root).map_err(|e| failed("find the folder", &e))?;
        let path = self.path(key)?;
        match self.fs.remove(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed("delete a file", &e)),
            _ => {}
        }
        match self.fs.sync_dir(path.parent().unwrap_or(&self.root)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed("sync a folder", &e)),
            _ => Ok(()),
        }
    }

    fn probe_lock(&self) -> LockReport {
        let reason = "a folder has no object lock: whoever may write to it may delete from it".into();
        LockReport { state: LockState::NotLocked, reason }
    }

    fn upload_check(&self) -> &'static str {
        "length after fsync"
    }
}

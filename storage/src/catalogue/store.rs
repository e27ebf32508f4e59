//! The log file: opening with three outcomes, appending, setting aside what does not hold.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fengsui_config::clock::UtcMicros;
use fengsui_config::limits;

use super::Opening;
use super::index::Index;
use super::log::{Decoded, MAGIC, decode, mend};
use crate::error::StoreError;
use crate::fs::{Fs, FsFile, OpenOptions};

const NAME: &str = "catalogue.log";

/// A log is written afresh when it has this many times the records it needs.
const STALE_FACTOR: u64 = 2;

/// The open log.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: Box<dyn FsFile>,
    length: u64,
    /// Bytes that a failed write left over.
    waiting: Vec<u8>,
    dirty: bool,
    errors: u64,
}

impl LogFile {
    pub(super) fn length(&self) -> u64 {
        self.length
    }
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }
    pub(super) fn errors(&self) -> u64 {
        self.errors
    }

    /// Appends `fresh` behind what waits; with `sync` makes everything durable.
    pub(super) fn append(&mut self, fresh: Vec<u8>, sync: bool) -> Result<(), StoreError> {
        if self.waiting.is_empty() {
            self.waiting = fresh;
        } else {
            self.waiting.extend_from_slice(&fresh);
        }
        let result = self.write(sync);
        if result.is_err() {
            self.errors += 1;
        }
        result
    }

    fn write(&mut self, sync: bool) -> Result<(), StoreError> {
        if !self.waiting.is_empty() {
            let at = StoreError::io("append to catalogue", &self.path);
            self.file.write_at(self.length, &self.waiting).map_err(at)?;
            self.length += self.waiting.len() as u64;
            self.waiting.clear();
            self.dirty = true;
        }
        if sync && self.dirty {
            self.file.sync_data().map_err(StoreError::io("sync catalogue", &self.path))?;
            self.dirty = false;
        }
        Ok(())
    }
}

/// Opens the log in `dir`; a directory or log that is missing is made.
pub(super) fn open(
    fs: &Arc<dyn Fs>,
    dir: &Path,
    now: UtcMicros,
) -> Result<(Index, LogFile, Opening), StoreError> {
    fs.create_dir_all(dir).map_err(StoreError::io("create directory", dir))?;
    let path = dir.join(NAME);
    let bytes = match fs.read(&path, limits::CATALOGUE_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let index = Index::default();
            let file = replace(&**fs, dir, &index)?;
            return Ok((index, file, Opening::New));
        }
        Err(e) => return Err(StoreError::io("read catalogue", &path)(e)),
    };
    let (index, opening) = load(&bytes);
    let stale = index.records > STALE_FACTOR * index.live_records() + 4096;
    let file = match &opening {
        Opening::Clean if !stale => reopen(&**fs, &path, bytes.len() as u64)?,
        Opening::Clean | Opening::New => replace(&**fs, dir, &index)?,
        Opening::TornTail { bytes: torn } => {
            let keep = bytes.len() - usize::try_from(*torn).unwrap_or(0);
            let tail = bytes.get(keep..).unwrap_or_default();
            write_new(&**fs, &dir.join(format!("{NAME}.torn-{}", now.millis())), tail)?;
            let file = reopen(&**fs, &path, keep as u64)?;
            file.file.truncate(keep as u64).map_err(StoreError::io("truncate catalogue", &path))?;
            file
        }
        Opening::Damaged { .. } => {
            let aside = dir.join(format!("{NAME}.damaged-{}", now.millis()));
            write_new(&**fs, &aside, &bytes)?;
            replace(&**fs, dir, &index)?
        }
    };
    Ok((index, file, opening))
}

/// Applies all valid records of a log.
pub(super) fn load(bytes: &[u8]) -> (Index, Opening) {
    let mut index = Index::default();
    let Some(body) = bytes.strip_prefix(&MAGIC) else {
        let damaged = salvage(bytes, &mut index);
        let opening = if bytes.is_empty() || (!damaged && bytes.len() < MAGIC.len()) {
            Opening::TornTail { bytes: bytes.len() as u64 }
        } else {
            Opening::Damaged { at: 0 }
        };
        // Without its first bytes the file cannot be appended to.
        let opening = if matches!(opening, Opening::TornTail { .. }) { Opening::New } else { opening };
        return (index, opening);
    };
    let mut rest = body;
    let mut mended = None;
    while !rest.is_empty() {
        match decode(rest) {
            Decoded::Record(record, length) => {
                if let Some(record) = record {
                    index.apply(record);
                }
                rest = rest.get(length..).unwrap_or_default();
            }
            // A definition of a stream is what all its records hang on: one bit must not cost them.
            Decoded::Invalid => {
                let Some((record, length)) = mend(rest) else { break };
                mended.get_or_insert((bytes.len() - rest.len()) as u64);
                index.apply(record);
                rest = rest.get(length..).unwrap_or_default();
            }
        }
    }
    if let Some(at) = mended {
        salvage(rest, &mut index);
        return (index, Opening::Damaged { at });
    }
    if rest.is_empty() {
        return (index, Opening::Clean);
    }
    let at = (bytes.len() - rest.len()) as u64;
    if salvage(rest, &mut index) {
        (index, Opening::Damaged { at })
    } else {
        (index, Opening::TornTail { bytes: rest.len() as u64 })
    }
}

/// Looks for valid records behind a place that does not hold; `true` when there are any. Costs one checksum a byte.
fn salvage(bytes: &[u8], index: &mut Index) -> bool {
    let mut found = false;
    let mut rest = bytes.get(1..).unwrap_or_default();
    while !rest.is_empty() {
        let step = match decode(rest) {
            Decoded::Record(record, length) => {
                if let Some(record) = record {
                    index.apply(record);
                }
                found = true;
                length
            }
            Decoded::Invalid => 1,
        };
        rest = rest.get(step..).unwrap_or_default();
    }
    found
}

/// The gaps of a log whose rows are not to be trusted any more.
pub(super) fn salvage_index(bytes: &[u8]) -> Index {
    load(bytes).0
}

fn reopen(fs: &dyn Fs, path: &Path, length: u64) -> Result<LogFile, StoreError> {
    let file = fs.open(path, OpenOptions::WRITE).map_err(StoreError::io("open catalogue", path))?;
    Ok(LogFile { path: path.to_path_buf(), file, length, waiting: Vec::new(), dirty: false, errors: 0 })
}

/// Writes the whole state as a new log and puts it in place of the old one.
pub(super) fn replace(fs: &dyn Fs, dir: &Path, index: &Index) -> Result<LogFile, StoreError> {
    let path = dir.join(NAME);
    let aside = dir.join(format!("{NAME}.new"));
    let bytes = index.snapshot();
    match fs.remove(&aside) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            return Err(StoreError::io("remove old attempt", &aside)(e));
        }
        _ => {}
    }
    write_new(fs, &aside, &bytes)?;
    fs.rename(&aside, &path).map_err(StoreError::io("rename catalogue", &path))?;
    fs.sync_dir(dir).map_err(StoreError::io("sync directory", dir))?;
    reopen(fs, &path, bytes.len() as u64)
}

/// Sets a log aside under another name; `None` when there is none.
pub(super) fn set_aside(
    fs: &dyn Fs,
    dir: &Path,
    now: UtcMicros,
) -> Result<Option<(PathBuf, Vec<u8>)>, StoreError> {
    let path = dir.join(NAME);
    let bytes = match fs.read(&path, limits::CATALOGUE_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(StoreError::io("read catalogue", &path)(e)),
    };
    let aside = dir.join(format!("{NAME}.old-{}", now.millis()));
    fs.rename(&path, &aside).map_err(StoreError::io("rename catalogue", &path))?;
    Ok(Some((aside, bytes)))
}

fn write_new(fs: &dyn Fs, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let file = fs.open(path, OpenOptions::CREATE).map_err(StoreError::io("create file", path))?;
    file.write_at(0, bytes).map_err(StoreError::io("write file", path))?;
    file.truncate(bytes.len() as u64).map_err(StoreError::io("truncate file", path))?;
    file.sync_all().map_err(StoreError::io("sync file", path))
}

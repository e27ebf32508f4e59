//! The log file: opening with three outcomes, appending, setting aside what does not hold. Reads in bounded memory,
//! however long the log is.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fengsui_config::clock::UtcMicros;

use super::Opening;
use super::fresh::Fresh;
use super::index::Index;
use super::log::{Decoded, MAGIC, RECORD_MAX, decode, mend};
use crate::error::StoreError;
use crate::fs::{Fs, FsFile, OpenOptions};

pub(super) const NAME: &str = "catalogue.log";

/// A log is written afresh when it is this many times as long as it needs to be.
const STALE_FACTOR: u64 = 2;
/// A shorter log is never stale.
const STALE_BYTES_MIN: u64 = 64 << 10;
/// Bytes of a log read at once.
const WINDOW_BYTES: usize = 1 << 20;

/// The open log.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: Box<dyn FsFile>,
    length: u64,
    /// Bytes that a failed write left over.
    waiting: Vec<u8>,
    dirty: bool,
    /// A sync failed: nobody knows what of the file is durable, and no later sync will tell.
    suspect: bool,
    /// The file has its name, but the name may not be durable yet.
    name_dirty: bool,
    errors: u64,
}

impl LogFile {
    pub(super) fn new(path: PathBuf, file: Box<dyn FsFile>, length: u64) -> Self {
        let waiting = Vec::new();
        Self { path, file, length, waiting, dirty: false, suspect: false, name_dirty: false, errors: 0 }
    }
    pub(super) fn length(&self) -> u64 {
        self.length
    }
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }
    pub(super) fn errors(&self) -> u64 {
        self.errors
    }
    /// Must be written afresh before anything in it can be called durable.
    pub(super) fn is_suspect(&self) -> bool {
        self.suspect
    }
    pub(super) fn is_stale(&self, needed: u64) -> bool {
        self.length > STALE_FACTOR * needed + STALE_BYTES_MIN
    }

    /// Keeps `fresh` until the next append.
    pub(super) fn keep(&mut self, fresh: Vec<u8>) {
        if self.waiting.is_empty() {
            self.waiting = fresh;
        } else {
            self.waiting.extend_from_slice(&fresh);
        }
    }

    /// Appends `fresh` behind what waits; with `sync` makes everything durable.
    pub(super) fn append(&mut self, fs: &dyn Fs, fresh: Vec<u8>, sync: bool) -> Result<(), StoreError> {
        self.keep(fresh);
        let result = self.write(fs, sync);
        if result.is_err() {
            self.errors += 1;
        }
        result
    }

    fn write(&mut self, fs: &dyn Fs, sync: bool) -> Result<(), StoreError> {
        if !self.waiting.is_empty() {
            let at = StoreError::io("append to catalogue", &self.path);
            self.file.write_at(self.length, &self.waiting).map_err(at)?;
            self.length += self.waiting.len() as u64;
            self.waiting.clear();
            self.dirty = true;
        }
        if sync && self.dirty {
            let synced = self.file.sync_data().map_err(StoreError::io("sync catalogue", &self.path));
            self.suspect |= synced.is_err();
            synced?;
            self.dirty = false;
        }
        if sync && self.name_dirty {
            sync_dir_of(fs, &self.path)?;
            self.name_dirty = false;
        }
        Ok(())
    }

    /// Continues in a fresh log that has its name already. What waited is in the fresh one.
    pub(super) fn replace_by(&mut self, fresh: Self, name_durable: bool) {
        let errors = self.errors;
        *self = Self { errors, name_dirty: !name_durable, ..fresh };
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
    let (old, length) = match open_read(&**fs, &path) {
        Ok(found) => found,
        Err(e) if e.io_kind() == Some(io::ErrorKind::NotFound) => {
            let index = Index::default();
            let file = replace(&**fs, dir, &index)?;
            return Ok((index, file, Opening::New));
        }
        Err(e) => return Err(e),
    };
    let (index, opening) = load(&*old, length).map_err(StoreError::io("read catalogue", &path))?;
    let file = match &opening {
        Opening::Clean => reopen(&**fs, &path, length)?,
        Opening::New => replace(&**fs, dir, &index)?,
        Opening::TornTail { bytes: torn } => {
            let keep = length.saturating_sub(*torn);
            copy(&**fs, &*old, keep, &dir.join(format!("{NAME}.torn-{}", now.millis())))?;
            let file = reopen(&**fs, &path, keep)?;
            file.file.truncate(keep).map_err(StoreError::io("truncate catalogue", &path))?;
            file
        }
        Opening::Damaged { .. } => {
            copy(&**fs, &*old, 0, &dir.join(format!("{NAME}.damaged-{}", now.millis())))?;
            replace(&**fs, dir, &index)?
        }
    };
    if opening == Opening::Clean && file.is_stale(index.snapshot_bytes()) {
        let file = replace(&**fs, dir, &index)?;
        return Ok((index, file, opening));
    }
    Ok((index, file, opening))
}

fn open_read(fs: &dyn Fs, path: &Path) -> Result<(Box<dyn FsFile>, u64), StoreError> {
    let file = fs.open(path, OpenOptions::READ).map_err(StoreError::io("open catalogue", path))?;
    let length = file.len().map_err(StoreError::io("open catalogue", path))?;
    Ok((file, length))
}

/// What the log in `dir` says, how it was found, and its length. Changes nothing; a log that is missing is `New`.
pub(super) fn peek(fs: &dyn Fs, dir: &Path) -> Result<(Index, Opening, u64), StoreError> {
    let path = dir.join(NAME);
    let (file, length) = match open_read(fs, &path) {
        Ok(found) => found,
        Err(e) if e.io_kind() == Some(io::ErrorKind::NotFound) => {
            return Ok((Index::default(), Opening::New, 0));
        }
        Err(e) => return Err(e),
    };
    let (index, opening) = load(&*file, length).map_err(StoreError::io("read catalogue", &path))?;
    Ok((index, opening, length))
}

/// A window that moves over a file.
struct Window<'a> {
    file: &'a dyn FsFile,
    room: Vec<u8>,
    at: usize,
    end: usize,
    read_to: u64,
    over: bool,
}

impl<'a> Window<'a> {
    fn new(file: &'a dyn FsFile) -> Self {
        Self { file, room: vec![0; WINDOW_BYTES], at: 0, end: 0, read_to: 0, over: false }
    }

    /// What follows; at least one whole record of it, unless the file ends.
    fn rest(&mut self) -> io::Result<&[u8]> {
        if self.end - self.at < RECORD_MAX && !self.over {
            self.room.copy_within(self.at..self.end, 0);
            self.end -= self.at;
            self.at = 0;
            while let Some(free) = self.room.get_mut(self.end..).filter(|f| !f.is_empty()) {
                match self.file.read_at(self.read_to, free) {
                    Ok(0) => {
                        self.over = true;
                        break;
                    }
                    Ok(n) => {
                        self.end += n;
                        self.read_to += n as u64;
                    }
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(e),
                }
            }
        }
        Ok(self.room.get(self.at..self.end).unwrap_or_default())
    }

    fn skip(&mut self, bytes: usize) {
        self.at = (self.at + bytes).min(self.end);
    }

    fn position(&self) -> u64 {
        self.read_to - (self.end - self.at) as u64
    }
}

/// Applies all valid records of a log. Behind a place that does not hold it looks for records at every byte.
pub(super) fn load(file: &dyn FsFile, length: u64) -> io::Result<(Index, Opening)> {
    let mut index = Index::default();
    let mut window = Window::new(file);
    let begins_well = window.rest()?.starts_with(&MAGIC);
    let mut bad = (!begins_well).then_some(0);
    let mut found_behind = false;
    let mut held = true;
    window.skip(if begins_well { MAGIC.len() } else { 1 });
    loop {
        let rest = window.rest()?;
        if rest.is_empty() {
            break;
        }
        match decode(rest) {
            Decoded::Record(record, length) => {
                found_behind |= bad.is_some();
                held = true;
                if let Some(record) = record {
                    index.apply(record);
                }
                window.skip(length);
            }
            Decoded::Invalid => {
                // A definition of a stream is what all its records hang on: one bit must not cost them. Tried once a place.
                let mended = if std::mem::replace(&mut held, false) { mend(rest) } else { None };
                bad.get_or_insert(window.position());
                match mended {
                    Some((record, length)) => {
                        found_behind = true;
                        index.apply(record);
                        window.skip(length);
                    }
                    None => window.skip(1),
                }
            }
        }
    }
    let opening = match bad {
        None => Opening::Clean,
        Some(at) if found_behind => Opening::Damaged { at },
        // Without its first bytes the file cannot be appended to.
        Some(0) if length < MAGIC.len() as u64 => Opening::New,
        Some(0) => Opening::Damaged { at: 0 },
        Some(at) => Opening::TornTail { bytes: length.saturating_sub(at) },
    };
    Ok((index, opening))
}

fn reopen(fs: &dyn Fs, path: &Path, length: u64) -> Result<LogFile, StoreError> {
    let file = fs.open(path, OpenOptions::WRITE).map_err(StoreError::io("open catalogue", path))?;
    Ok(LogFile::new(path.to_path_buf(), file, length))
}

/// Writes the whole state as a new log and puts it in place of the old one.
fn replace(fs: &dyn Fs, dir: &Path, index: &Index) -> Result<LogFile, StoreError> {
    let mut fresh = Fresh::create(fs, dir)?;
    let mut bytes = Vec::new();
    index.snapshot_head(&mut bytes);
    for stream in 0.. {
        fresh.write(&bytes)?;
        bytes.clear();
        if !index.snapshot_stream(stream, &mut bytes) {
            break;
        }
    }
    fresh.verify()?;
    let file = fresh.put_in_place(fs)?;
    sync_dir_of(fs, &dir.join(NAME))?;
    Ok(file)
}

pub(super) fn sync_dir_of(fs: &dyn Fs, path: &Path) -> Result<(), StoreError> {
    let dir = path.parent().unwrap_or(path);
    fs.sync_dir(dir).map_err(StoreError::io("sync directory", dir))
}

/// Sets a log aside under another name, and what could be read of it; `None` when there is none.
pub(super) fn set_aside(
    fs: &dyn Fs,
    dir: &Path,
    now: UtcMicros,
) -> Result<Option<(PathBuf, Index)>, StoreError> {
    let path = dir.join(NAME);
    let (old, length) = match open_read(fs, &path) {
        Ok(found) => found,
        Err(e) if e.io_kind() == Some(io::ErrorKind::NotFound) => return Ok(None),
        Err(e) => return Err(e),
    };
    let (index, _) = load(&*old, length).map_err(StoreError::io("read catalogue", &path))?;
    let aside = dir.join(format!("{NAME}.old-{}", now.millis()));
    fs.rename(&path, &aside).map_err(StoreError::io("rename catalogue", &path))?;
    Ok(Some((aside, index)))
}

/// Copies a file from an offset on, durably.
fn copy(fs: &dyn Fs, from: &dyn FsFile, mut offset: u64, path: &Path) -> Result<(), StoreError> {
    let file = fs.open(path, OpenOptions::CREATE).map_err(StoreError::io("create file", path))?;
    let mut room = vec![0; WINDOW_BYTES];
    let mut length = 0;
    loop {
        let n = from.read_at(offset, &mut room).map_err(StoreError::io("read catalogue for", path))?;
        let Some(bytes) = room.get(..n).filter(|b| !b.is_empty()) else { break };
        file.write_at(length, bytes).map_err(StoreError::io("write file", path))?;
        offset += n as u64;
        length += n as u64;
    }
    file.truncate(length).map_err(StoreError::io("truncate file", path))?;
    file.sync_all().map_err(StoreError::io("sync file", path))
}

//! Copies one closed segment to another volume: aside first, checked against what is on the disk, then under its name.
//!
//! Steps, each durable before the next: bytes and length in `<volume>/moving/`, read back and compared by hash; the name;
//! the directories down to it. A crash leaves either nothing under the name, or the whole segment. What lies in
//! `moving` is never the only copy.

use std::path::{Path, PathBuf};

use fengsui_config::limits;

use crate::error::StoreError;
use crate::fs::{Fs, FsFile, OpenOptions, PAGE, PageBuf};
use crate::segment::Hash;

/// Directory of unfinished copies on a volume.
pub(super) const MOVING_DIR: &str = "moving";

/// What is copied where.
pub(super) struct Copy<'a> {
    pub fs: &'a dyn Fs,
    /// The closed segment.
    pub from: &'a Path,
    /// Root of the other volume.
    pub to_root: &'a Path,
    /// Path within the volume, on both.
    pub path: &'a Path,
}

impl Copy<'_> {
    /// Copies. `pace` is called after every chunk and may wait; `false` ends the copy with an error.
    /// Returns the new file's path and length.
    pub(super) fn run(
        &self,
        buf: &mut PageBuf,
        pace: &mut dyn FnMut() -> bool,
    ) -> Result<(PathBuf, u64), StoreError> {
        let (fs, aside_dir) = (self.fs, self.to_root.join(MOVING_DIR));
        fs.create_dir_all(&aside_dir).map_err(StoreError::io("create directory", &aside_dir))?;
        let flat = self.path.to_string_lossy().replace('/', "_");
        let aside = aside_dir.join(format!("{flat}.part"));
        let copied = self.aside(&aside, buf, pace);
        if copied.is_err() {
            // Room for others; whatever stays is removed at the next start.
            let _ = fs.remove(&aside);
        }
        let len = copied?;
        let to = self.to_root.join(self.path);
        let dir = to.parent().unwrap_or(self.to_root);
        fs.create_dir_all(dir).map_err(StoreError::io("create directory", dir))?;
        fs.rename(&aside, &to).map_err(StoreError::io("rename copy", &aside))?;
        for dir in dir.ancestors().take_while(|d| d.starts_with(self.to_root)).chain([&*aside_dir]) {
            fs.sync_dir(dir).map_err(StoreError::io("sync directory", dir))?;
        }
        Ok((to, len))
    }

    /// Copies aside and compares; returns the length.
    fn aside(
        &self,
        aside: &Path,
        buf: &mut PageBuf,
        pace: &mut dyn FnMut() -> bool,
    ) -> Result<u64, StoreError> {
        let (hash, len) = self.write(aside, buf, pace)?;
        // Past the page cache: what counts is what the disk holds.
        let check = OpenOptions { direct: true, ..OpenOptions::READ };
        let copy = self.fs.open(aside, check).map_err(StoreError::io("open copy", aside))?;
        if hash_of(&*copy, aside, buf, pace)? != (hash, len) {
            let text = format!("{}: differs from {}", aside.display(), self.from.display());
            return Err(StoreError::Invalid(text));
        }
        Ok(len)
    }

    fn write(
        &self,
        aside: &Path,
        buf: &mut PageBuf,
        pace: &mut dyn FnMut() -> bool,
    ) -> Result<(Hash, u64), StoreError> {
        let from =
            self.fs.open(self.from, OpenOptions::READ).map_err(StoreError::io("open segment", self.from))?;
        let len = from.len().map_err(StoreError::io("measure segment", self.from))?;
        let options = OpenOptions { direct: true, ..OpenOptions::CREATE };
        let copy = self.fs.open(aside, options).map_err(StoreError::io("create copy", aside))?;
        copy.allocate_keep_size(len).map_err(StoreError::io("reserve room for copy", aside))?;
        let write = |at: u64, pages: &PageBuf| {
            copy.write_at(at, pages.as_slice()).map_err(StoreError::io("write copy", aside))
        };
        let found = chunks(&*from, self.from, buf, pace, &write)?;
        copy.truncate(len).map_err(StoreError::io("truncate copy", aside))?;
        copy.sync_all().map_err(StoreError::io("sync copy", aside))?;
        if found.1 != len {
            return Err(StoreError::Invalid(format!("{}: changed while it was copied", self.from.display())));
        }
        Ok(found)
    }
}

/// Hash and length of a file as it lies on the disk.
pub(super) fn hash_of(
    file: &dyn FsFile,
    path: &Path,
    buf: &mut PageBuf,
    pace: &mut dyn FnMut() -> bool,
) -> Result<(Hash, u64), StoreError> {
    chunks(file, path, buf, pace, &|_, _| Ok(()))
}

/// Gives a file in chunks of whole pages (the last one padded with zeros) to `each`; returns hash and length.
fn chunks(
    file: &dyn FsFile,
    path: &Path,
    buf: &mut PageBuf,
    pace: &mut dyn FnMut() -> bool,
    each: &dyn Fn(u64, &PageBuf) -> Result<(), StoreError>,
) -> Result<(Hash, u64), StoreError> {
    let (mut hash, mut at) = (blake3::Hasher::new(), 0u64);
    let mut room = vec![0; limits::MOVE_CHUNK_BYTES];
    loop {
        let mut got = 0;
        while let Some(rest) = room.get_mut(got..).filter(|r| !r.is_empty()) {
            match file.read_at(at + got as u64, rest).map_err(StoreError::io("read segment", path))? {
                0 => break,
                n => got += n,
            }
        }
        let part = room.get(..got).unwrap_or_default();
        if part.is_empty() {
            return Ok((*hash.finalize().as_bytes(), at));
        }
        hash.update(part);
        buf.clear();
        buf.extend(part);
        buf.extend(vec![0; got.next_multiple_of(PAGE) - got].as_slice());
        each(at, buf)?;
        at += got as u64;
        if !pace() {
            return Err(StoreError::Invalid(format!("{}: the copy was stopped", path.display())));
        }
    }
}

/// Removes what unfinished copies left on a volume.
pub(super) fn clean(fs: &dyn Fs, root: &Path) -> Result<(), StoreError> {
    let dir = root.join(MOVING_DIR);
    let entries = match fs.read_dir(&dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(StoreError::io("list directory", &dir)(e)),
    };
    for entry in entries.into_iter().filter(|e| !e.is_dir && e.name.ends_with(".part")) {
        let path = dir.join(entry.name);
        fs.remove(&path).map_err(StoreError::io("remove unfinished copy", &path))?;
    }
    Ok(())
}

//! Replacing a damaged segment by a copy that holds.

use std::path::{Path, PathBuf};

use crate::error::StoreError;
use crate::fs::{Fs, FsFile, OpenOptions, PAGE};
use crate::segment::{Hash, KeyId, SegmentRow, Surveyor};

/// A place that may have copies of segments: an archive, another node, a mounted backup.
pub trait Replica: Send + Sync {
    /// Its name, for the journal.
    fn name(&self) -> String;
    /// Writes the whole file of a closed segment to `to`, from offset 0 on. False when it has none. What it writes is
    /// not trusted: the caller checks every byte.
    fn fetch(&self, row: &SegmentRow, to: &dyn FsFile) -> Result<bool, StoreError>;
}

/// Copies under a directory, with the paths that they have on their volume.
#[derive(Debug)]
pub struct DirectoryReplica<F> {
    fs: F,
    root: PathBuf,
}

impl<F: Fs> DirectoryReplica<F> {
    /// Copies under `root`.
    #[must_use]
    pub fn new(fs: F, root: PathBuf) -> Self {
        Self { fs, root }
    }
}

impl<F: Fs> Replica for DirectoryReplica<F> {
    fn name(&self) -> String {
        self.root.display().to_string()
    }

    fn fetch(&self, row: &SegmentRow, to: &dyn FsFile) -> Result<bool, StoreError> {
        let path = self.root.join(row.path());
        let from = match self.fs.open(&path, OpenOptions::READ) {
            Ok(from) => from,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(e) => return Err(StoreError::io("open copy", &path)(e)),
        };
        copy(&*from, &path, to, Holes::Refuse)?;
        Ok(true)
    }
}

/// What to do about pages that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holes {
    Refuse,
    /// Leave zeros in their place.
    Zeros,
}

/// Copies a whole file.
fn copy(from: &dyn FsFile, path: &Path, to: &dyn FsFile, holes: Holes) -> Result<u64, StoreError> {
    const CHUNK: usize = 64 * PAGE;
    let len = from.len().map_err(StoreError::io("measure file", path))?;
    let mut room = vec![0; CHUNK];
    let mut at = 0u64;
    while at < len {
        let want = usize::try_from(len - at).unwrap_or(usize::MAX).min(CHUNK);
        let part = room.get_mut(..want).unwrap_or_default();
        if let Err(e) = from.read_exact_at(at, part) {
            if holes == Holes::Refuse {
                return Err(StoreError::io("read copy", path)(e));
            }
            for (i, page) in part.chunks_mut(PAGE).enumerate() {
                if from.read_exact_at(at + (i * PAGE) as u64, page).is_err() {
                    page.fill(0);
                }
            }
        }
        to.write_at(at, part).map_err(StoreError::io("write copy", path))?;
        at += want as u64;
    }
    to.truncate(len).map_err(StoreError::io("truncate copy", path))?;
    to.sync_all().map_err(StoreError::io("sync copy", path))?;
    Ok(len)
}

/// What a copy has to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// The segment's hash, if the damaged file still tells it under its signature.
    pub hash: Option<Hash>,
    /// The key that must have signed it.
    pub key: Option<KeyId>,
}

/// Fetches the segment, checks it to the last byte, and puts it in the place of the damaged file, a copy of which is
/// kept in the quarantine of the volume. `None` when the replica does not have it; the text says why a copy was not
/// taken.
pub(super) fn repair(
    fs: &dyn Fs,
    root: &Path,
    row: &SegmentRow,
    replica: &dyn Replica,
    wanted: Wanted,
) -> Result<Option<Result<PathBuf, String>>, StoreError> {
    let quarantine = root.join("quarantine");
    fs.create_dir_all(&quarantine).map_err(StoreError::io("create directory", &quarantine))?;
    let path = root.join(row.path());
    let stem = format!("{}_{}_{}", row.key.camera, row.key.stream, row.name());
    let aside = quarantine.join(format!("{stem}.repair"));
    let file = fs.open(&aside, OpenOptions::CREATE).map_err(StoreError::io("create file", &aside))?;
    file.truncate(0).map_err(StoreError::io("truncate file", &aside))?;
    let fetched = replica.fetch(row, &*file);
    let refused = match fetched {
        Ok(false) => None,
        Ok(true) => {
            file.sync_all().map_err(StoreError::io("sync file", &aside))?;
            Some(unfit(fs, &aside, row, wanted)?)
        }
        Err(e) => Some(Some(e.to_string())),
    };
    drop(file);
    match refused {
        Some(None) => {}
        Some(Some(why)) => {
            // A copy that is not wanted holds nothing that is not elsewhere.
            fs.remove(&aside).map_err(StoreError::io("remove refused copy", &aside))?;
            return Ok(Some(Err(why)));
        }
        None => {
            fs.remove(&aside).map_err(StoreError::io("remove empty file", &aside))?;
            return Ok(None);
        }
    }
    let kept = keep(fs, &path, &quarantine, &stem)?;
    fs.rename(&aside, &path).map_err(StoreError::io("put the copy in place", &path))?;
    for dir in [path.parent(), Some(&*quarantine)].into_iter().flatten() {
        fs.sync_dir(dir).map_err(StoreError::io("sync directory", dir))?;
    }
    Ok(Some(Ok(kept)))
}

/// Why a fetched file may not take the place of the segment.
fn unfit(fs: &dyn Fs, path: &Path, row: &SegmentRow, wanted: Wanted) -> Result<Option<String>, StoreError> {
    let mut surveyor = match Surveyor::open(fs, path, row.end()) {
        Ok(surveyor) => surveyor,
        Err(e @ StoreError::Damaged { .. }) => return Ok(Some(e.to_string())),
        Err(e) => return Err(e),
    };
    while surveyor.step()?.is_some() {}
    let found = surveyor.finish();
    let head = &found.head;
    Ok(if let Some(damage) = found.damages.first() {
        Some(format!("the copy is damaged at byte {}: {}", damage.offset, damage.detail))
    } else if (head.key, head.number, head.start.millis()) != (row.key, row.number, row.start_ms) {
        Some("the copy is another segment".into())
    } else if found.hash.is_none() {
        Some("the copy is not signed".into())
    } else if wanted.hash.is_some_and(|h| Some(h) != found.hash) {
        Some("the copy has another hash than the damaged file".into())
    } else if wanted.hash.is_none() && wanted.key.is_some_and(|k| k != found.key_id) {
        Some("the copy is signed by another key".into())
    } else {
        None
    })
}

/// Copies the damaged file into the quarantine: a rename would leave a moment without any file.
fn keep(fs: &dyn Fs, path: &Path, quarantine: &Path, stem: &str) -> Result<PathBuf, StoreError> {
    let from = fs.open(path, OpenOptions::READ).map_err(StoreError::io("open damaged segment", path))?;
    for n in 0..1000u32 {
        let to =
            quarantine.join(if n == 0 { format!("{stem}.damaged") } else { format!("{stem}.{n}.damaged") });
        match fs.open(&to, OpenOptions::NEW) {
            Ok(file) => {
                copy(&*from, &to, &*file, Holes::Zeros)?;
                fs.sync_dir(quarantine).map_err(StoreError::io("sync directory", quarantine))?;
                return Ok(to);
            }
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(StoreError::io("create quarantine file", &to)(e)),
        }
    }
    Err(StoreError::Invalid(format!("{}: no free name for {stem}", quarantine.display())))
}

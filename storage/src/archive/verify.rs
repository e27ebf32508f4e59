//! Proving a whole archive, fetching from it, and making its index anew from its keys.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{NodeId, VolumeId};
use fengsui_config::limits;
use serde::Serialize;

use super::index::{ArchiveIndex, Stored};
use super::store::{ArchiveError, ArchiveStore};
use super::{object_key, parse_key};
use crate::error::StoreError;
use crate::fs::{Fs, FsFile, OpenOptions};
use crate::segment::{self, FileCheck, Outcome, SegmentFlags, SegmentRow};

/// One thing in an archive that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// The object.
    pub key: String,
    /// A short fixed text: `missing`, `damaged`, `name`, `signature`, `length`, `unknown_object`, `not_indexed`.
    pub kind: &'static str,
    /// What does not hold, for people.
    pub detail: String,
}

/// What a check of an archive found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Objects read to their last byte.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Of them, those that hold.
    pub sound: u64,
    /// Everything that does not hold, at most `limits::ARCHIVE_PROBLEMS_MAX`.
    pub problems: Vec<Found>,
    /// Problems beyond those listed.
    pub problems_unlisted: u64,
}

impl VerifyReport {
    /// Nothing speaks against it.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    fn add(&mut self, key: &str, kind: &'static str, detail: impl Into<String>) {
        if self.problems.len() < limits::ARCHIVE_PROBLEMS_MAX {
            self.problems.push(Found { key: key.to_owned(), kind, detail: detail.into() });
        } else {
            self.problems_unlisted += 1;
        }
    }
}

/// What an archive's refusal is to whoever reads footage.
fn io_error(key: &str, error: &ArchiveError) -> StoreError {
    let kind = match error {
        ArchiveError::NotFound(_) => std::io::ErrorKind::NotFound,
        ArchiveError::Wrong(_) => std::io::ErrorKind::InvalidData,
        _ => std::io::ErrorKind::HostUnreachable,
    };
    StoreError::io("fetch from the archive", Path::new(key))(std::io::Error::new(kind, error.to_string()))
}

/// Copies an object to a file. Memory is bounded by `limits::ARCHIVE_PART_BYTES`.
pub(super) fn copy(store: &dyn ArchiveStore, key: &str, to: &dyn FsFile) -> Result<u64, StoreError> {
    let wrong = |e: &ArchiveError| io_error(key, e);
    let len = store.size(key).map_err(|e| wrong(&e))?;
    let len = len.ok_or_else(|| wrong(&ArchiveError::NotFound(key.to_owned())))?;
    let part = limits::ARCHIVE_PART_BYTES as u64;
    let mut at = 0;
    while at < len {
        let want = usize::try_from((len - at).min(part)).unwrap_or(limits::ARCHIVE_PART_BYTES);
        let bytes = store.get(key, at, want).map_err(|e| wrong(&e))?;
        to.write_at(at, &bytes).map_err(StoreError::io("write a copy of", Path::new(key)))?;
        at += want as u64;
    }
    Ok(len)
}

/// As [`copy`], to a file that may be there with other bytes.
fn copy_over(store: &dyn ArchiveStore, key: &str, fs: &dyn Fs, to: &Path) -> Result<u64, StoreError> {
    let file = fs.open(to, OpenOptions::CREATE).map_err(StoreError::io("create file", to))?;
    file.truncate(0).map_err(StoreError::io("cut file", to))?;
    copy(store, key, &*file)
}

/// Reads every object of `index` to its last byte and holds it against its own hashes, its signature and its name; and
/// names objects that the index does not know. `scratch` is a file that may be made and removed. Changes nothing else.
/// Fails when the archive cannot be listed.
pub fn verify(
    store: &dyn ArchiveStore,
    node: &NodeId,
    index: &ArchiveIndex,
    (fs, scratch): (&dyn Fs, &Path),
    progress: &mut dyn FnMut(&VerifyReport),
) -> Result<VerifyReport, ArchiveError> {
    let mut report = VerifyReport::default();
    let mut listed: BTreeMap<String, u64> = BTreeMap::new();
    store.list(node.as_str(), &mut |found| {
        listed.insert(found.key, found.bytes);
    })?;
    for row in index.all() {
        let key = object_key(node, &row);
        match listed.remove(&key) {
            None => report.add(&key, "missing", "the index has it, the archive has not"),
            Some(bytes) => {
                if bytes != row.bytes {
                    report.add(&key, "length", format!("{bytes} bytes, stored were {}", row.bytes));
                }
                one(store, &key, &row, (fs, scratch), &mut report);
            }
        }
        progress(&report);
    }
    for (key, bytes) in listed {
        match parse_key(node, &key) {
            None => report.add(&key, "unknown_object", "no segment of this node by its key"),
            Some((stream, name)) => {
                let row = row_of(&VolumeId::clone(node), stream, name, bytes);
                report.add(&key, "not_indexed", "`fengsui archive rebuild` takes it into the index");
                one(store, &key, &row, (fs, scratch), &mut report);
            }
        }
        progress(&report);
    }
    // It may never have been made.
    let _ = fs.remove(scratch);
    Ok(report)
}

fn one(
    store: &dyn ArchiveStore,
    key: &str,
    row: &SegmentRow,
    (fs, scratch): (&dyn Fs, &Path),
    report: &mut VerifyReport,
) {
    let found =
        copy_over(store, key, fs, scratch).and_then(|len| Ok((len, segment::check(fs, scratch, true)?)));
    let (len, found) = match found {
        Ok(found) => found,
        Err(error) => return report.add(key, "damaged", error.to_string()),
    };
    report.objects += 1;
    report.bytes += len;
    let before = report.problems.len() as u64 + report.problems_unlisted;
    judge(key, row, &found, report);
    if report.problems.len() as u64 + report.problems_unlisted == before {
        report.sound += 1;
    }
}

fn judge(key: &str, row: &SegmentRow, found: &FileCheck, report: &mut VerifyReport) {
    match found.outcome {
        // It was archived as the damaged file that it was.
        Outcome::Damaged { .. } | Outcome::TornTail { .. } if row.flags.has(SegmentFlags::DAMAGED) => {}
        Outcome::Damaged { at } => report.add(key, "damaged", format!("byte {at}: {}", found.detail)),
        Outcome::TornTail { bytes } => {
            report.add(key, "damaged", format!("its last {bytes} bytes do not hold"))
        }
        Outcome::Clean if !found.closed => report.add(key, "damaged", "it has no footer"),
        Outcome::Clean => {}
    }
    if let Some(head) = &found.head
        && (head.key, head.start.millis(), head.number) != (row.key, row.start_ms, row.number)
    {
        report.add(key, "name", "camera, start or number differ from those within");
    }
    if found.closed && !found.signed {
        report.add(key, "signature", "the signature does not hold");
    }
}

fn row_of(
    volume: &VolumeId,
    key: fengsui_config::ids::StreamKey,
    name: segment::SegmentName,
    bytes: u64,
) -> SegmentRow {
    let (duration_ms, flags) = name.closed.unwrap_or_default();
    let (number, start_ms) = (name.number, name.start_ms);
    SegmentRow { volume: volume.clone(), key, number, start_ms, duration_ms, flags, bytes, closed: true }
}

/// Makes the index of an archive anew from the keys of its objects; says how many segments it has now, and how many
/// objects are none.
pub fn rebuild(
    store: &dyn ArchiveStore,
    node: &NodeId,
    id: &VolumeId,
    (fs, dir): (&dyn Fs, &Path),
    now: UtcMicros,
) -> Result<(u64, u64), RebuildError> {
    let mut rows = Vec::new();
    let mut unknown = 0;
    let mut each = |found: super::Listed| match parse_key(node, &found.key) {
        Some((key, name)) => {
            let (duration_ms, flags) = name.closed.unwrap_or_default();
            let (number, start_ms, bytes) = (name.number, name.start_ms, found.bytes);
            rows.push(Stored { key, number, start_ms, duration_ms, flags, bytes, at: now, hash: [0; 32] });
        }
        None => unknown += 1,
    };
    store.list(node.as_str(), &mut each).map_err(RebuildError::Archive)?;
    rows.sort_by_key(|r| (r.key, r.start_ms, r.number));
    let index = ArchiveIndex::replace(fs, dir, id.clone(), &rows, now).map_err(RebuildError::Store)?;
    Ok((index.totals().0, unknown))
}

/// Why an index could not be made anew.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The archive could not be listed.
    #[error(transparent)]
    Archive(ArchiveError),
    /// The node's own disk refused.
    #[error(transparent)]
    Store(StoreError),
}

/// Where `verify` of an archive keeps the object it looks at.
#[must_use]
pub fn scratch(dir: &Path, id: &VolumeId) -> PathBuf {
    dir.join(format!("{id}.verify"))
}

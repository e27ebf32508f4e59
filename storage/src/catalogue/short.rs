//! Closed files that became shorter than they were when they were closed: somebody cut them, or a file system lost
//! their end. What is left in them plays; their names must not promise more.

use std::path::Path;

use super::log::{Packed, Record};
use super::{Catalogue, narrow};
use crate::error::StoreError;
use crate::frame::GapReason;
use crate::gaps::Interval;
use crate::segment::{SegmentFlags, SegmentReader, SegmentRow, has_footer};

impl Catalogue {
    /// Gives a shortened file a name that tells what is left in it, marked damaged; a file in which nothing is left goes
    /// to the quarantine as it is. No byte of it is changed. What is lost becomes a gap.
    pub(super) fn shorten(&self, root: &Path, row: &SegmentRow, bytes: u64) -> Result<(), StoreError> {
        let path = root.join(row.path());
        let left = match SegmentReader::open(&*self.fs, &path, None) {
            Ok(reader) => reader.fragments().iter().map(|f| f.utc_end).max(),
            Err(e) if e.io_kind().is_none() => None,
            Err(e) => return Err(e),
        };
        let Some(end) = left.filter(|end| *end > row.start()) else {
            self.quarantine(root, row, &path)?;
            self.removed(row, GapReason::Damaged);
            return Ok(());
        };
        let length_ms = (end.since(row.start()) + 999) / 1000;
        let duration_ms = u32::try_from(length_ms).unwrap_or(u32::MAX);
        let flags = row.flags.with(SegmentFlags::DAMAGED);
        let known = SegmentRow { duration_ms, flags, bytes, ..row.clone() };
        self.rename(&path, &root.join(known.path()))?;
        tracing::error!(file = %path.display(), "a closed segment was cut short; what is left is kept");
        let mut inner = self.inner.write();
        let Some(stream) = inner.index.by_key.get(&row.key).copied() else { return Ok(()) };
        let number = narrow(row.number);
        let Some(old) = inner.index.rows(&row.key).and_then(|r| r.closed.get(row.start_ms, number)) else {
            return Ok(());
        };
        let (_, to) = inner
            .index
            .rows(&row.key)
            .map_or((row.start(), row.end()), |r| r.with_seams(row.start(), row.end()));
        let hash = inner.index.rows(&row.key).map_or([0; 32], |r| r.last_hash);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        inner.record(Record::Closed {
            stream,
            row: Packed { duration_ms, flags: flags.0, bytes, ..old },
            hash,
        });
        let lost = Interval::new(known.end(), to);
        if !lost.is_empty() {
            inner.record(Record::Gap { stream, reason: GapReason::Damaged, from: lost.from, to: lost.to });
        }
        Ok(())
    }

    /// Whether a file that nobody knew holds less than its name says: it may have been cut before it was found.
    pub(super) fn was_cut(&self, path: &Path, row: &SegmentRow) -> Result<bool, StoreError> {
        if !row.flags.has(SegmentFlags::DAMAGED) {
            return Ok(!has_footer(&*self.fs, path, row.bytes)?);
        }
        // Without a footer only the pictures themselves tell.
        match SegmentReader::open(&*self.fs, path, None) {
            Ok(reader) => {
                let end = reader.fragments().iter().map(|f| f.utc_end).max();
                Ok(end.is_none_or(|end| end.0.saturating_add(1000) <= row.end().0))
            }
            Err(e) if e.io_kind().is_none() => Ok(true),
            Err(e) => Err(e),
        }
    }

    fn quarantine(&self, root: &Path, row: &SegmentRow, path: &Path) -> Result<(), StoreError> {
        let dir = root.join("quarantine");
        self.fs.create_dir_all(&dir).map_err(StoreError::io("create directory", &dir))?;
        self.rename(path, &dir.join(format!("{}_{}_{}", row.key.camera, row.key.stream, row.name())))?;
        tracing::error!(file = %path.display(), "nothing in a closed segment can be read; it is in the quarantine");
        self.fs.sync_dir(&dir).map_err(StoreError::io("sync directory", &dir))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), StoreError> {
        self.fs.rename(from, to).map_err(StoreError::io("rename segment", from))?;
        let dir = from.parent().unwrap_or(from);
        self.fs.sync_dir(dir).map_err(StoreError::io("sync directory", dir))
    }
}

//! The writer of one segment: takes access units, writes groups, closes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fengsui_config::clock::UtcMicros;
use fengsui_config::limits;

use super::group::{self, Builder};
use super::{
    EndReason, FragmentEntry, Hash, NodeKey, SegmentFlags, SegmentHead, SegmentName, SegmentRow, stream_dir,
};
use crate::error::StoreError;
use crate::frame::{AccessUnit, Track};
use crate::fs::{Fs, FsFile, OpenOptions, PageBuf};

/// What one flush brought to the file (written, durable after the next sync of the volume).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Length of the file up to and with this group.
    pub length: u64,
    /// Start of the first picture or sound of the group.
    pub from: UtcMicros,
    /// End of the last one; what is in the file reaches to here.
    pub to: UtcMicros,
    /// Access units written by this flush; 0 when there was nothing to write.
    pub units: u64,
    /// More is due: pending units did not fit one group. Flush again.
    pub more: bool,
}

/// A segment that has its footer and its final name.
#[derive(Debug, Clone)]
pub struct ClosedSegment {
    /// The file.
    pub path: PathBuf,
    /// What the catalogue keeps.
    pub row: SegmentRow,
    /// End on the node's clock, exact.
    pub end: UtcMicros,
    /// Hash over the whole segment; the next segment's [`SegmentHead::previous`].
    pub hash: Hash,
}

/// A file that is given up after a failed write or sync. It stays on the disk as it is, for recovery.
#[derive(Debug)]
pub struct Abandoned {
    /// The file.
    pub path: PathBuf,
    /// Bytes of whole groups whose write was not refused.
    pub committed: u64,
    /// End of what is in those groups.
    pub to: Option<UtcMicros>,
    /// Units that did not reach the file, in order; they go to a new file elsewhere.
    pub units: Vec<AccessUnit>,
}

/// A segment that could not be closed.
#[derive(Debug, thiserror::Error)]
#[error("close segment: {error}")]
pub struct CloseError {
    /// What failed.
    #[source]
    pub error: StoreError,
    /// What becomes of the file and the units.
    pub abandoned: Abandoned,
}

/// The writer of one segment file. Not shared; one thread per volume owns all of its writers.
///
/// Invariant: after a refused write or sync nothing more is written to the file.
#[derive(Debug)]
pub struct SegmentWriter {
    path: PathBuf,
    file: Box<dyn FsFile>,
    signer: Arc<NodeKey>,
    builder: Builder,
    pending: Vec<AccessUnit>,
    pending_bytes: usize,
    /// Presentation time of the picture after the last pending one, if told.
    follower: Option<AccessUnit>,
    written: u64,
    to: Option<UtcMicros>,
    failed: bool,
}

impl SegmentWriter {
    /// Creates the open file (and its directory) under `volume_root` and reserves `reserve` bytes for it. Nothing
    /// is written before the first flush.
    pub fn create(
        fs: &dyn Fs,
        volume_root: &Path,
        head: SegmentHead,
        reserve: u64,
        signer: Arc<NodeKey>,
    ) -> Result<Self, StoreError> {
        // Parameters that cannot be described are refused here, while the caller can still do something about it.
        super::mux::init_segment(&head.info, super::mux::Audience::Stored)?;
        let dir = volume_root.join(stream_dir(head.key, head.start.millis()));
        fs.create_dir_all(&dir).map_err(StoreError::io("create directory", &dir))?;
        let path = dir.join(SegmentName::open(head.start, head.number).to_string());
        let file =
            fs.open(&path, OpenOptions::NEW_DIRECT).map_err(StoreError::io("create segment", &path))?;
        if reserve > 0 {
            file.allocate_keep_size(reserve).map_err(StoreError::io("reserve room for segment", &path))?;
        }
        let builder = Builder::new(head, signer.id());
        Ok(Self {
            path,
            file,
            signer,
            builder,
            pending: Vec::new(),
            pending_bytes: 0,
            follower: None,
            written: 0,
            to: None,
            failed: false,
        })
    }

    /// What the segment started with.
    #[must_use]
    pub fn head(&self) -> &SegmentHead {
        self.builder.head()
    }

    /// The file, under its open name.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Fragments in the groups written so far.
    #[must_use]
    pub fn fragments(&self) -> &[FragmentEntry] {
        &self.builder.fragments
    }

    /// Takes a unit. Memory only; never fails. The bytes are shared with the caller's, not copied.
    pub fn push(&mut self, unit: AccessUnit) {
        self.pending_bytes += unit.data.len();
        self.pending.push(unit);
    }

    /// Tells the picture that will start the next segment, so that the last one of this gets its true duration.
    pub fn followed_by(&mut self, unit: &AccessUnit) {
        if unit.track == Track::Video {
            self.follower = Some(unit.clone());
        }
    }

    /// Bytes of whole groups written so far.
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.written
    }

    /// Bytes taken but not yet written.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// Whether the pending units make a group worth its write: by size (`limits::FLUSH_BYTES_MAX`), or because the newest
    /// unit is a key frame and enough is pending before it (`limits::FLUSH_AT_KEY_MIN`). Ask after each [`Self::push`]: a
    /// group that ends before a key frame keeps fragments and GOPs the same.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let (Some(first), Some(last)) = (self.pending.first(), self.pending.last()) else { return false };
        let at_key = last.track == Track::Video
            && last.key
            && last.utc.since(first.utc) >= micros(limits::FLUSH_AT_KEY_MIN);
        at_key || self.pending_bytes >= limits::FLUSH_BYTES_MAX
    }

    /// Whether a flush is due by size, at a key frame ([`Self::is_full`]) or by age (`limits::FLUSH_AGE_MAX`). Ask when
    /// nothing more is at hand: of units that came late each would be due by age alone.
    #[must_use]
    pub fn due(&self, now: UtcMicros) -> bool {
        let Some(first) = self.pending.first() else { return false };
        // A picture may have waited for its sweep; no clock is believed beyond that.
        let earliest = UtcMicros(first.arrived.0.saturating_sub(micros(limits::LEAN_SWEEP)));
        let here = first.utc.max(earliest).min(first.arrived);
        self.is_full() || now.since(here) >= micros(limits::FLUSH_AGE_MAX)
    }

    /// Writes one group with its commit record. The newest picture of a moving stream stays pending, because only
    /// the next one tells its duration. `buf` is scratch memory, one per thread. On failure all units stay pending
    /// and the file must be given up with [`Self::abandon`].
    pub fn flush(&mut self, buf: &mut PageBuf) -> Result<Committed, StoreError> {
        self.flush_some(false, buf)
    }

    fn flush_some(&mut self, ending: bool, buf: &mut PageBuf) -> Result<Committed, StoreError> {
        if self.failed {
            let path = self.path.display();
            return Err(StoreError::Invalid(format!("{path}: given up after a failed write")));
        }
        if self.pending.is_empty() {
            let to = self.to.unwrap_or(self.head().start);
            return Ok(Committed { length: self.written, from: to, to, units: 0, more: false });
        }
        let cut = group::cut(&self.pending, ending);
        let (now, later) = self.pending.split_at_checked(cut.units).unwrap_or((&self.pending, &[]));
        let after = later.iter().find(|u| u.track == Track::Video).or(self.follower.as_ref());
        let first_fragment = self.builder.fragments.len();
        buf.clear();
        // From here on the builder is ahead of the file: a failure must be the end of this writer.
        self.failed = true;
        self.builder.group(now, after, buf)?;
        self.file
            .write_at(self.written, buf.as_slice())
            .map_err(StoreError::io("write group", &self.path))?;
        self.failed = false;
        buf.trim(2 * limits::FLUSH_BYTES_MAX);
        self.pending_bytes -= now.iter().map(|u| u.data.len()).sum::<usize>().min(self.pending_bytes);
        let units = now.len() as u64;
        self.pending.drain(..cut.units.min(self.pending.len()));
        self.written = self.builder.length;
        let new = self.builder.fragments.get(first_fragment..).unwrap_or_default();
        let from = new.iter().map(|f| f.utc).min().unwrap_or(self.builder.head().start);
        let to = new.iter().map(|f| f.utc_end).max().unwrap_or(from);
        self.to = self.to.max(Some(to));
        Ok(Committed { length: self.written, from, to, units, more: cut.more })
    }

    /// Tells that everything written up to `length` is durable now (after a sync of the volume); later commit
    /// records say so, which lets recovery tell damage from a torn tail.
    pub fn synced(&mut self, length: u64) {
        self.builder.synced = self.builder.synced.max(length.min(self.written));
    }

    /// Writes what is pending and the footer, makes it durable, gives the file its final name. A segment without a
    /// single unit is refused and its empty file removed.
    pub fn close(
        mut self,
        fs: &dyn Fs,
        reason: EndReason,
        buf: &mut PageBuf,
    ) -> Result<ClosedSegment, Box<CloseError>> {
        match self.try_close(fs, reason, buf) {
            Ok(closed) => Ok(closed),
            Err(error) => Err(Box::new(CloseError { error, abandoned: self.abandon() })),
        }
    }

    fn try_close(
        &mut self,
        fs: &dyn Fs,
        reason: EndReason,
        buf: &mut PageBuf,
    ) -> Result<ClosedSegment, StoreError> {
        while !self.pending.is_empty() {
            self.flush_some(true, buf)?;
        }
        if self.written == 0 {
            fs.remove(&self.path).map_err(StoreError::io("remove empty segment", &self.path))?;
            return Err(StoreError::Invalid(format!("{}: nothing to close", self.path.display())));
        }
        self.failed = true;
        seal(fs, &*self.file, &self.path, &mut self.builder, Seal { reason, signer: &self.signer }, buf)
    }

    /// Gives the file up as it is.
    #[must_use]
    pub fn abandon(self) -> Abandoned {
        Abandoned { path: self.path, committed: self.written, to: self.to, units: self.pending }
    }
}

fn micros(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// How a segment is sealed.
#[derive(Clone, Copy)]
pub(super) struct Seal<'a> {
    pub(super) reason: EndReason,
    pub(super) signer: &'a NodeKey,
}

/// Writes the footer after the last group, makes the file durable, gives it its final name.
pub(super) fn seal(
    fs: &dyn Fs,
    file: &dyn FsFile,
    path: &Path,
    builder: &mut Builder,
    how: Seal<'_>,
    buf: &mut PageBuf,
) -> Result<ClosedSegment, StoreError> {
    buf.clear();
    let at = builder.length;
    let hash = builder.footer(how.reason, |m| how.signer.sign(m), buf);
    let bytes = at + buf.len() as u64;
    file.write_at(at, buf.as_slice()).map_err(StoreError::io("write footer", path))?;
    // Also gives back what was reserved beyond the end.
    file.truncate(bytes).map_err(StoreError::io("truncate segment", path))?;
    file.sync_all().map_err(StoreError::io("sync segment", path))?;
    let extra = if how.reason == EndReason::CrashTail { SegmentFlags::TORN } else { SegmentFlags::default() };
    let row = row(builder.head(), &builder.fragments, bytes, extra);
    let to = rename_closed(fs, path, &row)?;
    let end = builder.extent().map_or(builder.head().start, |(_, end)| end);
    Ok(ClosedSegment { path: to, row, end, hash })
}

/// The catalogue row of a segment with these fragments.
pub(super) fn row(
    head: &SegmentHead,
    fragments: &[FragmentEntry],
    bytes: u64,
    extra: SegmentFlags,
) -> SegmentRow {
    let mut flags = extra;
    let mut set = |on: bool, flag| flags = if on { flags.with(flag) } else { flags };
    set(fragments.iter().any(|f| f.frames > 0), SegmentFlags::VIDEO);
    set(fragments.iter().any(|f| f.audio_units > 0), SegmentFlags::AUDIO);
    set(fragments.first().is_some_and(|f| f.starts_with_key), SegmentFlags::KEY_START);
    set(fragments.iter().any(|f| f.lost > 0), SegmentFlags::LOSS);
    let start_ms = head.start.millis();
    let end = fragments.iter().map(|f| f.utc_end).max().unwrap_or(head.start);
    let end_ms = UtcMicros(end.0.saturating_add(999)).millis();
    let duration_ms = u32::try_from(end_ms.saturating_sub(start_ms).max(0)).unwrap_or(u32::MAX);
    SegmentRow {
        volume: head.volume.clone(),
        key: head.key,
        number: head.number,
        start_ms,
        duration_ms,
        flags,
        bytes,
        closed: true,
    }
}

/// Gives a file its closed name. When the sync of the directory is refused the file has that name all the same: the next
/// sync of the volume makes it durable, and a start after a power cut before that finds the old name and goes on from there.
pub(super) fn rename_closed(fs: &dyn Fs, path: &Path, row: &SegmentRow) -> Result<PathBuf, StoreError> {
    let to = path.with_file_name(row.name().to_string());
    if to != path {
        fs.rename(path, &to).map_err(StoreError::io("rename segment", path))?;
    }
    if let Some(dir) = to.parent()
        && let Err(error) = fs.sync_dir(dir)
    {
        tracing::error!(path = %to.display(), %error, "cannot sync the directory of a closed segment");
    }
    Ok(to)
}

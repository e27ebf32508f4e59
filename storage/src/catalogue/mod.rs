//! The catalogue: which footage exists, and why the rest does not.
//!
//! Derived from the segment files' names and what the recorder tells; one append-only log per node, and packed rows
//! in memory. Queries never touch the disk. Changes are in memory at once and reach the log with [`Catalogue::flush`],
//! which the recorder calls about every second.
//!
//! Invariants
//! - A torn or damaged log never stops the node: what is valid is kept, the old file is set aside.
//! - Files that the log does not know are added, never deleted; rows whose file is gone become a gap `damaged`.
//! - A closed segment costs at most 24 bytes of memory, everything included.
//! - The log is written afresh once a day; a crash at any moment leaves the old one or the new one.

mod audit;
mod check;
mod claims;
mod compact;
mod expiry;
mod fresh;
mod gap_rows;
mod index;
mod inspect;
mod log;
mod query;
mod relocate;
mod rows;
mod short;
mod store;
mod strip;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use fengsui_config::clock::{Clock, MonoMicros, UtcMicros};
use fengsui_config::ids::{StreamKey, VolumeId};
use fengsui_config::limits;
use parking_lot::{Mutex, RwLock};
use serde::Serialize;

use crate::damage::Damages;
use crate::error::StoreError;
use crate::frame::GapReason;
use crate::fs::Fs;
use crate::segment::{Hash, SegmentRow};

pub use crate::gaps::{Span, SpanKind};
pub use audit::{AuditReport, Hole};
pub use check::{CheckReport, RebuildReport};
pub use claims::Claim;
pub use compact::Compaction;
pub use expiry::StoredSegment;
pub use inspect::{Difference, DifferenceKind, Inspection, inspect, log_path};
pub use query::Summary;
pub use relocate::VolumeUsage;
pub use strip::{DayStrip, MINUTE_US, Minutes, STRIP_MINUTES_MAX};

use compact::Tee;
use index::{Index, StreamRows};
use log::{Packed, Record};
use store::LogFile;

/// What opening the log found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Opening {
    /// There was none.
    New,
    /// Every byte was valid.
    Clean,
    /// The last bytes were not a whole record: the trace of a crash. A copy lies beside the log.
    TornTail {
        /// How many.
        bytes: u64,
    },
    /// Bytes in the middle did not hold. The old log lies beside the new one; a check against the names follows.
    Damaged {
        /// Offset of the first byte that did not.
        at: u64,
    },
}

/// A segment that has no footer: left by a crash, or given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// Volume that holds it.
    pub volume: VolumeId,
    /// Stream.
    pub key: StreamKey,
    /// Number in its stream.
    pub number: u64,
    /// Start in milliseconds since 1970.
    pub start_ms: i64,
}

/// Counters of the catalogue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CatalogueStats {
    /// Streams known.
    pub streams: usize,
    /// Closed segments.
    pub segments: usize,
    /// Gaps.
    pub gaps: usize,
    /// Bytes in memory for all of it, reserves and all.
    pub memory_bytes: usize,
    /// Length of the log.
    pub log_bytes: u64,
    /// Bytes not yet in the log.
    pub unwritten_bytes: usize,
    /// Failed writes of the log.
    pub write_errors: u64,
    /// Microseconds that neither footage nor a gap explained when [`Catalogue::audit`] last looked.
    pub unexplained_us: i64,
}

/// State behind the lock: rows, and the bytes that tell the log of them.
#[derive(Debug, Default)]
struct Inner {
    index: Index,
    unwritten: Vec<u8>,
    /// While the log is written afresh.
    tee: Option<Tee>,
}

impl Inner {
    /// Applies a record, and remembers it for the log.
    fn record(&mut self, record: Record) {
        let (stream, at) = (record.stream(), self.unwritten.len());
        self.index.record(record, &mut self.unwritten);
        if let Some(tee) = &mut self.tee {
            tee.take(stream, self.unwritten.get(at..).unwrap_or_default());
        }
    }
    /// Index of a stream, which is defined when it is new.
    fn stream(&mut self, key: StreamKey) -> u32 {
        if let Some(index) = self.index.by_key.get(&key) {
            return *index;
        }
        let index = u32::try_from(self.index.keys.len()).unwrap_or(u32::MAX);
        self.record(Record::Stream { index, key });
        index
    }
    /// Index of a volume, which is defined when it is new. A node has at most 255 volumes in its life.
    fn volume(&mut self, id: &VolumeId) -> u8 {
        if let Some(index) = self.index.volumes.iter().position(|v| v == id) {
            return u8::try_from(index).unwrap_or(u8::MAX);
        }
        let index = u8::try_from(self.index.volumes.len()).unwrap_or(u8::MAX);
        self.record(Record::Volume { index, id: id.clone() });
        index
    }
    /// Takes the row of a closed segment out; `false` when it is gone already. Its time becomes a gap, and so do the
    /// seams beside it, or they would be neither footage nor gap.
    fn take_out(&mut self, row: &SegmentRow, reason: GapReason) -> bool {
        let number = narrow(row.number);
        let Some(stream) = self.index.by_key.get(&row.key).copied() else { return false };
        let Some(rows) = self.index.streams.get(stream as usize) else { return false };
        let home = rows.closed.get(row.start_ms, number);
        let home = home.and_then(|r| self.index.volumes.get(usize::from(r.volume)));
        // Moved to another volume meanwhile: there it is still stored.
        if home != Some(&row.volume) {
            return false;
        }
        let (from, to) = rows.with_seams(row.start(), row.end());
        self.record(Record::Removed { stream, number, start_ms: row.start_ms });
        self.record(Record::Gap { stream, reason, from, to });
        true
    }
    /// Too short to be a gap: right behind a closed piece of footage. Elsewhere every moment counts: next to another gap, or
    /// behind a file whose end recovery has found or has yet to find, the timeline would be left with neither footage nor
    /// gap.
    fn is_seam(&self, stream: u32, from: UtcMicros, to: UtcMicros) -> bool {
        let follows = |rows: &StreamRows| {
            let near = rows.closed.overlapping(from.millis() - 1, from.millis() + 1);
            let ends_here = |end: UtcMicros| end.since(from).abs() <= 1000;
            near.into_iter().any(|r| ends_here(UtcMicros(r.end_ms().saturating_mul(1000))))
                && !rows.gaps.one_ends_at(from)
        };
        to.since(from) < seam_us() && self.index.streams.get(stream as usize).is_some_and(follows)
    }
}

/// The catalogue of a node.
pub struct Catalogue {
    fs: Arc<dyn Fs>,
    clock: Arc<dyn Clock>,
    dir: PathBuf,
    inner: RwLock<Inner>,
    file: Mutex<LogFile>,
    opening: Opening,
    /// Last sign of life of the run before.
    alive_before: Option<UtcMicros>,
    /// What of the footage is known to be damaged.
    damages: Damages,
    /// Segments in somebody's hands.
    claims: claims::Claims,
    /// The least numbers of the next segments of streams that are recorded in the place of another node.
    number_floors: Mutex<BTreeMap<StreamKey, u64>>,
    /// When the log was last written afresh, or opened; held while it is.
    compacted: Mutex<MonoMicros>,
    /// What the last audit found.
    unexplained_us: AtomicI64,
    /// Is told of segments that were closed.
    on_closed: OnceLock<Box<Closed>>,
}

/// Whoever wants to know of closed segments. Called without any lock; must not wait.
pub type Closed = dyn Fn(&SegmentRow) + Send + Sync;

impl std::fmt::Debug for Catalogue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Catalogue")
            .field("dir", &self.dir)
            .field("opening", &self.opening)
            .finish_non_exhaustive()
    }
}

impl Catalogue {
    /// Opens the log in `dir`, or begins one. Fails only when the file system does.
    pub fn open(fs: Arc<dyn Fs>, dir: &Path, clock: Arc<dyn Clock>) -> Result<Arc<Self>, StoreError> {
        let (index, file, opening) = store::open(&fs, dir, clock.utc())?;
        let alive_before = index.alive;
        let inner = RwLock::new(Inner { index, ..Inner::default() });
        let (dir, file, compacted) = (dir.to_path_buf(), Mutex::new(file), Mutex::new(clock.mono()));
        let catalogue = Self {
            fs,
            clock,
            dir,
            inner,
            file,
            opening,
            alive_before,
            compacted,
            unexplained_us: AtomicI64::new(0),
            on_closed: OnceLock::new(),
            damages: Damages::default(),
            claims: claims::Claims::default(),
            number_floors: Mutex::default(),
        };
        catalogue.settle_open_gaps();
        Ok(Arc::new(catalogue))
    }

    /// What opening found.
    #[must_use]
    pub fn opening(&self) -> &Opening {
        &self.opening
    }

    /// Directory of the log.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What of the footage is known to be damaged. Timelines show it as gaps.
    #[must_use]
    pub fn damages(&self) -> &Damages {
        &self.damages
    }

    /// When the run before was last known to live.
    #[must_use]
    pub fn alive_before(&self) -> Option<UtcMicros> {
        self.alive_before
    }

    /// Gaps that the run before left open reach to its last sign of life; nobody knows what came after.
    fn settle_open_gaps(&self) {
        let mut inner = self.inner.write();
        let Some(alive) = inner.index.alive else { return };
        let open: Vec<(u32, UtcMicros)> = (0..=u32::MAX)
            .zip(&inner.index.streams)
            .filter_map(|(i, r)| r.open_gap.map(|(_, from)| (i, from)))
            .collect();
        for (stream, from) in open {
            inner.record(Record::GapEnd { stream, to: alive.max(from) });
        }
    }

    /// Segments that the run before did not close.
    #[must_use]
    pub fn unfinished(&self) -> Vec<Unfinished> {
        let inner = self.inner.read();
        let index = &inner.index;
        let mut out = Vec::new();
        for (key, rows) in index.keys.iter().zip(&index.streams) {
            for o in rows.open.iter().filter(|o| !o.live) {
                let Some(volume) = index.volumes.get(usize::from(o.volume)) else { continue };
                out.push(Unfinished {
                    volume: volume.clone(),
                    key: *key,
                    number: u64::from(o.number),
                    start_ms: o.start_ms,
                });
            }
        }
        out
    }

    /// The number of the stream's next segment; never one that was used before.
    #[must_use]
    pub fn next_number(&self, key: StreamKey) -> u64 {
        let floor = self.number_floors.lock().get(&key).copied().unwrap_or(1);
        self.inner.read().index.rows(&key).map_or(1, |r| u64::from(r.last_number) + 1).max(floor)
    }

    /// Which streams are recorded in the place of another node from now on, and the least number of the next segment of each
    /// ([`crate::segment::stand_in_number`]).
    pub fn set_number_floors(&self, floors: BTreeMap<StreamKey, u64>) {
        *self.number_floors.lock() = floors;
    }

    /// Hash of the stream's newest closed segment; zeros when not known.
    #[must_use]
    pub fn last_hash(&self, key: StreamKey) -> Hash {
        self.inner.read().index.rows(&key).map_or([0; 32], |r| r.last_hash)
    }

    /// End of everything known of the stream, footage and gaps.
    #[must_use]
    pub fn known_to(&self, key: StreamKey) -> Option<UtcMicros> {
        self.inner.read().index.rows(&key)?.known_to()
    }

    /// Reason of the gap that what is known of the stream ends with; `None` when it ends with footage.
    #[must_use]
    pub fn last_gap(&self, key: StreamKey) -> Option<GapReason> {
        let inner = self.inner.read();
        let rows = inner.index.rows(&key)?;
        let last = rows.gaps.furthest()?;
        (Some(last.interval.to) == rows.known_to()).then_some(last.reason)
    }

    /// The gap of a stream that is not over.
    #[must_use]
    pub fn open_gap(&self, key: StreamKey) -> Option<(GapReason, UtcMicros)> {
        self.inner.read().index.rows(&key)?.open_gap
    }

    /// A segment was begun.
    pub fn opened(&self, key: StreamKey, volume: &VolumeId, number: u64, start: UtcMicros) {
        let mut inner = self.inner.write();
        let stream = inner.stream(key);
        let volume = inner.volume(volume);
        let (number, start_ms) = (narrow(number), start.millis());
        inner.record(Record::Opened { stream, volume, number, start_ms });
        if let Some(open) = inner.index.streams.get_mut(stream as usize).and_then(|r| r.open.last_mut()) {
            open.live = true;
            open.to = start;
        }
    }

    /// More of an open segment is stored: up to the time `to` and the length `bytes`. Memory only.
    pub fn progress(&self, key: StreamKey, number: u64, to: UtcMicros, bytes: u64) {
        let mut inner = self.inner.write();
        let Some(stream) = inner.index.by_key.get(&key).copied() else { return };
        let Some(rows) = inner.index.streams.get_mut(stream as usize) else { return };
        if let Some(open) = rows.open.iter_mut().find(|o| o.live && u64::from(o.number) == number) {
            open.to = open.to.max(to);
            open.bytes = bytes;
        }
    }

    /// An open segment is written no more, but has no footer: recovery will see to it.
    pub fn abandoned(&self, key: StreamKey, number: u64) {
        let mut inner = self.inner.write();
        let Some(stream) = inner.index.by_key.get(&key).copied() else { return };
        let Some(rows) = inner.index.streams.get_mut(stream as usize) else { return };
        if let Some(open) = rows.open.iter_mut().find(|o| o.live && u64::from(o.number) == number) {
            open.live = false;
        }
    }

    /// A segment has its footer and final name.
    pub fn closed(&self, row: &SegmentRow, hash: Hash) {
        self.insert(row, hash);
        if let Some(tell) = self.on_closed.get() {
            tell(row);
        }
    }

    /// Sets who is told of every segment that is closed from now on; only the first call counts.
    pub fn on_closed(&self, tell: Box<Closed>) {
        let _ = self.on_closed.set(tell);
    }

    fn insert(&self, row: &SegmentRow, hash: Hash) {
        let mut inner = self.inner.write();
        let stream = inner.stream(row.key);
        let volume = inner.volume(&row.volume);
        let packed = Packed {
            start_ms: row.start_ms,
            number: narrow(row.number),
            bytes: u32::try_from(row.bytes).unwrap_or(u32::MAX),
            duration_ms: row.duration_ms,
            volume,
            flags: row.flags.0,
        };
        inner.record(Record::Closed { stream, row: packed, hash });
    }

    /// An open segment held nothing, or its file is gone.
    pub fn open_lost(&self, key: StreamKey, number: u64, start_ms: i64) {
        let mut inner = self.inner.write();
        let stream = inner.stream(key);
        inner.record(Record::OpenLost { stream, number: narrow(number), start_ms });
    }

    /// A closed segment is no longer stored. Its time becomes a gap with this reason, and so do the seams beside it:
    /// they were none of anybody's while there was footage on both sides. Nothing happens when the row is gone
    /// already; `true` when it was there.
    pub fn removed(&self, row: &SegmentRow, reason: GapReason) -> bool {
        self.damages.forget(row);
        self.inner.write().take_out(row, reason)
    }

    /// Nothing is recorded from `from` on. A gap already open ends where this one begins.
    pub fn gap_begin(&self, key: StreamKey, reason: GapReason, from: UtcMicros) {
        let mut inner = self.inner.write();
        let stream = inner.stream(key);
        let known = inner.index.streams.get(stream as usize).and_then(|r| r.open_gap);
        match known {
            Some((same, _)) if same == reason => return,
            Some(_) => inner.record(Record::GapEnd { stream, to: from }),
            None => {}
        }
        inner.record(Record::GapBegin { stream, reason, from });
    }

    /// The open gap of the stream, if any, is over.
    pub fn gap_end(&self, key: StreamKey, to: UtcMicros) {
        let mut inner = self.inner.write();
        let stream = inner.stream(key);
        let Some((_, from)) = inner.index.streams.get(stream as usize).and_then(|r| r.open_gap) else {
            return;
        };
        let to = if inner.is_seam(stream, from, to) { from } else { to };
        inner.record(Record::GapEnd { stream, to });
    }

    /// A gap that is over.
    pub fn gap(&self, key: StreamKey, reason: GapReason, from: UtcMicros, to: UtcMicros) {
        let mut inner = self.inner.write();
        let stream = inner.stream(key);
        if !inner.is_seam(stream, from, to) {
            inner.record(Record::Gap { stream, reason, from, to });
        }
    }

    /// A sign of life: what comes after it and before the next start was spent switched off.
    pub fn alive(&self, at: UtcMicros) {
        self.inner.write().record(Record::Alive { at });
    }

    /// Writes what is new to the log; with `sync` makes it durable. On failure nothing is lost: the next call tries
    /// again, and after a failed sync that call writes the whole log afresh, because nobody knows what of the old one
    /// reached the disk.
    pub fn flush(&self, sync: bool) -> Result<(), StoreError> {
        {
            let mut file = self.file.lock();
            let fresh = std::mem::take(&mut self.inner.write().unwritten);
            if !sync || !file.is_suspect() {
                return file.append(&*self.fs, fresh, sync);
            }
            file.keep(fresh);
        }
        match self.compact()? {
            Some(_) => Ok(()),
            None => Err(StoreError::io("sync catalogue", &self.dir)(std::io::ErrorKind::ResourceBusy.into())),
        }
    }

    /// Writes what is new to the log unless somebody does so already; a failure is left to the next [`Self::flush`].
    /// For rows that a crash should not have to find out again.
    pub fn flush_soon(&self) {
        if let Some(mut file) = self.file.try_lock() {
            let fresh = std::mem::take(&mut self.inner.write().unwritten);
            // Counted, and kept in memory.
            let _ = file.append(&*self.fs, fresh, false);
        }
    }

    /// Counters and sizes.
    #[must_use]
    pub fn stats(&self) -> CatalogueStats {
        let (log_bytes, waiting, write_errors) = {
            let file = self.file.lock();
            (file.length(), file.waiting(), file.errors())
        };
        let inner = self.inner.read();
        let segments = inner.index.streams.iter().map(|r| r.closed.len()).sum::<usize>();
        let gaps = inner.index.streams.iter().map(|r| r.gaps.len()).sum::<usize>();
        CatalogueStats {
            streams: inner.index.keys.len(),
            segments,
            gaps,
            memory_bytes: inner.index.memory() + inner.unwritten.capacity(),
            log_bytes,
            unwritten_bytes: waiting + inner.unwritten.len(),
            write_errors,
            unexplained_us: self.unexplained_us.load(Ordering::Relaxed),
        }
    }
}

/// Segment numbers are kept in 32 bits: 40,000 years of five minutes.
fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Absences shorter than this are seams, in microseconds.
pub(crate) fn seam_us() -> i64 {
    i64::try_from(limits::GAP_MIN.as_micros()).unwrap_or(i64::MAX)
}

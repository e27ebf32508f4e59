//! One stream on its way to the disk: a state machine fed from the hub, told the time, given a volume.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{StreamKey, VolumeId};
use fengsui_config::limits;

use super::bounds::{RESERVE_FIRST, RESERVE_MAX, reservation, rotation_after};
use super::stats::{StreamCell, count};
use super::{Core, stream_seed};
use crate::catalogue::{Catalogue, Unfinished, seam_us};
use crate::error::StoreError;
use crate::frame::{GapReason, StartReason, StreamInfo, Track};
use crate::fs::PageBuf;
use crate::hub::{HubUnit, RecorderTap, RingItem};
use crate::segment::{EndReason, SegmentHead, SegmentWriter};

/// An absence that nobody has given a reason for becomes a gap after this time.
const UNEXPLAINED_AFTER: Duration = Duration::from_secs(3);

/// Units before the first one not stored that are kept as well where there is sound: sounds and pictures are stored in
/// another order than they arrive in.
const KEEP_SLACK: usize = 16;

/// Where and when a stream is worked on.
pub(super) struct Place<'a> {
    pub core: &'a Core,
    /// Index of the volume.
    pub index: usize,
    pub volume: &'a VolumeId,
    pub root: &'a Path,
    /// The volume is to get no new segments if another takes them: streams go at their next key frame.
    pub leaving: bool,
    /// Room above the reserve.
    pub room: u64,
    /// Streams of the volume, which share that room.
    pub streams: usize,
    pub now: UtcMicros,
    pub buf: &'a mut PageBuf,
}

/// How a look at a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Come again.
    Stay,
    /// Another volume suits better.
    Move,
    /// No longer due; all is closed.
    Done,
}

/// The segment being written.
struct Active {
    writer: SegmentWriter,
    file: Unfinished,
    /// Wall-clock time of the next rotation.
    rotate_at: UtcMicros,
    /// Bytes stored, as told last.
    bytes: u64,
}

/// One stream. Dropping it gives the stream up: its open segment stays for recovery.
pub(super) struct StreamRecorder {
    key: StreamKey,
    seed: u64,
    core: Arc<Core>,
    pub cell: Arc<StreamCell>,
    tap: RecorderTap,
    items: VecDeque<RingItem>,
    active: Option<Active>,
    /// Units from the key frame before the first one not stored on.
    recent: VecDeque<Arc<HubUnit>>,
    /// Units among `recent` that are not stored.
    unstored: usize,
    /// A segment was given up: `recent` comes again, before everything else.
    replay: bool,
    running: Option<Arc<StreamInfo>>,
    /// The run that cannot be stored.
    refused: Option<Arc<StreamInfo>>,
    start: StartReason,
    /// What is stored or accounted for reaches to here.
    covered: Option<UtcMicros>,
    /// Due since.
    since: UtcMicros,
    /// Why units may be missing next.
    loss: Option<GapReason>,
    reserve: u64,
}

impl StreamRecorder {
    /// Takes the stream up where the catalogue left it.
    pub(super) fn new(core: Arc<Core>, cell: Arc<StreamCell>, key: StreamKey, now: UtcMicros) -> Self {
        let covered = take_up(&core.options.catalogue, key, now);
        let tap = core.options.hub.stream(key).attach_recorder();
        Self {
            key,
            seed: stream_seed(key),
            core,
            cell,
            tap,
            items: VecDeque::new(),
            active: None,
            recent: VecDeque::new(),
            unstored: 0,
            replay: false,
            running: None,
            refused: None,
            start: StartReason::Connected,
            covered,
            since: now,
            loss: None,
            reserve: RESERVE_FIRST,
        }
    }

    pub(super) fn key(&self) -> StreamKey {
        self.key
    }

    /// Length of the open segment that was told to be stored.
    pub(super) fn stored_bytes(&self) -> Option<u64> {
        self.active.as_ref().map(|a| a.bytes)
    }

    /// The volume was synced when the open segment had `length` bytes.
    pub(super) fn synced(&mut self, length: u64) {
        if let Some(active) = &mut self.active {
            active.writer.synced(length);
        }
    }

    /// Takes everything new and stores what is due. Fails when the volume does; then nothing is lost: what was not
    /// stored comes again. What is wrong with the stream itself costs the stream its run, not the volume.
    pub(super) fn look(&mut self, place: &mut Place<'_>) -> Result<Look, StoreError> {
        if std::mem::take(&mut self.replay) {
            while let Some(unit) = self.recent.pop_back() {
                self.items.push_front(RingItem::Unit(unit));
            }
            self.unstored = 0;
        }
        self.drain();
        loop {
            match self.advance(place) {
                Err(e) if e.io_kind().is_none() => self.refuse(&e, place.now),
                result => return result,
            }
        }
    }

    fn advance(&mut self, place: &mut Place<'_>) -> Result<Look, StoreError> {
        while let Some(item) = self.items.pop_front() {
            let again = item.clone();
            match self.item(place, item) {
                Ok(Look::Stay) => {}
                Ok(other) => {
                    self.items.push_front(again);
                    return Ok(other);
                }
                Err(e) => {
                    self.items.push_front(again);
                    return Err(e);
                }
            }
            self.flush_if(place, SegmentWriter::is_full)?;
        }
        // Age counts when nothing more is at hand. A recorder that is behind would write every picture by itself, be slower
        // for it, and stay behind when what held it up is long over.
        let now = place.now;
        self.flush_if(place, |writer| writer.due(now))?;
        if !self.cell.is_due() {
            self.end(place, EndReason::Stopped)?;
            self.absent(GapReason::Policy, place.now);
            return Ok(Look::Done);
        }
        self.explain(place.now);
        Ok(Look::Stay)
    }

    fn flush_if(
        &mut self,
        place: &mut Place<'_>,
        due: impl FnOnce(&SegmentWriter) -> bool,
    ) -> Result<(), StoreError> {
        if self.active.as_ref().is_some_and(|a| due(&a.writer)) { self.flush(place) } else { Ok(()) }
    }

    /// The stream cannot be stored as it is (unknown coding, parameters that describe nothing): waits for its next run.
    fn refuse(&mut self, error: &StoreError, now: UtcMicros) {
        tracing::warn!(stream = %self.key, error = %error, "stream cannot be stored");
        self.abandon(true);
        self.recent.clear();
        self.replay = false;
        self.refused = self.running.clone();
        self.absent(GapReason::BadStream, now);
    }

    /// Stores everything at hand and closes the segment: the node stops, or the volume is to be left alone.
    pub(super) fn finish(&mut self, place: &mut Place<'_>, reason: EndReason) -> Result<(), StoreError> {
        self.look(place)?;
        self.end(place, reason)
    }

    /// As [`Self::finish`], and the stream goes on elsewhere at once: the running group of pictures comes again there, since
    /// no file can begin in its middle.
    pub(super) fn depart(&mut self, place: &mut Place<'_>) -> Result<(), StoreError> {
        self.look(place)?;
        let open = self.active.is_some();
        let group = self.recent.iter().rposition(|u| u.starts_picture_group()).unwrap_or(0);
        let again: VecDeque<_> = self.recent.iter().skip(group).cloned().collect();
        // When it fails, all that is not stored comes again anyhow.
        self.end(place, EndReason::Rotation)?;
        if open {
            (self.recent, self.unstored, self.replay) = (again, 0, true);
            self.start = StartReason::Rotation;
        }
        Ok(())
    }

    fn drain(&mut self) {
        let mut fresh = Vec::new();
        self.tap.drain(&mut fresh);
        self.items.extend(fresh);
    }

    fn item(&mut self, place: &mut Place<'_>, item: RingItem) -> Result<Look, StoreError> {
        match item {
            RingItem::Begin(info) => {
                let reason = if info.start == StartReason::Connected {
                    EndReason::StreamEnd
                } else {
                    EndReason::Changed
                };
                self.end(place, reason)?;
                if info.start == StartReason::ClockStep {
                    self.loss = Some(GapReason::ClockStep);
                }
                self.start = info.start;
                self.running = Some(info);
            }
            RingItem::Unit(unit) => return self.unit(place, unit),
            RingItem::End { reason, at } => {
                self.end(place, EndReason::StreamEnd)?;
                self.running = None;
                self.absent(reason, at);
            }
            RingItem::Dropped { .. } => {
                self.end(place, EndReason::StreamEnd)?;
                self.start = StartReason::Rotation;
                self.loss.get_or_insert(GapReason::Backpressure);
            }
        }
        Ok(Look::Stay)
    }

    fn unit(&mut self, place: &mut Place<'_>, unit: Arc<HubUnit>) -> Result<Look, StoreError> {
        let key = unit.starts_picture_group();
        let mut forced = false;
        if let Some(active) = &mut self.active {
            let video = unit.unit.track == Track::Video || unit.info.video.is_none();
            let late = active.rotate_at + limits::SEGMENT_KEY_WAIT_MAX;
            let large = active.bytes + active.writer.pending_bytes() as u64 + unit.unit.data.len() as u64;
            forced = video && !key && (unit.unit.utc >= late || large > limits::SEGMENT_BYTES_MAX);
            let due = unit.unit.utc >= active.rotate_at || large > limits::SEGMENT_BYTES_MAX / 16 * 15;
            let elsewhere = |core: &Core| core.preferred(self.key, Some(place.index)) != Some(place.index);
            let rotate = key && (due || (place.leaving && elsewhere(place.core)));
            if rotate || forced {
                // The last picture lasts until this one.
                active.writer.followed_by(&unit.unit);
                self.end(place, EndReason::Rotation)?;
                self.start = StartReason::Rotation;
            }
        }
        if self.active.is_none() {
            let refused = self.refused.as_ref().is_some_and(|r| Arc::ptr_eq(r, &unit.info));
            if refused || (!key && !forced) {
                self.cell.change(|s| s.skipped_units += 1);
                return Ok(Look::Stay);
            }
            if !forced && place.core.preferred(self.key, Some(place.index)) != Some(place.index) {
                return Ok(Look::Move);
            }
            self.begin(place, &unit)?;
        }
        if let Some(active) = &mut self.active {
            active.writer.push(unit.unit.clone());
            self.recent.push_back(unit);
            self.unstored += 1;
        }
        Ok(Look::Stay)
    }

    /// Begins a segment with `unit`, and ends the gap before it.
    fn begin(&mut self, place: &mut Place<'_>, unit: &HubUnit) -> Result<(), StoreError> {
        let options = &place.core.options;
        let (key, start) = (self.key, unit.unit.utc);
        let number = options.catalogue.next_number(key);
        let head = SegmentHead {
            node: options.node.clone(),
            volume: place.volume.clone(),
            key,
            number,
            start,
            info: Arc::new(StreamInfo { start: self.start, ..(*unit.info).clone() }),
            previous: options.catalogue.last_hash(key),
        };
        // What explains the time before stands in the log before the segment does: of a log that a full disk cuts short
        // the beginning is kept, and a segment without pictures must not hide that nothing leads up to it.
        self.settle(start);
        let options = &place.core.options;
        options.catalogue.opened(key, place.volume, number, start);
        // Before the file is there: a number that a crash forgot would be given twice.
        options.catalogue.flush_soon();
        let reserve = reservation(self.reserve, place.room, place.streams);
        let writer =
            match SegmentWriter::create(&*options.fs, place.root, head, reserve, options.node_key.clone()) {
                Ok(writer) => writer,
                Err(e) => {
                    options.catalogue.open_lost(key, number, start.millis());
                    return Err(e);
                }
            };
        let file = Unfinished { volume: place.volume.clone(), key, number, start_ms: start.millis() };
        self.active = Some(Active { writer, file, rotate_at: rotation_after(start, self.seed), bytes: 0 });
        self.recent.clear();
        self.unstored = 0;
        count(&place.core.totals.segments, 1);
        let volume = place.volume.clone();
        self.cell.change(|s| {
            s.segments += 1;
            s.segment = Some(number);
            s.volume = Some(volume);
            s.reason = None;
            if !s.recording {
                s.recording = true;
                s.since = start;
            }
        });
        Ok(())
    }

    /// Footage begins at `start`: whatever was missing before it is a gap.
    fn settle(&mut self, start: UtcMicros) {
        let catalogue = &self.core.options.catalogue;
        let loss = self.loss.take();
        if catalogue.open_gap(self.key).is_some() {
            catalogue.gap_end(self.key, start);
        } else if let Some(covered) = self.covered {
            catalogue.gap(self.key, loss.unwrap_or(GapReason::NoKeyFrame), covered, start);
        } else if let Some(found) = catalogue.known_to(self.key).filter(|found| *found < start) {
            // The log knew nothing of the stream at the start, the disk did.
            catalogue.gap(self.key, GapReason::CrashTail, found, start);
        }
        self.covered = Some(start);
    }

    fn flush(&mut self, place: &mut Place<'_>) -> Result<(), StoreError> {
        let Some(active) = &mut self.active else { return Ok(()) };
        loop {
            let done = active.writer.flush(place.buf)?;
            let grown = done.length.saturating_sub(active.bytes);
            active.bytes = done.length;
            if done.units > 0 {
                place.core.options.catalogue.progress(self.key, active.file.number, done.to, done.length);
                self.covered = Some(done.to);
                self.unstored =
                    self.unstored.saturating_sub(usize::try_from(done.units).unwrap_or(usize::MAX));
                count(&place.core.totals.flushes, 1);
                count(&place.core.totals.bytes, grown);
                count(&place.core.totals.units, done.units);
                self.cell.change(|s| {
                    s.last = Some(done.to);
                    s.bytes += grown;
                    s.units += done.units;
                });
            }
            if !done.more {
                break;
            }
        }
        self.forget_stored();
        Ok(())
    }

    /// Lets go of units that no new file would begin with.
    fn forget_stored(&mut self) {
        let sound = self.recent.back().is_some_and(|u| u.info.audio.is_some());
        let slack = if sound { KEEP_SLACK } else { 0 };
        let first = self.recent.len().saturating_sub(self.unstored + slack);
        let keep = self.recent.iter().take(first + 1).rposition(|u| u.starts_picture_group()).unwrap_or(0);
        self.recent.drain(..keep);
    }

    /// Closes the open segment, if there is one.
    fn end(&mut self, place: &mut Place<'_>, reason: EndReason) -> Result<(), StoreError> {
        let Some(active) = self.active.take() else { return Ok(()) };
        let (file, before) = (active.file, active.bytes);
        let options = &place.core.options;
        match active.writer.close(&*options.fs, reason, place.buf) {
            Ok(closed) => {
                options.catalogue.closed(&closed.row, closed.hash);
                options.catalogue.flush_soon();
                place.core.closed_on(
                    &closed.row.volume,
                    closed.row.key,
                    closed.row.number,
                    closed.row.start_ms,
                );
                let (units, grown) = (self.unstored as u64, closed.row.bytes.saturating_sub(before));
                self.covered = Some(closed.end);
                self.reserve = (closed.row.bytes + closed.row.bytes / 16).min(RESERVE_MAX);
                self.recent.clear();
                self.unstored = 0;
                count(&place.core.totals.closed, 1);
                count(&place.core.totals.bytes, grown);
                count(&place.core.totals.units, units);
                self.cell.change(|s| {
                    s.last = Some(closed.end);
                    s.bytes += grown;
                    s.units += units;
                    s.segment = None;
                    s.volume = None;
                });
                if reason != EndReason::Rotation && reason != EndReason::Changed {
                    self.cell.change(|s| {
                        s.recording = false;
                        s.since = place.now;
                    });
                }
                Ok(())
            }
            Err(failed) => {
                // After a failed sync nobody may touch the file before the next start.
                let synced =
                    !matches!(&failed.error, StoreError::Io { what, .. } if what.starts_with("sync"));
                self.lost(file, synced);
                Err(failed.error)
            }
        }
    }

    /// Gives the open segment up. What is not stored comes again, from the key frame before it on. `recover`: its file
    /// may be closed by recovery while this process lives.
    pub(super) fn abandon(&mut self, recover: bool) {
        if let Some(active) = self.active.take() {
            drop(active.writer.abandon());
            self.lost(active.file, recover);
        }
    }

    fn lost(&mut self, file: Unfinished, recover: bool) {
        self.core.options.catalogue.abandoned(self.key, file.number);
        if recover {
            self.core.recover_later(file);
        }
        count(&self.core.totals.abandoned, 1);
        self.replay = true;
        self.start = StartReason::Rotation;
        self.cell.change(|s| {
            s.segment = None;
            s.volume = None;
        });
    }

    /// Nothing is recorded from `at` on; from the end of the footage on, to be exact.
    fn absent(&mut self, reason: GapReason, at: UtcMicros) {
        let catalogue = &self.core.options.catalogue;
        let from = match catalogue.open_gap(self.key) {
            Some((_, since)) => at.max(since),
            None => match (self.loss.take(), self.covered) {
                (Some(loss), Some(covered)) => {
                    catalogue.gap(self.key, loss, covered, at);
                    at.max(covered)
                }
                (_, covered) => covered.unwrap_or(self.since),
            },
        };
        catalogue.gap_begin(self.key, reason, from);
        self.cell.change(|s| {
            if s.recording || s.reason != Some(reason) {
                s.since = from;
            }
            s.recording = false;
            s.reason = Some(reason);
        });
    }

    /// No volume takes the stream: says so, once for every reason.
    pub(super) fn homeless(&mut self, reason: GapReason, now: UtcMicros) {
        self.loss = Some(reason);
        let known = self.cell.snapshot();
        if known.reason == Some(reason) && !known.recording {
            return;
        }
        let from = self.covered.unwrap_or(self.since).min(now);
        let catalogue = &self.core.options.catalogue;
        match catalogue.open_gap(self.key) {
            None => catalogue.gap_begin(self.key, reason, from),
            // The node is up again; now it is the volumes.
            Some((GapReason::NodeDown, since)) => catalogue.gap_begin(self.key, reason, now.max(since)),
            Some(_) => {}
        }
        self.cell.change(|s| {
            s.recording = false;
            s.reason = Some(reason);
            s.since = from;
        });
    }

    /// Gives an absence that goes on without a reason the likeliest one.
    fn explain(&mut self, now: UtcMicros) {
        if self.active.is_some() || self.core.options.catalogue.open_gap(self.key).is_some() {
            return;
        }
        if now.since(self.covered.unwrap_or(self.since))
            < i64::try_from(UNEXPLAINED_AFTER.as_micros()).unwrap_or(0)
        {
            return;
        }
        match (&self.running, self.covered) {
            (Some(_), _) => self.absent(GapReason::NoKeyFrame, now),
            (None, Some(_)) => self.absent(GapReason::CameraOffline, now),
            // A new camera: its source has ten seconds to say what is wrong.
            (None, None) => {}
        }
    }
}

impl Drop for StreamRecorder {
    fn drop(&mut self) {
        self.abandon(true);
        self.cell.change(|s| s.recording = false);
        self.cell.release();
    }
}

/// Explains the time between what is known of a stream and now; returns up to when it is explained.
fn take_up(catalogue: &Catalogue, key: StreamKey, now: UtcMicros) -> Option<UtcMicros> {
    if let Some((reason, since)) = catalogue.open_gap(key) {
        if reason != GapReason::Policy {
            return Some(since);
        }
        // The stream was off while the node ran.
        catalogue.gap_end(key, now);
        return Some(now);
    }
    let known = catalogue.known_to(key)?;
    if known >= now {
        return Some(known);
    }
    if catalogue.last_gap(key) == Some(GapReason::Policy) {
        catalogue.gap(key, GapReason::Policy, known, now);
        return Some(now);
    }
    // While the node was alive pictures may have come that never reached a disk, or that recovery has yet to find:
    // footage wins over a gap.
    let down = catalogue.alive_before().map_or(known, |alive| alive.clamp(known, now));
    catalogue.gap(key, GapReason::CrashTail, known, down);
    let from = if down.since(known) < seam_us() { known } else { down };
    catalogue.gap_begin(key, GapReason::NodeDown, from);
    Some(from)
}

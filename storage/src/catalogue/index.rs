//! The catalogue in memory: packed rows per stream, built by applying log records in order.

use std::collections::BTreeMap;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{StreamKey, VolumeId};

use super::log::{Packed, Record, encode};
use crate::frame::GapReason;
use crate::gaps::Interval;
use crate::segment::Hash;

/// A segment without a footer: being written, given up, or left by a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Open {
    pub volume: u8,
    pub number: u32,
    pub start_ms: i64,
    /// What is known to be stored of it reaches to here.
    pub to: UtcMicros,
    /// Length of what is known to be stored.
    pub bytes: u64,
    /// Being written by this process.
    pub live: bool,
}

/// One gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GapRow {
    pub interval: Interval,
    pub reason: GapReason,
}

/// What is known of one stream.
#[derive(Debug, Default)]
pub(super) struct StreamRows {
    /// Closed segments in order of start.
    pub closed: Vec<Packed>,
    /// Gaps in order of beginning.
    pub gaps: Vec<GapRow>,
    /// Segments without a footer.
    pub open: Vec<Open>,
    /// The gap that is not over.
    pub open_gap: Option<(GapReason, UtcMicros)>,
    /// Highest segment number seen; numbers start at 1.
    pub last_number: u32,
    /// Hash of the newest closed segment.
    pub last_hash: Hash,
    /// Longest closed segment in milliseconds.
    pub longest_ms: u32,
}

impl StreamRows {
    /// Places of the closed rows that overlap the interval.
    pub(super) fn overlapping(&self, from_ms: i64, to_ms: i64) -> &[Packed] {
        let end = self.closed.partition_point(|r| r.start_ms < to_ms);
        let earliest = from_ms.saturating_sub(i64::from(self.longest_ms) + 1);
        let start = self.closed.partition_point(|r| r.start_ms < earliest).min(end);
        self.closed.get(start..end).unwrap_or_default()
    }

    fn insert_closed(&mut self, row: Packed) {
        self.longest_ms = self.longest_ms.max(row.duration_ms);
        self.last_number = self.last_number.max(row.number);
        self.open.retain(|o| o.number != row.number || o.start_ms != row.start_ms);
        let key = (row.start_ms, row.number);
        match self.closed.binary_search_by_key(&key, |r| (r.start_ms, r.number)) {
            Ok(at) => {
                if let Some(known) = self.closed.get_mut(at) {
                    *known = row;
                }
            }
            Err(at) => self.closed.insert(at, row),
        }
    }

    pub(super) fn insert_gap(&mut self, reason: GapReason, interval: Interval) {
        if interval.is_empty() {
            return;
        }
        if let Some(last) = self.gaps.last_mut()
            && last.reason == reason
            && last.interval.to == interval.from
        {
            last.interval.to = interval.to;
            return;
        }
        let at = self.gaps.partition_point(|g| g.interval.from <= interval.from);
        if matches!(reason, GapReason::Expired | GapReason::Sacrificed)
            && self.join_deleted(at, reason, interval)
        {
            return;
        }
        self.gaps.insert(at, GapRow { interval, reason });
    }

    /// Adds deleted time to a gap beside it of the same reason, so that a stream has few of them however much of it was
    /// deleted; `false` when there is none. `at` is where the gap would be inserted.
    fn join_deleted(&mut self, at: usize, reason: GapReason, interval: Interval) -> bool {
        let seam = super::seam_us();
        let before = at.checked_sub(1).and_then(|i| self.gaps.get_mut(i));
        if let Some(gap) = before.filter(|g| g.reason == reason && interval.from.since(g.interval.to) <= seam)
        {
            gap.interval.to = gap.interval.to.max(interval.to);
            let to = gap.interval.to;
            let next = self.gaps.get(at).filter(|g| g.reason == reason && g.interval.from.since(to) <= seam);
            if let Some(next_to) = next.map(|g| g.interval.to) {
                self.gaps.remove(at);
                if let Some(gap) = self.gaps.get_mut(at - 1) {
                    gap.interval.to = gap.interval.to.max(next_to);
                }
            }
            return true;
        }
        let after = self.gaps.get_mut(at);
        if let Some(gap) = after.filter(|g| g.reason == reason && g.interval.from.since(interval.to) <= seam)
        {
            gap.interval.from = gap.interval.from.min(interval.from);
            gap.interval.to = gap.interval.to.max(interval.to);
            return true;
        }
        false
    }

    /// End of everything known: footage and gaps.
    pub(super) fn known_to(&self) -> Option<UtcMicros> {
        let closed = self.closed.iter().rev().take(8).map(|r| UtcMicros(r.end_ms().saturating_mul(1000)));
        let open = self.open.iter().map(|o| o.to);
        let gaps = self.gaps.iter().rev().take(8).map(|g| g.interval.to);
        closed.chain(open).chain(gaps).max()
    }
}

/// All streams.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub by_key: BTreeMap<StreamKey, u32>,
    pub keys: Vec<StreamKey>,
    pub streams: Vec<StreamRows>,
    pub volumes: Vec<VolumeId>,
    /// Last sign of life in the log.
    pub alive: Option<UtcMicros>,
    /// Records applied, and those among them that still say something.
    pub records: u64,
}

impl Index {
    pub(super) fn rows(&self, key: &StreamKey) -> Option<&StreamRows> {
        self.streams.get(*self.by_key.get(key)? as usize)
    }

    fn rows_mut(&mut self, stream: u32) -> Option<&mut StreamRows> {
        self.streams.get_mut(stream as usize)
    }

    /// Index of a stream, defined in `out` when new.
    pub(super) fn stream(&mut self, key: StreamKey, out: &mut Vec<u8>) -> u32 {
        if let Some(index) = self.by_key.get(&key) {
            return *index;
        }
        let index = u32::try_from(self.keys.len()).unwrap_or(u32::MAX);
        self.record(Record::Stream { index, key }, out);
        index
    }

    /// Index of a volume, defined in `out` when new. A node has at most 255 volumes in its life.
    pub(super) fn volume(&mut self, id: &VolumeId, out: &mut Vec<u8>) -> u8 {
        if let Some(index) = self.volumes.iter().position(|v| v == id) {
            return u8::try_from(index).unwrap_or(u8::MAX);
        }
        let index = u8::try_from(self.volumes.len()).unwrap_or(u8::MAX);
        self.record(Record::Volume { index, id: id.clone() }, out);
        index
    }

    /// Applies a record and writes it to `out`.
    pub(super) fn record(&mut self, record: Record, out: &mut Vec<u8>) {
        encode(&record, out);
        self.apply(record);
    }

    /// Applies one record. Records that refer to what was never defined are passed over.
    pub(super) fn apply(&mut self, record: Record) {
        self.records += 1;
        match record {
            Record::Stream { index, key } => {
                if index as usize == self.keys.len() {
                    self.keys.push(key);
                    self.streams.push(StreamRows::default());
                    self.by_key.insert(key, index);
                }
            }
            Record::Volume { index, id } => {
                if usize::from(index) == self.volumes.len() {
                    self.volumes.push(id);
                }
            }
            Record::Alive { at } => self.alive = Some(at),
            Record::Opened { stream, volume, number, start_ms } => {
                let Some(rows) = self.rows_mut(stream) else { return };
                rows.last_number = rows.last_number.max(number);
                let to = UtcMicros(start_ms.saturating_mul(1000));
                rows.open.push(Open { volume, number, start_ms, to, bytes: 0, live: false });
            }
            Record::Closed { stream, row, hash } => {
                let Some(rows) = self.rows_mut(stream) else { return };
                if row.number >= rows.last_number {
                    rows.last_hash = hash;
                }
                rows.insert_closed(row);
            }
            Record::OpenLost { stream, number, start_ms } => {
                let Some(rows) = self.rows_mut(stream) else { return };
                rows.open.retain(|o| o.number != number || o.start_ms != start_ms);
            }
            Record::Removed { stream, number, start_ms } => {
                let Some(rows) = self.rows_mut(stream) else { return };
                let key = (start_ms, number);
                if let Ok(at) = rows.closed.binary_search_by_key(&key, |r| (r.start_ms, r.number)) {
                    rows.closed.remove(at);
                }
            }
            Record::GapBegin { .. } | Record::GapEnd { .. } | Record::Gap { .. } => self.apply_gap(&record),
        }
    }

    fn apply_gap(&mut self, record: &Record) {
        match *record {
            Record::GapBegin { stream, reason, from } => {
                let Some(rows) = self.rows_mut(stream) else { return };
                rows.open_gap = Some((reason, from));
            }
            Record::GapEnd { stream, to } => {
                let Some(rows) = self.rows_mut(stream) else { return };
                if let Some((reason, from)) = rows.open_gap.take() {
                    rows.insert_gap(reason, Interval::new(from, to));
                }
            }
            Record::Gap { stream, reason, from, to } => {
                let Some(rows) = self.rows_mut(stream) else { return };
                rows.insert_gap(reason, Interval::new(from, to));
            }
            _ => {}
        }
    }

    /// The whole state as a fresh log.
    pub(super) fn snapshot(&self) -> Vec<u8> {
        let mut out = super::log::MAGIC.to_vec();
        for (index, id) in (0..=u8::MAX).zip(&self.volumes) {
            encode(&Record::Volume { index, id: id.clone() }, &mut out);
        }
        for ((stream, key), rows) in (0..=u32::MAX).zip(&self.keys).zip(&self.streams) {
            encode(&Record::Stream { index: stream, key: *key }, &mut out);
            let newest = rows.closed.iter().map(|r| r.number).max();
            for row in &rows.closed {
                let hash = if Some(row.number) == newest { rows.last_hash } else { [0; 32] };
                encode(&Record::Closed { stream, row: *row, hash }, &mut out);
            }
            for o in &rows.open {
                let Open { volume, number, start_ms, .. } = *o;
                encode(&Record::Opened { stream, volume, number, start_ms }, &mut out);
            }
            for g in &rows.gaps {
                let Interval { from, to } = g.interval;
                encode(&Record::Gap { stream, reason: g.reason, from, to }, &mut out);
            }
            if let Some((reason, from)) = rows.open_gap {
                encode(&Record::GapBegin { stream, reason, from }, &mut out);
            }
        }
        if let Some(at) = self.alive {
            encode(&Record::Alive { at }, &mut out);
        }
        out
    }

    /// Records that a fresh log would have.
    pub(super) fn live_records(&self) -> u64 {
        let rows: usize = self.streams.iter().map(|r| r.closed.len() + r.open.len() + r.gaps.len() + 1).sum();
        (rows + self.volumes.len()) as u64
    }
}

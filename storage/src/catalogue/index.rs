//! The catalogue in memory: packed rows per stream, built by applying log records in order.

use std::collections::BTreeMap;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{StreamKey, VolumeId};

use super::gap_rows::GapRows;
use super::log::{Packed, Record, encode};
use super::rows::{CHUNK_ROWS, Rows};
use crate::frame::GapReason;
use crate::gaps::Interval;
use crate::segment::{Hash, is_stand_in};

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

/// What is known of one stream.
#[derive(Debug, Default)]
pub(super) struct StreamRows {
    /// Closed segments in order of start.
    pub closed: Rows,
    /// Gaps in order of beginning.
    pub gaps: GapRows,
    /// Segments without a footer.
    pub open: Vec<Open>,
    /// The gap that is not over.
    pub open_gap: Option<(GapReason, UtcMicros)>,
    /// Highest segment number seen; numbers start at 1.
    pub last_number: u32,
    /// Hash of the newest closed segment.
    pub last_hash: Hash,
}

impl StreamRows {
    /// A segment that came from a node that recorded in the place of this one: the stream's own go on with their numbers and
    /// their chain. One that this node recorded so itself was opened here before.
    fn is_brought(&self, number: u32) -> bool {
        is_stand_in(u64::from(number)) && !is_stand_in(u64::from(self.last_number))
    }

    fn insert_closed(&mut self, row: Packed) {
        if !self.is_brought(row.number) {
            self.last_number = self.last_number.max(row.number);
        }
        self.open.retain(|o| o.number != row.number || o.start_ms != row.start_ms);
        self.closed.insert(row);
    }

    /// The interval with the seams beside it: up to footage or a gap that is nearer than a seam.
    pub(super) fn with_seams(&self, from: UtcMicros, to: UtcMicros) -> (UtcMicros, UtcMicros) {
        let seam = super::seam_us();
        let (early, late) = (UtcMicros(from.0.saturating_sub(seam)), UtcMicros(to.0.saturating_add(seam)));
        let ms = |t: i64| UtcMicros(t.saturating_mul(1000));
        let near = |r: &Packed| (ms(r.start_ms), ms(r.end_ms()));
        let rows = self.closed.overlapping(early.millis() - 1, late.millis() + 1);
        let gaps = self.gaps.overlapping(early, late).map(|g| (g.interval.from, g.interval.to));
        let open = self.open.iter().map(|o| (ms(o.start_ms), o.to));
        let all: Vec<(UtcMicros, UtcMicros)> = rows.map(|r| near(&r)).chain(gaps).chain(open).collect();
        let before = all.iter().map(|n| n.1).filter(|end| *end <= from && *end >= early).max();
        let after = all.iter().map(|n| n.0).filter(|start| *start >= to && *start <= late).min();
        (before.unwrap_or(from), after.unwrap_or(to))
    }

    /// Start of everything known: footage and gaps.
    pub(super) fn known_from(&self) -> Option<UtcMicros> {
        let closed = self.closed.first().map(|r| UtcMicros(r.start_ms.saturating_mul(1000)));
        let open = self.open.iter().map(|o| UtcMicros(o.start_ms.saturating_mul(1000)));
        let gap = self.gaps.iter().next().map(|g| g.interval.from);
        let open_gap = self.open_gap.map(|(_, from)| from);
        open.chain(closed).chain(gap).chain(open_gap).min()
    }

    /// End of everything known: footage and gaps.
    pub(super) fn known_to(&self) -> Option<UtcMicros> {
        let closed = self.closed.end_ms().map(|ms| UtcMicros(ms.saturating_mul(1000)));
        let open = self.open.iter().map(|o| o.to);
        open.chain(closed).chain(self.gaps.end()).max()
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
}

impl Index {
    pub(super) fn rows(&self, key: &StreamKey) -> Option<&StreamRows> {
        self.streams.get(*self.by_key.get(key)? as usize)
    }

    fn rows_mut(&mut self, stream: u32) -> Option<&mut StreamRows> {
        self.streams.get_mut(stream as usize)
    }

    /// Applies a record and writes it to `out`.
    pub(super) fn record(&mut self, record: Record, out: &mut Vec<u8>) {
        encode(&record, out);
        self.apply(record);
    }

    /// Applies one record. Records that refer to what was never defined are passed over.
    pub(super) fn apply(&mut self, record: Record) {
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
                if row.number >= rows.last_number && !rows.is_brought(row.number) {
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
                rows.closed.remove(start_ms, number);
            }
            Record::Rows { stream, rows: block } => {
                let Some(rows) = self.rows_mut(stream) else { return };
                block.into_iter().for_each(|row| rows.insert_closed(row));
            }
            Record::Mark { stream, last_number, last_hash } => {
                let Some(rows) = self.rows_mut(stream) else { return };
                rows.last_number = rows.last_number.max(last_number);
                rows.last_hash = last_hash;
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
                    rows.gaps.insert(reason, Interval::new(from, to));
                }
            }
            Record::Gap { stream, reason, from, to } => {
                let Some(rows) = self.rows_mut(stream) else { return };
                rows.gaps.insert(reason, Interval::new(from, to));
            }
            _ => {}
        }
    }

    /// Appends what a fresh log begins with: everything that belongs to no stream.
    pub(super) fn snapshot_head(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&super::log::MAGIC);
        for (index, id) in (0..=u8::MAX).zip(&self.volumes) {
            encode(&Record::Volume { index, id: id.clone() }, out);
        }
        if let Some(at) = self.alive {
            encode(&Record::Alive { at }, out);
        }
    }

    /// Appends all that is known of one stream; `false` when there is no such stream.
    pub(super) fn snapshot_stream(&self, stream: u32, out: &mut Vec<u8>) -> bool {
        let Some((key, rows)) = self.keys.get(stream as usize).zip(self.streams.get(stream as usize)) else {
            return false;
        };
        encode(&Record::Stream { index: stream, key: *key }, out);
        let mut block: Vec<Packed> = Vec::with_capacity(CHUNK_ROWS);
        for row in rows.closed.iter() {
            let far = |first: &Packed| u32::try_from(row.start_ms.saturating_sub(first.start_ms)).is_err();
            if block.len() == CHUNK_ROWS || block.first().is_some_and(far) {
                encode(&Record::Rows { stream, rows: std::mem::take(&mut block) }, out);
            }
            block.push(row);
        }
        if !block.is_empty() {
            encode(&Record::Rows { stream, rows: block }, out);
        }
        for o in &rows.open {
            let Open { volume, number, start_ms, .. } = *o;
            encode(&Record::Opened { stream, volume, number, start_ms }, out);
        }
        for g in rows.gaps.iter() {
            let Interval { from, to } = g.interval;
            encode(&Record::Gap { stream, reason: g.reason, from, to }, out);
        }
        if let Some((reason, from)) = rows.open_gap {
            encode(&Record::GapBegin { stream, reason, from }, out);
        }
        let StreamRows { last_number, last_hash, .. } = *rows;
        encode(&Record::Mark { stream, last_number, last_hash }, out);
        true
    }

    /// About how many bytes a fresh log would have.
    pub(super) fn snapshot_bytes(&self) -> u64 {
        let of = |r: &StreamRows| r.closed.len() * 19 + r.gaps.len() * 29 + r.open.len() * 25 + 81;
        self.streams.iter().map(of).sum::<usize>() as u64
    }

    /// Memory of everything, reserves and all.
    pub(super) fn memory(&self) -> usize {
        let of = |r: &StreamRows| {
            size_of::<StreamRows>()
                + r.closed.memory()
                + r.gaps.memory()
                + r.open.capacity() * size_of::<Open>()
        };
        let keys = self.keys.capacity() * size_of::<StreamKey>() * 2;
        self.streams.iter().map(of).sum::<usize>() + keys
    }
}

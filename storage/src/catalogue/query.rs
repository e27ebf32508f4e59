//! Questions to the catalogue. Memory only.

use std::cmp::Ordering;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::StreamKey;
use serde::Serialize;

use super::index::{Index, Open, StreamRows};
use super::log::Packed;
use super::{Catalogue, Span, narrow, seam_us};
use crate::frame::GapReason;
use crate::gaps::{Interval, cut_out, merge, subtract, timeline};
use crate::segment::{SegmentFlags, SegmentRow};

/// What is stored of a stream in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Start of the oldest footage.
    pub first: Option<UtcMicros>,
    /// End of the newest footage.
    pub last: Option<UtcMicros>,
    /// Closed segments.
    pub segments: usize,
    /// Bytes of closed and open segments.
    pub bytes: u64,
    /// The gap that is not over, and since when.
    pub gap: Option<(GapReason, UtcMicros)>,
}

impl Catalogue {
    /// The timeline of a stream within `from <= t < to`: footage and gaps in order, without overlap. What is in
    /// neither was not due, or lies in the future.
    #[must_use]
    pub fn spans(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> Vec<Span> {
        let now = self.clock.utc();
        let inner = self.inner.read();
        let Some(rows) = inner.index.rows(&key) else { return Vec::new() };
        // Rows come in order of start: a month of them joins to a few intervals on the way.
        let mut footage: Vec<(Interval, bool)> = Vec::new();
        // What ends just before the window may be joined to what begins in it.
        let beside = seam_us() / 1000 + 1;
        for r in rows.closed.overlapping(from.millis() - beside, to.millis() + beside) {
            let next = Interval::new(micros(r.start_ms), micros(r.end_ms()));
            match footage.last_mut() {
                Some((last, _)) if next.from.since(last.to) <= seam_us() => last.to = last.to.max(next.to),
                _ => footage.push((next, false)),
            }
        }
        footage.extend(rows.open.iter().filter(|o| o.bytes > 0).map(|o| (open_interval(o), o.live)));
        let mut gaps: Vec<(Interval, GapReason)> =
            rows.gaps.overlapping(from, to).map(|g| (g.interval, g.reason)).collect();
        if let Some((reason, since)) = rows.open_gap {
            gaps.push((Interval::new(since, now), reason));
        }
        gaps.extend(unread(rows, self.alive_before).map(|i| (i, GapReason::CrashTail)));
        let spans = timeline(Interval::new(from, to), &footage, &gaps, seam_us());
        let lost = self.lost(key, rows, from, to);
        if lost.is_empty() { spans } else { cut_out(spans, &lost) }
    }

    /// Time of which the footage is damaged, and of which no other segment has footage.
    fn lost(&self, key: StreamKey, rows: &StreamRows, from: UtcMicros, to: UtcMicros) -> Vec<Interval> {
        let mut lost = Vec::new();
        for (number, interval) in self.damages.lost(key, from, to) {
            let (from_ms, to_ms) = (interval.from.millis() - 1, interval.to.millis() + 1);
            let others = rows.closed.overlapping(from_ms, to_ms).filter(|r| u64::from(r.number) != number);
            let others = others.map(|r| Interval::new(micros(r.start_ms), micros(r.end_ms()))).collect();
            lost.extend(subtract(&[interval], &merge(others, 0)));
        }
        merge(lost, 0)
    }

    /// The closed segment that follows `after` when all segments of all streams stand in order of start, stream and
    /// number; the first without `after`; with `only`, of one stream alone. For whoever goes through all of them while
    /// they change.
    #[must_use]
    pub fn next_closed(
        &self,
        after: Option<(i64, StreamKey, u64)>,
        only: Option<StreamKey>,
    ) -> Option<SegmentRow> {
        let inner = self.inner.read();
        let index = &inner.index;
        let mut best: Option<(i64, StreamKey, u64)> = None;
        let mut found = None;
        let streams = index.keys.iter().zip(&index.streams);
        for (key, rows) in streams.filter(|(key, _)| only.is_none_or(|o| o == **key)) {
            let place = |r: &Packed| (r.start_ms, *key, u64::from(r.number));
            let bound = after.map(|(start_ms, stream, number)| match key.cmp(&stream) {
                Ordering::Less => (start_ms, u32::MAX),
                Ordering::Equal => (start_ms, narrow(number)),
                Ordering::Greater => (start_ms.saturating_sub(1), u32::MAX),
            });
            let row = bound.map_or_else(|| rows.closed.first(), |bound| rows.closed.behind(bound));
            let Some(row) = row else { continue };
            if best.is_none_or(|b| place(&row) < b)
                && let Some(full) = closed_row(index, *key, &row)
            {
                best = Some(place(&row));
                found = Some(full);
            }
        }
        found
    }

    /// Segments that hold any of `from <= t <= to`, in order of start; open ones with what is stored so far.
    #[must_use]
    pub fn segments(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> Vec<SegmentRow> {
        let inner = self.inner.read();
        let Some(rows) = inner.index.rows(&key) else { return Vec::new() };
        let (from_ms, to_ms) = (from.millis(), to.millis() + 1);
        let mut out: Vec<SegmentRow> = rows
            .closed
            .overlapping(from_ms, to_ms)
            .filter(|r| micros(r.start_ms) <= to && micros(r.end_ms()) > from)
            .filter_map(|r| closed_row(&inner.index, key, &r))
            .collect();
        out.extend(
            rows.open
                .iter()
                .filter(|o| o.bytes > 0 && micros(o.start_ms) <= to && o.to > from)
                .filter_map(|o| open_row(&inner.index, key, o)),
        );
        out.sort_by_key(|r| (r.start_ms, r.number));
        out
    }

    /// One segment by its number.
    #[must_use]
    pub fn segment(&self, key: StreamKey, number: u64) -> Option<SegmentRow> {
        let inner = self.inner.read();
        let rows = inner.index.rows(&key)?;
        let open = rows.open.iter().find(|o| u64::from(o.number) == number && o.bytes > 0);
        match open {
            Some(o) => open_row(&inner.index, key, o),
            None => closed_row(&inner.index, key, &rows.closed.by_number(narrow(number))?),
        }
    }

    /// What is stored of a stream in all.
    #[must_use]
    pub fn summary(&self, key: StreamKey) -> Summary {
        let inner = self.inner.read();
        inner.index.rows(&key).map(summarise).unwrap_or_default()
    }

    /// Every stream that ever had footage or a gap.
    #[must_use]
    pub fn keys(&self) -> Vec<StreamKey> {
        self.inner.read().index.by_key.keys().copied().collect()
    }
}

/// Segments that a run before left open and that recovery has not read yet: nobody knows how far they reach, but not
/// beyond what comes next.
fn unread(rows: &StreamRows, alive: Option<UtcMicros>) -> impl Iterator<Item = Interval> {
    rows.open.iter().filter(|o| !o.live && o.bytes == 0).map(move |o| {
        let from = micros(o.start_ms);
        let closed = rows.closed.after(o.start_ms);
        let gap = rows.gaps.after(from);
        let open = rows.open.iter().map(|other| micros(other.start_ms)).filter(|start| *start > from);
        let next = open
            .chain(closed.map(|r| micros(r.start_ms)))
            .chain(gap.map(|g| g.interval.from))
            .chain(rows.open_gap.map(|(_, since)| since).filter(|since| *since > from))
            .chain(alive);
        Interval::new(from, next.min().unwrap_or(from))
    })
}

fn summarise(rows: &StreamRows) -> Summary {
    let open = rows.open.iter().filter(|o| o.bytes > 0);
    let first = rows.closed.first().map(|r| micros(r.start_ms));
    let last = rows.closed.end_ms().map(micros);
    Summary {
        first: first.into_iter().chain(open.clone().map(|o| micros(o.start_ms))).min(),
        last: last.into_iter().chain(open.clone().map(|o| o.to)).max(),
        segments: rows.closed.len(),
        bytes: rows.closed.bytes() + open.map(|o| o.bytes).sum::<u64>(),
        gap: rows.open_gap,
    }
}

fn micros(ms: i64) -> UtcMicros {
    UtcMicros(ms.saturating_mul(1000))
}

fn open_interval(o: &Open) -> Interval {
    Interval::new(micros(o.start_ms), o.to)
}

pub(super) fn closed_row(index: &Index, key: StreamKey, r: &Packed) -> Option<SegmentRow> {
    Some(SegmentRow {
        volume: index.volumes.get(usize::from(r.volume))?.clone(),
        key,
        number: u64::from(r.number),
        start_ms: r.start_ms,
        duration_ms: r.duration_ms,
        flags: SegmentFlags(r.flags),
        bytes: u64::from(r.bytes),
        closed: true,
    })
}

fn open_row(index: &Index, key: StreamKey, o: &Open) -> Option<SegmentRow> {
    Some(SegmentRow {
        volume: index.volumes.get(usize::from(o.volume))?.clone(),
        key,
        number: u64::from(o.number),
        start_ms: o.start_ms,
        duration_ms: u32::try_from((o.to.millis() - o.start_ms).max(0)).unwrap_or(u32::MAX),
        flags: SegmentFlags::default(),
        bytes: o.bytes,
        closed: false,
    })
}

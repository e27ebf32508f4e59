//! What the journal says about retention: holds, the register of deletions, alarms. State is the reduction of it.
//!
//! A batch of deletions is first announced (`retention.deleting`), then done, then entered as done
//! (`retention.deleted`). After a crash, what is announced and not entered is looked at again: a file that is gone was
//! deleted by that batch, and its row becomes a gap; one that is there stays.

use std::collections::{BTreeMap, BTreeSet};

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{StreamKey, VolumeId};
use fengsui_config::limits;
use serde::{Deserialize, Serialize};

use super::alarm::{Alarm, Alarms, Subject};
use super::hold::{Hold, Holds};
use super::plan::Why;
use crate::frame::GapReason;
use crate::journal::{JournalRecord, ReduceError, Reducer, kinds};
use crate::segment::SegmentRow;

/// Segments of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// The stream.
    #[serde(flatten)]
    pub key: StreamKey,
    /// Start of the first.
    pub from_us: UtcMicros,
    /// End of the last.
    pub to_us: UtcMicros,
    /// Numbers of the segments, as pairs of first and last.
    pub numbers: Vec<(u64, u64)>,
    /// How many.
    pub segments: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Segments of one volume that are about to be deleted, or were.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The volume.
    pub volume: VolumeId,
    /// Why.
    pub why: Why,
    /// Segments in all.
    pub segments: u64,
    /// Bytes in all.
    pub bytes: u64,
    /// By stream.
    pub ranges: Vec<Range>,
}

impl Batch {
    /// The batch of these rows, all of one volume.
    #[must_use]
    pub fn of(volume: VolumeId, why: Why, rows: &[SegmentRow]) -> Self {
        let mut by_key: BTreeMap<StreamKey, Vec<&SegmentRow>> = BTreeMap::new();
        for row in rows {
            by_key.entry(row.key).or_default().push(row);
        }
        let ranges = by_key.into_iter().map(|(key, rows)| range(key, &rows)).collect();
        let bytes = rows.iter().map(|r| r.bytes).sum();
        Self { volume, why, segments: rows.len() as u64, bytes, ranges }
    }

    /// What their time becomes on the timeline.
    #[must_use]
    pub fn reason(&self) -> GapReason {
        if self.why == Why::Sacrifice { GapReason::Sacrificed } else { GapReason::Expired }
    }

    /// The batch without these rows. The bounds of a range stay those of the batch.
    #[must_use]
    pub fn without(&self, rows: &[SegmentRow]) -> Self {
        let mut out = self.clone();
        for row in rows {
            let Some(range) = out.ranges.iter_mut().find(|r| r.key == row.key) else { continue };
            let all = range.numbers.iter().flat_map(|(a, b)| *a..=*b).filter(|n| *n != row.number);
            range.numbers = runs(all.collect());
            range.segments = range.segments.saturating_sub(1);
            range.bytes = range.bytes.saturating_sub(row.bytes);
            out.segments = out.segments.saturating_sub(1);
            out.bytes = out.bytes.saturating_sub(row.bytes);
        }
        out.ranges.retain(|r| r.segments > 0);
        out
    }

    /// Every segment, by stream and number.
    pub fn segments(&self) -> impl Iterator<Item = (StreamKey, u64)> {
        let numbers = |r: &Range| -> Vec<(StreamKey, u64)> {
            r.numbers.iter().flat_map(|(a, b)| *a..=*b).map(|n| (r.key, n)).collect()
        };
        self.ranges.iter().flat_map(numbers)
    }
}

/// Numbers as pairs of first and last.
fn runs(numbers: BTreeSet<u64>) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for n in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == n => *last = n,
            _ => runs.push((n, n)),
        }
    }
    runs
}

fn range(key: StreamKey, rows: &[&SegmentRow]) -> Range {
    Range {
        key,
        from_us: rows.iter().map(|r| r.start()).min().unwrap_or_default(),
        to_us: rows.iter().map(|r| r.end()).max().unwrap_or_default(),
        numbers: runs(rows.iter().map(|r| r.number).collect()),
        segments: rows.len() as u64,
        bytes: rows.iter().map(|r| r.bytes).sum(),
    }
}

/// A batch that was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// Sequence number of its announcement.
    pub announced: u64,
    /// What is gone: all of the announcement, but for what could not be deleted.
    #[serde(flatten)]
    pub batch: Batch,
    /// Announced segments that are still there.
    pub left: u64,
    /// Entered after a crash.
    #[serde(default)]
    pub after_crash: bool,
}

/// Counters since the start of the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Segments deleted because their time was over.
    pub duty_segments: u64,
    /// Their bytes.
    pub duty_bytes: u64,
    /// Segments deleted for room after their promise was served.
    pub water_segments: u64,
    /// Their bytes.
    pub water_bytes: u64,
    /// Segments deleted before their promise was served.
    pub sacrificed_segments: u64,
    /// Their bytes.
    pub sacrificed_bytes: u64,
}

impl Totals {
    pub(super) fn add(&mut self, batch: &Batch) {
        let (segments, bytes) = match batch.why {
            Why::Duty => (&mut self.duty_segments, &mut self.duty_bytes),
            Why::Water => (&mut self.water_segments, &mut self.water_bytes),
            Why::Sacrifice => (&mut self.sacrificed_segments, &mut self.sacrificed_bytes),
        };
        *segments = segments.saturating_add(batch.segments);
        *bytes = bytes.saturating_add(batch.bytes);
    }
}

/// Everything that the journal says about retention.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Stored", from = "Stored")]
pub struct RetentionState {
    /// Holds.
    pub holds: Holds,
    /// Announced and not entered, by sequence number.
    pub pending: BTreeMap<u64, Batch>,
    /// Alarms raised.
    pub alarms: Alarms,
    /// Number and end of the newest segment deleted, by stream: labels of later segments that lie before it step back.
    pub newest: BTreeMap<StreamKey, (u64, UtcMicros)>,
    /// When the journal last had all of this in one record.
    pub standing: Option<UtcMicros>,
}

/// What deletions left to know, in one record: whoever reduces from it on needs none of the deletions before. It is
/// written every `limits::RETENTION_STANDING_INTERVAL`, a small part of the least term of records, so that one always
/// stands behind the deletions that are dropped with their term.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Standing {
    pending: Vec<(u64, Batch)>,
    newest: Vec<(StreamKey, (u64, UtcMicros))>,
}

impl RetentionState {
    /// The record that stands for all deletions so far; `None` when it is not time for one, or nothing was deleted.
    pub(super) fn standing(&self, now: UtcMicros) -> Option<Standing> {
        let near = |at: UtcMicros| {
            let rest = limits::RETENTION_STANDING_INTERVAL;
            now < at + rest && at < now + rest
        };
        let rest = self.standing.is_some_and(near);
        let nothing = self.newest.is_empty() && self.pending.is_empty();
        (!rest && !nothing).then(|| Standing {
            pending: self.pending.iter().map(|(s, b)| (*s, b.clone())).collect(),
            newest: self.newest.iter().map(|(k, n)| (*k, *n)).collect(),
        })
    }

    /// A batch was carried out at this time.
    pub(super) fn deleted(&mut self, done: &Deleted, at: UtcMicros) {
        self.pending.remove(&done.announced);
        for range in &done.batch.ranges {
            let Some((_, last)) = range.numbers.last() else { continue };
            let newest = self.newest.entry(range.key).or_insert((*last, range.to_us));
            // A label in the future was wrong; it is no measure for others.
            if range.to_us <= at && range.to_us > newest.1 {
                *newest = (*last, range.to_us);
            }
        }
    }
}

/// The serialised form.
#[derive(Serialize, Deserialize)]
struct Stored {
    holds: Vec<Hold>,
    last_hold: u64,
    pending: Vec<(u64, Batch)>,
    alarms: Vec<Alarm>,
    newest: Vec<(StreamKey, (u64, UtcMicros))>,
    #[serde(default)]
    standing: Option<UtcMicros>,
}

impl From<RetentionState> for Stored {
    fn from(state: RetentionState) -> Self {
        Self {
            last_hold: state.holds.last_id(),
            holds: state.holds.iter().cloned().collect(),
            pending: state.pending.into_iter().collect(),
            alarms: state.alarms.into_values().collect(),
            newest: state.newest.into_iter().collect(),
            standing: state.standing,
        }
    }
}

impl From<Stored> for RetentionState {
    fn from(stored: Stored) -> Self {
        Self {
            holds: Holds::stored(stored.holds, stored.last_hold),
            pending: stored.pending.into_iter().collect(),
            alarms: stored.alarms.into_iter().map(|a| (a.alarm.clone(), a)).collect(),
            newest: stored.newest.into_iter().collect(),
            standing: stored.standing,
        }
    }
}

/// A body in the shape of its kind.
fn body<T: serde::de::DeserializeOwned>(record: &JournalRecord) -> Result<T, ReduceError> {
    T::deserialize(&record.body).map_err(|e| ReduceError::of(record, e))
}

impl Reducer for RetentionState {
    const NAME: &'static str = "retention";
    const VERSION: u32 = 2;

    fn apply(&mut self, record: &JournalRecord) -> Result<(), ReduceError> {
        let is = |wanted| kinds::is(&record.kind, &record.body, wanted);
        if is(kinds::HOLD_PLACED) {
            self.holds.place(body(record)?);
        } else if is(kinds::HOLD_EXTENDED) {
            self.holds.extend(body(record)?);
        } else if is(kinds::HOLD_RELEASED) {
            self.holds.release(body(record)?);
        } else if is(kinds::RETENTION_DELETING) {
            self.pending.insert(record.seq, body(record)?);
        } else if is(kinds::RETENTION_DELETED) {
            self.deleted(&body::<Deleted>(record)?, record.at);
        } else if is(kinds::RETENTION_STANDING) {
            let standing: Standing = body(record)?;
            self.pending = standing.pending.into_iter().collect();
            self.newest = standing.newest.into_iter().collect();
            self.standing = Some(record.at);
        } else if is(kinds::RETENTION_ALARM_RAISED) {
            let alarm: Alarm = body(record)?;
            self.alarms.insert(alarm.alarm.clone(), alarm);
        } else if is(kinds::RETENTION_ALARM_CLEARED) {
            self.alarms.remove(&body::<Cleared>(record)?.alarm);
        }
        Ok(())
    }
}

/// The end of an alarm.
#[derive(Serialize, Deserialize)]
pub(super) struct Cleared {
    pub alarm: Subject,
    pub at_us: UtcMicros,
}

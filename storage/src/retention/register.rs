//! What the journal says about retention: holds, the register of deletions, alarms. State is the reduction of it.
//!
//! A batch of deletions is first announced (`retention.deleting`), then done, then entered as done
//! (`retention.deleted`). After a crash, what is announced and not entered is looked at again: a file that is gone was
//! deleted by that batch, and its row becomes a gap; one that is there stays.

use std::collections::{BTreeMap, BTreeSet};

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{StreamKey, VolumeId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::alarm::{self, Alarm, Alarms, Subject};
use super::hold::{BadRecord, Holds};
use super::plan::Why;
use crate::frame::GapReason;
use crate::segment::SegmentRow;

/// Kinds of journal records about deletions.
pub mod kinds {
    /// What is about to be deleted: [`super::Batch`].
    pub const DELETING: &str = "retention.deleting";
    /// What was deleted: [`super::Deleted`].
    pub const DELETED: &str = "retention.deleted";
}

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

/// Counters since the journal began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetentionState {
    /// Holds.
    pub holds: Holds,
    /// Announced and not entered, by sequence number.
    pub pending: BTreeMap<u64, Batch>,
    /// Alarms raised.
    pub alarms: Alarms,
    /// Counters.
    pub totals: Totals,
}

impl RetentionState {
    /// Applies one journal record; records of other kinds change nothing.
    ///
    /// # Errors
    /// When a record of a known kind has another shape. Nothing may be deleted by a state that is not whole.
    pub fn apply(&mut self, seq: u64, kind: &str, body: &Value) -> Result<(), BadRecord> {
        let bad = |source| BadRecord { kind: kind.to_owned(), source };
        match kind {
            kinds::DELETING => {
                self.pending.insert(seq, Batch::deserialize(body).map_err(bad)?);
            }
            kinds::DELETED => {
                let done = Deleted::deserialize(body).map_err(bad)?;
                self.pending.remove(&done.announced);
                self.totals.add(&done.batch);
            }
            alarm::kinds::RAISED => {
                let alarm = Alarm::deserialize(body).map_err(bad)?;
                self.alarms.insert(alarm.alarm.clone(), alarm);
            }
            alarm::kinds::CLEARED => {
                let subject = body.get("alarm").map(Subject::deserialize).transpose().map_err(bad)?;
                if let Some(subject) = subject {
                    self.alarms.remove(&subject);
                }
            }
            _ => self.holds.apply(kind, body)?,
        }
        Ok(())
    }
}

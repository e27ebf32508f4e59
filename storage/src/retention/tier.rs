//! Deleting from an archive, by the protocol that deletes from volumes: announced in the journal, removed, written down
//! in the archive's index, entered into the register.
//!
//! The archive's own thread does it, so that a store that is slow holds up no volume. Each object is removed under the
//! lock that holds are placed under, for as long as one request takes: a hold that was placed is never too late for it.

use std::time::Duration;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{StreamKey, VolumeId};
use fengsui_config::limits;
use serde_json::Value;

use super::age::{Label, effective_ends};
use super::alarm::Subject;
use super::plan::Why;
use super::register::{Batch, Deleted};
use super::{Core, Inner, Retention};
use crate::archive::ArchiveError;
use crate::error::StoreError;
use crate::journal::kinds;
use crate::segment::SegmentRow;

/// An archive, as retention deletes from it. Calls are not made from within one another.
pub trait ArchiveTier {
    /// Its name; the register has it where it has the volume of a deletion from a volume.
    fn id(&self) -> &VolumeId;
    /// Streams with segments.
    fn keys(&self) -> Vec<StreamKey>;
    /// Every segment of a stream by start, when the first of them ends at `until` or before; nothing otherwise.
    fn stream(&self, key: StreamKey, until: UtcMicros) -> Vec<SegmentRow>;
    /// Segments that hold any of a range.
    fn segments(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> Vec<SegmentRow>;
    /// The store refused to remove this one a short while ago.
    fn rests(&self, row: &SegmentRow) -> bool;
    /// How many it refused a short while ago.
    fn resting(&self) -> u64;
    /// Whether the object is there.
    ///
    /// # Errors
    /// When the store does not say.
    fn is_there(&self, row: &SegmentRow) -> Result<bool, ArchiveError>;
    /// Removes the object for good.
    ///
    /// # Errors
    /// When the store does not, or must not.
    fn erase(&self, row: &SegmentRow) -> Result<(), ArchiveError>;
    /// Writes down durably that the objects are gone.
    ///
    /// # Errors
    /// When the disk refuses; the rows stay.
    fn forget(&self, rows: &[SegmentRow]) -> Result<(), StoreError>;
}

/// What one batch came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expired {
    /// Segments removed.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Segments that the store keeps locked.
    pub locked: u64,
}

impl Retention {
    /// Removes one batch of what is older than `max` from an archive: the oldest first, nothing held. What was
    /// interrupted before is settled first. Blocks for as long as the store takes.
    ///
    /// # Errors
    /// When the store, the journal or the disk of the index fails; what was removed before is written down, or settled
    /// by the next call.
    pub fn expire(&self, tier: &dyn ArchiveTier, max: Duration) -> Result<Expired, ArchiveError> {
        let core = &self.core;
        let begun = core.settle_tier(tier).and_then(|()| core.announce(tier, max));
        let (seq, rows) = match begun {
            Ok(Some(announced)) => announced,
            Ok(None) => {
                core.say_locked(tier, None);
                return Ok(Expired::default());
            }
            Err(error) => {
                core.say_locked(tier, Some(&error));
                return Err(error);
            }
        };
        let (mut gone, mut done, mut failure) = (Vec::new(), Expired::default(), None);
        for row in &rows {
            let inner = core.inner.lock();
            // Placed since the announcement: it stays.
            if inner.state.holds.holds(row.key, row.start(), row.end()) {
                continue;
            }
            match tier.erase(row) {
                Ok(()) => gone.push(row.clone()),
                Err(ArchiveError::Locked(what)) => {
                    done.locked += 1;
                    tracing::warn!(archive = %tier.id(), what, "the time of an archived segment is over; the store keeps it locked");
                }
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        core.finish(tier, (seq, &rows), &gone)?;
        (done.segments, done.bytes) = (gone.len() as u64, gone.iter().map(|r| r.bytes).sum());
        core.say_locked(tier, failure.as_ref());
        failure.map_or(Ok(done), Err)
    }
}

impl Core {
    /// Chooses a batch and announces it. `None`: nothing is over.
    fn announce(
        &self,
        tier: &dyn ArchiveTier,
        max: Duration,
    ) -> Result<Option<(u64, Vec<SegmentRow>)>, ArchiveError> {
        let rows = {
            let mut inner = self.inner.lock();
            let now = inner.age.now(self.options.clock.utc(), self.options.clock.mono());
            over(&inner, tier, now, max)
        };
        let Some(first) = rows.first() else { return Ok(None) };
        // A store that does not answer is no reason for records in the journal.
        tier.is_there(first)?;
        let mut inner = self.inner.lock();
        let batch = Batch::of(tier.id().clone(), Why::Duty, &rows);
        let body = serde_json::to_value(&batch).unwrap_or(Value::Null);
        match self.options.log.append(kinds::RETENTION_DELETING, body) {
            Ok(seq) => {
                self.clear(&mut inner, &Subject::JournalFailed);
                inner.state.pending.insert(seq, batch);
                Ok(Some((seq, rows)))
            }
            Err(error) => {
                inner.errors += 1;
                self.raise(
                    &mut inner,
                    Subject::JournalFailed,
                    format!("The journal takes no records: {error}"),
                );
                Err(ArchiveError::Local(format!(
                    "nothing is deleted while the journal takes no records: {error}"
                )))
            }
        }
    }

    /// Writes down what is gone of an announced batch.
    fn finish(
        &self,
        tier: &dyn ArchiveTier,
        (seq, rows): (u64, &[SegmentRow]),
        gone: &[SegmentRow],
    ) -> Result<(), ArchiveError> {
        tier.forget(gone).map_err(|e| ArchiveError::Local(e.to_string()))?;
        let batch = Batch::of(tier.id().clone(), Why::Duty, gone);
        let left = (rows.len() - gone.len()) as u64;
        tracing::info!(archive = %tier.id(), segments = gone.len(), left, bytes = batch.bytes, "archived footage deleted");
        self.enter(&mut self.inner.lock(), Deleted { announced: seq, batch, left, after_crash: false });
        Ok(())
    }

    fn say_locked(&self, tier: &dyn ArchiveTier, failure: Option<&ArchiveError>) {
        let locked = tier.resting();
        let mut inner = self.inner.lock();
        let subject = Subject::DeletionFailed { volume: tier.id().clone() };
        if locked > 0 {
            let detail = format!(
                "The time of {locked} segments in archive {} is over, and the store keeps them locked. They are tried again.",
                tier.id()
            );
            self.raise(&mut inner, subject, detail);
        } else if let Some(error) = failure {
            let detail = format!("Archive {} does not delete what is over: {error}", tier.id());
            self.raise(&mut inner, subject, detail);
        } else {
            self.clear(&mut inner, &subject);
        }
    }

    /// Settles batches of this archive that were announced and not entered: what the store no longer has is gone.
    fn settle_tier(&self, tier: &dyn ArchiveTier) -> Result<(), ArchiveError> {
        let waiting: Vec<(u64, Batch)> = {
            let inner = self.inner.lock();
            let of = inner.state.pending.iter().filter(|(_, b)| b.volume == *tier.id());
            of.map(|(seq, batch)| (*seq, batch.clone())).collect()
        };
        for (seq, batch) in waiting {
            let (mut gone, mut left) = (Vec::new(), Vec::new());
            for range in &batch.ranges {
                let is_of = |n: u64| range.numbers.iter().any(|(a, b)| (*a..=*b).contains(&n));
                for row in tier.segments(range.key, range.from_us, range.to_us) {
                    if !is_of(row.number) {
                        continue;
                    }
                    if tier.is_there(&row)? { left.push(row) } else { gone.push(row) }
                }
            }
            tier.forget(&gone).map_err(|e| ArchiveError::Local(e.to_string()))?;
            tracing::warn!(archive = %tier.id(), segments = batch.segments, left = left.len(), "an interrupted deletion is settled");
            let done = batch.without(&left);
            let deleted = Deleted { announced: seq, batch: done, left: left.len() as u64, after_crash: true };
            self.enter(&mut self.inner.lock(), deleted);
        }
        Ok(())
    }
}

/// The oldest segments of an archive whose time is over, and that may go now.
fn over(inner: &Inner, tier: &dyn ArchiveTier, now: UtcMicros, max: Duration) -> Vec<SegmentRow> {
    let until = now - max;
    let mut found: Vec<(i64, SegmentRow)> = Vec::new();
    for key in tier.keys() {
        let rows = tier.stream(key, until);
        let label = |r: &SegmentRow| Label {
            number: r.number,
            start_ms: r.start_ms,
            end_ms: r.start_ms.saturating_add(i64::from(r.duration_ms)),
        };
        let labels: Vec<Label> = rows.iter().map(label).collect();
        let deleted = inner.state.newest.get(&key).map(|(number, end)| (*number, end.millis()));
        let ends = effective_ends(&labels, now.millis(), deleted);
        let may_go = |(row, end): &(SegmentRow, i64)| {
            *end <= until.millis()
                && !inner.state.holds.holds(key, row.start(), row.end())
                && !tier.rests(row)
        };
        let of_stream = rows.into_iter().zip(ends).filter(may_go).take(limits::ARCHIVE_BATCH_MAX);
        found.extend(of_stream.map(|(row, end)| (end, row)));
    }
    found.sort_by_key(|(end, row)| (*end, row.key, row.number));
    found.truncate(limits::ARCHIVE_BATCH_MAX);
    found.into_iter().map(|(_, row)| row).collect()
}

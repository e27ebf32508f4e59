//! What leaves an archive, and what is kept from leaving: removal of footage whose time is over, and object locks of held
//! footage that are made longer as long as it is held.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use fengsui_config::clock::{MonoMicros, UtcMicros};
use fengsui_config::ids::{StreamKey, VolumeId};
use fengsui_config::limits;
use parking_lot::Mutex;

use super::object_key;
use super::store::{ArchiveError, Retention as Lock};
use super::worker::Archive;
use crate::error::StoreError;
use crate::retention::{ArchiveTier, Expired, Retention};
use crate::segment::SegmentRow;

type Name = (StreamKey, i64, u64);

fn name(row: &SegmentRow) -> Name {
    (row.key, row.start_ms, row.number)
}

/// State of removal.
#[derive(Default)]
pub(super) struct Removal {
    /// Decides; without it nothing is removed.
    retention: Mutex<Weak<Retention>>,
    /// Refused by the store, and when.
    locked: Mutex<HashMap<Name, MonoMicros>>,
    /// Ends of locks that were made longer.
    longer: Mutex<HashMap<Name, UtcMicros>>,
    /// When everything over was last gone.
    looked: Mutex<Option<MonoMicros>>,
    /// Not tried before, after a failure.
    rest_until: Mutex<MonoMicros>,
    /// When all held footage had its lock looked at, and by which holds.
    renewed: Mutex<Option<(MonoMicros, u64)>>,
}

impl Archive {
    /// Sets who decides what is removed. Before that nothing is.
    pub fn attach(&self, retention: &Arc<Retention>) {
        *self.removal.retention.lock() = Arc::downgrade(retention);
    }

    /// As [`Self::tidy`], with a rest after a failure: a store that does not let go is no reason not to send.
    pub(super) fn tidy_in_time(&self) {
        let mono = self.options.clock.mono();
        if mono < *self.removal.rest_until.lock() {
            return;
        }
        if let Err(error) = self.tidy() {
            let (_, rest) = limits::BACKOFF_ARCHIVE;
            *self.removal.rest_until.lock() = mono + rest;
            tracing::error!(archive = %self.options.config.id, %error, "what is over, or held, is not looked after for now");
        }
    }

    /// Removes what is over, in batches, and keeps the locks of held footage. Does nothing while neither is due.
    pub fn tidy(&self) -> Result<(), ArchiveError> {
        let Some(retention) = self.removal.retention.lock().upgrade() else { return Ok(()) };
        self.renew_locks()?;
        let Some(max) = self.options.config.max else { return Ok(()) };
        let mono = self.options.clock.mono();
        let rest = limits::ARCHIVE_REMOVAL_INTERVAL;
        if self.removal.looked.lock().is_some_and(|at| mono.since(at) < rest) {
            return Ok(());
        }
        self.removal.locked.lock().retain(|_, at| mono.since(*at) < limits::ARCHIVE_LOCKED_RETRY);
        while !self.pace.stop.told() {
            let done = retention.expire(self, max)?;
            self.counting.removed.fetch_add(done.segments, Ordering::Relaxed);
            self.counting.removed_bytes.fetch_add(done.bytes, Ordering::Relaxed);
            if done == Expired::default() {
                *self.removal.looked.lock() = Some(mono);
                break;
            }
        }
        Ok(())
    }

    /// Segments whose time is over and that the store keeps locked.
    pub(super) fn locked_segments(&self) -> u64 {
        self.removal.locked.lock().len() as u64
    }

    /// Makes the locks of held footage longer, before half of their time is over.
    fn renew_locks(&self) -> Result<(), ArchiveError> {
        let o = &self.options;
        let Some(lock) = o.config.lock else { return Ok(()) };
        let (mono, now, generation) = (o.clock.mono(), o.clock.utc(), o.wanted.generation());
        let fresh = |(at, by): (MonoMicros, u64)| {
            by == generation && mono.since(at) < limits::ARCHIVE_RENEWAL_INTERVAL
        };
        if self.removal.renewed.lock().is_some_and(fresh) {
            return Ok(());
        }
        let days = Duration::from_secs(u64::from(lock.days) * 86_400);
        let rows: Vec<SegmentRow> = self.index.read().all().collect();
        for row in rows.iter().filter(|r| o.wanted.held(r.key, r.start(), r.end())) {
            let known = self.removal.longer.lock().get(&name(row)).copied();
            if known.unwrap_or(row.end() + days) > now + days / 2 {
                continue;
            }
            if self.pace.stop.told() {
                return Ok(());
            }
            let until = now + days;
            let key = object_key(&o.node, row);
            o.store.retain(&key, Lock { compliance: lock.compliance, until })?;
            let mut longer = self.removal.longer.lock();
            if longer.len() >= limits::ARCHIVE_RENEWALS_MAX {
                longer.clear();
            }
            longer.insert(name(row), until);
            self.counting.renewed.fetch_add(1, Ordering::Relaxed);
        }
        *self.removal.renewed.lock() = Some((mono, generation));
        Ok(())
    }
}

impl ArchiveTier for Archive {
    fn id(&self) -> &VolumeId {
        &self.options.config.id
    }
    fn keys(&self) -> Vec<StreamKey> {
        self.index.read().keys()
    }
    fn stream(&self, key: StreamKey, until: UtcMicros) -> Vec<SegmentRow> {
        self.index.read().stream(key, until.millis())
    }
    fn segments(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> Vec<SegmentRow> {
        Self::segments(self, key, from, to)
    }
    fn rests(&self, row: &SegmentRow) -> bool {
        self.removal.locked.lock().contains_key(&name(row))
    }
    fn resting(&self) -> u64 {
        self.locked_segments()
    }
    fn is_there(&self, row: &SegmentRow) -> Result<bool, ArchiveError> {
        let key = object_key(&self.options.node, row);
        Ok(self.options.store.size(&key)?.is_some())
    }
    fn erase(&self, row: &SegmentRow) -> Result<(), ArchiveError> {
        let key = object_key(&self.options.node, row);
        let done = self.options.store.remove(&key);
        if let Err(ArchiveError::Locked(_)) = &done {
            let mut locked = self.removal.locked.lock();
            if locked.len() < limits::ARCHIVE_ASIDE_MAX {
                locked.insert(name(row), self.options.clock.mono());
            }
        }
        done
    }
    fn forget(&self, rows: &[SegmentRow]) -> Result<(), StoreError> {
        for row in rows {
            self.remote.forget(&object_key(&self.options.node, row));
        }
        self.index.write().remove(rows, self.options.clock.utc())
    }
}

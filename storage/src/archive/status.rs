//! How an archive stands.

use std::sync::atomic::{AtomicU64, Ordering};

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::VolumeId;
use parking_lot::Mutex;
use serde::Serialize;

use super::store::LockReport;

/// How an archive stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ArchiveState {
    /// It takes what is due.
    Ok,
    /// It works, but footage has been due for longer than `limits::ARCHIVE_BEHIND_AFTER`.
    Behind,
    /// It did not answer when last asked.
    Unreachable,
    /// It refuses; a person has to look.
    Refused,
}

/// An archive as the rest of the system sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArchiveStatus {
    /// Its name.
    pub id: VolumeId,
    /// How it stands.
    pub state: ArchiveState,
    /// One sentence on a state other than `ok`.
    pub detail: Option<String>,
    /// Since when it stands so.
    pub since: UtcMicros,
    /// Segments in it.
    pub segments: u64,
    /// Bytes in it.
    pub bytes: u64,
    /// Segments due and not there yet.
    pub backlog_segments: u64,
    /// Their bytes.
    pub backlog_bytes: u64,
    /// For how long the oldest of them has been due, in microseconds.
    pub lag_us: i64,
    /// Due segments whose file could not be read; they are tried again after a while.
    pub unreadable: u64,
    /// End of the last proof of an upload.
    pub verified: Option<UtcMicros>,
    /// Whether the store locks objects.
    pub lock: LockReport,
    /// Segments whose time is over and that the store keeps locked.
    pub locked_segments: u64,
    /// What the store itself checks of an upload.
    pub upload_check: &'static str,
    /// Counters of this process.
    pub counters: ArchiveCounters,
}

/// Counters of one process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ArchiveCounters {
    /// Segments stored.
    pub stored: u64,
    /// Bytes stored.
    pub stored_bytes: u64,
    /// Of them read back whole and compared.
    pub verified: u64,
    /// Found there already, proved and not sent again.
    pub found: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Objects that were not what was sent, and were sent again.
    pub lies: u64,
    /// Segments removed because their time was over.
    pub removed: u64,
    /// Their bytes.
    pub removed_bytes: u64,
    /// Locks of held segments that were made longer.
    pub renewed: u64,
}

/// The counters while they count.
#[derive(Debug, Default)]
pub(super) struct Counting {
    pub stored: AtomicU64,
    pub stored_bytes: AtomicU64,
    pub verified: AtomicU64,
    pub found: AtomicU64,
    pub failures: AtomicU64,
    pub lies: AtomicU64,
    pub removed: AtomicU64,
    pub removed_bytes: AtomicU64,
    pub renewed: AtomicU64,
}

impl Counting {
    pub(super) fn now(&self) -> ArchiveCounters {
        let load = |c: &AtomicU64| c.load(Ordering::Relaxed);
        ArchiveCounters {
            stored: load(&self.stored),
            stored_bytes: load(&self.stored_bytes),
            verified: load(&self.verified),
            found: load(&self.found),
            failures: load(&self.failures),
            lies: load(&self.lies),
            removed: load(&self.removed),
            removed_bytes: load(&self.removed_bytes),
            renewed: load(&self.renewed),
        }
    }
}

/// What the worker last found.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    pub state: ArchiveState,
    pub detail: Option<String>,
    pub since: UtcMicros,
    pub backlog_segments: u64,
    pub backlog_bytes: u64,
    pub oldest_due: Option<UtcMicros>,
    pub unreadable: u64,
    pub verified: Option<UtcMicros>,
}

impl Standing {
    pub(super) fn new(now: UtcMicros) -> Mutex<Self> {
        Mutex::new(Self {
            state: ArchiveState::Ok,
            detail: None,
            since: now,
            backlog_segments: 0,
            backlog_bytes: 0,
            oldest_due: None,
            unreadable: 0,
            verified: None,
        })
    }

    /// Takes a new state; `true` when it differs from the one before.
    pub(super) fn set(&mut self, state: ArchiveState, detail: Option<String>, now: UtcMicros) -> bool {
        let changed = self.state != state;
        if changed {
            self.since = now;
        }
        (self.state, self.detail) = (state, detail);
        changed
    }
}

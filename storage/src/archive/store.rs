//! What an archive must be able to do.

use std::fmt;

use bytes::Bytes;
use fengsui_config::clock::UtcMicros;
use serde::Serialize;

use crate::fs::FsFile;

/// Why an archive did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// It did not answer, or not in time; later it may.
    #[error("the archive does not answer: {0}")]
    Unreachable(String),
    /// It refused: credentials, bucket, permissions, room. A person has to look.
    #[error("the archive refuses: {0}")]
    Refused(String),
    /// There is no such object.
    #[error("{0} is not in the archive")]
    NotFound(String),
    /// What it gave is not what was asked for, or not what was stored.
    #[error("the archive gives other bytes than were stored: {0}")]
    Wrong(String),
    /// An object may not be deleted yet: a retention or a legal hold of the store forbids it.
    #[error("the archive keeps {0}: it is locked")]
    Locked(String),
    /// The file to be stored could not be read.
    #[error("{0}")]
    Local(String),
}

/// One object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Its length in bytes.
    pub bytes: u64,
}

/// Whether the store keeps objects from being deleted or replaced before their time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LockState {
    /// A probe object could not be deleted.
    Locked,
    /// The store has no object lock, or it did not hold when tried.
    NotLocked,
    /// It could not be found out.
    Unknown,
}

/// What a probe of object lock found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LockReport {
    /// The finding.
    pub state: LockState,
    /// How it was found, for people.
    pub reason: String,
}

impl LockReport {
    /// Nobody has looked yet.
    #[must_use]
    pub fn not_probed() -> Self {
        Self { state: LockState::Unknown, reason: "not probed yet".into() }
    }
}

/// For how long an object may not be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Nobody may shorten it.
    pub compliance: bool,
    /// Its end.
    pub until: UtcMicros,
}

/// A place for whole segments. Calls block, each for a bounded time; they come from several threads.
pub trait ArchiveStore: Send + Sync + fmt::Debug {
    /// Stores the `len` bytes of `source` under `key`, in place of what was there. Returns when the store says that
    /// it has them durably. Memory is bounded whatever the length.
    fn put(&self, key: &str, source: &dyn FsFile, len: u64) -> Result<(), ArchiveError>;
    /// Length of an object; `None` when there is none.
    fn size(&self, key: &str) -> Result<Option<u64>, ArchiveError>;
    /// Exactly `len` bytes from `offset`; fewer is an error.
    fn get(&self, key: &str, offset: u64, len: usize) -> Result<Bytes, ArchiveError>;
    /// Every object whose key begins with the folder `folder` (no slash at its end), in no particular order.
    fn list(&self, folder: &str, each: &mut dyn FnMut(Listed)) -> Result<(), ArchiveError>;
    /// Puts retention on an object.
    fn retain(&self, key: &str, retention: Retention) -> Result<(), ArchiveError>;
    /// Removes an object for good, all its versions included; one that is not there is removed already. Returns when the
    /// store says that it is gone durably; [`ArchiveError::Locked`] when a lock of the store forbids it.
    fn remove(&self, key: &str) -> Result<(), ArchiveError>;
    /// Finds out by trying whether the store locks objects.
    fn probe_lock(&self) -> LockReport;
    /// What the store itself checks of an upload, for people.
    fn upload_check(&self) -> &'static str;
}

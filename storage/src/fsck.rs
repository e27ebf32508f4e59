//! Checking footage against itself: files, chains between files, signatures.

use std::path::PathBuf;

use fengsui_config::ids::VolumeId;
use serde::Serialize;

use crate::error::StoreError;
use crate::fs::Fs;
use crate::segment::KeyId;

/// What to check.
#[derive(Debug, Clone, Copy, Default)]
pub struct FsckOptions {
    /// Read every byte and check every hash; otherwise structure, records, signatures and chains.
    pub full: bool,
    /// Segments must be signed by this key; otherwise by the key they name.
    pub key: Option<KeyId>,
}

/// One thing that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file or directory.
    pub path: PathBuf,
    /// A short fixed text: `damaged`, `torn`, `chain`, `signature`, `name`, `unknown_file`, `unreadable`.
    pub kind: &'static str,
    /// What does not hold, for people.
    pub detail: String,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Segment files seen.
    pub files: u64,
    /// Closed, and all that was checked holds.
    pub clean: u64,
    /// Still open (being written, or left by a crash).
    pub open: u64,
    /// With a torn tail.
    pub torn: u64,
    /// Damaged.
    pub damaged: u64,
    /// Bytes of all segment files.
    pub bytes: u64,
    /// Groups whose hash was checked.
    pub groups_hashed: u64,
    /// Links from a segment to the one before that hold.
    pub links: u64,
    /// Everything that does not hold, at most `limits::FSCK_PROBLEMS_MAX`.
    pub problems: Vec<Problem>,
    /// Problems beyond those listed.
    pub problems_unlisted: u64,
}

/// Progress: files and bytes seen so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Files.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Checks all segment files of all volumes. Changes nothing. Fails only when a volume cannot be listed.
pub fn run(
    _fs: &dyn Fs,
    _volumes: &[(VolumeId, PathBuf)],
    _options: FsckOptions,
    _progress: &mut dyn FnMut(Progress),
) -> Result<Report, StoreError> {
    Err(StoreError::Invalid("fsck is not built yet".into()))
}

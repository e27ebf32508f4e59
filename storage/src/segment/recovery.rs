//! What a crash left behind: three outcomes, and the way to close a torn file. Nothing is ever deleted here.

use std::path::{Path, PathBuf};

use fengsui_config::clock::UtcMicros;

use super::{Hash, NodeKey, SegmentHead, SegmentRow};
use crate::error::StoreError;
use crate::fs::Fs;

/// The three outcomes of recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    /// Every byte is accounted for.
    Clean,
    /// The last `bytes` bytes belong to a group that was never committed, or not durably: a crash's normal trace.
    TornTail {
        /// How many.
        bytes: u64,
    },
    /// Bytes at `at` were durable once and do not hold now: the disk or somebody changed them.
    Damaged {
        /// File offset of the first group or record that does not hold.
        at: u64,
    },
}

/// What recovery found in one file.
#[derive(Debug, Clone)]
pub struct Recovery {
    /// The outcome.
    pub outcome: Outcome,
    /// A footer is there and holds.
    pub closed: bool,
    /// Length of the preamble and all groups that hold, from the start of the file without a hole.
    pub committed: u64,
    /// The head; none when not even the preamble holds.
    pub head: Option<SegmentHead>,
    /// Start of the first and end of the last picture or sound in those groups.
    pub extent: Option<(UtcMicros, UtcMicros)>,
    /// Access units in those groups.
    pub units: u64,
    /// Chain hash after the last of them; of a closed file, the segment's hash.
    pub chain: Hash,
}

/// What [`finish_torn`] did.
#[derive(Debug, Clone)]
pub struct Finished {
    /// What was found.
    pub recovery: Recovery,
    /// What the catalogue keeps; none when the file held no whole group and went to quarantine entirely.
    pub row: Option<SegmentRow>,
    /// Where the torn tail was put, if there was one.
    pub quarantined: Option<PathBuf>,
    /// The segment's hash, for the next one's [`SegmentHead::previous`].
    pub hash: Hash,
}

/// Looks at a file without changing it. Groups known to be durable are checked by structure and record; those
/// after them by every byte. Fails only when the file system does.
pub fn recover(_fs: &dyn Fs, path: &Path) -> Result<Recovery, StoreError> {
    Err(StoreError::Invalid(format!("{}: recovery is not built yet", path.display())))
}

/// Brings an open file to its end: moves a torn tail to `quarantine`, writes the footer after the last commit,
/// gives the file its closed name. Of a damaged file no byte is changed; it only gets its closed name. Can be
/// called again after a crash in the middle of it.
pub fn finish_torn(
    _fs: &dyn Fs,
    path: &Path,
    _quarantine: &Path,
    _signer: &NodeKey,
) -> Result<Finished, StoreError> {
    Err(StoreError::Invalid(format!("{}: recovery is not built yet", path.display())))
}

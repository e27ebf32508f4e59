//! The writer of one segment: takes access units, writes groups, closes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fengsui_config::clock::UtcMicros;

use super::{EndReason, Hash, NodeKey, SegmentHead, SegmentRow};
use crate::error::StoreError;
use crate::frame::AccessUnit;
use crate::fs::{Fs, PageBuf};

/// What one flush brought to the file (written, durable after the next sync of the volume).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Length of the file up to and with this group.
    pub length: u64,
    /// Start of the first picture or sound of the group.
    pub from: UtcMicros,
    /// End of the last one; what is in the file reaches to here.
    pub to: UtcMicros,
    /// Access units written by this flush; 0 when there was nothing to write.
    pub units: u64,
    /// More is due: pending units did not fit one group. Flush again.
    pub more: bool,
}

/// A segment that has its footer and its final name.
#[derive(Debug, Clone)]
pub struct ClosedSegment {
    /// The file.
    pub path: PathBuf,
    /// What the catalogue keeps.
    pub row: SegmentRow,
    /// End on the node's clock, exact.
    pub end: UtcMicros,
    /// Hash over the whole segment; the next segment's [`SegmentHead::previous`].
    pub hash: Hash,
}

/// A file that is given up after a failed write or sync. It stays on the disk as it is, for recovery.
#[derive(Debug)]
pub struct Abandoned {
    /// The file.
    pub path: PathBuf,
    /// Bytes of whole groups whose write was not refused.
    pub committed: u64,
    /// End of what is in those groups.
    pub to: Option<UtcMicros>,
    /// Units that did not reach the file, in order; they go to a new file elsewhere.
    pub units: Vec<AccessUnit>,
}

/// A segment that could not be closed.
#[derive(Debug, thiserror::Error)]
#[error("close segment: {error}")]
pub struct CloseError {
    /// What failed.
    #[source]
    pub error: StoreError,
    /// What becomes of the file and the units.
    pub abandoned: Abandoned,
}

/// The writer of one segment file. Not shared; one thread per volume owns all of its writers.
#[derive(Debug)]
pub struct SegmentWriter {
    path: PathBuf,
    head: SegmentHead,
    signer: Arc<NodeKey>,
    pending: Vec<AccessUnit>,
}

impl SegmentWriter {
    /// Creates the open file (and its directory) under `volume_root` and reserves `reserve` bytes for it. Nothing
    /// is written before the first flush.
    pub fn create(
        _fs: &dyn Fs,
        volume_root: &Path,
        head: SegmentHead,
        _reserve: u64,
        signer: Arc<NodeKey>,
    ) -> Result<Self, StoreError> {
        Ok(Self { path: volume_root.to_path_buf(), head, signer, pending: Vec::new() })
    }

    /// What the segment started with.
    #[must_use]
    pub fn head(&self) -> &SegmentHead {
        &self.head
    }

    /// The file, under its open name.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes a unit. Memory only; never fails. The bytes are shared with the caller's, not copied.
    pub fn push(&mut self, unit: AccessUnit) {
        self.pending.push(unit);
    }

    /// Bytes of whole groups written so far.
    #[must_use]
    pub fn committed(&self) -> u64 {
        0
    }

    /// Bytes taken but not yet written.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        0
    }

    /// Whether a flush is due (age, size, or a key frame comes next); see `limits::FLUSH_*`.
    #[must_use]
    pub fn due(&self, _now: UtcMicros, _next_is_key: bool) -> bool {
        false
    }

    /// Writes one group with its commit record. The newest unit of a moving stream stays pending, because only the
    /// next one tells its duration. `buf` is scratch memory, one per thread. On failure all units stay pending and
    /// the file must be given up with [`Self::abandon`].
    pub fn flush(&mut self, _now: UtcMicros, _buf: &mut PageBuf) -> Result<Committed, StoreError> {
        Err(StoreError::Invalid("the segment writer is not built yet".into()))
    }

    /// Tells that everything written up to `length` is durable now (after a sync of the volume); later commit
    /// records say so, which lets recovery tell damage from a torn tail.
    pub fn synced(&mut self, _length: u64) {}

    /// Writes what is pending and the footer, makes it durable, gives the file its final name.
    pub fn close(
        self,
        _fs: &dyn Fs,
        _reason: EndReason,
        _buf: &mut PageBuf,
    ) -> Result<ClosedSegment, Box<CloseError>> {
        let _ = &self.signer;
        let error = StoreError::Invalid("the segment writer is not built yet".into());
        Err(Box::new(CloseError { error, abandoned: self.abandon() }))
    }

    /// Gives the file up as it is.
    #[must_use]
    pub fn abandon(self) -> Abandoned {
        Abandoned { path: self.path, committed: 0, to: None, units: self.pending }
    }
}

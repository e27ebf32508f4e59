//! What retention asks of the catalogue: rows to look at, and rows whose files were deleted.

use std::ops::ControlFlow;

use fengsui_config::ids::{StreamKey, VolumeId};

use super::Catalogue;
use crate::frame::GapReason;
use crate::segment::{SegmentFlags, SegmentRow};

/// A closed segment without its names: cheap enough to look at all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredSegment {
    /// Place of its volume in [`Catalogue::volume_names`].
    pub volume: usize,
    /// Number in its stream.
    pub number: u64,
    /// Start in milliseconds since 1970.
    pub start_ms: i64,
    /// Duration in milliseconds.
    pub duration_ms: u32,
    /// Flags of the name.
    pub flags: SegmentFlags,
    /// Length of the file in bytes.
    pub bytes: u64,
}

impl StoredSegment {
    /// End in milliseconds since 1970.
    #[must_use]
    pub fn end_ms(&self) -> i64 {
        self.start_ms.saturating_add(i64::from(self.duration_ms))
    }
}

impl Catalogue {
    /// Every volume that ever held footage, in the order that [`StoredSegment::volume`] counts by. The list only grows.
    #[must_use]
    pub fn volume_names(&self) -> Vec<VolumeId> {
        self.inner.read().index.volumes.clone()
    }

    /// Shows the closed segments of a stream in order of start, until `visit` breaks. The catalogue is locked meanwhile:
    /// `visit` must not call it.
    pub fn visit_closed(&self, key: StreamKey, visit: &mut dyn FnMut(StoredSegment) -> ControlFlow<()>) {
        let inner = self.inner.read();
        let Some(rows) = inner.index.rows(&key) else { return };
        for r in rows.closed.iter() {
            let stored = StoredSegment {
                volume: usize::from(r.volume),
                number: u64::from(r.number),
                start_ms: r.start_ms,
                duration_ms: r.duration_ms,
                flags: SegmentFlags(r.flags),
                bytes: u64::from(r.bytes),
            };
            if visit(stored).is_break() {
                return;
            }
        }
    }

    /// The files of these closed segments were deleted. Their time becomes a gap with this reason; neighbours join to
    /// one gap. Rows that are not there (any more) change nothing. Returns how many were there.
    pub fn expired(&self, rows: &[SegmentRow], reason: GapReason) -> u64 {
        rows.iter().for_each(|row| self.damages.forget(row));
        let mut inner = self.inner.write();
        rows.iter().filter(|row| inner.take_out(row, reason)).count() as u64
    }
}

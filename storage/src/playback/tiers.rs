//! Places beside the volumes that footage can be read from when the volumes have let it go.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{StreamKey, VolumeId};

use super::SegmentIndex;
use crate::archive::Archive;
use crate::error::StoreError;
use crate::gaps::Interval;
use crate::segment::{SegmentReader, SegmentRow};

/// A place beside the volumes; an archive is one.
pub trait Tier: Send + Sync + fmt::Debug {
    /// Its name: the volume of the rows that it gives.
    fn id(&self) -> &VolumeId;
    /// Segments that hold any of a range, by start.
    fn segments(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> Vec<SegmentRow>;
    /// Opens a segment. An error of kind `HostUnreachable` says that later it may work.
    fn reader(&self, row: &SegmentRow) -> Result<SegmentReader, StoreError>;
    /// Bytes of a segment did not hold: nothing kept of it in memory is to be used again.
    fn forget(&self, row: &SegmentRow);
}

impl Tier for Archive {
    fn id(&self) -> &VolumeId {
        Self::id(self)
    }
    fn segments(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> Vec<SegmentRow> {
        Self::segments(self, key, from, to)
    }
    fn reader(&self, row: &SegmentRow) -> Result<SegmentReader, StoreError> {
        Self::reader(self, row)
    }
    fn forget(&self, row: &SegmentRow) {
        Self::forget(self, row);
    }
}

/// The tiers of a node, the one that is asked first in front.
#[derive(Debug, Clone, Default)]
pub struct Tiers(pub Vec<Arc<dyn Tier>>);

impl Tiers {
    /// Segments of the tiers that are not among `local`, put in their places by start.
    #[must_use]
    pub fn add(
        &self,
        mut local: Vec<SegmentRow>,
        key: StreamKey,
        from: UtcMicros,
        to: UtcMicros,
    ) -> Vec<SegmentRow> {
        let volumes = local.len();
        let mut known: BTreeSet<(i64, u64)> = BTreeSet::new();
        for tier in &self.0 {
            let rows = tier.segments(key, from, to);
            if !rows.is_empty() && known.is_empty() {
                known = local.iter().map(|r| (r.start_ms, r.number)).collect();
            }
            local.extend(rows.into_iter().filter(|r| known.insert((r.start_ms, r.number))));
        }
        if local.len() > volumes {
            local.sort_by_key(|r| (r.start_ms, r.number));
        }
        local
    }

    /// The tier of a row, if it is on one.
    pub(super) fn of(&self, row: &SegmentRow) -> Option<&Arc<dyn Tier>> {
        self.0.iter().find(|t| *t.id() == row.volume)
    }

    /// Opens a segment whose file is gone from its volume, if a tier has it.
    pub(super) fn instead(&self, row: &SegmentRow) -> Option<Result<SegmentReader, StoreError>> {
        let has = |t: &&Arc<dyn Tier>| {
            let rows = t.segments(row.key, row.start(), row.end());
            rows.iter().any(|r| (r.start_ms, r.number) == (row.start_ms, row.number))
        };
        self.0.iter().find(has).map(|t| t.reader(row))
    }

    /// Lets go what is kept of a segment when `error` says that its bytes do not hold.
    pub(super) fn suspect(&self, row: &SegmentRow, error: &StoreError) {
        let wrong = error.io_kind() == Some(std::io::ErrorKind::InvalidData);
        if wrong || matches!(error, StoreError::Damaged { .. }) {
            self.0.iter().for_each(|t| t.forget(row));
        }
    }
}

/// An index with the segments of the tiers beside those of the volumes.
pub struct TieredIndex {
    /// The volumes.
    pub local: Arc<dyn SegmentIndex>,
    /// The places beside them.
    pub tiers: Tiers,
}

impl SegmentIndex for TieredIndex {
    fn segments(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> Vec<SegmentRow> {
        self.tiers.add(self.local.segments(key, from, to), key, from, to)
    }
    fn lost(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> Vec<(u64, Interval)> {
        self.local.lost(key, from, to)
    }
}

/// Whether an error says that a tier did not answer, and not that footage is bad or gone.
#[must_use]
pub fn is_unreachable(error: &StoreError) -> bool {
    error.io_kind() == Some(std::io::ErrorKind::HostUnreachable)
}

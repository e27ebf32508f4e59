//! Segments that change their volume, and what lies on each.

use std::collections::BTreeMap;

use fengsui_config::ids::VolumeId;
use serde::Serialize;

use super::log::Record;
use super::{Catalogue, narrow};
use crate::segment::SegmentRow;

/// What the catalogue knows to lie on a volume.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct VolumeUsage {
    /// Closed segments.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Segments without a footer.
    pub open: u64,
    /// Start of the oldest closed segment in milliseconds since 1970.
    pub oldest_ms: Option<i64>,
    /// End of the closed segment that ended first.
    pub first_end_ms: Option<i64>,
}

impl Catalogue {
    /// A closed segment lies on the volume `to` now; whoever asks from now on is sent there. `false`, and nothing
    /// changes, when it is no longer where `row` says: deleted, or moved by somebody else.
    pub fn relocated(&self, row: &SegmentRow, to: &VolumeId) -> bool {
        let mut inner = self.inner.write();
        let Some(stream) = inner.index.by_key.get(&row.key).copied() else { return false };
        let Some(from) = inner.index.volumes.iter().position(|v| *v == row.volume) else { return false };
        let Some(rows) = inner.index.streams.get(stream as usize) else { return false };
        let number = narrow(row.number);
        let here = rows.closed.get(row.start_ms, number).filter(|p| usize::from(p.volume) == from);
        let Some(mut packed) = here else { return false };
        // The newest segment's hash goes with its row: the next segment names it.
        let hash = if number >= rows.last_number { rows.last_hash } else { [0; 32] };
        packed.volume = inner.volume(to);
        inner.record(Record::Closed { stream, row: packed, hash });
        true
    }

    /// What lies on each volume. Looks at every row: a tenth of a second for a city.
    #[must_use]
    pub fn usage(&self) -> BTreeMap<VolumeId, VolumeUsage> {
        let mut found: Vec<VolumeUsage> = Vec::new();
        let streams = self.inner.read().index.streams.len();
        for stream in 0..streams {
            let inner = self.inner.read();
            found.resize(inner.index.volumes.len(), VolumeUsage::default());
            let Some(rows) = inner.index.streams.get(stream) else { continue };
            for r in rows.closed.iter() {
                let Some(of) = found.get_mut(usize::from(r.volume)) else { continue };
                of.segments += 1;
                of.bytes += u64::from(r.bytes);
                of.oldest_ms = Some(of.oldest_ms.map_or(r.start_ms, |o| o.min(r.start_ms)));
                of.first_end_ms = Some(of.first_end_ms.map_or(r.end_ms(), |o| o.min(r.end_ms())));
            }
            for o in &rows.open {
                if let Some(of) = found.get_mut(usize::from(o.volume)) {
                    of.open += 1;
                }
            }
        }
        self.inner.read().index.volumes.iter().cloned().zip(found).collect()
    }
}

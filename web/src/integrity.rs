//! The scrubber of a node and what it found, as the API needs them; and what the scrubber needs of the node.

use std::sync::{Arc, Weak};

use fengsui_config::clock::Clock;
use fengsui_config::ids::VolumeId;
use fengsui_config::limits;
use fengsui_storage::catalogue::Catalogue;
use fengsui_storage::journal::Journal;
use fengsui_storage::playback::Footage;
use fengsui_storage::recorder::Recorder;
use fengsui_storage::scrub::{Reporter, Scrubber, Surroundings};
use fengsui_storage::segment::SegmentRow;
use fengsui_storage::volume::VolumeState;

/// The scrubber and the list of what is damaged.
#[derive(Debug)]
pub struct Integrity {
    /// Reads footage.
    pub scrubber: Scrubber,
    /// Holds the list.
    pub catalogue: Arc<Catalogue>,
}

/// Findings go to the journal.
pub(crate) struct JournalReporter(pub(crate) Arc<Journal>);

impl Reporter for JournalReporter {
    fn report(&self, kind: &'static str, body: serde_json::Value) -> Result<(), String> {
        self.0.append_blocking(kind, body).map(drop).map_err(|e| e.to_string())
    }
}

/// What goes on beside the scrubber.
#[derive(Clone)]
pub(crate) struct Beside {
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) footage: Weak<Footage>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Surroundings for Beside {
    fn busy(&self) -> bool {
        let now = self.clock.utc();
        let most = i64::try_from(limits::SCRUB_LAG_MAX.as_micros()).unwrap_or(i64::MAX);
        let behind = |last| now.since(last) > most;
        self.recorder.streams().iter().any(|s| s.recording && s.last.is_some_and(behind))
    }

    fn readable(&self, volume: &VolumeId) -> bool {
        let volumes = self.recorder.volumes();
        volumes.iter().any(|v| v.id == *volume && matches!(v.state, VolumeState::Ok | VolumeState::Full))
    }

    fn replaced(&self, row: &SegmentRow) {
        if let Some(footage) = self.footage.upgrade() {
            footage.forget(row);
        }
    }
}

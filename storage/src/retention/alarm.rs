//! States that people must know of. Raised and cleared through the journal.

use std::collections::BTreeMap;
use std::fmt;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::VolumeId;
use fengsui_config::topology::CameraClass;
use serde::{Deserialize, Serialize};

/// What is wrong, and with what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Subject {
    /// The forecast says that a promise will break within the time that is warned of ahead.
    PromiseAtRisk {
        /// The class that breaks first.
        class: CameraClass,
    },
    /// Footage of this class was deleted before its promised time.
    PromiseBroken {
        /// The class.
        class: CameraClass,
    },
    /// A volume is about to stop, or has stopped, and nothing on it may be deleted.
    NothingDeletable {
        /// The volume.
        volume: VolumeId,
    },
    /// Files could not be deleted.
    DeletionFailed {
        /// The volume.
        volume: VolumeId,
    },
    /// The wall clock is far ahead of the time that ages are counted by.
    ClockAhead,
    /// The journal takes no records: nothing is deleted meanwhile.
    JournalFailed,
}

impl Subject {
    /// The word of its kind.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::PromiseAtRisk { .. } => "promise_at_risk",
            Self::PromiseBroken { .. } => "promise_broken",
            Self::NothingDeletable { .. } => "nothing_deletable",
            Self::DeletionFailed { .. } => "deletion_failed",
            Self::ClockAhead => "clock_ahead",
            Self::JournalFailed => "journal_failed",
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PromiseAtRisk { class } | Self::PromiseBroken { class } => {
                write!(f, "{} {}", self.kind(), class.as_str())
            }
            Self::NothingDeletable { volume } | Self::DeletionFailed { volume } => {
                write!(f, "{} {volume}", self.kind())
            }
            Self::ClockAhead | Self::JournalFailed => f.write_str(self.kind()),
        }
    }
}

/// One alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// What is wrong.
    pub alarm: Subject,
    /// Since when.
    pub at_us: UtcMicros,
    /// One sentence.
    pub detail: String,
    /// Of [`Subject::ClockAhead`]: the time that ages were counted by when it was raised. A start while the alarm lasts
    /// counts on from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_us: Option<UtcMicros>,
}

/// Alarms raised now.
pub type Alarms = BTreeMap<Subject, Alarm>;

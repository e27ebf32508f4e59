//! What the API tells about recording and volumes. The node's recorder is behind a trait, so that the API is tested
//! without disks.

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::StreamKey;
use fengsui_storage::frame::GapReason;
use serde::Serialize;
use utoipa::ToSchema;

/// How the recording of one stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordingNow {
    /// True while pictures reach the disk.
    pub recording: bool,
    /// Why not, when they do not.
    pub reason: Option<GapReason>,
    /// Since when it has been so, if known.
    pub since: Option<UtcMicros>,
    /// Time of the newest picture on disk in this process's life.
    pub last: Option<UtcMicros>,
}

/// State of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VolumeState {
    /// Takes footage.
    Ok,
    /// Below its reserve: takes no more footage.
    Full,
    /// A write or sync failed.
    Error,
    /// Its folder is not there, or cannot be written to.
    Missing,
}

/// One volume, as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct VolumeNow {
    /// Its name in the configuration.
    pub id: String,
    /// State.
    pub state: VolumeState,
    /// One sentence on a state other than `ok`.
    pub detail: Option<String>,
    /// Size in bytes.
    pub total_bytes: u64,
    /// Free bytes.
    pub free_bytes: u64,
}

/// Tells how recording stands.
pub trait Recordings: Send + Sync + 'static {
    /// One stream; `None` when it is not due to be recorded.
    fn stream(&self, key: &StreamKey) -> Option<RecordingNow>;
    /// Every volume.
    fn volumes(&self) -> Vec<VolumeNow>;
}

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

/// What a volume is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VolumeUse {
    /// Takes footage.
    Use,
    /// Takes no new segments while another volume does.
    Drain,
    /// As `drain`, and what it holds is moved to other volumes.
    Evacuate,
}

/// One volume with everything known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct VolumeDetail {
    /// Its name in the configuration.
    pub id: String,
    /// State.
    pub state: VolumeState,
    /// One sentence on a state other than `ok`, with the remedy.
    pub detail: Option<String>,
    /// Since when it has been so.
    pub since_us: i64,
    /// What it is used for.
    pub mode: VolumeUse,
    /// Its share of new segments in percent of what its free room would give it.
    pub weight: u32,
    /// The volume on which its open segments are written.
    pub stage: Option<String>,
    /// It is the stage of others.
    pub is_stage: bool,
    /// Size in bytes.
    pub total_bytes: u64,
    /// Free bytes.
    pub free_bytes: u64,
    /// Bytes that are left free.
    pub reserve_bytes: u64,
    /// Closed segments on it; counted every ten seconds, like what follows.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Start of the oldest of them; absent when there is none.
    pub oldest_us: Option<i64>,
    /// Segments being written, or left open by a failure.
    pub open_segments: u64,
    /// Closed segments that wait to be moved to another volume.
    pub waiting_segments: u64,
    /// Their bytes.
    pub waiting_bytes: u64,
    /// Segments moved away since the node started.
    pub moved_segments: u64,
    /// Their bytes.
    pub moved_bytes: u64,
    /// Moves that failed since the node started.
    pub move_failures: u64,
    /// Why segments wait longer than they should, or the last move failed.
    pub alarm: Option<String>,
    /// How long the last round of writing to all its streams took, or the running one has so far if that is longer. With
    /// more than two seconds pictures wait in memory.
    pub round_us: u64,
}

/// An order for a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VolumeOrder {
    /// Let it take footage.
    Use,
    /// Give it no new segments.
    Drain,
    /// As `drain`, and move what it holds to other volumes.
    Evacuate,
    /// Take the disk mounted in its place as this volume, with the footage on it.
    Adopt,
    /// Put the empty disk mounted in its place into use as this volume.
    Replace,
    /// As `replace`, where the folder is meant to lie on the same file system as the one above it.
    ReplaceFolder,
}

/// Refuses [`VolumeOrder::Replace`] where no disk is mounted: what looks like an empty disk may be its bare mount point.
pub fn own_file_system(root: &std::path::Path, order: VolumeOrder) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt as _;
    let device = |p: &std::path::Path| {
        std::fs::metadata(p).map(|m| m.dev()).map_err(|e| format!("cannot look at {}: {e}", p.display()))
    };
    let above = root.parent().unwrap_or(root);
    if order == VolumeOrder::Replace && device(root)? == device(above)? {
        return Err(format!(
            "no disk is mounted at {}; mount it, or say --plain-folder (API: replace_folder) if the folder is meant to \
             lie on the file system of {}",
            root.display(),
            above.display()
        ));
    }
    Ok(())
}

/// Why an order for a volume was refused; with the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OrderRefused(pub String);

/// Tells how recording stands.
pub trait Recordings: Send + Sync + 'static {
    /// Every volume with everything known of it.
    fn volume_details(&self) -> Vec<VolumeDetail>;
    /// Carries an order out, durably.
    fn order(&self, volume: &str, order: VolumeOrder) -> Result<(), OrderRefused>;
    /// One stream; `None` when it is not due to be recorded.
    fn stream(&self, key: &StreamKey) -> Option<RecordingNow>;
    /// Every volume.
    fn volumes(&self) -> Vec<VolumeNow>;
}

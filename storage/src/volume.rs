//! Volumes: the directories that hold footage, usually one per disk.
//!
//! Each carries an identity file, so that an unmounted or exchanged disk is noticed and never written to: what looks
//! like an empty volume may be the bare mount point.

mod known;
mod place;

use std::io;
use std::path::{Path, PathBuf};

use fengsui_config::clock::{MonoMicros, UtcMicros};
use fengsui_config::ids::{NodeId, VolumeId};
use fengsui_config::{VolumeConfig, VolumeKind, limits};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::fs::{Fs, OpenOptions, Space};

pub(crate) use known::KNOWN_FILE;
pub use known::{ActionError, KnownVolumes, Taken, adopt, replace, set_mode};
pub use place::choose;
pub(crate) use place::{destination, place};

/// Name of the identity file in a volume's root.
pub const IDENTITY_FILE: &str = "fengsui-volume.json";

/// Volumes are adopted one at a time: they share the file of known identities.
static ADOPTING: Mutex<()> = Mutex::new(());

pub(crate) const IDENTITY_BYTES_MAX: u64 = 64 << 10;

/// How a volume stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VolumeState {
    /// In use.
    Ok,
    /// Less free than its reserve; not written to.
    Full,
    /// A write, sync or look failed; not written to until it works again.
    Error,
    /// Not there, or another disk is in its place; not written to.
    Missing,
}

/// What a volume is used for. Kept in the node's data directory, so that it survives a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VolumeMode {
    /// Takes footage.
    #[default]
    Use,
    /// Takes no new segments while another volume does; what it holds stays.
    Drain,
    /// As `Drain`, and what it holds is moved to other volumes.
    Evacuate,
}

/// A volume as the rest of the system sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VolumeStatus {
    /// Its name.
    pub id: VolumeId,
    /// Its directory.
    #[serde(skip)]
    pub root: PathBuf,
    /// How it stands.
    pub state: VolumeState,
    /// Why, when it is not in use.
    pub detail: Option<String>,
    /// Since when it stands so.
    pub since: UtcMicros,
    /// Size in bytes.
    pub total_bytes: u64,
    /// Free bytes, the reserve included.
    pub free_bytes: u64,
    /// Bytes that are left free.
    pub reserve_bytes: u64,
    /// What it is used for.
    pub mode: VolumeMode,
    /// Its share of new segments in percent of what its free room would give it.
    pub weight: u32,
    /// The volume on which its open segments are written.
    pub stage: Option<VolumeId>,
    /// It is the stage of others: takes open segments, which leave it once they are closed.
    pub is_stage: bool,
}

impl VolumeStatus {
    /// In use, and meant to keep what it gets.
    #[must_use]
    pub fn takes_footage(&self) -> bool {
        self.state == VolumeState::Ok && self.mode == VolumeMode::Use && !self.is_stage
    }

    /// What it holds is to go to other volumes.
    #[must_use]
    pub fn sends_away(&self) -> bool {
        self.is_stage || self.mode == VolumeMode::Evacuate
    }

    /// Can be read from.
    #[must_use]
    pub fn is_there(&self) -> bool {
        matches!(self.state, VolumeState::Ok | VolumeState::Full)
    }
}

/// What the identity file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeIdentity {
    /// 1.
    pub format: u32,
    /// Made when the volume was first used; 32 hexadecimal digits.
    pub uuid: String,
    /// The volume's name at that time.
    pub id: String,
    /// The node that made it.
    pub node: String,
    /// When.
    pub created_us: i64,
}

/// One volume and what is known of it. Driven by one thread.
#[derive(Debug)]
pub struct Volume {
    status: VolumeStatus,
    node: NodeId,
    data: PathBuf,
    uuid: Option<String>,
    probed: Option<MonoMicros>,
    /// A write was refused for want of room since the last good look.
    refused: bool,
}

impl Volume {
    /// A volume that has not been looked at yet; it counts as missing until [`Self::probe`]. `is_stage`: others name it
    /// as their stage.
    #[must_use]
    pub fn new(config: &VolumeConfig, is_stage: bool, node: NodeId, data: PathBuf, now: UtcMicros) -> Self {
        let stage = match &config.kind {
            VolumeKind::Direct => None,
            VolumeKind::Staged { stage } => Some(stage.clone()),
        };
        let status = VolumeStatus {
            id: config.id.clone(),
            root: config.path.clone(),
            state: VolumeState::Missing,
            detail: Some("not looked at yet".into()),
            since: now,
            total_bytes: 0,
            free_bytes: 0,
            reserve_bytes: config.reserve_bytes,
            mode: VolumeMode::Use,
            weight: config.weight,
            stage,
            is_stage,
        };
        Self { status, node, data, uuid: None, probed: None, refused: false }
    }

    /// What was known of the volume may have changed by an order: the next look reads it anew.
    pub fn forget(&mut self) {
        (self.uuid, self.probed) = (None, None);
    }

    /// No new segments, but there is room to bring those that are open to a key frame.
    #[must_use]
    pub fn may_finish(&self) -> bool {
        let full = self.status.state == VolumeState::Full;
        full && !self.refused && self.status.free_bytes >= self.status.reserve_bytes / 2
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self) -> &VolumeStatus {
        &self.status
    }

    /// May be written to.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.status.state == VolumeState::Ok
    }

    /// Whether the next look is due.
    #[must_use]
    pub fn probe_due(&self, now: MonoMicros) -> bool {
        self.probed.is_none_or(|p| now.since(p) >= limits::VOLUME_PROBE_INTERVAL)
    }

    /// Looks at the volume: is it there, is it ours, can it be written, has it room. `true` when its state changed.
    pub fn probe(&mut self, fs: &dyn Fs, utc: UtcMicros, mono: MonoMicros) -> bool {
        self.probed = Some(mono);
        let mode = self.status.mode;
        let (state, detail) = match self.look(fs, utc) {
            Ok(None) => (VolumeState::Ok, None),
            Ok(Some((state, detail))) => (state, Some(detail)),
            Err(e) => (VolumeState::Error, Some(e.to_string())),
        };
        self.refused &= state == VolumeState::Full;
        self.set(state, detail, utc) || self.status.mode != mode
    }

    /// A write, sync or creation on the volume failed.
    pub fn failed(&mut self, error: &StoreError, utc: UtcMicros, mono: MonoMicros) {
        self.probed = Some(mono);
        let full = matches!(error.io_kind(), Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded));
        let state = if full { VolumeState::Full } else { VolumeState::Error };
        self.refused = full;
        self.set(state, Some(error.to_string()), utc);
    }

    fn set(&mut self, state: VolumeState, detail: Option<String>, utc: UtcMicros) -> bool {
        let changed = self.status.state != state;
        if changed {
            self.status.since = utc;
        }
        self.status.state = state;
        self.status.detail = detail;
        changed
    }

    fn look(&mut self, fs: &dyn Fs, utc: UtcMicros) -> Result<Option<(VolumeState, String)>, StoreError> {
        if let Some(missing) = self.identify(fs, utc)? {
            return Ok(Some((VolumeState::Missing, missing)));
        }
        if self.status.state == VolumeState::Error {
            try_write(fs, &self.status.root)?;
        }
        let root = &self.status.root;
        let Space { total, free, inodes_free } =
            fs.space(root).map_err(StoreError::io("measure volume", root))?;
        self.status.total_bytes = total;
        self.status.free_bytes = free;
        if free < self.needed() {
            let (free, reserve) = (free >> 20, self.status.reserve_bytes >> 20);
            return Ok(Some((
                VolumeState::Full,
                format!("{free} MiB free; {reserve} MiB are kept in reserve"),
            )));
        }
        if inodes_free < limits::VOLUME_INODES_MIN {
            return Ok(Some((VolumeState::Full, format!("only {inodes_free} more files can be created"))));
        }
        Ok(None)
    }

    /// Bytes that must be free: a full volume comes back only with some room above its reserve.
    fn needed(&self) -> u64 {
        let reserve = self.status.reserve_bytes;
        if self.status.state == VolumeState::Full { reserve + reserve / 16 } else { reserve }
    }

    /// Checks the identity file, or makes it on a volume never used. The text says what is missing.
    fn identify(&mut self, fs: &dyn Fs, utc: UtcMicros) -> Result<Option<String>, StoreError> {
        let path = self.status.root.join(IDENTITY_FILE);
        let bytes = match fs.read(&path, IDENTITY_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return self.adopt(fs, utc),
            Err(e) => return Err(StoreError::io("read volume identity", &path)(e)),
        };
        let found: VolumeIdentity = serde_json::from_slice(&bytes)
            .map_err(|e| StoreError::Invalid(format!("{}: not a volume identity: {e}", path.display())))?;
        if found.id != self.status.id.as_str() {
            let (id, path) = (&self.status.id, path.display());
            return Ok(Some(format!(
                "{path} belongs to volume {} of node {}; mount the right disk, or take this one with what is on it: \
                 fengsui volume adopt {id}",
                found.id, found.node
            )));
        }
        if self.uuid.is_none() {
            let _one = ADOPTING.lock();
            let mut known = KnownVolumes::load(fs, &self.data)?;
            self.status.mode = known.mode(&self.status.id);
            if known.uuid(&self.status.id).is_none() {
                known.learn(&self.status.id, &found.uuid);
                known.save(fs, &self.data)?;
            }
            self.uuid = known.uuid(&self.status.id).map(str::to_owned);
        }
        if self.uuid.as_deref() != Some(found.uuid.as_str()) {
            let id = &self.status.id;
            return Ok(Some(format!(
                "another disk is in its place (identity {}); mount the right one, or take this one with what is on it: \
                 fengsui volume adopt {id}",
                found.uuid
            )));
        }
        Ok(None)
    }

    /// No identity file: either a new volume, or the bare mount point of a known one.
    fn adopt(&mut self, fs: &dyn Fs, utc: UtcMicros) -> Result<Option<String>, StoreError> {
        let _one = ADOPTING.lock();
        let mut known = KnownVolumes::load(fs, &self.data)?;
        let (root, id) = (self.status.root.clone(), &self.status.id);
        self.status.mode = known.mode(id);
        if known.uuid(id).is_some() {
            return Ok(Some(format!(
                "{} has no {IDENTITY_FILE}: not mounted? Mount the disk, or put a new one into use: \
                 fengsui volume replace {id}",
                root.display()
            )));
        }
        fs.create_dir_all(&root).map_err(StoreError::io("create directory", &root))?;
        let identity = known::new_identity(fs, &root, id, &self.node, utc)?;
        known.learn(id, &identity.uuid);
        known.save(fs, &self.data)?;
        self.uuid = Some(identity.uuid);
        Ok(None)
    }
}

/// Proves that a volume that failed takes writes again.
fn try_write(fs: &dyn Fs, root: &Path) -> Result<(), StoreError> {
    let path = root.join("fengsui-probe");
    let file = fs.open(&path, OpenOptions::CREATE).map_err(StoreError::io("create file", &path))?;
    file.write_at(0, b"probe\n").map_err(StoreError::io("write file", &path))?;
    file.sync_all().map_err(StoreError::io("sync file", &path))?;
    fs.remove(&path).map_err(StoreError::io("remove file", &path))
}

#[cfg(test)]
mod tests;

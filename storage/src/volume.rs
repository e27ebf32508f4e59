//! Volumes: the directories that hold footage, usually one per disk.
//!
//! Each carries an identity file, so that an unmounted or exchanged disk is noticed and never written to: what looks
//! like an empty volume may be the bare mount point.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use fengsui_config::clock::{MonoMicros, UtcMicros};
use fengsui_config::ids::{NodeId, VolumeId};
use fengsui_config::limits;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::fs::{Fs, OpenOptions, Space};

/// Name of the identity file in a volume's root.
pub const IDENTITY_FILE: &str = "fengsui-volume.json";

/// Name of the file of known identities in the node's data directory.
const KNOWN_FILE: &str = "volumes.json";

/// Volumes are adopted one at a time: they share the file of known identities.
static ADOPTING: Mutex<()> = Mutex::new(());

const IDENTITY_BYTES_MAX: u64 = 64 << 10;

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

/// The identities a node has seen, by volume name. Kept in the node's data directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownVolumes {
    uuids: BTreeMap<String, String>,
}

impl KnownVolumes {
    /// Reads them; a missing file means none.
    pub fn load(fs: &dyn Fs, data: &Path) -> Result<Self, StoreError> {
        let path = data.join(KNOWN_FILE);
        match fs.read(&path, IDENTITY_BYTES_MAX) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| {
                StoreError::Invalid(format!("{}: {e}; remove it if all volumes are mounted", path.display()))
            }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(e) => Err(StoreError::io("read known volumes", &path)(e)),
        }
    }

    fn save(&self, fs: &dyn Fs, data: &Path) -> Result<(), StoreError> {
        let text = serde_json::to_vec_pretty(self).map_err(|e| StoreError::Invalid(e.to_string()))?;
        fs.create_dir_all(data).map_err(StoreError::io("create directory", data))?;
        write_whole(fs, &data.join(KNOWN_FILE), &text)
    }
}

/// One volume and what is known of it. Driven by one thread.
#[derive(Debug)]
pub struct Volume {
    status: VolumeStatus,
    node: NodeId,
    data: PathBuf,
    uuid: Option<String>,
    probed: Option<MonoMicros>,
}

impl Volume {
    /// A volume that has not been looked at yet; it counts as missing until [`Self::probe`].
    #[must_use]
    pub fn new(
        id: VolumeId,
        root: PathBuf,
        reserve_bytes: u64,
        node: NodeId,
        data: PathBuf,
        now: UtcMicros,
    ) -> Self {
        let status = VolumeStatus {
            id,
            root,
            state: VolumeState::Missing,
            detail: Some("not looked at yet".into()),
            since: now,
            total_bytes: 0,
            free_bytes: 0,
            reserve_bytes,
        };
        Self { status, node, data, uuid: None, probed: None }
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
        let (state, detail) = match self.look(fs, utc) {
            Ok(None) => (VolumeState::Ok, None),
            Ok(Some((state, detail))) => (state, Some(detail)),
            Err(e) => (VolumeState::Error, Some(e.to_string())),
        };
        self.set(state, detail, utc)
    }

    /// A write, sync or creation on the volume failed.
    pub fn failed(&mut self, error: &StoreError, utc: UtcMicros, mono: MonoMicros) {
        self.probed = Some(mono);
        let full = matches!(error.io_kind(), Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded));
        let state = if full { VolumeState::Full } else { VolumeState::Error };
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
            return Ok(Some(format!(
                "{} belongs to volume {} of node {}",
                path.display(),
                found.id,
                found.node
            )));
        }
        if self.uuid.is_none() {
            let _one = ADOPTING.lock();
            let mut known = KnownVolumes::load(fs, &self.data)?;
            match known.uuids.get(self.status.id.as_str()) {
                Some(uuid) => self.uuid = Some(uuid.clone()),
                None => {
                    known.uuids.insert(self.status.id.to_string(), found.uuid.clone());
                    known.save(fs, &self.data)?;
                    self.uuid = Some(found.uuid.clone());
                }
            }
        }
        if self.uuid.as_deref() != Some(found.uuid.as_str()) {
            return Ok(Some(format!("another disk is in its place (identity {})", found.uuid)));
        }
        Ok(None)
    }

    /// No identity file: either a new volume, or the bare mount point of a known one.
    fn adopt(&mut self, fs: &dyn Fs, utc: UtcMicros) -> Result<Option<String>, StoreError> {
        let _one = ADOPTING.lock();
        let mut known = KnownVolumes::load(fs, &self.data)?;
        let root = self.status.root.clone();
        if known.uuids.contains_key(self.status.id.as_str()) {
            return Ok(Some(format!("{} has no {IDENTITY_FILE}: not mounted?", root.display())));
        }
        fs.create_dir_all(&root).map_err(StoreError::io("create directory", &root))?;
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|e| StoreError::Invalid(format!("no random bytes: {e}")))?;
        let identity = VolumeIdentity {
            format: 1,
            uuid: hex::encode(random),
            id: self.status.id.to_string(),
            node: self.node.to_string(),
            created_us: utc.0,
        };
        let text = serde_json::to_vec_pretty(&identity).map_err(|e| StoreError::Invalid(e.to_string()))?;
        write_whole(fs, &root.join(IDENTITY_FILE), &text)?;
        known.uuids.insert(identity.id, identity.uuid.clone());
        known.save(fs, &self.data)?;
        self.uuid = Some(identity.uuid);
        Ok(None)
    }
}

/// Writes a small file whole or not at all.
fn write_whole(fs: &dyn Fs, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let aside = path.with_extension("new");
    let file = fs.open(&aside, OpenOptions::CREATE).map_err(StoreError::io("create file", &aside))?;
    file.truncate(0).map_err(StoreError::io("truncate file", &aside))?;
    file.write_at(0, bytes).map_err(StoreError::io("write file", &aside))?;
    file.sync_all().map_err(StoreError::io("sync file", &aside))?;
    fs.rename(&aside, path).map_err(StoreError::io("rename file", path))?;
    let dir = path.parent().unwrap_or(path);
    fs.sync_dir(dir).map_err(StoreError::io("sync directory", dir))
}

/// Proves that a volume that failed takes writes again.
fn try_write(fs: &dyn Fs, root: &Path) -> Result<(), StoreError> {
    let path = root.join("fengsui-probe");
    let file = fs.open(&path, OpenOptions::CREATE).map_err(StoreError::io("create file", &path))?;
    file.write_at(0, b"probe\n").map_err(StoreError::io("write file", &path))?;
    file.sync_all().map_err(StoreError::io("sync file", &path))?;
    fs.remove(&path).map_err(StoreError::io("remove file", &path))
}

/// Chooses a volume for a stream: by chance weighted with the free room, but always the same for the same stream while
/// the room stays about the same (weighted rendezvous hashing). `None` when none is usable.
pub fn choose<'a>(volumes: impl IntoIterator<Item = &'a VolumeStatus>, seed: u64) -> Option<&'a VolumeId> {
    volumes
        .into_iter()
        .filter(|v| v.state == VolumeState::Ok)
        .map(|v| {
            let room = v.free_bytes.saturating_sub(v.reserve_bytes) >> 30;
            let mut hash = blake3::Hasher::new();
            hash.update(&seed.to_le_bytes()).update(v.id.as_str().as_bytes());
            let draw = hash.finalize().as_bytes().first_chunk().map_or(0, |b| u64::from_le_bytes(*b));
            #[expect(clippy::cast_precision_loss, reason = "a draw and a weight need no more than 53 bits")]
            let score = -((draw as f64 + 1.0) / (u64::MAX as f64 + 2.0)).ln() / (room + 1) as f64;
            (score, &v.id)
        })
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, id)| id)
}

#[cfg(test)]
mod tests;

//! What a node knows of its volumes: which disk each is, and what it is used for. One small file in the node's data
//! directory, written whole; the orders that change it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{NodeId, VolumeId};
use serde::{Deserialize, Serialize};

use super::{ADOPTING, IDENTITY_BYTES_MAX, IDENTITY_FILE, VolumeIdentity, VolumeMode};
use crate::error::StoreError;
use crate::fs::{Fs, OpenOptions};

/// Name of the file in the node's data directory.
pub(crate) const KNOWN_FILE: &str = "volumes.json";

/// The volumes a node has seen. Kept in the node's data directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownVolumes {
    uuids: BTreeMap<String, String>,
    /// Those that are used in another way than taking footage.
    #[serde(default)]
    modes: BTreeMap<String, VolumeMode>,
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

    /// Identity of the disk that is this volume.
    #[must_use]
    pub fn uuid(&self, id: &VolumeId) -> Option<&str> {
        self.uuids.get(id.as_str()).map(String::as_str)
    }

    /// What the volume is used for.
    #[must_use]
    pub fn mode(&self, id: &VolumeId) -> VolumeMode {
        self.modes.get(id.as_str()).copied().unwrap_or_default()
    }

    pub(super) fn learn(&mut self, id: &VolumeId, uuid: &str) {
        self.uuids.insert(id.to_string(), uuid.to_owned());
    }

    pub(super) fn save(&self, fs: &dyn Fs, data: &Path) -> Result<(), StoreError> {
        let text = serde_json::to_vec_pretty(self).map_err(|e| StoreError::Invalid(e.to_string()))?;
        fs.create_dir_all(data).map_err(StoreError::io("create directory", data))?;
        write_whole(fs, &data.join(KNOWN_FILE), &text)
    }
}

/// Why an order for a volume was refused.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    /// What is there does not allow it; the sentence says what to do instead.
    #[error("{0}")]
    Refused(String),
    /// The disk or the data directory fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What [`adopt`] or [`replace`] put into use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// Identity of the disk.
    pub uuid: String,
    /// Identity of the disk that was the volume before.
    pub before: Option<String>,
}

/// Sets what a volume is used for, durably; returns what it was used for before.
pub fn set_mode(fs: &dyn Fs, data: &Path, id: &VolumeId, mode: VolumeMode) -> Result<VolumeMode, StoreError> {
    let _one = ADOPTING.lock();
    let mut known = KnownVolumes::load(fs, data)?;
    let before = known.mode(id);
    match mode {
        VolumeMode::Use => known.modes.remove(id.as_str()),
        other => known.modes.insert(id.to_string(), other),
    };
    known.save(fs, data)?;
    Ok(before)
}

/// Takes the disk mounted at `root` as the volume `id`, with the footage on it. Its identity file gets the volume's name.
pub fn adopt(
    fs: &dyn Fs,
    data: &Path,
    root: &Path,
    id: &VolumeId,
    node: &NodeId,
    now: UtcMicros,
) -> Result<Taken, ActionError> {
    let _one = ADOPTING.lock();
    let mut known = KnownVolumes::load(fs, data)?;
    let before = known.uuid(id).map(str::to_owned);
    let identity = match identity(fs, root)? {
        Some(found) => {
            if let Some((other, _)) = known.uuids.iter().find(|(o, u)| **u == found.uuid && *o != id.as_str())
            {
                return Err(ActionError::Refused(format!(
                    "{} is the disk of volume {other} of this node; mount the disk of {id}",
                    root.display()
                )));
            }
            let own = VolumeIdentity { id: id.to_string(), node: node.to_string(), ..found.clone() };
            if own != found {
                write_identity(fs, root, &own)?;
            }
            own
        }
        None if has_footage(fs, root)? => new_identity(fs, root, id, node, now)?,
        None => {
            return Err(ActionError::Refused(format!(
                "{} holds neither {IDENTITY_FILE} nor footage; put an empty disk into use with: fengsui volume replace {id}",
                root.display()
            )));
        }
    };
    known.learn(id, &identity.uuid);
    known.save(fs, data)?;
    Ok(Taken { uuid: identity.uuid, before })
}

/// Puts the empty disk mounted at `root` into use as the volume `id`.
pub fn replace(
    fs: &dyn Fs,
    data: &Path,
    root: &Path,
    id: &VolumeId,
    node: &NodeId,
    now: UtcMicros,
) -> Result<Taken, ActionError> {
    let _one = ADOPTING.lock();
    let mut known = KnownVolumes::load(fs, data)?;
    let before = known.uuid(id).map(str::to_owned);
    let place = root.display();
    if let Some(found) = identity(fs, root)? {
        return Err(ActionError::Refused(if Some(&found.uuid) == before.as_ref() {
            format!("{place} is the known disk of {id}; there is nothing to replace")
        } else {
            format!(
                "{place} is the disk of volume {} of node {}; take it with what is on it: fengsui volume adopt {id}",
                found.id, found.node
            )
        }));
    }
    if has_footage(fs, root)? {
        return Err(ActionError::Refused(format!(
            "{place} holds footage; take it with what is on it: fengsui volume adopt {id}"
        )));
    }
    let identity = new_identity(fs, root, id, node, now)?;
    known.learn(id, &identity.uuid);
    known.save(fs, data)?;
    Ok(Taken { uuid: identity.uuid, before })
}

/// The identity file of a disk; none when it has none.
fn identity(fs: &dyn Fs, root: &Path) -> Result<Option<VolumeIdentity>, ActionError> {
    let path = root.join(IDENTITY_FILE);
    match fs.read(&path, IDENTITY_BYTES_MAX) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|e| {
            let path = path.display();
            ActionError::Refused(format!(
                "{path}: not a volume identity: {e}; move the file away and try again"
            ))
        }),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(StoreError::io("read volume identity", &path)(e).into()),
    }
}

/// Whether a directory of a camera lies there.
fn has_footage(fs: &dyn Fs, root: &Path) -> Result<bool, StoreError> {
    let entries = fs.read_dir(root).map_err(StoreError::io("list volume", root))?;
    let camera = |name: &str| name.len() == 20 && name.bytes().all(|b| b.is_ascii_digit());
    Ok(entries.iter().any(|e| e.is_dir && camera(&e.name)))
}

/// Makes an identity and writes it.
pub(super) fn new_identity(
    fs: &dyn Fs,
    root: &Path,
    id: &VolumeId,
    node: &NodeId,
    now: UtcMicros,
) -> Result<VolumeIdentity, StoreError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|e| StoreError::Invalid(format!("no random bytes: {e}")))?;
    let identity = VolumeIdentity {
        format: 1,
        uuid: hex::encode(random),
        id: id.to_string(),
        node: node.to_string(),
        created_us: now.0,
    };
    write_identity(fs, root, &identity)?;
    Ok(identity)
}

fn write_identity(fs: &dyn Fs, root: &Path, identity: &VolumeIdentity) -> Result<(), StoreError> {
    let text = serde_json::to_vec_pretty(identity).map_err(|e| StoreError::Invalid(e.to_string()))?;
    write_whole(fs, &root.join(IDENTITY_FILE), &text)
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

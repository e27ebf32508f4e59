//! Archives of a node: the way to their places, what goes there, and what the API says of them. The archive itself is in
//! `fengsui_storage::archive`; sockets stand here.

mod client;
mod s3;
#[cfg(test)]
mod tests;
mod timeline;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use fengsui_config::archive::{ArchiveChoice, ArchiveConfig, ArchivePlace};
use fengsui_config::clock::{Clock, UtcMicros};
use fengsui_config::ids::{NodeId, StreamKey, StreamKind, VolumeId};
use fengsui_config::{Config, Topology};
use fengsui_storage::archive::{Archive, ArchiveOptions, ArchiveStore, DirectoryStore, Note, Wanted};
use fengsui_storage::catalogue::Catalogue;
use fengsui_storage::error::StoreError;
use fengsui_storage::fs::Fs;
use fengsui_storage::journal::Journal;
use fengsui_storage::playback::{Tier, Tiers};
use fengsui_storage::retention::hold::Holds;
use fengsui_storage::retention::{Archived, Retention};
use fengsui_storage::scrub::Replica;
use fengsui_storage::segment::SegmentRow;
use parking_lot::RwLock;
use serde_json::Value;

use crate::paths;

pub use s3::S3Store;
pub use timeline::overlay;

/// Why the way to an archive cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("archive {id}: {why}")]
pub struct PlaceError {
    /// The archive.
    pub id: VolumeId,
    /// What is wrong, for people.
    pub why: String,
}

/// The place of an archive. Sends nothing yet.
///
/// # Errors
/// When its certificates cannot be read, or its address makes no sense.
pub fn place(config: &ArchiveConfig, fs: Arc<dyn Fs>) -> Result<Arc<dyn ArchiveStore>, PlaceError> {
    match &config.place {
        ArchivePlace::Folder(path) => Ok(Arc::new(DirectoryStore::new(fs, path.clone()))),
        ArchivePlace::S3(place) => {
            let store = S3Store::new(place).map_err(|why| PlaceError { id: config.id.clone(), why })?;
            Ok(Arc::new(store))
        }
    }
}

/// Where an archive is, for people; no secret is in it.
#[must_use]
pub fn shown(place: &ArchivePlace) -> String {
    match place {
        ArchivePlace::Folder(path) => format!("file://{}", path.display()),
        ArchivePlace::S3(s3) if s3.prefix.is_empty() => format!("s3://{} at {}", s3.bucket, s3.endpoint),
        ArchivePlace::S3(s3) => format!("s3://{}/{} at {}", s3.bucket, s3.prefix, s3.endpoint),
    }
}

/// Holds as an archive last saw them, and which they were. Looks through a whole city ask for each segment; removal asks
/// retention itself, under its lock.
#[derive(Default)]
struct Seen {
    retention: Weak<Retention>,
    generation: u64,
    holds: Holds,
}

/// What an archive takes, by the cameras of the configuration.
struct Choice {
    choice: ArchiveChoice,
    topology: RwLock<Arc<Topology>>,
    holds: RwLock<Seen>,
    generation: AtomicU64,
}

impl Wanted for Choice {
    fn takes(&self, key: StreamKey) -> bool {
        // Sub-streams are for looking, not for keeping.
        key.stream == StreamKind::Main
            && self.topology.read().cameras.get(&key.camera).is_some_and(|c| self.choice.takes(c))
    }
    fn held(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> bool {
        self.holds.read().holds.holds(key, from, to)
    }
    fn generation(&self) -> u64 {
        let mut seen = self.holds.write();
        if let Some(retention) = seen.retention.upgrade() {
            // Before the holds: one that is placed in between makes another generation.
            let now = retention.holds_generation();
            if now != seen.generation {
                (seen.generation, seen.holds) = (now, retention.holds_now());
            }
        }
        self.generation.load(Ordering::Acquire).wrapping_add(seen.generation)
    }
}

/// The journal as the archive's notebook.
struct Notebook(Arc<Journal>);

impl Note for Notebook {
    fn note(&self, kind: &'static str, body: Value) {
        if let Err(error) = self.0.append_blocking(kind, body) {
            tracing::error!(%error, kind, "cannot write to the journal what the archive did");
        }
    }
}

struct One {
    archive: Arc<Archive>,
    choice: Arc<Choice>,
    place: String,
}

/// The archives of a node.
#[derive(Default)]
pub struct Archives(Vec<One>);

/// What [`Archives::open`] needs.
pub struct Parts {
    /// The node's files.
    pub fs: Arc<dyn Fs>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Footage on the volumes.
    pub catalogue: Arc<Catalogue>,
    /// Where it is written down.
    pub journal: Arc<Journal>,
}

impl Archives {
    /// Opens the indexes of all archives of a configuration; nothing is sent yet. Blocking.
    ///
    /// # Errors
    /// When an index cannot be opened. An archive that does not answer is no error.
    pub fn open(config: &Config, parts: &Parts) -> Result<Self, ArchiveStartError> {
        let topology = Arc::new(config.topology.clone());
        let volumes: Vec<(VolumeId, PathBuf)> =
            config.storage.volumes.iter().map(|v| (v.id.clone(), v.path.clone())).collect();
        let mut all = Vec::new();
        for one in &config.storage.archives {
            let choice = Arc::new(Choice {
                choice: one.choice.clone(),
                topology: RwLock::new(topology.clone()),
                holds: RwLock::default(),
                generation: AtomicU64::new(0),
            });
            let archive = Archive::open(ArchiveOptions {
                fs: parts.fs.clone(),
                clock: parts.clock.clone(),
                store: place(one, parts.fs.clone())?,
                config: one.clone(),
                footage: parts.catalogue.clone(),
                volumes: volumes.clone(),
                wanted: choice.clone(),
                note: Arc::new(Notebook(parts.journal.clone())),
                dir: paths::archive(&config.node.data),
                node: NodeId::clone(&config.node.id),
            })?;
            all.push(One { archive, choice, place: shown(&one.place) });
        }
        Ok(Self(all))
    }

    /// Begins to send.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(&self) -> Result<(), StoreError> {
        self.0.iter().try_for_each(|one| one.archive.start())
    }

    /// Takes other cameras into use.
    pub fn set_topology(&self, topology: &Arc<Topology>) {
        for one in &self.0 {
            *one.choice.topology.write() = topology.clone();
            one.choice.generation.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Says who knows what is held and decides what is deleted; without it nothing is held, and nothing deleted.
    pub fn attach(&self, retention: &Arc<Retention>) {
        for one in &self.0 {
            one.choice.holds.write().retention = Arc::downgrade(retention);
            one.choice.generation.fetch_add(1, Ordering::AcqRel);
            one.archive.attach(retention);
        }
    }

    /// Ends sending; blocks until uploads under way are given up.
    pub fn stop(&self) {
        for one in &self.0 {
            one.archive.stop();
        }
    }

    /// As places that playback reads from.
    #[must_use]
    pub fn tiers(&self) -> Tiers {
        Tiers(self.0.iter().map(|one| -> Arc<dyn Tier> { one.archive.clone() }).collect())
    }

    /// As places that have copies for the repair of volumes.
    #[must_use]
    pub fn replicas(&self) -> Vec<Arc<dyn Replica>> {
        self.0.iter().map(|one| -> Arc<dyn Replica> { one.archive.clone() }).collect()
    }

    /// Each with where it is.
    pub fn each(&self) -> impl Iterator<Item = (&Archive, &str)> {
        self.0.iter().map(|one| (&*one.archive, one.place.as_str()))
    }

    /// Start of the oldest and end of the newest archived footage of a stream.
    #[must_use]
    pub fn extent(&self, key: StreamKey) -> Option<(UtcMicros, UtcMicros)> {
        let all = self.0.iter().filter_map(|one| one.archive.extent(key));
        all.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }
}

impl Archived for Archives {
    fn is_archived(&self, row: &SegmentRow) -> bool {
        self.0.iter().any(|one| one.archive.has(row))
    }
}

/// Why the archives of a node do not start.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveStartError {
    /// The way to one.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The index of one.
    #[error(transparent)]
    Store(#[from] StoreError),
}

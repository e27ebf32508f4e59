//! The configuration after every check: what the rest of the program works with.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::archive::ArchiveConfig;
use crate::central::CentralTopology;
use crate::env::Env;
use crate::finding::{Refusals, Warning};
use crate::ids::{NodeId, VolumeId};
use crate::outward::WebhookConfig;
use crate::relay::RelayConfig;
use crate::retention::{RetentionConfig, WaterMarks};
use crate::topology::Topology;

/// A configuration that holds together.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// This node.
    pub node: NodeConfig,
    /// How people and nodes reach it.
    pub web: WebConfig,
    /// Where footage goes.
    pub storage: StorageConfig,
    /// How long footage is kept.
    pub retention: RetentionConfig,
    /// How long the journal is kept.
    pub journal: JournalConfig,
    /// How cameras are read.
    pub ingest: IngestConfig,
    /// How it speaks with other nodes; none: it is alone.
    pub relay: Option<RelayConfig>,
    /// Whom it tells what happens to alarms and incidents; none is the usual case.
    pub webhooks: Vec<WebhookConfig>,
    /// The tree of places and cameras.
    pub topology: Topology,
    /// Folder of the configuration file; relative paths started here.
    pub base: PathBuf,
}

/// This node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeConfig {
    /// Its name.
    pub id: NodeId,
    /// Absolute folder of journal, catalogue and keys.
    pub data: PathBuf,
    /// Absolute path of the key that opens `enc:` secrets; outside the configuration, default `<data>/secret.key`.
    pub secret_key: PathBuf,
}

/// How people and nodes reach the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebConfig {
    /// Plain HTTP; loopback addresses only.
    pub listen: Vec<SocketAddr>,
    /// HTTPS.
    pub tls_listen: Vec<SocketAddr>,
    /// PEM certificate chain, absolute; self-signed when absent.
    pub certificate: Option<PathBuf>,
    /// PEM private key, absolute; present exactly when `certificate` is.
    pub key: Option<PathBuf>,
    /// Names and addresses by which browsers reach the node (self-signed certificate, Origin check).
    pub public_names: Vec<String>,
}

/// The journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalConfig {
    /// Days after which records that no state is made of may be dropped, 1095 at least; absent: never.
    pub keep_days: Option<u64>,
}

/// How cameras are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestConfig {
    /// The usual session (H.264 or H.265 over the RTSP connection) is read by the node's own reader, everything else by
    /// retina; false: retina reads all, for twice the processor time.
    pub lean: bool,
}

/// Where footage goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageConfig {
    /// The volumes, at least one, no two with one path.
    pub volumes: Vec<VolumeConfig>,
    /// Archives, at most `limits::ARCHIVES_MAX`; none is the usual case.
    pub archives: Vec<ArchiveConfig>,
    /// Bytes that the rings of all streams may hold together while volumes stall.
    pub ring_budget_bytes: usize,
    /// Bytes a second at which stored footage is checked in the background; 0 turns it off.
    pub scrub_bytes_per_s: u64,
}

/// One disk or folder that holds footage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeConfig {
    /// Its name.
    pub id: VolumeId,
    /// Absolute path.
    pub path: PathBuf,
    /// Free bytes below which nothing more is written to it.
    pub reserve_bytes: u64,
    /// How segments come to it.
    pub kind: VolumeKind,
    /// Its share of new segments in percent of what its free room would give it; 1 to 1000, default 100.
    pub weight: u32,
    /// How full it gets before the oldest footage goes.
    pub water: WaterMarks,
}

impl VolumeConfig {
    /// A volume that is written to directly, with default share.
    #[must_use]
    pub fn direct(id: VolumeId, path: PathBuf, reserve_bytes: u64) -> Self {
        Self {
            id,
            path,
            reserve_bytes,
            kind: VolumeKind::Direct,
            weight: crate::limits::VOLUME_WEIGHT_DEFAULT,
            water: WaterMarks::default(),
        }
    }
}

/// How segments come to a volume.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum VolumeKind {
    /// Open segments are written on it.
    #[default]
    Direct,
    /// Open segments are written on the volume named here, its stage, and copied once they are closed. A volume that is
    /// somebody's stage takes no other footage.
    Staged {
        /// The stage.
        stage: VolumeId,
    },
}

impl StorageConfig {
    /// Whether the volume is the stage of another.
    #[must_use]
    pub fn is_stage(&self, id: &VolumeId) -> bool {
        self.volumes.iter().any(|v| matches!(&v.kind, VolumeKind::Staged { stage } if stage == id))
    }
}

impl Config {
    /// Reads and checks a configuration file and all that it includes.
    ///
    /// # Errors
    /// Every refusal at once, each with file, line, key, value and remedy.
    pub fn load(path: &Path, env: &dyn Env) -> Result<(Self, Vec<Warning>), Refusals> {
        crate::load::load(path, env)
    }

    /// As [`Config::load`], with the places and cameras of the node's centre instead of the files' own. User and password
    /// of a camera are those of the files.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_central(
        path: &Path,
        env: &dyn Env,
        central: &CentralTopology,
    ) -> Result<(Self, Vec<Warning>), Refusals> {
        crate::load::load_central(path, env, central)
    }

    /// Checks a configuration given as text; `path` says in which file findings are and where relative paths start.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, path: &Path, env: &dyn Env) -> Result<(Self, Vec<Warning>), Refusals> {
        crate::load::parse(text, path, env)
    }
}

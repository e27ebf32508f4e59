//! `fengsui backup` and `restore`: everything of a node but its footage.
//!
//! A backup is a folder or a tar file with `backup.json` (what it is, how it is encrypted), `manifest` (every file with
//! its SHA-256) and `files/<number>`. With a passphrase, manifest and files are encrypted. Keys go into encrypted backups
//! alone. The journal is cut at one record, so a backup of a running node is as whole as one of a stopped one.

mod make;
mod pack;
mod restore;
mod seal;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;

use fengsui_storage::error::StoreError;
use serde::{Deserialize, Serialize};

pub use make::{BackupOptions, BackupReport, make};
pub use restore::{RestoreOptions, RestoreReport, restore};
pub use seal::{Derivation, PASSPHRASE_CHARS_MIN};

/// Version of the form described above.
const FORMAT: u32 = 1;

/// Why there is no backup, or no restored node.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It would not be right; the sentence holds the remedy.
    #[error("{0}")]
    Refused(String),
    /// The passphrase is wrong, or an entry was changed.
    #[error("the passphrase is not the right one, or the backup was changed (at {0})")]
    Passphrase(String),
    /// The backup does not hold.
    #[error("the backup does not hold: {0}: {1}")]
    Damaged(String, String),
    /// A file.
    #[error("{}: {}", .0.display(), .1)]
    File(PathBuf, io::Error),
    /// Reading or writing.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The journal.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// `backup.json`: readable without the passphrase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    format: u32,
    program: String,
    node: String,
    made_us: i64,
    /// Absent: not encrypted.
    encryption: Option<Derivation>,
}

/// Where a file belongs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "root", content = "path")]
enum Place {
    /// The folder of the configuration file.
    Config(String),
    /// The data folder.
    Data(String),
    /// Anywhere else: an absolute path that the configuration names.
    Outside(String),
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    place: Place,
    bytes: u64,
    sha256: String,
    mode: u32,
}

/// A volume of the node, for whoever attaches the disks again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeNote {
    /// Its name.
    pub id: String,
    /// Its path in the configuration.
    pub path: String,
    /// What its identity file says; absent when it was not there.
    pub identity: Option<serde_json::Value>,
}

/// `manifest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    node: String,
    /// The node's public key.
    key: Option<String>,
    /// Whether keys and passwords are within.
    keys: bool,
    cut_seq: u64,
    cut_hash: String,
    /// The main configuration file, by its name within its folder.
    config: String,
    /// The data folder relative to that of the configuration, where it lies within; otherwise absolute.
    data: String,
    volumes: Vec<VolumeNote>,
    /// Files that were left out, and why.
    left_out: Vec<String>,
    files: Vec<Entry>,
}

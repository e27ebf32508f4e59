//! Where a node keeps what under its data folder.

use std::path::{Path, PathBuf};

/// Folder of the journal.
#[must_use]
pub fn journal(data: &Path) -> PathBuf {
    data.join("journal")
}

/// Folder of the catalogue.
#[must_use]
pub fn catalogue(data: &Path) -> PathBuf {
    data.join("catalogue")
}

/// Folder of the check of footage: its place, and what it found.
#[must_use]
pub fn integrity(data: &Path) -> PathBuf {
    data.join("integrity")
}

/// Folder of the derived facets of closed segments; may be deleted while the node does not run.
#[must_use]
pub fn facets(data: &Path) -> PathBuf {
    data.join("facets")
}

/// Folder of the indexes of archives.
#[must_use]
pub fn archive(data: &Path) -> PathBuf {
    data.join("archive")
}

/// Folder of the files of incidents.
#[must_use]
pub fn attachments(data: &Path) -> PathBuf {
    data.join("attachments")
}

/// Name of the copy of the journal's head in a volume's root.
pub const WITNESS_FILE: &str = "fengsui-journal.head";

/// The node's own key.
#[must_use]
pub fn node_key(data: &Path) -> PathBuf {
    data.join("node.key")
}

/// Folder of the self-signed certificate.
#[must_use]
pub fn tls(data: &Path) -> PathBuf {
    data.join("tls")
}

/// Held by the process that uses the folder.
#[must_use]
pub fn lock(data: &Path) -> PathBuf {
    data.join("lock")
}

/// Folder in which the command line leaves orders for the running node.
#[must_use]
pub fn orders(data: &Path) -> PathBuf {
    data.join("orders")
}

//! The archive tier: whole closed segments as objects in another place, read back by ranges when the volumes have let
//! them go.
//!
//! This module has everything but the way to the place: planning, uploading, proof, the index of what is there, and
//! reading. The place itself is behind [`ArchiveStore`], whose calls block; [`DirectoryStore`] is a folder, and the
//! driver of S3 stands where sockets are allowed.
//!
//! Invariants
//! - A segment counts as archived only when its object was proved after the upload and its row is durable. A crash
//!   anywhere before leaves it due, and doing it again changes nothing.
//! - What is served from an archive was checked against the hashes of the segment, like what is served from a volume.
//! - An archive that does not answer costs local footage nothing: its requests are few, bounded in time, and stop for
//!   a while after a failure.
//! - Nothing leaves an archive but by the protocol of retention ([`Retention::expire`]): announced in the journal before,
//!   never while any moment of it is held, and only when `max_days` says so.
//!
//! [`Retention::expire`]: crate::retention::Retention::expire

mod directory;
mod index;
mod plan;
mod remote;
mod removal;
mod status;
mod store;
#[cfg(test)]
pub(crate) mod tests;
mod upload;
mod verify;
mod worker;

use fengsui_config::ids::NodeId;

use crate::segment::{SegmentName, SegmentRow};

pub use directory::DirectoryStore;
pub use index::{ArchiveIndex, IndexOpening, Stored};
pub use plan::{Backoff, Candidate, Throttle, order, proof_due};
pub use remote::{Remote, RemoteStats};
pub use status::{ArchiveCounters, ArchiveState, ArchiveStatus};
pub use store::{ArchiveError, ArchiveStore, Listed, LockReport, LockState, Retention};
pub use verify::{Found, RebuildError, VerifyReport, rebuild, scratch, verify};
pub use worker::{Archive, ArchiveOptions, LocalFootage, Note, Wanted};

/// The key of a segment's object: `<node>/<camera>/<stream>/<YYYYMMDD>/<name>`. Keys alone rebuild the index.
#[must_use]
pub fn object_key(node: &NodeId, row: &SegmentRow) -> String {
    format!("{node}/{}", row.path().display())
}

/// Reads a key back; `None` for objects that are no segments of this node.
#[must_use]
pub fn parse_key(node: &NodeId, key: &str) -> Option<(fengsui_config::ids::StreamKey, SegmentName)> {
    let mut parts = key.strip_prefix(node.as_str())?.strip_prefix('/')?.split('/');
    let camera = parts.next()?.parse().ok()?;
    let stream = match parts.next()? {
        "main" => fengsui_config::ids::StreamKind::Main,
        "sub" => fengsui_config::ids::StreamKind::Sub,
        _ => return None,
    };
    let stream_key = fengsui_config::ids::StreamKey { camera, stream };
    let day = parts.next()?;
    let name: SegmentName = parts.next()?.parse().ok()?;
    name.closed?;
    let dir = crate::segment::stream_dir(stream_key, name.start_ms);
    let right = dir.file_name().is_some_and(|d| d == day);
    (right && parts.next().is_none()).then_some((stream_key, name))
}

//! Segment files: fragmented MP4 with commit records. `storage/FORMAT.md` is the format's text; this module is the
//! only one that writes or reads it.
//!
//! [`SegmentWriter`] drives the pure group builder; [`recover`] and [`finish_torn`] bring order into what a crash
//! left; [`SegmentReader`] serves open and closed files; [`mux`] makes the boxes for stored files and for browsers.

mod boxes;
mod check;
mod entries;
mod flip;
mod group;
mod key;
pub mod mux;
mod name;
mod preamble;
mod reader;
mod records;
mod recovery;
mod region;
mod scan;
mod sps;
mod survey;
mod timeline;
mod writer;

use std::sync::Arc;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{NodeId, StreamKey, VolumeId};

use crate::frame::StreamInfo;

pub use check::{FileCheck, check};
pub use key::{KeyId, NodeKey};
pub use name::{SegmentFlags, SegmentName, SegmentRow, is_stand_in, stand_in_number, stream_dir};
pub use reader::{FragmentEntry, SegmentReader};
pub(crate) use recovery::has_footer;
pub use recovery::{Finished, Outcome, Recovery, finish_torn, recover};
pub use survey::{Damage, Part, Survey, Surveyor};
pub use writer::{Abandoned, CloseError, ClosedSegment, Committed, SegmentWriter};

/// Hash that links segments, groups and records: BLAKE3, 32 bytes.
pub type Hash = [u8; 32];

/// What a new segment starts with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentHead {
    /// The recording node.
    pub node: NodeId,
    /// The volume it is written to.
    pub volume: VolumeId,
    /// The stream.
    pub key: StreamKey,
    /// Segment number: counts up per stream, never repeats.
    pub number: u64,
    /// Start on the node's clock: the `utc` of the first unit pushed. Also the zero of the file's own time line.
    pub start: UtcMicros,
    /// Parameters of the tracks, and why the segment begins.
    pub info: Arc<StreamInfo>,
    /// Hash of the stream's segment before ([`ClosedSegment::hash`]); zeros when there is none or it is not known.
    pub previous: Hash,
}

/// Why a segment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum EndReason {
    /// Its time or size was reached; the next one follows without a gap.
    Rotation = 1,
    /// The run of access units ended: the camera went, or its session did.
    StreamEnd = 2,
    /// Codec, parameter sets or clock changed; the next one follows.
    Changed = 3,
    /// Recording was no longer wanted, or the node stopped in order.
    Stopped = 4,
    /// The node died; recovery closed the file at its last commit.
    CrashTail = 5,
    /// Bytes within the file do not hold; recovery closed it as it is.
    Damaged = 6,
}

#[cfg(test)]
pub(crate) mod tests;

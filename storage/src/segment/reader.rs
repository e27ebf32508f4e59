//! Reading segments, closed ones and those still being written.

use std::path::Path;

use bytes::Bytes;
use fengsui_config::clock::UtcMicros;

use super::SegmentHead;
use crate::error::StoreError;
use crate::frame::AccessUnit;
use crate::fs::Fs;

/// One fragment (`[prft] moof mdat`) of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FragmentEntry {
    /// Place in the segment, from 0.
    pub index: u32,
    /// File offset of its first byte.
    pub offset: u64,
    /// Length in bytes.
    pub length: u32,
    /// Decode time of its first picture (or sound, without video) on the file's time line, in the track's ticks.
    pub tfdt: u64,
    /// Duration in the same ticks.
    pub duration: u32,
    /// Start on the node's clock.
    pub utc: UtcMicros,
    /// End on the node's clock.
    pub utc_end: UtcMicros,
    /// Start on the camera's clock by sender report.
    pub camera_utc: Option<UtcMicros>,
    /// A decoder can start at its first picture.
    pub starts_with_key: bool,
    /// Pictures.
    pub frames: u32,
    /// Pictures at which a decoder can start.
    pub key_frames: u32,
    /// Audio units.
    pub audio_units: u32,
    /// RTP packets known to be lost within or directly before it.
    pub lost: u32,
}

/// A reader of one segment file.
#[derive(Debug)]
pub struct SegmentReader {
    head: SegmentHead,
    fragments: Vec<FragmentEntry>,
}

impl SegmentReader {
    /// Opens a closed file (`known_committed` none) or one being written, of which only the first
    /// `known_committed` bytes may be looked at.
    pub fn open(_fs: &dyn Fs, path: &Path, _known_committed: Option<u64>) -> Result<Self, StoreError> {
        Err(StoreError::Invalid(format!("{}: the reader is not built yet", path.display())))
    }

    /// Takes in what was committed since; for open files.
    pub fn refresh(&mut self, _known_committed: u64) -> Result<(), StoreError> {
        Ok(())
    }

    /// What the segment started with.
    #[must_use]
    pub fn head(&self) -> &SegmentHead {
        &self.head
    }

    /// All fragments in order.
    #[must_use]
    pub fn fragments(&self) -> &[FragmentEntry] {
        &self.fragments
    }

    /// The stored `ftyp` and `moov`.
    pub fn init(&self) -> Result<Bytes, StoreError> {
        Err(StoreError::Invalid("the reader is not built yet".into()))
    }

    /// The bytes of one fragment, out of a group whose hash was checked.
    pub fn read_fragment(&self, index: u32) -> Result<Bytes, StoreError> {
        Err(StoreError::Invalid(format!("no fragment {index}")))
    }

    /// The access units of one fragment, tracks one after the other.
    pub fn samples(&self, index: u32) -> Result<Vec<AccessUnit>, StoreError> {
        Err(StoreError::Invalid(format!("no fragment {index}")))
    }
}

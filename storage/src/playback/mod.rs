//! Playback: what the API asks of stored footage, over an index of segments. Blocking; call it off the async threads.

mod listing;
mod readers;
#[cfg(test)]
mod tests;
mod tiers;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{StreamKey, VolumeId};
use fengsui_config::limits;
use parking_lot::Mutex;

use crate::catalogue::Catalogue;
use crate::error::StoreError;
use crate::facets::{FacetStatus, Facets};
use crate::fs::Fs;
use crate::gaps::Interval;
use crate::scrub::Suspects;
use crate::segment::mux::{self, Audience};
use crate::segment::{FragmentEntry, SegmentName, SegmentReader, SegmentRow};

use listing::recording_order;
use readers::{Readers, SharedReader};
pub use tiers::{Tier, TieredIndex, Tiers, is_unreachable};

/// An index of segments; the catalogue implements it.
pub trait SegmentIndex: Send + Sync {
    /// Segments of a stream that overlap `[from, to)`, by start; open ones with what is committed so far.
    fn segments(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> Vec<SegmentRow>;

    /// Footage of a stream that is known to be damaged, and the number of the segment that it is of.
    fn lost(&self, _key: StreamKey, _from: UtcMicros, _to: UtcMicros) -> Vec<(u64, Interval)> {
        Vec::new()
    }
}

impl SegmentIndex for Catalogue {
    fn segments(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> Vec<SegmentRow> {
        Self::segments(self, key, from, to)
    }
    fn lost(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> Vec<(u64, Interval)> {
        self.damages().lost(key, from, to)
    }
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
    reader: SharedReader,
    suspects: Arc<Suspects>,
    row: SegmentRow,
    tiers: Tiers,
}

impl FootageFile {
    /// Up to `length` bytes from `offset` on; empty at the end. What is served was checked: the parts of the file that
    /// the range touches are read whole, and a range that touches one that does not hold fails there.
    pub fn read(&self, offset: u64, length: usize) -> Result<Bytes, StoreError> {
        let left = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let length = length.min(left);
        let reader = self.reader.read();
        let first = reader.read_checked(offset, length).inspect_err(|e| {
            if matches!(e, StoreError::Damaged { .. }) {
                self.suspects.push(self.row.key, self.row.number);
            }
            self.tiers.suspect(&self.row, e);
        })?;
        if first.len() == length || first.is_empty() {
            return Ok(first);
        }
        let mut out = bytes::BytesMut::with_capacity(length);
        out.extend_from_slice(&first);
        while out.len() < length {
            let at = offset + out.len() as u64;
            match reader.read_checked(at, length - out.len()) {
                Ok(more) if more.is_empty() => break,
                Ok(more) => out.extend_from_slice(&more),
                // What came before it holds; the next read begins at the damage and says so.
                Err(StoreError::Damaged { .. }) => break,
                Err(e) => return Err(e),
            }
        }
        Ok(out.freeze())
    }
}

/// Stored footage of a node. Safe from many threads.
pub struct Footage {
    fs: Arc<dyn Fs>,
    index: Arc<dyn SegmentIndex>,
    volumes: Vec<(VolumeId, PathBuf)>,
    tiers: Tiers,
    readers: Readers,
    /// Segments that did not hold when they were read: the scrubber looks at them first.
    suspects: Arc<Suspects>,
    /// What is known of closed segments without opening them.
    facets: Option<Arc<Facets>>,
    /// Init segments for browsers by id, at most `limits::INIT_SEGMENTS_MAX`.
    inits: Mutex<BTreeMap<String, Bytes>>,
}

impl std::fmt::Debug for Footage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Footage").field("volumes", &self.volumes).finish_non_exhaustive()
    }
}

/// How many of a stream's newest segments are searched for an init segment that was forgotten.
const INIT_SEARCH_SEGMENTS_MAX: usize = 64;
/// How many are searched where no file has to be opened.
const INIT_SEARCH_FACETS_MAX: usize = 4096;
/// How far before the moment asked for a still picture may lie, in microseconds.
const STILL_SEARCH_US: i64 = 30_000_000;

/// Names a fragment within its stream: `<start-ms>_<segment number>_<index>`.
fn gop_id(row: &SegmentRow, index: u32) -> String {
    format!("{}_{}_{index}", row.start_ms, row.number)
}

fn parse_gop_id(id: &str) -> Option<(i64, u64, u32)> {
    let mut parts = id.split('_');
    let ids = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    parts.next().is_none().then_some(ids)
}

/// Text that is equal for equal bytes.
pub(crate) fn content_id(bytes: &[u8]) -> String {
    let hash = blake3::hash(bytes);
    hex::encode(hash.as_bytes().get(..12).unwrap_or_default())
}

impl Footage {
    /// Footage on `volumes`, found through `index`.
    #[must_use]
    pub fn new(fs: Arc<dyn Fs>, index: Arc<dyn SegmentIndex>, volumes: Vec<(VolumeId, PathBuf)>) -> Self {
        let (readers, suspects, tiers) = (Readers::default(), Arc::default(), Tiers::default());
        Self { fs, index, volumes, tiers, readers, suspects, facets: None, inits: Mutex::default() }
    }

    /// As it is, with places beside the volumes. Their segments must be in the index too ([`TieredIndex`]).
    #[must_use]
    pub fn with_tiers(self, tiers: Tiers) -> Self {
        Self { tiers, ..self }
    }

    /// As it is, asking `facets` before it opens a closed segment of a volume for a listing.
    #[must_use]
    pub fn with_facets(self, facets: Arc<Facets>) -> Self {
        Self { facets: Some(facets), ..self }
    }

    /// How the facets stand, when there are any.
    #[must_use]
    pub fn facets(&self) -> Option<FacetStatus> {
        self.facets.as_ref().map(|f| f.status())
    }

    /// Where segments are noted that did not hold when they were read.
    #[must_use]
    pub fn suspects(&self) -> Arc<Suspects> {
        self.suspects.clone()
    }

    /// The file of a segment was replaced or deleted: it is let go of, since its room is only free when nobody holds it
    /// open. Answers under way keep theirs to the end.
    pub fn forget(&self, row: &SegmentRow) {
        self.readers.forget(row.key, row.number);
    }

    /// A segment does not hold: it is looked at first, and no facet speaks for it.
    fn suspect(&self, row: &SegmentRow) {
        self.suspects.push(row.key, row.number);
        if let Some(facets) = &self.facets {
            facets.distrust(row);
        }
    }

    /// Passes a result on; a segment that does not hold goes to the suspects, and nothing kept of it is used again.
    fn noting<T>(&self, row: &SegmentRow, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(error) = &result {
            if let StoreError::Damaged { .. } = error {
                self.suspect(row);
            }
            self.tiers.suspect(row, error);
        }
        result
    }

    /// The row of segment `number` that starts at `start_ms`.
    fn row(&self, key: StreamKey, start_ms: i64, number: u64) -> Result<SegmentRow, StoreError> {
        let from = UtcMicros(start_ms.saturating_mul(1000));
        let to = UtcMicros(from.0.saturating_add(1000));
        let rows = self.index.segments(key, from, to);
        let row = rows.into_iter().find(|r| (r.start_ms, r.number) == (start_ms, number));
        row.ok_or_else(|| StoreError::NotFound(format!("segment {number} of {key}")))
    }

    /// The segment of a file name. A name from before the segment was closed still finds it.
    fn named(&self, key: StreamKey, name: &str) -> Result<(SegmentRow, SharedReader), StoreError> {
        let parsed: SegmentName = name.parse().map_err(|_| StoreError::NotFound(name.to_owned()))?;
        self.reader_at(key, parsed.start_ms, parsed.number)
    }

    fn reader_at(
        &self,
        key: StreamKey,
        start_ms: i64,
        number: u64,
    ) -> Result<(SegmentRow, SharedReader), StoreError> {
        let row = self.row(key, start_ms, number)?;
        match self.reader(&row) {
            // It was closed and renamed, or moved to another volume, between the look into the index and the opening.
            Err(e) if e.io_kind() == Some(std::io::ErrorKind::NotFound) => {
                let before = row;
                let row = self.row(key, start_ms, number)?;
                if (row.closed, &row.volume) == (before.closed, &before.volume) {
                    return Err(e);
                }
                let reader = self.reader(&row)?;
                Ok((row, reader))
            }
            other => other.map(|reader| (row, reader)),
        }
    }

    fn reader(&self, row: &SegmentRow) -> Result<SharedReader, StoreError> {
        if let Some(held) = self.readers.get(row.key, row.number, row.closed) {
            if !row.closed && held.read().committed() < row.bytes {
                held.write().refresh(row.bytes)?;
            }
            return Ok(held);
        }
        if let Some(tier) = self.tiers.of(row) {
            let reader = self.noting(row, tier.reader(row))?;
            return Ok(self.readers.put(row.key, row.number, row.closed, reader));
        }
        let root = self.volumes.iter().find(|(id, _)| *id == row.volume).map(|(_, root)| root);
        let root = root.ok_or_else(|| StoreError::NotFound(format!("volume {}", row.volume)))?;
        let limit = (!row.closed).then_some(row.bytes);
        let opened = match SegmentReader::open(&*self.fs, &root.join(row.path()), limit) {
            // Deleted since the index was asked; an archive may have it.
            Err(e) if row.closed && e.io_kind() == Some(std::io::ErrorKind::NotFound) => {
                self.tiers.instead(row).unwrap_or(Err(e))
            }
            other => other,
        };
        let reader = self.noting(row, opened)?;
        if reader.is_suspect() {
            self.suspect(row);
        }
        Ok(self.readers.put(row.key, row.number, row.closed, reader))
    }

    /// Readers of all segments that overlap a range; those that cannot be read are left out and logged. Fails when an
    /// archive does not answer: what is there must not look as if it were not.
    fn readers(
        &self,
        key: StreamKey,
        from: UtcMicros,
        to: UtcMicros,
    ) -> Result<Vec<(SegmentRow, SharedReader)>, StoreError> {
        let mut out = Vec::new();
        for row in recording_order(self.index.segments(key, from, to)) {
            // An open segment without a group has nothing to show.
            if !row.closed && row.bytes == 0 {
                continue;
            }
            match self.reader_at(key, row.start_ms, row.number) {
                Ok(found) => out.push(found),
                Err(error) if is_unreachable(&error) => return Err(error),
                Err(error) => tracing::warn!(%key, segment = row.number, %error, "leave out a segment"),
            }
        }
        Ok(out)
    }

    fn remember(&self, id: String, init: Bytes) {
        let mut inits = self.inits.lock();
        if inits.len() >= limits::INIT_SEGMENTS_MAX && !inits.contains_key(&id) {
            inits.pop_first();
        }
        inits.insert(id, init);
    }

    /// An init segment for browsers, by the id that [`Self::gops`] gave.
    pub fn init(&self, key: StreamKey, id: &str) -> Result<Bytes, StoreError> {
        if let Some(held) = self.inits.lock().get(id) {
            return Ok(held.clone());
        }
        // Forgotten (a restart, or very many others since): one of the stream's segments has it.
        let rows = self.index.segments(key, UtcMicros(0), UtcMicros(i64::MAX / 4));
        let mut opened = 0;
        for row in rows.iter().rev().take(INIT_SEARCH_FACETS_MAX) {
            let made = match self.facet(row, &[]) {
                Some(facet) => mux::init_segment(&facet.info, Audience::Browser),
                None if opened < INIT_SEARCH_SEGMENTS_MAX => {
                    opened += 1;
                    let Ok((_, reader)) = self.reader_at(key, row.start_ms, row.number) else { continue };
                    mux::init_segment(reader.read().info(), Audience::Browser)
                }
                None => continue,
            };
            if let Some(init) = made.ok().filter(|init| content_id(init) == id) {
                self.remember(id.to_owned(), init.clone());
                return Ok(init);
            }
        }
        Err(StoreError::NotFound(format!("init segment {id}")))
    }

    /// A group of pictures for browsers: video alone, absolute times.
    pub fn gop(&self, key: StreamKey, id: &str) -> Result<Bytes, StoreError> {
        let missing = || StoreError::NotFound(format!("group of pictures {id}"));
        let (start_ms, number, index) = parse_gop_id(id).ok_or_else(missing)?;
        let (row, reader) = self.reader_at(key, start_ms, number)?;
        let reader = reader.read();
        let entry = reader.fragments().get(index as usize).copied().ok_or_else(missing)?;
        let stored = self.noting(&row, reader.read_fragment(index))?;
        mux::browser_fragment(&stored, entry.utc, index.saturating_add(1))
    }

    /// The stored init segment (all tracks) of the segment `name`.
    pub fn raw_init(&self, key: StreamKey, name: &str) -> Result<Bytes, StoreError> {
        let (row, reader) = self.named(key, name)?;
        let init = reader.read().init();
        self.noting(&row, init)
    }

    /// Fragment `index` of the segment `name`, as stored.
    pub fn raw_fragment(&self, key: StreamKey, name: &str, index: u32) -> Result<Bytes, StoreError> {
        let (row, reader) = self.named(key, name)?;
        let stored = reader.read().read_fragment(index);
        self.noting(&row, stored)
    }

    /// Opens the segment `name` for range requests; of an open segment, what is committed so far.
    pub fn file(&self, key: StreamKey, name: &str) -> Result<FootageFile, StoreError> {
        let (row, reader) = self.named(key, name)?;
        let suspects = self.suspects.clone();
        Ok(FootageFile { len: row.bytes, reader, suspects, row, tiers: self.tiers.clone() })
    }

    /// The newest picture at or before `at` that stands alone, with the stream's parameters.
    pub fn key_picture(
        &self,
        key: StreamKey,
        at: UtcMicros,
    ) -> Result<(crate::frame::AccessUnit, crate::frame::VideoParams), StoreError> {
        let missing = || StoreError::NotFound(format!("a picture of {key} at that time"));
        let from = UtcMicros(at.0.saturating_sub(STILL_SEARCH_US));
        let rows = self.readers(key, from, UtcMicros(at.0.saturating_add(1)))?;
        for (row, reader) in rows.into_iter().rev() {
            let reader = reader.read();
            let Some(video) = reader.info().video.clone() else { continue };
            let before = reader.fragments().iter().rev();
            for f in before.filter(|f| f.key_frames > 0 && f.utc <= at && f.utc_end > from) {
                // A damaged picture is no reason not to show the one before it.
                let units = match self.noting(&row, reader.samples(f.index)) {
                    Ok(units) => units,
                    Err(error) if is_unreachable(&error) => return Err(error),
                    Err(_) => continue,
                };
                let keys = units.into_iter().filter(|u| u.track == crate::frame::Track::Video && u.key);
                if let Some(unit) = keys.filter(|u| u.utc <= at).max_by_key(|u| u.utc) {
                    return Ok((unit, video));
                }
            }
        }
        Err(missing())
    }

    /// The picture shown at `at` as JPEG (the key frame at or before it, at most 30 s), with its time.
    #[cfg(feature = "ffmpeg")]
    pub fn still(&self, key: StreamKey, at: UtcMicros) -> Result<(UtcMicros, Bytes), StoreError> {
        let (unit, video) = self.key_picture(key, at)?;
        let jpeg = crate::picture::jpeg(&video, &unit.data, limits::STILL_SIDE_MAX)?;
        Ok((unit.utc, jpeg))
    }
}

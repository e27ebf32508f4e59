//! Reading segments, closed ones and those still being written.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use fengsui_config::clock::UtcMicros;
use fengsui_config::limits;
use parking_lot::Mutex;

use super::mux::{self, VIDEO_TRACK};
use super::preamble::{self, Trust};
use super::region::Region;
use super::scan::{self, Scan, Stop, Window};
use super::{Hash, SegmentHead};
use crate::error::StoreError;
use crate::frame::{AccessUnit, StreamInfo, Track, VIDEO_TIMESCALE};
use crate::fs::{Fs, FsFile, OpenOptions};

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

/// Where the footer stands, and the hash of it when it was checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct FooterPlace {
    at: u64,
    hash: Hash,
    /// The segment's hash, if the signature over it holds.
    signed: Option<Hash>,
}

/// A reader of one segment file. Reads may come from many threads. No byte leaves it that was not checked in memory
/// just before: preamble, groups and footer are read whole, and the last one is kept for the reads that follow.
#[derive(Debug)]
pub struct SegmentReader {
    pub(super) path: PathBuf,
    pub(super) file: Box<dyn FsFile>,
    pub(super) scan: Scan,
    pub(super) trust: Trust,
    pub(super) footer: Option<FooterPlace>,
    /// Something does not hold, whether or not footage is lost by it.
    suspect: bool,
    /// The group read last: players ask for its bytes one after the other.
    last: Mutex<Option<(u64, Region)>>,
}

impl SegmentReader {
    /// Opens a closed file (`known_committed` none) or one being written, of which only the first
    /// `known_committed` bytes may be looked at. Of a damaged file, groups that hold are found.
    pub fn open(fs: &dyn Fs, path: &Path, known_committed: Option<u64>) -> Result<Self, StoreError> {
        let file = fs.open(path, OpenOptions::READ).map_err(StoreError::io("open segment", path))?;
        let mut w = Window::new(&*file, path);
        let (mut scan, trust) = preamble::open(&mut w).map_err(|s| refuse(path, s))?;
        let mut suspect = trust == Trust::Mended;
        let mut place = None;
        if let Some(limit) = known_committed {
            suspect |= !salvage(&mut scan, &mut w, path, limit)?;
        } else {
            let len = file.len().map_err(StoreError::io("measure segment", path))?;
            if let Some(footer) = scan::footer(&mut w, len).map_err(|s| refuse(path, s))? {
                scan.next = footer.last.footer;
                let own = footer.signed && footer.last.key_id == scan.header.key_id;
                let signed = own.then_some(footer.last.chain);
                place = Some(FooterPlace { at: scan.next, hash: footer.hash, signed });
                suspect |= trust == Trust::Unlinked || !own;
                (scan.groups, scan.fragments) = (footer.groups, footer.fragments);
            } else {
                salvage(&mut scan, &mut w, path, len)?;
                suspect = true;
            }
        }
        drop(w);
        let path = path.to_path_buf();
        Ok(Self { path, file, scan, trust, footer: place, suspect, last: Mutex::new(None) })
    }

    /// Takes in what was committed since; for open files.
    pub fn refresh(&mut self, known_committed: u64) -> Result<(), StoreError> {
        let mut w = Window::new(&*self.file, &self.path);
        self.suspect |= !salvage(&mut self.scan, &mut w, &self.path, known_committed)?;
        Ok(())
    }

    /// Something in the file does not hold. What still holds is served; a full check tells what does not.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        self.suspect
    }

    /// What the segment started with.
    #[must_use]
    pub fn head(&self) -> &SegmentHead {
        &self.scan.head
    }

    /// Parameters of the tracks.
    #[must_use]
    pub fn info(&self) -> &StreamInfo {
        &self.scan.head.info
    }

    /// All fragments in order.
    #[must_use]
    pub fn fragments(&self) -> &[FragmentEntry] {
        &self.scan.fragments
    }

    /// Bytes of preamble and groups.
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.scan.next
    }

    /// The segment's hash, when its footer is there and signed by the key that the file names.
    #[must_use]
    pub fn segment_hash(&self) -> Option<Hash> {
        self.footer.and_then(|f| f.signed)
    }

    /// The stored `ftyp` and `moov`, as they were written. Fails when nothing vouches for them.
    pub fn init(&self) -> Result<Bytes, StoreError> {
        if self.trust == Trust::Unlinked && !self.scan.fragments.is_empty() {
            return Err(StoreError::damaged(&self.path, 0, "no record vouches for the preamble"));
        }
        Ok(self.scan.init.clone())
    }

    fn entry(&self, index: u32) -> Result<&FragmentEntry, StoreError> {
        let missing = || StoreError::NotFound(format!("fragment {index} of {}", self.path.display()));
        self.scan.fragments.get(index as usize).ok_or_else(missing)
    }

    /// The bytes of one fragment (`prft moof mdat`), out of a group whose hash was checked.
    pub fn read_fragment(&self, index: u32) -> Result<Bytes, StoreError> {
        let f = *self.entry(index)?;
        let place = self.scan.groups.partition_point(|g| g.first_fragment <= index);
        let bad = || StoreError::damaged(&self.path, f.offset, "the group's hash does not hold");
        let place = place.checked_sub(1).ok_or_else(bad)?;
        let region = self.region(place)?.filter(Region::media_holds).ok_or_else(bad)?;
        let from = f.offset.saturating_sub(region.offset());
        region.media().get(from, u64::from(f.length)).ok_or_else(bad)
    }

    /// The region of group `place`: from the one kept, or read and hashed now. None when it lies outside the file.
    pub(super) fn region(&self, place: usize) -> Result<Option<Region>, StoreError> {
        let Some(group) = self.scan.groups.get(place).copied() else { return Ok(None) };
        let held = self.last.lock().as_ref().filter(|(at, _)| *at == group.offset).map(|(_, r)| r.clone());
        if held.is_some() {
            return Ok(held);
        }
        let end = self.scan.groups.get(place + 1).map_or(self.scan.next, |g| g.offset);
        let Some(region) = Region::read(&*self.file, &self.path, group, end)? else { return Ok(None) };
        // An unusually large group is not worth keeping.
        if region.len() <= 2 * limits::FLUSH_BYTES_MAX as u64 {
            *self.last.lock() = Some((group.offset, region.clone()));
        }
        Ok(Some(region))
    }

    /// The access units of one fragment, the video before the audio. Arrival times and losses of single units are
    /// not stored; `arrived` is `utc`, and the first unit carries the fragment's losses.
    pub fn samples(&self, index: u32) -> Result<Vec<AccessUnit>, StoreError> {
        let f = *self.entry(index)?;
        let stored = self.read_fragment(index)?;
        let broken = || StoreError::damaged(&self.path, f.offset, "not a fragment");
        let mut out = Vec::new();
        for run in mux::parse_fragment(&stored).ok_or_else(broken)? {
            let video = run.track == VIDEO_TRACK;
            let (track, point) = if video {
                (Track::Video, self.scan.header.video)
            } else {
                (Track::Audio, self.scan.header.audio)
            };
            let rate = match &self.scan.head.info.audio {
                Some(a) if !video => i64::from(a.sample_rate.max(1)),
                _ => i64::from(VIDEO_TIMESCALE),
            };
            let zero = point.map_or(0, |p| p.pts.saturating_sub(p.tick));
            let (origin, origin_tick) =
                if video { (f.utc, i64::try_from(f.tfdt).unwrap_or(0)) } else { (self.scan.head.start, 0) };
            let mut decode = i64::try_from(run.tfdt).unwrap_or(0);
            let mut at = run.data.start;
            for s in run.samples {
                let tick = decode.saturating_add(i64::from(s.cto));
                let after = tick.saturating_sub(origin_tick).saturating_mul(1_000_000) / rate;
                let utc = UtcMicros(origin.0.saturating_add(after));
                let end = at + s.size as usize;
                out.push(AccessUnit {
                    track,
                    key: s.key,
                    pts: zero.saturating_add(tick),
                    utc,
                    camera_utc: f.camera_utc.map(|c| UtcMicros(c.0.saturating_add(utc.since(f.utc)))),
                    arrived: utc,
                    lost_before: if out.is_empty() { f.lost } else { 0 },
                    data: stored.slice(at..end),
                });
                (decode, at) = (decode.saturating_add(i64::from(s.duration)), end);
            }
        }
        Ok(out)
    }

    /// Bytes of the file as they stand, for range requests: up to `length` from `offset` on, as far as the part of
    /// the file that they lie in (preamble, group, footer) reaches. That part is read whole and checked first; bytes
    /// that do not hold are not served. Empty at the end.
    pub fn read_checked(&self, offset: u64, length: usize) -> Result<Bytes, StoreError> {
        let bad = |what: &str| StoreError::damaged(&self.path, offset, what);
        let preamble = &self.scan.preamble;
        if offset < preamble.len() as u64 {
            if self.trust != Trust::Linked {
                return Err(bad("the preamble does not hold"));
            }
            return Ok(cut(preamble, 0, offset, length));
        }
        if let Some(footer) = self.footer.filter(|f| offset >= f.at) {
            let whole = self.footer_bytes(footer)?;
            return Ok(cut(&whole, footer.at, offset, length));
        }
        if offset >= self.scan.next && !self.suspect {
            return Ok(Bytes::new());
        }
        let place = self.scan.groups.partition_point(|g| g.offset <= offset);
        let region = match place.checked_sub(1) {
            Some(place) => self.region(place)?,
            None => None,
        };
        let region = region.filter(|r| r.all_holds()).ok_or_else(|| bad("the group does not hold"))?;
        if offset >= region.offset() + region.len() {
            return Err(bad("a group is missing here"));
        }
        Ok(cut(region.bytes(), region.offset(), offset, length))
    }

    fn footer_bytes(&self, footer: FooterPlace) -> Result<Bytes, StoreError> {
        let len = self.file.len().map_err(StoreError::io("measure segment", &self.path))?;
        let size = usize::try_from(len.saturating_sub(footer.at)).unwrap_or(usize::MAX);
        // Larger than any footer: the file is not the one that was opened.
        let bad = || StoreError::damaged(&self.path, footer.at, "the footer does not hold");
        if size > 3 * limits::SEGMENT_RECORD_BYTES_MAX {
            return Err(bad());
        }
        let mut room = vec![0; size];
        self.file.read_exact_at(footer.at, &mut room).map_err(StoreError::io("read segment", &self.path))?;
        if *blake3::hash(&room).as_bytes() == footer.hash { Ok(Bytes::from(room)) } else { Err(bad()) }
    }
}

/// Up to `length` bytes at file offset `at` out of `bytes`, which stand at `start`.
fn cut(bytes: &Bytes, start: u64, at: u64, length: usize) -> Bytes {
    let from = usize::try_from(at.saturating_sub(start)).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(from..from.saturating_add(length).min(bytes.len()))
}

fn refuse(path: &Path, stop: Stop) -> StoreError {
    match stop {
        Stop::Io(e) => e,
        Stop::Bad(at, what) => StoreError::damaged(path, at, what),
    }
}

/// Takes in every group before `limit` that holds by its record, past those that do not. False when there are such.
pub(super) fn salvage(
    scan: &mut Scan,
    w: &mut Window<'_>,
    path: &Path,
    limit: u64,
) -> Result<bool, StoreError> {
    let mut whole = true;
    while scan.next < limit {
        match scan.step(w, limit) {
            Ok(()) => {}
            Err(io @ Stop::Io(_)) => return Err(refuse(path, io)),
            Err(Stop::Bad(..)) => {
                whole = false;
                let found = scan::later_group(w, scan.next, limit).map_err(|s| refuse(path, s))?;
                let Some((at, _)) = found else { break };
                if let Err(io @ Stop::Io(_)) = scan.skip_to(w, at, limit) {
                    return Err(refuse(path, io));
                }
                if scan.next <= at {
                    break;
                }
            }
        }
    }
    Ok(whole)
}

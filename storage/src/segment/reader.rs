//! Reading segments, closed ones and those still being written.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use fengsui_config::clock::UtcMicros;
use fengsui_config::limits;
use parking_lot::Mutex;

use super::mux::{self, VIDEO_TRACK};
use super::scan::{self, Scan, Stop, Window};
use super::{Outcome, SegmentHead};
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

/// A reader of one segment file. Reads may come from many threads.
#[derive(Debug)]
pub struct SegmentReader {
    path: PathBuf,
    file: Box<dyn FsFile>,
    scan: Scan,
    /// The group read last: players ask for its fragments one after the other.
    last: Mutex<Option<(u64, Bytes)>>,
}

impl SegmentReader {
    /// Opens a closed file (`known_committed` none) or one being written, of which only the first
    /// `known_committed` bytes may be looked at. Of a damaged file without a footer, groups that hold are found.
    pub fn open(fs: &dyn Fs, path: &Path, known_committed: Option<u64>) -> Result<Self, StoreError> {
        let file = fs.open(path, OpenOptions::READ).map_err(StoreError::io("open segment", path))?;
        let mut w = Window::new(&*file, path);
        let mut scan = scan::preamble(&mut w).map_err(|s| refuse(path, s))?;
        if let Some(limit) = known_committed {
            advance(&mut scan, &mut w, path, limit)?;
        } else {
            let len = file.len().map_err(StoreError::io("measure segment", path))?;
            match scan::footer(&mut w, len).map_err(|s| refuse(path, s))? {
                Some(footer) => {
                    scan.next = footer.last.footer;
                    (scan.groups, scan.fragments) = (footer.groups, footer.fragments);
                }
                None => salvage(&mut scan, &mut w, path, len)?,
            }
        }
        drop(w);
        Ok(Self { path: path.to_path_buf(), file, scan, last: Mutex::new(None) })
    }

    /// Takes in what was committed since; for open files.
    pub fn refresh(&mut self, known_committed: u64) -> Result<(), StoreError> {
        let mut w = Window::new(&*self.file, &self.path);
        advance(&mut self.scan, &mut w, &self.path, known_committed)
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

    /// The stored `ftyp` and `moov`, as they stand in the file.
    pub fn init(&self) -> Result<Bytes, StoreError> {
        let mut room = vec![0; self.scan.init_len];
        self.file.read_exact_at(0, &mut room).map_err(StoreError::io("read init segment", &self.path))?;
        Ok(Bytes::from(room))
    }

    fn entry(&self, index: u32) -> Result<&FragmentEntry, StoreError> {
        let missing = || StoreError::NotFound(format!("fragment {index} of {}", self.path.display()));
        self.scan.fragments.get(index as usize).ok_or_else(missing)
    }

    /// The bytes of one fragment (`prft moof mdat`), out of a group whose hash was checked.
    pub fn read_fragment(&self, index: u32) -> Result<Bytes, StoreError> {
        let f = *self.entry(index)?;
        let place = self.scan.groups.partition_point(|g| g.first_fragment <= index);
        let group = place.checked_sub(1).and_then(|i| self.scan.groups.get(i)).copied();
        let bad = || StoreError::damaged(&self.path, f.offset, "the group's hash does not hold");
        let group = group.ok_or_else(bad)?;
        let held = self.last.lock().as_ref().filter(|(at, _)| *at == group.offset).map(|(_, b)| b.clone());
        let media = match held {
            Some(media) => media,
            None => {
                let mut room = Vec::new();
                if !scan::hash_holds(&*self.file, &self.path, &group, &mut room)? {
                    return Err(bad());
                }
                let media = Bytes::from(room);
                // An unusually large group is not worth keeping.
                if media.len() <= 2 * limits::FLUSH_BYTES_MAX {
                    *self.last.lock() = Some((group.offset, media.clone()));
                }
                media
            }
        };
        let from = usize::try_from(f.offset.saturating_sub(group.offset)).unwrap_or(usize::MAX);
        let end = from.checked_add(f.length as usize).filter(|e| *e <= media.len()).ok_or_else(bad)?;
        Ok(media.slice(from..end))
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

    /// Reads bytes of the file as they are, without a check; for range requests.
    pub fn read_raw(&self, offset: u64, room: &mut [u8]) -> Result<usize, StoreError> {
        self.file.read_at(offset, room).map_err(StoreError::io("read segment", &self.path))
    }

    /// Checks the hash of every group; says how many hold, or where the first does not.
    pub fn verify(&self) -> Result<(u64, Outcome), StoreError> {
        let mut room = Vec::new();
        let mut held = 0;
        for g in &self.scan.groups {
            if !scan::hash_holds(&*self.file, &self.path, g, &mut room)? {
                return Ok((held, Outcome::Damaged { at: g.offset }));
            }
            held += 1;
        }
        Ok((held, Outcome::Clean))
    }
}

fn refuse(path: &Path, stop: Stop) -> StoreError {
    match stop {
        Stop::Io(e) => e,
        Stop::Bad(at, what) => StoreError::damaged(path, at, what),
    }
}

fn advance(scan: &mut Scan, w: &mut Window<'_>, path: &Path, limit: u64) -> Result<(), StoreError> {
    while scan.next < limit {
        scan.step(w, limit).map_err(|s| refuse(path, s))?;
    }
    Ok(())
}

/// Takes in every group that holds by its record, past those that do not.
fn salvage(scan: &mut Scan, w: &mut Window<'_>, path: &Path, len: u64) -> Result<(), StoreError> {
    while scan.next < len {
        match scan.step(w, len) {
            Ok(()) => {}
            Err(io @ Stop::Io(_)) => return Err(refuse(path, io)),
            Err(Stop::Bad(..)) => {
                let found = scan::later_group(w, scan.next, len).map_err(|s| refuse(path, s))?;
                let Some((at, _)) = found else { break };
                if let Err(io @ Stop::Io(_)) = scan.skip_to(w, at, len) {
                    return Err(refuse(path, io));
                }
                if scan.next <= at {
                    break;
                }
            }
        }
    }
    Ok(())
}

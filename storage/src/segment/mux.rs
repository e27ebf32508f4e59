//! Boxes of ISO/IEC 14496-12 for stored files and for browsers. Pure: bytes in, bytes out.
//!
//! Browser copies hold the video track alone, in ticks of 90 kHz, with `tfdt` = node UTC in those ticks
//! ([`utc_ticks`]), live and playback alike: a player needs one time-stamp offset for everything.

use bytes::Bytes;
use fengsui_config::clock::UtcMicros;

use super::boxes::{Bits, Boxes, child, children};
use super::entries;
pub(crate) use super::entries::audio_rfc6381;
use super::sps;
use crate::error::StoreError;
use crate::frame::{AccessUnit, AudioParams, StreamInfo, VIDEO_TIMESCALE, VideoCodec, VideoParams};

/// Track number of video in every file.
pub(super) const VIDEO_TRACK: u32 = 1;
/// Track number of audio in every file.
pub(super) const AUDIO_TRACK: u32 = 2;

const SAMPLE_KEY: u32 = 0x0200_0000;
const SAMPLE_OTHER: u32 = 0x0101_0000;
const DEFAULT_BASE_IS_MOOF: u32 = 0x02_0000;
const DEFAULT_FLAGS_PRESENT: u32 = 0x20;
const TRUN_OFFSET: u32 = 1;
const TRUN_DURATION: u32 = 0x100;
const TRUN_SIZE: u32 = 0x200;
const TRUN_FLAGS: u32 = 0x400;
const TRUN_CTO: u32 = 0x800;
/// Bytes before the picture in [`live_fragment`]: moof (8) with mfhd (16) and traf (8) with tfhd (16), tfdt (20)
/// and trun (20 + 16), then the header of mdat (8).
const LIVE_HEADER: usize = 112;

/// Whom an init segment is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Audience {
    /// Media Source Extensions: video alone.
    Browser,
    /// The file: all tracks.
    Stored,
}

/// Node UTC in ticks of 90 kHz.
#[must_use]
pub fn utc_ticks(utc: UtcMicros) -> i64 {
    utc.0.saturating_mul(9).div_euclid(100)
}

/// `ftyp` and `moov`. Fails when no track is left for the audience or its parameters cannot be described.
pub fn init_segment(info: &StreamInfo, audience: Audience) -> Result<Bytes, StoreError> {
    let audio = info.audio.as_ref().filter(|_| audience == Audience::Stored);
    if info.video.is_none() && audio.is_none() {
        return Err(StoreError::Invalid("a stream without a track cannot be described".into()));
    }
    let mut w = Boxes::with_capacity(1536);
    w.boxed(*b"ftyp", |w| {
        w.bytes(b"iso6");
        w.u32(0);
        w.bytes(b"iso6iso5mp41");
    });
    let mut result = Ok(());
    w.boxed(*b"moov", |w| {
        mvhd(w);
        if let Some(p) = &info.video {
            let told = Some(p).filter(|_| audience == Audience::Browser).and_then(in_order);
            result = video_track(w, told.as_ref().unwrap_or(p));
        }
        if let (Some(p), Ok(())) = (audio, &result) {
            result = audio_track(w, p);
        }
        w.boxed(*b"mvex", |w| {
            if info.video.is_some() {
                trex(w, VIDEO_TRACK);
            }
            if audio.is_some() {
                trex(w, AUDIO_TRACK);
            }
        });
    });
    result.map(|()| Bytes::from(w.into_vec()))
}

/// The parameters with the order of pictures said, where it is certain and was not (see [`sps`]).
fn in_order(p: &VideoParams) -> Option<VideoParams> {
    let patch = sps::avcc_patch(&p.extra).filter(|_| p.codec == VideoCodec::H264)?;
    Some(VideoParams { extra: patch.parts(&p.extra).concat().into(), ..p.clone() })
}

fn matrix(w: &mut Boxes) {
    for v in [1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30] {
        w.u32(v);
    }
}

fn mvhd(w: &mut Boxes) {
    w.full(*b"mvhd", 0, 0, |w| {
        w.zeros(8); // creation and modification: the header box has the true times
        w.u32(1000);
        w.u32(0); // duration: that of the fragments
        w.u32(1 << 16);
        w.u16(1 << 8);
        w.zeros(10);
        matrix(w);
        w.zeros(24);
        w.u32(AUDIO_TRACK + 1);
    });
}

fn trex(w: &mut Boxes, track: u32) {
    w.full(*b"trex", 0, 0, |w| {
        w.u32(track);
        w.u32(1); // sample description
        w.zeros(12);
    });
}

/// What `trak` says about a track besides its sample entry.
struct TrackHead {
    id: u32,
    handler: [u8; 4],
    timescale: u32,
    size: (u16, u16),
}

fn track(
    w: &mut Boxes,
    head: &TrackHead,
    entry: impl FnOnce(&mut Boxes) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut result = Ok(());
    let audio = head.handler == *b"soun";
    w.boxed(*b"trak", |w| {
        w.full(*b"tkhd", 0, 3, |w| {
            w.zeros(8);
            w.u32(head.id);
            w.zeros(16); // reserved, duration, reserved
            w.u16(0);
            w.u16(u16::from(audio)); // alternate group
            w.u16(if audio { 1 << 8 } else { 0 }); // volume
            w.u16(0);
            matrix(w);
            w.u32(u32::from(head.size.0) << 16);
            w.u32(u32::from(head.size.1) << 16);
        });
        w.boxed(*b"mdia", |w| {
            w.full(*b"mdhd", 0, 0, |w| {
                w.zeros(8);
                w.u32(head.timescale);
                w.u32(0);
                w.u16(0x55c4); // language: undetermined
                w.u16(0);
            });
            w.full(*b"hdlr", 0, 0, |w| {
                w.u32(0);
                w.bytes(&head.handler);
                w.zeros(12);
                w.bytes(if audio { b"sound\0" } else { b"video\0" });
            });
            w.boxed(*b"minf", |w| {
                if audio {
                    w.full(*b"smhd", 0, 0, |w| w.zeros(4));
                } else {
                    w.full(*b"vmhd", 0, 1, |w| w.zeros(8));
                }
                w.boxed(*b"dinf", |w| {
                    w.full(*b"dref", 0, 0, |w| {
                        w.u32(1);
                        w.full(*b"url ", 0, 1, |_| {});
                    });
                });
                w.boxed(*b"stbl", |w| {
                    w.full(*b"stsd", 0, 0, |w| {
                        w.u32(1);
                        result = entry(w);
                    });
                    w.full(*b"stts", 0, 0, |w| w.u32(0));
                    w.full(*b"stsc", 0, 0, |w| w.u32(0));
                    w.full(*b"stsz", 0, 0, |w| w.zeros(8));
                    w.full(*b"stco", 0, 0, |w| w.u32(0));
                });
            });
        });
    });
    result
}

fn video_track(w: &mut Boxes, p: &VideoParams) -> Result<(), StoreError> {
    let head = TrackHead {
        id: VIDEO_TRACK,
        handler: *b"vide",
        timescale: VIDEO_TIMESCALE,
        size: (p.width, p.height),
    };
    track(w, &head, |w| entries::video(w, p))
}

fn audio_track(w: &mut Boxes, p: &AudioParams) -> Result<(), StoreError> {
    let head = TrackHead { id: AUDIO_TRACK, handler: *b"soun", timescale: p.sample_rate, size: (0, 0) };
    track(w, &head, |w| entries::audio(w, p))
}

/// Decode time of a live picture: its UTC in ticks, or one more than the decode time before where pictures come
/// out of order. `last` is the stream's state, `i64::MIN` at the start of a run.
pub fn next_decode_time(last: &mut i64, unit: &AccessUnit) -> i64 {
    let at = utc_ticks(unit.utc).max(last.saturating_add(1));
    *last = at;
    at
}

/// One picture as `moof` + `mdat` for browsers. `sequence` counts fragments of the stream, `decode_time` is that of
/// [`next_decode_time`], `duration` in ticks (an estimate will do). One allocation, that of the output, and another
/// where a key frame's parameter set does not say the order of pictures.
#[must_use]
pub fn live_fragment(unit: &AccessUnit, sequence: u32, decode_time: i64, duration: u32) -> Bytes {
    let patch = if unit.key { sps::unit_patch(&unit.data) } else { None };
    let length = patch.as_ref().map_or(unit.data.len(), |p| p.length(&unit.data));
    let sample = Sample {
        duration,
        size: u32::try_from(length).unwrap_or(u32::MAX),
        key: unit.key,
        cto: i32::try_from(utc_ticks(unit.utc).saturating_sub(decode_time)).unwrap_or(0),
    };
    let mut w = Boxes::with_capacity(LIVE_HEADER + length);
    let tfdt = u64::try_from(decode_time).unwrap_or(0);
    let offset = u32::try_from(LIVE_HEADER).unwrap_or(0);
    w.boxed(*b"moof", |w| {
        mfhd(w, sequence);
        let run = Run { track: VIDEO_TRACK, tfdt, samples: std::slice::from_ref(&sample) };
        // All fields always, to keep the header of one size.
        run.traf(w, offset, TRUN_FLAGS | TRUN_CTO);
    });
    w.boxed(*b"mdat", |w| match &patch {
        None => w.bytes(&unit.data),
        Some(p) => p.parts(&unit.data).iter().for_each(|part| w.bytes(part)),
    });
    Bytes::from(w.into_vec())
}

/// One sample of a track run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    /// Ticks.
    pub(super) duration: u32,
    /// Bytes.
    pub(super) size: u32,
    /// A decoder can start here.
    pub(super) key: bool,
    /// Presentation less decode time in ticks.
    pub(super) cto: i32,
}

/// The samples of one track in one fragment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run<'a> {
    pub(super) track: u32,
    pub(super) tfdt: u64,
    pub(super) samples: &'a [Sample],
}

impl Run<'_> {
    fn bytes(&self) -> u64 {
        self.samples.iter().map(|s| u64::from(s.size)).sum()
    }

    /// What the run needs in `trun` beyond sizes and durations.
    fn trun_flags(&self) -> u32 {
        let cto = if self.samples.iter().any(|s| s.cto != 0) { TRUN_CTO } else { 0 };
        let mixed = self.samples.iter().any(|s| !s.key);
        cto | if mixed { TRUN_FLAGS } else { 0 }
    }

    fn traf(&self, w: &mut Boxes, data_offset: u32, extra: u32) {
        // Every sample of an audio run can start a decoder, and so can every JPEG: one default says it.
        let default_flags = extra & TRUN_FLAGS == 0;
        w.boxed(*b"traf", |w| {
            let flags = DEFAULT_BASE_IS_MOOF | if default_flags { DEFAULT_FLAGS_PRESENT } else { 0 };
            w.full(*b"tfhd", 0, flags, |w| {
                w.u32(self.track);
                if default_flags {
                    w.u32(SAMPLE_KEY);
                }
            });
            w.full(*b"tfdt", 1, 0, |w| w.u64(self.tfdt));
            w.full(*b"trun", 1, TRUN_OFFSET | TRUN_DURATION | TRUN_SIZE | extra, |w| {
                w.u32(u32::try_from(self.samples.len()).unwrap_or(u32::MAX));
                w.u32(data_offset);
                for s in self.samples {
                    w.u32(s.duration);
                    w.u32(s.size);
                    if extra & TRUN_FLAGS != 0 {
                        w.u32(if s.key { SAMPLE_KEY } else { SAMPLE_OTHER });
                    }
                    if extra & TRUN_CTO != 0 {
                        w.i32(s.cto);
                    }
                }
            });
        });
    }
}

fn mfhd(w: &mut Boxes, sequence: u32) {
    w.full(*b"mfhd", 0, 0, |w| w.u32(sequence));
}

/// `moof` of the runs and the header of the `mdat` that holds their samples, run after run. None when the samples
/// are too many for a box of 32 bits.
pub(super) fn fragment_head(sequence: u32, runs: &[Run<'_>]) -> Option<Vec<u8>> {
    let moof = |offset: u32| {
        let mut w = Boxes::with_capacity(128 + runs.iter().map(|r| r.samples.len() * 16).sum::<usize>());
        let mut at = offset;
        w.boxed(*b"moof", |w| {
            mfhd(w, sequence);
            for run in runs {
                run.traf(w, at, run.trun_flags());
                at = at.saturating_add(u32::try_from(run.bytes()).unwrap_or(u32::MAX));
            }
        });
        w
    };
    // The offsets count from the start of moof, whose length does not depend on them.
    let length = moof(0).len();
    let mut w = moof(u32::try_from(length + 8).ok()?);
    let media: u64 = runs.iter().map(Run::bytes).sum();
    let mdat = u32::try_from(media.checked_add(8)?).ok().filter(|m| i32::try_from(*m).is_ok())?;
    w.u32(mdat);
    w.bytes(b"mdat");
    Some(w.into_vec())
}

/// Producer reference time (version 1): the node's clock beside the file's time line.
pub(super) fn prft(w: &mut Boxes, track: u32, utc: UtcMicros, media_time: u64) {
    // NTP counts from 1900.
    let micros = utc.0.saturating_add(2_208_988_800_000_000);
    let seconds = u64::try_from(micros.div_euclid(1_000_000)).unwrap_or(0);
    let fraction = (u64::try_from(micros.rem_euclid(1_000_000)).unwrap_or(0) << 32) / 1_000_000;
    w.full(*b"prft", 1, 0, |w| {
        w.u32(track);
        w.u64(seconds << 32 | fraction);
        w.u64(media_time);
    });
}

/// A run read back from a stored fragment, with its samples' bytes.
#[derive(Debug, Clone)]
pub(super) struct StoredRun {
    pub(super) track: u32,
    pub(super) tfdt: u64,
    pub(super) samples: Vec<Sample>,
    /// Where the samples lie in the fragment's bytes.
    pub(super) data: std::ops::Range<usize>,
}

/// Reads the runs of a stored fragment (`[prft] moof mdat`). None when it is not one of ours.
pub(super) fn parse_fragment(stored: &[u8]) -> Option<Vec<StoredRun>> {
    let mut at = 0;
    let mut found = None;
    for b in children(stored) {
        if &b.kind == b"moof" {
            found = Some((at, b.body));
            break;
        }
        at += b.body.len() + 8;
    }
    let (moof_at, moof) = found?;
    let mut runs = Vec::new();
    for traf in children(moof).filter(|b| &b.kind == b"traf") {
        let mut tfhd = Bits::new(child(traf.body, b"tfhd")?);
        tfhd.u32()?;
        let track = tfhd.u32()?;
        let mut tfdt = Bits::new(child(traf.body, b"tfdt")?);
        tfdt.u32()?;
        let tfdt = tfdt.u64()?;
        let (samples, offset) = parse_trun(child(traf.body, b"trun")?)?;
        let start = moof_at.checked_add(offset)?;
        let len = samples.iter().try_fold(0usize, |n, s| n.checked_add(usize::try_from(s.size).ok()?))?;
        let data = start..start.checked_add(len).filter(|end| *end <= stored.len())?;
        runs.push(StoredRun { track, tfdt, samples, data });
    }
    Some(runs)
}

fn parse_trun(trun: &[u8]) -> Option<(Vec<Sample>, usize)> {
    let mut r = Bits::new(trun);
    let flags = r.u32()? & 0x00ff_ffff;
    let count = usize::try_from(r.u32()?).ok()?;
    let offset = usize::try_from(r.u32()?).ok()?;
    let mut samples = Vec::with_capacity(count.min(r.left() / 8));
    for _ in 0..count {
        let (duration, size) = (r.u32()?, r.u32()?);
        let key = flags & TRUN_FLAGS == 0 || r.u32()? == SAMPLE_KEY;
        let cto = if flags & TRUN_CTO == 0 { 0 } else { r.i32()? };
        samples.push(Sample { duration, size, key, cto });
    }
    Some((samples, offset))
}

/// A stored fragment as `moof` + `mdat` for browsers: video alone, times absolute. `utc` is the fragment's start.
pub fn browser_fragment(stored: &[u8], utc: UtcMicros, sequence: u32) -> Result<Bytes, StoreError> {
    let refuse = || StoreError::Invalid("the fragment holds no video".into());
    let runs = parse_fragment(stored).ok_or_else(refuse)?;
    let video = runs.iter().find(|r| r.track == VIDEO_TRACK).ok_or_else(refuse)?;
    let tfdt = u64::try_from(utc_ticks(utc)).unwrap_or(0);
    let media = stored.get(video.data.clone()).ok_or_else(refuse)?;
    let told = samples_in_order(&video.samples, media);
    let (samples, media) =
        told.as_ref().map_or((video.samples.as_slice(), media), |(s, m)| (s.as_slice(), m.as_slice()));
    let run = Run { track: VIDEO_TRACK, tfdt, samples };
    let mut out = fragment_head(sequence, &[run]).ok_or_else(refuse)?;
    out.extend_from_slice(media);
    Ok(Bytes::from(out))
}

/// Samples and their bytes with the order of pictures said in key frames that bring parameter sets along; none when
/// nothing is to be changed.
fn samples_in_order(samples: &[Sample], media: &[u8]) -> Option<(Vec<Sample>, Vec<u8>)> {
    let mut out: Option<(Vec<Sample>, Vec<u8>)> = None;
    let mut at = 0;
    for (i, s) in samples.iter().enumerate() {
        let end = at + usize::try_from(s.size).ok()?;
        let bytes = media.get(at..end)?;
        let patch = if s.key { sps::unit_patch(bytes) } else { None };
        if patch.is_some() && out.is_none() {
            out = Some((samples.get(..i)?.to_vec(), media.get(..at)?.to_vec()));
        }
        if let Some((samples, media)) = &mut out {
            let size = patch.as_ref().map_or(bytes.len(), |p| p.length(bytes));
            samples.push(Sample { size: u32::try_from(size).ok()?, ..*s });
            match &patch {
                None => media.extend_from_slice(bytes),
                Some(p) => p.parts(bytes).iter().for_each(|part| media.extend_from_slice(part)),
            }
        }
        at = end;
    }
    out
}

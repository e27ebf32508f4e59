//! One row: what a listing needs of one closed segment, as bytes that prove themselves.
//!
//! `version u8 | identity | parameters of the tracks | id of the stored init segment | fragments | crc32c u32`. Numbers
//! are LEB128; of a fragment only the difference to what the one before leads to expect is written. The check sum
//! covers the row's place too, so that a row found under another key does not hold.

use bytes::Bytes;
use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{StreamKey, StreamKind};
use fengsui_config::limits;

use crate::frame::{AudioCodec, AudioParams, StartReason, StreamInfo, VideoCodec, VideoParams};
use crate::segment::{FragmentEntry, SegmentRow};

/// Version of the rows. Rows of another are not believed: all are made anew.
const VERSION: u8 = 1;
const DAY_MS: i64 = 86_400_000;

/// What a listing needs of one closed segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facet {
    /// Parameters of the tracks; init segments for browsers are made of them.
    pub info: StreamInfo,
    /// Id of the stored init segment.
    pub init: String,
    /// All fragments in order.
    pub fragments: Vec<FragmentEntry>,
}

/// A row does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a row does not hold: {0}")]
pub struct BadRow(&'static str);

/// Days since 1970 of a segment's start: rows of one day are let go of together.
#[must_use]
pub fn period(start_ms: i64) -> i64 {
    start_ms.div_euclid(DAY_MS)
}

/// The key of a row within its period.
#[must_use]
pub fn place(row: &SegmentRow) -> Vec<u8> {
    key_bytes(row.key, row.number)
}

fn key_bytes(key: StreamKey, number: u64) -> Vec<u8> {
    let code = key.camera.to_string();
    let mut out = Vec::with_capacity(code.len() + 9);
    out.extend_from_slice(code.as_bytes());
    out.push(match key.stream {
        StreamKind::Main => 0,
        StreamKind::Sub => 1,
    });
    out.extend_from_slice(&number.to_be_bytes());
    out
}

/// What must be the same in the catalogue's row and in ours. The volume is not among it: a segment that moves is the same.
fn identity(row: &SegmentRow) -> [u64; 5] {
    let start = u64::from_le_bytes(row.start_ms.to_le_bytes());
    [row.number, start, u64::from(row.duration_ms), row.bytes, u64::from(row.flags.0)]
}

/// The row of a segment. None when it cannot be put into one: too many fragments, or such that no reader gives.
#[must_use]
pub fn seal(row: &SegmentRow, facet: &Facet) -> Option<Vec<u8>> {
    let mut out = vec![VERSION];
    identity(row).into_iter().for_each(|n| put(&mut out, n));
    put_info(&mut out, &facet.info);
    put_bytes(&mut out, facet.init.as_bytes());
    put(&mut out, facet.fragments.len() as u64);
    let mut before = Expected::default();
    for f in &facet.fragments {
        before.put(&mut out, f);
    }
    let sum = check_sum(row, &out);
    out.extend_from_slice(&sum.to_le_bytes());
    let fits = out.len() <= limits::FACET_ROW_BYTES_MAX;
    // What does not come back as it was is not kept.
    (fits && unseal(row, &out).ok().flatten().as_ref() == Some(facet)).then_some(out)
}

/// What a row says of the segment. None when it is whole, but of another segment than the catalogue's.
pub fn unseal(row: &SegmentRow, bytes: &[u8]) -> Result<Option<Facet>, BadRow> {
    if bytes.len() > limits::FACET_ROW_BYTES_MAX {
        return Err(BadRow("too long"));
    }
    let (body, sum) = bytes.split_last_chunk::<4>().ok_or(BadRow("too short"))?;
    if check_sum(row, body) != u32::from_le_bytes(*sum) {
        return Err(BadRow("check sum"));
    }
    let (version, rest) = body.split_first().ok_or(BadRow("too short"))?;
    if *version != VERSION {
        return Err(BadRow("version"));
    }
    let mut r = Reader(rest);
    for expected in identity(row) {
        if r.number()? != expected {
            return Ok(None);
        }
    }
    let info = r.info()?;
    let init = r.text()?;
    let count = usize::try_from(r.number()?).unwrap_or(usize::MAX);
    // A fragment takes several bytes: a count beyond what is left is none.
    if count > r.0.len() {
        return Err(BadRow("count of fragments"));
    }
    let mut before = Expected::default();
    let mut fragments = Vec::with_capacity(count);
    for _ in 0..count {
        fragments.push(before.get(&mut r)?);
    }
    if !r.0.is_empty() {
        return Err(BadRow("bytes behind its end"));
    }
    Ok(Some(Facet { info, init, fragments }))
}

fn check_sum(row: &SegmentRow, body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&place(row)), body)
}

fn put(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n.to_le_bytes()[0] | 0x80);
        n >>= 7;
    }
    out.push(n.to_le_bytes()[0]);
}

/// Small numbers of either sign become small ones.
fn put_signed(out: &mut Vec<u8>, n: i64) {
    put(out, u64::from_le_bytes(((n << 1) ^ (n >> 63)).to_le_bytes()));
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_info(out: &mut Vec<u8>, info: &StreamInfo) {
    out.push(match info.start {
        StartReason::Connected => 0,
        StartReason::ParametersChanged => 1,
        StartReason::ClockStep => 2,
        StartReason::Rotation => 3,
    });
    match &info.video {
        None => out.push(0),
        Some(v) => {
            out.push(match v.codec {
                VideoCodec::H264 => 1,
                VideoCodec::H265 => 2,
                VideoCodec::Mjpeg => 3,
            });
            put(out, u64::from(v.width));
            put(out, u64::from(v.height));
            put_bytes(out, &v.extra);
            put_bytes(out, v.rfc6381.as_bytes());
        }
    }
    match &info.audio {
        None => out.push(0),
        Some(a) => {
            out.push(match a.codec {
                AudioCodec::Aac => 1,
                AudioCodec::Pcma => 2,
                AudioCodec::Pcmu => 3,
            });
            put(out, u64::from(a.sample_rate));
            put(out, u64::from(a.channels));
            put_bytes(out, &a.extra);
        }
    }
}

/// What the fragments so far lead to expect of the next.
#[derive(Debug, Default)]
struct Expected {
    index: u32,
    offset: u64,
    tfdt: u64,
    duration: u32,
    utc: i64,
    length_us: i64,
    camera_ahead: i64,
    counts: [u32; 4],
}

const KEY: u8 = 1;
const CAMERA: u8 = 2;
/// Set for each of the four counts that is not what it was: bits 2 to 5.
const COUNTS: [u8; 4] = [4, 8, 16, 32];

fn signed(a: u64, b: u64) -> i64 {
    i64::from_le_bytes(a.wrapping_sub(b).to_le_bytes())
}

fn moved(n: u64, by: i64) -> u64 {
    n.wrapping_add(u64::from_le_bytes(by.to_le_bytes()))
}

impl Expected {
    fn counts(f: &FragmentEntry) -> [u32; 4] {
        [f.frames, f.key_frames, f.audio_units, f.lost]
    }

    fn put(&mut self, out: &mut Vec<u8>, f: &FragmentEntry) {
        let counts = Self::counts(f);
        let mut flags =
            if f.starts_with_key { KEY } else { 0 } | if f.camera_utc.is_some() { CAMERA } else { 0 };
        for ((now, before), bit) in counts.iter().zip(&self.counts).zip(COUNTS) {
            flags |= if now == before { 0 } else { bit };
        }
        out.push(flags);
        put_signed(out, signed(f.offset, self.offset));
        put(out, u64::from(f.length));
        put_signed(out, signed(f.tfdt, self.tfdt));
        put_signed(out, i64::from(f.duration) - i64::from(self.duration));
        put_signed(out, f.utc.0.wrapping_sub(self.utc));
        put_signed(out, f.utc_end.0.wrapping_sub(f.utc.0).wrapping_sub(self.length_us));
        if let Some(c) = f.camera_utc {
            put_signed(out, c.0.wrapping_sub(f.utc.0).wrapping_sub(self.camera_ahead));
        }
        for (now, before) in counts.iter().zip(&self.counts) {
            if now != before {
                put(out, u64::from(*now));
            }
        }
        self.follow(f);
    }

    fn get(&mut self, r: &mut Reader<'_>) -> Result<FragmentEntry, BadRow> {
        let flags = r.byte()?;
        let offset = moved(self.offset, r.signed()?);
        let length = r.small()?;
        let tfdt = moved(self.tfdt, r.signed()?);
        let duration = i64::from(self.duration).wrapping_add(r.signed()?);
        let utc = self.utc.wrapping_add(r.signed()?);
        let utc_end = utc.wrapping_add(self.length_us).wrapping_add(r.signed()?);
        let camera = if flags & CAMERA == 0 {
            None
        } else {
            Some(UtcMicros(utc.wrapping_add(self.camera_ahead).wrapping_add(r.signed()?)))
        };
        let mut counts = self.counts;
        for (count, bit) in counts.iter_mut().zip(COUNTS) {
            if flags & bit != 0 {
                *count = r.small()?;
            }
        }
        let [frames, key_frames, audio_units, lost] = counts;
        let f = FragmentEntry {
            index: self.index,
            offset,
            length,
            tfdt,
            duration: u32::try_from(duration).map_err(|_| BadRow("duration"))?,
            utc: UtcMicros(utc),
            utc_end: UtcMicros(utc_end),
            camera_utc: camera,
            starts_with_key: flags & KEY != 0,
            frames,
            key_frames,
            audio_units,
            lost,
        };
        self.follow(&f);
        Ok(f)
    }

    fn follow(&mut self, f: &FragmentEntry) {
        self.index = f.index.wrapping_add(1);
        self.offset = f.offset.wrapping_add(u64::from(f.length));
        self.tfdt = f.tfdt.wrapping_add(u64::from(f.duration));
        self.duration = f.duration;
        self.utc = f.utc_end.0;
        self.length_us = f.utc_end.0.wrapping_sub(f.utc.0);
        self.camera_ahead = f.camera_utc.map_or(self.camera_ahead, |c| c.0.wrapping_sub(f.utc.0));
        self.counts = Self::counts(f);
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> Result<u8, BadRow> {
        let (byte, rest) = self.0.split_first().ok_or(BadRow("too short"))?;
        self.0 = rest;
        Ok(*byte)
    }
    fn number(&mut self) -> Result<u64, BadRow> {
        let mut out = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            out |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok(out);
            }
        }
        Err(BadRow("a number that does not end"))
    }
    fn signed(&mut self) -> Result<i64, BadRow> {
        let n = self.number()?;
        let half = i64::from_le_bytes((n >> 1).to_le_bytes());
        Ok(if n & 1 == 0 { half } else { !half })
    }
    fn small(&mut self) -> Result<u32, BadRow> {
        u32::try_from(self.number()?).map_err(|_| BadRow("a count"))
    }
    fn short(&mut self) -> Result<u16, BadRow> {
        u16::try_from(self.number()?).map_err(|_| BadRow("a size"))
    }
    fn bytes(&mut self) -> Result<Bytes, BadRow> {
        let length = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(BadRow("too short"))?;
        self.0 = rest;
        Ok(Bytes::copy_from_slice(bytes))
    }
    fn text(&mut self) -> Result<String, BadRow> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| BadRow("a text"))
    }
    fn info(&mut self) -> Result<StreamInfo, BadRow> {
        let start = match self.byte()? {
            0 => StartReason::Connected,
            1 => StartReason::ParametersChanged,
            2 => StartReason::ClockStep,
            3 => StartReason::Rotation,
            _ => return Err(BadRow("reason of the start")),
        };
        let codec = match self.byte()? {
            0 => None,
            1 => Some(VideoCodec::H264),
            2 => Some(VideoCodec::H265),
            3 => Some(VideoCodec::Mjpeg),
            _ => return Err(BadRow("video coding")),
        };
        let video = match codec {
            None => None,
            Some(codec) => Some(VideoParams {
                codec,
                width: self.short()?,
                height: self.short()?,
                extra: self.bytes()?,
                rfc6381: self.text()?,
            }),
        };
        let codec = match self.byte()? {
            0 => None,
            1 => Some(AudioCodec::Aac),
            2 => Some(AudioCodec::Pcma),
            3 => Some(AudioCodec::Pcmu),
            _ => return Err(BadRow("audio coding")),
        };
        let audio = match codec {
            None => None,
            Some(codec) => Some(AudioParams {
                codec,
                sample_rate: self.small()?,
                channels: self.short()?,
                extra: self.bytes()?,
            }),
        };
        Ok(StreamInfo { video, audio, start })
    }
}

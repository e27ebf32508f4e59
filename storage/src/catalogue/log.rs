//! The catalogue's log on disk.
//!
//! ```text
//! file    magic "FENGSUI CATALOGUE 1\n" padded with zeros to 32 bytes, then records
//! record  u16 payload length | u8 kind | u8 zero | u32 crc32c of the four bytes before and the payload | payload
//! ```
//! All numbers little endian. Streams and volumes are defined once (`Stream`, `Volume`) and named by index afterwards.

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{CameraId, StreamKey, StreamKind, VolumeId};

use crate::frame::GapReason;

/// First bytes of a log.
pub(super) const MAGIC: [u8; 32] = *b"FENGSUI CATALOGUE 1\n\0\0\0\0\0\0\0\0\0\0\0\0";

const HEAD: usize = 8;
const PAYLOAD_MAX: usize = 256;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    Stream {
        index: u32,
        key: StreamKey,
    },
    Volume {
        index: u8,
        id: VolumeId,
    },
    Opened {
        stream: u32,
        volume: u8,
        number: u32,
        start_ms: i64,
    },
    Closed {
        stream: u32,
        row: Packed,
        hash: [u8; 32],
    },
    /// An open segment that turned out to hold nothing, or whose file is gone.
    OpenLost {
        stream: u32,
        number: u32,
        start_ms: i64,
    },
    GapBegin {
        stream: u32,
        reason: GapReason,
        from: UtcMicros,
    },
    /// Ends the gap begun; shorter than a seam leaves none.
    GapEnd {
        stream: u32,
        to: UtcMicros,
    },
    Gap {
        stream: u32,
        reason: GapReason,
        from: UtcMicros,
        to: UtcMicros,
    },
    Removed {
        stream: u32,
        number: u32,
        start_ms: i64,
    },
    Alive {
        at: UtcMicros,
    },
}

/// One closed segment in memory and on disk: 24 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Packed {
    /// Start in milliseconds since 1970.
    pub start_ms: i64,
    /// Number in its stream.
    pub number: u32,
    /// Length of the file in bytes.
    pub bytes: u32,
    /// Duration in milliseconds.
    pub duration_ms: u32,
    /// Index of the volume.
    pub volume: u8,
    /// Flags as in the file's name.
    pub flags: u8,
}

const _: () = assert!(size_of::<Packed>() == 24, "the catalogue promises at most 24 bytes a segment");

impl Packed {
    pub(super) fn end_ms(&self) -> i64 {
        self.start_ms.saturating_add(i64::from(self.duration_ms))
    }
}

/// Appends `record` to `out`.
pub(super) fn encode(record: &Record, out: &mut Vec<u8>) {
    let at = out.len();
    out.extend_from_slice(&[0; HEAD]);
    let kind = match record {
        Record::Stream { index, key } => {
            out.extend_from_slice(&index.to_le_bytes());
            out.push(u8::from(key.stream == StreamKind::Sub));
            out.extend_from_slice(key.camera.0.as_str().as_bytes());
            1
        }
        Record::Volume { index, id } => {
            out.push(*index);
            out.extend_from_slice(id.as_str().as_bytes());
            2
        }
        Record::Opened { stream, volume, number, start_ms } => {
            out.extend_from_slice(&stream.to_le_bytes());
            out.extend_from_slice(&number.to_le_bytes());
            out.extend_from_slice(&start_ms.to_le_bytes());
            out.push(*volume);
            3
        }
        Record::Closed { stream, row, hash } => {
            out.extend_from_slice(&stream.to_le_bytes());
            out.extend_from_slice(&row.start_ms.to_le_bytes());
            out.extend_from_slice(&row.number.to_le_bytes());
            out.extend_from_slice(&row.bytes.to_le_bytes());
            out.extend_from_slice(&row.duration_ms.to_le_bytes());
            out.extend_from_slice(&[row.volume, row.flags]);
            out.extend_from_slice(hash);
            4
        }
        Record::OpenLost { stream, number, start_ms } => {
            segment_ref(out, *stream, *number, *start_ms);
            5
        }
        Record::GapBegin { stream, reason, from } => {
            out.extend_from_slice(&stream.to_le_bytes());
            out.push(*reason as u8);
            out.extend_from_slice(&from.0.to_le_bytes());
            6
        }
        Record::GapEnd { stream, to } => {
            out.extend_from_slice(&stream.to_le_bytes());
            out.extend_from_slice(&to.0.to_le_bytes());
            7
        }
        Record::Gap { stream, reason, from, to } => {
            out.extend_from_slice(&stream.to_le_bytes());
            out.push(*reason as u8);
            out.extend_from_slice(&from.0.to_le_bytes());
            out.extend_from_slice(&to.0.to_le_bytes());
            8
        }
        Record::Removed { stream, number, start_ms } => {
            segment_ref(out, *stream, *number, *start_ms);
            9
        }
        Record::Alive { at } => {
            out.extend_from_slice(&at.0.to_le_bytes());
            10
        }
    };
    seal(out, at, kind);
}

fn segment_ref(out: &mut Vec<u8>, stream: u32, number: u32, start_ms: i64) {
    out.extend_from_slice(&stream.to_le_bytes());
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&start_ms.to_le_bytes());
}

/// Writes the head of the record that begins at `at`.
fn seal(out: &mut [u8], at: usize, kind: u8) {
    let length = u16::try_from(out.len() - at - HEAD).unwrap_or(u16::MAX).to_le_bytes();
    let Some(record) = out.get_mut(at..) else { return };
    let Some((head, payload)) = record.split_at_mut_checked(HEAD) else { return };
    let first = [length[0], length[1], kind, 0];
    let crc = crc32c::crc32c_append(crc32c::crc32c(&first), payload).to_le_bytes();
    for (to, from) in head.iter_mut().zip(first.into_iter().chain(crc)) {
        *to = from;
    }
}

/// What stands at the beginning of `bytes`.
pub(super) enum Decoded {
    /// A record and its length in bytes. `None`: whole, but of a kind this version does not know.
    Record(Option<Record>, usize),
    /// Nothing valid.
    Invalid,
}

/// Reads one record.
pub(super) fn decode(bytes: &[u8]) -> Decoded {
    let Some((&[l0, l1, kind, zero, c0, c1, c2, c3], rest)) = bytes.split_first_chunk::<HEAD>() else {
        return Decoded::Invalid;
    };
    let length = usize::from(u16::from_le_bytes([l0, l1]));
    if length > PAYLOAD_MAX || zero != 0 || kind == 0 {
        return Decoded::Invalid;
    }
    let Some(payload) = rest.get(..length) else { return Decoded::Invalid };
    let crc = crc32c::crc32c_append(crc32c::crc32c(&[l0, l1, kind, zero]), payload);
    if crc != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Decoded::Invalid;
    }
    Decoded::Record(parse(kind, &mut Fields(payload)), HEAD + length)
}

/// The record at the beginning of `bytes` as it was before one bit of it flipped, and its length. Only where a record
/// that holds follows: at the end of a log, what does not hold is the trace of a crash.
pub(super) fn mend(bytes: &[u8]) -> Option<(Record, usize)> {
    let mut copy = bytes.get(..bytes.len().min(2 * (HEAD + PAYLOAD_MAX)))?.to_vec();
    for at in 0..copy.len().min(HEAD + PAYLOAD_MAX) {
        for bit in 0..8u8 {
            *copy.get_mut(at)? ^= 1 << bit;
            if let Decoded::Record(Some(record), length) = decode(&copy)
                && at < length
                && matches!(decode(bytes.get(length..)?), Decoded::Record(..))
            {
                return Some((record, length));
            }
            *copy.get_mut(at)? ^= 1 << bit;
        }
    }
    None
}

/// Payload fields in order.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }
    fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[b]| b)
    }
    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }
    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }
    fn utc(&mut self) -> Option<UtcMicros> {
        self.i64().map(UtcMicros)
    }
    fn reason(&mut self) -> Option<GapReason> {
        gap_reason(self.u8()?)
    }
}

fn parse(kind: u8, f: &mut Fields<'_>) -> Option<Record> {
    Some(match kind {
        1 => {
            let index = f.u32()?;
            let stream = if f.u8()? == 0 { StreamKind::Main } else { StreamKind::Sub };
            let camera: CameraId = std::str::from_utf8(&f.take::<20>()?).ok()?.parse().ok()?;
            Record::Stream { index, key: StreamKey { camera, stream } }
        }
        2 => Record::Volume { index: f.u8()?, id: std::str::from_utf8(f.0).ok()?.parse().ok()? },
        3 => {
            let (stream, number, start_ms) = (f.u32()?, f.u32()?, f.i64()?);
            Record::Opened { stream, number, start_ms, volume: f.u8()? }
        }
        4 => {
            let stream = f.u32()?;
            let row = Packed {
                start_ms: f.i64()?,
                number: f.u32()?,
                bytes: f.u32()?,
                duration_ms: f.u32()?,
                volume: f.u8()?,
                flags: f.u8()?,
            };
            Record::Closed { stream, row, hash: f.take()? }
        }
        5 => Record::OpenLost { stream: f.u32()?, number: f.u32()?, start_ms: f.i64()? },
        6 => Record::GapBegin { stream: f.u32()?, reason: f.reason()?, from: f.utc()? },
        7 => Record::GapEnd { stream: f.u32()?, to: f.utc()? },
        8 => Record::Gap { stream: f.u32()?, reason: f.reason()?, from: f.utc()?, to: f.utc()? },
        9 => Record::Removed { stream: f.u32()?, number: f.u32()?, start_ms: f.i64()? },
        10 => Record::Alive { at: f.utc()? },
        _ => return None,
    })
}

/// The reason with this number in the catalogue format.
pub(super) fn gap_reason(number: u8) -> Option<GapReason> {
    use GapReason as R;
    [
        R::CameraOffline,
        R::Auth,
        R::Network,
        R::NodeDown,
        R::DiskError,
        R::DiskFull,
        R::Backpressure,
        R::Policy,
        R::ClockStep,
        R::CrashTail,
        R::Expired,
        R::BadStream,
        R::NoKeyFrame,
        R::Damaged,
        R::Sacrificed,
    ]
    .into_iter()
    .find(|r| *r as u8 == number)
}

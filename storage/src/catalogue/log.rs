//! The catalogue's log on disk.
//!
//! ```text
//! file    magic "FENGSUI CATALOGUE 1\n" padded with zeros to 32 bytes, then records
//! record  u16 payload length | u8 kind | u8 zero | u32 crc32c of the four bytes before and the payload | payload
//! ```
//! A fresh log (after a compaction) has the rows of a stream in blocks of up to 256, 18 bytes each, behind one another:
//! ```text
//! kind 11 u32 stream | i64 start of the first in ms | n times (u32 ms after it | u32 number | u32 bytes | u32 duration in ms | u8 volume | u8 flags)
//! kind 12 u32 stream | u32 highest number ever given | hash of the newest segment
//! ```
//! All numbers little endian. Streams and volumes are defined once (`Stream`, `Volume`) and named by index afterwards.

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{CameraId, StreamKey, StreamKind, VolumeId};

use crate::frame::GapReason;

/// First bytes of a log.
pub(super) const MAGIC: [u8; 32] = *b"FENGSUI CATALOGUE 1\n\0\0\0\0\0\0\0\0\0\0\0\0";

const HEAD: usize = 8;
/// Longest payload of an ordinary record.
const PAYLOAD_MAX: usize = 256;
/// Payload of a block of rows: what stands before them, and each.
const BLOCK_HEAD: usize = 12;
const BLOCK_ROW: usize = 18;
/// Longest record of all.
pub(super) const RECORD_MAX: usize = HEAD + BLOCK_HEAD + BLOCK_ROW * super::rows::CHUNK_ROWS;
/// Kinds that any version may use; a larger number is no record. Keeps the search for records behind damage quick.
const KIND_MAX: u8 = 63;

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
    /// Rows of a fresh log, at most [`super::rows::CHUNK_ROWS`].
    Rows {
        stream: u32,
        rows: Vec<Packed>,
    },
    /// What rows cannot tell any more once the newest is gone.
    Mark {
        stream: u32,
        last_number: u32,
        last_hash: [u8; 32],
    },
}

impl Record {
    /// The stream a record is about; `None` when it is about all.
    pub(super) fn stream(&self) -> Option<u32> {
        match *self {
            Self::Stream { index: stream, .. }
            | Self::Opened { stream, .. }
            | Self::Closed { stream, .. }
            | Self::OpenLost { stream, .. }
            | Self::GapBegin { stream, .. }
            | Self::GapEnd { stream, .. }
            | Self::Gap { stream, .. }
            | Self::Removed { stream, .. }
            | Self::Rows { stream, .. }
            | Self::Mark { stream, .. } => Some(stream),
            Self::Volume { .. } | Self::Alive { .. } => None,
        }
    }
}

/// One closed segment; [`super::rows::Rows`] keeps it in 20 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
            segment_ref(out, *stream, *number, *start_ms);
            out.push(*volume);
            3
        }
        Record::Closed { stream, row, hash } => {
            put(out, &[&stream.to_le_bytes(), &row.start_ms.to_le_bytes(), &row.number.to_le_bytes()]);
            put(
                out,
                &[&row.bytes.to_le_bytes(), &row.duration_ms.to_le_bytes(), &[row.volume, row.flags], hash],
            );
            4
        }
        Record::OpenLost { stream, number, start_ms } => {
            segment_ref(out, *stream, *number, *start_ms);
            5
        }
        Record::GapBegin { stream, reason, from } => {
            put(out, &[&stream.to_le_bytes(), &[*reason as u8], &from.0.to_le_bytes()]);
            6
        }
        Record::GapEnd { stream, to } => {
            put(out, &[&stream.to_le_bytes(), &to.0.to_le_bytes()]);
            7
        }
        Record::Gap { stream, reason, from, to } => {
            put(out, &[&stream.to_le_bytes(), &[*reason as u8], &from.0.to_le_bytes(), &to.0.to_le_bytes()]);
            8
        }
        Record::Removed { stream, number, start_ms } => {
            segment_ref(out, *stream, *number, *start_ms);
            9
        }
        Record::Alive { at } => {
            put(out, &[&at.0.to_le_bytes()]);
            10
        }
        Record::Rows { stream, rows } => {
            block(out, *stream, rows);
            11
        }
        Record::Mark { stream, last_number, last_hash } => {
            put(out, &[&stream.to_le_bytes(), &last_number.to_le_bytes(), last_hash]);
            12
        }
    };
    seal(out, at, kind);
}

/// Rows must come in order of start, and within 49 days.
fn block(out: &mut Vec<u8>, stream: u32, rows: &[Packed]) {
    let base = rows.first().map_or(0, |r| r.start_ms);
    out.extend_from_slice(&stream.to_le_bytes());
    out.extend_from_slice(&base.to_le_bytes());
    for row in rows {
        let after = u32::try_from(row.start_ms.saturating_sub(base)).unwrap_or(u32::MAX);
        for number in [after, row.number, row.bytes, row.duration_ms] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&[row.volume, row.flags]);
    }
}

fn put(out: &mut Vec<u8>, fields: &[&[u8]]) {
    fields.iter().for_each(|field| out.extend_from_slice(field));
}

fn segment_ref(out: &mut Vec<u8>, stream: u32, number: u32, start_ms: i64) {
    put(out, &[&stream.to_le_bytes(), &number.to_le_bytes(), &start_ms.to_le_bytes()]);
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
    if zero != 0 || !plausible(kind, length) {
        return Decoded::Invalid;
    }
    let Some(payload) = rest.get(..length) else { return Decoded::Invalid };
    let crc = crc32c::crc32c_append(crc32c::crc32c(&[l0, l1, kind, zero]), payload);
    if crc != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Decoded::Invalid;
    }
    Decoded::Record(parse(kind, &mut Fields(payload)), HEAD + length)
}

/// Whether a record of this kind can have a payload this long.
fn plausible(kind: u8, length: usize) -> bool {
    match kind {
        0 => false,
        11 => {
            (BLOCK_HEAD..=RECORD_MAX - HEAD).contains(&length)
                && (length - BLOCK_HEAD).is_multiple_of(BLOCK_ROW)
        }
        1..=10 | 12 => length <= PAYLOAD_MAX,
        _ => kind <= KIND_MAX && length <= RECORD_MAX - HEAD,
    }
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
        11 => {
            let (stream, base) = (f.u32()?, f.i64()?);
            let (rows, []) = f.0.as_chunks::<BLOCK_ROW>() else { return None };
            Record::Rows { stream, rows: rows.iter().filter_map(|r| packed(base, r)).collect() }
        }
        12 => Record::Mark { stream: f.u32()?, last_number: f.u32()?, last_hash: f.take()? },
        _ => return None,
    })
}

/// One row of a block.
fn packed(base: i64, row: &[u8; BLOCK_ROW]) -> Option<Packed> {
    let mut f = Fields(row);
    Some(Packed {
        start_ms: base.saturating_add(i64::from(f.u32()?)),
        number: f.u32()?,
        bytes: f.u32()?,
        duration_ms: f.u32()?,
        volume: f.u8()?,
        flags: f.u8()?,
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

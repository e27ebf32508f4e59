//! The records of the format: header, commit, fragment table, final. Layouts stand in `storage/FORMAT.md`.
//! Encoding is deterministic; decoding trusts nothing and gives none for whatever does not hold.

use std::sync::Arc;

use bytes::Bytes;
use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{StreamKey, StreamKind};

use super::boxes::{Bits, Boxes};
use super::{EndReason, FragmentEntry, Hash, KeyId, SegmentHead};
use crate::frame::{AudioCodec, AudioParams, StartReason, StreamInfo, VideoCodec, VideoParams};

/// Version of the format that this code writes.
pub(super) const FORMAT_VERSION: u32 = 1;
/// Hash algorithm 1: BLAKE3 with 32 bytes.
const HASH_BLAKE3: u8 = 1;
/// Start time by the node's clock.
const SOURCE_NODE: u8 = 1;
/// Start time by the node's clock, with the camera's clock known beside it.
const SOURCE_NODE_AND_CAMERA: u8 = 2;
/// "Not known" in a field of time.
const NO_TIME: i64 = i64::MIN;

/// Box type of the header (the UUIDs were drawn at random and mean nothing else).
pub(super) const HEADER: [u8; 16] = *b"\xd2\x6b\x31\x7e\x5c\x04\x4f\x8d\x9a\xe1\x27\xb0\x63\xf8\x1c\x01";
/// Box type of a commit record.
pub(super) const COMMIT: [u8; 16] = *b"\xd2\x6b\x31\x7e\x5c\x04\x4f\x8d\x9a\xe1\x27\xb0\x63\xf8\x1c\x02";
/// Box type of the fragment table.
pub(super) const TABLE: [u8; 16] = *b"\xd2\x6b\x31\x7e\x5c\x04\x4f\x8d\x9a\xe1\x27\xb0\x63\xf8\x1c\x03";
/// Box type of the final record.
pub(super) const FINAL: [u8; 16] = *b"\xd2\x6b\x31\x7e\x5c\x04\x4f\x8d\x9a\xe1\x27\xb0\x63\xf8\x1c\x04";

/// Bytes of a box header and the UUID after it.
pub(super) const RECORD_HEAD: usize = 24;
/// Bytes of an encoded fragment entry.
const ENTRY_BYTES: usize = 68;
/// Bytes of an encoded group entry.
const GROUP_BYTES: usize = 52;
/// Bytes of the final record's box.
pub(super) const FINAL_BYTES: usize = RECORD_HEAD + 4 + 4 + 4 * 4 + 8 * 3 + 8 * 2 + 8 * 2 + 32 * 3 + 64 + 4;

/// A moment on the RTP time line and on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClockPoint {
    /// Ticks of the run (as in [`crate::frame::AccessUnit::pts`]).
    pub(super) pts: i64,
    /// Ticks on the file's time line.
    pub(super) tick: i64,
    /// Node clock.
    pub(super) utc: UtcMicros,
    /// Camera clock by sender report.
    pub(super) camera_utc: Option<UtcMicros>,
}

/// The header record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) preamble: u32,
    pub(super) key_id: KeyId,
    pub(super) video: Option<ClockPoint>,
    pub(super) audio: Option<ClockPoint>,
}

/// One flush group, as the footer lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GroupEntry {
    /// File offset.
    pub(super) offset: u64,
    /// Bytes of its fragments, which the hash covers; the commit record follows them.
    pub(super) media: u64,
    /// Fragments of the segment before this group.
    pub(super) first_fragment: u32,
    /// Hash of the fragments.
    pub(super) hash: Hash,
}

/// A commit record, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Commit {
    pub(super) number: u32,
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) media: u64,
    pub(super) synced: u64,
    pub(super) fragments: Vec<FragmentEntry>,
    pub(super) hash: Hash,
    pub(super) chain: Hash,
}

/// What the final record tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Final {
    pub(super) reason: EndReason,
    pub(super) groups: u32,
    pub(super) fragments: u32,
    pub(super) frames: u32,
    pub(super) key_frames: u32,
    pub(super) audio_units: u64,
    pub(super) lost: u64,
    pub(super) media: u64,
    pub(super) start: UtcMicros,
    pub(super) end: UtcMicros,
    pub(super) footer: u64,
    pub(super) table: u64,
    pub(super) table_hash: Hash,
    pub(super) key_id: KeyId,
    pub(super) chain: Hash,
    pub(super) signature: [u8; 64],
}

fn record(kind: [u8; 16], fill: impl FnOnce(&mut Boxes)) -> Vec<u8> {
    let mut w = Boxes::with_capacity(512);
    w.u32(0);
    w.bytes(b"uuid");
    w.bytes(&kind);
    fill(&mut w);
    let size = u32::try_from(w.len() + 4).unwrap_or(u32::MAX);
    w.patch_u32(0, size);
    let crc = crc32c::crc32c(w.so_far());
    w.u32(crc);
    w.into_vec()
}

/// The fields of a record of `kind`, if the whole box is in `bytes` and its check sum holds.
fn open_record(kind: [u8; 16], bytes: &[u8]) -> Option<(&[u8], Bits<'_>)> {
    let (size, _) = super::boxes::header(bytes).filter(|(_, k)| k == b"uuid")?;
    let whole = bytes.get(..size)?;
    let (checked, crc) = whole.split_at_checked(size.checked_sub(4)?)?;
    if crc != crc32c::crc32c(checked).to_be_bytes() {
        return None;
    }
    let fields = checked.get(8..)?.strip_prefix(&kind)?;
    Some((checked, Bits::new(fields)))
}

/// The hash that follows `before` when `record` is added to the chain.
fn link(before: &Hash, record: &[u8]) -> Hash {
    let mut h = blake3::Hasher::new();
    h.update(before);
    h.update(record);
    *h.finalize().as_bytes()
}

fn text(w: &mut Boxes, s: &[u8]) {
    w.u16(u16::try_from(s.len()).unwrap_or(0));
    w.bytes(s.get(..usize::from(u16::try_from(s.len()).unwrap_or(0))).unwrap_or_default());
}

fn read_text<'a>(r: &mut Bits<'a>) -> Option<&'a [u8]> {
    let n = r.u16()?;
    r.take(usize::from(n))
}

fn point(w: &mut Boxes, p: Option<ClockPoint>) {
    w.u8(u8::from(p.is_some()));
    if let Some(p) = p {
        w.i64(p.pts);
        w.i64(p.tick);
        w.i64(p.utc.0);
        w.i64(p.camera_utc.map_or(NO_TIME, |t| t.0));
    }
}

fn read_point(r: &mut Bits<'_>) -> Option<Option<ClockPoint>> {
    if r.u8()? == 0 {
        return Some(None);
    }
    let (pts, tick, utc) = (r.i64()?, r.i64()?, UtcMicros(r.i64()?));
    Some(Some(ClockPoint { pts, tick, utc, camera_utc: read_time(r)? }))
}

fn read_time(r: &mut Bits<'_>) -> Option<Option<UtcMicros>> {
    Some(Some(UtcMicros(r.i64()?)).filter(|t| t.0 != NO_TIME))
}

/// Encodes the header record.
pub(super) fn encode_header(head: &SegmentHead, h: &Header) -> Vec<u8> {
    record(HEADER, |w| {
        w.u32(FORMAT_VERSION);
        w.u32(h.preamble);
        w.u8(HASH_BLAKE3);
        w.u8(start_code(head.info.start));
        let camera_known = h.video.or(h.audio).is_some_and(|p| p.camera_utc.is_some());
        w.u8(if camera_known { SOURCE_NODE_AND_CAMERA } else { SOURCE_NODE });
        w.u8(match head.key.stream {
            StreamKind::Main => 0,
            StreamKind::Sub => 1,
        });
        w.bytes(&h.key_id.0);
        w.bytes(&head.previous);
        w.u64(head.number);
        w.i64(head.start.0);
        w.bytes(head.key.camera.0.as_str().as_bytes());
        text(w, head.node.as_str().as_bytes());
        text(w, head.volume.as_str().as_bytes());
        point(w, h.video);
        point(w, h.audio);
        tracks(w, &head.info);
    })
}

fn tracks(w: &mut Boxes, info: &StreamInfo) {
    w.u8(match info.video.as_ref().map(|v| v.codec) {
        None => 0,
        Some(VideoCodec::H264) => 1,
        Some(VideoCodec::H265) => 2,
        Some(VideoCodec::Mjpeg) => 3,
    });
    if let Some(v) = &info.video {
        w.u16(v.width);
        w.u16(v.height);
        text(w, &v.extra);
        text(w, v.rfc6381.as_bytes());
    }
    w.u8(match info.audio.as_ref().map(|a| a.codec) {
        None => 0,
        Some(AudioCodec::Aac) => 1,
        Some(AudioCodec::Pcma) => 2,
        Some(AudioCodec::Pcmu) => 3,
    });
    if let Some(a) = &info.audio {
        w.u32(a.sample_rate);
        w.u16(a.channels);
        text(w, &a.extra);
    }
}

fn read_tracks(r: &mut Bits<'_>, start: StartReason) -> Option<StreamInfo> {
    let codec = match r.u8()? {
        0 => None,
        1 => Some(VideoCodec::H264),
        2 => Some(VideoCodec::H265),
        3 => Some(VideoCodec::Mjpeg),
        _ => return None,
    };
    let video = match codec {
        None => None,
        Some(codec) => {
            let (width, height) = (r.u16()?, r.u16()?);
            let extra = Bytes::copy_from_slice(read_text(r)?);
            let rfc6381 = String::from_utf8(read_text(r)?.to_vec()).ok()?;
            Some(VideoParams { codec, width, height, extra, rfc6381 })
        }
    };
    let codec = match r.u8()? {
        0 => None,
        1 => Some(AudioCodec::Aac),
        2 => Some(AudioCodec::Pcma),
        3 => Some(AudioCodec::Pcmu),
        _ => return None,
    };
    let audio = match codec {
        None => None,
        Some(codec) => {
            let (sample_rate, channels) = (r.u32()?, r.u16()?);
            Some(AudioParams { codec, sample_rate, channels, extra: Bytes::copy_from_slice(read_text(r)?) })
        }
    };
    Some(StreamInfo { video, audio, start })
}

fn start_code(r: StartReason) -> u8 {
    match r {
        StartReason::Connected => 1,
        StartReason::ParametersChanged => 2,
        StartReason::ClockStep => 3,
        StartReason::Rotation => 4,
    }
}

/// Decodes a header record.
pub(super) fn decode_header(bytes: &[u8]) -> Option<(SegmentHead, Header)> {
    let (_, mut r) = open_record(HEADER, bytes)?;
    if r.u32()? != FORMAT_VERSION {
        return None;
    }
    let preamble = r.u32()?;
    if r.u8()? != HASH_BLAKE3 {
        return None;
    }
    let start_reason = match r.u8()? {
        1 => StartReason::Connected,
        2 => StartReason::ParametersChanged,
        3 => StartReason::ClockStep,
        4 => StartReason::Rotation,
        _ => return None,
    };
    r.u8()?;
    let stream = match r.u8()? {
        0 => StreamKind::Main,
        1 => StreamKind::Sub,
        _ => return None,
    };
    let key_id = KeyId(r.array()?);
    let previous = r.array()?;
    let number = r.u64()?;
    let start = UtcMicros(r.i64()?);
    let camera = std::str::from_utf8(r.take(20)?).ok()?.parse().ok()?;
    let node = std::str::from_utf8(read_text(&mut r)?).ok()?.parse().ok()?;
    let volume = std::str::from_utf8(read_text(&mut r)?).ok()?.parse().ok()?;
    let video = read_point(&mut r)?;
    let audio = read_point(&mut r)?;
    let info = Arc::new(read_tracks(&mut r, start_reason)?);
    let key = StreamKey { camera, stream };
    let head = SegmentHead { node, volume, key, number, start, info, previous };
    Some((head, Header { preamble, key_id, video, audio }))
}

fn entry(w: &mut Boxes, f: &FragmentEntry) {
    w.u64(f.offset);
    w.u32(f.length);
    w.u32(u32::from(f.starts_with_key));
    w.u32(f.frames);
    w.u32(f.key_frames);
    w.u32(f.audio_units);
    w.u32(f.lost);
    w.u64(f.tfdt);
    w.u32(f.duration);
    w.i64(f.utc.0);
    w.i64(f.utc_end.0);
    w.i64(f.camera_utc.map_or(NO_TIME, |t| t.0));
}

fn read_entry(r: &mut Bits<'_>, index: u32) -> Option<FragmentEntry> {
    Some(FragmentEntry {
        index,
        offset: r.u64()?,
        length: r.u32()?,
        starts_with_key: r.u32()? & 1 != 0,
        frames: r.u32()?,
        key_frames: r.u32()?,
        audio_units: r.u32()?,
        lost: r.u32()?,
        tfdt: r.u64()?,
        duration: r.u32()?,
        utc: UtcMicros(r.i64()?),
        utc_end: UtcMicros(r.i64()?),
        camera_utc: read_time(r)?,
    })
}

/// Bytes of a commit record with `fragments` fragments.
pub(super) fn commit_bytes(fragments: usize) -> usize {
    RECORD_HEAD + 4 + 4 + 8 * 6 + 4 + ENTRY_BYTES * fragments + 64 + 4
}

/// Encodes a commit record; returns the chain after it.
pub(super) fn encode_commit(c: &Commit, before: &Hash) -> (Vec<u8>, Hash) {
    let first = c.fragments.first();
    let last = c.fragments.last();
    let mut chain = *before;
    let bytes = record(COMMIT, |w| {
        w.u32(FORMAT_VERSION);
        w.u32(c.number);
        w.u64(c.offset);
        w.u64(c.length);
        w.u64(c.media);
        w.u64(c.synced);
        w.i64(first.map_or(NO_TIME, |f| f.utc.0));
        w.i64(last.map_or(NO_TIME, |f| f.utc_end.0));
        w.u32(u32::try_from(c.fragments.len()).unwrap_or(u32::MAX));
        c.fragments.iter().for_each(|f| entry(w, f));
        w.bytes(&c.hash);
        // The size field is not yet filled in and stays out of the chain with the box header.
        chain = link(before, w.so_far().get(RECORD_HEAD..).unwrap_or_default());
        w.bytes(&chain);
    });
    (bytes, chain)
}

/// Decodes a commit record and checks that it continues the chain. `first_fragment` numbers its fragments.
pub(super) fn decode_commit(bytes: &[u8], before: &Hash, first_fragment: u32) -> Option<Commit> {
    let (c, linked) = decode_commit_unlinked(bytes, first_fragment)?;
    (linked(before) == c.chain).then_some(c)
}

/// Decodes a commit record alone; the second value computes its chain hash from the one before.
pub(super) fn decode_commit_unlinked(
    bytes: &[u8],
    first_fragment: u32,
) -> Option<(Commit, impl Fn(&Hash) -> Hash)> {
    let (checked, mut r) = open_record(COMMIT, bytes)?;
    if r.u32()? != FORMAT_VERSION {
        return None;
    }
    let number = r.u32()?;
    let (offset, length, media, synced) = (r.u64()?, r.u64()?, r.u64()?, r.u64()?);
    r.take(16)?;
    let count = r.u32()?;
    if r.left() != usize::try_from(count).ok()?.checked_mul(ENTRY_BYTES)?.checked_add(64)? {
        return None;
    }
    let fragments =
        (0..count).map(|i| read_entry(&mut r, first_fragment.checked_add(i)?)).collect::<Option<Vec<_>>>()?;
    let (hash, chain) = (r.array()?, r.array()?);
    let linked = checked.get(RECORD_HEAD..checked.len().checked_sub(32)?)?;
    let commit = Commit { number, offset, length, media, synced, fragments, hash, chain };
    Some((commit, move |before: &Hash| link(before, linked)))
}

/// Encodes the fragment table.
pub(super) fn encode_table(groups: &[GroupEntry], fragments: &[FragmentEntry]) -> Vec<u8> {
    record(TABLE, |w| {
        w.u32(FORMAT_VERSION);
        w.u32(u32::try_from(groups.len()).unwrap_or(u32::MAX));
        w.u32(u32::try_from(fragments.len()).unwrap_or(u32::MAX));
        for g in groups {
            w.u64(g.offset);
            w.u64(g.media);
            w.u32(g.first_fragment);
            w.bytes(&g.hash);
        }
        fragments.iter().for_each(|f| entry(w, f));
    })
}

/// Decodes the fragment table.
pub(super) fn decode_table(bytes: &[u8]) -> Option<(Vec<GroupEntry>, Vec<FragmentEntry>)> {
    let (_, mut r) = open_record(TABLE, bytes)?;
    if r.u32()? != FORMAT_VERSION {
        return None;
    }
    let (groups, fragments) = (r.u32()?, r.u32()?);
    let need = usize::try_from(groups).ok()?.checked_mul(GROUP_BYTES)?;
    let need = usize::try_from(fragments).ok()?.checked_mul(ENTRY_BYTES)?.checked_add(need)?;
    if r.left() != need {
        return None;
    }
    let group = |r: &mut Bits<'_>| {
        Some(GroupEntry { offset: r.u64()?, media: r.u64()?, first_fragment: r.u32()?, hash: r.array()? })
    };
    let groups = (0..groups).map(|_| group(&mut r)).collect::<Option<Vec<_>>>()?;
    let fragments = (0..fragments).map(|i| read_entry(&mut r, i)).collect::<Option<Vec<_>>>()?;
    Some((groups, fragments))
}

/// Encodes the final record; fills in chain and signature, and returns the chain (the segment's hash).
pub(super) fn encode_final(
    f: &Final,
    before: &Hash,
    sign: impl FnOnce(&[u8]) -> [u8; 64],
) -> (Vec<u8>, Hash) {
    let mut chain = *before;
    let bytes = record(FINAL, |w| {
        w.u32(FORMAT_VERSION);
        w.u32(f.reason as u32);
        for n in [f.groups, f.fragments, f.frames, f.key_frames] {
            w.u32(n);
        }
        w.u64(f.audio_units);
        w.u64(f.lost);
        w.u64(f.media);
        w.i64(f.start.0);
        w.i64(f.end.0);
        w.u64(f.footer);
        w.u64(f.table);
        w.bytes(&f.table_hash);
        w.bytes(&f.key_id.0);
        chain = link(before, w.so_far().get(RECORD_HEAD..).unwrap_or_default());
        w.bytes(&chain);
        let signature = sign(&signed(&chain));
        w.bytes(&signature);
    });
    (bytes, chain)
}

/// What the node signs: a fixed text, so that the signature can stand for nothing else, and the segment's hash.
pub(super) fn signed(chain: &Hash) -> Vec<u8> {
    [b"fengsui segment 1\n".as_slice(), chain].concat()
}

/// Decodes the final record; the second value computes its chain hash from the one before.
pub(super) fn decode_final(bytes: &[u8]) -> Option<(Final, impl Fn(&Hash) -> Hash)> {
    let (checked, mut r) = open_record(FINAL, bytes)?;
    if r.u32()? != FORMAT_VERSION {
        return None;
    }
    let reason = match r.u32()? {
        1 => EndReason::Rotation,
        2 => EndReason::StreamEnd,
        3 => EndReason::Changed,
        4 => EndReason::Stopped,
        5 => EndReason::CrashTail,
        6 => EndReason::Damaged,
        _ => return None,
    };
    let f = Final {
        reason,
        groups: r.u32()?,
        fragments: r.u32()?,
        frames: r.u32()?,
        key_frames: r.u32()?,
        audio_units: r.u64()?,
        lost: r.u64()?,
        media: r.u64()?,
        start: UtcMicros(r.i64()?),
        end: UtcMicros(r.i64()?),
        footer: r.u64()?,
        table: r.u64()?,
        table_hash: r.array()?,
        key_id: KeyId(r.array()?),
        chain: r.array()?,
        signature: r.array()?,
    };
    let linked = checked.get(RECORD_HEAD..checked.len().checked_sub(96)?)?;
    Some((f, move |before: &Hash| link(before, linked)))
}

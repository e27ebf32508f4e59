//! Bytes of a journal file.
//!
//! ```text
//! file    magic "FENGSUI JOURNAL 1\n" padded with zeros to 24 bytes | u64 first sequence number
//!         | 32 bytes hash of the record before it | u32 crc32c of all that
//! record  u32 payload length | u32 crc32c of payload | payload
//! payload u64 epoch | u64 sequence number | i64 time | 32 bytes hash of the record before
//!         | u8 length, node | u8 length, kind | body (JSON)
//! ```
//! All numbers little endian; the time is microseconds since 1970. The hash of a record is the SHA-256 of its
//! payload, so each record vouches for all before it.

use fengsui_config::clock::UtcMicros;
use fengsui_config::limits;
use sha2::{Digest, Sha256};

use super::JournalRecord;

const MAGIC: [u8; 24] = *b"FENGSUI JOURNAL 1\n\0\0\0\0\0\0";

/// Length of a file's head.
pub(super) const FILE_HEAD: usize = 68;

/// Length of a record's head.
pub(super) const RECORD_HEAD: usize = 8;

/// Bytes of a payload beside node, kind and body.
const FIXED: usize = 8 + 8 + 8 + 32 + 2;

/// Largest sequence number and epoch that are believed: nobody counts so far, and what comes after it can still be
/// counted.
pub(super) const COUNT_MAX: u64 = 1 << 62;

/// SHA-256 of a record's payload.
pub type ChainHash = [u8; 32];

/// What a file says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileHead {
    pub first: u64,
    pub previous: ChainHash,
}

pub(super) fn encode_head(head: &FileHead) -> Vec<u8> {
    let mut out = Vec::with_capacity(FILE_HEAD);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&head.first.to_le_bytes());
    out.extend_from_slice(&head.previous);
    out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
    out
}

pub(super) fn decode_head(bytes: &[u8]) -> Option<FileHead> {
    let (body, crc) = bytes.get(..FILE_HEAD)?.split_last_chunk::<4>()?;
    if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
        return None;
    }
    let (first, previous) = body.strip_prefix(&MAGIC)?.split_first_chunk::<8>()?;
    let head = FileHead { first: u64::from_le_bytes(*first), previous: previous.try_into().ok()? };
    (head.first <= COUNT_MAX).then_some(head)
}

/// The head as it was before one bit of it flipped; `None` when it holds, or was changed otherwise.
pub(super) fn mend_head(bytes: &[u8]) -> Option<FileHead> {
    let mut head = bytes.get(..FILE_HEAD)?.to_vec();
    if decode_head(&head).is_some() {
        return None;
    }
    for bit in 0..FILE_HEAD * 8 {
        *head.get_mut(bit / 8)? ^= 1 << (bit % 8);
        if let Some(mended) = decode_head(&head) {
            return Some(mended);
        }
        *head.get_mut(bit / 8)? ^= 1 << (bit % 8);
    }
    None
}

/// Appends a record to `out`; returns its hash. Node and kind have at most 255 bytes.
pub(super) fn encode_record(record: &JournalRecord, body: &[u8], out: &mut Vec<u8>) -> ChainHash {
    let mut payload = Vec::with_capacity(FIXED + record.node.len() + record.kind.len() + body.len());
    payload.extend_from_slice(&record.epoch.to_le_bytes());
    payload.extend_from_slice(&record.seq.to_le_bytes());
    payload.extend_from_slice(&record.at.0.to_le_bytes());
    payload.extend_from_slice(&record.previous);
    for text in [&record.node, &record.kind] {
        payload.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        payload.extend_from_slice(text.as_bytes());
    }
    payload.extend_from_slice(body);
    out.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(&crc32c::crc32c(&payload).to_le_bytes());
    out.extend_from_slice(&payload);
    Sha256::digest(&payload).into()
}

/// What stands at the beginning of `bytes`.
pub(super) enum Decoded {
    /// A record, and its length in bytes.
    Record(Box<JournalRecord>, usize),
    /// The bytes end within a record.
    Short,
    /// No record.
    Invalid,
}

pub(super) fn decode_record(bytes: &[u8]) -> Decoded {
    let Some((&[l0, l1, l2, l3, c0, c1, c2, c3], rest)) = bytes.split_first_chunk::<RECORD_HEAD>() else {
        return Decoded::Short;
    };
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    if !(FIXED..=limits::JOURNAL_RECORD_BYTES_MAX + 1024).contains(&length) {
        return Decoded::Invalid;
    }
    let Some(payload) = rest.get(..length) else { return Decoded::Short };
    if crc32c::crc32c(payload) != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Decoded::Invalid;
    }
    parse(payload).map_or(Decoded::Invalid, |r| Decoded::Record(Box::new(r), RECORD_HEAD + length))
}

/// Number and length of what stands at the beginning of `bytes`, if it is a record; nothing of it is checked.
pub(super) fn peek(bytes: &[u8]) -> Option<(u64, usize)> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    if !(FIXED..=limits::JOURNAL_RECORD_BYTES_MAX + 1024).contains(&length) {
        return None;
    }
    let seq = rest.get(12..20)?.try_into().ok()?;
    (rest.len() >= 4 + length).then_some((u64::from_le_bytes(seq), RECORD_HEAD + length))
}

fn parse(payload: &[u8]) -> Option<JournalRecord> {
    let (epoch, rest) = payload.split_first_chunk()?;
    let (seq, rest) = rest.split_first_chunk()?;
    let (at, rest) = rest.split_first_chunk()?;
    let (previous, rest) = rest.split_first_chunk::<32>()?;
    let (node, rest) = short_text(rest)?;
    let (kind, body) = short_text(rest)?;
    let (epoch, seq) = (u64::from_le_bytes(*epoch), u64::from_le_bytes(*seq));
    if epoch.max(seq) > COUNT_MAX {
        return None;
    }
    Some(JournalRecord {
        node,
        epoch,
        seq,
        at: UtcMicros(i64::from_le_bytes(*at)),
        kind,
        body: serde_json::from_slice(body).ok()?,
        previous: *previous,
        hash: Sha256::digest(payload).into(),
    })
}

fn short_text(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (length, rest) = bytes.split_first()?;
    let (text, rest) = rest.split_at_checked(usize::from(*length))?;
    Some((String::from_utf8(text.to_vec()).ok()?, rest))
}

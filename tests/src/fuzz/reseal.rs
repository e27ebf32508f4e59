//! Makes check sums, hashes, chains and signatures of changed bytes hold again, so that what lies behind them is reached.
//! Lengths and places stay; what cannot be understood is left alone. Layouts: `storage/FORMAT.md`, `storage/JOURNAL.md`.

use sha2::{Digest, Sha256};

use super::{key, records};

/// Makes an input of this target hold again, as far as it can be understood.
pub fn reseal(target: &str, bytes: &mut [u8]) {
    match target {
        "segment_reader" | "recovery" => {
            let _ = segment(bytes);
        }
        "catalogue" => {
            let _ = catalogue(bytes);
        }
        "archive_index" => archive(bytes),
        "journal" => {
            let mut before = [0; 32];
            for (_, range) in records::parts(bytes) {
                let Some(part) = bytes.get_mut(range) else { continue };
                if part.starts_with(b"FENGSUI SIGNED 1") {
                    let _ = signed(part);
                } else {
                    let _ = journal(part, &mut before);
                }
            }
        }
        _ => {}
    }
}

fn put(bytes: &mut [u8], at: usize, what: &[u8]) -> Option<()> {
    bytes.get_mut(at..at.checked_add(what.len())?)?.copy_from_slice(what);
    Some(())
}

fn be32(bytes: &[u8], at: usize) -> Option<usize> {
    let four = bytes.get(at..at.checked_add(4)?)?.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*four) as usize)
}

const RECORD: &[u8] = b"\xd2\x6b\x31\x7e\x5c\x04\x4f\x8d\x9a\xe1\x27\xb0\x63\xf8\x1c";

/// Walks the boxes of a segment. None at the end of what can be walked.
fn segment(bytes: &mut [u8]) -> Option<()> {
    let (mut at, mut group) = (0, 0);
    let mut chain = [0; 32];
    let mut table_hash = [0; 32];
    let mut hashes: Vec<[u8; 32]> = Vec::new();
    loop {
        let size = be32(bytes, at)?;
        let end = at.checked_add(size).filter(|e| size >= 8 && *e <= bytes.len())?;
        let ours = bytes.get(at + 4..at + 8)? == b"uuid" && bytes.get(at + 8..at + 23)? == RECORD;
        let kind = if ours { *bytes.get(at + 23)? } else { 0 };
        let sealed = |bytes: &mut [u8]| {
            let crc = crc32c::crc32c(bytes.get(at..end - 4)?);
            put(bytes, end - 4, &crc.to_be_bytes())
        };
        match kind {
            1 if size >= 80 => {
                put(bytes, at + 36, &key().id().0)?;
                sealed(bytes)?;
                // Behind this record, or the walk would not end.
                let preamble = be32(bytes, at + 28).filter(|p| *p >= end)?;
                chain = *blake3::hash(bytes.get(..preamble)?).as_bytes();
                (at, group) = (preamble, preamble);
                continue;
            }
            2 if size >= 160 => {
                let hash = *blake3::hash(bytes.get(group..at)?).as_bytes();
                hashes.push(hash);
                put(bytes, end - 68, &hash)?;
                chain = linked(&chain, bytes.get(at + 24..end - 36)?);
                put(bytes, end - 36, &chain)?;
                sealed(bytes)?;
            }
            3 => {
                for (n, hash) in hashes.iter().enumerate().take((size.saturating_sub(40)) / 52) {
                    put(bytes, at + 36 + n * 52 + 20, hash)?;
                }
                sealed(bytes)?;
                table_hash = *blake3::hash(bytes.get(at..end)?).as_bytes();
            }
            4 if size == 268 => {
                put(bytes, end - 164, &table_hash)?;
                put(bytes, end - 132, &key().id().0)?;
                chain = linked(&chain, bytes.get(at + 24..end - 100)?);
                put(bytes, end - 100, &chain)?;
                let message = [b"fengsui segment 1\n".as_slice(), &chain].concat();
                put(bytes, end - 68, &key().sign(&message))?;
                sealed(bytes)?;
            }
            _ => {}
        }
        at = end;
        // Filling may follow the record; the next group begins behind it.
        if kind == 0 && bytes.get(at.wrapping_sub(size) + 4..)?.starts_with(b"free") || kind == 2 {
            group = at;
        }
    }
}

fn linked(before: &[u8; 32], record: &[u8]) -> [u8; 32] {
    let mut hash = blake3::Hasher::new();
    hash.update(before).update(record);
    *hash.finalize().as_bytes()
}

fn le(bytes: &[u8], at: usize, size: usize) -> Option<usize> {
    let field = bytes.get(at..at.checked_add(size)?)?;
    Some(field.iter().rev().fold(0, |n, b| n << 8 | usize::from(*b)))
}

fn catalogue(bytes: &mut [u8]) -> Option<()> {
    let mut at = 32usize;
    loop {
        let end = (at + 8).checked_add(le(bytes, at, 2)?)?;
        let first = crc32c::crc32c(bytes.get(at..at + 4)?);
        let crc = crc32c::crc32c_append(first, bytes.get(at + 8..end)?);
        put(bytes, at + 4, &crc.to_le_bytes())?;
        at = end;
    }
}

fn archive(bytes: &mut [u8]) {
    let (records, _) = bytes.as_chunks_mut::<96>();
    for record in records.iter_mut().skip(1) {
        if let Some((body, crc)) = record.split_last_chunk_mut::<4>() {
            *crc = crc32c::crc32c(body).to_le_bytes();
        }
    }
}

/// A file of records; `before` is the hash of the last one, which the next file goes on with.
fn journal(bytes: &mut [u8], before: &mut [u8; 32]) -> Option<()> {
    put(bytes, 32, before)?;
    let crc = crc32c::crc32c(bytes.get(..64)?);
    put(bytes, 64, &crc.to_le_bytes())?;
    let mut at = 68usize;
    loop {
        let end = (at + 8).checked_add(le(bytes, at, 4)?)?;
        if end > bytes.len() || end < at + 66 {
            return None;
        }
        put(bytes, at + 8 + 24, before)?;
        let payload = bytes.get(at + 8..end)?;
        let crc = crc32c::crc32c(payload).to_le_bytes();
        *before = Sha256::digest(payload).into();
        put(bytes, at + 4, &crc)?;
        at = end;
    }
}

fn signed(bytes: &mut [u8]) -> Option<()> {
    let length = bytes.len().checked_sub(58 + 68)?;
    put(bytes, 18, &key().id().0)?;
    put(bytes, 50, &(length as u64).to_le_bytes())?;
    let signature = key().sign(bytes.get(..58 + length)?);
    put(bytes, 58 + length, &signature)?;
    let crc = crc32c::crc32c(bytes.get(..bytes.len() - 4)?);
    put(bytes, bytes.len() - 4, &crc.to_le_bytes())
}

//! Small files beside the journal: signed by the node, written whole or not at all.
//!
//! ```text
//! magic "FENGSUI SIGNED 1" (16 bytes) | u8 what | u8 algorithm | 32 bytes public key | u64 length | payload
//! | 64 bytes signature of all before | u32 crc32c of all before
//! ```
//! All numbers little endian; algorithm 1 is Ed25519.

use std::io;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::StoreError;
use crate::fs::{Fs, OpenOptions};
use crate::segment::{KeyId, NodeKey};

const MAGIC: &[u8; 16] = b"FENGSUI SIGNED 1";
const ED25519: u8 = 1;
const HEAD_BYTES: usize = 16 + 1 + 1 + 32 + 8;
const TAIL_BYTES: usize = 64 + 4;

/// What a signed file is; no kind passes for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum What {
    Head = 1,
    Checkpoint = 2,
    Snapshot = 3,
    Cursor = 4,
}

/// The bytes of a signed file.
pub(super) fn seal(what: What, key: &NodeKey, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD_BYTES + payload.len() + TAIL_BYTES);
    out.extend_from_slice(MAGIC);
    out.push(what as u8);
    out.push(ED25519);
    out.extend_from_slice(&key.id().0);
    out.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    out.extend_from_slice(payload);
    out.extend_from_slice(&key.sign(&out));
    out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
    out
}

/// Payload and signer of a signed file; a clause that says what does not hold otherwise.
pub(super) fn open(what: What, bytes: &[u8]) -> Result<(KeyId, &[u8]), &'static str> {
    let (all, crc) = bytes.split_last_chunk::<4>().ok_or("it is too short")?;
    if crc32c::crc32c(all) != u32::from_le_bytes(*crc) {
        return Err("its checksum does not hold");
    }
    let (signed, signature) = all.split_last_chunk::<64>().ok_or("it is too short")?;
    let rest = signed.strip_prefix(MAGIC).ok_or("it is no signed file")?;
    let rest = rest.strip_prefix(&[what as u8]).ok_or("it is a signed file of another kind")?;
    let rest = rest.strip_prefix(&[ED25519]).ok_or("its signature is of an unknown algorithm")?;
    let (key, rest) = rest.split_first_chunk::<32>().ok_or("it is too short")?;
    let (length, payload) = rest.split_first_chunk::<8>().ok_or("it is too short")?;
    if u64::from_le_bytes(*length) != payload.len() as u64 {
        return Err("its length does not hold");
    }
    let key = KeyId(*key);
    if key.verifies(signed, signature) { Ok((key, payload)) } else { Err("its signature does not hold") }
}

/// As [`seal`], for JSON.
pub(super) fn seal_json<T: Serialize>(what: What, key: &NodeKey, value: &T) -> Result<Vec<u8>, StoreError> {
    let payload = serde_json::to_vec(value).map_err(|e| StoreError::Invalid(e.to_string()))?;
    Ok(seal(what, key, &payload))
}

/// As [`open`], for JSON.
pub(super) fn open_json<T: DeserializeOwned>(what: What, bytes: &[u8]) -> Result<(KeyId, T), String> {
    let (key, payload) = open(what, bytes)?;
    let value = serde_json::from_slice(payload).map_err(|e| format!("it cannot be understood: {e}"))?;
    Ok((key, value))
}

/// Puts a file in place whole: after a power cut there is the old one or the new one.
pub(super) fn put(fs: &dyn Fs, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = Path::new(&draft);
    let file = fs.open(draft, OpenOptions::CREATE).map_err(StoreError::io("create file", draft))?;
    file.write_at(0, bytes).map_err(StoreError::io("write file", draft))?;
    file.truncate(bytes.len() as u64).map_err(StoreError::io("truncate file", draft))?;
    file.sync_all().map_err(StoreError::io("sync file", draft))?;
    drop(file);
    fs.rename(draft, path).map_err(StoreError::io("rename file", path))?;
    fs.sync_dir(folder).map_err(StoreError::io("sync directory", folder))
}

/// The bytes of a file; `None` when there is none.
pub(super) fn get(fs: &dyn Fs, path: &Path, max: u64) -> Result<Option<Vec<u8>>, StoreError> {
    match fs.read(path, max) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(StoreError::io("read file", path)(e)),
    }
}

/// As [`get`]; of a file that is longer than any of ours the first `max` bytes. They do not hold, so that it is damage and
/// no refusal of the disk, which would keep the node from starting.
pub(super) fn get_at_most(fs: &dyn Fs, path: &Path, max: u64) -> Result<Option<Vec<u8>>, StoreError> {
    match get(fs, path, max) {
        Err(e) if e.io_kind() == Some(io::ErrorKind::FileTooLarge) => {
            let mut room = vec![0; usize::try_from(max).unwrap_or(0)];
            let file = fs.open(path, OpenOptions::READ).map_err(StoreError::io("open file", path))?;
            file.read_exact_at(0, &mut room).map_err(StoreError::io("read file", path))?;
            Ok(Some(room))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn any_changed_byte_of_a_signed_file_is_noticed() {
        let key = NodeKey::from_seed([7; 32]);
        let whole = seal(What::Head, &key, b"what is signed");
        assert_eq!(open(What::Head, &whole).unwrap(), (key.id(), &b"what is signed"[..]));
        assert!(open(What::Cursor, &whole).is_err(), "no kind passes for another");
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0x10;
            assert!(open(What::Head, &changed).is_err(), "byte {at}");
            // Whoever repairs the checksum as well still has no signature.
            let end = changed.len() - 4;
            if at < end {
                let crc = crc32c::crc32c(&changed[..end]).to_le_bytes();
                changed[end..].copy_from_slice(&crc);
                assert!(open(What::Head, &changed).is_err(), "byte {at} with a new checksum");
            }
            assert!(open(What::Head, &whole[..at]).is_err(), "cut at {at}");
        }
    }
}

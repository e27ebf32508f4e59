//! What the scrubber keeps over a restart: its place and the list of damage, in one small file that is replaced whole.
//!
//! ```text
//! file  "FENGSUI INTEGRITY 1\n" | u32 crc32c of the rest, little endian | JSON
//! ```
//! Derived: a file that does not hold is set aside, and the pass begins anew and finds the damage again.

use std::path::Path;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::StreamKey;
use fengsui_config::limits;
use serde::{Deserialize, Serialize};

use super::{Progress, RequestState};
use crate::damage::DamagedPlace;
use crate::error::StoreError;
use crate::fs::{Fs, OpenOptions};

const MAGIC: &[u8] = b"FENGSUI INTEGRITY 1\n";
const NAME: &str = "integrity.state";

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// The segment that the pass read last.
    pub cursor: Option<(i64, StreamKey, u64)>,
    pub pass: Option<Progress>,
    pub last: Option<Progress>,
    pub requests: Vec<RequestState>,
    pub next_request: u64,
    pub damaged: Vec<DamagedPlace>,
}

/// Reads the state in `dir`; an empty one when there is none. One that does not hold is set aside under another name.
pub(super) fn load(fs: &dyn Fs, dir: &Path, now: UtcMicros) -> Result<Kept, StoreError> {
    let path = dir.join(NAME);
    let bytes = match fs.read(&path, limits::SCRUB_STATE_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Kept::default()),
        Err(e) => return Err(StoreError::io("read state of the scrubber", &path)(e)),
    };
    if let Some(kept) = decode(&bytes) {
        return Ok(kept);
    }
    let aside = dir.join(format!("{NAME}.damaged-{}", now.millis()));
    fs.rename(&path, &aside).map_err(StoreError::io("set state of the scrubber aside", &path))?;
    tracing::warn!(path = %aside.display(), "state of the scrubber did not hold; all footage is read anew");
    Ok(Kept::default())
}

pub(super) fn decode(bytes: &[u8]) -> Option<Kept> {
    let (crc, json) = bytes.strip_prefix(MAGIC)?.split_first_chunk::<4>()?;
    if crc32c::crc32c(json) != u32::from_le_bytes(*crc) {
        return None;
    }
    serde_json::from_slice(json).ok()
}

/// Replaces the state in `dir`.
pub(super) fn save(fs: &dyn Fs, dir: &Path, kept: &Kept) -> Result<(), StoreError> {
    let json = serde_json::to_vec(kept).map_err(|e| StoreError::Invalid(e.to_string()))?;
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&crc32c::crc32c(&json).to_le_bytes());
    bytes.extend_from_slice(&json);
    fs.create_dir_all(dir).map_err(StoreError::io("create directory", dir))?;
    let (path, aside) = (dir.join(NAME), dir.join(format!("{NAME}.new")));
    let file = fs.open(&aside, OpenOptions::CREATE).map_err(StoreError::io("create file", &aside))?;
    file.truncate(0).map_err(StoreError::io("truncate file", &aside))?;
    file.write_at(0, &bytes).map_err(StoreError::io("write file", &aside))?;
    file.sync_all().map_err(StoreError::io("sync file", &aside))?;
    fs.rename(&aside, &path).map_err(StoreError::io("rename file", &path))?;
    fs.sync_dir(dir).map_err(StoreError::io("sync directory", dir))
}

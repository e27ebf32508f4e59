//! Dropping files whose term is over.
//!
//! A checkpoint stands for everything up to a record: it is signed by the node and holds that record's number and hash,
//! and the records that state is made of, as they were. So the chain stays verifiable from the checkpoint on, and a
//! reduction over the checkpoint's records and what follows gives the same state as one over everything.
//!
//! Order: checkpoint durable, record `journal.dropped` durable, files removed (oldest first, each durably), older checkpoints removed. A crash in
//! between leaves more than needed, never less.
//!
//! ```text
//! payload of the signed file   u32 length | JSON {node, seq, hash, at_us, records} | records as in a journal file
//! ```

use std::path::{Path, PathBuf};

use fengsui_config::clock::UtcMicros;
use fengsui_config::limits;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::format::{self, COUNT_MAX, ChainHash, Decoded, decode_head, decode_record};
use super::kinds::{self, Keep};
use super::recover::{files, load, load_head};
use super::signed::{self, What};
use super::{Journal, JournalError, JournalRecord};
use crate::error::StoreError;
use crate::fs::Fs;
use crate::segment::{KeyId, NodeKey};

const ENDING: &str = ".checkpoint";

/// Head of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CheckpointHead {
    pub node: String,
    /// Stands for all records up to this one.
    pub seq: u64,
    /// Its hash, hexadecimal.
    pub hash: String,
    pub at_us: i64,
    /// Records carried over.
    pub records: u64,
}

/// A checkpoint that holds.
#[derive(Debug, Clone)]
pub(super) struct Checkpoint {
    pub key: KeyId,
    pub head: CheckpointHead,
    pub hash: ChainHash,
    /// State records up to `head.seq`, in order.
    pub carried: Vec<JournalRecord>,
    /// The same, as they stood in their files.
    raw: Vec<(u64, Vec<u8>)>,
}

/// What was dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DropReport {
    /// Files removed.
    pub files: u64,
    /// All records up to this one are gone, but for those that state is made of.
    pub through_seq: u64,
    /// Records carried over.
    pub carried: u64,
}

fn encode(key: &NodeKey, head: &CheckpointHead, raw: &[(u64, Vec<u8>)]) -> Result<Vec<u8>, StoreError> {
    let text = serde_json::to_vec(head).map_err(|e| StoreError::Invalid(e.to_string()))?;
    let mut payload = u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
    payload.extend_from_slice(&text);
    for (_, bytes) in raw {
        payload.extend_from_slice(bytes);
    }
    if payload.len() as u64 > limits::JOURNAL_CHECKPOINT_BYTES_MAX {
        return Err(StoreError::Invalid(format!(
            "the records that state is made of have {} bytes, more than {}; nothing of the journal is dropped",
            payload.len(),
            limits::JOURNAL_CHECKPOINT_BYTES_MAX
        )));
    }
    Ok(signed::seal(What::Checkpoint, key, &payload))
}

fn decode(bytes: &[u8]) -> Result<Checkpoint, String> {
    let (key, payload) = signed::open(What::Checkpoint, bytes)?;
    let cut = || "it is too short".to_owned();
    let (length, rest) = payload.split_first_chunk::<4>().ok_or_else(cut)?;
    let (text, mut rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(cut)?;
    let head: CheckpointHead = serde_json::from_slice(text).map_err(|e| format!("its head is wrong: {e}"))?;
    if head.seq > COUNT_MAX {
        return Err(format!("it reaches to record {}, which nobody has counted to", head.seq));
    }
    let mut hash = [0; 32];
    hex::decode_to_slice(&head.hash, &mut hash).map_err(|e| format!("its hash is wrong: {e}"))?;
    let (mut carried, mut raw): (Vec<JournalRecord>, Vec<_>) = (Vec::new(), Vec::new());
    while !rest.is_empty() {
        let Decoded::Record(record, length) = decode_record(rest) else {
            return Err("a record in it does not hold".to_owned());
        };
        if carried.last().is_some_and(|before| before.seq >= record.seq) || record.seq > head.seq {
            return Err("its records are not in order".to_owned());
        }
        raw.push((record.seq, rest.get(..length).unwrap_or_default().to_vec()));
        carried.push(*record);
        rest = rest.get(length..).unwrap_or_default();
    }
    if carried.len() as u64 != head.records {
        return Err("records are missing in it".to_owned());
    }
    Ok(Checkpoint { key, head, hash, carried, raw })
}

/// The checkpoint files in a directory, oldest first.
pub(super) fn list(fs: &dyn Fs, dir: &Path) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    let mut out: Vec<(u64, PathBuf)> = match fs.read_dir(dir) {
        Ok(names) => names
            .into_iter()
            .filter(|e| !e.is_dir)
            .filter_map(|e| Some((e.name.strip_suffix(ENDING)?.parse().ok()?, dir.join(&e.name))))
            .collect(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(StoreError::io("list directory", dir)(e)),
    };
    out.sort();
    Ok(out)
}

/// Checkpoints that do not hold, each with a clause that says why.
pub(super) type Unsound = Vec<(PathBuf, String)>;

/// The newest checkpoint that holds, and those that do not.
pub(super) fn newest(fs: &dyn Fs, dir: &Path) -> Result<(Option<Checkpoint>, Unsound), StoreError> {
    let mut bad = Vec::new();
    for (_, path) in list(fs, dir)?.into_iter().rev() {
        let max = limits::JOURNAL_CHECKPOINT_BYTES_MAX + 4096;
        let Some(bytes) = signed::get(fs, &path, max)? else { continue };
        match decode(&bytes) {
            Ok(checkpoint) => return Ok((Some(checkpoint), bad)),
            Err(why) => bad.push((path, why)),
        }
    }
    Ok((None, bad))
}

/// What a walk over the files that may go came to.
struct Survey {
    gone: Vec<PathBuf>,
    seq: u64,
    hash: ChainHash,
    carried: Vec<(u64, Vec<u8>)>,
}

/// Finds the files that may go: whole ones from the oldest on, every record of them sound, in the chain, older than
/// `before`, and acknowledged by every cursor.
fn survey(
    fs: &dyn Fs,
    dir: &Path,
    before: UtcMicros,
    acknowledged: u64,
) -> Result<Option<Survey>, StoreError> {
    let (old, bad) = newest(fs, dir)?;
    if let Some((path, why)) = bad.into_iter().next() {
        return Err(StoreError::damaged(&path, 0, format!("{why}; nothing of the journal is dropped")));
    }
    let all = files(fs, dir)?;
    let mut found = Survey { gone: Vec::new(), seq: 0, hash: [0; 32], carried: Vec::new() };
    for pair in all.windows(2) {
        let [(_, path), (_, next)] = pair else { break };
        let Some(next) = load_head(fs, next)? else { break };
        let bytes = load(fs, path)?;
        let Some(head) = decode_head(&bytes) else { break };
        if found.gone.is_empty() {
            match &old {
                _ if head.first == 1 => {}
                Some(old) if head.first <= old.head.seq + 1 => {
                    found.carried = old.raw.clone();
                    found.carried.retain(|(seq, _)| *seq < head.first);
                    (found.seq, found.hash) = (head.first - 1, head.previous);
                }
                _ => break,
            }
        }
        let last = next.first.saturating_sub(1);
        if last > acknowledged || !take(&bytes, &head, last, before, old.as_ref(), &mut found) {
            break;
        }
        if found.hash != next.previous {
            break;
        }
        found.gone.push(path.clone());
    }
    Ok((!found.gone.is_empty()).then_some(found))
}

/// Takes the records of one file up to `last` in; false (and the survey as before) when it may not go.
fn take(
    bytes: &[u8],
    head: &format::FileHead,
    last: u64,
    before: UtcMicros,
    old: Option<&Checkpoint>,
    found: &mut Survey,
) -> bool {
    if head.first != found.seq + 1 || head.previous != found.hash {
        return false;
    }
    let (mut seq, mut hash, mut carried) = (found.seq, found.hash, Vec::new());
    let mut rest = bytes.get(format::FILE_HEAD..).unwrap_or_default();
    while seq < last {
        let Decoded::Record(record, length) = decode_record(rest) else { return false };
        if record.seq != seq + 1 || record.previous != hash || record.at >= before {
            return false;
        }
        (seq, hash) = (record.seq, record.hash);
        if old.is_some_and(|o| o.head.seq == seq && o.hash != hash) {
            return false;
        }
        if kinds::keep(&record.kind, &record.body) == Keep::State {
            carried.push((record.seq, rest.get(..length).unwrap_or_default().to_vec()));
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    found.carried.append(&mut carried);
    (found.seq, found.hash) = (seq, hash);
    true
}

impl Journal {
    /// Drops whole files in which every record is older than `keep_days`, after a signed checkpoint that carries over
    /// what state is made of. Files that do not hold, and those that a cursor has not acknowledged, stay, and so does
    /// everything behind them. `None`: nothing is due.
    ///
    /// # Errors
    /// When `keep_days` is less than the law's three years, or the disk refuses; then at worst a checkpoint is there
    /// that nobody needs yet.
    pub fn drop_old(&self, keep_days: u64) -> Result<Option<DropReport>, StoreError> {
        if keep_days < limits::JOURNAL_KEEP_DAYS_MIN {
            return Err(StoreError::Invalid(format!(
                "the journal is kept for {} days at least, not for {keep_days}",
                limits::JOURNAL_KEEP_DAYS_MIN
            )));
        }
        let now = self.clock.utc();
        let open_for = i64::try_from(self.clock.mono().since(self.opened).as_micros()).unwrap_or(i64::MAX);
        if now.0.saturating_sub(self.found_at.0) > LEAP_MAX_US.saturating_add(open_for) {
            tracing::warn!("the clock has leapt since the last record; nothing of the journal is dropped");
            return Ok(None);
        }
        let _turn = self.dropping.lock();
        let keep_us = i64::try_from(keep_days).unwrap_or(i64::MAX).saturating_mul(86_400_000_000);
        let before = UtcMicros(now.0.saturating_sub(keep_us));
        let acknowledged = self.acknowledged_by_all()?;
        let Some(found) = survey(&*self.fs, &self.dir, before, acknowledged)? else { return Ok(None) };
        let head = CheckpointHead {
            node: self.head.node.clone(),
            seq: found.seq,
            hash: hex::encode(found.hash),
            at_us: now.0,
            records: found.carried.len() as u64,
        };
        let bytes = encode(&self.head.key, &head, &found.carried)?;
        let path = self.dir.join(format!("{:020}{ENDING}", found.seq));
        signed::put(&*self.fs, &path, &bytes)?;
        let names: Vec<_> = found.gone.iter().filter_map(|p| p.file_name()?.to_str()).collect();
        let body = json!({
            "through_seq": found.seq, "hash": head.hash, "files": names.len(), "first": names.first(), "last": names.last(),
            "carried": head.records, "checkpoint": hex::encode(Sha256::digest(&bytes)), "keep_days": keep_days,
        });
        self.append_blocking(kinds::JOURNAL_DROPPED, body).map_err(|e| match e {
            JournalError::Store(e) => StoreError::Invalid(e.to_string()),
            other => StoreError::Invalid(other.to_string()),
        })?;
        // One by one, oldest first: a power cut must not leave a hole among the files, for readers take what the
        // checkpoint carries over only before the oldest one.
        for path in &found.gone {
            self.fs.remove(path).map_err(StoreError::io("remove journal file", path))?;
            self.fs.sync_dir(&self.dir).map_err(StoreError::io("sync directory", &self.dir))?;
        }
        for (seq, path) in list(&*self.fs, &self.dir)? {
            if seq < found.seq {
                self.fs.remove(&path).map_err(StoreError::io("remove checkpoint", &path))?;
            }
        }
        let files = found.gone.len() as u64;
        Ok(Some(DropReport { files, through_seq: found.seq, carried: head.records }))
    }
}

/// A clock that is this much ahead of the newest record is not believed when something is to be dropped.
const LEAP_MAX_US: i64 = 31 * 86_400_000_000;

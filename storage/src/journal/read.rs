//! Reading and verifying a journal.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::JournalRecord;
use super::format::{ChainHash, Decoded, FILE_HEAD, decode_head, decode_record, mend_head};
use super::recover::{files, load, load_head};
use crate::error::StoreError;
use crate::fs::Fs;

/// A place that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JournalDamage {
    /// The file.
    pub file: PathBuf,
    /// Offset within it.
    pub at: u64,
    /// What is wrong there.
    pub detail: String,
}

/// What a check of the whole journal found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Files read.
    pub files: u64,
    /// Records that hold.
    pub records: u64,
    /// Newest sequence number.
    pub last_seq: u64,
    /// SHA-256 of the newest record: it vouches for all before it.
    pub last_hash: String,
    /// Places that do not hold; none in a sound journal.
    pub damages: Vec<JournalDamage>,
}

impl VerifyReport {
    /// Everything holds.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damages.is_empty()
    }
}

/// Walks the records of one file after the other. Records that a later file writes again (left over from a refused
/// group) are passed over.
struct Walk {
    fs: Arc<dyn Fs>,
    /// Files still to come, newest first, each with the first number of the file after it.
    ahead: Vec<(PathBuf, u64)>,
    path: PathBuf,
    bytes: Vec<u8>,
    at: usize,
    /// Numbers of this file end before this one.
    until: u64,
}

enum Step {
    Record(Box<JournalRecord>),
    File(super::format::FileHead),
    Damage(JournalDamage),
    Done,
}

impl Walk {
    /// From the file that holds `from` on.
    fn open(fs: Arc<dyn Fs>, dir: &Path, from: u64) -> Result<Self, StoreError> {
        let mut ahead: Vec<(PathBuf, u64)> = Vec::new();
        let mut until = u64::MAX;
        for (_, path) in files(&*fs, dir)?.into_iter().rev() {
            let first = load_head(&*fs, &path)?.map(|h| h.first);
            ahead.push((path, until));
            if let Some(first) = first {
                until = until.min(first);
                if first <= from {
                    break;
                }
            }
        }
        Ok(Self { fs, ahead, path: PathBuf::new(), bytes: Vec::new(), at: 0, until: 0 })
    }

    fn damage(&self, at: usize, detail: &str) -> Step {
        Step::Damage(JournalDamage { file: self.path.clone(), at: at as u64, detail: detail.into() })
    }

    fn step(&mut self) -> Result<Step, StoreError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if rest.is_empty() {
            return self.next_file();
        }
        match decode_record(rest) {
            Decoded::Record(record, length) => {
                self.at += length;
                if record.seq >= self.until {
                    self.at = self.bytes.len();
                    return self.step();
                }
                Ok(Step::Record(record))
            }
            // A group that was refused may have left anything at the end of its file.
            Decoded::Short | Decoded::Invalid => {
                let at = self.at;
                let next = (1..rest.len()).find(|i| {
                    rest.get(*i..).is_some_and(|b| matches!(decode_record(b), Decoded::Record(..)))
                });
                self.at = next.map_or(self.bytes.len(), |n| at + n);
                let last = self.ahead.is_empty() && next.is_none();
                Ok(self.damage(at, if last { "torn tail" } else { "bytes that are no record" }))
            }
        }
    }

    fn next_file(&mut self) -> Result<Step, StoreError> {
        let Some((path, until)) = self.ahead.pop() else { return Ok(Step::Done) };
        self.bytes = load(&*self.fs, &path)?;
        self.path = path;
        self.until = until;
        self.at = FILE_HEAD.min(self.bytes.len());
        match decode_head(&self.bytes) {
            Some(head) => Ok(Step::File(head)),
            None => {
                // The records behind it vouch for themselves.
                if mend_head(&self.bytes).is_none() {
                    self.at = self.bytes.len();
                }
                Ok(self.damage(0, "the head of the file does not hold"))
            }
        }
    }
}

/// Records in order; see [`super::Journal::read`].
pub struct JournalIter {
    walk: Walk,
    next: u64,
    last: u64,
    failed: bool,
}

impl std::fmt::Debug for JournalIter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JournalIter")
            .field("next", &self.next)
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

impl JournalIter {
    pub(super) fn open(fs: Arc<dyn Fs>, dir: &Path, from: u64, last: u64) -> Result<Self, StoreError> {
        Ok(Self { walk: Walk::open(fs, dir, from)?, next: from.max(1), last, failed: false })
    }
}

impl Iterator for JournalIter {
    type Item = Result<JournalRecord, StoreError>;

    /// The next record. Damaged places are passed over; [`super::Journal::verify`] reports them.
    fn next(&mut self) -> Option<Self::Item> {
        while !self.failed && self.next <= self.last {
            match self.walk.step() {
                Ok(Step::Record(record)) if record.seq >= self.next => {
                    if record.seq > self.last {
                        return None;
                    }
                    self.next = record.seq + 1;
                    return Some(Ok(*record));
                }
                Ok(Step::Record(_) | Step::File(_) | Step::Damage(_)) => {}
                Ok(Step::Done) => return None,
                Err(e) => {
                    self.failed = true;
                    return Some(Err(e));
                }
            }
        }
        None
    }
}

/// Checks every record and the chain.
pub(super) fn verify(fs: &Arc<dyn Fs>, dir: &Path) -> Result<VerifyReport, StoreError> {
    let mut walk = Walk::open(fs.clone(), dir, 0)?;
    let mut report = VerifyReport::default();
    let mut hash: ChainHash = [0; 32];
    loop {
        match walk.step()? {
            Step::Done => break,
            Step::Damage(damage) => report.damages.push(damage),
            Step::File(head) => {
                report.files += 1;
                if head.first != report.last_seq + 1 || head.previous != hash {
                    let detail = format!("the file does not follow record {}", report.last_seq);
                    report.damages.push(JournalDamage { file: walk.path.clone(), at: 0, detail });
                }
            }
            Step::Record(record) => {
                report.records += 1;
                if record.seq != report.last_seq + 1 || record.previous != hash {
                    let detail = format!("record {} does not follow record {}", record.seq, report.last_seq);
                    report.damages.push(JournalDamage {
                        file: walk.path.clone(),
                        at: walk.at as u64,
                        detail,
                    });
                }
                report.last_seq = record.seq;
                hash = record.hash;
            }
        }
    }
    report.last_hash = hex::encode(hash);
    Ok(report)
}

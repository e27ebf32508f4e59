//! Checking a journal as a whole: every record, the chain, and what is known from outside the files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::format::{ChainHash, FileHead};
use super::head::{self, HEAD_FILE, HeadFound, JournalHead};
use super::read::{Step, Walk};
use super::{JournalRecord, checkpoint, kinds};
use crate::error::StoreError;
use crate::fs::Fs;
use crate::segment::KeyId;

/// Records remembered that a later file gives again; a refused group has at most `limits::JOURNAL_GROUP_MAX`.
const PASSED_MAX: usize = 65_536;

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

/// Something known of the journal from elsewhere: record `seq` has this hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// Who says so.
    pub name: String,
    /// The record.
    pub seq: u64,
    /// Its hash, hexadecimal; empty when only the number is known.
    pub hash: String,
}

/// What a check may rely on.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// The node's public key; without it any key is believed that signed consistently.
    pub key: Option<KeyId>,
    /// What other places know.
    pub witnesses: Vec<Witness>,
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
    /// The signed head, when it holds.
    pub head: Option<JournalHead>,
    /// Records up to this one were dropped when their term was over; 0 for none.
    pub checkpoint_seq: u64,
    /// Records of kinds that this program does not know.
    pub unknown_kinds: u64,
    /// Places that do not hold; none in a sound journal.
    pub damages: Vec<JournalDamage>,
    /// What a crash may leave and what is good to know; no damage.
    pub notes: Vec<String>,
}

impl VerifyReport {
    /// Everything holds.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damages.is_empty()
    }

    /// Records at the end that nothing outside the files vouches for yet.
    #[must_use]
    pub fn beyond_head(&self) -> u64 {
        self.last_seq.saturating_sub(self.head.as_ref().map_or(0, |h| h.seq))
    }
}

struct Check {
    report: VerifyReport,
    dir: PathBuf,
    hash: ChainHash,
    /// Hashes that are known from outside, and those that were found there.
    wanted: BTreeSet<u64>,
    seen: BTreeMap<u64, ChainHash>,
    /// Records that a later file gives again.
    passed: BTreeMap<u64, ChainHash>,
    /// A torn end and where; legal when the head does not vouch for what was there.
    torn: Option<JournalDamage>,
    began: bool,
    /// A record other than `journal.opened` follows an opening that signed a head.
    anchored: bool,
    signs: bool,
    /// Files up to this record were dropped by the node itself.
    dropped: u64,
    oldest: u64,
    /// Keys that the node had before it was restored without them.
    former_keys: BTreeSet<String>,
}

pub(super) fn verify(
    fs: &Arc<dyn Fs>,
    dir: &Path,
    options: &VerifyOptions,
) -> Result<VerifyReport, StoreError> {
    // The head first: a node that writes meanwhile only adds to what it vouches for.
    let head = head::read(&**fs, &dir.join(HEAD_FILE))?;
    let (checkpoint, bad) = checkpoint::newest(&**fs, dir)?;
    let mut check = Check::new(dir);
    for (path, why) in bad {
        check.damage(path, 0, why);
    }
    check.wanted.extend(options.witnesses.iter().map(|w| w.seq));
    if let HeadFound::Good(_, head) = &head {
        check.wanted.insert(head.seq);
    }
    if let Some(checkpoint) = &checkpoint {
        check.report.checkpoint_seq = checkpoint.head.seq;
        check.wanted.insert(checkpoint.head.seq);
    }
    let mut walk = Walk::open(fs.clone(), dir, 0)?;
    loop {
        match walk.step()? {
            Step::Done => break,
            Step::File(found) => check.file(&walk.path, &found, checkpoint.as_ref()),
            Step::Record(record) => check.record(&walk.path, walk.at, &record),
            Step::Passed(record) => {
                if check.passed.len() < PASSED_MAX {
                    check.passed.insert(record.seq, record.hash);
                }
            }
            Step::Damage(at, detail, last) => {
                let damage = JournalDamage { file: walk.path.clone(), at: at as u64, detail: detail.into() };
                if last {
                    check.torn = Some(damage);
                } else {
                    check.report.damages.push(damage);
                }
            }
        }
    }
    check.against_checkpoint(checkpoint.as_ref(), options.key);
    check.against_head(head, options.key);
    for witness in &options.witnesses {
        check.against(witness);
    }
    Ok(check.finish())
}

impl Check {
    fn new(dir: &Path) -> Self {
        Self {
            report: VerifyReport::default(),
            dir: dir.to_path_buf(),
            hash: [0; 32],
            wanted: BTreeSet::new(),
            seen: BTreeMap::new(),
            passed: BTreeMap::new(),
            torn: None,
            began: false,
            anchored: false,
            signs: false,
            dropped: 0,
            oldest: 0,
            former_keys: BTreeSet::new(),
        }
    }

    fn damage(&mut self, file: PathBuf, at: u64, detail: impl Into<String>) {
        self.report.damages.push(JournalDamage { file, at, detail: detail.into() });
    }

    fn signer(&mut self, path: PathBuf, key: KeyId) {
        self.damage(path, 0, format!("it is signed with the key {key}, which is not this node's"));
    }

    fn file(&mut self, path: &Path, head: &FileHead, checkpoint: Option<&checkpoint::Checkpoint>) {
        self.report.files += 1;
        if !self.began {
            self.began = true;
            self.oldest = head.first;
            // Where files were dropped, the chain begins in or right behind what the checkpoint stands for.
            if head.first > 1 && checkpoint.is_some_and(|c| head.first <= c.head.seq + 1) {
                self.report.last_seq = head.first - 1;
                self.hash = head.previous;
                if self.wanted.contains(&self.report.last_seq) {
                    self.seen.insert(self.report.last_seq, self.hash);
                }
            }
        }
        if head.first != self.report.last_seq + 1 || head.previous != self.hash {
            let detail = format!("the file does not follow record {}", self.report.last_seq);
            self.damage(path.to_path_buf(), 0, detail);
            // Said once; the records of the file are held against its own beginning.
            self.report.last_seq = head.first.saturating_sub(1);
            self.hash = head.previous;
        }
    }

    fn record(&mut self, path: &Path, end: usize, record: &JournalRecord) {
        self.report.records += 1;
        if record.seq != self.report.last_seq + 1 || record.previous != self.hash {
            let detail = format!("record {} does not follow record {}", record.seq, self.report.last_seq);
            self.damage(path.to_path_buf(), end as u64, detail);
        }
        if self.passed.get(&record.seq) == Some(&record.hash) {
            let detail = format!("record {} is there twice", record.seq);
            self.damage(path.to_path_buf(), end as u64, detail);
        }
        self.report.last_seq = record.seq;
        self.hash = record.hash;
        if self.wanted.contains(&record.seq) {
            self.seen.insert(record.seq, record.hash);
        }
        self.report.unknown_kinds += u64::from(kinds::find(&record.kind).is_none());
        if record.kind == kinds::JOURNAL_OPENED {
            if self.anchored && record.body.get("head_lost").is_some_and(|lost| lost == true) {
                let detail = "at this opening the head was missing or did not hold";
                self.damage(path.to_path_buf(), end as u64, detail);
            }
            self.signs |= record.body.get("key").is_some();
            let outcome = record.body.pointer("/found/outcome").and_then(|o| o.as_str());
            if outcome == Some("rewritten") {
                let detail = "at this opening the record that the head named was another one: the head in \
                              quarantine has the hash of the true one";
                self.damage(path.to_path_buf(), end as u64, detail);
            }
        } else {
            self.anchored |= self.signs;
        }
        if record.kind == kinds::JOURNAL_RESTORED {
            let key = record.body.get("key_before").and_then(|k| k.as_str());
            self.former_keys.extend(key.map(str::to_owned));
        }
        if record.kind == kinds::JOURNAL_DROPPED {
            let through = record.body.get("through_seq").and_then(serde_json::Value::as_u64);
            self.dropped = self.dropped.max(through.unwrap_or(0));
        }
    }

    fn against_checkpoint(&mut self, checkpoint: Option<&checkpoint::Checkpoint>, key: Option<KeyId>) {
        let Some(checkpoint) = checkpoint else { return };
        let path = self.dir.join(format!("{:020}.checkpoint", checkpoint.head.seq));
        let signer = checkpoint.key.to_string();
        if key.is_some_and(|key| key != checkpoint.key) && !self.former_keys.contains(&signer) {
            self.signer(path.clone(), checkpoint.key);
        }
        match self.seen.get(&checkpoint.head.seq) {
            Some(hash) if *hash == checkpoint.hash => {}
            Some(_) => self.damage(path, 0, "the journal has another record where the checkpoint stands"),
            None => self.damage(path, 0, "the record where the checkpoint stands is not in the journal"),
        }
        if self.oldest > self.dropped + 1 {
            let detail = format!("files before record {} are gone, and no record says why", self.oldest);
            self.damage(self.dir.clone(), 0, detail);
        }
    }

    fn against_head(&mut self, head: HeadFound, key: Option<KeyId>) {
        let path = self.dir.join(HEAD_FILE);
        match head {
            HeadFound::Invalid(why) => self.damage(path, 0, format!("the head does not hold: {why}")),
            HeadFound::Missing if self.anchored => {
                self.damage(path, 0, "the head is missing: the end of the journal is not vouched for");
            }
            HeadFound::Missing => {
                let note = "there is no head: nothing outside the files vouches for their end";
                self.report.notes.push(note.into());
            }
            HeadFound::Good(signer, head) => {
                if key.is_some_and(|key| key != signer) {
                    self.signer(path, signer);
                }
                self.against(&Witness { name: "the head".into(), seq: head.seq, hash: head.hash.clone() });
                self.report.head = Some(head);
            }
        }
    }

    fn against(&mut self, witness: &Witness) {
        let Witness { name, seq, hash } = witness;
        let found = self.seen.get(seq).copied();
        let detail = match found {
            _ if *seq > self.report.last_seq => format!(
                "the journal ends at record {}, but {name} vouches for record {seq}: its end was cut",
                self.report.last_seq
            ),
            Some(found) if !hash.is_empty() && hex::encode(found) != *hash => {
                format!("record {seq} is another one than {name} vouches for")
            }
            None if *seq >= self.oldest && *seq > 0 => {
                format!("record {seq}, which {name} vouches for, is not in the journal")
            }
            _ => return,
        };
        self.damage(self.dir.clone(), 0, detail);
    }

    fn finish(mut self) -> VerifyReport {
        if let Some(torn) = self.torn.take() {
            // Behind the head a crash may leave part of a record that was never acknowledged.
            let vouched = self.report.head.as_ref().is_some_and(|h| h.seq <= self.report.last_seq);
            if vouched && self.report.is_sound() {
                let place = format!("{} at byte {}", torn.file.display(), torn.at);
                self.report.notes.push(format!("torn end: {place}; nothing that was acknowledged"));
            } else {
                self.report.damages.push(JournalDamage { detail: "torn end".into(), ..torn });
            }
        }
        self.report.last_hash = hex::encode(self.hash);
        self.report
    }
}

//! Reading a journal.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fengsui_config::limits;

use super::format::{Decoded, FILE_HEAD, FileHead, decode_head, decode_record, peek};
use super::recover::{files, load, load_head};
use super::{JournalRecord, checkpoint};
use crate::error::StoreError;
use crate::fs::Fs;

/// Walks the records of one file after the other. Records that a later file writes again (left over from a refused
/// group) are passed over.
pub(super) struct Walk {
    fs: Arc<dyn Fs>,
    /// Files still to come, newest first, each with the first number of the file after it.
    ahead: Vec<(PathBuf, u64)>,
    pub path: PathBuf,
    bytes: Vec<u8>,
    pub at: usize,
    /// Numbers of this file end before this one.
    until: u64,
    /// Records before this one need not be looked at closely.
    skip: u64,
    /// First number of the oldest file that was looked at.
    pub oldest: Option<u64>,
}

/// One thing on the way.
pub(super) enum Step {
    Record(Box<JournalRecord>),
    /// A record whose number a later file gives again.
    Passed(Box<JournalRecord>),
    File(FileHead),
    /// Bytes that do not hold: their offset, what is wrong, and whether they are the last of all.
    Damage(usize, &'static str, bool),
    Done,
}

impl Walk {
    /// From the file that holds `from` on.
    pub(super) fn open(fs: Arc<dyn Fs>, dir: &Path, from: u64) -> Result<Self, StoreError> {
        let mut ahead: Vec<(PathBuf, u64)> = Vec::new();
        let mut until = u64::MAX;
        let mut oldest = None;
        for (_, path) in files(&*fs, dir)?.into_iter().rev() {
            let first = load_head(&*fs, &path)?.map(|h| h.first);
            ahead.push((path, until));
            if let Some(first) = first {
                oldest = Some(first);
                until = until.min(first);
                if first <= from {
                    break;
                }
            }
        }
        Ok(Self { fs, ahead, path: PathBuf::new(), bytes: Vec::new(), at: 0, until: 0, skip: from, oldest })
    }

    pub(super) fn step(&mut self) -> Result<Step, StoreError> {
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            if rest.is_empty() {
                return self.next_file();
            }
            // What comes before is not wanted, so its length is believed; a wrong one leads to bytes that are no record.
            if let Some((seq, length)) = peek(rest)
                && seq < self.skip
            {
                self.at += length;
                continue;
            }
            match decode_record(rest) {
                Decoded::Record(record, length) => {
                    self.at += length;
                    let passed = record.seq >= self.until;
                    return Ok(if passed { Step::Passed(record) } else { Step::Record(record) });
                }
                // A group that was refused may have left anything at the end of its file.
                Decoded::Short | Decoded::Invalid => {
                    let at = self.at;
                    let next = (1..rest.len()).find(|i| {
                        rest.get(*i..).is_some_and(|b| matches!(decode_record(b), Decoded::Record(..)))
                    });
                    self.at = next.map_or(self.bytes.len(), |n| at + n);
                    let last = self.ahead.is_empty() && next.is_none();
                    return Ok(Step::Damage(at, "bytes that are no record", last));
                }
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
                self.at = self.bytes.len();
                Ok(Step::Damage(0, "the head of the file does not hold", false))
            }
        }
    }
}

/// Records in order; see [`super::Journal::read`].
pub struct JournalIter {
    /// What a checkpoint carries over from files that were dropped.
    carried: VecDeque<JournalRecord>,
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
        let from = from.max(1);
        let walk = Walk::open(fs.clone(), dir, from)?;
        let mut carried = VecDeque::new();
        if walk.oldest.is_none_or(|oldest| from < oldest)
            && let (Some(checkpoint), _) = checkpoint::newest(&*fs, dir)?
        {
            let oldest = walk.oldest.unwrap_or(u64::MAX);
            let wanted = checkpoint.carried.into_iter().filter(|r| (from..oldest).contains(&r.seq));
            carried = wanted.collect();
        }
        Ok(Self { carried, walk, next: from, last, failed: false })
    }
}

impl Iterator for JournalIter {
    type Item = Result<JournalRecord, StoreError>;

    /// The next record. Damaged places are passed over; [`super::Journal::verify`] reports them.
    fn next(&mut self) -> Option<Self::Item> {
        if let Some(record) = self.carried.pop_front() {
            if record.seq > self.last {
                self.carried.clear();
                return None;
            }
            self.next = record.seq + 1;
            return Some(Ok(record));
        }
        while !self.failed && self.next <= self.last {
            match self.walk.step() {
                Ok(Step::Record(record)) if record.seq >= self.next => {
                    if record.seq > self.last {
                        return None;
                    }
                    self.next = record.seq + 1;
                    return Some(Ok(*record));
                }
                Ok(Step::Record(_) | Step::Passed(_) | Step::File(_) | Step::Damage(..)) => {}
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

/// A page of records.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JournalPage {
    /// Newest first.
    pub records: Vec<JournalRecord>,
    /// Ask for what is before this number to go on; `None` at the beginning of the journal.
    pub next_before: Option<u64>,
}

/// See [`super::Journal::page`].
pub(super) fn page(
    fs: &Arc<dyn Fs>,
    dir: &Path,
    before: u64,
    limit: usize,
    wanted: &dyn Fn(&JournalRecord) -> bool,
) -> Result<JournalPage, StoreError> {
    let mut page = JournalPage::default();
    let mut before = before;
    let mut starts: Vec<u64> = Vec::new();
    for (_, path) in files(&**fs, dir)? {
        starts.extend(load_head(&**fs, &path)?.map(|h| h.first));
    }
    // What a checkpoint carries over comes before the oldest file.
    starts.insert(0, 1);
    let mut looked = 0;
    while before > 1 && page.records.len() < limit && looked < limits::JOURNAL_PAGE_FILES_MAX {
        looked += 1;
        let from = starts.iter().copied().filter(|s| *s < before).max().unwrap_or(1);
        let mut newest = VecDeque::new();
        for record in JournalIter::open(fs.clone(), dir, from, before - 1)? {
            let record = record?;
            if wanted(&record) {
                newest.push_back(record);
                if newest.len() > limit - page.records.len() {
                    newest.pop_front();
                }
            }
        }
        let full = page.records.len() + newest.len() >= limit;
        before = newest.front().filter(|_| full).map_or(from, |r| r.seq);
        page.records.extend(newest.into_iter().rev());
    }
    page.next_before = (before > 1).then_some(before);
    Ok(page)
}

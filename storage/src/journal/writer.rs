//! The journal's thread: takes what waits, writes it as one group, syncs once, answers all.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use fengsui_config::clock::{Clock, UtcMicros};
use fengsui_config::limits;
use tokio::sync::{mpsc, oneshot};

use super::format::{ChainHash, FILE_HEAD, FileHead, encode_head, encode_record};
use super::head::HeadKeeper;
use super::recent::Recent;
use super::recover::{Found, file_name};
use super::{Counters, JournalError, JournalRecord};
use crate::error::StoreError;
use crate::fs::{Fs, FsFile, OpenOptions};

/// Who waits for a record: a task or a thread.
#[derive(Debug)]
pub(super) enum Answer {
    Task(oneshot::Sender<Result<u64, JournalError>>),
    Thread(std::sync::mpsc::SyncSender<Result<u64, JournalError>>),
}

impl Answer {
    fn send(self, result: Result<u64, JournalError>) {
        // Whoever does not wait any more does not need to know.
        match self {
            Self::Task(sender) => drop(sender.send(result)),
            Self::Thread(sender) => drop(sender.try_send(result)),
        }
    }
}

/// A record to be written.
#[derive(Debug)]
pub(super) struct Request {
    pub kind: String,
    pub body: Vec<u8>,
    pub answer: Answer,
}

/// The file being written.
#[derive(Debug)]
pub(super) struct Tail {
    pub path: PathBuf,
    pub file: Box<dyn FsFile>,
    pub length: u64,
    /// Time of its first record.
    pub begun: UtcMicros,
}

/// What a writer is given.
pub(super) struct Parts {
    pub fs: Arc<dyn Fs>,
    pub clock: Arc<dyn Clock>,
    pub node: String,
    pub epoch: u64,
    pub file_bytes_max: u64,
    pub recent: Arc<Recent>,
}

pub(super) struct Writer {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    node: String,
    epoch: u64,
    file_bytes_max: u64,
    head: Arc<HeadKeeper>,
    seq: u64,
    hash: ChainHash,
    next_ordinal: u64,
    tail: Option<Tail>,
    counters: Arc<Counters>,
    recent: Arc<Recent>,
}

impl Writer {
    pub(super) fn new(
        parts: Parts,
        dir: &Path,
        found: Found,
        counters: Arc<Counters>,
        head: Arc<HeadKeeper>,
    ) -> Self {
        let Parts { fs, clock, node, epoch, file_bytes_max, recent } = parts;
        Self {
            fs,
            dir: dir.to_path_buf(),
            clock,
            node,
            epoch,
            file_bytes_max,
            head,
            seq: found.last_seq,
            hash: found.last_hash,
            next_ordinal: found.next_ordinal,
            tail: found.tail,
            counters,
            recent,
        }
    }

    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        let mut group = Vec::new();
        while let Some(first) = queue.blocking_recv() {
            group.push(first);
            while group.len() < limits::JOURNAL_GROUP_MAX {
                let Ok(next) = queue.try_recv() else { break };
                group.push(next);
            }
            self.group(&mut group);
        }
    }

    fn group(&mut self, group: &mut Vec<Request>) {
        let mut bytes = Vec::new();
        let (mut seq, mut hash) = (self.seq, self.hash);
        for request in group.iter_mut() {
            seq += 1;
            let record = JournalRecord {
                node: self.node.clone(),
                epoch: self.epoch,
                seq,
                at: self.clock.utc(),
                kind: std::mem::take(&mut request.kind),
                body: serde_json::Value::Null,
                previous: hash,
                hash: [0; 32],
            };
            hash = encode_record(&record, &request.body, &mut bytes);
        }
        let written = self.write(&bytes);
        let first = self.seq + 1;
        match written {
            Ok(()) => {
                self.seq = seq;
                self.hash = hash;
                self.head.advance(seq, hash);
                self.recent.put(first, seq, bytes);
                self.counters.last_seq.store(seq, Ordering::Release);
                self.counters.records.fetch_add(group.len() as u64, Ordering::Relaxed);
                for (number, request) in (first..).zip(group.drain(..)) {
                    request.answer.send(Ok(number));
                }
            }
            Err(error) => {
                self.counters.errors.fetch_add(1, Ordering::Relaxed);
                // What was written of the group is not to be trusted: never write to this file again.
                self.tail = None;
                let error = Arc::new(error);
                for request in group.drain(..) {
                    request.answer.send(Err(JournalError::Store(error.clone())));
                }
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let now = self.clock.utc();
        let age_max = i64::try_from(limits::JOURNAL_FILE_AGE_MAX.as_micros()).unwrap_or(i64::MAX);
        // A clock that went back says nothing about age.
        let full = |t: &Tail| t.length >= self.file_bytes_max || now.0.saturating_sub(t.begun.0) >= age_max;
        if self.tail.as_ref().is_some_and(full) {
            self.tail = None;
        }
        if self.tail.is_none() {
            self.tail = Some(self.begin_file()?);
        }
        let Some(tail) = &mut self.tail else { return Ok(()) };
        tail.file.write_at(tail.length, bytes).map_err(StoreError::io("append to journal", &tail.path))?;
        tail.file.sync_data().map_err(StoreError::io("sync journal", &tail.path))?;
        self.counters.syncs.fetch_add(1, Ordering::Relaxed);
        tail.length += bytes.len() as u64;
        Ok(())
    }

    fn begin_file(&mut self) -> Result<Tail, StoreError> {
        let path = self.dir.join(file_name(self.next_ordinal));
        // Never try this name again, even if it fails half-way.
        self.next_ordinal += 1;
        let file =
            self.fs.open(&path, OpenOptions::NEW).map_err(StoreError::io("create journal file", &path))?;
        let head = encode_head(&FileHead { first: self.seq + 1, previous: self.hash });
        file.write_at(0, &head).map_err(StoreError::io("write journal file", &path))?;
        file.sync_all().map_err(StoreError::io("sync journal file", &path))?;
        self.fs.sync_dir(&self.dir).map_err(StoreError::io("sync directory", &self.dir))?;
        Ok(Tail { path, file, length: FILE_HEAD as u64, begun: self.clock.utc() })
    }
}

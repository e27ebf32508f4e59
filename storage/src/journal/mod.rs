//! The journal: the truth of everything that is not footage, and the audit log at once.
//!
//! Append-only files of records, each with a sequence number, a CRC, and the SHA-256 of the record before it. An
//! append is acknowledged only after `fdatasync`; records that come together share one. A thread of its own writes.
//!
//! Invariants
//! - An acknowledged record is on the disk. One that was refused may be there or not, but never becomes visible later
//!   as if it had been accepted by this process: after a failed write the file is given up and a new one begun.
//! - Sequence numbers have no holes; the epoch grows with every opening.
//! - Nothing that cannot be read is deleted: torn tails are copied to `quarantine`, damaged files stay as they are.

mod format;
pub mod kinds;
mod read;
mod recover;
mod reduce;
#[cfg(test)]
mod tests;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use fengsui_config::clock::{Clock, UtcMicros};
use fengsui_config::ids::NodeId;
use fengsui_config::limits;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use crate::error::StoreError;
use crate::fs::Fs;

pub use format::ChainHash;
pub use read::{JournalDamage, JournalIter, VerifyReport};
pub use reduce::{ReduceError, Reducer};

use writer::{Answer, Request, Writer};

/// One record.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JournalRecord {
    /// The node that wrote it.
    pub node: String,
    /// How many times the journal had been opened, this time included.
    pub epoch: u64,
    /// Sequence number; the first is 1.
    pub seq: u64,
    /// When, on the node's clock.
    pub at: UtcMicros,
    /// What, for example `session.opened`.
    pub kind: String,
    /// The facts.
    pub body: serde_json::Value,
    /// SHA-256 of the record before; zeros for the first.
    #[serde(skip)]
    pub previous: ChainHash,
    /// SHA-256 of this record.
    #[serde(skip)]
    pub hash: ChainHash,
}

/// Why a record was not accepted.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// Larger than `limits::JOURNAL_RECORD_BYTES_MAX`, or a kind of more than 255 bytes.
    #[error("a journal record may have {max} bytes; this one has {bytes}")]
    TooLarge {
        /// Size of the record.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// The disk refused. The record may or may not be there.
    #[error("{0}")]
    Store(Arc<StoreError>),
    /// The journal was closed.
    #[error("the journal is closed")]
    Closed,
}

/// What opening found in the newest file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum JournalOpening {
    /// There was no journal.
    New,
    /// Every byte was valid.
    Clean,
    /// The last bytes were not a whole record; they lie in `quarantine` now.
    TornTail {
        /// How many.
        bytes: u64,
    },
    /// Bytes before the end do not hold. The file stays as it is; a new one was begun.
    Damaged {
        /// The file.
        file: PathBuf,
        /// Offset of the first byte that does not.
        at: u64,
    },
}

/// Counters of the journal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct JournalStats {
    /// Newest durable sequence number.
    pub last_seq: u64,
    /// Epoch of this opening.
    pub epoch: u64,
    /// Records acknowledged by this process.
    pub records: u64,
    /// Syncs they took.
    pub syncs: u64,
    /// Failed writes and syncs.
    pub errors: u64,
}

#[derive(Debug, Default)]
struct Counters {
    last_seq: AtomicU64,
    records: AtomicU64,
    syncs: AtomicU64,
    errors: AtomicU64,
}

/// The journal of a node.
pub struct Journal {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    epoch: u64,
    opening: JournalOpening,
    counters: Arc<Counters>,
    queue: Mutex<Option<mpsc::Sender<Request>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal")
            .field("dir", &self.dir)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl Journal {
    /// Opens the journal in `dir`, mends its end, begins a new epoch, and notes that as record `journal.opened`.
    /// Fails when the file system does.
    pub fn open(
        fs: Arc<dyn Fs>,
        dir: &Path,
        clock: Arc<dyn Clock>,
        node: &NodeId,
    ) -> Result<Arc<Self>, StoreError> {
        let found = recover::open(&*fs, dir, clock.utc())?;
        let counters = Arc::new(Counters::default());
        counters.last_seq.store(found.last_seq, Ordering::Release);
        let epoch = found.epoch + 1;
        let opening = found.opening.clone();
        let writer = Writer::new(fs.clone(), dir, clock, node, epoch, found, counters.clone());
        let (sender, receiver) = mpsc::channel(limits::JOURNAL_QUEUE_MAX);
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || writer.run(receiver))
            .map_err(StoreError::io("start the journal's thread", dir))?;
        let journal = Arc::new(Self {
            fs,
            dir: dir.to_path_buf(),
            epoch,
            opening,
            counters,
            queue: Mutex::new(Some(sender)),
            thread: Mutex::new(Some(thread)),
        });
        let body = serde_json::json!({ "found": journal.opening });
        journal
            .append_blocking(kinds::JOURNAL_OPENED, body)
            .map_err(|e| StoreError::Invalid(e.to_string()))?;
        Ok(journal)
    }

    /// What opening found.
    #[must_use]
    pub fn opening(&self) -> &JournalOpening {
        &self.opening
    }

    /// Epoch of this opening.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Newest durable sequence number.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.counters.last_seq.load(Ordering::Acquire)
    }

    /// Adds a record and waits until it is durable; returns its sequence number. When the future is dropped early the
    /// record may still be written.
    pub async fn append(&self, kind: &str, body: serde_json::Value) -> Result<u64, JournalError> {
        let (answer, receiver) = oneshot::channel();
        let request = Self::request(kind, &body, Answer::Task(answer))?;
        let queue = self.queue.lock().clone().ok_or(JournalError::Closed)?;
        queue.send(request).await.map_err(|_| JournalError::Closed)?;
        receiver.await.map_err(|_| JournalError::Closed)?
    }

    /// As [`Self::append`], but holds the calling thread until the record is durable.
    pub fn append_blocking(&self, kind: &str, body: serde_json::Value) -> Result<u64, JournalError> {
        let (answer, receiver) = std::sync::mpsc::sync_channel(1);
        let mut request = Self::request(kind, &body, Answer::Thread(answer))?;
        let queue = self.queue.lock().clone().ok_or(JournalError::Closed)?;
        loop {
            match queue.try_send(request) {
                Ok(()) => break,
                Err(mpsc::error::TrySendError::Closed(_)) => return Err(JournalError::Closed),
                // The writer is at work on the group before; there is no way to be told when it is done.
                Err(mpsc::error::TrySendError::Full(back)) => {
                    request = back;
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
            }
        }
        receiver.recv().map_err(|_| JournalError::Closed)?
    }

    fn request(kind: &str, body: &serde_json::Value, answer: Answer) -> Result<Request, JournalError> {
        let body = body.to_string().into_bytes();
        let (bytes, max) = (body.len() + kind.len(), limits::JOURNAL_RECORD_BYTES_MAX);
        if bytes > max || kind.len() > usize::from(u8::MAX) {
            return Err(JournalError::TooLarge { bytes, max });
        }
        Ok(Request { kind: kind.to_owned(), body, answer })
    }

    /// The durable records from `from` on, in order. Reads the disk while it goes.
    pub fn read(&self, from: u64) -> Result<JournalIter, StoreError> {
        JournalIter::open(self.fs.clone(), &self.dir, from, self.last_seq())
    }

    /// Checks every record and the chain from the first to the last.
    pub fn verify(&self) -> Result<VerifyReport, StoreError> {
        read::verify(&self.fs, &self.dir)
    }

    /// Checks the journal in `dir` without opening it for writing.
    pub fn verify_dir(fs: &Arc<dyn Fs>, dir: &Path) -> Result<VerifyReport, StoreError> {
        read::verify(fs, dir)
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> JournalStats {
        let c = &self.counters;
        JournalStats {
            last_seq: self.last_seq(),
            epoch: self.epoch,
            records: c.records.load(Ordering::Relaxed),
            syncs: c.syncs.load(Ordering::Relaxed),
            errors: c.errors.load(Ordering::Relaxed),
        }
    }

    /// Writes what waits, then refuses everything that follows.
    pub fn close(&self) {
        drop(self.queue.lock().take());
        if let Some(thread) = self.thread.lock().take() {
            // A panic of the thread has been reported by the panic hook already.
            let _ = thread.join();
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

//! The journal: the truth of everything that is not footage, and the audit log at once.
//!
//! Append-only files of records, each with a sequence number, a CRC, and the SHA-256 of the record before it. An
//! append is acknowledged only after `fdatasync`; records that come together share one. A thread of its own writes.
//!
//! Beside the files lie a signed head (where the journal stood a moment ago, so that a cut of the end is seen), signed
//! checkpoints (what files whose term is over stood for), snapshots of reduced states and cursors of consumers. What
//! must hold is numbered in `storage/JOURNAL.md`.

mod checkpoint;
mod cursor;
mod cut;
mod format;
mod head;
pub mod kinds;
mod read;
mod recent;
mod recover;
mod reduce;
mod signed;
mod snapshot;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use fengsui_config::clock::{Clock, MonoMicros, UtcMicros};
use fengsui_config::ids::NodeId;
use fengsui_config::limits;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use crate::error::StoreError;
use crate::fs::Fs;
use crate::segment::NodeKey;

pub use checkpoint::DropReport;
pub use cursor::Cursor;
pub use cut::JournalCut;
pub use format::ChainHash;
pub use head::{HEAD_FILE, HeadFound, JournalHead};
pub use read::{JournalIter, JournalPage};
pub use reduce::{ReduceError, Reducer};
pub use snapshot::StateAt;
pub use verify::{JournalDamage, VerifyOptions, VerifyReport, Witness};

use head::HeadKeeper;
use recent::Recent;
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
    /// Records that were durable are gone from the end. Numbers go on behind them, so that the hole stays visible; the
    /// files stay as they are.
    Cut {
        /// Newest record that is there.
        last_seq: u64,
        /// Newest record that the signed head vouches for.
        head_seq: u64,
    },
    /// The record that the signed head names is another one than it says. The head lies in `quarantine` now.
    Rewritten {
        /// The record.
        head_seq: u64,
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
    /// Record that the signed head on disk vouches for.
    pub head_seq: u64,
    /// Failed writes of the head.
    pub head_errors: u64,
}

#[derive(Debug, Default)]
struct Counters {
    last_seq: AtomicU64,
    records: AtomicU64,
    syncs: AtomicU64,
    errors: AtomicU64,
    head_seq: AtomicU64,
    head_errors: AtomicU64,
}

/// What [`Journal::open`] needs.
#[derive(Clone)]
pub struct JournalOptions {
    /// The file system.
    pub fs: Arc<dyn Fs>,
    /// The journal's own directory.
    pub dir: PathBuf,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Name of the node.
    pub node: NodeId,
    /// Signs heads, checkpoints, snapshots and cursors.
    pub key: Arc<NodeKey>,
    /// How often a head that is behind is written; `None` for never but at opening and closing (tests).
    pub head_every: Option<Duration>,
    /// By how much the epoch grows; 1 but for a journal that comes from a backup.
    pub epoch_step: u64,
    /// A file that is longer is followed by a new one.
    pub file_bytes_max: u64,
}

impl JournalOptions {
    /// The usual bounds.
    #[must_use]
    pub fn new(
        fs: Arc<dyn Fs>,
        dir: PathBuf,
        clock: Arc<dyn Clock>,
        node: NodeId,
        key: Arc<NodeKey>,
    ) -> Self {
        let file_bytes_max = limits::JOURNAL_FILE_BYTES_MAX;
        let head_every = Some(limits::JOURNAL_HEAD_INTERVAL);
        Self { fs, dir, clock, node, key, head_every, epoch_step: 1, file_bytes_max }
    }
}

/// The journal of a node.
pub struct Journal {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    epoch: u64,
    opening: JournalOpening,
    /// Time of the newest record at opening, and when that was on the monotonic clock.
    found_at: UtcMicros,
    opened: MonoMicros,
    counters: Arc<Counters>,
    recent: Arc<Recent>,
    head: Arc<HeadKeeper>,
    dropping: Mutex<()>,
    queue: Mutex<Option<mpsc::Sender<Request>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
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
    /// Opens a journal, mends its end, begins a new epoch, notes that as record `journal.opened`, and signs a head.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn open(options: JournalOptions) -> Result<Arc<Self>, StoreError> {
        let JournalOptions { fs, dir, clock, node, key, head_every, epoch_step, file_bytes_max } = options;
        let now = clock.utc();
        let found = recover::open(&fs, &dir, now)?;
        let counters = Arc::new(Counters::default());
        counters.last_seq.store(found.last_seq, Ordering::Release);
        let epoch = found.epoch + epoch_step.max(1);
        let opening = found.opening.clone();
        let found_at = found.last_at.unwrap_or(now);
        let key_id = key.id().to_string();
        let head_lost = found.head_lost && found.last_seq > 0;
        let body = serde_json::json!({ "found": opening, "key": key_id, "head_lost": head_lost });
        let node = node.to_string();
        let head =
            HeadKeeper::new(fs.clone(), &dir, clock.clone(), key, node.clone(), epoch, counters.clone());
        head.advance(found.last_seq, found.last_hash);
        let head = Arc::new(head);
        let recent = Arc::new(Recent::default());
        let kept = recent.clone();
        let parts =
            writer::Parts { fs: fs.clone(), clock: clock.clone(), node, epoch, file_bytes_max, recent: kept };
        let writer = Writer::new(parts, &dir, found, counters.clone(), head.clone());
        let (sender, receiver) = mpsc::channel(limits::JOURNAL_QUEUE_MAX);
        let start = |name: &str, work: Box<dyn FnOnce() + Send>| {
            let thread = std::thread::Builder::new().name(name.into()).spawn(work);
            thread.map_err(StoreError::io("start the journal's thread", &dir))
        };
        let mut threads = vec![start("journal", Box::new(move || writer.run(receiver)))?];
        if let Some(every) = head_every {
            let keeper = head.clone();
            threads.push(start("journal-head", Box::new(move || keeper.run(every)))?);
        }
        let journal = Arc::new(Self {
            opened: clock.mono(),
            fs,
            dir,
            clock,
            epoch,
            opening,
            found_at,
            counters,
            recent,
            head,
            dropping: Mutex::new(()),
            queue: Mutex::new(Some(sender)),
            threads: Mutex::new(threads),
        });
        journal
            .append_blocking(kinds::JOURNAL_OPENED, body)
            .map_err(|e| StoreError::Invalid(e.to_string()))?;
        journal.head.write()?;
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

    /// The records in `dir` from `from` on, without opening it for writing; a node may be writing there.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn read_dir(fs: &Arc<dyn Fs>, dir: &Path, from: u64) -> Result<JournalIter, StoreError> {
        JournalIter::open(fs.clone(), dir, from, u64::MAX)
    }

    /// Up to `limit` durable records before number `before` that are `wanted`, newest first. Looks through a bounded
    /// number of records; where to go on stands in the page.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn page(
        &self,
        before: u64,
        limit: usize,
        wanted: &dyn Fn(&JournalRecord) -> bool,
    ) -> Result<JournalPage, StoreError> {
        read::page(&self.fs, &self.dir, before.min(self.last_seq() + 1), limit, wanted)
    }

    /// Checks every record, the chain from the first or the checkpoint to the last, and the last against the head.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn verify(&self) -> Result<VerifyReport, StoreError> {
        let options = VerifyOptions { key: Some(self.head.key.id()), witnesses: Vec::new() };
        verify::verify(&self.fs, &self.dir, &options)
    }

    /// As [`Self::verify`] for the journal in `dir`, without opening it for writing; a node may be writing there.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn verify_dir(
        fs: &Arc<dyn Fs>,
        dir: &Path,
        options: &VerifyOptions,
    ) -> Result<VerifyReport, StoreError> {
        verify::verify(fs, dir, options)
    }

    /// What the head in `dir` says.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn head_of(fs: &Arc<dyn Fs>, dir: &Path) -> Result<HeadFound, StoreError> {
        head::read(&**fs, &dir.join(HEAD_FILE))
    }

    /// What a copy of a head says; see [`Self::put_head`].
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn head_at(fs: &Arc<dyn Fs>, path: &Path) -> Result<HeadFound, StoreError> {
        head::read(&**fs, path)
    }

    /// Puts a signed head as of now at `path`, on another disk than the journal's: whoever cuts the journal would have to
    /// reach that one as well. Gives the record that it vouches for.
    ///
    /// A head there that knows more than this journal is left as it is: it is the witness of a cut. One from before the
    /// journal was restored is no such witness.
    ///
    /// # Errors
    /// When the disk refuses, or a witness of a cut lies there.
    pub fn put_head(&self, path: &Path) -> Result<u64, StoreError> {
        let (seq, bytes) = self.head.bytes()?;
        if let HeadFound::Good(key, there) = head::read(&*self.fs, path)?
            && key == self.head.key.id()
            && there.seq > seq
            && there.speaks_in(self.epoch)
        {
            let (path, more) = (path.display(), there.seq);
            return Err(StoreError::Invalid(format!(
                "{path} vouches for record {more}, but the journal ends at record {seq}: its end was cut; run \
                 fengsui journal verify"
            )));
        }
        signed::put(&*self.fs, path, &bytes)?;
        Ok(seq)
    }

    /// As [`Self::page`] for the journal in `dir`, which a node may be writing.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn page_dir(
        fs: &Arc<dyn Fs>,
        dir: &Path,
        before: u64,
        limit: usize,
        wanted: &dyn Fn(&JournalRecord) -> bool,
    ) -> Result<JournalPage, StoreError> {
        read::page(fs, dir, before, limit, wanted)
    }

    /// Newest durable record and its hash.
    #[must_use]
    pub fn newest(&self) -> (u64, ChainHash) {
        self.head.newest()
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
            head_seq: c.head_seq.load(Ordering::Acquire),
            head_errors: c.head_errors.load(Ordering::Relaxed),
        }
    }

    /// Writes what waits, signs a last head, then refuses everything that follows.
    pub fn close(&self) {
        drop(self.queue.lock().take());
        self.head.stop();
        let threads = std::mem::take(&mut *self.threads.lock());
        if threads.is_empty() {
            return;
        }
        for thread in threads {
            // A panic of the thread has been reported by the panic hook already.
            let _ = thread.join();
        }
        if let Err(error) = self.head.write() {
            tracing::error!(%error, "cannot write the last head of the journal");
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

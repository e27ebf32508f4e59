//! One segment into the archive, proved before it counts.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fengsui_config::clock::Clock;
use fengsui_config::limits;
use parking_lot::{Condvar, Mutex};

use super::plan::Throttle;
use super::status::Counting;
use super::store::{ArchiveError, ArchiveStore, Retention};
use crate::fs::{Fs, FsFile, OpenOptions};
use crate::segment::{self, Hash, Outcome};

/// Says that the archive stops, and waits with an ear for it.
#[derive(Debug, Default)]
pub(super) struct Stop {
    told: AtomicBool,
    lock: Mutex<()>,
    wake: Condvar,
}

impl Stop {
    pub(super) fn tell(&self) {
        self.told.store(true, Ordering::SeqCst);
        let _held = self.lock.lock();
        self.wake.notify_all();
    }
    pub(super) fn told(&self) -> bool {
        self.told.load(Ordering::SeqCst)
    }
    /// Waits for `time`, or until told; `true` when told.
    pub(super) fn wait(&self, time: Duration) -> bool {
        let mut held = self.lock.lock();
        if !self.told() {
            self.wake.wait_for(&mut held, time);
        }
        self.told()
    }
}

/// What all uploads of an archive share.
pub(super) struct Pace {
    pub throttle: Mutex<Throttle>,
    pub clock: Arc<dyn Clock>,
    pub stop: Stop,
}

impl Pace {
    /// Waits until `bytes` may go; fails when the archive stops.
    pub(super) fn take(&self, bytes: usize) -> io::Result<()> {
        let wait = self.throttle.lock().take(bytes as u64, self.clock.mono());
        let stopped = if wait.is_zero() { self.stop.told() } else { self.stop.wait(wait) };
        if stopped { Err(io::Error::new(io::ErrorKind::Interrupted, "the node stops")) } else { Ok(()) }
    }
}

/// A file that is read at the archive's pace.
struct Paced<'a> {
    file: &'a dyn FsFile,
    pace: &'a Pace,
}

impl std::fmt::Debug for Paced<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.file.fmt(f)
    }
}

impl FsFile for Paced<'_> {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let done = self.file.read_at(offset, out)?;
        // `Interrupted` would only be tried again by whoever reads.
        self.pace.take(done).map_err(|e| io::Error::other(e.to_string()))?;
        Ok(done)
    }
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn allocate_keep_size(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn truncate(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn sync_data(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn sync_all(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// What to do for one segment.
pub(super) struct Job<'a> {
    pub fs: &'a dyn Fs,
    pub store: &'a dyn ArchiveStore,
    pub pace: &'a Pace,
    pub counting: &'a Counting,
    pub path: &'a Path,
    pub key: &'a str,
    /// Read the object back whole and compare.
    pub proof: bool,
    pub retention: Option<Retention>,
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Done {
    pub bytes: u64,
    /// The segment's own hash; zeros where the file has no footer that holds.
    pub hash: Hash,
    /// The local file did not hold: it is stored as it is, and known as damaged.
    pub damaged: bool,
    pub proved: bool,
}

impl Job<'_> {
    /// Sends the segment unless it is there already, and proves that it is there.
    pub(super) fn run(&self) -> Result<Done, ArchiveError> {
        let local = |e: &dyn std::fmt::Display| ArchiveError::Local(format!("{}: {e}", self.path.display()));
        let found = segment::check(self.fs, self.path, true).map_err(|e| local(&e))?;
        let file = self.fs.open(self.path, OpenOptions::READ).map_err(|e| local(&e))?;
        let len = file.len().map_err(|e| local(&e))?;
        let paced = Paced { file: &*file, pace: self.pace };
        let mut there = self.store.size(self.key)? == Some(len);
        // An object of an attempt that was not acknowledged counts only when every byte of it is right.
        let mut proved = there && self.same(&paced, len)?;
        if proved {
            self.counting.found.fetch_add(1, Ordering::Relaxed);
        }
        there = proved;
        for attempt in 0..2 {
            if there {
                break;
            }
            self.store.put(self.key, &paced, len)?;
            (there, proved) = match self.store.size(self.key)? {
                Some(stored) if stored == len && self.proof => {
                    let same = self.same(&paced, len)?;
                    (same, same)
                }
                stored => (stored == Some(len), false),
            };
            if !there {
                self.counting.lies.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(key = self.key, attempt, "the archive does not hold what was sent");
            }
        }
        if !there {
            return Err(ArchiveError::Wrong(format!("{} is not what was sent", self.key)));
        }
        if let Some(retention) = self.retention {
            self.store.retain(self.key, retention)?;
        }
        let damaged = !matches!(found.outcome, Outcome::Clean);
        let hash = if damaged { [0; 32] } else { found.hash };
        Ok(Done { bytes: len, hash, damaged, proved })
    }

    /// Whether the object has the bytes of the file, each of them read back.
    fn same(&self, file: &dyn FsFile, len: u64) -> Result<bool, ArchiveError> {
        let part = limits::ARCHIVE_PART_BYTES;
        let mut room = vec![0; part.min(usize::try_from(len).unwrap_or(part))];
        let mut at = 0;
        while at < len {
            let want = usize::try_from((len - at).min(part as u64)).unwrap_or(part);
            let Some(room) = room.get_mut(..want) else { break };
            file.read_exact_at(at, room).map_err(|e| ArchiveError::Local(e.to_string()))?;
            let stored = match self.store.get(self.key, at, want) {
                Ok(stored) => stored,
                Err(ArchiveError::Wrong(_) | ArchiveError::NotFound(_)) => return Ok(false),
                Err(e) => return Err(e),
            };
            if *stored != *room {
                return Ok(false);
            }
            at += want as u64;
        }
        self.counting.verified.fetch_add(1, Ordering::Relaxed);
        Ok(true)
    }
}

//! The scrubber: reads all closed footage again and again at a bounded rate, and says what no longer holds.
//!
//! It goes through the segments in order of their start, so what was read longest ago comes first; its place survives
//! a restart. What readers stumble over, and what people ask for, goes before. A place that does not hold is listed in
//! the catalogue's [`crate::damage::Damages`] and reported to the journal; where a [`Replica`] has the segment, the
//! file is replaced by it and the damaged one kept in `quarantine`. No file is changed or deleted.
//!
//! Invariants
//! - A damaged place is in the list and on disk before the scrubber goes on.
//! - A file is replaced only by one that holds to its last byte and is the same segment by its signed hash.

mod core;
#[cfg(test)]
mod flips;
mod repair;
mod state;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use fengsui_config::clock::{Clock, UtcMicros};
use fengsui_config::ids::{StreamKey, VolumeId};
use fengsui_config::limits;
use parking_lot::{Condvar, Mutex};
use serde::{Deserialize, Serialize};

use crate::catalogue::Catalogue;
use crate::error::StoreError;
use crate::fs::Fs;
use crate::segment::{KeyId, SegmentRow};

pub use repair::{DirectoryReplica, Replica};

use self::core::Core;

/// Where findings go: the node's journal.
pub trait Reporter: Send + Sync {
    /// Puts a record into the journal, durably. The text says why it could not be.
    fn report(&self, kind: &'static str, body: serde_json::Value) -> Result<(), String>;
}

/// What the scrubber asks the rest of the node before it reads.
pub trait Surroundings: Send + Sync {
    /// Recording is behind, or memory for it runs out: not now.
    fn busy(&self) -> bool {
        false
    }
    /// The volume may be read.
    fn readable(&self, _volume: &VolumeId) -> bool {
        true
    }
    /// The file of a segment was replaced: whoever has it open opens it again.
    fn replaced(&self, _row: &SegmentRow) {}
}

/// What a scrubber needs.
#[derive(Clone)]
pub struct ScrubOptions {
    /// Files.
    pub fs: Arc<dyn Fs>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What there is, and where damage is listed.
    pub catalogue: Arc<Catalogue>,
    /// Volumes and their roots.
    pub volumes: Vec<(VolumeId, PathBuf)>,
    /// Folder of its state.
    pub dir: PathBuf,
    /// Bytes a second that the pass through all footage reads at most; 0 turns it off. Requests are read all the same.
    pub rate: u64,
    /// Segments must be signed by this key to replace a damaged one whose own hash is not known.
    pub key: Option<KeyId>,
    /// Where findings go.
    pub reporter: Arc<dyn Reporter>,
    /// The rest of the node.
    pub surroundings: Arc<dyn Surroundings>,
    /// Copies of segments; asked in order.
    pub replicas: Vec<Arc<dyn Replica>>,
    /// Segments that readers stumbled over.
    pub suspects: Arc<Suspects>,
}

impl std::fmt::Debug for ScrubOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScrubOptions")
            .field("dir", &self.dir)
            .field("rate", &self.rate)
            .finish_non_exhaustive()
    }
}

/// Segments that did not hold when somebody read them, at most `limits::SCRUB_SUSPECTS_MAX`; further ones wait for
/// the pass.
#[derive(Debug, Default)]
pub struct Suspects(Mutex<VecDeque<(StreamKey, u64)>>);

impl Suspects {
    /// Notes a segment, once.
    pub fn push(&self, key: StreamKey, number: u64) {
        let mut waiting = self.0.lock();
        if waiting.len() < limits::SCRUB_SUSPECTS_MAX && !waiting.contains(&(key, number)) {
            waiting.push_back((key, number));
        }
    }

    pub(crate) fn pop(&self) -> Option<(StreamKey, u64)> {
        self.0.lock().pop_front()
    }
}

/// What somebody wants read now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// One stream; all without.
    pub key: Option<StreamKey>,
    /// Segments that overlap `from <= t < to`.
    pub from: UtcMicros,
    /// End of the range.
    pub to: UtcMicros,
}

/// How far a pass or a request has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// When it began.
    pub started: UtcMicros,
    /// When it was through.
    pub finished: Option<UtcMicros>,
    /// Segments read.
    pub segments: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Segments that could not be read now, for example because their volume is away.
    pub skipped: u64,
    /// Places found that do not hold and were not known.
    pub damaged: u64,
    /// Segments replaced by a copy.
    pub repaired: u64,
}

/// A request and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestState {
    /// Counts up.
    pub id: u64,
    /// What is wanted.
    pub request: Request,
    /// How far it has come.
    pub progress: Progress,
    /// The segment read last.
    pub(crate) cursor: Option<(i64, StreamKey, u64)>,
}

/// What the scrubber does at the moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Doing {
    /// Nothing is stored yet, or all was read within the shortest time of a pass.
    #[default]
    Idle,
    /// Reads.
    Reading,
    /// Waits because recording needs the disks.
    Paused,
    /// The pass is turned off; only requests are read.
    Off,
}

/// How the scrubber stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ScrubStatus {
    /// At the moment.
    pub doing: Doing,
    /// Bytes a second at most.
    pub rate: u64,
    /// The pass under way.
    pub pass: Option<Progress>,
    /// Start of the segment read last in it: how far along the footage it is.
    pub reached: Option<UtcMicros>,
    /// The last pass that came through.
    pub last: Option<Progress>,
    /// Requests, those done included, the newest last; at most `limits::SCRUB_REQUESTS_MAX`.
    pub requests: Vec<RequestState>,
    /// Bytes read in this process's life.
    pub bytes: u64,
    /// Segments read in this process's life.
    pub segments: u64,
    /// Places found in this process's life.
    pub damaged: u64,
    /// Segments repaired in this process's life.
    pub repaired: u64,
    /// Failures: a volume that cannot be read, a state that cannot be kept, a record that cannot be written.
    pub errors: u64,
}

/// The scrubber of a node.
pub struct Scrubber {
    shared: Arc<Shared>,
    core: Mutex<Option<Core>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the thread and its owner share.
#[derive(Debug, Default)]
struct Shared {
    status: Mutex<ScrubStatus>,
    asked: Mutex<VecDeque<Request>>,
    stopping: AtomicBool,
    bell: (Mutex<()>, Condvar),
}

impl std::fmt::Debug for Scrubber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scrubber").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl Scrubber {
    /// Starts the scrubber on a thread of its own. A state that does not hold is no error: the pass begins anew.
    /// Fails when the thread cannot be started.
    pub fn start(options: ScrubOptions) -> Result<Self, StoreError> {
        let dir = options.dir.clone();
        let scrubber = Self::manual(options);
        let Some(mut core) = scrubber.core.lock().take() else { return Ok(scrubber) };
        let shared = scrubber.shared.clone();
        let run = move || {
            while !shared.stopping.load(Ordering::Acquire) {
                core.step();
                let mut guard = shared.bell.0.lock();
                if !shared.stopping.load(Ordering::Acquire) {
                    shared.bell.1.wait_for(&mut guard, limits::SCRUB_INTERVAL);
                }
            }
            core.finish();
        };
        let thread = std::thread::Builder::new().name("scrubber".into()).spawn(run);
        *scrubber.thread.lock() = Some(thread.map_err(StoreError::io("start the scrubber's thread", &dir))?);
        Ok(scrubber)
    }

    /// A scrubber without a thread: nothing happens but by [`Self::step`]. For tests, and for simulated time.
    #[must_use]
    pub fn manual(options: ScrubOptions) -> Self {
        let shared = Arc::new(Shared::default());
        let core = Core::new(options, shared.clone());
        Self { shared, core: Mutex::new(Some(core)), thread: Mutex::default() }
    }

    /// Reads as much as the time since the last step allows. Only for a scrubber made by [`Self::manual`].
    pub fn step(&self) {
        if let Some(core) = &mut *self.core.lock() {
            core.step();
        }
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self) -> ScrubStatus {
        self.shared.status.lock().clone()
    }

    /// Reads what is wanted before the pass goes on. False when too many requests wait already.
    #[must_use]
    pub fn request(&self, request: Request) -> bool {
        let open = self.status().requests.iter().filter(|r| r.progress.finished.is_none()).count();
        let mut asked = self.shared.asked.lock();
        if open + asked.len() >= limits::SCRUB_REQUESTS_MAX {
            return false;
        }
        asked.push_back(request);
        self.shared.bell.1.notify_all();
        true
    }

    /// Keeps its place and ends the thread.
    pub fn stop(&self) {
        {
            let _guard = self.shared.bell.0.lock();
            self.shared.stopping.store(true, Ordering::Release);
            self.shared.bell.1.notify_all();
        }
        if let Some(thread) = self.thread.lock().take() {
            // A panic of the thread has been reported by the panic hook already.
            let _ = thread.join();
        }
        if let Some(mut core) = self.core.lock().take() {
            core.finish();
        }
    }
}

impl Drop for Scrubber {
    fn drop(&mut self) {
        self.stop();
    }
}

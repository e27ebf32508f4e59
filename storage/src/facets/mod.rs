//! Derived facets of closed segments: what a listing needs of each, so that lists of groups and playlists over hours and
//! days open no segment file.
//!
//! Never the only copy of anything. A row is believed only when its check sum holds and it is of exactly the segment
//! that the catalogue names; whatever else happens to the store (an error, a panic, bytes that do not hold, a full
//! disk) takes the whole store out of use at once, wipes it and has it filled anew. Until then, and wherever there is no
//! row, listings read the files. Rows come from segments as they are closed, and from a pass through all of them in
//! the background, newest first, at a bounded rate, which waits while recording is behind.
//!
//! Invariants
//! - A listing is the same with facets and without.
//! - Nothing that happens to the store is seen by recording, start or reads.
//! - Damage that is known is never hidden: of a segment that has any, the file is read.

mod fill;
mod row;
mod store;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use fengsui_config::clock::Clock;
use fengsui_config::ids::VolumeId;
use fengsui_config::limits;
use parking_lot::{Condvar, Mutex, RwLock};
use serde::Serialize;

use crate::catalogue::Catalogue;
use crate::error::StoreError;
use crate::fs::Fs;
use crate::scrub::{Reporter, Surroundings};
use crate::segment::SegmentRow;

pub use row::{BadRow, Facet, period, place, seal, unseal};
pub use store::{FacetHome, FacetStore, Fault, MemoryStore};
pub use tree::{SledHome, erase};

use fill::Filler;

/// What the facets do at the moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FacetState {
    /// No store is open; listings read the files.
    #[default]
    Off,
    /// The pass through all segments is under way.
    Filling,
    /// The pass came through, or as far as there may be rows.
    Ready,
    /// Filling waits because recording needs the disks.
    Paused,
    /// The disk of the data folder is too full for more rows.
    NoRoom,
}

/// How the facets stand. Counters are of this process's life.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FacetStatus {
    /// At the moment.
    pub state: FacetState,
    /// Rows that a pass found or made, and those made since.
    pub rows: u64,
    /// Bytes on the disk when last looked at.
    pub bytes: u64,
    /// Listings of a segment that read no file.
    pub hits: u64,
    /// Listings of a closed segment that read its file.
    pub misses: u64,
    /// Rows made.
    pub filled: u64,
    /// Times that the store was wiped because something did not hold.
    pub rebuilds: u64,
    /// Closed segments that found the queue full; the pass sees to them.
    pub dropped: u64,
    /// Segments that the pass under way, or the last one, has looked at.
    pub checked: u64,
    /// Segments that there were when it began.
    pub total: u64,
    /// Why the store was wiped last, or cannot be opened.
    pub reason: Option<String>,
}

/// What filling needs of the node.
pub struct FillOptions {
    /// Segment files, and the room of the data folder.
    pub fs: Arc<dyn Fs>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What there is.
    pub catalogue: Arc<Catalogue>,
    /// Volumes and their roots.
    pub volumes: Vec<(VolumeId, PathBuf)>,
    /// A folder on the disk whose room is looked at.
    pub data: PathBuf,
    /// The rest of the node.
    pub surroundings: Arc<dyn Surroundings>,
    /// Where it is noted that the store was wiped.
    pub reporter: Arc<dyn Reporter>,
}

impl std::fmt::Debug for FillOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FillOptions").field("data", &self.data).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Counters {
    hits: AtomicU64,
    misses: AtomicU64,
    dropped: AtomicU64,
}

/// The facets of a node. Safe from many threads; no call waits for filling, and none fails.
pub struct Facets {
    home: Box<dyn FacetHome>,
    store: RwLock<Option<Arc<dyn FacetStore>>>,
    /// Why the store is in doubt, until the filling thread has wiped it.
    doubt: Mutex<Option<Fault>>,
    queue: Mutex<VecDeque<SegmentRow>>,
    counters: Counters,
    status: Mutex<FacetStatus>,
    stopping: AtomicBool,
    bell: (Mutex<()>, Condvar),
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Facets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Facets").field("status", &self.status()).finish_non_exhaustive()
    }
}

/// Runs what may panic: sled's own assertions are its way to say that its files do not hold.
fn guarded<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    // What the panic leaves half done is never used again: the whole store is given up.
    match std::panic::catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done,
        Err(_) => Err(Fault::Broken("the store panicked".into())),
    }
}

impl Facets {
    /// Facets that are kept in `home`. Without a store until [`Self::start`], or steps of [`Self::manual`], open it.
    #[must_use]
    pub fn new(home: Box<dyn FacetHome>) -> Arc<Self> {
        Arc::new(Self {
            home,
            store: RwLock::default(),
            doubt: Mutex::default(),
            queue: Mutex::default(),
            counters: Counters::default(),
            status: Mutex::default(),
            stopping: AtomicBool::new(false),
            bell: Default::default(),
            thread: Mutex::default(),
        })
    }

    /// Opens the store and fills it, on a thread of its own. Fails when the thread cannot be started.
    pub fn start(self: &Arc<Self>, options: FillOptions) -> Result<(), StoreError> {
        let data = options.data.clone();
        let mut filler = self.manual(options);
        let shared = self.clone();
        let run = move || {
            while !shared.stopping.load(Ordering::Acquire) {
                // Whatever goes wrong here costs facets, never the thread.
                if std::panic::catch_unwind(AssertUnwindSafe(|| filler.step())).is_err() {
                    shared.doubt(Fault::Broken("filling panicked".into()));
                }
                let mut guard = shared.bell.0.lock();
                if !shared.stopping.load(Ordering::Acquire) {
                    shared.bell.1.wait_for(&mut guard, limits::FACET_INTERVAL);
                }
            }
            // The last of what is not on the disk yet goes there now; a crash would only have cost those rows.
            let store = shared.store.write().take();
            let _ = guarded(|| {
                drop(store);
                Ok(())
            });
        };
        let thread = std::thread::Builder::new().name("facets".into()).spawn(run);
        *self.thread.lock() = Some(thread.map_err(StoreError::io("start the thread of facets", &data))?);
        Ok(())
    }

    /// Filling without a thread: nothing happens but by [`Filler::step`]. For tests, and for simulated time.
    fn manual(self: &Arc<Self>, options: FillOptions) -> Filler {
        let of = Arc::downgrade(self);
        options.catalogue.on_closed(Box::new(move |row| {
            if let Some(facets) = of.upgrade() {
                facets.offer(row);
            }
        }));
        Filler::new(self.clone(), options)
    }

    /// Ends the thread; listings read the files from now on. May wait for the disk.
    pub fn stop(&self) {
        {
            let _guard = self.bell.0.lock();
            self.stopping.store(true, Ordering::Release);
            self.bell.1.notify_all();
        }
        if let Some(thread) = self.thread.lock().take() {
            // A panic of the thread has been reported by the panic hook already.
            let _ = thread.join();
        }
    }

    /// A segment was closed: its facet is made soon.
    fn offer(&self, row: &SegmentRow) {
        let mut queue = self.queue.lock();
        if queue.len() >= limits::FACET_QUEUE_MAX {
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        queue.push_back(row.clone());
    }

    /// What a listing needs of a closed segment, if there is a row that is exactly of it.
    #[must_use]
    pub fn get(&self, row: &SegmentRow) -> Option<Facet> {
        let found = self.look(row);
        let counter = if found.is_some() { &self.counters.hits } else { &self.counters.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    fn look(&self, row: &SegmentRow) -> Option<Facet> {
        let store = self.store.read().clone()?;
        self.read(&*store, row).unwrap_or_else(|fault| {
            self.doubt(fault);
            None
        })
    }

    fn read(&self, store: &dyn FacetStore, row: &SegmentRow) -> Result<Option<Facet>, Fault> {
        let stored = guarded(|| store.get(period(row.start_ms), &place(row)))?;
        let Some(bytes) = stored else { return Ok(None) };
        unseal(row, &bytes).map_err(|bad| Fault::Broken(bad.to_string()))
    }

    /// Bytes of a segment did not hold when they were read: what is kept of it is let go.
    pub fn distrust(&self, row: &SegmentRow) {
        let Some(store) = self.store.read().clone() else { return };
        if let Err(fault) = guarded(|| store.remove(period(row.start_ms), &place(row))) {
            self.doubt(fault);
        }
    }

    /// Takes the store out of use at once; the filling thread wipes it and begins anew.
    fn doubt(&self, fault: Fault) {
        // In this order: a store is never opened again before it was wiped.
        self.doubt.lock().get_or_insert(fault);
        let gone = self.store.write().take();
        if let Some(gone) = gone {
            discard(gone);
        }
        self.bell.1.notify_all();
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self) -> FacetStatus {
        let load = |n: &AtomicU64| n.load(Ordering::Relaxed);
        let c = &self.counters;
        FacetStatus {
            hits: load(&c.hits),
            misses: load(&c.misses),
            dropped: load(&c.dropped),
            ..self.status.lock().clone()
        }
    }
}

/// Lets go of a store that is in doubt on a thread that nobody waits for: after a panic, its own end may wait for ever
/// for what the panic left locked. One at each rebuild at most, and those come with growing pauses.
fn discard(store: Arc<dyn FacetStore>) {
    let held = Arc::new(Mutex::new(Some(store)));
    let inner = held.clone();
    let run = move || {
        let store = inner.lock().take();
        let _ = guarded(|| {
            drop(store);
            Ok(())
        });
    };
    if std::thread::Builder::new().name("facets-end".into()).spawn(run).is_err() {
        // No thread to be had: its memory is the lesser loss.
        std::mem::forget(held);
    }
}

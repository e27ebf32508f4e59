//! One stream of the hub: a ring behind a lock, and a bell for those who wait.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use fengsui_config::clock::Clock;
use fengsui_config::ids::StreamKey;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::ring::{Edge, Ring};
use super::{Hub, LiveTap, RecorderTap, Shared};
use crate::frame::{AccessUnit, GapReason, StreamInfo};

/// One stream: one producer, at most one recorder, any number of viewers.
pub struct StreamHub {
    key: StreamKey,
    clock: Arc<dyn Clock>,
    hub: Weak<Hub>,
    pub(super) shared: Arc<Shared>,
    pub(super) ring: Mutex<Ring>,
    /// Bytes of the ring, readable without the lock.
    pub(super) held: AtomicUsize,
    pub(super) bell: Notify,
    viewers: watch::Sender<usize>,
    generations: AtomicU64,
}

impl fmt::Debug for StreamHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamHub")
            .field("key", &self.key)
            .field("viewers", &self.viewers())
            .finish_non_exhaustive()
    }
}

impl StreamHub {
    pub(super) fn new(key: StreamKey, clock: Arc<dyn Clock>, shared: Arc<Shared>, hub: Weak<Hub>) -> Self {
        Self {
            key,
            clock,
            hub,
            shared,
            ring: Mutex::new(Ring::new()),
            held: AtomicUsize::new(0),
            bell: Notify::new(),
            viewers: watch::Sender::new(0),
            generations: AtomicU64::new(0),
        }
    }

    /// Which stream this is.
    #[must_use]
    pub fn key(&self) -> StreamKey {
        self.key
    }

    /// A run of units with these parameters begins.
    pub fn begin(&self, info: StreamInfo) {
        self.change(|ring| ring.begin(Arc::new(info)));
        self.relieve();
    }

    /// Adds one unit. Never waits. Outside a run the unit is counted and thrown away.
    pub fn push(&self, unit: AccessUnit) {
        let bytes = unit.data.len() as u64;
        let watched = self.viewers() > 0;
        let taken = self.change(|ring| {
            let taken = ring.push(unit);
            ring.evict(watched);
            taken
        });
        if taken {
            self.shared.units.fetch_add(1, Ordering::Relaxed);
            self.shared.bytes.fetch_add(bytes, Ordering::Relaxed);
        } else {
            self.shared.orphans.fetch_add(1, Ordering::Relaxed);
        }
        self.relieve();
    }

    fn relieve(&self) {
        if let Some(hub) = self.hub.upgrade() {
            hub.relieve();
        }
    }

    /// The stream is absent from now on. Called again with another reason, the absence changes its reason from then
    /// on; called again with the same reason, nothing happens.
    pub fn end(&self, reason: GapReason) {
        let at = self.clock.utc();
        let watched = self.viewers() > 0;
        self.change(|ring| ring.end(reason, at, watched));
        self.relieve();
    }

    /// Parameters of the run in progress.
    #[must_use]
    pub fn info(&self) -> Option<Arc<StreamInfo>> {
        match &self.ring.lock().edge {
            Edge::Running(info) => Some(info.clone()),
            Edge::Unknown | Edge::Ended { .. } => None,
        }
    }

    /// Viewers attached now.
    #[must_use]
    pub fn viewers(&self) -> usize {
        *self.viewers.borrow()
    }

    /// Tells when the number of viewers changes: sub-streams are pulled only while somebody watches.
    #[must_use]
    pub fn watch_viewers(&self) -> watch::Receiver<usize> {
        self.viewers.subscribe()
    }

    /// The recorder's cursor, at the newest key frame. An earlier tap of the same stream goes silent.
    #[must_use]
    pub fn attach_recorder(self: &Arc<Self>) -> RecorderTap {
        let generation = self.generations.fetch_add(1, Ordering::Relaxed) + 1;
        self.change(|ring| ring.attach_recorder(generation));
        RecorderTap::new(self.clone(), generation)
    }

    /// A viewer's cursor: at the newest key frame when `warm`, otherwise at the next one to come.
    #[must_use]
    pub fn subscribe(self: &Arc<Self>, warm: bool) -> LiveTap {
        self.viewers.send_modify(|n| *n += 1);
        LiveTap::new(self.clone(), warm)
    }

    pub(super) fn leave(&self) {
        self.viewers.send_modify(|n| *n = n.saturating_sub(1));
    }

    /// Changes the ring, keeps the sums, wakes who waits.
    pub(super) fn change<T>(&self, f: impl FnOnce(&mut Ring) -> T) -> T {
        let mut ring = self.ring.lock();
        let head = ring.head();
        let result = f(&mut ring);
        let bytes = ring.bytes;
        let before = self.held.swap(bytes, Ordering::Relaxed);
        let wake = ring.waiting && ring.head() != head;
        if wake {
            ring.waiting = false;
        }
        drop(ring);
        if bytes >= before {
            self.shared.ring_bytes.fetch_add(bytes - before, Ordering::Relaxed);
        } else {
            self.shared.ring_bytes.fetch_sub(before - bytes, Ordering::Relaxed);
        }
        if wake {
            self.bell.notify_waiters();
        }
        result
    }
}

impl Drop for StreamHub {
    fn drop(&mut self) {
        self.shared.ring_bytes.fetch_sub(self.held.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

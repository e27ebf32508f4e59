//! The hub: between the cameras and everybody who wants their pictures.
//!
//! One ring of recent access units per stream, in memory. The producer (ingest) pushes and never waits; the recorder
//! and the viewers are cursors into the ring, so nobody has a queue of its own and one picture is held once.
//!
//! Invariants
//! - A push never blocks on a reader, a disk or the network.
//! - What the recorder has not drained stays until the budget of all rings together is used up. Then whole groups of
//!   pictures go, oldest first, from the stream with the largest backlog, and the recorder is told (`Dropped`).
//! - After any drop a reader continues at a key frame.
//! - The last group of pictures stays for a warm start while it has at most `limits::WARM_START_UNITS_MAX` units.
//! - `HubUnit::seq` never repeats and never steps back within a stream.

mod relief;
mod ring;
mod stream;
mod taps;
#[cfg(test)]
mod tests;
mod unit;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use fengsui_config::clock::{Clock, UtcMicros};
use fengsui_config::ids::StreamKey;
use parking_lot::{Mutex, RwLock};

use crate::frame::{GapReason, StreamInfo};

pub use stream::StreamHub;
pub use taps::{LiveTap, RecorderTap};
pub use unit::HubUnit;

/// What the recorder drains.
#[derive(Debug, Clone)]
pub enum RingItem {
    /// A run of units with these parameters begins.
    Begin(Arc<StreamInfo>),
    /// One unit.
    Unit(Arc<HubUnit>),
    /// The stream is absent from `at` on; may come again with another reason.
    End {
        /// Why.
        reason: GapReason,
        /// Since when, on the node's clock.
        at: UtcMicros,
    },
    /// Units left the ring before they were drained; what follows starts at a key frame.
    Dropped {
        /// How many.
        units: u64,
        /// Time of the first one lost.
        from: UtcMicros,
        /// Time of the last one lost.
        to: UtcMicros,
    },
}

/// What a viewer receives. Video only: browsers get the video track alone.
#[derive(Debug, Clone)]
pub enum LiveItem {
    /// The parameters of the units that follow.
    Begin(Arc<StreamInfo>),
    /// One picture.
    Unit {
        /// The picture.
        unit: Arc<HubUnit>,
        /// From the cached group of pictures: older than now, to be shown at once.
        warm: bool,
    },
    /// The viewer was too slow; what follows starts at a key frame.
    Dropped {
        /// Pictures skipped.
        units: u64,
    },
    /// The stream is absent.
    End {
        /// Why.
        reason: GapReason,
    },
}

/// Counters of the hub since the process started, and what it holds now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HubStats {
    /// Streams known.
    pub streams: usize,
    /// Viewers attached now.
    pub viewers: usize,
    /// Bytes in all rings now.
    pub ring_bytes: usize,
    /// Bound of `ring_bytes` above which the relief drops.
    pub budget_bytes: usize,
    /// Units pushed.
    pub units: u64,
    /// Bytes pushed.
    pub bytes: u64,
    /// Units the recorder lost because the budget was used up.
    pub recorder_dropped_units: u64,
    /// Pictures that viewers skipped.
    pub viewer_dropped_units: u64,
    /// Units pushed outside a run (before `begin` or after `end`), which nobody can use.
    pub orphan_units: u64,
}

/// Counters shared by all streams of a hub.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    ring_bytes: AtomicUsize,
    units: AtomicU64,
    bytes: AtomicU64,
    recorder_dropped: AtomicU64,
    viewer_dropped: AtomicU64,
    orphans: AtomicU64,
}

/// All streams of a node.
pub struct Hub {
    clock: Arc<dyn Clock>,
    budget_bytes: usize,
    shared: Arc<Shared>,
    streams: RwLock<BTreeMap<StreamKey, Arc<StreamHub>>>,
    relief: Mutex<()>,
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Hub {
    /// A hub whose rings together hold about `budget_bytes` at most.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, budget_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            clock,
            budget_bytes: budget_bytes.max(1),
            shared: Arc::default(),
            streams: RwLock::default(),
            relief: Mutex::new(()),
        })
    }

    /// The stream `key`, made when new.
    #[must_use]
    pub fn stream(self: &Arc<Self>, key: StreamKey) -> Arc<StreamHub> {
        if let Some(found) = self.streams.read().get(&key) {
            return found.clone();
        }
        self.streams
            .write()
            .entry(key)
            .or_insert_with(|| {
                Arc::new(StreamHub::new(key, self.clock.clone(), self.shared.clone(), Arc::downgrade(self)))
            })
            .clone()
    }

    /// Every stream, in order of key.
    #[must_use]
    pub fn streams(&self) -> Vec<Arc<StreamHub>> {
        self.streams.read().values().cloned().collect()
    }

    /// Forgets a stream that left the configuration. Readers that still hold it see no more units.
    pub fn remove(&self, key: &StreamKey) {
        self.streams.write().remove(key);
    }

    /// Counters and present sizes.
    #[must_use]
    pub fn stats(&self) -> HubStats {
        let streams = self.streams.read();
        let s = &self.shared;
        HubStats {
            streams: streams.len(),
            viewers: streams.values().map(|h| h.viewers()).sum(),
            ring_bytes: s.ring_bytes.load(Ordering::Relaxed),
            budget_bytes: self.budget_bytes,
            units: s.units.load(Ordering::Relaxed),
            bytes: s.bytes.load(Ordering::Relaxed),
            recorder_dropped_units: s.recorder_dropped.load(Ordering::Relaxed),
            viewer_dropped_units: s.viewer_dropped.load(Ordering::Relaxed),
            orphan_units: s.orphans.load(Ordering::Relaxed),
        }
    }
}

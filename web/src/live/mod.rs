//! Live pictures: one WebSocket a browser tab carries all its tiles.
//!
//! The wire is described in [`protocol`]; [`socket`] is the driver; [`wall`] is what one socket subscribes to.

pub mod protocol;
pub mod socket;
#[cfg(test)]
mod tests;
pub mod wall;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Counters of live viewing on a node.
#[derive(Debug, Default)]
pub struct LiveCounters {
    sockets: AtomicUsize,
    subscriptions: AtomicUsize,
    /// Pictures sent.
    pub units: AtomicU64,
    /// Bytes sent.
    pub bytes: AtomicU64,
    /// Pictures skipped because a viewer was too slow.
    pub dropped: AtomicU64,
    /// Sum of the times from arrival to hand-over, in microseconds, of pictures that were not from the cache.
    pub latency_us: AtomicU64,
    /// Pictures in that sum.
    pub latency_units: AtomicU64,
    /// Sum of what browsers report as their own latency, in milliseconds.
    pub viewer_latency_ms: AtomicU64,
    /// Reports in that sum.
    pub viewer_reports: AtomicU64,
}

impl LiveCounters {
    /// Wall sockets open now.
    #[must_use]
    pub fn sockets(&self) -> usize {
        self.sockets.load(Ordering::Relaxed)
    }
    /// Subscriptions of all sockets now.
    #[must_use]
    pub fn subscriptions(&self) -> usize {
        self.subscriptions.load(Ordering::Relaxed)
    }
    /// Takes a place for a socket, when there is one.
    pub(crate) fn open_socket(&self, max: usize) -> bool {
        self.sockets
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < max).then_some(n + 1))
            .is_ok()
    }
    pub(crate) fn close_socket(&self) {
        self.sockets.fetch_sub(1, Ordering::Relaxed);
    }
    pub(crate) fn subscribed(&self) {
        self.subscriptions.fetch_add(1, Ordering::Relaxed);
    }
    pub(crate) fn unsubscribed(&self) {
        self.subscriptions.fetch_sub(1, Ordering::Relaxed);
    }
}

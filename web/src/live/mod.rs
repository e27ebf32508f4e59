//! Live pictures: one WebSocket a browser tab carries all its tiles.
//!
//! The wire is described in [`protocol`]; [`socket`] is the driver; [`wall`] is what one socket subscribes to;
//! [`standing`] says how a stream stands that does not play.

pub mod protocol;
pub mod socket;
pub mod standing;
#[cfg(test)]
mod tests;
pub mod wall;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

/// Counters of one viewer, which is one wall socket, while it is open.
#[derive(Debug, Default)]
pub struct ViewerCounters {
    /// Its number since the start of the process; says nothing about a person.
    pub number: u64,
    /// Streams that it shows now.
    pub subscriptions: AtomicUsize,
    /// Pictures sent to it.
    pub units: AtomicU64,
    /// Bytes sent to it.
    pub bytes: AtomicU64,
    /// Pictures that it skipped because it was too slow.
    pub dropped: AtomicU64,
}

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
    /// Viewers of open sockets; at most `limits::LIVE_SOCKETS_MAX`, as these are.
    viewers: Mutex<Vec<Weak<ViewerCounters>>>,
    last_viewer: AtomicU64,
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
    /// A viewer, who is known while somebody holds the result.
    pub(crate) fn viewer(&self) -> Arc<ViewerCounters> {
        let number = self.last_viewer.fetch_add(1, Ordering::Relaxed) + 1;
        let viewer = Arc::new(ViewerCounters { number, ..ViewerCounters::default() });
        let mut viewers = self.viewers.lock();
        viewers.retain(|v| v.strong_count() > 0);
        viewers.push(Arc::downgrade(&viewer));
        viewer
    }
    /// Viewers there are, by number.
    #[must_use]
    pub fn viewers(&self) -> Vec<Arc<ViewerCounters>> {
        self.viewers.lock().iter().filter_map(Weak::upgrade).collect()
    }
    pub(crate) fn subscribed(&self, viewer: &ViewerCounters) {
        self.subscriptions.fetch_add(1, Ordering::Relaxed);
        viewer.subscriptions.fetch_add(1, Ordering::Relaxed);
    }
    pub(crate) fn unsubscribed(&self, viewer: &ViewerCounters) {
        self.subscriptions.fetch_sub(1, Ordering::Relaxed);
        viewer.subscriptions.fetch_sub(1, Ordering::Relaxed);
    }
}

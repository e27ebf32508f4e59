//! Admission control: how many sessions may be opening at once, on the node and at one device. When the power of a whole
//! district returns, cameras are opened a few dozen at a time, and an NVR is never asked for all its channels at once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use fengsui_config::limits;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The gate that every attempt goes through.
#[derive(Debug)]
pub(crate) struct Admission {
    node: Arc<Semaphore>,
    devices: Mutex<HashMap<String, Weak<Semaphore>>>,
    opening: Arc<AtomicUsize>,
}

/// The right to be opening a session; given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    _device: OwnedSemaphorePermit,
    node: Option<OwnedSemaphorePermit>,
    /// Keeps the device's semaphore known while someone holds or waits for it.
    _known: Arc<Semaphore>,
    opening: Arc<AtomicUsize>,
}

impl Permit {
    /// Gives the place on the node back, but not that at the device. A device that has not answered for a while costs
    /// the node nothing any more, and a district without power must not keep others from their turn.
    pub(crate) fn leave_node(&mut self) {
        self.node = None;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.opening.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Admission {
    pub(crate) fn new() -> Self {
        Self {
            node: Arc::new(Semaphore::new(limits::OPENING_MAX)),
            devices: Mutex::default(),
            opening: Arc::default(),
        }
    }

    /// Sessions being opened right now.
    pub(crate) fn opening(&self) -> usize {
        self.opening.load(Ordering::Relaxed)
    }

    /// Waits for a place, first at the device, so that a place on the node is never held by someone who still queues.
    /// `None` only when the gate was closed.
    pub(crate) async fn enter(&self, device: &str) -> Option<Permit> {
        let known = self.device(device);
        let at_device = known.clone().acquire_owned().await.ok()?;
        let at_node = self.node.clone().acquire_owned().await.ok()?;
        self.opening.fetch_add(1, Ordering::Relaxed);
        Some(Permit { _device: at_device, node: Some(at_node), _known: known, opening: self.opening.clone() })
    }

    fn device(&self, name: &str) -> Arc<Semaphore> {
        let mut devices = self.devices.lock();
        if let Some(found) = devices.get(name).and_then(Weak::upgrade) {
            return found;
        }
        devices.retain(|_, d| d.strong_count() > 0);
        let new = Arc::new(Semaphore::new(limits::OPENING_PER_DEVICE_MAX));
        devices.insert(name.to_owned(), Arc::downgrade(&new));
        new
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_device_is_opened_a_few_at_a_time_and_others_do_not_wait_for_it() {
        let gate = Admission::new();
        let mut held: Vec<_> =
            (0..limits::OPENING_PER_DEVICE_MAX).map(|_| gate.enter("a").now_or_never().unwrap()).collect();
        assert!(gate.enter("a").now_or_never().is_none());
        assert!(gate.enter("b").now_or_never().is_some());
        assert_eq!(gate.opening(), limits::OPENING_PER_DEVICE_MAX);
        held.pop();
        assert!(gate.enter("a").now_or_never().is_some());
    }

    #[test]
    fn the_node_opens_a_bounded_number_and_forgets_idle_devices() {
        let gate = Admission::new();
        let mut held: Vec<_> =
            (0..limits::OPENING_MAX).map(|n| gate.enter(&n.to_string()).now_or_never().unwrap()).collect();
        assert!(gate.enter("one more").now_or_never().is_none());
        assert_eq!(gate.opening(), limits::OPENING_MAX);
        held[0].as_mut().unwrap().leave_node();
        assert!(gate.enter("one more").now_or_never().is_some(), "the silent device holds nobody up");
        drop(held);
        assert_eq!(gate.opening(), 0);
        assert!(gate.enter("one more").now_or_never().is_some());
        assert!(gate.devices.lock().len() <= 2);
    }
}

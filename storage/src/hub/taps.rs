//! The readers' ends: the recorder's tap and the viewers' taps.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use fengsui_config::limits;

use super::ring::{Edge, Ring, Slot};
use super::{HubUnit, LiveItem, RingItem, StreamHub};
use crate::frame::{StreamInfo, Track};

/// The recorder's cursor into a stream. What it has not drained stays in the ring within the hub's budget.
#[derive(Debug)]
pub struct RecorderTap {
    stream: Arc<StreamHub>,
    generation: u64,
}

impl RecorderTap {
    pub(super) fn new(stream: Arc<StreamHub>, generation: u64) -> Self {
        Self { stream, generation }
    }

    /// Appends everything new to `out`, in order. Never waits.
    pub fn drain(&mut self, out: &mut Vec<RingItem>) {
        let watched = self.stream.viewers() > 0;
        let skipped = self.stream.change(|ring| ring.drain(self.generation, out, watched));
        if skipped > 0 {
            self.stream.shared.recorder_dropped.fetch_add(skipped, Ordering::Relaxed);
        }
    }

    /// The stream this tap reads.
    #[must_use]
    pub fn stream(&self) -> &Arc<StreamHub> {
        &self.stream
    }
}

impl Drop for RecorderTap {
    fn drop(&mut self) {
        let watched = self.stream.viewers() > 0;
        self.stream.change(|ring| {
            if ring.recorder.as_ref().is_some_and(|r| r.generation == self.generation) {
                ring.recorder = None;
                ring.evict(watched);
            }
        });
    }
}

/// A viewer's cursor into a stream.
#[derive(Debug)]
pub struct LiveTap {
    stream: Arc<StreamHub>,
    /// Next place of the ring to look at.
    at: u64,
    /// Units before this place come from the cache, whatever their age.
    warm_until: u64,
    /// Number of the picture expected next, once one was delivered.
    expected: Option<u64>,
    /// Nothing is of use before a key frame.
    seek_key: bool,
    /// Parameters told last.
    info: Option<Arc<StreamInfo>>,
    /// Number of the absence told last.
    end: u64,
}

impl LiveTap {
    pub(super) fn new(stream: Arc<StreamHub>, warm: bool) -> Self {
        let (at, head) = {
            let ring = stream.ring.lock();
            let head = ring.head();
            let cached = ring.group.filter(|(place, units)| {
                warm && *place >= ring.base && *units <= limits::WARM_START_UNITS_MAX
            });
            (cached.map_or(head, |(place, _)| place), head)
        };
        Self { stream, at, warm_until: head, expected: None, seek_key: true, info: None, end: 0 }
    }

    /// The next item. Waits while there is none. May be dropped while it waits without losing anything.
    pub async fn next(&mut self) -> LiveItem {
        loop {
            if let Some(item) = self.look(false) {
                return item;
            }
            let stream = self.stream.clone();
            let rung = stream.bell.notified();
            tokio::pin!(rung);
            rung.as_mut().enable();
            if let Some(item) = self.look(true) {
                return item;
            }
            rung.await;
        }
    }

    /// The next item if there is one now.
    pub fn try_next(&mut self) -> Option<LiveItem> {
        self.look(false)
    }

    /// The stream this tap reads.
    #[must_use]
    pub fn stream(&self) -> &Arc<StreamHub> {
        &self.stream
    }

    fn look(&mut self, and_wait: bool) -> Option<LiveItem> {
        let stream = self.stream.clone();
        let mut ring = stream.ring.lock();
        let item = self.step(&ring);
        if item.is_none() && and_wait {
            ring.waiting = true;
        }
        item
    }

    fn step(&mut self, ring: &Ring) -> Option<LiveItem> {
        if self.at < ring.base {
            self.at = ring.base;
            self.seek_key = true;
        }
        while let Some(slot) = ring.slot(self.at) {
            match slot {
                Slot::Begin(info) => {
                    self.at += 1;
                    self.seek_key = true;
                    self.expected = None;
                    if self.tell(info) {
                        return Some(LiveItem::Begin(info.clone()));
                    }
                }
                Slot::End { .. } => {
                    self.at += 1;
                    self.seek_key = true;
                }
                Slot::Unit { unit, picture } => {
                    if let Some(item) = self.unit(ring, unit, *picture) {
                        return Some(item);
                    }
                }
            }
        }
        self.edge(ring)
    }

    /// Looks at one unit. `None`: passed over.
    fn unit(&mut self, ring: &Ring, unit: &Arc<HubUnit>, picture: u64) -> Option<LiveItem> {
        if unit.unit.track != Track::Video {
            self.at += 1;
            return None;
        }
        let warm = self.at < self.warm_until;
        let late = !warm && unit.unit.arrived < ring.newest - limits::VIEWER_LAG_MAX;
        if late || (self.seek_key && !unit.unit.key) {
            self.seek_key = true;
            self.at += 1;
            return None;
        }
        if self.tell(&unit.info) {
            return Some(LiveItem::Begin(unit.info.clone()));
        }
        if let Some(expected) = self.expected
            && picture > expected
        {
            self.expected = Some(picture);
            let units = picture - expected;
            self.stream.shared.viewer_dropped.fetch_add(units, Ordering::Relaxed);
            return Some(LiveItem::Dropped { units });
        }
        self.seek_key = false;
        self.expected = Some(picture + 1);
        self.at += 1;
        Some(LiveItem::Unit { unit: unit.clone(), warm })
    }

    /// At the ring's end: parameters or an absence not told yet.
    fn edge(&mut self, ring: &Ring) -> Option<LiveItem> {
        match &ring.edge {
            Edge::Running(info) => {
                let info = info.clone();
                self.tell(&info).then_some(LiveItem::Begin(info))
            }
            Edge::Ended { reason, number, .. } if *number != self.end => {
                self.end = *number;
                self.info = None;
                Some(LiveItem::End { reason: *reason })
            }
            Edge::Ended { .. } | Edge::Unknown => None,
        }
    }

    /// Remembers `info`; `true` when it is new to the viewer.
    fn tell(&mut self, info: &Arc<StreamInfo>) -> bool {
        if self.info.as_ref().is_some_and(|known| Arc::ptr_eq(known, info)) {
            return false;
        }
        self.info = Some(info.clone());
        true
    }
}

impl Drop for LiveTap {
    fn drop(&mut self) {
        self.stream.leave();
    }
}

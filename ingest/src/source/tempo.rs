//! What sessions need of the thread that reads them: how many there are of each kind, and how quick it has to be.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use fengsui_config::clock::MonoMicros;
use serde::Serialize;

/// Who speaks to the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The lean path: read in sweeps.
    Lean,
    /// retina: wakes the thread itself.
    Retina,
    /// GStreamer: wakes the thread itself.
    Gstreamer,
}

/// Open sessions by who speaks to the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Sessions {
    /// The lean path.
    pub lean: usize,
    /// retina.
    pub retina: usize,
    /// GStreamer.
    pub gstreamer: usize,
}

/// Counters of the sessions of a node.
#[derive(Debug)]
pub struct Tempo {
    lean: AtomicUsize,
    retina: AtomicUsize,
    gstreamer: AtomicUsize,
    /// Watched ones among those that wake the thread themselves.
    watched: AtomicUsize,
    /// When the next sweep is that somebody waits for.
    sweep_at: AtomicU64,
}

impl Default for Tempo {
    fn default() -> Self {
        Self {
            lean: AtomicUsize::new(0),
            retina: AtomicUsize::new(0),
            gstreamer: AtomicUsize::new(0),
            watched: AtomicUsize::new(0),
            sweep_at: AtomicU64::new(u64::MAX),
        }
    }
}

impl Tempo {
    fn of(&self, kind: Kind) -> &AtomicUsize {
        match kind {
            Kind::Lean => &self.lean,
            Kind::Retina => &self.retina,
            Kind::Gstreamer => &self.gstreamer,
        }
    }

    /// A session is open while the result lives.
    pub(crate) fn count(self: &Arc<Self>, kind: Kind) -> Counted {
        self.of(kind).fetch_add(1, Ordering::Relaxed);
        Counted { tempo: self.clone(), kind, watched: false }
    }

    /// Open sessions.
    #[must_use]
    pub fn sessions(&self) -> Sessions {
        let read = |kind| self.of(kind).load(Ordering::Relaxed);
        Sessions { lean: read(Kind::Lean), retina: read(Kind::Retina), gstreamer: read(Kind::Gstreamer) }
    }

    /// Some sessions wake the thread by every packet.
    pub(crate) fn woken(&self) -> bool {
        self.retina.load(Ordering::Relaxed) + self.gstreamer.load(Ordering::Relaxed) > 0
    }

    /// Somebody watches one of those.
    pub(crate) fn watched(&self) -> bool {
        self.watched.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn sweep_at(&self, at: Option<MonoMicros>) {
        self.sweep_at.store(at.map_or(u64::MAX, |at| at.0), Ordering::Relaxed);
    }

    /// When the next sweep is that somebody waits for; far away when nobody does.
    pub(crate) fn next_sweep(&self) -> MonoMicros {
        MonoMicros(self.sweep_at.load(Ordering::Relaxed))
    }
}

/// One open session.
#[derive(Debug)]
pub(crate) struct Counted {
    tempo: Arc<Tempo>,
    kind: Kind,
    watched: bool,
}

impl Counted {
    /// Somebody watches, or nobody any more; for sessions that wake the thread themselves.
    pub(crate) fn watch(&mut self, watched: bool) {
        match (std::mem::replace(&mut self.watched, watched), watched) {
            (false, true) => drop(self.tempo.watched.fetch_add(1, Ordering::Relaxed)),
            (true, false) => drop(self.tempo.watched.fetch_sub(1, Ordering::Relaxed)),
            _ => {}
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.watch(false);
        self.tempo.of(self.kind).fetch_sub(1, Ordering::Relaxed);
    }
}

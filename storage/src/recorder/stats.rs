//! What the recorder tells about itself.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use fengsui_config::clock::{MonoMicros, UtcMicros};
use fengsui_config::ids::{StreamKey, VolumeId};
use parking_lot::Mutex;
use serde::Serialize;

use crate::frame::GapReason;

/// How one stream stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamRecording {
    /// The stream.
    pub key: StreamKey,
    /// Recording is wanted.
    pub due: bool,
    /// A segment is open and takes pictures.
    pub recording: bool,
    /// Why not, when due and known.
    pub reason: Option<GapReason>,
    /// Since when it stands so.
    pub since: UtcMicros,
    /// What is stored reaches to here.
    pub last: Option<UtcMicros>,
    /// Volume of the open segment.
    pub volume: Option<VolumeId>,
    /// Number of the open segment.
    pub segment: Option<u64>,
    /// Bytes stored by this process.
    pub bytes: u64,
    /// Pictures and sounds stored by this process.
    pub units: u64,
    /// Segments begun by this process.
    pub segments: u64,
    /// Units that were passed over while waiting for a key frame.
    pub skipped_units: u64,
}

/// Counters since the process started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RecorderStats {
    /// Streams due.
    pub due: usize,
    /// Streams with an open segment.
    pub recording: usize,
    /// Files that wait for recovery.
    pub recoveries_waiting: usize,
    /// Groups written.
    pub flushes: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Pictures and sounds written.
    pub units: u64,
    /// Segments begun.
    pub segments: u64,
    /// Segments closed in order.
    pub closed: u64,
    /// Segments given up after a failure.
    pub abandoned: u64,
    /// Segments closed by recovery.
    pub recovered: u64,
    /// Recoveries that failed.
    pub recovery_errors: u64,
    /// Syncs of volumes.
    pub syncs: u64,
    /// Failed writes, creations and syncs.
    pub errors: u64,
}

/// The counters behind [`RecorderStats`].
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub flushes: AtomicU64,
    pub bytes: AtomicU64,
    pub units: AtomicU64,
    pub segments: AtomicU64,
    pub closed: AtomicU64,
    pub abandoned: AtomicU64,
    pub recovered: AtomicU64,
    pub recovery_errors: AtomicU64,
    pub syncs: AtomicU64,
    pub errors: AtomicU64,
}

/// Adds to a counter.
pub(super) fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

impl Totals {
    pub(super) fn snapshot(&self) -> RecorderStats {
        let of = |c: &AtomicU64| c.load(Ordering::Relaxed);
        RecorderStats {
            flushes: of(&self.flushes),
            bytes: of(&self.bytes),
            units: of(&self.units),
            segments: of(&self.segments),
            closed: of(&self.closed),
            abandoned: of(&self.abandoned),
            recovered: of(&self.recovered),
            recovery_errors: of(&self.recovery_errors),
            syncs: of(&self.syncs),
            errors: of(&self.errors),
            ..RecorderStats::default()
        }
    }
}

/// How long a volume's writer takes for a round through all its streams.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// When the running one began, one more than its time; 0 when none runs.
    began: AtomicU64,
    /// What the last one took, in microseconds.
    took: AtomicU64,
}

impl Round {
    pub(super) fn begin(&self, now: MonoMicros) {
        self.began.store(now.0.saturating_add(1), Ordering::Relaxed);
    }

    pub(super) fn end(&self, now: MonoMicros) {
        let began = self.began.swap(0, Ordering::Relaxed);
        self.took.store(now.0.saturating_sub(began.saturating_sub(1)), Ordering::Relaxed);
    }

    /// The last round, or the running one once it takes longer: a disk that hangs does not end its round.
    pub(super) fn took(&self, now: MonoMicros) -> Duration {
        let began = self.began.load(Ordering::Relaxed);
        let running = if began == 0 { 0 } else { now.0.saturating_sub(began - 1) };
        Duration::from_micros(self.took.load(Ordering::Relaxed).max(running))
    }
}

/// One stream as all threads see it.
#[derive(Debug)]
pub(super) struct StreamCell {
    due: AtomicBool,
    /// Some thread drives the stream.
    owned: AtomicBool,
    state: Mutex<StreamRecording>,
}

impl StreamCell {
    pub(super) fn new(key: StreamKey, now: UtcMicros) -> Self {
        let state = StreamRecording {
            key,
            due: true,
            recording: false,
            reason: None,
            since: now,
            last: None,
            volume: None,
            segment: None,
            bytes: 0,
            units: 0,
            segments: 0,
            skipped_units: 0,
        };
        Self { due: AtomicBool::new(true), owned: AtomicBool::new(false), state: Mutex::new(state) }
    }

    pub(super) fn set_due(&self, due: bool, now: UtcMicros) {
        if self.due.swap(due, Ordering::AcqRel) != due {
            let mut state = self.state.lock();
            state.due = due;
            state.since = now;
        }
    }

    pub(super) fn is_due(&self) -> bool {
        self.due.load(Ordering::Acquire)
    }

    /// Takes the stream; `false` when somebody has it.
    pub(super) fn take(&self) -> bool {
        !self.owned.swap(true, Ordering::AcqRel)
    }

    pub(super) fn release(&self) {
        self.owned.store(false, Ordering::Release);
    }

    pub(super) fn change(&self, f: impl FnOnce(&mut StreamRecording)) {
        f(&mut self.state.lock());
    }

    pub(super) fn snapshot(&self) -> StreamRecording {
        self.state.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_that_does_not_end_is_told_while_it_lasts() {
        let (round, at) = (Round::default(), |ms: u64| MonoMicros(ms * 1000));
        assert_eq!(round.took(at(5)), Duration::ZERO);
        round.begin(at(0));
        round.end(at(100));
        assert_eq!(round.took(at(900)), Duration::from_millis(100));
        round.begin(at(1000));
        assert_eq!(round.took(at(1050)), Duration::from_millis(100), "the last one, until this takes longer");
        assert_eq!(round.took(at(8000)), Duration::from_secs(7));
        round.end(at(9000));
        assert_eq!(round.took(at(9999)), Duration::from_secs(8));
    }
}

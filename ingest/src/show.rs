//! What a worker shows of itself: its place on the board, and its stream of the hub.

use std::sync::Arc;
use std::time::Duration;

use fengsui_config::clock::{Clock, MonoMicros};
use fengsui_storage::board::{SessionState, StreamStatus};
use fengsui_storage::frame::{AccessUnit, GapReason, StreamInfo, VideoParams};
use fengsui_storage::hub::StreamHub;
use parking_lot::Mutex;

use crate::assemble::{Assembler, Counters, Output};
use crate::failure::Failure;
use crate::meter::Meter;
use crate::session::Session;

/// A stream of the hub as the output of an assembler.
pub(crate) struct HubOutput<'a>(pub &'a StreamHub);

impl Output for HubOutput<'_> {
    fn begin(&mut self, info: StreamInfo) {
        self.0.begin(info);
    }
    fn push(&mut self, unit: AccessUnit) {
        self.0.push(unit);
    }
    fn end(&mut self, reason: GapReason) {
        self.0.end(reason);
    }
}

/// A worker's place on the board.
pub(crate) struct Show {
    place: Arc<Mutex<StreamStatus>>,
    clock: Arc<dyn Clock>,
    meter: Meter,
    /// Counters of the current session that the board already has.
    shown: Counters,
    /// Totals of all sessions of this worker, for the rates.
    pictures: u64,
    bytes: u64,
    last: Option<MonoMicros>,
}

impl Show {
    pub(crate) fn new(place: Arc<Mutex<StreamStatus>>, clock: Arc<dyn Clock>) -> Self {
        Self {
            place,
            clock,
            meter: Meter::default(),
            shown: Counters::default(),
            pictures: 0,
            bytes: 0,
            last: None,
        }
    }

    /// Carries state, failure and next attempt to the board.
    pub(crate) fn session(&mut self, session: &Session) {
        let (utc, mono) = (self.clock.utc(), self.clock.mono());
        let mut status = self.place.lock();
        set_state(&mut status, session.state(), utc);
        status.failure = session.failure();
        if status.failure.is_none() {
            status.detail = None;
        }
        status.retry_at = session.retry_at().map(|at| utc + at.since(mono));
        if !matches!(session.state(), SessionState::Playing) {
            status.fps = 0.0;
            status.bits_per_second = 0;
        }
    }

    /// The sentence that belongs to the session's failure.
    pub(crate) fn failure(&mut self, failure: Failure, session: &Session) {
        self.session(session);
        self.place.lock().detail = Some(failure.detail);
    }

    /// A session was opened.
    pub(crate) fn opened(&mut self) {
        self.shown = Counters::default();
        self.meter = Meter::default();
        self.last = None;
        self.place.lock().sessions += 1;
    }

    /// The stream is not wanted any more.
    pub(crate) fn idle(&mut self) {
        let utc = self.clock.utc();
        let mut status = self.place.lock();
        set_state(&mut status, SessionState::Idle, utc);
        status.failure = None;
        status.detail = None;
        status.retry_at = None;
        status.fps = 0.0;
        status.bits_per_second = 0;
    }

    /// True when counters were not carried over for `interval`.
    pub(crate) fn due(&self, now: MonoMicros, interval: Duration) -> bool {
        self.last.is_none_or(|last| now.since(last) >= interval)
    }

    /// Carries a session's counters to the board.
    pub(crate) fn counters(&mut self, assembler: &Assembler, now: MonoMicros) {
        let c = assembler.counters();
        let (pictures, bytes) = (c.pictures - self.shown.pictures, c.bytes - self.shown.bytes);
        self.pictures += pictures;
        self.bytes += bytes;
        let (fps, bits) = self.meter.read(now, self.pictures, self.bytes);
        let utc = self.clock.utc();
        let mut status = self.place.lock();
        status.units += c.units - self.shown.units;
        status.bytes += bytes;
        status.lost_packets += c.lost_packets - self.shown.lost_packets;
        if c.units > self.shown.units {
            status.last_unit = Some(utc);
        }
        status.fps = fps;
        status.bits_per_second = bits;
        status.clock_offset_us = assembler.offset_us();
        if let Some(video) = assembler.running() {
            set_video(&mut status, video);
        }
        self.shown = c;
        self.last = Some(now);
    }
}

fn set_state(status: &mut StreamStatus, state: SessionState, now: fengsui_config::clock::UtcMicros) {
    if status.state != state {
        status.state = state;
        status.since = now;
    }
}

fn set_video(status: &mut StreamStatus, video: &VideoParams) {
    if status.codec.as_deref() != Some(video.rfc6381.as_str()) {
        status.codec = Some(video.rfc6381.clone());
    }
    status.size = (video.width > 0).then_some((video.width, video.height));
}

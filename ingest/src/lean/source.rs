//! A playing session that is read in sweeps.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::task::{Context, Poll};
use std::time::Duration;

use fengsui_config::clock::MonoMicros;
use fengsui_config::limits;
use fengsui_storage::board::FailureClass;

use super::control::Playing;
use super::dialog::Life;
use super::sweep::{Seat, Sweeps};
use super::wire::{Trouble, Wire, WireItem};
use super::{Stop, scratch};
use crate::failure::Failure;
use crate::source::rtsp_error::{Phase, classify};
use crate::source::{Kind, Source, SourceItem, Tempo};

/// A stream that brought this part of its window in one turn could overrun it in a long period: it is read often for a
/// while. The kernel counts twice what it was asked for, half of it for its own needs.
const BUSY_PART: usize = 8;
/// For how long.
const BUSY_FOR: Duration = Duration::from_secs(1);
/// Items for which room is kept between two turns.
const ITEMS_KEPT: usize = 32;

/// A playing session.
pub(crate) struct LeanSource {
    /// `None` once it was left.
    socket: Option<TcpStream>,
    wire: Wire,
    items: VecDeque<WireItem>,
    life: Life,
    seat: Seat,
    /// Bytes of one turn above which it is read often.
    busy: usize,
    /// Bytes that may still be read in this turn.
    left: usize,
    read_at: MonoMicros,
    /// Why the session is over, once what came before it is delivered.
    ended: Option<Stop>,
    played: bool,
    _counted: crate::source::Counted,
}

impl LeanSource {
    pub(super) fn new(
        playing: Playing,
        sweeps: &std::sync::Arc<Sweeps>,
        tempo: &std::sync::Arc<Tempo>,
    ) -> Self {
        let Playing { socket, window, rest, dialog, wire } = playing;
        let now = sweeps.now();
        let mut source = Self {
            socket: Some(socket),
            wire,
            items: VecDeque::new(),
            life: Life::new(dialog, now),
            seat: sweeps.seat(),
            busy: window / BUSY_PART,
            left: 0,
            read_at: now,
            ended: None,
            played: false,
            _counted: tempo.count(Kind::Lean),
        };
        let taken = source.wire.take(&rest, &mut source.items);
        source.troubled(taken);
        source
    }

    /// A unit was delivered.
    pub(crate) fn played(&self) -> bool {
        self.played
    }

    /// Somebody watches.
    pub(crate) fn watched(&self) -> bool {
        self.seat.watched()
    }

    /// The next item, or why the session ended.
    pub(crate) fn poll_item(&mut self, cx: &Context<'_>) -> Poll<Result<SourceItem, Stop>> {
        loop {
            while let Some(item) = self.items.pop_front() {
                let passed = match item {
                    WireItem::Source(item) => {
                        self.played |= matches!(item, SourceItem::Unit(_));
                        return Poll::Ready(Ok(item));
                    }
                    WireItem::Message(bytes) => self.life.message(&bytes),
                };
                if let Err(failure) = passed {
                    return Poll::Ready(Err(self.stop(Stop::Failed(failure))));
                }
            }
            if let Some(stop) = self.ended.take() {
                return Poll::Ready(Err(self.stop(stop)));
            }
            if self.left == 0 && !self.begin_turn(cx) {
                return Poll::Pending;
            }
            self.read();
        }
    }

    fn stop(&self, stop: Stop) -> Stop {
        match stop {
            Stop::Failed(failure) => Stop::Failed(self.life.dialog.discreet(failure)),
            unknown @ Stop::Unknown(_) => unknown,
        }
    }

    /// Whether it is this stream's turn. One that was not called for far too long (the process stood still) takes it, so
    /// that no watchdog finds it silent before somebody looked.
    fn begin_turn(&mut self, cx: &Context<'_>) -> bool {
        self.send();
        let called = self.seat.called(cx);
        let now = self.seat.sweeps().now();
        if !called && now.since(self.read_at) < limits::LEAN_SWEEP * 2 {
            return false;
        }
        self.read_at = now;
        self.left = limits::LEAN_TURN_BYTES_MAX;
        self.life.tick(now);
        self.send();
        true
    }

    /// Reads once, and parses what came.
    fn read(&mut self) {
        let Self { socket, wire, items, .. } = self;
        let Some(socket) = socket else { return };
        let (read, taken) = scratch::with(|scratch| match socket.read(scratch) {
            Ok(n) => (Ok((n, n == scratch.len())), wire.take(scratch.get(..n).unwrap_or_default(), items)),
            Err(e) => (Err(e), Ok(())),
        });
        match read {
            Ok((0, _)) => {
                self.ended = Some(Stop::Failed(self.wire.closed()));
            }
            Ok((n, full)) => {
                let before = limits::LEAN_TURN_BYTES_MAX - self.left;
                if before < self.busy && before + n >= self.busy {
                    self.seat.quick_for(BUSY_FOR);
                }
                // Less than fits is all there was.
                self.left = if full { self.left.saturating_sub(n) } else { 0 };
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => self.left = 0,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => {
                let text = format!("Error reading from RTSP peer: {e}");
                self.ended = Some(Stop::Failed(classify(None, &text, Phase::Playing)));
            }
        }
        self.troubled(taken);
        if self.items.is_empty() && self.items.capacity() > ITEMS_KEPT {
            self.items.shrink_to(ITEMS_KEPT);
        }
    }

    fn troubled(&mut self, taken: Result<(), Trouble>) {
        match taken {
            Ok(()) => {}
            Err(Trouble::Unknown(what)) => self.ended = Some(Stop::Unknown(what)),
            Err(Trouble::Broken(what)) => {
                self.ended = Some(Stop::Failed(Failure::new(FailureClass::BadData, what)));
            }
        }
    }

    /// Sends what the connection takes. A device that does not read costs nothing but the buffer.
    fn send(&mut self) {
        let (out, Some(socket)) = (self.life.outgoing(), &mut self.socket) else { return };
        if out.is_empty() {
            return;
        }
        match socket.write(out) {
            Ok(n) => drop(out.drain(..n)),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            // Reading will find the same, and say so.
            Err(_) => out.clear(),
        }
    }
}

impl Source for LeanSource {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<SourceItem, Failure>> {
        self.poll_item(cx).map_err(Stop::failure)
    }

    fn hurry(&mut self, watched: bool) {
        self.seat.hurry(watched);
    }
}

impl Drop for LeanSource {
    fn drop(&mut self) {
        if let Some(socket) = self.socket.take()
            && let Some(goodbye) = self.life.dialog.goodbye()
        {
            self.seat.sweeps().goodbye(socket, goodbye);
        }
    }
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;

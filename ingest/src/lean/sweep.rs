//! The sweep clock: when which stream is read.
//!
//! A wake-up costs more than the bytes it brings, so sockets of playing sessions are in no reactor. They are read in
//! turns: a stream that nobody watches every `limits::LEAN_SWEEP`, a watched one every `limits::LEAN_SWEEP_WATCHED`. The
//! longer period is made of ten of the shorter ones, and the streams are spread over them, so that work comes evenly.
//!
//! Goodbyes of ended sessions are looked after here too: they must be read on until the device has answered, because a
//! connection closed over unread pictures is reset, and the goodbye with it.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Context;
use std::time::Duration;

use fengsui_config::clock::{Clock, MonoMicros};
use fengsui_config::limits;
use futures::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::scratch;
use crate::source::Tempo;

/// Short periods in a long one.
const PHASES: usize = 10;
/// Quick for as long as somebody watches.
const WATCHED: u64 = u64::MAX;

/// The clock. One for all streams of a node.
pub(super) struct Sweeps {
    clock: Arc<dyn Clock>,
    tempo: Arc<Tempo>,
    table: Mutex<Table>,
    /// The table changed in a way that may bring the next sweep forward.
    changed: Notify,
    /// The last goodbye is through.
    quiet: Notify,
}

#[derive(Default)]
struct Table {
    phases: [Vec<Arc<Place>>; PHASES],
    quick: Vec<Arc<Place>>,
    goodbyes: Vec<Goodbye>,
    /// Short periods since the clock's zero, at the last turn.
    tick: u64,
}

/// One stream's place in the order.
#[derive(Default)]
struct Place {
    due: AtomicBool,
    gone: AtomicBool,
    /// Tick until which it is read in every short period.
    quick_until: AtomicU64,
    waker: AtomicWaker,
}

impl Place {
    fn call(&self) {
        self.due.store(true, Ordering::Release);
        self.waker.wake();
    }
}

/// A stream's right to be called; given back when dropped.
pub(super) struct Seat {
    place: Arc<Place>,
    sweeps: Arc<Sweeps>,
}

/// A session that is being left.
struct Goodbye {
    socket: TcpStream,
    /// What is still to be sent.
    out: Vec<u8>,
    /// How the answer shows.
    mark: Vec<u8>,
    until: MonoMicros,
}

fn tick_of(now: MonoMicros) -> u64 {
    now.0 / u64::try_from(limits::LEAN_SWEEP_WATCHED.as_micros()).unwrap_or(u64::MAX).max(1)
}

fn ticks(d: Duration) -> u64 {
    tick_of(MonoMicros(u64::try_from(d.as_micros()).unwrap_or(u64::MAX)))
}

fn start_of(tick: u64) -> MonoMicros {
    MonoMicros(tick.saturating_mul(u64::try_from(limits::LEAN_SWEEP_WATCHED.as_micros()).unwrap_or(u64::MAX)))
}

fn phase_of(tick: u64) -> usize {
    usize::try_from(tick % PHASES as u64).unwrap_or(0)
}

impl Sweeps {
    pub(super) fn new(clock: Arc<dyn Clock>, tempo: Arc<Tempo>) -> Arc<Self> {
        let table = Mutex::new(Table { tick: tick_of(clock.mono()), ..Table::default() });
        Arc::new(Self { clock, tempo, table, changed: Notify::new(), quiet: Notify::new() })
    }

    pub(super) fn now(&self) -> MonoMicros {
        self.clock.mono()
    }

    /// A place for a stream that begins to play; read often at first, so that its first times are good ones.
    pub(super) fn seat(self: &Arc<Self>) -> Seat {
        let place = Arc::new(Place::default());
        place.due.store(true, Ordering::Relaxed);
        let mut table = self.table.lock();
        if let Some(phase) = table.phases.iter_mut().min_by_key(|phase| phase.len()) {
            phase.push(place.clone());
        }
        drop(table);
        let seat = Seat { place, sweeps: self.clone() };
        seat.quick_for(limits::LEAN_SETTLE);
        seat
    }

    /// Leaves a session: sends `words`, and waits a little for the answer with that number.
    pub(super) fn goodbye(&self, socket: TcpStream, (number, words): (u32, Vec<u8>)) {
        let until = self.now() + limits::TEARDOWN_TIMEOUT;
        let mark = format!("cseq: {number}\r\n").into_bytes();
        let mut goodbye = Goodbye { socket, out: words, mark, until };
        // Said at once; only the answer is waited for.
        if !goodbye.send() {
            return;
        }
        let mut table = self.table.lock();
        if table.goodbyes.len() < limits::LEAN_GOODBYES_MAX {
            table.goodbyes.push(goodbye);
        }
        drop(table);
        self.changed.notify_one();
    }

    /// Ready when no goodbye is under way.
    pub(super) async fn settle(&self) {
        loop {
            let quiet = self.quiet.notified();
            if self.table.lock().goodbyes.is_empty() {
                return;
            }
            quiet.await;
        }
    }

    /// Calls streams for ever.
    pub(super) async fn run(self: Arc<Self>) {
        loop {
            let now = self.now();
            match self.turn(now) {
                Some(next) => {
                    tokio::select! {
                        () = tokio::time::sleep(next.since(now)) => {}
                        () = self.changed.notified() => {}
                    }
                }
                None => self.changed.notified().await,
            }
        }
    }

    #[cfg(test)]
    pub(super) fn turn_for_tests(&self) -> Option<MonoMicros> {
        self.turn(self.now())
    }

    /// Calls whoever is due; returns when the next is, if there is one.
    fn turn(&self, now: MonoMicros) -> Option<MonoMicros> {
        let tick = tick_of(now);
        let mut table = self.table.lock();
        let Table { phases, quick, goodbyes, tick: last } = &mut *table;
        if tick > *last {
            // After a late turn everybody is called once, however many periods were missed.
            let missed = (tick - *last).min(PHASES as u64);
            for passed in (0..missed).map(|n| tick - n) {
                if let Some(phase) = phases.get_mut(phase_of(passed)) {
                    phase.retain(|place| !place.gone.load(Ordering::Relaxed));
                    phase.iter().for_each(|place| place.call());
                }
            }
            quick.retain(|place| {
                let stays =
                    !place.gone.load(Ordering::Relaxed) && place.quick_until.load(Ordering::Relaxed) >= tick;
                if stays {
                    place.call();
                }
                stays
            });
            goodbyes.retain_mut(|goodbye| goodbye.goes_on(now));
            *last = tick;
        }
        if goodbyes.is_empty() {
            self.quiet.notify_waiters();
        }
        let hurried = quick.iter().any(|p| p.quick_until.load(Ordering::Relaxed) == WATCHED);
        let ahead = if !quick.is_empty() || !goodbyes.is_empty() {
            Some(1)
        } else {
            (1..=PHASES as u64).find(|n| phases.get(phase_of(*last + n)).is_some_and(|p| !p.is_empty()))
        };
        let next = ahead.map(|n| start_of(*last + n));
        // The thread may rest until then, but not beyond it while somebody watches.
        self.tempo.sweep_at(next.filter(|_| hurried));
        next
    }
}

impl Seat {
    /// True once for each call. Otherwise the task is woken by the next one.
    pub(super) fn called(&self, cx: &Context<'_>) -> bool {
        if self.place.due.swap(false, Ordering::Acquire) {
            return true;
        }
        self.place.waker.register(cx.waker());
        // A call may have come just before.
        self.place.due.swap(false, Ordering::Acquire)
    }

    /// Somebody watches from now on, or nobody any more.
    pub(super) fn hurry(&self, watched: bool) {
        let now = self.place.quick_until.load(Ordering::Relaxed);
        match (watched, now == WATCHED) {
            (true, false) => {
                self.quick_until(WATCHED);
                self.place.call();
            }
            (false, true) => self.place.quick_until.store(0, Ordering::Relaxed),
            _ => {}
        }
    }

    /// To be read in every short period for a while.
    pub(super) fn quick_for(&self, time: Duration) {
        if self.place.quick_until.load(Ordering::Relaxed) != WATCHED {
            self.quick_until(tick_of(self.sweeps.now()) + ticks(time));
        }
    }

    fn quick_until(&self, tick: u64) {
        self.place.quick_until.store(tick, Ordering::Relaxed);
        let mut table = self.sweeps.table.lock();
        if !table.quick.iter().any(|place| Arc::ptr_eq(place, &self.place)) {
            table.quick.push(self.place.clone());
        }
        drop(table);
        self.sweeps.changed.notify_one();
    }

    pub(super) fn watched(&self) -> bool {
        self.place.quick_until.load(Ordering::Relaxed) == WATCHED
    }

    pub(super) fn sweeps(&self) -> &Arc<Sweeps> {
        &self.sweeps
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // Taken off the lists when their turn comes.
        self.place.gone.store(true, Ordering::Relaxed);
    }
}

impl Goodbye {
    /// Sends what the connection takes; false when it is broken.
    fn send(&mut self) -> bool {
        match self.socket.write(&self.out) {
            Ok(n) => drop(self.out.drain(..n)),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => return false,
        }
        true
    }

    fn goes_on(&mut self, now: MonoMicros) -> bool {
        if now >= self.until || (!self.out.is_empty() && !self.send()) {
            return false;
        }
        scratch::with(|scratch| match self.socket.read(scratch) {
            Ok(0) => false,
            Ok(n) => {
                let got = scratch.get(..n).unwrap_or_default();
                !got.windows(self.mark.len()).any(|w| w.eq_ignore_ascii_case(&self.mark))
            }
            Err(e) => matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        })
    }
}

#[cfg(test)]
#[path = "sweep_tests.rs"]
mod tests;

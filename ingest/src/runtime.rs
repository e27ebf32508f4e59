//! The threads of ingest. They are its own, so that a busy API never delays a camera, nor the other way round.
//!
//! Before a thread waits for the network it rests for a moment (`on_thread_park`). Hundreds of cameras send a packet
//! every few hundred microseconds in all; without the rest each is a wake-up of its own, and wake-ups cost more than
//! bytes. 400 cameras at 2 Mbit/s: about 2.2 to 2.9 CPU-seconds a gigabyte without, 1.4 with a rest of 50 ms. The price
//! is latency, so the rest is short while anybody watches such a session or one is being opened, and ends at the next
//! sweep that somebody waits for. Sessions of the lean path do not wake the thread by packets; with no others it does not
//! rest.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use fengsui_config::clock::Clock;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::fleet::RuntimeOptions;
use crate::source::Tempo;

/// How quick the thread has to be right now.
pub(crate) struct Pace {
    opening: AtomicUsize,
    tempo: Arc<Tempo>,
    clock: Arc<dyn Clock>,
}

/// Makes the thread quick while it lives.
pub(crate) struct Hurry(Arc<Pace>);

impl Pace {
    pub(crate) fn new(tempo: Arc<Tempo>, clock: Arc<dyn Clock>) -> Self {
        Self { opening: AtomicUsize::new(0), tempo, clock }
    }

    /// A session is being opened: each question and answer would wait for a rest.
    pub(crate) fn open(self: &Arc<Self>) -> Hurry {
        self.opening.fetch_add(1, Ordering::Relaxed);
        Hurry(self.clone())
    }

    fn rest(&self, options: &RuntimeOptions) -> Duration {
        let rest = if self.opening.load(Ordering::Relaxed) > 0 {
            options.rest_opening
        } else if !self.tempo.woken() {
            return Duration::ZERO;
        } else if self.tempo.watched() {
            options.rest_watched
        } else {
            options.rest_unwatched
        };
        rest.min(self.tempo.next_sweep().since(self.clock.mono()))
    }
}

impl Drop for Hurry {
    fn drop(&mut self) {
        self.0.opening.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The running threads.
#[derive(Debug)]
pub(crate) struct Runtime {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Runtime {
    pub(crate) fn start(options: RuntimeOptions, pace: Arc<Pace>) -> std::io::Result<Self> {
        // One thread needs no work stealing, whose bookkeeping is dearer than what it would gain.
        let mut builder =
            if options.threads <= 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
        if options.threads > 1 {
            builder.worker_threads(options.threads);
        }
        let rests = [options.rest_unwatched, options.rest_watched, options.rest_opening];
        if rests.iter().any(|rest| !rest.is_zero()) {
            builder.on_thread_park(move || {
                let rest = pace.rest(&options);
                if !rest.is_zero() {
                    std::thread::sleep(rest);
                }
            });
        }
        let runtime = builder.enable_all().thread_name("ingest").build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("ingest".to_owned()).spawn(move || {
            let _dropped_or_told = runtime.block_on(stopped);
            runtime.shutdown_timeout(Duration::from_millis(200));
        })?;
        Ok(Self { handle, stop: Some(stop), thread: Some(thread) })
    }

    /// The one place of this crate that starts tasks.
    pub(crate) fn spawn<F>(&self, future: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.handle.spawn(future)
    }

    /// Ends the thread; what still runs on it is dropped.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the ingest thread ended by a panic");
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // Waiting here could block a thread of another runtime; the ingest thread ends by itself.
        drop(self.stop.take());
    }
}

#[cfg(test)]
mod tests {
    use fengsui_config::clock::{ManualClock, UtcMicros};

    use super::*;
    use crate::source::Kind;

    #[test]
    fn only_sessions_that_wake_the_thread_make_it_rest_and_a_watched_sweep_ends_the_rest() {
        let options = RuntimeOptions::default();
        let (clock, tempo) = (Arc::new(ManualClock::at(UtcMicros(0))), Arc::<Tempo>::default());
        let pace = Arc::new(Pace::new(tempo.clone(), clock.clone()));
        let lean = tempo.count(Kind::Lean);
        assert_eq!(pace.rest(&options), Duration::ZERO, "nothing wakes it but its own clock");
        let mut retina = tempo.count(Kind::Retina);
        assert_eq!(pace.rest(&options), options.rest_unwatched);
        tempo.sweep_at(Some(clock.mono() + Duration::from_millis(20)));
        clock.advance(Duration::from_millis(13));
        assert_eq!(pace.rest(&options), Duration::from_millis(7), "a lean stream is watched");
        tempo.sweep_at(None);
        retina.watch(true);
        assert_eq!(pace.rest(&options), options.rest_watched);
        let opening = pace.open();
        assert_eq!(pace.rest(&options), options.rest_opening);
        drop((opening, retina, lean));
        assert_eq!(pace.rest(&options), Duration::ZERO);
    }
}

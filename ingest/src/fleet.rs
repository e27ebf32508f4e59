//! The fleet: brings the running set of streams to the configured set.

use std::sync::Arc;
use std::time::Duration;

use fengsui_config::clock::Clock;
use fengsui_storage::board::Board;
use fengsui_storage::hub::Hub;
use serde::Serialize;

use crate::spec::CameraSpec;

/// How the tasks of ingest are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuntimeOptions {
    /// Threads that read cameras. One does hundreds of cameras, and two cost more than one in all.
    pub threads: usize,
    /// How long the thread rests before it waits for the network, while nobody watches live. Wake-ups cost more than
    /// bytes: a rest lets data gather, so that one wake-up serves many cameras. Zero switches it off.
    pub rest_unwatched: Duration,
    /// The same while somebody watches live, or a session is being opened: shorter, for the sake of latency.
    pub rest_watched: Duration,
}

impl Default for RuntimeOptions {
    fn default() -> Self {
        Self {
            threads: 1,
            rest_unwatched: Duration::from_millis(50),
            rest_watched: Duration::from_millis(10),
        }
    }
}

/// What a fleet is made of.
pub struct FleetOptions {
    /// Source of time.
    pub clock: Arc<dyn Clock>,
    /// Where access units go.
    pub hub: Arc<Hub>,
    /// Where states are shown.
    pub board: Arc<Board>,
    /// How tasks are run.
    pub runtime: RuntimeOptions,
    /// Seed of all jitter.
    pub seed: u64,
}

impl FleetOptions {
    /// Options with the defaults of a node.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, hub: Arc<Hub>, board: Arc<Board>) -> Self {
        let seed = getrandom::u64().unwrap_or_else(|_| clock.utc().0.unsigned_abs());
        Self { clock, hub, board, runtime: RuntimeOptions::default(), seed }
    }
}

/// Counters of a fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct FleetStats {
    /// Streams configured and enabled.
    pub streams: usize,
    /// Workers that ended by a panic and were started again, in this process's life.
    pub panics: u64,
    /// Sessions being opened right now.
    pub opening: usize,
}

/// All camera streams of a node.
pub struct Fleet {
    _options: FleetOptions,
}

impl Fleet {
    /// Starts the runtime of ingest, with no camera yet.
    ///
    /// # Errors
    /// When the machine refuses a thread.
    pub fn start(options: FleetOptions) -> std::io::Result<Self> {
        Ok(Self { _options: options })
    }

    /// Brings the running set to `cameras`: starts what is new, stops what is gone, restarts what changed in address,
    /// transport or credentials, and leaves everything else alone. Returns at once; the work goes on behind.
    pub fn apply(&self, cameras: Vec<CameraSpec>) {
        drop(cameras);
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> FleetStats {
        FleetStats::default()
    }

    /// Stops every stream, says goodbye to the devices, and waits for both.
    pub async fn stop(self) {
        std::future::ready(()).await;
    }
}

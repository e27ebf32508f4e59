//! The fleet: brings the running set of streams to the configured set.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fengsui_config::clock::Clock;
use fengsui_config::ids::StreamKey;
use fengsui_config::limits;
use fengsui_storage::board::Board;
use fengsui_storage::frame::GapReason;
use fengsui_storage::hub::Hub;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::admission::Admission;
use crate::runtime::{Pace, Runtime};
use crate::source::{Opener, Openers, Sessions, Tempo};
use crate::spec::{CameraSpec, StreamSpec};
use crate::worker::{Command, Shared, Worker, boxed};

/// Whether cameras are read by the lean path where nothing else is said.
const LEAN: bool = true;

/// How the tasks of ingest are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuntimeOptions {
    /// Threads that read cameras. One does hundreds of cameras, and two cost more than one in all.
    pub threads: usize,
    /// How long the thread rests before it waits for the network, while there are sessions that wake it by every packet
    /// (retina, GStreamer) and nobody watches one. Wake-ups cost more than bytes: a rest lets data gather, so that one
    /// wake-up serves many cameras. Zero switches it off.
    pub rest_unwatched: Duration,
    /// The same while somebody watches such a session live: shorter, for the sake of latency.
    pub rest_watched: Duration,
    /// The same while a session is being opened: an opening is half a dozen questions, and each waits for a rest.
    pub rest_opening: Duration,
}

impl Default for RuntimeOptions {
    fn default() -> Self {
        Self {
            threads: 1,
            rest_unwatched: Duration::from_millis(50),
            rest_watched: Duration::from_millis(10),
            rest_opening: Duration::from_millis(3),
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
    /// How sessions are opened.
    pub opener: Arc<dyn Opener>,
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
        let opener = Openers::shared(clock.clone(), LEAN);
        Self { clock, hub, board, opener, runtime: RuntimeOptions::default(), seed }
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
    /// Open sessions by who speaks to the device.
    pub sessions: Sessions,
}

/// All camera streams of a node. One session per stream, however many viewers.
pub struct Fleet {
    shared: Arc<Shared>,
    runtime: Runtime,
    seed: u64,
    tempo: Arc<Tempo>,
    members: Mutex<BTreeMap<StreamKey, Member>>,
}

/// A stream that runs or is just ending.
struct Member {
    /// `None` while it is only ending or disabled.
    spec: Option<StreamSpec>,
    command: watch::Sender<Command>,
    done: JoinHandle<()>,
    last_attempt: Arc<AtomicU64>,
}

impl Fleet {
    /// Starts the runtime of ingest, with no camera yet.
    ///
    /// # Errors
    /// When the machine refuses a thread.
    pub fn start(options: FleetOptions) -> std::io::Result<Self> {
        let tempo = options.opener.tempo();
        let pace = Arc::new(Pace::new(tempo.clone(), options.clock.clone()));
        let runtime = Runtime::start(options.runtime, pace.clone())?;
        // Ends with the runtime, as the sessions do that it serves.
        let _served = runtime.spawn(serve(options.opener.clone()));
        let shared = Shared {
            clock: options.clock,
            hub: options.hub,
            board: options.board,
            opener: options.opener,
            admission: Admission::new(),
            pace,
            panics: AtomicU64::new(0),
        };
        Ok(Self { shared: Arc::new(shared), runtime, seed: options.seed, tempo, members: Mutex::default() })
    }

    /// Brings the running set to `cameras`: starts what is new, stops what is gone, restarts what changed in address,
    /// transport or credentials, and leaves everything else alone. Returns at once; the work goes on behind, and the
    /// old session of a stream always ends before its new one begins. Of two cameras with one code the last counts.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the set becomes the fleet's; callers have no use for it afterwards"
    )]
    pub fn apply(&self, cameras: Vec<CameraSpec>) {
        let wanted: BTreeMap<StreamKey, StreamSpec> =
            cameras.iter().flat_map(CameraSpec::streams).map(|s| (s.key, s)).collect();
        let mut members = self.members.lock();
        members.retain(|key, m| wanted.contains_key(key) || m.spec.is_some() || !m.done.is_finished());
        for (key, member) in members.iter_mut().filter(|(key, _)| !wanted.contains_key(*key)) {
            if member.spec.take().is_some() {
                tracing::info!(stream = %key, "camera stream removed");
                self.replace(member, None, *key);
            }
        }
        for (key, spec) in wanted {
            match members.get_mut(&key) {
                Some(member) if member.spec.as_ref().is_some_and(|old| same_session(old, &spec)) => {
                    member.command.send_if_modified(|c| {
                        let now = Command::Run { always: spec.always };
                        *c != now && {
                            *c = now;
                            true
                        }
                    });
                    member.spec = Some(spec);
                }
                Some(member) => self.replace(member, Some(spec), key),
                None => {
                    let last_attempt = Arc::new(AtomicU64::new(0));
                    members.insert(key, self.member(Some(spec), key, last_attempt, None));
                }
            }
        }
    }

    /// Ends `member` and puts `spec` in its place, one after the other.
    fn replace(&self, member: &mut Member, spec: Option<StreamSpec>, key: StreamKey) {
        member.command.send_replace(Command::Leave(GapReason::Policy));
        let (empty, _) = watch::channel(Command::Leave(GapReason::Policy));
        let before = std::mem::replace(
            member,
            Member {
                spec: None,
                command: empty,
                done: self.runtime.spawn(std::future::ready(())),
                last_attempt: member.last_attempt.clone(),
            },
        );
        *member = self.member(spec, key, before.last_attempt, Some(before.done));
    }

    /// A member whose task first waits for its predecessor. Without a spec it only clears the stream's traces.
    fn member(
        &self,
        spec: Option<StreamSpec>,
        key: StreamKey,
        last_attempt: Arc<AtomicU64>,
        before: Option<JoinHandle<()>>,
    ) -> Member {
        let always = spec.as_ref().is_some_and(|s| s.always);
        let (command, told) = watch::channel(Command::Run { always });
        let shared = self.shared.clone();
        let seed = self.seed ^ stream_seed(key) ^ shared.clock.mono().0;
        let (of_task, attempt) = (spec.clone(), last_attempt.clone());
        let done = self.runtime.spawn(async move {
            if let Some(before) = before {
                // It was told to leave; a panic of it was counted where it happened.
                let _ended = before.await;
            }
            match of_task {
                Some(spec) if spec.enabled => supervise(shared, spec, told, seed, attempt).await,
                Some(_disabled) => {
                    let _idle = shared.board.place(key, shared.clock.utc());
                    shared.hub.stream(key).end(GapReason::Policy);
                }
                None => {
                    shared.hub.stream(key).end(GapReason::Policy);
                    shared.board.remove(&key);
                }
            }
        });
        Member { spec, command, done, last_attempt }
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> FleetStats {
        let members = self.members.lock();
        FleetStats {
            streams: members.values().filter(|m| m.spec.as_ref().is_some_and(|s| s.enabled)).count(),
            panics: self.shared.panics.load(Ordering::Relaxed),
            opening: self.shared.admission.opening(),
            sessions: self.tempo.sessions(),
        }
    }

    /// Stops every stream, says goodbye to the devices (at most `limits::TEARDOWN_TIMEOUT`), and waits for both.
    pub async fn stop(mut self) {
        let members = std::mem::take(self.members.get_mut());
        for member in members.values() {
            member.command.send_replace(Command::Leave(GapReason::NodeDown));
        }
        for (key, member) in members {
            if let Err(e) = member.done.await
                && e.is_panic()
            {
                tracing::error!(stream = %key, "the worker of a stream ended by a panic while stopping");
            }
        }
        let opener = self.shared.opener.clone();
        let goodbyes = self
            .runtime
            .spawn(async move { tokio::time::timeout(limits::TEARDOWN_TIMEOUT, opener.settle()).await });
        if !matches!(goodbyes.await, Ok(Ok(()))) {
            tracing::info!("not every device answered the goodbye in time");
        }
        let mut runtime = self.runtime;
        // Joining a thread blocks; the thread has nothing left to do.
        runtime.stop();
    }
}

/// Serves the opener's sessions; should that end by a panic, it begins anew.
async fn serve(opener: Arc<dyn Opener>) {
    use futures::FutureExt;
    while std::panic::AssertUnwindSafe(opener.serve()).catch_unwind().await.is_err() {
        tracing::error!("what calls camera sessions ended by a panic; it is started again");
        tokio::time::sleep(limits::LEAN_SWEEP).await;
    }
}

/// Runs a worker; should one end by a panic outside of an attempt, a new one takes its place.
async fn supervise(
    shared: Arc<Shared>,
    spec: StreamSpec,
    told: watch::Receiver<Command>,
    seed: u64,
    last_attempt: Arc<AtomicU64>,
) {
    use futures::FutureExt;
    loop {
        let worker = Worker::new(shared.clone(), spec.clone(), told.clone(), seed, last_attempt.clone());
        if std::panic::AssertUnwindSafe(boxed(worker)).catch_unwind().await.is_ok() {
            return;
        }
        shared.panics.fetch_add(1, Ordering::Relaxed);
        tracing::error!(stream = %spec.key, "the worker of a stream ended by a panic; it is started again");
        shared.hub.stream(spec.key).end(GapReason::NodeDown);
        tokio::time::sleep(limits::RETRY_FLOOR).await;
    }
}

/// Nothing changed that needs a new session.
fn same_session(old: &StreamSpec, new: &StreamSpec) -> bool {
    old.target == new.target && old.enabled == new.enabled
}

/// Spreads the streams of one node over the jitter, whatever the node's seed.
fn stream_seed(key: StreamKey) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
#[path = "fleet_tests.rs"]
mod tests;

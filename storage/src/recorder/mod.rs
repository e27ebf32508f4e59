//! The recorder: brings what the hub holds to the volumes, and accounts for every due second.
//!
//! One thread per volume looks at its streams every `limits::VOLUME_SWEEP_INTERVAL`; a keeper thread hands streams to
//! volumes, keeps the catalogue's log, and closes what a crash left open. All of them only call [`Recorder::step`]'s
//! parts; the parts take their time from the clock they were given and never sleep.
//!
//! Invariants
//! - A due second ends as footage, or as a gap with a reason.
//! - A stream belongs to one volume at a time, or to none; while it belongs to none its pictures stay in the hub.
//! - A segment begins at a key frame, except where a group of pictures is longer than
//!   `limits::SEGMENT_KEY_WAIT_MAX` past its time.
//! - Units whose write was refused go to a new file, from the key frame before them on.
//! - After a failed sync no byte is written to any file that was open then.

mod bounds;
mod copy;
mod keeper;
mod moves;
mod orders;
mod stats;
mod stream;
#[cfg(test)]
mod tests;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use fengsui_config::clock::{Clock, MonoMicros};
use fengsui_config::ids::{NodeId, StreamKey, VolumeId};
use fengsui_config::{VolumeConfig, VolumeKind, limits};
use parking_lot::{Condvar, Mutex, RwLock};

use crate::catalogue::{Catalogue, Unfinished};
use crate::error::StoreError;
use crate::fs::Fs;
use crate::hub::Hub;
use crate::segment::NodeKey;
use crate::volume::{Volume, VolumeStatus};

pub use moves::VolumeLoad;
pub use stats::{RecorderStats, StreamRecording};

use keeper::Keeper;
use moves::{Mover, Moves};
use stats::{Round, StreamCell};
use stream::StreamRecorder;
use worker::Worker;

/// What a recorder needs.
#[derive(Clone)]
pub struct RecorderOptions {
    /// Files.
    pub fs: Arc<dyn Fs>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where pictures come from.
    pub hub: Arc<Hub>,
    /// Where footage and gaps are noted.
    pub catalogue: Arc<Catalogue>,
    /// Where footage goes.
    pub volumes: Vec<VolumeConfig>,
    /// The node's name.
    pub node: NodeId,
    /// The node's key: signs segments.
    pub node_key: Arc<NodeKey>,
    /// The node's data directory: knows the volumes' identities.
    pub data: PathBuf,
}

impl std::fmt::Debug for RecorderOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecorderOptions")
            .field("node", &self.node)
            .field("volumes", &self.volumes)
            .finish_non_exhaustive()
    }
}

/// One volume as all threads see it.
struct VolumeCell {
    id: VolumeId,
    root: PathBuf,
    status: RwLock<VolumeStatus>,
    /// Streams handed to the volume, to be taken in at its next look.
    inbox: Mutex<Vec<StreamRecorder>>,
    /// An order changed what is known of the volume: look at it anew.
    reload: AtomicBool,
    /// Its names have not been compared with the catalogue since it came (back).
    unchecked: AtomicBool,
    round: Round,
    moves: moves::Totals,
}

/// A file that waits for recovery.
struct Waiting {
    file: Unfinished,
    /// Not before.
    at: MonoMicros,
    /// How long to wait after a failure.
    pause: Duration,
}

/// What all threads of a recorder share.
struct Core {
    options: RecorderOptions,
    volumes: Vec<VolumeCell>,
    /// Streams without a volume.
    homeless: Mutex<Vec<StreamRecorder>>,
    cells: RwLock<BTreeMap<StreamKey, Arc<StreamCell>>>,
    /// Files without a footer that may be closed now.
    recoveries: Mutex<Vec<Waiting>>,
    /// Closed segments on their way to another volume.
    moves: Moves,
    /// A plan was set.
    planned: AtomicBool,
    /// The streams of the first plan were taken up: the time before the start is explained.
    taken_up: AtomicBool,
    stopping: AtomicBool,
    bell: (Mutex<()>, Condvar),
    totals: stats::Totals,
}

impl Core {
    fn statuses(&self) -> Vec<VolumeStatus> {
        self.volumes.iter().map(|v| v.status.read().clone()).collect()
    }

    /// The volume on which the stream's next segment is to be written; `current` is where it is now.
    fn preferred(&self, key: StreamKey, current: Option<usize>) -> Option<usize> {
        crate::volume::place(&self.statuses(), stream_seed(key), current)
    }

    /// Index of a volume.
    fn index_of(&self, id: &VolumeId) -> Option<usize> {
        self.volumes.iter().position(|v| v.id == *id)
    }

    /// Queues a file without a footer, once.
    fn recover_later(&self, file: Unfinished) {
        let mut waiting = self.recoveries.lock();
        if !waiting.iter().any(|w| w.file == file) {
            waiting.push(Waiting { file, at: MonoMicros(0), pause: limits::VOLUME_PROBE_INTERVAL });
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    fn is_taken_up(&self) -> bool {
        self.taken_up.load(Ordering::Acquire)
    }

    /// Waits for the next look, or for the end, at most this long.
    fn pause(&self, time: Duration) {
        let mut guard = self.bell.0.lock();
        if !self.is_stopping() {
            self.bell.1.wait_for(&mut guard, time);
        }
    }
}

/// A number that spreads streams evenly: over volumes, and over the five minutes of rotation.
fn stream_seed(key: StreamKey) -> u64 {
    let hash = blake3::hash(key.to_string().as_bytes());
    hash.as_bytes().first_chunk().map_or(0, |b| u64::from_le_bytes(*b))
}

/// What drives a recorder.
struct Parts {
    keeper: Keeper,
    workers: Vec<Worker>,
    movers: Vec<Mover>,
}

/// The recorder of a node.
pub struct Recorder {
    core: Arc<Core>,
    /// The parts while no thread drives them.
    parts: Mutex<Option<Parts>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Recorder {
    /// Starts the recorder with its threads. Volumes that cannot be used are no error: their state tells.
    /// Fails when a thread cannot be started.
    pub fn start(options: RecorderOptions) -> Result<Self, StoreError> {
        let recorder = Self::manual(options);
        if let Some(Parts { keeper, workers, movers }) = recorder.parts.lock().take() {
            for worker in workers {
                let name = format!("volume {}", worker.id());
                recorder.spawn(name, move || worker.run())?;
            }
            for mover in movers {
                let name = format!("moves to {}", mover.id());
                recorder.spawn(name, move || mover.run())?;
            }
            let checker = keeper.checker();
            recorder.spawn("recorder".into(), move || keeper.run())?;
            recorder.spawn("catalogue check".into(), move || checker.run())?;
        }
        Ok(recorder)
    }

    /// A recorder without threads: nothing happens but by [`Self::step`]. For tests, and for simulated time.
    #[must_use]
    pub fn manual(options: RecorderOptions) -> Self {
        let (utc, mono) = (options.clock.utc(), options.clock.mono());
        let mut cells = Vec::new();
        let mut volumes = Vec::new();
        for config in &options.volumes {
            let names =
                |v: &VolumeConfig| matches!(&v.kind, VolumeKind::Staged { stage } if *stage == config.id);
            let is_stage = options.volumes.iter().any(names);
            let mut volume = Volume::new(config, is_stage, options.node.clone(), options.data.clone(), utc);
            volume.probe(&*options.fs, utc, mono);
            let status = volume.status().clone();
            if let Some(detail) = &status.detail {
                tracing::warn!(volume = %status.id, state = ?status.state, detail, "volume is not in use");
            }
            cells.push(VolumeCell {
                id: status.id.clone(),
                root: status.root.clone(),
                status: RwLock::new(status),
                inbox: Mutex::default(),
                reload: AtomicBool::new(false),
                unchecked: AtomicBool::new(true),
                round: Round::default(),
                moves: moves::Totals::default(),
            });
            volumes.push(volume);
        }
        let left = options.catalogue.unfinished();
        let cells_len = cells.len();
        let core = Arc::new(Core {
            options,
            volumes: cells,
            homeless: Mutex::default(),
            cells: RwLock::default(),
            recoveries: Mutex::default(),
            moves: Moves::new(cells_len),
            planned: AtomicBool::new(false),
            taken_up: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            bell: (Mutex::new(()), Condvar::new()),
            totals: stats::Totals::default(),
        });
        left.into_iter().for_each(|file| core.recover_later(file));
        let workers =
            volumes.into_iter().enumerate().map(|(i, v)| Worker::new(core.clone(), i, v)).collect::<Vec<_>>();
        let movers = {
            let ids = core.volumes.iter().enumerate();
            ids.map(|(i, v)| Mover::new(core.clone(), i, v.id.clone())).collect()
        };
        let parts = Parts { keeper: Keeper::new(core.clone()), workers, movers };
        Self { core, parts: Mutex::new(Some(parts)), threads: Mutex::default() }
    }

    fn spawn(&self, name: String, f: impl FnOnce() + Send + 'static) -> Result<(), StoreError> {
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(f)
            .map_err(StoreError::io("start a thread of the recorder", &self.core.options.data))?;
        self.threads.lock().push(thread);
        Ok(())
    }

    /// Sets which streams are due. Streams that are new begin with the next look; streams that left are closed, and
    /// their time from then on is a gap `policy`.
    pub fn set_plan(&self, plan: &BTreeSet<StreamKey>) {
        let now = self.core.options.clock.utc();
        let mut cells = self.core.cells.write();
        for (key, cell) in cells.iter() {
            cell.set_due(plan.contains(key), now);
        }
        for key in plan {
            cells.entry(*key).or_insert_with(|| Arc::new(StreamCell::new(*key, now)));
        }
        self.core.planned.store(true, Ordering::Release);
    }

    /// One look at everything. Only for a recorder made by [`Self::manual`].
    pub fn step(&self) {
        if let Some(Parts { keeper, workers, movers }) = &mut *self.parts.lock() {
            keeper.step();
            for worker in workers.iter_mut() {
                worker.step();
            }
            keeper.recover();
            for mover in movers.iter_mut() {
                mover.step();
            }
        }
    }

    /// Compares the names on all volumes with the catalogue; a running recorder does so by itself after its start.
    pub fn check_volumes(&self) {
        if let Some(parts) = &*self.parts.lock() {
            parts.keeper.checker().check();
        }
    }

    /// Writes what is pending, closes all segments, ends the threads. Pictures that arrive later are not recorded.
    pub fn stop(&self) {
        {
            let _guard = self.core.bell.0.lock();
            if self.core.stopping.swap(true, Ordering::AcqRel) {
                return;
            }
            self.core.bell.1.notify_all();
        }
        if let Some(Parts { mut keeper, workers, .. }) = self.parts.lock().take() {
            keeper.step();
            for mut worker in workers {
                worker.finish();
            }
        }
        for thread in self.threads.lock().drain(..) {
            // A panic of the thread has been reported by the panic hook already.
            let _ = thread.join();
        }
        // Only now are all rows of the volumes' threads in memory.
        Keeper::new(self.core.clone()).finish();
    }

    /// How every stream stands that is, or was, due.
    #[must_use]
    pub fn streams(&self) -> Vec<StreamRecording> {
        self.core.cells.read().values().map(|c| c.snapshot()).collect()
    }

    /// How one stream stands.
    #[must_use]
    pub fn stream(&self, key: StreamKey) -> Option<StreamRecording> {
        self.core.cells.read().get(&key).map(|c| c.snapshot())
    }

    /// How the volumes stand.
    #[must_use]
    pub fn volumes(&self) -> Vec<VolumeStatus> {
        self.core.statuses()
    }

    /// Counters of the recorder.
    #[must_use]
    pub fn stats(&self) -> RecorderStats {
        let mut stats = self.core.totals.snapshot();
        for cell in self.core.cells.read().values() {
            let stream = cell.snapshot();
            stats.due += usize::from(stream.due);
            stats.recording += usize::from(stream.recording);
        }
        stats.recoveries_waiting = self.core.recoveries.lock().len();
        stats
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stop();
    }
}

//! Retention: footage is kept as long as promised, deleted when its time is over, and held where a case asks for it.
//!
//! [`plan`] decides what to delete and in which order, [`forecast`] looks ahead, [`hold`] and [`register`] are
//! reductions of the journal; all of them are pure. [`Retention`] drives them: [`Retention::step`] is one look, which
//! a thread of its own takes every `limits::RETENTION_INTERVAL`.
//!
//! Invariants
//! - A segment of which any moment is held is not deleted, whatever else is true. Holds are placed and segments deleted
//!   under one lock: a hold either comes before a deletion or is told what was gone already.
//! - No file is deleted that the journal does not name before; none that the catalogue does not know.
//! - After a crash at any point, a row whose file is gone becomes a gap with the reason of its deletion.
//! - A promise is broken only when the policy for emergencies says so, with an alarm that is in the journal before.

pub mod age;
pub mod alarm;
mod delete;
pub mod forecast;
mod gather;
pub mod hold;
mod holding;
pub mod plan;
pub mod register;
#[cfg(test)]
mod tests;
mod tier;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use fengsui_config::clock::{Clock, MonoMicros, UtcMicros};
use fengsui_config::ids::{CameraId, NationalCode, VolumeId};
use fengsui_config::limits;
use fengsui_config::retention::{RetentionConfig, WaterMarks};
use fengsui_config::topology::{CameraClass, Topology};
use parking_lot::{Condvar, Mutex};
use serde_json::Value;

use crate::catalogue::Catalogue;
use crate::error::StoreError;
use crate::fs::Fs;
use crate::journal::{Journal, kinds};
use crate::segment::SegmentRow;

pub use holding::{Gone, HoldRefused, HoldRequest, Kept, Placed};
pub use register::RetentionState;
pub use tier::{ArchiveTier, Expired};
pub use view::{ClassView, DryRow, DryRun, RetentionCounts, RetentionView, VolumeWater};

use age::AgeClock;
use alarm::{Alarm, Subject};
use forecast::Forecast;
use register::{Cleared, Totals};

/// Where records go before what they say is done. The journal of a node.
pub trait Log: Send + Sync {
    /// Writes one record and waits until it is durable; returns its sequence number.
    ///
    /// # Errors
    /// One sentence when it cannot be made durable. It may be there all the same.
    fn append(&self, kind: &str, body: Value) -> Result<u64, String>;
}

impl Log for Journal {
    fn append(&self, kind: &str, body: Value) -> Result<u64, String> {
        self.append_blocking(kind, body).map_err(|e| e.to_string())
    }
}

/// A volume as retention finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeNow {
    /// Its name.
    pub id: VolumeId,
    /// Its directory.
    pub root: PathBuf,
    /// It is there, is ours and works, so that its files may be deleted.
    pub usable: bool,
    /// Bytes that stay free.
    pub reserve_bytes: u64,
}

/// Tells of volumes. The recorder of a node.
pub trait Volumes: Send + Sync {
    /// Every volume now.
    fn volumes(&self) -> Vec<VolumeNow>;
}

impl Volumes for crate::recorder::Recorder {
    fn volumes(&self) -> Vec<VolumeNow> {
        use crate::volume::VolumeState;
        let all = Self::volumes(self).into_iter();
        all.map(|v| VolumeNow {
            usable: !matches!(v.state, VolumeState::Error | VolumeState::Missing),
            id: v.id,
            root: v.root,
            reserve_bytes: v.reserve_bytes,
        })
        .collect()
    }
}

/// Tells which segments have a verified copy in the archive.
pub trait Archived: Send + Sync {
    /// Whether this one has.
    fn is_archived(&self, row: &SegmentRow) -> bool;
}

/// There is no archive.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoArchive;

impl Archived for NoArchive {
    fn is_archived(&self, _: &SegmentRow) -> bool {
        false
    }
}

/// Is told of files that were deleted, so that it lets go of them.
pub trait Forget: Send + Sync {
    /// These are gone.
    fn forget(&self, rows: &[SegmentRow]);
}

impl Forget for crate::playback::Footage {
    fn forget(&self, rows: &[SegmentRow]) {
        rows.iter().for_each(|row| Self::forget(self, row));
    }
}

/// What is known of a camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CameraFacts {
    /// Its class.
    pub class: CameraClass,
    /// Its site, station and sub-centre.
    pub places: BTreeSet<NationalCode>,
}

/// The cameras of a topology as retention sees them.
#[must_use]
pub fn camera_facts(topology: &Topology) -> BTreeMap<CameraId, CameraFacts> {
    let of = |camera: &fengsui_config::Camera| {
        let station = topology.sites.get(&camera.site).map(|s| s.station);
        let sub_centre = station.and_then(|s| topology.stations.get(&s)).map(|s| s.sub_centre);
        let places = [Some(camera.site), station, sub_centre].into_iter().flatten().collect();
        CameraFacts { class: camera.class, places }
    };
    topology.cameras.values().map(|c| (c.id, of(c))).collect()
}

/// What retention needs.
#[derive(Clone)]
pub struct RetentionOptions {
    /// Files.
    pub fs: Arc<dyn Fs>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Which footage there is.
    pub catalogue: Arc<Catalogue>,
    /// The journal.
    pub log: Arc<dyn Log>,
    /// What was promised.
    pub policy: RetentionConfig,
    /// Water marks by volume; the default for those that are not named.
    pub water: BTreeMap<VolumeId, WaterMarks>,
    /// What lies in the archive.
    pub archived: Arc<dyn Archived>,
    /// Who is told of deleted files.
    pub forget: Option<Arc<dyn Forget>>,
}

impl std::fmt::Debug for RetentionOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RetentionOptions").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// What the one lock guards: whoever places a hold or deletes has it.
struct Inner {
    state: RetentionState,
    policy: RetentionConfig,
    cameras: BTreeMap<CameraId, CameraFacts>,
    age: AgeClock,
    forecast: Option<Forecast>,
    forecast_made: Option<MonoMicros>,
    /// When everything whose time was over had been deleted last.
    duty_done: Option<MonoMicros>,
    totals: Totals,
    /// When a promise of a class was last broken.
    broken: BTreeMap<CameraClass, UtcMicros>,
    errors: u64,
}

struct Core {
    options: RetentionOptions,
    inner: Mutex<Inner>,
    volumes: Mutex<Option<Arc<dyn Volumes>>>,
    /// Counts changes of holds.
    holds_changed: AtomicU64,
    stopping: AtomicBool,
    bell: (Mutex<()>, Condvar),
}

/// Retention of a node.
pub struct Retention {
    core: Arc<Core>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Retention {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Retention").field("options", &self.core.options).finish_non_exhaustive()
    }
}

impl Retention {
    /// Takes up where the journal says the run before was. `volumes` are looked at for deletions that a crash
    /// interrupted; call this before anything compares files with the catalogue, or they would be taken for damage.
    #[must_use]
    pub fn open(options: RetentionOptions, state: RetentionState, volumes: &[VolumeNow]) -> Arc<Self> {
        let (utc, mono) = (options.clock.utc(), options.clock.mono());
        let alive = options.catalogue.alive_before().or_else(|| gather::newest(&options.catalogue));
        let doubtful = state.alarms.get(&Subject::ClockAhead).and_then(|a| a.age_us);
        let known = doubtful.or(alive);
        let inner = Inner {
            state,
            policy: options.policy.clone(),
            cameras: BTreeMap::new(),
            age: AgeClock::start(known, utc, mono),
            forecast: None,
            forecast_made: None,
            duty_done: None,
            totals: Totals::default(),
            broken: BTreeMap::new(),
            errors: 0,
        };
        let core = Core {
            options,
            inner: Mutex::new(inner),
            volumes: Mutex::new(None),
            holds_changed: AtomicU64::new(1),
            stopping: AtomicBool::new(false),
            bell: (Mutex::new(()), Condvar::new()),
        };
        core.settle(&mut core.inner.lock(), volumes);
        Arc::new(Self { core: Arc::new(core), thread: Mutex::new(None) })
    }

    /// Sets where volumes are asked for; nothing is deleted before.
    pub fn attach(&self, volumes: Arc<dyn Volumes>) {
        *self.core.volumes.lock() = Some(volumes);
    }

    /// Starts the thread that looks every `limits::RETENTION_INTERVAL`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self) -> Result<(), StoreError> {
        let core = self.core.clone();
        let thread = std::thread::Builder::new()
            .name("retention".into())
            .spawn(move || core.run())
            .map_err(StoreError::io("start the thread of retention", self.core.options.catalogue.dir()))?;
        *self.thread.lock() = Some(thread);
        Ok(())
    }

    /// One look: finishes what was interrupted, deletes what is due, keeps the forecast and the alarms.
    pub fn step(&self) {
        self.core.step();
    }

    /// Ends the thread; a batch under way is finished first.
    pub fn stop(&self) {
        {
            let _guard = self.core.bell.0.lock();
            self.core.stopping.store(true, Ordering::Release);
            self.core.bell.1.notify_all();
        }
        if let Some(thread) = self.thread.lock().take() {
            // A panic of the thread has been reported by the panic hook already.
            let _ = thread.join();
        }
    }

    /// Tells of the cameras configured. Cameras that came to a place under a hold are held from now on.
    pub fn set_cameras(&self, cameras: BTreeMap<CameraId, CameraFacts>) {
        let mut inner = self.core.inner.lock();
        inner.cameras = cameras;
        self.core.follow_places(&mut inner);
        inner.forecast_made = None;
    }

    /// Takes another policy into use.
    pub fn set_policy(&self, policy: RetentionConfig) {
        let mut inner = self.core.inner.lock();
        inner.policy = policy;
        inner.forecast_made = None;
    }
}

impl Drop for Retention {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Core {
    fn run(&self) {
        while !self.is_stopping() {
            self.step();
            let mut guard = self.bell.0.lock();
            if !self.is_stopping() {
                self.bell.1.wait_for(&mut guard, limits::RETENTION_INTERVAL);
            }
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    fn step(&self) {
        let Some(source) = self.volumes.lock().clone() else { return };
        let mut volumes = source.volumes();
        for volume in &mut volumes {
            volume.usable = volume.usable && self.is_there(volume);
        }
        self.settle(&mut self.inner.lock(), &volumes);
        for _ in 0..limits::RETENTION_BATCHES_PER_STEP_MAX {
            // The lock is let go of between batches, so that a hold is never far from being placed.
            if self.is_stopping() || !self.round(&mut self.inner.lock(), &volumes) {
                break;
            }
        }
        let mut inner = self.inner.lock();
        self.look_ahead(&mut inner, &volumes);
        self.keep_standing(&mut inner);
    }

    /// Writes down what deletions left to know, so that their own records may go when their term is over.
    fn keep_standing(&self, inner: &mut Inner) {
        let now = self.options.clock.utc();
        let Some(standing) = inner.state.standing(now) else { return };
        let body = serde_json::to_value(standing).unwrap_or(Value::Null);
        match self.options.log.append(kinds::RETENTION_STANDING, body) {
            Ok(_) => inner.state.standing = Some(now),
            Err(error) => {
                tracing::error!(error, "what deletions left to know cannot be written to the journal");
                inner.errors += 1;
            }
        }
    }

    /// Raises an alarm, once. Returns whether the journal has it; until it has, every look tries again.
    fn raise(&self, inner: &mut Inner, subject: Subject, detail: String) -> bool {
        if inner.state.alarms.contains_key(&subject) {
            return true;
        }
        tracing::error!(alarm = %subject, "{detail}");
        let at_us = self.options.clock.utc();
        let age_us = (subject == Subject::ClockAhead).then(|| inner.age.basis());
        let alarm = Alarm { alarm: subject.clone(), at_us, detail, age_us };
        let body = serde_json::to_value(&alarm).unwrap_or(Value::Null);
        match self.options.log.append(kinds::RETENTION_ALARM_RAISED, body) {
            Ok(_) => {
                inner.state.alarms.insert(subject, alarm);
                true
            }
            Err(error) => {
                tracing::error!(error, "an alarm cannot be written to the journal");
                inner.errors += 1;
                if subject == Subject::JournalFailed {
                    inner.state.alarms.insert(subject, alarm);
                }
                false
            }
        }
    }

    /// Ends an alarm, if there is one.
    fn clear(&self, inner: &mut Inner, subject: &Subject) {
        if !inner.state.alarms.contains_key(subject) {
            return;
        }
        let cleared = Cleared { alarm: subject.clone(), at_us: self.options.clock.utc() };
        let body = serde_json::to_value(cleared).unwrap_or(Value::Null);
        match self.options.log.append(kinds::RETENTION_ALARM_CLEARED, body) {
            Ok(_) => {
                tracing::info!(alarm = %subject, "alarm is over");
                inner.state.alarms.remove(subject);
            }
            Err(error) => {
                tracing::error!(error, "the end of an alarm cannot be written to the journal");
                inner.errors += 1;
            }
        }
    }
}

//! What all tests of retention share.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fengsui_config::clock::{Clock, ManualClock, UtcMicros};
use fengsui_config::ids::{StreamKey, StreamKind, VolumeId};
use fengsui_config::retention::{ClassRetention, Emergency, RetentionConfig, WaterMarks};
use fengsui_config::topology::CameraClass;
use parking_lot::Mutex;
use serde_json::Value;

use crate::catalogue::Catalogue;
use crate::fs::Fs;
use crate::journal::{JournalRecord, Reducer, kinds};
use crate::retention::register::Batch;
use crate::retention::{
    CameraFacts, Log, NoArchive, Retention, RetentionOptions, RetentionState, VolumeNow, Volumes,
};
use crate::segment::{SegmentFlags, SegmentRow};

pub const DATA: &str = "/data";
pub const HOUR: Duration = Duration::from_secs(3600);
pub const DAY: Duration = Duration::from_secs(86_400);
/// Some day in 2023.
pub const START: UtcMicros = UtcMicros(1_700_000_000_000_000);

pub fn key(n: u32) -> StreamKey {
    StreamKey { camera: format!("330800000013200{n:05}").parse().unwrap(), stream: StreamKind::Main }
}

pub fn sub(n: u32) -> StreamKey {
    StreamKey { stream: StreamKind::Sub, ..key(n) }
}

pub fn volume(n: usize) -> VolumeId {
    format!("v{n}").parse().unwrap()
}

/// Normal cameras two days and four, key targets four and eight.
pub fn policy(emergency: Emergency) -> RetentionConfig {
    let of = |min: u32, max: u32| ClassRetention { min: DAY * min, max: DAY * max };
    let classes = BTreeMap::from([(CameraClass::Normal, of(2, 4)), (CameraClass::Key, of(4, 8))]);
    RetentionConfig { classes, emergency, sacrifice_floor: HOUR * 6, lab: true }
}

pub fn row(
    key: StreamKey,
    volume: VolumeId,
    number: u64,
    start: UtcMicros,
    length: Duration,
    bytes: u64,
) -> SegmentRow {
    SegmentRow {
        volume,
        key,
        number,
        start_ms: start.millis(),
        duration_ms: length.as_millis() as u32,
        flags: SegmentFlags::VIDEO,
        bytes,
        closed: true,
    }
}

/// A journal in memory that dies with the file system: each append is one call of it.
pub struct TestLog {
    fs: Arc<dyn Fs>,
    clock: Arc<ManualClock>,
    inner: Mutex<LogInner>,
}

#[derive(Default)]
pub struct LogInner {
    pub seq: u64,
    pub state: RetentionState,
    pub announced: HashSet<(StreamKey, u64)>,
    pub records: Vec<JournalRecord>,
    /// Records are kept (for looking at), not only reduced.
    pub keep: bool,
    /// The next record that cannot be acknowledged is there all the same.
    pub ghost: bool,
}

impl TestLog {
    pub fn new(fs: Arc<dyn Fs>, clock: Arc<ManualClock>, keep: bool) -> Arc<Self> {
        Arc::new(Self { fs, clock, inner: Mutex::new(LogInner { keep, ..LogInner::default() }) })
    }
    pub fn look<T>(&self, f: impl FnOnce(&mut LogInner) -> T) -> T {
        f(&mut self.inner.lock())
    }
    pub fn kinds(&self) -> Vec<String> {
        self.look(|l| l.records.iter().map(|r| r.kind.clone()).collect())
    }
}

impl Log for TestLog {
    fn append(&self, kind: &str, body: Value) -> Result<u64, String> {
        let durable = self.fs.sync_dir(Path::new(DATA));
        let mut log = self.inner.lock();
        let ghost = durable.is_err() && std::mem::take(&mut log.ghost);
        if durable.is_ok() || ghost {
            log.seq += 1;
            let record = JournalRecord {
                node: "n".into(),
                epoch: 1,
                seq: log.seq,
                at: self.clock.utc(),
                kind: kind.to_owned(),
                body,
                previous: [0; 32],
                hash: [0; 32],
            };
            log.state.apply(&record).expect("a record of a known shape");
            if record.kind == kinds::RETENTION_DELETING {
                let batch: Batch = serde_json::from_value(record.body.clone()).unwrap();
                log.announced.extend(batch.segments());
            }
            if log.keep {
                log.records.push(record);
            }
        }
        durable.map(|()| log.seq).map_err(|e| e.to_string())
    }
}

/// Volumes as a recorder would tell of them.
pub struct TestVolumes(pub Mutex<Vec<VolumeNow>>);

impl Volumes for TestVolumes {
    fn volumes(&self) -> Vec<VolumeNow> {
        self.0.lock().clone()
    }
}

/// A node without cameras: files, catalogue, journal, retention.
pub struct Bench {
    pub fs: Arc<dyn Fs>,
    pub clock: Arc<ManualClock>,
    pub log: Arc<TestLog>,
    pub volumes: Arc<TestVolumes>,
    pub catalogue: Arc<Catalogue>,
    pub retention: Arc<Retention>,
    pub policy: RetentionConfig,
    pub cameras: BTreeMap<fengsui_config::ids::CameraId, CameraFacts>,
}

pub fn facts(class: CameraClass) -> CameraFacts {
    CameraFacts { class, places: BTreeSet::new() }
}

impl Bench {
    pub fn new(fs: Arc<dyn Fs>, volumes: usize, policy: RetentionConfig, keep: bool) -> Self {
        fs.create_dir_all(Path::new(DATA)).unwrap();
        let clock = Arc::new(ManualClock::at(START));
        let log = TestLog::new(fs.clone(), clock.clone(), keep);
        let now = |n: usize| VolumeNow {
            id: volume(n),
            root: PathBuf::from(format!("/v{n}")),
            usable: true,
            reserve_bytes: 0,
        };
        let volumes = Arc::new(TestVolumes(Mutex::new((1..=volumes).map(now).collect())));
        let cameras = (1..=9)
            .map(|n| {
                let class = if n % 3 == 0 { CameraClass::Key } else { CameraClass::Normal };
                (key(n).camera, facts(class))
            })
            .collect();
        let (catalogue, retention) = Self::start(&fs, &clock, &log, &volumes, &policy, &cameras);
        Self { fs, clock, log, volumes, catalogue, retention, policy, cameras }
    }

    fn start(
        fs: &Arc<dyn Fs>,
        clock: &Arc<ManualClock>,
        log: &Arc<TestLog>,
        volumes: &Arc<TestVolumes>,
        policy: &RetentionConfig,
        cameras: &BTreeMap<fengsui_config::ids::CameraId, CameraFacts>,
    ) -> (Arc<Catalogue>, Arc<Retention>) {
        let shared: Arc<dyn Clock> = clock.clone();
        let catalogue =
            Catalogue::open(fs.clone(), &Path::new(DATA).join("catalogue"), shared.clone()).unwrap();
        let water = WaterMarks { high_permille: 900, low_permille: 800 };
        let options = RetentionOptions {
            fs: fs.clone(),
            clock: shared,
            catalogue: catalogue.clone(),
            log: log.clone(),
            policy: policy.clone(),
            water: volumes.0.lock().iter().map(|v| (v.id.clone(), water)).collect(),
            archived: Arc::new(NoArchive),
            forget: None,
        };
        // As a snapshot would bring it.
        let state = log.look(|l| serde_json::to_value(&l.state).unwrap());
        let state: RetentionState = serde_json::from_value(state).unwrap();
        let retention = Retention::open(options, state, &volumes.0.lock());
        retention.set_cameras(cameras.clone());
        retention.attach(volumes.clone());
        (catalogue, retention)
    }

    /// The process ends and starts again.
    pub fn restart(&mut self) {
        let (catalogue, retention) =
            Self::start(&self.fs, &self.clock, &self.log, &self.volumes, &self.policy, &self.cameras);
        self.catalogue = catalogue;
        self.retention = retention;
    }

    pub fn now(&self) -> UtcMicros {
        self.clock.utc()
    }
    pub fn root(&self, volume: &VolumeId) -> PathBuf {
        self.volumes.0.lock().iter().find(|v| v.id == *volume).unwrap().root.clone()
    }
    pub fn path(&self, row: &SegmentRow) -> PathBuf {
        self.root(&row.volume).join(row.path())
    }
    pub fn alarms(&self) -> Vec<&'static str> {
        self.log.look(|l| l.state.alarms.keys().map(crate::retention::alarm::Subject::kind).collect())
    }
}

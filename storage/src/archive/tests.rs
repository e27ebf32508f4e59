//! The archive against stores that fail, lie, tear and stall.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "tests"
)]

mod reading;
mod removal;
mod storing;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fengsui_config::archive::{ArchiveChoice, ArchiveConfig, ArchivePlace};
use fengsui_config::clock::{ManualClock, UtcMicros};
use fengsui_config::ids::StreamKey;
use parking_lot::Mutex;
use serde_json::Value;

use super::*;
use crate::fs::{Fs, FsFile, PageBuf, SimFs};
use crate::segment::tests::kit;
use crate::segment::{EndReason, SegmentFlags, SegmentWriter};

/// What a store does wrong.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Does not answer.
    pub down: AtomicBool,
    /// Says of so many uploads that they worked, and changes a byte of them.
    pub lies: AtomicU32,
    /// Cuts the answers to so many reads short.
    pub short: AtomicU32,
    /// Changes a byte in the answers to so many reads.
    pub rot: AtomicU32,
    /// Removes nothing.
    pub locked: AtomicBool,
    /// Retention that objects were given.
    pub retained: Mutex<Vec<(String, UtcMicros)>>,
    /// Keys in the order in which they were put.
    pub put: Mutex<Vec<String>>,
    /// Bytes given out.
    pub given: Mutex<Vec<(u64, usize)>>,
    /// Happens once, while the store is asked for the size of an object.
    pub meanwhile: Meanwhile,
}

/// Something done by somebody else at a certain moment.
#[derive(Default)]
pub(super) struct Meanwhile(pub Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl std::fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meanwhile")
    }
}

fn once(n: &AtomicU32) -> bool {
    n.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
}

/// A folder in memory as a store, with faults.
#[derive(Debug)]
pub(super) struct Faulty {
    pub inner: DirectoryStore,
    pub faults: Arc<Faults>,
    pub fs: SimFs,
}

impl Faulty {
    fn answer(&self) -> Result<(), ArchiveError> {
        if self.faults.down.load(Ordering::SeqCst) {
            return Err(ArchiveError::Unreachable("the cable is out".into()));
        }
        Ok(())
    }
}

impl ArchiveStore for Faulty {
    fn put(&self, key: &str, source: &dyn FsFile, len: u64) -> Result<(), ArchiveError> {
        self.answer()?;
        self.faults.put.lock().push(key.to_owned());
        self.inner.put(key, source, len)?;
        if once(&self.faults.lies) {
            flip(&self.fs, &Path::new("/cold").join(key), len / 2);
        }
        Ok(())
    }
    fn size(&self, key: &str) -> Result<Option<u64>, ArchiveError> {
        self.answer()?;
        let meanwhile = self.faults.meanwhile.0.lock().take();
        if let Some(happens) = meanwhile {
            happens();
        }
        self.inner.size(key)
    }
    fn get(&self, key: &str, offset: u64, len: usize) -> Result<Bytes, ArchiveError> {
        self.answer()?;
        let mut bytes = self.inner.get(key, offset, len)?.to_vec();
        self.faults.given.lock().push((offset, len));
        if once(&self.faults.short) {
            bytes.truncate(len / 2);
        } else if once(&self.faults.rot) {
            bytes[len / 2] ^= 1;
        }
        Ok(bytes.into())
    }
    fn list(&self, folder: &str, each: &mut dyn FnMut(Listed)) -> Result<(), ArchiveError> {
        self.answer()?;
        self.inner.list(folder, each)
    }
    fn retain(&self, key: &str, retention: Retention) -> Result<(), ArchiveError> {
        self.answer()?;
        self.faults.retained.lock().push((key.to_owned(), retention.until));
        Ok(())
    }
    fn remove(&self, key: &str) -> Result<(), ArchiveError> {
        self.answer()?;
        if self.faults.locked.load(Ordering::SeqCst) {
            return Err(ArchiveError::Locked(key.to_owned()));
        }
        self.inner.remove(key)
    }
    fn probe_lock(&self) -> LockReport {
        self.inner.probe_lock()
    }
    fn upload_check(&self) -> &'static str {
        self.inner.upload_check()
    }
}

pub(super) fn flip(fs: &dyn Fs, path: &Path, at: u64) {
    let file = fs.open(path, crate::fs::OpenOptions::WRITE).unwrap();
    let mut byte = [0];
    file.read_exact_at(at, &mut byte).unwrap();
    file.write_at(at, &[byte[0] ^ 1]).unwrap();
    file.sync_all().unwrap();
}

/// Footage on the volume, by hand.
#[derive(Default)]
pub(super) struct Local(pub Mutex<Vec<SegmentRow>>);

impl LocalFootage for Local {
    fn keys(&self) -> Vec<StreamKey> {
        vec![kit::key()]
    }
    fn segments(&self, _: StreamKey, from: UtcMicros, to: UtcMicros) -> Vec<SegmentRow> {
        self.0.lock().iter().filter(|r| r.start() <= to && r.end() > from).cloned().collect()
    }
}

/// What is wanted, by hand.
#[derive(Default)]
pub(super) struct Wants {
    pub held: Mutex<BTreeSet<u64>>,
    pub none: AtomicBool,
    pub rows: Mutex<Vec<SegmentRow>>,
}

impl Wanted for Wants {
    fn takes(&self, _: StreamKey) -> bool {
        !self.none.load(Ordering::SeqCst)
    }
    fn held(&self, _: StreamKey, from: UtcMicros, _: UtcMicros) -> bool {
        let held = self.held.lock();
        self.rows.lock().iter().any(|r| r.start() == from && held.contains(&r.number))
    }
    fn generation(&self) -> u64 {
        self.held.lock().len() as u64
    }
}

#[derive(Default)]
pub(super) struct Notes(pub Mutex<Vec<(&'static str, Value)>>);

impl Note for Notes {
    fn note(&self, kind: &'static str, body: Value) {
        self.0.lock().push((kind, body));
    }
}

impl Notes {
    pub(super) fn kinds(&self) -> Vec<&'static str> {
        self.0.lock().iter().map(|(k, _)| *k).collect()
    }
}

/// A node with a volume of segments and an archive.
pub(super) struct City {
    pub fs: SimFs,
    pub clock: Arc<ManualClock>,
    pub faults: Arc<Faults>,
    pub local: Arc<Local>,
    pub wants: Arc<Wants>,
    pub notes: Arc<Notes>,
    pub config: ArchiveConfig,
}

pub(super) fn archive_config() -> ArchiveConfig {
    ArchiveConfig {
        id: "cold".parse().unwrap(),
        place: ArchivePlace::Folder("/cold".into()),
        choice: ArchiveChoice::default(),
        after: Duration::from_secs(600),
        max: None,
        rate_bytes: None,
        uploads: 2,
        verify_percent: 100,
        cache_bytes: 4 << 20,
        lock: None,
    }
}

impl City {
    /// `count` closed segments of a few seconds, one after the other.
    pub(super) fn new(count: u64) -> Self {
        let fs = SimFs::new(1);
        fs.create_dir_all(Path::new("/cold")).unwrap();
        fs.sync_dir(Path::new("/cold")).unwrap();
        fs.sync_dir(Path::new("/")).unwrap();
        let rows: Vec<SegmentRow> = (1..=count).map(|n| segment(&fs, n, 150, 2000)).collect();
        let end = rows.last().map_or(kit::START, SegmentRow::end);
        let wants = Wants::default();
        *wants.rows.lock() = rows.clone();
        let local = Local::default();
        *local.0.lock() = rows;
        Self {
            fs,
            clock: Arc::new(ManualClock::at(end + Duration::from_secs(700))),
            faults: Arc::default(),
            local: Arc::new(local),
            wants: Arc::new(wants),
            notes: Arc::default(),
            config: archive_config(),
        }
    }

    pub(super) fn store(&self) -> Arc<Faulty> {
        let inner = DirectoryStore::new(Arc::new(self.fs.clone()), "/cold".into());
        Arc::new(Faulty { inner, faults: self.faults.clone(), fs: self.fs.clone() })
    }

    /// The archive as a start of the node opens it.
    pub(super) fn open(&self) -> Arc<Archive> {
        self.try_open().unwrap()
    }

    pub(super) fn try_open(&self) -> Result<Arc<Archive>, crate::error::StoreError> {
        Archive::open(ArchiveOptions {
            fs: Arc::new(self.fs.clone()),
            clock: self.clock.clone(),
            store: self.store(),
            config: self.config.clone(),
            footage: self.local.clone(),
            volumes: vec![("v1".parse().unwrap(), "/v1".into())],
            wanted: self.wants.clone(),
            note: self.notes.clone(),
            dir: "/data/archive".into(),
            node: "centre".parse().unwrap(),
        })
    }

    pub(super) fn now(&self) -> UtcMicros {
        use fengsui_config::clock::Clock as _;
        self.clock.utc()
    }

    pub(super) fn rows(&self) -> Vec<SegmentRow> {
        self.local.0.lock().clone()
    }

    pub(super) fn object(&self, row: &SegmentRow) -> PathBuf {
        Path::new("/cold").join(object_key(&"centre".parse().unwrap(), row))
    }
}

/// A closed segment number `n` on the volume, `frames` pictures of about `size` bytes at 25 a second.
pub(super) fn segment(fs: &dyn Fs, n: u64, frames: u64, size: usize) -> SegmentRow {
    let shift = Duration::from_secs(n * 100);
    let mut head = kit::head(n, &kit::info(false));
    head.start = head.start + shift;
    let start = head.start;
    let mut units = kit::stream(frames, 25, size, false);
    for unit in &mut units {
        (unit.utc, unit.arrived) = (unit.utc + shift, unit.arrived + shift);
    }
    let mut w = SegmentWriter::create(fs, Path::new("/v1"), head, 0, kit::signer()).unwrap();
    let mut buf = PageBuf::new();
    kit::feed(&mut w, &units, &mut buf);
    let closed = w.close(fs, EndReason::Rotation, &mut buf).unwrap();
    let name: crate::segment::SegmentName =
        closed.path.file_name().unwrap().to_string_lossy().parse().unwrap();
    let (duration_ms, flags) = name.closed.unwrap_or((0, SegmentFlags::default()));
    SegmentRow {
        volume: "v1".parse().unwrap(),
        key: kit::key(),
        number: n,
        start_ms: start.millis(),
        duration_ms,
        flags,
        bytes: fs.metadata(&closed.path).unwrap().len,
        closed: true,
    }
}

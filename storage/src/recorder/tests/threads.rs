//! The recorder with its own threads, on real files, in real time.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fengsui_config::VolumeConfig;
use fengsui_config::clock::{Clock, SystemClock, UtcMicros};

use super::super::{Recorder, RecorderOptions};
use super::bench::key;
use crate::catalogue::Catalogue;
use crate::frame::{AccessUnit, Track};
use crate::fs::{DirEntry, Fs, FsFile, Metadata, OpenOptions, RealFs, Space};
use crate::hub::Hub;
use crate::segment::NodeKey;
use crate::segment::tests::kit;
use crate::volume::VolumeState;

/// Real files whose next write of a segment can be made to panic.
#[derive(Debug, Clone)]
struct Trap {
    fs: RealFs,
    armed: Arc<AtomicBool>,
}

#[derive(Debug)]
struct TrapFile {
    file: Box<dyn FsFile>,
    armed: Option<Arc<AtomicBool>>,
}

impl FsFile for TrapFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        assert!(
            !self.armed.as_ref().is_some_and(|a| a.swap(false, Ordering::SeqCst)),
            "the trap of this test"
        );
        self.file.write_at(offset, bytes)
    }
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, out)
    }
    fn allocate_keep_size(&self, len: u64) -> io::Result<()> {
        self.file.allocate_keep_size(len)
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.file.truncate(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}

impl Fs for Trap {
    fn open(&self, path: &Path, options: OpenOptions) -> io::Result<Box<dyn FsFile>> {
        let file = self.fs.open(path, options)?;
        let segment = path.to_string_lossy().ends_with(".open.mp4");
        Ok(Box::new(TrapFile { file, armed: segment.then(|| self.armed.clone()) }))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.fs.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.fs.remove(path)
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.fs.create_dir_all(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.fs.remove_dir(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.fs.sync_dir(path)
    }
    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.fs.read_dir(path)
    }
    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.fs.metadata(path)
    }
    fn sync_volume(&self, path: &Path) -> io::Result<()> {
        self.fs.sync_volume(path)
    }
    fn space(&self, path: &Path) -> io::Result<Space> {
        self.fs.space(path)
    }
}

struct Node {
    _dir: tempfile::TempDir,
    root: PathBuf,
    trap: Trap,
    clock: Arc<SystemClock>,
    hub: Arc<Hub>,
    catalogue: Arc<Catalogue>,
    recorder: Recorder,
    sent: u64,
}

fn node() -> Node {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_path_buf();
    let trap = Trap { fs: RealFs, armed: Arc::default() };
    let fs: Arc<dyn Fs> = Arc::new(trap.clone());
    let clock = Arc::new(SystemClock::new());
    let hub = Hub::new(clock.clone(), 1 << 28);
    let catalogue = Catalogue::open(fs.clone(), &root.join("catalogue"), clock.clone()).unwrap();
    let recorder = Recorder::start(RecorderOptions {
        fs,
        clock: clock.clone(),
        hub: hub.clone(),
        catalogue: catalogue.clone(),
        volumes: vec![VolumeConfig::direct("v1".parse().unwrap(), root.join("v1"), 0)],
        node: "centre".parse().unwrap(),
        node_key: Arc::new(NodeKey::from_seed([7; 32])),
        data: root.join("data"),
    })
    .unwrap();
    recorder.set_plan(&[key(1)].into());
    hub.stream(key(1)).begin((*kit::info(false)).clone());
    Node { _dir: dir, root, trap, clock, hub, catalogue, recorder, sent: 0 }
}

impl Node {
    /// Sends one group of pictures at once, the last picture as of now. The hub keeps it whole for a recorder that
    /// comes later.
    fn send(&mut self) {
        let now = self.clock.utc();
        for n in 0..20i64 {
            let at = UtcMicros(now.0 - (19 - n) * 50_000);
            self.hub.stream(key(1)).push(AccessUnit {
                track: Track::Video,
                key: n == 0,
                pts: at.0 * 9 / 100,
                utc: at,
                camera_utc: None,
                arrived: at,
                lost_before: 0,
                data: Bytes::from_static(&[0x65; 900]),
            });
            self.sent += 1;
        }
    }

    /// Waits until `what` holds; fails after 30 seconds.
    fn until(&self, what: &str, f: impl Fn(&Self) -> bool) {
        let from = self.clock.mono();
        while !f(self) {
            assert!(self.clock.mono().since(from) < Duration::from_secs(30), "never: {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn threads_record_and_stop_in_order_on_real_files() {
    let mut node = node();
    node.send();
    node.until("the first group is on the disk", |n| n.recorder.stream(key(1)).unwrap().units >= 19);
    node.send();
    node.recorder.stop();
    let stats = node.recorder.stats();
    assert_eq!((stats.units, stats.closed, stats.errors), (node.sent, 1, 0));
    let row = node.catalogue.segments(key(1), UtcMicros(0), node.clock.utc()).remove(0);
    let file = node.root.join("v1").join(row.path());
    assert_eq!(std::fs::metadata(&file).unwrap().len(), row.bytes);
    let again = Catalogue::open(Arc::new(RealFs), &node.root.join("catalogue"), Arc::new(SystemClock::new()))
        .unwrap();
    assert_eq!(again.segments(key(1), UtcMicros(0), node.clock.utc()), [row]);
}

#[test]
fn a_panic_in_a_writer_costs_its_volume_a_moment_and_not_the_node() {
    let mut node = node();
    node.trap.armed.store(true, Ordering::SeqCst);
    node.send();
    node.until("the trap sprang", |n| n.recorder.stats().errors > 0);
    assert_eq!(node.recorder.volumes().remove(0).state, VolumeState::Error);
    node.until("the volume proved itself", |n| n.recorder.volumes().remove(0).state == VolumeState::Ok);
    node.send();
    node.until("recording again", |n| n.recorder.stream(key(1)).unwrap().units >= 19);
    node.recorder.stop();
    assert!(node.recorder.stats().closed >= 1);
}

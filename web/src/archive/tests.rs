//! Archives of a node beside its retention, journal and configuration.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeSet;
use std::time::Duration;

use fengsui_config::clock::ManualClock;
use fengsui_storage::fs::RealFs;
use fengsui_storage::retention::{HoldRequest, NoArchive};
use fengsui_storage::segment::{NodeKey, SegmentFlags};

use super::*;
use crate::testing::{NOW, config, key};

const DAY: Duration = Duration::from_secs(86_400);

/// Three segments in an archive that deletes after forty days, and the volumes have let go of them.
struct Bench {
    config: Config,
    clock: Arc<ManualClock>,
    cold: PathBuf,
    rows: Vec<SegmentRow>,
    _folder: tempfile::TempDir,
}

struct Running {
    archives: Archives,
    retention: Arc<Retention>,
    journal: Arc<Journal>,
    catalogue: Arc<Catalogue>,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cold = folder.path().join("cold");
        let mut config = config();
        config.node.data = folder.path().join("data");
        config.storage.volumes[0].path = folder.path().join("v1");
        config.storage.archives = vec![ArchiveConfig {
            id: "cold".parse().unwrap(),
            place: ArchivePlace::Folder(cold.clone()),
            choice: ArchiveChoice::default(),
            after: Duration::ZERO,
            max: Some(DAY * 40),
            rate_bytes: None,
            uploads: 1,
            verify_percent: 100,
            cache_bytes: 1 << 20,
            lock: None,
        }];
        let row = |number: u64| SegmentRow {
            volume: "v1".parse().unwrap(),
            key: key(StreamKind::Main),
            number,
            start_ms: (NOW - Duration::from_secs(3600 * (10 - number))).millis(),
            duration_ms: 300_000,
            flags: SegmentFlags::VIDEO,
            bytes: 4,
            closed: true,
        };
        let rows: Vec<SegmentRow> = (1..=3).map(row).collect();
        let bench = Self { config, clock: Arc::new(ManualClock::at(NOW)), cold, rows, _folder: folder };
        for row in &bench.rows {
            let object = bench.object(row);
            std::fs::create_dir_all(object.parent().unwrap()).unwrap();
            std::fs::write(object, format!("mp{:02}", row.number)).unwrap();
        }
        let (node, id) = (bench.config.node.id.clone(), "cold".parse().unwrap());
        let dir = paths::archive(&bench.config.node.data);
        let store = DirectoryStore::new(Arc::new(RealFs), bench.cold.clone());
        fengsui_storage::archive::rebuild(&store, &node, &id, (&RealFs, &dir), NOW).unwrap();
        bench
    }

    fn object(&self, row: &SegmentRow) -> PathBuf {
        self.cold.join(fengsui_storage::archive::object_key(&self.config.node.id, row))
    }

    fn there(&self) -> Vec<bool> {
        self.rows.iter().map(|r| self.object(r).is_file()).collect()
    }

    fn start(&self) -> Running {
        let fs: Arc<dyn Fs> = Arc::new(RealFs);
        let clock: Arc<dyn Clock> = self.clock.clone();
        let node_key = Arc::new(NodeKey::from_seed([7; 32]));
        let journal = crate::trail::open(&self.config, &fs, &clock, &node_key).unwrap();
        let dir = paths::catalogue(&self.config.node.data);
        let catalogue = Catalogue::open(fs.clone(), &dir, clock.clone()).unwrap();
        let parts = Parts {
            fs: fs.clone(),
            clock: clock.clone(),
            catalogue: catalogue.clone(),
            journal: journal.clone(),
        };
        let archives = Archives::open(&self.config, &parts).unwrap();
        let retention = crate::retention::open(
            &self.config,
            (fs, clock),
            catalogue.clone(),
            &journal,
            (Arc::new(NoArchive), None),
        )
        .unwrap();
        archives.attach(&retention);
        Running { archives, retention, journal, catalogue }
    }
}

impl Running {
    fn tidy(&self) {
        for one in &self.archives.0 {
            one.archive.step().unwrap();
            one.archive.tidy().unwrap();
        }
    }
}

#[test]
fn a_hold_reaches_the_archive_and_outlives_a_reload_and_a_restart() {
    let bench = Bench::new();
    let held = bench.rows[1].clone();
    let running = bench.start();
    let request = HoldRequest {
        cameras: BTreeSet::from([held.key.camera]),
        from: held.start(),
        to: Some(held.end()),
        reason: "a case".into(),
        by: "li".into(),
        ..HoldRequest::default()
    };
    let topology = Arc::new(bench.config.topology.clone());
    let hold = running.retention.place_hold(request).unwrap().hold.id;
    // The archive's own view of holds follows, before and after a reload.
    let choice = &running.archives.0[0].choice;
    let before = choice.generation();
    assert!(choice.held(held.key, held.start(), held.end()));
    running.archives.set_topology(&topology);
    assert_ne!(choice.generation(), before, "a reload has everything looked at anew");
    assert!(choice.held(held.key, held.start(), held.end()));
    assert!(!choice.held(held.key, bench.rows[0].start(), bench.rows[0].end()));
    running.tidy();
    assert_eq!(bench.there(), [true; 3], "their time is not over");
    // As the recorder's keeper says every other second: ages are counted from the last sign of life.
    bench.clock.advance(DAY * 41);
    running.catalogue.alive(bench.clock.utc());
    running.catalogue.flush(true).unwrap();
    running.journal.close();
    drop(running);

    let running = bench.start();
    running.archives.set_topology(&topology);
    running.tidy();
    assert_eq!(bench.there(), [false, true, false]);
    assert_eq!(std::fs::read(bench.object(&held)).unwrap(), b"mp02");
    let records = running.journal.read(1).unwrap().map(|r| r.unwrap());
    let deleted = records.filter(|r| r.kind == "retention.deleted" && r.body["volume"] == "cold");
    assert_eq!(deleted.map(|r| r.body["segments"].as_u64().unwrap()).sum::<u64>(), 2);
    running.retention.release_hold(hold, "closed", "li").unwrap();
    bench.clock.advance(DAY);
    running.tidy();
    assert_eq!(bench.there(), [false; 3], "released");
    running.journal.close();
}

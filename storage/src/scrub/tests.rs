//! What the scrubber finds, says, keeps and repairs.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "tests"
)]

use std::path::Path;
use std::time::Duration;

use fengsui_config::clock::ManualClock;

use super::*;
use crate::catalogue::SpanKind;
use crate::frame::GapReason;
use crate::fs::{Fault, FaultPlan, Operation, PageBuf, SimFs};
use crate::journal::kinds;
use crate::playback::Footage;
use crate::segment::tests::kit;
use crate::segment::{EndReason, Part, SegmentHead, SegmentReader, SegmentWriter};

#[derive(Default)]
struct Told {
    rows: Mutex<Vec<(String, serde_json::Value)>>,
    refuse: AtomicBool,
}

impl Reporter for Told {
    fn report(&self, kind: &'static str, body: serde_json::Value) -> Result<(), String> {
        if self.refuse.load(Ordering::SeqCst) {
            return Err("the disk is gone".into());
        }
        self.rows.lock().push((kind.to_owned(), body));
        Ok(())
    }
}

#[derive(Default)]
struct World {
    busy: AtomicBool,
    away: AtomicBool,
    replaced: Mutex<Vec<u64>>,
}

impl Surroundings for World {
    fn busy(&self) -> bool {
        self.busy.load(Ordering::SeqCst)
    }
    fn readable(&self, _: &VolumeId) -> bool {
        !self.away.load(Ordering::SeqCst)
    }
    fn replaced(&self, row: &SegmentRow) {
        self.replaced.lock().push(row.number);
    }
}

struct Bench {
    fs: SimFs,
    clock: Arc<ManualClock>,
    catalogue: Arc<Catalogue>,
    told: Arc<Told>,
    world: Arc<World>,
    footage: Footage,
    rows: Vec<SegmentRow>,
}

fn volumes() -> Vec<(VolumeId, PathBuf)> {
    vec![("v1".parse().unwrap(), PathBuf::from("/v1"))]
}

impl Bench {
    /// `n` segments of eight seconds, one after the other.
    fn new(n: u64) -> Self {
        let fs = SimFs::new(1);
        let clock = Arc::new(ManualClock::at(kit::START + Duration::from_secs(3600)));
        let shared: Arc<dyn Fs> = Arc::new(fs.clone());
        let catalogue = Catalogue::open(shared.clone(), Path::new("/data/catalogue"), clock.clone()).unwrap();
        let info = kit::info(true);
        let (mut rows, mut previous) = (Vec::new(), [0; 32]);
        for number in 1..=n {
            let shift = Duration::from_secs(8 * (number - 1));
            let head = SegmentHead { previous, start: kit::START + shift, ..kit::head(number, &info) };
            let mut w = SegmentWriter::create(&fs, Path::new("/v1"), head, 0, kit::signer()).unwrap();
            let mut buf = PageBuf::new();
            for mut u in kit::stream(200, 50, 300, true) {
                (u.utc, u.arrived) = (u.utc + shift, u.arrived + shift);
                w.push(u.clone());
                while w.due(u.arrived) {
                    w.flush(&mut buf).unwrap();
                }
            }
            let closed = w.close(&fs, EndReason::Rotation, &mut buf).unwrap();
            catalogue.closed(&closed.row, closed.hash);
            previous = closed.hash;
            rows.push(closed.row);
        }
        let footage = Footage::new(shared, catalogue.clone(), volumes());
        let (told, world) = (Arc::new(Told::default()), Arc::new(World::default()));
        Self { fs, clock, catalogue, told, world, footage, rows }
    }

    fn options(&self, rate: u64) -> ScrubOptions {
        ScrubOptions {
            fs: Arc::new(self.fs.clone()),
            clock: self.clock.clone(),
            catalogue: self.catalogue.clone(),
            volumes: volumes(),
            dir: "/data/integrity".into(),
            rate,
            key: Some(kit::signer().id()),
            reporter: self.told.clone(),
            surroundings: self.world.clone(),
            replicas: Vec::new(),
            suspects: self.footage.suspects(),
        }
    }

    fn run(&self, scrubber: &Scrubber, seconds: u64) {
        for _ in 0..seconds * 4 {
            self.clock.advance(limits::SCRUB_INTERVAL);
            scrubber.step();
        }
    }

    fn path(&self, n: usize) -> PathBuf {
        Path::new("/v1").join(self.rows[n].path())
    }

    fn flip(&self, n: usize, at: usize) {
        let mut bytes = self.fs.get(&self.path(n)).unwrap();
        bytes[at] ^= 4;
        self.fs.put(&self.path(n), bytes);
    }

    /// A byte within the pictures of fragment `f`.
    fn inside(&self, n: usize, f: usize) -> usize {
        let r = SegmentReader::open(&self.fs, &self.path(n), None).unwrap();
        r.fragments()[f].offset as usize + 900
    }

    fn gaps(&self) -> Vec<(i64, i64)> {
        let key = kit::key();
        let spans = self.catalogue.spans(key, kit::START, kit::START + Duration::from_secs(3000));
        let damaged = spans.iter().filter(|s| s.kind == SpanKind::Gap(GapReason::Damaged));
        damaged.map(|s| (s.from.since(kit::START), s.to.since(kit::START))).collect()
    }

    fn told(&self, kind: &str) -> Vec<serde_json::Value> {
        self.told.rows.lock().iter().filter(|(k, _)| k == kind).map(|(_, b)| b.clone()).collect()
    }
}

#[test]
fn a_damaged_group_becomes_a_gap_of_exactly_its_time_and_the_rest_plays() {
    let b = Bench::new(3);
    let before = b.fs.get(&b.path(1)).unwrap();
    let whole = SegmentReader::open(&b.fs, &b.path(1), None).unwrap();
    let (from, to) = (whole.fragments()[1].utc, whole.fragments()[1].utc_end);
    b.flip(1, b.inside(1, 1));
    let scrubber = Scrubber::manual(b.options(1 << 20));
    b.run(&scrubber, 20);
    let status = scrubber.status();
    let last = status.last.unwrap();
    assert_eq!((last.segments, last.damaged, last.skipped), (3, 1, 0), "{status:?}");
    assert_eq!(b.gaps(), [(from.since(kit::START), to.since(kit::START))]);
    let told = b.told(kinds::INTEGRITY_DAMAGED);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["segment"], 2);
    assert_eq!(told[0]["part"], "group");
    assert_eq!(
        (told[0]["lost_from_us"].as_i64(), told[0]["lost_to_us"].as_i64()),
        (Some(from.0), Some(to.0))
    );
    assert_ne!(told[0]["expected"], told[0]["found"]);
    // Playback leaves the fragment out and serves all others.
    let list = b.footage.gops(kit::key(), kit::START, kit::START + Duration::from_secs(24)).unwrap();
    assert!(list.items.iter().all(|g| g.to <= from || g.from >= to), "{:?}", list.items);
    assert!(list.items.iter().all(|g| b.footage.gop(kit::key(), &g.id).is_ok()));
    let fragments = whole.fragments().len() * 3;
    assert_eq!(list.items.len(), fragments - 1);
    // The file is evidence: not one byte was changed, and it was not moved.
    let after = b.fs.get(&b.path(1)).unwrap();
    assert_eq!(before.iter().zip(&after).filter(|(a, b)| a != b).count(), 1);
    b.run(&scrubber, 10_000);
    assert_eq!(b.told(kinds::INTEGRITY_DAMAGED).len(), 1, "what is known is not told again");
}

#[test]
fn damage_and_place_survive_a_restart_and_a_state_that_does_not_hold_is_set_aside() {
    let b = Bench::new(6);
    b.flip(0, b.inside(0, 2));
    // About one segment a second.
    let rate = b.rows[0].bytes;
    let scrubber = Scrubber::manual(b.options(rate));
    b.run(&scrubber, 3);
    let pass = scrubber.status().pass.unwrap();
    assert!((2..=4).contains(&pass.segments), "{pass:?}");
    drop(scrubber);
    let shared: Arc<dyn Fs> = Arc::new(b.fs.clone());
    b.catalogue.flush(true).unwrap();
    let catalogue = Catalogue::open(shared.clone(), Path::new("/data/catalogue"), b.clock.clone()).unwrap();
    let b = Bench { catalogue, ..b };
    assert!(b.gaps().is_empty());
    let scrubber = Scrubber::manual(b.options(rate));
    assert_eq!(b.gaps().len(), 1, "the gap is there before anything is read");
    b.run(&scrubber, 8);
    let last = scrubber.status().last.unwrap();
    assert!((6..=7).contains(&last.segments), "the pass went on where it was: {last:?}");
    assert_eq!(b.told(kinds::INTEGRITY_DAMAGED).len(), 1);
    drop(scrubber);
    let path = Path::new("/data/integrity/integrity.state");
    let good = b.fs.get(path).unwrap();
    for at in (0..good.len()).step_by(11) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert!(state::decode(&bad).is_none(), "flip at {at}");
    }
    b.fs.put(path, good[..good.len() - 1].to_vec());
    let scrubber = Scrubber::manual(b.options(1 << 30));
    assert!(scrubber.status().last.is_none());
    assert!(b.fs.files().iter().any(|f| f.to_string_lossy().contains("integrity.state.damaged-")));
    b.run(&scrubber, 2);
    assert_eq!(b.gaps().len(), 1, "found again");
}

#[test]
fn a_copy_takes_the_place_of_a_damaged_segment_only_when_it_is_the_same_to_the_last_byte() {
    let b = Bench::new(2);
    let good = b.fs.get(&b.path(0)).unwrap();
    b.flip(0, b.inside(0, 1));
    let bad = b.fs.get(&b.path(0)).unwrap();
    // Somebody plays it meanwhile.
    let name = b.rows[0].name().to_string();
    assert!(b.footage.raw_fragment(kit::key(), &name, 1).is_err());
    let copy = Path::new("/mirror").join(b.rows[0].path());
    let replica = || Arc::new(DirectoryReplica::new(b.fs.clone(), "/mirror".into()));
    let scrub = |copies: bool| {
        let mut options = b.options(1 << 30);
        options.dir = format!("/data/{}", b.fs.files().len()).into();
        options.replicas = if copies { vec![replica()] } else { Vec::new() };
        let scrubber = Scrubber::manual(options);
        b.run(&scrubber, 2);
        scrubber.status()
    };
    assert_eq!(scrub(true).repaired, 0, "there is no copy");
    for wrong in [bad.clone(), good[..good.len() - 9].to_vec(), b.fs.get(&b.path(1)).unwrap(), Vec::new()] {
        b.fs.put(&copy, wrong);
        assert_eq!(scrub(true).repaired, 0);
        assert!(b.fs.get(&b.path(0)).unwrap() == bad);
    }
    b.fs.put(&copy, good.clone());
    let status = scrub(true);
    assert_eq!(status.repaired, 1, "{status:?}");
    assert!(b.fs.get(&b.path(0)).unwrap() == good);
    let kept = b.told(kinds::INTEGRITY_REPAIRED)[0]["kept"].as_str().unwrap().to_owned();
    assert!(b.fs.get(Path::new(&kept)).unwrap() == bad, "the damaged file is kept");
    assert!(b.gaps().is_empty() && b.catalogue.damages().is_empty());
    assert_eq!(*b.world.replaced.lock(), [1]);
    b.footage.forget(&b.rows[0]);
    assert!(b.footage.raw_fragment(kit::key(), &name, 1).is_ok());
    assert!(!b.fs.files().iter().any(|f| f.to_string_lossy().ends_with(".repair")));
}

#[test]
fn a_crash_at_any_call_of_a_repair_leaves_the_damaged_file_or_the_whole_one() {
    for cut in 0..60 {
        let b = Bench::new(1);
        let good = b.fs.get(&b.path(0)).unwrap();
        b.flip(0, b.inside(0, 1));
        let bad = b.fs.get(&b.path(0)).unwrap();
        b.fs.put(&Path::new("/mirror").join(b.rows[0].path()), good.clone());
        let options = ScrubOptions {
            replicas: vec![Arc::new(DirectoryReplica::new(b.fs.clone(), "/mirror".into()))],
            ..b.options(1 << 30)
        };
        let scrubber = Scrubber::manual(options.clone());
        b.fs.plan(FaultPlan { operation: None, below: None, after: cut, times: 1, fault: Fault::PowerCut });
        b.run(&scrubber, 1);
        std::mem::forget(scrubber);
        b.fs.crash();
        b.fs.heal();
        let now = b.fs.get(&b.path(0)).unwrap();
        assert!(now == good || now == bad, "cut at call {cut}");
        let scrubber = Scrubber::manual(options);
        b.run(&scrubber, 2);
        let repaired = b.fs.get(&b.path(0)).unwrap() == good;
        assert!(repaired, "cut at call {cut}: {:?} {:?}", scrubber.status(), b.fs.files());
    }
}

#[test]
fn the_rate_holds_and_recording_goes_first() {
    let b = Bench::new(6);
    let rate = b.rows[0].bytes / 2;
    let scrubber = Scrubber::manual(b.options(rate));
    b.run(&scrubber, 4);
    let read = scrubber.status().bytes;
    assert!(read <= 5 * rate + (64 << 10) && read >= 3 * rate, "{read} bytes in 4 s at {rate}");
    b.world.busy.store(true, Ordering::SeqCst);
    b.run(&scrubber, 20);
    let status = scrubber.status();
    assert_eq!((status.doing, status.bytes), (Doing::Paused, read));
    b.world.busy.store(false, Ordering::SeqCst);
    b.run(&scrubber, 1);
    let more = scrubber.status().bytes - read;
    assert!(more <= 2 * rate + (64 << 10), "a pause earns no more than a second: {more}");
}

#[test]
fn turned_off_it_reads_what_is_asked_for_and_what_readers_stumbled_over() {
    let b = Bench::new(5);
    for n in [1, 3] {
        b.flip(n, b.inside(n, 0));
    }
    let scrubber = Scrubber::manual(b.options(0));
    b.run(&scrubber, 5);
    assert_eq!((scrubber.status().doing, scrubber.status().bytes), (Doing::Off, 0));
    let name = b.rows[1].name().to_string();
    assert!(b.footage.raw_fragment(kit::key(), &name, 0).is_err());
    b.run(&scrubber, 1);
    assert_eq!(b.told(kinds::INTEGRITY_DAMAGED).len(), 1, "what a reader met is looked at");
    let from = b.rows[2].start() + Duration::from_secs(1);
    assert!(scrubber.request(Request { key: Some(kit::key()), from, to: b.rows[4].start() }));
    b.run(&scrubber, 2);
    let status = scrubber.status();
    let request = status.requests.last().unwrap();
    assert_eq!((request.progress.segments, request.progress.damaged), (2, 1), "{request:?}");
    assert!(request.progress.finished.is_some());
    let other = crate::segment::tests::kit::key();
    let none = StreamKey { stream: fengsui_config::ids::StreamKind::Sub, ..other };
    assert!(scrubber.request(Request { key: Some(none), from, to: b.rows[4].start() }));
    b.run(&scrubber, 1);
    assert!(scrubber.status().requests.last().unwrap().progress.finished.is_some());
}

#[test]
fn a_finding_waits_for_the_journal_and_a_missing_volume_is_no_damage() {
    let b = Bench::new(2);
    b.flip(0, b.inside(0, 0));
    b.told.refuse.store(true, Ordering::SeqCst);
    b.world.away.store(true, Ordering::SeqCst);
    let scrubber = Scrubber::manual(b.options(1 << 30));
    b.run(&scrubber, 2);
    assert!(b.catalogue.damages().is_empty());
    assert_eq!(scrubber.status().last.unwrap().skipped, 2);
    b.world.away.store(false, Ordering::SeqCst);
    b.run(&scrubber, 3700);
    assert_eq!(b.gaps().len(), 1, "shown although the journal refuses");
    assert!(b.told(kinds::INTEGRITY_DAMAGED).is_empty());
    b.told.refuse.store(false, Ordering::SeqCst);
    b.run(&scrubber, 1);
    assert_eq!(b.told(kinds::INTEGRITY_DAMAGED).len(), 1);
}

#[test]
fn sectors_that_cannot_be_read_and_files_that_are_gone_are_found() {
    let b = Bench::new(3);
    b.fs.remove(&b.path(2)).unwrap();
    b.fs.plan(FaultPlan {
        operation: Some(Operation::Read),
        below: Some(b.path(0)),
        // Opening reads the preamble, its record and the footer.
        after: 8,
        times: 1,
        fault: Fault::Io,
    });
    let scrubber = Scrubber::manual(b.options(1 << 30));
    b.run(&scrubber, 2);
    let places = b.catalogue.damages().list(None, 10);
    assert_eq!(places.iter().map(|p| p.damage.part).collect::<Vec<_>>(), [Part::Group], "{places:?}");
    assert!(b.catalogue.segment(kit::key(), 3).is_none());
    let gaps = b.gaps();
    assert_eq!(gaps.len(), 2, "{gaps:?}");
    assert_eq!(gaps[1], (16_000_000, 24_000_000));
    assert_eq!(b.told(kinds::INTEGRITY_DAMAGED).len(), 2);
    // The sector can be read again: the place is cleared.
    assert!(scrubber.request(Request { key: None, from: kit::START, to: b.rows[1].start() }));
    b.run(&scrubber, 2);
    assert_eq!(b.told(kinds::INTEGRITY_CLEARED).len(), 1);
    assert_eq!(b.gaps().len(), 1);
}

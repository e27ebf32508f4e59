//! What leaves the archive, and what never does.

use std::collections::BTreeSet;

use fengsui_config::archive::ArchiveLock;
use fengsui_config::retention::RetentionConfig;

use super::*;
use crate::catalogue::Catalogue;
use crate::fs::{Fault, FaultPlan};
use crate::journal::{JournalRecord, Reducer as _, kinds};
use crate::retention::register::{Batch, Deleted};
use crate::retention::{HoldRequest, Log, NoArchive, Retention as Keeper, RetentionOptions, RetentionState};

const DAY: Duration = Duration::from_secs(86_400);

/// A journal in memory: what was acknowledged stays.
#[derive(Default)]
struct Book {
    fs: Option<SimFs>,
    records: Mutex<Vec<JournalRecord>>,
}

impl Log for Book {
    fn append(&self, kind: &str, body: Value) -> Result<u64, String> {
        // Stops with the machine.
        let fs = self.fs.as_ref().unwrap();
        fs.sync_dir(Path::new("/data")).map_err(|e| e.to_string())?;
        let mut records = self.records.lock();
        let seq = records.len() as u64 + 1;
        records.push(JournalRecord {
            node: "centre".into(),
            epoch: 1,
            seq,
            at: UtcMicros(0),
            kind: kind.to_owned(),
            body,
            previous: [0; 32],
            hash: [0; 32],
        });
        Ok(seq)
    }
}

impl Book {
    fn state(&self) -> RetentionState {
        let mut state = RetentionState::default();
        self.records.lock().iter().for_each(|r| state.apply(r).unwrap());
        state
    }
    fn kinds(&self) -> Vec<String> {
        self.records.lock().iter().map(|r| r.kind.clone()).collect()
    }
    /// Numbers of the segments that the register has, or is about to have.
    fn of<T: serde::de::DeserializeOwned>(&self, kind: &str, batch: impl Fn(T) -> Batch) -> Vec<u64> {
        let records = self.records.lock();
        let of = records.iter().filter(|r| r.kind == kind);
        let batches = of.map(|r| batch(serde_json::from_value(r.body.clone()).unwrap()));
        batches.flat_map(|b| b.segments().map(|(_, n)| n).collect::<Vec<_>>()).collect()
    }
}

/// A city whose archive deletes after ten days, with retention.
struct Bench {
    city: City,
    book: Arc<Book>,
    keeper: Arc<Keeper>,
    archive: Arc<Archive>,
}

fn keeper(city: &City, book: &Arc<Book>) -> Arc<Keeper> {
    let fs: Arc<dyn Fs> = Arc::new(city.fs.clone());
    let catalogue = Catalogue::open(fs.clone(), Path::new("/data/catalogue"), city.clock.clone()).unwrap();
    let options = RetentionOptions {
        fs,
        clock: city.clock.clone(),
        catalogue,
        log: book.clone(),
        policy: RetentionConfig::default(),
        water: std::collections::BTreeMap::default(),
        archived: Arc::new(NoArchive),
        forget: None,
    };
    let keeper = Keeper::open(options, book.state(), &[]);
    let facts = crate::retention::CameraFacts {
        class: fengsui_config::topology::CameraClass::Normal,
        places: BTreeSet::new(),
    };
    keeper.set_cameras([(kit::key().camera, facts)].into());
    keeper
}

impl Bench {
    /// `count` segments, all in the archive, and their time over.
    fn new(count: u64) -> Self {
        let mut city = City::new(count);
        city.config.max = Some(DAY * 10);
        let book = Arc::new(Book { fs: Some(city.fs.clone()), ..Book::default() });
        city.fs.create_dir_all(Path::new("/data")).unwrap();
        let (keeper, archive) = (keeper(&city, &book), city.open());
        archive.attach(&keeper);
        while archive.step().unwrap() > 0 {}
        city.clock.advance(DAY * 11);
        Self { city, book, keeper, archive }
    }

    fn restart(&mut self) {
        self.keeper = keeper(&self.city, &self.book);
        self.archive = self.city.open();
        self.archive.attach(&self.keeper);
    }

    fn hold(&self, row: &SegmentRow) -> u64 {
        self.keeper.place_hold(hold_of(row)).unwrap().hold.id
    }

    fn later(&self) {
        self.city.clock.advance(DAY);
    }

    fn is_there(&self, row: &SegmentRow) -> bool {
        self.city.fs.get(&self.city.object(row)).is_some()
    }
}

fn hold_of(row: &SegmentRow) -> HoldRequest {
    HoldRequest {
        cameras: BTreeSet::from([row.key.camera]),
        from: row.start(),
        to: Some(row.end()),
        reason: "a case".into(),
        by: "li".into(),
        ..HoldRequest::default()
    }
}

#[test]
fn a_hold_placed_after_a_segment_was_chosen_keeps_it() {
    let b = Bench::new(3);
    let rows = b.city.rows();
    let (keeper, late) = (b.keeper.clone(), hold_of(&rows[1]));
    let place = move || drop(keeper.place_hold(late).unwrap());
    *b.city.faults.meanwhile.0.lock() = Some(Box::new(place));
    b.archive.tidy().unwrap();
    assert_eq!(rows.iter().map(|r| b.is_there(r)).collect::<Vec<_>>(), [false, true, false]);
    assert!(b.archive.has(&rows[1]), "it is still known");
    let deleted = b.book.of::<Deleted>(kinds::RETENTION_DELETED, |d| d.batch);
    assert_eq!(deleted, [1, 3], "the register does not say that it is gone");
    assert_eq!(b.keeper.counts().unsettled, 0);
}

#[test]
fn what_is_over_leaves_the_archive_by_the_register_and_held_footage_stays() {
    let b = Bench::new(4);
    let rows = b.city.rows();
    let before = b.city.fs.get(&b.city.object(&rows[1])).unwrap();
    let hold = b.hold(&rows[1]);
    b.archive.tidy().unwrap();
    let there: Vec<bool> = rows.iter().map(|r| b.is_there(r)).collect();
    assert_eq!(there, [false, true, false, false]);
    assert_eq!(b.city.fs.get(&b.city.object(&rows[1])).unwrap(), before, "no byte of it changed");
    assert_eq!(there, rows.iter().map(|r| b.archive.has(r)).collect::<Vec<_>>());
    let (announced, deleted) = (
        b.book.of::<Batch>(kinds::RETENTION_DELETING, |b| b),
        b.book.of::<Deleted>(kinds::RETENTION_DELETED, |d| d.batch),
    );
    assert_eq!((announced, deleted), (vec![1, 3, 4], vec![1, 3, 4]));
    let status = b.archive.status();
    assert_eq!((status.segments, status.counters.removed), (1, 3));
    // It is not sent again, although the volume still has it.
    assert_eq!(b.archive.step(), Ok(0));
    assert!(!b.is_there(&rows[0]));
    // A start later nothing comes back, and the hold still holds.
    let mut b = b;
    b.restart();
    b.archive.tidy().unwrap();
    assert_eq!(there, rows.iter().map(|r| b.archive.has(r)).collect::<Vec<_>>());
    b.keeper.release_hold(hold, "closed", "li").unwrap();
    b.later();
    b.archive.tidy().unwrap();
    assert!(!b.is_there(&rows[1]), "released, and over");
    assert!(b.keeper.counts().alarms.is_empty() && b.keeper.counts().unsettled == 0);
}

#[test]
fn nothing_leaves_before_its_time_or_without_retention_or_by_a_wrong_clock() {
    let b = Bench::new(2);
    let nobody = b.city.open();
    nobody.tidy().unwrap();
    assert!(b.city.rows().iter().all(|r| b.is_there(r)), "nobody decides");
    let b = Bench::new(2);
    // Set back by five days: the label says six days.
    b.city.clock.step_utc(-5 * 86_400_000_000);
    b.archive.tidy().unwrap();
    assert!(b.city.rows().iter().all(|r| b.is_there(r)), "not yet");
    let mut city = City::new(1);
    city.config.max = Some(DAY * 10);
    city.fs.create_dir_all(Path::new("/data")).unwrap();
    let book = Arc::new(Book { fs: Some(city.fs.clone()), ..Book::default() });
    let (keeper, archive) = (keeper(&city, &book), city.open());
    archive.attach(&keeper);
    archive.step().unwrap();
    city.clock.step_utc(4 * 365 * 86_400_000_000);
    archive.tidy().unwrap();
    assert!(archive.has(&city.rows()[0]), "four years ahead within a moment are no years");
}

#[test]
fn a_locked_object_is_an_alarm_and_tried_again_later() {
    let b = Bench::new(2);
    b.city.faults.locked.store(true, Ordering::SeqCst);
    b.archive.tidy().unwrap();
    assert_eq!(b.archive.status().locked_segments, 2);
    assert!(b.city.rows().iter().all(|r| b.archive.has(r) && b.is_there(r)));
    let alarms: Vec<_> = b.keeper.counts().alarms.iter().map(|a| a.alarm.kind()).collect();
    assert_eq!(alarms, ["deletion_failed"]);
    let asked = b.book.kinds().len();
    b.city.clock.advance(Duration::from_secs(3600));
    b.archive.tidy().unwrap();
    assert_eq!(b.book.kinds().len(), asked, "it is left alone for a while");
    b.city.faults.locked.store(false, Ordering::SeqCst);
    b.later();
    b.archive.tidy().unwrap();
    assert!(!b.city.rows().iter().any(|r| b.archive.has(r) || b.is_there(r)));
    assert!(b.keeper.counts().alarms.is_empty());
    assert_eq!(b.archive.status().locked_segments, 0);
}

#[test]
fn a_store_that_does_not_answer_costs_no_record_and_nothing_is_forgotten() {
    let b = Bench::new(2);
    b.city.faults.down.store(true, Ordering::SeqCst);
    for _ in 0..5 {
        assert!(matches!(b.archive.tidy(), Err(ArchiveError::Unreachable(_))));
    }
    assert!(!b.book.kinds().contains(&kinds::RETENTION_DELETING.to_owned()));
    assert!(b.city.rows().iter().all(|r| b.archive.has(r)));
    b.city.faults.down.store(false, Ordering::SeqCst);
    b.archive.tidy().unwrap();
    assert!(!b.city.rows().iter().any(|r| b.archive.has(r) || b.is_there(r)));
}

#[test]
fn locks_of_held_footage_are_made_longer_as_long_as_it_is_held() {
    let mut b = Bench::new(2);
    let rows = b.city.rows();
    b.city.config.lock = Some(ArchiveLock { compliance: false, days: 4 });
    b.city.config.max = None;
    b.restart();
    b.hold(&rows[0]);
    b.city.wants.held.lock().insert(rows[0].number);
    b.archive.tidy().unwrap();
    b.archive.tidy().unwrap();
    let key = object_key(&"centre".parse().unwrap(), &rows[0]);
    let now = b.city.now();
    assert_eq!(
        *b.city.faults.retained.lock(),
        [(key.clone(), now + DAY * 4)],
        "once, and the held one alone"
    );
    b.city.clock.advance(DAY * 3);
    b.archive.tidy().unwrap();
    assert_eq!(b.city.faults.retained.lock().last(), Some(&(key, now + DAY * 7)));
}

/// A power cut at every call of the protocol: what is there has its row, what is gone has none, and is in the register;
/// the held segment is never touched.
#[test]
fn a_power_cut_at_every_call_of_a_removal_leaves_the_truth() {
    for call in 0..80 {
        let mut b = Bench::new(3);
        let rows = b.city.rows();
        b.hold(&rows[0]);
        b.city.fs.plan(FaultPlan {
            operation: None,
            below: None,
            after: call,
            times: 1,
            fault: Fault::PowerCut,
        });
        let _ = b.archive.tidy();
        let reached = b.city.fs.stats().faults > 0;
        b.city.fs.crash();
        b.city.fs.heal();
        b.restart();
        b.archive.tidy().unwrap();
        let there: Vec<bool> = rows.iter().map(|r| b.is_there(r)).collect();
        assert_eq!(there, [true, false, false], "call {call}");
        assert_eq!(there, rows.iter().map(|r| b.archive.has(r)).collect::<Vec<_>>(), "call {call}");
        let entered: BTreeSet<u64> =
            b.book.of::<Deleted>(kinds::RETENTION_DELETED, |d| d.batch).into_iter().collect();
        assert_eq!(entered, BTreeSet::from([2, 3]), "call {call}");
        assert_eq!(b.keeper.counts().unsettled, 0, "call {call}");
        if !reached {
            assert!(call > 5, "the protocol has more calls than that");
            return;
        }
    }
    panic!("the protocol has no end");
}

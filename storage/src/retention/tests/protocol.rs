//! The protocol of deletion on a file system that stops at any call.

use std::path::Path;
use std::sync::Arc;

use fengsui_config::retention::Emergency;

use super::kit::{Bench, DAY, HOUR, key, policy, row, volume};
use crate::catalogue::SpanKind;
use crate::frame::GapReason;
use crate::fs::{Fault, FaultPlan, Operation, SimFs};
use crate::journal::kinds;
use crate::retention::hold::Holds;
use crate::segment::SegmentRow;
use crate::volume::IDENTITY_FILE;

/// Four segments that are over, in two streams and two days, and one that is promised.
fn bench(seed: u64) -> (SimFs, Bench, Vec<SegmentRow>) {
    let fs = SimFs::new(seed);
    for v in ["/v1", "/v2"] {
        fs.put(&Path::new(v).join(IDENTITY_FILE), b"{}".to_vec());
    }
    let b = Bench::new(Arc::new(fs.clone()), 2, policy(Emergency::Stop), true);
    let mut rows = Vec::new();
    for n in 1..=4_u32 {
        let start = b.now() + HOUR * (20 * n);
        rows.push(row(key(1 + n % 2), volume(1), u64::from(n), start, HOUR, 100));
    }
    rows.push(row(key(1), volume(1), 9, b.now() + DAY * 9, HOUR, 100));
    for r in &rows {
        fs.put(&b.path(r), vec![1; 100]);
        b.catalogue.closed(r, [0; 32]);
    }
    b.catalogue.alive(b.now() + DAY * 10);
    b.catalogue.flush(true).unwrap();
    b.clock.advance(DAY * 10);
    (fs, b, rows)
}

fn reopened(seed: u64) -> (SimFs, Bench, Vec<SegmentRow>) {
    let (fs, mut b, rows) = bench(seed);
    b.restart();
    (fs, b, rows)
}

/// Every row has its file and every file its row; deleted time is a gap that says so; the register has no loose end.
fn assert_true(fs: &SimFs, b: &Bench, rows: &[SegmentRow], what: &str) {
    for r in rows {
        let file = fs.get(&b.path(r)).is_some();
        let known = b.catalogue.segment(r.key, r.number).is_some();
        assert_eq!(file, known, "{what}: segment {} has a file: {file}, a row: {known}", r.number);
        if !file {
            let spans = b.catalogue.spans(r.key, r.start(), r.end());
            let kinds: Vec<_> = spans.iter().map(|s| s.kind).collect();
            assert_eq!(kinds, [SpanKind::Gap(GapReason::Expired)], "{what}: segment {}", r.number);
            let named = b.log.look(|l| l.announced.contains(&(r.key, r.number)));
            assert!(named, "{what}: segment {} is gone and not in the register", r.number);
        }
    }
    assert!(b.log.look(|l| l.state.pending.is_empty()), "{what}: something is not settled");
}

#[test]
fn what_is_over_is_announced_deleted_and_entered() {
    let (fs, b, rows) = reopened(1);
    let before = b.log.kinds().len();
    b.retention.step();
    assert_true(&fs, &b, &rows, "a look");
    assert!(rows[..4].iter().all(|r| fs.get(&b.path(r)).is_none()), "all four are gone");
    assert!(fs.get(&b.path(&rows[4])).is_some(), "the promised one is there");
    let written = b.log.kinds().split_off(before);
    let register: Vec<_> = written.iter().filter(|k| k.starts_with("retention.delet")).collect();
    assert_eq!(
        register,
        [kinds::RETENTION_DELETING, kinds::RETENTION_DELETED],
        "one batch, not a record a file"
    );
    let order: Vec<Operation> = fs
        .log()
        .into_iter()
        .filter(|(_, p)| p.starts_with("/v1") || *p == Path::new(super::kit::DATA))
        .map(|(op, _)| op)
        .filter(|op| matches!(op, Operation::Remove | Operation::SyncDir))
        .collect();
    let first = order.iter().position(|op| *op == Operation::Remove).unwrap();
    assert!(order[..first].contains(&Operation::SyncDir), "the journal comes before the first file");
    let empty = Path::new("/v1").join(crate::segment::stream_dir(rows[0].key, rows[0].start_ms));
    assert!(b.fs.metadata(&empty).is_err(), "empty days go too");
    assert_eq!(b.retention.view().deleted.duty_segments, 4);
}

#[test]
fn a_crash_at_every_call_leaves_the_truth_and_the_next_look_finishes() {
    for seed in 0..3 {
        for call in 0..60 {
            let (fs, mut b, rows) = reopened(seed);
            fs.plan(FaultPlan {
                operation: None,
                below: None,
                after: call,
                times: 1,
                fault: Fault::PowerCut,
            });
            b.retention.step();
            let reached = fs.stats().faults > 0;
            fs.crash();
            fs.heal();
            b.restart();
            // Files that came back are what the comparison of names finds; here they are rows still, or known again.
            let stop = std::sync::atomic::AtomicBool::new(false);
            b.catalogue.check_volume(&volume(1), Path::new("/v1"), &stop).unwrap();
            assert_true(&fs, &b, &rows, &format!("seed {seed}, call {call}, at the start"));
            b.retention.step();
            assert_true(&fs, &b, &rows, &format!("seed {seed}, call {call}, after a look"));
            assert!(rows[..4].iter().all(|r| fs.get(&b.path(r)).is_none()), "seed {seed}, call {call}");
            if !reached {
                assert!(call > 10, "the protocol has more calls than that");
                break;
            }
        }
    }
}

#[test]
fn every_failing_call_is_survived_and_tried_again() {
    for operation in [Operation::Remove, Operation::SyncDir, Operation::Write, Operation::SyncFile] {
        for after in 0..8 {
            let (fs, b, rows) = reopened(1);
            fs.plan(FaultPlan { operation: Some(operation), below: None, after, times: 1, fault: Fault::Io });
            b.retention.step();
            fs.heal();
            b.clock.advance(HOUR);
            b.retention.step();
            assert_true(&fs, &b, &rows, &format!("{operation:?} {after}"));
            assert!(rows[..4].iter().all(|r| fs.get(&b.path(r)).is_none()), "{operation:?} {after}");
            assert!(!b.alarms().contains(&"deletion_failed"), "{operation:?} {after}: {:?}", b.alarms());
        }
    }
}

#[test]
fn files_that_cannot_be_deleted_raise_an_alarm_and_stay_known() {
    let (fs, b, rows) = reopened(1);
    fs.plan(FaultPlan {
        operation: Some(Operation::Remove),
        below: Some("/v1".into()),
        after: 0,
        times: u64::MAX,
        fault: Fault::Io,
    });
    b.retention.step();
    assert!(rows.iter().all(|r| b.catalogue.segment(r.key, r.number).is_some()));
    assert_eq!(b.alarms(), ["deletion_failed"]);
    assert!(b.retention.view().errors > 0);
}

#[test]
fn without_a_journal_nothing_is_deleted() {
    let (fs, b, rows) = reopened(1);
    fs.plan(FaultPlan {
        operation: Some(Operation::SyncDir),
        below: Some(super::kit::DATA.into()),
        after: 0,
        times: u64::MAX,
        fault: Fault::Io,
    });
    b.retention.step();
    assert!(rows.iter().all(|r| fs.get(&b.path(r)).is_some()));
    let view = b.retention.view();
    assert_eq!(view.alarms.iter().map(|a| a.alarm.kind()).collect::<Vec<_>>(), ["journal_failed"]);
    fs.heal();
    b.clock.advance(HOUR);
    b.retention.step();
    assert_true(&fs, &b, &rows, "the journal works again");
    assert!(b.retention.view().alarms.is_empty());
}

#[test]
fn a_file_that_somebody_else_took_is_a_gap_and_one_unknown_is_left_alone() {
    let (fs, b, rows) = reopened(1);
    b.fs.remove(&b.path(&rows[0])).unwrap();
    let foreign = b.path(&rows[1]).with_file_name("holiday.mp4");
    fs.put(&foreign, vec![1]);
    let unknown = b.path(&row(key(1), volume(1), 77, rows[0].start(), HOUR, 5));
    fs.put(&unknown, vec![1]);
    b.retention.step();
    assert!(b.catalogue.segment(rows[0].key, rows[0].number).is_none());
    assert!(fs.get(&foreign).is_some() && fs.get(&unknown).is_some());
}

#[test]
fn an_unmounted_disk_loses_no_row() {
    let (fs, b, rows) = reopened(1);
    // The bare mount point: neither files nor identity; the recorder has not noticed yet.
    for path in fs.files().into_iter().filter(|p| p.starts_with("/v1")) {
        b.fs.remove(&path).unwrap();
    }
    b.retention.step();
    assert!(rows.iter().all(|r| b.catalogue.segment(r.key, r.number).is_some()));
}

#[test]
fn open_handles_outlive_the_deletion() {
    let (_, b, rows) = reopened(1);
    let file = b.fs.open(&b.path(&rows[0]), crate::fs::OpenOptions::READ).unwrap();
    b.retention.step();
    let mut bytes = [0; 100];
    file.read_exact_at(0, &mut bytes).unwrap();
    assert_eq!(bytes, [1; 100]);
}

#[test]
fn the_state_is_the_reduction_of_the_journal_and_survives_a_snapshot() {
    use crate::journal::Reducer as _;
    let (_, b, _) = reopened(1);
    b.retention.step();
    let reduced = b.log.look(|l| {
        let mut state = crate::retention::RetentionState::default();
        l.records.iter().for_each(|r| state.apply(r).unwrap());
        assert_eq!(state, l.state);
        state
    });
    let stored = serde_json::to_string(&reduced).unwrap();
    let back: crate::retention::RetentionState = serde_json::from_str(&stored).unwrap();
    assert_eq!(back, reduced);
    assert_eq!(back.holds, Holds::default());
}

/// Records of deletions have a term; what is reduced without the ones before the standing record is the same.
#[test]
fn the_state_outlives_the_term_of_the_deletions_that_made_it() {
    use crate::journal::Reducer as _;
    let (_, b, rows) = reopened(1);
    b.retention.step();
    let standing = |l: &mut super::kit::LogInner| {
        l.records.iter().rposition(|r| r.kind == kinds::RETENTION_STANDING).unwrap()
    };
    let first = b.log.look(standing);
    assert!(b.log.look(|l| !l.state.newest.is_empty()));
    b.retention.step();
    assert_eq!(b.log.look(standing), first, "not at every look");
    b.catalogue.closed(&row(key(5), volume(1), 1, rows[0].start(), HOUR, 1), [0; 32]);
    b.clock.advance(DAY * 31);
    b.retention.step();
    let last = b.log.look(standing);
    assert!(last > first, "again after a month");
    for from in [first, last] {
        b.log.look(|l| {
            let mut state = crate::retention::RetentionState::default();
            let kept = |i: usize, kind: &str| {
                i >= from || kinds::keep(kind, &serde_json::Value::Null) == kinds::Keep::State
            };
            let records = l.records.iter().enumerate().filter(|(i, r)| kept(*i, &r.kind));
            records.for_each(|(_, r)| state.apply(r).unwrap());
            assert_eq!(state, l.state, "from record {from} on");
        });
    }
}

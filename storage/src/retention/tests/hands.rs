//! Deletion and moves at once: each segment is in one pair of hands.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use fengsui_config::retention::Emergency;

use super::kit::{Bench, DAY, HOUR, key, policy, row, volume};
use crate::catalogue::SpanKind;
use crate::frame::GapReason;
use crate::fs::{Fault, FaultPlan, Fs, OpenOptions, SimFs};
use crate::journal::kinds;
use crate::retention::register::Deleted;
use crate::segment::SegmentRow;
use crate::volume::IDENTITY_FILE;

/// A segment on v1 that is over, v2 beside it.
fn bench() -> (SimFs, Bench, SegmentRow) {
    let fs = SimFs::new(1);
    for v in ["/v1", "/v2"] {
        fs.put(&Path::new(v).join(IDENTITY_FILE), b"{}".to_vec());
    }
    let mut b = Bench::new(Arc::new(fs.clone()), 2, policy(Emergency::Stop), true);
    let r = row(key(1), volume(1), 1, b.now(), HOUR, 100);
    fs.put(&b.path(&r), vec![1; 100]);
    b.catalogue.closed(&r, [0; 32]);
    let recent = row(key(1), volume(1), 2, b.now() + DAY * 9, HOUR, 100);
    fs.put(&b.path(&recent), vec![1; 100]);
    b.catalogue.closed(&recent, [0; 32]);
    b.catalogue.alive(b.now() + DAY * 10);
    b.catalogue.flush(true).unwrap();
    b.clock.advance(DAY * 10);
    b.restart();
    (fs, b, r)
}

fn on(r: &SegmentRow, n: usize) -> SegmentRow {
    SegmentRow { volume: volume(n), ..r.clone() }
}

/// What a mover leaves on the other volume before the catalogue knows.
fn copy(fs: &SimFs, b: &Bench, r: &SegmentRow) {
    let to = b.path(&on(r, 2));
    fs.create_dir_all(to.parent().unwrap()).unwrap();
    let file = fs.open(&to, OpenOptions::CREATE).unwrap();
    file.write_at(0, &[1; 100]).unwrap();
    file.sync_all().unwrap();
    for dir in to.parent().unwrap().ancestors().filter(|d| d.starts_with("/v2")) {
        fs.sync_dir(dir).unwrap();
    }
}

fn entered(b: &Bench) -> u64 {
    b.log.look(|l| {
        let of = l.records.iter().filter(|r| r.kind == kinds::RETENTION_DELETED);
        of.map(|r| serde_json::from_value::<Deleted>(r.body.clone()).unwrap().batch.segments).sum()
    })
}

/// Gone on every volume, a gap on the timeline, in the register once.
fn assert_gone(fs: &SimFs, b: &Bench, r: &SegmentRow, what: &str) {
    for n in 1..=2 {
        assert!(fs.get(&b.path(&on(r, n))).is_none(), "{what}: a file is on volume {n}");
        let stop = AtomicBool::new(false);
        b.catalogue.check_volume(&volume(n), &b.root(&volume(n)), &stop).unwrap();
    }
    assert!(b.catalogue.segment(r.key, r.number).is_none(), "{what}: it came back");
    let spans = b.catalogue.spans(r.key, r.start(), r.end());
    assert_eq!(
        spans.iter().map(|s| s.kind).collect::<Vec<_>>(),
        [SpanKind::Gap(GapReason::Expired)],
        "{what}"
    );
    assert_eq!(b.retention.counts().unsettled, 0, "{what}");
}

#[test]
fn what_a_mover_has_in_hand_is_deleted_afterwards_from_where_it_lies_then() {
    let (fs, b, r) = bench();
    let claim = b.catalogue.claim(r.key, r.number).expect("free");
    copy(&fs, &b, &r);
    b.retention.step();
    assert!(fs.get(&b.path(&r)).is_some() && b.catalogue.segment(r.key, r.number).is_some(), "in hand");
    assert!(!b.log.kinds().contains(&kinds::RETENTION_DELETING.to_owned()), "nothing was announced");
    assert!(b.catalogue.relocated(&r, &volume(2)));
    b.retention.step();
    assert!(fs.get(&b.path(&on(&r, 2))).is_some(), "the old file is still there: still in hand");
    b.catalogue.flush(true).unwrap();
    b.fs.remove(&b.path(&r)).unwrap();
    drop(claim);
    b.clock.advance(HOUR);
    b.retention.step();
    assert_gone(&fs, &b, &r, "moved, then deleted");
    assert_eq!(entered(&b), 1);
}

#[test]
fn a_deletion_that_failed_is_not_entered_for_what_was_moved_since() {
    let (fs, b, r) = bench();
    // The file cannot be removed, and the register does not take the end.
    let plan = |operation, below: &str, after| FaultPlan {
        operation: Some(operation),
        below: Some(below.into()),
        after,
        times: u64::MAX,
        fault: Fault::Io,
    };
    fs.plan(plan(crate::fs::Operation::Remove, "/v1", 0));
    fs.plan(plan(crate::fs::Operation::SyncDir, super::kit::DATA, 1));
    b.retention.step();
    fs.heal();
    copy(&fs, &b, &r);
    assert!(b.catalogue.relocated(&r, &volume(2)));
    b.fs.remove(&b.path(&r)).unwrap();
    // Settled as left, then deleted where it is.
    b.clock.advance(HOUR);
    b.retention.step();
    assert_gone(&fs, &b, &r, "afterwards");
    assert_eq!(entered(&b), 1, "once, and not for the one that was moved");
}

/// A crash in the middle of a move leaves a copy that the catalogue does not know; then retention deletes the segment,
/// and a power cut stops it at each call. Nothing comes back, nothing is entered twice or not at all.
#[test]
fn a_copy_that_a_crash_left_does_not_bring_deleted_footage_back() {
    for call in 0..80 {
        let (fs, mut b, r) = bench();
        copy(&fs, &b, &r);
        fs.plan(FaultPlan { operation: None, below: None, after: call, times: 1, fault: Fault::PowerCut });
        b.retention.step();
        let reached = fs.stats().faults > 0;
        fs.crash();
        fs.heal();
        b.restart();
        b.retention.step();
        b.clock.advance(HOUR);
        b.retention.step();
        assert_gone(&fs, &b, &r, &format!("call {call}"));
        let named = b.log.look(|l| l.announced.contains(&(r.key, r.number)));
        assert!(named && entered(&b) == 1, "call {call}: {} entered", entered(&b));
        if !reached {
            assert!(call > 8, "the protocol has more calls than that");
            return;
        }
    }
    panic!("the protocol has no end");
}

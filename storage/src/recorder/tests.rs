#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_wrap,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    reason = "tests"
)]

mod bench;
mod campaign;
mod clock_steps;
mod io_errors;
mod model;
mod threads;
mod truth;
mod volumes;

use std::path::Path;
use std::time::Duration;

use bench::{Bench, Outage, key};

use crate::frame::{GapReason, StartReason};
use crate::fs::{Fault, FaultPlan, Operation, SimFs};
use crate::volume::VolumeState;

#[test]
fn every_picture_is_stored_once_and_segments_follow_the_clock() {
    let mut b = Bench::new(SimFs::new(1), &["v1"]);
    b.due(&[key(1), key(2)]);
    b.begin(key(1));
    b.begin(key(2));
    b.run(700.0);
    b.recorder.stop();
    for k in [key(1), key(2)] {
        assert_eq!(b.stored(k), b.pushed(k), "{k}");
        assert_eq!(b.spans(k).len(), 1, "{:?}", b.spans(k));
        let rows = b.catalogue.segments(k, b.start, b.now());
        assert!((3..=4).contains(&rows.len()), "{} segments", rows.len());
        assert!(rows.iter().all(|r| r.closed));
        let numbers: Vec<u64> = rows.iter().map(|r| r.number).collect();
        assert_eq!(numbers, (1..=rows.len() as u64).collect::<Vec<_>>());
        // Both rotations lie a whole number of periods apart on the wall clock.
        let borders: Vec<i64> = rows.iter().skip(1).map(|r| r.start_ms / 1000).collect();
        assert!(borders.windows(2).all(|w| (w[1] - w[0]) % 300 <= 2), "{borders:?}");
    }
    let starts = |k| b.catalogue.segments(k, b.start, b.now())[1].start_ms;
    assert_ne!(starts(key(1)) / 1000 % 300, starts(key(2)) / 1000 % 300, "streams are staggered");
    let stats = b.recorder.stats();
    assert_eq!(stats.units, (b.pushed(key(1)).len() + b.pushed(key(2)).len()) as u64);
    assert_eq!((stats.errors, stats.abandoned), (0, 0));
}

#[test]
fn what_is_stored_is_never_older_than_two_seconds() {
    let mut b = Bench::new(SimFs::new(1), &["v1"]);
    b.due(&[key(1)]);
    b.begin(key(1));
    b.run(10.0);
    for _ in 0..100 {
        b.run(0.1);
        let last = b.recorder.stream(key(1)).unwrap().last.unwrap();
        assert!(b.now().since(last) <= 2_000_000, "{} us behind", b.now().since(last));
    }
}

#[test]
fn absences_become_gaps_with_the_reason_of_each_part() {
    let mut b = Bench::new(SimFs::new(1), &["v1"]);
    b.due(&[key(1)]);
    b.begin(key(1));
    b.run(20.0);
    b.end(key(1), GapReason::Network);
    b.run(10.0);
    b.end(key(1), GapReason::Auth);
    b.run(5.0);
    b.begin(key(1));
    b.run(20.0);
    b.due(&[]);
    b.run(10.0);
    b.due(&[key(1)]);
    b.run(20.0);
    b.recorder.stop();
    let spans = b.spans(key(1));
    let kinds: Vec<&str> = spans.iter().map(|(_, _, k)| k.as_str()).collect();
    assert_eq!(kinds, ["footage", "Network", "Auth", "footage", "Policy", "footage"], "{spans:?}");
    assert!((spans[1].1 - spans[1].0 - 10.0).abs() < 0.3, "{spans:?}");
    assert!((spans[2].1 - spans[2].0 - 5.0).abs() < 2.2, "{spans:?}");
    b.assert_covered(key(1));
}

#[test]
fn a_stream_that_never_came_is_a_gap_from_the_moment_it_was_due() {
    let mut b = Bench::new(SimFs::new(1), &["v1"]);
    b.due(&[key(1)]);
    b.run(4.0);
    b.end(key(1), GapReason::CameraOffline);
    b.run(30.0);
    let spans = b.spans(key(1));
    assert_eq!(spans.len(), 1, "{spans:?}");
    assert_eq!(spans[0].2, "CameraOffline");
    assert!(spans[0].0 < 0.2 && spans[0].1 > 33.9, "{spans:?}");
    let state = b.recorder.stream(key(1)).unwrap();
    assert_eq!((state.recording, state.reason), (false, Some(GapReason::CameraOffline)));
}

#[test]
fn pictures_without_key_frames_are_no_footage() {
    let mut b = Bench::new(SimFs::new(1), &["v1"]);
    b.due(&[key(1)]);
    b.begin(key(1));
    b.cameras.get_mut(&key(1)).unwrap().gop = u64::MAX;
    b.run(12.0);
    let spans = b.spans(key(1));
    assert_eq!(spans.iter().map(|s| s.2.as_str()).collect::<Vec<_>>(), ["NoKeyFrame"], "{spans:?}");
    assert!(b.recorder.stream(key(1)).unwrap().skipped_units > 0);
}

#[test]
fn new_parameters_and_clock_steps_begin_a_new_file() {
    let mut b = Bench::new(SimFs::new(1), &["v1"]);
    b.due(&[key(1)]);
    b.begin(key(1));
    b.run(10.0);
    b.begin_with(key(1), StartReason::ParametersChanged);
    b.run(10.0);
    b.clock.step_utc(5_000_000);
    b.begin_with(key(1), StartReason::ClockStep);
    b.run(10.0);
    b.recorder.stop();
    assert_eq!(b.catalogue.segments(key(1), b.start, b.now()).len(), 3);
    let spans = b.spans(key(1));
    let kinds: Vec<&str> = spans.iter().map(|(_, _, k)| k.as_str()).collect();
    assert_eq!(kinds, ["footage", "ClockStep", "footage"], "{spans:?}");
    assert_eq!(b.stored(key(1)), b.pushed(key(1)));
}

#[test]
fn a_stream_that_cannot_be_described_disturbs_no_other() {
    let mut b = Bench::new(SimFs::new(1), &["v1"]);
    b.due(&[key(1), key(2)]);
    b.begin(key(1));
    b.begin_undescribable(key(2));
    b.run(20.0);
    assert_eq!(b.recorder.volumes()[0].state, VolumeState::Ok);
    let bad = b.recorder.stream(key(2)).unwrap();
    assert_eq!((bad.recording, bad.reason), (false, Some(GapReason::BadStream)));
    b.begin(key(2));
    b.run(20.0);
    b.recorder.stop();
    assert_eq!(b.stored(key(1)), b.pushed(key(1)));
    let kinds: Vec<String> = b.spans(key(2)).into_iter().map(|s| s.2).collect();
    assert_eq!(kinds, ["BadStream", "footage"]);
}

#[test]
fn a_refused_write_goes_to_another_volume_and_nothing_is_lost() {
    for operation in [Operation::Write, Operation::Create, Operation::SyncVolume, Operation::SyncFile] {
        let mut b = Bench::new(SimFs::new(1), &["v1", "v2"]);
        b.due(&[key(1), key(2), key(3), key(4)]);
        (1..=4).for_each(|n| b.begin(key(n)));
        b.run(20.0);
        let first = b.recorder.stream(key(1)).unwrap().volume.unwrap();
        b.fs.plan(FaultPlan {
            operation: Some(operation),
            below: Some(Path::new("/").join(first.as_str())),
            after: 0,
            times: 3,
            fault: Fault::Io,
        });
        b.run(400.0);
        b.recorder.stop();
        for n in 1..=4 {
            assert_eq!(b.stored(key(n)), b.pushed(key(n)), "{operation:?} camera {n}");
            assert_eq!(b.spans(key(n)).len(), 1, "{operation:?} {:?}", b.spans(key(n)));
        }
        assert!(b.recorder.stats().errors > 0, "{operation:?}");
    }
}

#[test]
fn a_full_disk_is_a_gap_and_recording_resumes_with_the_room() {
    let mut b = Bench::new(SimFs::new(1), &["v1"]);
    b.budget(300_000);
    b.fs.set_capacity(1000);
    b.restart(Outage::Clean);
    b.due(&[key(1)]);
    b.begin(key(1));
    b.run(60.0);
    let volume = b.recorder.volumes().remove(0);
    assert_eq!(volume.state, VolumeState::Full);
    assert!(volume.detail.unwrap().contains("free"));
    let state = b.recorder.stream(key(1)).unwrap();
    assert_eq!((state.recording, state.reason), (false, Some(GapReason::DiskFull)));
    b.fs.set_capacity(1 << 40);
    b.run(60.0);
    assert!(b.recorder.stream(key(1)).unwrap().recording);
    b.recorder.stop();
    let spans = b.spans(key(1));
    assert_eq!(spans.iter().map(|s| s.2.as_str()).collect::<Vec<_>>(), ["DiskFull", "footage"], "{spans:?}");
    b.assert_covered(key(1));
    b.assert_lost_only_in_gaps(key(1));
}

#[test]
fn a_disk_that_fills_while_recording_loses_only_what_the_memory_does_not_hold() {
    let mut b = Bench::new(SimFs::new(1), &["v1"]);
    b.due(&[key(1)]);
    b.begin(key(1));
    b.run(20.0);
    b.fs.plan(FaultPlan {
        operation: Some(Operation::Write),
        below: Some("/v1".into()),
        after: 0,
        times: 5,
        fault: Fault::ShortWrite,
    });
    b.run(60.0);
    b.recorder.stop();
    assert_eq!(b.stored(key(1)), b.pushed(key(1)), "{:?}", b.spans(key(1)));
    assert_eq!(b.catalogue.unfinished().len(), 0, "what was given up is closed by recovery");
}

#[test]
fn a_slow_disk_costs_whole_groups_and_says_so() {
    let mut b = Bench::new(SimFs::new(1), &["v1"]);
    b.budget(200_000);
    b.restart(Outage::Clean);
    b.due(&[key(1)]);
    b.begin(key(1));
    b.run(20.0);
    b.stall(60.0);
    b.run(20.0);
    b.recorder.stop();
    let spans = b.spans(key(1));
    let kinds: Vec<&str> = spans.iter().map(|s| s.2.as_str()).collect();
    assert_eq!(kinds, ["footage", "Backpressure", "footage"], "{spans:?}");
    b.assert_lost_only_in_gaps(key(1));
    b.assert_covered(key(1));
}

#[test]
fn a_recorder_that_is_behind_writes_whole_groups_and_not_picture_by_picture() {
    let mut b = Bench::new(SimFs::new(1), &["v1"]);
    b.due(&[key(1)]);
    b.begin(key(1));
    b.run(20.0);
    let before = b.recorder.stats();
    b.stall(30.0);
    b.run(0.1);
    let now = b.recorder.stats();
    assert!(now.units - before.units >= 290, "{} pictures", now.units - before.units);
    let writes = now.flushes - before.flushes;
    assert!(
        writes <= 17,
        "{writes} writes for 15 groups of pictures: a slow disk would never be caught up with"
    );
    b.recorder.stop();
    assert_eq!(b.stored(key(1)), b.pushed(key(1)));
}

#[test]
fn after_a_kill_recording_goes_on_at_once_and_at_most_two_seconds_are_lost() {
    let mut b = Bench::new(SimFs::new(1), &["v1"]);
    b.due(&[key(1), key(2)]);
    b.begin(key(1));
    b.begin(key(2));
    for round in 0..10 {
        b.run(7.0 + f64::from(round) * 0.13);
        let killed = b.now();
        b.restart(Outage::Kill(Duration::from_secs(20)));
        let started = b.now();
        b.due(&[key(1), key(2)]);
        b.begin(key(1));
        b.begin(key(2));
        b.run(4.0);
        assert!(b.recorder.stream(key(1)).unwrap().recording);
        for k in [key(1), key(2)] {
            let lost = b.lost(k);
            let lost: Vec<_> =
                lost.iter().filter(|t| **t <= killed && killed.since(**t) < 10_000_000).collect();
            assert!(
                lost.iter().all(|t| killed.since(**t) <= 2_000_000),
                "round {round}: {lost:?} before {killed:?}"
            );
            assert!(b.first_stored_after(k, started).since(started) <= 3_000_000);
        }
        assert_eq!(b.catalogue.unfinished().len(), 0, "round {round}");
    }
    b.recorder.stop();
    b.assert_covered(key(1));
    b.assert_lost_only_in_gaps(key(1));
    let kinds: Vec<String> = b.spans(key(1)).into_iter().map(|s| s.2).collect();
    assert_eq!(kinds.iter().filter(|k| *k == "NodeDown").count(), 10, "{kinds:?}");
}

#[test]
fn a_clean_stop_leaves_no_open_file_and_one_gap_until_the_next_start() {
    let mut b = Bench::new(SimFs::new(1), &["v1"]);
    b.due(&[key(1)]);
    b.begin(key(1));
    b.run(10.0);
    b.restart(Outage::Clean);
    assert!(b.fs.files().iter().all(|f| !f.to_string_lossy().contains(".open.")));
    b.clock.advance(Duration::from_secs(30));
    b.due(&[key(1)]);
    b.begin(key(1));
    b.run(10.0);
    b.recorder.stop();
    let kinds: Vec<String> = b.spans(key(1)).into_iter().map(|s| s.2).collect();
    assert_eq!(kinds, ["footage", "NodeDown", "footage"]);
    assert_eq!(b.stored(key(1)), b.pushed(key(1)));
}

#[test]
fn a_panic_free_start_without_any_usable_volume() {
    let fs = SimFs::new(1);
    fs.plan(FaultPlan {
        operation: Some(Operation::Create),
        below: Some("/v1".into()),
        after: 0,
        times: 40,
        fault: Fault::Io,
    });
    let mut b = Bench::new(fs, &["v1"]);
    b.due(&[key(1)]);
    b.begin(key(1));
    b.run(10.0);
    assert_eq!(b.recorder.volumes()[0].state, VolumeState::Error);
    assert_eq!(b.recorder.stream(key(1)).unwrap().reason, Some(GapReason::DiskError));
    b.fs.heal();
    b.run(20.0);
    b.recorder.stop();
    assert_eq!(b.stored(key(1)), b.pushed(key(1)), "all of it was still in memory");
}

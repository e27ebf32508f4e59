//! What goes to the archive, and when it counts.

use super::*;
use crate::fs::{Fault, FaultPlan};

#[test]
fn what_is_due_is_stored_proved_and_written_down_held_footage_first() {
    let city = City::new(4);
    city.wants.held.lock().insert(3);
    let archive = city.open();
    assert_eq!(archive.step(), Ok(4));
    assert_eq!(archive.step(), Ok(0));
    let put = city.faults.put.lock().clone();
    assert_eq!(put.len(), 4);
    assert!(put[..2].iter().any(|k| k.contains("_3_")), "held first: {put:?}");
    for row in city.rows() {
        let (here, there) = (
            city.fs.read(&Path::new("/v1").join(row.path()), 1 << 30),
            city.fs.read(&city.object(&row), 1 << 30),
        );
        assert_eq!(here.unwrap(), there.unwrap());
        assert!(archive.has(&row));
    }
    let status = archive.status();
    assert_eq!((status.state, status.segments, status.backlog_segments), (ArchiveState::Ok, 4, 0));
    assert_eq!((status.counters.stored, status.counters.verified), (4, 4));
    assert_eq!(city.notes.kinds(), ["archive.stored"]);
}

#[test]
fn nothing_goes_before_its_time_and_unwanted_cameras_only_when_held() {
    let city = City::new(2);
    let mut early = city.config.clone();
    early.after = Duration::from_secs(3600);
    let archive = City { config: early, ..city }.open();
    assert_eq!(archive.step(), Ok(0));
    let city = City::new(2);
    city.wants.none.store(true, Ordering::SeqCst);
    let archive = city.open();
    assert_eq!(archive.step(), Ok(0));
    // A hold that comes later, also on footage looked at before.
    city.wants.held.lock().insert(1);
    assert_eq!(archive.step(), Ok(1));
    assert!(archive.has(&city.rows()[0]) && !archive.has(&city.rows()[1]));
}

#[test]
fn a_store_that_lies_about_an_upload_is_found_out() {
    let city = City::new(1);
    city.faults.lies.store(1, Ordering::SeqCst);
    let archive = city.open();
    assert_eq!(archive.step(), Ok(1));
    assert_eq!(archive.status().counters.lies, 1);
    let row = &city.rows()[0];
    let here = city.fs.read(&Path::new("/v1").join(row.path()), 1 << 30).unwrap();
    assert_eq!(city.fs.read(&city.object(row), 1 << 30).unwrap(), here);
    // One that goes on lying is never believed.
    let city = City::new(1);
    city.faults.lies.store(u32::MAX, Ordering::SeqCst);
    let archive = city.open();
    assert!(matches!(archive.step(), Err(ArchiveError::Wrong(_))));
    assert!(!archive.has(&city.rows()[0]));
    assert_eq!(archive.status().state, ArchiveState::Refused);
}

#[test]
fn segments_that_cannot_be_read_keep_no_other_waiting() {
    let count = fengsui_config::limits::ARCHIVE_BATCH_MAX as u64 + 3;
    let city = City::new(count);
    for row in city.rows().iter().take(count as usize - 1) {
        city.fs.remove(&Path::new("/v1").join(row.path())).unwrap();
    }
    let archive = city.open();
    while !archive.has(&city.rows()[count as usize - 1]) {
        archive.step().unwrap();
        assert!(archive.status().unreadable > 0);
    }
    assert_eq!(archive.status().backlog_segments, count);
    archive.step().unwrap();
    assert_eq!((archive.status().unreadable, archive.status().backlog_segments), (count - 1, count - 1));
}

#[test]
fn an_archive_away_for_days_is_counted_shown_and_caught_up_with() {
    let city = City::new(5);
    city.faults.down.store(true, Ordering::SeqCst);
    let archive = city.open();
    for _ in 0..3 {
        assert!(matches!(archive.step(), Err(ArchiveError::Unreachable(_))));
        city.clock.advance(Duration::from_secs(86_400));
    }
    let status = archive.status();
    assert_eq!((status.state, status.backlog_segments), (ArchiveState::Unreachable, 5));
    assert!(status.lag_us > 3 * 86_400_000_000 && status.backlog_bytes > 0);
    // One alarm, not one at each attempt.
    assert_eq!(city.notes.kinds(), ["archive.unreachable"]);
    city.faults.down.store(false, Ordering::SeqCst);
    assert_eq!(archive.step(), Ok(5));
    assert_eq!(archive.step(), Ok(0));
    assert_eq!(archive.status().state, ArchiveState::Ok);
    assert!(city.notes.kinds().contains(&"archive.recovered"));
}

#[test]
fn a_crash_at_every_call_tells_no_lie_and_doing_it_again_changes_nothing() {
    let mut calls = 0;
    for after in 0.. {
        let city = City::new(2);
        city.fs.plan(FaultPlan { operation: None, below: None, after, times: 1, fault: Fault::PowerCut });
        if let Ok(archive) = city.try_open() {
            let _ = archive.step();
        }
        let reached = city.fs.stats().faults > 0;
        city.fs.heal();
        city.fs.crash();
        // Whatever the index says is there is there, to the last byte.
        let archive = city.open();
        for row in city.rows().iter().filter(|r| archive.has(r)) {
            let here = city.fs.get(&Path::new("/v1").join(row.path())).unwrap();
            assert_eq!(city.fs.get(&city.object(row)), Some(here), "call {after}");
        }
        while archive.step().unwrap() > 0 {}
        assert!(city.rows().iter().all(|r| archive.has(r)), "call {after}");
        assert_eq!(archive.status().segments, 2, "call {after}");
        if !reached {
            break;
        }
        calls = after;
    }
    assert!(calls > 10, "{calls}");
}

#[test]
fn an_object_of_an_upload_that_was_not_acknowledged_is_proved_and_not_sent_again() {
    let city = City::new(1);
    city.open().step().unwrap();
    city.fs.remove(Path::new("/data/archive/cold.log")).unwrap();
    let archive = city.open();
    assert_eq!(archive.step(), Ok(1));
    assert_eq!((archive.status().counters.found, city.faults.put.lock().len()), (1, 1));
    // The same, but the object is not what was sent.
    city.fs.remove(Path::new("/data/archive/cold.log")).unwrap();
    flip(&city.fs, &city.object(&city.rows()[0]), 9000);
    let archive = city.open();
    assert_eq!(archive.step(), Ok(1));
    assert_eq!((archive.status().counters.found, city.faults.put.lock().len()), (0, 2));
}

#[test]
fn the_index_is_made_anew_from_the_keys_alone_and_a_torn_one_is_read() {
    let city = City::new(3);
    city.open().step().unwrap();
    let log = Path::new("/data/archive/cold.log");
    let whole = city.fs.get(log).unwrap();
    for cut in [0, 1, 95, 96, 97, 200, 96 * 2 + 5, whole.len() - 1] {
        city.fs.put(log, whole[..cut].to_vec());
        assert_eq!(city.open().status().segments as usize, (cut / 96).saturating_sub(1), "cut at {cut}");
    }
    let mut rotten = whole.clone();
    rotten[96 + 40] ^= 1;
    city.fs.put(log, rotten);
    assert_eq!(city.open().status().segments, 2);
    let (node, id) = ("centre".parse().unwrap(), "cold".parse().unwrap());
    city.fs.put(Path::new("/cold/centre/notes.txt"), vec![1]);
    let made =
        rebuild(&*city.store(), &node, &id, (&city.fs, Path::new("/data/archive")), kit::START).unwrap();
    assert_eq!(made, (3, 1));
    let archive = city.open();
    let mut rows = archive.segments(kit::key(), UtcMicros(0), UtcMicros(i64::MAX));
    for row in &mut rows {
        row.volume = "v1".parse().unwrap();
    }
    assert_eq!(rows, city.rows());
}

//! The wall clock steps while a node records: nothing is overwritten, hidden or taken for missing, and whoever plays
//! across the step sees one seam.

use std::path::PathBuf;
use std::sync::Arc;

use fengsui_config::clock::UtcMicros;

use super::bench::{Bench, Outage, key};
use crate::frame::StartReason;
use crate::fs::SimFs;
use crate::playback::Footage;

const SECOND: i64 = 1_000_000;
const STEPS: [i64; 6] = [SECOND, -SECOND, 3600 * SECOND, -3600 * SECOND, -86_400 * SECOND, -300 * SECOND];

/// Records for some time, steps, and records on; as ingest does, the run begins anew at the step.
fn stepped(by: i64, before: f64, after: f64) -> Bench {
    let mut b = Bench::new(SimFs::new(1), &["v1"]);
    b.due(&[key(1)]);
    b.begin(key(1));
    b.run(before);
    b.clock.step_utc(by);
    b.begin_with(key(1), StartReason::ClockStep);
    b.run(after);
    b
}

fn footage(b: &Bench) -> Footage {
    let volumes = vec![("v1".parse().unwrap(), PathBuf::from("/v1"))];
    Footage::new(Arc::new(b.fs.clone()), b.catalogue.clone(), volumes)
}

const EVER: (UtcMicros, UtcMicros) = (UtcMicros(0), UtcMicros(i64::MAX / 4));

/// Places at which a player has to jump.
fn seams(b: &Bench) -> usize {
    let list = footage(b).gops(key(1), EVER.0, EVER.1).unwrap();
    list.items.windows(2).filter(|w| w[1].from.since(w[0].to).abs() > SECOND / 2).count()
}

fn nothing_is_lost(b: &Bench, why: &str) {
    assert_eq!(b.stored(key(1)), b.pushed(key(1)), "{why}");
    let rows = b.catalogue.segments(key(1), EVER.0, EVER.1);
    let files = b.fs.files().into_iter().filter(|f| f.extension().is_some_and(|e| e == "mp4")).count();
    assert_eq!(rows.len(), files, "{why}: every file is shown");
    let mut numbers: Vec<u64> = rows.iter().map(|r| r.number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), rows.len(), "{why}: no number is used twice");
    // Every picture can be reached by asking for its own second.
    let footage = footage(b);
    for row in rows {
        let list = footage.gops(key(1), row.start(), row.end()).unwrap();
        let mine = format!("{}_{}_", row.start_ms, row.number);
        assert!(list.items.iter().any(|g| g.id.starts_with(&mine)), "{why}: {mine} is hidden");
        assert!(list.items.iter().all(|g| footage.gop(key(1), &g.id).is_ok()), "{why}");
    }
}

#[test]
fn a_step_of_the_clock_overwrites_and_hides_nothing_and_is_one_seam() {
    for by in STEPS {
        let b = stepped(by, 30.0, 30.0);
        b.recorder.stop();
        nothing_is_lost(&b, &format!("step by {by} us"));
        assert_eq!(seams(&b), 1, "step by {by} us");
        assert!(b.fs.files().iter().all(|f| !f.to_string_lossy().contains("quarantine")));
    }
}

#[test]
fn footage_recorded_twice_over_the_same_hour_is_played_one_after_the_other() {
    let b = stepped(-600 * SECOND, 700.0, 700.0);
    b.recorder.stop();
    nothing_is_lost(&b, "ten minutes twice");
    assert!(b.catalogue.segments(key(1), EVER.0, EVER.1).len() >= 5);
    assert_eq!(seams(&b), 1);
}

#[test]
fn a_clock_that_starts_in_1970_and_is_set_right_loses_nothing() {
    let mut b = Bench::new(SimFs::new(1), &["v1"]);
    let back = -b.start.0 + 5 * SECOND;
    b.clock.step_utc(back);
    b.due(&[key(1)]);
    b.begin_with(key(1), StartReason::ClockStep);
    b.run(20.0);
    b.clock.step_utc(-back);
    b.begin_with(key(1), StartReason::ClockStep);
    b.run(20.0);
    b.recorder.stop();
    nothing_is_lost(&b, "1970 to now");
    assert_eq!(seams(&b), 1);
}

#[test]
fn a_step_while_the_node_is_off_or_killed_takes_nothing_for_missing() {
    for by in STEPS {
        for outage in [Outage::Clean, Outage::Kill(std::time::Duration::from_secs(5))] {
            let mut b = stepped(0, 15.0, 15.0);
            let files = b.fs.files().len();
            let rows = b.catalogue.segments(key(1), EVER.0, EVER.1).len();
            let at_most_lost = b.pushed(key(1)).len();
            b.clock.step_utc(by);
            b.restart(outage);
            b.due(&[key(1)]);
            b.begin(key(1));
            b.run(20.0);
            assert!(b.recorder.stream(key(1)).unwrap().recording, "step by {by} us, {outage:?}");
            b.recorder.stop();
            assert!(b.fs.files().len() >= files);
            assert!(b.catalogue.segments(key(1), EVER.0, EVER.1).len() > rows);
            let lost = b.lost(key(1)).len();
            assert!(lost <= 20 && lost < at_most_lost, "step by {by} us, {outage:?}: {lost} pictures");
            let again = footage(&b).gops(key(1), EVER.0, EVER.1).unwrap();
            assert!(again.items.len() >= 20, "{}", again.items.len());
        }
    }
}

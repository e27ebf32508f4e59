//! Campaign: every single call to the file system fails once, in every way it can. The recorder does not panic, loses
//! nothing silently, and records on within five seconds or raises an alarm within ten.
//!
//! `FENGSUI_EVERY=1` takes every call (`make campaign-io-errors`); without, every so-manieth.

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "tests")]

use super::bench::{Bench, key};
use crate::figure::{Figure, Target};
use crate::frame::GapReason;
use crate::fs::{Fault, FaultPlan, Operation, SimFs};
use crate::volume::VolumeState;

/// Longest time until footage from after the fault is stored, in seconds.
const GOES_ON_S: f64 = 5.0;
/// Longest time until the alarm.
const ALARM_S: f64 = 10.0;

/// What one run came to.
#[derive(Debug, Default)]
struct Outcome {
    hit: bool,
    /// Seconds from the fault until footage from after it was stored.
    went_on: Option<f64>,
    /// Seconds from the fault until something said so.
    alarm: Option<f64>,
}

/// A minute of two cameras on two volumes; one camera goes and comes back.
fn minute(plan: Option<FaultPlan>) -> (Bench, Outcome) {
    let mut b = Bench::new(SimFs::new(1), &["v1", "v2"]);
    b.due(&[key(1), key(2)]);
    b.begin(key(1));
    b.begin(key(2));
    if let Some(plan) = plan {
        b.fs.plan(plan);
    }
    let mut out = Outcome::default();
    let mut fault_at = None;
    for tick in 0..600 {
        match tick {
            250 => b.end(key(2), GapReason::Network),
            280 => b.begin(key(2)),
            _ => {}
        }
        b.run(0.1);
        if fault_at.is_none() && b.fs.stats().faults > 0 {
            fault_at = Some(b.now());
            out.hit = true;
        }
        let Some(at) = fault_at else { continue };
        let since = b.now().since(at) as f64 / 1e6;
        let stored = |n| b.recorder.stream(key(n)).is_some_and(|s| s.last.is_some_and(|l| l > at));
        let playing = |n: u32| b.cameras[&key(n)].playing;
        if out.went_on.is_none() && (1..=2).all(|n| stored(n) || !playing(n)) {
            out.went_on = Some(since);
        }
        let volumes = b.recorder.volumes();
        let said = volumes.iter().any(|v| v.state != VolumeState::Ok)
            || (1..=2).any(|n| b.recorder.stream(key(n)).is_some_and(|s| s.due && s.reason.is_some()))
            || b.catalogue.stats().write_errors > 0;
        if out.alarm.is_none() && said {
            out.alarm = Some(since);
        }
    }
    (b, out)
}

fn ways(operation: Operation) -> &'static [Fault] {
    use Operation as O;
    match operation {
        O::Write => &[Fault::Io, Fault::NoSpace, Fault::ShortWrite],
        O::Create | O::Allocate | O::Truncate | O::CreateDir | O::Rename => &[Fault::Io, Fault::NoSpace],
        _ => &[Fault::Io],
    }
}

fn judge(plan: &FaultPlan) -> Outcome {
    let (b, out) = minute(Some(plan.clone()));
    b.fs.heal();
    b.recorder.stop();
    if out.hit {
        let early = out.went_on.is_some_and(|s| s <= GOES_ON_S) || out.alarm.is_some_and(|s| s <= ALARM_S);
        // The last seconds of the minute are too short to tell.
        assert!(early || out.went_on.is_none() && b.fs.stats().faults > 0 && late(&b), "{plan:?}: {out:?}");
    }
    for n in 1..=2 {
        b.assert_covered(key(n));
        b.assert_lost_only_in_gaps(key(n));
    }
    out
}

/// Everything that was sent is stored or in a gap although the minute ended before it could be seen.
fn late(b: &Bench) -> bool {
    (1..=2).all(|n| b.lost(key(n)).is_empty())
}

#[test]
fn every_call_may_fail_once_in_every_way() {
    let every: u64 = std::env::var("FENGSUI_EVERY").ok().and_then(|v| v.parse().ok()).unwrap_or(41);
    let first: u64 = std::env::var("FENGSUI_FIRST").ok().and_then(|v| v.parse().ok()).unwrap_or(0);
    let (quiet, _) = minute(None);
    let calls = quiet.fs.stats().calls;
    let (mut n, mut runs, mut slowest, mut alarms) = (0u64, 0u64, 0f64, 0u64);
    for (operation, count) in calls {
        for fault in ways(operation) {
            for after in 0..count {
                n += 1;
                if n < first || !n.is_multiple_of(every) {
                    continue;
                }
                let plan =
                    FaultPlan { operation: Some(operation), below: None, after, times: 1, fault: *fault };
                let judged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| judge(&plan)));
                let out = judged.unwrap_or_else(|panic| {
                    println!("{}", Figure::new("io_errors.failed", 1.0, "runs", Target::Exactly(0.0)));
                    println!("{plan:?}: replay with FENGSUI_EVERY=1 FENGSUI_FIRST={n}");
                    std::panic::resume_unwind(panic);
                });
                runs += 1;
                slowest = slowest.max(out.went_on.unwrap_or(0.0));
                alarms += u64::from(out.alarm.is_some());
            }
        }
    }
    let figure = |name: &str, value: f64, unit, target| {
        println!("{}", Figure::new(format!("io_errors.{name}"), value, unit, target));
    };
    figure("runs", runs as f64, "runs", Target::AtLeast(1.0));
    figure("recording_again_max", slowest, "s", Target::AtMost(GOES_ON_S));
    figure("with_alarm", alarms as f64, "runs", Target::Shown);
    figure("failed", 0.0, "runs", Target::Exactly(0.0));
    assert!(runs > 0);
}

/// A disk that fails from some call on and stays so: the other volume takes over, or there is an alarm.
#[test]
fn a_disk_that_stays_broken_raises_an_alarm_and_the_other_takes_over() {
    for (operation, fault) in [
        (None, Fault::Io),
        (None, Fault::NoSpace),
        (Some(Operation::SyncVolume), Fault::Io),
        (Some(Operation::Write), Fault::ShortWrite),
    ] {
        for after in [0, 7, 60] {
            let below = Some("/v1".into());
            let plan = FaultPlan { operation, below, after, times: u64::MAX, fault };
            let out = judge(&plan);
            assert!(!out.hit || out.alarm.is_some_and(|s| s <= ALARM_S), "{plan:?}: {out:?}");
            assert!(!out.hit || out.went_on.is_some_and(|s| s <= GOES_ON_S), "{plan:?}: {out:?}");
        }
    }
}

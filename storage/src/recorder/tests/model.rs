//! Anything in any order: after all of it, every due second is footage or a gap, and no picture is missing outside one.

use std::time::Duration;

use proptest::prelude::*;

use super::bench::{Bench, Outage, key};
use crate::frame::GapReason;
use crate::fs::{Fault, FaultPlan, Operation, SimFs};

#[derive(Debug, Clone)]
enum Action {
    Run(u8),
    Stall(u8),
    Begin(u32),
    End(u32, bool),
    Fault { operation: u8, after: u8, times: u8, fault: u8 },
    Heal,
    Full,
    Room,
    Kill(u8),
    Power(u8),
    Stop,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => (1..90u8).prop_map(Action::Run),
        1 => (1..60u8).prop_map(Action::Stall),
        3 => (1..3u32).prop_map(Action::Begin),
        2 => (1..3u32, any::<bool>()).prop_map(|(n, r)| Action::End(n, r)),
        2 => (0..5u8, 0..20u8, 1..4u8, 0..3u8)
            .prop_map(|(operation, after, times, fault)| Action::Fault { operation, after, times, fault }),
        1 => Just(Action::Heal),
        1 => Just(Action::Full),
        2 => Just(Action::Room),
        2 => (1..60u8).prop_map(Action::Kill),
        1 => (1..60u8).prop_map(Action::Power),
        1 => Just(Action::Stop),
    ]
}

fn fault(operation: u8, after: u8, times: u8, fault: u8) -> FaultPlan {
    let operations =
        [Operation::Write, Operation::SyncVolume, Operation::SyncFile, Operation::Create, Operation::Rename];
    let faults = [Fault::Io, Fault::NoSpace, Fault::ShortWrite];
    FaultPlan {
        operation: Some(operations[usize::from(operation)]),
        below: Some(if after.is_multiple_of(2) { "/v1" } else { "/v2" }.into()),
        after: u64::from(after),
        times: u64::from(times),
        fault: faults[usize::from(fault)],
    }
}

fn restart(b: &mut Bench, outage: Outage) {
    b.end_node(outage);
    b.start_node().unwrap();
    b.due(&[key(1), key(2)]);
}

fn apply(b: &mut Bench, action: &Action) {
    match *action {
        Action::Run(seconds) => b.run(f64::from(seconds)),
        Action::Stall(seconds) => b.stall(f64::from(seconds)),
        Action::Begin(n) => b.begin(key(n)),
        Action::End(n, net) => b.end(key(n), if net { GapReason::Network } else { GapReason::CameraOffline }),
        Action::Fault { operation, after, times, fault: kind } => {
            b.fs.plan(fault(operation, after, times, kind));
        }
        Action::Heal => b.fs.heal(),
        Action::Full => b.fs.set_capacity(2_000_000),
        Action::Room => b.fs.set_capacity(1 << 40),
        Action::Kill(off) => restart(b, Outage::Kill(Duration::from_secs(off.into()))),
        Action::Power(off) => {
            b.fs.heal();
            restart(b, Outage::Power(Duration::from_secs(off.into())));
        }
        Action::Stop => restart(b, Outage::Clean),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn every_due_second_is_footage_or_a_gap(seed: u64, actions in prop::collection::vec(action(), 1..25)) {
        let mut b = Bench::new(SimFs::new(seed), &["v1", "v2"]);
        b.budget(400_000);
        b.restart(Outage::Clean);
        b.due(&[key(1), key(2)]);
        b.begin(key(1));
        b.begin(key(2));
        b.run(5.0);
        for action in &actions {
            apply(&mut b, action);
        }
        b.fs.heal();
        b.fs.set_capacity(1 << 40);
        b.begin(key(1));
        b.begin(key(2));
        b.run(12.0);
        for n in 1..=2 {
            prop_assert!(b.recorder.stream(key(n)).unwrap().recording, "recording again");
        }
        b.recorder.stop();
        for n in 1..=2 {
            b.assert_covered(key(n));
            b.assert_lost_only_in_gaps(key(n));
        }
    }
}

use std::collections::BTreeMap;
use std::time::Duration;

use fengsui_config::clock::MonoMicros;
use fengsui_config::limits;
use proptest::prelude::*;

use super::super::intake::{Due, Full, Gate, Intake, Sender};
use super::*;

fn gate() -> Sender {
    Sender::Token("t1".into())
}

/// Takes all that is due.
fn drain(intake: &mut Intake<u64>, now: MonoMicros) -> Vec<Due<u64>> {
    std::iter::from_fn(|| intake.take(now)).collect()
}

fn at(us: u64) -> (MonoMicros, UtcMicros) {
    (MonoMicros(us), UtcMicros(NOW.0 + i64::try_from(us).unwrap()))
}

#[test]
fn a_flood_is_counted_exactly_in_few_records_and_delays_nobody_else() {
    let mut intake = Intake::default();
    let (mut noted, mut records, mut waiters) = (BTreeMap::new(), BTreeMap::new(), 0);
    let mut busiest = BTreeMap::new();
    for i in 0..10_000_u64 {
        // 10,000 in a minute from camera 1; every twelve seconds one of cameras 2 to 6, by the same token.
        let (now, utc) = at(i * 6_000);
        intake.put(&gate(), input(1, "motion", Phase::Point, utc), Some(i));
        let other = (i % 2_000 == 1_000).then(|| u32::try_from(i / 2_000).unwrap() + 2);
        if let Some(n) = other {
            intake.put(&gate(), input(n, "door", Phase::Point, utc), Some(i));
        }
        let due = drain(&mut intake, now);
        if let Some(n) = other {
            assert!(due.iter().any(|d| d.event.camera == Some(camera(n))), "the event of camera {n} at once");
        }
        for d in due {
            *noted.entry(d.event.camera).or_insert(0) += d.event.count;
            *records.entry(d.event.camera).or_insert(0) += 1;
            *busiest.entry((d.event.camera, now.0 / 1_000_000)).or_insert(0) += 1;
            waiters += d.waiters.len();
        }
    }
    let rest = drain(&mut intake, MonoMicros(61_000_000));
    for d in rest {
        *noted.entry(d.event.camera).or_insert(0) += d.event.count;
        waiters += d.waiters.len();
    }
    assert_eq!(noted[&Some(camera(1))], 10_000);
    assert_eq!((2..=6).map(|n| noted[&Some(camera(n))]).collect::<Vec<_>>(), [1; 5]);
    assert_eq!(waiters, 10_005, "everybody was told once");
    assert!(records[&Some(camera(1))] <= 20 + 121, "{records:?}");
    let per_second =
        busiest.iter().filter(|((c, s), _)| *c == Some(camera(1)) && *s > 0).map(|(_, n)| *n).max();
    assert!(per_second <= Some(3), "{per_second:?} records in a second");
    assert_eq!((intake.waiting(), intake.pending()), (0, 0));
}

#[test]
fn a_flood_of_one_sender_over_many_cameras_is_bounded_as_well() {
    let mut intake = Intake::default();
    let other = Sender::Operator("li".into());
    let mut records = 0;
    for i in 0..60_000_u64 {
        let (now, utc) = at(i * 1_000);
        intake.put(&gate(), input(u32::try_from(i % 1_000).unwrap(), "motion", Phase::Point, utc), Some(i));
        if i == 30_000 {
            intake.put(&other, input(1, "mark", Phase::Point, utc), Some(i));
            let due = drain(&mut intake, now);
            assert!(due.iter().any(|d| d.sender == other), "an operator waits for no token");
            records += due.len() - 1;
        }
        records += drain(&mut intake, now).len();
    }
    let bound = 200 + 60 * 20 + 1;
    assert!(records <= bound, "{records} records of one token in a minute");
}

#[test]
fn senders_and_cameras_take_turns() {
    let mut intake = Intake::default();
    for n in 0..30 {
        intake.put(&gate(), input(n, "motion", Phase::Point, NOW), Some(0));
        intake.put(&gate(), input(n, "door", Phase::Point, NOW), Some(0));
    }
    let other = Sender::Operator("li".into());
    intake.put(&other, input(1, "mark", Phase::Point, NOW), Some(1));
    let first: Vec<Due<u64>> = std::iter::from_fn(|| intake.take(MonoMicros(0))).take(31).collect();
    assert!(first.iter().take(2).any(|d| d.sender == other), "one record of the other at most goes before");
    let cameras: std::collections::BTreeSet<_> =
        first.iter().filter(|d| d.sender != other).map(|d| d.event.camera).collect();
    assert_eq!(cameras.len(), 30, "every camera before one has its second");
}

#[test]
fn alarms_go_before_what_else_waits_in_their_lane() {
    let mut intake = Intake::default();
    for i in 0..20 {
        intake.put(&gate(), input(1, &format!("first-{i}"), Phase::Point, NOW), Some(0));
        assert!(intake.take(MonoMicros(0)).is_some());
    }
    for i in 0..30 {
        intake.put(&gate(), input(1, &format!("door-{i}"), Phase::Point, NOW), Some(0));
    }
    let mut alarm = input(1, "glass", Phase::Point, NOW);
    alarm.priority = Priority::Alarm;
    intake.put(&gate(), alarm, Some(1));
    assert!(intake.take(MonoMicros(0)).is_none(), "the lane has had its share");
    let first = intake.take(intake.next_due().unwrap()).unwrap();
    assert_eq!((first.event.priority, first.waiters.as_slice()), (Priority::Alarm, [1].as_slice()));
}

#[test]
fn a_lane_keeps_few_causes_apart_and_counts_the_rest_together() {
    let mut intake: Intake<u64> = Intake::default();
    for _ in 0..limits::EVENT_LANE_BURST {
        intake.put(&gate(), input(1, "x", Phase::Point, NOW), None);
        intake.take(MonoMicros(0)).unwrap();
    }
    for i in 0..500 {
        intake.put(&gate(), input(1, &format!("door-{i}"), Phase::Opens, NOW), None);
    }
    assert_eq!(intake.pending(), limits::EVENT_LANE_CAUSES_MAX + 1);
    let all: Vec<Due<u64>> = std::iter::from_fn(|| intake.take_at_once()).collect();
    assert_eq!(all.iter().map(|d| d.event.count).sum::<u64>(), 500);
    let sum = all.iter().find(|d| d.event.cause.starts_with("many/")).unwrap();
    assert_eq!((sum.event.phase, sum.event.times), (Phase::Point, 0), "many causes cannot be open as one");
    assert_eq!(sum.event.data["causes"].as_array().unwrap().len(), limits::EVENT_CAUSES_NAMED_MAX);
    assert!(Event::read(&sum.event.body()).is_ok());
}

#[test]
fn flapping_is_one_record_that_says_how_it_ended() {
    let mut intake: Intake<u64> = Intake::default();
    let cause = |phase, kind| {
        let source = Source::node(node());
        Event::new(kind, Priority::Normal, "link/1", phase, NOW, source).part("link:1").camera(camera(1))
    };
    let down = || cause(Phase::Opens, EventKind::CameraOffline);
    let up = || cause(Phase::Closes, EventKind::CameraOnline);
    for _ in 0..limits::EVENT_LANE_BURST / 2 {
        intake.put(&Sender::Node, down(), None);
        intake.take(MonoMicros(0)).unwrap();
        intake.put(&Sender::Node, up(), None);
        intake.take(MonoMicros(0)).unwrap();
    }
    for _ in 0..50 {
        intake.put(&Sender::Node, down(), None);
        intake.put(&Sender::Node, up(), None);
    }
    intake.put(&Sender::Node, down(), None);
    let folded = intake.take_at_once().unwrap().event;
    assert_eq!((folded.count, folded.times, folded.phase), (101, 51, Phase::Opens));
    assert!(intake.take_at_once().is_none());
}

#[test]
fn what_the_journal_refused_comes_again_with_what_came_meanwhile() {
    let mut intake: Intake<u64> = Intake::default();
    intake.put(&Sender::Node, input(1, "a", Phase::Opens, NOW), None);
    let due = intake.take(MonoMicros(0)).unwrap();
    intake.put(&Sender::Node, input(1, "a", Phase::Closes, NOW), None);
    intake.give_back(due, MonoMicros(5));
    assert!(intake.take(MonoMicros(4)).is_none());
    assert_eq!(intake.next_due(), Some(MonoMicros(5)));
    let again = intake.take(MonoMicros(5)).unwrap().event;
    assert_eq!((again.count, again.phase), (2, Phase::Closes), "the newer one says how it is");
}

#[test]
fn a_record_with_as_many_marks_as_it_may_carry_is_written_early() {
    let mut intake = Intake::default();
    let marked = |i: u64| {
        let mut event = input(1, "a", Phase::Point, NOW);
        event.marks = vec![Mark { key: format!("{i:016x}"), body: format!("{i:016x}"), index: 0 }];
        event
    };
    for i in 0..1_000 {
        intake.put(&gate(), marked(i), Some(i));
    }
    let all = drain(&mut intake, MonoMicros(0));
    assert!(all.iter().all(|d| d.event.marks.len() <= limits::EVENT_MARKS_MAX));
    assert_eq!(all.iter().map(|d| d.event.count).sum::<u64>(), 1_000);
}

#[test]
fn waiting_has_bounds_for_each_sender_and_for_all() {
    let mut intake = Intake::default();
    let most = limits::EVENT_WAITING_PER_SENDER_MAX;
    assert_eq!(intake.room(&gate(), most + 1), Err(Full));
    for i in 0..most as u64 {
        intake.put(&gate(), input(1, "a", Phase::Point, NOW), Some(i));
    }
    assert_eq!(intake.room(&gate(), 1), Err(Full));
    assert_eq!(intake.room(&Sender::Token("t2".into()), 1), Ok(()), "another sender has room");
    drain(&mut intake, MonoMicros(1_000_000_000));
    assert_eq!(intake.room(&gate(), most), Ok(()));
}

#[test]
fn lanes_at_rest_are_forgotten() {
    let mut intake: Intake<u64> = Intake::default();
    for n in 0..5_000 {
        intake.put(&Sender::Node, input(n, "a", Phase::Point, NOW), None);
    }
    drain(&mut intake, MonoMicros(0));
    drain(&mut intake, MonoMicros(0) + Duration::from_secs(3600));
    drain(&mut intake, MonoMicros(0) + Duration::from_secs(7200));
    assert_eq!(intake.lanes(), 0);
}

proptest! {
    /// Whatever comes when: every event is in one record's count, every waiter is told, nothing is left.
    #[test]
    fn every_event_comes_out_once(
        steps in prop::collection::vec((0..4_u32, 0..30_u32, 0..3_usize, 0..400_000_u64, any::<bool>()), 1..300),
    ) {
        let mut intake = Intake::default();
        let (mut now, mut put, mut got, mut told) = (0_u64, 0_u64, 0_u64, 0_u64);
        for (place, name, phase, wait, refused) in steps {
            now += wait;
            let phase = [Phase::Opens, Phase::Closes, Phase::Point][phase];
            let sender = if place == 3 { Sender::Node } else { Sender::Token(format!("t{}", place % 2)) };
            let (mono, utc) = at(now);
            intake.put(&sender, input(place, &format!("i{name}"), phase, utc), Some(now));
            put += 1;
            let due = intake.take(mono);
            match due {
                Some(due) if refused => intake.give_back(due, mono + Duration::from_millis(300)),
                Some(due) => { got += due.event.count; told += due.waiters.len() as u64; }
                None => {}
            }
            prop_assert_eq!(intake.waiting() as u64, put - told);
        }
        while let Some(due) = intake.take_at_once() {
            got += due.event.count;
            told += due.waiters.len() as u64;
        }
        prop_assert_eq!((got, told), (put, put));
        prop_assert_eq!((intake.pending(), intake.waiting()), (0, 0));
    }
}

#[test]
fn a_rate_lets_a_minute_pass_at_once_and_then_no_more_than_it_says() {
    let mut gate = Gate::per_minute(600);
    assert_eq!(
        gate.try_pass(MonoMicros(0), 601),
        Err(Duration::from_millis(100)),
        "never more than a minute's"
    );
    assert_eq!(gate.try_pass(MonoMicros(0), 600), Ok(()));
    assert_eq!(gate.try_pass(MonoMicros(0), 2), Err(Duration::from_millis(200)));
    assert_eq!(gate.try_pass(MonoMicros(200_000), 2), Ok(()));
    assert!(gate.try_pass(MonoMicros(200_000), 1).is_err());
}

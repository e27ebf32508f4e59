//! Floods, and what is full.

use fengsui_config::clock::UtcMicros;
use fengsui_config::limits;
use fengsui_relay::event::{EventKind, Phase};

use super::kit::{Seen, at, camera, engine, event, id, input, rule, rule_id};
use crate::act::{MatterId, MatterKind};
use crate::define::{RuleBody, Trigger};
use crate::rules::Engine;

fn inputs() -> RuleBody {
    RuleBody { kinds: vec!["device.input".into()], ..rule(Trigger::Each) }
}

#[test]
fn a_flood_of_one_camera_delays_nobody_elses_alarm_and_every_event_is_counted() {
    let often = rule(Trigger::Repetition { times: 50, within_s: 10, together: false });
    let mut engine = engine(&[("inputs", inputs()), ("often", often)]);
    let (mut seen, mut elsewhere) = (Seen::default(), 0);
    for n in 0..10_000_u64 {
        let now = UtcMicros(at(0).0 + i64::try_from(n).unwrap() * 6_000);
        let mut flood = input(1, &format!("token/x/input-{n}"), 0);
        (flood.at_us, flood.last_us) = (now, now);
        engine.event(&id(n), &flood, now);
        seen.add(engine.take());
        if n % 2_000 == 1_000 {
            let camera = 2 + usize::try_from(n / 2_000).unwrap();
            let mut alarm = input(camera, &format!("token/y/door-{camera}"), 0);
            (alarm.at_us, alarm.last_us) = (now, now);
            let before = seen.raised.len();
            engine.event(&id(100_000 + n), &alarm, now);
            seen.add(engine.take());
            let raised = &seen.raised[before..];
            assert!(
                raised
                    .iter()
                    .any(|(_, rule, cause)| rule == "inputs" && cause.ends_with(&format!("/door-{camera}"))),
                "at once: {raised:?}"
            );
            elsewhere += 1;
        }
    }
    assert_eq!(elsewhere, 5);
    engine.flush(at(60));
    seen.add(engine.take());
    let of = |rule: &str| -> Vec<u64> {
        let raised = seen.raised.iter().filter(|(_, r, _)| r == rule);
        raised.map(|(name, ..)| seen.counts[name]).collect()
    };
    assert_eq!(of("inputs").iter().sum::<u64>(), 10_005, "every event is in one count");
    assert_eq!(of("often").iter().sum::<u64>(), 10_000);
    let most = usize::try_from(limits::RULES_KEYS_PER_PLACE_MAX).unwrap() + 1 + 5;
    assert_eq!(of("inputs").len(), most);
    assert_eq!(engine.stats().crowded, 10_000 - u64::from(limits::RULES_KEYS_PER_PLACE_MAX));
    assert!(seen.told < 200, "counts are told now and then: {}", seen.told);
}

#[test]
fn causes_that_are_too_many_for_all_rules_share_one_alarm_of_each_rule() {
    let mut engine = engine(&[("inputs", inputs())]);
    let mut seen = Seen::default();
    let events = u64::try_from(limits::RULES_KEYS_MAX).unwrap() + 500;
    for n in 0..events {
        // Each of a node of its own, as a centre would see them, is a place of its own.
        let mut event = event(EventKind::DeviceInput, &format!("c{n}"), Phase::Point, 0);
        event.camera = Some(camera(usize::try_from(n).unwrap() + 10));
        engine.event(&id(n), &event, at(0));
        seen.add(engine.take());
    }
    engine.flush(at(1));
    seen.add(engine.take());
    assert_eq!(seen.raised.len(), limits::RULES_KEYS_MAX + 1);
    assert_eq!(seen.counts.values().sum::<u64>(), events);
    assert_eq!((engine.stats().crowded, seen.raised.last().unwrap().2.as_str()), (500, "rest"));
}

#[test]
fn what_rules_of_repetition_remember_is_bounded_and_still_counts_all() {
    let often = rule(Trigger::Repetition { times: 1_000, within_s: 3_600, together: false });
    let mut engine = engine(&[("often", often)]);
    let lanes = limits::RULES_WINDOW_MAX / 900 + 10;
    let mut seq = 0;
    for cam in 0..lanes {
        for n in 0..900 {
            seq += 1;
            let s = i64::from(n);
            engine.event(
                &id(seq),
                &event(EventKind::DeviceInput, "c", Phase::Point, s).camera(camera(cam)),
                at(s),
            );
        }
    }
    assert!(engine.take().is_empty());
    let stats = engine.stats();
    assert!(stats.window <= limits::RULES_WINDOW_MAX + lanes, "{stats:?}");
    assert!(stats.merged > 0, "{stats:?}");
    for n in 0..100 {
        seq += 1;
        let last = event(EventKind::DeviceInput, "c", Phase::Point, 900).camera(camera(lanes - 1));
        engine.event(&id(seq), &last, at(900));
        assert_eq!(engine.take().len(), usize::from(n == 99), "at the thousandth");
    }
}

#[test]
fn a_count_is_told_soon_at_first_then_seldom_and_to_the_end_when_the_alarm_is_settled() {
    let mut engine = engine(&[("inputs", inputs())]);
    let mut told = Vec::new();
    let mut seen = Seen::default();
    for s in 0..600 {
        engine.event(&id(u64::try_from(s).unwrap()), &input(1, "door", s), at(s));
        let before = seen.told;
        seen.add(engine.take());
        if seen.told > before {
            told.push(s);
        }
    }
    assert_eq!(told[..5], [2, 6, 14, 30, 62], "{told:?}");
    let pauses: Vec<i64> = told.windows(2).map(|w| w[1] - w[0]).collect();
    assert!(pauses.iter().all(|pause| *pause <= 60), "{pauses:?}");
    let name = seen.raised[0].0.clone();
    let matter = MatterId { kind: MatterKind::Alarm, home: super::kit::own(), name: name.clone() };
    assert!(seen.counts[&name] < 600);
    engine.alarm_over(&matter, at(600));
    seen.add(engine.take());
    assert_eq!(seen.counts[&name], 600);
}

fn forgets(engine: &mut Engine, at: UtcMicros) -> usize {
    engine.tick(at);
    engine.stats().keys
}

#[test]
fn a_cause_is_forgotten_when_its_hold_off_is_over_and_a_late_event_joins_until_then() {
    let body = RuleBody { hold_off_s: 60, ..inputs() };
    let mut engine = engine(&[("inputs", body)]);
    let mut seen = Seen::default();
    engine.event(&id(1), &input(1, "door", 0), at(0));
    seen.add(engine.take());
    let matter =
        MatterId { kind: MatterKind::Alarm, home: super::kit::own(), name: seen.raised[0].0.clone() };
    engine.alarm_over(&matter, at(100));
    engine.event(&id(2), &input(1, "door", 160), at(160));
    engine.event(&id(3), &input(1, "door", 90), at(500));
    engine.flush(at(500));
    seen.add(engine.take());
    assert_eq!((seen.raised.len(), seen.counts[&matter.name]), (1, 3));
    let late = i64::try_from(limits::RULES_LATE.as_secs()).unwrap();
    assert_eq!(forgets(&mut engine, at(160 + late - 1)), 1);
    assert_eq!(forgets(&mut engine, at(160 + late)), 0);
    engine.event(&id(4), &input(1, "door", 900), at(900));
    seen.add(engine.take());
    assert_eq!(seen.raised.len(), 2);
}

#[test]
fn an_alarm_that_is_open_again_takes_its_events_again() {
    let mut engine = engine(&[("inputs", inputs())]);
    let mut seen = Seen::default();
    engine.event(&id(1), &input(1, "door", 0), at(0));
    seen.add(engine.take());
    let matter =
        MatterId { kind: MatterKind::Alarm, home: super::kit::own(), name: seen.raised[0].0.clone() };
    engine.alarm_over(&matter, at(10));
    engine.alarm_open(&matter);
    engine.event(&id(2), &input(1, "door", 20), at(20));
    seen.add(engine.take());
    assert_eq!(seen.raised.len(), 1);
}

#[test]
fn a_rule_that_is_removed_leaves_nothing_behind() {
    let mut engine = engine(&[
        ("inputs", inputs()),
        ("often", rule(Trigger::Repetition { times: 5, within_s: 60, together: false })),
        ("long", rule(Trigger::Lasting { for_s: 60 })),
        ("quiet", rule(Trigger::Absence { for_s: 60, together: true })),
    ]);
    engine.event(&id(1), &event(EventKind::CameraOffline, "c", Phase::Opens, 0).camera(camera(1)), at(0));
    engine.event(&id(2), &input(1, "door", 0), at(0));
    for name in ["inputs", "often", "long", "quiet"] {
        engine.define(&rule_id(name), None, false, at(1));
    }
    let stats = engine.stats();
    assert_eq!((stats.keys, stats.window, stats.lasting, stats.rules), (0, 0, 0, 0));
    assert_eq!(engine.next_due(), None);
    engine.take();
    engine.tick(at(10_000));
    engine.event(&id(3), &input(1, "door", 10_000), at(10_000));
    assert!(engine.take().is_empty());
}

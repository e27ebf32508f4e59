//! The engine against a recomputation that keeps everything and looks through all of it each time.

use std::collections::BTreeMap;

use fengsui_config::clock::UtcMicros;
use fengsui_relay::event::rows::RecordId;
use fengsui_relay::event::{Event, EventKind, Phase};
use proptest::prelude::*;

use super::kit::{Seen, at, camera, engine, id, rule, rule_id};
use crate::act::{MatterId, MatterKind};
use crate::define::{RuleBody, Trigger};
use crate::rules::{Engine, alarm_name, key};

/// Something that happens.
#[derive(Debug, Clone)]
pub enum Op {
    Event(Box<Event>),
    /// The n-th alarm of all is settled.
    Over(usize),
    Tick,
}

/// An alarm as the recomputation has it.
#[derive(Debug, Clone)]
struct Alarm {
    key: String,
    name: String,
    count: u64,
    over: Option<UtcMicros>,
    /// Something came behind its hold-off: it takes nothing more, also not what happened before.
    passed: bool,
}

/// One rule, recomputed.
struct Naive {
    name: &'static str,
    body: RuleBody,
    alarms: Vec<Alarm>,
    /// Events that no alarm has yet, of rules of repetition: key, time, order, count, record.
    unused: Vec<(String, i64, u64, RecordId)>,
    /// Everything about parts: what, when noted, record.
    history: Vec<(RecordId, Event, UtcMicros)>,
    lasted: Vec<(RecordId, i64)>,
}

impl Naive {
    fn selects(&self, event: &Event) -> bool {
        let body = &self.body;
        (body.kinds.is_empty() || body.kinds.iter().any(|k| k == event.kind.as_str()))
            && body.min_priority.is_none_or(|p| event.priority >= p)
            && (body.cameras.is_empty() || event.camera.is_some_and(|c| body.cameras.contains(&c)))
    }

    fn hit(&mut self, key: String, record: &RecordId, count: u64, last: i64, order: &mut Vec<String>) {
        let hold = i64::from(self.body.hold_off_s) * 1_000_000;
        if let Some(newest) = self.alarms.iter_mut().rev().find(|a| a.key == key) {
            if !newest.passed && newest.over.is_none_or(|over| last <= over.0 + hold) {
                newest.count += count;
                return;
            }
            newest.passed = true;
        }
        let (first, count) = match self.body.trigger {
            Trigger::Repetition { times, within_s, .. } => {
                let within = i64::from(within_s) * 1_000_000;
                let newest = self.unused.iter().filter(|u| u.0 == key).map(|u| u.1).max();
                if newest.is_some_and(|newest| last < newest - within) {
                    if count < u64::from(times) {
                        return;
                    }
                    (record.clone(), count)
                } else {
                    self.unused.push((key.clone(), last, count, record.clone()));
                    let newest = newest.unwrap_or(last).max(last);
                    let mut view: Vec<_> =
                        self.unused.iter().filter(|u| u.0 == key && u.1 >= newest - within).collect();
                    view.sort_by_key(|u| u.1);
                    let sum: u64 = view.iter().map(|u| u.2).sum();
                    if sum < u64::from(times) {
                        return;
                    }
                    let first = view[0].3.clone();
                    self.unused.retain(|u| u.0 != key);
                    (first, sum)
                }
            }
            _ => (record.clone(), count),
        };
        let name = alarm_name(&rule_id(self.name), &key, &first.to_string());
        order.push(name.clone());
        self.alarms.push(Alarm { key, name, count, over: None, passed: false });
    }

    /// What has lasted too long by `now`, the earliest first: record, cause key, count, when opened, when due.
    fn due(&self, now: UtcMicros) -> Option<(i64, RecordId, String, u64, i64)> {
        let Trigger::Lasting { for_s } = self.body.trigger else { return None };
        let mut open: BTreeMap<(String, String), (RecordId, Event, i64)> = BTreeMap::new();
        for (record, event, noted) in &self.history {
            let part = (event.cause.clone(), event.part.clone());
            match event.phase {
                Phase::Opens if self.selects(event) && (event.times > 1 || !open.contains_key(&part)) => {
                    let due = (event.last_us.0 + i64::from(for_s) * 1_000_000).max(noted.0);
                    open.insert(part, (record.clone(), event.clone(), due));
                }
                Phase::Closes => {
                    open.remove(&part);
                }
                _ => {}
            }
        }
        let waiting = open
            .into_values()
            .filter(|(record, _, due)| *due <= now.0 && !self.lasted.contains(&(record.clone(), *due)));
        let one = waiting.min_by_key(|(_, event, due)| (*due, event.cause.clone(), event.part.clone()))?;
        let cause = key::cause(&one.0.node, &one.1.cause);
        Some((one.2, one.0, cause, one.1.count, one.1.last_us.0))
    }

    fn time(&mut self, now: UtcMicros, order: &mut Vec<String>) {
        while let Some((due, record, cause, count, opened)) = self.due(now) {
            self.lasted.push((record.clone(), due));
            self.hit(cause, &record, count, opened, order);
        }
    }

    fn event(&mut self, record: &RecordId, event: &Event, noted: UtcMicros, order: &mut Vec<String>) {
        self.history.push((record.clone(), event.clone(), noted));
        if !self.selects(event) {
            return;
        }
        let begins = event.phase != Phase::Closes
            || event.times > 0
            || (event.kind == EventKind::CameraOnline
                && self.body.kinds.iter().any(|k| k == "camera.online"));
        let cause = key::cause(&record.node, &event.cause);
        let (last, count) = (event.last_us.0, event.count);
        match &self.body.trigger {
            Trigger::Each if begins => self.hit(cause, record, count, last, order),
            Trigger::Threshold { fact, min, max } if begins => {
                let Some(value) = event.data.get(fact).and_then(serde_json::Value::as_f64) else { return };
                if min.is_none_or(|m| value >= m) && max.is_none_or(|m| value <= m) {
                    self.hit(cause, record, count, last, order);
                }
            }
            Trigger::Repetition { together, .. } if begins => {
                let key = if *together { "all".to_owned() } else { key::place(record, event) };
                self.hit(key, record, count, last, order);
            }
            _ => {}
        }
    }
}

/// Rules of the triggers that depend on events alone.
pub fn rules() -> Vec<(&'static str, RuleBody)> {
    let mut all = vec![
        ("each", rule(Trigger::Each)),
        ("high", rule(Trigger::Threshold { fact: "value".into(), min: Some(4.0), max: Some(8.0) })),
        ("often", rule(Trigger::Repetition { times: 5, within_s: 60, together: false })),
        ("together", rule(Trigger::Repetition { times: 9, within_s: 90, together: true })),
        ("long", rule(Trigger::Lasting { for_s: 45 })),
        ("online", RuleBody { kinds: vec!["camera.online".into()], ..rule(Trigger::Each) }),
    ];
    all[0].1.kinds = vec!["device.input".into()];
    all[0].1.hold_off_s = 30;
    all[2].1.hold_off_s = 20;
    all[3].1.cameras = vec![camera(1), camera(2)];
    all[4].1.kinds = vec!["camera.offline".into(), "device.input".into()];
    all
}

pub fn any_op() -> impl Strategy<Value = (i64, Op)> {
    let event = (0..4_usize, 0..4_usize, 0..3_usize, 1..4_u64, 0..30_i64, 0..10_u32, 0..3_u64);
    let event = event.prop_map(|(cam, kind, cause, count, late, value, times)| {
        let (kind, phase) = [
            (EventKind::DeviceInput, Phase::Point),
            (EventKind::DeviceInput, Phase::Opens),
            (EventKind::CameraOffline, Phase::Opens),
            (EventKind::CameraOnline, Phase::Closes),
        ][kind];
        let mut event = super::kit::event(kind, &format!("c{cause}"), phase, -late).fact("value", value);
        event.camera = (cam > 0).then(|| camera(cam));
        (event.count, event.times) = (count, times.min(count).max(u64::from(phase == Phase::Opens)));
        event
    });
    let op = prop_oneof![
        12 => event.prop_map(|e| Op::Event(Box::new(e))),
        2 => (0..40_usize).prop_map(Op::Over),
        1 => Just(Op::Tick),
    ];
    (0..40_i64, op)
}

/// Moves what was made relative to now to where it stands.
fn placed(event: &Event, now: UtcMicros) -> Event {
    let late = at(0).since(event.at_us);
    let mut event = event.clone();
    event.at_us = UtcMicros(now.0 - late);
    event.last_us = event.at_us;
    event
}

pub fn run(engine: &mut Engine, now: UtcMicros, seq: u64, op: &Op, seen: &mut Seen) {
    match op {
        Op::Event(event) => engine.event(&id(seq), &placed(event, now), now),
        Op::Tick => engine.tick(now),
        Op::Over(n) => {
            engine.tick(now);
            seen.add(engine.take());
            if let Some((name, ..)) = seen.raised.get(*n) {
                let matter =
                    MatterId { kind: MatterKind::Alarm, home: super::kit::own(), name: name.clone() };
                engine.alarm_over(&matter, now);
            }
        }
    }
    seen.add(engine.take());
}

fn naive_run(ops: &[(i64, Op)]) -> (BTreeMap<String, u64>, Vec<Vec<String>>) {
    let new = |(name, body)| Naive {
        name,
        body,
        alarms: Vec::new(),
        unused: Vec::new(),
        history: Vec::new(),
        lasted: Vec::new(),
    };
    let mut all: Vec<Naive> = rules().into_iter().map(new).collect();
    let mut orders = vec![Vec::new(); all.len()];
    (0..).zip(ops).fold(at(0), |now, (seq, (step, op))| {
        let now = UtcMicros(now.0 + step * 1_000_000);
        for (one, order) in all.iter_mut().zip(&mut orders) {
            one.time(now, order);
            if let Op::Event(event) = op {
                one.event(&id(seq), &placed(event, now), now, order);
            }
        }
        now
    });
    let counts = all.iter().flat_map(|n| &n.alarms).map(|a| (a.name.clone(), a.count)).collect();
    (counts, orders)
}

/// As `naive_run`, with alarms settled: they are named by the order in which the engine raised them.
fn naive_with_overs(ops: &[(i64, Op)], raised_by: &[Vec<String>]) -> BTreeMap<String, u64> {
    let new = |(name, body)| Naive {
        name,
        body,
        alarms: Vec::new(),
        unused: Vec::new(),
        history: Vec::new(),
        lasted: Vec::new(),
    };
    let mut all: Vec<Naive> = rules().into_iter().map(new).collect();
    let mut now = at(0);
    for (seq, (step, op)) in (0..).zip(ops) {
        now = UtcMicros(now.0 + step * 1_000_000);
        for one in &mut all {
            let mut order = Vec::new();
            one.time(now, &mut order);
            match op {
                Op::Event(event) => one.event(&id(seq), &placed(event, now), now, &mut order),
                Op::Over(n) => {
                    let known = &raised_by[usize::try_from(seq).unwrap()];
                    if let Some(name) = known.get(*n)
                        && let Some(alarm) = one.alarms.iter_mut().find(|a| a.name == *name)
                    {
                        alarm.over.get_or_insert(now);
                    }
                }
                _ => {}
            }
        }
    }
    all.iter().flat_map(|n| &n.alarms).map(|a| (a.name.clone(), a.count)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_says_what_a_naive_recomputation_says(ops in prop::collection::vec(any_op(), 1..80)) {
        let mut engine = engine(&rules());
        let (mut seen, mut now) = (Seen::default(), at(0));
        let mut raised_by = Vec::new();
        for (seq, (step, op)) in (0..).zip(&ops) {
            now = UtcMicros(now.0 + step * 1_000_000);
            engine.tick(now);
            seen.add(engine.take());
            raised_by.push(seen.raised.iter().map(|(name, ..)| name.clone()).collect::<Vec<_>>());
            run(&mut engine, now, seq, op, &mut seen);
        }
        engine.flush(now);
        seen.add(engine.take());
        prop_assert_eq!(&seen.counts, &naive_with_overs(&ops, &raised_by));
        if ops.iter().all(|(_, op)| !matches!(op, Op::Over(_))) {
            prop_assert_eq!(&seen.counts, &naive_run(&ops).0);
        }
    }

    #[test]
    fn a_restart_at_any_place_gives_the_same_alarms(ops in prop::collection::vec(any_op(), 2..60), cut in 0..60_usize) {
        let mut whole = engine(&rules());
        let mut stopped = engine(&rules());
        let (mut a, mut b, mut now) = (Seen::default(), Seen::default(), at(0));
        for (seq, (step, op)) in (0..).zip(&ops) {
            now = UtcMicros(now.0 + step * 1_000_000);
            if usize::try_from(seq).unwrap() == cut % ops.len() {
                let kept = serde_json::to_value(&stopped).unwrap();
                stopped = serde_json::from_value(kept).unwrap();
                stopped.at(super::kit::own(), super::kit::places(), now);
            }
            run(&mut whole, now, seq, op, &mut a);
            run(&mut stopped, now, seq, op, &mut b);
        }
        prop_assert_eq!(a, b);
        prop_assert_eq!(serde_json::to_value(&whole).unwrap(), serde_json::to_value(&stopped).unwrap());
    }

    #[test]
    fn how_often_the_time_is_looked_at_changes_no_alarm(ops in prop::collection::vec(any_op(), 1..60), ticks in prop::collection::vec(0..40_i64, 60)) {
        let (mut often, mut seldom) = (engine(&rules()), engine(&rules()));
        let (mut a, mut b, mut now) = (Seen::default(), Seen::default(), at(0));
        for (seq, (step, op)) in (0..).zip(&ops).filter(|(_, (_, op))| !matches!(op, Op::Over(_))) {
            let before = now;
            now = UtcMicros(now.0 + step * 1_000_000);
            often.tick(UtcMicros(now.0.min(before.0 + ticks[usize::try_from(seq).unwrap()] * 1_000_000)));
            a.add(often.take());
            run(&mut often, now, seq, op, &mut a);
            run(&mut seldom, now, seq, op, &mut b);
        }
        often.flush(now);
        seldom.flush(now);
        a.add(often.take());
        b.add(seldom.take());
        prop_assert_eq!((a.counts, a.raised), (b.counts, b.raised));
    }
}

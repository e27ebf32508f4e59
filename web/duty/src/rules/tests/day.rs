//! A day of a city: 50 rules of all triggers over 1,400 cameras, against sums over the whole day.
#![allow(clippy::print_stdout, reason = "a figure is printed")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fengsui_config::clock::{Clock as _, SystemClock, UtcMicros};
use fengsui_relay::event::{Event, EventKind, Phase};
use rand::{Rng as _, SeedableRng as _};

use super::kit::{CENTRE, SITE, START, STATION, Seen, camera, event, id, own, rule, rule_id};
use crate::define::{RuleBody, Trigger};
use crate::rules::{Engine, Places, key};

const CAMERAS: usize = 1_400;
const DAY_US: i64 = 86_400_000_000;

/// Rules of each trigger, every one of a tenth of the city; two of repetition look everywhere.
fn rules() -> Vec<(String, RuleBody)> {
    let mut all = Vec::new();
    for i in 0..10_u32 {
        let cameras: Vec<_> =
            (0..CAMERAS).filter(|n| n % 10 == usize::try_from(i).unwrap()).map(camera).collect();
        let of = |kind: &str, trigger| RuleBody {
            kinds: vec![kind.to_owned()],
            cameras: cameras.clone(),
            ..rule(trigger)
        };
        let min = Some(f64::from(i) * 10.0);
        let often = Trigger::Repetition { times: 20 + i, within_s: 3_600, together: false };
        let mut often = of("device.input", often);
        if i < 2 {
            often.cameras.clear();
        }
        let long = Trigger::Lasting { for_s: 60 * (i + 1) };
        let quiet = Trigger::Absence { for_s: 600 + 60 * i, together: false };
        all.push((format!("each-{i}"), of("device.input", Trigger::Each)));
        let high = Trigger::Threshold { fact: "value".into(), min, max: None };
        all.push((format!("high-{i}"), of("camera.picture_lost", high)));
        all.push((format!("often-{i}"), often));
        all.push((format!("long-{i}"), of("camera.offline", long)));
        all.push((format!("quiet-{i}"), of("device.input", quiet)));
    }
    all
}

/// The events of a day, in order.
struct Day {
    rng: rand::rngs::StdRng,
    offline: Vec<bool>,
    step_us: i64,
    n: i64,
}

impl Day {
    fn new(events: i64, cameras: usize, seed: u64) -> Self {
        let rng = rand::rngs::StdRng::seed_from_u64(seed);
        Self { rng, offline: vec![false; cameras], step_us: DAY_US / events, n: 0 }
    }

    fn next(&mut self) -> Event {
        self.n += 1;
        let n = self.rng.random_range(0..self.offline.len());
        let mut made = match self.rng.random_range(0..10) {
            0..6 => event(EventKind::DeviceInput, &format!("in/{n}/{}", self.n % 4), Phase::Point, 0),
            6..8 => {
                self.offline[n] = !self.offline[n];
                let (kind, phase) = match self.offline[n] {
                    true => (EventKind::CameraOffline, Phase::Opens),
                    false => (EventKind::CameraOnline, Phase::Closes),
                };
                event(kind, &format!("camera/{n}"), phase, 0).part(format!("link:{n}"))
            }
            8 => event(EventKind::OperatorMark, &format!("mark/{}", self.n), Phase::Point, 0),
            _ => {
                let value = self.rng.random_range(0..100);
                event(EventKind::CameraPictureLost, &format!("picture/{n}"), Phase::Point, 0)
                    .fact("value", value)
            }
        };
        made.camera = Some(camera(n));
        if made.phase == Phase::Point {
            made.count = self.rng.random_range(1..4);
        }
        made.at_us = UtcMicros(START + self.n * self.step_us);
        made.last_us = made.at_us;
        made
    }
}

fn city() -> Engine {
    let codes = [SITE, STATION, CENTRE].map(str::to_owned);
    let places = Arc::new(Places::new((0..CAMERAS).map(|n| (camera(n), codes.clone()))));
    let mut engine = Engine::new(own(), places);
    for (name, body) in rules() {
        engine.define(&rule_id(&name), Some(body), false, UtcMicros(START));
    }
    engine
}

/// Counts of alarms by rule and cause, as sums over all events of the day.
fn summed(events: &[Event]) -> BTreeMap<(String, String), u64> {
    let mut sums = BTreeMap::new();
    for (name, body) in rules() {
        let of_kind = |e: &&Event| {
            let here = body.cameras.is_empty() || e.camera.is_some_and(|c| body.cameras.contains(&c));
            here && e.kind.as_str() == body.kinds[0]
        };
        let mut add = |key: String, count: u64| {
            if count > 0 {
                *sums.entry((name.clone(), key)).or_insert(0) += count;
            }
        };
        let cause = |e: &Event| key::cause(own().as_str(), &e.cause);
        let mut by_camera: BTreeMap<_, Vec<&Event>> = BTreeMap::new();
        events.iter().filter(of_kind).for_each(|e| by_camera.entry(e.camera.unwrap()).or_default().push(e));
        match body.trigger {
            Trigger::Each => by_camera.values().flatten().for_each(|e| add(cause(e), e.count)),
            Trigger::Threshold { min, .. } => {
                let high = |e: &&&Event| e.data["value"].as_f64().unwrap() >= min.unwrap();
                by_camera.values().flatten().filter(high).for_each(|e| add(cause(e), e.count));
            }
            Trigger::Repetition { times, within_s, .. } => {
                for (camera, of) in &by_camera {
                    let view = |i: usize| {
                        let from = of[i].at_us.0 - i64::from(within_s) * 1_000_000;
                        of[..=i].iter().filter(|e| e.at_us.0 >= from).map(|e| e.count).sum::<u64>()
                    };
                    if let Some(i) = (0..of.len()).find(|i| view(*i) >= u64::from(times)) {
                        let later: u64 = of[i + 1..].iter().map(|e| e.count).sum();
                        add(key::camera(camera), view(i) + later);
                    }
                }
            }
            Trigger::Lasting { for_s } => {
                for opened in by_camera.values().flatten() {
                    let closed = events.iter().find(|e| {
                        e.cause == opened.cause && e.phase == Phase::Closes && e.at_us > opened.at_us
                    });
                    let end = closed.map_or(START + DAY_US, |e| e.at_us.0);
                    add(cause(opened), u64::from(end - opened.at_us.0 >= i64::from(for_s) * 1_000_000));
                }
            }
            Trigger::Absence { for_s, .. } => {
                for camera in &body.cameras {
                    let of = by_camera.get(camera).map(Vec::as_slice).unwrap_or_default();
                    let times = of.iter().map(|e| e.at_us.0);
                    let times: Vec<i64> =
                        std::iter::once(START).chain(times).chain([START + DAY_US]).collect();
                    let long = times.windows(2).filter(|w| w[1] - w[0] >= i64::from(for_s) * 1_000_000);
                    add(key::camera(camera), u64::try_from(long.count()).unwrap());
                }
            }
        }
    }
    sums
}

#[test]
fn fifty_rules_over_a_sample_of_a_day_say_what_sums_over_the_sample_say() {
    for seed in [1, 2] {
        println!("seed {seed}");
        let mut day = Day::new(6_000, 12, seed);
        let events: Vec<Event> = (0..6_000).map(|_| day.next()).collect();
        let (mut engine, mut seen) = (city(), Seen::default());
        for (seq, event) in (0..).zip(&events) {
            engine.event(&id(seq), event, event.at_us);
            seen.add(engine.take());
        }
        engine.tick(UtcMicros(START + DAY_US));
        engine.flush(UtcMicros(START + DAY_US));
        seen.add(engine.take());
        let counted: BTreeMap<_, _> = seen
            .raised
            .iter()
            .map(|(name, rule, key)| ((rule.clone(), key.clone()), seen.counts[name]))
            .collect();
        assert_eq!(counted.len(), seen.raised.len(), "nothing is settled, so each cause has one alarm");
        assert_eq!(counted, summed(&events));
        assert!(
            ["each", "high", "often", "long", "quiet"]
                .iter()
                .all(|t| counted.keys().any(|(r, _)| r.starts_with(t)))
        );
        assert_eq!(engine.stats().crowded, 0);
    }
}

/// `make bench-rules`: time of the engine alone, on one core.
#[test]
#[ignore = "a measurement"]
fn a_day_of_a_million_events() {
    let (clock, events) = (SystemClock::new(), 1_000_000);
    let mut day = Day::new(events, CAMERAS, 7);
    let (mut engine, mut took, mut raised) = (city(), Duration::ZERO, 0);
    for turn in 0..100_u64 {
        let chunk: Vec<Event> = (0..events / 100).map(|_| day.next()).collect();
        let began = clock.mono();
        for (n, event) in (0..).zip(&chunk) {
            engine.event(&id(turn * 1_000_000 + n), event, event.at_us);
        }
        raised += engine.take().len();
        took += clock.mono().since(began);
    }
    let seconds = took.as_secs_f64();
    let verdict = if seconds <= 10.0 { "ok" } else { "short" };
    println!("FIGURE rules.day_1m_events {seconds:.3} s target <=10 {verdict}");
    println!("firings {raised}, {:?}", engine.stats());
    assert!(seconds <= 10.0, "{seconds} s");
}

//! What the tests of the rules share.

use std::collections::BTreeMap;
use std::sync::Arc;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{CameraId, NodeId};
use fengsui_relay::event::rows::RecordId;
use fengsui_relay::event::{Event, EventKind, Phase, Priority, Source};

use crate::act::{MatterId, MatterKind};
use crate::alarm::Level;
use crate::define::{Judged, RuleBody, Trigger};
use crate::rules::{Engine, Firing, Places};

/// A Monday, 08:00 in China.
pub const START: i64 = 1_790_553_600_000_000;
pub const SITE: &str = "33080200002160000001";
pub const STATION: &str = "33080200002150000001";
pub const CENTRE: &str = "33080200002000000001";

pub fn own() -> NodeId {
    "kecheng".parse().unwrap()
}

pub fn camera(n: usize) -> CameraId {
    format!("3308020000132{n:07}").parse().unwrap()
}

/// Cameras 1 to 9; those up to 4 are at the site.
pub fn places() -> Arc<Places> {
    let codes = |n: usize| {
        let site = if n <= 4 { SITE } else { "33080200002160000002" };
        [site, STATION, CENTRE].map(str::to_owned)
    };
    Arc::new(Places::new((1..10).map(|n| (camera(n), codes(n)))))
}

pub fn at(s: i64) -> UtcMicros {
    UtcMicros(START + s * 1_000_000)
}

pub fn rule_id(name: &str) -> MatterId {
    MatterId { kind: MatterKind::Rule, home: own(), name: name.to_owned() }
}

pub fn rule(trigger: Trigger) -> RuleBody {
    RuleBody {
        name: "试验".into(),
        enabled: true,
        judged: Judged::Origin,
        kinds: Vec::new(),
        min_priority: None,
        cameras: Vec::new(),
        area: Vec::new(),
        hours: Vec::new(),
        trigger,
        level: Level::USUAL,
        hold_off_s: 0,
        due_s: 60,
        hold_days: 30,
    }
}

pub fn engine(rules: &[(&str, RuleBody)]) -> Engine {
    let mut engine = Engine::new(own(), places());
    for (name, body) in rules {
        engine.define(&rule_id(name), Some(body.clone()), false, UtcMicros(START - 1_000_000_000));
    }
    engine
}

pub fn id(seq: u64) -> RecordId {
    RecordId { node: own().to_string(), epoch: 1, seq }
}

pub fn event(kind: EventKind, cause: &str, phase: Phase, s: i64) -> Event {
    Event::new(kind, Priority::Normal, cause, phase, at(s), Source::node(own()))
}

pub fn input(n: usize, cause: &str, s: i64) -> Event {
    event(EventKind::DeviceInput, cause, Phase::Point, s).camera(camera(n))
}

/// What firings come to: the count of each alarm by its name.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Seen {
    pub counts: BTreeMap<String, u64>,
    /// In the order in which they were raised: name, rule, cause.
    pub raised: Vec<(String, String, String)>,
    /// How often a count was told.
    pub told: usize,
}

impl Seen {
    pub fn add(&mut self, firings: Vec<Firing>) {
        for firing in firings {
            match firing {
                Firing::Raise { matter, raise, .. } => {
                    self.raised.push((matter.name.clone(), raise.rule.name, raise.cause));
                    let before = self.counts.insert(matter.name, raise.count);
                    assert!(before.is_none(), "an alarm is raised once");
                }
                Firing::Counted { matter, count, .. } => {
                    self.told += 1;
                    let before = self.counts.insert(matter.name, count).unwrap();
                    assert!(before < count, "a count grows: {before}, then {count}");
                }
            }
        }
    }
}

//! Rules tried on what was recorded: what they would have made of it.
//!
//! Nobody deals with alarms in a try-out, so one without events for `limits::RULES_TRY_SETTLED_AFTER` counts as dealt with.

use std::collections::BTreeMap;
use std::sync::Arc;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{CameraId, NodeId};
use fengsui_config::limits;
use fengsui_relay::event::Event;
use fengsui_relay::event::rows::{RecordId, told_by};
use fengsui_relay::inbox::Applied;
use fengsui_storage::journal::{JournalRecord, kinds};
use serde::{Deserialize, Serialize};

use super::{Engine, Firing, Places, Stats};
use crate::act::MatterId;
use crate::define::RuleBody;

/// An alarm that would have been.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fired {
    /// Its name: the same as that of the alarm that the rule made, if it did.
    pub name: String,
    /// The rule.
    pub rule: MatterId,
    /// Its name.
    pub rule_name: String,
    /// What happened.
    pub kind: String,
    /// How much it matters.
    pub level: u8,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub camera: Option<CameraId>,
    /// National code of the site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// What its events have in common.
    pub cause: String,
    /// The record of the first event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<String>,
    /// Words of the event.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// When the first event happened.
    pub first_us: UtcMicros,
    /// When the latest happened.
    pub last_us: UtcMicros,
    /// Events.
    pub count: u64,
}

/// What came of a try-out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Alarms, in the order in which they were raised; the first `limits::RULES_TRY_LISTED_MAX`.
    pub fired: Vec<Fired>,
    /// All of them.
    pub alarms: u64,
    /// Alarms of each rule.
    pub by_rule: BTreeMap<String, u64>,
    /// Events that were looked at.
    pub events: u64,
}

/// A try-out under way.
#[derive(Debug)]
pub struct Trial {
    engine: Engine,
    from: UtcMicros,
    to: UtcMicros,
    outcome: Outcome,
    /// Where the listed ones stand.
    places: BTreeMap<String, usize>,
    epoch: u64,
    began: bool,
}

impl Trial {
    /// Tries rules on events noted from `from` on and before `to`.
    #[must_use]
    pub fn new(
        own: NodeId,
        places: Arc<Places>,
        rules: Vec<(MatterId, RuleBody)>,
        (from, to): (UtcMicros, UtcMicros),
    ) -> Self {
        let mut engine = Engine::new(own, places);
        engine.try_out(limits::RULES_TRY_SETTLED_AFTER);
        for (id, body) in rules {
            engine.define(&id, Some(RuleBody { enabled: true, ..body }), false, from);
        }
        let (outcome, places) = Default::default();
        Self { engine, from, to, outcome, places, epoch: 0, began: false }
    }

    /// Takes the next record; false when what follows is behind the range.
    pub fn record(&mut self, record: &JournalRecord) -> bool {
        if record.at >= self.to {
            return false;
        }
        if record.at < self.from {
            return true;
        }
        if self.began && record.epoch != self.epoch {
            self.engine.was_away(record.at);
        }
        (self.began, self.epoch) = (true, record.epoch);
        if kinds::is(&record.kind, &record.body, kinds::EVENT_NOTED) {
            let id = RecordId { node: record.node.clone(), epoch: record.epoch, seq: record.seq };
            if let Ok(event) = Event::read(&record.body) {
                self.event(&id, &event, record.at);
            }
        } else if kinds::is(&record.kind, &record.body, kinds::RELAY_APPLIED) {
            let applied = Applied::deserialize(&record.body).unwrap_or_default();
            for (id, event) in applied.parts.iter().flat_map(|part| &part.frames).filter_map(told_by) {
                self.event(&id, &event, record.at);
            }
        }
        true
    }

    /// Takes the next event.
    pub fn event(&mut self, id: &RecordId, event: &Event, noted: UtcMicros) {
        self.engine.event(id, event, noted);
        self.collect();
    }

    fn collect(&mut self) {
        for firing in self.engine.take() {
            match firing {
                Firing::Raise { matter, raise, .. } => {
                    self.outcome.alarms += 1;
                    *self.outcome.by_rule.entry(raise.rule.to_string()).or_default() += 1;
                    if self.outcome.fired.len() >= limits::RULES_TRY_LISTED_MAX {
                        continue;
                    }
                    self.places.insert(matter.name.clone(), self.outcome.fired.len());
                    self.outcome.fired.push(Fired {
                        name: matter.name,
                        rule: raise.rule,
                        rule_name: raise.rule_name,
                        kind: raise.kind,
                        level: raise.level.get(),
                        camera: raise.camera,
                        site: raise.site,
                        cause: raise.cause,
                        row: raise.row,
                        text: raise.text,
                        first_us: raise.first_us,
                        last_us: raise.first_us,
                        count: raise.count,
                    });
                }
                Firing::Counted { matter, count, last_us, .. } => {
                    let place = self.places.get(&matter.name);
                    if let Some(fired) = place.and_then(|place| self.outcome.fired.get_mut(*place)) {
                        (fired.count, fired.last_us) = (count, last_us);
                    }
                }
            }
        }
    }

    /// What came of it: time-outs up to `now`, or to the end of the range when that is earlier, are judged first.
    #[must_use]
    pub fn finish(mut self, now: UtcMicros) -> (Outcome, Stats) {
        let end = self.to.min(now);
        self.engine.tick(end);
        self.engine.flush(end);
        self.collect();
        let stats = self.engine.stats();
        self.outcome.events = stats.events;
        (self.outcome, stats)
    }
}

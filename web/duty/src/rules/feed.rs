//! Records of the journal, as the engine reads them.

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::NodeId;
use fengsui_relay::event::Event;
use fengsui_relay::event::rows::{RecordId, told_by};
use fengsui_relay::inbox::Applied;
use fengsui_storage::journal::{JournalRecord, ReduceError, Reducer, kinds};
use serde::Deserialize;

use super::Engine;
use crate::act::{Act, ActId, MatterKind, Noted, Verb};
use crate::alarm::AlarmVerb;
use crate::book::{Received, carried_by};

impl Engine {
    /// Takes the next record in: an event, an act, or what came over the link. What cannot be read is passed over: it is
    /// no event and no act for anybody else either.
    pub fn record(&mut self, record: &JournalRecord) {
        if record.epoch != self.epoch {
            if self.epoch != 0 {
                self.was_away(record.at);
            }
            self.epoch = record.epoch;
        }
        let is = |wanted| kinds::is(&record.kind, &record.body, wanted);
        if is(kinds::EVENT_NOTED) {
            let id = RecordId { node: record.node.clone(), epoch: record.epoch, seq: record.seq };
            if let Ok(event) = Event::read(&record.body) {
                self.event(&id, &event, record.at);
            }
        } else if is(kinds::RELAY_APPLIED) {
            let applied = Applied::deserialize(&record.body).unwrap_or_default();
            for frame in applied.parts.iter().flat_map(|part| &part.frames) {
                if let Some((id, event)) = told_by(frame) {
                    self.event(&id, &event, record.at);
                } else if let Some(noted) = carried_by(frame) {
                    self.act(&noted, true, record.at);
                }
            }
        } else if is(kinds::DUTY_ACTED) || is(kinds::DUTY_DEFINED) {
            let node = record.node.parse::<NodeId>();
            if let (Ok(node), Ok(act)) = (node, Act::read(&record.body)) {
                let id = ActId { node, epoch: record.epoch, seq: record.seq };
                self.act(&Noted { id, act }, false, record.at);
            }
        } else if is(kinds::DUTY_RECEIVED)
            && let Ok(received) = Received::deserialize(&record.body)
        {
            for carried in received.acts {
                if let Ok(act) = Act::read(&carried.body) {
                    self.act(&Noted { id: carried.id, act }, false, record.at);
                }
            }
        }
    }

    /// Takes an act in: a rule that is defined, an alarm that is over or open again. `from_below`: a node below this one
    /// handed it up.
    pub fn act(&mut self, noted: &Noted, from_below: bool, at: UtcMicros) {
        self.tick(at);
        match &noted.act.verb {
            Verb::Rule(_) => {
                let id = noted.act.matter.clone();
                // A rule of a node below stays one of that node, whoever changes it.
                let home_below = self.numbers.get(&id).and_then(|n| self.rules.get(n)).map(|rule| rule.below);
                if self.definitions.take(noted.clone()) {
                    let state = self.definitions.rules.get(&id).and_then(|ledger| ledger.state());
                    let body = state.and_then(|defined| defined.body.clone());
                    self.define(&id, body, home_below.unwrap_or(from_below), at);
                }
            }
            Verb::Alarm(verb) if noted.act.matter.kind == MatterKind::Alarm => match verb {
                AlarmVerb::Resolve { .. } | AlarmVerb::Dismiss { .. } | AlarmVerb::Close => {
                    self.alarm_over(&noted.act.matter, noted.act.at_us);
                }
                AlarmVerb::Reopen { .. } => self.alarm_open(&noted.act.matter),
                _ => {}
            },
            _ => {}
        }
    }
}

/// So that its state can be kept beside the journal. It has to be told where it is ([`Engine::at`]) before it is fed.
impl Reducer for Engine {
    const NAME: &'static str = "rules_engine";
    const VERSION: u32 = 1;

    fn apply(&mut self, record: &JournalRecord) -> Result<(), ReduceError> {
        self.record(record);
        Ok(())
    }
}

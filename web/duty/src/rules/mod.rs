//! Rules: what makes alarms of events.
//!
//! The [`Engine`] is a function of the journal: records go in one by one ([`Engine::record`]), and [`Firing`]s come out.
//! Time-outs that lie before a record are judged before it, so it does not matter how often [`Engine::tick`] is called, and a
//! node that starts again from a kept state and the records since comes to the same alarms. An alarm's name is made of its
//! rule, its cause and its first event: to raise it twice changes nothing.
//!
//! One cause of one rule is one alarm while that is open, and during the hold-off behind it: more events are counted, and
//! the count is told at once when it changes seldom, and every minute when it changes always. An event behind the hold-off
//! ends that: what happened earlier and comes later counts for what begins then. What a rule counts as one
//! cause ([`key`]): the cause of its node for rules of single events and of what lasts, the camera for repetition and absence,
//! or everything together.
//!
//! Everything is bounded (`limits::RULES_*`): a camera that floods a rule with causes gets one alarm more for all of them
//! that are too many, and nobody else's alarm waits or is lost for it. What was drawn together is counted ([`Stats`]).
//!
//! Invariant: alarms and counts are what a recomputation from all events says
//! (`the_engine_says_what_a_naive_recomputation_says`).
//! Invariant: a stop at any place changes no alarm (`a_restart_at_any_place_gives_the_same_alarms`).

pub mod check;
mod feed;
pub mod hours;
mod lane;
mod select;
#[cfg(test)]
mod tests;
mod time;
pub mod trial;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{CameraId, NodeId};
use fengsui_config::limits;
use fengsui_relay::event::Event;
use fengsui_relay::event::rows::RecordId;
use serde::{Deserialize, Serialize};

use crate::act::{MatterId, MatterKind};
use crate::alarm::Raise;
use crate::book::Book;
use crate::define::{Judged, RuleBody, Trigger};
use lane::{Hit, Lane};
use select::{Filter, Index};
use time::{Pending, Quiet, Timer};

pub use select::Places;

/// Kind of an alarm that was raised because nothing happened.
pub const ABSENCE: &str = "absence";

/// What is to be done about an alarm.
#[expect(clippy::large_enum_variant, reason = "a few at a time, taken at once")]
#[derive(Debug, Clone, PartialEq)]
pub enum Firing {
    /// An alarm is raised.
    Raise {
        /// Its name everywhere.
        matter: MatterId,
        /// What made it.
        raise: Raise,
        /// Node and cause of the event that made it; none for an absence.
        origin: Option<(String, String)>,
    },
    /// An alarm has more events.
    Counted {
        /// Which.
        matter: MatterId,
        /// Name of its rule.
        rule_name: String,
        /// Events so far.
        count: u64,
        /// When the latest happened.
        last_us: UtcMicros,
    },
}

/// What the engine holds and did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Events judged, those that one record stands for counted one by one.
    pub events: u64,
    /// Alarms raised.
    pub raised: u64,
    /// Events that joined an alarm of several causes, because their camera or all rules had too many.
    pub crowded: u64,
    /// Events of rules of repetition that were drawn together, because there were too many to remember.
    pub merged: u64,
    /// Things that were not watched for how long they last, because too many are open.
    pub unwatched: u64,
    /// Rules that are not judged, because there are too many.
    pub rules_refused: u64,
    /// Rules.
    pub rules: usize,
    /// Causes told apart now.
    pub keys: usize,
    /// Events in the view of rules of repetition now.
    pub window: usize,
    /// Things open that may last too long.
    pub lasting: usize,
}

/// A rule, and where it stands with every cause.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Rule {
    id: MatterId,
    body: RuleBody,
    /// It came from a node below: for its own events only.
    below: bool,
    /// Since when it is in force: what happened before is not judged.
    since: UtcMicros,
    lanes: BTreeMap<String, Lane>,
    /// Causes of each camera or node.
    places: BTreeMap<String, u32>,
    /// What is open and may last too long, by part.
    pending: BTreeMap<String, Pending>,
    /// When something was seen last, of rules of absence.
    quiet: BTreeMap<String, Quiet>,
    #[serde(skip)]
    filter: Filter,
}

impl Rule {
    /// Whether it is for the events of `id` at node `own`.
    fn is_judged(&self, own: &NodeId, id: &RecordId) -> bool {
        match self.body.judged {
            Judged::Here => self.id.home == *own,
            Judged::Origin => !self.below && id.node == own.as_str(),
        }
    }
}

/// Judges events by all rules.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Engine {
    #[serde(skip)]
    own: Option<NodeId>,
    #[serde(skip)]
    places: Arc<Places>,
    /// In a try-out: an alarm without events for so long counts as dealt with.
    #[serde(skip)]
    settle_after: Option<Duration>,
    /// In a try-out: events are judged wherever they were noted, as all nodes together would.
    #[serde(skip)]
    anywhere: bool,
    #[serde(skip)]
    index: Index,
    #[serde(skip)]
    out: Vec<Firing>,
    #[serde(skip)]
    candidates: Vec<u32>,
    /// Opening of the journal of which the newest record is.
    epoch: u64,
    /// Every act by which rules were defined.
    definitions: Book,
    rules: BTreeMap<u32, Rule>,
    numbers: BTreeMap<MatterId, u32>,
    next_number: u32,
    /// Rule and cause of each alarm that is remembered, by its name.
    alarms: BTreeMap<String, (u32, String)>,
    timers: BTreeSet<(i64, Timer)>,
    stats: Stats,
}

/// The key of a cause: what all events of one alarm have in common.
pub mod key {
    use super::{CameraId, Event, RecordId};

    /// Everything together.
    pub const ALL: &str = "all";
    /// Of all causes that are too many.
    pub const REST: &str = "rest";

    /// The cause of its node.
    #[must_use]
    pub fn cause(node: &str, cause: &str) -> String {
        format!("cause/{node}/{cause}")
    }

    /// One camera.
    #[must_use]
    pub fn camera(camera: &CameraId) -> String {
        format!("camera/{camera}")
    }

    /// The camera of an event, or the node that noted it.
    #[must_use]
    pub fn place(id: &RecordId, event: &Event) -> String {
        event.camera.as_ref().map_or_else(|| format!("node/{}", id.node), camera)
    }
}

/// The name of an alarm: the same whoever works it out.
#[must_use]
pub fn alarm_name(rule: &MatterId, cause: &str, first: &str) -> String {
    let hash = blake3::hash(format!("{rule}\n{cause}\n{first}").as_bytes()).to_hex();
    hash.as_str().chars().take(16).collect()
}

impl Engine {
    /// An engine at the node `own`, without rules.
    #[must_use]
    pub fn new(own: NodeId, places: Arc<Places>) -> Self {
        let mut engine = Self::default();
        engine.at(own, places, UtcMicros(i64::MIN));
        engine
    }

    /// Says where it is: after it was read from a snapshot, and when cameras and places changed.
    pub fn at(&mut self, own: NodeId, places: Arc<Places>, now: UtcMicros) {
        (self.own, self.places) = (Some(own), places);
        for rule in self.rules.values_mut() {
            rule.filter = Filter::of(&rule.body, &self.places, limits::LOCAL_UTC_OFFSET_S);
        }
        self.reindex();
        let numbers: Vec<u32> = self.rules.keys().copied().collect();
        numbers.into_iter().for_each(|number| self.watch_quiet(number, now));
    }

    /// For try-outs: judges events of all nodes, and takes every alarm that has no event for so long as dealt with.
    pub fn try_out(&mut self, silence: Duration) {
        (self.anywhere, self.settle_after) = (true, Some(silence));
    }

    /// What fired since this was asked last.
    pub fn take(&mut self) -> Vec<Firing> {
        std::mem::take(&mut self.out)
    }

    /// What it holds and did.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let lasting = self.rules.values().map(|r| r.pending.len()).sum();
        Stats { rules: self.rules.len(), lasting, ..self.stats }
    }

    /// Alarms that are remembered, and since when each is over.
    pub fn standing(&self) -> impl Iterator<Item = (&MatterId, Option<UtcMicros>)> {
        let alarms =
            self.rules.values().flat_map(|rule| rule.lanes.values()).filter_map(|l| l.alarm.as_ref());
        alarms.map(|standing| (&standing.matter, standing.over_us))
    }

    /// When something is due by itself next.
    #[must_use]
    pub fn next_due(&self) -> Option<UtcMicros> {
        self.timers.first().map(|(due, _)| UtcMicros(*due))
    }

    /// A rule is so now, or is no more. `below`: it came from a node below this one.
    pub fn define(&mut self, id: &MatterId, body: Option<RuleBody>, below: bool, at: UtcMicros) {
        let Some(body) = body else {
            if let Some(number) = self.numbers.remove(id) {
                self.forget_rule(number);
            }
            self.reindex();
            return;
        };
        let filter = Filter::of(&body, &self.places, limits::LOCAL_UTC_OFFSET_S);
        let number = match self.numbers.get(id) {
            Some(number) => *number,
            None if self.rules.len() >= limits::RULES_MAX => {
                self.stats.rules_refused += 1;
                return;
            }
            None => {
                self.next_number += 1;
                self.numbers.insert(id.clone(), self.next_number);
                self.next_number
            }
        };
        match self.rules.get_mut(&number) {
            Some(rule) => {
                let same = selects_the_same(&rule.body, &body);
                if !rule.body.enabled {
                    rule.since = at;
                }
                (rule.body, rule.filter, rule.below) = (body, filter, below);
                if !same {
                    self.forget_view(number);
                }
            }
            None => {
                let (lanes, places, pending, quiet) = Default::default();
                let rule =
                    Rule { id: id.clone(), body, below, since: at, lanes, places, pending, quiet, filter };
                self.rules.insert(number, rule);
            }
        }
        self.reindex();
        self.watch_quiet(number, at);
    }

    fn reindex(&mut self) {
        let mut index = Index::default();
        for (number, rule) in self.rules.iter().filter(|(_, rule)| rule.body.enabled) {
            index.add(*number, &rule.filter, matches!(rule.body.trigger, Trigger::Lasting { .. }));
        }
        self.index = index;
    }

    /// What is remembered of single events, not of alarms: it was seen with other eyes.
    fn forget_view(&mut self, number: u32) {
        let Some(rule) = self.rules.get_mut(&number) else { return };
        rule.pending.clear();
        rule.quiet.clear();
        for lane in rule.lanes.values_mut() {
            lane.forget_window();
            if lane.alarm.is_none()
                && let Some(keys) = rule.places.get_mut(&lane.place)
            {
                *keys = keys.saturating_sub(1);
            }
        }
        rule.lanes.retain(|_, lane| lane.alarm.is_some());
        let of_view = |timer: &Timer| matches!(timer, Timer::Lasting { .. } | Timer::Quiet { .. });
        self.timers.retain(|(_, timer)| timer.rule() != number || !of_view(timer));
        self.recount();
    }

    fn forget_rule(&mut self, number: u32) {
        self.timers.retain(|(_, timer)| timer.rule() != number);
        self.alarms.retain(|_, (rule, _)| *rule != number);
        self.rules.remove(&number);
        self.recount();
    }

    fn recount(&mut self) {
        let lanes = || self.rules.values().flat_map(|rule| rule.lanes.values());
        (self.stats.keys, self.stats.window) = (lanes().count(), lanes().map(|lane| lane.window.len()).sum());
    }

    /// Judges an event that was noted at `noted`, on the clock of this node.
    pub fn event(&mut self, id: &RecordId, event: &Event, noted: UtcMicros) {
        self.tick(noted);
        self.stats.events = self.stats.events.saturating_add(event.count);
        self.closed(id, event);
        let mut candidates = std::mem::take(&mut self.candidates);
        candidates.clear();
        self.index.of(event, &mut candidates);
        for number in &candidates {
            self.judge(*number, id, event, noted);
        }
        self.candidates = candidates;
    }

    fn judge(&mut self, number: u32, id: &RecordId, event: &Event, noted: UtcMicros) {
        let (Some(own), Some(rule)) = (&self.own, self.rules.get(&number)) else { return };
        let here = self.anywhere || rule.is_judged(own, id);
        if !here || !rule.filter.wants(&rule.body, event) || event.last_us < rule.since {
            return;
        }
        let in_force = rule.filter.week.contains(event.at_us) && rule.filter.begins(event);
        match &rule.body.trigger {
            Trigger::Each if in_force => self.single(number, id, event, noted),
            Trigger::Threshold { fact, min, max } if in_force => {
                let value = event.data.get(fact).and_then(serde_json::Value::as_f64);
                let beyond = |v: f64| min.is_none_or(|min| v >= min) && max.is_none_or(|max| v <= max);
                if value.is_some_and(beyond) {
                    self.single(number, id, event, noted);
                }
            }
            Trigger::Repetition { together, .. } if in_force => {
                let key = if *together { key::ALL.to_owned() } else { key::place(id, event) };
                self.occur(number, key.clone(), &key, &Hit::of(id, event), noted);
            }
            Trigger::Absence { together, .. } => {
                let key = if *together { key::ALL.to_owned() } else { key::place(id, event) };
                self.seen(number, &key, event.last_us, noted);
            }
            Trigger::Lasting { .. } => self.opened(number, id, event, noted),
            _ => {}
        }
    }

    fn single(&mut self, number: u32, id: &RecordId, event: &Event, noted: UtcMicros) {
        let key = key::cause(&id.node, &event.cause);
        self.occur(number, key, &key::place(id, event), &Hit::of(id, event), noted);
    }

    fn matter(&self, name: String) -> Option<MatterId> {
        Some(MatterId { kind: MatterKind::Alarm, home: self.own.clone()?, name })
    }
}

/// Whether two forms of a rule look at the same events in the same way; names, levels and times do not matter.
fn selects_the_same(a: &RuleBody, b: &RuleBody) -> bool {
    let view = |r: &RuleBody| RuleBody {
        name: String::new(),
        level: crate::alarm::Level::USUAL,
        hold_off_s: 0,
        due_s: 0,
        hold_days: 0,
        ..r.clone()
    };
    view(a) == view(b)
}

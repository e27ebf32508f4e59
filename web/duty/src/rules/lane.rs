//! One cause of one rule: its open alarm, and what a rule of repetition has seen of it.

use std::collections::VecDeque;
use std::time::Duration;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::CameraId;
use fengsui_config::limits;
use fengsui_relay::event::Event;
use fengsui_relay::event::rows::RecordId;
use serde::{Deserialize, Serialize};

use super::time::Timer;
use super::{Engine, Firing, Rule, alarm_name, key};
use crate::act::MatterId;
use crate::alarm::{Alarm, Raise};
use crate::define::Trigger;

fn micros(d: Duration) -> i64 {
    i64::try_from(d.as_micros()).unwrap_or(i64::MAX)
}

/// Seconds as microseconds.
pub(super) fn seconds(s: u32) -> i64 {
    i64::from(s) * 1_000_000
}

/// An alarm that was raised, as the engine remembers it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Standing {
    pub(super) matter: MatterId,
    pub(super) count: u64,
    pub(super) last_us: UtcMicros,
    /// When it was settled; it may be reopened.
    pub(super) over_us: Option<UtcMicros>,
    /// What was told of its count, when, and the least time until the next.
    told: u64,
    told_us: UtcMicros,
    pause_us: i64,
    tell_at: Option<i64>,
    /// When an event joined it last, on this node's clock.
    heard_us: UtcMicros,
    /// Events up to then are counted already: it was taken over from the book.
    counted_us: Option<UtcMicros>,
}

/// Events of one record in the view of a rule of repetition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Stamp {
    at_us: i64,
    first_us: i64,
    count: u64,
    id: RecordId,
}

/// One cause of one rule.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Lane {
    pub(super) alarm: Option<Standing>,
    /// In order of time, all within the rule's time of the newest.
    pub(super) window: VecDeque<Stamp>,
    sum: u64,
    pub(super) place: String,
    forget_at: Option<i64>,
}

impl Lane {
    pub(super) fn forget_window(&mut self) {
        self.window.clear();
        self.sum = 0;
    }
}

/// What a rule found.
#[derive(Debug, Clone)]
pub(super) struct Hit<'a> {
    /// What names an alarm that begins with it.
    pub(super) first: String,
    pub(super) row: Option<&'a RecordId>,
    pub(super) origin: Option<(&'a str, &'a str)>,
    pub(super) kind: &'a str,
    pub(super) text: &'a str,
    pub(super) camera: Option<CameraId>,
    pub(super) count: u64,
    pub(super) at_us: UtcMicros,
    pub(super) last_us: UtcMicros,
}

impl<'a> Hit<'a> {
    pub(super) fn of(id: &'a RecordId, event: &'a Event) -> Self {
        Self {
            first: String::new(),
            row: Some(id),
            origin: Some((&id.node, &event.cause)),
            kind: event.kind.as_str(),
            text: &event.text,
            camera: event.camera,
            count: event.count,
            at_us: event.at_us,
            last_us: event.last_us,
        }
    }
}

impl Standing {
    fn new(matter: MatterId, count: u64, last_us: UtcMicros, now: UtcMicros) -> Self {
        Self {
            matter,
            count,
            last_us,
            over_us: None,
            told: count,
            told_us: now,
            pause_us: micros(limits::RULES_TELL_FIRST),
            tell_at: None,
            heard_us: now,
            counted_us: None,
        }
    }

    /// Whether an event of then is one of this alarm, and no new one.
    fn takes(&self, last_us: UtcMicros, hold_off_s: u32) -> bool {
        self.over_us.is_none_or(|over| last_us.0 <= over.0.saturating_add(seconds(hold_off_s)))
    }

    /// What is to be told of its count, if anything.
    fn tell(&mut self, rule_name: &str, now: UtcMicros) -> Option<Firing> {
        self.tell_at = None;
        (self.count > self.told).then(|| {
            (self.told, self.told_us) = (self.count, now);
            self.pause_us = self.pause_us.saturating_mul(2).min(micros(limits::RULES_TELL_LAST));
            Firing::Counted {
                matter: self.matter.clone(),
                rule_name: rule_name.to_owned(),
                count: self.count,
                last_us: self.last_us,
            }
        })
    }

    /// When its count is to be told, if that is not on its way.
    fn tell_due(&mut self, now: UtcMicros) -> Option<i64> {
        if self.tell_at.is_some() || self.count <= self.told {
            return None;
        }
        if now.since(self.told_us) > self.pause_us.saturating_mul(4) {
            self.pause_us = micros(limits::RULES_TELL_FIRST);
        }
        let due = now.0.max(self.told_us.0.saturating_add(self.pause_us));
        self.tell_at = Some(due);
        Some(due)
    }
}

impl Rule {
    /// The key under which a cause of a place is counted: its own, or the one of all that are too many.
    fn lane_key(&self, key: String, place: &str, all_keys: usize) -> (String, bool) {
        if self.lanes.contains_key(&key) || key == place {
            return (key, false);
        }
        if all_keys >= limits::RULES_KEYS_MAX {
            return (key::REST.to_owned(), true);
        }
        let here = self.places.get(place).copied().unwrap_or(0);
        if here >= limits::RULES_KEYS_PER_PLACE_MAX {
            return (format!("{}/{place}", key::REST), true);
        }
        (key, false)
    }
}

impl Engine {
    /// A rule found something: it joins the open alarm of its cause, or is one more for a new one.
    pub(super) fn occur(&mut self, number: u32, key: String, place: &str, hit: &Hit<'_>, now: UtcMicros) {
        let Some(rule) = self.rules.get_mut(&number) else { return };
        let (key, crowded) = rule.lane_key(key, place, self.stats.keys);
        self.stats.crowded += if crowded { hit.count } else { 0 };
        if !rule.lanes.contains_key(&key) {
            self.stats.keys += 1;
            *rule.places.entry(place.to_owned()).or_default() += 1;
            rule.lanes.insert(key.clone(), Lane { place: place.to_owned(), ..Lane::default() });
        }
        let (name, hold_off_s) = (rule.body.name.clone(), rule.body.hold_off_s);
        let Some(lane) = rule.lanes.get_mut(&key) else { return };
        if let Some(standing) = &mut lane.alarm {
            if standing.counted_us.is_some_and(|until| hit.last_us <= until) {
                return;
            }
            if standing.takes(hit.last_us, hold_off_s) {
                standing.count = standing.count.saturating_add(hit.count);
                standing.last_us = standing.last_us.max(hit.last_us);
                standing.heard_us = now;
                if let Some(due) = standing.tell_due(now) {
                    self.timers.insert((due, Timer::Tell { rule: number, key }));
                }
                return;
            }
            self.out.extend(standing.tell(&name, now));
            self.alarms.remove(&standing.matter.name);
            lane.alarm = None;
        }
        match rule.body.trigger {
            Trigger::Repetition { times, within_s, .. } => {
                self.repeated(number, &key, hit, now, (times, within_s));
            }
            _ => {
                let first = match hit.row {
                    Some(row) => row.to_string(),
                    None => hit.first.clone(),
                };
                self.raise(number, &key, &Hit { first, ..hit.clone() }, now);
            }
        }
    }

    fn repeated(&mut self, number: u32, key: &str, hit: &Hit<'_>, now: UtcMicros, of: (u32, u32)) {
        let (times, within) = (u64::from(of.0), seconds(of.1));
        let full = self.stats.window >= limits::RULES_WINDOW_MAX;
        let Some(rule) = self.rules.get_mut(&number) else { return };
        let (Some(lane), Some(row)) = (rule.lanes.get_mut(key), hit.row) else { return };
        let before = lane.window.len();
        let newest = lane.window.back().map_or(i64::MIN, |s| s.at_us);
        if newest > (now + limits::EVENT_AHEAD_MAX).0 {
            // It was noted while a clock was wrong.
            lane.forget_window();
        } else if hit.last_us.0 < newest.saturating_sub(within) {
            // Too late to stand beside what is known by now; alone it may still be enough.
            if hit.count >= times {
                self.raise(number, key, &Hit { first: row.to_string(), ..hit.clone() }, now);
            }
            return;
        }
        let stamp = Stamp { at_us: hit.last_us.0, first_us: hit.at_us.0, count: hit.count, id: row.clone() };
        lane.sum = lane.sum.saturating_add(hit.count);
        let place = lane.window.partition_point(|s| s.at_us <= stamp.at_us);
        match lane.window.back_mut() {
            Some(last) if full => {
                last.at_us = last.at_us.max(stamp.at_us);
                last.count = last.count.saturating_add(stamp.count);
                self.stats.merged += stamp.count;
            }
            _ => lane.window.insert(place, stamp),
        }
        let newest = lane.window.back().map_or(i64::MIN, |s| s.at_us);
        while lane.window.front().is_some_and(|s| s.at_us < newest.saturating_sub(within)) {
            let gone = lane.window.pop_front().map_or(0, |s| s.count);
            lane.sum = lane.sum.saturating_sub(gone);
        }
        if lane.sum >= times
            && let Some(first) = lane.window.front()
        {
            let (name, first_us) = (first.id.to_string(), lane.window.iter().map(|s| s.first_us).min());
            let at_us = UtcMicros(first_us.unwrap_or(hit.at_us.0));
            let last_us = UtcMicros(newest);
            let all = Hit { first: name, count: lane.sum, at_us, last_us, ..hit.clone() };
            lane.forget_window();
            self.stats.window = self.stats.window.saturating_sub(before);
            self.raise(number, key, &all, now);
            return;
        }
        self.stats.window = (self.stats.window + lane.window.len()).saturating_sub(before);
        self.forget_later(
            number,
            key,
            newest.saturating_add(within).saturating_add(micros(limits::RULES_LATE)),
        );
    }

    fn raise(&mut self, number: u32, key: &str, hit: &Hit<'_>, now: UtcMicros) {
        let Some(rule) = self.rules.get_mut(&number) else { return };
        let name = alarm_name(&rule.id, key, &hit.first);
        let body = &rule.body;
        let raise = Raise {
            rule: rule.id.clone(),
            rule_name: body.name.clone(),
            kind: hit.kind.to_owned(),
            level: body.level,
            camera: hit.camera,
            site: hit.camera.and_then(|camera| self.places.site(&camera).map(str::to_owned)),
            cause: key.to_owned(),
            row: hit.row.map(ToString::to_string),
            text: hit.text.to_owned(),
            first_us: hit.at_us,
            count: hit.count,
            due_s: body.due_s,
            hold_days: body.hold_days,
        };
        let Some(matter) = self.matter(name.clone()) else { return };
        let Some(lane) = self.rules.get_mut(&number).and_then(|r| r.lanes.get_mut(key)) else { return };
        lane.alarm = Some(Standing::new(matter.clone(), hit.count, hit.last_us, now));
        self.alarms.insert(name, (number, key.to_owned()));
        self.stats.raised += 1;
        let origin = hit.origin.map(|(node, cause)| (node.to_owned(), cause.to_owned()));
        self.out.push(Firing::Raise { matter, raise, origin });
        if let Some(silence) = self.settle_after {
            self.forget_later(number, key, (now + silence).0);
        }
    }

    /// An alarm was settled at `at`; its count is told to the end.
    pub fn alarm_over(&mut self, alarm: &MatterId, at: UtcMicros) {
        let Some((number, key)) = self.alarms.get(&alarm.name).cloned() else { return };
        let Some(rule) = self.rules.get_mut(&number) else { return };
        let (name, hold_off) = (rule.body.name.clone(), seconds(rule.body.hold_off_s));
        let Some(standing) = rule.lanes.get_mut(&key).and_then(|lane| lane.alarm.as_mut()) else { return };
        if standing.matter != *alarm || standing.over_us.is_some() {
            return;
        }
        standing.over_us = Some(at);
        self.out.extend(standing.tell(&name, at));
        let until = at.0.saturating_add(hold_off).saturating_add(micros(limits::RULES_LATE));
        self.forget_later(number, &key, until);
    }

    /// An alarm is open again.
    pub fn alarm_open(&mut self, alarm: &MatterId) {
        let Some((number, key)) = self.alarms.get(&alarm.name) else { return };
        let lane = self.rules.get_mut(number).and_then(|rule| rule.lanes.get_mut(key));
        if let Some(standing) = lane.and_then(|lane| lane.alarm.as_mut())
            && standing.matter == *alarm
        {
            standing.over_us = None;
        }
    }

    /// An alarm of the book that was raised before what this engine was fed: its events until then are counted.
    pub fn known(&mut self, matter: &MatterId, alarm: &Alarm, now: UtcMicros) {
        let Some(number) = self.numbers.get(&alarm.raise.rule).copied() else { return };
        let Some(rule) = self.rules.get_mut(&number) else { return };
        let key = alarm.raise.cause.clone();
        let place = alarm.raise.camera.as_ref().map_or_else(|| key.clone(), key::camera);
        let over = (!alarm.state.is_open()).then(|| alarm.settled.as_ref().map(|(at, _)| *at)).flatten();
        let newer = rule.lanes.get(&key).and_then(|lane| lane.alarm.as_ref());
        if newer.is_some_and(|standing| standing.last_us >= alarm.last_us) {
            return;
        }
        if !rule.lanes.contains_key(&key) {
            self.stats.keys += 1;
            *rule.places.entry(place.clone()).or_default() += 1;
        }
        let lane = rule.lanes.entry(key.clone()).or_default();
        lane.place = place;
        let mut standing = Standing::new(matter.clone(), alarm.count, alarm.last_us, now);
        standing.counted_us = Some(alarm.last_us);
        lane.alarm = Some(standing);
        self.alarms.insert(matter.name.clone(), (number, key));
        if let Some(at) = over {
            self.alarm_over(matter, at);
        }
    }

    /// Tells every count that is not told yet: before a stop.
    pub fn flush(&mut self, now: UtcMicros) {
        for rule in self.rules.values_mut() {
            for standing in rule.lanes.values_mut().filter_map(|lane| lane.alarm.as_mut()) {
                self.out.extend(standing.tell(&rule.body.name, now));
            }
        }
        self.timers.retain(|(_, timer)| !matches!(timer, Timer::Tell { .. }));
    }

    pub(super) fn tell_now(&mut self, number: u32, key: &str, due: i64) {
        let Some(rule) = self.rules.get_mut(&number) else { return };
        let lane = rule.lanes.get_mut(key);
        if let Some(standing) = lane.and_then(|lane| lane.alarm.as_mut())
            && standing.tell_at == Some(due)
        {
            self.out.extend(standing.tell(&rule.body.name, UtcMicros(due)));
        }
    }

    fn forget_later(&mut self, number: u32, key: &str, due: i64) {
        let Some(lane) = self.rules.get_mut(&number).and_then(|r| r.lanes.get_mut(key)) else { return };
        if lane.forget_at.is_none() {
            lane.forget_at = Some(due);
            self.timers.insert((due, Timer::Forget { rule: number, key: key.to_owned() }));
        }
    }

    /// Lets a cause go of which nothing is to be remembered any more, or looks again later.
    pub(super) fn forget(&mut self, number: u32, key: &str, due: i64) {
        let settle = self.settle_after;
        let Some(rule) = self.rules.get_mut(&number) else { return };
        let hold_off = seconds(rule.body.hold_off_s);
        let within = match rule.body.trigger {
            Trigger::Repetition { within_s, .. } => seconds(within_s),
            _ => 0,
        };
        let Some(lane) = rule.lanes.get_mut(key).filter(|lane| lane.forget_at == Some(due)) else { return };
        lane.forget_at = None;
        if let Some(standing) = &mut lane.alarm {
            let again = match (standing.over_us, settle) {
                (Some(over), _) => over.0.saturating_add(hold_off).saturating_add(micros(limits::RULES_LATE)),
                (None, Some(silence)) => {
                    let until = (standing.heard_us + silence).0;
                    if until <= due {
                        standing.over_us = Some(UtcMicros(due));
                        due.saturating_add(hold_off).saturating_add(1)
                    } else {
                        until
                    }
                }
                (None, None) => return,
            };
            if again > due {
                return self.forget_later(number, key, again);
            }
            self.out.extend(standing.tell(&rule.body.name, UtcMicros(due)));
            self.alarms.remove(&standing.matter.name);
            lane.alarm = None;
        }
        let late = within.saturating_add(micros(limits::RULES_LATE));
        let until = lane.window.back().map_or(i64::MIN, |s| s.at_us.saturating_add(late));
        if until > due {
            return self.forget_later(number, key, until);
        }
        self.stats.window = self.stats.window.saturating_sub(lane.window.len());
        let place = std::mem::take(&mut lane.place);
        rule.lanes.remove(key);
        self.stats.keys = self.stats.keys.saturating_sub(1);
        if let Some(keys) = rule.places.get_mut(&place) {
            *keys = keys.saturating_sub(1);
            if *keys == 0 {
                rule.places.remove(&place);
            }
        }
    }
}

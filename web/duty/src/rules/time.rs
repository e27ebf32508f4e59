//! What is due by itself: something lasts too long, nothing was seen for too long, a count is to be told.

use std::collections::BTreeSet;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::CameraId;
use fengsui_config::limits;
use fengsui_relay::event::rows::RecordId;
use fengsui_relay::event::{Event, Phase};
use serde::{Deserialize, Serialize};

use super::lane::{Hit, seconds};
use super::{ABSENCE, Engine, key};
use crate::define::Trigger;

/// What is due.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Timer {
    /// A part is open for too long.
    Lasting { rule: u32, part: String },
    /// Nothing was seen for too long.
    Quiet { rule: u32, key: String },
    /// The count of an alarm is to be told.
    Tell { rule: u32, key: String },
    /// A cause may be forgotten.
    Forget { rule: u32, key: String },
}

impl Timer {
    pub(super) fn rule(&self) -> u32 {
        match self {
            Self::Lasting { rule, .. }
            | Self::Quiet { rule, .. }
            | Self::Tell { rule, .. }
            | Self::Forget { rule, .. } => *rule,
        }
    }
}

/// Something that is open and may last too long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Pending {
    id: RecordId,
    cause: String,
    kind: String,
    text: String,
    camera: Option<CameraId>,
    count: u64,
    opened_us: UtcMicros,
    /// When it will have lasted too long; none: it has, and an alarm tells so.
    due: Option<i64>,
}

/// When something was seen last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Quiet {
    last_us: UtcMicros,
    /// None: it was quiet for too long, and nothing was seen since.
    due: Option<i64>,
}

fn part_key(id: &RecordId, event: &Event) -> String {
    format!("{}\n{}\n{}", id.node, event.cause, event.part)
}

impl Engine {
    /// Judges what is due by `now`.
    pub fn tick(&mut self, now: UtcMicros) {
        while let Some((due, _)) = self.timers.first()
            && *due <= now.0
            && let Some((due, timer)) = self.timers.pop_first()
        {
            match timer {
                Timer::Lasting { rule, part } => self.lasted(rule, &part, due),
                Timer::Quiet { rule, key } => self.was_quiet(rule, &key, due),
                Timer::Tell { rule, key } => self.tell_now(rule, &key, due),
                Timer::Forget { rule, key } => self.forget(rule, &key, due),
            }
        }
    }

    /// An event that a rule of what lasts is about.
    pub(super) fn opened(&mut self, number: u32, id: &RecordId, event: &Event, noted: UtcMicros) {
        if event.phase != Phase::Opens {
            return;
        }
        let part = part_key(id, event);
        let Some(rule) = self.rules.get_mut(&number) else { return };
        let Trigger::Lasting { for_s } = rule.body.trigger else { return };
        if let Some(before) = rule.pending.get(&part) {
            // It was closed meanwhile, within this one record, if it opened more than once.
            if event.times <= 1 {
                return;
            }
            if let Some(due) = before.due {
                self.timers.remove(&(due, Timer::Lasting { rule: number, part: part.clone() }));
            }
        } else if rule.pending.len() >= limits::RULES_LASTING_MAX {
            self.stats.unwatched += 1;
            return;
        }
        let due = event.last_us.0.saturating_add(seconds(for_s)).max(noted.0);
        let pending = Pending {
            id: id.clone(),
            cause: event.cause.clone(),
            kind: event.kind.as_str().to_owned(),
            text: event.text.clone(),
            camera: event.camera,
            count: event.count,
            opened_us: event.last_us,
            due: Some(due),
        };
        rule.pending.insert(part.clone(), pending);
        self.timers.insert((due, Timer::Lasting { rule: number, part }));
    }

    /// What closes a part closes it for every rule, whatever kind of event that is and when.
    pub(super) fn closed(&mut self, id: &RecordId, event: &Event) {
        if event.phase != Phase::Closes || self.index.lasting.is_empty() {
            return;
        }
        let part = part_key(id, event);
        let in_order = event.source.token.is_none();
        for number in &self.index.lasting {
            let Some(rule) = self.rules.get_mut(number) else { continue };
            let Some(pending) = rule.pending.get(&part) else { continue };
            if !in_order && event.last_us < pending.opened_us {
                continue;
            }
            if let Some(due) = pending.due {
                self.timers.remove(&(due, Timer::Lasting { rule: *number, part: part.clone() }));
            }
            rule.pending.remove(&part);
        }
    }

    fn lasted(&mut self, number: u32, part: &str, due: i64) {
        let Some(rule) = self.rules.get_mut(&number).filter(|rule| rule.body.enabled) else { return };
        let Some(pending) = rule.pending.get_mut(part).filter(|p| p.due == Some(due)) else { return };
        let at = UtcMicros(due);
        match rule.filter.week.next(at) {
            // It still lasts when the hours begin, or not.
            Some(begin) if begin > at => {
                pending.due = Some(begin.0);
                let timer = Timer::Lasting { rule: number, part: part.to_owned() };
                self.timers.insert((begin.0, timer));
            }
            None => pending.due = None,
            Some(_) => {
                pending.due = None;
                let pending = pending.clone();
                let key = key::cause(&pending.id.node, &pending.cause);
                let node = || format!("node/{}", pending.id.node);
                let place = pending.camera.as_ref().map_or_else(node, key::camera);
                let hit = Hit {
                    first: String::new(),
                    row: Some(&pending.id),
                    origin: Some((&pending.id.node, &pending.cause)),
                    kind: &pending.kind,
                    text: &pending.text,
                    camera: pending.camera,
                    count: pending.count,
                    at_us: pending.opened_us,
                    last_us: pending.opened_us,
                };
                self.occur(number, key, &place, &hit, at);
            }
        }
    }

    /// Begins to watch what a rule of absence is about, from `now` on, as far as it is not watched yet.
    pub(super) fn watch_quiet(&mut self, number: u32, now: UtcMicros) {
        let Some(rule) = self.rules.get_mut(&number) else { return };
        let Trigger::Absence { for_s, together } = rule.body.trigger else { return };
        if !rule.body.enabled || rule.below {
            rule.quiet.clear();
            return;
        }
        let wanted: BTreeSet<String> = match &rule.filter.cameras {
            Some(cameras) if !together => cameras.iter().map(key::camera).collect(),
            _ => BTreeSet::from([key::ALL.to_owned()]),
        };
        rule.quiet.retain(|key, _| wanted.contains(key));
        for key in wanted {
            if !rule.quiet.contains_key(&key) {
                let due = now.0.saturating_add(seconds(for_s));
                rule.quiet.insert(key.clone(), Quiet { last_us: now, due: Some(due) });
                self.timers.insert((due, Timer::Quiet { rule: number, key }));
            }
        }
    }

    pub(super) fn seen(&mut self, number: u32, key: &str, last_us: UtcMicros, noted: UtcMicros) {
        let Some(rule) = self.rules.get_mut(&number) else { return };
        let Trigger::Absence { for_s, .. } = rule.body.trigger else { return };
        let Some(quiet) = rule.quiet.get_mut(key) else { return };
        // What comes from a clock that runs ahead does not keep it quiet for longer.
        quiet.last_us = quiet.last_us.max(last_us.min(noted));
        if quiet.due.is_none() {
            let due = quiet.last_us.0.saturating_add(seconds(for_s)).max(noted.0);
            quiet.due = Some(due);
            self.timers.insert((due, Timer::Quiet { rule: number, key: key.to_owned() }));
        }
    }

    fn was_quiet(&mut self, number: u32, key: &str, due: i64) {
        let Some(rule) = self.rules.get_mut(&number).filter(|rule| rule.body.enabled) else { return };
        let Trigger::Absence { for_s, .. } = rule.body.trigger else { return };
        let Some(quiet) = rule.quiet.get_mut(key).filter(|q| q.due == Some(due)) else { return };
        let (at, week) = (UtcMicros(due), &rule.filter.week);
        // Only minutes in force count, without a pause.
        let begin = match week.next(at) {
            Some(next) if next > at => next,
            Some(_) => week.since(at, quiet.last_us),
            None => {
                quiet.due = None;
                return;
            }
        };
        let until = begin.0.saturating_add(seconds(for_s));
        if until > due {
            quiet.due = Some(until);
            self.timers.insert((until, Timer::Quiet { rule: number, key: key.to_owned() }));
            return;
        }
        quiet.due = None;
        let (since, camera) = (quiet.last_us, key.strip_prefix("camera/").and_then(|c| c.parse().ok()));
        let hit = Hit {
            first: format!("since/{}", since.0),
            row: None,
            origin: None,
            kind: ABSENCE,
            text: "",
            camera,
            count: 1,
            at_us: since,
            last_us: at,
        };
        self.occur(number, key.to_owned(), key, &hit, at);
    }

    /// The node was away: nothing could be seen meanwhile, and what was open then has to be seen open again.
    pub(super) fn was_away(&mut self, now: UtcMicros) {
        let grace = now + limits::RULES_START_GRACE;
        for (number, rule) in &mut self.rules {
            for (key, quiet) in &mut rule.quiet {
                if let Some(due) = quiet.due.filter(|_| quiet.last_us < now) {
                    let Trigger::Absence { for_s, .. } = rule.body.trigger else { continue };
                    let (later, timer) = (
                        now.0.saturating_add(seconds(for_s)),
                        Timer::Quiet { rule: *number, key: key.clone() },
                    );
                    self.timers.remove(&(due, timer.clone()));
                    (quiet.last_us, quiet.due) = (now, Some(later));
                    self.timers.insert((later, timer));
                }
            }
            for (part, pending) in &mut rule.pending {
                if let Some(due) = pending.due.filter(|due| *due < grace.0) {
                    let timer = Timer::Lasting { rule: *number, part: part.clone() };
                    self.timers.remove(&(due, timer.clone()));
                    pending.due = Some(grace.0);
                    self.timers.insert((grace.0, timer));
                }
            }
        }
    }
}

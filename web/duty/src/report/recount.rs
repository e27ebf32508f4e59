//! The second computation: from the records of the journal, and from nothing else.
//!
//! It knows neither book nor ledger nor the state machines: it goes over the JSON of the records once, keeps a list of acts
//! for each matter, and tells from that list what became of it, in plain steps. What both computations say is most likely so.

use std::collections::{BTreeMap, BTreeSet};

use fengsui_storage::journal::JournalRecord;
use serde_json::Value;

use super::{Ask, Grouping, Measures, Places, Report, Row, Share, Spread};

/// Newest version of an act that is read.
const ACT_VERSION: u64 = 1;

/// One act as the journal has it.
#[derive(Debug, Clone)]
struct RawAct {
    lamport: u64,
    node: String,
    epoch: u64,
    seq: u64,
    at_us: i64,
    /// The node itself did it: a rule, or time.
    by_system: bool,
    act: Value,
}

impl RawAct {
    fn order(&self) -> (u64, &str, u64, u64) {
        (self.lamport, &self.node, self.epoch, self.seq)
    }

    /// Whether an incident is shared with a node by this act.
    fn names(&self, node: &str) -> bool {
        match self.word() {
            "open" => list(&self.act, "nodes").any(|named| named.as_str() == Some(node)),
            "share" => text(&self.act, "node") == node,
            _ => false,
        }
    }

    fn word(&self) -> &str {
        text(&self.act, "do")
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn whole(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or_default()
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// Counts a journal: takes its records one after the other, and makes reports at the end.
#[derive(Debug, Default)]
pub struct Recount {
    matters: BTreeMap<String, Vec<RawAct>>,
    /// Who sends what each node below says: the node itself, or a county.
    lines: BTreeMap<String, String>,
    /// Records that were looked at.
    pub records: u64,
}

impl Recount {
    /// Takes the next record in; those of other kinds are passed over.
    pub fn take(&mut self, record: &JournalRecord) {
        self.records += 1;
        match record.kind.as_str() {
            "duty.acted" => self.put(&record.node, record.epoch, record.seq, &record.body),
            "duty.received" => {
                for carried in list(&record.body, "acts") {
                    let (id, body) = (carried.get("id"), carried.get("body"));
                    if let (Some(id), Some(body)) = (id, body) {
                        self.put(text(id, "node"), whole(id, "epoch"), whole(id, "seq"), body);
                    }
                }
            }
            "relay.applied" => {
                for part in list(&record.body, "parts") {
                    let from = text(part, "from");
                    for frame in list(part, "frames") {
                        self.take_from_below(frame, from, &record.node);
                    }
                }
            }
            _ => {}
        }
    }

    /// A node below acts on what began there, on incidents that name it, and, as a county, on what began at nodes for which it
    /// speaks. What it does beyond that changes nothing here, unless the centre hands it down.
    fn take_from_below(&mut self, frame: &Value, from: &str, here: &str) {
        let origin = text(frame, "origin");
        self.lines.insert(origin.to_owned(), from.to_owned());
        let Some(body) = frame.get("body").filter(|_| text(frame, "kind") == "duty.acted") else { return };
        let matter = text(body, "matter");
        let home = matter.split('/').nth(1).unwrap_or_default();
        let verb = body.get("act").map_or("", |act| text(act, "do"));
        let begins = matches!(verb, "raise" | "open");
        let known = self.matters.get(matter).map_or(&[][..], Vec::as_slice);
        let has_begun =
            known.iter().any(|act| act.word() == "open" || (act.word() == "raise" && act.by_system));
        let unheard = !has_begun && home != here && !self.lines.contains_key(home);
        let speaks = home == origin || self.lines.get(home).is_some_and(|line| line == origin);
        let named = has_begun && known.iter().any(|act| act.names(origin));
        let alarm = matter.starts_with("alarm/");
        let welcome =
            if alarm { speaks || (unheard && !begins) } else { speaks || named || (unheard && !begins) };
        if welcome {
            self.put(origin, whole(frame, "epoch"), whole(frame, "seq"), body);
        }
    }

    fn put(&mut self, node: &str, epoch: u64, seq: u64, body: &Value) {
        let version = body.get("v").and_then(Value::as_u64).unwrap_or(1);
        let matter = text(body, "matter");
        let counts = matter.starts_with("alarm/") || matter.starts_with("incident/");
        let (Some(act), true) = (body.get("act"), counts && version == ACT_VERSION) else { return };
        self.matters.entry(matter.to_owned()).or_default().push(RawAct {
            lamport: whole(body, "lamport"),
            node: node.to_owned(),
            epoch,
            seq,
            by_system: body.get("by").is_some_and(|by| text(by, "kind") == "system"),
            at_us: body.get("at_us").and_then(Value::as_i64).unwrap_or_default(),
            act: act.clone(),
        });
    }

    /// The report that `ask` wants.
    #[must_use]
    pub fn report(&self, ask: &Ask, places: &Places) -> Report {
        let mut lives = Vec::new();
        for (id, acts) in &self.matters {
            let mut acts: Vec<&RawAct> = acts.iter().collect();
            acts.sort_by(|a, b| a.order().cmp(&b.order()));
            // The same act may have come by several ways.
            acts.dedup_by(|a, b| a.order() == b.order());
            let life = match id.starts_with("alarm/") {
                true => alarm_life(&acts),
                false => incident_life(&acts),
            };
            if let Some(life) = life
                && (ask.from.0..ask.to.0).contains(&life.begun_us)
            {
                lives.push((id.clone(), life));
            }
        }
        let all: Vec<&(String, Life)> = lives.iter().collect();
        let total = measure(&all, ask.now.0);
        let mut groups: BTreeMap<String, Vec<&(String, Life)>> = BTreeMap::new();
        for one in &all {
            if let Some(key) = group_of(&one.0, &one.1, ask, places) {
                groups.entry(key).or_default().push(one);
            }
        }
        let row = |(key, members): (String, Vec<&(String, Life)>)| Row {
            name: name_of(&key, &members, ask.by, places),
            key,
            measures: measure(&members, ask.now.0),
        };
        Report {
            from_us: ask.from.0,
            to_us: ask.to.0,
            made_us: ask.now.0,
            by: ask.by,
            utc_offset_min: ask.utc_offset_min,
            total,
            rows: groups.into_iter().map(row).collect(),
        }
    }
}

/// What became of an alarm or an incident.
#[derive(Debug, Default)]
struct Life {
    is_alarm: bool,
    begun_us: i64,
    site: String,
    camera: String,
    rule: String,
    rule_name: String,
    due_us: Option<i64>,
    acknowledged_us: Option<i64>,
    settled_us: Option<i64>,
    closed_us: Option<i64>,
    was_false: bool,
    cancelled: bool,
    escalations: u64,
    arrived_us: Option<i64>,
    dispatches: u64,
    skipped: u64,
}

/// Goes through the acts of one alarm.
fn alarm_life(acts: &[&RawAct]) -> Option<Life> {
    let begin = acts.iter().position(|act| act.word() == "raise" && act.by_system)?;
    let (first, rest) = acts.get(begin..)?.split_first()?;
    let due = i64::try_from(whole(&first.act, "due_s")).unwrap_or(i64::MAX).saturating_mul(1_000_000);
    let mut life = Life {
        is_alarm: true,
        begun_us: first.at_us,
        site: text(&first.act, "site").to_owned(),
        camera: text(&first.act, "camera").to_owned(),
        rule: text(&first.act, "rule").to_owned(),
        rule_name: text(&first.act, "rule_name").to_owned(),
        due_us: (due > 0).then(|| first.at_us.saturating_add(due)),
        ..Life::default()
    };
    let (mut state, mut escalated_in, mut incident) = ("new", "", String::new());
    for act in rest {
        let at = act.at_us;
        match (act.word(), state) {
            ("acknowledge", "new") => {
                state = "acknowledged";
                life.acknowledged_us = Some(at);
            }
            ("begin", "acknowledged") => state = "in_progress",
            ("resolve", "acknowledged" | "in_progress") => {
                state = "resolved";
                life.settled_us = Some(at);
            }
            ("dismiss", "new" | "acknowledged" | "in_progress") => {
                if state == "new" {
                    life.acknowledged_us = Some(at);
                }
                state = "false";
                life.settled_us = Some(at);
                life.was_false = true;
            }
            ("reopen", "resolved" | "false") => {
                (state, escalated_in) = ("in_progress", "");
                (life.settled_us, life.was_false) = (None, false);
            }
            ("close", "resolved" | "false") => {
                state = "closed";
                life.closed_us = Some(at);
            }
            ("link", "new" | "acknowledged" | "in_progress" | "resolved" | "false")
                if incident != text(&act.act, "incident") =>
            {
                text(&act.act, "incident").clone_into(&mut incident);
                match state {
                    "new" => (state, life.acknowledged_us) = ("in_progress", Some(at)),
                    "acknowledged" => state = "in_progress",
                    // It was something after all.
                    "false" => {
                        (state, escalated_in) = ("in_progress", "");
                        (life.settled_us, life.was_false) = (None, false);
                    }
                    _ => {}
                }
            }
            ("escalate", "new" | "acknowledged" | "in_progress")
                if act.by_system && escalated_in != state =>
            {
                escalated_in = state;
                life.escalations += 1;
            }
            _ => {}
        }
    }
    Some(life)
}

/// A unit on its way to an incident.
struct Sent {
    unit: String,
    /// Place in [`WAY`]; at its end when it is done, declined or recalled.
    place: usize,
}

/// The way of a unit that does what it was sent for.
const WAY: [&str; 4] = ["sent", "received", "arrived", "done"];

/// An incident while its acts are gone through.
#[derive(Default)]
struct Course {
    life: Life,
    state: &'static str,
    plan: Value,
    /// Steps taken, with the answer.
    taken: Vec<(String, String)>,
    units: BTreeMap<String, Sent>,
}

/// Goes through the acts of one incident.
fn incident_life(acts: &[&RawAct]) -> Option<Life> {
    let begin = acts.iter().position(|act| act.word() == "open")?;
    let (first, rest) = acts.get(begin..)?.split_first()?;
    let place = first.act.get("place").cloned().unwrap_or_default();
    let life = Life { begun_us: first.at_us, site: text(&place, "site").to_owned(), ..Life::default() };
    let mut course = Course { life, state: "open", ..Course::default() };
    for act in rest {
        course.go(act);
    }
    Some(course.life)
}

impl Course {
    fn go(&mut self, act: &RawAct) {
        let running = matches!(self.state, "open" | "handling");
        let over = matches!(self.state, "closed" | "cancelled");
        match act.word() {
            "assign" if running => self.state = "handling",
            "edit" if !over => {
                if let Some(place) = act.act.get("place").filter(|place| !place.is_null()) {
                    self.life.site = text(place, "site").to_owned();
                }
            }
            "use_plan" if running => self.use_plan(&act.act),
            "step_done" if running => self.step(&act.act, false),
            "step_skipped" if running => self.step(&act.act, true),
            "dispatch" if running => self.send(&act.act),
            "progressed" => self.progress(&act.act, act.at_us),
            "resolve" if running && self.nobody_out() && self.next_step().is_none() => {
                self.state = "resolved";
            }
            "reopen" if self.state == "resolved" => self.state = "handling",
            "close" if self.state == "resolved" => {
                self.state = "closed";
                self.life.closed_us = Some(act.at_us);
            }
            "cancel" if running && self.nobody_out() => {
                self.state = "cancelled";
                self.life.cancelled = true;
            }
            _ => {}
        }
    }

    fn use_plan(&mut self, act: &Value) {
        if self.taken.is_empty() {
            self.plan = act.get("body").cloned().unwrap_or_default();
        }
    }

    /// The step that comes next: the first, the one that the last answer names, or the one below the last.
    fn next_step(&self) -> Option<Value> {
        let steps: Vec<&Value> = list(&self.plan, "steps").collect();
        let Some((last, answer)) = self.taken.last() else {
            return steps.first().map(|step| (*step).clone());
        };
        let place = steps.iter().position(|step| text(step, "id") == last)?;
        let named = steps.get(place)?.get("answers").map_or("", |answers| text(answers, answer));
        let next = match named {
            "" => steps.get(place + 1),
            id => steps.iter().find(|step| text(step, "id") == id),
        };
        next.map(|step| (*step).clone())
    }

    fn step(&mut self, act: &Value, skipped: bool) {
        let step = text(act, "step");
        let before = self.taken.iter().any(|(taken, _)| taken == step);
        let Some(next) = self.next_step().filter(|next| text(next, "id") == step && !before) else { return };
        let answer = text(act, "answer");
        let wanted: BTreeSet<&String> =
            next.get("answers").and_then(Value::as_object).into_iter().flat_map(|o| o.keys()).collect();
        let given = !answer.is_empty();
        let fits = if wanted.is_empty() { !given } else { wanted.iter().any(|one| *one == answer) };
        if !skipped && !fits {
            return;
        }
        let answer = if skipped { String::new() } else { answer.to_owned() };
        self.taken.push((step.to_owned(), answer));
        self.life.skipped += u64::from(skipped);
        self.state = "handling";
    }

    fn send(&mut self, act: &Value) {
        let id = text(act, "id").to_owned();
        let unit = act.get("unit").map_or("", |unit| text(unit, "id")).to_owned();
        let under_way = self.units.values().any(|sent| sent.unit == unit && sent.place + 1 < WAY.len());
        if under_way || self.units.contains_key(&id) {
            return;
        }
        self.units.insert(id, Sent { unit, place: 0 });
        self.life.dispatches += 1;
        self.state = "handling";
    }

    fn progress(&mut self, act: &Value, at_us: i64) {
        let to = text(act, "to");
        let end = WAY.len() - 1;
        let Some(sent) = self.units.get_mut(text(act, "id")) else { return };
        let arrived = sent.place >= 2;
        let place = match to {
            "recalled" => end,
            "declined" if !arrived => end,
            other => WAY.iter().position(|word| *word == other).unwrap_or(0),
        };
        if place <= sent.place || sent.place == end {
            return;
        }
        sent.place = place;
        if to == "arrived" {
            let first = self.life.arrived_us.map_or(at_us, |before| before.min(at_us));
            self.life.arrived_us = Some(first);
        }
    }

    fn nobody_out(&self) -> bool {
        self.units.values().all(|sent| sent.place + 1 == WAY.len())
    }
}

fn group_of(id: &str, life: &Life, ask: &Ask, places: &Places) -> Option<String> {
    let site = if life.is_alarm && life.site.is_empty() {
        places.cameras.get(&life.camera).map(|(_, site)| site.clone()).unwrap_or_default()
    } else {
        life.site.clone()
    };
    let known = places.sites.get(&site);
    match ask.by {
        Grouping::All => None,
        Grouping::Area => Some(known.map(|site| site.sub_centre.clone()).unwrap_or_default()),
        Grouping::Station => Some(known.map(|site| site.station.clone()).unwrap_or_default()),
        Grouping::Site => Some(site),
        Grouping::Day => Some(local_day(life.begun_us, ask.utc_offset_min)),
        Grouping::Rule => life.is_alarm.then(|| life.rule.clone()),
        Grouping::Camera => life.is_alarm.then(|| life.camera.clone()),
        Grouping::Node => id.split('/').nth(1).map(str::to_owned),
    }
}

fn name_of(key: &str, members: &[&(String, Life)], by: Grouping, places: &Places) -> String {
    let name = match by {
        Grouping::Area => places.sub_centres.get(key).cloned(),
        Grouping::Station => places.stations.get(key).cloned(),
        Grouping::Site => places.sites.get(key).map(|site| site.name.clone()),
        Grouping::Camera => places.cameras.get(key).map(|(name, _)| name.clone()),
        // The name that the rule had at the latest of its alarms; ids decide between two of one moment.
        Grouping::Rule => members
            .iter()
            .max_by_key(|(id, life)| (life.begun_us, id))
            .map(|(_, life)| life.rule_name.clone()),
        Grouping::All | Grouping::Day | Grouping::Node => None,
    };
    name.unwrap_or_default()
}

/// The local day, reckoned in civil days (proleptic Gregorian calendar, days from 1970-01-01).
fn local_day(at_us: i64, utc_offset_min: i32) -> String {
    let minutes = at_us.div_euclid(60_000_000) + i64::from(utc_offset_min);
    let days = minutes.div_euclid(24 * 60);
    let (mut year, mut left) = (1970_i64, days);
    let leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let length = |year: i64| if leap(year) { 366 } else { 365 };
    while left < 0 {
        year -= 1;
        left += length(year);
    }
    while left >= length(year) {
        left -= length(year);
        year += 1;
    }
    let february = if leap(year) { 29 } else { 28 };
    let mut month = 1;
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if left < days {
            break;
        }
        left -= days;
        month += 1;
    }
    format!("{year:04}-{month:02}-{:02}", left + 1)
}

/// How long it took, of those that came to it.
fn lengths(lives: &[&(String, Life)], alarms: bool, end: fn(&Life) -> Option<i64>) -> Spread {
    let of_kind = lives.iter().map(|(_, life)| life).filter(|life| life.is_alarm == alarms);
    let all: Vec<i64> = of_kind.filter_map(|life| Some((end(life)? - life.begun_us).max(0))).collect();
    // The smallest value that so many percent of all are not above.
    let rank = |percent: usize| {
        let enough =
            |value: &i64| all.iter().filter(|one| *one <= value).count() * 100 >= percent * all.len();
        let mut values = all.clone();
        values.sort_unstable();
        values.dedup();
        let place = values.partition_point(|value| !enough(value));
        values.get(place).copied()
    };
    Spread { n: all.len() as u64, median_us: rank(50), p95_us: rank(95) }
}

fn count(lives: &[&(String, Life)], which: impl Fn(&Life) -> bool) -> u64 {
    lives.iter().filter(|(_, life)| which(life)).count() as u64
}

fn measure(lives: &[&(String, Life)], now_us: i64) -> Measures {
    let alarms = count(lives, |life| life.is_alarm);
    let incidents = count(lives, |life| !life.is_alarm);
    let late = |life: &Life| {
        life.due_us.is_some_and(|due| life.acknowledged_us.unwrap_or(now_us) >= due) && life.is_alarm
    };
    let sum = |of: fn(&Life) -> u64| lives.iter().map(|(_, life)| of(life)).sum::<u64>();
    Measures {
        alarms,
        acknowledge: lengths(lives, true, |life| life.acknowledged_us),
        settle: lengths(lives, true, |life| life.settled_us),
        close: lengths(lives, true, |life| life.closed_us),
        disposed: Share { part: count(lives, |life| life.is_alarm && life.closed_us.is_some()), of: alarms },
        overdue: Share { part: count(lives, late), of: count(lives, |life| life.due_us.is_some()) },
        found_false: Share {
            part: count(lives, |life| life.settled_us.is_some() && life.was_false),
            of: count(lives, |life| life.settled_us.is_some()),
        },
        escalations: sum(|life| life.escalations),
        incidents,
        arrive: lengths(lives, false, |life| life.arrived_us),
        incident_close: lengths(lives, false, |life| life.closed_us),
        incidents_disposed: Share {
            part: count(lives, |life| !life.is_alarm && life.closed_us.is_some()),
            of: incidents,
        },
        cancelled: count(lives, |life| life.cancelled),
        dispatches: sum(|life| life.dispatches),
        skipped: sum(|life| life.skipped),
    }
}

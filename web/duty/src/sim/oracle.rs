//! What should be, written a second time: tables over the JSON of acts, from the words of the issue, with nothing of the
//! machines in it. Slow and simple: everything is worked out anew from all acts in their order.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// One act: its place, what its maker knew, who, when, and the JSON of what was done.
#[derive(Debug, Clone)]
pub struct Deed {
    pub lamport: u64,
    pub node: String,
    pub epoch: u64,
    pub seq: u64,
    pub body: Value,
}

impl Deed {
    fn place(&self) -> (u64, &str, u64, u64) {
        (self.lamport, &self.node, self.epoch, self.seq)
    }
    pub fn id(&self) -> String {
        format!("{}.{}.{}", self.node, self.epoch, self.seq)
    }
    fn word(&self) -> &str {
        self.body["act"]["do"].as_str().unwrap()
    }
    fn arg(&self, name: &str) -> &Value {
        &self.body["act"][name]
    }
    fn at(&self) -> i64 {
        self.body["at_us"].as_i64().unwrap()
    }
    fn who(&self) -> &Value {
        &self.body["by"]["name"]
    }
    fn knew(&self, other: &Self) -> bool {
        self.body["seen"].get(&other.node).and_then(Value::as_u64).is_some_and(|seen| seen >= other.lamport)
    }
    fn is_system(&self) -> bool {
        self.body["by"]["kind"] == "system"
    }
}

/// What all acts come to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// Facts by name; empty before the beginning.
    pub is: Map<String, Value>,
    /// Acts that changed nothing.
    pub void: BTreeSet<String>,
    /// Acts that overrule others: which, whom, in what.
    pub overrules: BTreeSet<(String, String, String)>,
}

const OPEN: [&str; 3] = ["new", "acknowledged", "in_progress"];
const SETTLED: [&str; 2] = ["resolved", "false"];

/// Verb, states in which it is possible (none: in every one), state that it leads to (empty: the same), what it decides.
type Line = (&'static str, &'static [&'static str], &'static str, &'static [&'static str]);

const ALARM: [Line; 13] = [
    ("acknowledge", &["new"], "acknowledged", &["state"]),
    ("begin", &["acknowledged"], "in_progress", &["state"]),
    ("resolve", &["acknowledged", "in_progress"], "resolved", &["state", "outcome"]),
    ("dismiss", &OPEN, "false", &["state", "outcome"]),
    ("reopen", &SETTLED, "in_progress", &["state", "outcome"]),
    ("close", &SETTLED, "closed", &["state", "outcome"]),
    ("prioritise", &["new", "acknowledged", "in_progress", "resolved", "false"], "", &["level"]),
    ("own", &["new", "acknowledged", "in_progress", "resolved", "false"], "", &["owner"]),
    ("snooze", &["acknowledged", "in_progress"], "", &["snooze"]),
    ("escalate", &OPEN, "", &["level"]),
    ("link", &["new", "acknowledged", "in_progress", "resolved", "false"], "", &["incident", "state"]),
    ("note", &[], "", &[]),
    ("settle", &[], "", &[]),
];

const INCIDENT: [Line; 18] = [
    ("assign", &["open", "handling", "resolved"], "", &["people"]),
    ("edit", &["open", "handling", "resolved"], "", &[]),
    ("add_alarm", &["open", "handling", "resolved"], "", &[]),
    ("add_camera", &[], "", &[]),
    ("add_clip", &[], "", &[]),
    ("note", &[], "", &[]),
    ("attach", &[], "", &[]),
    ("share", &[], "", &[]),
    ("settle", &[], "", &[]),
    ("use_plan", &["open", "handling"], "", &["plan"]),
    ("step_done", &["open", "handling"], "", &[]),
    ("step_skipped", &["open", "handling"], "", &[]),
    ("dispatch", &["open", "handling"], "", &[]),
    ("progressed", &[], "", &[]),
    ("resolve", &["open", "handling"], "resolved", &["state"]),
    ("reopen", &["resolved"], "handling", &["state"]),
    ("close", &["resolved"], "closed", &["state"]),
    ("cancel", &["open", "handling"], "cancelled", &["state"]),
];

/// Acts of a matter of this kind, in their order.
pub fn outcome(kind: &str, deeds: &[Deed]) -> Outcome {
    let mut sorted: Vec<&Deed> = deeds.iter().filter(|d| d.word() != "counted").collect();
    sorted.sort_by(|a, b| a.place().cmp(&b.place()));
    let mut all = Outcome::default();
    let mut last: BTreeMap<String, &Deed> = BTreeMap::new();
    let mut before_it = Vec::new();
    for deed in sorted {
        if all.is.is_empty() {
            match begin(kind, deed) {
                Some(is) => all.is = is,
                None => before_it.push(deed.id()),
            }
            continue;
        }
        if !possible(kind, &all, deed) {
            all.void.insert(deed.id());
            continue;
        }
        happen(kind, &mut all.is, deed);
        for what in decided(kind, deed) {
            if let Some(other) = last.insert(what.clone(), deed)
                && other.node != deed.node
                && !deed.knew(other)
            {
                all.overrules.insert((deed.id(), other.id(), what));
            }
        }
    }
    if !all.is.is_empty() {
        all.void.extend(before_it);
        if kind == "alarm" {
            count(&mut all.is, deeds);
        }
    }
    all
}

/// Of each node only its highest count stands.
fn count(is: &mut Map<String, Value>, deeds: &[Deed]) {
    let mut highest: BTreeMap<&str, (u64, i64)> = BTreeMap::new();
    for deed in deeds.iter().filter(|d| d.word() == "counted") {
        let figures = (deed.arg("count").as_u64().unwrap(), deed.arg("last_us").as_i64().unwrap());
        let of = highest.entry(&deed.node).or_insert(figures);
        *of = (*of).max(figures);
    }
    for (count, last) in highest.into_values() {
        is["count"] = is["count"].as_u64().unwrap().max(count).into();
        is["last"] = is["last"].as_i64().unwrap().max(last).into();
    }
}

fn object(value: Value) -> Option<Map<String, Value>> {
    value.as_object().cloned()
}

fn begin(kind: &str, deed: &Deed) -> Option<Map<String, Value>> {
    match (kind, deed.word()) {
        ("alarm", "raise") if deed.is_system() => object(json!({
            "state": "new", "since": deed.at(), "level": deed.arg("level"), "owner": null, "snooze": null,
            "count": deed.arg("count"), "last": deed.arg("first_us"), "acked": null, "settled": null, "closed": null,
            "outcome": null, "false": false, "escalated": 0, "escalated_in": null, "incident": null,
        })),
        ("incident", "open") => object(json!({
            "state": "open", "since": deed.at(), "people": [], "plan": null, "steps": [], "units": {}, "result": null,
            "title": deed.arg("title"), "kind": deed.arg("kind"), "level": deed.arg("level"), "place": deed.arg("place"),
            "alarms": set(deed.arg("alarms")), "cameras": set(deed.arg("cameras")), "nodes": set(deed.arg("nodes")),
            "over": null,
        })),
        ("unit" | "plan" | "rule", "define") => {
            let mut body = deed.body["act"].clone();
            body.as_object_mut().unwrap().remove("do");
            object(json!({"body": body, "version": 1, "by": deed.who()}))
        }
        ("shift", "hand_over") => {
            object(json!({"to": deed.arg("to"), "note": deed.arg("note"), "from": deed.who(), "taken": null}))
        }
        _ => None,
    }
}

fn set(list: &Value) -> Value {
    let texts = list.as_array().into_iter().flatten().map(|v| v.as_str().unwrap().to_owned());
    json!(texts.collect::<BTreeSet<_>>())
}

fn line(kind: &str, word: &str) -> Option<&'static Line> {
    let table: &[Line] = if kind == "alarm" { &ALARM } else { &INCIDENT };
    table.iter().find(|line| line.0 == word)
}

/// Whether a deed is possible behind what is.
pub fn possible(kind: &str, all: &Outcome, deed: &Deed) -> bool {
    let (is, word) = (&all.is, deed.word());
    match kind {
        "alarm" | "incident" => {
            if word == "counted" {
                return deed.is_system();
            }
            if word == "wake" {
                return !is["snooze"].is_null();
            }
            let Some((_, from, _, _)) = line(kind, word) else { return false };
            let state = is["state"].as_str().unwrap();
            (from.is_empty() || from.contains(&state)) && guard(kind, is, deed)
        }
        "shift" => match word {
            "hand_over" => true,
            _ => is["taken"].is_null() && is["to"] == *deed.who(),
        },
        _ => word == "define" || !is["body"].is_null(),
    }
}

fn guard(kind: &str, is: &Map<String, Value>, deed: &Deed) -> bool {
    match (kind, deed.word()) {
        ("alarm", "snooze") => {
            let long = deed.arg("until_us").as_i64().unwrap() - deed.at();
            long > 0 && long <= 12 * 3600 * 1_000_000
        }
        ("alarm", "escalate") => deed.is_system() && is["escalated_in"] != is["state"],
        ("alarm", "link") => is["incident"] != *deed.arg("incident"),
        ("incident", "use_plan") => is["steps"].as_array().unwrap().is_empty(),
        ("incident", "step_done" | "step_skipped") => next_step(is).is_some_and(|step| {
            let answers = step["answers"].as_object();
            let fits = match (answers, deed.arg("answer").as_str()) {
                (None, None) => true,
                (Some(answers), Some(given)) => answers.contains_key(given),
                _ => false,
            };
            step["id"] == *deed.arg("step") && (deed.word() == "step_skipped" || fits)
        }),
        ("incident", "dispatch") => {
            let units = is["units"].as_object().unwrap();
            let busy = |u: &Value| u["unit"] == deed.arg("unit")["id"] && under_way(u);
            !units.contains_key(deed.arg("id").as_str().unwrap()) && !units.values().any(busy)
        }
        ("incident", "progressed") => {
            let unit = &is["units"][deed.arg("id").as_str().unwrap()];
            let to = deed.arg("to").as_str().unwrap();
            let after: &[&str] = match unit["progress"].as_str() {
                Some("sent") => &["received", "arrived", "done", "declined", "recalled"],
                Some("received") => &["arrived", "done", "declined", "recalled"],
                Some("arrived") => &["done", "recalled"],
                _ => &[],
            };
            after.contains(&to)
        }
        ("incident", "resolve") => next_step(is).is_none() && nobody_under_way(is),
        ("incident", "cancel") => nobody_under_way(is),
        _ => true,
    }
}

fn under_way(unit: &Value) -> bool {
    ["sent", "received", "arrived"].contains(&unit["progress"].as_str().unwrap())
}

fn nobody_under_way(is: &Map<String, Value>) -> bool {
    !is["units"].as_object().unwrap().values().any(under_way)
}

/// Walks the plan along the steps that were taken.
fn next_step(is: &Map<String, Value>) -> Option<&Value> {
    let plan = is["plan"]["steps"].as_array()?;
    let mut at = 0;
    for taken in is["steps"].as_array().unwrap() {
        let to =
            taken["answer"].as_str().and_then(|answer| plan[at]["answers"][answer].as_str()).unwrap_or("");
        at = match to {
            "" => at + 1,
            id => plan.iter().position(|step| step["id"] == id).unwrap(),
        };
    }
    plan.get(at)
}

fn decided(kind: &str, deed: &Deed) -> Vec<String> {
    let id = |field: &str| deed.arg(field).as_str().unwrap().to_owned();
    match (kind, deed.word()) {
        ("unit" | "plan" | "rule", _) => vec!["definition".to_owned()],
        ("shift", _) => vec!["shift".to_owned()],
        ("alarm", "wake") => vec!["snooze".to_owned()],
        ("incident", "edit") => {
            let given = |field: &&str| !deed.arg(field).is_null();
            ["title", "kind", "level", "place"].iter().filter(|f| given(f)).map(|f| (*f).to_owned()).collect()
        }
        ("incident", "step_done" | "step_skipped") => vec![format!("step/{}", id("step"))],
        ("incident", "dispatch") => vec![format!("unit/{}", deed.arg("unit")["id"].as_str().unwrap())],
        ("incident", "progressed") if deed.arg("to") == "received" => Vec::new(),
        ("incident", "progressed") => vec![format!("dispatch/{}", id("id"))],
        (_, word) => line(kind, word).map_or(&[][..], |l| l.3).iter().map(|w| (*w).to_owned()).collect(),
    }
}

fn happen(kind: &str, is: &mut Map<String, Value>, deed: &Deed) {
    match kind {
        "alarm" => alarm(is, deed),
        "incident" => incident(is, deed),
        "shift" if deed.word() == "hand_over" => *is = begin(kind, deed).unwrap(),
        "shift" => is["taken"] = deed.arg("note").as_str().unwrap_or("").into(),
        _ => {
            let version = is["version"].as_u64().unwrap() + 1;
            match begin(kind, deed) {
                Some(new) => *is = new,
                None => (is["body"], is["by"]) = (Value::Null, deed.who().clone()),
            }
            is["version"] = version.into();
        }
    }
}

fn go(is: &mut Map<String, Value>, deed: &Deed, to: &str) {
    (is["state"], is["since"]) = (to.into(), deed.at().into());
}

fn first(is: &mut Map<String, Value>, field: &str, value: Value) {
    if is[field].is_null() {
        is[field] = value;
    }
}

fn alarm(is: &mut Map<String, Value>, deed: &Deed) {
    let (word, who, now) = (deed.word(), deed.who().clone(), json!(deed.at()));
    let to = line("alarm", word).map_or("", |l| l.2);
    if !to.is_empty() {
        go(is, deed, to);
        is["snooze"] = Value::Null;
    }
    match word {
        "acknowledge" => (is["owner"], is["acked"]) = (who, now),
        "resolve" | "dismiss" => {
            first(is, "acked", now.clone());
            first(is, "owner", who);
            is["settled"] = now;
            let words = if word == "dismiss" { deed.arg("reason") } else { deed.arg("result") };
            is["outcome"] = words.as_str().unwrap_or("").into();
            is["false"] = (word == "dismiss").into();
        }
        "reopen" => undo(is),
        "close" => is["closed"] = now,
        "prioritise" => {
            if deed.arg("level").as_u64() < is["level"].as_u64() {
                is["snooze"] = Value::Null;
            }
            is["level"] = deed.arg("level").clone();
        }
        "own" => (is["owner"], is["snooze"]) = (deed.arg("owner").clone(), Value::Null),
        "snooze" => is["snooze"] = deed.arg("until_us").clone(),
        "wake" => is["snooze"] = Value::Null,
        "escalate" => {
            let level = deed.arg("level").as_u64().min(is["level"].as_u64());
            (is["level"], is["snooze"]) = (level.into(), Value::Null);
            is["escalated"] = (is["escalated"].as_u64().unwrap() + 1).into();
            is["escalated_in"] = is["state"].clone();
        }
        "link" => {
            first(is, "acked", now);
            first(is, "owner", who);
            (is["incident"], is["snooze"]) = (deed.arg("incident").clone(), Value::Null);
            match is["state"].as_str().unwrap() {
                "new" | "acknowledged" => go(is, deed, "in_progress"),
                "false" => {
                    go(is, deed, "in_progress");
                    undo(is);
                }
                _ => {}
            }
        }
        _ => {}
    }
}

fn undo(is: &mut Map<String, Value>) {
    for field in ["settled", "outcome", "escalated_in"] {
        is[field] = Value::Null;
    }
    is["false"] = false.into();
}

fn add(is: &mut Map<String, Value>, field: &str, what: &Value) {
    let mut all = is[field].as_array().unwrap().clone();
    all.push(what.clone());
    is[field] = set(&Value::Array(all));
}

fn incident(is: &mut Map<String, Value>, deed: &Deed) {
    let word = deed.word();
    let to = line("incident", word).map_or("", |l| l.2);
    let works = ["assign", "step_done", "step_skipped", "dispatch"].contains(&word);
    if !to.is_empty() {
        go(is, deed, to);
    } else if works && is["state"] == "open" {
        go(is, deed, "handling");
    }
    match word {
        "assign" => is["people"] = set(deed.arg("people")),
        "edit" => {
            for field in ["title", "kind", "level", "place"] {
                if !deed.arg(field).is_null() {
                    is[field] = deed.arg(field).clone();
                }
            }
        }
        "add_alarm" => add(is, "alarms", deed.arg("alarm")),
        "add_camera" => add(is, "cameras", deed.arg("camera")),
        "share" => add(is, "nodes", deed.arg("node")),
        "use_plan" => is["plan"] = deed.arg("body").clone(),
        "step_done" | "step_skipped" => {
            let skipped = word == "step_skipped";
            let taken = json!({"step": deed.arg("step"), "answer": deed.arg("answer"), "skipped": skipped, "by": deed.who()});
            is["steps"].as_array_mut().unwrap().push(taken);
        }
        "dispatch" => {
            let unit = json!({"unit": deed.arg("unit")["id"], "progress": "sent", "result": ""});
            is["units"].as_object_mut().unwrap().insert(deed.arg("id").as_str().unwrap().to_owned(), unit);
        }
        "progressed" => {
            let unit = &mut is["units"][deed.arg("id").as_str().unwrap()];
            unit["progress"] = deed.arg("to").clone();
            if let Some(result) = deed.arg("result").as_str() {
                unit["result"] = result.into();
            }
        }
        "resolve" => is["result"] = deed.arg("result").clone(),
        "reopen" => is["result"] = Value::Null,
        "cancel" => is["result"] = deed.arg("reason").clone(),
        _ => {}
    }
    if ["close", "cancel"].contains(&word) {
        is["over"] = deed.at().into();
    }
}

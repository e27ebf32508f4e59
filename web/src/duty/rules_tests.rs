//! The driver of the rules and their API, in process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::Ordering;

use fengsui_config::clock::UtcMicros;
use fengsui_duty::act::{By, MatterId, Verb};
use fengsui_duty::alarm::AlarmVerb;
use fengsui_relay::event::{Event, EventKind, Phase, Priority, Source};
use fengsui_storage::error::StoreError;
use fengsui_storage::journal::JournalRecord;
use http::{Method, Request, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::records::Records;
use super::rules::{self, built_in_rules};
use crate::desk;
use crate::testing::{Answer, CAMERA, MemoryRegister, NOW, Node, node, request};

/// The records of the register; keeps engines in memory.
struct Memory {
    register: Arc<MemoryRegister>,
    kept: Mutex<Option<(fengsui_duty::rules::Engine, u64)>>,
}

impl Records for Memory {
    fn last(&self) -> u64 {
        self.register.rows.lock().len() as u64
    }
    fn each(&self, from: u64, take: &mut dyn FnMut(JournalRecord) -> bool) -> Result<(), StoreError> {
        let rows = self.register.rows.lock().clone();
        for (seq, (kind, body)) in (1..).zip(rows).skip_while(|(seq, _)| *seq < from) {
            let at = UtcMicros(NOW.0 + i64::try_from(seq).unwrap());
            let (previous, hash) = ([0; 32], [1; 32]);
            let record =
                JournalRecord { node: "centre".into(), epoch: 1, seq, at, kind, body, previous, hash };
            if !take(record) {
                break;
            }
        }
        Ok(())
    }
    fn kept(&self) -> Option<(fengsui_duty::rules::Engine, u64)> {
        self.kept.lock().clone()
    }
    fn keep(&self, engine: fengsui_duty::rules::Engine, (seq, _): (u64, [u8; 32])) -> Result<(), StoreError> {
        let text = serde_json::to_string(&engine).unwrap();
        *self.kept.lock() = Some((serde_json::from_str(&text).unwrap(), seq));
        Ok(())
    }
}

fn records(node: &Node) -> Arc<Memory> {
    Arc::new(Memory { register: node.register.clone(), kept: Mutex::default() })
}

/// Lets the other tasks run until something is so.
async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..20_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    panic!("in vain: {what}");
}

/// A door that a device tells of.
fn door(input: &str) -> Event {
    let source = Source::node("centre".parse().unwrap());
    let event = Event::new(
        EventKind::DeviceInput,
        Priority::Alarm,
        format!("door/{input}"),
        Phase::Point,
        NOW + std::time::Duration::from_secs(1),
        source,
    );
    event.camera(CAMERA.parse().unwrap())
}

fn alarms(node: &Node) -> Vec<(MatterId, u64, String)> {
    node.app.duty.read(|book| {
        let state = |(id, l): (&MatterId, &fengsui_duty::ledger::Ledger<fengsui_duty::alarm::Alarm>)| {
            let alarm = l.state().unwrap();
            (id.clone(), alarm.count, alarm.raise.rule_name.clone())
        };
        book.alarms.iter().map(state).collect()
    })
}

fn rules_of(node: &Node) -> usize {
    node.app.duty.read(|book| book.rules.len())
}

#[tokio::test]
async fn a_node_that_nobody_has_set_up_raises_an_alarm_of_a_device() {
    let node = node();
    node.app.tasks.spawn(desk::run(node.app.clone()));
    node.app.tasks.spawn(rules::run(node.app.clone(), records(&node), false));
    until("the built-in rules are made", || rules_of(&node) == built_in_rules().len()).await;
    node.app.desk.put_own(vec![door("a")]);
    until("the alarm is raised", || alarms(&node).len() == 1).await;
    let (id, count, rule) = alarms(&node).remove(0);
    assert_eq!((count, rule.as_str(), id.home.as_str()), (1, "设备报警", "centre"));
    let row = node.app.duty.read(|book| book.alarms[&id].state().unwrap().raise.row.clone()).unwrap();
    assert!(node.app.desk.rows().read().row(&row.parse().unwrap()).is_some(), "the row of its event");
    for _ in 0..10 {
        node.app.desk.put_own(vec![door("a")]);
    }
    // Events of one cause that come at once may share a record.
    let noted = || {
        let stats = node.app.desk.stats();
        stats.records + stats.folded >= 11 && stats.pending == 0
    };
    until("all are noted", noted).await;
    node.app.stop.cancel();
    until("the count is told at the stop", || alarms(&node)[0].1 == 11).await;
}

#[tokio::test]
async fn a_node_with_a_centre_makes_no_rules_of_its_own() {
    let node = node();
    node.app.tasks.spawn(rules::run(node.app.clone(), records(&node), true));
    until("it has looked", || node.app.rules.records().is_some()).await;
    for _ in 0..2_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(rules_of(&node), 0);
}

#[tokio::test]
async fn an_alarm_lost_between_its_event_and_its_record_is_raised_at_the_next_start_and_once() {
    let node = node();
    let memory = records(&node);
    let app = node.app.clone();
    for (name, body) in built_in_rules() {
        let id: MatterId = format!("rule/centre/{name}").parse().unwrap();
        let verb = Verb::Rule(fengsui_duty::define::RuleVerb::Define(body));
        app.duty.act(&app, &id, verb, By::system("test")).await.unwrap();
    }
    // The engine is kept as it was before the event; then the node ends before the alarm is written.
    let mut engine = fengsui_duty::rules::Engine::default();
    engine.at("centre".parse().unwrap(), Arc::new(fengsui_duty::rules::Places::of(&app.topology())), NOW);
    let last = memory.last();
    memory
        .each(1, &mut |record| {
            engine.record(&record);
            true
        })
        .unwrap();
    *memory.kept.lock() = Some((engine, last));
    node.register.rows.lock().push(("event.noted".into(), door("a").body()));
    node.app.tasks.spawn(rules::run(app.clone(), memory.clone(), false));
    until("the alarm is raised", || alarms(&node).len() == 1).await;
    node.app.stop.cancel();
    node.app.tasks.close();
    node.app.tasks.wait().await;
    assert_eq!(node.register.of("duty.acted").len(), 1);
}

#[tokio::test]
async fn what_the_journal_refuses_is_raised_when_it_takes_records_again() {
    tokio::time::pause();
    let node = node();
    node.app.tasks.spawn(rules::run(node.app.clone(), records(&node), false));
    until("the built-in rules are made", || rules_of(&node) == 3).await;
    node.register.rows.lock().push(("event.noted".into(), door("a").body()));
    node.register.broken.store(true, Ordering::SeqCst);
    node.app.rules.news();
    for _ in 0..2_000 {
        tokio::task::yield_now().await;
    }
    assert!(alarms(&node).is_empty());
    node.register.broken.store(false, Ordering::SeqCst);
    for _ in 0..10_000 {
        if !alarms(&node).is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(alarms(&node).len(), 1);
}

#[tokio::test]
async fn a_dismissed_alarm_makes_room_for_the_next_after_the_hold_off() {
    let node = node();
    node.app.tasks.spawn(rules::run(node.app.clone(), records(&node), false));
    until("the built-in rules are made", || rules_of(&node) == 3).await;
    node.register.rows.lock().push(("event.noted".into(), door("a").body()));
    node.app.rules.news();
    until("it is raised", || alarms(&node).len() == 1).await;
    let id = alarms(&node)[0].0.clone();
    let verb = Verb::Alarm(AlarmVerb::Dismiss { reason: "test".into() });
    node.app.duty.act(&node.app, &id, verb, By::person("li")).await.unwrap();
    let mut later = door("a");
    later.at_us = NOW + std::time::Duration::from_secs(62);
    later.last_us = later.at_us;
    node.register.rows.lock().push(("event.noted".into(), later.body()));
    node.app.rules.news();
    until("the next is raised", || alarms(&node).len() == 2).await;
}

async fn send(node: &Node, method: Method, path: &str, cookie: &str, body: &Value) -> Answer {
    node.send(request(method, path, Some(cookie), Some(body))).await
}

fn with_version(mut request: Request<axum::body::Body>, version: u64) -> Request<axum::body::Body> {
    request.headers_mut().insert("if-match", format!("\"{version}\"").parse().unwrap());
    request
}

fn rule() -> Value {
    json!({"name": "门", "enabled": true, "kinds": ["device.input"], "trigger": {"when": "each"}, "level": 2, "due_s": 60})
}

#[tokio::test]
async fn rules_are_made_changed_and_removed_and_bad_ones_change_nothing() {
    let node = node();
    node.app.rules.attach(records(&node));
    let cookie = node.set_up().await;
    let made = send(&node, Method::POST, "/api/v1/rules", &cookie, &rule()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{:?}", made.body);
    let made = made.json();
    let path = format!("/api/v1/rules/centre/{}", made["name"].as_str().unwrap());
    let mut never = rule();
    never["kinds"] = json!(["no.such"]);
    never["name"] = json!("never");
    let refused = send(&node, Method::POST, "/api/v1/rules", &cookie, &never).await;
    assert_eq!(
        (refused.status, refused.json()["field"].clone()),
        (StatusCode::BAD_REQUEST, json!("despite_warnings"))
    );
    assert_eq!(refused.json()["lines"][0]["value"], "never_kinds");
    let despite = send(&node, Method::POST, "/api/v1/rules?despite_warnings=true", &cookie, &never).await;
    assert_eq!(despite.status, StatusCode::CREATED);
    let mut bad = rule();
    bad["trigger"] = json!({"when": "repetition", "times": 1, "within_s": 0});
    let refused = send(&node, Method::POST, "/api/v1/rules?despite_warnings=true", &cookie, &bad).await;
    assert_eq!(
        (refused.status, refused.json()["field"].clone()),
        (StatusCode::BAD_REQUEST, json!("trigger.times"))
    );
    assert_eq!(rules_of(&node), 2);

    let mut changed = rule();
    changed["level"] = json!(1);
    let put = |version| with_version(request(Method::PUT, &path, Some(&cookie), Some(&changed)), version);
    assert_eq!(node.send(put(7)).await.status, StatusCode::CONFLICT);
    let unnamed = request(Method::PUT, &path, Some(&cookie), Some(&changed));
    assert_eq!(node.send(unnamed).await.status, StatusCode::BAD_REQUEST);
    let done = node.send(put(1)).await;
    assert_eq!((done.status, done.json()["version"].clone()), (StatusCode::OK, json!(2)), "{:?}", done.body);
    let list = node.get("/api/v1/rules", &cookie).await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    let gone = with_version(request(Method::DELETE, &path, Some(&cookie), None), 2);
    assert_eq!(node.send(gone).await.status, StatusCode::NO_CONTENT);
    let again = with_version(request(Method::DELETE, &path, Some(&cookie), None), 3);
    assert_eq!(node.send(again).await.status, StatusCode::NOT_FOUND);
    assert_eq!(node.get("/api/v1/rules", &cookie).await.json()["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_rule_is_tried_on_recorded_events_and_names_the_alarms_it_would_have_made() {
    let node = node();
    node.app.rules.attach(records(&node));
    let cookie = node.set_up().await;
    for n in 0..3 {
        node.register.rows.lock().push(("event.noted".into(), door(&format!("d{}", n % 2)).body()));
    }
    let range = |from: i64, to: i64| json!({"rule": rule(), "from_us": NOW.0 + from, "to_us": NOW.0 + to});
    let tried = send(&node, Method::POST, "/api/v1/rules/try", &cookie, &range(0, 1_000)).await;
    assert_eq!(tried.status, StatusCode::OK, "{:?}", tried.body);
    let tried = tried.json();
    assert_eq!((tried["alarms"].clone(), tried["events"].clone()), (json!(2), json!(3)));
    assert_eq!(
        (tried["fired"][0]["count"].clone(), tried["fired"][0]["camera"].clone()),
        (json!(2), json!(CAMERA))
    );
    let turned = send(&node, Method::POST, "/api/v1/rules/try", &cookie, &range(1_000, 0)).await;
    assert_eq!((turned.status, turned.json()["field"].clone()), (StatusCode::BAD_REQUEST, json!("to_us")));
    let long = send(&node, Method::POST, "/api/v1/rules/try", &cookie, &range(0, 40 * 86_400_000_000)).await;
    assert_eq!(long.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_rule_that_floods_by_the_last_day_is_warned_of() {
    let node = node();
    node.app.rules.attach(records(&node));
    let cookie = node.set_up().await;
    let camera = |n: u32| format!("3308020000132{n:07}");
    for n in 0..300 {
        let mut event = door(&format!("d{n}"));
        event.camera = Some(camera(n).parse().unwrap());
        event.at_us = UtcMicros(NOW.0 - 1_000);
        event.last_us = event.at_us;
        node.register.rows.lock().push(("event.noted".into(), event.body()));
    }
    node.clock.advance(std::time::Duration::from_secs(60));
    let mut each = rule();
    each["kinds"] = json!(["device.input", "operator.mark"]);
    let checked =
        send(&node, Method::POST, "/api/v1/rules/check", &cookie, &json!({"rule": each})).await.json();
    assert_eq!(checked["warnings"][0]["code"], "always_many", "{checked}");
    assert_eq!(rules_of(&node), 0);
}

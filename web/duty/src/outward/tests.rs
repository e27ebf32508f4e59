#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
use serde_json::json;

use super::*;
use crate::act::{By, MatterKind, Verb};
use crate::alarm::AlarmVerb;

fn book() -> (Book, Vec<Noted>) {
    let matter: MatterId = "alarm/kecheng/3f".parse().unwrap();
    let raise = json!({"do": "raise", "rule": "rule/kecheng/gate", "rule_name": "gate", "kind": "device.input", "level": 2,
        "cause": "c", "first_us": 1_790_000_000_000_000_i64, "count": 1, "due_s": 60, "hold_days": 0, "text": "door"});
    let verbs: Vec<AlarmVerb> = vec![
        serde_json::from_value(raise).unwrap(),
        AlarmVerb::Acknowledge,
        AlarmVerb::Dismiss { reason: "animal".into() },
    ];
    let (mut book, mut all) = (Book::default(), Vec::new());
    for (seq, verb) in (1_u64..).zip(verbs) {
        let at = UtcMicros(1_790_000_000_000_000 + i64::try_from(seq).unwrap());
        let by = if seq == 1 { By::system("gate") } else { By::person("li") };
        let act = book.propose(&matter, Verb::Alarm(verb), by, at).unwrap();
        let noted = Noted { id: ActId { node: "kecheng".parse().unwrap(), epoch: 3, seq }, act };
        book.take(noted.clone());
        all.push(noted);
    }
    (book, all)
}

#[test]
fn an_act_is_a_cloud_event() {
    let (book, acts) = book();
    let event = serde_json::to_value(event(&acts[1], &book)).unwrap();
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["type"], "fengsui.alarm.acknowledge");
    assert_eq!(event["source"], "/nodes/kecheng");
    assert_eq!(event["id"], "kecheng.3.2");
    assert_eq!(event["subject"], "alarm/kecheng/3f");
    assert_eq!(event["datacontenttype"], "application/json");
    assert_eq!(event["time"], "2026-09-21T14:13:20.000002Z");
    assert_eq!(event["data"]["by"]["name"], "li");
    assert_eq!(event["data"]["now"]["state"], "false");
    for required in ["specversion", "type", "source", "id"] {
        assert!(!event[required].as_str().unwrap().is_empty());
    }
}

#[test]
fn an_act_that_changed_nothing_says_so() {
    let (mut book, acts) = book();
    let mut late = acts[1].clone();
    (late.id, late.act.lamport) = (ActId { node: "centre".parse().unwrap(), epoch: 1, seq: 9 }, 4);
    assert!(book.take(late.clone()));
    let event = event(&late, &book);
    assert_eq!(event.data["now"]["void"], "already_settled");
}

#[test]
fn records_give_their_acts_however_they_came() {
    let (_, acts) = book();
    let record = |kind: &str, body: Value| JournalRecord {
        node: "kecheng".into(),
        epoch: 3,
        seq: 1,
        at: UtcMicros(0),
        kind: kind.into(),
        body,
        previous: [0; 32],
        hash: [0; 32],
    };
    assert_eq!(acts_of(&record(kinds::DUTY_ACTED, acts[0].act.body())), acts[..1]);
    let carried: Vec<Value> = acts.iter().map(|a| json!({"id": a.id, "body": a.act.body()})).collect();
    assert_eq!(acts_of(&record(kinds::DUTY_RECEIVED, json!({"from": "centre", "acts": carried}))), acts);
    assert!(acts_of(&record(kinds::SESSION_OPENED, json!({"by": "li"}))).is_empty());
    assert_eq!(acts[0].act.matter.kind, MatterKind::Alarm);
}

#[test]
fn a_filter_names_kinds_and_single_acts() {
    let kinds = |text: &str| text.split(',').filter(|k| !k.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    for (list, kind, wanted) in [
        ("", "fengsui.alarm.raise", true),
        ("", "fengsui.alarm.counted", false),
        ("alarm", "fengsui.alarm.counted", true),
        ("alarm", "fengsui.incident.open", false),
        ("incident,alarm.raise", "fengsui.alarm.raise", true),
        ("alarm.raise", "fengsui.alarm.raised_again", false),
        ("fengsui.alarm.raise", "fengsui.alarm.raise", true),
    ] {
        assert_eq!(wants(&kinds(list), kind), wanted, "{list} {kind}");
    }
}

#[test]
fn an_event_that_is_too_long_goes_without_its_data() {
    let (book, acts) = book();
    let mut long = event(&acts[0], &book);
    long.data = json!({"text": "x".repeat(limits::WEBHOOK_BODY_BYTES_MAX)});
    let sent: Value = serde_json::from_slice(&bytes(&long)).unwrap();
    assert_eq!(sent["id"], "kecheng.3.1");
    assert_eq!(sent["data"]["left_out"], "too long");
}

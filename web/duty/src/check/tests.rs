//! What is refused before it is tried, and why.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use serde_json::{Value, json};

use super::*;
use crate::act::MatterKind;

fn read(kind: MatterKind, verb: &Value) -> Verb {
    let body = json!({
        "matter": format!("{}/north/x1", kind.as_str()), "lamport": 1, "at_us": 1_790_000_000_000_000_i64,
        "by": {"kind": "person", "name": "wang"}, "act": verb,
    });
    Act::read(&body).unwrap_or_else(|e| panic!("{e}: {verb}")).verb
}

fn refused(kind: MatterKind, verb: &Value) -> Option<String> {
    check(&read(kind, verb)).err().map(|refusal| {
        assert!(!refusal.what.is_empty() && !refusal.remedy.is_empty(), "{refusal:?}");
        assert!(refusal.value.chars().count() <= 80 && !refusal.value.chars().any(is_unfit), "{refusal:?}");
        refusal.field
    })
}

fn with(verb: &Value, field: &str, value: &Value) -> Value {
    let mut verb = verb.clone();
    let shown = verb.to_string();
    *verb.pointer_mut(field).unwrap_or_else(|| panic!("{field} of {shown}")) = value.clone();
    verb
}

/// A good act, and values that its fields cannot have, each with the field that is named.
fn refuses(kind: MatterKind, good: &Value, bad: &[(&str, Value, &str)]) {
    assert_eq!(refused(kind, good), None, "{good}");
    for (field, value, named) in bad {
        let verb = with(good, field, value);
        assert_eq!(refused(kind, &verb).as_deref(), Some(*named), "{verb}");
    }
}

fn long() -> Value {
    json!("字".repeat(limits::DUTY_TEXT_CHARS_MAX + 1))
}

fn alarms() {
    let at = 1_790_000_000_000_000_i64;
    let raise = json!({"do": "raise", "rule": "rule/n/r", "rule_name": "Door", "kind": "k", "level": 1, "site": "33",
        "cause": "c", "row": "n.1.1", "text": "", "first_us": at, "count": 1, "due_s": 1, "hold_days": 1});
    refuses(
        MatterKind::Alarm,
        &raise,
        &[
            ("/rule_name", json!(""), "rule_name"),
            ("/kind", json!("a\u{0}b"), "kind"),
            ("/cause", long(), "cause"),
            ("/site", json!("<b>"), "site"),
            ("/first_us", json!(1_790_000_000), "first_us"),
            ("/hold_days", json!(100_000), "hold_days"),
            ("/text", long(), "text"),
        ],
    );
    let one = |name: &str, field: &str| json!({"do": name, field: "words"});
    for (name, field) in [("dismiss", "reason"), ("reopen", "reason"), ("note", "text")] {
        let path = format!("/{field}");
        let bad = [
            (path.as_str(), json!("  "), field),
            (path.as_str(), long(), field),
            (path.as_str(), json!("\u{202e}"), field),
        ];
        refuses(MatterKind::Alarm, &one(name, field), &bad);
    }
    let own = json!({"do": "own", "owner": "li", "note": ""});
    refuses(MatterKind::Alarm, &own, &[("/owner", json!(""), "owner"), ("/owner", json!("a\nb"), "owner")]);
    let snooze = json!({"do": "snooze", "until_us": at, "reason": "later"});
    refuses(
        MatterKind::Alarm,
        &snooze,
        &[("/until_us", json!(5), "until_us"), ("/reason", json!(""), "reason")],
    );
    let link = json!({"do": "link", "incident": "incident/n/i"});
    refuses(MatterKind::Alarm, &link, &[("/incident", json!("alarm/n/a"), "incident")]);
}

fn incidents() {
    let open = json!({"do": "open", "number": "1", "kind": "fight", "title": "<b>Fight</b>", "level": 2, "channel": "desk",
        "place": {"site": "330802", "address": "Bridge", "point": [28.9, 118.8]}, "alarms": ["alarm/n/a"], "text": "a\nb",
        "reference": "7"});
    refuses(
        MatterKind::Incident,
        &open,
        &[
            ("/title", json!("\u{1b}[31m"), "title"),
            ("/title", json!(""), "title"),
            ("/place", json!({}), "place"),
            ("/place", json!({"address": "  "}), "place"),
            ("/place/point", json!([91.0, 0.0]), "place.point"),
            ("/place/point", json!([0.0, 0.0]), "place.point"),
            ("/place/point", json!([118.8, 28.9]), "place.point"),
            ("/place/site", json!("here"), "place.site"),
            ("/alarms/0", json!("unit/n/a"), "alarms"),
            ("/reference", long(), "reference"),
        ],
    );
}

fn papers() {
    let at = 1_790_000_000_000_000_i64;
    let clip = json!({"do": "add_clip", "camera": "33080201001320000001", "from_us": at, "to_us": at + 1});
    refuses(
        MatterKind::Incident,
        &clip,
        &[("/to_us", json!(at), "to_us"), ("/to_us", json!(at - 1), "to_us")],
    );
    let attach =
        json!({"do": "attach", "hash": "0a".repeat(32), "name": "a.jpg", "media": "image/jpeg", "bytes": 1});
    refuses(
        MatterKind::Incident,
        &attach,
        &[
            ("/hash", json!("0A".repeat(32)), "hash"),
            ("/hash", json!("0a"), "hash"),
            ("/bytes", json!(0), "bytes"),
            ("/bytes", json!((16 << 20) + 1), "bytes"),
            ("/name", json!("a\r\nb"), "name"),
        ],
    );
    let edit = json!({"do": "edit", "title": "x"});
    refuses(MatterKind::Incident, &edit, &[("/title", Value::Null, "act"), ("/title", json!(""), "title")]);
    let skip = json!({"do": "step_skipped", "step": "s-1", "reason": "no car"});
    refuses(
        MatterKind::Incident,
        &skip,
        &[("/reason", json!(""), "reason"), ("/step", json!("S 1"), "step")],
    );
    let unit = json!({"id": "unit/n/u", "name": "Unit 1", "net": "street"});
    let sent = json!({"do": "dispatch", "id": "d1", "unit": unit, "order": "go"});
    refuses(
        MatterKind::Incident,
        &sent,
        &[
            ("/id", json!("d-1"), "id"),
            ("/unit/name", json!(""), "unit.name"),
            ("/unit/id", json!("plan/n/u"), "unit.id"),
        ],
    );
    let done = json!({"do": "progressed", "id": "d1", "to": "arrived", "result": ""});
    let ends = [
        ("/to", json!("done"), "result"),
        ("/to", json!("declined"), "result"),
        ("/to", json!("recalled"), "result"),
    ];
    refuses(MatterKind::Incident, &done, &ends);
    for (word, field) in [("resolve", "result"), ("cancel", "reason"), ("reopen", "reason")] {
        let path = format!("/{field}");
        refuses(MatterKind::Incident, &json!({"do": word, field: "x"}), &[(path.as_str(), json!(""), field)]);
    }
    let assign = json!({"do": "assign", "people": ["li"]});
    refuses(MatterKind::Incident, &assign, &[("/people/0", json!(""), "people[0]")]);
}

fn definitions() {
    let unit = json!({"do": "define", "name": "Unit 1", "net": "street", "members": ["li"], "contact": "081",
        "area": ["330802"], "duty": [{"days": [1], "from_min": 0, "to_min": 1440}], "post": [28.9, 118.8]});
    refuses(
        MatterKind::Unit,
        &unit,
        &[
            ("/members", json!([]), "members"),
            ("/members", json!(["li", "li"]), "members"),
            ("/members/0", json!(" "), "members[0]"),
            ("/area/0", json!("north"), "area[0]"),
            ("/duty/0/days", json!([8]), "duty[0].days"),
            ("/duty/0/from_min", json!(1440), "duty[0].from_min"),
            ("/duty/0/to_min", json!(1441), "duty[0].to_min"),
            ("/post", json!([28.9, 181.0]), "post"),
            ("/name", json!("a\u{200b}b"), "name"),
        ],
    );
    let step = |id: &str, to: &str| json!({"id": id, "text": "go", "answers": {"yes": to, "no": ""}});
    let plan = json!({"do": "define", "name": "Fight", "kinds": ["fight"], "steps": [step("a", "c"), step("b", ""), step("c", "")]});
    refuses(
        MatterKind::Plan,
        &plan,
        &[
            ("/steps", json!([]), "steps"),
            ("/steps/1/id", json!("a"), "steps"),
            ("/steps/1/answers/yes", json!("a"), "steps[1].answers.yes"),
            ("/steps/1/answers/yes", json!("b"), "steps[1].answers.yes"),
            ("/steps/1/answers/yes", json!("z"), "steps[1].answers.yes"),
            ("/steps/2/text", json!(""), "steps[2].text"),
            ("/steps/2/id", json!("Z"), "steps[2].id"),
        ],
    );
    let rule = |trigger: &Value| json!({"do": "define", "name": "Door", "enabled": true, "trigger": trigger, "level": 1});
    let threshold = rule(&json!({"when": "threshold", "fact": "people", "min": 1.0, "max": 2.0}));
    refuses(
        MatterKind::Rule,
        &threshold,
        &[
            ("/trigger/min", json!(3.0), "trigger.min"),
            ("/trigger/fact", json!(""), "trigger.fact"),
            ("/name", json!(""), "name"),
        ],
    );
    let none = rule(&json!({"when": "threshold", "fact": "people"}));
    assert_eq!(refused(MatterKind::Rule, &none).as_deref(), Some("trigger.min"));
    let repeated = rule(&json!({"when": "repetition", "times": 2, "within_s": 60}));
    let bad =
        [("/trigger/times", json!(1), "trigger.times"), ("/trigger/within_s", json!(0), "trigger.within_s")];
    refuses(MatterKind::Rule, &repeated, &bad);
    let absent = rule(&json!({"when": "absence", "for_s": 60}));
    refuses(
        MatterKind::Rule,
        &absent,
        &[
            ("/trigger/for_s", json!(0), "trigger.for_s"),
            ("/trigger/for_s", json!(9_999_999), "trigger.for_s"),
        ],
    );
}

#[test]
fn every_field_of_every_act_is_within_its_bounds() {
    alarms();
    incidents();
    papers();
    definitions();
    let hand = json!({"do": "hand_over", "to": "li", "note": "calm", "open": {"alarms": 1}, "signature": "ab".repeat(64),
        "key": "cd".repeat(32)});
    refuses(
        MatterKind::Shift,
        &hand,
        &[
            ("/to", json!(""), "to"),
            ("/note", json!(""), "note"),
            ("/signature", json!("ab"), "signature"),
            ("/key", json!("xy"), "key"),
        ],
    );
}

#[test]
fn an_act_that_fits_no_frame_is_refused() {
    let step = |n: usize| json!({"id": format!("s{n}"), "text": "字".repeat(limits::DUTY_LINE_CHARS_MAX)});
    let plan = |many: usize| json!({"do": "define", "name": "Fight", "steps": (0..many).map(step).collect::<Vec<_>>()});
    assert_eq!(refused(MatterKind::Plan, &plan(10)), None);
    assert_eq!(refused(MatterKind::Plan, &plan(20)).as_deref(), Some("act"));
}

#[test]
fn what_a_node_sends_is_looked_at_before_it_is_taken_in() {
    let body = |name: &str, reason: &str, lamport: u64| {
        json!({"matter": "alarm/north/x", "lamport": lamport, "at_us": 1, "by": {"kind": "person", "name": name},
            "act": {"do": "dismiss", "reason": reason}})
    };
    assert_eq!(fault(&body("li", "animal", 2)), None);
    for bad in
        [body("li", "", 2), body("", "animal", 2), body("li", "animal", 0), body("li", "animal", u64::MAX)]
    {
        assert!(fault(&bad).is_some(), "{bad}");
    }
}

#[test]
fn what_a_device_says_never_keeps_an_alarm_from_being_raised() {
    let raise = json!({"do": "raise", "rule": "rule/n/r", "rule_name": "", "kind": "a\u{0}b", "level": 1, "cause": " ",
        "text": "\u{202e}".repeat(limits::DUTY_TEXT_CHARS_MAX + 7), "first_us": 1_790_000_000_000_000_i64, "count": 1,
        "due_s": 1, "hold_days": 1});
    let Verb::Alarm(AlarmVerb::Raise(raise)) = read(MatterKind::Alarm, &raise) else { panic!("a raise") };
    assert!(check(&Verb::Alarm(AlarmVerb::Raise(raise.clone()))).is_err());
    let fitted = fitted(raise);
    assert_eq!((fitted.kind.as_str(), fitted.cause.as_str(), fitted.text.as_str()), ("a b", "-", ""));
    assert_eq!(check(&Verb::Alarm(AlarmVerb::Raise(fitted))), Ok(()));
}

use fengsui_config::limits;
use proptest::prelude::*;
use serde_json::json;

use super::super::posted::Poster;
use super::*;

fn good() -> Value {
    json!({"v": 1, "kind": "camera.offline", "priority": "normal", "cause": "link/33080200001320000001", "phase": "opens",
        "at_us": NOW.0, "camera": "33080200001320000001", "source": {"node": "centre"}})
}

fn with(change: &str, value: Value) -> Value {
    let mut body = good();
    match change.split_once('.') {
        Some((outer, inner)) => body[outer][inner] = value,
        None => body[change] = value,
    }
    body
}

#[test]
fn what_is_bad_is_refused_by_name_with_value_and_remedy() {
    let known = |c: CameraId| c == camera(1);
    let decode = |body: &Value| Event::decode(body, NOW, &known);
    assert_eq!(decode(&good()).unwrap().kind, EventKind::CameraOffline);
    let ahead = NOW + limits::EVENT_AHEAD_MAX;
    assert!(decode(&with("at_us", json!(ahead.0))).is_ok(), "five minutes ahead is still a clock");
    let long = "x".repeat(limits::EVENT_TEXT_CHARS_MAX + 1);
    let heavy = json!({"a": "x".repeat(limits::EVENT_DATA_BYTES_MAX)});
    let table = [
        ("at_us", json!(ahead.0 + 1), Reason::Future, "at_us"),
        ("last_us", json!(ahead.0 + 1), Reason::Future, "last_us"),
        ("at_us", json!(0), Reason::Before2000, "at_us"),
        ("at_us", json!(NOW.0 / 1_000_000), Reason::Before2000, "at_us"),
        ("at_us", json!(YEAR_2000.0 - 1), Reason::Before2000, "at_us"),
        ("at_us", json!("now"), Reason::Malformed, "at_us"),
        ("at_us", json!(1.5), Reason::Malformed, "at_us"),
        ("at_us", Value::Null, Reason::Malformed, "at_us"),
        ("kind", json!("weather.changed"), Reason::UnknownKind, "kind"),
        ("kind", json!(7), Reason::UnknownKind, "kind"),
        ("kind", Value::Null, Reason::Malformed, "kind"),
        ("v", json!(2), Reason::UnknownVersion, "v"),
        ("v", json!("one"), Reason::Malformed, "v"),
        ("v", json!(0), Reason::Malformed, "v"),
        ("text", json!(long), Reason::Oversized, "text"),
        ("data", heavy, Reason::Oversized, "data"),
        ("more", json!("x".repeat(limits::EVENT_BYTES_MAX)), Reason::Oversized, "event"),
        ("text", json!("a\u{7}b"), Reason::Malformed, "text"),
        ("data", json!([]), Reason::Malformed, "data"),
        ("camera", json!("33080200001320000002"), Reason::UnknownCamera, "camera"),
        ("camera", json!("12"), Reason::Malformed, "camera"),
        ("priority", json!("urgent"), Reason::Malformed, "priority"),
        ("phase", json!("begins"), Reason::Malformed, "phase"),
        ("cause", json!(""), Reason::Malformed, "cause"),
        ("count", json!(-1), Reason::Malformed, "count"),
        ("colour", json!("red"), Reason::Malformed, "colour"),
        ("source", json!("centre"), Reason::Malformed, "source"),
        ("source.node", json!("Not a node"), Reason::Malformed, "source.node"),
        ("source.who", json!("x"), Reason::Malformed, "source.who"),
        ("marks", json!(["nonsense"]), Reason::Malformed, "marks"),
    ];
    for (field, value, reason, named) in table {
        let refused = decode(&with(field, value.clone())).expect_err(field);
        assert_eq!((refused.reason, refused.field.as_str()), (reason, named), "{field} = {value}");
        assert!(!refused.remedy.is_empty() && refused.value.chars().count() < 200, "{refused}");
    }
    let refused = decode(&with("kind", json!("weather.changed"))).unwrap_err();
    assert_eq!(refused.value, "\"weather.changed\"");
    for nothing in [json!(null), json!([]), json!("x"), json!({})] {
        assert_eq!(decode(&nothing).unwrap_err().reason, Reason::Malformed, "{nothing}");
    }
}

#[test]
fn every_kind_and_priority_reads_back_from_its_word() {
    for kind in EventKind::ALL {
        assert_eq!(kind.as_str().parse(), Ok(*kind));
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
    }
    for priority in Priority::ALL {
        assert_eq!(priority.as_str().parse(), Ok(priority));
    }
    assert!(Priority::Low < Priority::Normal && Priority::Normal < Priority::Alarm);
}

#[test]
fn the_relay_learns_what_goes_up_and_how_much_it_matters() {
    let event = input(3, "door", Phase::Opens, NOW);
    let found = upward(kinds::EVENT_NOTED, &event.body()).unwrap().unwrap();
    assert_eq!(found, Upward { priority: Priority::Normal, camera: Some(camera(3)), at: NOW });
    assert!(upward(kinds::SESSION_OPENED, &json!({})).is_none());
    assert!(upward(kinds::EVENT_NOTED, &json!({})).unwrap().is_err());
}

fn pattern(regex: &str) -> BoxedStrategy<String> {
    proptest::string::string_regex(regex).unwrap().boxed()
}

/// Any event within its bounds.
fn any_event() -> impl Strategy<Value = Event> {
    let kinds = prop::sample::select(EventKind::ALL.to_vec());
    let phases = prop::sample::select(vec![Phase::Opens, Phase::Closes, Phase::Point]);
    let priorities = prop::sample::select(Priority::ALL.to_vec());
    let text = pattern(&format!("[^\\p{{C}}]{{0,{}}}", limits::EVENT_TEXT_CHARS_MAX));
    let cause = pattern(&format!("[^\\p{{C}}]{{1,{}}}", limits::EVENT_CAUSE_CHARS_MAX));
    let name = pattern(&format!("[^\\p{{C}}]{{1,{}}}", limits::NAME_CHARS_MAX));
    let names = (prop::option::of(name.clone()), prop::option::of(name));
    let data = pattern(&format!("[^\\p{{C}}]{{0,{}}}", limits::EVENT_DATA_BYTES_MAX / 4 - 20));
    let marks = prop::collection::vec(any::<(u64, u64, u16)>(), 0..=limits::EVENT_MARKS_MAX);
    let times = (any::<i32>(), 0..1000_i64, 1..=limits::EVENT_COUNT_MAX, 0..100_u64);
    let parts = (cause.clone(), text, data, marks, prop::option::of(1..99_u32));
    (kinds, phases, priorities, cause, names, times, parts).prop_map(
        |(kind, phase, priority, cause, (token, operator), (at, more, count, times), parts)| {
            let (part, text, data, marks, place) = parts;
            let at = UtcMicros(NOW.0 + i64::from(at));
            let source = Source { node: node(), token, operator };
            let mut event =
                Event::new(kind, priority, cause, phase, at, source).part(part).fact("note", data);
            event.marks = marks.into_iter().map(|(key, body, index)| mark(key, body, index)).collect();
            (event.text, event.camera) = (text, place.map(camera));
            (event.last_us, event.count, event.times) = (UtcMicros(at.0 + more), count, times.min(count));
            event
        },
    )
}

fn mark(key: u64, body: u64, index: u16) -> Mark {
    Mark { key: format!("{key:016x}"), body: format!("{body:016x}"), index }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// As large as the fields may be, the whole fits, and comes back.
    #[test]
    fn an_event_within_its_bounds_reads_back_as_it_was_written(event in any_event()) {
        prop_assert_eq!(Event::read(&event.body()), Ok(event));
    }

    /// Anything at all is refused or read, and what is read is within its bounds.
    #[test]
    fn no_json_makes_the_reader_panic(
        field in prop::sample::select(vec!["v", "kind", "at_us", "source", "marks", "data", "camera", "count", "x"]),
        number in any::<i64>(), text in "\\PC{0,30}", which in 0..4_usize,
    ) {
        let value = [json!(number), json!(text), json!([number]), json!({"node": text})][which].clone();
        if let Ok(event) = Event::read(&with(field, value)) {
            prop_assert!(event.body().to_string().len() <= limits::EVENT_BYTES_MAX);
            prop_assert_eq!(Event::read(&event.body()), Ok(event));
        }
    }
}

fn device() -> Poster {
    let kinds = EventKind::FROM_OUTSIDE.to_vec();
    Poster { source: token("gate"), token: Some("t1".into()), kinds, priority: Priority::Normal }
}

#[test]
fn what_a_device_posts_becomes_an_event_of_its_own_cause() {
    let read = |value: Value| device().read(&value, NOW);
    let body = json!({"kind": "device.input", "camera": camera(1), "input": "door-1", "state": "on", "data": {"zone": 3}});
    let event = read(body).unwrap();
    assert_eq!((event.phase, event.at_us, event.times), (Phase::Opens, NOW, 1));
    assert_eq!(event.cause, "token/t1/33080200001320000001/device.input/door-1");
    assert_eq!(event.data["zone"], 3);
    assert_eq!(event.data["state"], "on");
    let bad = [
        (json!({"kind": "camera.offline", "input": "x"}), Reason::UnknownKind, "kind"),
        (json!({"kind": "operator.mark", "text": "x"}), Reason::UnknownKind, "kind"),
        (json!({"input": "x"}), Reason::Malformed, "kind"),
        (json!({"kind": "device.input"}), Reason::Malformed, "input"),
        (json!({"kind": "device.input", "input": "  "}), Reason::Malformed, "input"),
        (json!({"kind": "device.input", "input": "x".repeat(65)}), Reason::Oversized, "input"),
        (json!({"kind": "device.input", "input": "x", "state": "open"}), Reason::Malformed, "state"),
        (json!({"kind": "device.input", "input": "x", "priority": "alarm"}), Reason::Malformed, "priority"),
        (json!({"kind": "device.input", "input": "x", "cause": "link/1"}), Reason::Malformed, "cause"),
        (json!({"kind": "device.input", "input": "x", "source": {"node": "a"}}), Reason::Malformed, "source"),
        (json!({"kind": "device.input", "input": "x", "count": 5}), Reason::Malformed, "count"),
        (json!(["device.input"]), Reason::Malformed, ""),
    ];
    for (value, reason, field) in bad {
        let refused = read(value.clone()).expect_err("a refusal");
        assert_eq!((refused.reason, refused.field.as_str()), (reason, field), "{value}");
    }
}

#[test]
fn marks_of_operators_are_rows_of_their_own() {
    let source = Source { node: node(), token: None, operator: Some("li".into()) };
    let kinds = vec![EventKind::OperatorMark];
    let poster = Poster { source, token: None, kinds, priority: Priority::Alarm };
    let at = |us: i64| json!({"kind": "operator.mark", "camera": camera(1), "at_us": us, "text": "红衣", "priority": "alarm"});
    let (one, two) = (poster.read(&at(NOW.0), NOW).unwrap(), poster.read(&at(NOW.0 + 1), NOW).unwrap());
    assert_ne!(one.cause, two.cause);
    assert_eq!((one.phase, one.priority, one.text.as_str()), (Phase::Point, Priority::Alarm, "红衣"));
    for missing in ["camera", "text"] {
        let mut body = at(NOW.0);
        body.as_object_mut().unwrap().remove(missing);
        assert_eq!(poster.read(&body, NOW).unwrap_err().field, missing);
    }
}

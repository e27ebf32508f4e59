//! Incidents as operators, other systems and supervisors meet them, in process.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use axum::body::Body;
use fengsui_duty::book::Book;
use fengsui_storage::journal::{JournalRecord, Reducer as _};
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use super::kit::{path, plan, raise, raised, theft, unit};
use crate::testing::{Answer, CAMERA, NAME, NOW, Node, from_afar, node, request};

const OTHER: &str = "33080200001320000002";

async fn open(node: &Node, cookie: &str, key: Option<&str>, body: &Value) -> Answer {
    let mut sent = request(Method::POST, "/api/v1/incidents", Some(cookie), Some(body));
    if let Some(key) = key {
        sent.headers_mut().insert("idempotency-key", key.parse().unwrap());
    }
    node.send(sent).await
}

#[tokio::test]
async fn an_incident_from_an_alarm_has_its_place_camera_and_link_and_a_number_of_the_day() {
    let node = node();
    let cookie = node.set_up().await;
    raised(&node, "a", raise(2)).await;
    raised(&node, "b", raise(3)).await;
    let body =
        json!({"kind": "theft", "title": "Door forced", "alarms": ["alarm/centre/a", "alarm/centre/b"]});
    let id = node.open(&cookie, body).await;
    let page = node.shown(&cookie, &path(&id)).await;
    let incident = &page["incident"];
    // By the clocks on the wall it is the evening of that day.
    assert_eq!((&incident["number"], &incident["level"]), (&json!("20260921-001"), &json!(2)));
    assert_eq!((&incident["channel"], &incident["state"]), (&json!("alarm"), &json!("open")));
    assert_eq!(incident["place"]["site_name"], "水亭门");
    assert_eq!(incident["place"]["point"], json!([28.97, 118.86]));
    assert_eq!(incident["cameras"], json!([{"camera": CAMERA, "name": "水亭门东", "node": "centre"}]));
    assert_eq!(incident["alarms"][0]["incident"], json!({"id": id, "number": "20260921-001"}));
    let alarm = node.shown(&cookie, "/api/v1/alarms/centre/a").await;
    assert_eq!((&alarm["alarm"]["state"], &alarm["alarm"]["owner"]), (&json!("in_progress"), &json!(NAME)));
    assert_eq!(alarm["incident"]["title"], "Door forced");
    let second = node.open(&cookie, theft()).await;
    assert_eq!(node.shown(&cookie, &path(&second)).await["incident"]["number"], "20260921-002");
    let list = node.shown(&cookie, "/api/v1/incidents").await;
    let rows: Vec<&str> =
        list["incidents"].as_array().unwrap().iter().map(|i| i["number"].as_str().unwrap()).collect();
    assert_eq!(rows, ["20260921-001", "20260921-002"]);
    assert_eq!((&list["counts"]["open"], &list["incidents"][0]["alarms"]), (&json!(2), &json!(2)));
    assert_eq!(node.told("incident").pop().unwrap()["number"], "20260921-002");
}

#[tokio::test]
async fn two_who_make_an_incident_of_one_alarm_make_one() {
    let node = node();
    let cookie = node.set_up().await;
    raised(&node, "a", raise(2)).await;
    let body = json!({"kind": "theft", "title": "Door forced", "alarms": ["alarm/centre/a"]});
    let (one, two) = tokio::join!(open(&node, &cookie, None, &body), open(&node, &cookie, None, &body));
    let (won, lost) = if one.status == StatusCode::CREATED { (one, two) } else { (two, one) };
    assert_eq!((won.status, lost.status), (StatusCode::CREATED, StatusCode::CONFLICT));
    let lost = lost.json();
    assert_eq!(
        (&lost["why"], &lost["alarm"]["state"]),
        (&json!("already_linked"), &json!("in_progress")),
        "{lost}"
    );
    let kinds = node.register.of("duty.acted");
    assert_eq!(kinds.iter().filter(|r| r["act"]["do"] == "open").count(), 1);
}

#[tokio::test]
async fn a_key_opens_one_incident_also_after_a_restart() {
    let first = node();
    let cookie = first.set_up().await;
    let answer = open(&first, &cookie, Some("k1"), &theft()).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    let again = open(&first, &cookie, Some("k1"), &theft()).await;
    assert_eq!((again.status, again.json()), (StatusCode::OK, answer.json()));
    let other =
        open(&first, &cookie, Some("k1"), &json!({"kind": "fire", "title": "x", "place": {"address": "y"}}))
            .await;
    assert_eq!(
        (other.status, other.json()["field"].as_str()),
        (StatusCode::CONFLICT, Some("Idempotency-Key"))
    );
    assert_eq!(open(&first, &cookie, Some("k2"), &theft()).await.status, StatusCode::CREATED);
    assert_eq!(open(&first, &cookie, Some("a b"), &theft()).await.status, StatusCode::BAD_REQUEST);
    // Another life of the node has what the journal has.
    let second = node();
    let cookie = second.set_up().await;
    let mut book = Book::default();
    for (seq, (kind, body)) in (1..).zip(first.register.rows.lock().clone()) {
        let record = JournalRecord {
            node: "centre".into(),
            epoch: 1,
            seq,
            at: NOW,
            kind,
            body,
            previous: [0; 32],
            hash: [0; 32],
        };
        book.apply(&record).unwrap();
        second.app.duty.take_record(&second.app, &record);
    }
    assert!(second.app.duty.read(|own| *own == book));
    let again = open(&second, &cookie, Some("k1"), &theft()).await;
    assert_eq!(
        (again.status, again.json()["incident"]["id"].clone()),
        (StatusCode::OK, answer.json()["incident"]["id"].clone())
    );
}

#[tokio::test]
async fn a_plan_is_copied_its_steps_go_in_order_and_a_skipped_one_is_told_until_it_is_seen() {
    let node = node();
    let cookie = node.set_up().await;
    let id = node.open(&cookie, theft()).await;
    let theft_plan = plan(&node).await.to_string();
    let page = node.shown(&cookie, &path(&id)).await;
    assert_eq!(page["plans"], json!([{"id": theft_plan, "name": "Theft"}]));
    let none = node.do_it(&cookie, &id, json!({"do": "use_plan", "plan": "plan/centre/none"})).await;
    assert_eq!((none.status, none.json()["field"].as_str()), (StatusCode::NOT_FOUND, Some("plan")));
    node.done(&cookie, &id, json!({"do": "use_plan", "plan": theft_plan})).await;
    let wrong = node.do_it(&cookie, &id, json!({"do": "step_done", "step": "call"})).await;
    assert_eq!((wrong.status, wrong.json()["why"].as_str()), (StatusCode::CONFLICT, Some("not_next")));
    assert_eq!(wrong.json()["incident"]["id"], json!(id), "the incident as it is now");
    let no_reason = node.do_it(&cookie, &id, json!({"do": "step_skipped", "step": "look"})).await;
    assert_eq!(
        (no_reason.status, no_reason.json()["field"].as_str()),
        (StatusCode::BAD_REQUEST, Some("reason"))
    );
    node.done(&cookie, &id, json!({"do": "step_skipped", "step": "look", "reason": "too dark"})).await;
    let plan = node.shown(&cookie, &path(&id)).await["incident"]["plan"].clone();
    assert_eq!((&plan["steps"][0]["state"], &plan["steps"][1]["state"]), (&json!("skipped"), &json!("next")));
    let told = node.told("notice");
    assert_eq!(
        (told.len(), &told[0]["kind"], &told[0]["reason"]),
        (1, &json!("step_skipped"), &json!("too dark"))
    );
    let listed = node.shown(&cookie, "/api/v1/duty/notices").await;
    assert_eq!(listed["items"], json!([told[0]]));
    let notice = told[0]["id"].as_str().unwrap();
    let seen = |notice: String| {
        request(Method::POST, &format!("/api/v1/duty/notices/{notice}/seen"), Some(&cookie), None)
    };
    assert_eq!(node.send(seen("centre.1.99".into())).await.status, StatusCode::NOT_FOUND);
    assert_eq!(node.send(seen(notice.into())).await.json()["items"], json!([]));
    let noted = node.register.of("duty.acted").len();
    assert_eq!(node.send(seen(notice.into())).await.status, StatusCode::OK, "again changes nothing");
    assert_eq!(node.register.of("duty.acted").len(), noted);
}

#[tokio::test]
async fn a_unit_is_copied_and_one_that_is_under_way_elsewhere_is_told() {
    let node = node();
    let cookie = node.set_up().await;
    let (near, far) =
        (unit(&node, "near", Some((28.97, 118.87))).await, unit(&node, "far", Some((28.9, 118.8))).await);
    raised(&node, "a", raise(2)).await;
    let here = node.open(&cookie, json!({"kind": "theft", "title": "x", "alarms": ["alarm/centre/a"]})).await;
    let there = node.open(&cookie, theft()).await;
    let units = node.shown(&cookie, &path(&here)).await["near"].clone();
    assert_eq!((&units[0]["unit"], &units[1]["unit"]), (&json!(near.to_string()), &json!(far.to_string())));
    assert_eq!((&units[0]["busy"], &units[0]["on_duty"]), (&json!(false), &json!(true)));
    let send = |order: &str| json!({"do": "dispatch", "unit": near.to_string(), "order": order});
    let sent = node.done(&cookie, &there, send("go")).await;
    assert_eq!((&sent["warning"], &sent["incident"]["state"]), (&Value::Null, &json!("handling")));
    let sent = node.done(&cookie, &here, send("")).await;
    assert!(sent["warning"].as_str().unwrap().contains("20260921-002"), "{sent}");
    let twice = node.do_it(&cookie, &here, send("again")).await;
    assert_eq!((twice.status, twice.json()["why"].as_str()), (StatusCode::CONFLICT, Some("already_sent")));
    let none = json!({"do": "dispatch", "unit": "unit/centre/none"});
    assert_eq!(node.do_it(&cookie, &here, none).await.status, StatusCode::NOT_FOUND);
    let page = node.shown(&cookie, &path(&there)).await;
    let dispatch = &page["incident"]["dispatches"][0];
    assert_eq!((&dispatch["unit"]["name"], &dispatch["progress"]), (&json!("Unit near"), &json!("sent")));
    let dispatch = dispatch["id"].as_str().unwrap();
    let arrived = json!({"do": "progressed", "id": dispatch, "to": "arrived"});
    node.done(&cookie, &there, arrived.clone()).await;
    assert_eq!(node.do_it(&cookie, &there, arrived).await.json()["why"], "not_forward");
}

#[tokio::test]
async fn bad_incidents_are_refused_by_field_and_remedy_and_change_nothing() {
    let node = node();
    let cookie = node.set_up().await;
    raised(&node, "closed", raise(2)).await;
    node.done(&cookie, "alarm/centre/closed", json!({"do": "dismiss", "reason": "test"})).await;
    node.done(&cookie, "alarm/centre/closed", json!({"do": "close"})).await;
    let with = |field: &str, value: Value| {
        let mut body = theft();
        body[field] = value;
        body
    };
    let before = node.register.of("duty.acted").len();
    for (body, status, field) in [
        (json!({"title": "x", "place": {"address": "y"}}), 400, "kind"),
        (json!({"kind": "theft", "title": "x"}), 400, "place"),
        (with("title", json!("")), 400, "title"),
        (with("place", json!({})), 400, "place"),
        (with("place", json!({"site": "33080200002160000009"})), 404, "place.site"),
        (with("place", json!({"point": [100.0, 0.0]})), 400, "place.point"),
        (with("level", json!(9)), 400, "level"),
        (with("channel", json!("pigeon")), 400, "channel"),
        (with("alarms", json!(["x"])), 400, "alarms[0]"),
        (with("alarms", json!(["alarm/centre/none"])), 404, "alarms"),
        (with("alarms", json!(["alarm/centre/closed"])), 409, "alarms"),
        (with("cameras", json!(["33080200001320000009"])), 404, "cameras"),
        (with("colour", json!("red")), 400, "colour"),
    ] {
        let answer = open(&node, &cookie, None, &body).await;
        let problem = answer.json();
        assert_eq!(
            (answer.status.as_u16(), problem["field"].as_str()),
            (status, Some(field)),
            "{body}: {problem}"
        );
        assert!(problem["remedy"].is_string(), "{body}");
    }
    assert_eq!(node.register.of("duty.acted").len(), before);
    let id = node.open(&cookie, theft()).await;
    for (act, status, field) in [
        (json!({"do": "open"}), 400, "do"),
        (json!({"do": "attach"}), 400, "do"),
        (json!({"do": "use_plan", "plan": "unit/a/b"}), 400, "plan"),
        (json!({"do": "dispatch"}), 400, "unit"),
        (json!({"do": "add_camera", "camera": "33080200001320000009"}), 404, "camera"),
        (json!({"do": "add_alarm", "alarm": "alarm/centre/none"}), 404, "alarm"),
        (json!({"do": "share", "node": "east"}), 404, "node"),
        (
            json!({"do": "add_clip", "camera": CAMERA, "from_us": 1_790_000_000_000_000_i64, "to_us": 1_790_000_000_000_000_i64}),
            400,
            "to_us",
        ),
    ] {
        let answer = node.do_it(&cookie, &id, act.clone()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()["field"].as_str()),
            (status, Some(field)),
            "{act}: {}",
            answer.json()
        );
    }
    assert_eq!(
        node.do_it(&cookie, "incident/centre/none", json!({"do": "close"})).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn another_system_opens_incidents_with_a_token_within_its_reach() {
    let node = node();
    let cookie = node.set_up().await;
    let token = json!({"name": "township", "cameras": [CAMERA], "kinds": ["device.input"]});
    let made = node.send(request(Method::POST, "/api/v1/tokens", Some(&cookie), Some(&token))).await.json();
    let secret = made["secret"].as_str().unwrap().to_owned();
    let post = |body: Value| {
        let sent = Request::builder()
            .method(Method::POST)
            .uri("/api/v1/incidents")
            .header("host", "fengsui.test")
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {secret}"))
            .body(Body::from(body.to_string()))
            .unwrap();
        node.send(from_afar(sent))
    };
    let told = |place: Value, cameras: Value| json!({"kind": "dispute", "title": "Neighbours", "channel": "township_centre", "reference": "T-7", "place": place, "cameras": cameras});
    let site = json!({"site": "33080200002160000001"});
    let answer = post(told(site.clone(), json!([CAMERA]))).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{:?}", answer.body);
    let id = answer.json()["incident"]["id"].as_str().unwrap().to_owned();
    let page = node.shown(&cookie, &path(&id)).await;
    assert_eq!(page["incident"]["opened_by"], json!({"kind": "token", "name": "township"}));
    assert_eq!(page["incident"]["reference"], "T-7");
    for (body, field) in [
        (told(json!({"address": "somewhere"}), json!([])), "place.site"),
        (told(site, json!([OTHER])), "cameras"),
    ] {
        let answer = post(body).await;
        assert_eq!((answer.status, answer.json()["field"].as_str()), (StatusCode::FORBIDDEN, Some(field)));
    }
}

#[tokio::test]
async fn an_alarm_is_added_from_either_side_and_both_know() {
    let node = node();
    let cookie = node.set_up().await;
    let id = node.open(&cookie, theft()).await;
    raised(&node, "a", raise(2)).await;
    raised(&node, "b", raise(2)).await;
    node.done(&cookie, &id, json!({"do": "add_alarm", "alarm": "alarm/centre/a"})).await;
    let linked = node.done(&cookie, "alarm/centre/b", json!({"do": "link", "incident": id})).await;
    assert_eq!(linked["alarm"]["incident"]["id"], json!(id));
    let page = node.shown(&cookie, &path(&id)).await;
    let names: Vec<&Value> =
        page["incident"]["alarms"].as_array().unwrap().iter().map(|a| &a["name"]).collect();
    assert_eq!(names, [&json!("a"), &json!("b")]);
    let other = node.open(&cookie, theft()).await;
    let twice = node.do_it(&cookie, &other, json!({"do": "add_alarm", "alarm": "alarm/centre/a"})).await;
    assert_eq!((twice.status, twice.json()["why"].as_str()), (StatusCode::CONFLICT, Some("already_linked")));
}

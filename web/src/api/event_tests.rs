//! Events as devices, operators and browsers meet them, in process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use fengsui_config::limits;
use fengsui_relay::event::rows::EventRows;
use fengsui_relay::event::{Event, EventKind, Phase, Priority, Source};
use fengsui_storage::journal::{JournalRecord, Reducer as _};
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use crate::desk;
use crate::testing::{Answer, CAMERA, NOW, Node, from_afar, node, request};

const OTHER: &str = "33080200001320000002";

/// A node whose desk writes.
fn desk_node() -> Node {
    let node = node();
    node.app.tasks.spawn(desk::run(node.app.clone()));
    node
}

impl Node {
    /// Makes a token; gives its id and its secret.
    async fn token(&self, cookie: &str, change: Value) -> (String, String) {
        let mut body = json!({"name": "gate", "cameras": [CAMERA], "kinds": ["device.input"]});
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        let made = self.send(request(Method::POST, "/api/v1/tokens", Some(cookie), Some(&body))).await;
        assert_eq!(made.status, StatusCode::CREATED, "{:?}", made.body);
        let made = made.json();
        (made["token"]["id"].as_str().unwrap().into(), made["secret"].as_str().unwrap().into())
    }

    async fn post(&self, secret: &str, key: Option<&str>, body: &Value) -> Answer {
        self.send(posted(secret, key, body)).await
    }

    async fn events(&self, query: &str, cookie: &str) -> Vec<Value> {
        let answer = self.get(&format!("/api/v1/events/{query}"), cookie).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
        answer.json()["items"].as_array().unwrap().clone()
    }

    fn noted(&self) -> usize {
        self.register.of("event.noted").len()
    }
}

/// Lets the other tasks run until something is so.
async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..100_000 {
        if holds() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("in vain: {what}");
}

fn posted(secret: &str, key: Option<&str>, body: &Value) -> Request<Body> {
    let builder =
        Request::builder().method(Method::POST).uri("/api/v1/events").header("host", "fengsui.test");
    let builder = builder
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {secret}"));
    let builder = key.into_iter().fold(builder, |b, key| b.header("idempotency-key", key));
    builder.body(Body::from(body.to_string())).unwrap()
}

fn door(state: &str) -> Value {
    json!({"events": [{"kind": "device.input", "camera": CAMERA, "input": "door-1", "state": state, "at_us": NOW.0}]})
}

#[tokio::test]
async fn a_device_sends_an_event_that_is_in_the_journal_before_the_answer() {
    let node = desk_node();
    let cookie = node.set_up().await;
    let (_, secret) = node.token(&cookie, json!({})).await;
    let answer = node.post(&secret, None, &door("on")).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{:?}", answer.body);
    let rows = node.register.of("event.noted");
    assert_eq!(rows.len(), 1);
    assert_eq!((&rows[0]["v"], &rows[0]["source"]), (&json!(1), &json!({"node": "centre", "token": "gate"})));
    let shown = node.events("rows", &cookie).await;
    assert_eq!(
        (&shown[0]["open"], &shown[0]["token"], &shown[0]["camera"]),
        (&json!(true), &json!("gate"), &json!(CAMERA))
    );
    assert_eq!(shown[0]["id"], answer.json()["items"][0]["row"]);
    node.post(&secret, None, &door("off")).await;
    let shown = node.events("rows", &cookie).await;
    assert_eq!((shown.len(), &shown[0]["open"], &shown[0]["count"]), (1, &json!(false), &json!(2)));
    let records = node.events(&format!("records?row={}", shown[0]["id"].as_str().unwrap()), &cookie).await;
    assert_eq!(
        records.iter().map(|r| r["phase"].clone()).collect::<Vec<_>>(),
        [json!("closes"), json!("opens")]
    );
}

#[tokio::test]
async fn without_the_journal_no_event_is_acknowledged() {
    let node = desk_node();
    let cookie = node.set_up().await;
    let (_, secret) = node.token(&cookie, json!({})).await;
    node.register.broken.store(true, Ordering::SeqCst);
    let answer = node.post(&secret, Some("k1"), &door("on")).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(answer.json()["remedy"].as_str().unwrap().contains("Idempotency-Key"));
    node.register.broken.store(false, Ordering::SeqCst);
    assert!(node.events("rows", &cookie).await.is_empty());
    let again = node.post(&secret, Some("k1"), &door("on")).await;
    assert_eq!(again.status, StatusCode::CREATED, "the key is free again");
}

#[tokio::test]
async fn bad_events_are_refused_by_field_value_and_remedy_and_change_nothing() {
    let node = desk_node();
    let cookie = node.set_up().await;
    let (_, secret) = node.token(&cookie, json!({})).await;
    let good = door("on")["events"][0].clone();
    let with = |field: &str, value: Value| {
        let mut bad = good.clone();
        bad[field] = value;
        json!({"events": [good.clone(), bad]})
    };
    let future = NOW.0 + i64::try_from(limits::EVENT_AHEAD_MAX.as_micros()).unwrap() + 1;
    let table = [
        (with("at_us", json!(future)), 400, "bad_request", "events[1].at_us", "future"),
        (with("at_us", json!(0)), 400, "bad_request", "events[1].at_us", "before_2000"),
        (with("at_us", json!("soon")), 400, "bad_request", "events[1].at_us", "malformed"),
        (with("kind", json!("weather.changed")), 400, "bad_request", "events[1].kind", "unknown_kind"),
        (with("kind", json!("camera.offline")), 400, "bad_request", "events[1].kind", "unknown_kind"),
        (with("kind", json!("operator.mark")), 400, "bad_request", "events[1].kind", "unknown_kind"),
        (
            with("camera", json!("33080200001320000009")),
            400,
            "bad_request",
            "events[1].camera",
            "unknown_camera",
        ),
        (with("camera", json!(OTHER)), 403, "forbidden", "events[1].camera", "scope"),
        (with("camera", Value::Null), 403, "forbidden", "events[1].camera", "scope"),
        (with("text", json!("x".repeat(501))), 413, "too_large", "events[1].text", "oversized"),
        (with("data", json!({"x": "y".repeat(5000)})), 413, "too_large", "events[1].data", "oversized"),
        (with("more", json!("y".repeat(20_000))), 413, "too_large", "events[1]", "oversized"),
        (with("v", json!(7)), 400, "bad_request", "events[1].v", "malformed"),
        (with("priority", json!("alarm")), 400, "bad_request", "events[1].priority", "malformed"),
        (json!({"events": []}), 400, "bad_request", "events", "oversized"),
        (
            json!({"events": vec![good.clone(); limits::EVENT_BATCH_MAX + 1]}),
            400,
            "bad_request",
            "events",
            "oversized",
        ),
        (json!({"events": [7]}), 400, "bad_request", "events[0]", "malformed"),
    ];
    let before = node.noted();
    for (body, status, code, field, reason) in table {
        let counted = |n: &Node| n.app.desk.stats().refused.get(reason).copied().unwrap_or(0);
        let refusals = counted(&node);
        let answer = node.post(&secret, None, &body).await;
        let problem = answer.json();
        assert_eq!(
            (answer.status.as_u16(), problem["code"].as_str()),
            (status, Some(code)),
            "{field}: {problem}"
        );
        assert_eq!(problem["field"], field, "{problem}");
        assert!(!problem["remedy"].as_str().unwrap().is_empty());
        assert_eq!(counted(&node), refusals + 1, "{reason} is counted");
    }
    let told = node.post(&secret, None, &with("at_us", json!(5))).await.json();
    assert_eq!(told["detail"], "events[1].at_us lies before the year 2000; it is 5.");
    assert_eq!(node.noted(), before, "the good event beside the bad one is not noted either");
    assert!(node.events("rows", &cookie).await.is_empty());
}

#[tokio::test]
async fn tokens_are_shown_once_hashed_at_rest_and_end_when_they_are_revoked() {
    let node = desk_node();
    let cookie = node.set_up().await;
    let (id, secret) = node.token(&cookie, json!({"rate": 60})).await;
    let rows = node.register.rows.lock().clone();
    assert!(!rows.iter().any(|(_, row)| row.to_string().contains(&secret)), "the journal has the hash alone");
    let list = node.get("/api/v1/tokens", &cookie).await;
    let text = String::from_utf8(list.body.to_vec()).unwrap();
    assert!(!text.contains(&secret) && !text.contains("secret"), "{text}");
    assert_eq!(
        (&list.json()["items"][0]["rate"], &list.json()["items"][0]["revoked"]),
        (&json!(60), &Value::Null)
    );
    let journal = node.get("/api/v1/journal?kind=token.", &cookie).await.json();
    assert_eq!(journal["items"][0]["body"]["secret_hash"], "***");
    assert_eq!(node.post(&secret, None, &door("on")).await.status, StatusCode::CREATED);
    for wrong in ["", "fst_x", &format!("{secret}x"), "Basic abc"] {
        let answer = node.post(wrong, None, &door("on")).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (StatusCode::UNAUTHORIZED, "token_refused"),
            "{wrong:?}"
        );
    }
    let path = format!("/api/v1/tokens/{id}/revoke");
    let revoke = || node.send(request(Method::POST, &path, Some(&cookie), None));
    assert_eq!(revoke().await.json()["revoked"]["by"], "li");
    assert_eq!(revoke().await.status, StatusCode::OK, "again changes nothing");
    assert_eq!(node.register.of("token.revoked").len(), 1);
    assert_eq!(node.post(&secret, None, &door("off")).await.status, StatusCode::UNAUTHORIZED);
    let unknown =
        node.send(request(Method::POST, "/api/v1/tokens/nothing/revoke", Some(&cookie), None)).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_token_opens_nothing_but_the_door_for_events_and_no_token_is_made_that_is_not_in_the_journal() {
    let node = desk_node();
    let cookie = node.set_up().await;
    let (_, secret) = node.token(&cookie, json!({})).await;
    for path in ["/api/v1/events/rows", "/api/v1/cameras", "/api/v1/tokens", "/api/v1/journal", "/metrics"] {
        let mut asked = request(Method::GET, path, None, None);
        asked.headers_mut().insert("authorization", format!("Bearer {secret}").parse().unwrap());
        assert_eq!(node.send(asked).await.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    let bad = [
        (json!({"name": "gate", "everywhere": true, "kinds": ["device.input"]}), "name"),
        (json!({"name": "b", "kinds": ["device.input"]}), "cameras"),
        (json!({"name": "b", "everywhere": true, "kinds": ["camera.offline"]}), "kinds"),
        (json!({"name": "b", "everywhere": true, "kinds": ["x"]}), "kinds"),
        (json!({"name": "b", "everywhere": true, "kinds": ["device.input"], "rate": 0}), "rate"),
        (json!({"name": "b", "places": [CAMERA], "kinds": ["device.input"]}), "places"),
        (json!({"name": "b", "everywhere": true, "kinds": ["device.input"], "scope": "all"}), "body"),
    ];
    for (body, field) in bad {
        let answer = node.send(request(Method::POST, "/api/v1/tokens", Some(&cookie), Some(&body))).await;
        assert_eq!(
            (answer.status, answer.json()["field"].as_str()),
            (StatusCode::BAD_REQUEST, Some(field)),
            "{body}"
        );
    }
    node.register.broken.store(true, Ordering::SeqCst);
    let body = json!({"name": "late", "everywhere": true, "kinds": ["device.input"]});
    let answer = node.send(request(Method::POST, "/api/v1/tokens", Some(&cookie), Some(&body))).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(node.app.auth.tokens.read().all().len(), 1);
}

#[tokio::test]
async fn wrong_tokens_are_slowed_down_and_good_ones_behind_the_same_address_are_not() {
    let node = desk_node();
    let cookie = node.set_up().await;
    let (_, secret) = node.token(&cookie, json!({})).await;
    for _ in 0..limits::LOGIN_ATTEMPTS_PER_MINUTE_MAX {
        assert_eq!(node.post("fst_old", None, &door("on")).await.status, StatusCode::UNAUTHORIZED);
    }
    let slowed = node.post("fst_old", None, &door("on")).await;
    assert_eq!((slowed.status, slowed.code().as_str()), (StatusCode::TOO_MANY_REQUESTS, "too_many_attempts"));
    assert_eq!(node.post(&secret, None, &door("on")).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_repeated_request_notes_nothing_twice_after_a_restart_too() {
    let node = desk_node();
    let cookie = node.set_up().await;
    let (_, secret) = node.token(&cookie, json!({"everywhere": true})).await;
    let event = |n: u32| json!({"kind": "device.input", "input": format!("i{n}")});
    let body = json!({"events": [event(1), event(2), event(3)]});
    let first = node.post(&secret, Some("k-1"), &body).await;
    assert_eq!(first.status, StatusCode::CREATED);
    let again = node.post(&secret, Some("k-1"), &body).await;
    assert_eq!((again.status, node.noted()), (StatusCode::OK, 3));
    let records = |a: &Answer| {
        a.json()["items"].as_array().unwrap().iter().map(|i| i["record"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(records(&again), records(&first), "the same answer");
    assert!(again.json()["items"].as_array().unwrap().iter().all(|i| i["repeated"] == true));
    let other = node.post(&secret, Some("k-1"), &json!({"events": [event(1)]})).await;
    assert_eq!(
        (other.status, other.json()["field"].as_str()),
        (StatusCode::CONFLICT, Some("Idempotency-Key"))
    );
    for bad in ["", "with space", &"x".repeat(129)] {
        let answer = node.post(&secret, Some(bad), &body).await;
        assert_eq!(answer.json()["field"], "Idempotency-Key", "{bad:?}");
    }
    // The process ends when two of the three are in the journal: the repetition brings the third alone.
    let journal = node.register.rows.lock().clone();
    let mut rows = EventRows::default();
    for (seq, (kind, body)) in (1..).zip(&journal).take(journal.len() - 1) {
        rows.apply(&record(seq, kind, body)).unwrap();
    }
    *node.app.desk.rows().write() = rows;
    node.register.rows.lock().pop();
    let mended = node.post(&secret, Some("k-1"), &body).await;
    assert_eq!((mended.status, node.noted()), (StatusCode::CREATED, 3));
    let repeated: Vec<Value> =
        mended.json()["items"].as_array().unwrap().iter().map(|i| i["repeated"].clone()).collect();
    assert_eq!(repeated, [json!(true), json!(true), json!(false)]);
}

fn record(seq: u64, kind: &str, body: &Value) -> JournalRecord {
    let (node, kind, body) = ("centre".to_owned(), kind.to_owned(), body.clone());
    JournalRecord { node, epoch: 1, seq, at: NOW, kind, body, previous: [0; 32], hash: [0; 32] }
}

#[tokio::test]
async fn the_rate_of_a_token_is_kept() {
    let node = desk_node();
    let cookie = node.set_up().await;
    let (_, secret) = node.token(&cookie, json!({"rate": 3})).await;
    for _ in 0..3 {
        assert_eq!(node.post(&secret, None, &door("pulse")).await.status, StatusCode::CREATED);
    }
    let refused = node.post(&secret, None, &door("pulse")).await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::TOO_MANY_REQUESTS, "too_many_events"));
    assert_eq!(refused.headers["retry-after"], "20");
    node.clock.advance(Duration::from_secs(20));
    assert_eq!(node.post(&secret, None, &door("pulse")).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_flood_is_folded_counted_exactly_and_delays_no_other_camera() {
    let node = desk_node();
    let cookie = node.set_up().await;
    let (_, secret) = node.token(&cookie, json!({"cameras": [CAMERA, OTHER]})).await;
    for _ in 0..limits::EVENT_LANE_BURST {
        assert_eq!(node.post(&secret, None, &door("pulse")).await.status, StatusCode::CREATED);
    }
    // 400 requests of ten events each, all at once, the clock standing still: all are folded and wait.
    let ten = json!({"events": vec![door("pulse")["events"][0].clone(); 10]});
    let flood: Vec<_> = (0..400)
        .map(|_| {
            let (router, sent) = (node.router.clone(), from_afar(posted(&secret, None, &ten)));
            node.app.tasks.spawn(async move {
                Answer::of(tower::ServiceExt::oneshot(router, sent).await.unwrap()).await.status
            })
        })
        .collect();
    until("the whole flood waits", || node.app.desk.stats().waiting == 4_000).await;
    let mut other = door("on");
    other["events"][0]["camera"] = json!(OTHER);
    let answer = node.post(&secret, None, &other).await;
    assert_eq!(answer.status, StatusCode::CREATED, "while the clock stands still, and the flood waits");
    assert_eq!(node.app.desk.stats().waiting, 4_000, "the flood still waits");
    node.clock.advance(Duration::from_secs(1));
    node.post(&secret, None, &other).await;
    for status in flood {
        assert_eq!(status.await.unwrap(), StatusCode::CREATED);
    }
    let rows = node.events(&format!("rows?camera={CAMERA}"), &cookie).await;
    assert_eq!((rows.len(), &rows[0]["count"]), (1, &json!(4_020)));
    assert!(rows[0]["records"].as_u64().unwrap() <= 23, "{}", rows[0]);
    let metrics = String::from_utf8(node.get("/metrics", &cookie).await.body.to_vec()).unwrap();
    for line in [
        "fengsui_events_total{kind=\"device.input\",priority=\"normal\"} 4022",
        "fengsui_events_waiting 0",
        "fengsui_event_records_pending 0",
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line} in {metrics}");
    }
}

#[tokio::test]
async fn an_operator_marks_a_camera_and_may_send_nothing_else() {
    let node = desk_node();
    let cookie = node.set_up().await;
    let body = json!({"events": [{"kind": "operator.mark", "camera": CAMERA, "text": "红衣男子", "priority": "alarm"}]});
    let send = |body: &Value| node.send(request(Method::POST, "/api/v1/events", Some(&cookie), Some(body)));
    assert_eq!(send(&body).await.status, StatusCode::CREATED);
    let rows = node.events("rows?kind=operator.&priority=alarm", &cookie).await;
    assert_eq!(
        (&rows[0]["operator"], &rows[0]["text"], &rows[0]["open"]),
        (&json!("li"), &json!("红衣男子"), &json!(false))
    );
    assert_eq!(send(&door("on")).await.json()["field"], "events[0].kind");
    let mut foreign = request(Method::POST, "/api/v1/events", Some(&cookie), Some(&body));
    foreign.headers_mut().insert("origin", "http://evil.test".parse().unwrap());
    assert_eq!(node.send(foreign).await.code(), "wrong_origin");
}

#[tokio::test]
async fn rows_and_records_are_narrowed_and_paged_by_opaque_cursors() {
    let node = desk_node();
    let cookie = node.set_up().await;
    let (_, secret) = node.token(&cookie, json!({"everywhere": true})).await;
    for n in 0..7 {
        let state = if n % 2 == 0 { "on" } else { "pulse" };
        let event = json!({"kind": "device.input", "camera": if n < 3 { CAMERA } else { OTHER }, "input": format!("i{n}"), "state": state});
        node.post(&secret, None, &json!({"events": [event]})).await;
    }
    for what in ["rows", "records"] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page =
                node.get(&format!("/api/v1/events/{what}?limit=2&cursor={cursor}"), &cookie).await.json();
            seen.extend(
                page["items"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|i| i["data"]["input"].as_str().unwrap().to_owned()),
            );
            match page["next"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
        }
        let expected = if what == "rows" {
            ["i6", "i4", "i2", "i0", "i5", "i3", "i1"]
        } else {
            ["i6", "i5", "i4", "i3", "i2", "i1", "i0"]
        };
        assert_eq!(seen, expected, "{what}");
    }
    assert_eq!(node.events("rows?open=true", &cookie).await.len(), 4);
    assert_eq!(node.events(&format!("rows?open=false&camera={OTHER}"), &cookie).await.len(), 2);
    assert_eq!(node.events("rows?priority=alarm,low", &cookie).await.len(), 0);
    assert_eq!(node.events("rows?kind=camera.", &cookie).await.len(), 0);
    let one = node.events("records?limit=1", &cookie).await[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(node.get(&format!("/api/v1/events/rows/{one}"), &cookie).await.json()["id"], one.as_str());
    for (query, field) in [
        ("rows?limit=0", "limit"),
        ("rows?cursor=!", "cursor"),
        ("rows?kind=weather", "kind"),
        ("records?camera=1", "camera"),
        ("records?cursor=abc", "cursor"),
        ("rows?priority=high", "priority"),
    ] {
        let refused = node.get(&format!("/api/v1/events/{query}"), &cookie).await;
        assert_eq!(
            (refused.status, refused.json()["field"].as_str()),
            (StatusCode::BAD_REQUEST, Some(field)),
            "{query}"
        );
    }
    assert_eq!(node.get("/api/v1/events/rows/centre.1.9999", &cookie).await.status, StatusCode::NOT_FOUND);
    assert_eq!(node.get("/api/v1/events/records?row=x", &cookie).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn browsers_are_told_of_every_record_with_its_row() {
    let node = desk_node();
    let cookie = node.set_up().await;
    let (_, secret) = node.token(&cookie, json!({})).await;
    let stream = node.send_streaming(request(Method::GET, "/api/v1/events", Some(&cookie), None)).await;
    node.post(&secret, None, &door("on")).await;
    let text = first_message(stream).await;
    assert!(
        text.contains("event: event") && text.contains("device.input") && text.contains("\"open\":true"),
        "{text}"
    );
}

/// The first piece of a stream that holds a whole message, behind the place at which it begins.
async fn first_message(response: axum::response::Response) -> String {
    use http_body_util::BodyExt as _;
    let mut body = response.into_body();
    let mut text = String::new();
    while !(text.contains("data: ") && text.ends_with("\n\n")) {
        let frame = body.frame().await.unwrap().unwrap();
        text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
    }
    text
}

#[tokio::test]
async fn the_nodes_own_events_are_tried_again_and_written_at_the_end() {
    let node = node();
    let cookie = node.set_up().await;
    let event = |n: i64| {
        let (kind, cause) = (EventKind::CameraOffline, format!("link/{n}"));
        let source = Source::node("centre".parse().unwrap());
        Event::new(kind, Priority::Normal, cause.clone(), Phase::Opens, NOW, source).part(cause)
    };
    node.register.broken.store(true, Ordering::SeqCst);
    node.app.desk.put_own(vec![event(1)]);
    let task = node.app.tasks.spawn(desk::run(node.app.clone()));
    until("the journal refuses", || node.app.desk.stats().failed > 0).await;
    node.register.broken.store(false, Ordering::SeqCst);
    node.clock.advance(limits::EVENT_RETRY_INTERVAL);
    node.app.desk.put_own(vec![event(2)]);
    until("both are noted", || node.noted() == 2).await;
    node.app.desk.put_own(vec![event(3)]);
    node.app.stop.cancel();
    task.await.unwrap();
    assert_eq!(node.noted(), 3);
    let app: &Arc<_> = &node.app;
    assert_eq!(app.desk.rows().read().open_parts("centre").count(), 3);
    drop(cookie);
}

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
use std::sync::Arc;
use std::time::Duration;

use fengsui_duty::act::{By, MatterId, Verb};
use fengsui_duty::alarm::AlarmVerb;
use fengsui_storage::segment::NodeKey;
use futures::StreamExt as _;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::auth::tokens::{Scope, Token, TokenDraft};
use crate::testing::{CAMERA, NAME, NOW, Node, node, request};

const HOUR_US: i64 = 3_600_000_000;

fn alarm(name: &str) -> MatterId {
    format!("alarm/centre/{name}").parse().unwrap()
}

async fn act(node: &Node, name: &str, body: Value) {
    let verb: AlarmVerb = serde_json::from_value(body).unwrap();
    let by = match verb {
        AlarmVerb::Raise(_) => By::system("gate"),
        _ => By::person(NAME),
    };
    node.app.duty.act(&node.app, &alarm(name), Verb::Alarm(verb), by).await.unwrap();
}

async fn raise(node: &Node, name: &str) {
    let raise = json!({"do": "raise", "rule": "rule/centre/gate", "rule_name": "=gate", "kind": "device.input", "level": 2,
        "camera": CAMERA, "cause": name, "first_us": NOW.0, "count": 1, "due_s": 60, "hold_days": 0});
    act(node, name, raise).await;
}

#[tokio::test]
async fn a_report_counts_what_was_done_and_says_of_how_many() {
    let node = node();
    let cookie = node.set_up().await;
    for name in ["a1", "a2"] {
        raise(&node, name).await;
    }
    node.clock.advance(Duration::from_secs(20));
    act(&node, "a1", json!({"do": "acknowledge"})).await;
    act(&node, "a1", json!({"do": "resolve", "result": "done"})).await;
    act(&node, "a1", json!({"do": "close"})).await;
    node.clock.advance(Duration::from_secs(70));
    let path = format!("/api/v1/reports?from_us={}&to_us={}&by=area", NOW.0 - HOUR_US, NOW.0 + HOUR_US);
    let report = node.get(&path, &cookie).await.json();
    assert_eq!(report["total"]["alarms"], 2, "{report}");
    assert_eq!(report["total"]["disposed"], json!({"part": 1, "of": 2}));
    assert_eq!(report["total"]["overdue"], json!({"part": 1, "of": 2}));
    assert_eq!(
        report["total"]["acknowledge"],
        json!({"n": 1, "median_us": 20_000_000, "p95_us": 20_000_000})
    );
    assert_eq!(report["rows"][0]["name"], "柯城分中心", "by the camera's site");
    assert_eq!((&report["made_by"], &report["whole_since_us"]), (&json!(NAME), &Value::Null));
    let csv = node.get(&path.replace("reports?", "reports.csv?").replace("area", "rule"), &cookie).await;
    assert_eq!(csv.headers["content-type"], "text/csv; charset=utf-8");
    let text = String::from_utf8(csv.body.to_vec()).unwrap();
    assert!(text.starts_with("\u{feff}key,name,alarms,"), "{text}");
    assert!(text.contains("\r\nrule/centre/gate,'=gate,2,1,20.000,20.000,"), "{text}");
}

#[tokio::test]
async fn a_range_turned_round_or_too_long_is_refused_with_field_and_remedy() {
    let node = node();
    let cookie = node.set_up().await;
    let long = NOW.0 + 401 * 24 * HOUR_US;
    for (query, field) in [
        (format!("from_us={}&to_us={}", NOW.0, NOW.0 - 1), "to_us"),
        (format!("from_us={}&to_us={}", NOW.0, NOW.0), "to_us"),
        (format!("from_us={}&to_us={long}", NOW.0), "to_us"),
        (format!("to_us={}", NOW.0), "from_us"),
        (format!("from_us={}&to_us={}&by=week", NOW.0, NOW.0 + 1), "by"),
        (format!("from_us={}&to_us={}&utc_offset_min=900", NOW.0, NOW.0 + 1), "utc_offset_min"),
    ] {
        for path in ["reports", "reports.csv"] {
            let answer = node.get(&format!("/api/v1/{path}?{query}"), &cookie).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path} {query}");
            assert_eq!(answer.json()["field"], field, "{query}");
            assert!(answer.json()["remedy"].as_str().is_some_and(|r| !r.is_empty()), "{query}");
        }
    }
}

/// Makes an account for somebody on duty and logs in with it; returns the cookie.
async fn operator(node: &Node, cookie: &str, name: &str) -> String {
    let body = json!({"name": name, "password": "correct horse too", "roles": ["operator"]});
    let made = post(node, cookie, "/api/v1/accounts", body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{:?}", made.body);
    let body = json!({"name": name, "password": "correct horse too"});
    node.send(request(Method::POST, "/api/v1/session", None, Some(&body))).await.cookie()
}

async fn post(node: &Node, cookie: &str, path: &str, body: Value) -> crate::testing::Answer {
    node.send(request(Method::POST, path, Some(cookie), Some(&body))).await
}

#[tokio::test]
async fn a_shift_is_handed_over_with_a_signature_and_taken_once() {
    let node = node();
    let cookie = node.set_up().await;
    let other = "wang";
    let theirs = operator(&node, &cookie, other).await;
    let over = "/api/v1/shift/hand-over";
    let unsigned = post(&node, &cookie, over, json!({"to": other, "note": "n"})).await;
    assert_eq!(unsigned.status, StatusCode::SERVICE_UNAVAILABLE);
    node.app.outward.sign_with(Arc::new(NodeKey::from_seed([7; 32])));
    for (body, field) in [
        (json!({"to": "nobody", "note": "n"}), "to"),
        (json!({"to": NAME, "note": "n"}), "to"),
        (json!({"to": other, "note": " "}), "note"),
        (json!({"to": other, "note": "x".repeat(4001)}), "note"),
    ] {
        let answer = post(&node, &cookie, over, body).await;
        assert_eq!((answer.status, answer.json()["field"].as_str()), (StatusCode::BAD_REQUEST, Some(field)));
    }
    assert_eq!(node.get("/api/v1/shift", &cookie).await.json()["hand_over"], Value::Null);
    raise(&node, "a1").await;
    let handed = post(&node, &cookie, over, json!({"to": other, "note": "水亭门东 的门"})).await;
    let shift = handed.json();
    assert_eq!(shift["hand_over"]["signature"], "good", "{shift}");
    assert_eq!(shift["hand_over"]["open"]["new"], 1);
    // Whoever was not named is told so.
    let wrong = post(&node, &cookie, "/api/v1/shift/take-over", json!({})).await;
    assert_eq!((wrong.status, wrong.code().as_str()), (StatusCode::CONFLICT, "conflict"));
    let taken = post(&node, &theirs, "/api/v1/shift/take-over", json!({"note": "ok"})).await;
    assert!(taken.json()["hand_over"]["taken_us"].is_i64(), "{:?}", taken.body);
    let again = post(&node, &theirs, "/api/v1/shift/take-over", json!({})).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    // With another key of the node it is still whole, and told apart.
    node.app.outward.sign_with(Arc::new(NodeKey::from_seed([8; 32])));
    let elsewhere = node.get("/api/v1/shift", &cookie).await.json();
    assert_eq!(elsewhere["hand_over"]["signature"], "other_key");
}

#[tokio::test]
async fn a_stream_goes_on_behind_the_last_act_that_was_seen() {
    let node = node();
    let cookie = node.set_up().await;
    raise(&node, "a1").await;
    act(&node, "a1", json!({"do": "acknowledge"})).await;
    let seen = node.app.outward.after(0);
    let crate::duty::outward::Next::Event(first) = seen else { unreachable!("{seen:?}") };
    let mut asked = request(Method::GET, "/api/v1/duty/stream", Some(&cookie), None);
    asked.headers_mut().insert("last-event-id", first.event.id.parse().unwrap());
    let answer = node.send_streaming(asked).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let mut body = answer.into_body().into_data_stream();
    let text = String::from_utf8(body.next().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(text.contains("event: fengsui.alarm.acknowledge"), "{text}");
    assert!(text.contains("\"specversion\":\"1.0\""), "{text}");
    let mut unknown = request(Method::GET, "/api/v1/duty/stream", Some(&cookie), None);
    unknown.headers_mut().insert("last-event-id", "centre.9.9".parse().unwrap());
    let mut body = node.send_streaming(unknown).await.into_body().into_data_stream();
    let text = String::from_utf8(body.next().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(text.contains("event: resync"), "{text}");
}

#[tokio::test]
async fn a_token_reads_the_stream_only_where_it_may() {
    let node = node();
    node.set_up().await;
    for (name, read_duty, status) in
        [("reader", true, StatusCode::OK), ("gate", false, StatusCode::FORBIDDEN)]
    {
        let scope = Scope { read_duty, everywhere: !read_duty, ..Scope::default() };
        let (draft, secret) = TokenDraft::new(name.into(), scope, 60).unwrap();
        let token = Token { draft, by: NAME.into(), at_us: NOW, revoked: None };
        node.app.auth.tokens.write().add(token);
        let mut asked = request(Method::GET, "/api/v1/duty/stream", None, None);
        asked.headers_mut().insert("authorization", format!("Bearer {secret}").parse().unwrap());
        let answer = node.send_streaming(asked).await;
        assert_eq!(answer.status(), status, "{name}");
    }
}

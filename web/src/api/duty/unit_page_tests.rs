//! The link of a dispatch and the page of a unit, through the API.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::time::Duration;

use fengsui_config::limits;
use fengsui_duty::act::{By, MatterId, Verb};
use fengsui_duty::alarm::Level;
use fengsui_duty::define::Net;
use fengsui_duty::incident::{Channel, IncidentVerb, Open, Progress, SentUnit, Where};
use fengsui_duty::ledger::Ledger;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::unit_tests::{SITE, made, post, send, unit};
use crate::auth::register::kinds;
use crate::testing::{Answer, CAMERA, NAME, Node, PASSWORD, node, request};

async fn act(node: &Node, incident: &MatterId, verb: IncidentVerb) {
    node.app.duty.act(&node.app, incident, Verb::Incident(verb), By::person("li")).await.unwrap();
}

/// An incident to which `unit` is sent, as dispatch `d1`.
async fn incident(node: &Node, name: &str, unit: &str) -> MatterId {
    let id: MatterId = format!("incident/centre/{name}").parse().unwrap();
    let open = Open {
        number: format!("20261129-{name}"),
        kind: "治安".into(),
        title: format!("事件{name}"),
        text: "两人争执".into(),
        level: Level::try_from(2).unwrap(),
        place: Where { site: Some(SITE.into()), address: "南侧".into(), point: None },
        channel: Channel::Telephone,
        reference: String::new(),
        alarms: [].into(),
        cameras: [CAMERA.parse().unwrap()].into(),
        nodes: [].into(),
    };
    act(node, &id, IncidentVerb::Open(open)).await;
    let unit = SentUnit {
        id: unit.parse().unwrap(),
        name: "一号车".into(),
        net: Net::Street,
        contact: "806".into(),
    };
    act(node, &id, IncidentVerb::Dispatch { id: "d1".into(), unit, order: "到场处置".into() }).await;
    id
}

fn path(incident: &MatterId) -> String {
    format!("/api/v1/incidents/{}/{}/dispatches/d1/link", incident.home, incident.name)
}

/// Makes a link; gives its secret.
async fn link(node: &Node, cookie: &str, incident: &MatterId) -> String {
    let made = post(node, &path(incident), cookie, json!({"contact": "0570-110"})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{:?}", made.body);
    let url = made.json()["url"].as_str().unwrap().to_owned();
    url.strip_prefix("/unit#").unwrap().to_owned()
}

async fn open(node: &Node, token: &str, cookie: Option<&str>) -> Answer {
    node.send(request(Method::POST, "/api/v1/unit/session", cookie, Some(&json!({"token": token})))).await
}

async fn tell(node: &Node, device: &str, to: &str, result: &str) -> Answer {
    post(node, "/api/v1/unit/progress", device, json!({"to": to, "result": result})).await
}

fn progress(node: &Node, incident: &MatterId) -> Progress {
    node.app
        .duty
        .read(|book| book.incidents.get(incident).and_then(Ledger::state).unwrap().dispatches["d1"].progress)
}

#[tokio::test]
async fn a_unit_takes_its_order_through_to_done_and_the_link_ends_with_it() {
    let node = node();
    let cookie = node.set_up().await;
    let id = incident(&node, "a", "unit/centre/x").await;
    let opened = open(&node, &link(&node, &cookie, &id).await, None).await;
    assert_eq!(opened.status, StatusCode::OK, "{:?}", opened.body);
    let header = opened.headers["set-cookie"].to_str().unwrap().to_owned();
    for part in ["fengsui-unit-8080=", "; Path=/api/v1/unit;", "HttpOnly", "SameSite=Strict"] {
        assert!(header.contains(part), "{header}");
    }
    let device = opened.cookie();
    let order = node.get("/api/v1/unit/order", &device).await.json();
    assert_eq!(
        (&order["number"], &order["order"], &order["contact"], &order["by"]),
        (&json!("20261129-a"), &json!("到场处置"), &json!("0570-110"), &json!("li"))
    );
    assert_eq!(
        (&order["place"]["site_name"], &order["cameras"], &order["level"]),
        (&json!("水亭门"), &json!(["水亭门东"]), &json!(2))
    );
    assert_eq!(tell(&node, &device, "received", "").await.json()["progress"], "received");
    assert_eq!(tell(&node, &device, "received", "").await.status, StatusCode::CONFLICT, "not twice");
    assert_eq!(tell(&node, &device, "arrived", "").await.json()["progress"], "arrived");
    for (to, result, field) in
        [("done", " ", "result"), ("recalled", "x", "to"), ("sent", "", "to"), ("", "", "to")]
    {
        let answer = tell(&node, &device, to, result).await;
        assert_eq!(
            (answer.status, answer.json()["field"].as_str()),
            (StatusCode::BAD_REQUEST, Some(field)),
            "{to}"
        );
    }
    assert_eq!(progress(&node, &id), Progress::Arrived);
    let done = tell(&node, &device, "done", "已劝离").await;
    assert_eq!((done.status, &done.json()["result"]), (StatusCode::OK, &json!("已劝离")));
    assert_eq!(progress(&node, &id), Progress::Done);
    let acts = node.register.of(kinds::DUTY_ACTED);
    assert_eq!(acts.last().unwrap()["by"], json!({"kind": "unit", "name": "一号车"}));
    let after = node.get("/api/v1/unit/order", &device).await;
    assert_eq!((after.status, after.code().as_str()), (StatusCode::GONE, "link_over"));
    assert_eq!(tell(&node, &device, "declined", "x").await.status, StatusCode::GONE);
    assert_eq!(
        post(&node, "/api/v1/unit/position", &device, json!({"lat": 28.97, "lon": 118.86})).await.status,
        StatusCode::GONE
    );
}

#[tokio::test]
async fn a_link_is_opened_once_and_the_second_device_hears_whom_to_call() {
    let node = node();
    let cookie = node.set_up().await;
    let id = incident(&node, "a", "unit/centre/x").await;
    let token = link(&node, &cookie, &id).await;
    let device = open(&node, &token, None).await.cookie();
    let second = open(&node, &token, None).await;
    assert_eq!((second.status, second.code().as_str()), (StatusCode::CONFLICT, "conflict"));
    assert!(second.headers.get("set-cookie").is_none());
    assert!(second.json()["remedy"].as_str().unwrap().contains("li, 0570-110"), "{}", second.json());
    let again = open(&node, &token, Some(&device)).await;
    assert_eq!(
        (again.status, again.headers.get("set-cookie")),
        (StatusCode::OK, None),
        "the device that has it may come back"
    );
    assert_eq!(node.get("/api/v1/unit/order", &device).await.status, StatusCode::OK);
    assert_eq!(node.register.of(kinds::DUTY_LINK_USED).len(), 1);
    // Neither the cookie of the desk nor the link itself opens the order.
    assert_eq!(node.get("/api/v1/unit/order", &cookie).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        node.get("/api/v1/unit/order", &format!("fengsui-unit-8080={token}")).await.status,
        StatusCode::UNAUTHORIZED
    );
    // And the cookie of the unit opens nothing else.
    for path in ["/api/v1/session", "/api/v1/units", "/api/v1/cameras", "/api/v1/events"] {
        assert_eq!(node.get(path, &device).await.status, StatusCode::UNAUTHORIZED, "{path}");
    }
}

#[tokio::test]
async fn a_device_sees_and_moves_its_own_incident_only() {
    let node = node();
    let cookie = node.set_up().await;
    let (one, two) =
        (incident(&node, "a", "unit/centre/x").await, incident(&node, "b", "unit/centre/y").await);
    let first = open(&node, &link(&node, &cookie, &one).await, None).await.cookie();
    let second = open(&node, &link(&node, &cookie, &two).await, None).await.cookie();
    assert_eq!(node.get("/api/v1/unit/order", &first).await.json()["number"], "20261129-a");
    assert_eq!(node.get("/api/v1/unit/order", &second).await.json()["number"], "20261129-b");
    let sneaky = json!({"to": "received", "result": "", "incident": "incident/centre/b", "id": "d1"});
    assert_eq!(post(&node, "/api/v1/unit/progress", &first, sneaky).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(tell(&node, &first, "received", "").await.status, StatusCode::OK);
    assert_eq!((progress(&node, &one), progress(&node, &two)), (Progress::Received, Progress::Sent));
    let at = post(&node, "/api/v1/unit/position", &first, json!({"lat": 28.97, "lon": 118.86})).await;
    assert_eq!(at.status, StatusCode::OK);
    let known = |id: &str| node.app.units.positions.of(&id.parse().unwrap()).is_some();
    assert!(known("unit/centre/x") && !known("unit/centre/y"));
}

#[tokio::test]
async fn a_link_ends_by_recall_by_revocation_by_another_and_by_time() {
    let node = node();
    let cookie = node.set_up().await;
    let id = incident(&node, "a", "unit/centre/x").await;
    let token = link(&node, &cookie, &id).await;
    let device = open(&node, &token, None).await.cookie();
    let newer = link(&node, &cookie, &id).await;
    assert_eq!(
        node.get("/api/v1/unit/order", &device).await.status,
        StatusCode::UNAUTHORIZED,
        "another link was made"
    );
    assert_eq!(open(&node, &token, None).await.status, StatusCode::UNAUTHORIZED);
    let gone = send(&node, Method::DELETE, &path(&id), &cookie, None, None).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(open(&node, &newer, None).await.code(), "token_refused");
    assert_eq!(node.register.of(kinds::DUTY_LINK_ENDED).len(), 1);

    let token = link(&node, &cookie, &id).await;
    let device = open(&node, &token, None).await.cookie();
    node.clock.advance(limits::UNIT_LINK_LIFE - Duration::from_secs(1));
    assert_eq!(node.get("/api/v1/unit/order", &device).await.status, StatusCode::OK);
    node.clock.advance(Duration::from_secs(1));
    assert_eq!(node.get("/api/v1/unit/order", &device).await.code(), "link_over");
    assert_eq!(open(&node, &token, Some(&device)).await.status, StatusCode::UNAUTHORIZED);

    // The desk's own session is over by then too.
    let body = json!({"name": NAME, "password": PASSWORD});
    let cookie = node.send(request(Method::POST, "/api/v1/session", None, Some(&body))).await.cookie();
    let device = open(&node, &link(&node, &cookie, &id).await, None).await.cookie();
    act(
        &node,
        &id,
        IncidentVerb::Progressed { id: "d1".into(), to: Progress::Recalled, result: "误报".into() },
    )
    .await;
    let over = node.get("/api/v1/unit/order", &device).await;
    assert_eq!((over.status, over.code().as_str()), (StatusCode::GONE, "link_over"));
    assert!(over.json()["detail"].as_str().unwrap().contains("called the unit back"));
    let late = post(&node, &path(&id), &cookie, json!({})).await;
    assert_eq!(
        (late.status, late.code().as_str()),
        (StatusCode::CONFLICT, "conflict"),
        "no link for what has ended"
    );
}

#[tokio::test]
async fn who_guesses_links_is_slowed_down() {
    let node = node();
    let cookie = node.set_up().await;
    let id = incident(&node, "a", "unit/centre/x").await;
    let token = link(&node, &cookie, &id).await;
    for _ in 0..limits::LOGIN_ATTEMPTS_PER_MINUTE_MAX {
        assert_eq!(open(&node, "guess", None).await.status, StatusCode::UNAUTHORIZED);
    }
    let slowed = open(&node, &token, None).await;
    assert_eq!((slowed.status, slowed.code().as_str()), (StatusCode::TOO_MANY_REQUESTS, "too_many_attempts"));
    node.clock.advance(Duration::from_secs(61));
    assert_eq!(open(&node, &token, None).await.status, StatusCode::OK);
}

#[tokio::test]
async fn neither_journal_nor_memory_holds_the_secret_of_a_link_or_a_device() {
    let node = node();
    let cookie = node.set_up().await;
    let id = incident(&node, "a", "unit/centre/x").await;
    let token = link(&node, &cookie, &id).await;
    let device = open(&node, &token, None).await.cookie();
    let device = device.split_once('=').unwrap().1;
    let rows = format!("{:?}", node.register.rows.lock());
    let memory = format!("{:?}", node.app.units);
    for secret in [&*token, device] {
        assert_eq!(secret.len(), 43, "256 bits");
        assert!(!rows.contains(secret) && !memory.contains(secret));
    }
    let shown = node.get("/api/v1/journal", &cookie).await;
    for row in [kinds::DUTY_LINK_MADE, kinds::DUTY_LINK_USED] {
        let hash = node.register.of(row)[0]["token_hash"].as_str().unwrap().to_owned();
        assert!(!String::from_utf8_lossy(&shown.body).contains(&hash), "people do not see the hash either");
    }
}

#[tokio::test]
async fn what_the_journal_does_not_take_did_not_happen() {
    let node = node();
    let cookie = node.set_up().await;
    let id = incident(&node, "a", "unit/centre/x").await;
    let token = link(&node, &cookie, &id).await;
    let broken = |on| node.register.broken.store(on, std::sync::atomic::Ordering::SeqCst);
    broken(true);
    assert_eq!(open(&node, &token, None).await.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(post(&node, &path(&id), &cookie, json!({})).await.status, StatusCode::INTERNAL_SERVER_ERROR);
    broken(false);
    let device = open(&node, &token, None).await;
    assert_eq!(device.status, StatusCode::OK, "the link is still whole");
    broken(true);
    assert_eq!(tell(&node, &device.cookie(), "received", "").await.status, StatusCode::INTERNAL_SERVER_ERROR);
    broken(false);
    assert_eq!(progress(&node, &id), Progress::Sent);
}

#[tokio::test]
async fn a_unit_under_way_is_busy_and_stays_until_it_is_done() {
    let node = node();
    let cookie = node.set_up().await;
    let path = made(&node, &cookie, unit("一号车")).await;
    let id = format!("unit/{}", path.strip_prefix("/api/v1/units/").unwrap());
    made(&node, &cookie, unit("二号车")).await;
    let incident = incident(&node, "a", &id).await;
    let list = node.get("/api/v1/units", &cookie).await.json();
    let items: &Vec<Value> = list["items"].as_array().unwrap();
    let busy: Vec<_> = items.iter().filter(|u| u["busy"] != json!([])).collect();
    assert_eq!(
        (busy.len(), &busy[0]["busy"][0]["number"], &busy[0]["busy"][0]["progress"]),
        (1, &json!("20261129-a"), &json!("sent"))
    );
    let near = node.get(&format!("/api/v1/units/near?site={SITE}"), &cookie).await.json();
    let names: Vec<_> =
        near["items"].as_array().unwrap().iter().map(|u| (u["name"].clone(), u["busy"].clone())).collect();
    assert_eq!(names, [(json!("二号车"), json!(false)), (json!("一号车"), json!(true))]);
    let refused = send(&node, Method::DELETE, &path, &cookie, None, Some(1)).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    act(
        &node,
        &incident,
        IncidentVerb::Progressed { id: "d1".into(), to: Progress::Recalled, result: "x".into() },
    )
    .await;
    assert_eq!(
        send(&node, Method::DELETE, &path, &cookie, None, Some(1)).await.status,
        StatusCode::NO_CONTENT
    );
}

//! Alarms as operators and browsers meet them, in process.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::sync::atomic::Ordering;
use std::time::Duration;

use fengsui_config::limits;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::kit::{alarm_id, counted, path, raise, raised};
use crate::duty::clock;
use crate::testing::{CAMERA, NAME, NOW, Node, node, request};

async fn ids(node: &Node, cookie: &str, query: &str) -> Vec<String> {
    let page = node.shown(cookie, &format!("/api/v1/alarms?{query}")).await;
    page["alarms"].as_array().unwrap().iter().map(|a| a["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn alarms_are_listed_by_level_then_age_page_by_page_and_narrowed() {
    let node = node();
    let cookie = node.set_up().await;
    for (name, level) in [("a", 3), ("b", 1), ("c", 3), ("d", 2)] {
        raised(&node, name, raise(level)).await;
        node.clock.advance(Duration::from_secs(1));
    }
    node.done(&cookie, "alarm/centre/c", json!({"do": "acknowledge"})).await;
    assert_eq!(ids(&node, &cookie, "").await, ["b", "d", "a", "c"]);
    let first = node.shown(&cookie, "/api/v1/alarms?limit=3").await;
    let next = first["next"].as_str().unwrap();
    assert_eq!(ids(&node, &cookie, &format!("limit=3&before={next}")).await, ["c"]);
    let counts = json!({"new": 3, "acknowledged": 1, "in_progress": 0, "snoozed": 0, "overdue": 0, "conflicts": 0,
        "by_level": {"1": 1, "2": 1, "3": 2, "4": 0}});
    assert_eq!((&first["counts"], &first["now_us"]), (&counts, &json!(NOW.0 + 4_000_000)));
    for (query, wanted) in [
        ("level=1,2", vec!["b", "d"]),
        (&format!("owner={NAME}") as &str, vec!["c"]),
        ("camera=33080200001320000002", vec![]),
        (&format!("camera={CAMERA}&level=3"), vec!["a", "c"]),
        ("site=33080200002160000001&level=1", vec!["b"]),
        ("rule=rule/centre/other", vec![]),
        ("state=settled", vec![]),
        ("conflict=true", vec![]),
    ] {
        assert_eq!(ids(&node, &cookie, query).await, wanted, "{query}");
    }
    node.done(&cookie, "alarm/centre/a", json!({"do": "dismiss", "reason": "animal"})).await;
    node.done(
        &cookie,
        "alarm/centre/c",
        json!({"do": "snooze", "until_us": NOW.0 + 60_000_000, "reason": "wait"}),
    )
    .await;
    assert_eq!(ids(&node, &cookie, "").await, ["b", "d"]);
    assert_eq!(ids(&node, &cookie, "state=snoozed").await, ["c"]);
    assert_eq!(ids(&node, &cookie, "state=settled").await, ["a"]);
    assert_eq!(ids(&node, &cookie, "state=all").await, ["b", "d", "c", "a"], "what is over stands behind");
    node.clock.advance(Duration::from_secs(60));
    assert_eq!(ids(&node, &cookie, "overdue=true").await, ["b", "d"]);
    assert_eq!(ids(&node, &cookie, "").await, ["b", "d", "c"], "its snooze is over");
    for (query, field) in
        [("state=odd", "state"), ("level=9", "level"), ("before=x", "before"), ("limit=0", "limit")]
    {
        let answer = node.get(&format!("/api/v1/alarms?{query}"), &cookie).await;
        assert_eq!((answer.status, answer.json()["field"].as_str()), (StatusCode::BAD_REQUEST, Some(field)));
        assert!(answer.json()["remedy"].is_string(), "{query}");
    }
}

#[tokio::test]
async fn of_two_who_act_at_once_one_is_told_what_the_other_did() {
    let node = node();
    let cookie = node.set_up().await;
    let id = raised(&node, "a", raise(2)).await.to_string();
    let acknowledge = json!({"do": "acknowledge"});
    let (one, two) =
        tokio::join!(node.do_it(&cookie, &id, acknowledge.clone()), node.do_it(&cookie, &id, acknowledge));
    let (won, lost) = if one.status == StatusCode::OK { (one, two) } else { (two, one) };
    assert_eq!((won.status, lost.status), (StatusCode::OK, StatusCode::CONFLICT));
    let (won, lost) = (won.json(), lost.json());
    assert_eq!((&won["alarm"]["state"], &won["alarm"]["owner"]), (&json!("acknowledged"), &json!(NAME)));
    assert!(won["act"].as_str().unwrap().starts_with("centre.1."));
    assert_eq!((&lost["code"], &lost["why"]), (&json!("conflict"), &json!("already_acknowledged")), "{lost}");
    assert_eq!(lost["alarm"], won["alarm"], "the alarm as it is now");
    assert!(lost["detail"].as_str().unwrap().contains(NAME) && lost["remedy"].is_string());
    assert_eq!(node.register.of("duty.acted").len(), 2, "raised and acknowledged, once");
    let page = node.shown(&cookie, &path(&id)).await;
    let acts: Vec<&str> =
        page["acts"].as_array().unwrap().iter().map(|a| a["do"].as_str().unwrap()).collect();
    assert_eq!(acts, ["raise", "acknowledge"]);
    let metrics = String::from_utf8(node.get("/metrics", &cookie).await.body.to_vec()).unwrap();
    for line in [
        "fengsui_alarms_open{level=\"2\",state=\"acknowledged\"} 1",
        "fengsui_duty_acts_total{kind=\"alarm\",outcome=\"done\"} 2",
        "fengsui_duty_acts_total{kind=\"alarm\",outcome=\"refused\"} 1",
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line} in {metrics}");
    }
}

#[tokio::test]
async fn bad_acts_are_refused_by_field_and_remedy_and_change_nothing() {
    let node = node();
    let cookie = node.set_up().await;
    let id = raised(&node, "a", raise(2)).await.to_string();
    for (act, field) in [
        (json!({}), "do"),
        (json!({"do": 7}), "do"),
        (json!({"do": "fly"}), "do"),
        (json!({"do": "raise"}), "do"),
        (json!({"do": "counted", "count": 9, "last_us": 1}), "do"),
        (json!({"do": "escalate", "level": 1}), "do"),
        (json!({"do": "dismiss"}), "reason"),
        (json!({"do": "dismiss", "reason": ""}), "reason"),
        (json!({"do": "own", "owner": "x".repeat(5000)}), "owner"),
        (json!({"do": "link", "incident": "alarm/centre/a"}), "incident"),
    ] {
        let answer = node.do_it(&cookie, &id, act.clone()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{act}: {:?}", answer.body);
        assert_eq!(answer.json()["field"], field, "{act}: {}", answer.json());
        assert!(answer.json()["remedy"].is_string(), "{act}");
    }
    for unknown in ["alarm/centre/none", "alarm/other/a"] {
        let answer = node.do_it(&cookie, unknown, json!({"do": "acknowledge"})).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::NOT_FOUND, "not_found".into()));
        assert_eq!(node.get(&path(unknown), &cookie).await.status, StatusCode::NOT_FOUND);
    }
    let nowhere = node.do_it(&cookie, &id, json!({"do": "link", "incident": "incident/centre/none"})).await;
    assert_eq!((nowhere.status, nowhere.json()["field"].as_str()), (StatusCode::NOT_FOUND, Some("incident")));
    assert_eq!(node.register.of("duty.acted").len(), 1);
}

#[tokio::test]
async fn without_the_journal_nothing_is_done() {
    let node = node();
    let cookie = node.set_up().await;
    let id = raised(&node, "a", raise(2)).await.to_string();
    node.register.broken.store(true, Ordering::SeqCst);
    let answer = node.do_it(&cookie, &id, json!({"do": "acknowledge"})).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    node.register.broken.store(false, Ordering::SeqCst);
    assert_eq!(node.shown(&cookie, &path(&id)).await["alarm"]["state"], "new");
    node.done(&cookie, &id, json!({"do": "acknowledge"})).await;
}

#[tokio::test]
async fn a_bulk_act_does_what_it_can_and_names_the_rest() {
    let node = node();
    let cookie = node.set_up().await;
    for name in ["a", "b", "c"] {
        raised(&node, name, raise(3)).await;
    }
    node.done(&cookie, "alarm/centre/b", json!({"do": "dismiss", "reason": "test"})).await;
    let send = |body: Value| {
        let (node, cookie) = (&node, &cookie);
        async move { node.send(request(Method::POST, "/api/v1/alarms/acts", Some(cookie), Some(&body))).await }
    };
    let body = json!({"alarms": ["alarm/centre/a", "alarm/centre/b", "alarm/centre/c", "alarm/centre/c", "alarm/centre/x"],
        "act": {"do": "acknowledge"}});
    let answer = send(body).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    let answer = answer.json();
    assert_eq!(answer["done"], 2);
    let refused: Vec<(&str, &str)> = answer["refused"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (r["alarm"].as_str().unwrap(), r["code"].as_str().unwrap()))
        .collect();
    assert_eq!(refused, [("alarm/centre/b", "already_settled"), ("alarm/centre/x", "unknown")]);
    let many: Vec<String> = (0..=limits::DUTY_BULK_MAX).map(|n| format!("alarm/centre/n{n}")).collect();
    for (body, field) in [
        (json!({"alarms": [], "act": {"do": "acknowledge"}}), "alarms"),
        (json!({"alarms": many, "act": {"do": "acknowledge"}}), "alarms"),
        (json!({"alarms": ["unit/centre/a"], "act": {"do": "acknowledge"}}), "alarms[0]"),
        (json!({"alarms": ["alarm/centre/a"], "act": {"do": "link", "incident": "incident/centre/x"}}), "do"),
    ] {
        let answer = send(body).await;
        assert_eq!((answer.status, answer.json()["field"].as_str()), (StatusCode::BAD_REQUEST, Some(field)));
    }
}

#[tokio::test]
async fn one_sees_where_to_look_and_the_nearest_cameras() {
    let node = node();
    let cookie = node.set_up().await;
    let mut topology = node.app.topology().as_ref().clone();
    let camera = topology.cameras[&CAMERA.parse().unwrap()].clone();
    let code = |n: u32| format!("330802000013200000{n:02}").parse::<fengsui_config::ids::CameraId>().unwrap();
    let there = camera.position;
    // By how far north; the last has no place of its own.
    for (n, north) in [(11, Some(0.003)), (12, Some(0.001)), (13, Some(0.002)), (14, Some(0.004)), (15, None)]
    {
        let mut other = camera.clone();
        other.id = code(n);
        other.name = format!("cam {n}");
        let site = topology.sites[&camera.site].position.unwrap();
        other.position = there.or(Some(site)).zip(north).map(|(p, north)| {
            let mut moved = p;
            moved.lat += north;
            moved
        });
        topology.cameras.insert(other.id, other);
    }
    node.app.set_topology(topology.into());
    let id = raised(&node, "a", raise(1)).await.to_string();
    let page = node.shown(&cookie, &path(&id)).await;
    let look = &page["look"];
    assert_eq!((&look["camera"], &look["node"]), (&json!(CAMERA), &json!("centre")));
    assert_eq!((&look["at_us"], &look["from_us"]), (&json!(NOW.0), &json!(NOW.0 - 10_000_000)));
    let near: Vec<(&str, u64)> = look["neighbours"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| (n["name"].as_str().unwrap(), n["metres"].as_u64().unwrap()))
        .collect();
    // The one without a place of its own stands where its site does.
    assert_eq!(near, [("cam 15", 0), ("cam 12", 111), ("cam 13", 222), ("cam 11", 334)]);
    assert_eq!(page["alarm"]["camera_name"], "水亭门东");
    assert_eq!((&page["alarm"]["site_name"], &page["hold"]), (&json!("水亭门"), &Value::Null));
}

#[tokio::test]
async fn an_overdue_alarm_is_escalated_once_and_shown_when_it_turns() {
    let node = node();
    let cookie = node.set_up().await;
    let id = raised(&node, "a", raise(3)).await;
    raised(&node, "b", raise(3)).await;
    node.done(&cookie, "alarm/centre/b", json!({"do": "acknowledge"})).await;
    node.done(
        &cookie,
        "alarm/centre/b",
        json!({"do": "snooze", "until_us": NOW.0 + 30_000_000, "reason": "wait"}),
    )
    .await;
    let seen = clock::look(&node.app, NOW).await;
    assert_eq!(node.told("alarm").len(), 4, "nothing turned yet");
    node.clock.advance(Duration::from_secs(30));
    let seen = clock::look(&node.app, seen).await;
    let told = node.told("alarm").pop().unwrap();
    assert_eq!((&told["name"], &told["snoozed"]), (&json!("b"), &json!(false)), "it comes back by itself");
    node.clock.advance(Duration::from_secs(30));
    let seen = clock::look(&node.app, seen).await;
    let told = node.told("alarm").pop().unwrap();
    assert_eq!(
        (&told["id"], &told["level"], &told["escalations"], &told["overdue"]),
        (&json!(id.to_string()), &json!(2), &json!(1), &json!(true))
    );
    let (acts, pushes) = (node.register.of("duty.acted").len(), node.told("alarm").len());
    node.clock.advance(Duration::from_secs(300));
    clock::look(&node.app, seen).await;
    assert_eq!((node.register.of("duty.acted").len(), node.told("alarm").len()), (acts, pushes), "once");
}

#[tokio::test]
async fn a_node_escalates_its_own_alarms_alone() {
    let node = node();
    raised(&node, "a", raise(3)).await;
    node.clock.advance(Duration::from_secs(61));
    let due = |of: &str| {
        let (now, of) = (fengsui_config::clock::Clock::utc(&*node.clock), of.parse().unwrap());
        node.app.duty.read_standing(|book, standing| clock::due(book, standing, now, &of).len())
    };
    assert_eq!((due("centre"), due("east")), (1, 0));
}

#[tokio::test]
async fn a_flood_of_one_alarm_floods_no_browser_and_delays_no_other() {
    let node = node();
    node.set_up().await;
    let id = raised(&node, "a", raise(3)).await;
    for n in 2..=1000 {
        counted(&node, &id, n, NOW).await;
        node.clock.advance(Duration::from_millis(6));
        crate::duty::tell::flush(&node.app);
    }
    let told = node.told("alarm");
    // Six seconds, twice a second, and the first.
    assert!((12..=14).contains(&told.len()), "{} pushes", told.len());
    raised(&node, "b", raise(1)).await;
    assert_eq!(node.told("alarm").pop().unwrap()["name"], "b", "another one is told at once");
    node.clock.advance(limits::DUTY_COUNTED_INTERVAL);
    crate::duty::tell::flush(&node.app);
    let last = node.told("alarm").pop().unwrap();
    assert_eq!(
        (&last["id"], &last["count"]),
        (&json!(alarm_id("a").to_string()), &json!(1000)),
        "exact at the end"
    );
    let counts = node.told("duty").len();
    assert!((2..=16).contains(&counts), "{counts} counts");
}

#[tokio::test]
async fn what_was_begun_is_ended_though_nobody_waits_for_it() {
    let node = node();
    let id = raised(&node, "a", raise(2)).await;
    let verb = || fengsui_duty::act::Verb::Alarm(fengsui_duty::alarm::AlarmVerb::Acknowledge);
    {
        let doing = node.app.duty.act(&node.app, &id, verb(), fengsui_duty::act::By::person("wang"));
        let mut doing = std::pin::pin!(doing);
        // It is begun, and then the browser goes away.
        assert!(futures::poll!(doing.as_mut()).is_pending());
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let owner = node.app.duty.read(|book| book.alarms[&id].state().unwrap().owner.clone());
    assert_eq!(owner.as_deref(), Some("wang"));
    assert_eq!(node.register.of("duty.acted").len(), 2, "the book is what the journal says");
}

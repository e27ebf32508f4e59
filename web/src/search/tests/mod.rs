#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
//! Searches over real routers of nodes, without disks and servers.

mod kit;

use std::collections::BTreeMap;
use std::time::Duration;

use fengsui_config::clock::MonoMicros;
use fengsui_config::limits;
use fengsui_relay::Now;
use fengsui_relay::call::OnBehalf;
use fengsui_relay::event::EventKind::{CameraOffline, CameraStalled, NodeStarted, OperatorMark};
use fengsui_relay::search::{Cursor, Key};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::auth::access::FromCentre;
use crate::media::Stretch;
use crate::relay::centre::register::NodeOrder;
use crate::relay::presence::{CamerasCount, Word};
use crate::search::ask::{Asked, SearchQuery};
use crate::testing::{Answer, NOW, Node, OFFLINE, request};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kit::{City, End, at, camera, missing, names, node_of, note, said, set};
use tower::ServiceExt as _;

const FOOTAGE: Stretch = Stretch::Footage { open: false, archived: false };

async fn alone() -> (Node, String) {
    let node = node_of("centre", &[1, 2, 3]);
    let cookie = node.set_up().await;
    note(&node, "centre", 1, (CameraOffline, 10), Some(1));
    note(&node, "centre", 2, (CameraStalled, 600), Some(2));
    note(&node, "centre", 3, (OperatorMark, 20), Some(1));
    note(&node, "centre", 4, (NodeStarted, 30), None);
    note(&node, "centre", 5, (CameraOffline, 4000), Some(1));
    *node.index.spans.lock() = vec![(at(0), at(25), FOOTAGE), (at(25), at(100), Stretch::Gap(OFFLINE))];
    (node, cookie)
}

async fn find(node: &Node, cookie: &str, query: &str) -> Vec<String> {
    let path = format!("/api/v1/search?from_us={}&to_us={}&{query}", at(0).0, at(3600).0);
    let answer = node.get(&path, cookie).await;
    assert_eq!(answer.status, StatusCode::OK, "{query} {}", answer.json());
    names(&serde_json::from_slice(&answer.body).unwrap())
}

#[tokio::test]
async fn events_and_cameras_are_found_by_place_time_kind_and_footage_the_newest_first() {
    let (node, cookie) = alone().await;
    let mark = "centre.1.3";
    let cases: [(&str, &[&str]); 20] = [
        ("", &["centre.1.2", "centre.1.4", mark, "centre.1.1", "1", "2", "3"]),
        ("what=cameras", &["1", "2", "3"]),
        ("what=events&kind=camera.", &["centre.1.2", "centre.1.1"]),
        ("kind=camera.offline,operator.mark", &[mark, "centre.1.1"]),
        ("kind=camera.&what=cameras", &["1", "2", "3"]),
        ("priority=alarm", &[]),
        ("place=33080200001320000001", &[mark, "centre.1.1", "1"]),
        ("place=33080200002150000001&what=cameras", &["1", "2", "3"]),
        ("place=33080200002150000002", &[]),
        ("place=%E6%B0%B4%E4%BA%AD&what=cameras", &["1", "2", "3"]),
        ("place=CAMERA%202", &["centre.1.2", "2"]),
        ("near=28.97,118.86,10&what=cameras", &["1", "2", "3"]),
        ("near=28.98,118.86,1000&what=cameras", &[]),
        ("near=28.98,118.86,1200&what=cameras", &["1", "2", "3"]),
        ("footage=any&what=events", &[mark, "centre.1.1"]),
        ("footage=gaps&what=events", &[mark, "centre.1.1"]),
        ("footage=none&what=events", &["centre.1.2"]),
        ("footage=gaps&what=cameras", &["1", "2", "3"]),
        ("footage=none&what=cameras", &[]),
        ("nodes=centre&scope=node&what=cameras", &["1", "2", "3"]),
    ];
    for (query, wanted) in cases {
        assert_eq!(find(&node, &cookie, query).await, wanted, "{query}");
    }
    let path = format!("/api/v1/search?from_us={}&to_us={}", at(0).0, at(3600).0);
    let shown = node.get(&path, &cookie).await.json();
    let first = &shown["items"][3];
    assert_eq!((first["at_us"].as_i64(), first["copied"].as_bool()), (Some(at(10).0), Some(false)));
    let around = &first["footage"];
    assert_eq!((around["from_us"].as_i64(), around["to_us"].as_i64()), (Some(at(0).0), Some(at(40).0)));
    assert_eq!(
        (around["footage_us"].as_i64(), around["gap_us"].as_i64()),
        (Some(25_000_000), Some(15_000_000))
    );
    assert_eq!(shown["items"][1]["footage"], Value::Null, "an event of no camera");
    let one = &shown["items"][4];
    assert_eq!(
        (one["footage"]["gap_us"].as_i64(), one["footage"]["gaps"].as_u64()),
        (Some(75_000_000), Some(1))
    );
    assert_eq!((one["name"].as_str(), one["site_name"].as_str()), (Some("camera 1"), Some("水亭门")));
    assert_eq!((shown["asked"].clone(), shown["missing"].clone()), (json!(["centre"]), json!([])));
}

#[tokio::test]
async fn what_began_before_the_range_and_lasts_into_it_is_found_at_its_beginning() {
    let (node, cookie) = alone().await;
    let path = format!("/api/v1/search?from_us={}&to_us={}", at(15).0, at(18).0);
    assert_eq!(node.get(&path, &cookie).await.json()["items"].as_array().unwrap().len(), 3, "cameras alone");
    let source = fengsui_relay::event::Source::node("centre".parse().unwrap());
    let (priority, phase) = (fengsui_relay::event::Priority::Alarm, fengsui_relay::event::Phase::Opens);
    let open = fengsui_relay::event::Event::new(CameraOffline, priority, "link", phase, at(1), source);
    let id = fengsui_relay::event::rows::RecordId { node: "centre".into(), epoch: 1, seq: 9 };
    node.app.desk.rows().write().note(id, at(1), &open.camera(camera(3)));
    let found = node.get(&path, &cookie).await.json();
    let hit = &found["items"][0];
    assert_eq!((hit["open"].as_bool(), hit["at_us"].as_i64()), (Some(true), Some(at(15).0)));
    assert_eq!(hit["began_us"].as_i64(), Some(at(1).0));
}

#[tokio::test]
async fn what_is_asked_wrongly_is_refused_by_field() {
    let (node, cookie) = alone().await;
    let long = format!("place={}", "x".repeat(limits::SEARCH_PLACE_CHARS_MAX + 1));
    let cases = [
        ("to_us=5&from_us=5", "to_us"),
        ("to_us=1&from_us=5", "to_us"),
        ("from_us=0&to_us=9000000000000", "from_us"),
        ("what=people", "what"),
        ("footage=some", "footage"),
        ("scope=city", "scope"),
        ("kind=weather.changed", "kind"),
        ("priority=urgent", "priority"),
        ("near=1,2", "near"),
        ("near=91,2,3", "near"),
        ("near=1,2,0", "near"),
        ("near=1,2,NaN", "near"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("within_ms=801", "within_ms"),
        ("within_ms=1", "within_ms"),
        ("nodes=East", "nodes"),
        ("nodes=east", "nodes"),
        ("cursor=!", "cursor"),
        ("cursor=ZS4xLng", "cursor"),
        (long.as_str(), "place"),
    ];
    for (query, field) in cases {
        let refused = node.get(&format!("/api/v1/search?{query}"), &cookie).await;
        let problem = refused.json();
        assert_eq!(
            (refused.status.as_u16(), problem["field"].as_str()),
            (400, Some(field)),
            "{query} {problem}"
        );
    }
    let nobody = node.send(request(Method::GET, "/api/v1/search", None, None)).await;
    assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
    let whole = node.get("/api/v1/search", &cookie).await.json();
    let day = i64::try_from(limits::SEARCH_RANGE_DEFAULT.as_micros()).unwrap();
    assert_eq!((whole["to_us"].as_i64(), whole["from_us"].as_i64()), (Some(NOW.0), Some(NOW.0 - day)));
}

#[tokio::test]
async fn nobody_finds_cameras_that_they_may_not_see() {
    let (node, _) = alone().await;
    let ask = async |roles: &[&str]| {
        let path = format!("/api/v1/search?from_us={}&to_us={}", at(0).0, at(3600).0);
        let mut asked = request(Method::GET, &path, None, None);
        let by = OnBehalf { user: "wang".into(), roles: roles.iter().map(|r| (*r).to_owned()).collect() };
        asked.extensions_mut().insert(FromCentre::new(&by));
        let answer = Answer::of(node.router.clone().oneshot(asked).await.unwrap()).await;
        names(&serde_json::from_slice(&answer.body).unwrap())
    };
    assert_eq!(ask(&[]).await, ["centre.1.4"], "an event of the node alone");
    assert_eq!(ask(&["administrator"]).await.len(), 7);
}

/// A city of a centre with one camera, and two nodes.
async fn city() -> City {
    let city = City::new("centre", &[1]).await;
    note(&city.centre, "centre", 1, (OperatorMark, 50), Some(1));
    for (name, first) in [("east", 10), ("west", 20)] {
        let node = node_of(name, &[first, first + 1]);
        for n in 0..5 {
            note(
                &node,
                name,
                n + 1,
                (CameraOffline, i64::try_from(n).unwrap() * 20 + i64::from(first)),
                Some(first),
            );
        }
        city.enrol(name, &[first, first + 1], End::Real(node.router)).await;
    }
    city
}

#[tokio::test]
async fn pages_over_all_nodes_hold_every_hit_once_and_in_order() {
    let city = city().await;
    let whole = city.search("limit=200").await;
    assert_eq!((whole.missing.len(), whole.next.clone()), (0, None));
    assert_eq!(whole.asked, ["centre", "east", "west"]);
    let wanted = [
        "west.1.5",
        "east.1.5",
        "west.1.4",
        "east.1.4",
        "west.1.3",
        "centre.1.1",
        "east.1.3",
        "west.1.2",
        "east.1.2",
        "west.1.1",
        "east.1.1",
        "1",
        "10",
        "11",
        "20",
        "21",
    ];
    assert_eq!(names(&whole), wanted);
    for limit in [1, 2, 3, 7, 16] {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = city.search(&format!("limit={limit}&cursor={cursor}")).await;
            assert!(page.items.len() <= limit && page.missing.is_empty());
            found.extend(names(&page));
            match page.next {
                Some(next) => cursor = next,
                None => break,
            }
        }
        assert_eq!(found, wanted, "by {limit}");
    }
    let east = city.search("nodes=east&what=cameras").await;
    assert_eq!((names(&east), east.asked), (vec!["10".to_owned(), "11".into()], vec!["east".to_owned()]));
    assert_eq!(names(&city.search("scope=node").await), ["centre.1.1", "1"]);
}

fn word() -> Word {
    let cameras = CamerasCount { total: 1, online: 1, recording: 1 };
    Word { v: 1, version: "1.0.0".into(), clock_us: NOW.0, cameras, backlog_records: 0, config: None }
}

#[tokio::test(start_paused = true)]
async fn who_is_gone_or_silent_is_named_within_the_deadline_and_what_it_told_before_is_found() {
    let city = city().await;
    city.enrol("hole", &[30], End::Hole).await;
    city.enrol("gone", &[31], End::Hole).await;
    let slow = node_of("slow", &[32]);
    city.enrol("slow", &[32], End::Late(slow.router, Duration::from_millis(700))).await;
    note(&city.centre, "hole", 7, (CameraOffline, 3000), Some(30));
    note(&city.centre, "east", 5, (CameraOffline, 90), Some(10));
    {
        let mut presence = city.relay.presence.lock();
        let start = Now { utc: NOW, mono: MonoMicros(0) };
        presence.hearing(start.mono, true);
        presence.heard(start, &"gone".parse().unwrap(), word());
        presence.look(start.mono + limits::RELAY_PRESENCE_SILENCE.1);
    }
    let began = Instant::now();
    let found = city.search("limit=200").await;
    // The clock of the runtime has steps of a millisecond.
    assert!(began.elapsed() <= limits::SEARCH_DEADLINE + Duration::from_millis(2), "{:?}", began.elapsed());
    let why = BTreeMap::from([("hole".to_owned(), "no_answer"), ("gone".to_owned(), "gone")]);
    assert_eq!(missing(&found), why);
    let gone = found.missing.iter().find(|m| m.node == "gone").unwrap();
    assert_eq!(gone.since_us, Some(NOW.0), "since when it is not heard");
    assert_eq!(found.asked, ["centre", "east", "gone", "hole", "slow", "west"]);
    let shown = names(&found);
    assert_eq!((shown[0].as_str(), shown.len()), ("hole.1.7", 18), "none of east is there twice: {shown:?}");
    let copy = serde_json::to_value(&found.items[0]).unwrap();
    assert_eq!((copy["copied"].as_bool(), copy["footage"].is_null()), (Some(true), true));
    assert!(!city.wire.asked.lock().iter().any(|(node, _)| node.as_str() == "gone"), "nobody waits for it");
    let stats = city.centre.app.search.stats();
    assert_eq!((stats.searches, stats.asked), (1, 6));
    assert_eq!(stats.missing, BTreeMap::from([("no_answer", 1), ("gone", 1)]));

    // It comes back: a page that follows still says what the first one lacked.
    let page = city.search("limit=2").await;
    let back = node_of("hole", &[30]);
    city.wire.ends.lock().insert("hole".parse().unwrap(), std::sync::Arc::new(End::Real(back.router)));
    let next = city.search(&format!("limit=200&cursor={}", page.next.unwrap())).await;
    assert_eq!(missing(&next)["hole"], "before");
    assert!(missing(&city.search("").await).contains_key("gone"));
}

#[tokio::test]
async fn a_node_that_answers_for_a_foreign_camera_is_named_and_not_believed() {
    let city = city().await;
    let hit = |id: &str, node: &str, camera: &str| {
        json!({"type": "event", "id": id, "node": node, "kind": "camera.offline", "priority": "alarm", "open": true,
            "camera": camera, "at_us": 0, "began_us": at(1).0, "last_us": 0, "count": 1, "times": 1, "text": "",
            "copied": false})
    };
    let (own, foreign) = (camera(40).to_string(), camera(10).to_string());
    for (items, kept, why) in [
        (
            json!([hit("liar.1.1", "liar", &own), hit("liar.1.2", "liar", &foreign)]),
            1,
            Some("foreign_camera"),
        ),
        (json!([hit("east.1.1", "east", &foreign)]), 0, Some("foreign_camera")),
        (json!([hit("liar-1.1.1", "liar-1", &own)]), 1, None),
        (json!([hit("liar.1.2", "liar", &own), hit("liar.1.1", "liar", &own)]), 0, Some("disorder")),
        (json!([hit("east.1.2", "liar", &own)]), 0, Some("unreadable")),
        (json!([hit("liar", "liar", &own)]), 0, Some("unreadable")),
        (json!(7), 0, Some("unreadable")),
    ] {
        city.enrol("liar", &[40], End::Says(200, said(items.clone(), None))).await;
        let found = city.search("nodes=liar").await;
        let named = why.map(|why| ("liar".to_owned(), why)).into_iter().collect::<BTreeMap<_, _>>();
        assert_eq!((found.items.len(), missing(&found)), (kept, named), "{items}");
        city.order("liar", NodeOrder::Retire { reason: "a test".into() }).await;
    }
    assert_eq!(city.centre.app.search.stats().foreign, 2);
}

#[tokio::test]
async fn answers_that_are_none_are_missing_with_why_and_nothing_else_suffers() {
    let city = city().await;
    let heavy = vec![b' '; limits::SEARCH_PART_BYTES_MAX + 1];
    let problem = json!({"detail": "There is nothing at this address.", "code": "not_found"}).to_string();
    let far = URL_SAFE_NO_PAD.encode("e.9.east.1.1 ");
    let cases = [
        (End::Says(404, problem.into()), "refused"),
        (End::Says(200, "<html>".into()), "unreadable"),
        (End::Says(200, said(json!([]), Some("!"))), "unreadable"),
        (End::Says(200, said(json!([]), Some(&far))), "unreadable"),
        (End::Says(200, heavy.into()), "too_large"),
    ];
    for (end, why) in cases {
        city.enrol("odd", &[50], end).await;
        let found = city.search("limit=200").await;
        assert_eq!(missing(&found), BTreeMap::from([("odd".to_owned(), why)]));
        assert_eq!(found.items.len(), 16, "{why}");
        city.order("odd", NodeOrder::Retire { reason: "a test".into() }).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_county_tells_which_of_its_stations_are_missing() {
    let county = City::new("west", &[60]).await;
    let station = node_of("west-1", &[61]);
    county.enrol("west-1", &[61], End::Real(station.router)).await;
    county.enrol("west-2", &[62], End::Hole).await;
    note(&county.centre, "west-2", 3, (CameraOffline, 5), Some(62));
    let city = City::new("centre", &[1]).await;
    city.enrol("west", &[60, 61, 62], End::Real(county.centre.router.clone())).await;
    let found = city.search("").await;
    assert_eq!(names(&found), ["west-2.1.3", "1", "60", "61"]);
    assert_eq!(missing(&found), BTreeMap::from([("west-2".to_owned(), "no_answer")]));
    assert_eq!(
        found.asked.iter().cloned().collect::<std::collections::BTreeSet<_>>(),
        set(&["centre", "west", "west-1", "west-2"])
    );
    let asked = county.wire.asked.lock();
    assert!(
        asked.iter().all(|(_, path)| path.contains("within_ms=500")),
        "each level has less time: {asked:?}"
    );
}

#[tokio::test]
async fn a_camera_that_a_centre_knows_by_name_alone_is_found_once_at_the_node_that_has_it() {
    let city = City::new("centre", &[1, 10]).await;
    let east = node_of("east", &[10]);
    *east.index.spans.lock() = vec![(at(0), at(25), FOOTAGE)];
    city.enrol("east", &[10], End::Real(east.router)).await;
    let nodes = async |query: &str| {
        let found = city.search(query).await;
        found.items.iter().map(|hit| hit.of().0.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(nodes("what=cameras").await, ["centre", "east"]);
    assert_eq!(nodes("what=cameras&footage=none").await, ["centre"]);
    *city.centre.index.spans.lock() = vec![(at(0), at(25), FOOTAGE)];
    assert_eq!(nodes("what=cameras&place=camera%2010").await, ["centre", "east"], "two have footage of it");
}

#[tokio::test]
async fn events_of_a_retired_node_are_found_at_its_centre() {
    let city = city().await;
    note(&city.centre, "east", 1, (CameraOffline, 10), Some(10));
    city.order("east", NodeOrder::Retire { reason: "a test".into() }).await;
    let found = city.search("what=events").await;
    assert!(names(&found).contains(&"east.1.1".to_owned()) && !found.asked.contains(&"east".to_owned()));
    assert!(found.missing.is_empty());
}

#[tokio::test]
async fn a_range_that_reaches_behind_what_is_in_memory_says_so() {
    let (node, cookie) = alone().await;
    for n in 0..u64::try_from(limits::EVENT_ROWS_OVER_MAX).unwrap() {
        note(&node, "centre", n + 10, (OperatorMark, 5000), None);
    }
    let path = format!("/api/v1/search?what=events&from_us={}&to_us={}", at(0).0, at(6000).0);
    let (mut pages, mut cursor) = (0, String::new());
    loop {
        let page = node.get(&format!("{path}&limit=200&cursor={cursor}"), &cookie).await.json();
        assert_eq!(page["limited"][0]["node"], "centre");
        pages += 1;
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    assert_eq!(pages, 25, "and all that is in memory is found");
}

#[tokio::test]
async fn what_a_node_is_asked_is_what_was_asked() {
    let query = json!({"from_us": at(0).0, "to_us": at(60).0, "what": "events", "place": "水亭门 & co", "kind": "camera.",
        "priority": "alarm", "footage": "gaps", "near": "28.97,118.86,300", "limit": 7});
    let query: SearchQuery = serde_json::from_value(query).unwrap();
    let mut asked = Asked::read(query, NOW).unwrap();
    let after = Key::Camera { camera: camera(1), node: "east".parse().unwrap() };
    asked.cursor = Some(Cursor { after: after.clone(), missed: ["west".parse().unwrap()].into() });
    let address: http::Uri = asked.address(Duration::from_millis(600)).parse().unwrap();
    let axum::extract::Query(read) = axum::extract::Query::<SearchQuery>::try_from_uri(&address).unwrap();
    let read = Asked::read(read, at(99)).unwrap();
    assert_eq!(read.within, Duration::from_millis(600));
    assert_eq!(read.cursor, Some(Cursor { after, missed: [].into() }));
    let same = |asked: &Asked| (asked.from, asked.to, asked.what, asked.footage, asked.near, asked.limit);
    assert_eq!(same(&read), same(&asked));
    assert_eq!(read.address(Duration::ZERO), asked.address(Duration::ZERO));
}

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
//! A centre that shows cameras of another node: footage, days and states, with a link between them that is a function.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use fengsui_config::clock::{Clock as _, UtcMicros};
use fengsui_config::ids::{NodeId, StreamKey, StreamKind};
use fengsui_config::limits;
use fengsui_relay::Now;
use fengsui_relay::identity::registry::Share;
use fengsui_relay::identity::{EnrolRequest, Token};
use fengsui_storage::board::SessionState;
use fengsui_storage::segment::NodeKey;
use http::header::{CONTENT_TYPE, RANGE};
use http::{Method, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::node_tests::centre_calling;
use crate::auth::access::FromCentre;
use crate::auth::register::kinds;
use crate::command::follow;
use crate::media::Stretch;
use crate::relay::calls::tests::Wire;
use crate::relay::centre::Centre;
use crate::relay::presence::{CamerasCount, Word};
use crate::testing::{Answer, CAMERA, NAME, NOW, Node, OFFLINE, config, node, request};

/// The camera that the centre does not read itself.
const FAR: &str = "33080200001320000002";
const FOOTAGE: &str = "/api/v1/footage/33080200001320000002/main";

struct City {
    centre: Node,
    role: Arc<Centre>,
    cookie: String,
    wire: Arc<Wire>,
    _folder: tempfile::TempDir,
}

fn east() -> NodeId {
    "east".parse().unwrap()
}

/// A centre with one node, which answers by `router` and has the camera `FAR`.
async fn city(router: Router) -> City {
    let folder = tempfile::tempdir().unwrap();
    let (wire, calls) = Wire::to(router);
    let (centre, role) = centre_calling(folder.path(), Some(calls)).await;
    let cookie = centre.set_up().await;
    let cameras = Share::from(BTreeSet::from([FAR.parse().unwrap()]));
    let invited = role.invite(&centre.app, &east(), cameras, Duration::from_secs(3600), NAME).await.unwrap();
    let token: Token = invited.token.parse().unwrap();
    let request = EnrolRequest::sign(&token, &NodeKey::from_seed([1; 32]));
    role.enrol(&centre.app, &request, [127, 0, 0, 1].into()).await.unwrap();
    City { centre, role, cookie, wire, _folder: folder }
}

impl City {
    async fn get(&self, path: &str) -> Answer {
        self.centre.get(path, &self.cookie).await
    }

    /// The node was heard, and then not for so long.
    fn heard(&self, silent: Duration) {
        let now = Now { utc: NOW, mono: self.centre.clock.mono() };
        let mut presence = self.role.presence.lock();
        presence.hearing(now.mono, true);
        let cameras = CamerasCount::default();
        let word =
            Word { v: 1, version: "1".into(), clock_us: NOW.0, cameras, backlog_records: 0, config: None };
        presence.heard(now, &east(), word);
        presence.look(now.mono + silent);
    }

    fn gone(&self) {
        self.heard(limits::RELAY_PRESENCE_SILENCE.1);
    }
}

/// What the node was asked, and what it says to everything.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<(String, String, String)>>>);

impl Heard {
    fn router(&self, kind: &'static str, body: &'static str) -> Router {
        let heard = self.0.clone();
        Router::new().fallback(move |request: Request| async move {
            let range = request.headers().get(RANGE).map_or("", |v| v.to_str().unwrap()).to_owned();
            let by = format!("{:?}", request.extensions().get::<FromCentre>().unwrap());
            heard.lock().push((request.uri().to_string(), range, by));
            ([(CONTENT_TYPE, kind)], body).into_response()
        })
    }

    fn take(&self) -> Vec<(String, String, String)> {
        std::mem::take(&mut *self.0.lock())
    }
}

fn minutes(from: i64, to: i64, what: Stretch) -> (UtcMicros, UtcMicros, Stretch) {
    (UtcMicros(NOW.0 + from * 60_000_000), UtcMicros(NOW.0 + to * 60_000_000), what)
}

const STORED: Stretch = Stretch::Footage { open: false, archived: false };

fn range(from: i64, to: i64) -> String {
    format!("from_us={}&to_us={}", NOW.0 + from * 60_000_000, NOW.0 + to * 60_000_000)
}

#[tokio::test]
async fn footage_of_another_node_is_asked_of_it_and_both_registers_have_the_viewing() {
    let east = node();
    *east.index.spans.lock() = vec![minutes(0, 4, STORED), minutes(4, 5, Stretch::Gap(OFFLINE))];
    let city = city(east.router.clone()).await;
    let timeline = city.get(&format!("{FOOTAGE}/timeline?{}", range(0, 10))).await;
    assert_eq!(timeline.status, StatusCode::OK);
    let spans = timeline.json()["spans"].clone();
    assert_eq!(
        (spans[0]["kind"].as_str(), spans[1]["reason"].as_str()),
        (Some("footage"), Some("camera_offline"))
    );
    assert!(east.register.of(kinds::VIEWING_FOOTAGE).is_empty(), "a timeline is no picture");

    let gops = city.get(&format!("{FOOTAGE}/gops?{}", range(1, 3))).await;
    assert_eq!((gops.status, gops.json()["items"].clone()), (StatusCode::OK, json!([])));
    let rows = |node: &Node| node.register.of(kinds::VIEWING_FOOTAGE);
    for (rows, by) in [(rows(&city.centre), "li".to_owned()), (rows(&east), "centre:li".to_owned())] {
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert_eq!((rows[0]["by"].as_str(), rows[0]["camera"].as_str()), (Some(by.as_str()), Some(FAR)));
        assert_eq!(rows[0]["from_us"], NOW.0.div_euclid(60_000_000) * 60_000_000 + 60_000_000);
    }
    // What the node refuses it refuses in its own words, and its own cameras the centre answers for.
    let none = city.get(&format!("{FOOTAGE}/gop/1790000000000_1_0")).await;
    assert_eq!((none.status, none.code().as_str()), (StatusCode::NOT_FOUND, "not_found"));
    let own = city.get(&format!("/api/v1/footage/{CAMERA}/main/timeline?{}", range(0, 10))).await;
    assert_eq!(own.json()["spans"], json!([]));
    let bad = city.get(&format!("{FOOTAGE}/gops?{}", range(0, 900))).await;
    assert_eq!((bad.status, bad.json()["field"].as_str()), (StatusCode::BAD_REQUEST, Some("to_us")));
    // Without the register here nothing is asked.
    city.centre.register.broken.store(true, Ordering::SeqCst);
    let refused = city.get(&format!("{FOOTAGE}/gops?{}", range(50, 51))).await;
    assert_eq!((refused.status, rows(&east).len()), (StatusCode::INTERNAL_SERVER_ERROR, 1));
}

/// The cookie of somebody at the centre who has only the role `role`.
async fn somebody(city: &City, role: &str) -> String {
    let body = json!({"name": "wang", "roles": [role], "password": "battery staple"});
    let made = request(Method::POST, "/api/v1/accounts", Some(&city.cookie), Some(&body));
    assert_eq!(city.centre.send(made).await.status, StatusCode::CREATED);
    let body = json!({"name": "wang", "password": "battery staple"});
    city.centre.send(request(Method::POST, "/api/v1/session", None, Some(&body))).await.cookie()
}

#[tokio::test]
async fn an_operator_at_the_centre_sees_footage_of_a_node_that_has_no_such_account() {
    let east = node();
    *east.index.spans.lock() = vec![minutes(0, 4, STORED)];
    let city = city(east.router.clone()).await;
    let cookie = somebody(&city, "operator").await;
    for path in [format!("{FOOTAGE}/timeline?{}", range(0, 10)), format!("{FOOTAGE}/gops?{}", range(1, 3))] {
        assert_eq!(city.centre.get(&path, &cookie).await.status, StatusCode::OK, "{path}");
    }
    assert_eq!(east.register.of(kinds::VIEWING_FOOTAGE)[0]["by"], "centre:wang");
}

#[tokio::test]
async fn a_node_that_does_not_know_a_role_refuses_and_the_centre_says_what_to_do() {
    // An older node answers as one does that hears no role which it knows.
    let east = node();
    let older = east.router.clone();
    let older = Router::new().fallback(move |mut request: Request| {
        let known = fengsui_relay::call::OnBehalf { user: "wang".into(), roles: vec!["unheard_of".into()] };
        request.extensions_mut().insert(FromCentre::new(&known));
        tower::ServiceExt::oneshot(older.clone(), request)
    });
    let city = city(older).await;
    let cookie = somebody(&city, "supervisor").await;
    let refused = city.centre.get(&format!("{FOOTAGE}/gops?{}", range(1, 3)), &cookie).await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::FORBIDDEN, "forbidden"));
    assert_eq!(refused.json()["remedy"], "Update the node to the version of its centre.");
    assert!(east.register.of(kinds::VIEWING_FOOTAGE).is_empty(), "nothing was shown");
}

#[tokio::test]
async fn a_ticket_stays_at_the_centre_and_opens_its_own_time_alone() {
    let heard = Heard::default();
    let city = city(heard.router("application/json", "{\"items\":[]}")).await;
    let body = json!({"camera": FAR, "stream": "main", "from_us": NOW.0, "to_us": NOW.0 + 60_000_000});
    let made = request(Method::POST, "/api/v1/tickets", Some(&city.cookie), Some(&body));
    let ticket = city.centre.send(made).await.json()["ticket"].as_str().unwrap().to_owned();
    let get = async |path: &str| {
        let mut asked = request(Method::GET, &format!("{FOOTAGE}{path}"), None, None);
        asked.headers_mut().insert(RANGE, "bytes=5-9".parse().unwrap());
        city.centre.send(asked).await
    };
    let wide = format!("/segments?{}&ticket={ticket}", range(-5, 10));
    assert_eq!(get(&wide).await.status, StatusCode::OK);
    let name = format!("/segments/{}_3_60000_v.mp4?ticket={ticket}", NOW.0 / 1000);
    assert_eq!(get(&name).await.status, StatusCode::OK);
    let asked = heard.take();
    assert_eq!(asked[0].0, format!("{FOOTAGE}/segments?{}", range(0, 1)), "clipped, and no ticket");
    assert_eq!(asked[1].0, format!("{FOOTAGE}/segments/{}_3_60000_v.mp4", NOW.0 / 1000));
    assert!(asked.iter().all(|(_, range, _)| range == "bytes=5-9"));
    assert!(
        asked.iter().all(|(_, _, by)| by.contains("centre:li") && by.contains("Administrator")),
        "{asked:?}"
    );

    let late = format!("/segments/{}_3_60000_v.mp4?ticket={ticket}", NOW.0 / 1000 + 3_600_000);
    assert_eq!(get(&late).await.status, StatusCode::FORBIDDEN);
    let list = format!("/segments?{}&ticket={ticket}", range(2, 3));
    assert_eq!(get(&list).await.status, StatusCode::FORBIDDEN);
    assert_eq!(get(&format!("/gops?{}&ticket={ticket}", range(0, 1))).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(get(&format!("/segments?{}", range(0, 1))).await.status, StatusCode::UNAUTHORIZED);
    assert!(heard.take().is_empty(), "nobody was asked");
}

#[tokio::test]
async fn the_playlist_of_another_node_gets_the_ticket_of_this_one() {
    let text =
        "#EXTM3U\n#EXT-X-MAP:URI=\"hls/a.mp4/init.mp4\"\n#EXTINF:2.0,\nhls/a.mp4/0.m4s\n#EXT-X-ENDLIST\n";
    let city = city(Heard::default().router("application/vnd.apple.mpegurl", text)).await;
    let body = json!({"camera": FAR, "stream": "main", "from_us": NOW.0, "to_us": NOW.0 + 60_000_000});
    let made = request(Method::POST, "/api/v1/tickets", Some(&city.cookie), Some(&body));
    let made = city.centre.send(made).await.json();
    let ticket = made["ticket"].as_str().unwrap();
    let url = made["hls_url"].as_str().unwrap();
    let answer = city.centre.send(request(Method::GET, url, None, None)).await;
    let wanted = text.replace("init.mp4", &format!("init.mp4?ticket={ticket}"));
    let wanted = wanted.replace("0.m4s", &format!("0.m4s?ticket={ticket}"));
    assert_eq!(std::str::from_utf8(&answer.body).unwrap(), wanted);
    assert_eq!(answer.headers["content-length"], wanted.len().to_string());
    let elsewhere = "#EXTM3U\n#EXTINF:2.0,\nhttps://other.example/0.m4s\n";
    assert_eq!(super::hls::passed_on(elsewhere, Some(ticket)), None, "the ticket goes to nobody else");
    assert_eq!(super::hls::passed_on(text, None).unwrap(), text);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_answer_is_said_to_be_so_in_bounded_time() {
    let city = city(node().router.clone()).await;
    city.wire.silent.store(true, Ordering::Relaxed);
    let path = format!("{FOOTAGE}/gops?{}", range(0, 1));
    let began = tokio::time::Instant::now();
    let answer = city.get(&path).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::GATEWAY_TIMEOUT, "node_unreachable"));
    assert!(answer.headers.contains_key("retry-after") && answer.json()["remedy"].is_string());
    assert!(began.elapsed() < limits::RELAY_CALL_TIMEOUT + Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(city.role.footage.taken(), 0);
    // Of one that is known to be gone it is said at once, and nothing is written about what cannot be seen.
    city.gone();
    let (began, rows) = (tokio::time::Instant::now(), city.centre.register.of(kinds::VIEWING_FOOTAGE).len());
    assert_eq!(city.get(&format!("{FOOTAGE}/gops?{}", range(30, 31))).await.code(), "node_unreachable");
    assert_eq!((began.elapsed(), rows), (Duration::ZERO, 1));
    assert_eq!(city.centre.register.of(kinds::VIEWING_FOOTAGE).len(), 1);
}

#[tokio::test]
async fn what_a_node_says_that_is_no_footage_is_not_passed_on() {
    let path = format!("{FOOTAGE}/timeline?{}", range(0, 1));
    let page = city(Heard::default().router("text/html", "<script>")).await.get(&path).await;
    assert_eq!((page.status, page.code().as_str()), (StatusCode::GATEWAY_TIMEOUT, "node_unreachable"));
    let stranger = Router::new().fallback(|| async {
        (StatusCode::UNAUTHORIZED, [(CONTENT_TYPE, "application/problem+json")], "{}").into_response()
    });
    let refused = city(stranger).await.get(&path).await;
    assert_eq!(refused.status, StatusCode::GATEWAY_TIMEOUT, "nobody here is logged out by a node");
}

#[tokio::test]
async fn as_many_answers_are_under_way_as_may_be_and_a_reader_that_leaves_makes_room() {
    let endless = Router::new().fallback(|| async {
        let parts = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![7_u8; 65_536]));
        ([(CONTENT_TYPE, "video/mp4")], Body::from_stream(parts)).into_response()
    });
    let city = city(endless).await;
    let path = format!("{FOOTAGE}/segments/{}_3_60000_v.mp4", NOW.0 / 1000);
    let mut held: Vec<Response> = Vec::new();
    for _ in 0..limits::FAR_PER_NODE_MAX {
        let asked = request(Method::GET, &path, Some(&city.cookie), None);
        held.push(city.centre.send_streaming(asked).await);
    }
    let full = city.get(&path).await;
    assert_eq!((full.status, full.code().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
    assert!(full.headers.contains_key("retry-after"));
    held.pop();
    let asked = request(Method::GET, &path, Some(&city.cookie), None);
    assert_eq!(city.centre.send_streaming(asked).await.status(), StatusCode::OK);
    held.clear();
    assert_eq!(city.role.footage.taken(), 0);
}

#[tokio::test(start_paused = true)]
async fn days_of_all_cameras_come_from_all_nodes_and_a_silent_one_is_named() {
    let east = node();
    *east.index.spans.lock() = vec![minutes(0, 4, STORED)];
    let city = city(east.router.clone()).await;
    *city.centre.index.spans.lock() = vec![minutes(0, 9, STORED)];
    let path = format!("/api/v1/footage/days?{}", range(0, 60));
    let days = city.get(&path).await.json();
    let footage = |days: &Value| -> Vec<(String, i64)> {
        let items = days["items"].as_array().unwrap().iter();
        items
            .map(|i| (i["camera"].as_str().unwrap().to_owned(), i["days"][0]["footage_us"].as_i64().unwrap()))
            .collect()
    };
    let all = vec![(CAMERA.to_owned(), 9 * 60_000_000), (FAR.to_owned(), 4 * 60_000_000)];
    assert_eq!((footage(&days), days["missing"].clone()), (all.clone(), json!([])));
    city.wire.silent.store(true, Ordering::Relaxed);
    let began = tokio::time::Instant::now();
    let days = city.get(&path).await.json();
    assert!(began.elapsed() < limits::GATHER_TIMEOUT + Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(footage(&days), all[..1].to_vec());
    assert_eq!(days["missing"], json!([{"node": "east", "why": "no_answer", "cameras": [FAR]}]));
    city.gone();
    let days = city.get(&format!("{path}&cameras={FAR}")).await.json();
    assert_eq!((days["items"].clone(), days["missing"][0]["why"].as_str()), (json!([]), Some("gone")));
}

/// Waits until the centre shows the far camera so.
async fn until(city: &City, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..2_000 {
        let shown = city.get(&format!("/api/v1/cameras/{FAR}")).await.json();
        if fits(&shown) {
            return shown;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let shown = city.get(&format!("/api/v1/cameras/{FAR}")).await.json();
    unreachable!("{what}: {shown}")
}

#[tokio::test(start_paused = true)]
async fn states_of_other_nodes_are_shown_as_they_are_and_as_unknown_when_the_node_is_lost() {
    let east = node();
    let mut topology = config().topology;
    topology.cameras.values_mut().for_each(|camera| camera.enabled = true);
    east.app.set_topology(Arc::new(topology));
    let city = city(east.router.clone()).await;
    let never = city.get(&format!("/api/v1/cameras/{FAR}")).await.json();
    assert_eq!(never["node"], json!({"id": "east", "known": false, "at_us": null}));
    let counts = city.get("/api/v1/system").await.json()["counts"].clone();
    assert_eq!((counts["remote"].as_u64(), counts["unknown"].as_u64()), (Some(1), Some(1)));

    city.heard(Duration::ZERO);
    city.centre.app.tasks.spawn(follow::run(city.centre.app.clone(), city.role.clone()));
    let shown = until(&city, "known", |c| c["node"]["known"] == true).await;
    assert_eq!(
        (shown["enabled"].as_bool(), shown["streams"]["main"]["state"].as_str()),
        (Some(true), Some("idle"))
    );
    let key = StreamKey { camera: FAR.parse().unwrap(), stream: StreamKind::Main };
    east.app.board.place(key, NOW).lock().state = SessionState::Playing;
    let began = tokio::time::Instant::now();
    until(&city, "playing", |c| c["streams"]["main"]["state"] == "playing").await;
    assert!(began.elapsed() <= Duration::from_millis(500), "{:?}", began.elapsed());
    let counts = city.get("/api/v1/system").await.json()["counts"].clone();
    assert_eq!((counts["online"].as_u64(), counts["unknown"].as_u64()), (Some(1), Some(0)));
    let own = city.get(&format!("/api/v1/cameras/{CAMERA}")).await.json();
    assert!(own["node"].is_null(), "what the node says of cameras of the centre is nothing");

    city.wire.silent.store(true, Ordering::Relaxed);
    city.gone();
    let lost = until(&city, "lost", |c| c["node"]["known"] == false).await;
    assert_eq!(
        (lost["node"]["at_us"].as_i64(), lost["streams"]["main"]["state"].as_str()),
        (Some(NOW.0), Some("playing"))
    );
    let list =
        async |state: &str| city.get(&format!("/api/v1/cameras?state={state}")).await.json()["total"].clone();
    assert_eq!((list("online").await, list("unknown").await), (json!(0), json!(1)));
    let table = String::from_utf8(city.get("/api/v1/cameras.csv").await.body.to_vec()).unwrap();
    assert!(
        table.lines().any(|l| l.starts_with(FAR) && l.contains(",unknown,") && l.contains(",east,false,")),
        "{table}"
    );

    city.wire.silent.store(false, Ordering::Relaxed);
    city.heard(Duration::ZERO);
    until(&city, "back", |c| c["node"]["known"] == true).await;
    city.centre.app.stop.cancel();
    city.centre.app.tasks.close();
    city.centre.app.tasks.wait().await;
}

#[tokio::test]
async fn nobody_but_the_centre_listens_to_states() {
    let node = node();
    let cookie = node.set_up().await;
    assert_eq!(node.get(follow::STATES_PATH, &cookie).await.status, StatusCode::FORBIDDEN);
}

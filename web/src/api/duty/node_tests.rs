//! What a centre hands down to a node, and what it fetches from there, with a link between them that is a function.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::response::IntoResponse as _;
use fengsui_config::ids::NodeId;
use fengsui_duty::act::{By, MatterId, Noted, Verb};
use fengsui_duty::alarm::{AlarmVerb, Raise};
use fengsui_duty::book::record_kind;
use fengsui_duty::sync::Concern;
use fengsui_relay::frame::{Frame, Key, Mark};
use fengsui_relay::identity::registry::Share;
use fengsui_relay::identity::{EnrolRequest, Token};
use fengsui_relay::inbox::AppliedPart;
use fengsui_storage::segment::NodeKey;
use http::{Method, StatusCode};
use serde_json::json;

use super::kit::{path, raise, theft};
use super::unit_tests;
use crate::api::node_tests::centre_calling;
use crate::duty::{down, whereabouts};
use crate::relay::calls::tests::Wire;
use crate::relay::centre::Centre;
use crate::testing::{NAME, Node, config, node_named, request};

const FAR: &str = "33080200001320000002";

fn east() -> NodeId {
    "east".parse().unwrap()
}

struct City {
    centre: Node,
    role: Arc<Centre>,
    cookie: String,
    _wire: Arc<Wire>,
    folder: tempfile::TempDir,
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
    let brought = EnrolRequest::sign(&token, &NodeKey::from_seed([1; 32]));
    role.enrol(&centre.app, &brought, [127, 0, 0, 1].into()).await.unwrap();
    City { centre, role, cookie, _wire: wire, folder }
}

fn node_east() -> Node {
    node_named("east", config().topology, Path::new("/nowhere/footage"))
}

/// Everything that a node did comes up.
fn up(from: &Node, to: &Node) {
    let acts: Vec<Noted> =
        from.app.duty.read(|book| book.acts().filter(|n| n.id.node == east()).cloned().collect());
    let frame = |n: Noted| {
        let (key, kind) = (Key::new(n.id.epoch, n.id.seq), record_kind(&n.act.verb));
        Frame::behind(Mark::default(), &n.id.node, key, n.act.at_us, kind, n.act.body())
    };
    let frames = acts.into_iter().map(frame).collect();
    to.app.duty.take_part(&to.app, &AppliedPart { from: east(), base: None, frames });
}

impl City {
    async fn down(&self) -> Result<fengsui_duty::sync::DownCounters, String> {
        let concern = Concern { own: [east()].into(), others: BTreeSet::new() };
        down::all(&self.centre.app, &*self.role, &east(), concern).await
    }
}

async fn act(node: &Node, id: &MatterId, verb: AlarmVerb, by: &str) {
    node.app.duty.act(&node.app, id, Verb::Alarm(verb), By::person(by)).await.unwrap();
}

async fn raised_of(node: &Node, name: &str, raise: Raise) -> MatterId {
    let id: MatterId = format!("alarm/east/{name}").parse().unwrap();
    let verb = Verb::Alarm(AlarmVerb::Raise(raise));
    node.app.duty.act(&node.app, &id, verb, By::system("rule")).await.unwrap();
    id
}

async fn raised_at(node: &Node) -> MatterId {
    raised_of(node, "a", raise(2)).await
}

#[tokio::test]
async fn a_node_notes_what_its_centre_says_before_it_answers() {
    let east = node_east();
    let city = city(east.router.clone()).await;
    let id = raised_at(&east).await;
    up(&east, &city.centre);
    act(&city.centre, &id, AlarmVerb::Acknowledge, "wang").await;
    east.register.broken.store(true, Ordering::SeqCst);
    assert!(city.down().await.unwrap_err().contains("500"));
    let state = |node: &Node| node.app.duty.read(|book| book.alarms[&id].state().unwrap().owner.clone());
    assert_eq!(state(&east), None, "without the journal nothing is taken in");
    east.register.broken.store(false, Ordering::SeqCst);
    assert_eq!(city.down().await.unwrap().took, 1);
    assert_eq!(state(&east).as_deref(), Some("wang"));
    let noted = east.register.of("duty.received");
    assert_eq!((noted.len(), &noted[0]["from"]), (1, &json!("centre")));
    assert_eq!(east.told("alarm").pop().unwrap()["owner"], "wang", "and is on the screens there");
    assert_eq!(city.down().await.unwrap().took, 0, "once");
    assert_eq!(east.register.of("duty.received").len(), 1);
}

#[tokio::test]
async fn what_both_did_while_the_link_was_cut_is_the_same_at_both_and_the_conflict_is_shown() {
    let east = node_east();
    let city = city(east.router.clone()).await;
    let id = raised_at(&east).await;
    up(&east, &city.centre);
    act(&city.centre, &id, AlarmVerb::Acknowledge, "wang").await;
    act(&east, &id, AlarmVerb::Dismiss { reason: "animal".into() }, "li").await;
    up(&east, &city.centre);
    city.down().await.unwrap();
    assert!(east.app.duty.read(|a| city.centre.app.duty.read(|b| a.alarms == b.alarms)));
    let cookie = east.set_up().await;
    let (there, here) = (
        east.shown(&cookie, &path("alarm/east/a")).await,
        city.centre.shown(&city.cookie, &path("alarm/east/a")).await,
    );
    assert_eq!((&there["conflicts"], there["acts"].as_array().unwrap().len()), (&here["conflicts"], 3));
    assert!(there["alarm"]["conflicts"].as_u64() > Some(0), "{}", there["conflicts"]);
    assert_eq!(east.shown(&cookie, "/api/v1/alarms?state=all&conflict=true").await["alarms"][0]["name"], "a");
    let conflict = there["conflicts"][0]["act"].clone();
    east.done(&cookie, "alarm/east/a", json!({"do": "settle", "act": conflict, "note": "seen"})).await;
    let page = east.shown(&cookie, &path("alarm/east/a")).await;
    assert_eq!((&page["alarm"]["conflicts"], &page["conflicts"][0]["settled"]), (&json!(0), &json!(true)));
}

#[tokio::test]
async fn a_centre_tells_what_the_node_of_the_camera_holds_or_why_it_is_not_known() {
    let told = json!({"node": "east", "hold": {"id": 4, "from_us": 1, "to_us": null, "until_us": 9}, "missing": null});
    let answers = told.clone();
    let router = Router::new().fallback(async move |uri: http::Uri| match uri.path() {
        "/api/v1/alarms/east/a/hold" => axum::Json(answers).into_response(),
        _ => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    });
    let (city, east) = (city(router).await, node_east());
    for name in ["a", "b"] {
        let raise = Raise { camera: Some(FAR.parse().unwrap()), cause: name.into(), ..raise(2) };
        raised_of(&east, name, raise).await;
    }
    up(&east, &city.centre);
    let page = city.centre.shown(&city.cookie, &path("alarm/east/a")).await;
    assert_eq!((&page["held_by"], &page["hold"]), (&json!("east"), &json!(null)));
    let held = async |of: &str| city.centre.shown(&city.cookie, &format!("{}/hold", path(of))).await;
    assert_eq!(held("alarm/east/a").await, told);
    let silent = held("alarm/east/b").await;
    assert_eq!((&silent["hold"], &silent["missing"]["why"]), (&json!(null), &json!("busy")));
}

/// A unit made at `node`; gives the end of its paths.
async fn unit_at(node: &Node, cookie: &str, name: &str) -> String {
    let path = unit_tests::made(node, cookie, unit_tests::unit(name)).await;
    path.strip_prefix("/api/v1/units/").unwrap().to_owned()
}

#[tokio::test]
async fn a_node_is_believed_of_its_own_units() {
    let east = node_east();
    let city = city(east.router.clone()).await;
    let cookie = east.set_up().await;
    let own = unit_at(&east, &cookie, "East").await;
    up(&east, &city.centre);
    let foreign = unit_at(&city.centre, &city.cookie, "Centre").await;
    let at = json!({"lat": 28.97, "lon": 118.86});
    let told = unit_tests::post(&east, &format!("/api/v1/units/{own}/position"), &cookie, at).await;
    assert_eq!(told.status, StatusCode::OK, "{:?}", told.body);
    let foreign_id: MatterId = format!("unit/{foreign}").parse().unwrap();
    let now = fengsui_config::clock::Clock::utc(&*east.clock);
    east.app.units.positions.put(&foreign_id, (28.9, 118.8), now, now).unwrap();

    assert_eq!(whereabouts::ask(&city.centre.app, &city.role).await, 1);
    let shown = async |unit: &str| city.centre.shown(&city.cookie, &format!("/api/v1/units/{unit}")).await;
    let position = &shown(&own).await["position"];
    assert_eq!((&position["lat"], &position["fresh"]), (&json!(28.97), &json!(true)));
    assert_eq!(shown(&foreign).await["position"], json!(null), "the unit is none of that node's");
    assert_eq!(whereabouts::ask(&city.centre.app, &city.role).await, 0, "nothing newer");
}

#[tokio::test]
async fn an_older_node_is_left_alone() {
    let older = Router::new().fallback(|| async { StatusCode::NOT_FOUND.into_response() });
    let city = city(older).await;
    let east = node_east();
    raised_at(&east).await;
    up(&east, &city.centre);
    assert_eq!(city.down().await.unwrap_err(), "older");
}

#[tokio::test]
async fn what_is_no_message_of_a_centre_is_refused_and_people_may_not_send_one() {
    let east = node_east();
    let cookie = east.set_up().await;
    let sent = request(Method::PUT, down::PATH, Some(&cookie), Some(&json!({"from": "centre"})));
    assert_eq!(east.send(sent).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn an_incident_with_a_camera_of_a_node_concerns_that_node_and_its_files_are_fetched() {
    let east = node_east();
    let city = city(east.router.clone()).await;
    let id = city.centre.open(&city.cookie, theft()).await;
    city.down().await.unwrap();
    let matter: MatterId = id.parse().unwrap();
    let knows = |node: &Node| node.app.duty.read(|book| book.incidents.contains_key(&matter));
    assert!(!knows(&east));
    city.centre.done(&city.cookie, &id, json!({"do": "add_camera", "camera": FAR})).await;
    city.down().await.unwrap();
    assert!(knows(&east), "it is shared with the node of the camera");

    east.app.duty.keep_files(&city.folder.path().join("east"));
    city.centre.app.duty.keep_files(&city.folder.path().join("centre-files"));
    let cookie = east.set_up().await;
    let mut sent =
        request(Method::POST, &format!("{}/attachments?name=n.txt", path(&id)), Some(&cookie), None);
    *sent.body_mut() = "the door was open".into();
    let added = east.send(sent).await;
    assert_eq!(added.status, StatusCode::CREATED, "{:?}", added.body);
    let hash = added.json()["attachment"]["hash"].as_str().unwrap().to_owned();
    up(&east, &city.centre);
    let got = city.centre.get(&format!("{}/attachments/{hash}", path(&id)), &city.cookie).await;
    assert_eq!((got.status, &got.body[..]), (StatusCode::OK, &b"the door was open"[..]));
    assert!(city.folder.path().join("centre-files").join(&hash).exists(), "and kept");
    std::fs::remove_file(city.folder.path().join("centre-files").join(&hash)).unwrap();
    std::fs::write(city.folder.path().join("east").join(&hash), "a lie").unwrap();
    let got = city.centre.get(&format!("{}/attachments/{hash}", path(&id)), &city.cookie).await;
    assert_ne!(got.status, StatusCode::OK, "another node is believed by the hash alone");
}

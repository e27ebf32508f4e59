#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]
//! A centre and a sub-centre, each without disks and cameras, with calls that go from one router to the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::ws::Message;
use axum::response::Response;
use fengsui_config::clock::Clock as _;
use fengsui_config::ids::{CameraId, NodeId, StreamKey, StreamKind};
use fengsui_config::limits;
use fengsui_relay::link::LinkError;
use fengsui_storage::board::{FailureClass, SessionState};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use http::{Method, Request, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::Below;
use super::manager::Manager;
use crate::auth::access::{FromCentre, Principal};
use crate::auth::register::kinds;
use crate::live::wall::Wall;
use crate::relay::calls::{Call, CallError};
use crate::testing::{CAMERA, NOW, Node, OFFLINE, info, key, node, picture, request};

const SECOND_CAMERA: &str = "33080200001320000002";

fn east() -> NodeId {
    "east".parse().unwrap()
}

/// The sub-centre as its centre reaches it.
struct Calls {
    router: axum::Router,
    bits: u64,
    owned: Mutex<Vec<CameraId>>,
    /// Cuts what is under way; none lets nothing through.
    cut: Mutex<Option<CancellationToken>>,
    begun: AtomicUsize,
}

impl Below for Calls {
    fn owner(&self, camera: &CameraId) -> Option<NodeId> {
        self.owned.lock().contains(camera).then(east)
    }
    fn budget_bits(&self, _: &NodeId) -> u64 {
        self.bits
    }
    fn call<'a>(&'a self, node: &'a NodeId, call: Call) -> BoxFuture<'a, Result<Response, CallError>> {
        Box::pin(async move {
            let Some(cut) = self.cut.lock().clone() else {
                return Err(CallError::Failed(node.clone(), LinkError::Lost));
            };
            self.begun.fetch_add(1, Ordering::Relaxed);
            let request = Request::builder().method(call.method).uri(call.path_and_query);
            let mut request = request.body(Body::empty()).unwrap();
            request.extensions_mut().insert(FromCentre::new(&call.by));
            let (head, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
            let body = body.into_data_stream().take_until(cut.cancelled_owned());
            Ok(Response::from_parts(head, Body::from_stream(body)))
        })
    }
}

struct City {
    centre: Node,
    east: Node,
    calls: Arc<Calls>,
    cookie: String,
    pictures: AtomicU64,
}

async fn city(bits: u64) -> City {
    let (centre, east) = (node(), node());
    let mut topology = (*centre.app.topology()).clone();
    topology.cameras.values_mut().for_each(|camera| camera.enabled = false);
    let owned = Mutex::new(topology.cameras.keys().copied().collect());
    centre.app.set_topology(Arc::new(topology));
    let cookie = centre.set_up().await;
    east.set_up().await;
    let cut = Mutex::new(Some(CancellationToken::new()));
    let calls = Arc::new(Calls { router: east.router.clone(), bits, owned, cut, begun: AtomicUsize::new(0) });
    centre.app.tasks.spawn(Manager::new(&centre.app, calls.clone()).run());
    City { centre, east, calls, cookie, pictures: AtomicU64::new(0) }
}

/// What a wall was told last of a tile, and the pictures that it got.
#[derive(Debug, Default, Clone, PartialEq)]
struct Tile {
    state: Value,
    pictures: usize,
}

struct Viewer {
    wall: Wall,
    tile: Tile,
}

impl City {
    fn viewer(&self, camera: &str, stream: &str, priority: i32) -> Viewer {
        let id = self.cookie.split_once('=').unwrap().1;
        let principal = Principal::by_session(&self.centre.app.auth, id, [10, 1, 2, 3].into()).unwrap();
        let mut wall = Wall::new(self.centre.app.clone(), principal);
        let ask =
            json!({"op": "subscribe", "sub": 1, "camera": camera, "stream": stream, "priority": priority});
        assert_eq!(wall.request(&ask.to_string()), None);
        Viewer { wall, tile: Tile::default() }
    }

    /// A moment passes at both nodes; cameras send a picture each, when they send.
    async fn tick(&self, sends: &[StreamKey]) {
        for node in [&self.centre, &self.east] {
            node.clock.advance(Duration::from_millis(40));
        }
        let n = i64::try_from(self.pictures.fetch_add(1, Ordering::Relaxed)).unwrap();
        for key in sends {
            self.east.hub.stream(*key).push(picture(n, self.east.clock.utc()));
        }
        tokio::time::sleep(Duration::from_millis(40)).await;
    }

    /// Lets time pass until something is so, at most two minutes.
    async fn until(&self, what: &str, sends: &[StreamKey], mut so: impl FnMut() -> bool) {
        for _ in 0..3_000 {
            if so() {
                return;
            }
            self.tick(sends).await;
        }
        panic!("waited in vain for: {what}; {:?} {:?}", self.centre.app.far, self.centre.hub.stats());
    }

    fn open(&self) -> usize {
        self.centre.app.far.counters.open()
    }

    fn counter(&self, name: &str) -> u64 {
        self.centre.app.far.counters.all().iter().find(|(n, ..)| *n == name).unwrap().2
    }
}

impl Viewer {
    fn look(&mut self) -> &Tile {
        let taken: Vec<Message> = std::iter::from_fn(|| self.wall.take()).flatten().collect();
        for message in taken.into_iter().chain(self.wall.states()) {
            match message {
                Message::Binary(_) => self.tile.pictures += 1,
                Message::Text(text) => {
                    let notice: Value = serde_json::from_str(&text).unwrap();
                    if notice["op"] == "state" {
                        self.tile.state = notice;
                    }
                }
                other => panic!("unexpected {other:?}"),
            }
        }
        &self.tile
    }

    fn plays(&mut self) -> bool {
        let tile = self.look();
        tile.state["state"] == "playing" && tile.pictures > 0
    }

    fn told(&mut self) -> (String, String, String) {
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let state = &self.look().state;
        (word(&state["state"]), word(&state["reason"]), word(&state["node"]))
    }
}

fn told(state: &str, reason: &str) -> (String, String, String) {
    (state.into(), reason.into(), "east".into())
}

fn second() -> StreamKey {
    StreamKey { camera: SECOND_CAMERA.parse().unwrap(), stream: StreamKind::Main }
}

#[tokio::test(start_paused = true)]
async fn many_viewers_have_one_upstream_which_ends_after_the_last() {
    let city = city(20_000_000).await;
    let main = key(StreamKind::Main);
    city.east.hub.stream(main).begin(info());
    let mut viewers: Vec<Viewer> = (0..10).map(|_| city.viewer(CAMERA, "main", 0)).collect();
    city.until("all play", &[main], || viewers.iter_mut().all(Viewer::plays)).await;
    assert_eq!((city.open(), city.counter("opened"), city.calls.begun.load(Ordering::Relaxed)), (1, 1, 1));
    assert_eq!(city.east.hub.stream(main).viewers(), 1, "one cursor at the node");
    let line = city.centre.app.far.lines()[&east()];
    assert_eq!((line.streams, line.budget_bits), (1, 20_000_000));
    let seen = city.east.register.of(kinds::VIEWING_LIVE);
    assert_eq!((seen.len(), seen[0]["by"].as_str()), (1, Some("centre:li")), "the node knows who looks");

    let before = viewers[9].look().pictures;
    viewers.truncate(1);
    city.until("the others are gone", &[main], || city.centre.hub.stream(main).viewers() == 1).await;
    city.until("it goes on", &[main], || viewers[0].look().pictures > before + 20).await;
    viewers.clear();
    city.until("nobody looks", &[main], || city.open() == 0).await;
    city.until("the node knows", &[main], || city.east.hub.stream(main).viewers() == 0).await;
    assert_eq!(city.centre.hub.stats().ring_bytes, 0, "nothing is kept");
    assert!(city.centre.app.far.inner.lock().streams.is_empty(), "nor remembered");
}

#[tokio::test(start_paused = true)]
async fn a_wall_that_turns_a_page_and_back_has_the_same_upstream() {
    let city = city(20_000_000).await;
    let sub = key(StreamKind::Sub);
    city.east.hub.stream(sub).begin(info());
    let mut viewer = city.viewer(CAMERA, "sub", 0);
    city.until("it plays", &[sub], || viewer.plays()).await;
    drop(viewer);
    for _ in 0..limits::RELAY_LIVE_LINGER.as_millis() / 40 / 2 {
        city.tick(&[sub]).await;
    }
    let mut again = city.viewer(CAMERA, "sub", 0);
    city.until("it plays again", &[sub], || again.plays()).await;
    assert_eq!((city.open(), city.counter("opened")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_full_line_gives_its_place_to_the_picture_that_somebody_looks_at_and_tells_the_loser() {
    let city = city(4_500_000).await;
    let (sub, main, other) = (key(StreamKind::Sub), key(StreamKind::Main), second());
    for key in [sub, main, other] {
        city.east.hub.stream(key).begin(info());
    }
    let all = [sub, main, other];
    let mut small = city.viewer(CAMERA, "sub", 0);
    city.until("the small one plays", &all, || small.plays()).await;
    let mut large = city.viewer(CAMERA, "main", 20);
    city.until("the large one plays", &all, || large.plays()).await;
    city.until("the small one is told", &all, || small.told() == told("offline", "preempted")).await;
    assert!(small.look().state["detail"].as_str().unwrap().contains("east"), "{small:?}", small = small.tile);
    let mut late = city.viewer(SECOND_CAMERA, "main", 0);
    city.until("another is told", &all, || late.told() == told("offline", "link_full")).await;
    assert_eq!((city.open(), city.counter("preempted"), city.counter("refused")), (1, 1, 1));

    drop(large);
    city.until("who waits has the place", &all, || late.plays()).await;
    let held = small.look().pictures;
    drop(late);
    city.until("all is as before", &all, || small.look().pictures > held + 5).await;
    assert_eq!(small.told(), ("playing".into(), String::new(), String::new()));
}

#[tokio::test(start_paused = true)]
async fn viewers_are_told_that_the_node_is_gone_and_see_it_come_back() {
    let city = city(20_000_000).await;
    let main = key(StreamKind::Main);
    city.east.hub.stream(main).begin(info());
    let mut viewer = city.viewer(CAMERA, "main", 0);
    city.until("it plays", &[main], || viewer.plays()).await;
    city.calls.cut.lock().take().unwrap().cancel();
    city.until("told", &[main], || viewer.told() == told("offline", "node_unreachable")).await;
    city.until("the node's end is over", &[main], || city.east.hub.stream(main).viewers() == 0).await;
    assert!(city.counter("broken") >= 1);
    let had = viewer.look().pictures;
    *city.calls.cut.lock() = Some(CancellationToken::new());
    city.until("it plays again", &[main], || viewer.look().pictures > had).await;
    assert!(viewer.plays());
}

#[tokio::test(start_paused = true)]
async fn what_the_node_knows_of_its_camera_is_told_here() {
    let city = city(20_000_000).await;
    let (main, mut viewer) = (key(StreamKind::Main), city.viewer(CAMERA, "main", 0));
    city.until("it waits", &[], || viewer.told() == told("waiting", "")).await;
    let place = city.east.app.board.place(main, NOW);
    place.lock().state = SessionState::BackOff;
    place.lock().failure = Some(FailureClass::Auth);
    city.until("refused", &[], || viewer.told() == told("offline", "auth")).await;
    city.east.hub.stream(main).begin(info());
    city.until("it plays", &[main], || viewer.plays()).await;
    place.lock().failure = Some(FailureClass::Closed);
    city.east.hub.stream(main).end(OFFLINE);
    city.until("closed", &[], || viewer.told() == told("offline", "closed")).await;
    assert_eq!(city.counter("opened"), 1, "a camera that is off costs no new upstream");
}

#[tokio::test(start_paused = true)]
async fn a_camera_of_no_node_says_so_and_plays_once_it_is_assigned() {
    let city = city(20_000_000).await;
    let main = key(StreamKind::Main);
    city.east.hub.stream(main).begin(info());
    let all = std::mem::take(&mut *city.calls.owned.lock());
    let mut viewer = city.viewer(CAMERA, "main", 0);
    city.until("told", &[main], || viewer.told().0 == "ended").await;
    assert!(viewer.look().state["detail"].as_str().unwrap().contains("no node"));
    *city.calls.owned.lock() = all;
    city.until("it plays", &[main], || viewer.plays()).await;
    city.calls.owned.lock().clear();
    city.until("taken away", &[main], || viewer.told().0 == "ended").await;
    assert_eq!(city.open(), 0);
}

#[tokio::test]
async fn live_pictures_for_the_centre_are_for_nobody_else() {
    let (node, path) = (node(), format!("/api/v1/node/live/{CAMERA}/main"));
    let cookie = node.set_up().await;
    assert_eq!(node.get(&path, &cookie).await.status, StatusCode::FORBIDDEN);
    let viewers = request(Method::POST, &format!("{path}/viewers"), Some(&cookie), None);
    assert_eq!(node.send(viewers).await.status, StatusCode::FORBIDDEN);
    assert_eq!(node.get(&path, "").await.status, StatusCode::FORBIDDEN);
    assert_eq!(node.hub.stream(key(StreamKind::Main)).viewers(), 0);
}

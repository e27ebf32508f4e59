//! Orders of the centre to record in place of others, in process.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use fengsui_config::Topology;
use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::CameraId;
use fengsui_relay::call::OnBehalf;
use fengsui_storage::backfill::{Came, Incoming};
use fengsui_storage::error::StoreError;
use http::{Method, Request, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::app::App;
use crate::auth::access::FromCentre;
use crate::standby::StandIn;
use crate::testing::{Answer, CAMERA, Node, config, node, request};

const PATH: &str = "/api/v1/node/standby";

/// What a node would record and take in.
#[derive(Default)]
struct Fake {
    recorded: Mutex<Vec<BTreeSet<CameraId>>>,
    pieces: Mutex<Vec<(Incoming, u64, Vec<u8>)>>,
    came: Mutex<Option<Came>>,
}

impl StandIn for Fake {
    fn record(&self, _: &App, cameras: BTreeSet<CameraId>) {
        self.recorded.lock().push(cameras);
    }
    fn take_in(
        &self,
        _now: UtcMicros,
        incoming: &Incoming,
        offset: u64,
        piece: &[u8],
    ) -> Result<Came, StoreError> {
        self.pieces.lock().push((incoming.clone(), offset, piece.to_vec()));
        Ok(self.came.lock().clone().unwrap_or(Came::Part(offset + piece.len() as u64)))
    }
}

/// A node that stands by for `east` with its first camera.
fn standing_by() -> (Node, Arc<Fake>) {
    let (node, fake) = (node(), Arc::new(Fake::default()));
    *node.app.stand_in.write() = Some(fake.clone());
    let mut topology: Topology = config().topology;
    topology.cameras.get_mut(&CAMERA.parse().unwrap()).unwrap().standby_for = Some("east".parse().unwrap());
    node.app.set_topology(Arc::new(topology.with_standby(&BTreeSet::new())));
    (node, fake)
}

fn from_centre(mut request: Request<Body>) -> Request<Body> {
    let by = OnBehalf { user: "centre".into(), roles: Vec::new() };
    request.extensions_mut().insert(FromCentre::new(&by));
    request
}

async fn order(node: &Node, body: &Value) -> Answer {
    node.send(from_centre(request(Method::PUT, PATH, None, Some(body)))).await
}

fn told(revision: u64, cameras: &[&str]) -> Value {
    json!({"owner": "east", "revision": revision, "cameras": cameras})
}

#[tokio::test]
async fn an_order_is_in_the_journal_before_it_is_followed_and_an_older_one_changes_nothing() {
    let (node, fake) = standing_by();
    let cookie = node.set_up().await;
    let before = node.get(&format!("/api/v1/cameras/{CAMERA}"), &cookie).await.json();
    assert_eq!((before["enabled"].as_bool(), before["standby_for"].as_str()), (Some(false), Some("east")));
    let unknown = "33080200001320000009";
    let answer = order(&node, &told(5, &[CAMERA, unknown])).await.json();
    assert_eq!(answer, json!({"followed": true, "revision": 5, "missing": [unknown]}));
    assert_eq!(fake.recorded.lock().last().unwrap().len(), 2);
    let noted = node.register.of("standby.taken");
    assert_eq!((noted.len(), &noted[0]["owner"], &noted[0]["revision"]), (1, &json!("east"), &json!(5)));
    // Told again, or late: nothing is noted, nothing changes.
    assert_eq!(order(&node, &told(5, &[CAMERA, unknown])).await.json()["followed"], true);
    let late = order(&node, &told(4, &[])).await.json();
    assert_eq!((late["followed"].as_bool(), late["revision"].as_u64()), (Some(false), Some(5)));
    assert_eq!((node.register.of("standby.released").len(), fake.recorded.lock().len()), (0, 1));
    let shown = node.get(PATH, &cookie).await.json();
    assert_eq!(shown["items"][0]["cameras"], json!([CAMERA, unknown]));
    // Without the journal it is not followed.
    node.register.broken.store(true, Ordering::SeqCst);
    assert_eq!(order(&node, &told(6, &[])).await.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(fake.recorded.lock().len(), 1);
    node.register.broken.store(false, Ordering::SeqCst);
    assert_eq!(order(&node, &told(6, &[])).await.json()["followed"], true);
    assert!(fake.recorded.lock().last().unwrap().is_empty());
    assert_eq!(node.register.of("standby.released")[0]["revision"], 6);
}

#[tokio::test]
async fn only_the_centre_says_what_is_recorded_in_place_of_others_and_bad_orders_name_their_fault() {
    let (node, fake) = standing_by();
    let cookie = node.set_up().await;
    let piece = format!(
        "/api/v1/node/backfill/{CAMERA}/main/1_2147483649_5_v.mp4?offset=0&bytes=9&node=west&key={}",
        "0".repeat(64)
    );
    for path in [PATH, &piece] {
        let answer = node.send(request(Method::PUT, path, Some(&cookie), Some(&told(1, &[])))).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
    }
    for (body, field) in [
        (json!({"owner": "East", "revision": 1, "cameras": []}), "owner"),
        (json!({"owner": "east", "revision": 1, "cameras": ["12"]}), "cameras"),
        (json!({"owner": "east", "revision": 1, "cameras": vec![CAMERA; 5000]}), "cameras"),
        (json!({"owner": "east", "cameras": []}), "body"),
        (json!({"owner": "east", "revision": -1, "cameras": []}), "body"),
    ] {
        let answer = order(&node, &body).await;
        assert_eq!(
            (answer.status, answer.json()["field"].as_str()),
            (StatusCode::BAD_REQUEST, Some(field)),
            "{:?}",
            answer.body
        );
    }
    for (path, field) in [
        (piece.replace("main", "side"), "stream"),
        (piece.replace("_v.mp4", ".txt"), "segment"),
        (piece.replace("node=west", "node=We%20st"), "node"),
        (piece.replace(&"0".repeat(64), "00"), "key"),
        (piece.replace("bytes=9", "bytes=x"), "query"),
    ] {
        let sent = from_centre(request(Method::PUT, &path, None, None));
        let answer = node.send(sent).await;
        assert_eq!(
            (answer.status, answer.json()["field"].as_str()),
            (StatusCode::BAD_REQUEST, Some(field)),
            "{path}"
        );
    }
    assert!(fake.recorded.lock().is_empty() && fake.pieces.lock().is_empty());
    assert!(node.register.of("standby.taken").is_empty());
}

#[tokio::test]
async fn what_comes_of_footage_of_another_node_is_in_the_journal() {
    let (node, fake) = standing_by();
    let put = async |offset: u64, body: &'static [u8]| {
        let key = "ab".repeat(32);
        let path = format!(
            "/api/v1/node/backfill/{CAMERA}/main/7_2147483649_5_v.mp4?offset={offset}&bytes=6&node=west&key={key}"
        );
        let mut sent = from_centre(request(Method::PUT, &path, None, None));
        *sent.body_mut() = Body::from(body);
        node.send(sent).await.json()
    };
    assert_eq!(put(0, b"abc").await, json!({"state": "part", "have": 3, "hash": null, "why": null}));
    let (incoming, offset, piece) = fake.pieces.lock()[0].clone();
    assert_eq!((incoming.name.number, incoming.bytes, offset, piece), (2_147_483_649, 6, 0, b"abc".to_vec()));
    assert!(node.register.of("backfill.taken").is_empty(), "a part is no footage");
    *fake.came.lock() = Some(Came::Taken([1; 32]));
    assert_eq!(put(3, b"def").await["hash"], "01".repeat(32));
    let noted = &node.register.of("backfill.taken")[0];
    assert_eq!((&noted["node"], &noted["segment"]), (&json!("west"), &json!("7_2147483649_5_v.mp4")));
    *fake.came.lock() = Some(Came::Refused("it is damaged".into()));
    assert_eq!(put(3, b"def").await["why"], "it is damaged");
    assert_eq!(node.register.of("backfill.refused")[0]["why"], "it is damaged");
}

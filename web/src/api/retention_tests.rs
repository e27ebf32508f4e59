//! Holds and retention as a browser meets them, over a real journal and catalogue.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use fengsui_config::clock::Clock;
use fengsui_config::ids::StreamKind;
use fengsui_storage::catalogue::Catalogue;
use fengsui_storage::fs::{Fs, RealFs};
use fengsui_storage::retention::{NoArchive, VolumeNow, Volumes};
use fengsui_storage::segment::{NodeKey, SegmentFlags, SegmentRow};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::retention::{self, Retained};
use crate::testing::{Answer, CAMERA, NAME, NOW, Node, config, key, node, request};

struct AtHand(Vec<VolumeNow>);

impl Volumes for AtHand {
    fn volumes(&self) -> Vec<VolumeNow> {
        self.0.clone()
    }
}

/// A node with one stored segment that is far older than its time, and one of an hour ago.
pub(super) fn keeping() -> (Node, Arc<Retained>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let (data, root) = (folder.path().join("data"), folder.path().join("v1"));
    std::fs::create_dir_all(&root).unwrap();
    std::fs::write(root.join(fengsui_storage::volume::IDENTITY_FILE), "{}").unwrap();
    let mut config = config();
    config.storage.volumes[0].path.clone_from(&root);
    let node = node();
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let clock: Arc<dyn Clock> = node.clock.clone();
    config.node.data.clone_from(&data);
    let node_key = Arc::new(NodeKey::from_seed([7; 32]));
    let journal = crate::trail::open(&config, &fs, &clock, &node_key).unwrap();
    let catalogue = Catalogue::open(fs.clone(), &data.join("catalogue"), clock.clone()).unwrap();
    for (number, hours) in [(1, 24 * 200), (2, 1)] {
        let row = SegmentRow {
            volume: "v1".parse().unwrap(),
            key: key(StreamKind::Main),
            number,
            start_ms: (NOW - Duration::from_secs(3600 * hours)).millis(),
            duration_ms: 900_000,
            flags: SegmentFlags::VIDEO,
            bytes: 4,
            closed: true,
        };
        let path = root.join(row.path());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "mp4.").unwrap();
        catalogue.closed(&row, [0; 32]);
    }
    let kept =
        retention::open(&config, (fs, clock), catalogue, &journal, (Arc::new(NoArchive), None)).unwrap();
    kept.attach(Arc::new(AtHand(retention::volumes(&config))));
    let retained = Arc::new(Retained { retention: kept, journal });
    *node.app.retention.write() = Some(retained.clone());
    (node, retained, folder)
}

async fn send(node: &Node, method: Method, path: &str, cookie: &str, body: &Value) -> Answer {
    node.send(request(method, path, Some(cookie), Some(body))).await
}

#[tokio::test]
async fn a_hold_is_placed_extended_listed_and_released() {
    let (node, retained, _folder) = keeping();
    let cookie = node.set_up().await;
    let body = json!({"cameras": [CAMERA], "from_us": NOW.0 - 7_200_000_000_i64, "to_us": NOW.0,
        "reason": "theft", "case_number": "A-17"});
    let placed = send(&node, Method::POST, "/api/v1/holds", &cookie, &body).await;
    assert_eq!(placed.status, StatusCode::CREATED, "{:?}", placed.body);
    let placed = placed.json();
    assert_eq!((placed["id"].as_u64(), placed["by"].as_str()), (Some(1), Some(NAME)));
    assert_eq!((placed["kept_segments"].as_u64(), placed["in_force"].as_bool()), (Some(1), Some(true)));
    let more = json!({"open_end": true, "reason": "it goes on"});
    let longer = send(&node, Method::PATCH, "/api/v1/holds/1", &cookie, &more).await;
    assert_eq!((longer.status, longer.json()["to_us"].clone()), (StatusCode::OK, Value::Null));
    let list = node.get(&format!("/api/v1/holds?camera={CAMERA}"), &cookie).await.json();
    assert_eq!(
        (list["items"][0]["extensions"][0]["reason"].as_str(), list["in_force"].as_u64()),
        (Some("it goes on"), Some(1))
    );
    let metrics = String::from_utf8(node.get("/metrics", &cookie).await.body.to_vec()).unwrap();
    assert!(metrics.contains("fengsui_holds_in_force 1"));
    let why = json!({"reason": "closed"});
    let released = send(&node, Method::POST, "/api/v1/holds/1/release", &cookie, &why).await;
    assert_eq!((released.status, released.json()["released"]["by"].as_str()), (StatusCode::OK, Some(NAME)));
    assert!(node.get("/api/v1/holds", &cookie).await.json()["items"].as_array().unwrap().is_empty());
    let all = node.get("/api/v1/holds?state=all", &cookie).await.json();
    assert_eq!(all["items"][0]["released"]["reason"], "closed");
    let kinds: Vec<String> = retained
        .journal
        .read(1)
        .unwrap()
        .map(|r| r.unwrap().kind)
        .filter(|k| k.starts_with("hold."))
        .collect();
    assert_eq!(kinds, ["hold.placed", "hold.extended", "hold.released"]);
}

#[tokio::test]
async fn holds_that_make_no_sense_are_problems_with_remedies() {
    let (node, _retained, _folder) = keeping();
    let cookie = node.set_up().await;
    let refused = async |method, path: &str, body: Value, status: StatusCode, code: &str| {
        let answer = send(&node, method, path, &cookie, &body).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path} {body}");
        answer.json()
    };
    let good = json!({"cameras": [CAMERA], "from_us": 0, "reason": "theft"});
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    let bad = StatusCode::BAD_REQUEST;
    let reason = refused(Method::POST, "/api/v1/holds", with("reason", json!("")), bad, "bad_request").await;
    assert_eq!(reason["field"], "reason");
    assert!(reason["remedy"].is_string());
    refused(Method::POST, "/api/v1/holds", with("cameras", json!([])), bad, "bad_request").await;
    refused(Method::POST, "/api/v1/holds", with("to_us", json!(-1)), bad, "bad_request").await;
    refused(Method::POST, "/api/v1/holds", with("until", json!(1)), bad, "bad_request").await;
    let why = json!({"reason": "x"});
    refused(Method::POST, "/api/v1/holds/9/release", why.clone(), StatusCode::NOT_FOUND, "not_found").await;
    send(&node, Method::POST, "/api/v1/holds", &cookie, &good).await;
    send(&node, Method::POST, "/api/v1/holds/1/release", &cookie, &why).await;
    refused(Method::POST, "/api/v1/holds/1/release", why, StatusCode::CONFLICT, "conflict").await;
    assert_eq!(node.get("/api/v1/holds?state=lost", &cookie).await.json()["field"], "state");
}

#[tokio::test]
async fn retention_shows_plans_and_registers_what_is_deleted() {
    let (node, retained, _folder) = keeping();
    let cookie = node.set_up().await;
    let plan = node.get("/api/v1/retention/plan", &cookie).await.json();
    assert_eq!(
        (plan["items"][0]["why"].as_str(), plan["items"][0]["segments"].as_u64()),
        (Some("duty"), Some(1))
    );
    let step = retained.clone();
    tokio::task::spawn_blocking(move || step.retention.step()).await.unwrap();
    let show = node.get("/api/v1/retention", &cookie).await.json();
    assert_eq!(show["deleted"]["duty_segments"], 1);
    assert_eq!(
        (show["classes"][0]["class"].as_str(), show["classes"][0]["min_seconds"].as_u64()),
        (Some("normal"), Some(2_592_000))
    );
    assert_eq!((show["emergency"].as_str(), show["volumes"][0]["id"].as_str()), (Some("stop"), Some("v1")));
    assert_eq!(show["forecast"]["outlook"], "holds");
    let page = node.get("/api/v1/retention/register?limit=1", &cookie).await.json();
    assert_eq!(
        (page["items"][0]["ranges"][0]["camera"].as_str(), page["items"][0]["bytes"].as_u64()),
        (Some(CAMERA), Some(4))
    );
    let found = async |query: &str| {
        let page = node.get(&format!("/api/v1/retention/register?{query}"), &cookie).await.json();
        page["items"].as_array().unwrap_or(&Vec::new()).len()
    };
    assert_eq!(found(&format!("order=newest&camera={CAMERA}&why=duty")).await, 1);
    assert_eq!((found("order=newest&why=water").await, found("why=sacrifice").await), (0, 0));
    assert_eq!(found("order=newest&camera=33080201001320999999").await, 0);
    for (query, field) in [("why=whim", "why"), ("order=best", "order"), ("camera=1", "camera")] {
        let refused = node.get(&format!("/api/v1/retention/register?{query}"), &cookie).await;
        assert_eq!(
            (refused.status, refused.json()["field"].as_str()),
            (StatusCode::BAD_REQUEST, Some(field))
        );
    }
    let left = node.get("/api/v1/retention/plan", &cookie).await.json();
    assert!(left["items"].as_array().unwrap().is_empty());
    let metrics = String::from_utf8(node.get("/metrics", &cookie).await.body.to_vec()).unwrap();
    assert!(metrics.contains("fengsui_retention_deleted_segments_total{why=\"duty\"} 1"), "{metrics}");
}

#[tokio::test]
async fn a_node_without_footage_says_so() {
    let node = node();
    let cookie = node.set_up().await;
    for path in ["/api/v1/holds", "/api/v1/retention", "/api/v1/retention/plan", "/api/v1/retention/register"]
    {
        assert_eq!(node.get(path, &cookie).await.code(), "unavailable", "{path}");
    }
}

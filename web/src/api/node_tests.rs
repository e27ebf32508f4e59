#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
//! Orders about nodes and enrolment, at a centre whose message server does not run.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use fengsui_config::clock::Clock;
use fengsui_config::{CentreRole, limits};
use fengsui_relay::identity::{EnrolRequest, Token};
use fengsui_relay::inbox::Rules as _;
use fengsui_storage::fs::{Fs, RealFs};
use fengsui_storage::journal::{Journal, JournalOptions};
use fengsui_storage::segment::NodeKey;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::auth::register::kinds;
use crate::relay::calls::Calls;
use crate::relay::centre::Centre;
use crate::relay::{Relay, Role};
use crate::testing::{Answer, CAMERA, Node, config, node, request};

/// A node that is a centre; its servers are nowhere.
pub(super) async fn centre(folder: &Path) -> (Node, Arc<Centre>) {
    centre_calling(folder, None).await
}

/// The same, which calls its nodes by other means.
pub(super) async fn centre_calling(folder: &Path, calls: Option<Calls>) -> (Node, Arc<Centre>) {
    let node = node();
    let data = folder.to_owned();
    let role = CentreRole {
        listen: "127.0.0.1:1".parse().unwrap(),
        certificate_names: vec!["127.0.0.1".to_owned()],
        public_servers: vec!["tls://127.0.0.1:1".to_owned()],
        servers: vec!["tls://127.0.0.1:1".to_owned()],
        store: data.join("streams"),
        stream_bytes: 16 << 20,
        replicas: 1,
        cluster: None,
        links: fengsui_config::LinkBudgets::default(),
    };
    let mut config = config();
    config.node.data.clone_from(&data);
    let (fs, clock): (Arc<dyn Fs>, Arc<dyn Clock>) = (Arc::new(RealFs), node.clock.clone());
    let key = Arc::new(NodeKey::from_seed([7; 32]));
    let own = config.node.id.clone();
    let journal =
        Journal::open(JournalOptions::new(fs, data.join("journal"), clock, own, key.clone())).unwrap();
    let mut centre = Centre::open(&node.app, &config, &role, (&journal, &key), Some([9; 32])).await.unwrap();
    if let Some(calls) = calls {
        Arc::get_mut(&mut centre).unwrap().calls = calls;
    }
    let relay = Relay {
        role: Role::Centre,
        uplink: None,
        centre: Some(centre.clone()),
        calls: Arc::default(),
        why: None,
    };
    *node.app.relay.write() = Some(Arc::new(relay));
    (node, centre)
}

pub(super) async fn ask(
    node: &Node,
    method: Method,
    path: &str,
    cookie: Option<&str>,
    body: &Value,
) -> Answer {
    node.send(request(method, &format!("/api/v1/nodes{path}"), cookie, Some(body))).await
}

#[tokio::test]
async fn a_node_alone_says_so_and_takes_no_orders() {
    let node = node();
    let cookie = node.set_up().await;
    let shown = node.get("/api/v1/nodes", &cookie).await.json();
    assert_eq!((shown["role"].as_str(), shown["centre"].is_null()), (Some("alone"), true));
    assert_eq!(shown["items"], json!([]));
    let refused = ask(&node, Method::POST, "", Some(&cookie), &json!({"id": "east"})).await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::CONFLICT, "conflict"));
    let nobody = ask(&node, Method::POST, "", None, &json!({"id": "east"})).await;
    assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_node_is_invited_enrolled_once_drained_and_retired_and_the_journal_has_it_before() {
    let folder = tempfile::tempdir().unwrap();
    let (node, centre) = centre(folder.path()).await;
    let cookie = node.set_up().await;
    let body = json!({"id": "east", "cameras": [CAMERA], "hours": 2});
    node.register.broken.store(true, Ordering::SeqCst);
    let failed = ask(&node, Method::POST, "", Some(&cookie), &body).await;
    assert_eq!(failed.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(
        node.get("/api/v1/nodes", &cookie).await.json()["items"],
        json!([]),
        "nothing without the journal"
    );
    node.register.broken.store(false, Ordering::SeqCst);
    let made = ask(&node, Method::POST, "", Some(&cookie), &body).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let text = made.json()["token"].as_str().unwrap().to_owned();
    let token: Token = text.parse().unwrap();
    let rows = node.register.of(kinds::NODE_INVITED);
    assert!(rows.len() == 1 && !rows[0].to_string().contains(text.split('.').nth(2).unwrap()));
    assert_eq!(node.get("/api/v1/nodes", &cookie).await.json()["items"][0]["state"], "invited");

    let key = NodeKey::from_seed([1; 32]);
    let enrol = serde_json::to_value(EnrolRequest::sign(&token, &key)).unwrap();
    let mut forged = enrol.clone();
    forged["key"] = NodeKey::from_seed([2; 32]).id().to_string().into();
    let refused = ask(&node, Method::POST, "/enrolment", None, &forged).await;
    assert_eq!((refused.status, refused.json()["field"].as_str()), (StatusCode::FORBIDDEN, Some("proof")));
    let enrolled = ask(&node, Method::POST, "/enrolment", None, &enrol).await;
    assert_eq!(enrolled.status, StatusCode::OK, "{}", enrolled.json());
    assert_eq!(enrolled.json()["servers"], json!(["tls://127.0.0.1:1"]));
    assert!(enrolled.json()["authority"].as_str().unwrap().contains("BEGIN CERTIFICATE"));
    let again = ask(&node, Method::POST, "/enrolment", None, &enrol).await;
    assert_eq!((again.status, again.code().as_str()), (StatusCode::UNAUTHORIZED, "token_refused"));
    assert_eq!(node.register.of(kinds::NODE_ENROL_REFUSED).len(), 2);

    let east = "east".parse().unwrap();
    assert!(centre.roll.owns(&east, CAMERA) && centre.roll.may_send(&east, &east));
    assert!(!centre.roll.may_send(&east, &"centre".parse().unwrap()), "nobody speaks for the centre");
    assert!(centre.roll.may_send(&east, &"east-1".parse().unwrap()), "a county speaks for its stations");
    assert!(!centre.roll.may_send(&east, &"west".parse().unwrap()));
    let below = ask(&node, Method::POST, "", Some(&cookie), &json!({"id": "east-1"})).await;
    assert_eq!((below.status, below.json()["field"].as_str()), (StatusCode::CONFLICT, Some("id")));
    let none = ask(&node, Method::PUT, "/east/cameras", Some(&cookie), &json!({"cameras": []})).await;
    assert_eq!(none.status, StatusCode::NO_CONTENT);
    assert!(!centre.roll.owns(&east, CAMERA));
    for (order, state) in [("drain", "drained"), ("retire", "retired")] {
        let done =
            ask(&node, Method::POST, &format!("/east/{order}"), Some(&cookie), &json!({"reason": "old"}))
                .await;
        assert_eq!(done.status, StatusCode::NO_CONTENT);
        assert_eq!(node.get("/api/v1/nodes", &cookie).await.json()["items"][0]["state"], state);
    }
    assert_eq!(node.register.of(kinds::NODE_RETIRED).len(), 1);
}

#[tokio::test]
async fn orders_that_cannot_be_are_refused_by_field_value_and_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let (node, _centre) = centre(folder.path()).await;
    let cookie = node.set_up().await;
    let cases = [
        (Method::POST, "", json!({"id": "East"}), 400, "id"),
        (Method::POST, "", json!({"id": "centre"}), 400, "id"),
        (Method::POST, "", json!({"id": "east", "cameras": ["12"]}), 400, "cameras"),
        (Method::POST, "", json!({"id": "east", "hours": 9999}), 400, "hours"),
        (Method::PUT, "/west/cameras", json!({"cameras": []}), 404, "id"),
        (Method::POST, "/west/drain", json!({"reason": "old"}), 404, "id"),
        (Method::POST, "/west/retire", json!({"reason": " "}), 400, "reason"),
    ];
    for (method, path, body, status, field) in cases {
        let refused = ask(&node, method, path, Some(&cookie), &body).await;
        let problem = refused.json();
        assert_eq!(
            (refused.status.as_u16(), problem["field"].as_str()),
            (status, Some(field)),
            "{path} {body}"
        );
        assert!(problem["remedy"].is_string(), "{problem}");
    }
}

#[tokio::test]
async fn guessing_at_enrolment_is_slowed_down_like_guessing_at_log_in() {
    let folder = tempfile::tempdir().unwrap();
    let (node, _centre) = centre(folder.path()).await;
    let body = json!({"token": "fengsui1.east.x.y", "key": "00".repeat(32), "proof": "00".repeat(64)});
    for _ in 0..limits::LOGIN_ATTEMPTS_PER_MINUTE_MAX {
        let refused = ask(&node, Method::POST, "/enrolment", None, &body).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    }
    let refused = ask(&node, Method::POST, "/enrolment", None, &body).await;
    assert_eq!(refused.code(), "too_many_attempts");
}

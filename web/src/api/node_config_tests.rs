#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
//! Configurations of nodes: saved at a centre whose message server does not run, and taken by a node.

use std::sync::Arc;

use bytes::Bytes;
use fengsui_config::ids::NodeId;
use fengsui_config::write;
use fengsui_relay::call::OnBehalf;
use fengsui_relay::central::{ConfigWord, Fault, Offer, OfferRefused, Outcome, Released, State, sum};
use fengsui_relay::identity::{EnrolRequest, Token};
use fengsui_storage::segment::NodeKey;
use futures::future::BoxFuture;
use http::{Method, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::node_tests::{ask, centre};
use crate::app::{Reload, Reloaded};
use crate::auth::access::FromCentre;
use crate::auth::register::{RegisterError, kinds};
use crate::central::{OfferError, ReleaseError};
use crate::relay::centre::Centre;
use crate::relay::centre::configs::{Answer, Asks, current, send};
use crate::testing::{Answer as Got, CAMERA, Node, config, node, request};

/// The second camera of the sample configuration.
const OTHER: &str = "33080200001320000002";

fn text() -> String {
    write::central(&config().topology)
}

/// Lets `east` in with these cameras.
async fn enrol(node: &Node, cookie: &str, cameras: &[&str]) -> NodeId {
    let body = json!({"id": "east", "cameras": cameras});
    let made = ask(node, Method::POST, "", Some(cookie), &body).await;
    let token: Token = made.json()["token"].as_str().unwrap().parse().unwrap();
    let brought = serde_json::to_value(EnrolRequest::sign(&token, &NodeKey::from_seed([1; 32]))).unwrap();
    let enrolled = ask(node, Method::POST, "/enrolment", None, &brought).await;
    assert_eq!(enrolled.status, StatusCode::OK, "{}", enrolled.json());
    "east".parse().unwrap()
}

async fn save(node: &Node, cookie: &str, base: &str, text: &str) -> Got {
    let body = json!({"text": text, "reason": "a camera was moved"});
    let mut sent = request(Method::PUT, "/api/v1/nodes/east/config", Some(cookie), Some(&body));
    sent.headers_mut().insert("if-match", base.parse().unwrap());
    node.send(sent).await
}

async fn shown(node: &Node, cookie: &str) -> Value {
    let got = node.get("/api/v1/nodes/east/config", cookie).await;
    assert_eq!(got.status, StatusCode::OK, "{}", got.json());
    assert_eq!(got.headers["etag"].to_str().unwrap(), format!("\"{}\"", got.json()["newest"]));
    got.json()
}

/// A node that answers what it was told to, and what it was asked.
#[derive(Default)]
struct Told {
    answers: Mutex<Vec<Result<(StatusCode, Value), String>>>,
    asked: Mutex<Vec<(Method, Value)>>,
}

impl Told {
    fn answer(&self, outcome: Outcome, faults: Vec<Fault>) {
        self.answers.lock().push(Ok((StatusCode::OK, json!(Answer { outcome, faults }))));
    }
}

impl Asks for Told {
    fn ask<'a>(
        &'a self,
        _: &'a NodeId,
        method: Method,
        path: &'a str,
        body: Bytes,
        _: OnBehalf,
    ) -> BoxFuture<'a, Result<(StatusCode, Bytes), String>> {
        assert_eq!(path, "/api/v1/node/config");
        self.asked.lock().push((method, serde_json::from_slice(&body).unwrap_or_default()));
        let answer = self.answers.lock().remove(0);
        Box::pin(async move { answer.map(|(status, body)| (status, body.to_string().into())) })
    }
}

fn li() -> OnBehalf {
    OnBehalf { user: "li".to_owned(), roles: vec!["administrator".to_owned()] }
}

fn states(centre: &Centre, node: &NodeId) -> Vec<State> {
    centre.configs.read(|all| all.of(node).iter().map(|e| all.state(node, e)).collect())
}

#[tokio::test]
async fn a_version_is_saved_in_the_journal_first_and_by_one_of_two_who_edit_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (node, _centre) = centre(folder.path()).await;
    let cookie = node.set_up().await;
    enrol(&node, &cookie, &[CAMERA, OTHER]).await;
    let before = shown(&node, &cookie).await;
    assert_eq!(
        (&before["newest"], &before["text"], &before["versions"]),
        (&json!(0), &json!(null), &json!([]))
    );
    assert!(before["why"].is_string(), "the node cannot be asked: {before}");

    node.register.broken.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(save(&node, &cookie, "\"0\"", &text()).await.status, StatusCode::INTERNAL_SERVER_ERROR);
    node.register.broken.store(false, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(shown(&node, &cookie).await["newest"], 0, "nothing without the journal");

    let made = save(&node, &cookie, "\"0\"", &text()).await;
    assert_eq!((made.status, &made.json()["version"]), (StatusCode::OK, &json!(1)), "{}", made.json());
    assert_eq!((&made.json()["state"], &made.json()["by"]), (&json!("pending"), &json!("li")));
    let second = text().replace("水亭门西", "水亭门外");
    for base in ["0", "\"2\""] {
        let lost = save(&node, &cookie, base, &second).await;
        assert_eq!((lost.status, lost.json()["field"].as_str()), (StatusCode::CONFLICT, Some("If-Match")));
        assert!(lost.json()["detail"].as_str().unwrap().starts_with("li saved version 1"), "{}", lost.json());
    }
    assert_eq!(save(&node, &cookie, "1", &text()).await.json()["field"], "text", "nothing was changed");
    assert_eq!(save(&node, &cookie, "1", &second).await.json()["version"], 2);
    assert_eq!(node.register.of(kinds::CONFIG_SAVED).len(), 2);

    let now = shown(&node, &cookie).await;
    assert_eq!((&now["newest"], &now["text"]), (&json!(2), &json!(second)));
    let listed: Vec<(u64, &str)> = now["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| (v["version"].as_u64().unwrap(), v["state"].as_str().unwrap()))
        .collect();
    assert_eq!(listed, [(2, "pending"), (1, "skipped")]);
    for (version, expected) in [(1, text()), (2, second)] {
        let got = node.get(&format!("/api/v1/nodes/east/config/{version}"), &cookie).await;
        assert_eq!(got.json()["text"], expected, "version {version} is read from the journal");
    }
}

#[tokio::test]
async fn a_text_is_refused_by_its_lines_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (node, _centre) = centre(folder.path()).await;
    let cookie = node.set_up().await;
    enrol(&node, &cookie, &[CAMERA]).await;
    let refused = save(&node, &cookie, "0", &text()).await;
    assert_eq!((refused.status, refused.json()["field"].as_str()), (StatusCode::BAD_REQUEST, Some("text")));
    let line = text().lines().position(|l| l.contains(OTHER)).unwrap() + 1;
    let lines = &refused.json()["lines"];
    assert_eq!(lines.as_array().unwrap().len(), 1, "{lines}");
    assert_eq!(
        (&lines[0]["line"], &lines[0]["field"], &lines[0]["value"]),
        (&json!(line), &json!("camera.code"), &json!(OTHER))
    );
    assert!(lines[0]["remedy"].as_str().unwrap().contains("assign"), "{lines}");

    let wrong = text().replace("kind = \"square\"", "kind = \"moon\"\n[[camera]]\npassword = \"hush\"");
    let refused = save(&node, &cookie, "0", &wrong).await;
    let told = refused.json();
    let fields: Vec<&str> =
        told["lines"].as_array().unwrap().iter().map(|l| l["field"].as_str().unwrap()).collect();
    assert!(fields.contains(&"site.kind") && fields.contains(&"camera.password"), "{told}");
    assert!(!told.to_string().contains("hush"), "{told}");
    let cases = [("", 400, "If-Match"), ("W/x", 400, "If-Match"), ("1", 409, "If-Match")];
    for (base, status, field) in cases {
        let refused = save(&node, &cookie, base, &text()).await;
        assert_eq!(
            (refused.status.as_u16(), refused.json()["field"].as_str()),
            (status, Some(field)),
            "{base}"
        );
    }
    for (path, status) in [
        ("west/config", 404),
        ("East/config", 400),
        ("east/config/7", 404),
        ("east/config/x", 400),
        ("east/config/node", 503),
    ] {
        let refused = node.get(&format!("/api/v1/nodes/{path}"), &cookie).await;
        assert_eq!(refused.status.as_u16(), status, "{path}");
        assert!(refused.json()["remedy"].is_string(), "{path}");
    }
    assert!(node.register.of(kinds::CONFIG_SAVED).is_empty());
}

#[tokio::test]
async fn what_a_node_makes_of_a_version_is_noted_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let (node, centre) = centre(folder.path()).await;
    let cookie = node.set_up().await;
    let east = enrol(&node, &cookie, &[CAMERA, OTHER]).await;
    save(&node, &cookie, "0", &text()).await;
    let told = Told::default();
    let sends = async || {
        let offer = centre.configs.read(|all| all.offer(&east)).unwrap();
        send(&node.app, &centre, &told, &east, offer).await;
    };
    told.answers.lock().push(Err("the link is cut".to_owned()));
    sends().await;
    assert_eq!(
        (states(&centre, &east), shown(&node, &cookie).await["why"].clone()),
        (vec![State::Pending], json!("the link is cut"))
    );
    told.answers.lock().push(Ok((StatusCode::NOT_FOUND, json!({}))));
    sends().await;
    assert!(
        shown(&node, &cookie).await["why"].as_str().unwrap().contains("older"),
        "a node of the version before"
    );
    told.answer(Outcome::InForce, Vec::new());
    sends().await;
    assert_eq!(states(&centre, &east), [State::InForce]);
    let (method, sent) = told.asked.lock()[0].clone();
    assert_eq!(
        (method, &sent["version"], &sent["text"], &sent["by"]),
        (Method::PUT, &json!(1), &json!(text()), &json!("li"))
    );

    save(&node, &cookie, "1", &text().replace("水亭门西", "水亭门外")).await;
    let fault =
        Fault { line: 3, ..Fault::whole("is the code of a city already", "give it a code of its own") };
    told.answer(Outcome::Refused, vec![fault]);
    sends().await;
    let now = shown(&node, &cookie).await;
    assert_eq!(
        (&now["versions"][0]["state"], &now["versions"][1]["state"]),
        (&json!("refused"), &json!("in_force"))
    );
    assert_eq!(
        (&now["versions"][0]["lines"][0]["line"], &now["in_force"], &now["why"]),
        (&json!(3), &json!(1), &json!(null))
    );
    told.answer(Outcome::Refused, Vec::new());
    let rows = node.register.of(kinds::CONFIG_SETTLED).len();
    assert_eq!(rows, 2, "each answer stands in the journal once");
    let listed = node.get("/api/v1/nodes", &cookie).await.json();
    assert_eq!(listed["items"][0]["config"], json!({"version": 2, "state": "refused"}));
}

#[tokio::test]
async fn what_a_node_has_is_told_without_secrets_and_a_strange_answer_is_none() {
    let told = Told::default();
    let east: NodeId = "east".parse().unwrap();
    told.answers.lock().push(Ok((StatusCode::OK, json!({"in_force": null, "text": "# a"}))));
    assert_eq!(current(&told, &east, li()).await.unwrap().text, "# a");
    told.answers.lock().push(Ok((StatusCode::FORBIDDEN, json!({"detail": "Not the centre."}))));
    assert_eq!(current(&told, &east, li()).await.unwrap_err(), "the node answers 403: Not the centre.");
    told.answers.lock().push(Ok((StatusCode::OK, json!({"text": 7}))));
    assert!(current(&told, &east, li()).await.unwrap_err().contains("cannot be read"));
    assert_eq!(ConfigWord::default().newest(), 0);
}

#[tokio::test]
async fn a_retired_node_gets_no_version() {
    let folder = tempfile::tempdir().unwrap();
    let (node, _centre) = centre(folder.path()).await;
    let cookie = node.set_up().await;
    enrol(&node, &cookie, &[CAMERA, OTHER]).await;
    ask(&node, Method::POST, "/east/retire", Some(&cookie), &json!({"reason": "old"})).await;
    let refused = save(&node, &cookie, "0", &text()).await;
    assert_eq!((refused.status, refused.json()["field"].as_str()), (StatusCode::CONFLICT, Some("id")));
}

/// What a node is told to make of offers.
#[derive(Default)]
struct Takes {
    answers: Mutex<Vec<Result<(), OfferError>>>,
    offered: Mutex<Vec<Offer>>,
}

impl Reload for Takes {
    fn reload(&self, _: String) -> BoxFuture<'_, Result<Reloaded, Vec<String>>> {
        Box::pin(async { Ok(Reloaded::default()) })
    }
    fn offer(&self, offer: Offer) -> BoxFuture<'_, Result<(), OfferError>> {
        self.offered.lock().push(offer);
        let answer = self.answers.lock().remove(0);
        Box::pin(async move { answer })
    }
    fn release(&self, _: String, _: String) -> BoxFuture<'_, Result<u64, ReleaseError>> {
        Box::pin(async { Err(ReleaseError::Nothing) })
    }
}

fn from_centre(method: Method, body: Option<&Value>) -> http::Request<axum::body::Body> {
    let mut sent = request(method, "/api/v1/node/config", None, body);
    sent.extensions_mut().insert(FromCentre::new(&li()));
    sent
}

#[tokio::test]
async fn a_node_takes_a_configuration_from_its_centre_and_from_nobody_else() {
    let node = node();
    let cookie = node.set_up().await;
    let takes = Arc::new(Takes::default());
    *node.app.reload.write() = Some(takes.clone());
    let body = json!({"version": 3, "hash": sum("# a"), "text": "# a", "by": "li"});
    for cookie in [None, Some(cookie.as_str())] {
        let refused = node.send(request(Method::PUT, "/api/v1/node/config", cookie, Some(&body))).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "an administrator of the node is not its centre");
        let refused = node.send(request(Method::GET, "/api/v1/node/config", cookie, None)).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
    }
    assert!(takes.offered.lock().is_empty());

    let has = node.send(from_centre(Method::GET, None)).await.json();
    assert_eq!((&has["in_force"], has["text"].as_str()), (&json!(null), Some(text().as_str())));
    let released = Released { version: 3, by: "wang".into(), reason: "wrong street".into() };
    let fault = Fault { line: 7, ..Fault::whole("is no site", "write a site") };
    let answers = [
        (Ok(()), 200, "in_force"),
        (Err(OfferError::Text(vec![fault.clone()])), 200, "refused"),
        (Err(OfferError::from(OfferRefused::Older { in_force: 4, offered: 3 })), 200, "refused"),
        (Err(OfferError::from(OfferRefused::Released(released))), 200, "released"),
        (Err(OfferError::Register(RegisterError("the disk is gone".into()))), 500, ""),
    ];
    for (answer, status, outcome) in answers {
        takes.answers.lock().push(answer);
        let got = node.send(from_centre(Method::PUT, Some(&body))).await;
        assert_eq!(got.status.as_u16(), status);
        assert_eq!(got.json()["outcome"].as_str().unwrap_or(""), outcome, "{}", got.json());
        if !outcome.is_empty() && outcome != "in_force" {
            let read: Answer = serde_json::from_slice(&got.body).unwrap();
            assert!(
                !read.faults.is_empty() && !read.faults[0].remedy.is_empty(),
                "the centre reads it: {read:?}"
            );
        }
    }
    let offered = takes.offered.lock();
    assert_eq!((offered.len(), offered[0].version, offered[0].text.as_str()), (5, 3, "# a"));
}

//! A centre and nodes below it, with a wire between them that is a function.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use fengsui_config::CentreRole;
use fengsui_config::Topology;
use fengsui_config::clock::{Clock, UtcMicros};
use fengsui_config::ids::{CameraId, NodeId};
use fengsui_relay::call::{self, Answer as Head, Request as Line};
use fengsui_relay::event::rows::RecordId;
use fengsui_relay::event::{Event, EventKind, Phase, Priority, Source};
use fengsui_relay::identity::{EnrolRequest, Token};
use fengsui_relay::link::{
    Acknowledgement, Incoming, Link, LinkCounters, LinkError, LinkState, Publication, Subscription,
};
use fengsui_storage::fs::{Fs, RealFs};
use fengsui_storage::journal::{Journal, JournalOptions};
use fengsui_storage::segment::NodeKey;
use futures::future::BoxFuture;
use http::{Method, Request};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt as _;

use crate::auth::access::FromCentre;
use crate::relay::calls::Calls;
use crate::relay::centre::Centre;
use crate::relay::centre::register::NodeOrder;
use crate::relay::{Relay, Role};
use crate::search::hit::SearchView;
use crate::testing::{Answer, NOW, Node, config, node_named, request};

/// What a node below does when it is asked.
pub enum End {
    /// It is a real one.
    Real(Router),
    /// It says this, with a status.
    Says(u16, Bytes),
    /// It never answers.
    Hole,
    /// It answers, but later.
    Late(Router, Duration),
}

/// Brings what a centre asks to the nodes below it.
#[derive(Default)]
pub struct Wire {
    pub ends: Mutex<BTreeMap<NodeId, Arc<End>>>,
    /// What was asked, and of whom.
    pub asked: Mutex<Vec<(NodeId, String)>>,
}

impl Wire {
    async fn bring(&self, subject: &str, payload: Bytes, deadline: Duration) -> Result<Bytes, LinkError> {
        let name = subject.split('.').nth(2).unwrap();
        let node: NodeId = name.parse().unwrap();
        let (line, _) = call::decode::<Line>(&payload).unwrap();
        self.asked.lock().push((node.clone(), line.path.clone()));
        let Some(end) = self.ends.lock().get(&node).cloned() else {
            return Err(LinkError::Nobody(subject.to_owned()));
        };
        match &*end {
            End::Real(router) => Ok(serve(router, line).await),
            End::Late(router, by) if *by < deadline => {
                tokio::time::sleep(*by).await;
                Ok(serve(router, line).await)
            }
            End::Says(status, body) => Ok(call::encode(&Head::new(*status, BTreeMap::new(), None), body)),
            End::Hole | End::Late(..) => {
                tokio::time::sleep(deadline).await;
                Err(LinkError::Timeout(deadline))
            }
        }
    }
}

async fn serve(router: &Router, line: Line) -> Bytes {
    let mut request = Request::builder().method(Method::GET).uri(&line.path).body(Body::empty()).unwrap();
    request.extensions_mut().insert(FromCentre::new(&line.by));
    let answer = Answer::of(router.clone().oneshot(request).await.unwrap()).await;
    call::encode(&Head::new(answer.status.as_u16(), BTreeMap::new(), None), &answer.body)
}

impl Link for Wire {
    fn state(&self) -> watch::Receiver<LinkState> {
        watch::channel(LinkState::Up { session: 1 }).1
    }
    fn counters(&self) -> LinkCounters {
        LinkCounters::default()
    }
    fn publish(&self, _: Publication) -> BoxFuture<'_, Result<Acknowledgement, LinkError>> {
        Box::pin(async { Err(LinkError::Down) })
    }
    fn tell<'a>(&'a self, _: &'a str, _: Bytes) -> BoxFuture<'a, Result<(), LinkError>> {
        Box::pin(async { Ok(()) })
    }
    fn ask<'a>(
        &'a self,
        subject: &'a str,
        payload: Bytes,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<Bytes, LinkError>> {
        Box::pin(self.bring(subject, payload, deadline))
    }
    fn answer<'a>(&'a self, _: &'a Incoming, _: Bytes) -> BoxFuture<'a, Result<(), LinkError>> {
        Box::pin(async { Err(LinkError::Down) })
    }
    fn subscribe<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Subscription, LinkError>> {
        Box::pin(async { Err(LinkError::Down) })
    }
}

pub fn camera(n: u32) -> CameraId {
    format!("330802000013200{n:05}").parse().unwrap()
}

/// The places of the sample configuration with these cameras at its only site.
pub fn places(cameras: &[u32]) -> Topology {
    let mut topology = config().topology;
    let sample = topology.cameras.values().next().unwrap().clone();
    topology.cameras.clear();
    for n in cameras {
        let mut one = sample.clone();
        (one.id, one.name) = (camera(*n), format!("camera {n}"));
        topology.cameras.insert(one.id, one);
    }
    topology
}

/// A node with these cameras.
pub fn node_of(name: &str, cameras: &[u32]) -> Node {
    node_named(name, places(cameras), Path::new("/nowhere/footage"))
}

/// `seconds` after noon.
pub fn at(seconds: i64) -> UtcMicros {
    UtcMicros(NOW.0 + seconds * 1_000_000)
}

/// An event that `origin` noted as its record `seq`; `node` has a row of it.
pub fn note(node: &Node, origin: &str, seq: u64, (kind, second): (EventKind, i64), of: Option<u32>) {
    let source = Source::node(origin.parse().unwrap());
    let (priority, phase) = (Priority::Normal, Phase::Point);
    let mut event = Event::new(kind, priority, format!("cause/{seq}"), phase, at(second), source);
    if let Some(n) = of {
        event = event.camera(camera(n));
    }
    let id = RecordId { node: origin.to_owned(), epoch: 1, seq };
    node.app.desk.rows().write().note(id, at(second), &event);
}

/// A centre and the wire to its nodes.
pub struct City {
    pub centre: Node,
    pub relay: Arc<Centre>,
    pub wire: Arc<Wire>,
    pub cookie: String,
    _folder: tempfile::TempDir,
}

impl City {
    /// A centre without nodes.
    pub async fn new(name: &str, cameras: &[u32]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let centre = node_of(name, cameras);
        let cookie = centre.set_up().await;
        let data = folder.path().to_owned();
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
        config.node.id = name.parse().unwrap();
        let (fs, clock): (Arc<dyn Fs>, Arc<dyn Clock>) = (Arc::new(RealFs), centre.clock.clone());
        let key = Arc::new(NodeKey::from_seed([7; 32]));
        let options =
            JournalOptions::new(fs, data.join("journal"), clock, config.node.id.clone(), key.clone());
        let journal = Journal::open(options).unwrap();
        let opened = Centre::open(&centre.app, &config, &role, (&journal, &key), Some([9; 32])).await;
        let (mut relay, wire) = (opened.unwrap(), Arc::new(Wire::default()));
        Arc::get_mut(&mut relay).unwrap().calls = Calls::new(wire.clone());
        let whole = Relay {
            role: Role::Centre,
            uplink: None,
            centre: Some(relay.clone()),
            calls: Arc::default(),
            why: None,
        };
        *centre.app.relay.write() = Some(Arc::new(whole));
        Self { centre, relay, wire, cookie, _folder: folder }
    }

    /// Enrols a node that may speak of these cameras.
    pub async fn enrol(&self, name: &str, cameras: &[u32], end: End) {
        let node: NodeId = name.parse().unwrap();
        let codes: Vec<String> = cameras.iter().map(|n| camera(*n).to_string()).collect();
        let body = json!({"id": name, "cameras": codes});
        let path = "/api/v1/nodes";
        let made = self.centre.send(request(Method::POST, path, Some(&self.cookie), Some(&body))).await;
        let token: Token = made.json()["token"].as_str().unwrap().parse().unwrap();
        let seed = *blake3::hash(name.as_bytes()).as_bytes();
        let enrol = EnrolRequest::sign(&token, &NodeKey::from_seed(seed));
        self.relay.enrol(&self.centre.app, &enrol, [127, 0, 0, 1].into()).await.unwrap();
        self.wire.ends.lock().insert(node, Arc::new(end));
    }

    pub async fn order(&self, name: &str, order: NodeOrder) {
        self.relay.order(&self.centre.app, &name.parse().unwrap(), &order, "li").await.unwrap();
    }

    /// Searches the hour after noon, and what else `query` says.
    pub async fn search(&self, query: &str) -> SearchView {
        let value = self.answer(query).await;
        assert_eq!(value.status, 200, "{}", value.json());
        serde_json::from_slice(&value.body).unwrap()
    }

    pub async fn answer(&self, query: &str) -> Answer {
        let path = format!("/api/v1/search?from_us={}&to_us={}&{query}", at(0).0, at(3600).0);
        self.centre.get(&path, &self.cookie).await
    }
}

/// Names of hits in their order: `east.1.7`, or the number of a camera.
pub fn names(view: &SearchView) -> Vec<String> {
    let name = |hit: &crate::search::hit::Hit| match hit {
        crate::search::hit::Hit::Event(hit) => hit.id.clone(),
        crate::search::hit::Hit::Camera(hit) => {
            hit.camera.trim_start_matches("3308020000132").trim_start_matches('0').into()
        }
    };
    view.items.iter().map(name).collect()
}

/// Who is missing, and why.
pub fn missing(view: &SearchView) -> BTreeMap<String, &'static str> {
    view.missing.iter().map(|m| (m.node.clone(), m.why.as_str())).collect()
}

pub fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

/// A page as a node would say it, with these hits.
pub fn said(items: Value, next: Option<&str>) -> Bytes {
    let page = json!({"items": items, "next": next, "asked": [], "missing": [], "limited": [],
        "from_us": 0, "to_us": 1, "took_ms": 1});
    page.to_string().into()
}

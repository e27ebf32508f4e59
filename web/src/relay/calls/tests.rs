#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
//! Both ends of calls, with a link between them that is a function.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use fengsui_config::ids::NodeId;
use fengsui_config::limits;
use fengsui_relay::call::OnBehalf;
use fengsui_relay::link::subjects::Subjects;
use fengsui_relay::link::{
    Acknowledgement, Incoming, Link, LinkCounters, LinkError, LinkState, Publication, Subscription,
};
use futures::future::BoxFuture;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::answer::Answering;
use super::{Call, CallCounters, Calls};
use crate::testing::{CAMERA, node};

/// What the centre says comes to the node at once, and the other way round.
#[derive(Default)]
pub(crate) struct Wire {
    node: Mutex<Option<Arc<Answering>>>,
    waiting: Mutex<BTreeMap<String, oneshot::Sender<Bytes>>>,
    numbers: AtomicU64,
    /// Words that nobody answers are lost.
    deaf: AtomicBool,
    /// Nothing comes through at all.
    pub(crate) silent: AtomicBool,
}

fn east() -> NodeId {
    "east".parse().unwrap()
}

impl Wire {
    /// A link to a node that answers by `router`, and the centre's end of it.
    pub(crate) fn to(router: Router) -> (Arc<Self>, Calls) {
        let Both { calls, wire, .. } = both(router);
        (wire, calls)
    }

    async fn bring(&self, subject: &str, payload: Bytes, reply: Option<String>) {
        if self.silent.load(Ordering::Relaxed) {
            return;
        }
        let node = self.node.lock().clone().unwrap();
        let message = Incoming { subject: subject.to_owned(), payload, reply };
        node.take(&Subjects::of(&east()), message).await;
    }
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
    fn tell<'a>(&'a self, subject: &'a str, payload: Bytes) -> BoxFuture<'a, Result<(), LinkError>> {
        Box::pin(async move {
            if !self.deaf.load(Ordering::Relaxed) {
                self.bring(subject, payload, None).await;
            }
            Ok(())
        })
    }
    fn ask<'a>(
        &'a self,
        subject: &'a str,
        payload: Bytes,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<Bytes, LinkError>> {
        Box::pin(async move {
            assert!(payload.len() <= limits::RELAY_PAYLOAD_BYTES_MAX);
            let reply = self.numbers.fetch_add(1, Ordering::Relaxed).to_string();
            let (sender, answer) = oneshot::channel();
            self.waiting.lock().insert(reply.clone(), sender);
            self.bring(subject, payload, Some(reply)).await;
            let answer = tokio::time::timeout(deadline, answer).await;
            answer.map_err(|_| LinkError::Timeout(deadline))?.map_err(|_| LinkError::Lost)
        })
    }
    fn answer<'a>(&'a self, asked: &'a Incoming, payload: Bytes) -> BoxFuture<'a, Result<(), LinkError>> {
        Box::pin(async move {
            assert!(payload.len() <= limits::RELAY_PAYLOAD_BYTES_MAX);
            let waiting = self.waiting.lock().remove(asked.reply.as_ref().unwrap());
            waiting.unwrap().send(payload).map_err(|_| LinkError::Lost)
        })
    }
    fn subscribe<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Subscription, LinkError>> {
        Box::pin(async { Err(LinkError::Down) })
    }
}

struct Both {
    calls: Calls,
    at_node: Arc<CallCounters>,
    wire: Arc<Wire>,
}

fn both(router: Router) -> Both {
    let wire = Arc::new(Wire::default());
    let at_node: Arc<CallCounters> = Arc::default();
    let answering = Answering::new(wire.clone(), router, at_node.clone(), CancellationToken::new(), 7);
    *wire.node.lock() = Some(answering);
    Both { calls: Calls::new(wire.clone()), at_node, wire }
}

fn by(roles: &[&str]) -> OnBehalf {
    OnBehalf { user: "li".into(), roles: roles.iter().map(|r| (*r).to_owned()).collect() }
}

impl Both {
    async fn get(&self, path: &str) -> Response {
        let call = Call::get(path, by(&["administrator"]));
        self.calls.call(&east(), call, limits::RELAY_CALL_TIMEOUT).await.unwrap()
    }
}

/// A body of pieces, of which some take their time.
fn pieces(lengths: Vec<usize>, breaks: bool) -> Body {
    let pieces = lengths.into_iter().enumerate().map(move |(n, length)| async move {
        if n % 3 == 2 {
            tokio::time::sleep(Duration::from_secs(n as u64 % 7)).await;
        }
        Ok(Bytes::from(vec![u8::try_from(n).unwrap(); length]))
    });
    let pieces = futures::stream::StreamExt::buffered(futures::stream::iter(pieces), 1);
    let end = futures::stream::iter(breaks.then(|| Err(std::io::Error::other("the disk is gone"))));
    Body::from_stream(futures::stream::StreamExt::chain(pieces, end))
}

#[tokio::test(start_paused = true)]
async fn a_long_answer_comes_whole() {
    let lengths: Vec<usize> = (0..40).map(|n| n * n * 1999 % 700_001).collect();
    let sent = lengths.clone();
    let both = both(Router::new().fallback(move || async move { pieces(sent, false) }));
    let body = both.get("/long").await.into_body().collect().await.unwrap().to_bytes();
    let wanted: Vec<u8> =
        lengths.iter().enumerate().flat_map(|(n, l)| vec![u8::try_from(n).unwrap(); *l]).collect();
    assert!(body == wanted, "{} of {}", body.len(), wanted.len());
    let counted = (both.at_node.bytes(), both.calls.counters().bytes(), both.at_node.broken());
    assert_eq!(counted, (wanted.len() as u64, wanted.len() as u64, 0));
    assert_eq!((both.at_node.open(), both.calls.counters().open()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_breaks_off_is_an_error_and_not_a_short_one() {
    let both = both(Router::new().fallback(|| async { pieces(vec![300_000, 300_000, 5], true) }));
    let answer = both.get("/broken").await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.into_body().collect().await.is_err());
    assert_eq!(both.at_node.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_reads_ends() {
    let both = both(Router::new().fallback(|| async { pieces(vec![1_000_000; 30], false) }));
    let answer = both.get("/long").await;
    assert_eq!(both.at_node.open(), 1);
    drop(answer);
    // The word that nobody reads comes at once.
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(both.at_node.open(), 0);

    both.wire.deaf.store(true, Ordering::Relaxed);
    drop(both.get("/long").await);
    tokio::time::sleep(limits::RELAY_CALL_IDLE_MAX / 2).await;
    assert_eq!(both.at_node.open(), 1);
    tokio::time::sleep(limits::RELAY_CALL_IDLE_MAX).await;
    assert_eq!((both.at_node.open(), both.at_node.broken()), (0, 2));
}

#[tokio::test]
async fn a_node_serves_a_bounded_number_of_calls() {
    let both = both(Router::new().fallback(|| async { pieces(vec![1_000_000; 30], false) }));
    let mut held = Vec::new();
    for _ in 0..limits::RELAY_CALLS_MAX {
        held.push(both.get("/long").await);
    }
    let refused = both.get("/long").await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    let body = refused.into_body().collect().await.unwrap().to_bytes();
    assert!(std::str::from_utf8(&body).unwrap().contains("unavailable"));
}

#[tokio::test]
async fn a_centre_looks_and_administers_nothing() {
    let node = node();
    node.set_up().await;
    let both = both(node.router.clone());
    let status = async |method: Method, path: &str, roles: &[&str]| {
        let call = Call { method, ..Call::get(path, by(roles)) };
        both.calls.call(&east(), call, limits::RELAY_CALL_TIMEOUT).await.unwrap().status().as_u16()
    };
    let everything = ["administrator"];
    assert_eq!(status(Method::GET, "/api/v1/cameras", &everything).await, 200);
    let timeline = format!("/api/v1/footage/{CAMERA}/main/timeline?from_us=0&to_us=60000000");
    assert_eq!(status(Method::GET, &timeline, &everything).await, 200);
    for role in ["operator", "supervisor"] {
        assert_eq!(
            status(Method::GET, &timeline, &[role]).await,
            200,
            "a {role} of the centre sees pictures"
        );
    }
    assert_eq!(status(Method::GET, &timeline, &[]).await, 403, "nobody without a role sees pictures");
    assert_eq!(status(Method::GET, &timeline, &["king"]).await, 403, "nor by a role that is not known");
    for (method, path) in [
        (Method::POST, "/api/v1/reload"),
        (Method::GET, "/api/v1/journal"),
        (Method::GET, "/api/v1/tokens"),
        (Method::POST, "/api/v1/tokens"),
        (Method::POST, "/api/v1/tickets"),
        (Method::DELETE, "/api/v1/session"),
        (Method::POST, "/api/v1/holds"),
        (Method::POST, "/api/v1/events"),
        (Method::GET, "/api/v1/accounts"),
        (Method::POST, "/api/v1/accounts"),
        (Method::PATCH, "/api/v1/accounts/li"),
        (Method::POST, "/api/v1/accounts/li/password"),
        (Method::POST, "/api/v1/session/password"),
        (Method::GET, "/api/v1/people"),
    ] {
        assert_eq!(status(method.clone(), path, &everything).await, 403, "{method} {path}");
    }
    let journal = node.register.rows.lock();
    assert!(!journal.iter().any(|(kind, _)| kind.contains("token")), "nothing was changed");
}

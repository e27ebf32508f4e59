//! Who records the cameras of nodes that are gone: hears who is there, reads and writes the leases, and tells the nodes. What
//! to do is decided by `fengsui_relay::standby::Core`.
//!
//! - A dead node's cameras are recorded elsewhere, and by it alone once it is back:
//!   `cameras_of_a_dead_node_are_recorded_elsewhere_and_come_back` (tests).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{CameraId, NodeId};
use fengsui_config::limits;
use fengsui_relay::Now;
use fengsui_relay::call::OnBehalf;
use fengsui_relay::event::rows::Row;
use fengsui_relay::event::{Event, EventKind, Phase, Priority, Source};
use fengsui_relay::identity::{NodeState, Nodes};
use fengsui_relay::link::{Bucket, BucketSettings, Link as _, LinkError};
use fengsui_relay::standby::{
    Action, BUCKET, Change, Core, Duty, Heard, Lease, NodeSeen, Order, Read, Seen, Told, Wrote,
};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method};
use http_body_util::{BodyExt as _, Limited};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::timeout;

use super::Centre;
use crate::api::standby::{StandbyOrderBody, StandbyOrderView};
use crate::app::App;
use crate::relay::calls::Call;
use crate::relay::presence::Silence;

/// Bytes of what a node answers: a week of segments of one camera, or of spans.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// Nodes that an event names.
const NAMES_MAX: usize = 8;

/// The leases' bucket, with the number of the connection over which it was opened.
type Opened = Arc<tokio::sync::Mutex<Option<(u64, Bucket)>>>;

/// What was done.
enum Done {
    Read(NodeId, Read),
    Wrote(Lease, Wrote),
    Told(NodeId, Order, Told),
}

impl Centre {
    /// The nodes that may have footage of a camera: its owner first, then those that record it while the owner is gone. None
    /// when no node below this one has it.
    #[must_use]
    pub fn holders(&self, camera: CameraId) -> Vec<NodeId> {
        self.roll.holders(camera)
    }

    /// The node to ask about a camera now: its owner, or who records it in the owner's place while that is not heard.
    #[must_use]
    pub fn whom(&self, camera: &CameraId) -> Option<NodeId> {
        let owner = self.roll.owner(camera)?;
        let takers = self.leases.lock().get(&owner).map(|lease| lease.takers.clone()).unwrap_or_default();
        let presence = self.presence.lock();
        let is_here = |node: &NodeId| presence.of(node).is_some_and(|last| last.silence == Silence::Here);
        if takers.is_empty() || is_here(&owner) {
            return Some(owner);
        }
        let may = self.roll.holders(*camera);
        takers.into_iter().find(|node| may.contains(node) && is_here(node)).or(Some(owner))
    }

    /// Who records for whom now, as far as it is known here.
    #[must_use]
    pub fn leases(&self) -> BTreeMap<NodeId, Lease> {
        self.leases.lock().clone()
    }
}

/// Decides and tells until the node stops.
pub(super) async fn run(app: Arc<App>, centre: Arc<Centre>) {
    let mut core = Core::new(centre.own.clone());
    let (opened, mut changes) = (Opened::default(), centre.roll.changes());
    let mut duty = centre.roll.nodes().duty();
    // At most one for each lease, and one for each node that stands by for an owner.
    let mut doing: FuturesUnordered<BoxFuture<'static, Done>> = FuturesUnordered::new();
    loop {
        if changes.has_changed().unwrap_or(false) {
            changes.mark_unchanged();
            duty = centre.roll.nodes().duty();
        }
        let seen = seen(&centre, &duty);
        for action in core.look(now(&app), &seen) {
            doing.push(carry_out(centre.clone(), opened.clone(), action));
        }
        tokio::select! {
            () = app.stop.cancelled() => return,
            Some(done) = doing.next(), if !doing.is_empty() => {
                let at = now(&app);
                let change = match done {
                    Done::Read(owner, read) => core.read(at, &owner, read),
                    Done::Wrote(lease, wrote) => core.wrote(at, lease, wrote),
                    Done::Told(node, order, told) => {
                        core.told(at, &node, &order, told);
                        None
                    }
                };
                *centre.leases.lock() = core.leases().map(|lease| (lease.owner.clone(), lease.clone())).collect();
                if let Some(change) = change {
                    if change.lease.takers.is_empty() {
                        centre.given_back.lock().insert(change.lease.owner.clone());
                    }
                    tell(&app, &centre, &duty, &change);
                }
            }
            () = tokio::time::sleep(limits::STANDBY_LOOK_INTERVAL) => {}
        }
    }
}

fn now(app: &App) -> Now {
    Now { utc: app.clock.utc(), mono: app.clock.mono() }
}

/// Who is there.
fn seen(centre: &Centre, duty: &Duty) -> Seen {
    // A centre that hears and cannot speak decides nothing.
    let linked = centre.link.state().borrow().session().is_some();
    let nodes: Nodes = centre.roll.nodes();
    let seen = centre.seen();
    let presence = centre.presence.lock();
    let one = |id: &NodeId, state: NodeState| {
        let last = presence.of(id);
        let spoke = presence.is_expected(id) || seen.origins.contains_key(id);
        NodeSeen {
            heard: match last {
                Some(last) => Heard::At(last.at()),
                None if spoke => Heard::Before,
                None => Heard::Never,
            },
            online: last.map_or(0, |last| last.word.cameras.online),
            recording: last.map_or(0, |last| last.word.cameras.recording),
            takes: state == NodeState::Active,
        }
    };
    let working = nodes.iter().filter(|(_, node)| node.state != NodeState::Retired);
    Seen {
        hearing_since: presence.hearing_since().filter(|_| linked),
        nodes: working.map(|(id, node)| (id.clone(), one(id, node.state))).collect(),
        duty: duty.clone(),
    }
}

fn carry_out(centre: Arc<Centre>, opened: Opened, action: Action) -> BoxFuture<'static, Done> {
    Box::pin(async move {
        match action {
            Action::Read { owner } => {
                let read = timeout(limits::STANDBY_LEASE_TIMEOUT, read(&centre, &opened, &owner)).await;
                Done::Read(owner, read.unwrap_or(Read::Failed))
            }
            Action::Write { lease, over } => {
                let wrote =
                    timeout(limits::STANDBY_LEASE_TIMEOUT, write(&centre, &opened, &lease, over)).await;
                Done::Wrote(lease, wrote.unwrap_or(Wrote::Failed))
            }
            Action::Tell { node, order } => {
                let told = say(&centre, &node, &order).await.unwrap_or_else(|why| {
                    tracing::warn!(%node, owner = %order.owner, why, "a node did not take what it is to record");
                    Told::Failed
                });
                Done::Told(node, order, told)
            }
        }
    })
}

/// The bucket of leases; opened again over each new connection, and after a failure.
async fn bucket(centre: &Centre, opened: &Opened) -> Result<Bucket, LinkError> {
    let session = centre.link.state().borrow().session().ok_or(LinkError::Down)?;
    let mut opened = opened.lock().await;
    if let Some((over, bucket)) = opened.as_ref()
        && *over == session
    {
        return Ok(bucket.clone());
    }
    let max_age = Duration::ZERO;
    let settings = BucketSettings { name: BUCKET.to_owned(), max_age, replicas: centre.role.replicas };
    let bucket = centre.link.bucket(settings).await?;
    *opened = Some((session, bucket.clone()));
    Ok(bucket)
}

async fn read(centre: &Centre, opened: &Opened, owner: &NodeId) -> Read {
    let entry = match bucket(centre, opened).await {
        Ok(bucket) => bucket.get(owner.as_str()).await,
        Err(error) => Err(error),
    };
    match entry {
        Ok(None) => Read::Nothing,
        Ok(Some(entry)) => match Lease::decode(&entry.value) {
            Some(lease) => Read::Entry(lease, entry.revision),
            None => {
                tracing::error!(%owner, "what stands in place of a lease is none of this version; it is left alone");
                Read::Failed
            }
        },
        Err(error) => {
            *opened.lock().await = None;
            tracing::warn!(%owner, %error, "cannot read who records for a node");
            Read::Failed
        }
    }
}

async fn write(centre: &Centre, opened: &Opened, lease: &Lease, over: Option<u64>) -> Wrote {
    let (key, value) = (lease.owner.as_str(), Bytes::from(lease.encode()));
    let written = match (bucket(centre, opened).await, over) {
        (Ok(bucket), Some(revision)) => bucket.update(key, value, revision).await,
        (Ok(bucket), None) => bucket.create(key, value).await,
        (Err(error), _) => Err(error),
    };
    match written {
        Ok(entry) => Wrote::Done(entry),
        Err(LinkError::Changed) => Wrote::Changed,
        Err(error) => {
            *opened.lock().await = None;
            tracing::warn!(owner = key, %error, "cannot write who records for a node");
            Wrote::Failed
        }
    }
}

/// As whom a centre does what it does by itself: footage of any camera is read by those alone who may see all.
pub(super) fn own_behalf(centre: &Centre) -> OnBehalf {
    OnBehalf { user: centre.own.to_string(), roles: vec!["administrator".to_owned()] }
}

/// What a node answers to a call within `deadline`, read as `T`.
pub(super) async fn answer<T: DeserializeOwned>(
    centre: &Centre,
    node: &NodeId,
    call: Call,
    deadline: Duration,
) -> Result<T, String> {
    let answer = centre.call(node, call, deadline).await.map_err(|e| e.to_string())?;
    let (status, body) = (answer.status(), Limited::new(answer.into_body(), ANSWER_BYTES_MAX));
    let body = timeout(deadline, body.collect()).await.map_err(|e| e.to_string())?;
    let body = body.map_err(|e| e.to_string())?.to_bytes();
    if !status.is_success() {
        return Err(format!("{node} answers {status}: {}", String::from_utf8_lossy(&body)));
    }
    serde_json::from_slice(&body).map_err(|e| e.to_string())
}

async fn say(centre: &Centre, node: &NodeId, order: &Order) -> Result<Told, String> {
    let body = StandbyOrderBody {
        owner: order.owner.to_string(),
        revision: order.revision,
        cameras: order.cameras.iter().map(ToString::to_string).collect(),
    };
    let call = Call {
        method: Method::PUT,
        path_and_query: "/api/v1/node/standby".to_owned(),
        headers: HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]),
        body: serde_json::to_vec(&body).unwrap_or_default().into(),
        by: own_behalf(centre),
    };
    let view: StandbyOrderView = answer(centre, node, call, limits::STANDBY_TELL_TIMEOUT).await?;
    if !view.missing.is_empty() {
        tracing::warn!(%node, owner = %order.owner, missing = view.missing.len(),
            "a node stands by for cameras that its configuration does not have");
    }
    Ok(if view.followed { Told::Done } else { Told::Newer(view.revision) })
}

/// The cause of all events about who records for a node.
#[must_use]
pub fn cause(owner: &NodeId) -> String {
    format!("standby/{owner}")
}

/// Tells of a decision as an event of this node, once.
fn tell(app: &App, centre: &Centre, duty: &Duty, change: &Change) {
    let Lease { owner, takers, .. } = &change.lease;
    let is_open = {
        let rows = app.desk.rows().read();
        rows.current(centre.own.as_str(), &cause(owner)).is_some_and(Row::is_open)
    };
    let taken = !takers.is_empty();
    // After a start of the centre it is not known here what was told; the rows know. Decided again in the same way is no news.
    let same = change.before.is_empty() || change.before == *takers;
    if (is_open == taken && same) || (!is_open && !taken) {
        return;
    }
    let cameras: BTreeSet<&CameraId> =
        duty.get(owner).into_iter().flat_map(|by| by.values().flatten()).collect();
    app.desk.put_own(vec![event(&centre.own, change, cameras.len(), app.clock.utc())]);
}

fn event(own: &NodeId, change: &Change, cameras: usize, at: UtcMicros) -> Event {
    let Lease { owner, takers, .. } = &change.lease;
    let (kind, phase) = match takers.is_empty() {
        false => (EventKind::StandbyTaken, Phase::Opens),
        true => (EventKind::StandbyReleased, Phase::Closes),
    };
    let names =
        |nodes: &[NodeId]| nodes.iter().take(NAMES_MAX).map(NodeId::as_str).collect::<Vec<_>>().join(" ");
    let by = names(if takers.is_empty() { &change.before } else { takers });
    let event = Event::new(kind, Priority::Normal, cause(owner), phase, at, Source::node(own.clone()));
    event.part("standby").fact("node", owner.to_string()).fact("by", by).fact("cameras", json!(cameras))
}

//! How this node speaks with its centre and with the nodes below it: the drivers between the cores of `fengsui_relay`, the
//! journal and the message server.
//!
//! [`up`] is the way up: one task that hands the journal to the sender's core and does what it says. [`centre`] is the other
//! end: a receiver for all nodes below, its servers' files, the register of nodes, and who is there. A node without `[relay]`
//! starts nothing of this. A relay that cannot start keeps no node from recording: it says why, and the node goes on alone.
//!
//! - Events come to the centre once and in order, whatever is cut or killed: `events_come_once_and_in_order_through_everything`
//!   (tests).
//! - The centre uses the API of its nodes over the same servers: [`calls`].
//! - A token enrols one node: `a_token_enrols_one_node_once`.

pub mod calls;
pub mod centre;
pub mod presence;
pub mod up;
pub mod view;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fengsui_config::{Config, RelayConfig, UpwardRole};
use fengsui_relay::event::{Event, Priority as EventPriority, Reason as Refused, UPWARD, VERSION};
use fengsui_relay::link::subjects::Subjects;
use fengsui_relay::link::{LinkError, LinkState};
use fengsui_relay::upward::{Known, Priority, Upward, UpwardKind};
use fengsui_storage::error::StoreError;
use fengsui_storage::journal::{Journal, kinds};
use fengsui_storage::segment::NodeKey;
use serde_json::Value;

use crate::api;
use crate::app::App;
use calls::CallCounters;
use calls::answer::Answering;
use centre::Centre;
use up::Uplink;

/// What a node is to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It has neither centre nor nodes.
    Alone,
    /// It has a centre.
    SubCentre,
    /// It has nodes.
    Centre,
    /// It has both.
    County,
}

impl Role {
    fn of(config: &RelayConfig) -> Self {
        match (&config.centre, &config.upward) {
            (Some(_), Some(_)) => Self::County,
            (Some(_), None) => Self::Centre,
            (None, Some(_)) => Self::SubCentre,
            (None, None) => Self::Alone,
        }
    }
}

/// Why the relay of a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// Journal or key.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The authority of a centre.
    #[error(transparent)]
    Authority(#[from] fengsui_relay::identity::AuthorityError),
    /// The connection.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A file of the server.
    #[error("cannot write the server's files: {0}")]
    Files(#[from] std::io::Error),
}

/// The relay of a node.
pub struct Relay {
    /// What the node is.
    pub role: Role,
    /// The way to its centre.
    pub uplink: Option<Arc<Uplink>>,
    /// The nodes below it.
    pub centre: Option<Arc<Centre>>,
    /// Calls of its centre, counted.
    pub calls: Arc<CallCounters>,
    /// Why it does not work, when it could not start.
    pub why: Option<String>,
}

impl Relay {
    /// The journal has something that may go up.
    pub fn news(&self) {
        if let Some(uplink) = &self.uplink {
            uplink.news();
        }
    }
}

/// Folder of what a node keeps for speaking with others.
#[must_use]
pub fn folder(data: &Path) -> PathBuf {
    data.join("relay")
}

/// The kinds of records that go up, and what the relay needs to know of them.
#[must_use]
pub fn upward() -> Arc<Upward> {
    let kind = |name| UpwardKind { name, version: VERSION, priority, camera, body: known };
    let acts = [kinds::DUTY_ACTED, kinds::DUTY_DEFINED].map(|name| UpwardKind {
        name,
        version: fengsui_duty::act::VERSION,
        // What people decided is never passed over.
        priority: |_| Priority::Alarm,
        camera: |_| None,
        // A newer verb comes with a newer version.
        body: |body| fengsui_duty::check::fault(body).map_or(Known::Yes, Known::Malformed),
    });
    Arc::new(Upward::new(UPWARD.map(kind).into_iter().chain(acts)))
}

fn priority(body: &Value) -> Priority {
    let word = body.get("priority").and_then(Value::as_str).unwrap_or_default();
    match word.parse().unwrap_or_default() {
        EventPriority::Low => Priority::Low,
        EventPriority::Normal => Priority::Normal,
        EventPriority::Alarm => Priority::Alarm,
    }
}

fn camera(body: &Value) -> Option<&str> {
    body.get("camera").and_then(Value::as_str)
}

/// A kind of event that this program does not know is of a newer one; that is told apart from garbage.
fn known(body: &Value) -> Known {
    match Event::read(body) {
        Ok(_) => Known::Yes,
        Err(refusal) if refusal.reason == Refused::UnknownKind => Known::UnknownKind(refusal.to_string()),
        Err(refusal) => Known::Malformed(refusal.to_string()),
    }
}

/// The word and the reason of a connection's state.
#[must_use]
pub fn state_words(state: &LinkState) -> (&'static str, Option<String>) {
    match state {
        LinkState::Connecting { why } => ("connecting", why.clone()),
        LinkState::Up { .. } => ("up", None),
        LinkState::Down { why } => ("down", Some(why.clone())),
        LinkState::Closed => ("closed", None),
    }
}

/// A seed that differs in every life.
fn seed() -> u64 {
    getrandom::u64().unwrap_or(1)
}

/// Starts what `[relay]` says; nothing without it.
///
/// `pin` is that of the certificate that the node's HTTPS shows.
pub async fn start(
    app: &Arc<App>,
    config: &Config,
    journal: &Arc<Journal>,
    key: &Arc<NodeKey>,
    pin: Option<[u8; 32]>,
) {
    let Some(relay) = &config.relay else { return };
    let (mut uplink, mut centre, mut why) = (None, None, None);
    let calls: Arc<CallCounters> = Arc::default();
    if let Some(role) = &relay.upward {
        match start_uplink(app, role, (journal, key), &calls).await {
            Ok(started) => uplink = Some(started),
            Err(error) => why = Some(not_started("cannot start the way to the centre", &error)),
        }
    }
    if let Some(role) = &relay.centre {
        match Centre::open(app, config, role, (journal, key), pin).await {
            Ok(started) => centre = Some(started),
            Err(error) => why = Some(not_started("cannot start as a centre of other nodes", &error)),
        }
    }
    let whole = Arc::new(Relay { role: Role::of(relay), uplink, centre, calls, why });
    *app.relay.write() = Some(whole.clone());
    if let Some(centre) = &whole.centre {
        centre::run(app, centre, whole.uplink.as_ref());
    }
    app.tasks.spawn(view::watch(app.clone(), whole));
}

fn not_started(what: &str, error: &RelayError) -> String {
    tracing::error!(%error, "{what}; the node goes on alone");
    format!("{what}: {error}")
}

async fn start_uplink(
    app: &Arc<App>,
    role: &UpwardRole,
    (journal, key): (&Arc<Journal>, &Arc<NodeKey>),
    calls: &Arc<CallCounters>,
) -> Result<Arc<Uplink>, RelayError> {
    let (uplink, from_below) = Uplink::open(role, journal, key).await?;
    app.tasks.spawn(up::run(app.clone(), uplink.clone(), from_below));
    app.tasks.spawn(presence::tell(app.clone(), uplink.clone()));
    let (router, _) = api::router(app.clone());
    let answering = Answering::new(uplink.calls.clone(), router, calls.clone(), app.stop.clone(), seed());
    app.tasks.spawn(answering.run(Subjects::of(&uplink.node)));
    Ok(uplink)
}

//! What people see of nodes and links: the body of `GET /api/v1/nodes`, which browsers are also told when it changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fengsui_config::clock::MonoMicros;
use fengsui_config::ids::NodeId;
use fengsui_config::limits;
use fengsui_relay::identity::NodeState;
use fengsui_relay::identity::registry::{Enrolled, Invitation};
use fengsui_relay::inbox::OriginState;
use fengsui_relay::link::Link as _;
use fengsui_relay::outbox::{Size, Standing};
use fengsui_relay::upward::Priority;
use serde::Serialize;
use utoipa::ToSchema;

use super::centre::live::{FarLive, Line};
use super::centre::{Centre, CentreSeen};
use super::presence::{CamerasCount, Last, Silence};
use super::up::Uplink;
use super::{Relay, Role, state_words};
use crate::api::node_config::ConfigStateView;
use crate::app::App;

/// How often the size of the stream is asked for.
const STREAM_EVERY: Duration = Duration::from_secs(5);

/// Records that wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct WaitingView {
    /// How many.
    records: u64,
    /// Their bytes.
    bytes: u64,
}

impl From<Size> for WaitingView {
    fn from(size: Size) -> Self {
        Self { records: size.records, bytes: size.bytes }
    }
}

/// Records that wait for the centre, by priority.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct BacklogView {
    /// Alarms: never passed over.
    alarm: WaitingView,
    /// Normal ones.
    normal: WaitingView,
    /// Low ones: passed over first.
    low: WaitingView,
}

/// The way of this node to its centre.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct UplinkView {
    /// The connection: `connecting`, `up`, `down` or `closed`.
    link: &'static str,
    /// What the last attempt met, or why it is gone.
    why: Option<String>,
    /// The sender: `down`, `asking`, `walking`, or `ahead` when another node has this one's name.
    #[schema(value_type = String, example = "walking")]
    standing: Standing,
    /// What waits.
    backlog: BacklogView,
    /// Records passed over because too much waited, in all the node's life.
    passed_over: u64,
    /// When the centre last confirmed something.
    confirmed_us: Option<i64>,
    /// Frames sent since the start, repeated ones included.
    published: u64,
    /// Frames confirmed since the start.
    confirmed: u64,
}

/// This node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct OwnView {
    /// Its name.
    id: String,
    /// Version of the program.
    version: &'static str,
    /// The way to its centre, when it has one.
    uplink: Option<UplinkView>,
    /// The centre's version of places and cameras in force here; none: the node's own file.
    config: Option<OwnConfigView>,
}

/// A version of the centre in force here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct OwnConfigView {
    /// Its number.
    version: u64,
    /// Who saved it at the centre.
    by: String,
    /// When it came.
    at_us: i64,
}

/// The configuration of a node below this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct BelowConfigView {
    /// The newest version.
    version: u64,
    /// How it stands.
    state: ConfigStateView,
}

/// The message servers of this centre, and what came over them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CentreView {
    /// The connection: `connecting`, `up`, `down` or `closed`.
    link: &'static str,
    /// What the last attempt met, or why it is gone.
    why: Option<String>,
    /// It has heard for long enough to have cameras of a silent node recorded elsewhere.
    decides: bool,
    /// Frames in the stream.
    stream_messages: u64,
    /// Their bytes.
    stream_bytes: u64,
    /// Frames taken in since the start.
    applied: u64,
    /// Frames that had been taken in before.
    duplicates: u64,
    /// Frames not taken in since the start, by reason.
    quarantined: BTreeMap<&'static str, u64>,
    /// Live alarms shown ahead of their records.
    previews: usize,
}

/// Who is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PresenceView {
    /// When the node was heard last.
    last_us: i64,
    /// `here`, `late` or `gone`.
    link: Silence,
    /// Version of its program.
    version: String,
    /// Its cameras.
    cameras: CamerasCount,
    /// Records that wait for this centre.
    backlog_records: u64,
    /// Its clock less this one's, in microseconds; the way of the message is in it.
    clock_us: i64,
}

/// Where a node's records stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RelayedView {
    /// Opening of its journal that the newest record is of.
    epoch: u64,
    /// Its number.
    seq: u64,
    /// When it was written, on the node's clock.
    at_us: i64,
    /// Records that were not taken in, in all.
    quarantined: u64,
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StateView {
    /// Its token was made and not brought yet.
    Invited,
    /// It works.
    Active,
    /// It works, and is to get nothing new.
    Drained,
    /// It is a node no more.
    Retired,
}

/// A node below this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct NodeView {
    /// Its name.
    id: String,
    /// What it is.
    state: StateView,
    /// Cameras that it may speak of.
    cameras: usize,
    /// Cameras of other nodes that it records while those are gone.
    standby: usize,
    /// The nodes that record its cameras now in its place.
    recorded_by: Vec<String>,
    /// The nodes whose cameras it records now in their place.
    records_for: Vec<String>,
    /// When its open token was made.
    invited_us: Option<i64>,
    /// By whom.
    invited_by: Option<String>,
    /// When that token ends.
    expires_us: Option<i64>,
    /// When it was enrolled, last.
    enrolled_us: Option<i64>,
    /// Where it came from then.
    address: Option<String>,
    /// The last that was heard of it.
    presence: Option<PresenceView>,
    /// How far its records have come.
    relay: Option<RelayedView>,
    /// Its live pictures that are looked at here; none when none were since the start.
    live: Option<LineView>,
    /// Its places and cameras, when they were edited here.
    config: Option<BelowConfigView>,
}

/// What live pictures take of the line to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct LineView {
    /// Streams that come.
    streams: usize,
    /// What they are reckoned to, in bits a second.
    bits: u64,
    /// What they may be, in bits a second.
    budget_bits: u64,
}

/// Nodes and links.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct NodesView {
    /// What this node is to others.
    role: Role,
    /// Why the relay does not work, when it could not start.
    why: Option<String>,
    /// This node.
    own: OwnView,
    /// Its servers, when it is a centre.
    centre: Option<CentreView>,
    /// The nodes below it.
    items: Vec<NodeView>,
}

/// Nodes and links as they are now.
#[must_use]
pub fn view(app: &App) -> NodesView {
    let relay = app.relay.read().clone();
    let config = own_config(app);
    let own = |uplink| OwnView { id: app.node.id.clone(), version: app.node.version, uplink, config };
    let Some(relay) = relay else {
        return NodesView { role: Role::Alone, why: None, own: own(None), centre: None, items: Vec::new() };
    };
    NodesView {
        role: relay.role,
        why: relay.why.clone(),
        own: own(relay.uplink.as_deref().map(uplink)),
        centre: relay.centre.as_deref().map(|one| centre(one, app.clock.mono())),
        items: relay.centre.as_deref().map(|centre| items(centre, &app.far)).unwrap_or_default(),
    }
}

fn own_config(app: &App) -> Option<OwnConfigView> {
    let told = app.central.read().as_ref().and_then(|central| central.told());
    told.map(|(version, by, at)| OwnConfigView { version, by, at_us: at.0 })
}

fn uplink(uplink: &Uplink) -> UplinkView {
    let (link, why) = state_words(&uplink.link.state().borrow());
    let seen = uplink.seen();
    let waits = |priority| seen.waiting.get(&priority).copied().unwrap_or_default().into();
    UplinkView {
        link,
        why,
        standing: seen.standing,
        backlog: BacklogView {
            alarm: waits(Priority::Alarm),
            normal: waits(Priority::Normal),
            low: waits(Priority::Low),
        },
        passed_over: seen.passed_over,
        confirmed_us: seen.confirmed_at.map(|t| t.0),
        published: seen.counters.published,
        confirmed: seen.counters.confirmed,
    }
}

fn centre(centre: &Centre, now: MonoMicros) -> CentreView {
    let (link, why) = state_words(&centre.link.state().borrow());
    let seen = centre.seen();
    let hears = centre.presence.lock().hearing_since();
    CentreView {
        decides: hears.is_some_and(|since| now.since(since) >= limits::STANDBY_SETTLE),
        link,
        why,
        stream_messages: seen.stream.0,
        stream_bytes: seen.stream.1,
        applied: seen.counters.applied,
        duplicates: seen.counters.duplicates,
        quarantined: seen.counters.quarantined.iter().map(|(reason, n)| (reason.as_str(), *n)).collect(),
        previews: seen.previews,
    }
}

fn items(centre: &Centre, far: &FarLive) -> Vec<NodeView> {
    let lines = far.lines();
    let (nodes, seen, presence) = (centre.roll.nodes(), centre.seen(), centre.presence.lock());
    let invited: BTreeMap<&NodeId, &Invitation> = nodes.invitations().map(|i| (&i.node, i)).collect();
    let enrolled: BTreeMap<&NodeId, &Enrolled> = nodes.iter().collect();
    let mut names: Vec<&NodeId> = invited.keys().chain(enrolled.keys()).copied().collect();
    names.sort();
    names.dedup();
    let leases = centre.leases();
    let one = |id: &NodeId| {
        let (open, node) = (invited.get(id).copied(), enrolled.get(id).copied());
        let config = centre.configs.read(|all| {
            let newest = all.newest(id)?;
            Some(BelowConfigView { version: newest.version, state: all.state(id, newest).into() })
        });
        let takers = leases.get(id).into_iter().flat_map(|lease| &lease.takers);
        let owners = leases.values().filter(|lease| lease.takers.contains(id)).map(|lease| &lease.owner);
        NodeView {
            recorded_by: takers.map(ToString::to_string).collect(),
            records_for: owners.map(ToString::to_string).collect(),
            config,
            ..item(id, (open, node), &seen, presence.of(id), lines.get(id))
        }
    };
    names.into_iter().map(one).collect()
}

fn item(
    id: &NodeId,
    (open, node): (Option<&Invitation>, Option<&Enrolled>),
    seen: &CentreSeen,
    last: Option<&Last>,
    line: Option<&Line>,
) -> NodeView {
    NodeView {
        id: id.to_string(),
        state: match node.map(|n| n.state) {
            None => StateView::Invited,
            Some(NodeState::Active) => StateView::Active,
            Some(NodeState::Drained) => StateView::Drained,
            Some(NodeState::Retired) => StateView::Retired,
        },
        cameras: node.map(|n| &n.cameras).or(open.map(|i| &i.cameras)).map_or(0, |c| c.len()),
        standby: node.map(|n| &n.standby).or(open.map(|i| &i.standby)).map_or(0, |c| c.len()),
        recorded_by: Vec::new(),
        records_for: Vec::new(),
        invited_us: open.map(|i| i.invited_us.0),
        invited_by: open.map(|i| i.by.clone()),
        expires_us: open.map(|i| i.expires_us.0),
        enrolled_us: node.map(|n| n.enrolled_us.0),
        address: node.map(|n| n.address.clone()),
        presence: last.map(heard),
        relay: seen.origins.get(id).map(relayed),
        live: line.map(|l| LineView { streams: l.streams, bits: l.bits, budget_bits: l.budget_bits }),
        config: None,
    }
}

fn heard(last: &Last) -> PresenceView {
    PresenceView {
        last_us: last.heard.0,
        link: last.silence,
        version: last.word.version.clone(),
        cameras: last.word.cameras,
        backlog_records: last.word.backlog_records,
        clock_us: last.offset_us,
    }
}

fn relayed(origin: &OriginState) -> RelayedView {
    let key = origin.mark.key;
    RelayedView { epoch: key.epoch, seq: key.seq, at_us: origin.newest.0, quarantined: origin.quarantined }
}

/// Tells browsers when something changed, at most twice a second, and asks for the size of the stream now and then.
pub async fn watch(app: Arc<App>, relay: Arc<Relay>) {
    let (mut told, mut asked): (Option<NodesView>, Option<MonoMicros>) = (None, None);
    loop {
        let now = app.clock.mono();
        let due = asked.is_none_or(|at| now.since(at) >= STREAM_EVERY);
        let linked = |centre: &&Arc<Centre>| centre.link.state().borrow().session().is_some();
        if let Some(centre) = relay.centre.as_ref().filter(|_| due).filter(linked) {
            asked = Some(now);
            // The server that does not answer is told of by the connection's state.
            if let Ok(size) = centre.link.backlog().await {
                centre.set_stream(size);
            }
        }
        let now = view(&app);
        if told.as_ref() != Some(&now) {
            app.events.push("nodes", serde_json::to_string(&now).unwrap_or_default());
            told = Some(now);
        }
        tokio::select! {
            () = app.stop.cancelled() => return,
            () = tokio::time::sleep(limits::RELAY_TELL_INTERVAL) => {}
        }
    }
}

//! What every handler shares.

use std::sync::{Arc, Weak};

use fengsui_config::Topology;
use fengsui_config::clock::{Clock, UtcMicros};
use fengsui_relay::central::Offer;
use fengsui_storage::board::Board;
use futures::future::BoxFuture;
use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::events::EventLog;
use crate::archive::Archives;
use crate::auth::Auth;
use crate::central::{Central, OfferError, ReleaseError};
use crate::desk::Desk;
use crate::duty::Duty;
use crate::duty::outward::Outward;
use crate::duty::units::Units;
use crate::integrity::Integrity;
use crate::live::LiveCounters;
use crate::media::Media;
use crate::recordings::Recordings;
use crate::relay::Relay;
use crate::relay::centre::live::FarLive;
use crate::retention::Retained;
use crate::search::Searches;
use crate::standby::{StandIn, Standby};

/// Who this node is.
#[derive(Debug, Clone)]
pub struct NodeFacts {
    /// Name in the configuration.
    pub id: String,
    /// Version of the program.
    pub version: &'static str,
    /// When it started.
    pub started: UtcMicros,
}

/// Result of the last reading of the configuration that was refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigNote {
    /// When it was refused.
    pub at: UtcMicros,
    /// Every refusal, as one line each.
    pub refusals: Vec<String>,
}

/// What a reload did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Cameras that are new.
    pub added: usize,
    /// Cameras that changed.
    pub changed: usize,
    /// Cameras that are gone.
    pub removed: usize,
    /// Warnings, and changes that take effect only after a restart.
    pub notes: Vec<String>,
}

/// Reads the configuration again.
pub trait Reload: Send + Sync + 'static {
    /// Reads it and applies it, or keeps the old one and says every refusal. `by` goes into the journal.
    fn reload(&self, by: String) -> BoxFuture<'_, Result<Reloaded, Vec<String>>>;
    /// Takes places and cameras of the node's centre into use, for good, or says why not and changes nothing.
    fn offer(&self, offer: Offer) -> BoxFuture<'_, Result<(), OfferError>>;
    /// Goes back to the places and cameras of the node's own file. Gives the version that was in force.
    fn release(&self, by: String, reason: String) -> BoxFuture<'_, Result<u64, ReleaseError>>;
}

/// Tells how many camera sessions are open.
pub trait Sessions: Send + Sync + 'static {
    /// Open sessions by who speaks to the device.
    fn open_sessions(&self) -> Vec<(&'static str, usize)>;
}

/// Shared state of all handlers.
pub struct App {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Who this node is.
    pub node: NodeFacts,
    /// Access control.
    pub auth: Auth,
    /// Camera states.
    pub board: Arc<Board>,
    /// Live and stored pictures, behind proofs of access.
    pub media: Media,
    /// How recording stands.
    pub recordings: Arc<dyn Recordings>,
    /// Places beside the volumes.
    pub archives: Arc<Archives>,
    /// Events for browsers.
    pub events: EventLog,
    /// What happens on the node, on its way into the journal and as rows.
    pub desk: Desk,
    /// Alarms, incidents and what is done about them.
    pub duty: Duty,
    /// What makes alarms of events.
    pub rules: crate::duty::rules::Rules,
    /// Where units are, and the links by which they work.
    pub units: Units,
    /// Webhooks and streams of what is done about them.
    pub outward: Outward,
    /// Counters of live viewing.
    pub live: LiveCounters,
    /// Searches under way.
    pub search: Searches,
    /// Reads the configuration again; absent in tests.
    pub reload: RwLock<Option<Arc<dyn Reload>>>,
    /// The check of stored footage; absent in tests.
    pub integrity: RwLock<Option<Arc<Integrity>>>,
    /// Holds and deletions; absent in most tests.
    pub retention: RwLock<Option<Arc<Retained>>>,
    /// Camera sessions; absent in most tests.
    pub sessions: RwLock<Option<Arc<dyn Sessions>>>,
    /// Live pictures of other nodes; asleep where there are none.
    pub far: Arc<FarLive>,
    /// What it records in place of other nodes.
    pub standby: Standby,
    /// Opens the cameras of other nodes; absent in most tests.
    pub stand_in: RwLock<Option<Arc<dyn StandIn>>>,
    /// How the node speaks with others; absent when it is alone.
    pub relay: RwLock<Option<Arc<Relay>>>,
    /// Places and cameras of the node's centre; absent in most tests.
    pub central: RwLock<Option<Arc<Central>>>,
    /// The last configuration that was refused, until a later one is accepted.
    pub config_note: RwLock<Option<ConfigNote>>,
    /// Says that the node stops: endless answers end.
    pub stop: CancellationToken,
    /// Owns every task that serves.
    pub tasks: TaskTracker,
    topology: RwLock<Arc<Topology>>,
    me: Weak<Self>,
}

/// What [`App::new`] needs.
pub struct AppParts {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Who this node is.
    pub node: NodeFacts,
    /// Access control.
    pub auth: Auth,
    /// Camera states.
    pub board: Arc<Board>,
    /// Live and stored pictures.
    pub media: Media,
    /// How recording stands.
    pub recordings: Arc<dyn Recordings>,
    /// Places beside the volumes.
    pub archives: Arc<Archives>,
    /// Cameras and places.
    pub topology: Arc<Topology>,
    /// Rows of events, and the opening of the journal that they are of.
    pub desk: Desk,
    /// Alarms and incidents, by its journal.
    pub duty: Duty,
    /// What it records in place of other nodes, by its journal.
    pub standby: Standby,
    /// Says that the node stops.
    pub stop: CancellationToken,
}

impl App {
    /// The state of a node that is about to serve.
    #[must_use]
    pub fn new(parts: AppParts) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            events: EventLog::new(parts.node.started),
            desk: parts.desk,
            duty: parts.duty,
            rules: crate::duty::rules::Rules::default(),
            units: Units::default(),
            outward: Outward::default(),
            clock: parts.clock,
            node: parts.node,
            auth: parts.auth,
            board: parts.board,
            media: parts.media,
            recordings: parts.recordings,
            archives: parts.archives,
            live: LiveCounters::default(),
            search: Searches::default(),
            reload: RwLock::new(None),
            integrity: RwLock::new(None),
            retention: RwLock::new(None),
            sessions: RwLock::new(None),
            far: Arc::default(),
            standby: parts.standby,
            stand_in: RwLock::new(None),
            relay: RwLock::new(None),
            central: RwLock::new(None),
            config_note: RwLock::new(None),
            stop: parts.stop,
            tasks: TaskTracker::new(),
            topology: RwLock::new(parts.topology),
        })
    }

    /// Itself, to be held by a task that ends what somebody began, whether they wait for it or not.
    #[must_use]
    pub fn whole(&self) -> Option<Arc<Self>> {
        self.me.upgrade()
    }

    /// Cameras and places as configured now.
    #[must_use]
    pub fn topology(&self) -> Arc<Topology> {
        self.topology.read().clone()
    }

    /// Takes a new configuration of cameras and places into use and tells the browsers.
    pub fn set_topology(&self, topology: Arc<Topology>) {
        *self.topology.write() = topology;
        self.events.resync();
    }
}

//! What every handler shares.

use std::sync::Arc;

use fengsui_config::Topology;
use fengsui_config::clock::{Clock, UtcMicros};
use fengsui_storage::board::Board;
use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::events::EventLog;
use crate::archive::Archives;
use crate::auth::Auth;
use crate::integrity::Integrity;
use crate::live::LiveCounters;
use crate::media::Media;
use crate::recordings::Recordings;
use crate::retention::Retained;

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
    fn reload(&self, by: String) -> futures::future::BoxFuture<'_, Result<Reloaded, Vec<String>>>;
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
    /// Counters of live viewing.
    pub live: LiveCounters,
    /// Reads the configuration again; absent in tests.
    pub reload: RwLock<Option<Arc<dyn Reload>>>,
    /// The check of stored footage; absent in tests.
    pub integrity: RwLock<Option<Arc<Integrity>>>,
    /// Holds and deletions; absent in most tests.
    pub retention: RwLock<Option<Arc<Retained>>>,
    /// Camera sessions; absent in most tests.
    pub sessions: RwLock<Option<Arc<dyn Sessions>>>,
    /// The last configuration that was refused, until a later one is accepted.
    pub config_note: RwLock<Option<ConfigNote>>,
    /// Says that the node stops: endless answers end.
    pub stop: CancellationToken,
    /// Owns every task that serves.
    pub tasks: TaskTracker,
    topology: RwLock<Arc<Topology>>,
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
    /// Says that the node stops.
    pub stop: CancellationToken,
}

impl App {
    /// The state of a node that is about to serve.
    #[must_use]
    pub fn new(parts: AppParts) -> Arc<Self> {
        Arc::new(Self {
            events: EventLog::new(parts.node.started),
            clock: parts.clock,
            node: parts.node,
            auth: parts.auth,
            board: parts.board,
            media: parts.media,
            recordings: parts.recordings,
            archives: parts.archives,
            live: LiveCounters::default(),
            reload: RwLock::new(None),
            integrity: RwLock::new(None),
            retention: RwLock::new(None),
            sessions: RwLock::new(None),
            config_note: RwLock::new(None),
            stop: parts.stop,
            tasks: TaskTracker::new(),
            topology: RwLock::new(parts.topology),
        })
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

//! A centre: what it has of the nodes below it, and the tasks that serve them.
//!
//! - [`receive`]: one task owns the receiver's core; it journals, acknowledges, confirms and answers.
//! - [`configs`]: the nodes' configurations, in versions, and their way to the nodes.
//! - [`live`]: live pictures of the nodes, fetched once however many look.
//! - [`readers`]: one task for each node reads what it sent into the stream, so that none holds up another.
//! - [`register`]: who is a node: orders and enrolments, into the journal first.
//! - [`backfill`]: what others recorded is brought back to its node.
//! - [`standby`]: who records the cameras of nodes that are gone.
//! - [`servers`]: files and certificate of the message servers, which read them again when something changed.
//!
//! A node is told where to go on only when its own consumer is there: nothing that it sends after that can be forgotten.

pub mod backfill;
pub mod configs;
pub mod live;
pub mod readers;
pub mod receive;
pub mod register;
pub mod servers;
pub mod standby;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use fengsui_config::ids::NodeId;
use fengsui_config::{CentreRole, Config, limits};
use fengsui_relay::identity::{Authority, PublicNkey, ServerFiles};
use fengsui_relay::inbox::{InboxCounters, OriginState};
use fengsui_relay::link::{LinkOptions, NatsLink};
use fengsui_relay::standby::Lease;
use fengsui_storage::fs::{Fs, RealFs};
use fengsui_storage::journal::Journal;
use fengsui_storage::segment::NodeKey;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, watch};

use super::calls::{Call, CallError, Calls};
use super::presence::{Presences, Silence};
use super::up::Uplink;
use super::{RelayError, folder};
use crate::app::App;
use crate::command::follow;
use crate::command::pool::Pool;
use crate::command::states::States;
use crate::duty::{down, whereabouts};
use configs::Configs;
use register::Roll;

/// How the receiver stands, for people and metrics.
#[derive(Debug, Clone, Default)]
pub struct CentreSeen {
    /// Counters since the start.
    pub counters: InboxCounters,
    /// Where each origin stands.
    pub origins: BTreeMap<NodeId, OriginState>,
    /// Live alarms shown ahead of their frames.
    pub previews: usize,
    /// Frames in the stream, and their bytes.
    pub stream: (u64, u64),
    /// Words of presence that could not be read.
    pub words_refused: u64,
}

/// What a centre has.
pub struct Centre {
    /// Its own name.
    pub own: NodeId,
    /// Its part of the configuration.
    pub role: CentreRole,
    /// Its connection to its servers.
    pub link: NatsLink,
    /// What it asks nodes, over a connection of its own.
    pub calls: Calls,
    /// Who is a node.
    pub roll: Arc<Roll>,
    /// Configurations of nodes.
    pub configs: Configs,
    /// Who is there.
    pub presence: Mutex<Presences>,
    /// What nodes tell of their cameras.
    pub states: States,
    /// Answers with footage of nodes that are under way.
    pub footage: Arc<Pool>,
    /// Certificate of the authority, PEM.
    pub authority_certificate: String,
    /// SHA-256 of the certificate that this centre's HTTPS shows; none when it has no HTTPS.
    pub pin: Option<[u8; 32]>,
    journal: Arc<Journal>,
    authority: Authority,
    files: ServerFiles,
    system: LinkOptions,
    /// The servers' files may have to be written.
    files_changed: Notify,
    /// Connection on which the stream is as it should be.
    stream_ready: watch::Sender<Option<u64>>,
    seen: Mutex<CentreSeen>,
    /// Who records for whom, by owner, as last read.
    leases: Mutex<BTreeMap<NodeId, Lease>>,
    /// Nodes whose cameras were just left to them again.
    given_back: Mutex<BTreeSet<NodeId>>,
    /// What bringing footage back came to.
    pub backfill: backfill::BackfillCounters,
}

impl Centre {
    /// Reads what a centre needs and begins to connect; [`run`] does the rest.
    ///
    /// # Errors
    /// When authority, keys or register cannot be read or made.
    pub async fn open(
        app: &Arc<App>,
        config: &Config,
        role: &CentreRole,
        (journal, key): (&Arc<Journal>, &Arc<NodeKey>),
        pin: Option<[u8; 32]>,
    ) -> Result<Arc<Self>, RelayError> {
        let folder = folder(&config.node.data);
        std::fs::create_dir_all(&folder)?;
        let authority = Authority::load_or_create(&RealFs, &folder, app.clock.utc())?;
        let system = Arc::new(NodeKey::load_or_create(&folder.join("system.key"))?);
        let public = (PublicNkey::of(key.id()), PublicNkey::of(system.id()));
        let certificate = folder.join("authority.crt");
        let options = LinkOptions::centre(&role.servers, certificate.clone(), key.clone());
        let calls = LinkOptions { name: "centre (calls)".to_owned(), ..options.clone() };
        let (link, calls) = (NatsLink::open(options).await?, NatsLink::open(calls).await?);
        let own = config.node.id.clone();
        Ok(Arc::new(Self {
            roll: Arc::new(Roll::new(own.clone(), journal.state()?)),
            configs: Configs::new(journal.state()?),
            link,
            calls: Calls::new(Arc::new(calls)),
            presence: Mutex::default(),
            states: States::default(),
            footage: Arc::default(),
            authority_certificate: authority.certificate().to_owned(),
            pin,
            journal: journal.clone(),
            files: ServerFiles::new(&folder, role, &own, public),
            system: LinkOptions::centre(&role.servers, certificate, system),
            files_changed: Notify::new(),
            stream_ready: watch::Sender::new(None),
            seen: Mutex::default(),
            leases: Mutex::default(),
            given_back: Mutex::default(),
            backfill: backfill::BackfillCounters::default(),
            authority,
            role: role.clone(),
            own,
        }))
    }

    /// How the receiver stands.
    #[must_use]
    pub fn seen(&self) -> CentreSeen {
        self.seen.lock().clone()
    }

    /// Calls the API of a node of this centre, on behalf of a person here; the head of the answer comes within `deadline`, its body
    /// at the reader's pace.
    ///
    /// # Errors
    /// When the node is none, is not heard, or does not answer. A node that refuses has answered.
    pub async fn call(&self, node: &NodeId, call: Call, deadline: Duration) -> Result<Response, CallError> {
        self.reachable(node)?;
        self.calls.call(node, call, deadline).await
    }

    /// Whether a call of a node has a chance; says nothing of how the node is.
    ///
    /// # Errors
    /// When it is no node of this centre, or is known not to answer.
    pub fn reachable(&self, node: &NodeId) -> Result<(), CallError> {
        if !self.roll.works(node) {
            return Err(CallError::Stranger(node.clone()));
        }
        // Nobody waits for a node of which is known that it does not answer.
        if self.presence.lock().of(node).is_some_and(|last| last.silence == Silence::Gone) {
            return Err(CallError::Gone(node.clone()));
        }
        Ok(())
    }

    /// What the stream holds.
    pub(super) fn set_stream(&self, size: (u64, u64)) {
        self.seen.lock().stream = size;
    }

    /// The register changed: who is let in has to be written, and new nodes have to be read.
    pub fn nodes_changed(&self) {
        self.files_changed.notify_one();
        self.roll.told();
    }
}

/// Starts the tasks of a centre.
pub fn run(app: &Arc<App>, centre: &Arc<Centre>, uplink: Option<&Arc<Uplink>>) {
    let (came, coming) = mpsc::channel(limits::RELAY_DELIVERED_BATCHES_MAX);
    app.tasks.spawn(servers::run(app.clone(), centre.clone()));
    app.tasks.spawn(standby::run(app.clone(), centre.clone()));
    app.tasks.spawn(backfill::run(app.clone(), centre.clone()));
    app.tasks.spawn(configs::run(app.clone(), centre.clone()));
    app.tasks.spawn(follow::run(app.clone(), centre.clone()));
    app.tasks.spawn(down::run(app.clone(), centre.clone()));
    app.tasks.spawn(whereabouts::run(app.clone(), centre.clone()));
    app.tasks.spawn(live::manager::Manager::new(app, centre.clone()).run());
    app.tasks.spawn(readers::prepare(app.clone(), centre.clone()));
    app.tasks.spawn(readers::run(app.clone(), centre.clone(), came));
    app.tasks.spawn(receive::run(app.clone(), centre.clone(), uplink.cloned(), coming));
}

/// The file system of all that a centre keeps for its servers.
fn files() -> &'static dyn Fs {
    &RealFs
}

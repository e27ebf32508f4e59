//! One running node: assembles all parts, starts them in order, and stops them in the opposite one. The only module
//! that knows the ingest side.
//!
//! Start: lock, key, journal, accounts, listening sockets, catalogue, hub, recorder, fleet, web. Stop: web (accepts
//! no more, ends walls and event streams), fleet, recorder (closes its segments), journal. Each step has a bound.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fengsui_config::clock::{Clock, SystemClock, UtcMicros};
use fengsui_config::ids::{StreamKey, StreamKind};
use fengsui_config::topology::RecordPolicy;
use fengsui_config::{Config, Topology, WebConfig, limits};
use fengsui_ingest::{CameraSpec, Fleet, FleetOptions};
use fengsui_storage::board::Board;
use fengsui_storage::catalogue::{Catalogue, CatalogueStats, DayStrip, SpanKind};
use fengsui_storage::error::StoreError;
use fengsui_storage::frame::GapReason;
use fengsui_storage::fs::{Fs, RealFs};
use fengsui_storage::gaps::Interval;
use fengsui_storage::hub::Hub;
use fengsui_storage::journal::Journal;
use fengsui_storage::playback::{Footage, SegmentIndex};
use fengsui_storage::recorder::{Recorder, RecorderOptions, VolumeLoad};
use fengsui_storage::scrub::{ScrubOptions, Scrubber};
use fengsui_storage::segment::{NodeKey, SegmentRow};
use fengsui_storage::volume::{VolumeMode, VolumeState as StoredState, VolumeStatus};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::api;
use crate::app::{App, AppParts, NodeFacts};
use crate::auth::Auth;
use crate::auth::accounts::Accounts;
use crate::auth::random::NoRandom;
use crate::auth::register::{Register, RegisterError, kinds};
use crate::http::accept::{self, Door};
use crate::http::tls::{self, Identity, TlsError};
use crate::integrity::{Beside, Integrity, JournalReporter};
use crate::lock::{DataLock, LockError};
use crate::media::{FootageIndex, Media, Span, Stretch};
use crate::orders;
use crate::paths;
use crate::recordings::{
    OrderRefused, RecordingNow, Recordings, VolumeDetail, VolumeNow, VolumeOrder, VolumeState, VolumeUse,
    own_file_system,
};
use crate::reload::Reloader;

/// Time that answers under way have to end.
const WEB_STOP_MAX: Duration = Duration::from_secs(5);
/// Time that camera sessions have to end.
const FLEET_STOP_MAX: Duration = Duration::from_secs(5);
/// Time that segments have to be closed.
const RECORDER_STOP_MAX: Duration = Duration::from_secs(15);

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Node key, journal, catalogue or recorder.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] NoRandom),
    /// No certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An address.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: std::io::Error,
    },
    /// The ingest side.
    #[error("cannot start reading cameras: {0}")]
    Fleet(std::io::Error),
}

/// A running node.
pub struct Node {
    app: Arc<App>,
    urls: Vec<String>,
    cameras: Arc<Cameras>,
    journal: Arc<Journal>,
    catalogue: Arc<Catalogue>,
    reloader: Arc<Reloader>,
    _lock: DataLock,
}

/// What runs by the configuration of cameras.
pub(crate) struct Cameras {
    fleet: Mutex<Option<Fleet>>,
    recorder: Arc<Recorder>,
}

impl Cameras {
    /// Brings sessions and recording to what the topology says.
    pub(crate) fn apply(&self, topology: &Topology) {
        self.recorder.set_plan(&plan(topology));
        if let Some(fleet) = self.fleet.lock().as_ref() {
            fleet.apply(CameraSpec::all(topology));
        }
    }
}

/// Streams due to be recorded.
fn plan(topology: &Topology) -> BTreeSet<StreamKey> {
    let due = topology.cameras.values().filter(|c| c.enabled && c.record == RecordPolicy::Always);
    due.map(|c| StreamKey { camera: c.id, stream: StreamKind::Main }).collect()
}

impl Node {
    /// Starts a node by its configuration; `path` is the file that it came from, read again on a reload.
    ///
    /// # Errors
    /// When a part without which the node is of no use cannot start. A volume that cannot be used, and a camera that
    /// does not answer, are no such parts.
    pub async fn start(config: Config, path: PathBuf) -> Result<Self, StartError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let fs: Arc<dyn Fs> = Arc::new(RealFs);
        let data = config.node.data.clone();
        let lock = DataLock::take(&data)?;
        let doors = listen(&config.web, &data).await?;
        let node_key = Arc::new(NodeKey::load_or_create(&paths::node_key(&data))?);
        let journal = Journal::open(fs.clone(), &paths::journal(&data), clock.clone(), &config.node.id)?;
        let accounts = journal.state::<Accounts>()?;
        let catalogue = Catalogue::open(fs.clone(), &paths::catalogue(&data), clock.clone())?;
        let hub = Hub::new(clock.clone(), config.storage.ring_budget_bytes);
        let board = Arc::new(Board::default());
        let key_id = node_key.id();
        let recorder = Arc::new(Recorder::start(RecorderOptions {
            fs: fs.clone(),
            clock: clock.clone(),
            hub: hub.clone(),
            catalogue: catalogue.clone(),
            volumes: config.storage.volumes.clone(),
            node: config.node.id.clone(),
            node_key,
            data: data.clone(),
        })?);
        let options = FleetOptions::new(clock.clone(), hub.clone(), board.clone());
        let fleet = Fleet::start(options).map_err(StartError::Fleet)?;
        let cameras = Arc::new(Cameras { fleet: Mutex::new(Some(fleet)), recorder: recorder.clone() });
        let index = Arc::new(CatalogueIndex(catalogue.clone()));
        let volumes = config.storage.volumes.iter().map(|v| (v.id.clone(), v.path.clone())).collect();
        let footage = Arc::new(Footage::new(fs.clone(), index.clone(), volumes));
        let beside =
            Beside { recorder: recorder.clone(), footage: Arc::downgrade(&footage), clock: clock.clone() };
        let scrubber = Scrubber::start(ScrubOptions {
            fs,
            clock: clock.clone(),
            catalogue: catalogue.clone(),
            volumes: config.storage.volumes.iter().map(|v| (v.id.clone(), v.path.clone())).collect(),
            dir: paths::integrity(&data),
            rate: config.storage.scrub_bytes_per_s,
            key: Some(key_id),
            reporter: Arc::new(JournalReporter(journal.clone())),
            surroundings: Arc::new(beside),
            replicas: Vec::new(),
            suspects: footage.suspects(),
        })?;
        let register: Arc<dyn Register> = Arc::new(JournalRegister(journal.clone()));
        let auth = Auth::new(accounts, register.clone(), &clock)?;
        let started = clock.utc();
        let app = App::new(AppParts {
            clock,
            node: NodeFacts { id: config.node.id.to_string(), version: env!("CARGO_PKG_VERSION"), started },
            auth,
            board,
            media: Media::new(hub, footage, index),
            recordings: Arc::new(RecorderView(recorder)),
            topology: Arc::new(config.topology.clone()),
            stop: CancellationToken::new(),
        });
        if let Err(error) = register.append(kinds::NODE_STARTED, json!({"version": app.node.version})).await {
            tracing::error!(%error, "cannot write the start to the journal");
        }
        *app.integrity.write() = Some(Arc::new(Integrity { scrubber, catalogue: catalogue.clone() }));
        cameras.apply(&config.topology);
        let reloader = Arc::new(Reloader::new(path, config, app.clone(), cameras.clone()));
        *app.reload.write() = Some(reloader.clone());
        let urls = serve(&app, doors);
        app.tasks.spawn(api::events::watch(app.clone()));
        app.tasks.spawn(orders::watch(app.clone(), paths::orders(&data)));
        app.tasks.spawn(reloader.clone().watch_file());
        Ok(Self { app, urls, cameras, journal, catalogue, reloader, _lock: lock })
    }

    /// Addresses under which it serves.
    #[must_use]
    pub fn urls(&self) -> &[String] {
        &self.urls
    }

    /// The one-time token for the first administrator, while there is none; given once.
    #[must_use]
    pub fn setup_token(&self) -> Option<String> {
        self.app.auth.setup.take_for_console()
    }

    /// Reads the configuration again because the console says so.
    pub async fn reload(&self) {
        // What came of it is logged and shown by the reloader.
        let _ = crate::app::Reload::reload(&*self.reloader, "console".to_owned()).await;
    }

    /// Stops in good order, within some 25 seconds at most.
    pub async fn stop(self) {
        self.app.stop.cancel();
        self.app.tasks.close();
        if tokio::time::timeout(WEB_STOP_MAX, self.app.tasks.wait()).await.is_err() {
            tracing::warn!(tasks = self.app.tasks.len(), "some answers did not end in time; leaving them");
        }
        let fleet = self.cameras.fleet.lock().take();
        if let Some(fleet) = fleet
            && tokio::time::timeout(FLEET_STOP_MAX, fleet.stop()).await.is_err()
        {
            tracing::warn!("some camera sessions did not end in time; leaving them");
        }
        let recorder = self.cameras.recorder.clone();
        let integrity = self.app.integrity.write().take();
        let closing = tokio::task::spawn_blocking(move || {
            if let Some(integrity) = integrity {
                integrity.scrubber.stop();
            }
            recorder.stop();
        });
        if tokio::time::timeout(RECORDER_STOP_MAX, closing).await.is_err() {
            tracing::error!(
                "a volume did not close its segments in time; they are recovered at the next start"
            );
        }
        let (catalogue, journal) = (self.catalogue, self.journal);
        if let Err(error) = journal.append(kinds::NODE_STOPPED, json!({})).await {
            tracing::error!(%error, "cannot write the stop to the journal");
        }
        let last = tokio::task::spawn_blocking(move || {
            if let Err(error) = catalogue.flush(true) {
                tracing::error!(%error, "cannot write the catalogue; it is mended from the file names at the next start");
            }
            journal.close();
        });
        if tokio::time::timeout(WEB_STOP_MAX, last).await.is_err() {
            tracing::error!("journal and catalogue did not close in time");
        }
    }
}

/// Binds every address before anything else starts: a port in use is the commonest mistake.
async fn listen(web: &WebConfig, data: &Path) -> Result<Vec<Door>, StartError> {
    let mut doors = Vec::new();
    let acceptor = if web.tls_listen.is_empty() { None } else { Some(tls::acceptor(&identity(web, data))?) };
    let plain = web.listen.iter().map(|a| (*a, None));
    let encrypted = web.tls_listen.iter().map(|a| (*a, acceptor.clone()));
    for (address, tls) in plain.chain(encrypted) {
        let listener =
            TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })?;
        doors.push(Door { listener, tls });
    }
    Ok(doors)
}

fn identity(web: &WebConfig, data: &Path) -> Identity {
    if let (Some(certificate), Some(key)) = (web.certificate.clone(), web.key.clone()) {
        return Identity::Files { certificate, key };
    }
    let mut names: BTreeSet<String> = web.public_names.iter().cloned().collect();
    names.extend(["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()]);
    let specific = web.tls_listen.iter().filter(|a| !a.ip().is_unspecified());
    names.extend(specific.map(|a| a.ip().to_string()));
    Identity::SelfSigned { folder: paths::tls(data), names: names.into_iter().collect() }
}

fn serve(app: &Arc<App>, doors: Vec<Door>) -> Vec<String> {
    let (router, _) = api::router(app.clone());
    let slots = Arc::new(Semaphore::new(limits::HTTP_CONNECTIONS_MAX));
    let mut urls = Vec::new();
    for door in doors {
        let scheme = if door.tls.is_some() { "https" } else { "http" };
        match door.listener.local_addr() {
            Ok(address) => urls.push(format!("{scheme}://{address}/")),
            Err(error) => tracing::warn!(%error, "cannot tell an address"),
        }
        let loop_of_door =
            accept::serve(door, router.clone(), app.tasks.clone(), slots.clone(), app.stop.clone());
        app.tasks.spawn(loop_of_door);
    }
    urls
}

/// The journal as register.
struct JournalRegister(Arc<Journal>);

impl Register for JournalRegister {
    fn append(&self, kind: &'static str, body: Value) -> BoxFuture<'_, Result<u64, RegisterError>> {
        Box::pin(async move { self.0.append(kind, body).await.map_err(|e| RegisterError(e.to_string())) })
    }
}

/// The catalogue as the index of playback and timeline.
struct CatalogueIndex(Arc<Catalogue>);

impl SegmentIndex for CatalogueIndex {
    fn segments(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> Vec<SegmentRow> {
        self.0.segments(key, from, to)
    }
    fn lost(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> Vec<(u64, Interval)> {
        self.0.damages().lost(key, from, to)
    }
}

impl FootageIndex for CatalogueIndex {
    fn spans(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> Vec<Span> {
        let spans = self.0.spans(key, from, to);
        let stretch = |kind| match kind {
            SpanKind::Footage { open } => Stretch::Footage { open },
            SpanKind::Gap(reason) => Stretch::Gap(reason),
        };
        spans.into_iter().map(|s| (s.from, s.to, stretch(s.kind))).collect()
    }
    fn day_strip(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> DayStrip {
        self.0.day_strip(key, from, to)
    }
    fn stats(&self) -> CatalogueStats {
        self.0.stats()
    }
    fn extent(&self, key: StreamKey) -> (Option<UtcMicros>, Option<UtcMicros>) {
        let summary = self.0.summary(key);
        (summary.first, summary.last)
    }
}

/// The recorder as the API shows it.
struct RecorderView(Arc<Recorder>);

impl Recordings for RecorderView {
    fn volume_details(&self) -> Vec<VolumeDetail> {
        let loads = self.0.volume_loads().into_iter();
        self.0.volumes().into_iter().zip(loads).map(|(v, load)| detail(v, load)).collect()
    }

    fn order(&self, volume: &str, order: VolumeOrder) -> Result<(), OrderRefused> {
        let id = volume.parse().map_err(|_| OrderRefused(format!("{volume} is no name of a volume")))?;
        let done = match order {
            VolumeOrder::Use => self.0.set_volume_mode(&id, VolumeMode::Use).map(drop),
            VolumeOrder::Drain => self.0.set_volume_mode(&id, VolumeMode::Drain).map(drop),
            VolumeOrder::Evacuate => self.0.set_volume_mode(&id, VolumeMode::Evacuate).map(drop),
            VolumeOrder::Adopt => self.0.adopt_volume(&id).map(drop),
            VolumeOrder::Replace | VolumeOrder::ReplaceFolder => {
                if let Some(known) = self.0.volumes().into_iter().find(|v| v.id == id) {
                    own_file_system(&known.root, order).map_err(OrderRefused)?;
                }
                self.0.replace_volume(&id).map(drop)
            }
        };
        done.map_err(|e| OrderRefused(e.to_string()))
    }

    fn stream(&self, key: &StreamKey) -> Option<RecordingNow> {
        let now = self.0.stream(*key).filter(|s| s.due)?;
        // A volume that fails keeps every stream from being recorded, whatever the camera does.
        let volumes = self.0.volumes();
        let no_room = !volumes.is_empty() && volumes.iter().all(|v| v.state != StoredState::Ok);
        let disk = if volumes.iter().all(|v| v.state == StoredState::Full) {
            GapReason::DiskFull
        } else {
            GapReason::DiskError
        };
        let reason = if no_room && !now.recording { Some(disk) } else { now.reason };
        Some(RecordingNow { recording: now.recording, reason, since: Some(now.since), last: now.last })
    }

    fn volumes(&self) -> Vec<VolumeNow> {
        let volumes = self.0.volumes().into_iter();
        let shown = volumes.map(|v| VolumeNow {
            id: v.id.to_string(),
            state: shown(v.state),
            detail: v.detail,
            total_bytes: v.total_bytes,
            free_bytes: v.free_bytes,
        });
        shown.collect()
    }
}

fn shown(state: StoredState) -> VolumeState {
    match state {
        StoredState::Ok => VolumeState::Ok,
        StoredState::Full => VolumeState::Full,
        StoredState::Error => VolumeState::Error,
        StoredState::Missing => VolumeState::Missing,
    }
}

fn detail(v: VolumeStatus, load: VolumeLoad) -> VolumeDetail {
    let (segments, bytes) = (load.usage.segments, load.usage.bytes);
    let waits = |n: u64| if load.sends_away { n } else { 0 };
    VolumeDetail {
        id: v.id.to_string(),
        state: shown(v.state),
        detail: v.detail,
        since_us: v.since.0,
        mode: match v.mode {
            VolumeMode::Use => VolumeUse::Use,
            VolumeMode::Drain => VolumeUse::Drain,
            VolumeMode::Evacuate => VolumeUse::Evacuate,
        },
        weight: v.weight,
        stage: v.stage.map(|s| s.to_string()),
        is_stage: v.is_stage,
        total_bytes: v.total_bytes,
        free_bytes: v.free_bytes,
        reserve_bytes: v.reserve_bytes,
        segments,
        bytes,
        open_segments: load.usage.open,
        waiting_segments: waits(segments),
        waiting_bytes: waits(bytes),
        moved_segments: load.moved,
        moved_bytes: load.moved_bytes,
        move_failures: load.failures,
        alarm: load.alarm,
    }
}

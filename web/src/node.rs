//! One running node: assembles all parts, starts them in order, and stops them in the opposite one. The only module
//! that knows the ingest side.
//!
//! Start: lock, key, journal, accounts, listening sockets, catalogue, hub, recorder, fleet, web. Stop: web (accepts
//! no more, ends walls and event streams), fleet, recorder (closes its segments), journal. Each step has a bound.

mod cameras;
mod facets;
mod views;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fengsui_config::clock::{Clock, SystemClock};
use fengsui_config::{Config, WebConfig, limits};
use fengsui_duty::book::Book;
use fengsui_ingest::source::Openers;
use fengsui_ingest::{Fleet, FleetOptions};
use fengsui_relay::event::rows::EventRows;
use fengsui_relay::identity::pin;
use fengsui_relay::standby::Taken;
use fengsui_storage::board::Board;
use fengsui_storage::catalogue::Catalogue;
use fengsui_storage::error::StoreError;
use fengsui_storage::facets::Facets;
use fengsui_storage::fs::{Fs, RealFs};
use fengsui_storage::hub::Hub;
use fengsui_storage::journal::Journal;
use fengsui_storage::playback::Footage;
use fengsui_storage::recorder::{Recorder, RecorderOptions};
use fengsui_storage::retention::{Archived, Forget, Retention};
use fengsui_storage::scrub::{ScrubOptions, Scrubber};
use fengsui_storage::segment::{KeyId, NodeKey};
use fengsui_storage::volume::IDENTITY_FILE;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::api;
use crate::app::{App, AppParts, NodeFacts};
use crate::archive::{self, ArchiveStartError, Archives};
use crate::auth::Auth;
use crate::auth::accounts::Accounts;
use crate::auth::kept::Kept;
use crate::auth::random::NoRandom;
use crate::auth::register::{Register, kinds};
use crate::auth::tokens::Tokens;
use crate::central::{self, Central};
use crate::desk::{self, Desk};
use crate::duty::links::Links;
use crate::duty::{self, Duty, outward};
use crate::http::accept::{self, Door};
use crate::http::tls::{self, Identity, TlsError};
use crate::integrity::{Beside, Integrity, JournalReporter};
use crate::lock::{DataLock, LockError};
use crate::media::Media;
use crate::orders;
use crate::paths;
use crate::recordings::VolumeState;
use crate::relay;
use crate::reload::Reloader;
use crate::retention::{self, Retained};
use crate::standby::Standby;
use crate::trail;
pub(crate) use cameras::Cameras;
use views::{CatalogueIndex, JournalRegister, RecorderView};

/// How often old journal files are looked for.
const DAY: Duration = Duration::from_secs(86_400);
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
    /// An archive.
    #[error(transparent)]
    Archive(#[from] ArchiveStartError),
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
    facets: Arc<Facets>,
    reloader: Arc<Reloader>,
    _lock: DataLock,
}

fn start_fleet(
    config: &Config,
    clock: &Arc<dyn Clock>,
    hub: &Arc<Hub>,
    board: &Arc<Board>,
) -> Result<Fleet, StartError> {
    let mut options = FleetOptions::new(clock.clone(), hub.clone(), board.clone());
    options.opener = Openers::shared(clock.clone(), config.ingest.lean);
    Fleet::start(options).map_err(StartError::Fleet)
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
        let (config, journal, central) = open_journal(config, &path, (&fs, &clock), &node_key)?;
        let catalogue = Catalogue::open(fs.clone(), &paths::catalogue(&data), clock.clone())?;
        let archives = open_archives(&config, &fs, &clock, &catalogue, &journal)?;
        let hub = Hub::new(clock.clone(), config.storage.ring_budget_bytes);
        let board = Arc::new(Board::default());
        let key_id = node_key.id();
        let index = Arc::new(CatalogueIndex { catalogue: catalogue.clone(), archives: archives.clone() });
        let volumes = config.storage.volumes.iter().map(|v| (v.id.clone(), v.path.clone())).collect();
        let facets = facets::closed(&config, &fs);
        let footage = Footage::new(fs.clone(), index.clone(), volumes).with_tiers(archives.tiers());
        let footage = Arc::new(footage.with_facets(facets.clone()));
        let files = (fs.clone(), clock.clone());
        let around = (archives.clone() as Arc<dyn Archived>, Some(footage.clone() as Arc<dyn Forget>));
        let retention = retention::open(&config, files, catalogue.clone(), &journal, around)?;
        archives.attach(&retention);
        let recorder = start_recorder(&config, &fs, &clock, &hub, &catalogue, node_key.clone())?;
        let fleet = start_fleet(&config, &clock, &hub, &board)?;
        let parts = (recorder.clone(), retention.clone(), archives.clone());
        let (cameras, standby) = cameras(fleet, parts, (&fs, &catalogue), &config, &journal);
        retention.attach(recorder.clone());
        let beside =
            Beside { recorder: recorder.clone(), footage: Arc::downgrade(&footage), clock: clock.clone() };
        let read = (&*footage, &*archives);
        let files = (fs, clock.clone());
        facets::start(&facets, &config, files.clone(), &catalogue, &journal, beside.clone());
        let scrubber = scrubber(&config, files, &catalogue, &journal, key_id, beside, read)?;
        let auth = access(&journal, &clock)?;
        let started = clock.utc();
        let app = App::new(AppParts {
            clock,
            node: NodeFacts { id: config.node.id.to_string(), version: env!("CARGO_PKG_VERSION"), started },
            auth,
            board,
            media: Media::new(hub, footage, index),
            recordings: Arc::new(RecorderView(recorder)),
            archives: archives.clone(),
            topology: Arc::new(cameras.topology()),
            standby,
            desk: Desk::new(config.node.id.clone(), journal.epoch(), event_rows(&journal)),
            duty: Duty::new(config.node.id.clone(), journal.epoch(), Book::default()),
            stop: CancellationToken::new(),
        });
        started_with(&app, central, (&path, &data)).await;
        *app.integrity.write() = Some(Arc::new(Integrity { scrubber, catalogue: catalogue.clone() }));
        *app.retention.write() =
            Some(Arc::new(Retained { retention: retention.clone(), journal: journal.clone() }));
        *app.sessions.write() = Some(cameras.clone());
        *app.stand_in.write() = Some(cameras.clone());
        cameras.configure(&app, &config.topology);
        retention.start()?;
        archives.start()?;
        duty_begins(&app, &config, &journal, node_key.clone());
        look_after(&app, &journal, &config);
        relay::start(&app, &config, &journal, &node_key, https_pin(&config)).await;
        let reloader = Arc::new(Reloader::new(path, config, app.clone(), cameras.clone()));
        *app.reload.write() = Some(reloader.clone());
        let urls = serve(&app, doors);
        app.tasks.spawn(api::events::watch(app.clone()));
        app.tasks.spawn(orders::watch(app.clone(), paths::orders(&data)));
        app.tasks.spawn(reloader.clone().watch_file());
        Ok(Self { app, urls, cameras, journal, catalogue, facets, reloader, _lock: lock })
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
        let fleet = self.cameras.take_fleet();
        if let Some(fleet) = fleet
            && tokio::time::timeout(FLEET_STOP_MAX, fleet.stop()).await.is_err()
        {
            tracing::warn!("some camera sessions did not end in time; leaving them");
        }
        let archives = self.cameras.archives().clone();
        let archiving = tokio::task::spawn_blocking(move || archives.stop());
        // On its own: whatever keeps a store from closing keeps nothing else.
        let facets = self.facets;
        let deriving = tokio::task::spawn_blocking(move || facets.stop());
        let recorder = self.cameras.recorder().clone();
        let retention = self.cameras.retention().clone();
        let integrity = self.app.integrity.write().take();
        let closing = tokio::task::spawn_blocking(move || {
            if let Some(integrity) = integrity {
                integrity.scrubber.stop();
            }
            retention.stop();
            recorder.stop();
        });
        if tokio::time::timeout(RECORDER_STOP_MAX, closing).await.is_err() {
            tracing::error!(
                "a volume did not close its segments in time; they are recovered at the next start"
            );
        }
        if tokio::time::timeout(WEB_STOP_MAX, archiving).await.is_err() {
            tracing::warn!(
                "an archive did not answer in time; what was under way is stored again at the next start"
            );
        }
        if tokio::time::timeout(WEB_STOP_MAX, deriving).await.is_err() {
            tracing::warn!(
                "the store of facets did not close in time; what is not on the disk is made again"
            );
        }
        let (catalogue, journal) = (self.catalogue, self.journal);
        if let Err(error) = journal.append(kinds::EVENT_NOTED, desk::stopped(&self.app).body()).await {
            tracing::error!(%error, "cannot note the stop as an event");
        }
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

/// Opens the journal; gives the configuration with what the journal has of this node's centre.
fn open_journal(
    config: Config,
    path: &Path,
    (fs, clock): (&Arc<dyn Fs>, &Arc<dyn Clock>),
    node_key: &Arc<NodeKey>,
) -> Result<(Config, Arc<Journal>, Arc<Central>), StoreError> {
    let journal = trail::open(&config, fs, clock, node_key)?;
    let (config, central) = central::settle(config, path, fs, &journal)?;
    Ok((config, journal, central))
}

/// Notes the start and its configuration.
async fn started_with(app: &App, central: Arc<Central>, (path, data): (&Path, &Path)) {
    central::attach(app, central);
    trail::started(app, path.to_owned(), data.to_owned()).await;
}

/// Starts the check of stored footage.
fn scrubber(
    config: &Config,
    (fs, clock): (Arc<dyn Fs>, Arc<dyn Clock>),
    catalogue: &Arc<Catalogue>,
    journal: &Arc<Journal>,
    key: KeyId,
    beside: Beside,
    (footage, archives): (&Footage, &Archives),
) -> Result<Scrubber, StoreError> {
    Scrubber::start(ScrubOptions {
        fs,
        clock,
        catalogue: catalogue.clone(),
        volumes: config.storage.volumes.iter().map(|v| (v.id.clone(), v.path.clone())).collect(),
        dir: paths::integrity(&config.node.data),
        rate: config.storage.scrub_bytes_per_s,
        key: Some(key),
        reporter: Arc::new(JournalReporter(journal.clone())),
        surroundings: Arc::new(beside),
        replicas: archives.replicas(),
        suspects: footage.suspects(),
    })
}

/// Accounts and tokens as the journal says, and the journal as the register of what they do.
fn access(journal: &Arc<Journal>, clock: &Arc<dyn Clock>) -> Result<Auth, StartError> {
    let register: Arc<dyn Register> = Arc::new(JournalRegister(journal.clone()));
    let auth = Auth::new(journal.state::<Accounts>()?, register, clock)?;
    *auth.tokens.write() = journal.state::<Tokens>()?;
    // Who cannot go on logs in.
    match journal.state::<Kept>() {
        Ok(kept) => auth.sessions.resume(&kept, &auth.accounts.read()),
        Err(error) => {
            tracing::error!(%error, "cannot read the sessions in the journal; everybody logs in again")
        }
    }
    Ok(auth)
}

/// Rows of events as the journal says. One that cannot be made keeps no node from recording: then rows begin anew, and
/// what is wrong now is told again.
fn event_rows(journal: &Journal) -> EventRows {
    journal.state().unwrap_or_else(|error| {
        tracing::error!(%error, "cannot make the rows of events from the journal; they begin anew");
        EventRows::default()
    })
}

/// Alarms and incidents as the journal says. A book that cannot be made keeps no node from recording.
fn duty_book(journal: &Journal) -> Book {
    journal.state().unwrap_or_else(|error| {
        tracing::error!(%error, "cannot make the book of alarms and incidents from the journal; it begins anew");
        Book::default()
    })
}

/// Links of units as the journal says. When they cannot be read, units are sent new ones.
fn unit_links(journal: &Journal) -> Links {
    journal.state().unwrap_or_else(|error| {
        tracing::error!(%error, "cannot read the links of units in the journal; new ones are needed");
        Links::default()
    })
}

/// What runs by the configuration of cameras, and those of other nodes that are recorded, as the journal says. A journal that
/// cannot tell keeps no node from recording its own.
fn cameras(
    fleet: Fleet,
    parts: (Arc<Recorder>, Arc<Retention>, Arc<Archives>),
    (fs, catalogue): (&Arc<dyn Fs>, &Arc<Catalogue>),
    config: &Config,
    journal: &Journal,
) -> (Arc<Cameras>, Standby) {
    let taken: Taken = journal.state().unwrap_or_else(|error| {
        tracing::error!(%error, "cannot read from the journal what to record for other nodes; the centre says it again");
        Taken::default()
    });
    let files = (fs.clone(), catalogue.clone());
    let cameras = Cameras::new(fleet, parts, files, config.topology.clone(), taken.cameras());
    (Arc::new(cameras), Standby::new(taken))
}

fn start_recorder(
    config: &Config,
    fs: &Arc<dyn Fs>,
    clock: &Arc<dyn Clock>,
    hub: &Arc<Hub>,
    catalogue: &Arc<Catalogue>,
    node_key: Arc<NodeKey>,
) -> Result<Arc<Recorder>, StoreError> {
    let recorder = Recorder::start(RecorderOptions {
        fs: fs.clone(),
        clock: clock.clone(),
        hub: hub.clone(),
        catalogue: catalogue.clone(),
        volumes: config.storage.volumes.clone(),
        node: config.node.id.clone(),
        node_key,
        data: config.node.data.clone(),
    })?;
    Ok(Arc::new(recorder))
}

/// Opens the indexes of all archives; an archive that does not answer keeps nobody from starting.
fn open_archives(
    config: &Config,
    fs: &Arc<dyn Fs>,
    clock: &Arc<dyn Clock>,
    catalogue: &Arc<Catalogue>,
    journal: &Arc<Journal>,
) -> Result<Arc<Archives>, StartError> {
    let (fs, clock) = (fs.clone(), clock.clone());
    let parts = archive::Parts { fs, clock, catalogue: catalogue.clone(), journal: journal.clone() };
    Ok(Arc::new(Archives::open(config, &parts)?))
}

/// Reads the book of alarms and incidents, and starts what it needs around it. Cameras are recorded by then: however long the
/// journal is, no picture waits for it.
fn duty_begins(app: &Arc<App>, config: &Config, journal: &Arc<Journal>, key: Arc<NodeKey>) {
    app.duty.go_on(duty_book(journal));
    *app.units.links.write() = unit_links(journal);
    app.duty.keep_files(&paths::attachments(&config.node.data));
    app.outward.sign_with(key);
    outward::start(app, config, journal);
}

/// Starts what the journal needs beside its own threads, and the desk of events.
fn look_after(app: &Arc<App>, journal: &Arc<Journal>, config: &Config) {
    let copies =
        config.storage.volumes.iter().map(|v| (v.id.to_string(), v.path.join(paths::WITNESS_FILE))).collect();
    app.tasks.spawn(keep_journal(app.clone(), journal.clone(), config.journal.keep_days));
    app.tasks.spawn(copy_head(app.clone(), journal.clone(), copies));
    app.tasks.spawn(trail::watch_volumes(app.clone()));
    app.tasks.spawn(desk::run(app.clone()));
    app.tasks.spawn(desk::watch(app.clone()));
    duty::start(app);
    let has_centre = config.relay.as_ref().is_some_and(|relay| relay.upward.is_some());
    app.tasks.spawn(crate::duty::rules::run(app.clone(), journal.clone(), has_centre));
}

/// Drops what is old enough, at the start and once a day.
async fn keep_journal(app: Arc<App>, journal: Arc<Journal>, keep_days: Option<u64>) {
    let Some(keep_days) = keep_days else { return };
    loop {
        let kept = journal.clone();
        match tokio::task::spawn_blocking(move || kept.drop_old(keep_days)).await {
            Ok(Ok(Some(dropped))) => {
                tracing::info!(
                    files = dropped.files,
                    through_seq = dropped.through_seq,
                    "dropped old journal files"
                );
            }
            Ok(Ok(None)) => {}
            Ok(Err(error)) => tracing::error!(%error, "cannot drop old journal files"),
            Err(error) => tracing::error!(%error, "dropping old journal files ended early"),
        }
        tokio::select! {
            () = app.stop.cancelled() => return,
            () = tokio::time::sleep(DAY) => {}
        }
    }
}

/// Puts copies of the journal's head on the volumes. Each has a thread of its own: one that hangs holds up no other, and
/// gets no second. What is not a volume (any more) is not written to.
async fn copy_head(app: Arc<App>, journal: Arc<Journal>, volumes: Vec<(String, PathBuf)>) {
    let mut under_way: Vec<(String, PathBuf, Option<tokio::task::JoinHandle<()>>)> =
        volumes.into_iter().map(|(id, path)| (id, path, None)).collect();
    loop {
        let now = app.recordings.volumes();
        for (id, path, task) in &mut under_way {
            let away = now.iter().all(|v| v.id != *id || v.state == VolumeState::Missing);
            if away || task.as_ref().is_some_and(|t| !t.is_finished()) {
                continue;
            }
            let (journal, path) = (journal.clone(), path.clone());
            *task = Some(tokio::task::spawn_blocking(move || {
                if !path.with_file_name(IDENTITY_FILE).is_file() {
                    return;
                }
                if let Err(error) = journal.put_head(&path) {
                    tracing::error!(%error, "cannot copy the head of the journal to a volume");
                }
            }));
        }
        tokio::select! {
            () = app.stop.cancelled() => return,
            () = tokio::time::sleep(limits::JOURNAL_WITNESS_INTERVAL) => {}
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

/// SHA-256 of the certificate that the node's HTTPS shows; none without HTTPS, or when it cannot be read.
pub(crate) fn https_pin(config: &Config) -> Option<[u8; 32]> {
    if config.web.tls_listen.is_empty() {
        return None;
    }
    let leaf = tls::leaf(&identity(&config.web, &config.node.data));
    leaf.inspect_err(|error| tracing::error!(%error, "no node can be invited")).ok().map(|der| pin::of(&der))
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

//! The node and the tree of places.

use std::sync::Arc;

use axum::extract::State;
use fengsui_config::Topology;
use fengsui_config::ids::NationalCode;
use fengsui_config::topology::PlaceKind;
use fengsui_storage::board::SessionState;
use serde::Serialize;
use utoipa::ToSchema;

use super::view::{self, RecordingState};
use crate::app::App;
use crate::auth::access::Principal;
use crate::http::problem::{ApiError, ApiResult, Problem, Refusal};
use crate::recordings::VolumeNow;

/// A place with a name.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PlaceView {
    /// National code.
    #[schema(value_type = String)]
    pub code: NationalCode,
    /// Name.
    pub name: String,
}

/// How many cameras are how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Counts {
    /// Configured.
    pub cameras: usize,
    /// Enabled.
    pub enabled: usize,
    /// Main stream playing.
    pub online: usize,
    /// Being recorded.
    pub recording: usize,
    /// Due to be recorded, and not recorded.
    pub not_recording: usize,
    /// Main stream being connected.
    pub opening: usize,
    /// Main stream waiting for its turn to connect.
    pub waiting: usize,
    /// Main stream failed and waiting to be tried again.
    pub back_off: usize,
    /// Of other nodes; the rest are this node's own.
    pub remote: usize,
    /// Of them, whose state is not known now; they are in none of the numbers above but `cameras`.
    pub unknown: usize,
}

/// Live viewing now.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct LiveView {
    /// Wall sockets open.
    pub sockets: usize,
    /// Streams subscribed on all of them.
    pub subscriptions: usize,
}

/// A configuration that was refused; the one before it stays in use.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ConfigNoteView {
    /// When.
    pub at_us: i64,
    /// Every refusal, one line each.
    pub refusals: Vec<String>,
}

/// The node.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SystemView {
    /// Name of the node.
    pub node: String,
    /// Version of the program.
    pub version: String,
    /// The node's clock.
    pub now_us: i64,
    /// When it started.
    pub started_us: i64,
    /// The city.
    pub city: PlaceView,
    /// Cameras.
    pub counts: Counts,
    /// Volumes.
    pub volumes: Vec<VolumeNow>,
    /// Live viewing.
    pub live: LiveView,
    /// Set while a newer configuration is refused.
    pub config_refused: Option<ConfigNoteView>,
}

/// The node as it is now.
#[must_use]
pub fn view(app: &App) -> SystemView {
    let topology = app.topology();
    SystemView {
        node: app.node.id.clone(),
        version: app.node.version.to_owned(),
        now_us: app.clock.utc().0,
        started_us: app.node.started.0,
        city: PlaceView { code: topology.city.code, name: topology.city.name.clone() },
        counts: counts(app, &topology),
        volumes: app.recordings.volumes(),
        live: LiveView { sockets: app.live.sockets(), subscriptions: app.live.subscriptions() },
        config_refused: app
            .config_note
            .read()
            .as_ref()
            .map(|n| ConfigNoteView { at_us: n.at.0, refusals: n.refusals.clone() }),
    }
}

/// Cameras by how they stand.
#[must_use]
pub fn counts(app: &App, topology: &Topology) -> Counts {
    let mut counts = Counts::default();
    for camera in topology.cameras.values() {
        counts.cameras += 1;
        let shown = view::camera(app, topology, camera);
        counts.remote += usize::from(shown.node.is_some());
        if shown.node.as_ref().is_some_and(|node| !node.known) {
            counts.unknown += 1;
            continue;
        }
        if !shown.enabled {
            continue;
        }
        counts.enabled += 1;
        match shown.streams.main.state {
            SessionState::Playing => counts.online += 1,
            SessionState::Opening => counts.opening += 1,
            SessionState::Waiting => counts.waiting += 1,
            SessionState::BackOff => counts.back_off += 1,
            SessionState::Idle | SessionState::Stalled => {}
        }
        counts.recording += usize::from(shown.recording.state == RecordingState::Recording);
        counts.not_recording += usize::from(shown.recording.state == RecordingState::NotRecording);
    }
    counts
}

/// The node as it is now.
#[utoipa::path(get, path = "/api/v1/system", tag = "system", responses(
    (status = 200, body = SystemView), (status = 401, body = Problem)))]
pub async fn show(State(app): State<Arc<App>>) -> axum::Json<SystemView> {
    axum::Json(view(&app))
}

/// The tree of places.
#[derive(Debug, Serialize, ToSchema)]
pub struct TopologyView {
    /// The city.
    pub city: PlaceView,
    /// Its sub-centres.
    pub sub_centres: Vec<SubCentreView>,
}

/// A sub-centre.
#[derive(Debug, Serialize, ToSchema)]
pub struct SubCentreView {
    /// National code.
    #[schema(value_type = String)]
    pub code: NationalCode,
    /// Name.
    pub name: String,
    /// Its stations.
    pub stations: Vec<StationView>,
}

/// A station.
#[derive(Debug, Serialize, ToSchema)]
pub struct StationView {
    /// National code.
    #[schema(value_type = String)]
    pub code: NationalCode,
    /// Name.
    pub name: String,
    /// Its sites.
    pub sites: Vec<SiteView>,
}

/// A site.
#[derive(Debug, Serialize, ToSchema)]
pub struct SiteView {
    /// National code.
    #[schema(value_type = String)]
    pub code: NationalCode,
    /// Name.
    pub name: String,
    /// Kind of place.
    #[schema(value_type = String, example = "crossroad")]
    pub kind: PlaceKind,
    /// Codes of its cameras.
    #[schema(value_type = Vec<String>)]
    pub cameras: Vec<NationalCode>,
}

/// The tree of places.
#[utoipa::path(get, path = "/api/v1/topology", tag = "system", responses(
    (status = 200, body = TopologyView), (status = 401, body = Problem)))]
pub async fn topology(State(app): State<Arc<App>>) -> axum::Json<TopologyView> {
    let topology = app.topology();
    let city = PlaceView { code: topology.city.code, name: topology.city.name.clone() };
    let mut sites = std::collections::BTreeMap::<NationalCode, Vec<SiteView>>::new();
    let mut cameras = std::collections::BTreeMap::<NationalCode, Vec<NationalCode>>::new();
    for camera in topology.cameras.values() {
        cameras.entry(camera.site).or_default().push(camera.id.0);
    }
    for site in topology.sites.values() {
        let own = cameras.remove(&site.code).unwrap_or_default();
        let shown = SiteView { code: site.code, name: site.name.clone(), kind: site.kind, cameras: own };
        sites.entry(site.station).or_default().push(shown);
    }
    let mut stations = std::collections::BTreeMap::<NationalCode, Vec<StationView>>::new();
    for station in topology.stations.values() {
        let own = sites.remove(&station.code).unwrap_or_default();
        let shown = StationView { code: station.code, name: station.name.clone(), sites: own };
        stations.entry(station.sub_centre).or_default().push(shown);
    }
    let sub_centres = topology
        .sub_centres
        .values()
        .map(|s| SubCentreView {
            code: s.code,
            name: s.name.clone(),
            stations: stations.remove(&s.code).unwrap_or_default(),
        })
        .collect();
    axum::Json(TopologyView { city, sub_centres })
}

/// What a reload did.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReloadView {
    /// Cameras that are new.
    pub added: usize,
    /// Cameras that changed.
    pub changed: usize,
    /// Cameras that are gone.
    pub removed: usize,
    /// Warnings, and changes that need a restart.
    pub notes: Vec<String>,
}

/// Reads the configuration again. When it is refused the old one stays in use.
#[utoipa::path(post, path = "/api/v1/reload", tag = "system", responses(
    (status = 200, body = ReloadView), (status = 400, body = Problem), (status = 401, body = Problem)))]
pub async fn reload(State(app): State<Arc<App>>, principal: Principal) -> ApiResult<axum::Json<ReloadView>> {
    let Some(reload) = app.reload.read().clone() else {
        return Err(ApiError::new(
            Refusal::Unavailable,
            "This node has no configuration file to read again.",
        ));
    };
    let done = reload.reload(principal.user().name.to_string()).await.map_err(|refusals| {
        ApiError::new(Refusal::BadRequest, refusals.join("\n"))
            .field("config")
            .remedy("Put the lines right and reload; the old configuration stays in use.")
    })?;
    Ok(axum::Json(ReloadView {
        added: done.added,
        changed: done.changed,
        removed: done.removed,
        notes: done.notes,
    }))
}

/// Says that the process serves.
#[utoipa::path(get, path = "/healthz", tag = "system", responses((status = 200, body = String)))]
pub async fn healthz() -> &'static str {
    "ok\n"
}

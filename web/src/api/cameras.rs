//! Cameras: list, one, and CSV.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fengsui_config::Topology;
use fengsui_config::ids::CameraId;
use fengsui_config::limits;
use fengsui_config::topology::Camera;
use fengsui_storage::board::SessionState;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::view::{self, CameraView, RecordingState};
use crate::app::App;
use crate::http::problem::{ApiError, ApiResult, PathOf, Problem, QueryOf};

/// Which cameras to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Words that must all occur in name, code, site, station, sub-centre, host or node.
    q: Option<String>,
    /// `online`, `offline`, `disabled`, `recording`, `not_recording` or `unknown`.
    state: Option<String>,
    /// Code of a site, station or sub-centre.
    site: Option<String>,
    /// Where the last page ended (`next` of its answer).
    cursor: Option<String>,
    /// Rows of a page, at most 1000.
    limit: Option<usize>,
}

/// One page of cameras.
#[derive(Debug, Serialize, ToSchema)]
pub struct CameraPage {
    /// Cameras in order of code.
    pub items: Vec<CameraView>,
    /// Cursor of the next page.
    pub next: Option<String>,
    /// Cameras that fit, on all pages.
    pub total: usize,
}

/// One camera with everything known of the device.
#[derive(Debug, Serialize, ToSchema)]
pub struct CameraDetail {
    /// As in the list.
    #[serde(flatten)]
    pub camera: CameraView,
    /// Address of the main stream, without credentials.
    pub main_url: String,
    /// Address of the sub-stream, without credentials.
    pub sub_url: Option<String>,
    /// User name at the device; never the password.
    pub user: Option<String>,
    /// `tcp` or `udp`.
    #[schema(value_type = String, example = "tcp")]
    pub transport: fengsui_config::topology::Transport,
    /// `always` or `never`.
    #[schema(value_type = String, example = "always")]
    pub record: fengsui_config::topology::RecordPolicy,
    /// Full record of the device (一机一档).
    #[schema(value_type = Object)]
    pub dossier: fengsui_config::topology::Dossier,
}

#[derive(Debug, Clone, Copy)]
enum StateFilter {
    Online,
    Offline,
    Disabled,
    Recording,
    NotRecording,
    Unknown,
}

impl StateFilter {
    fn parse(text: &str) -> ApiResult<Self> {
        Ok(match text {
            "online" => Self::Online,
            "offline" => Self::Offline,
            "disabled" => Self::Disabled,
            "recording" => Self::Recording,
            "not_recording" => Self::NotRecording,
            "unknown" => Self::Unknown,
            _ => {
                return Err(ApiError::bad("state", format!("'{text}' is no state to filter by."))
                    .remedy("Write online, offline, disabled, recording, not_recording or unknown."));
            }
        })
    }

    fn fits(self, camera: &CameraView) -> bool {
        let playing = camera.streams.main.state == SessionState::Playing;
        // What was so when the node was heard last counts for nothing.
        if camera.node.as_ref().is_some_and(|node| !node.known) {
            return matches!(self, Self::Unknown);
        }
        match self {
            Self::Unknown => false,
            Self::Online => camera.enabled && playing,
            Self::Offline => camera.enabled && !playing,
            Self::Disabled => !camera.enabled,
            Self::Recording => camera.recording.state == RecordingState::Recording,
            Self::NotRecording => camera.recording.state == RecordingState::NotRecording,
        }
    }
}

/// Lists cameras.
#[utoipa::path(get, path = "/api/v1/cameras", tag = "cameras", params(ListQuery), responses(
    (status = 200, body = CameraPage), (status = 400, body = Problem), (status = 401, body = Problem)))]
pub async fn list(
    State(app): State<Arc<App>>,
    QueryOf(query): QueryOf<ListQuery>,
) -> ApiResult<axum::Json<CameraPage>> {
    let limit = query.limit.unwrap_or(200).clamp(1, limits::PAGE_ROWS_MAX);
    let after = query.cursor.as_deref().map(read_cursor).transpose()?;
    let state = query.state.as_deref().filter(|s| !s.is_empty()).map(StateFilter::parse).transpose()?;
    let words: Vec<String> =
        query.q.unwrap_or_default().to_lowercase().split_whitespace().map(str::to_owned).collect();
    let place = query.site.filter(|s| !s.is_empty());
    let topology = app.topology();
    let mut page = CameraPage { items: Vec::new(), next: None, total: 0 };
    for camera in topology.cameras.values() {
        if place.as_deref().is_some_and(|code| !within(&topology, camera, code)) {
            continue;
        }
        let shown = view::camera(&app, &topology, camera);
        if state.is_some_and(|s| !s.fits(&shown)) || !words.iter().all(|w| mentions(&shown, w)) {
            continue;
        }
        page.total += 1;
        if after.is_some_and(|last| camera.id <= last) {
            continue;
        }
        if page.items.len() < limit {
            page.items.push(shown);
        } else if page.next.is_none() {
            page.next = page.items.last().map(|c| URL_SAFE_NO_PAD.encode(&c.code));
        }
    }
    Ok(axum::Json(page))
}

fn read_cursor(text: &str) -> ApiResult<CameraId> {
    URL_SAFE_NO_PAD
        .decode(text)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| ApiError::bad("cursor", "The cursor is not one that a listing gave."))
}

fn within(topology: &Topology, camera: &Camera, code: &str) -> bool {
    let site = topology.sites.get(&camera.site);
    let station = site.and_then(|s| topology.stations.get(&s.station));
    camera.site.as_str() == code
        || site.is_some_and(|s| s.station.as_str() == code)
        || station.is_some_and(|s| s.sub_centre.as_str() == code)
}

fn mentions(camera: &CameraView, word: &str) -> bool {
    let node = camera.node.as_ref().map(|node| &node.id);
    [
        &camera.name,
        &camera.code,
        &camera.site_name,
        &camera.station_name,
        &camera.sub_centre_name,
        &camera.host,
    ]
    .into_iter()
    .chain(node)
    .any(|text| text.to_lowercase().contains(word))
}

/// One camera.
#[utoipa::path(get, path = "/api/v1/cameras/{code}", tag = "cameras",
    params(("code" = String, Path, description = "National 20-digit code")), responses(
    (status = 200, body = CameraDetail), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn one(
    State(app): State<Arc<App>>,
    PathOf(code): PathOf<String>,
) -> ApiResult<axum::Json<CameraDetail>> {
    let id: CameraId = code.parse().map_err(|e| ApiError::bad("code", format!("The code {e}.")))?;
    let topology = app.topology();
    let camera =
        topology.cameras.get(&id).ok_or_else(|| ApiError::not_found(format!("There is no camera {id}.")))?;
    Ok(axum::Json(CameraDetail {
        camera: view::camera(&app, &topology, camera),
        main_url: camera.main.url.to_string(),
        sub_url: camera.sub.as_ref().map(|s| s.url.to_string()),
        user: camera.credentials.as_ref().map(|c| c.user.clone()),
        transport: camera.transport,
        record: camera.record,
        dossier: camera.dossier.clone(),
    }))
}

/// All cameras as a table for spreadsheets; no passwords.
#[utoipa::path(get, path = "/api/v1/cameras.csv", tag = "cameras", responses(
    (status = 200, content_type = "text/csv", body = String), (status = 401, body = Problem)))]
pub async fn csv(State(app): State<Arc<App>>) -> Response {
    let topology = app.topology();
    // A byte order mark: without it spreadsheets read Chinese names in the wrong encoding.
    let mut text = String::from(
        "\u{feff}code,name,site,site_name,station_name,sub_centre_name,enabled,class,host,lat,lon,state,failure,recording,reason,node,known,at_us\r\n",
    );
    for camera in topology.cameras.values() {
        let shown = view::camera(&app, &topology, camera);
        let known = shown.node.as_ref().is_none_or(|node| node.known);
        let now = |state: String| if known { state } else { "unknown".to_owned() };
        let (lat, lon) =
            shown.position.map_or_else(Default::default, |p| (p.lat.to_string(), p.lon.to_string()));
        let row = [
            shown.code,
            shown.name,
            shown.site,
            shown.site_name,
            shown.station_name,
            shown.sub_centre_name,
            shown.enabled.to_string(),
            word(&shown.class),
            shown.host,
            lat,
            lon,
            now(word(&shown.streams.main.state)),
            shown.streams.main.failure.as_ref().map_or_else(String::new, word),
            now(word(&shown.recording.state)),
            shown.recording.reason.as_ref().map_or_else(String::new, word),
            shown.node.as_ref().map_or_else(String::new, |node| node.id.clone()),
            known.to_string(),
            shown.node.as_ref().and_then(|node| node.at_us).map_or_else(String::new, |at| at.to_string()),
        ];
        let cells: Vec<String> = row.iter().map(|cell| csv_cell(cell)).collect();
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
    let headers = [
        (CONTENT_TYPE, "text/csv; charset=utf-8"),
        (CONTENT_DISPOSITION, "attachment; filename=\"cameras.csv\""),
    ];
    (headers, text).into_response()
}

/// The word by which an enumeration stands in JSON.
fn word<T: Serialize>(value: &T) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Quotes where needed (RFC 4180) and keeps spreadsheets from taking a name for a formula.
fn csv_cell(text: &str) -> String {
    let guarded = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.parse::<f64>().is_err() {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if guarded.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", guarded.replace('"', "\"\""))
    } else {
        guarded
    }
}

#[cfg(test)]
mod tests {
    use super::csv_cell;

    #[test]
    fn cells_are_quoted_and_formulas_defused() {
        assert_eq!(csv_cell("plain 名"), "plain 名");
        assert_eq!(csv_cell("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(csv_cell("=1+1"), "'=1+1");
        assert_eq!(csv_cell("-28.5"), "-28.5");
    }
}

//! Legal holds: what is kept for a case, whatever its age and however full the disks.

use std::sync::Arc;

use axum::extract::State;
use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{CameraId, NationalCode, StreamKind};
use fengsui_config::limits;
use fengsui_storage::frame::GapReason;
use fengsui_storage::retention::hold::Hold;
use fengsui_storage::retention::{Gone, HoldRefused, HoldRequest, Placed, Retention};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::retention::retained;
use crate::app::App;
use crate::auth::access::Principal;
use crate::http::problem::{ApiError, ApiResult, JsonOf, PathOf, Problem, QueryOf, Refusal};

/// More time or more cameras for a hold.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ExtensionView {
    /// Who; `node` for cameras that came to a held place.
    pub by: String,
    /// When.
    pub at_us: i64,
    /// Why.
    pub reason: String,
}

/// The end of a hold.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ReleaseView {
    /// Who.
    pub by: String,
    /// When.
    pub at_us: i64,
    /// Why.
    pub reason: String,
}

/// One hold.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct HoldView {
    /// Its number on this node.
    pub id: u64,
    /// Not released.
    pub in_force: bool,
    /// Cameras, those of the places included.
    #[schema(value_type = Vec<String>)]
    pub cameras: Vec<CameraId>,
    /// Sites, stations or sub-centres; cameras that come to belong to them are held too.
    #[schema(value_type = Vec<String>)]
    pub places: Vec<NationalCode>,
    /// `main` or `sub`; both when absent.
    #[schema(value_type = Option<String>)]
    pub stream: Option<StreamKind>,
    /// Start of the footage held.
    pub from_us: i64,
    /// End of the footage held; until the release when absent.
    pub to_us: Option<i64>,
    /// Why.
    pub reason: String,
    /// Number of the case.
    pub case_number: Option<String>,
    /// Who placed it.
    pub by: String,
    /// When.
    pub placed_us: i64,
    /// What was added since.
    pub extensions: Vec<ExtensionView>,
    /// How it ended.
    pub released: Option<ReleaseView>,
}

impl From<Hold> for HoldView {
    fn from(h: Hold) -> Self {
        Self {
            id: h.id,
            in_force: h.is_in_force(),
            cameras: h.cameras.into_iter().collect(),
            places: h.places.into_iter().collect(),
            stream: h.stream,
            from_us: h.from_us.0,
            to_us: h.to_us.map(|t| t.0),
            reason: h.reason,
            case_number: h.case_number,
            by: h.by,
            placed_us: h.placed_us.0,
            extensions: h
                .extensions
                .into_iter()
                .map(|e| ExtensionView { by: e.by, at_us: e.at_us.0, reason: e.reason })
                .collect(),
            released: h.released.map(|r| ReleaseView { by: r.by, at_us: r.at_us.0, reason: r.reason }),
        }
    }
}

/// A stretch of a hold whose footage had been deleted before it was placed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct GoneView {
    /// The camera.
    #[schema(value_type = String)]
    pub camera: CameraId,
    /// Its stream.
    #[schema(value_type = String)]
    pub stream: StreamKind,
    /// Start.
    pub from_us: i64,
    /// End.
    pub to_us: i64,
    /// `expired` or `sacrificed`.
    #[schema(value_type = String, example = "expired")]
    pub reason: GapReason,
}

impl From<Gone> for GoneView {
    fn from(g: Gone) -> Self {
        Self {
            camera: g.key.camera,
            stream: g.key.stream,
            from_us: g.from_us.0,
            to_us: g.to_us.0,
            reason: g.reason,
        }
    }
}

/// A hold, what it keeps, and what it came too late for.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct HoldDetail {
    /// The hold.
    #[serde(flatten)]
    pub hold: HoldView,
    /// Segments stored now that it keeps.
    pub kept_segments: u64,
    /// Their bytes.
    pub kept_bytes: u64,
    /// What was gone already; the first 500 stretches.
    pub gone: Vec<GoneView>,
    /// Length of all that was gone in microseconds, those not listed included.
    pub gone_total_us: i64,
}

impl From<Placed> for HoldDetail {
    fn from(p: Placed) -> Self {
        Self {
            hold: p.hold.into(),
            kept_segments: p.kept.segments,
            kept_bytes: p.kept.bytes,
            gone: p.gone.into_iter().map(GoneView::from).collect(),
            gone_total_us: p.gone_us,
        }
    }
}

/// Which holds to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct HoldQuery {
    /// `in_force` (default), `released` or `all`.
    state: Option<String>,
    /// Code of a camera that they cover.
    camera: Option<String>,
    /// Where the last page ended (`next` of its answer).
    cursor: Option<u64>,
    /// Rows of a page, at most 1000.
    limit: Option<usize>,
}

/// One page of holds, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct HoldPage {
    /// Holds.
    pub items: Vec<HoldView>,
    /// Cursor of the next page.
    pub next: Option<u64>,
    /// Holds in force on this node.
    pub in_force: usize,
}

/// What to hold.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaceBody {
    /// Codes of cameras.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    cameras: Vec<CameraId>,
    /// Codes of sites, stations or sub-centres.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    places: Vec<NationalCode>,
    /// `main` or `sub`; both when absent.
    #[schema(value_type = Option<String>)]
    stream: Option<StreamKind>,
    /// Start of the footage.
    from_us: i64,
    /// End of the footage, which may lie in the future; until the release when absent.
    to_us: Option<i64>,
    /// Why.
    reason: String,
    /// Number of the case.
    case_number: Option<String>,
}

/// More time for a hold.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExtendBody {
    /// A start before the one so far.
    from_us: Option<i64>,
    /// An end after the one so far.
    to_us: Option<i64>,
    /// No end any more.
    #[serde(default)]
    open_end: bool,
    /// Why.
    reason: String,
}

/// Why a hold is released.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseBody {
    /// Why.
    reason: String,
}

fn refused(error: HoldRefused) -> ApiError {
    match error {
        HoldRefused::Bad(field, detail, remedy) => {
            let error = ApiError::new(Refusal::BadRequest, detail).remedy(remedy);
            if field.is_empty() { error } else { error.field(field) }
        }
        HoldRefused::Unknown(_) => ApiError::not_found(error.to_string()),
        HoldRefused::Released(_) => ApiError::new(Refusal::Conflict, error.to_string())
            .remedy("Place a new hold; what was deleted since stays gone."),
        HoldRefused::Journal(error) => ApiError::internal("write the hold to the journal", &error),
    }
}

/// Runs what waits for the lock of deletion off the tasks that serve.
async fn blocking<T: Send + 'static>(
    app: &App,
    f: impl FnOnce(&Retention) -> Result<T, HoldRefused> + Send + 'static,
) -> ApiResult<T> {
    let retained = retained(app)?;
    let done = tokio::task::spawn_blocking(move || f(&retained.retention)).await;
    done.map_err(|e| ApiError::internal("change the holds", &e))?.map_err(refused)
}

/// Lists holds.
#[utoipa::path(get, path = "/api/v1/holds", tag = "retention", params(HoldQuery), responses(
    (status = 200, body = HoldPage), (status = 400, body = Problem), (status = 401, body = Problem)))]
pub async fn list(
    State(app): State<Arc<App>>,
    QueryOf(query): QueryOf<HoldQuery>,
) -> ApiResult<axum::Json<HoldPage>> {
    let limit = query.limit.unwrap_or(200).clamp(1, limits::PAGE_ROWS_MAX);
    let wanted: fn(&Hold) -> bool = match query.state.as_deref().unwrap_or("in_force") {
        "in_force" => Hold::is_in_force,
        "released" => |h| !h.is_in_force(),
        "all" => |_| true,
        other => {
            return Err(ApiError::bad("state", format!("'{other}' is no state of a hold."))
                .remedy("Write in_force, released or all."));
        }
    };
    let camera: Option<CameraId> = query
        .camera
        .filter(|c| !c.is_empty())
        .map(|c| c.parse().map_err(|e| ApiError::bad("camera", format!("The code {e}."))))
        .transpose()?;
    let all = blocking(&app, |r| Ok(r.holds())).await?;
    let in_force = all.iter().filter(|h| h.is_in_force()).count();
    let fits = |h: &Hold| {
        wanted(h)
            && camera.is_none_or(|c| h.cameras.contains(&c))
            && query.cursor.is_none_or(|before| h.id < before)
    };
    let mut items: Vec<HoldView> =
        all.into_iter().rev().filter(fits).take(limit + 1).map(HoldView::from).collect();
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().map(|h| h.id).filter(|_| more);
    Ok(axum::Json(HoldPage { items, next, in_force }))
}

/// One hold, with what it keeps.
#[utoipa::path(get, path = "/api/v1/holds/{id}", tag = "retention", params(("id" = u64, Path, description = "Number of the hold")),
    responses((status = 200, body = HoldDetail), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn one(State(app): State<Arc<App>>, PathOf(id): PathOf<u64>) -> ApiResult<axum::Json<HoldDetail>> {
    let found = blocking(&app, move |r| r.hold(id).ok_or(HoldRefused::Unknown(id))).await?;
    Ok(axum::Json(found.into()))
}

/// Places a hold. From the answer on nothing of it is deleted; the answer says what it came too late for.
#[utoipa::path(post, path = "/api/v1/holds", tag = "retention", request_body = PlaceBody, responses(
    (status = 201, body = HoldDetail), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem)))]
pub async fn place(
    State(app): State<Arc<App>>,
    principal: Principal,
    JsonOf(body): JsonOf<PlaceBody>,
) -> ApiResult<(StatusCode, axum::Json<HoldDetail>)> {
    let request = HoldRequest {
        cameras: body.cameras.into_iter().collect(),
        places: body.places.into_iter().collect(),
        stream: body.stream,
        from: UtcMicros(body.from_us),
        to: body.to_us.map(UtcMicros),
        reason: body.reason,
        case_number: body.case_number,
        by: principal.user().name.to_string(),
    };
    let placed = blocking(&app, move |r| r.place_hold(request)).await?;
    Ok((StatusCode::CREATED, axum::Json(placed.into())))
}

/// Makes a hold longer; it never becomes shorter.
#[utoipa::path(patch, path = "/api/v1/holds/{id}", tag = "retention", request_body = ExtendBody,
    params(("id" = u64, Path, description = "Number of the hold")), responses(
    (status = 200, body = HoldDetail), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn extend(
    State(app): State<Arc<App>>,
    principal: Principal,
    PathOf(id): PathOf<u64>,
    JsonOf(body): JsonOf<ExtendBody>,
) -> ApiResult<axum::Json<HoldDetail>> {
    let by = principal.user().name.to_string();
    let to = if body.open_end { Some(None) } else { body.to_us.map(|t| Some(UtcMicros(t))) };
    let from = body.from_us.map(UtcMicros);
    let longer = blocking(&app, move |r| r.extend_hold(id, from, to, &body.reason, &by)).await?;
    Ok(axum::Json(longer.into()))
}

/// Releases a hold, with a reason.
#[utoipa::path(post, path = "/api/v1/holds/{id}/release", tag = "retention", request_body = ReleaseBody,
    params(("id" = u64, Path, description = "Number of the hold")), responses(
    (status = 200, body = HoldView), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn release(
    State(app): State<Arc<App>>,
    principal: Principal,
    PathOf(id): PathOf<u64>,
    JsonOf(body): JsonOf<ReleaseBody>,
) -> ApiResult<axum::Json<HoldView>> {
    let by = principal.user().name.to_string();
    let released = blocking(&app, move |r| r.release_hold(id, &body.reason, &by)).await?;
    Ok(axum::Json(released.into()))
}

//! Whether stored footage still is what was written: the pass through all of it, and what was found.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{CameraId, StreamKey, StreamKind};
use fengsui_config::limits;
use fengsui_storage::damage::DamagedPlace;
use fengsui_storage::journal::kinds;
use fengsui_storage::scrub::{Doing, Progress, Request, RequestState, ScrubStatus};
use fengsui_storage::segment::Part;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::auth::access::Principal;
use crate::http::problem::{ApiError, ApiResult, JsonOf, Problem, QueryOf, Refusal};
use crate::integrity::Integrity;

/// How far a pass or a request has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProgressView {
    /// When it began.
    pub started_us: i64,
    /// When it was through.
    pub finished_us: Option<i64>,
    /// Segments read.
    pub segments: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Segments that could not be read then.
    pub skipped: u64,
    /// Damaged places that were not known.
    pub damaged: u64,
    /// Segments replaced by a copy.
    pub repaired: u64,
}

impl From<Progress> for ProgressView {
    fn from(p: Progress) -> Self {
        Self {
            started_us: p.started.0,
            finished_us: p.finished.map(|t| t.0),
            segments: p.segments,
            bytes: p.bytes,
            skipped: p.skipped,
            damaged: p.damaged,
            repaired: p.repaired,
        }
    }
}

/// A request to check certain footage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CheckView {
    /// Counts up.
    pub id: u64,
    /// One camera; every one without.
    #[schema(value_type = Option<String>)]
    pub camera: Option<CameraId>,
    /// Its stream.
    #[schema(value_type = Option<String>)]
    pub stream: Option<StreamKind>,
    /// First microsecond.
    pub from_us: i64,
    /// First microsecond after.
    pub to_us: i64,
    /// How far it has come.
    pub progress: ProgressView,
}

impl From<RequestState> for CheckView {
    fn from(r: RequestState) -> Self {
        Self {
            id: r.id,
            camera: r.request.key.map(|k| k.camera),
            stream: r.request.key.map(|k| k.stream),
            from_us: r.request.from.0,
            to_us: r.request.to.0,
            progress: r.progress.into(),
        }
    }
}

/// A place of a file that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DamagedView {
    /// Counts up.
    pub id: u64,
    /// When it was found.
    pub found_us: i64,
    /// The camera.
    #[schema(value_type = String)]
    pub camera: CameraId,
    /// Its stream.
    #[schema(value_type = String)]
    pub stream: StreamKind,
    /// The volume.
    pub volume: String,
    /// The file, relative to its volume.
    pub file: String,
    /// `preamble`, `group`, `record`, `footer` or `file`.
    #[schema(value_type = String, example = "group")]
    pub part: Part,
    /// Offset in the file.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
    /// First microsecond of footage that is lost by it; absent when none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost_from_us: Option<i64>,
    /// First microsecond after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost_to_us: Option<i64>,
    /// The hash that the bytes should have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// The hash that they have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// What does not hold, in a few words.
    pub detail: String,
}

impl From<DamagedPlace> for DamagedView {
    fn from(p: DamagedPlace) -> Self {
        let lost = p.lost();
        Self {
            id: p.id,
            found_us: p.found_at.0,
            camera: p.key.camera,
            stream: p.key.stream,
            volume: p.volume,
            file: p.path.display().to_string(),
            part: p.damage.part,
            offset: p.damage.offset,
            length: p.damage.length,
            lost_from_us: lost.map(|l| l.from.0),
            lost_to_us: lost.map(|l| l.to.0),
            expected: p.damage.expected,
            found: p.damage.found,
            detail: p.damage.detail,
        }
    }
}

/// One page of what is damaged, the newest finding first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DamagedPage {
    /// The page.
    pub items: Vec<DamagedView>,
    /// To be sent as `cursor` for the next page; absent at the end.
    pub next: Option<u64>,
    /// All that are listed.
    pub total: usize,
    /// Found beyond what the list holds.
    pub unlisted: u64,
    /// Microseconds of footage lost by all of them.
    pub lost_us: i64,
}

/// How the check of stored footage stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct IntegrityView {
    /// `idle`, `reading`, `paused` (recording goes first) or `off`.
    #[schema(value_type = String, example = "reading")]
    pub state: Doing,
    /// Bytes a second at most; 0 when the pass is turned off.
    pub rate_bytes_per_s: u64,
    /// How long one pass through all that is stored takes at that rate.
    pub period_s: Option<u64>,
    /// The pass under way.
    pub pass: Option<ProgressView>,
    /// Start of the segment that the pass read last.
    pub reached_us: Option<i64>,
    /// The last pass that came through.
    pub last: Option<ProgressView>,
    /// Requests, the newest last.
    pub checks: Vec<CheckView>,
    /// Segments replaced by copies since the start.
    pub repaired: u64,
    /// Failures since the start: volumes that could not be read, findings that could not be kept.
    pub errors: u64,
    /// What is damaged.
    pub damaged: DamagedPage,
}

/// Which page.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DamagedQuery {
    /// From the page before.
    cursor: Option<u64>,
    /// Items of the page; 100 when left out.
    limit: Option<usize>,
}

/// What is to be checked.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CheckBody {
    /// National 20-digit code; every camera without.
    #[schema(value_type = Option<String>)]
    camera: Option<CameraId>,
    /// `main` (when left out) or `sub`.
    #[schema(value_type = Option<String>, example = "main")]
    stream: Option<StreamKind>,
    /// First microsecond.
    from_us: i64,
    /// First microsecond after.
    to_us: i64,
}

fn integrity(app: &App) -> ApiResult<Arc<Integrity>> {
    let found = app.integrity.read().clone();
    found.ok_or_else(|| ApiError::new(Refusal::Unavailable, "This node does not check footage yet."))
}

/// Seconds that a pass takes: what the volumes hold at the rate of the scrubber.
pub(super) fn period_s(app: &App, status: &ScrubStatus) -> Option<u64> {
    let volumes = app.recordings.volumes();
    let used: u64 = volumes.iter().map(|v| v.total_bytes.saturating_sub(v.free_bytes)).sum();
    used.checked_div(status.rate)
}

/// How the check of stored footage stands, and what it found.
#[utoipa::path(get, path = "/api/v1/integrity", tag = "system", params(DamagedQuery), responses(
    (status = 200, body = IntegrityView), (status = 401, body = Problem), (status = 503, body = Problem)))]
pub async fn show(
    State(app): State<Arc<App>>,
    QueryOf(query): QueryOf<DamagedQuery>,
) -> ApiResult<axum::Json<IntegrityView>> {
    let integrity = integrity(&app)?;
    let limit = query.limit.unwrap_or(100).clamp(1, limits::PAGE_ROWS_MAX);
    let damages = integrity.catalogue.damages();
    let mut items = damages.list(query.cursor, limit + 1);
    let more = items.len() > limit;
    items.truncate(limit);
    let damaged = DamagedPage {
        next: items.last().map(|p| p.id).filter(|_| more),
        items: items.into_iter().map(DamagedView::from).collect(),
        total: damages.len(),
        unlisted: damages.unlisted(),
        lost_us: damages.lost_us(),
    };
    let status = integrity.scrubber.status();
    Ok(axum::Json(IntegrityView {
        period_s: period_s(&app, &status),
        state: status.doing,
        rate_bytes_per_s: status.rate,
        pass: status.pass.map(ProgressView::from),
        reached_us: status.reached.map(|t| t.0),
        last: status.last.map(ProgressView::from),
        checks: status.requests.into_iter().map(CheckView::from).collect(),
        repaired: status.repaired,
        errors: status.errors,
        damaged,
    }))
}

/// Has certain footage checked before the pass goes on. It is in the journal before it is taken up.
#[utoipa::path(post, path = "/api/v1/integrity/checks", tag = "system", request_body = CheckBody, responses(
    (status = 202), (status = 400, body = Problem), (status = 401, body = Problem), (status = 429, body = Problem),
    (status = 503, body = Problem)))]
pub async fn check(
    State(app): State<Arc<App>>,
    principal: Principal,
    JsonOf(body): JsonOf<CheckBody>,
) -> ApiResult<Response> {
    let integrity = integrity(&app)?;
    if body.to_us <= body.from_us {
        return Err(ApiError::bad("to_us", "The range ends before it begins."));
    }
    if body.camera.is_none() && body.stream.is_some() {
        return Err(ApiError::bad("camera", "A stream is that of a camera.")
            .remedy("Name the camera, or leave both out."));
    }
    let stream = body.stream.unwrap_or(StreamKind::Main);
    let key = body.camera.map(|camera| StreamKey { camera, stream });
    if let Some(key) = key {
        // Only of a camera that this person may see.
        principal.camera(key)?;
    }
    let row = json!({
        "by": principal.user().name.as_ref(), "address": principal.address().to_string(),
        "camera": key.map(|k| k.camera), "stream": key.map(|k| k.stream),
        "from_us": body.from_us, "to_us": body.to_us,
    });
    let written = app.auth.register.append(kinds::INTEGRITY_REQUESTED, row).await;
    written.map_err(|e| ApiError::internal("write the request to the journal", &e))?;
    let request = Request { key, from: UtcMicros(body.from_us), to: UtcMicros(body.to_us) };
    if !integrity.scrubber.request(request) {
        return Err(ApiError::new(Refusal::TooManyAttempts, "Too many checks wait already.")
            .remedy("Ask again when some of them are through."));
    }
    Ok(StatusCode::ACCEPTED.into_response())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use std::path::PathBuf;

    use fengsui_config::clock::Clock as _;
    use fengsui_storage::catalogue::Catalogue;
    use fengsui_storage::fs::{Fs, RealFs};
    use fengsui_storage::scrub::{Reporter, ScrubOptions, Scrubber, Surroundings, Suspects};
    use fengsui_storage::segment::{Damage, SegmentFlags, SegmentRow};
    use http::Method;

    use super::*;
    use crate::testing::{CAMERA, key, node, request};

    struct Nobody;
    impl Reporter for Nobody {
        fn report(&self, _: &'static str, _: serde_json::Value) -> Result<(), String> {
            Ok(())
        }
    }
    impl Surroundings for Nobody {}

    fn integrity_at(dir: &std::path::Path, node: &crate::testing::Node) -> Arc<Integrity> {
        let fs: Arc<dyn Fs> = Arc::new(RealFs);
        let catalogue = Catalogue::open(fs.clone(), &dir.join("catalogue"), node.clock.clone()).unwrap();
        let scrubber = Scrubber::manual(ScrubOptions {
            fs,
            clock: node.clock.clone(),
            catalogue: catalogue.clone(),
            volumes: Vec::new(),
            dir: dir.join("integrity"),
            rate: 1 << 20,
            key: None,
            reporter: Arc::new(Nobody),
            surroundings: Arc::new(Nobody),
            replicas: Vec::new(),
            suspects: Arc::new(Suspects::default()),
        });
        Arc::new(Integrity { scrubber, catalogue })
    }

    fn damage(offset: u64) -> Damage {
        Damage {
            part: Part::Group,
            offset,
            length: 4096,
            lost: Some((UtcMicros(1_000_000), UtcMicros(3_000_000))),
            expected: Some("aa".into()),
            found: None,
            detail: "the group's hash does not hold".into(),
        }
    }

    #[tokio::test]
    async fn what_is_damaged_is_listed_by_pages_and_checks_are_registered_first() {
        let node = node();
        let cookie = node.set_up().await;
        assert_eq!(node.get("/api/v1/integrity", &cookie).await.code(), "unavailable");
        let dir = tempfile::tempdir().unwrap();
        let integrity = integrity_at(dir.path(), &node);
        *node.app.integrity.write() = Some(integrity.clone());
        let row = SegmentRow {
            volume: "v1".parse().unwrap(),
            key: key(StreamKind::Main),
            number: 7,
            start_ms: 1000,
            duration_ms: 9000,
            flags: SegmentFlags::default(),
            bytes: 100_000,
            closed: true,
        };
        let places: Vec<Damage> = (1..=5).map(|n| damage(n * 4096)).collect();
        integrity.catalogue.damages().set(&row, &places, node.clock.utc());
        let page = node.get("/api/v1/integrity?limit=2", &cookie).await.json();
        assert_eq!(
            (page["state"].as_str(), page["rate_bytes_per_s"].as_u64()),
            (Some("idle"), Some(1 << 20))
        );
        assert_eq!(page["damaged"]["total"], 5);
        assert_eq!(page["damaged"]["lost_us"], 10_000_000);
        assert_eq!(page["damaged"]["items"][0]["id"], 5);
        assert_eq!(page["damaged"]["items"][0]["camera"], CAMERA);
        assert_eq!(PathBuf::from(page["damaged"]["items"][0]["file"].as_str().unwrap()), row.path());
        let next = format!("/api/v1/integrity?limit=3&cursor={}", page["damaged"]["next"]);
        let rest = node.get(&next, &cookie).await.json();
        assert_eq!(rest["damaged"]["items"].as_array().unwrap().len(), 3);
        assert_eq!(rest["damaged"]["next"], serde_json::Value::Null);
        let post = |body: serde_json::Value| {
            node.send(request(Method::POST, "/api/v1/integrity/checks", Some(&cookie), Some(&body)))
        };
        assert_eq!(post(json!({"from_us": 5, "to_us": 5})).await.code(), "bad_request");
        assert_eq!(post(json!({"stream": "sub", "from_us": 5, "to_us": 6})).await.code(), "bad_request");
        assert!(node.register.of("integrity.requested").is_empty());
        let good = json!({"camera": CAMERA, "from_us": 5, "to_us": 6});
        assert_eq!(post(good.clone()).await.status, StatusCode::ACCEPTED);
        assert_eq!(node.register.of("integrity.requested")[0]["camera"], CAMERA);
        integrity.scrubber.step();
        let checks = node.get("/api/v1/integrity", &cookie).await.json()["checks"].clone();
        assert_eq!((&checks[0]["camera"], &checks[0]["from_us"]), (&json!(CAMERA), &json!(5)));
        node.register.broken.store(true, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(post(good).await.code(), "internal");
        let metrics = node.get("/metrics", &cookie).await;
        let text = String::from_utf8_lossy(&metrics.body);
        assert!(text.contains("fengsui_integrity_damaged_places 5"), "{text}");
    }
}

//! How long footage is kept: classes, water marks, forecast, alarms, the register of what was deleted.

use std::sync::Arc;

use axum::extract::State;
use fengsui_config::ids::{CameraId, StreamKind};
use fengsui_config::limits;
use fengsui_config::retention::Emergency;
use fengsui_config::topology::CameraClass;
use fengsui_storage::error::StoreError;
use fengsui_storage::journal::{Journal, JournalRecord, kinds};
use fengsui_storage::retention::RetentionView as Standing;
use fengsui_storage::retention::forecast::{Forecast, Outlook};
use fengsui_storage::retention::plan::Why;
use fengsui_storage::retention::register::{Deleted, Range};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::http::problem::{ApiError, ApiResult, Problem, QueryOf, Refusal};
use crate::retention::Retained;

/// Retention of this node.
pub(super) fn retained(app: &App) -> ApiResult<Arc<Retained>> {
    app.retention
        .read()
        .clone()
        .ok_or_else(|| ApiError::new(Refusal::Unavailable, "This node keeps no footage."))
}

/// One class of cameras.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ClassRetentionView {
    /// `normal` or `key`.
    #[schema(value_type = String, example = "normal")]
    pub class: CameraClass,
    /// Promised: younger footage is not deleted.
    pub min_seconds: u64,
    /// Duty: older footage is deleted, unless it is held.
    pub max_seconds: u64,
    /// Cameras of the class.
    pub cameras: usize,
    /// Bytes stored; those of cameras that are not configured any more count among key targets.
    pub bytes: u64,
    /// Of those, held.
    pub held_bytes: u64,
    /// Start of the oldest footage.
    pub oldest_us: Option<i64>,
    /// Bytes a day that come in.
    pub bytes_per_day: u64,
}

/// How full a volume is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct WaterView {
    /// Its name.
    pub id: String,
    /// Files on it can be deleted now.
    pub usable: bool,
    /// Size in bytes.
    pub total_bytes: u64,
    /// Free bytes.
    pub free_bytes: u64,
    /// High water mark: with fewer free bytes, footage whose promise is served is deleted.
    pub high_free_bytes: u64,
    /// Low water mark: deleting stops at this many free bytes.
    pub low_free_bytes: u64,
    /// With fewer free bytes the volume is about to stop.
    pub critical_free_bytes: u64,
    /// It is about to stop, or has stopped, and nothing on it may be deleted.
    pub stuck: bool,
}

/// What is to be expected.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ForecastView {
    /// When it was made.
    pub at_us: i64,
    /// `collecting` (too little was recorded to say), `holds`, or `breaks`.
    pub outlook: String,
    /// With `breaks`: the class whose promise breaks first.
    #[schema(value_type = Option<String>)]
    pub class: Option<CameraClass>,
    /// With `breaks`: when.
    pub breaks_us: Option<i64>,
    /// Bytes of footage that the volumes can hold.
    pub capacity_bytes: u64,
    /// Bytes that all promises and holds need in the long run.
    pub needed_bytes: u64,
    /// Bytes a day that come in.
    pub bytes_per_day: u64,
}

impl From<Forecast> for ForecastView {
    fn from(f: Forecast) -> Self {
        let (outlook, class, breaks_us) = match f.outlook {
            Outlook::Collecting => ("collecting", None, None),
            Outlook::Holds => ("holds", None, None),
            Outlook::Breaks { class, at_us } => ("breaks", Some(class), Some(at_us.0)),
        };
        Self {
            at_us: f.at_us.0,
            outlook: outlook.to_owned(),
            class,
            breaks_us,
            capacity_bytes: f.capacity_bytes,
            needed_bytes: f.needed_bytes,
            bytes_per_day: f.bytes_per_day,
        }
    }
}

/// An alarm that is raised.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RetentionAlarmView {
    /// `promise_at_risk`, `promise_broken`, `nothing_deletable`, `deletion_failed`, `clock_ahead` or `journal_failed`.
    pub kind: String,
    /// What it is about: kind, and class or volume.
    pub subject: String,
    /// Since when.
    pub at_us: i64,
    /// One sentence.
    pub detail: String,
}

/// Deleted since the start of the process.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DeletedView {
    /// Segments whose time was over.
    pub duty_segments: u64,
    /// Their bytes.
    pub duty_bytes: u64,
    /// Segments deleted for room after their promise was served.
    pub water_segments: u64,
    /// Their bytes.
    pub water_bytes: u64,
    /// Segments deleted before their promise was served.
    pub sacrificed_segments: u64,
    /// Their bytes.
    pub sacrificed_bytes: u64,
}

/// How retention stands.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RetentionStanding {
    /// The time that ages are counted by; behind the node's clock while that is in doubt.
    pub now_us: i64,
    /// What happens when everything on a full volume is promised: `stop` or `sacrifice`.
    #[schema(value_type = String, example = "stop")]
    pub emergency: Emergency,
    /// Promises below the law are accepted: a laboratory.
    pub lab: bool,
    /// Classes of cameras.
    pub classes: Vec<ClassRetentionView>,
    /// Volumes.
    pub volumes: Vec<WaterView>,
    /// The newest forecast.
    pub forecast: Option<ForecastView>,
    /// Alarms raised.
    pub alarms: Vec<RetentionAlarmView>,
    /// Holds in force.
    pub holds: usize,
    /// What was deleted.
    pub deleted: DeletedView,
    /// Deletions that were interrupted and are not settled yet.
    pub unsettled: usize,
    /// Failures of disk or journal since the start.
    pub errors: u64,
}

impl From<Standing> for RetentionStanding {
    fn from(s: Standing) -> Self {
        let class = |c: fengsui_storage::retention::ClassView| ClassRetentionView {
            class: c.class,
            min_seconds: c.min_seconds,
            max_seconds: c.max_seconds,
            cameras: c.cameras,
            bytes: c.bytes,
            held_bytes: c.held_bytes,
            oldest_us: c.oldest_us.map(|t| t.0),
            bytes_per_day: c.bytes_per_day,
        };
        let volume = |v: fengsui_storage::retention::VolumeWater| WaterView {
            id: v.id.to_string(),
            usable: v.usable,
            total_bytes: v.total_bytes,
            free_bytes: v.free_bytes,
            high_free_bytes: v.high_free_bytes,
            low_free_bytes: v.low_free_bytes,
            critical_free_bytes: v.critical_free_bytes,
            stuck: v.stuck,
        };
        let alarm = |a: fengsui_storage::retention::alarm::Alarm| RetentionAlarmView {
            kind: a.alarm.kind().to_owned(),
            subject: a.alarm.to_string(),
            at_us: a.at_us.0,
            detail: a.detail,
        };
        let d = s.deleted;
        Self {
            now_us: s.now_us.0,
            emergency: s.emergency,
            lab: s.lab,
            classes: s.classes.into_iter().map(class).collect(),
            volumes: s.volumes.into_iter().map(volume).collect(),
            forecast: s.forecast.map(ForecastView::from),
            alarms: s.alarms.into_iter().map(alarm).collect(),
            holds: s.holds,
            deleted: DeletedView {
                duty_segments: d.duty_segments,
                duty_bytes: d.duty_bytes,
                water_segments: d.water_segments,
                water_bytes: d.water_bytes,
                sacrificed_segments: d.sacrificed_segments,
                sacrificed_bytes: d.sacrificed_bytes,
            },
            unsettled: s.unsettled,
            errors: s.errors,
        }
    }
}

/// How retention stands.
#[utoipa::path(get, path = "/api/v1/retention", tag = "retention", responses(
    (status = 200, body = RetentionStanding), (status = 401, body = Problem), (status = 503, body = Problem)))]
pub async fn show(State(app): State<Arc<App>>) -> ApiResult<axum::Json<RetentionStanding>> {
    let retained = retained(&app)?;
    let standing = tokio::task::spawn_blocking(move || retained.retention.view()).await;
    Ok(axum::Json(standing.map_err(|e| ApiError::internal("look at retention", &e))?.into()))
}

/// Segments that would be deleted.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlannedView {
    /// The camera.
    #[schema(value_type = String)]
    pub camera: CameraId,
    /// Its stream.
    #[schema(value_type = String)]
    pub stream: StreamKind,
    /// The volume.
    pub volume: String,
    /// `duty` (older than `max_days`), `water` (promise served, room needed) or `sacrifice` (promise broken).
    #[schema(value_type = String, example = "duty")]
    pub why: Why,
    /// Start of the oldest.
    pub from_us: i64,
    /// End of the newest.
    pub to_us: i64,
    /// How many.
    pub segments: u64,
    /// Bytes.
    pub bytes: u64,
}

/// All that would be deleted now, archives apart.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanView {
    /// By stream, volume and reason.
    pub items: Vec<PlannedView>,
    /// There is more than a dry run counts (1,000,000 segments).
    pub more: bool,
    /// Volumes that will stop because nothing on them may be deleted.
    pub stuck: Vec<String>,
}

/// What would be deleted now, and why. Changes nothing.
#[utoipa::path(get, path = "/api/v1/retention/plan", tag = "retention", responses(
    (status = 200, body = PlanView), (status = 401, body = Problem), (status = 503, body = Problem)))]
pub async fn plan(State(app): State<Arc<App>>) -> ApiResult<axum::Json<PlanView>> {
    let retained = retained(&app)?;
    let dry = tokio::task::spawn_blocking(move || retained.retention.dry_run()).await;
    let dry = dry.map_err(|e| ApiError::internal("plan deletions", &e))?;
    let items = dry.rows.into_iter().map(|r| PlannedView {
        camera: r.key.camera,
        stream: r.key.stream,
        volume: r.volume.to_string(),
        why: r.why,
        from_us: r.from_us.0,
        to_us: r.to_us.0,
        segments: r.segments,
        bytes: r.bytes,
    });
    let stuck = dry.stuck.iter().map(ToString::to_string).collect();
    Ok(axum::Json(PlanView { items: items.collect(), more: dry.more, stuck }))
}

/// Which part of the register.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RegisterQuery {
    /// Where the last page ended (`next` of its answer); the beginning when absent.
    cursor: Option<u64>,
    /// Entries of a page, at most 1000.
    limit: Option<usize>,
    /// `oldest` first (when absent) or `newest` first.
    order: Option<String>,
    /// Code of a camera: only what was deleted of it.
    camera: Option<String>,
    /// `duty`, `water` or `sacrifice`: only what was deleted for this reason.
    why: Option<String>,
}

/// Which entries of the register are wanted.
#[derive(Debug, Default)]
struct RegisterFilter {
    camera: Option<CameraId>,
    why: Option<Why>,
}

impl RegisterFilter {
    fn of(query: &RegisterQuery) -> ApiResult<Self> {
        let camera = query.camera.as_deref().filter(|c| !c.is_empty());
        let camera = camera
            .map(|c| c.parse().map_err(|e| ApiError::bad("camera", format!("The code '{c}' {e}."))))
            .transpose()?;
        let why = match query.why.as_deref().filter(|w| !w.is_empty()) {
            None => None,
            Some("duty") => Some(Why::Duty),
            Some("water") => Some(Why::Water),
            Some("sacrifice") => Some(Why::Sacrifice),
            Some(other) => {
                return Err(ApiError::bad("why", format!("'{other}' is no reason of a deletion."))
                    .remedy("Write duty, water or sacrifice."));
            }
        };
        Ok(Self { camera, why })
    }

    /// The entry of a record, with the ranges that are wanted of it; none when nothing is.
    fn entry(&self, record: &JournalRecord) -> Option<RegisterEntry> {
        if !kinds::is(&record.kind, &record.body, kinds::RETENTION_DELETED) {
            return None;
        }
        let done = Deleted::deserialize(&record.body).ok()?;
        if self.why.is_some_and(|why| why != done.batch.why) {
            return None;
        }
        let mut ranges = done.batch.ranges;
        if let Some(camera) = self.camera {
            ranges.retain(|r| r.key.camera == camera);
            if ranges.is_empty() {
                return None;
            }
        }
        Some(RegisterEntry {
            seq: record.seq,
            announced: done.announced,
            at_us: record.at.0,
            volume: done.batch.volume.to_string(),
            why: done.batch.why,
            segments: done.batch.segments,
            bytes: done.batch.bytes,
            left: done.left,
            after_crash: done.after_crash,
            ranges: ranges.into_iter().map(RangeView::from).collect(),
        })
    }
}

/// Deleted segments of one stream.
#[derive(Debug, Serialize, ToSchema)]
pub struct RangeView {
    /// The camera.
    #[schema(value_type = String)]
    pub camera: CameraId,
    /// Its stream.
    #[schema(value_type = String)]
    pub stream: StreamKind,
    /// Start of the first.
    pub from_us: i64,
    /// End of the last.
    pub to_us: i64,
    /// Numbers of the segments, as pairs of first and last.
    #[schema(value_type = Vec<Vec<u64>>)]
    pub numbers: Vec<(u64, u64)>,
    /// How many.
    pub segments: u64,
    /// Bytes.
    pub bytes: u64,
}

impl From<Range> for RangeView {
    fn from(r: Range) -> Self {
        Self {
            camera: r.key.camera,
            stream: r.key.stream,
            from_us: r.from_us.0,
            to_us: r.to_us.0,
            numbers: r.numbers,
            segments: r.segments,
            bytes: r.bytes,
        }
    }
}

/// One entry: a batch that was deleted.
#[derive(Debug, Serialize, ToSchema)]
pub struct RegisterEntry {
    /// Number of its journal record.
    pub seq: u64,
    /// Number of the record that announced it.
    pub announced: u64,
    /// When.
    pub at_us: i64,
    /// The volume.
    pub volume: String,
    /// `duty`, `water` or `sacrifice`.
    #[schema(value_type = String, example = "duty")]
    pub why: Why,
    /// Segments.
    pub segments: u64,
    /// Bytes.
    pub bytes: u64,
    /// Announced segments that could not be deleted.
    pub left: u64,
    /// Entered after a crash.
    pub after_crash: bool,
    /// By stream; with `camera` only its own.
    pub ranges: Vec<RangeView>,
}

/// One page of the register, in the order asked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct RegisterPage {
    /// Entries; may be empty although there are more.
    pub items: Vec<RegisterEntry>,
    /// Cursor of the next page; absent at the end.
    pub next: Option<u64>,
}

/// The register of deleted footage.
#[utoipa::path(get, path = "/api/v1/retention/register", tag = "retention", params(RegisterQuery), responses(
    (status = 200, body = RegisterPage), (status = 400, body = Problem), (status = 401, body = Problem), (status = 503, body = Problem)))]
pub async fn register(
    State(app): State<Arc<App>>,
    QueryOf(query): QueryOf<RegisterQuery>,
) -> ApiResult<axum::Json<RegisterPage>> {
    let retained = retained(&app)?;
    let limit = query.limit.unwrap_or(200).clamp(1, limits::PAGE_ROWS_MAX);
    let filter = RegisterFilter::of(&query)?;
    let newest = match query.order.as_deref().unwrap_or("oldest") {
        "oldest" => false,
        "newest" => true,
        other => {
            return Err(
                ApiError::bad("order", format!("'{other}' is no order.")).remedy("Write oldest or newest.")
            );
        }
    };
    let page = tokio::task::spawn_blocking(move || {
        if newest {
            newest_first(&retained.journal, query.cursor.unwrap_or(u64::MAX), limit, &filter)
        } else {
            oldest_first(&retained.journal, query.cursor.unwrap_or(1).max(1), limit, &filter)
        }
    });
    let page = page.await.map_err(|e| ApiError::internal("read the register of deletions", &e))?;
    let page = page.map_err(|e| ApiError::internal("read the register of deletions", &e))?;
    Ok(axum::Json(page))
}

fn oldest_first(
    journal: &Journal,
    from: u64,
    limit: usize,
    filter: &RegisterFilter,
) -> Result<RegisterPage, StoreError> {
    let mut page = RegisterPage { items: Vec::new(), next: None };
    for (looked, record) in journal.read(from)?.enumerate() {
        let record = record?;
        if page.items.len() >= limit || looked >= limits::REGISTER_SCAN_MAX {
            page.next = Some(record.seq);
            break;
        }
        page.items.extend(filter.entry(&record));
    }
    Ok(page)
}

fn newest_first(
    journal: &Journal,
    before: u64,
    limit: usize,
    filter: &RegisterFilter,
) -> Result<RegisterPage, StoreError> {
    let found = journal.page(before, limit, &|record| filter.entry(record).is_some())?;
    let items = found.records.iter().filter_map(|record| filter.entry(record)).collect();
    Ok(RegisterPage { items, next: found.next_before })
}

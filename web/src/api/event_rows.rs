//! Events as people read them: rows, one a cause, and the single records.

use std::sync::Arc;

use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::CameraId;
use fengsui_config::limits;
use fengsui_relay::event::rows::{Place, RecordId, Row, told_by};
use fengsui_relay::event::{Event, EventKind, Phase, Priority};
use fengsui_relay::inbox::Applied;
use fengsui_storage::journal::JournalRecord;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::auth::register::kinds;
use crate::http::problem::{ApiError, ApiResult, PathOf, Problem, QueryOf};

/// Rows of a page when nothing is said.
const LIMIT_DEFAULT: usize = 100;

/// All events of one cause.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RowView {
    /// The record that began it: node, opening of the journal, number.
    #[schema(example = "centre.3.4711")]
    pub id: String,
    /// The node where it happened.
    pub node: String,
    /// What it is; of several kinds, what matters most.
    #[schema(value_type = String, example = "camera.offline")]
    pub kind: EventKind,
    /// `low`, `normal` or `alarm`; the highest of its events.
    #[schema(value_type = String, example = "normal")]
    pub priority: Priority,
    /// What its events have in common.
    pub cause: String,
    /// It lasts.
    pub open: bool,
    /// Things that last: a camera and its gap, the cameras that a disk keeps from being recorded.
    pub open_parts: usize,
    /// The camera, when it is of one.
    #[schema(value_type = Option<String>)]
    pub camera: Option<CameraId>,
    /// Events.
    pub count: u64,
    /// How often it began, for what lasts.
    pub times: u64,
    /// Records that hold the events.
    pub records: u64,
    /// When the first happened.
    pub first_us: i64,
    /// When the latest happened.
    pub last_us: i64,
    /// When it was over.
    pub over_us: Option<i64>,
    /// When the newest record was noted.
    pub noted_us: i64,
    /// It counts as over because too many rows were open, not because it was told to be.
    pub lapsed: bool,
    /// What people, or a device for people, wrote.
    pub text: String,
    /// Facts.
    #[schema(value_type = Object)]
    pub data: Map<String, Value>,
    /// Name of the token with which it came.
    pub token: Option<String>,
    /// The operator who made it.
    pub operator: Option<String>,
    /// It has a live alarm of a node below that came ahead of its record, which is still on its way.
    pub ahead: bool,
}

impl From<&Row> for RowView {
    fn from(row: &Row) -> Self {
        Self {
            id: row.id.to_string(),
            node: row.id.node.clone(),
            kind: row.kind,
            priority: row.priority,
            cause: row.cause.clone(),
            open: row.is_open(),
            open_parts: row.parts.len(),
            camera: row.camera,
            count: row.count,
            times: row.times,
            records: row.records,
            first_us: row.first_us.0,
            last_us: row.last_us.0,
            over_us: row.over_us.map(|t| t.0),
            noted_us: row.noted_us.0,
            lapsed: row.lapsed,
            text: row.text.clone(),
            data: row.data.clone(),
            token: row.source.token.clone(),
            operator: row.source.operator.clone(),
            ahead: false,
        }
    }
}

impl RowView {
    /// A row as it will be when the records of its live alarms have come.
    fn ahead(row: &Row) -> Self {
        Self { ahead: true, ..Self::from(row) }
    }
}

/// A page of rows.
#[derive(Debug, Serialize, ToSchema)]
pub struct RowPage {
    /// Open ones first, of both the one with the newest event first.
    items: Vec<RowView>,
    /// Ask with this `cursor` to go on; absent at the end.
    next: Option<String>,
    /// Open rows of all, by priority.
    open: OpenView,
}

/// Open rows.
#[derive(Debug, Serialize, ToSchema)]
pub struct OpenView {
    alarm: usize,
    normal: usize,
    low: usize,
}

/// Which rows.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RowQuery {
    /// Kinds, separated by commas; `camera.` stands for all that begin so.
    #[serde(default)]
    kind: String,
    /// National code of a camera.
    #[serde(default)]
    camera: String,
    /// `low`, `normal` or `alarm`; several separated by commas.
    #[serde(default)]
    priority: String,
    /// The node where it happened.
    #[serde(default)]
    node: String,
    /// Only rows that are open, or only those that are not.
    open: Option<bool>,
    /// Rows with an event not earlier than this microsecond.
    from_us: Option<i64>,
    /// Rows with an event earlier than this microsecond.
    to_us: Option<i64>,
    /// `next` of the page before.
    #[serde(default)]
    cursor: String,
    /// Rows of the page, at most 1000.
    limit: Option<usize>,
}

/// What rows and records are narrowed by.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    kinds: Vec<String>,
    camera: Option<CameraId>,
    priorities: Vec<Priority>,
}

impl Filter {
    pub(crate) fn read(kind: &str, camera: &str, priority: &str) -> ApiResult<Self> {
        let words = |text: &str| -> Vec<String> {
            text.split(',').map(str::trim).filter(|w| !w.is_empty()).map(str::to_owned).collect()
        };
        let kinds = words(kind);
        let known = |w: &String| {
            EventKind::ALL
                .iter()
                .any(|k| k.as_str() == w || (w.ends_with('.') && k.as_str().starts_with(w.as_str())))
        };
        if let Some(wrong) = kinds.iter().find(|w| !known(w)) {
            return Err(ApiError::bad("kind", format!("{wrong:?} is no kind of event."))
                .remedy("Write, for example, camera.offline or camera."));
        }
        let camera = Some(camera).filter(|c| !c.is_empty());
        let camera = camera.map(|c| c.parse().map_err(|e| ApiError::bad("camera", format!("The code {e}."))));
        let priorities = words(priority).into_iter().map(|word| {
            let wrong = |_| {
                ApiError::bad("priority", format!("{word:?} is no priority."))
                    .remedy("Write low, normal or alarm.")
            };
            word.parse().map_err(wrong)
        });
        Ok(Self { kinds, camera: camera.transpose()?, priorities: priorities.collect::<ApiResult<_>>()? })
    }

    pub(crate) fn wants(&self, kind: EventKind, camera: Option<CameraId>, priority: Priority) -> bool {
        let fits =
            |w: &String| w == kind.as_str() || (w.ends_with('.') && kind.as_str().starts_with(w.as_str()));
        (self.kinds.is_empty() || self.kinds.iter().any(fits))
            && (self.camera.is_none() || self.camera == camera)
            && (self.priorities.is_empty() || self.priorities.contains(&priority))
    }
}

fn limit(asked: Option<usize>) -> ApiResult<usize> {
    let (limit, most) = (asked.unwrap_or(LIMIT_DEFAULT), limits::PAGE_ROWS_MAX);
    if (1..=most).contains(&limit) {
        return Ok(limit);
    }
    Err(ApiError::bad("limit", format!("A page has 1 to {most} rows, not {limit}.")))
}

fn cursor_text(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn read_cursor<T>(text: &str, read: impl Fn(&str) -> Option<T>) -> ApiResult<Option<T>> {
    if text.is_empty() {
        return Ok(None);
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    let found = bytes.and_then(|b| read(std::str::from_utf8(&b).ok()?));
    let wrong = || ApiError::bad("cursor", "This is no cursor.").remedy("Take `next` of the page before.");
    found.map(Some).ok_or_else(wrong)
}

fn write_place(place: Place) -> String {
    cursor_text(&format!("{}{}", if place.open { 'o' } else { 'c' }, place.before))
}

fn read_place(text: &str) -> Option<Place> {
    let open = match text.chars().next()? {
        'o' => true,
        'c' => false,
        _ => return None,
    };
    Some(Place { open, before: text.get(1..)?.parse().ok()? })
}

/// Events by cause: one cause, one row, with a count, a first and a last time, open or over.
#[utoipa::path(get, path = "/api/v1/events/rows", tag = "events", params(RowQuery), responses(
    (status = 200, body = RowPage), (status = 400, body = Problem), (status = 401, body = Problem)))]
pub async fn rows(
    State(app): State<Arc<App>>,
    QueryOf(query): QueryOf<RowQuery>,
) -> ApiResult<axum::Json<RowPage>> {
    let filter = Filter::read(&query.kind, &query.camera, &query.priority)?;
    let (limit, after) = (limit(query.limit)?, read_cursor(&query.cursor, read_place)?);
    let wanted = |row: &Row| {
        filter.wants(row.kind, row.camera, row.priority)
            && (query.node.is_empty() || query.node == row.id.node)
            && query.open.is_none_or(|open| open == row.is_open())
            && query.from_us.is_none_or(|from| row.last_us.0 >= from || row.is_open())
            && query.to_us.is_none_or(|to| row.first_us.0 < to)
    };
    let all = app.desk.rows().read();
    let (page, next) = all.page(after, limit, &wanted);
    let ahead = app.desk.rows_ahead(&all);
    let as_shown = |row: &Row| ahead.get(&row.id).map_or_else(|| RowView::from(row), RowView::ahead);
    let mut items: Vec<RowView> = page.into_iter().map(as_shown).collect();
    if after.is_none() {
        let new = ahead.values().filter(|row| wanted(row) && all.row(&row.id).is_none());
        items.splice(0..0, new.map(RowView::ahead));
    }
    let counts = all.open_counts();
    let open = |p| counts.get(&p).copied().unwrap_or(0);
    Ok(axum::Json(RowPage {
        items,
        next: next.map(write_place),
        open: OpenView {
            alarm: open(Priority::Alarm),
            normal: open(Priority::Normal),
            low: open(Priority::Low),
        },
    }))
}

/// One row.
#[utoipa::path(get, path = "/api/v1/events/rows/{row}", tag = "events",
    params(("row" = String, Path, description = "Id of the row", example = "centre.3.4711")), responses(
    (status = 200, body = RowView), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn row(State(app): State<Arc<App>>, PathOf(row): PathOf<String>) -> ApiResult<axum::Json<RowView>> {
    Ok(axum::Json(find(&app, &row).map(|row| RowView::from(&row))?))
}

fn find(app: &App, text: &str) -> ApiResult<Row> {
    let gone = || {
        ApiError::not_found(format!("There is no row {text} in memory."))
            .remedy("Look for its records by time.")
    };
    let id: RecordId = text.parse().map_err(|_| gone())?;
    app.desk.rows().read().row(&id).cloned().ok_or_else(gone)
}

/// One record: an event, or several of one cause that came at once.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct EventRecordView {
    /// Node, opening of the journal, number.
    #[schema(example = "centre.3.4711")]
    pub id: String,
    /// What happened; of several, the newest.
    #[schema(value_type = String, example = "camera.offline")]
    pub kind: EventKind,
    /// `low`, `normal` or `alarm`.
    #[schema(value_type = String, example = "normal")]
    pub priority: Priority,
    /// What it belongs to.
    pub cause: String,
    /// `opens`, `closes` or `point`.
    #[schema(value_type = String, example = "opens")]
    pub phase: Phase,
    /// The camera.
    #[schema(value_type = Option<String>)]
    pub camera: Option<CameraId>,
    /// Events that this record stands for.
    pub count: u64,
    /// When it happened; of several, the first.
    pub at_us: i64,
    /// When the last of several happened.
    pub last_us: i64,
    /// When it was noted.
    pub noted_us: i64,
    /// What people, or a device for people, wrote.
    pub text: String,
    /// Facts.
    #[schema(value_type = Object)]
    pub data: Map<String, Value>,
    /// Name of the token with which it came.
    pub token: Option<String>,
    /// The operator who made it.
    pub operator: Option<String>,
}

impl EventRecordView {
    fn of(id: &RecordId, noted: UtcMicros, event: &Event) -> Self {
        Self {
            id: id.to_string(),
            kind: event.kind,
            priority: event.priority,
            cause: event.cause.clone(),
            phase: event.phase,
            camera: event.camera,
            count: event.count,
            at_us: event.at_us.0,
            last_us: event.last_us.0,
            noted_us: noted.0,
            text: event.text.clone(),
            data: event.data.clone(),
            token: event.source.token.clone(),
            operator: event.source.operator.clone(),
        }
    }
}

/// What browsers are told of a record: it and its row.
#[must_use]
pub fn told(id: &RecordId, noted: UtcMicros, event: &Event, row: &Row) -> String {
    json!({"record": EventRecordView::of(id, noted, event), "row": RowView::from(row)}).to_string()
}

/// As [`told`], of a live alarm that came ahead of its record.
#[must_use]
pub fn told_ahead(id: &RecordId, noted: UtcMicros, event: &Event, row: &Row) -> String {
    json!({"record": EventRecordView::of(id, noted, event), "row": RowView::ahead(row)}).to_string()
}

/// A page of records.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventRecordPage {
    /// Newest first. May be fewer than asked for although there are more: see `next`.
    items: Vec<EventRecordView>,
    /// Ask with this `cursor` to go on; absent at the beginning of the journal.
    next: Option<String>,
}

/// Which records.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventRecordQuery {
    /// Only those of this row.
    #[serde(default)]
    row: String,
    /// Kinds, separated by commas; `camera.` stands for all that begin so.
    #[serde(default)]
    kind: String,
    /// National code of a camera.
    #[serde(default)]
    camera: String,
    /// `low`, `normal` or `alarm`; several separated by commas.
    #[serde(default)]
    priority: String,
    /// Happened not earlier than this microsecond.
    from_us: Option<i64>,
    /// Happened earlier than this microsecond.
    to_us: Option<i64>,
    /// `next` of the page before.
    #[serde(default)]
    cursor: String,
    /// Records of the page, at most 1000.
    limit: Option<usize>,
}

/// Single records of events from the journal, newest first.
#[utoipa::path(get, path = "/api/v1/events/records", tag = "events", params(EventRecordQuery), responses(
    (status = 200, body = EventRecordPage), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 404, body = Problem)))]
pub async fn records(
    State(app): State<Arc<App>>,
    QueryOf(query): QueryOf<EventRecordQuery>,
) -> ApiResult<axum::Json<EventRecordPage>> {
    let filter = Filter::read(&query.kind, &query.camera, &query.priority)?;
    let limit = limit(query.limit)?;
    let row = if query.row.is_empty() { None } else { Some(find(&app, &query.row)?) };
    let cursor = read_cursor(&query.cursor, read_before)?;
    // Records of an own row lie between the one that began it and its newest; those of another node's anywhere in this
    // journal, and the row says from when.
    let own = row.as_ref().filter(|r| r.id.node == app.desk.node().as_str());
    let newest = own.map(|r| r.newest.seq.saturating_add(1));
    let (before, skip) = cursor.unwrap_or((newest.unwrap_or(u64::MAX), 0));
    let first = own.map_or(1, |r| r.id.seq);
    let (from, to) = (query.from_us, query.to_us);
    let wants = move |record: &JournalRecord, id: &RecordId, event: &Event| {
        let of_row = row.as_ref().is_none_or(|row| {
            event.cause == row.cause
                && id.node == row.id.node
                && (id.epoch, id.seq) >= (row.id.epoch, row.id.seq)
                && (id.epoch, id.seq) <= (row.newest.epoch, row.newest.seq)
                && record.seq >= first
        });
        of_row
            && filter.wants(event.kind, event.camera, event.priority)
            && from.is_none_or(|from| event.last_us.0 >= from)
            && to.is_none_or(|to| event.at_us.0 < to)
    };
    let wants = Arc::new(wants);
    let wanted = {
        let wants = wants.clone();
        move |record: &JournalRecord| read(record).iter().any(|(id, event)| wants(record, id, event))
    };
    let page = app.auth.register.page(before, limit, Box::new(wanted)).await;
    let page = page.map_err(|e| ApiError::internal("read the journal", &e))?;
    let mut found = Vec::new();
    for record in &page.records {
        // One record holds many events of other nodes, the oldest first.
        let events = read(record).into_iter().rev().filter(|(id, event)| wants(record, id, event));
        let seen = if record.seq.saturating_add(1) == before { skip } else { 0 };
        let places = (1_usize..).zip(events).skip(seen);
        found.extend(
            places.map(|(n, (id, event))| ((record.seq, n), EventRecordView::of(&id, record.at, &event))),
        );
    }
    let cut = found.len() > limit;
    found.truncate(limit);
    let next = match found.last() {
        Some(((seq, n), _)) if cut => Some(write_before((seq.saturating_add(1), *n))),
        _ => page.next_before.filter(|before| *before > first).map(|before| write_before((before, 0))),
    };
    Ok(axum::Json(EventRecordPage { items: found.into_iter().map(|(_, view)| view).collect(), next }))
}

/// A place among the records: before a record of the journal, and how many events of the record before it were given.
fn write_before((before, given): (u64, usize)) -> String {
    cursor_text(&format!("{before}.{given}"))
}

fn read_before(text: &str) -> Option<(u64, usize)> {
    let (before, given) = text.split_once('.')?;
    Some((before.parse().ok()?, given.parse().ok()?))
}

/// The events of a record, as far as this program understands them: its own, or those of other nodes that were taken in
/// with it, in their order.
fn read(record: &JournalRecord) -> Vec<(RecordId, Event)> {
    if kinds::is(&record.kind, &record.body, kinds::RELAY_APPLIED) {
        let applied = Applied::deserialize(&record.body).unwrap_or_default();
        return applied.parts.iter().flat_map(|part| &part.frames).filter_map(told_by).collect();
    }
    if !kinds::is(&record.kind, &record.body, kinds::EVENT_NOTED) {
        return Vec::new();
    }
    let id = RecordId { node: record.node.clone(), epoch: record.epoch, seq: record.seq };
    Event::read(&record.body).ok().map(|event| (id, event)).into_iter().collect()
}

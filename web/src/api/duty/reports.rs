//! Reports over HTTP: as JSON for the page, as CSV for spreadsheets.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use fengsui_config::clock::UtcMicros;
use fengsui_config::limits;
use fengsui_duty::report::{Ask, AskRefused, Grouping, Report, Share, Spread, table};
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::auth::access::Principal;
use crate::duty::reports;
use crate::http::problem::{ApiError, ApiResult, Problem, QueryOf};

/// Which report is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ReportQuery {
    /// From when on: alarms raised and incidents opened then or later.
    from_us: Option<i64>,
    /// Until before when.
    to_us: Option<i64>,
    /// `all` (the usual: totals alone), `area`, `station`, `site`, `day`, `rule`, `camera` or `node`.
    by: Option<String>,
    /// Minutes by which local days begin before those of UTC; 480 (China) when absent.
    utc_offset_min: Option<i32>,
}

/// How long something took.
#[derive(Debug, Serialize, ToSchema)]
pub struct SpreadView {
    /// Of how many it is made.
    n: u64,
    /// Median by nearest rank; null of nothing.
    median_us: Option<i64>,
    /// 95th percentile by nearest rank; null of nothing.
    p95_us: Option<i64>,
}

impl From<Spread> for SpreadView {
    fn from(spread: Spread) -> Self {
        Self { n: spread.n, median_us: spread.median_us, p95_us: spread.p95_us }
    }
}

/// So many of so many.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShareView {
    /// Those.
    part: u64,
    /// Of these.
    of: u64,
}

impl From<Share> for ShareView {
    fn from(share: Share) -> Self {
        Self { part: share.part, of: share.of }
    }
}

/// The measures of all, or of one group.
#[derive(Debug, Serialize, ToSchema)]
pub struct MeasuresView {
    /// Code, day, rule, camera or node; `total` for all; empty for what has none.
    key: String,
    /// Its name; empty when it has none.
    name: String,
    /// Alarms raised.
    alarms: u64,
    /// From raised to acknowledged first.
    acknowledge: SpreadView,
    /// From raised to resolved or found false.
    settle: SpreadView,
    /// From raised to closed.
    close: SpreadView,
    /// Disposal rate: alarms closed of all.
    disposed: ShareView,
    /// Not acknowledged in time, of those with a due time.
    overdue: ShareView,
    /// Found false, of those judged.
    found_false: ShareView,
    /// Escalations.
    escalations: u64,
    /// Incidents opened; in rows by rule and camera always 0, since an incident has neither.
    incidents: u64,
    /// From opened to the first unit's arrival.
    arrive: SpreadView,
    /// From opened to closed.
    incident_close: SpreadView,
    /// Incidents closed of all.
    incidents_disposed: ShareView,
    /// Incidents cancelled.
    cancelled: u64,
    /// Units sent.
    dispatches: u64,
    /// Steps of plans skipped.
    skipped: u64,
}

fn view(key: String, name: String, m: fengsui_duty::report::Measures) -> MeasuresView {
    MeasuresView {
        key,
        name,
        alarms: m.alarms,
        acknowledge: m.acknowledge.into(),
        settle: m.settle.into(),
        close: m.close.into(),
        disposed: m.disposed.into(),
        overdue: m.overdue.into(),
        found_false: m.found_false.into(),
        escalations: m.escalations,
        incidents: m.incidents,
        arrive: m.arrive.into(),
        incident_close: m.incident_close.into(),
        incidents_disposed: m.incidents_disposed.into(),
        cancelled: m.cancelled,
        dispatches: m.dispatches,
        skipped: m.skipped,
    }
}

/// A report.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReportView {
    /// From when on.
    from_us: i64,
    /// Until before when.
    to_us: i64,
    /// When it was made.
    made_us: i64,
    /// Who asked for it.
    made_by: String,
    /// The node that made it.
    node: String,
    /// By what it is grouped.
    by: String,
    /// Minutes by which its days begin before those of UTC.
    utc_offset_min: i32,
    /// It is whole from then on; absent when it is whole. Older matters are in the journal alone.
    whole_since_us: Option<i64>,
    /// What to do about that.
    remedy: Option<String>,
    /// All together.
    total: MeasuresView,
    /// The groups.
    rows: Vec<MeasuresView>,
}

impl From<AskRefused> for ApiError {
    fn from(refused: AskRefused) -> Self {
        Self::bad(refused.field, refused.what).remedy(refused.remedy)
    }
}

/// China is eight hours before UTC, everywhere and all year.
const UTC_OFFSET_MIN_DEFAULT: i32 = 480;

fn ask(app: &App, query: &ReportQuery) -> ApiResult<Ask> {
    let need = |value: Option<i64>, field: &'static str| {
        let missing = || ApiError::bad(field, format!("`{field}` is missing."));
        value.ok_or_else(|| missing().remedy("Send microseconds since 1970."))
    };
    let ask = Ask {
        from: UtcMicros(need(query.from_us, "from_us")?),
        to: UtcMicros(need(query.to_us, "to_us")?),
        by: query.by.as_deref().map_or(Ok(Grouping::All), Grouping::read)?,
        utc_offset_min: query.utc_offset_min.unwrap_or(UTC_OFFSET_MIN_DEFAULT),
        now: app.clock.utc(),
    };
    ask.check()?;
    Ok(ask)
}

async fn made(app: &Arc<App>, ask: Ask) -> ApiResult<(Report, Option<UtcMicros>)> {
    // Reckoning over a hundred thousand matters takes tens of milliseconds: off the threads that serve.
    let with = app.clone();
    let report = tokio::task::spawn_blocking(move || reports::make(&with, &ask)).await;
    let (report, whole) = report.map_err(|e| ApiError::internal("make the report", &e))?;
    if report.rows.len() > limits::REPORT_ROWS_MAX {
        let detail = format!("The report would have {} rows.", report.rows.len());
        return Err(
            ApiError::bad("by", detail).remedy("Ask for a shorter range, or group by something else.")
        );
    }
    Ok((report, whole))
}

/// How long alarms and incidents took, how many were closed, overdue or false: in all, and by what is asked for. Times are
/// medians and 95th percentiles by nearest rank, each with the number that it is made of.
#[utoipa::path(get, path = "/api/v1/reports", tag = "duty", params(ReportQuery), responses(
    (status = 200, body = ReportView), (status = 400, body = Problem), (status = 401, body = Problem)))]
pub async fn show(
    State(app): State<Arc<App>>,
    principal: Principal,
    QueryOf(query): QueryOf<ReportQuery>,
) -> ApiResult<axum::Json<ReportView>> {
    let ask = ask(&app, &query)?;
    let (report, whole) = made(&app, ask).await?;
    let remedy = whole.map(|_| {
        let at = |us| table::moment(us, report.utc_offset_min);
        let (from, to) = (at(report.from_us), at(report.to_us));
        format!("On the node's machine: fengsui report --from {from} --to {to} --from-journal")
    });
    Ok(axum::Json(ReportView {
        from_us: report.from_us,
        to_us: report.to_us,
        made_us: report.made_us,
        made_by: principal.user().name.to_string(),
        node: app.node.id.clone(),
        by: report.by.as_str().to_owned(),
        utc_offset_min: report.utc_offset_min,
        whole_since_us: whole.map(|at| at.0),
        remedy,
        total: view("total".to_owned(), String::new(), report.total),
        rows: report.rows.into_iter().map(|row| view(row.key, row.name, row.measures)).collect(),
    }))
}

/// The same report as CSV for spreadsheets: UTF-8 with the mark by which they know it, times in seconds, no cell a formula.
#[utoipa::path(get, path = "/api/v1/reports.csv", tag = "duty", params(ReportQuery), responses(
    (status = 200, content_type = "text/csv", body = String), (status = 400, body = Problem), (status = 401, body = Problem)))]
pub async fn csv(
    State(app): State<Arc<App>>,
    _principal: Principal,
    QueryOf(query): QueryOf<ReportQuery>,
) -> ApiResult<Response> {
    let (report, _) = made(&app, ask(&app, &query)?).await?;
    let day = |us| table::moment(us, report.utc_offset_min).chars().take(10).collect::<String>();
    let name = format!("report-{}-{}-{}.csv", report.by.as_str(), day(report.from_us), day(report.to_us));
    let headers = [
        (CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
        (CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((headers, table::csv(&report)).into_response())
}

//! Days of many cameras at a glance: which minutes have footage, which lack what was due. No picture is shown, so
//! nothing goes to the register of viewings.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{CameraId, NodeId, StreamKey, StreamKind};
use fengsui_config::limits;
use fengsui_storage::catalogue::{DayStrip, Minutes};
use fengsui_storage::frame::GapReason;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::footage::{RangeQuery, TIMELINE_RANGE_MAX};
use super::view::lenient;
use crate::app::App;
use crate::auth::access::{CameraAccess, Principal};
use crate::command::gather::{self, MissingView, Question};
use crate::command::{self, Far};
use crate::http::problem::{ApiError, ApiResult, Problem, QueryOf};

/// Length of a day of the answer. A day begins where the range does, so that it is the viewer's own day.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Which days of which cameras.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DaysQuery {
    /// First microsecond: the beginning of the viewer's first day. The range is cut into days of 24 hours from here.
    pub from_us: i64,
    /// First microsecond after, at most 32 days later; the last day may be shorter.
    pub to_us: i64,
    /// National codes with commas between them; all cameras when absent. Days of all cameras together: at most 4096.
    pub cameras: Option<String>,
    /// `main` (when absent) or `sub`.
    #[param(value_type = Option<String>, example = "main")]
    pub stream: Option<String>,
}

/// One day of one camera. Minute n is bit n % 8, counted from the lowest, of byte n / 8.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DayView {
    /// First microsecond.
    pub from_us: i64,
    /// First microsecond after.
    pub to_us: i64,
    /// Microseconds with footage.
    pub footage_us: i64,
    /// Microseconds that lack what was due. What is in neither was not due, or lies in the future.
    pub gap_us: i64,
    /// Minutes with any footage: a bitmap in base64; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub footage: Option<String>,
    /// Minutes with any gap: a bitmap in base64; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gaps: Option<String>,
    /// Why most of what is missing is missing.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    #[schema(value_type = Option<String>, example = "camera_offline")]
    pub reason: Option<GapReason>,
}

/// The days of one camera.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CameraDaysView {
    /// National 20-digit code.
    pub camera: String,
    /// In order.
    pub days: Vec<DayView>,
}

/// Days of many cameras.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DaysView {
    /// As asked.
    pub from_us: i64,
    /// As asked.
    pub to_us: i64,
    /// In the order asked for, or of the codes.
    pub items: Vec<CameraDaysView>,
    /// Nodes that did not answer: their cameras are not in the list.
    pub missing: Vec<MissingView>,
}

/// What is read of the answer of another node.
#[derive(Debug, Deserialize)]
struct FarDays {
    items: Vec<CameraDaysView>,
    #[serde(default)]
    missing: Vec<MissingView>,
}

/// Which minutes of which days have footage, for many cameras at once.
#[utoipa::path(get, path = "/api/v1/footage/days", tag = "footage", params(DaysQuery), responses(
    (status = 200, body = DaysView), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem)))]
pub async fn show(
    State(app): State<Arc<App>>,
    principal: Principal,
    QueryOf(asked): QueryOf<DaysQuery>,
) -> ApiResult<axum::Json<DaysView>> {
    let DaysQuery { from_us, to_us, .. } = asked;
    let (from, to) = RangeQuery { from_us, to_us }.checked(TIMELINE_RANGE_MAX)?;
    let days = days(from, to);
    let access = cameras(&app, &principal, &asked)?;
    if access.len().saturating_mul(days.len()) > limits::DAY_STRIPS_MAX {
        let most = limits::DAY_STRIPS_MAX;
        return Err(ApiError::bad(
            "to_us",
            format!("These are more than {most} days of all cameras together."),
        )
        .remedy("Ask for fewer days or fewer cameras at once."));
    }
    let code = |access: &CameraAccess| access.key().camera.to_string();
    let order: Vec<String> = access.iter().map(code).collect();
    let (mut own, mut far) = (Vec::new(), Vec::new());
    for access in access {
        match command::holder(&app, access.key().camera) {
            Some(holder) => far.push((holder, access)),
            None => own.push(access),
        }
    }
    let codes: Vec<String> = own.iter().map(code).collect();
    let range = format!("from_us={from_us}&to_us={to_us}");
    let (strips, (mut found, missing)) =
        tokio::join!(app.media.day_strips(own, days), elsewhere(&principal, far, &range));
    let strips = strips?;
    found.extend(codes.into_iter().zip(strips.iter().map(|days| days.iter().map(day).collect())));
    let view = |camera: String| Some(CameraDaysView { days: found.remove(&camera)?, camera });
    Ok(axum::Json(DaysView { from_us, to_us, items: order.into_iter().filter_map(view).collect(), missing }))
}

type Found = BTreeMap<String, Vec<DayView>>;

/// Days of cameras of other nodes, all asked at once.
async fn elsewhere(
    principal: &Principal,
    far: Vec<(Far, CameraAccess)>,
    range: &str,
) -> (Found, Vec<MissingView>) {
    let Some((Far { centre, .. }, access)) = far.first().cloned() else { return Default::default() };
    let mut nodes: BTreeMap<NodeId, Vec<String>> = BTreeMap::new();
    for (far, access) in far {
        nodes.entry(far.node).or_default().push(access.key().camera.to_string());
    }
    let mut questions = Vec::new();
    for (node, cameras) in &nodes {
        for cameras in cameras.chunks(limits::GATHER_CAMERAS_MAX) {
            let (stream, list) = (access.key().stream, cameras.join(","));
            let path = format!("/api/v1/footage/days?{range}&stream={stream}&cameras={list}");
            questions.push(Question { node: node.clone(), path, cameras: cameras.to_vec() });
        }
    }
    let by = principal.on_behalf();
    let (answers, mut missing) =
        gather::ask::<FarDays>(&centre, &by, questions, gather::deadline(principal)).await;
    let mut found = Found::new();
    for (question, answer) in answers {
        // It is asked about its cameras, and says nothing of others.
        let asked = |camera: &String| question.cameras.contains(camera);
        found.extend(answer.items.into_iter().filter(|i| asked(&i.camera)).map(|i| (i.camera, i.days)));
        missing.extend(answer.missing);
    }
    (found, missing)
}

/// The range in days from its beginning.
fn days(from: UtcMicros, to: UtcMicros) -> Vec<(UtcMicros, UtcMicros)> {
    let mut days = Vec::new();
    let mut start = from;
    while start < to {
        let end = (start + DAY).min(to);
        days.push((start, end));
        start = end;
    }
    days
}

/// The cameras asked for, each with the proof that this person may see it.
fn cameras(app: &App, principal: &Principal, asked: &DaysQuery) -> ApiResult<Vec<CameraAccess>> {
    let stream: StreamKind = match asked.stream.as_deref().filter(|s| !s.is_empty()) {
        None => StreamKind::Main,
        Some(text) => text.parse().map_err(|_| {
            ApiError::bad("stream", format!("'{text}' is no stream.")).remedy("Write main or sub.")
        })?,
    };
    let allowed = |camera| principal.camera(StreamKey { camera, stream });
    let Some(codes) = asked.cameras.as_deref().filter(|c| !c.is_empty()) else {
        // Of all cameras, those that this person may see.
        return Ok(app.topology().cameras.keys().filter_map(|camera| allowed(*camera).ok()).collect());
    };
    let mut access = Vec::new();
    for code in codes.split(',') {
        let camera: CameraId =
            code.trim().parse().map_err(|e| ApiError::bad("cameras", format!("The code '{code}' {e}.")))?;
        access.push(allowed(camera)?);
        if access.len() > limits::DAY_STRIPS_MAX {
            return Err(
                ApiError::bad("cameras", "These are too many cameras.").remedy("Leave it out for all.")
            );
        }
    }
    Ok(access)
}

fn day(strip: &DayStrip) -> DayView {
    let bits = |minutes: &Minutes| (!minutes.is_empty()).then(|| STANDARD.encode(minutes.bytes()));
    DayView {
        from_us: strip.from.0,
        to_us: strip.to.0,
        footage_us: strip.footage_us,
        gap_us: strip.gap_us,
        footage: bits(&strip.footage),
        gaps: bits(&strip.gaps),
        reason: strip.reason,
    }
}

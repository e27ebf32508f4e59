//! What supervisors are told until somebody has seen it.

use std::sync::Arc;

use axum::extract::State;
use fengsui_duty::act::Verb;
use serde::Serialize;
use utoipa::ToSchema;

use super::{by, refused, unknown};
use crate::app::App;
use crate::auth::access::Principal;
use crate::duty::notices::{self, NoticeView};
use crate::http::problem::{ApiResult, PathOf, Problem};

/// Notices that nobody has seen.
#[derive(Debug, Serialize, ToSchema)]
pub struct NoticeList {
    /// The newest first, at most 200.
    items: Vec<NoticeView>,
}

/// Steps of plans that were skipped, until somebody has seen that.
#[utoipa::path(get, path = "/api/v1/duty/notices", tag = "incidents", responses(
    (status = 200, body = NoticeList), (status = 401, body = Problem), (status = 403, body = Problem)))]
pub async fn list(State(app): State<Arc<App>>) -> axum::Json<NoticeList> {
    axum::Json(NoticeList { items: app.duty.read(notices::unseen) })
}

/// Says that somebody has seen a notice; it is noted on the incident.
#[utoipa::path(post, path = "/api/v1/duty/notices/{act}/seen", tag = "incidents",
    params(("act" = String, Path, description = "Id of the notice", example = "centre.3.4711")),
    responses((status = 200, body = NoticeList), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn seen(
    State(app): State<Arc<App>>,
    principal: Principal,
    PathOf(act): PathOf<String>,
) -> ApiResult<axum::Json<NoticeList>> {
    let (incident, is_new) = app.duty.read(|book| {
        (notices::incident_of(book, &act), notices::unseen(book).iter().any(|notice| notice.id == act))
    });
    let incident = incident.ok_or_else(|| unknown(&act, Some("act")))?;
    if is_new {
        let note = Verb::Incident(notices::seen_note(&act));
        let done = app.duty.act(&app, &incident, note, by(&principal)).await;
        done.map_err(|error| refused(&app, &incident, error))?;
    }
    Ok(list(State(app)).await)
}

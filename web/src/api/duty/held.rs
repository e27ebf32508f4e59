//! Footage that is held for an alarm, at whichever node records its camera.

use std::sync::Arc;

use axum::extract::State;
use fengsui_duty::act::{MatterId, MatterKind};
use fengsui_duty::alarm::Alarm;
use fengsui_storage::retention::hold::Hold;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{matter, unknown};
use crate::app::App;
use crate::auth::access::Principal;
use crate::command;
use crate::command::gather::{self, MissingView, Question};
use crate::duty::holds;
use crate::http::problem::{ApiResult, PathOf, Problem};

/// A hold that a rule placed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct AlarmHoldView {
    /// The hold's number on its node.
    id: u64,
    /// Start of the footage held.
    from_us: i64,
    /// Its end.
    to_us: Option<i64>,
    /// When the hold ends.
    until_us: i64,
}

/// What is held for an alarm.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct AlarmHeld {
    /// The node that records the camera, and so holds the footage.
    node: String,
    /// The hold; none while nothing is held, or while `missing` says why it is not known.
    hold: Option<AlarmHoldView>,
    /// Why the node does not say.
    missing: Option<MissingView>,
}

/// The newest hold in force that a rule placed for an alarm at this node.
pub async fn here(app: &App, id: &MatterId, alarm: &Alarm) -> Option<AlarmHoldView> {
    let retained = app.retention.read().clone()?;
    let all = tokio::task::spawn_blocking(move || retained.retention.holds()).await.ok()?;
    let own = |hold: &&Hold| hold.is_in_force() && holds::of_rule(hold).is_some_and(|(of, _)| of == *id);
    let hold = all.iter().rev().find(own)?;
    let (_, days) = holds::of_rule(hold)?;
    Some(AlarmHoldView {
        id: hold.id,
        from_us: hold.from_us.0,
        to_us: hold.to_us.map(|t| t.0),
        until_us: holds::until_of(hold, days, Some(alarm)).0,
    })
}

/// What is held for an alarm; the node that records its camera is asked.
#[utoipa::path(get, path = "/api/v1/alarms/{node}/{name}/hold", tag = "alarms",
    params(("node" = String, Path, description = "Node at which it was raised"), ("name" = String, Path, description = "Its name there")),
    responses((status = 200, body = AlarmHeld), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn held(
    State(app): State<Arc<App>>,
    principal: Principal,
    PathOf((node, name)): PathOf<(String, String)>,
) -> ApiResult<axum::Json<AlarmHeld>> {
    let id = matter(MatterKind::Alarm, &node, &name)?;
    let alarm = app.duty.read(|book| book.alarms.get(&id).and_then(|ledger| ledger.state().cloned()));
    let alarm = alarm.ok_or_else(|| unknown(&id.to_string(), None))?;
    let Some(far) = alarm.raise.camera.and_then(|camera| command::holder(&app, camera)) else {
        let (node, hold) = (app.node.id.clone(), here(&app, &id, &alarm).await);
        return Ok(axum::Json(AlarmHeld { node, hold, missing: None }));
    };
    let path = format!("/api/v1/alarms/{}/{}/hold", id.home, id.name);
    let asked = Question { node: far.node.clone(), path, cameras: Vec::new() };
    let by = principal.on_behalf();
    let (mut said, mut missing) =
        gather::ask::<AlarmHeld>(&far.centre, &by, vec![asked], gather::deadline(&principal)).await;
    let answer = said.pop().map(|(_, answer)| answer);
    Ok(axum::Json(answer.unwrap_or_else(|| AlarmHeld {
        node: far.node.to_string(),
        hold: None,
        missing: missing.pop(),
    })))
}

//! What is done to an incident. The server adds what only it knows: the plan and the unit as they are now.

use std::sync::Arc;

use axum::extract::State;
use fengsui_duty::act::{MatterId, MatterKind};
use fengsui_duty::incident::IncidentVerb;
use fengsui_duty::ledger::Ledger;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::incidents::known;
use super::{by, matter, not_opened, read_verb, unknown};
use crate::app::App;
use crate::auth::access::Principal;
use crate::duty::incident;
use crate::duty::view::{self, IncidentRow};
use crate::http::problem::{ApiError, ApiResult, JsonOf, PathOf, Problem};

/// What people may do to an incident by this address; files are added by another.
const VERBS: [&str; 17] = [
    "assign",
    "edit",
    "add_alarm",
    "add_camera",
    "add_clip",
    "note",
    "share",
    "use_plan",
    "step_done",
    "step_skipped",
    "dispatch",
    "progressed",
    "resolve",
    "reopen",
    "close",
    "cancel",
    "settle",
];

/// What is done to an incident; a description of what is read by its word.
#[derive(Debug, ToSchema)]
#[expect(
    dead_code,
    reason = "the description of a body that is read by its word, so that refusals name the field"
)]
pub struct IncidentActBody {
    /// `assign`, `edit`, `add_alarm`, `add_camera`, `add_clip`, `note`, `share`, `use_plan`, `step_done`, `step_skipped`, `dispatch`,
    /// `progressed`, `resolve`, `reopen`, `close`, `cancel` or `settle`.
    #[schema(rename = "do", example = "assign")]
    verb: String,
    /// `assign`: all of them.
    people: Option<Vec<String>>,
    /// `edit`: title.
    title: Option<String>,
    /// `edit`: kind.
    kind: Option<String>,
    /// `edit`: level.
    level: Option<u8>,
    /// `edit`: place.
    #[schema(value_type = Option<super::incidents::IncidentPlaceBody>)]
    place: Option<Value>,
    /// `add_alarm`: the alarm.
    alarm: Option<String>,
    /// `add_camera`, `add_clip`: the camera.
    camera: Option<String>,
    /// `add_clip`: from when.
    from_us: Option<i64>,
    /// `add_clip`: until when.
    to_us: Option<i64>,
    /// `note`: the words.
    text: Option<String>,
    /// `add_clip`, `step_done`, `settle`: words.
    note: Option<String>,
    /// `share`: the node.
    node: Option<String>,
    /// `use_plan`: the plan.
    plan: Option<String>,
    /// `step_done`, `step_skipped`: the step.
    step: Option<String>,
    /// `step_done`: the answer, where the step asks one.
    answer: Option<String>,
    /// `step_skipped`, `reopen`, `cancel`: why.
    reason: Option<String>,
    /// `dispatch`: the unit.
    unit: Option<String>,
    /// `dispatch`: what it is to do.
    order: Option<String>,
    /// `progressed`: the dispatch.
    id: Option<String>,
    /// `progressed`: `received`, `arrived`, `done`, `declined` or `recalled`.
    to: Option<String>,
    /// `progressed`, `resolve`: how it ended.
    result: Option<String>,
    /// `settle`: the act in conflict.
    act: Option<String>,
}

/// What was done.
#[derive(Debug, Serialize, ToSchema)]
pub struct IncidentActed {
    /// The incident as it is now.
    incident: IncidentRow,
    /// The act: node, opening of the journal, number.
    #[schema(example = "centre.3.4711")]
    act: String,
    /// Not as it should be, though it was done: the unit is under way for another incident too.
    warning: Option<String>,
}

/// An id in a body.
fn named(body: &Value, field: &str, kind: MatterKind) -> ApiResult<MatterId> {
    let text = body.get(field).and_then(Value::as_str).unwrap_or_default();
    let id = text.parse::<MatterId>().ok().filter(|id| id.kind == kind);
    id.ok_or_else(|| {
        let (word, shown) = (kind.as_str(), text.chars().take(80).collect::<String>());
        ApiError::bad(field, format!("{shown:?} is no {word}."))
            .remedy(format!("Send its id: {word}/node/name."))
    })
}

/// The act as it will be: the plan or the unit is copied into it as it is now.
fn filled(app: &App, body: Value) -> ApiResult<IncidentVerb> {
    match body.get("do").and_then(Value::as_str) {
        Some("use_plan") => {
            let plan = named(&body, "plan", MatterKind::Plan)?;
            let verb = app.duty.read(|book| incident::use_plan(book, &plan));
            verb.ok_or_else(|| unknown(&plan.to_string(), Some("plan")))
        }
        Some("dispatch") => {
            let unit = named(&body, "unit", MatterKind::Unit)?;
            let order = match body.get("order") {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(order)) => order.clone(),
                Some(_) => {
                    return Err(
                        ApiError::bad("order", "An order is a text.").remedy("Send words, or nothing.")
                    );
                }
            };
            let verb = app.duty.read(|book| incident::dispatch(book, &unit, order));
            let verb = verb.map_err(|error| ApiError::internal("name a dispatch", &error))?;
            verb.ok_or_else(|| unknown(&unit.to_string(), Some("unit")))
        }
        _ => read_verb(body, &VERBS),
    }
}

/// Whether what an act names is known here.
fn names_something(app: &App, verb: &IncidentVerb) -> ApiResult<()> {
    let camera = match verb {
        IncidentVerb::AddCamera { camera } | IncidentVerb::AddClip { camera, .. } => Some(camera),
        _ => None,
    };
    if let Some(camera) = camera.filter(|camera| !app.topology().cameras.contains_key(camera)) {
        return Err(unknown(&camera.to_string(), Some("camera")));
    }
    if let IncidentVerb::AddAlarm { alarm } = verb
        && app.duty.read(|book| book.alarms.get(alarm).and_then(Ledger::state).is_none())
    {
        return Err(unknown(&alarm.to_string(), Some("alarm")));
    }
    if let IncidentVerb::Share { node } = verb {
        let centre = app.relay.read().as_ref().and_then(|relay| relay.centre.clone());
        if !centre.is_some_and(|centre| centre.roll.works(node)) {
            return Err(unknown(node.as_str(), Some("node")));
        }
    }
    Ok(())
}

/// Does something to an incident. Of two who do the same at once, one is answered 409 and told what the other did.
#[utoipa::path(post, path = "/api/v1/incidents/{node}/{name}/acts", tag = "incidents", request_body = IncidentActBody,
    params(("node" = String, Path, description = "Node at which it was opened"), ("name" = String, Path, description = "Its name there")),
    responses((status = 200, body = IncidentActed), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn act(
    State(app): State<Arc<App>>,
    principal: Principal,
    PathOf((node, name)): PathOf<(String, String)>,
    JsonOf(body): JsonOf<Value>,
) -> ApiResult<axum::Json<IncidentActed>> {
    let id = matter(MatterKind::Incident, &node, &name)?;
    known(&app, &id)?;
    let verb = filled(&app, body)?;
    names_something(&app, &verb)?;
    let done = incident::act(&app, &id, verb, by(&principal)).await;
    let done = done.map_err(|error| not_opened(&app, Some(&id), error))?;
    let incident = view::incident_row(&app, &id).ok_or_else(|| unknown(&id.to_string(), None))?;
    Ok(axum::Json(IncidentActed { incident, act: done.act.to_string(), warning: done.warning }))
}

//! Plans (预案): steps that are bound to kinds of incidents.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use fengsui_config::limits;
use fengsui_duty::act::{MatterKind, Verb};
use fengsui_duty::book::{Book, Matters};
use fengsui_duty::define::{Defined, PlanBody, PlanStep, PlanVerb};
use http::header::ETAG;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::definitions::{self, Definable, DefinitionHead, Standing, fault, words};
use crate::app::App;
use crate::auth::access::Principal;
use crate::http::problem::{ApiError, ApiResult, JsonOf, PathOf, Problem};

/// A plan.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanView {
    /// What is told of every definition.
    #[serde(flatten)]
    head: DefinitionHead,
    /// What it is.
    #[schema(value_type = PlanSent)]
    body: PlanBody,
}

/// All plans.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanList {
    /// In order of their names.
    items: Vec<PlanView>,
}

/// One step as it is sent.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanStepSent {
    /// 1 to 24 of `a-z`, `0-9` and `-`; unique in the plan.
    #[serde(default)]
    id: String,
    /// What is to be done.
    #[serde(default)]
    text: String,
    /// Answers that it wants, each with the id of a later step that follows; empty: the one below.
    #[serde(default)]
    answers: BTreeMap<String, String>,
}

/// A plan as it is sent.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanSent {
    /// Its name, unlike that of any other.
    #[serde(default)]
    name: String,
    /// Kinds of incidents for which it is offered; none: all.
    #[serde(default)]
    kinds: Vec<String>,
    /// Steps in order, 1 to 100.
    #[serde(default)]
    steps: Vec<PlanStepSent>,
}

impl Definable for PlanBody {
    const KIND: MatterKind = MatterKind::Plan;
    const NOUN: &'static str = "plan";
    const MOST: usize = limits::PLANS_MAX;
    fn matters(book: &Book) -> &Matters<Defined<Self>> {
        &book.plans
    }
    fn define(self) -> Verb {
        Verb::Plan(PlanVerb::Define(self))
    }
    fn remove() -> Verb {
        Verb::Plan(PlanVerb::Remove)
    }
    fn name(&self) -> &str {
        &self.name
    }
}

/// Characters of the id of a step.
const STEP_ID_CHARS_MAX: usize = 24;

impl PlanSent {
    /// The plan, when it can be one.
    fn read(self) -> ApiResult<PlanBody> {
        let name = words("name", &self.name, limits::UNIT_NAME_CHARS_MAX)?;
        let kind =
            |(i, kind): (usize, &String)| words(&format!("kinds[{i}]"), kind, limits::UNIT_NAME_CHARS_MAX);
        let kinds = self.kinds.iter().enumerate().map(kind).collect::<ApiResult<BTreeSet<_>>>()?;
        if self.steps.is_empty() {
            return Err(fault("steps", "[]", "is empty", "Write at least one step."));
        }
        if self.steps.len() > limits::PLAN_STEPS_MAX {
            let what = format!("has more than {} steps", limits::PLAN_STEPS_MAX);
            return Err(fault("steps", self.steps.len(), &what, "Make two plans of it."));
        }
        let place: BTreeMap<&str, usize> =
            self.steps.iter().enumerate().rev().map(|(i, step)| (step.id.as_str(), i)).collect();
        let steps = self.steps.iter().enumerate().map(|(i, step)| step.read(i, &place));
        Ok(PlanBody { name, kinds: kinds.into_iter().collect(), steps: steps.collect::<ApiResult<_>>()? })
    }
}

impl PlanStepSent {
    fn read(&self, i: usize, place: &BTreeMap<&str, usize>) -> ApiResult<PlanStep> {
        let field = |member: &str| format!("steps[{i}].{member}");
        let good = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if self.id.is_empty() || self.id.len() > STEP_ID_CHARS_MAX || !self.id.bytes().all(good) {
            let what = "is not 1 to 24 of a-z, 0-9 and -";
            return Err(fault(&field("id"), &self.id, what, "Write a short word, for example call-station."));
        }
        if place.get(self.id.as_str()) != Some(&i) {
            return Err(fault(&field("id"), &self.id, "stands twice", "Give each step an id of its own."));
        }
        let text = words(&field("text"), &self.text, limits::UNIT_TEXT_CHARS_MAX)?;
        if self.answers.len() > limits::PLAN_ANSWERS_MAX {
            let what = format!("has more than {} answers", limits::PLAN_ANSWERS_MAX);
            return Err(fault(&field("answers"), self.answers.len(), &what, "Ask in two steps."));
        }
        let answers = self.answers.iter().map(|(answer, target)| {
            let field = field(&format!("answers.{answer}"));
            let answer = words(&field, answer, limits::UNIT_NAME_CHARS_MAX)?;
            match place.get(target.as_str()) {
                _ if target.is_empty() => Ok((answer, String::new())),
                Some(at) if *at > i => Ok((answer, target.clone())),
                Some(_) => Err(fault(
                    &field,
                    target,
                    "leads back",
                    "Answers go forward only, so that a plan ends: name a later step.",
                )),
                None => Err(fault(
                    &field,
                    target,
                    "is no step of this plan",
                    "Name a later step, or leave it empty for the next one.",
                )),
            }
        });
        Ok(PlanStep { id: self.id.clone(), text, answers: answers.collect::<ApiResult<_>>()? })
    }
}

fn view(one: Standing<PlanBody>) -> PlanView {
    PlanView { head: one.head, body: one.body }
}

fn tagged(status: StatusCode, one: Standing<PlanBody>) -> Response {
    let tag = format!("\"{}\"", one.head.version);
    (status, [(ETAG, tag)], axum::Json(view(one))).into_response()
}

/// All plans.
#[utoipa::path(get, path = "/api/v1/plans", tag = "duty", responses((status = 200, body = PlanList), (status = 401, body = Problem)))]
pub async fn list(State(app): State<Arc<App>>) -> axum::Json<PlanList> {
    let all = app.duty.read(definitions::all::<PlanBody>);
    axum::Json(PlanList { items: all.into_iter().map(view).collect() })
}

/// One plan; its version is also the `ETag`.
#[utoipa::path(get, path = "/api/v1/plans/{node}/{name}", tag = "duty",
    params(("node" = String, Path, description = "Node at which it was made"), ("name" = String, Path, description = "Its name there")),
    responses((status = 200, body = PlanView), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn one(
    State(app): State<Arc<App>>,
    PathOf((node, name)): PathOf<(String, String)>,
) -> ApiResult<Response> {
    let id = definitions::path_id::<PlanBody>(&node, &name)?;
    Ok(tagged(StatusCode::OK, definitions::one(&app, &id)?))
}

/// Makes a plan. Incidents that are handled by an older version of it go on by that.
#[utoipa::path(post, path = "/api/v1/plans", tag = "duty", request_body = PlanSent, responses(
    (status = 201, body = PlanView), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem)))]
pub async fn create(
    State(app): State<Arc<App>>,
    principal: Principal,
    JsonOf(body): JsonOf<Value>,
) -> ApiResult<Response> {
    let body = definitions::draft::<PlanSent>(body)?.read()?;
    Ok(tagged(StatusCode::CREATED, definitions::create(&app, &principal, body).await?))
}

/// Changes a plan, while `If-Match` names its newest version.
#[utoipa::path(put, path = "/api/v1/plans/{node}/{name}", tag = "duty", request_body = PlanSent,
    params(("node" = String, Path, description = "Node at which it was made"), ("name" = String, Path, description = "Its name there"),
        ("If-Match" = String, Header, description = "`version` of what was read")),
    responses((status = 200, body = PlanView), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn replace(
    State(app): State<Arc<App>>,
    principal: Principal,
    PathOf((node, name)): PathOf<(String, String)>,
    headers: HeaderMap,
    JsonOf(body): JsonOf<Value>,
) -> ApiResult<Response> {
    let id = definitions::path_id::<PlanBody>(&node, &name)?;
    let body = definitions::draft::<PlanSent>(body)?.read()?;
    Ok(tagged(StatusCode::OK, definitions::replace(&app, &principal, &id, &headers, body).await?))
}

/// Removes a plan, while `If-Match` names its newest version. Incidents that are handled by it go on by it.
#[utoipa::path(delete, path = "/api/v1/plans/{node}/{name}", tag = "duty",
    params(("node" = String, Path, description = "Node at which it was made"), ("name" = String, Path, description = "Its name there"),
        ("If-Match" = String, Header, description = "`version` of what was read")),
    responses((status = 204), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn remove(
    State(app): State<Arc<App>>,
    principal: Principal,
    PathOf((node, name)): PathOf<(String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let id = definitions::path_id::<PlanBody>(&node, &name)?;
    definitions::remove::<PlanBody>(&app, &principal, &id, &headers).await?;
    Ok(StatusCode::NO_CONTENT)
}

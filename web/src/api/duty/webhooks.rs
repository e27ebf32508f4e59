//! How webhooks stand, and sending again what was given up.

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::access::Principal;
use crate::duty::outward::hook::Hook;
use crate::http::problem::{ApiError, ApiResult, PathOf, Problem};

/// A dead letter: an event that was given up.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeadLetterView {
    /// The act.
    #[schema(example = "kecheng.3.4711")]
    act: String,
    /// Its matter.
    subject: String,
    /// Type of the event.
    kind: String,
    /// How often it was tried.
    attempts: u32,
    /// When first.
    first_us: i64,
    /// When it was given up.
    at_us: i64,
    /// What the last attempt came to.
    detail: String,
}

/// A webhook.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookView {
    /// Its name.
    name: String,
    /// Where events go.
    url: String,
    /// Types of events; empty: all but the counting of events.
    kinds: Vec<String>,
    /// `delivering` or `failing`.
    state: &'static str,
    /// Records of the journal that it has not gone through; most are of no interest to it.
    backlog: u64,
    /// Events taken since the start.
    delivered: u64,
    /// When the last was taken.
    delivered_us: Option<i64>,
    /// What the last attempt came to, while it fails.
    error: Option<String>,
    /// Attempts at the event in front, while it fails.
    attempts: Option<u32>,
    /// When it is tried again, while it fails.
    next_us: Option<i64>,
    /// Dead letters in all.
    dead: u64,
    /// The newest of them.
    dead_letters: Vec<DeadLetterView>,
}

fn view(hook: &Hook) -> WebhookView {
    let (state, config) = (hook.state(), hook.config());
    let failing = state.failing.as_ref();
    let letter = |letter: &crate::duty::outward::dead::DeadLetter| DeadLetterView {
        act: letter.act.clone(),
        subject: letter.subject.clone(),
        kind: letter.kind.clone(),
        attempts: letter.attempts,
        first_us: letter.first_us.0,
        at_us: letter.at_us.0,
        detail: letter.detail.clone(),
    };
    WebhookView {
        name: config.name.clone(),
        url: config.url.to_string(),
        kinds: config.kinds.clone(),
        state: if failing.is_some() { "failing" } else { "delivering" },
        backlog: hook.backlog(),
        delivered: state.delivered,
        delivered_us: state.delivered_at.map(|at| at.0),
        error: failing.map(|failing| failing.detail.clone()),
        attempts: failing.map(|failing| failing.attempts.made),
        next_us: failing.map(|failing| failing.next.0),
        dead: state.dead.count,
        dead_letters: state.dead.listed.iter().rev().map(letter).collect(),
    }
}

/// All webhooks.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookList {
    /// By name.
    items: Vec<WebhookView>,
}

/// How the webhooks of the configuration stand; without their secrets.
#[utoipa::path(get, path = "/api/v1/webhooks", tag = "duty", responses(
    (status = 200, body = WebhookList), (status = 401, body = Problem), (status = 403, body = Problem)))]
pub async fn list(State(app): State<Arc<App>>) -> axum::Json<WebhookList> {
    axum::Json(WebhookList { items: app.outward.hooks().iter().map(|hook| view(hook)).collect() })
}

/// What is tried again.
#[derive(Debug, Serialize, ToSchema)]
pub struct RetryView {
    /// Dead letters that are sent again now.
    again: usize,
}

/// Tries at once what waits, and sends the listed dead letters again.
#[utoipa::path(post, path = "/api/v1/webhooks/{name}/retry", tag = "duty",
    params(("name" = String, Path, description = "Name of the webhook")), responses(
    (status = 200, body = RetryView), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn retry(
    State(app): State<Arc<App>>,
    principal: Principal,
    PathOf(name): PathOf<String>,
) -> ApiResult<axum::Json<RetryView>> {
    let hook = app.outward.hook(&name).ok_or_else(|| {
        ApiError::not_found(format!("There is no webhook {name}."))
            .remedy("Look at GET /api/v1/webhooks; webhooks stand in the configuration.")
    })?;
    Ok(axum::Json(RetryView { again: hook.retry(&principal.user().name) }))
}

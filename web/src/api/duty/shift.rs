//! The change of shifts over HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use fengsui_config::clock::UtcMicros;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::access::Principal;
use crate::auth::rights::Right;
use crate::duty::ActError;
use crate::duty::shift::{self, ShiftError, Signature};
use crate::http::problem::{ApiError, ApiResult, JsonOf, Problem, Refusal};

/// A hand-over.
#[derive(Debug, Serialize, ToSchema)]
pub struct HandOverView {
    /// Who left.
    from: String,
    /// Who comes.
    to: String,
    /// When.
    at_us: i64,
    /// What they have to know.
    note: String,
    /// What was open then: `new`, `acknowledged`, `in_progress` alarms, `incidents`, `units` under way.
    open: BTreeMap<String, u64>,
    /// Whether the signature is of this text and this node's key.
    signature: Signature,
    /// The key that signed it.
    key: String,
    /// When who was named took over; absent while they have not.
    taken_us: Option<i64>,
    /// What they said.
    taken_note: Option<String>,
}

/// The shift.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShiftView {
    /// The node.
    node: String,
    /// The newest hand-over; absent before the first.
    hand_over: Option<HandOverView>,
    /// What is open now, by the same names.
    open: BTreeMap<String, u64>,
    /// Names of accounts to which a shift can be handed.
    people: Vec<String>,
    /// Now.
    now_us: i64,
}

/// A hand-over that is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HandOverBody {
    /// Who comes: the name of an account.
    to: String,
    /// What they have to know, 1 to 4000 characters.
    note: String,
}

/// A take-over.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TakeOverBody {
    /// Words, at most 4000 characters.
    #[serde(default)]
    note: String,
}

impl From<ShiftError> for ApiError {
    fn from(error: ShiftError) -> Self {
        match error {
            ShiftError::Field(field, what, remedy) => Self::bad(field, what).remedy(remedy),
            ShiftError::NoKey => Self::new(Refusal::Unavailable, "The node cannot sign now.")
                .remedy("Wait until the node has started."),
            ShiftError::Act(ActError::Illegal(illegal)) => {
                Self::new(Refusal::Conflict, illegal.detail).remedy(illegal.remedy)
            }
            ShiftError::Act(ActError::Register(e)) => {
                Self::internal("write the hand-over to the journal", &e)
            }
        }
    }
}

/// Who could come: accounts with which somebody may act.
fn people(app: &App) -> Vec<String> {
    let accounts = app.auth.accounts.read();
    accounts.all().filter(|account| account.may(Right::Act)).map(|account| account.name.clone()).collect()
}

fn view(app: &App) -> ShiftView {
    let hand_over = shift::newest(app).and_then(|newest| {
        let (to, note, open, key) = shift::handed(&newest)?;
        let taken = newest.taken.clone();
        Some(HandOverView {
            from: newest.from.name.clone(),
            to,
            at_us: newest.at_us.0,
            note,
            open,
            signature: shift::check(app, app.duty.node(), &newest),
            key,
            taken_us: taken.as_ref().map(|(at, _): &(UtcMicros, String)| at.0),
            taken_note: taken.map(|(_, note)| note).filter(|note| !note.is_empty()),
        })
    });
    ShiftView {
        node: app.node.id.clone(),
        hand_over,
        open: app.duty.read(shift::open_counts),
        people: people(app),
        now_us: app.clock.utc().0,
    }
}

/// The newest hand-over of this node with a look at its signature, and what is open now.
#[utoipa::path(get, path = "/api/v1/shift", tag = "duty", responses(
    (status = 200, body = ShiftView), (status = 401, body = Problem)))]
pub async fn show(State(app): State<Arc<App>>) -> axum::Json<ShiftView> {
    axum::Json(view(&app))
}

/// Hands the shift over: what is open and the note are signed by the node's key and stay in the journal.
#[utoipa::path(post, path = "/api/v1/shift/hand-over", tag = "duty", request_body = HandOverBody, responses(
    (status = 200, body = ShiftView), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem)))]
pub async fn hand_over(
    State(app): State<Arc<App>>,
    principal: Principal,
    JsonOf(body): JsonOf<HandOverBody>,
) -> ApiResult<axum::Json<ShiftView>> {
    shift::hand_over(&app, &principal.user().name, &body.to, &body.note).await?;
    Ok(axum::Json(view(&app)))
}

/// Takes the shift over: whoever was named, and once.
#[utoipa::path(post, path = "/api/v1/shift/take-over", tag = "duty", request_body = TakeOverBody, responses(
    (status = 200, body = ShiftView), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 409, body = Problem)))]
pub async fn take_over(
    State(app): State<Arc<App>>,
    principal: Principal,
    JsonOf(body): JsonOf<TakeOverBody>,
) -> ApiResult<axum::Json<ShiftView>> {
    shift::take_over(&app, &principal.user().name, &body.note).await?;
    Ok(axum::Json(view(&app)))
}

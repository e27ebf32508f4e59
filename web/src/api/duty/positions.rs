//! Where units are: reported by themselves or by a system that follows them, and told to a centre above.

use std::sync::Arc;

use axum::extract::State;
use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::NationalCode;
use fengsui_duty::act::MatterId;
use fengsui_duty::define::UnitBody;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::definitions::{self, fault};
use crate::app::App;
use crate::auth::access::EventSender;
use crate::auth::tokens::Token;
use crate::duty::units::PositionRefused;
use crate::duty::whereabouts::{self, WhereaboutsList};
use crate::http::problem::{ApiError, ApiResult, JsonOf, PathOf, Problem, Refusal};

/// Where units said last that they are, for a centre above.
#[utoipa::path(get, path = "/api/v1/units/positions", tag = "duty", responses(
    (status = 200, body = WhereaboutsList), (status = 401, body = Problem)))]
pub async fn list(State(app): State<Arc<App>>) -> axum::Json<WhereaboutsList> {
    axum::Json(whereabouts::here(&app))
}

/// Where a unit is.
#[derive(Debug, Deserialize, ToSchema)]
pub struct UnitPositionBody {
    /// WGS-84 latitude.
    pub lat: f64,
    /// WGS-84 longitude.
    pub lon: f64,
    /// When it was there; now when absent. At most an hour old and a minute ahead.
    pub at_us: Option<i64>,
}

/// What became of a position.
#[derive(Debug, Serialize, ToSchema)]
pub struct UnitPositionAnswer {
    /// It is the newest; otherwise a newer one is known.
    newest: bool,
}

/// Notes where a unit is, in memory alone. A token must reach everywhere, or every place of the unit's area.
#[utoipa::path(post, path = "/api/v1/units/{node}/{name}/position", tag = "duty", request_body = UnitPositionBody,
    params(("node" = String, Path, description = "Node at which it was made"), ("name" = String, Path, description = "Its name there")),
    responses((status = 200, body = UnitPositionAnswer), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem), (status = 429, body = Problem)))]
pub async fn report(
    State(app): State<Arc<App>>,
    sender: EventSender,
    PathOf((node, name)): PathOf<(String, String)>,
    JsonOf(body): JsonOf<UnitPositionBody>,
) -> ApiResult<axum::Json<UnitPositionAnswer>> {
    let id = definitions::path_id::<UnitBody>(&node, &name)?;
    let unit = definitions::one::<UnitBody>(&app, &id)?;
    if let EventSender::Token(token) = sender {
        may_tell(&app, &token, &unit.body)?;
    }
    put(&app, &id, &body)
}

fn may_tell(app: &App, token: &Token, unit: &UnitBody) -> ApiResult<()> {
    let (draft, scope) = (&token.draft, &token.draft.scope);
    let within = |code: &String| code.parse::<NationalCode>().is_ok_and(|code| scope.places.contains(&code));
    if !scope.everywhere && (unit.area.is_empty() || !unit.area.iter().all(within)) {
        let detail = format!("This token may not tell where {} is.", unit.name);
        return Err(ApiError::new(Refusal::Forbidden, detail)
            .remedy("Ask an administrator for a token that reaches everywhere, or the places of the unit."));
    }
    app.desk.rate(&draft.id, draft.rate, 1, app.clock.mono()).map_err(|wait| {
        let detail = format!("The token {} sends at most {} reports a minute.", draft.name, draft.rate);
        ApiError::new(Refusal::TooManyEvents, detail).remedy("Report less often.").retry_after(wait)
    })
}

/// Takes a position in.
///
/// # Errors
/// When it can be none.
pub fn put(app: &App, id: &MatterId, body: &UnitPositionBody) -> ApiResult<axum::Json<UnitPositionAnswer>> {
    let now = app.clock.utc();
    let at = body.at_us.map_or(now, UtcMicros);
    let put = app.units.positions.put(id, (body.lat, body.lon), at, now);
    let newest = put.map_err(|refused| match refused {
        PositionRefused::NoPoint => fault(
            "lat",
            format!("{}, {}", body.lat, body.lon),
            "is no point on the globe",
            "Send WGS-84 degrees.",
        ),
        PositionRefused::Ahead => {
            fault("at_us", at.0, "is of a time that has not come yet", "Set the clock of the device.")
        }
        PositionRefused::Old => {
            fault("at_us", at.0, "is more than an hour old", "Send where the unit is now.")
        }
    })?;
    Ok(axum::Json(UnitPositionAnswer { newest }))
}

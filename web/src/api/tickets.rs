//! Media tickets for players that cannot send a cookie.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{CameraId, StreamKey, StreamKind};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::footage::RangeQuery;
use crate::app::App;
use crate::auth::access::Principal;
use crate::auth::register::kinds;
use crate::auth::tickets::TICKET_RANGE_MAX;
use crate::http::problem::{ApiError, ApiResult, JsonOf, Problem};

/// What the ticket is to open.
#[derive(Debug, Deserialize, ToSchema)]
pub struct TicketBody {
    /// National 20-digit code.
    #[schema(value_type = String)]
    camera: CameraId,
    /// `main` or `sub`.
    #[schema(value_type = String, example = "main")]
    stream: StreamKind,
    /// First microsecond.
    from_us: i64,
    /// First microsecond after.
    to_us: i64,
}

/// A ticket.
#[derive(Debug, Serialize, ToSchema)]
pub struct TicketView {
    /// To be sent as `?ticket=`.
    pub ticket: String,
    /// When it ends.
    pub expires_us: i64,
    /// Address of the playlist, with the ticket, on this host.
    pub hls_url: String,
}

/// Makes a ticket for one stream and range of time. It is in the journal before it is given.
#[utoipa::path(post, path = "/api/v1/tickets", tag = "footage", request_body = TicketBody, responses(
    (status = 201, body = TicketView), (status = 400, body = Problem), (status = 401, body = Problem)))]
pub async fn create(
    State(app): State<Arc<App>>,
    principal: Principal,
    JsonOf(body): JsonOf<TicketBody>,
) -> ApiResult<Response> {
    let asked = RangeQuery { from_us: body.from_us, to_us: body.to_us };
    let (from, to): (UtcMicros, UtcMicros) = asked.checked(TICKET_RANGE_MAX)?;
    let key = StreamKey { camera: body.camera, stream: body.stream };
    let access = principal.camera(key)?;
    let name = access.principal().user().name.as_ref();
    let (ticket, expires) = app.auth.tickets.issue(name, key, from, to);
    let row = json!({
        "by": name, "address": principal.address().to_string(), "camera": key.camera, "stream": key.stream,
        "from_us": from.0, "to_us": to.0, "expires_us": expires.0,
    });
    let written = app.auth.register.append(kinds::TICKET_ISSUED, row).await;
    written.map_err(|e| ApiError::internal("write the ticket to the journal", &e))?;
    let hls_url = format!(
        "/api/v1/footage/{}/{}/hls.m3u8?from_us={}&to_us={}&ticket={ticket}",
        key.camera, key.stream, from.0, to.0
    );
    let view = TicketView { ticket, expires_us: expires.0, hls_url };
    Ok((StatusCode::CREATED, axum::Json(view)).into_response())
}

//! The description of the API (OpenAPI 3.1). `web/openapi.json` is the committed copy; a test compares both it and the
//! table of routes with this.

use axum::response::{IntoResponse as _, Response};
use http::header::CONTENT_TYPE;
use utoipa::OpenApi;

/// The description.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Fengsui",
        description = "City video surveillance: cameras, live pictures, footage. Times named `*_us` are microseconds \
                       since 1970-01-01T00:00:00Z on the node's clock. Errors are `application/problem+json` \
                       (RFC 9457) with a stable `code`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        super::session::show, super::session::login, super::session::logout, super::session::setup,
        super::system::show, super::system::topology, super::system::reload, super::system::healthz,
        super::metrics::show, super::integrity::show, super::integrity::check, super::events::stream, show,
        super::cameras::list, super::cameras::one, super::cameras::csv,
        crate::live::socket::upgrade,
        super::days::show, super::footage::timeline, super::footage::gops, super::footage::init, super::footage::gop,
        super::footage::still, super::footage::segments, super::footage::segment,
        super::hls::playlist, super::hls::init, super::hls::part,
        super::tickets::create,
        super::volumes::list, super::volumes::order,
    ),
    tags(
        (name = "session", description = "Log in and out"),
        (name = "system", description = "The node"),
        (name = "cameras", description = "Cameras and their states"),
        (name = "live", description = "Live pictures"),
        (name = "volumes", description = "Disks that hold footage"),
        (name = "footage", description = "Stored pictures"),
    )
)]
pub struct Description;

/// As JSON.
#[must_use]
pub fn text() -> String {
    let mut text = Description::openapi().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// The description of this API.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "system", responses(
    (status = 200, content_type = "application/json", body = String)))]
pub async fn show() -> Response {
    ([(CONTENT_TYPE, "application/json")], text()).into_response()
}

//! The HTTP API and its table of routes.

pub mod cameras;
pub mod days;
pub mod events;
pub mod footage;
pub mod hls;
pub mod integrity;
pub mod metrics;
pub mod openapi;
pub mod session;
pub mod system;
#[cfg(test)]
mod tests;
pub mod tickets;
pub mod view;
pub mod volumes;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn;
use axum::response::IntoResponse as _;
use fengsui_config::limits;
use http::Method;

use crate::app::App;
use crate::http::headers;
use crate::http::policy::{Entry, Policy, Routes};
use crate::http::problem::{ApiError, Refusal};
use crate::{live, logs, ui};

/// Every route with its policy, the UI behind them, and what all answers carry.
pub fn router(app: Arc<App>) -> (Router, Vec<Entry>) {
    let (router, table) = routes(app).finish();
    let router = router
        .fallback(ui::serve)
        .method_not_allowed_fallback(|method: Method| async move {
            ApiError::new(Refusal::MethodNotAllowed, format!("{method} is not for this address."))
                .into_response()
        })
        .layer(DefaultBodyLimit::max(limits::HTTP_BODY_BYTES_MAX))
        .layer(from_fn(logs::request))
        .layer(from_fn(headers::secure));
    (router, table)
}

fn routes(app: Arc<App>) -> Routes {
    use Policy::{Camera, CameraOrTicket, LoggedIn, LoggedInOrLocal, Public, SetupOnly};
    const FOOTAGE: [&str; 10] = [
        "/api/v1/footage/{camera}/{stream}/timeline",
        "/api/v1/footage/{camera}/{stream}/gops",
        "/api/v1/footage/{camera}/{stream}/init/{init}",
        "/api/v1/footage/{camera}/{stream}/gop/{id}",
        "/api/v1/footage/{camera}/{stream}/still",
        "/api/v1/footage/{camera}/{stream}/segments",
        "/api/v1/footage/{camera}/{stream}/segments/{name}",
        "/api/v1/footage/{camera}/{stream}/hls.m3u8",
        "/api/v1/footage/{camera}/{stream}/hls/{segment}/init.mp4",
        "/api/v1/footage/{camera}/{stream}/hls/{segment}/{part}",
    ];
    let [timeline, gops, init, gop, still, segments, segment, hls, hls_init, hls_part] = FOOTAGE;
    Routes::new(app)
        .on(Method::GET, "/healthz", Public, system::healthz)
        .on(Method::GET, "/metrics", LoggedInOrLocal, metrics::show)
        .on(Method::GET, "/api/v1/openapi.json", Public, openapi::show)
        .on(Method::POST, "/api/v1/setup", SetupOnly, session::setup)
        .on(Method::GET, "/api/v1/session", LoggedIn, session::show)
        .on(Method::POST, "/api/v1/session", Public, session::login)
        .on(Method::DELETE, "/api/v1/session", LoggedIn, session::logout)
        .on(Method::GET, "/api/v1/system", LoggedIn, system::show)
        .on(Method::POST, "/api/v1/reload", LoggedIn, system::reload)
        .on(Method::GET, "/api/v1/integrity", LoggedIn, integrity::show)
        .on(Method::POST, "/api/v1/integrity/checks", LoggedIn, integrity::check)
        .on(Method::GET, "/api/v1/volumes", LoggedIn, volumes::list)
        .on(Method::POST, "/api/v1/volumes/{volume}/{order}", LoggedIn, volumes::order)
        .on(Method::GET, "/api/v1/topology", LoggedIn, system::topology)
        .on(Method::GET, "/api/v1/cameras", LoggedIn, cameras::list)
        .on(Method::GET, "/api/v1/cameras.csv", LoggedIn, cameras::csv)
        .on(Method::GET, "/api/v1/cameras/{code}", LoggedIn, cameras::one)
        .on(Method::GET, "/api/v1/events", LoggedIn, events::stream)
        .on(Method::GET, "/api/v1/live/ws", LoggedIn, live::socket::upgrade)
        .on(Method::POST, "/api/v1/tickets", LoggedIn, tickets::create)
        .on(Method::GET, "/api/v1/footage/days", LoggedIn, days::show)
        .on(Method::GET, timeline, Camera, footage::timeline)
        .on(Method::GET, gops, Camera, footage::gops)
        .on(Method::GET, init, Camera, footage::init)
        .on(Method::GET, gop, Camera, footage::gop)
        .on(Method::GET, still, Camera, footage::still)
        .on(Method::GET, segments, CameraOrTicket, footage::segments)
        .on(Method::GET, segment, CameraOrTicket, footage::segment)
        .on(Method::GET, hls, CameraOrTicket, hls::playlist)
        .on(Method::GET, hls_init, CameraOrTicket, hls::init)
        .on(Method::GET, hls_part, CameraOrTicket, hls::part)
}

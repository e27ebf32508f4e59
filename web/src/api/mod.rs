//! The HTTP API and its table of routes.

#[cfg(test)]
mod account_tests;
pub mod accounts;
pub mod archive;
pub mod cameras;
pub mod days;
pub mod duty;
pub mod event_post;
pub mod event_rows;
#[cfg(test)]
mod event_tests;
pub mod events;
pub mod far;
#[cfg(test)]
mod far_tests;
pub mod footage;
pub mod hls;
pub mod holds;
pub mod integrity;
pub mod journal;
pub mod metrics;
pub mod node_config;
#[cfg(test)]
mod node_config_tests;
pub mod node_live;
#[cfg(test)]
mod node_tests;
pub mod nodes;
pub mod openapi;
#[cfg(test)]
mod remote_tests;
pub mod retention;
#[cfg(test)]
mod retention_tests;
pub mod search;
pub mod session;
pub mod standby;
#[cfg(test)]
mod standby_tests;
pub mod states;
pub mod system;
#[cfg(test)]
mod tests;
pub mod tickets;
pub mod tokens;
pub mod view;
pub mod volumes;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler as _;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::IntoResponse as _;
use fengsui_config::limits;
use http::Method;

use crate::app::App;
use crate::command::follow::STATES_PATH;
use crate::http::headers;
use crate::http::policy::{Entry, Policy, Routes};
use crate::http::problem::{ApiError, Refusal};
use crate::{live, logs, ui};
use far::Shows;

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
    use Policy::{
        Administrator, Auditor, Centre, LoggedIn, LoggedInOrLocal, LoggedInOrToken, Operator, Public,
        SetupOnly,
    };
    footage_routes(duty::all_routes(node_routes(Routes::new(app.clone()))), &app)
        .on(Method::GET, "/healthz", Public, system::healthz)
        .on(Method::GET, "/metrics", LoggedInOrLocal, metrics::show)
        .on(Method::GET, "/api/v1/openapi.json", Public, openapi::show)
        .on(Method::POST, "/api/v1/setup", SetupOnly, session::setup)
        .on(Method::GET, "/api/v1/session", LoggedIn, session::show)
        .on(Method::POST, "/api/v1/session", Public, session::login)
        .on(Method::DELETE, "/api/v1/session", LoggedIn, session::logout)
        .on(Method::POST, "/api/v1/session/password", LoggedIn, accounts::set_own_password)
        .on(Method::GET, "/api/v1/people", Operator, accounts::people)
        .on(Method::GET, "/api/v1/accounts", Administrator, accounts::list)
        .on(Method::POST, "/api/v1/accounts", Administrator, accounts::make)
        .on(Method::PATCH, "/api/v1/accounts/{name}", Administrator, accounts::change)
        .on(Method::POST, "/api/v1/accounts/{name}/password", Administrator, accounts::set_password)
        .on(Method::GET, "/api/v1/system", LoggedIn, system::show)
        .on(Method::GET, "/api/v1/archive", LoggedIn, archive::show)
        .on(Method::POST, "/api/v1/reload", Administrator, system::reload)
        .on(Method::GET, "/api/v1/integrity", LoggedIn, integrity::show)
        .on(Method::POST, "/api/v1/integrity/checks", Administrator, integrity::check)
        .on(Method::GET, "/api/v1/volumes", LoggedIn, volumes::list)
        .on(Method::POST, "/api/v1/volumes/{volume}/{order}", Administrator, volumes::order)
        .on(Method::GET, "/api/v1/holds", LoggedIn, holds::list)
        .on(Method::POST, "/api/v1/holds", Administrator, holds::place)
        .on(Method::GET, "/api/v1/holds/{id}", LoggedIn, holds::one)
        .on(Method::PATCH, "/api/v1/holds/{id}", Administrator, holds::extend)
        .on(Method::POST, "/api/v1/holds/{id}/release", Administrator, holds::release)
        .on(Method::GET, "/api/v1/retention", LoggedIn, retention::show)
        .on(Method::GET, "/api/v1/retention/plan", LoggedIn, retention::plan)
        .on(Method::GET, "/api/v1/retention/register", LoggedIn, retention::register)
        .on(Method::GET, "/api/v1/journal", Auditor, journal::page)
        .on(Method::GET, "/api/v1/topology", LoggedIn, system::topology)
        .on(Method::GET, "/api/v1/cameras", LoggedIn, cameras::list)
        .on(Method::GET, "/api/v1/cameras.csv", LoggedIn, cameras::csv)
        .on(Method::GET, STATES_PATH, Centre, states::stream)
        .on(Method::GET, "/api/v1/cameras/{code}", LoggedIn, cameras::one)
        .on(Method::GET, "/api/v1/events", LoggedIn, events::stream)
        .on(Method::POST, "/api/v1/events", LoggedInOrToken, event_post::post)
        .on(Method::GET, "/api/v1/events/rows", LoggedIn, event_rows::rows)
        .on(Method::GET, "/api/v1/events/rows/{row}", LoggedIn, event_rows::row)
        .on(Method::GET, "/api/v1/events/records", LoggedIn, event_rows::records)
        .on(Method::GET, "/api/v1/tokens", Administrator, tokens::list)
        .on(Method::POST, "/api/v1/tokens", Administrator, tokens::make)
        .on(Method::POST, "/api/v1/tokens/{token}/revoke", Administrator, tokens::revoke)
        .on(Method::GET, "/api/v1/live/ws", LoggedIn, live::socket::upgrade)
        .on(Method::POST, "/api/v1/tickets", LoggedIn, tickets::create)
        .on(Method::GET, "/api/v1/footage/days", LoggedIn, days::show)
}

/// Routes of stored pictures; those of cameras of other nodes are asked of these.
fn footage_routes(routes: Routes, app: &Arc<App>) -> Routes {
    use Policy::{Camera, CameraOrTicket};
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
    let far = |shows| from_fn_with_state((app.clone(), shows), far::or_here);
    let (gop_part, file, hls_file) = (Shows::Part("playback"), Shows::Part("segment"), Shows::Part("hls"));
    routes
        .on(Method::GET, timeline, Camera, footage::timeline.layer(far(Shows::Times)))
        .on(Method::GET, gops, Camera, footage::gops.layer(far(Shows::Pictures)))
        .on(Method::GET, init, Camera, footage::init.layer(far(Shows::SetUp)))
        .on(Method::GET, gop, Camera, footage::gop.layer(far(gop_part)))
        .on(Method::GET, still, Camera, footage::still.layer(far(Shows::Still)))
        .on(Method::GET, segments, CameraOrTicket, footage::segments.layer(far(Shows::Names)))
        .on(Method::GET, segment, CameraOrTicket, footage::segment.layer(far(file)))
        .on(Method::GET, hls, CameraOrTicket, hls::playlist.layer(far(Shows::Playlist)))
        .on(Method::GET, hls_init, CameraOrTicket, hls::init.layer(far(hls_file)))
        .on(Method::GET, hls_part, CameraOrTicket, hls::part.layer(far(hls_file)))
}

/// Routes about other nodes.
fn node_routes(routes: Routes) -> Routes {
    use Policy::{Administrator, Centre, CentreCamera, LoggedIn, Public};
    routes
        .on(Method::GET, "/api/v1/search", LoggedIn, search::search)
        .on(Method::GET, "/api/v1/node/live/{camera}/{stream}", CentreCamera, node_live::show)
        .on(Method::POST, "/api/v1/node/live/{camera}/{stream}/viewers", CentreCamera, node_live::viewer)
        .on(Method::GET, "/api/v1/nodes/{id}/config", Administrator, node_config::show)
        .on(Method::PUT, "/api/v1/nodes/{id}/config", Administrator, node_config::save)
        .on(Method::GET, "/api/v1/nodes/{id}/config/{version}", Administrator, node_config::version)
        .on(Method::GET, "/api/v1/node/config", Centre, node_config::current)
        .on(Method::PUT, "/api/v1/node/config", Centre, node_config::offer)
        .on(Method::GET, "/api/v1/node/standby", LoggedIn, standby::show)
        .on(Method::PUT, "/api/v1/node/standby", Centre, standby::follow)
        .on(Method::PUT, "/api/v1/node/backfill/{camera}/{stream}/{segment}", Centre, standby::backfill)
        .on(Method::GET, "/api/v1/nodes", LoggedIn, nodes::list)
        .on(Method::POST, "/api/v1/nodes", Administrator, nodes::invite)
        .on(Method::POST, "/api/v1/nodes/enrolment", Public, nodes::enrol)
        .on(Method::PUT, "/api/v1/nodes/{id}/cameras", Administrator, nodes::assign)
        .on(Method::POST, "/api/v1/nodes/{id}/drain", Administrator, nodes::drain)
        .on(Method::POST, "/api/v1/nodes/{id}/retire", Administrator, nodes::retire)
}

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
        super::accounts::set_own_password, super::accounts::people, super::accounts::list, super::accounts::make,
        super::accounts::change, super::accounts::set_password,
        super::system::show, super::system::topology, super::system::reload, super::system::healthz,
        super::archive::show, super::metrics::show, super::integrity::show, super::integrity::check, super::events::stream, show,
        super::event_post::post, super::event_rows::rows, super::event_rows::row, super::event_rows::records,
        super::tokens::list, super::tokens::make, super::tokens::revoke,
        super::nodes::list, super::nodes::invite, super::nodes::enrol, super::nodes::assign, super::nodes::drain,
        super::nodes::retire, super::node_live::show, super::node_live::viewer,
        super::node_config::show, super::node_config::version, super::node_config::save,
        super::node_config::current, super::node_config::offer,
        super::standby::show, super::standby::follow, super::standby::backfill,
        super::search::search, super::journal::page,
        super::duty::rules::list, super::duty::rules::make, super::duty::rules::change, super::duty::rules::remove,
        super::duty::rules::check_one, super::duty::rules::try_out,
        super::cameras::list, super::cameras::one, super::cameras::csv, super::states::stream,
        crate::live::socket::upgrade,
        super::days::show, super::footage::timeline, super::footage::gops, super::footage::init, super::footage::gop,
        super::footage::still, super::footage::segments, super::footage::segment,
        super::hls::playlist, super::hls::init, super::hls::part,
        super::tickets::create,
        super::volumes::list, super::volumes::order,
        super::holds::list, super::holds::one, super::holds::place, super::holds::extend, super::holds::release,
        super::duty::reports::show, super::duty::reports::csv, super::duty::stream::stream,
        super::duty::shift::show, super::duty::shift::hand_over, super::duty::shift::take_over,
        super::duty::webhooks::list, super::duty::webhooks::retry,
        super::retention::show, super::retention::plan, super::retention::register,
        super::duty::alarms::list, super::duty::alarms::one, super::duty::alarms::act, super::duty::alarms::act_on_many, super::duty::held::held,
        super::duty::incidents::list, super::duty::incidents::open, super::duty::incidents::one, super::duty::incident_acts::act,
        super::duty::attachments::add, super::duty::attachments::show,
        super::duty::notices::list, super::duty::notices::seen, super::duty::node::take,
        super::duty::units::list, super::duty::units::create, super::duty::units::near, super::duty::units::duty,
        super::duty::units::one, super::duty::units::replace, super::duty::units::remove, super::duty::positions::report, super::duty::positions::list,
        super::duty::plans::list, super::duty::plans::create, super::duty::plans::one, super::duty::plans::replace,
        super::duty::plans::remove, super::duty::checkpoints::show,
        super::duty::unit_page::make, super::duty::unit_page::revoke, super::duty::unit_page::open,
        super::duty::unit_page::order, super::duty::unit_page::progress, super::duty::unit_page::position,
    ),
    tags(
        (name = "session", description = "Log in and out"),
        (name = "accounts", description = "People and what they may do"),
        (name = "system", description = "The node"),
        (name = "cameras", description = "Cameras and their states"),
        (name = "events", description = "What happens: from the node, from devices and other systems, from operators"),
        (name = "alarms", description = "What a person must judge"),
        (name = "incidents", description = "What is being handled"),
        (name = "rules", description = "What makes alarms of events"),
        (name = "duty", description = "Alarms, incidents, reports, and what other systems are told of them"),
        (name = "tokens", description = "How devices and other systems are known"),
        (name = "nodes", description = "Nodes below this one, and the way to the one above"),
        (name = "search", description = "Events and footage of this node and all below it"),
        (name = "journal", description = "What was done by whom"),
        (name = "live", description = "Live pictures"),
        (name = "volumes", description = "Disks that hold footage"),
        (name = "footage", description = "Stored pictures"),
        (name = "duty", description = "From event to disposal: units, plans, orders"),
        (name = "retention", description = "How long footage is kept, and what is held"),
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

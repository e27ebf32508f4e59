//! Routes of reports, of the shift, and of what goes to other systems.

use http::Method;

use super::{reports, shift, stream, webhooks};
use crate::http::policy::{Policy, Routes};

/// Adds them.
#[must_use]
pub fn report_routes(routes: Routes) -> Routes {
    use Policy::{LoggedIn, LoggedInOrToken, Operator, Supervisor};
    routes
        .on(Method::GET, "/api/v1/reports", LoggedIn, reports::show)
        .on(Method::GET, "/api/v1/reports.csv", LoggedIn, reports::csv)
        .on(Method::GET, "/api/v1/duty/stream", LoggedInOrToken, stream::stream)
        .on(Method::GET, "/api/v1/shift", LoggedIn, shift::show)
        .on(Method::POST, "/api/v1/shift/hand-over", Operator, shift::hand_over)
        .on(Method::POST, "/api/v1/shift/take-over", Operator, shift::take_over)
        .on(Method::GET, "/api/v1/webhooks", Supervisor, webhooks::list)
        .on(Method::POST, "/api/v1/webhooks/{name}/retry", Supervisor, webhooks::retry)
}

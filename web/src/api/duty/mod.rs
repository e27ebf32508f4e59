//! Alarms and incidents, in the API: lists, single ones, acts, attachments, notices, and what a centre hands down.
//!
//! What is not possible in the state that a matter is in is 409 `conflict` with `why` and the matter as it is now; what is
//! malformed is 400 with field, value and remedy; both change nothing.

pub mod alarms;
pub mod attachments;
pub mod checkpoints;
pub mod definitions;
pub mod held;
pub mod incident_acts;
pub mod incidents;
pub mod node;
pub mod notices;
pub mod outside;
pub mod plans;
pub mod positions;
pub mod reports;
pub mod rules;
pub mod shift;
pub mod stream;
pub mod unit_page;
pub mod units;
pub mod webhooks;

#[cfg(test)]
mod alarm_tests;
#[cfg(test)]
mod attachment_tests;
#[cfg(test)]
mod hold_tests;
#[cfg(test)]
mod incident_tests;
#[cfg(test)]
mod kit;
#[cfg(test)]
mod node_tests;
#[cfg(test)]
mod report_tests;
#[cfg(test)]
mod unit_page_tests;
#[cfg(test)]
mod unit_tests;

use fengsui_config::limits;
use fengsui_duty::act::{By, MatterId, MatterKind};
use fengsui_duty::check::Refusal;
use fengsui_duty::ledger::Illegal;
use http::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::app::App;
use crate::auth::access::Principal;
use crate::duty::ActError;
use crate::duty::incident::OpenError;
use crate::duty::{view, whereabouts};
use crate::http::policy::{Policy, Routes};
use crate::http::problem::{ApiError, ApiResult, Refusal as Kind};

/// Every route of this module.
pub(super) fn all_routes(routes: Routes) -> Routes {
    unit_routes(rule_routes(matter_routes(outside::report_routes(routes))))
}

/// The routes of alarms and incidents.
fn matter_routes(routes: Routes) -> Routes {
    use Policy::{Centre, LoggedIn, LoggedInOrToken, Operator, Supervisor};
    routes
        .on(Method::GET, "/api/v1/alarms", LoggedIn, alarms::list)
        .on(Method::POST, "/api/v1/alarms/acts", Supervisor, alarms::act_on_many)
        .on(Method::GET, "/api/v1/alarms/{node}/{name}", LoggedIn, alarms::one)
        .on(Method::GET, "/api/v1/alarms/{node}/{name}/hold", LoggedIn, held::held)
        .on(Method::POST, "/api/v1/alarms/{node}/{name}/acts", Operator, alarms::act)
        .on(Method::GET, "/api/v1/incidents", LoggedIn, incidents::list)
        .on(Method::POST, "/api/v1/incidents", LoggedInOrToken, incidents::open) // Operator, or a token
        .on(Method::GET, "/api/v1/incidents/{node}/{name}", LoggedIn, incidents::one)
        .on(Method::POST, "/api/v1/incidents/{node}/{name}/acts", Operator, incident_acts::act)
        .on(Method::POST, "/api/v1/incidents/{node}/{name}/attachments", Operator, attachments::add)
        .on(Method::GET, "/api/v1/incidents/{node}/{name}/attachments/{hash}", LoggedIn, attachments::show)
        .on(Method::GET, "/api/v1/duty/notices", Supervisor, notices::list)
        .on(Method::POST, "/api/v1/duty/notices/{act}/seen", Supervisor, notices::seen)
        .on(Method::PUT, "/api/v1/node/duty", Centre, node::take)
}

/// The matter of a path.
fn matter(kind: MatterKind, node: &str, name: &str) -> ApiResult<MatterId> {
    let text = format!("{}/{node}/{name}", kind.as_str());
    text.parse().map_err(|_| unknown(&text, None))
}

fn unknown(what: &str, field: Option<&str>) -> ApiError {
    let error = ApiError::not_found(format!("{what} is not known here."))
        .remedy("Load the list anew; what was just made elsewhere comes over the link in a moment.");
    match field {
        Some(field) => error.field(field),
        None => error,
    }
}

/// Who acts.
fn by(principal: &Principal) -> By {
    By::person(principal.user().name.to_string())
}

/// Reads an act; `known` are those that may be sent.
fn read_verb<T: DeserializeOwned>(body: Value, known: &[&str]) -> ApiResult<T> {
    let listed = || format!("Send one of: {}.", known.join(", "));
    let word = match body.get("do") {
        Some(Value::String(word)) => word.clone(),
        Some(other) => {
            return Err(ApiError::bad("do", format!("`do` is {other} and no word.")).remedy(listed()));
        }
        None => return Err(ApiError::bad("do", "The act does not say what is to be done.").remedy(listed())),
    };
    if !known.contains(&word.as_str()) {
        let shown: String = word.chars().take(60).collect();
        return Err(
            ApiError::bad("do", format!("{shown:?} is nothing that can be done here.")).remedy(listed())
        );
    }
    serde_json::from_value(body).map_err(|error| {
        let text = error.to_string();
        // `missing field `reason`` names it; a value of another kind does not.
        let field = text.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
        let detail = format!("This is no act `{word}`: {text}.");
        ApiError::bad(field.unwrap_or("do"), detail)
            .remedy("Look at the description of the API, and send it again.")
    })
}

/// The problem of a member that cannot be so.
fn invalid(refusal: Refusal) -> ApiError {
    ApiError::bad(&refusal.field, format!("{refusal}.")).remedy(refusal.remedy)
}

/// The problem of an act that did not happen; the matter is shown as it is now.
fn refused(app: &App, matter: &MatterId, error: ActError) -> ApiError {
    match error {
        ActError::Register(error) => ApiError::internal("write the act to the journal", &error)
            .remedy("Look at the state of the matter, and do it again if it was not done."),
        ActError::Illegal(illegal) => illegal_of(app, matter, illegal),
    }
}

fn illegal_of(app: &App, matter: &MatterId, illegal: Illegal) -> ApiError {
    let known = app.duty.read(|book| match matter.kind {
        MatterKind::Alarm => book.alarms.get(matter).is_some_and(|l| l.state().is_some()),
        MatterKind::Incident => book.incidents.get(matter).is_some_and(|l| l.state().is_some()),
        MatterKind::Unit | MatterKind::Plan | MatterKind::Rule | MatterKind::Shift => true,
    });
    if !known && illegal.code == "unknown" {
        return unknown(&matter.to_string(), None);
    }
    let Illegal { code, detail, remedy } = illegal;
    if code == "invalid" {
        return ApiError::bad("act", detail).remedy(remedy);
    }
    let error = ApiError::new(Kind::Conflict, detail).remedy(remedy).why(&code);
    match matter.kind {
        MatterKind::Alarm => error.alarm(view::alarm(app, matter)),
        MatterKind::Incident => error.incident(view::incident_row(app, matter)),
        _ => error,
    }
}

/// The same, of an incident that was not opened or not filled in.
fn not_opened(app: &App, incident: Option<&MatterId>, error: OpenError) -> ApiError {
    match error {
        OpenError::Unknown(field, what) => unknown(&what, Some(field)),
        OpenError::Alarm(alarm, illegal) => illegal_of(app, &alarm, *illegal).field("alarms"),
        OpenError::Invalid(refusal) => invalid(refusal),
        OpenError::OtherBody => ApiError::new(Kind::Conflict, "This key came with another request before.")
            .field("Idempotency-Key")
            .remedy("Send a new random text with each new request."),
        OpenError::Act(ActError::Illegal(illegal)) if incident.is_none() => {
            ApiError::new(Kind::Conflict, illegal.detail).remedy(illegal.remedy).why(&illegal.code)
        }
        OpenError::Act(error) => {
            let none = || MatterId {
                kind: MatterKind::Incident,
                home: app.duty.node().clone(),
                name: String::new(),
            };
            refused(app, &incident.cloned().unwrap_or_else(none), error)
        }
    }
}

/// Rows of a page.
fn limit(asked: Option<usize>) -> ApiResult<usize> {
    let (limit, most) = (asked.unwrap_or(200), limits::PAGE_ROWS_MAX);
    if (1..=most).contains(&limit) {
        return Ok(limit);
    }
    Err(ApiError::bad("limit", format!("A page has 1 to {most} rows, not {limit}.")).remedy("Ask for fewer."))
}

/// Routes of rules.
fn rule_routes(routes: Routes) -> Routes {
    use Policy::{LoggedIn, Supervisor};
    routes
        .on(Method::GET, "/api/v1/rules", LoggedIn, rules::list)
        .on(Method::POST, "/api/v1/rules", Supervisor, rules::make)
        .on(Method::PUT, "/api/v1/rules/{node}/{name}", Supervisor, rules::change)
        .on(Method::DELETE, "/api/v1/rules/{node}/{name}", Supervisor, rules::remove)
        .on(Method::POST, "/api/v1/rules/check", LoggedIn, rules::check_one)
        .on(Method::POST, "/api/v1/rules/try", LoggedIn, rules::try_out)
}

/// Routes of units, plans, checkpoint plans, and of the page by which a unit works.
fn unit_routes(routes: Routes) -> Routes {
    use Policy::{LoggedIn, LoggedInOrToken, Operator, Public, Supervisor, UnitLink};
    const LINK: &str = "/api/v1/incidents/{node}/{name}/dispatches/{id}/link";
    routes
        .on(Method::GET, "/api/v1/units", LoggedIn, units::list)
        .on(Method::POST, "/api/v1/units", Supervisor, units::create)
        .on(Method::GET, "/api/v1/units/near", LoggedIn, units::near)
        .on(Method::GET, "/api/v1/units/duty", LoggedIn, units::duty)
        .on(Method::GET, whereabouts::PATH, LoggedIn, positions::list)
        .on(Method::GET, "/api/v1/units/{node}/{name}", LoggedIn, units::one)
        .on(Method::PUT, "/api/v1/units/{node}/{name}", Supervisor, units::replace)
        .on(Method::DELETE, "/api/v1/units/{node}/{name}", Supervisor, units::remove)
        .on(Method::POST, "/api/v1/units/{node}/{name}/position", LoggedInOrToken, positions::report)
        .on(Method::GET, "/api/v1/plans", LoggedIn, plans::list)
        .on(Method::POST, "/api/v1/plans", Supervisor, plans::create)
        .on(Method::GET, "/api/v1/plans/{node}/{name}", LoggedIn, plans::one)
        .on(Method::PUT, "/api/v1/plans/{node}/{name}", Supervisor, plans::replace)
        .on(Method::DELETE, "/api/v1/plans/{node}/{name}", Supervisor, plans::remove)
        .on(Method::GET, "/api/v1/checkpoints", LoggedIn, checkpoints::show)
        .on(Method::POST, LINK, Operator, unit_page::make)
        .on(Method::DELETE, LINK, Operator, unit_page::revoke)
        .on(Method::POST, "/api/v1/unit/session", Public, unit_page::open)
        .on(Method::GET, "/api/v1/unit/order", UnitLink, unit_page::order)
        .on(Method::POST, "/api/v1/unit/progress", UnitLink, unit_page::progress)
        .on(Method::POST, "/api/v1/unit/position", UnitLink, unit_page::position)
}

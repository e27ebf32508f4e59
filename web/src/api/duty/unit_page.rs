//! The page by which a unit works: a link of one dispatch, opened once, by one device; it shows that order and takes its
//! progress, and nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::{IntoResponse as _, Response};
use fengsui_config::ids::NationalCode;
use fengsui_config::limits;
use fengsui_duty::act::{By, ByKind, MatterId, MatterKind, Verb};
use fengsui_duty::incident::{Dispatch, Incident, IncidentVerb, Progress};
use fengsui_duty::ledger::Ledger;
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::definitions::{self, fault, not_done, words};
use super::positions::{self, UnitPositionAnswer, UnitPositionBody};
use crate::api::session::attempt;
use crate::app::App;
use crate::auth::access::Principal;
use crate::auth::register::kinds;
use crate::duty::links::{self, Ended, Link, Secret, UnitHolder, Used};
use crate::http::accept::Peer;
use crate::http::cookies;
use crate::http::problem::{ApiError, ApiResult, JsonOf, PathOf, Problem, Refusal};

/// What goes along with a link.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UnitLinkBody {
    /// How the unit reaches the desk, a telephone number for example; at most 64 characters.
    #[serde(default)]
    contact: String,
}

/// A link that was made.
#[derive(Debug, Serialize, ToSchema)]
pub struct UnitLinkView {
    /// Path and fragment of the page, to be put behind this node's own address. The secret stands behind `#`, so that it
    /// is in no log of any server. It is shown here and never again.
    #[schema(example = "/unit#Q2hhcmFjdGVycw")]
    url: String,
    /// When it ends at the latest.
    expires_us: i64,
}

/// The place of an order.
#[derive(Debug, Serialize, ToSchema)]
pub struct UnitOrderPlace {
    /// Name of the site; empty when there is none.
    site_name: String,
    /// In words.
    address: String,
    /// WGS-84 latitude and longitude.
    point: Option<(f64, f64)>,
}

/// An order, as its unit sees it.
#[derive(Debug, Serialize, ToSchema)]
pub struct UnitOrderView {
    /// Number of the incident.
    number: String,
    /// Its title.
    title: String,
    /// More words about it.
    text: String,
    /// Its kind.
    kind: String,
    /// How much it matters, 1 to 4.
    level: u8,
    /// Where.
    place: UnitOrderPlace,
    /// Names of the cameras that see it, at most 20.
    cameras: Vec<String>,
    /// The unit.
    unit: String,
    /// What it is to do.
    order: String,
    /// Who sent it.
    by: String,
    /// How to reach them; may be empty.
    contact: String,
    /// `sent`, `received`, `arrived`, `done`, `declined` or `recalled`.
    #[schema(value_type = String)]
    progress: Progress,
    /// When it came to each.
    #[schema(value_type = Object)]
    times: BTreeMap<Progress, i64>,
    /// How it ended.
    result: String,
    /// When the link ends at the latest.
    expires_us: i64,
    /// Now, on the node's clock.
    now_us: i64,
}

/// The secret of a link.
#[derive(Deserialize, ToSchema)]
pub struct UnitOpenBody {
    /// What stands behind `#` in the address of the page.
    #[schema(format = "password")]
    token: String,
}

/// How far a unit is.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UnitProgressBody {
    /// `received`, `arrived`, `done` or `declined`.
    #[serde(default)]
    to: String,
    /// How it ended (`done`) or why it cannot go (`declined`); both need it.
    #[serde(default)]
    result: String,
}

/// Cameras whose names a unit sees.
const CAMERAS_SHOWN: usize = 20;

fn incident_id(node: &str, name: &str) -> ApiResult<MatterId> {
    let none = || ApiError::not_found("There is no such incident.").remedy("Load the list anew.");
    format!("{}/{node}/{name}", MatterKind::Incident.as_str()).parse().map_err(|_| none())
}

fn looked<T>(
    app: &App,
    incident: &MatterId,
    dispatch: &str,
    look: impl FnOnce(&Incident, &Dispatch) -> T,
) -> ApiResult<T> {
    let found = app.duty.read(|book| {
        let incident = book.incidents.get(incident).and_then(Ledger::state)?;
        Some(look(incident, incident.dispatches.get(dispatch)?))
    });
    found.ok_or_else(|| ApiError::not_found("There is no such dispatch.").remedy("Load the incident anew."))
}

fn view(app: &App, link: &Link) -> ApiResult<UnitOrderView> {
    let topology = app.topology();
    looked(app, &link.incident, &link.dispatch, |incident, sent| {
        let open = &incident.open;
        let site = open
            .place
            .site
            .as_deref()
            .and_then(|code| code.parse::<NationalCode>().ok())
            .and_then(|c| topology.sites.get(&c));
        let cameras = open.cameras.iter().filter_map(|id| topology.cameras.get(id));
        UnitOrderView {
            number: open.number.clone(),
            title: open.title.clone(),
            text: open.text.clone(),
            kind: open.kind.clone(),
            level: open.level.get(),
            place: UnitOrderPlace {
                site_name: site.map_or_else(String::new, |s| s.name.clone()),
                address: open.place.address.clone(),
                point: open.place.point.or_else(|| site.and_then(|s| s.position).map(|p| (p.lat, p.lon))),
            },
            cameras: cameras.take(CAMERAS_SHOWN).map(|c| c.name.clone()).collect(),
            unit: sent.unit.name.clone(),
            order: sent.order.clone(),
            by: sent.by.name.clone(),
            contact: link.contact.clone(),
            progress: sent.progress,
            times: sent.times.iter().map(|(to, at)| (*to, at.0)).collect(),
            result: sent.result.clone(),
            expires_us: link.expires_us.0,
            now_us: app.clock.utc().0,
        }
    })
}

fn body_of<T: Serialize>(record: &T) -> Value {
    serde_json::to_value(record).unwrap_or_default()
}

/// Makes the link by which a unit works on one dispatch. An older link of it ends.
#[utoipa::path(post, path = "/api/v1/incidents/{node}/{name}/dispatches/{id}/link", tag = "duty", request_body = UnitLinkBody,
    params(("node" = String, Path, description = "Node of the incident"), ("name" = String, Path, description = "Its name there"),
        ("id" = String, Path, description = "The dispatch")),
    responses((status = 201, body = UnitLinkView), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn make(
    State(app): State<Arc<App>>,
    principal: Principal,
    PathOf((node, name, dispatch)): PathOf<(String, String, String)>,
    JsonOf(body): JsonOf<Value>,
) -> ApiResult<(StatusCode, axum::Json<UnitLinkView>)> {
    let incident = incident_id(&node, &name)?;
    let contact = definitions::draft::<UnitLinkBody>(body)?.contact;
    let contact = match contact.trim() {
        "" => String::new(),
        text => words("contact", text, limits::UNIT_NAME_CHARS_MAX)?,
    };
    let _turn = app.units.turn.lock().await;
    let (unit, progress) =
        looked(&app, &incident, &dispatch, |_, sent| (sent.unit.id.clone(), sent.progress))?;
    if !progress.is_open() {
        return Err(ApiError::new(Refusal::Conflict, "This dispatch has ended.")
            .remedy("Send the unit again, and make a link for the new dispatch."));
    }
    let secret = Secret::new().map_err(|e| ApiError::internal("make a link", &e))?;
    let at_us = app.clock.utc();
    let link = Link {
        incident,
        dispatch,
        unit,
        token_hash: secret.hash(),
        expires_us: at_us + limits::UNIT_LINK_LIFE,
        contact,
        by: principal.user().name.to_string(),
        at_us,
        device_token_hash: None,
    };
    let written = app.auth.register.append(kinds::DUTY_LINK_MADE, body_of(&link)).await;
    written.map_err(|e| ApiError::internal("write the link to the journal", &e))?;
    let expires_us = link.expires_us.0;
    app.units.links.write().make(link);
    let url = format!("/unit#{}", secret.reveal());
    Ok((StatusCode::CREATED, axum::Json(UnitLinkView { url, expires_us })))
}

/// Ends the link of a dispatch: from the answer on it opens nothing. Without a link nothing changes.
#[utoipa::path(delete, path = "/api/v1/incidents/{node}/{name}/dispatches/{id}/link", tag = "duty",
    params(("node" = String, Path, description = "Node of the incident"), ("name" = String, Path, description = "Its name there"),
        ("id" = String, Path, description = "The dispatch")),
    responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn revoke(
    State(app): State<Arc<App>>,
    principal: Principal,
    PathOf((node, name, dispatch)): PathOf<(String, String, String)>,
) -> ApiResult<StatusCode> {
    let incident = incident_id(&node, &name)?;
    let _turn = app.units.turn.lock().await;
    if app.units.links.read().of(&incident, &dispatch).is_none() {
        return Ok(StatusCode::NO_CONTENT);
    }
    let ended = Ended { incident, dispatch, by: principal.user().name.to_string(), at_us: app.clock.utc() };
    let written = app.auth.register.append(kinds::DUTY_LINK_ENDED, body_of(&ended)).await;
    written.map_err(|e| ApiError::internal("write the end of the link to the journal", &e))?;
    app.units.links.write().end(&ended.incident, &ended.dispatch);
    Ok(StatusCode::NO_CONTENT)
}

/// Opens a link. The first device that does keeps it, by a cookie; any other one is refused and told whom to call.
#[utoipa::path(post, path = "/api/v1/unit/session", tag = "duty", request_body = UnitOpenBody, responses(
    (status = 200, body = UnitOrderView), (status = 401, body = Problem), (status = 409, body = Problem), (status = 410, body = Problem),
    (status = 429, body = Problem)))]
pub async fn open(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    JsonOf(body): JsonOf<UnitOpenBody>,
) -> ApiResult<Response> {
    let address = peer.address.ip();
    attempt(&app, address)?;
    let _turn = app.units.turn.lock().await;
    let known = app.units.links.read().opened_by(&body.token, app.clock.utc()).cloned();
    let link = known.ok_or_else(|| {
        ApiError::new(Refusal::TokenRefused, "This link is not known, was revoked, or its time is over.")
            .remedy("Call the desk that sent it and ask for a new one.")
    })?;
    app.auth.limiter.forgive(address);
    links::still_good(&app, &link)?;
    if let Some(keeper) = &link.device_token_hash {
        let own =
            links::device(&headers, &peer).and_then(|device| app.units.links.read().kept_by(device).cloned());
        if own.is_some_and(|own| {
            own.token_hash == link.token_hash && own.device_token_hash.as_ref() == Some(keeper)
        }) {
            return Ok(axum::Json(view(&app, &link)?).into_response());
        }
        return Err(opened_elsewhere(&link));
    }
    let device = Secret::new().map_err(|e| ApiError::internal("keep the link", &e))?;
    let used = Used {
        incident: link.incident.clone(),
        dispatch: link.dispatch.clone(),
        token_hash: link.token_hash.clone(),
        device_token_hash: device.hash(),
        address: address.to_string(),
        at_us: app.clock.utc(),
    };
    let shown = view(&app, &link)?;
    let written = app.auth.register.append(kinds::DUTY_LINK_USED, body_of(&used)).await;
    written.map_err(|e| ApiError::internal("write the use of the link to the journal", &e))?;
    app.units.links.write().keep(&used.token_hash, used.device_token_hash);
    let mut response = axum::Json(shown).into_response();
    keep(&mut response, &device, &link, &peer);
    Ok(response)
}

fn opened_elsewhere(link: &Link) -> ApiError {
    let desk =
        if link.contact.is_empty() { link.by.clone() } else { format!("{}, {}", link.by, link.contact) };
    ApiError::new(Refusal::Conflict, "Another device has opened this link; it works once.")
        .field("token")
        .remedy(format!("Go on with that device, or call the desk for a new link: {desk}."))
}

fn keep(response: &mut Response, device: &Secret, link: &Link, peer: &Peer) {
    let secure = if peer.tls { "; Secure" } else { "" };
    let age_s = link.expires_us.since(link.at_us) / 1_000_000;
    let text = format!(
        "{}={}; Path=/api/v1/unit; HttpOnly; SameSite=Strict; Max-Age={age_s}{secure}",
        cookies::of_unit(peer),
        device.reveal(),
    );
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().append(SET_COOKIE, value);
    }
}

/// The order of this device.
#[utoipa::path(get, path = "/api/v1/unit/order", tag = "duty", responses(
    (status = 200, body = UnitOrderView), (status = 401, body = Problem), (status = 410, body = Problem)))]
pub async fn order(State(app): State<Arc<App>>, holder: UnitHolder) -> ApiResult<axum::Json<UnitOrderView>> {
    Ok(axum::Json(view(&app, holder.link())?))
}

/// Tells how far the unit is. With `done` or `declined` the link ends; the answer is the last that it gives.
#[utoipa::path(post, path = "/api/v1/unit/progress", tag = "duty", request_body = UnitProgressBody, responses(
    (status = 200, body = UnitOrderView), (status = 400, body = Problem), (status = 401, body = Problem), (status = 409, body = Problem),
    (status = 410, body = Problem)))]
pub async fn progress(
    State(app): State<Arc<App>>,
    holder: UnitHolder,
    JsonOf(body): JsonOf<Value>,
) -> ApiResult<axum::Json<UnitOrderView>> {
    let link = holder.link();
    let UnitProgressBody { to, result } = definitions::draft(body)?;
    let to = match to.as_str() {
        "received" => Progress::Received,
        "arrived" => Progress::Arrived,
        "done" => Progress::Done,
        "declined" => Progress::Declined,
        _ => {
            return Err(fault(
                "to",
                to,
                "is nothing that a unit tells",
                "Send received, arrived, done or declined.",
            ));
        }
    };
    let result = match result.trim() {
        "" if to.is_open() => String::new(),
        text => words("result", text, limits::UNIT_TEXT_CHARS_MAX)?,
    };
    let unit = looked(&app, &link.incident, &link.dispatch, |_, sent| sent.unit.name.clone())?;
    let verb = Verb::Incident(IncidentVerb::Progressed { id: link.dispatch.clone(), to, result });
    let by = By { kind: ByKind::Unit, name: unit };
    app.duty.act(&app, &link.incident, verb, by).await.map_err(not_done)?;
    Ok(axum::Json(view(&app, link)?))
}

/// Where the unit of this device is.
#[utoipa::path(post, path = "/api/v1/unit/position", tag = "duty", request_body = UnitPositionBody, responses(
    (status = 200, body = UnitPositionAnswer), (status = 400, body = Problem), (status = 401, body = Problem), (status = 410, body = Problem)))]
pub async fn position(
    State(app): State<Arc<App>>,
    holder: UnitHolder,
    JsonOf(body): JsonOf<UnitPositionBody>,
) -> ApiResult<axum::Json<UnitPositionAnswer>> {
    positions::put(&app, &holder.link().unit, &body)
}

//! Incidents: the list, one of them, and how one is opened.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fengsui_config::ids::CameraId;
use fengsui_config::{Topology, limits};
use fengsui_duty::act::{By, ByKind, MatterId, MatterKind};
use fengsui_duty::incident::{Channel, Incident, IncidentState, Where};
use fengsui_duty::ledger::Ledger;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{by, limit, matter, not_opened, unknown};
use crate::app::App;
use crate::auth::access::EventSender;
use crate::auth::tokens::Token;
use crate::duty::incident::{self, Key, Wanted};
use crate::duty::view::{self, IncidentCounts, IncidentPage, IncidentRow};
use crate::http::problem::{ApiError, ApiResult, JsonOf, PathOf, Problem, QueryOf, Refusal};

/// Which incidents.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct IncidentQuery {
    /// `active` (the usual: open, handling or resolved), `open`, `handling`, `resolved`, `closed`, `cancelled` or `all`.
    #[serde(default)]
    state: String,
    /// What kind.
    #[serde(default)]
    kind: String,
    /// Who is in charge.
    #[serde(default)]
    person: String,
    /// `next` of the page before.
    #[serde(default)]
    before: String,
    /// Rows of the page, at most 1000.
    limit: Option<usize>,
}

/// Incidents, those that are not over first: by level, of each the oldest first. Behind them the others, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct IncidentList {
    /// Incidents.
    incidents: Vec<IncidentRow>,
    /// Ask with this as `before` to go on; none at the end.
    next: Option<String>,
    /// How many there are, whatever was asked for.
    counts: IncidentCounts,
    /// The clock of the node.
    now_us: i64,
}

/// Where an incident stands in the list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Active(u8, i64, String),
    Over(Reverse<i64>, String),
}

impl Place {
    fn of(id: &MatterId, incident: &Incident) -> Self {
        match incident.is_over() {
            false => Self::Active(incident.open.level.get(), incident.opened_us.0, id.to_string()),
            true => Self::Over(Reverse(incident.opened_us.0), id.to_string()),
        }
    }

    fn write(&self) -> String {
        URL_SAFE_NO_PAD.encode(match self {
            Self::Active(level, at, id) => format!("a {level} {at} {id}"),
            Self::Over(Reverse(at), id) => format!("o 0 {at} {id}"),
        })
    }

    fn read(text: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let mut words = text.split(' ');
        let (kind, level, at, id) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let (level, at, id) = (level.parse().ok()?, at.parse().ok()?, id.to_owned());
        match kind {
            "a" => Some(Self::Active(level, at, id)),
            "o" => Some(Self::Over(Reverse(at), id)),
            _ => None,
        }
    }
}

/// The states that a word stands for.
fn states(word: &str) -> ApiResult<Vec<IncidentState>> {
    use IncidentState::{Cancelled, Closed, Handling, Open, Resolved};
    Ok(match word {
        "" | "active" => vec![Open, Handling, Resolved],
        "open" => vec![Open],
        "handling" => vec![Handling],
        "resolved" => vec![Resolved],
        "closed" => vec![Closed],
        "cancelled" => vec![Cancelled],
        "all" => vec![Open, Handling, Resolved, Closed, Cancelled],
        other => {
            return Err(ApiError::bad("state", format!("{other:?} is no state of incidents."))
                .remedy("Write active, open, handling, resolved, closed, cancelled or all."));
        }
    })
}

/// Incidents.
#[utoipa::path(get, path = "/api/v1/incidents", tag = "incidents", params(IncidentQuery), responses(
    (status = 200, body = IncidentList), (status = 400, body = Problem), (status = 401, body = Problem)))]
pub async fn list(
    State(app): State<Arc<App>>,
    QueryOf(query): QueryOf<IncidentQuery>,
) -> ApiResult<axum::Json<IncidentList>> {
    let (states, limit) = (states(&query.state)?, limit(query.limit)?);
    let after = match query.before.as_str() {
        "" => None,
        text => Some(Place::read(text).ok_or_else(|| {
            ApiError::bad("before", "This is no place in the list.").remedy("Take `next` of the page before.")
        })?),
    };
    let wants = |incident: &Incident| {
        states.contains(&incident.state)
            && (query.kind.is_empty() || incident.open.kind == query.kind)
            && (query.person.is_empty() || incident.people.contains(&query.person))
    };
    let (mut found, counts) = app.duty.read(|book| {
        let known = book.incidents.iter().filter_map(|(id, ledger)| Some((id, ledger.state()?)));
        let wanted = known.filter(|(_, incident)| wants(incident)).map(|(id, i)| (Place::of(id, i), id));
        let behind = wanted.filter(|(place, _)| after.as_ref().is_none_or(|after| after < place));
        let found: Vec<(Place, MatterId)> = behind.map(|(place, id)| (place, id.clone())).collect();
        (found, IncidentCounts::of(book))
    });
    found.sort_unstable();
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|(place, _)| place.write());
    let incidents = view::incident_rows(&app, found.iter().map(|(_, id)| id));
    Ok(axum::Json(IncidentList { incidents, next, counts, now_us: app.clock.utc().0 }))
}

/// Where an incident is, as it is sent.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IncidentPlaceBody {
    /// National code of a site.
    site: Option<String>,
    /// In words.
    #[serde(default)]
    address: String,
    /// WGS-84 latitude and longitude in degrees.
    #[schema(value_type = Option<Vec<f64>>)]
    point: Option<(f64, f64)>,
}

/// An incident that is to be opened.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenBody {
    /// What kind, own words of the city; plans are bound to kinds.
    kind: String,
    /// What it is in a few words.
    title: String,
    /// More words.
    #[serde(default)]
    text: String,
    /// 1 before all others, 4 when there is time; as the most urgent alarm, or 3, when absent.
    level: Option<u8>,
    /// Where; may be absent when it is opened from alarms.
    #[serde(default)]
    place: IncidentPlaceBody,
    /// `alarm`, `desk`, `township_centre`, `grid_helper`, `telephone` or `other_system`; `alarm` or `desk` when absent.
    channel: Option<String>,
    /// Its number at whoever told of it.
    #[serde(default)]
    reference: String,
    /// Alarms that it is made of.
    #[serde(default)]
    alarms: Vec<String>,
    /// National codes of cameras that see it.
    #[serde(default)]
    cameras: Vec<String>,
}

impl OpenBody {
    fn read(self) -> ApiResult<Wanted> {
        let level = self.level.map(|level| {
            fengsui_duty::alarm::Level::try_from(level).map_err(|e| {
                ApiError::bad("level", format!("{e}.")).remedy("Send 1, 2, 3 or 4, or leave it out.")
            })
        });
        let mut alarms = BTreeSet::new();
        for (index, text) in self.alarms.iter().enumerate() {
            let id = text.parse::<MatterId>().ok().filter(|id| id.kind == MatterKind::Alarm);
            alarms.insert(id.ok_or_else(|| {
                let shown: String = text.chars().take(80).collect();
                ApiError::bad(&format!("alarms[{index}]"), format!("{shown:?} is no alarm."))
                    .remedy("Send ids as the list has them: alarm/node/name.")
            })?);
        }
        let mut cameras = BTreeSet::new();
        for (index, text) in self.cameras.iter().enumerate() {
            let code = text.parse::<CameraId>();
            cameras.insert(code.map_err(|e| {
                ApiError::bad(&format!("cameras[{index}]"), format!("The code {e}."))
                    .remedy("Send the 20 digits of a camera.")
            })?);
        }
        let usual = if alarms.is_empty() { Channel::Desk } else { Channel::Alarm };
        let channel = match self.channel {
            None => usual,
            Some(word) => serde_json::from_value(Value::String(word.clone())).map_err(|_| {
                ApiError::bad("channel", format!("{word:?} is no way in which incidents are told of."))
                    .remedy("Write alarm, desk, township_centre, grid_helper, telephone or other_system.")
            })?,
        };
        let IncidentPlaceBody { site, address, point } = self.place;
        let place = Where { site, address, point };
        let (kind, title, text, reference) = (self.kind, self.title, self.text, self.reference);
        let level = level.transpose()?;
        Ok(Wanted { kind, title, text, level, place, channel, reference, alarms, cameras })
    }
}

/// What was opened.
#[derive(Debug, Serialize, ToSchema)]
pub struct OpenAnswer {
    /// The incident.
    incident: IncidentRow,
    /// Alarms that could not be linked, and why.
    warnings: Vec<String>,
}

/// Who opens.
struct Asked {
    by: By,
    /// What of them is in the hash of a key.
    sender: String,
}

impl Asked {
    fn of(app: &App, sender: EventSender, wanted: &Wanted) -> ApiResult<Self> {
        match sender {
            EventSender::Person(person) => {
                let by = by(&person);
                Ok(Self { sender: format!("person {}", by.name), by })
            }
            EventSender::Token(token) => {
                reach(&app.topology(), &token, wanted)?;
                let draft = &token.draft;
                app.desk.rate(&draft.id, draft.rate, 1, app.clock.mono()).map_err(|wait| {
                    let detail = format!("The token {} asks more often than it may.", draft.name);
                    ApiError::new(Refusal::TooManyEvents, detail).retry_after(wait).remedy("Ask again later.")
                })?;
                let by = By { kind: ByKind::Token, name: draft.name.clone() };
                Ok(Self { by, sender: format!("token {}", draft.id) })
            }
        }
    }
}

/// Whether a token reaches what an incident is to be about: as for events, its cameras and places and nothing else.
fn reach(topology: &Topology, token: &Token, wanted: &Wanted) -> ApiResult<()> {
    let scope = &token.draft.scope;
    let far = |field: &str, what: String| {
        ApiError::new(Refusal::Forbidden, format!("This token may not open incidents {what}."))
            .field(field)
            .remedy("Stay within its cameras and places, or ask an administrator for another token.")
    };
    if scope.everywhere {
        return Ok(());
    }
    if !wanted.alarms.is_empty() {
        return Err(far("alarms", "from alarms".to_owned()));
    }
    if let Some(camera) = wanted.cameras.iter().find(|camera| !scope.covers(topology, Some(**camera))) {
        return Err(far("cameras", format!("of camera {camera}")));
    }
    let code = wanted.place.site.as_ref().and_then(|site| site.parse().ok());
    let site = code.and_then(|code| topology.sites.get(&code));
    let station = site.and_then(|site| topology.stations.get(&site.station));
    let above = [site.map(|s| s.code), station.map(|s| s.code), station.map(|s| s.sub_centre)];
    let at_place = above.into_iter().flatten().any(|place| scope.places.contains(&place));
    let of_camera = site.is_some_and(|site| {
        let here = |camera: &CameraId| topology.cameras.get(camera).is_some_and(|c| c.site == site.code);
        scope.cameras.iter().any(here)
    });
    if at_place || of_camera || (wanted.place.site.is_none() && !wanted.cameras.is_empty()) {
        return Ok(());
    }
    Err(far("place.site", "there".to_owned()))
}

/// The key of a request, when it has one.
fn key(headers: &HeaderMap, sender: &str, body: &Value) -> ApiResult<Option<Key>> {
    let Some(header) = headers.get("idempotency-key") else { return Ok(None) };
    let (text, most) = (header.to_str().unwrap_or_default(), limits::EVENT_KEY_CHARS_MAX);
    if text.is_empty() || text.len() > most || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(ApiError::bad("Idempotency-Key", format!("A key has 1 to {most} visible characters."))
            .remedy("Send a new random text with each new request, and the same one when it is repeated."));
    }
    let short = |hash: blake3::Hash| hash.to_hex().chars().take(16).collect::<String>();
    let request = short(blake3::hash(format!("{sender}\n{text}").as_bytes()));
    let body = short(blake3::hash(&serde_json::to_vec(body).unwrap_or_default()));
    Ok(Some(Key { request, body }))
}

/// Opens an incident: from alarms, by hand, or told by another system with a token. What is absent is filled in from the
/// oldest alarm, and each alarm is linked. With `Idempotency-Key` a repeated request opens nothing twice.
#[utoipa::path(post, path = "/api/v1/incidents", tag = "incidents", request_body = OpenBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "Any text of 1 to 128 visible characters; a repeated request with the same one opens nothing twice")),
    responses((status = 201, body = OpenAnswer), (status = 200, body = OpenAnswer, description = "It had been opened before"),
    (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, body = Problem), (status = 429, body = Problem)))]
pub async fn open(
    State(app): State<Arc<App>>,
    sender: EventSender,
    headers: HeaderMap,
    JsonOf(body): JsonOf<Value>,
) -> ApiResult<Response> {
    let read: OpenBody = serde_json::from_value(body.clone()).map_err(|error| {
        let text = error.to_string();
        let named = |before: &str| text.strip_prefix(before).and_then(|rest| rest.split('`').next());
        let field =
            named("missing field `").or_else(|| named("unknown field `")).unwrap_or("body").to_owned();
        ApiError::bad(&field, format!("This is no incident: {text}."))
            .remedy("Send kind, title and place, or alarms in place of the place.")
    })?;
    let wanted = read.read()?;
    incident::bounds(&wanted).map_err(|(field, most)| {
        ApiError::bad(field, format!("An incident is opened with at most {most} {field}."))
            .remedy("Add the others when it is open.")
    })?;
    let asked = Asked::of(&app, sender, &wanted)?;
    let key = key(&headers, &asked.sender, &body)?;
    let (whole, by) = (app.clone(), asked.by);
    // Brought to its end with all its links, whether somebody waits or not.
    let opening = app.tasks.spawn(async move { incident::open(&whole, wanted, key.as_ref(), by).await });
    let opened = opening.await.map_err(|error| ApiError::internal("open an incident", &error))?;
    let opened = opened.map_err(|error| not_opened(&app, None, error))?;
    let incident =
        view::incident_row(&app, &opened.id).ok_or_else(|| unknown(&opened.id.to_string(), None))?;
    let status = if opened.repeated { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, axum::Json(OpenAnswer { incident, warnings: opened.warnings })).into_response())
}

/// Everything about an incident: what was done, its plan, its units, its papers, and what is proposed.
#[utoipa::path(get, path = "/api/v1/incidents/{node}/{name}", tag = "incidents",
    params(("node" = String, Path, description = "Node at which it was opened"), ("name" = String, Path, description = "Its name there")),
    responses((status = 200, body = IncidentPage), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn one(
    State(app): State<Arc<App>>,
    PathOf((node, name)): PathOf<(String, String)>,
) -> ApiResult<axum::Json<IncidentPage>> {
    let id = matter(MatterKind::Incident, &node, &name)?;
    view::incident_page(&app, &id).map(axum::Json).ok_or_else(|| unknown(&id.to_string(), None))
}

/// Whether an incident is known here.
pub(super) fn known(app: &App, id: &MatterId) -> ApiResult<()> {
    let known = app.duty.read(|book| book.incidents.get(id).and_then(Ledger::state).is_some());
    known.then_some(()).ok_or_else(|| unknown(&id.to_string(), None))
}

//! Patrol units (巡防力量): who they are, who is on duty, who is near.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use fengsui_config::clock::UtcMicros;
use fengsui_config::{Topology, limits};
use fengsui_duty::act::{MatterId, MatterKind, Verb};
use fengsui_duty::book::{Book, Matters};
use fengsui_duty::define::{Defined, Net, UnitBody, UnitVerb};
use fengsui_duty::incident::Where;
use fengsui_duty::near::hours::{self, OFFSET_MIN};
use fengsui_duty::near::nearest::{Candidate, Cover, Known, Reported, propose};
use fengsui_duty::near::{Place, Point};
use http::header::ETAG;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::definitions::{self, Definable, DefinitionHead, HoursDraft, Standing, fault, words};
use crate::app::App;
use crate::auth::access::Principal;
use crate::duty::places::Ground;
use crate::duty::units::{UnderWay, under_way};
use crate::http::problem::{ApiError, ApiResult, JsonOf, PathOf, Problem, QueryOf, Refusal};

/// Where a unit said last that it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct UnitPosition {
    /// WGS-84 latitude.
    lat: f64,
    /// WGS-84 longitude.
    lon: f64,
    /// When it was there.
    at_us: i64,
    /// New enough to reckon with.
    fresh: bool,
}

/// What a unit is sent to.
#[derive(Debug, Serialize, ToSchema)]
pub struct UnderWayView {
    /// The incident.
    incident: String,
    /// Its number.
    number: String,
    /// Its title.
    title: String,
    /// The dispatch.
    dispatch: String,
    /// `sent`, `received` or `arrived`.
    #[schema(value_type = String)]
    progress: fengsui_duty::incident::Progress,
}

impl From<&UnderWay> for UnderWayView {
    fn from(way: &UnderWay) -> Self {
        let UnderWay { incident, number, title, dispatch, progress } = way.clone();
        Self { incident: incident.to_string(), number, title, dispatch, progress }
    }
}

/// A unit.
#[derive(Debug, Serialize, ToSchema)]
pub struct UnitView {
    /// What is told of every definition.
    #[serde(flatten)]
    head: DefinitionHead,
    /// What it is.
    #[schema(value_type = UnitSent)]
    body: UnitBody,
    /// It is on duty.
    on_duty: bool,
    /// When that changes; absent: never.
    until_us: Option<i64>,
    /// What it is sent to and has not ended.
    busy: Vec<UnderWayView>,
    /// Where it said last that it is, to this node.
    position: Option<UnitPosition>,
}

/// All units.
#[derive(Debug, Serialize, ToSchema)]
pub struct UnitList {
    /// In order of their names.
    items: Vec<UnitView>,
    /// The moment of which `on_duty` is told.
    at_us: i64,
    /// Now.
    now_us: i64,
    /// What local time is ahead of UTC, in minutes.
    offset_min: i32,
}

/// Of which moment.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MomentQuery {
    /// Microseconds since 1970; now when absent.
    at_us: Option<i64>,
}

/// Stretch of duty as it is sent.
#[derive(Debug, Deserialize, ToSchema)]
pub struct HoursSent {
    /// Days on which it begins, 1 Monday to 7 Sunday; none: every day.
    #[serde(default)]
    pub days: Vec<u8>,
    /// Minute of the local day at which it begins, 0 to 1439.
    pub from_min: u16,
    /// Minute at which it ends, 0 to 1440; not above `from_min`: on the next day.
    pub to_min: u16,
}

/// A unit as it is sent.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UnitSent {
    /// Its name, unlike that of any other.
    #[serde(default)]
    name: String,
    /// `street`, `community`, `internal` or `checkpoint`.
    #[schema(example = "street")]
    #[serde(default)]
    net: String,
    /// Its people, at least one.
    #[serde(default)]
    members: Vec<String>,
    /// Radio call sign or telephone.
    #[serde(default)]
    contact: String,
    /// National codes of sub-centres, stations and sites; none: everywhere.
    #[serde(default)]
    area: Vec<String>,
    /// When it is on duty; none: always.
    #[schema(value_type = Vec<HoursSent>)]
    #[serde(default)]
    duty: Vec<HoursDraft>,
    /// Where it is stationed: WGS-84 latitude and longitude. A checkpoint needs it.
    #[serde(default)]
    post: Option<(f64, f64)>,
}

impl Definable for UnitBody {
    const KIND: MatterKind = MatterKind::Unit;
    const NOUN: &'static str = "unit";
    const MOST: usize = limits::UNITS_MAX;
    fn matters(book: &Book) -> &Matters<Defined<Self>> {
        &book.units
    }
    fn define(self) -> Verb {
        Verb::Unit(UnitVerb::Define(self))
    }
    fn remove() -> Verb {
        Verb::Unit(UnitVerb::Remove)
    }
    fn name(&self) -> &str {
        &self.name
    }
}

impl UnitSent {
    /// The unit, when it can be one.
    fn read(self, topology: &Topology) -> ApiResult<UnitBody> {
        let most = limits::UNIT_NAME_CHARS_MAX;
        let name = words("name", &self.name, most)?;
        let net: Net = serde_json::from_value(self.net.clone().into()).map_err(|_| {
            fault(
                "net",
                &self.net,
                "is no net of patrol",
                "Choose street, community, internal or checkpoint.",
            )
        })?;
        if self.members.is_empty() {
            return Err(fault("members", "[]", "is empty", "Name at least one person."));
        }
        if self.members.len() > limits::UNIT_MEMBERS_MAX {
            let what = format!("has more than {} people", limits::UNIT_MEMBERS_MAX);
            return Err(fault("members", self.members.len(), &what, "Make two units of it."));
        }
        let member = |(i, name): (usize, &String)| words(&format!("members[{i}]"), name, most);
        let members = self.members.iter().enumerate().map(member).collect::<ApiResult<Vec<_>>>()?;
        let contact = words("contact", &self.contact, most)?;
        let post = self.post.map(|(lat, lon)| {
            Point::of(lat, lon).map(|p| (p.lat(), p.lon())).ok_or_else(|| {
                let what = "is no point on the globe";
                fault(
                    "post",
                    format!("{lat}, {lon}"),
                    what,
                    "Write latitude (-90 to 90), then longitude (-180 to 180).",
                )
            })
        });
        let post = post.transpose()?;
        if net == Net::Checkpoint && post.is_none() {
            let remedy = "Write where it stands: without it no checkpoint plan can name it.";
            return Err(fault("post", "none", "is missing for a checkpoint", remedy));
        }
        let (area, duty) =
            (definitions::area(topology, &self.area)?, definitions::hours("duty", &self.duty)?);
        Ok(UnitBody { name, net, members, contact, area, duty, post })
    }
}

type Ways = BTreeMap<MatterId, Vec<UnderWay>>;

fn view(app: &App, one: Standing<UnitBody>, ways: &Ways, at: UtcMicros) -> UnitView {
    let now = app.clock.utc();
    let duty = hours::standing(&one.body.duty, at, OFFSET_MIN);
    let position = app.units.positions.of(&one.id).map(|reported: Reported| UnitPosition {
        lat: reported.point.lat(),
        lon: reported.point.lon(),
        at_us: reported.at_us.0,
        fresh: reported.is_fresh(now),
    });
    UnitView {
        busy: ways.get(&one.id).into_iter().flatten().map(UnderWayView::from).collect(),
        head: one.head,
        body: one.body,
        on_duty: duty.on,
        until_us: duty.until_us.map(|t| t.0),
        position,
    }
}

fn tagged(app: &App, status: StatusCode, one: Standing<UnitBody>) -> Response {
    let tag = format!("\"{}\"", one.head.version);
    let view = view(app, one, &app.duty.read(under_way), app.clock.utc());
    (status, [(ETAG, tag)], axum::Json(view)).into_response()
}

/// All units, with who is on duty now or at a moment, who is under way, and where they are.
#[utoipa::path(get, path = "/api/v1/units", tag = "duty", params(MomentQuery), responses(
    (status = 200, body = UnitList), (status = 400, body = Problem), (status = 401, body = Problem)))]
pub async fn list(State(app): State<Arc<App>>, QueryOf(query): QueryOf<MomentQuery>) -> axum::Json<UnitList> {
    let now = app.clock.utc();
    let at = query.at_us.map_or(now, UtcMicros);
    let (all, ways) = app.duty.read(|book| (definitions::all::<UnitBody>(book), under_way(book)));
    let items = all.into_iter().map(|one| view(&app, one, &ways, at)).collect();
    axum::Json(UnitList { items, at_us: at.0, now_us: now.0, offset_min: OFFSET_MIN })
}

/// One unit; its version is also the `ETag`.
#[utoipa::path(get, path = "/api/v1/units/{node}/{name}", tag = "duty",
    params(("node" = String, Path, description = "Node at which it was made"), ("name" = String, Path, description = "Its name there")),
    responses((status = 200, body = UnitView), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn one(
    State(app): State<Arc<App>>,
    PathOf((node, name)): PathOf<(String, String)>,
) -> ApiResult<Response> {
    let id = definitions::path_id::<UnitBody>(&node, &name)?;
    let found = definitions::one(&app, &id)?;
    Ok(tagged(&app, StatusCode::OK, found))
}

/// Makes a unit.
#[utoipa::path(post, path = "/api/v1/units", tag = "duty", request_body = UnitSent, responses(
    (status = 201, body = UnitView), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem)))]
pub async fn create(
    State(app): State<Arc<App>>,
    principal: Principal,
    JsonOf(body): JsonOf<Value>,
) -> ApiResult<Response> {
    let body = definitions::draft::<UnitSent>(body)?.read(&app.topology())?;
    let made = definitions::create(&app, &principal, body).await?;
    Ok(tagged(&app, StatusCode::CREATED, made))
}

/// Changes a unit, while `If-Match` names its newest version. Those that were sent are not changed by it.
#[utoipa::path(put, path = "/api/v1/units/{node}/{name}", tag = "duty", request_body = UnitSent,
    params(("node" = String, Path, description = "Node at which it was made"), ("name" = String, Path, description = "Its name there"),
        ("If-Match" = String, Header, description = "`version` of what was read")),
    responses((status = 200, body = UnitView), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn replace(
    State(app): State<Arc<App>>,
    principal: Principal,
    PathOf((node, name)): PathOf<(String, String)>,
    headers: HeaderMap,
    JsonOf(body): JsonOf<Value>,
) -> ApiResult<Response> {
    let id = definitions::path_id::<UnitBody>(&node, &name)?;
    let body = definitions::draft::<UnitSent>(body)?.read(&app.topology())?;
    let changed = definitions::replace(&app, &principal, &id, &headers, body).await?;
    Ok(tagged(&app, StatusCode::OK, changed))
}

/// Takes a unit out of use, while `If-Match` names its newest version; not while it is under way.
#[utoipa::path(delete, path = "/api/v1/units/{node}/{name}", tag = "duty",
    params(("node" = String, Path, description = "Node at which it was made"), ("name" = String, Path, description = "Its name there"),
        ("If-Match" = String, Header, description = "`version` of what was read")),
    responses((status = 204), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn remove(
    State(app): State<Arc<App>>,
    principal: Principal,
    PathOf((node, name)): PathOf<(String, String)>,
    headers: HeaderMap,
) -> ApiResult<StatusCode> {
    let id = definitions::path_id::<UnitBody>(&node, &name)?;
    let ways = app.duty.read(under_way);
    if let Some(way) = ways.get(&id).and_then(|ways| ways.first()) {
        let detail = format!("The unit is under way to {} ({}).", way.number, way.title);
        return Err(
            ApiError::new(Refusal::Conflict, detail).remedy("Wait until it is done, or call it back first.")
        );
    }
    definitions::remove::<UnitBody>(&app, &principal, &id, &headers).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A place: a site, or a point.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PlaceQuery {
    /// National code of a site; absent with a point.
    site: Option<String>,
    /// WGS-84 latitude of a point.
    lat: Option<f64>,
    /// WGS-84 longitude of it.
    lon: Option<f64>,
}

impl PlaceQuery {
    /// The place that is meant.
    ///
    /// # Errors
    /// When it is none, or two.
    pub fn read(
        site: Option<&str>,
        point: (Option<f64>, Option<f64>),
        ground: &Ground<'_>,
    ) -> ApiResult<Place> {
        let site = site.filter(|code| !code.is_empty());
        match (site, point) {
            (Some(code), (None, None)) => ground.site(code).ok_or_else(|| {
                fault(
                    "site",
                    code,
                    "is no site known here",
                    "Send the code of a site in the configuration, or lat and lon.",
                )
            }),
            (None, (Some(lat), Some(lon))) => {
                let what = "is no point on the globe";
                let point = Point::of(lat, lon)
                    .ok_or_else(|| fault("lat", format!("{lat}, {lon}"), what, "Send WGS-84 degrees."))?;
                Ok(ground.point(point))
            }
            _ => {
                Err(ApiError::bad("site", "Send either a site or both lat and lon.")
                    .remedy("Name one place."))
            }
        }
    }
}

/// A unit that may be sent, and why it stands where it stands.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct NearUnit {
    /// The unit.
    pub unit: String,
    /// Its name.
    pub name: String,
    /// Its net.
    #[schema(value_type = String)]
    pub net: Net,
    /// How to reach it.
    pub contact: String,
    /// Metres, straight; absent when not known.
    pub metres: Option<f64>,
    /// It is under way to something.
    pub busy: bool,
    /// It is on duty now.
    pub on_duty: bool,
    /// `area` (its area holds the place), `everywhere`, `unknown` (the area of the place is not known) or `outside`.
    #[schema(value_type = String)]
    pub cover: Cover,
    /// By what its distance is known: `position` (its own report, at most 15 minutes old), `post`, `area` (the middle of its
    /// sites) or `nothing`.
    #[schema(value_type = String)]
    pub known: Known,
    /// When it reported its position, where that counted.
    pub position_us: Option<i64>,
}

/// The units to think of, in order.
#[derive(Debug, Serialize, ToSchema)]
pub struct NearList {
    /// On duty before off duty, those of the area before others, free before busy, then the nearest.
    items: Vec<NearUnit>,
    /// Units that are left out here.
    more: usize,
}

/// Units for a place, in the order in which to think of them; all of them.
#[must_use]
pub fn near_place(app: &App, place: &Place, ground: &Ground<'_>) -> Vec<NearUnit> {
    let (units, ways) = app.duty.read(|book| (definitions::all::<UnitBody>(book), under_way(book)));
    let by_id: BTreeMap<&MatterId, &Standing<UnitBody>> = units.iter().map(|one| (&one.id, one)).collect();
    let now = app.clock.utc();
    let candidates = units.iter().map(|one| Candidate {
        id: &one.id,
        unit: &one.body,
        reported: app.units.positions.of(&one.id),
        middle: ground.middle(&one.body.area),
        busy: ways.contains_key(&one.id),
    });
    let proposals = propose(place, candidates, now, OFFSET_MIN);
    let shown = proposals.into_iter().filter_map(|proposal| {
        let body = &by_id.get(&proposal.id)?.body;
        let reported = app.units.positions.of(&proposal.id).filter(|_| proposal.known == Known::Position);
        Some(NearUnit {
            unit: proposal.id.to_string(),
            name: body.name.clone(),
            net: body.net,
            contact: body.contact.clone(),
            metres: proposal.metres.map(f64::round),
            busy: proposal.busy,
            on_duty: proposal.on_duty,
            cover: proposal.cover,
            known: proposal.known,
            position_us: reported.map(|r| r.at_us.0),
        })
    });
    shown.collect()
}

/// Units for the place of an incident, the best `most` of them.
#[must_use]
pub fn near_incident(app: &App, at: &Where, most: usize) -> Vec<NearUnit> {
    let topology = app.topology();
    let ground = Ground::of(&topology);
    let mut list = near_place(app, &ground.place(at), &ground);
    list.truncate(most);
    list
}

/// Units for a place, in the order in which to think of them, each with the reason.
#[utoipa::path(get, path = "/api/v1/units/near", tag = "duty", params(PlaceQuery), responses(
    (status = 200, body = NearList), (status = 400, body = Problem), (status = 401, body = Problem)))]
pub async fn near(
    State(app): State<Arc<App>>,
    QueryOf(query): QueryOf<PlaceQuery>,
) -> ApiResult<axum::Json<NearList>> {
    let topology = app.topology();
    let ground = Ground::of(&topology);
    let place = PlaceQuery::read(query.site.as_deref(), (query.lat, query.lon), &ground)?;
    let mut items = near_place(&app, &place, &ground);
    let more = items.len().saturating_sub(limits::UNITS_NEAR_MAX);
    items.truncate(limits::UNITS_NEAR_MAX);
    Ok(axum::Json(NearList { items, more }))
}

/// When a unit is on duty in a day.
#[derive(Debug, Serialize, ToSchema)]
pub struct DutyRow {
    /// The unit.
    unit: String,
    /// Its name.
    name: String,
    /// Its net.
    #[schema(value_type = String)]
    net: Net,
    /// How to reach it.
    contact: String,
    /// Its people.
    members: Vec<String>,
    /// On duty at the moment asked for.
    on_duty: bool,
    /// Start and end of its duty within the day, in order.
    spans: Vec<(i64, i64)>,
}

/// The duty list of a day.
#[derive(Debug, Serialize, ToSchema)]
pub struct DutyList {
    /// The moment asked for.
    at_us: i64,
    /// Start of its local day.
    from_us: i64,
    /// End of it.
    to_us: i64,
    /// Units that have duty in it, by net and name.
    items: Vec<DutyRow>,
    /// Units that have none in it.
    off: usize,
}

/// Who is on duty on the local day of a moment, and at that moment.
#[utoipa::path(get, path = "/api/v1/units/duty", tag = "duty", params(MomentQuery), responses(
    (status = 200, body = DutyList), (status = 400, body = Problem), (status = 401, body = Problem)))]
pub async fn duty(State(app): State<Arc<App>>, QueryOf(query): QueryOf<MomentQuery>) -> axum::Json<DutyList> {
    let at = query.at_us.map_or_else(|| app.clock.utc(), UtcMicros);
    let (from, to) = hours::day_of(at, OFFSET_MIN);
    let all = app.duty.read(definitions::all::<UnitBody>);
    let count = all.len();
    let row = |one: Standing<UnitBody>| {
        let spans = hours::spans(&one.body.duty, from, to, OFFSET_MIN);
        let on_duty = hours::is_on(&one.body.duty, at, OFFSET_MIN);
        let UnitBody { name, net, contact, members, .. } = one.body;
        let spans = spans.into_iter().map(|(from, to)| (from.0, to.0)).collect();
        DutyRow { unit: one.id.to_string(), name, net, contact, members, on_duty, spans }
    };
    let mut items: Vec<DutyRow> = all.into_iter().map(row).filter(|row| !row.spans.is_empty()).collect();
    items.sort_by(|a, b| (a.net, &a.name).cmp(&(b.net, &b.name)));
    let off = count - items.len();
    axum::Json(DutyList { at_us: at.0, from_us: from.0, to_us: to.0, items, off })
}

//! The checkpoint plan: which checkpoints and cameras somebody meets who flees from a place in a direction.

use std::sync::Arc;

use axum::extract::State;
use fengsui_config::{Topology, limits};
use fengsui_duty::define::{Net, UnitBody};
use fengsui_duty::near::Point;
use fengsui_duty::near::checkpoints::{Flight, Met, Nearness, Thing, plan};
use fengsui_duty::near::hours::{self, OFFSET_MIN};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::definitions::{self, Standing, fault};
use super::units::PlaceQuery;
use crate::app::App;
use crate::duty::places::Ground;
use crate::duty::units::under_way;
use crate::http::problem::{ApiResult, Problem, QueryOf};

/// How far is looked when nothing is said, in metres.
const REACH_USUAL_M: f64 = 5000.0;
/// Least and most of it.
const REACH_M: (f64, f64) = (100.0, 100_000.0);
/// How fast when nothing is said: a car in a town, in kilometres an hour.
const SPEED_USUAL_KMH: f64 = 40.0;
/// Least and most of it.
const SPEED_KMH: (f64, f64) = (1.0, 250.0);

/// Somebody flees.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FlightQuery {
    /// National code of a site; absent with a point.
    site: Option<String>,
    /// WGS-84 latitude of a point.
    lat: Option<f64>,
    /// WGS-84 longitude of it.
    lon: Option<f64>,
    /// Direction of flight in degrees clockwise from north, 0 to 360.
    bearing: Option<f64>,
    /// How far is looked, in metres: 100 to 100000, 5000 when absent.
    reach_m: Option<f64>,
    /// How fast, in kilometres an hour: 1 to 250, 40 when absent.
    speed_kmh: Option<f64>,
}

/// A checkpoint or camera that would be met.
#[derive(Debug, Serialize, ToSchema)]
pub struct MetView {
    /// `checkpoint` or `camera`.
    kind: &'static str,
    /// Id of the unit, or code of the camera.
    id: String,
    /// Name.
    name: String,
    /// Site of a camera; empty for a checkpoint.
    site_name: String,
    /// How to reach a checkpoint; empty for a camera.
    contact: String,
    /// A checkpoint is on duty; true for a camera that is in use.
    on_duty: bool,
    /// A checkpoint is under way to something else.
    busy: bool,
    /// WGS-84 latitude, if known.
    lat: Option<f64>,
    /// WGS-84 longitude, if known.
    lon: Option<f64>,
    /// `ahead`, or where a position is missing `same_site`, `same_station` or `same_sub_centre`.
    #[schema(value_type = String)]
    nearness: Nearness,
    /// Metres along the direction; absent without positions.
    along_m: Option<f64>,
    /// Metres to the right of it, below 0 to the left.
    across_m: Option<f64>,
    /// Minutes until somebody can be there at the earliest, straight at the speed.
    minutes: Option<f64>,
}

/// A checkpoint plan.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckpointPlan {
    /// WGS-84 latitude of the place, if known; without it only the order of site, station and sub-centre is told.
    lat: Option<f64>,
    /// WGS-84 longitude of it.
    lon: Option<f64>,
    /// Direction in degrees.
    bearing: f64,
    /// How far is looked, in metres.
    reach_m: f64,
    /// How fast, in kilometres an hour.
    speed_kmh: f64,
    /// In the order in which they would be met.
    items: Vec<MetView>,
    /// Farther ones that are left out here.
    more: usize,
}

fn within(field: &str, value: Option<f64>, usual: f64, (least, most): (f64, f64)) -> ApiResult<f64> {
    let value = value.unwrap_or(usual);
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    Err(fault(field, value, &format!("is not between {least} and {most}"), "Send a number between."))
}

struct What {
    kind: &'static str,
    id: String,
    name: String,
    site_name: String,
    contact: String,
    on_duty: bool,
    busy: bool,
}

fn checkpoints(app: &App) -> Vec<Thing<What>> {
    let (units, ways) = app.duty.read(|book| (definitions::all::<UnitBody>(book), under_way(book)));
    let now = app.clock.utc();
    let posted = units.into_iter().filter(|one| one.body.net == Net::Checkpoint);
    let thing = |one: Standing<UnitBody>| {
        let body = one.body;
        let what = What {
            kind: "checkpoint",
            busy: ways.contains_key(&one.id),
            id: one.id.to_string(),
            name: body.name.clone(),
            site_name: String::new(),
            contact: body.contact,
            on_duty: hours::is_on(&body.duty, now, OFFSET_MIN),
        };
        let point = body.post.and_then(|(lat, lon)| Point::of(lat, lon));
        // Where the place has no position, a checkpoint is near by its area.
        Thing { what, point, codes: body.area, name: body.name }
    };
    posted.map(thing).collect()
}

fn cameras(topology: &Topology, ground: &Ground<'_>) -> Vec<Thing<What>> {
    let thing = |camera: &fengsui_config::topology::Camera| {
        let site = topology.sites.get(&camera.site);
        let what = What {
            kind: "camera",
            id: camera.id.to_string(),
            name: camera.name.clone(),
            site_name: site.map_or_else(String::new, |s| s.name.clone()),
            contact: String::new(),
            on_duty: camera.enabled,
            busy: false,
        };
        let codes = site.map(|s| ground.codes(s)).unwrap_or_default();
        Thing { what, point: ground.camera(camera), codes, name: camera.name.clone() }
    };
    topology.cameras.values().map(thing).collect()
}

fn view(met: Met<What>) -> MetView {
    let what = met.what;
    MetView {
        kind: what.kind,
        id: what.id,
        name: what.name,
        site_name: what.site_name,
        contact: what.contact,
        on_duty: what.on_duty,
        busy: what.busy,
        lat: met.point.map(Point::lat),
        lon: met.point.map(Point::lon),
        nearness: met.nearness,
        along_m: met.along_m.map(f64::round),
        across_m: met.across_m.map(f64::round),
        minutes: met.minutes.map(|m| (m * 10.0).round() / 10.0),
    }
}

/// Checkpoints and cameras ahead of somebody who flees from a place in a direction, in the order in which they would be met.
#[utoipa::path(get, path = "/api/v1/checkpoints", tag = "duty", params(FlightQuery), responses(
    (status = 200, body = CheckpointPlan), (status = 400, body = Problem), (status = 401, body = Problem)))]
pub async fn show(
    State(app): State<Arc<App>>,
    QueryOf(query): QueryOf<FlightQuery>,
) -> ApiResult<axum::Json<CheckpointPlan>> {
    let topology = app.topology();
    let ground = Ground::of(&topology);
    let place = PlaceQuery::read(query.site.as_deref(), (query.lat, query.lon), &ground)?;
    let asked = query.bearing.ok_or_else(|| {
        fault(
            "bearing",
            "none",
            "is missing",
            "Send the direction of flight in degrees: 0 north, 90 east, 180 south, 270 west.",
        )
    })?;
    let bearing = within("bearing", Some(asked), 0.0, (0.0, 360.0))?;
    let reach_m = within("reach_m", query.reach_m, REACH_USUAL_M, REACH_M)?;
    let speed_kmh = within("speed_kmh", query.speed_kmh, SPEED_USUAL_KMH, SPEED_KMH)?;
    let point = place.point;
    let things = checkpoints(&app).into_iter().chain(cameras(&topology, &ground));
    let met = plan(&Flight { place, bearing_deg: bearing, reach_m, speed_kmh }, things);
    let more = met.len().saturating_sub(limits::CHECKPOINT_ROWS_MAX);
    let items = met.into_iter().take(limits::CHECKPOINT_ROWS_MAX).map(view).collect();
    let (lat, lon) = (point.map(Point::lat), point.map(Point::lon));
    Ok(axum::Json(CheckpointPlan { lat, lon, bearing, reach_m, speed_kmh, items, more }))
}

//! Where to look when an alarm is raised: its camera, a little before, and the cameras around it.

use fengsui_config::Topology;
use fengsui_config::ids::CameraId;
use fengsui_config::limits;
use fengsui_config::topology::{Camera, Position};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::command;

/// A camera near another one.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Neighbour {
    /// The camera.
    #[schema(value_type = String)]
    pub camera: CameraId,
    /// Its name.
    pub name: String,
    /// Name of its site.
    pub site_name: String,
    /// The node that has it.
    pub node: String,
    /// How far away it is; none where one of the places is not known.
    pub metres: Option<u32>,
}

/// Where to look.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Look {
    /// The camera; none when the alarm is of none.
    #[schema(value_type = Option<String>)]
    pub camera: Option<CameraId>,
    /// The node that has it.
    pub node: Option<String>,
    /// From when: 10 s before the first event.
    pub from_us: i64,
    /// The first event.
    pub at_us: i64,
    /// The four nearest cameras: by position, then those of the site, then those of the station.
    pub neighbours: Vec<Neighbour>,
}

/// Radius of the earth in metres, as a sphere (IUGG mean).
const EARTH_METRES: f64 = 6_371_008.8;

/// Distance over ground in metres between two points, WGS-84 degrees (haversine; good to half a percent).
#[must_use]
pub fn metres((lat, lon): (f64, f64), (other_lat, other_lon): (f64, f64)) -> f64 {
    let half = |a: f64, b: f64| ((b - a).to_radians() / 2.0).sin().powi(2);
    let across = lat.to_radians().cos() * other_lat.to_radians().cos();
    let h = half(lat, other_lat) + across * half(lon, other_lon);
    2.0 * EARTH_METRES * h.sqrt().min(1.0).asin()
}

/// Whole metres of a distance over ground.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most half the earth around")]
pub(super) fn whole(metres: f64) -> u32 {
    metres.round() as u32
}

fn position(topology: &Topology, camera: &Camera) -> Option<Position> {
    camera.position.or_else(|| topology.sites.get(&camera.site)?.position)
}

/// How near a camera is: with a distance before those of the site, and these before those of the station.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
enum Nearness {
    Metres(f64),
    Site,
    Station,
}

/// The cameras nearest to one, the nearest first.
#[must_use]
pub fn neighbours(app: &App, topology: &Topology, of: CameraId) -> Vec<Neighbour> {
    let Some(camera) = topology.cameras.get(&of) else { return Vec::new() };
    let (here, station) =
        (position(topology, camera), |c: &Camera| topology.sites.get(&c.site).map(|s| s.station));
    let own_station = station(camera);
    let nearness = |other: &Camera| {
        let there = position(topology, other);
        if let (Some(a), Some(b)) = (here, there) {
            return Some(Nearness::Metres(metres((a.lat, a.lon), (b.lat, b.lon))));
        }
        match other.site == camera.site {
            true => Some(Nearness::Site),
            false => (own_station.is_some() && station(other) == own_station).then_some(Nearness::Station),
        }
    };
    let others = topology.cameras.values().filter(|c| c.id != of);
    // A camera that nobody reads shows nothing.
    let seen = others.filter(|c| c.enabled || command::holder(app, c.id).is_some());
    let mut near: Vec<(Nearness, &Camera)> = seen.filter_map(|c| Some((nearness(c)?, c))).collect();
    near.sort_by(|(a, x), (b, y)| {
        a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal).then(x.id.cmp(&y.id))
    });
    near.truncate(limits::DUTY_NEIGHBOURS);
    near.into_iter().map(|(nearness, camera)| neighbour(app, topology, camera, nearness)).collect()
}

fn neighbour(app: &App, topology: &Topology, camera: &Camera, nearness: Nearness) -> Neighbour {
    let metres = match nearness {
        Nearness::Metres(metres) => Some(whole(metres)),
        Nearness::Site | Nearness::Station => None,
    };
    Neighbour {
        camera: camera.id,
        name: camera.name.clone(),
        site_name: topology.sites.get(&camera.site).map(|s| s.name.clone()).unwrap_or_default(),
        node: node_of(app, camera.id),
        metres,
    }
}

/// The node that has a camera.
pub(in crate::duty) fn node_of(app: &App, camera: CameraId) -> String {
    command::holder(app, camera).map_or_else(|| app.node.id.clone(), |far| far.node.to_string())
}

impl Look {
    /// Where to look for an alarm of `camera` whose first event was at `at_us`.
    #[must_use]
    pub fn of(app: &App, camera: Option<CameraId>, at_us: i64) -> Self {
        let topology = app.topology();
        let before = i64::try_from(limits::DUTY_LOOK_BEFORE.as_micros()).unwrap_or(0);
        let neighbours = camera.map(|camera| neighbours(app, &topology, camera)).unwrap_or_default();
        let node = camera.map(|camera| node_of(app, camera));
        Self { camera, node, from_us: at_us.saturating_sub(before), at_us, neighbours }
    }
}

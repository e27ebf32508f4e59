//! What lies ahead of somebody who flees: checkpoints and cameras in the order in which they would be met.
//!
//! ```text
//!            reach
//!     ┌────────────────┐      What counts lies in a wedge from the place in the direction of flight: at the place it is
//!      ╲       ·      ╱       [`CORRIDOR_M`] wide to each side, and it widens by [`WIDENING_DEG`] to each side, for roads
//!       ╲   ·        ╱        do not run straight. `along` is measured on its axis, `across` from it (right positive):
//!        ╲      ·   ╱             along  = d cos(bearing to the point − direction)
//!         ╲  ·     ╱              across = d sin(bearing to the point − direction)
//!          │  ╳   │           and a point counts when 0 <= along <= reach and
//!           place                 |across| <= CORRIDOR_M + along tan(WIDENING_DEG).
//! ```
//!
//! Where a position is missing, of the place or of a thing, what stands in one site with the place comes first, then of one
//! station, then of one sub-centre.

use std::cmp::Ordering;

use serde::Serialize;

use super::{Place, Point};

/// Half the width of the wedge at the place, in metres.
pub const CORRIDOR_M: f64 = 150.0;
/// How far it widens to each side, in degrees.
pub const WIDENING_DEG: f64 = 35.0;

/// Somebody flees.
#[derive(Debug, Clone, PartialEq)]
pub struct Flight {
    /// From here.
    pub place: Place,
    /// In this direction: degrees clockwise from north.
    pub bearing_deg: f64,
    /// As far as this is looked, in metres.
    pub reach_m: f64,
    /// So fast, in kilometres an hour.
    pub speed_kmh: f64,
}

/// A checkpoint or a camera.
#[derive(Debug, Clone, PartialEq)]
pub struct Thing<T> {
    /// Which.
    pub what: T,
    /// Where it is.
    pub point: Option<Point>,
    /// National codes of its site, station and sub-centre (of a checkpoint, its area); some may be missing.
    pub codes: Vec<String>,
    /// Name, by which equal ones are in order.
    pub name: String,
}

/// How near something without a position is known to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Nearness {
    /// In the wedge.
    Ahead,
    /// At the same site.
    SameSite,
    /// In the area of the same station.
    SameStation,
    /// In that of the same sub-centre.
    SameSubCentre,
}

/// Something that would be met.
#[derive(Debug, Clone, PartialEq)]
pub struct Met<T> {
    /// Which.
    pub what: T,
    /// Where it is.
    pub point: Option<Point>,
    /// How that is known.
    pub nearness: Nearness,
    /// Metres along the direction.
    pub along_m: Option<f64>,
    /// Metres to the right of it.
    pub across_m: Option<f64>,
    /// Minutes until somebody can be there at the earliest: straight at the speed. Roads are longer.
    pub minutes: Option<f64>,
    name: String,
}

/// What would be met, in order.
#[must_use]
pub fn plan<T>(flight: &Flight, things: impl IntoIterator<Item = Thing<T>>) -> Vec<Met<T>> {
    let mut met: Vec<Met<T>> = things.into_iter().filter_map(|thing| meet(flight, thing)).collect();
    met.sort_by(order);
    met
}

fn meet<T>(flight: &Flight, thing: Thing<T>) -> Option<Met<T>> {
    let Thing { what, point, codes, name } = thing;
    if let (Some(from), Some(to)) = (flight.place.point, point) {
        let seen = from.offset_of(to, flight.bearing_deg);
        let width = CORRIDOR_M + seen.along_m * WIDENING_DEG.to_radians().tan();
        // At the place itself there is no direction, and rounding may put it behind.
        let along_m = if seen.metres < 1.0 { 0.0 } else { seen.along_m };
        let within = along_m >= 0.0 && along_m <= flight.reach_m && seen.across_m.abs() <= width;
        let minutes = seen.metres / (flight.speed_kmh / 3.6) / 60.0;
        return within.then_some(Met {
            what,
            point,
            nearness: Nearness::Ahead,
            along_m: Some(along_m),
            across_m: Some(seen.across_m),
            minutes: Some(minutes).filter(|m| m.is_finite() && *m >= 0.0),
            name,
        });
    }
    let levels = [Nearness::SameSite, Nearness::SameStation, Nearness::SameSubCentre];
    let shared = |code: &&String| codes.contains(code);
    let (_, nearness) = flight.place.codes.iter().zip(levels).find(|(code, _)| shared(code))?;
    Some(Met { what, point, nearness, along_m: None, across_m: None, minutes: None, name })
}

fn order<T>(one: &Met<T>, other: &Met<T>) -> Ordering {
    let along = |met: &Met<T>| met.along_m.unwrap_or(f64::INFINITY);
    one.nearness
        .cmp(&other.nearness)
        .then_with(|| along(one).total_cmp(&along(other)))
        .then_with(|| one.name.cmp(&other.name))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use proptest::prelude::*;

    use super::super::geo::tests::away;
    use super::*;

    fn here() -> Point {
        Point::of(28.97, 118.86).unwrap()
    }

    fn flight(bearing_deg: f64) -> Flight {
        let codes = ["site", "station", "centre"].map(str::to_owned).to_vec();
        Flight { place: Place { point: Some(here()), codes }, bearing_deg, reach_m: 3000.0, speed_kmh: 60.0 }
    }

    fn thing(name: &str, point: Option<Point>, codes: &[&str]) -> Thing<String> {
        let codes = codes.iter().map(|code| (*code).to_owned()).collect();
        Thing { what: name.to_owned(), point, codes, name: name.to_owned() }
    }

    fn placed(name: &str, bearing: f64, metres: f64) -> Thing<String> {
        thing(name, Some(away(here(), bearing, metres)), &[])
    }

    fn names(met: &[Met<String>]) -> Vec<&str> {
        met.iter().map(|m| m.what.as_str()).collect()
    }

    #[test]
    fn what_lies_ahead_comes_in_order_with_side_and_time() {
        let things = [
            placed("far", 95.0, 2800.0),
            placed("behind", 270.0, 500.0),
            placed("near", 80.0, 600.0),
            placed("beyond", 90.0, 3200.0),
            placed("aside", 90.0 + 60.0, 1500.0),
            placed("beside, close by", 90.0 + 85.0, 100.0),
            placed("here", 0.0, 0.0),
        ];
        let met = plan(&flight(90.0), things);
        assert_eq!(names(&met), ["here", "beside, close by", "near", "far"]);
        assert_eq!(met[2].across_m.map(f64::round), Some(-104.0), "to the left");
        assert_eq!(met[3].along_m.map(f64::round), Some(2789.0));
        assert!((met[3].minutes.unwrap() - 2.8).abs() < 0.01, "2.8 km at a kilometre a minute");
    }

    #[test]
    fn the_wedge_has_the_edges_that_are_written_down() {
        let edge = |along: f64| CORRIDOR_M + along * WIDENING_DEG.to_radians().tan();
        for along in [0.5, 400.0, 2500.0] {
            for (side, met) in [(edge(along) - 1.0, 1), (edge(along) + 1.0, 0)] {
                for sign in [1.0, -1.0] {
                    let (bearing, metres) = ((sign * side).atan2(along).to_degrees(), along.hypot(side));
                    let things = [placed("x", 200.0 + bearing, metres)];
                    assert_eq!(plan(&flight(200.0), things).len(), met, "{along} {side} {sign}");
                }
            }
        }
    }

    #[test]
    fn without_positions_the_same_site_comes_first_then_station_and_sub_centre() {
        let things = [
            thing("of the centre", None, &["other", "x", "centre"]),
            thing("b of the site", None, &["site", "station", "centre"]),
            thing("of the station", None, &["other", "station", "centre"]),
            thing("elsewhere", None, &["other"]),
            thing("a of the site", None, &["site", "station", "centre"]),
            placed("ahead", 0.0, 10.0),
        ];
        let met = plan(&flight(0.0), things.clone());
        assert_eq!(
            names(&met),
            ["ahead", "a of the site", "b of the site", "of the station", "of the centre"]
        );
        assert!(met[1].along_m.is_none() && met[1].minutes.is_none());
        let nowhere = Flight { place: Place { point: None, ..flight(0.0).place }, ..flight(0.0) };
        assert_eq!(
            names(&plan(&nowhere, things)),
            ["a of the site", "b of the site", "of the station", "of the centre"]
        );
    }

    proptest! {
        /// Turn everything around the place, and nothing changes.
        #[test]
        fn turning_the_map_changes_nothing(points in proptest::collection::vec((0.0..360.0_f64, 1.0..4000.0_f64), 0..25), bearing in 0.0..360.0_f64, turn in -720.0..720.0_f64) {
            let met = |turn: f64| {
                let things = points.iter().enumerate().map(|(i, (b, m))| placed(&format!("{i:02}"), b + turn, *m));
                plan(&flight(bearing + turn), things)
            };
            let (one, turned) = (met(0.0), met(turn));
            // What stands on an edge may fall to either side by rounding.
            let clear = |m: &Met<String>| {
                let (along, across) = (m.along_m.unwrap(), m.across_m.unwrap());
                along > 1.0 && along < 2999.0 && (across.abs() - CORRIDOR_M - along * WIDENING_DEG.to_radians().tan()).abs() > 1.0
            };
            for m in one.iter().filter(|m| clear(m)) {
                let same = turned.iter().find(|t| t.what == m.what);
                prop_assert!(same.is_some_and(|t| (t.along_m.unwrap() - m.along_m.unwrap()).abs() < 0.1 && (t.across_m.unwrap() - m.across_m.unwrap()).abs() < 0.1), "{m:?} {same:?}");
            }
            prop_assert!(one.windows(2).all(|pair| pair[0].along_m <= pair[1].along_m));
            prop_assert!(one.iter().all(|m| m.along_m.unwrap() <= 3000.0));
        }

        #[test]
        fn no_number_makes_a_plan_panic(point in any::<(f64, f64)>(), place in any::<(f64, f64)>(), bearing_deg in any::<f64>(), reach_m in any::<f64>(), speed_kmh in any::<f64>()) {
            let place = Place { point: Point::of(place.0, place.1), codes: vec![] };
            let things = [thing("x", Point::of(point.0, point.1), &[]), placed("y", 3.0, 5.0)];
            let met = plan(&Flight { place, bearing_deg, reach_m, speed_kmh }, things);
            prop_assert!(met.iter().all(|m| m.minutes.is_none_or(f64::is_finite)));
        }
    }
}

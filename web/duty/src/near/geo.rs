//! Points on the globe, and what lies between them.

use serde::Serialize;

/// Mean radius of the Earth in metres (IUGG).
const EARTH_M: f64 = 6_371_008.8;

/// A point on the globe, WGS-84 degrees. Both numbers are finite and on the globe.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    lat: f64,
    lon: f64,
}

/// Where something lies, seen from a place in a direction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Offset {
    /// Metres along the direction; below 0: behind.
    pub along_m: f64,
    /// Metres to the right of it; below 0: to the left.
    pub across_m: f64,
    /// Metres straight.
    pub metres: f64,
}

impl Point {
    /// A point; none when a number is not finite or lies off the globe.
    #[must_use]
    pub fn of(lat: f64, lon: f64) -> Option<Self> {
        let on = (-90.0..=90.0).contains(&lat) && (-180.0..=180.0).contains(&lon);
        on.then_some(Self { lat, lon })
    }

    /// Latitude in degrees, north positive.
    #[must_use]
    pub fn lat(self) -> f64 {
        self.lat
    }

    /// Longitude in degrees, east positive.
    #[must_use]
    pub fn lon(self) -> f64 {
        self.lon
    }

    /// Metres to another point, on the sphere (haversine): wrong by less than 0.6 %.
    #[must_use]
    pub fn metres_to(self, other: Self) -> f64 {
        let (phi, there) = (self.lat.to_radians(), other.lat.to_radians());
        let half_lat = ((there - phi) / 2.0).sin();
        let half_lon = ((other.lon - self.lon).to_radians() / 2.0).sin();
        let square = half_lat * half_lat + phi.cos() * there.cos() * half_lon * half_lon;
        // Rounding may leave the range for points that face each other across the globe.
        2.0 * EARTH_M * square.clamp(0.0, 1.0).sqrt().asin()
    }

    /// In which direction another point lies: degrees clockwise from north, 0 to below 360; 0 to itself.
    #[must_use]
    pub fn bearing_to(self, other: Self) -> f64 {
        let (phi, there) = (self.lat.to_radians(), other.lat.to_radians());
        let turn = (other.lon - self.lon).to_radians();
        let east = turn.sin() * there.cos();
        let north = phi.cos() * there.sin() - phi.sin() * there.cos() * turn.cos();
        let degrees = east.atan2(north).to_degrees().rem_euclid(360.0);
        // A tiny angle below 0 rounds up to 360.
        if degrees >= 360.0 { 0.0 } else { degrees }
    }

    /// Where `other` lies for somebody here who looks in the direction `bearing_deg`.
    #[must_use]
    pub fn offset_of(self, other: Self, bearing_deg: f64) -> Offset {
        let metres = self.metres_to(other);
        let aside = (self.bearing_to(other) - bearing_deg).to_radians();
        Offset { along_m: metres * aside.cos(), across_m: metres * aside.sin(), metres }
    }

    /// The middle of points that lie near each other, as those of a city do; none of none.
    #[must_use]
    pub fn middle(points: impl IntoIterator<Item = Self>) -> Option<Self> {
        let (mut lat, mut lon, mut count) = (0.0, 0.0, 0.0);
        for point in points {
            (lat, lon, count) = (lat + point.lat, lon + point.lon, count + 1.0);
        }
        (count > 0.0).then(|| Self::of(lat / count, lon / count)).flatten()
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    /// The point so far away in a direction.
    pub fn away(from: Point, bearing_deg: f64, metres: f64) -> Point {
        let (phi, turn, arc) = (from.lat.to_radians(), bearing_deg.to_radians(), metres / EARTH_M);
        let lat = (phi.sin() * arc.cos() + phi.cos() * arc.sin() * turn.cos()).asin();
        let lon = (turn.sin() * arc.sin() * phi.cos()).atan2(arc.cos() - phi.sin() * lat.sin());
        Point::of(lat.to_degrees(), from.lon + lon.to_degrees()).unwrap()
    }

    #[test]
    fn known_distances_and_directions_are_met() {
        // Quzhou and Hangzhou, railway stations, by a published great-circle calculator.
        let (quzhou, hangzhou) =
            (Point::of(28.9569, 118.8747).unwrap(), Point::of(30.2467, 120.2103).unwrap());
        assert!((quzhou.metres_to(hangzhou) - 192_900.0).abs() < 1500.0, "{}", quzhou.metres_to(hangzhou));
        let at = Point::of(0.0, 10.0).unwrap();
        for (lat, lon, bearing) in
            [(1.0, 10.0, 0.0), (0.0, 11.0, 90.0), (-1.0, 10.0, 180.0), (0.0, 9.0, 270.0)]
        {
            let there = Point::of(lat, lon).unwrap();
            assert!((at.bearing_to(there) - bearing).abs() < 1e-9);
            assert!((at.metres_to(there) - 111_195.08).abs() < 1.0, "one degree");
        }
        assert_eq!((at.metres_to(at), at.bearing_to(at)), (0.0, 0.0));
    }

    #[test]
    fn right_is_positive_and_behind_is_negative() {
        let at = Point::of(28.97, 118.87).unwrap();
        let seen = at.offset_of(away(at, 120.0, 1000.0), 90.0);
        assert!((seen.along_m - 866.0).abs() < 1.0 && (seen.across_m - 500.0).abs() < 1.0, "{seen:?}");
        let seen = at.offset_of(away(at, 300.0, 1000.0), 90.0);
        assert!(seen.along_m < -860.0 && seen.across_m < -490.0, "{seen:?}");
    }

    proptest! {
        #[test]
        fn no_number_makes_a_distance_that_is_none(a in any::<(f64, f64)>(), b in any::<(f64, f64)>(), bearing in any::<f64>()) {
            let (Some(a), Some(b)) = (Point::of(a.0, a.1), Point::of(b.0, b.1)) else { return Ok(()) };
            prop_assert!((0.0..=20_100_000.0).contains(&a.metres_to(b)));
            prop_assert!((0.0..360.0).contains(&a.bearing_to(b)));
            let _ = a.offset_of(b, bearing);
        }

        #[test]
        fn distances_are_the_same_both_ways(a in (27.0..31.0_f64, 117.0..121.0_f64), bearing in 0.0..360.0_f64, metres in 1.0..90_000.0_f64) {
            let a = Point::of(a.0, a.1).unwrap();
            let b = away(a, bearing, metres);
            prop_assert!((a.metres_to(b) - metres).abs() < 0.01 && (b.metres_to(a) - metres).abs() < 0.01);
            let turn = (a.bearing_to(b) - bearing).to_radians();
            prop_assert!(turn.sin().abs() * metres < 0.1);
        }
    }
}

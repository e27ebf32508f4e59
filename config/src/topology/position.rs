//! Positions: kept in WGS-84, with the datum in which they were typed.

use std::f64::consts::PI;
use std::str::FromStr;

use serde::Serialize;

/// Datum in which a position was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Datum {
    /// World Geodetic System 1984.
    #[default]
    Wgs84,
    /// China Geodetic Coordinate System 2000; equal to WGS-84 for our use (they differ by centimetres).
    Cgcs2000,
    /// The offset datum of Chinese base maps.
    Gcj02,
    /// The datum of Baidu maps: GCJ-02 offset once more.
    Bd09,
}

impl FromStr for Datum {
    type Err = ();
    fn from_str(s: &str) -> Result<Self, ()> {
        match s {
            "wgs84" => Ok(Self::Wgs84),
            "cgcs2000" => Ok(Self::Cgcs2000),
            "gcj02" => Ok(Self::Gcj02),
            "bd09" => Ok(Self::Bd09),
            _ => Err(()),
        }
    }
}

impl Datum {
    /// The word used in files and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Wgs84 => "wgs84",
            Self::Cgcs2000 => "cgcs2000",
            Self::Gcj02 => "gcj02",
            Self::Bd09 => "bd09",
        }
    }
}

/// A position on the ground.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Position {
    /// WGS-84 latitude in degrees, north positive.
    pub lat: f64,
    /// WGS-84 longitude in degrees, east positive.
    pub lon: f64,
    /// Datum of the numbers as typed.
    pub datum: Datum,
    /// Latitude as typed, in `datum`.
    pub typed_lat: f64,
    /// Longitude as typed, in `datum`.
    pub typed_lon: f64,
}

/// Why two numbers are no position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PositionError {
    /// Latitude not within -90..=90.
    #[error("a latitude lies between -90 and 90 degrees")]
    Latitude,
    /// Longitude not within -180..=180.
    #[error("a longitude lies between -180 and 180 degrees")]
    Longitude,
}

impl Position {
    /// A position as typed in `datum`, in degrees.
    ///
    /// # Errors
    /// When a number lies outside the globe or is not finite.
    pub fn typed(lat: f64, lon: f64, datum: Datum) -> Result<Self, PositionError> {
        if !(-90.0..=90.0).contains(&lat) {
            return Err(PositionError::Latitude);
        }
        if !(-180.0..=180.0).contains(&lon) {
            return Err(PositionError::Longitude);
        }
        let (wgs_lat, wgs_lon) = to_wgs84(lat, lon, datum);
        Ok(Self { lat: wgs_lat, lon: wgs_lon, datum, typed_lat: lat, typed_lon: lon })
    }
}

/// Latitude and longitude in WGS-84 degrees of a point given in `datum`.
#[must_use]
pub fn to_wgs84(lat: f64, lon: f64, datum: Datum) -> (f64, f64) {
    match datum {
        Datum::Wgs84 | Datum::Cgcs2000 => (lat, lon),
        Datum::Gcj02 => gcj02_to_wgs84(lat, lon),
        Datum::Bd09 => {
            let (lat, lon) = bd09_to_gcj02(lat, lon);
            gcj02_to_wgs84(lat, lon)
        }
    }
}

/// Semi-major axis and squared eccentricity of the Krasovsky 1940 ellipsoid, on which GCJ-02 computes its offset.
const AXIS_M: f64 = 6_378_245.0;
const ECCENTRICITY_SQUARED: f64 = 0.006_693_421_622_965_943;
/// BD-09 turns by this many radians per degree.
const BD_TURN: f64 = PI * 3000.0 / 180.0;

/// GCJ-02 leaves points outside this box as they are.
fn outside_china(lat: f64, lon: f64) -> bool {
    !(0.8293..=55.8271).contains(&lat) || !(72.004..=137.8347).contains(&lon)
}

/// Sum of the three sine waves that both offsets share.
fn waves(x: f64, y: f64) -> f64 {
    let sin = |turns: f64| (turns * PI).sin();
    20.0 * sin(6.0 * x) + 20.0 * sin(2.0 * x) + 20.0 * sin(y) + 40.0 * sin(y / 3.0)
}

/// Offset in degrees that GCJ-02 adds to a WGS-84 point.
fn gcj02_offset(lat: f64, lon: f64) -> (f64, f64) {
    let (x, y) = (lon - 105.0, lat - 35.0);
    let root = x.abs().sqrt();
    let north_m = -100.0
        + 2.0 * x
        + 3.0 * y
        + 0.2 * y * y
        + 0.1 * x * y
        + 0.2 * root
        + (waves(x, y) + 160.0 * (y / 12.0 * PI).sin() + 320.0 * (y * PI / 30.0).sin()) * 2.0 / 3.0;
    let east_m = 300.0
        + x
        + 2.0 * y
        + 0.1 * x * x
        + 0.1 * x * y
        + 0.1 * root
        + (waves(x, x) + 150.0 * (x / 12.0 * PI).sin() + 300.0 * (x / 30.0 * PI).sin()) * 2.0 / 3.0;
    let phi = lat.to_radians();
    let w_squared = 1.0 - ECCENTRICITY_SQUARED * phi.sin().powi(2);
    let meridian_m = AXIS_M * (1.0 - ECCENTRICITY_SQUARED) / (w_squared * w_squared.sqrt());
    let parallel_m = AXIS_M / w_squared.sqrt() * phi.cos();
    ((north_m / meridian_m).to_degrees(), (east_m / parallel_m).to_degrees())
}

/// WGS-84 to GCJ-02, in degrees. Used by base maps and to invert the offset.
fn wgs84_to_gcj02(lat: f64, lon: f64) -> (f64, f64) {
    if outside_china(lat, lon) {
        return (lat, lon);
    }
    let (north, east) = gcj02_offset(lat, lon);
    (lat + north, lon + east)
}

/// GCJ-02 to WGS-84 by fixed-point iteration: the offset is smooth, so three rounds reach below a millimetre.
fn gcj02_to_wgs84(lat: f64, lon: f64) -> (f64, f64) {
    let (mut guess_lat, mut guess_lon) = (lat, lon);
    for _ in 0..8 {
        let (there_lat, there_lon) = wgs84_to_gcj02(guess_lat, guess_lon);
        guess_lat += lat - there_lat;
        guess_lon += lon - there_lon;
    }
    (guess_lat, guess_lon)
}

/// BD-09 to GCJ-02, in degrees.
fn bd09_to_gcj02(lat: f64, lon: f64) -> (f64, f64) {
    let (x, y) = (lon - 0.0065, lat - 0.006);
    let radius = x.hypot(y) - 0.000_02 * (y * BD_TURN).sin();
    let angle = y.atan2(x) - 0.000_003 * (x * BD_TURN).cos();
    (radius * angle.sin(), radius * angle.cos())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    fn near(a: (f64, f64), b: (f64, f64), degrees: f64) -> bool {
        (a.0 - b.0).abs() <= degrees && (a.1 - b.1).abs() <= degrees
    }

    #[test]
    fn known_points_are_converted() {
        // Published pairs of WGS-84 and GCJ-02: Beijing, Shanghai, Shenzhen.
        let pairs = [
            ((39.911_954, 116.377_817), (39.913_345_455_360_69, 116.384_047_224_556_57)),
            ((31.177_427_6, 121.527_210_6), (31.175_303_983_645_97, 121.531_541_859_215)),
            ((22.543_847, 113.912_316), (22.540_796_131_694_766, 113.917_176_480_836_3)),
        ];
        for (wgs, gcj) in pairs {
            let got = to_wgs84(gcj.0, gcj.1, Datum::Gcj02);
            assert!(near(got, wgs, 1e-6), "{got:?} for {wgs:?}");
        }
        // A published pair of BD-09 and GCJ-02.
        let got = bd09_to_gcj02(39.921_336_993_510_22, 116.410_369_493_710_29);
        assert!(near(got, (39.915, 116.404), 1e-5), "{got:?}");
    }

    #[test]
    fn wgs84_and_cgcs2000_and_points_abroad_stay_as_they_are() {
        assert_eq!(to_wgs84(28.97, 118.87, Datum::Wgs84), (28.97, 118.87));
        assert_eq!(to_wgs84(28.97, 118.87, Datum::Cgcs2000), (28.97, 118.87));
        assert_eq!(to_wgs84(48.2, 16.37, Datum::Gcj02), (48.2, 16.37));
    }

    #[test]
    fn what_is_not_on_the_globe_is_refused() {
        assert_eq!(Position::typed(118.87, 28.97, Datum::Wgs84), Err(PositionError::Latitude));
        assert_eq!(Position::typed(28.97, 181.0, Datum::Wgs84), Err(PositionError::Longitude));
        assert_eq!(Position::typed(f64::NAN, 1.0, Datum::Gcj02), Err(PositionError::Latitude));
        assert_eq!(Position::typed(1.0, f64::INFINITY, Datum::Gcj02), Err(PositionError::Longitude));
    }

    proptest! {
        /// The inverse is exact to a millimetre (1e-8 degrees) all over the province.
        #[test]
        fn the_inverse_of_gcj02_leads_back(lat in 27.0..31.5_f64, lon in 118.0..123.0_f64) {
            let (there_lat, there_lon) = wgs84_to_gcj02(lat, lon);
            prop_assert!(near(to_wgs84(there_lat, there_lon, Datum::Gcj02), (lat, lon), 1e-8));
        }

        /// No number makes a position outside the globe.
        #[test]
        fn every_position_is_finite(lat in any::<f64>(), lon in any::<f64>(), datum in 0..4_usize) {
            let datum = [Datum::Wgs84, Datum::Cgcs2000, Datum::Gcj02, Datum::Bd09][datum];
            if let Ok(position) = Position::typed(lat, lon, datum) {
                prop_assert!(position.lat.is_finite() && position.lon.is_finite());
            }
        }
    }
}

//! Who is near and on duty: hours of duty, distances, the unit to propose for a place, and what lies ahead of somebody who
//! flees. Pure: positions and times are arguments, and no number given makes any of it panic.

pub mod checkpoints;
pub mod geo;
pub mod hours;
pub mod nearest;

pub use geo::Point;

/// A place, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Place {
    /// Where it is.
    pub point: Option<Point>,
    /// National codes of the site, station and sub-centre that it belongs to, the smallest first; empty: not known.
    pub codes: Vec<String>,
}

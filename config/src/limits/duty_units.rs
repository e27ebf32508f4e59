//! Bounds of patrol units, plans, and the links by which units work.

use std::time::Duration;

/// Units of a city.
pub const UNITS_MAX: usize = 2000;
/// Plans of a city.
pub const PLANS_MAX: usize = 500;
/// Newest positions of units that a node remembers.
pub const UNIT_POSITIONS_MAX: usize = UNITS_MAX;
/// Members of one unit.
pub const UNIT_MEMBERS_MAX: usize = 100;
/// Areas of one unit.
pub const UNIT_AREAS_MAX: usize = 500;
/// Stretches of duty of one unit.
pub const UNIT_DUTY_MAX: usize = 28;
/// Steps of one plan.
pub const PLAN_STEPS_MAX: usize = 100;
/// Answers of one step.
pub const PLAN_ANSWERS_MAX: usize = 12;
/// Characters of a name: of a unit, a member, a plan.
pub const UNIT_NAME_CHARS_MAX: usize = 64;
/// Characters of a text: of a step, an order, a result.
pub const UNIT_TEXT_CHARS_MAX: usize = 1000;
/// How old a position may be when it is reported.
pub const UNIT_POSITION_AGE_MAX: Duration = Duration::from_secs(3600);
/// How often a centre asks its nodes where their units are: a unit in a car is a kilometre further then.
pub const UNIT_POSITIONS_ASK: Duration = Duration::from_secs(30);
/// How far ahead of the node's clock.
pub const UNIT_POSITION_AHEAD_MAX: Duration = Duration::from_secs(60);
/// How long the link of a dispatch is good.
pub const UNIT_LINK_LIFE: Duration = Duration::from_secs(12 * 3600);
/// Links that are good at once.
pub const UNIT_LINKS_MAX: usize = 4096;
/// Units that a list of the nearest ones holds at most.
pub const UNITS_NEAR_MAX: usize = 50;
/// Checkpoints and cameras of one checkpoint plan.
pub const CHECKPOINT_ROWS_MAX: usize = 200;
/// A point on the map belongs to the area of the nearest site within this many metres.
pub const UNIT_PLACE_REACH_M: f64 = 3000.0;

//! Which promise will break first, and when. Pure.
//!
//! The room that promises need at some hour ahead is what is stored and still promised then, what is held, and what will
//! have been recorded by then and is still promised. When that is more than the volumes hold, a promise breaks.
//! All volumes count as one: streams are spread over them by their free room.

use std::collections::BTreeMap;

use fengsui_config::clock::UtcMicros;
use fengsui_config::limits;
use fengsui_config::topology::CameraClass;
use serde::{Deserialize, Serialize};

/// Microseconds of an hour.
pub(super) const HOUR_US: i64 = 3_600_000_000;

/// What is stored and comes in of one class.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Load {
    /// Hours of its promise.
    pub min_hours: u64,
    /// Bytes stored whose promise ends within the hour of this number from now; not held.
    pub promised: BTreeMap<u64, u64>,
    /// Bytes stored and held.
    pub held_bytes: u64,
    /// Bytes stored in all.
    pub bytes: u64,
    /// Start of the oldest footage.
    pub oldest: Option<UtcMicros>,
    /// Bytes a second that come in.
    pub rate: f64,
    /// The part of them that is held without end.
    pub rate_held: f64,
    /// Streams measured.
    pub streams: u64,
}

/// What a forecast goes by.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ForecastFacts {
    /// Now.
    pub now: UtcMicros,
    /// Bytes of footage that the volumes in use can hold before one is about to stop.
    pub capacity_bytes: u64,
    /// By class, in the order in which promises break; cameras that are not configured count as key targets.
    pub loads: BTreeMap<CameraClass, Load>,
    /// Seconds over which the rates were measured.
    pub measured_seconds: u64,
}

/// Shortest time over which a rate is worth anything, in seconds.
const MEASURED_SECONDS_MIN: u64 = 600;

/// What is to be expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outlook")]
pub enum Outlook {
    /// Too little was recorded so far to say.
    Collecting,
    /// Every promise holds as far as the forecast looks.
    Holds,
    /// A promise breaks unless something changes.
    Breaks {
        /// The class whose promise breaks first.
        class: CameraClass,
        /// When.
        at_us: UtcMicros,
    },
}

/// A forecast.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Forecast {
    /// When it was made.
    pub at_us: UtcMicros,
    /// What is to be expected.
    #[serde(flatten)]
    pub outlook: Outlook,
    /// Bytes of footage that the volumes can hold.
    pub capacity_bytes: u64,
    /// Bytes that all promises and holds need when everything has run for the length of its promise.
    pub needed_bytes: u64,
    /// Bytes a day that come in.
    pub bytes_per_day: u64,
}

impl Forecast {
    /// The promise breaks within the time that is warned of ahead.
    #[must_use]
    pub fn is_alarming(&self, now: UtcMicros) -> bool {
        matches!(self.outlook, Outlook::Breaks { at_us, .. } if at_us <= now + limits::FORECAST_ALARM)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes, rounded")]
fn whole(bytes: f64) -> u64 {
    bytes.max(0.0) as u64
}

#[expect(clippy::cast_precision_loss, reason = "hours and bytes of a forecast")]
fn required(load: &Load, hour: u64) -> f64 {
    let stored: u64 = load.promised.range(hour..).map(|(_, bytes)| *bytes).sum::<u64>() + load.held_bytes;
    let ordinary = (load.rate - load.rate_held).max(0.0) * 3600.0 * hour.min(load.min_hours) as f64;
    stored as f64 + ordinary + load.rate_held * 3600.0 * hour as f64
}

/// Looks ahead.
#[must_use]
pub fn forecast(facts: &ForecastFacts) -> Forecast {
    let horizon = limits::FORECAST_HORIZON.as_secs() / 3600;
    let longest = facts.loads.values().map(|l| l.min_hours).max().unwrap_or(0);
    let need = |hour: u64| facts.loads.values().map(|l| required(l, hour)).sum::<f64>();
    #[expect(clippy::cast_precision_loss, reason = "bytes of a forecast")]
    let capacity = facts.capacity_bytes as f64;
    let rate: f64 = facts.loads.values().map(|l| l.rate).sum();
    let measured = facts.measured_seconds >= MEASURED_SECONDS_MIN && rate > 0.0;
    let outlook = if !measured {
        Outlook::Collecting
    } else {
        match first_above(capacity, horizon, &facts.loads) {
            Some(hour) => Outlook::Breaks {
                class: first_class(facts, hour),
                at_us: UtcMicros(facts.now.0.saturating_add(i64::try_from(hour).unwrap_or(0) * HOUR_US)),
            },
            None => Outlook::Holds,
        }
    };
    Forecast {
        at_us: facts.now,
        outlook,
        capacity_bytes: facts.capacity_bytes,
        needed_bytes: whole(need(longest)),
        bytes_per_day: whole(rate * 86_400.0),
    }
}

/// The first hour at which more is needed than there is; what is stored is summed once, from the far end.
#[expect(clippy::cast_precision_loss, reason = "hours and bytes of a forecast")]
fn first_above(capacity: f64, horizon: u64, loads: &BTreeMap<CameraClass, Load>) -> Option<u64> {
    let mut stored: f64 =
        loads.values().map(|l| l.promised.values().sum::<u64>() as f64 + l.held_bytes as f64).sum();
    for hour in 0..=horizon {
        if let Some(last) = hour.checked_sub(1) {
            stored -= loads.values().filter_map(|l| l.promised.get(&last)).sum::<u64>() as f64;
        }
        let coming: f64 = loads
            .values()
            .map(|l| {
                let ordinary = (l.rate - l.rate_held).max(0.0) * hour.min(l.min_hours) as f64;
                (ordinary + l.rate_held * hour as f64) * 3600.0
            })
            .sum();
        if stored + coming > capacity {
            return Some(hour);
        }
    }
    None
}

/// The class that gives way first: the lowest that has anything promised then.
fn first_class(facts: &ForecastFacts, hour: u64) -> CameraClass {
    let has = facts.loads.iter().find(|(_, l)| l.rate > 0.0 || l.promised.range(hour..).next().is_some());
    has.map_or(CameraClass::Normal, |(class, _)| *class)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const NOW: UtcMicros = UtcMicros(1_790_000_000_000_000);

    fn facts(capacity_bytes: u64, load: Load) -> ForecastFacts {
        let loads = BTreeMap::from([(CameraClass::Normal, load)]);
        ForecastFacts { now: NOW, capacity_bytes, loads, measured_seconds: 86_400 }
    }

    /// 1000 bytes a second under a promise of 100 hours: 3.6 MB an hour.
    fn load() -> Load {
        Load { min_hours: 100, rate: 1000.0, streams: 1, ..Load::default() }
    }

    fn breaks_after(facts: &ForecastFacts) -> Option<i64> {
        match forecast(facts).outlook {
            Outlook::Breaks { at_us, .. } => Some(at_us.since(NOW) / HOUR_US),
            _ => None,
        }
    }

    #[test]
    fn a_promise_that_fits_holds_and_one_that_does_not_breaks_when_the_room_is_used_up() {
        let f = forecast(&facts(361_000_000, load()));
        assert_eq!((f.outlook, f.needed_bytes, f.bytes_per_day), (Outlook::Holds, 360_000_000, 86_400_000));
        // 50 hours fit.
        assert_eq!(breaks_after(&facts(180_000_000, load())), Some(51));
        let alarming = forecast(&facts(180_000_000, load()));
        assert!(alarming.is_alarming(NOW), "51 hours are less than 72");
        assert!(!forecast(&facts(300_000_000, load())).is_alarming(NOW), "83 hours are more");
    }

    #[test]
    fn what_is_stored_counts_for_as_long_as_it_is_promised() {
        // As much again as fits comes free hour by hour while new footage comes in.
        let mut l = load();
        l.promised = (0..100).map(|h| (h, 3_600_000)).collect();
        assert_eq!(breaks_after(&facts(360_000_001, l.clone())), None);
        assert_eq!(breaks_after(&facts(359_000_000, l.clone())), Some(0));
        l.held_bytes = 3_600_000;
        assert_eq!(breaks_after(&facts(360_000_001, l)), Some(0));
    }

    #[test]
    fn what_is_held_without_end_fills_any_disk() {
        let mut l = load();
        l.rate_held = 1000.0;
        assert_eq!(breaks_after(&facts(720_000_000, l)), Some(201));
    }

    #[test]
    fn too_little_footage_gives_no_forecast() {
        let mut f = facts(1, load());
        f.measured_seconds = 60;
        assert_eq!(forecast(&f).outlook, Outlook::Collecting);
        assert_eq!(forecast(&ForecastFacts::default()).outlook, Outlook::Collecting);
    }
}

//! Hours of duty: who is on duty at a moment, until when, and when next.
//!
//! Hours are local: `offset_min` is what local time is ahead of UTC. Duty begins on a local day and may end on the next one.

use fengsui_config::clock::UtcMicros;

use crate::define::Hours;

/// What the time of the People's Republic is ahead of UTC, in minutes, all over it and all the year.
pub const OFFSET_MIN: i32 = 8 * 60;
/// Minutes of a day.
pub const DAY_MIN: u16 = 1440;
/// Longest range of which spans are told, in days.
pub const SPAN_DAYS_MAX: i64 = 62;

const MINUTE_US: i64 = 60_000_000;
const DAY_US: i64 = 86_400_000_000;
/// How far ahead one looks for the end of a duty and for the next one: after a week everything comes again.
const AHEAD_DAYS: i64 = 8;

/// How somebody stands with duty at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// They are on duty.
    pub on: bool,
    /// When that changes; none: never.
    pub until_us: Option<UtcMicros>,
}

/// Start and end in minutes of the day on which it begins; the end may lie in the next day.
fn reach(hours: &Hours) -> (i64, i64) {
    let (from, to) = (i64::from(hours.from_min), i64::from(hours.to_min));
    (from, if to > from { to } else { to + i64::from(DAY_MIN) })
}

/// Whether it begins on the day that is `day` days after the first of January 1970.
fn begins_on(hours: &Hours, day: i64) -> bool {
    // That day was a Thursday.
    let weekday = day.saturating_add(3).rem_euclid(7) + 1;
    hours.days.is_empty() || hours.days.iter().any(|d| i64::from(*d) == weekday)
}

fn local(at: UtcMicros, offset_min: i32) -> i64 {
    at.0.saturating_add(i64::from(offset_min) * MINUTE_US)
}

/// Whether `at` lies in any of these hours; no hours: always.
#[must_use]
pub fn is_on(hours: &[Hours], at: UtcMicros, offset_min: i32) -> bool {
    let at = local(at, offset_min);
    let (day, time) = (at.div_euclid(DAY_US), at.rem_euclid(DAY_US));
    hours.is_empty()
        || hours.iter().any(|one| {
            let (from, to) = reach(one);
            let within = |time: i64| (from * MINUTE_US..to * MINUTE_US).contains(&time);
            begins_on(one, day) && within(time)
                || begins_on(one, day.saturating_sub(1)) && within(time + DAY_US)
        })
}

/// The stretches of `from..to` that lie in these hours, in order and joined where they touch. At most [`SPAN_DAYS_MAX`] days
/// from the start on.
#[must_use]
pub fn spans(
    hours: &[Hours],
    from: UtcMicros,
    to: UtcMicros,
    offset_min: i32,
) -> Vec<(UtcMicros, UtcMicros)> {
    let shift = i64::from(offset_min) * MINUTE_US;
    let to = to.min(UtcMicros(from.0.saturating_add(SPAN_DAYS_MAX * DAY_US)));
    if from >= to {
        return Vec::new();
    }
    if hours.is_empty() {
        return vec![(from, to)];
    }
    let first = local(from, offset_min).div_euclid(DAY_US).saturating_sub(1);
    let mut found: Vec<(i64, i64)> = Vec::new();
    for day in first..=local(to, offset_min).div_euclid(DAY_US) {
        let midnight = day.saturating_mul(DAY_US).saturating_sub(shift);
        for one in hours.iter().filter(|one| begins_on(one, day)) {
            let (start, end) = reach(one);
            let start = midnight.saturating_add(start * MINUTE_US).max(from.0);
            let end = midnight.saturating_add(end * MINUTE_US).min(to.0);
            if start < end {
                found.push((start, end));
            }
        }
    }
    found.sort_unstable();
    let mut joined: Vec<(i64, i64)> = Vec::new();
    for (start, end) in found {
        match joined.last_mut() {
            Some((_, last)) if start <= *last => *last = end.max(*last),
            _ => joined.push((start, end)),
        }
    }
    joined.into_iter().map(|(start, end)| (UtcMicros(start), UtcMicros(end))).collect()
}

/// How somebody with these hours stands at `at`.
#[must_use]
pub fn standing(hours: &[Hours], at: UtcMicros, offset_min: i32) -> Standing {
    let end = UtcMicros(at.0.saturating_add(AHEAD_DAYS * DAY_US));
    let on = is_on(hours, at, offset_min);
    let next = spans(hours, at, end, offset_min).into_iter().next();
    let until_us = match next {
        Some((_, over)) if on => Some(over).filter(|over| *over < end),
        Some((start, _)) => Some(start),
        None => None,
    };
    Standing { on, until_us }
}

/// Start and end of the local day in which `at` lies.
#[must_use]
pub fn day_of(at: UtcMicros, offset_min: i32) -> (UtcMicros, UtcMicros) {
    let shift = i64::from(offset_min) * MINUTE_US;
    let start = local(at, offset_min).div_euclid(DAY_US).saturating_mul(DAY_US).saturating_sub(shift);
    (UtcMicros(start), UtcMicros(start.saturating_add(DAY_US)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    fn hours(days: &[u8], from_min: u16, to_min: u16) -> Hours {
        Hours { days: days.to_vec(), from_min, to_min }
    }

    /// Local time in Quzhou, from Monday 2026-11-23 on.
    fn at(day: i64, hour: i64, minute: i64) -> UtcMicros {
        const MONDAY: i64 = 1_795_392_000_000_000;
        UtcMicros(
            MONDAY + day * DAY_US + (hour * 60 + minute) * MINUTE_US - i64::from(OFFSET_MIN) * MINUTE_US,
        )
    }

    #[test]
    fn duty_runs_over_midnight_into_a_day_that_is_not_named() {
        let night = [hours(&[5], 22 * 60, 6 * 60)];
        let on = |day, hour, minute| is_on(&night, at(day, hour, minute), OFFSET_MIN);
        assert!(!on(4, 21, 59) && on(4, 22, 0) && on(4, 23, 59), "Friday evening");
        assert!(on(5, 0, 0) && on(5, 5, 59) && !on(5, 6, 0), "Saturday morning");
        assert!(!on(5, 22, 0) && !on(4, 5, 0), "no other night");
        let standing = standing(&night, at(4, 23, 0), OFFSET_MIN);
        assert_eq!(standing, Standing { on: true, until_us: Some(at(5, 6, 0)) });
        let before = super::standing(&night, at(0, 12, 0), OFFSET_MIN);
        assert_eq!(before, Standing { on: false, until_us: Some(at(4, 22, 0)) });
    }

    #[test]
    fn no_hours_are_always_and_equal_ones_a_whole_day() {
        assert!(is_on(&[], at(2, 3, 4), OFFSET_MIN));
        assert_eq!(standing(&[], at(2, 3, 4), OFFSET_MIN), Standing { on: true, until_us: None });
        let day = [hours(&[2], 480, 480)];
        assert!(is_on(&day, at(1, 8, 0), OFFSET_MIN) && is_on(&day, at(2, 7, 59), OFFSET_MIN));
        assert!(!is_on(&day, at(1, 7, 59), OFFSET_MIN) && !is_on(&day, at(2, 8, 0), OFFSET_MIN));
        let every = [hours(&[], 0, 1440)];
        assert_eq!(standing(&every, at(2, 3, 4), OFFSET_MIN), Standing { on: true, until_us: None });
    }

    #[test]
    fn local_time_decides_on_the_day() {
        let monday = [hours(&[1], 0, 1440)];
        assert!(
            is_on(&monday, at(0, 0, 0), OFFSET_MIN) && !is_on(&monday, at(0, 0, 0), 0),
            "Sunday 16:00 UTC"
        );
        assert_eq!(day_of(at(0, 13, 0), OFFSET_MIN), (at(0, 0, 0), at(1, 0, 0)));
    }

    #[test]
    fn spans_that_touch_are_one() {
        let shifts = [hours(&[], 480, 1200), hours(&[], 1200, 480)];
        assert_eq!(spans(&shifts, at(0, 0, 0), at(3, 0, 0), OFFSET_MIN), [(at(0, 0, 0), at(3, 0, 0))]);
        let day = [hours(&[], 480, 1080)];
        let two = [(at(0, 8, 0), at(0, 18, 0)), (at(1, 8, 0), at(1, 12, 0))];
        assert_eq!(spans(&day, at(0, 0, 0), at(1, 12, 0), OFFSET_MIN), two);
    }

    fn any_hours() -> impl Strategy<Value = Hours> {
        (proptest::collection::vec(1..=7_u8, 0..4), 0..1440_u16, 0..=1440_u16)
            .prop_map(|(days, from_min, to_min)| Hours { days, from_min, to_min })
    }

    proptest! {
        /// Two ways to say the same agree.
        #[test]
        fn a_moment_is_on_duty_when_a_span_holds_it(list in proptest::collection::vec(any_hours(), 0..5), minute in 0..20_000_i64, offset in -720..=840_i32) {
            let moment = UtcMicros(at(0, 0, 0).0 + minute * MINUTE_US + 1);
            let spans = spans(&list, at(-3, 0, 0), at(20, 0, 0), offset);
            let held = spans.iter().any(|(from, to)| (*from..*to).contains(&moment));
            prop_assert_eq!(is_on(&list, moment, offset), held);
            prop_assert!(spans.windows(2).all(|pair| pair[0].1 < pair[1].0));
            let now = standing(&list, moment, offset);
            if let Some(until) = now.until_us {
                prop_assert!(until > moment);
                prop_assert_eq!(is_on(&list, UtcMicros(until.0), offset), !now.on);
                prop_assert_eq!(is_on(&list, UtcMicros(until.0 - 1), offset), now.on);
            }
        }

        #[test]
        fn no_number_makes_hours_panic(days in proptest::collection::vec(any::<u8>(), 0..3), from_min in any::<u16>(), to_min in any::<u16>(), now in any::<i64>(), then in any::<i64>(), offset in any::<i32>()) {
            let list = [Hours { days, from_min, to_min }];
            let _ = is_on(&list, UtcMicros(now), offset);
            let _ = spans(&list, UtcMicros(now), UtcMicros(then), offset);
            let _ = standing(&list, UtcMicros(now), offset);
            let _ = day_of(UtcMicros(now), offset);
        }
    }
}

//! Hours of the week, in local time.

use fengsui_config::clock::UtcMicros;
use fengsui_config::limits;

use crate::define::Hours;

const MINUTE_US: i64 = 60_000_000;
/// Minutes of a day.
pub const DAY_MIN: u16 = 1440;
/// Minutes of a week.
const WEEK_MIN: usize = 7 * 1440;

/// The minutes of a week, Monday 00:00 first, in which something is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Week {
    /// None: all of them.
    minutes: Option<Box<[bool]>>,
    offset_s: i64,
}

impl Default for Week {
    fn default() -> Self {
        Self { minutes: None, offset_s: limits::LOCAL_UTC_OFFSET_S }
    }
}

impl Week {
    /// The minutes that `hours` name; all when there are none. `offset_s`: seconds of local time ahead of UTC.
    #[must_use]
    pub fn of(hours: &[Hours], offset_s: i64) -> Self {
        if hours.is_empty() {
            return Self { minutes: None, offset_s };
        }
        let mut minutes = vec![false; WEEK_MIN];
        for one in hours {
            for day in 1..=7_u8 {
                if !one.days.is_empty() && !one.days.contains(&day) {
                    continue;
                }
                let begin = usize::from(day - 1) * usize::from(DAY_MIN) + usize::from(one.from_min);
                let length = match one.to_min.cmp(&one.from_min) {
                    std::cmp::Ordering::Greater => one.to_min - one.from_min,
                    std::cmp::Ordering::Equal => DAY_MIN,
                    std::cmp::Ordering::Less => DAY_MIN - one.from_min + one.to_min,
                };
                for minute in begin..begin + usize::from(length) {
                    if let Some(on) = minutes.get_mut(minute % WEEK_MIN) {
                        *on = true;
                    }
                }
            }
        }
        Self { minutes: Some(minutes.into_boxed_slice()), offset_s }
    }

    /// Minute of the week, and the microsecond at which it begins.
    fn minute(&self, at: UtcMicros) -> (usize, i64) {
        let local = at.0.saturating_add(self.offset_s.saturating_mul(1_000_000));
        let minute = local.div_euclid(MINUTE_US);
        // 1970-01-01 was a Thursday: three days after Monday.
        let of_week = (minute + 3 * i64::from(DAY_MIN)).rem_euclid(7 * i64::from(DAY_MIN));
        let begin = minute.saturating_mul(MINUTE_US) - self.offset_s.saturating_mul(1_000_000);
        (usize::try_from(of_week).unwrap_or(0), begin)
    }

    fn on(&self, minute: usize) -> bool {
        self.minutes.as_ref().is_none_or(|m| m.get(minute % WEEK_MIN).copied().unwrap_or(false))
    }

    /// Whether `at` is among them.
    #[must_use]
    pub fn contains(&self, at: UtcMicros) -> bool {
        self.on(self.minute(at).0)
    }

    /// Whether there is any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.minutes.as_ref().is_some_and(|m| m.iter().all(|on| !on))
    }

    /// The first moment from `at` on that is among them; none when there is none at all.
    #[must_use]
    pub fn next(&self, at: UtcMicros) -> Option<UtcMicros> {
        let (first, begin) = self.minute(at);
        let found = (0..=WEEK_MIN).find(|n| self.on(first + n))?;
        let begin = begin + i64::try_from(found).unwrap_or(0) * MINUTE_US;
        Some(UtcMicros(begin.max(at.0)))
    }

    /// Since when, without a pause, but not before `floor`; `at` itself is among them.
    #[must_use]
    pub fn since(&self, at: UtcMicros, floor: UtcMicros) -> UtcMicros {
        if self.minutes.is_none() {
            return floor.min(at);
        }
        let (last, mut begin) = self.minute(at);
        let mut minute = last + WEEK_MIN;
        while begin > floor.0 && self.on(minute - 1) && minute > last {
            minute -= 1;
            begin -= MINUTE_US;
        }
        UtcMicros(begin.max(floor.0))
    }

    /// The longest stretch without a pause, in seconds; none: it has no end.
    #[must_use]
    pub fn longest_s(&self) -> Option<u64> {
        let minutes = self.minutes.as_ref().filter(|m| m.iter().any(|on| !on))?;
        let (mut longest, mut run) = (0_u64, 0_u64);
        for on in minutes.iter().chain(minutes.iter()) {
            run = if *on { run + 1 } else { 0 };
            longest = longest.max(run);
        }
        Some(longest * 60)
    }
}

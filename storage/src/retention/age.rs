//! How old footage is, when clocks may have been wrong. Pure.
//!
//! Footage carries the wall clock's time, and the wall clock can be set: a dead battery says 1970, a typing error 2030.
//! Deleting by the label alone would then delete what was recorded yesterday. Two rules keep that from happening:
//! the *age clock* follows the wall clock only as fast as time can pass, and a segment whose label cannot be true, or lies
//! before that of a segment recorded earlier, is as young as the first one after it whose label can.

use std::time::Duration;

use fengsui_config::clock::{MonoMicros, UtcMicros};
use fengsui_config::limits;

/// Labels before this (2020-01-01) come from a clock that was not set.
const CREDIBLE_FROM_MS: i64 = 1_577_836_800_000;

/// The time that ages are counted by. Never ahead of the wall clock; after that was set forward, it catches up at
/// `limits::AGE_CATCH_UP` times the speed of time, so that people have time to notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgeClock {
    basis: UtcMicros,
    at: MonoMicros,
}

impl AgeClock {
    /// Starts from `known`: the newest sign of life of the run before. With none (nothing is stored) from the wall clock.
    #[must_use]
    pub fn start(known: Option<UtcMicros>, utc: UtcMicros, mono: MonoMicros) -> Self {
        Self { basis: known.unwrap_or(utc).min(utc), at: mono }
    }

    /// The time to count ages by.
    pub fn now(&mut self, utc: UtcMicros, mono: MonoMicros) -> UtcMicros {
        let passed = mono.since(self.at);
        self.at = mono;
        let to = self.basis + passed;
        // A basis ahead of the wall clock stays: the wall clock was set back, and may come back.
        self.basis = if utc > to { utc.min(to + passed * (limits::AGE_CATCH_UP - 1)) } else { to };
        self.basis.min(utc)
    }

    /// The time so far, which may be ahead of a wall clock that was set back.
    #[must_use]
    pub fn basis(&self) -> UtcMicros {
        self.basis
    }

    /// How far the wall clock is ahead.
    #[must_use]
    pub fn lag(&self, utc: UtcMicros) -> Duration {
        Duration::from_micros(u64::try_from(utc.since(self.basis)).unwrap_or(0))
    }
}

/// What tells the age of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    /// Number in its stream: counts up in the order of recording.
    pub number: u64,
    /// Start by the wall clock, in milliseconds.
    pub start_ms: i64,
    /// End by the wall clock, in milliseconds.
    pub end_ms: i64,
}

impl Label {
    fn is_credible(&self, now_ms: i64) -> bool {
        self.start_ms >= CREDIBLE_FROM_MS && self.end_ms <= now_ms.saturating_add(3_600_000)
    }
}

/// For each segment of a stream the time that it is at least as young as, in milliseconds: the end on its label, where
/// labels follow the order of recording. A segment whose label cannot be true, or steps back behind an earlier one, is
/// as young as the first one recorded after it for which neither is so; `i64::MAX` when there is none yet. `labels` are in
/// order of start, and so is the answer. `deleted` is number and end of the newest segment deleted already.
#[must_use]
pub fn effective_ends(labels: &[Label], now_ms: i64, deleted: Option<(u64, i64)>) -> Vec<i64> {
    let mut latest = i64::MIN;
    let mut order: Vec<usize> = (0..labels.len()).collect();
    if !labels.windows(2).all(|w| matches!(w, [a, b] if a.number < b.number)) {
        order.sort_by_key(|i| labels.get(*i).map(|l| l.number));
    }
    let mut ends = vec![i64::MAX; labels.len()];
    let mut doubtful: Vec<usize> = Vec::new();
    for i in order {
        let Some(label) = labels.get(i) else { continue };
        doubtful.push(i);
        if let Some((_, end_ms)) = deleted.filter(|(number, _)| *number < label.number) {
            latest = latest.max(end_ms);
        }
        if label.is_credible(now_ms) && label.end_ms >= latest {
            latest = label.end_ms;
            for at in doubtful.drain(..) {
                if let Some(end) = ends.get_mut(at) {
                    *end = latest;
                }
            }
        }
    }
    ends
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const HOUR: u64 = 3600;
    const NOW: UtcMicros = UtcMicros(1_790_000_000_000_000);

    fn mono(hours: u64) -> MonoMicros {
        MonoMicros(hours * HOUR * 1_000_000)
    }
    fn wall(hours: i64) -> UtcMicros {
        UtcMicros(NOW.0 + hours * 3_600_000_000)
    }

    #[test]
    fn a_wall_clock_set_forward_does_not_age_footage_at_once() {
        let mut clock = AgeClock::start(Some(NOW), NOW, mono(0));
        assert_eq!(clock.now(wall(1), mono(1)), wall(1));
        // Four years ahead: two hours an hour, and the lag is told.
        assert_eq!(clock.now(wall(35_000), mono(2)), wall(3));
        assert!(clock.lag(wall(35_000)) > limits::AGE_LAG_ALARM);
        // Set right again: nothing has moved beyond the truth.
        assert_eq!(clock.now(wall(3), mono(3)), wall(3));
        assert_eq!(clock.now(wall(4), mono(4)), wall(4));
        assert_eq!(clock.lag(wall(4)), Duration::ZERO);
    }

    #[test]
    fn a_wall_clock_set_back_and_forth_changes_nothing() {
        let mut clock = AgeClock::start(Some(NOW), NOW, mono(0));
        assert_eq!(clock.now(UtcMicros(5), mono(1)), UtcMicros(5));
        assert_eq!(clock.now(wall(2), mono(2)), wall(2), "time went on behind the wrong clock");
        assert_eq!(clock.lag(wall(2)), Duration::ZERO);
    }

    #[test]
    fn after_a_start_with_a_wrong_clock_ages_go_on_from_the_last_sign_of_life() {
        let mut clock = AgeClock::start(Some(NOW), wall(50_000), mono(0));
        assert_eq!(clock.now(wall(50_000), mono(0)), NOW);
        let mut clock = AgeClock::start(Some(NOW), UtcMicros(0), mono(0));
        assert_eq!(clock.now(wall(10), mono(0)), UtcMicros(0));
        assert!(AgeClock::start(None, NOW, mono(0)).now(NOW, mono(0)) == NOW);
    }

    fn label(number: u64, hour: i64) -> Label {
        let start_ms = wall(hour).millis();
        Label { number, start_ms, end_ms: start_ms + 300_000 }
    }

    fn ends(labels: &mut [Label]) -> Vec<(u64, i64)> {
        labels.sort_by_key(|l| (l.start_ms, l.number));
        let found = effective_ends(labels, NOW.millis(), None);
        let hour = |ms: i64| if ms == i64::MAX { ms } else { (ms - 300_000 - NOW.millis()) / 3_600_000 };
        let mut out: Vec<_> = labels.iter().zip(found).map(|(l, e)| (l.number, hour(e))).collect();
        out.sort_unstable();
        out
    }

    #[test]
    fn segments_after_a_step_back_are_as_young_as_what_came_when_time_caught_up() {
        let ordinary = ends(&mut [label(1, -50), label(2, -40), label(3, -30)]);
        assert_eq!(ordinary, [(1, -50), (2, -40), (3, -30)]);
        let set_back = ends(&mut [label(1, -50), label(2, -40), label(3, -64), label(4, -10)]);
        assert_eq!(set_back, [(1, -50), (2, -40), (3, -10), (4, -10)]);
        // Also when those that told the time are gone already.
        let left = [label(3, -64), label(4, -10)];
        let hour = |h| label(1, h).end_ms;
        assert_eq!(effective_ends(&left, NOW.millis(), Some((2, hour(-40)))), [hour(-10), hour(-10)]);
        assert_eq!(effective_ends(&left[..1], NOW.millis(), Some((2, hour(-40)))), [i64::MAX]);
        // What was left because it was held is as old as it says.
        assert_eq!(effective_ends(&left, NOW.millis(), Some((9, hour(-40)))), [hour(-64), hour(-10)]);
    }

    #[test]
    fn labels_that_cannot_be_true_are_as_young_as_what_came_after() {
        let dead_battery = Label { number: 2, start_ms: 1000, end_ms: 2000 };
        let found = ends(&mut [label(1, -50), dead_battery, label(3, -30), label(4, -20)]);
        assert_eq!(found, [(1, -50), (2, -30), (3, -30), (4, -20)]);
        let found = ends(&mut [label(1, -50), Label { number: 2, ..dead_battery }]);
        assert_eq!(found, [(1, -50), (2, i64::MAX)]);
        let future = ends(&mut [label(1, -50), label(2, 900), label(3, -30)]);
        assert_eq!(future, [(1, -50), (2, -30), (3, -30)]);
    }
}

//! When an event that was not taken is tried again, and when it is given up.

use fengsui_config::clock::UtcMicros;
use fengsui_config::limits;
use serde::{Deserialize, Serialize};

/// Attempts at one event so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempts {
    /// How many.
    pub made: u32,
    /// When the first was made.
    pub first: UtcMicros,
    /// How many of them the receiver refused, rather than failed at.
    pub refused: u32,
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It is tried again then.
    At(UtcMicros),
    /// It is a dead letter.
    GiveUp,
}

/// What follows the failure at `now`. The pause doubles from [`limits::WEBHOOK_BACKOFF`]'s first to its last; a quarter of
/// it is drawn by `seed`, so that many that fail together do not come back together.
#[must_use]
pub fn after_failure(attempts: &Attempts, now: UtcMicros, seed: u64) -> Next {
    let age = now.0.saturating_sub(attempts.first.0);
    let longest = i64::try_from(limits::WEBHOOK_GIVE_UP_AFTER.as_micros()).unwrap_or(i64::MAX);
    let refused = attempts.refused >= limits::WEBHOOK_REFUSALS_MAX;
    if refused || attempts.made >= limits::WEBHOOK_ATTEMPTS_MAX || age >= longest {
        return Next::GiveUp;
    }
    let (first, last) = limits::WEBHOOK_BACKOFF;
    let doublings = attempts.made.saturating_sub(1).min(16);
    let pause = first.saturating_mul(1 << doublings).min(last);
    let pause_us = i64::try_from(pause.as_micros()).unwrap_or(i64::MAX);
    // Three quarters, and what the draw gives of the fourth.
    let draw = i64::from(u16::try_from(mixed(seed, attempts.made) >> 48).unwrap_or(u16::MAX));
    let pause_us = pause_us - pause_us / 4 + (pause_us / 4).saturating_mul(draw) / i64::from(u16::MAX);
    Next::At(UtcMicros(now.0.saturating_add(pause_us)))
}

/// Spreads a seed over all bits (SplitMix64's finaliser).
fn mixed(seed: u64, made: u32) -> u64 {
    let mut z = seed.wrapping_add(u64::from(made).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;

    const SECOND: i64 = 1_000_000;

    #[test]
    fn pauses_double_up_to_an_hour_and_end_after_a_day() {
        for seed in 0..50 {
            let (mut now, mut attempts) =
                (UtcMicros(0), Attempts { made: 0, first: UtcMicros(0), refused: 0 });
            let mut pauses = Vec::new();
            loop {
                attempts.made += 1;
                match after_failure(&attempts, now, seed) {
                    Next::At(at) => {
                        pauses.push(at.0 - now.0);
                        now = at;
                    }
                    Next::GiveUp => break,
                }
            }
            for (place, pause) in pauses.iter().enumerate() {
                let full = ((2 * SECOND) << place.min(16)).min(3600 * SECOND);
                assert!((full * 3 / 4..=full).contains(pause), "seed {seed}, pause {place}: {pause}");
            }
            assert!(now.0 >= 23 * 3600 * SECOND, "seed {seed}: given up after {} s", now.0 / SECOND);
            assert!(attempts.made <= limits::WEBHOOK_ATTEMPTS_MAX);
        }
    }

    #[test]
    fn what_a_receiver_refuses_is_given_up_sooner() {
        let attempts = |refused| Attempts { made: refused, first: UtcMicros(0), refused };
        assert!(matches!(after_failure(&attempts(1), UtcMicros(0), 1), Next::At(_)));
        assert_eq!(after_failure(&attempts(limits::WEBHOOK_REFUSALS_MAX), UtcMicros(0), 1), Next::GiveUp);
    }

    #[test]
    fn those_who_fail_together_do_not_come_back_together() {
        let attempts = Attempts { made: 5, first: UtcMicros(0), refused: 0 };
        let at = |seed| match after_failure(&attempts, UtcMicros(0), seed) {
            Next::At(at) => at.0,
            Next::GiveUp => panic!("given up"),
        };
        let mut times: Vec<i64> = (0..100).map(at).collect();
        times.sort_unstable();
        times.dedup();
        assert!(times.len() > 95, "{} different times", times.len());
    }
}

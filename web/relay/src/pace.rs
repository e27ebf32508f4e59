//! Chance and pauses of the cores: from a seed, so that a run can be repeated.

use std::time::Duration;

use fengsui_config::clock::{MonoMicros, UtcMicros};

/// Both times, as an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// The wall clock.
    pub utc: UtcMicros,
    /// The clock that never goes back.
    pub mono: MonoMicros,
}

/// Numbers from a seed (splitmix64).
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The pause after `failures` failures: between the half and the whole of a bound that doubles from the first to the
    /// largest, so that eighteen nodes that lost their centre together do not come back together.
    pub(crate) fn pause(&mut self, (first, largest): (Duration, Duration), failures: u32) -> Duration {
        let bound = first.saturating_mul(1 << failures.min(16)).min(largest);
        let half = u64::try_from(bound.as_micros()).unwrap_or(u64::MAX) / 2;
        Duration::from_micros(half + self.roll() % half.max(1))
    }
}

/// Lets things through at a rate, after a burst.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    interval: Duration,
    burst: u32,
    /// When all that was let through is paid for.
    paid: MonoMicros,
}

impl Gate {
    pub(crate) fn new(interval: Duration, burst: u32) -> Self {
        Self { interval, burst, paid: MonoMicros(0) }
    }

    /// Lets one through, or says when.
    pub(crate) fn pass(&mut self, now: MonoMicros) -> Result<(), MonoMicros> {
        let paid = self.paid.max(now);
        let ahead = self.interval.saturating_mul(self.burst.saturating_sub(1));
        if paid.since(now) > ahead {
            return Err(now + (paid.since(now) - ahead));
        }
        self.paid = paid + self.interval;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_lets_a_burst_through_and_then_a_rate() {
        let mut gate = Gate::new(Duration::from_millis(10), 3);
        let at = |ms: u64| MonoMicros(1_000_000 + ms * 1000);
        let passed = (0..100).filter(|ms| gate.pass(at(*ms)).is_ok()).count();
        assert_eq!(passed, 3 + 9);
        assert_eq!(gate.pass(at(500)), Ok(()));
    }

    #[test]
    fn pauses_grow_to_their_bound_and_differ() {
        let mut dice = Dice::new(3);
        let bounds = (Duration::from_secs(1), Duration::from_secs(8));
        for failures in 0..40 {
            let pause = dice.pause(bounds, failures);
            assert!(pause >= Duration::from_millis(500) && pause < Duration::from_secs(8), "{pause:?}");
        }
        assert_ne!(dice.pause(bounds, 9), dice.pause(bounds, 9));
    }
}

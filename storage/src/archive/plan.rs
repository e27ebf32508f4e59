//! What is archived when: pure, without clock, files or sockets.

use std::time::Duration;

use fengsui_config::clock::{MonoMicros, UtcMicros};
use fengsui_config::limits;

use crate::segment::SegmentRow;

/// A segment that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The segment.
    pub row: SegmentRow,
    /// It is held: it goes before all others.
    pub held: bool,
    /// Since when it has been due.
    pub due: UtcMicros,
}

/// Puts what is due in order: held footage first, then the oldest; among equals by stream and number.
pub fn order(due: &mut [Candidate]) {
    due.sort_by(|a, b| {
        let rank = |c: &Candidate| (!c.held, c.row.start_ms, c.row.key, c.row.number);
        rank(a).cmp(&rank(b))
    });
}

/// Whether an upload is read back whole: `percent` of all keys, always the same ones, so that trying again cannot avoid
/// it.
#[must_use]
pub fn proof_due(key: &str, percent: u32) -> bool {
    let hash = blake3::hash(key.as_bytes());
    let [a, b, ..] = *hash.as_bytes();
    u32::from(u16::from_be_bytes([a, b])) * 100 < percent * 65_536
}

/// Bounds bytes over time: a bucket that holds one second's worth.
#[derive(Debug)]
pub struct Throttle {
    rate: Option<u64>,
    /// When all bytes let through so far have been paid for.
    paid: MonoMicros,
}

impl Throttle {
    /// At most `rate` bytes a second; none is without bound.
    #[must_use]
    pub fn new(rate: Option<u64>) -> Self {
        Self { rate: rate.filter(|r| *r > 0), paid: MonoMicros(0) }
    }

    /// How long to wait before `bytes` more go out.
    pub fn take(&mut self, bytes: u64, now: MonoMicros) -> Duration {
        let Some(rate) = self.rate else { return Duration::ZERO };
        let micros = u128::from(bytes) * 1_000_000 / u128::from(rate);
        let cost = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
        let wait = self.paid.since(now);
        self.paid = self.paid.max(now) + cost;
        wait
    }
}

/// Pauses after failures, each twice the one before.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// After a failure: how long to leave the archive alone.
    pub fn failed(&mut self) -> Duration {
        let (first, largest) = limits::BACKOFF_ARCHIVE;
        let pause = first.saturating_mul(1u32.checked_shl(self.failures).unwrap_or(u32::MAX)).min(largest);
        self.failures = self.failures.saturating_add(1).min(30);
        pause
    }

    /// After a success.
    pub fn worked(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::segment::SegmentFlags;
    use crate::segment::tests::kit;

    fn candidate(start_ms: i64, number: u64, held: bool) -> Candidate {
        let row = SegmentRow {
            volume: "v1".parse().unwrap(),
            key: kit::key(),
            number,
            start_ms,
            duration_ms: 1000,
            flags: SegmentFlags::VIDEO,
            bytes: 1,
            closed: true,
        };
        Candidate { row, held, due: UtcMicros(0) }
    }

    #[test]
    fn held_footage_goes_first_and_then_the_oldest() {
        let mut due = vec![
            candidate(1, 1, false),
            candidate(9, 9, true),
            candidate(3, 3, true),
            candidate(0, 0, false),
        ];
        order(&mut due);
        let numbers: Vec<u64> = due.iter().map(|c| c.row.number).collect();
        assert_eq!(numbers, [3, 9, 0, 1]);
    }

    #[test]
    fn the_share_that_is_proved_is_the_one_asked_for() {
        let keys: Vec<String> = (0..10_000).map(|n| format!("centre/{n}")).collect();
        let share = |percent| keys.iter().filter(|k| proof_due(k, percent)).count();
        assert_eq!((share(0), share(100)), (0, 10_000));
        assert!((900..1100).contains(&share(10)), "{}", share(10));
    }

    #[test]
    fn uploads_stay_within_their_rate() {
        let mut throttle = Throttle::new(Some(1_000_000));
        let mut now = MonoMicros(5_000_000);
        for _ in 0..100 {
            now = now + throttle.take(500_000, now);
        }
        // 99 parts have been paid for when the hundredth goes out.
        assert_eq!(now.since(MonoMicros(5_000_000)), Duration::from_millis(49_500));
        assert_eq!(Throttle::new(None).take(u64::MAX, now), Duration::ZERO);
    }

    #[test]
    fn pauses_grow_to_their_bound() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u64> = (0..40).map(|_| backoff.failed().as_secs()).collect();
        assert_eq!(pauses.get(..7).unwrap(), [1, 2, 4, 8, 16, 32, 60]);
        assert!(pauses.iter().all(|p| *p <= 60));
        backoff.worked();
        assert_eq!(backoff.failed().as_secs(), 1);
    }
}

//! Time as an argument. Everything that waits or stamps takes a [`Clock`]; only [`SystemClock`] asks the machine.

use std::ops::{Add, Sub};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Wall-clock time: microseconds since 1970-01-01T00:00:00Z, without leap seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UtcMicros(pub i64);

/// Monotonic time: microseconds since an arbitrary start, never stepping back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MonoMicros(pub u64);

impl UtcMicros {
    /// Whole milliseconds since 1970, rounded down.
    #[must_use]
    pub fn millis(self) -> i64 {
        self.0.div_euclid(1000)
    }
    /// `self - earlier` in microseconds; negative when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for UtcMicros {
    type Output = Self;
    fn add(self, d: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(d.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for UtcMicros {
    type Output = Self;
    fn sub(self, d: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(d.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl MonoMicros {
    /// Time passed since `earlier`; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for MonoMicros {
    type Output = Self;
    fn add(self, d: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(d.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// Source of both times.
pub trait Clock: Send + Sync + 'static {
    /// Wall-clock time now.
    fn utc(&self) -> UtcMicros;
    /// Monotonic time now.
    fn mono(&self) -> MonoMicros;
}

/// The machine's own clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: std::time::Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine for its time")]
    pub fn new() -> Self {
        Self { start: std::time::Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine for its time")]
    fn utc(&self) -> UtcMicros {
        match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
            Ok(d) => UtcMicros(i64::try_from(d.as_micros()).unwrap_or(i64::MAX)),
            Err(before) => UtcMicros(-i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX)),
        }
    }
    fn mono(&self) -> MonoMicros {
        MonoMicros(u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX))
    }
}

/// A clock that a test moves by hand.
#[derive(Debug, Default)]
pub struct ManualClock {
    utc_us: AtomicI64,
    mono_us: AtomicU64,
}

impl ManualClock {
    /// A clock standing at `utc`, with monotonic time zero.
    #[must_use]
    pub fn at(utc: UtcMicros) -> Self {
        Self { utc_us: AtomicI64::new(utc.0), mono_us: AtomicU64::new(0) }
    }
    /// Moves both times forward together.
    pub fn advance(&self, d: Duration) {
        let us = u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
        self.mono_us.fetch_add(us, Ordering::SeqCst);
        self.utc_us.fetch_add(i64::try_from(us).unwrap_or(i64::MAX), Ordering::SeqCst);
    }
    /// Steps the wall clock alone, as an operator or NTP would.
    pub fn step_utc(&self, by_us: i64) {
        self.utc_us.fetch_add(by_us, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn utc(&self) -> UtcMicros {
        UtcMicros(self.utc_us.load(Ordering::SeqCst))
    }
    fn mono(&self) -> MonoMicros {
        MonoMicros(self.mono_us.load(Ordering::SeqCst))
    }
}

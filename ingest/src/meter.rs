//! Pictures and bits a second over the last seconds. Pure.

use fengsui_config::clock::MonoMicros;

/// Readings kept: rates are taken over at most this many seconds.
const READINGS: usize = 5;

/// Rates from totals read about once a second.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    readings: [Option<(MonoMicros, u64, u64)>; READINGS],
    next: usize,
}

impl Meter {
    /// Adds a reading of totals; returns pictures a second and bits a second since the oldest one kept.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a few seconds' worth of pictures fits a float many times over"
    )]
    pub(crate) fn read(&mut self, now: MonoMicros, pictures: u64, bytes: u64) -> (f32, u64) {
        let oldest = (0..READINGS)
            .filter_map(|i| self.readings.get((self.next + i) % READINGS).copied().flatten())
            .next();
        if let Some(place) = self.readings.get_mut(self.next) {
            *place = Some((now, pictures, bytes));
        }
        self.next = (self.next + 1) % READINGS;
        let Some((then, pictures_then, bytes_then)) = oldest else { return (0.0, 0) };
        let us = u64::try_from(now.since(then).as_micros()).unwrap_or(u64::MAX);
        if us == 0 {
            return (0.0, 0);
        }
        let seconds = us as f32 / 1e6;
        let bits = u128::from(bytes.saturating_sub(bytes_then)) * 8_000_000 / u128::from(us);
        (pictures.saturating_sub(pictures_then) as f32 / seconds, u64::try_from(bits).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_follow_within_five_seconds() {
        let mut m = Meter::default();
        let mut last = (0.0, 0);
        for s in 0..20_u64 {
            last = m.read(MonoMicros(s * 1_000_000), s * 25, s * 250_000);
        }
        assert!((last.0 - 25.0).abs() < 0.01, "{last:?}");
        assert_eq!(last.1, 2_000_000);
        for s in 20..26_u64 {
            last = m.read(MonoMicros(s * 1_000_000), 19 * 25, 19 * 250_000);
        }
        assert_eq!(last.1, 0);
    }
}

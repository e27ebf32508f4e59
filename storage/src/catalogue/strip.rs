//! Days at a glance: which minutes have footage, which lack what was due.

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::StreamKey;

use super::{Catalogue, Span, SpanKind};
use crate::frame::GapReason;
use crate::gaps::Interval;

/// A minute in microseconds.
pub const MINUTE_US: i64 = 60_000_000;
/// Minutes of the longest strip: a day, and the hour that a change to winter time adds.
pub const STRIP_MINUTES_MAX: i64 = 25 * 60;

/// One bit a minute, the first minute in the lowest bit of the first byte.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Minutes(Vec<u8>);

impl Minutes {
    fn new(minutes: usize) -> Self {
        Self(vec![0; minutes.div_ceil(8)])
    }

    /// The bits, eight a byte.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether the bit of a minute is set; `false` beyond the end.
    #[must_use]
    pub fn has(&self, minute: usize) -> bool {
        self.0.get(minute / 8).is_some_and(|byte| byte >> (minute % 8) & 1 == 1)
    }

    /// Whether no bit is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    /// Sets the bits `first..end`.
    fn set(&mut self, first: usize, end: usize) {
        let mut minute = first;
        while minute < end {
            let Some(byte) = self.0.get_mut(minute / 8) else { return };
            let bits = (8 - minute % 8).min(end - minute);
            let mask = u8::MAX.checked_shr(8 - u32::try_from(bits).unwrap_or(8)).unwrap_or(0);
            *byte |= mask << (minute % 8);
            minute += bits;
        }
    }
}

/// One stream in one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayStrip {
    /// The stream.
    pub key: StreamKey,
    /// First microsecond.
    pub from: UtcMicros,
    /// First microsecond after.
    pub to: UtcMicros,
    /// Footage in microseconds.
    pub footage_us: i64,
    /// Gaps in microseconds. What is in neither was not due, or lies in the future.
    pub gap_us: i64,
    /// Minutes with any footage.
    pub footage: Minutes,
    /// Minutes with any gap.
    pub gaps: Minutes,
    /// The reason of most of the missing time.
    pub reason: Option<GapReason>,
}

impl DayStrip {
    /// What the timeline of `from <= t < to` says at a glance. At most [`STRIP_MINUTES_MAX`]; what is longer is cut.
    #[must_use]
    pub fn of(key: StreamKey, from: UtcMicros, to: UtcMicros, spans: &[Span]) -> Self {
        let to = to.min(UtcMicros(from.0.saturating_add(STRIP_MINUTES_MAX * MINUTE_US))).max(from);
        let minute = |t: i64| usize::try_from(t.max(0)).unwrap_or(0);
        let minutes = minute((to.since(from) + MINUTE_US - 1) / MINUTE_US);
        let (footage, gaps) = (Minutes::new(minutes), Minutes::new(minutes));
        let mut strip = Self { key, from, to, footage_us: 0, gap_us: 0, footage, gaps, reason: None };
        let mut reasons: Vec<(GapReason, i64)> = Vec::new();
        for span in spans {
            let Interval { from: a, to: b } = span.interval().within(&Interval::new(from, to));
            let length = b.since(a);
            if length <= 0 {
                continue;
            }
            let first = minute(a.since(from) / MINUTE_US);
            let end = minute((b.since(from) + MINUTE_US - 1) / MINUTE_US);
            match span.kind {
                SpanKind::Footage { .. } => {
                    strip.footage_us += length;
                    strip.footage.set(first, end);
                }
                SpanKind::Gap(reason) => {
                    strip.gap_us += length;
                    strip.gaps.set(first, end);
                    match reasons.iter_mut().find(|(r, _)| *r == reason) {
                        Some((_, sum)) => *sum += length,
                        None => reasons.push((reason, length)),
                    }
                }
            }
        }
        strip.reason = reasons.into_iter().max_by_key(|(_, sum)| *sum).map(|(reason, _)| reason);
        strip
    }
}

impl Catalogue {
    /// One stream in `from <= t < to`, at most [`STRIP_MINUTES_MAX`]; what is longer is cut.
    #[must_use]
    pub fn day_strip(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> DayStrip {
        let longest = UtcMicros(from.0.saturating_add(STRIP_MINUTES_MAX * MINUTE_US));
        DayStrip::of(key, from, to, &self.spans(key, from, to.min(longest)))
    }

    /// [`Self::day_strip`] of many streams. The catalogue is locked for one stream at a time only.
    #[must_use]
    pub fn day_strips(&self, keys: &[StreamKey], from: UtcMicros, to: UtcMicros) -> Vec<DayStrip> {
        keys.iter().map(|key| self.day_strip(*key, from, to)).collect()
    }
}

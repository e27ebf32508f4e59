//! Seconds that nothing explains: neither footage nor a gap. There must be none; this looks for them.

use std::sync::atomic::Ordering;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::StreamKey;
use fengsui_config::limits;
use serde::Serialize;

use super::{Catalogue, seam_us};
use crate::gaps::{Interval, merge, subtract};

/// A stretch of time that nothing explains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hole {
    /// The stream.
    pub key: StreamKey,
    /// The time.
    pub interval: Interval,
}

/// What an audit found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AuditReport {
    /// Streams looked at.
    pub streams: usize,
    /// Microseconds that are neither footage nor a gap.
    pub unexplained_us: i64,
    /// The first of them, at most `limits::AUDIT_HOLES_MAX`.
    #[serde(skip)]
    pub holes: Vec<Hole>,
}

impl Catalogue {
    /// Stretches within `from <= t < to` that are neither footage nor a gap, between the first and the last thing known
    /// of the stream. Shorter ones than a seam are none.
    #[must_use]
    pub fn unexplained(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> Vec<Interval> {
        let Some((first, last)) = self.known(key) else { return Vec::new() };
        let window = Interval::new(from.max(first), to.min(last));
        if window.is_empty() {
            return Vec::new();
        }
        let spans = self.spans(key, window.from, window.to);
        let explained = merge(spans.iter().map(super::Span::interval).collect(), 0);
        let mut holes = subtract(&[window], &explained);
        holes.retain(|hole| hole.length_us() > seam_us());
        holes
    }

    /// The first and the last moment of which anything is known; an open gap reaches to now.
    fn known(&self, key: StreamKey) -> Option<(UtcMicros, UtcMicros)> {
        let now = self.clock.utc();
        let inner = self.inner.read();
        let rows = inner.index.rows(&key)?;
        let last = rows.open_gap.map(|(_, since)| since.max(now)).into_iter().chain(rows.known_to()).max()?;
        Some((rows.known_from()?, last))
    }

    /// Looks at everything known of every stream.
    #[must_use]
    pub fn audit(&self) -> AuditReport {
        let mut report = AuditReport::default();
        for key in self.keys() {
            report.streams += 1;
            for interval in self.unexplained(key, UtcMicros(i64::MIN), UtcMicros(i64::MAX)) {
                report.unexplained_us = report.unexplained_us.saturating_add(interval.length_us());
                if report.holes.len() < limits::AUDIT_HOLES_MAX {
                    report.holes.push(Hole { key, interval });
                }
            }
        }
        self.unexplained_us.store(report.unexplained_us, Ordering::Relaxed);
        report
    }
}

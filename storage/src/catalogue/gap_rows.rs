//! The gaps of one stream, in order of their beginning.

use fengsui_config::clock::UtcMicros;

use crate::frame::GapReason;
use crate::gaps::Interval;

/// One gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GapRow {
    pub interval: Interval,
    /// The furthest end of this gap and all before it: finds those that reach into a window without looking at all.
    reach: UtcMicros,
    pub reason: GapReason,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct GapRows {
    rows: Vec<GapRow>,
}

impl GapRows {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Memory that the gaps take, reserves and all.
    pub(super) fn memory(&self) -> usize {
        self.rows.capacity() * size_of::<GapRow>()
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &GapRow> {
        self.rows.iter()
    }

    /// The furthest end of all gaps.
    pub(super) fn end(&self) -> Option<UtcMicros> {
        self.rows.last().map(|g| g.reach)
    }

    /// The gap that reaches furthest.
    pub(super) fn furthest(&self) -> Option<&GapRow> {
        let end = self.end()?;
        self.rows.iter().rev().find(|g| g.interval.to == end)
    }

    /// Gaps that have some of `from <= t < to`, in order of beginning.
    pub(super) fn overlapping(&self, from: UtcMicros, to: UtcMicros) -> impl Iterator<Item = &GapRow> {
        let start = self.rows.partition_point(|g| g.reach <= from);
        let end = self.rows.partition_point(|g| g.interval.from < to).max(start);
        let near = self.rows.get(start..end).unwrap_or_default();
        near.iter().filter(move |g| g.interval.to > from)
    }

    /// The first gap that begins after `from`.
    pub(super) fn after(&self, from: UtcMicros) -> Option<&GapRow> {
        self.rows.get(self.rows.partition_point(|g| g.interval.from <= from))
    }

    /// Whether some gap ends at `at`.
    pub(super) fn one_ends_at(&self, at: UtcMicros) -> bool {
        let window = UtcMicros(at.0.saturating_sub(1));
        self.overlapping(window, at).any(|g| g.interval.to == at)
    }

    /// Adds a gap; joined with its neighbours of the same reason where they touch. The same gap twice is one.
    pub(super) fn insert(&mut self, reason: GapReason, interval: Interval) {
        if interval.is_empty() {
            return;
        }
        let at = self.rows.partition_point(|g| g.interval.from <= interval.from);
        let before = at.checked_sub(1).and_then(|i| self.rows.get_mut(i));
        let changed = match before {
            Some(before) if before.reason == reason && before.interval.to >= interval.from => {
                before.interval.to = before.interval.to.max(interval.to);
                at - 1
            }
            _ => {
                self.rows.insert(at, GapRow { interval, reach: interval.to, reason });
                at
            }
        };
        let Some(end) = self.rows.get(changed).map(|g| g.interval.to) else { return };
        if let Some(next) = self.rows.get(changed + 1).copied()
            && next.reason == reason
            && next.interval.from <= end
        {
            self.rows.remove(changed + 1);
            if let Some(row) = self.rows.get_mut(changed) {
                row.interval.to = end.max(next.interval.to);
            }
        }
        self.measure(changed);
    }

    /// Makes `reach` right from a changed row on.
    fn measure(&mut self, changed: usize) {
        let before = changed.checked_sub(1).and_then(|i| self.rows.get(i));
        let mut reach = before.map_or(UtcMicros(i64::MIN), |g| g.reach);
        for (i, row) in self.rows.iter_mut().enumerate().skip(changed) {
            reach = reach.max(row.interval.to);
            if i > changed && row.reach == reach {
                break;
            }
            row.reach = reach;
        }
    }
}

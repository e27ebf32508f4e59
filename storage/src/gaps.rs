//! Interval algebra of the timeline: footage, gaps with reasons, and what is left between them. Pure.
//!
//! All intervals are half open, `from <= t < to`.

use fengsui_config::clock::UtcMicros;
use serde::Serialize;

use crate::frame::GapReason;

/// A stretch of time, `from <= t < to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval {
    /// First microsecond within.
    pub from: UtcMicros,
    /// First microsecond after.
    pub to: UtcMicros,
}

impl Interval {
    /// The interval between two times.
    #[must_use]
    pub fn new(from: UtcMicros, to: UtcMicros) -> Self {
        Self { from, to }
    }
    /// Nothing lies within.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.to <= self.from
    }
    /// Length in microseconds; 0 when empty.
    #[must_use]
    pub fn length_us(&self) -> i64 {
        self.to.since(self.from).max(0)
    }
    /// The part within `other`.
    #[must_use]
    pub fn within(&self, other: &Self) -> Self {
        Self { from: self.from.max(other.from), to: self.to.min(other.to) }
    }
}

/// What a stretch of the timeline is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum SpanKind {
    /// Pictures are stored.
    Footage {
        /// The segment is still being written.
        open: bool,
    },
    /// Pictures were due and are not there.
    Gap(GapReason),
}

/// One stretch of the timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Span {
    /// First microsecond within.
    pub from: UtcMicros,
    /// First microsecond after.
    pub to: UtcMicros,
    /// Footage, or a gap with its reason.
    pub kind: SpanKind,
}

impl Span {
    /// The time it covers.
    #[must_use]
    pub fn interval(&self) -> Interval {
        Interval { from: self.from, to: self.to }
    }
}

/// Sorts, joins what touches or overlaps, and joins across holes of at most `seam_us`.
#[must_use]
pub fn merge(mut intervals: Vec<Interval>, seam_us: i64) -> Vec<Interval> {
    intervals.retain(|i| !i.is_empty());
    intervals.sort_unstable();
    let mut out: Vec<Interval> = Vec::with_capacity(intervals.len());
    for next in intervals {
        match out.last_mut() {
            Some(last) if next.from.since(last.to) <= seam_us => last.to = last.to.max(next.to),
            _ => out.push(next),
        }
    }
    out
}

/// The parts of `intervals` that lie in none of `taken`. `taken` must come from [`merge`].
#[must_use]
pub fn subtract(intervals: &[Interval], taken: &[Interval]) -> Vec<Interval> {
    let mut out = Vec::new();
    for interval in intervals {
        let mut rest = *interval;
        let first = taken.partition_point(|t| t.to <= rest.from);
        for t in taken.iter().skip(first).take_while(|t| t.from < interval.to) {
            let before = Interval::new(rest.from, t.from.min(rest.to));
            if !before.is_empty() {
                out.push(before);
            }
            rest.from = rest.from.max(t.to);
        }
        if !rest.is_empty() {
            out.push(rest);
        }
    }
    out
}

/// Length of all intervals together in microseconds; they must not overlap.
#[must_use]
pub fn total_us(intervals: &[Interval]) -> i64 {
    intervals.iter().map(Interval::length_us).sum()
}

/// The timeline of a window. Footage wins over gaps; among gaps the one that begins first wins, and at the same time
/// the one given first. Holes of at most `seam_us` between two pieces of footage are no holes: one is taken to last
/// until the next begins.
#[must_use]
pub fn timeline(
    window: Interval,
    footage: &[(Interval, bool)],
    gaps: &[(Interval, GapReason)],
    seam_us: i64,
) -> Vec<Span> {
    let mut spans = footage_spans(footage, seam_us);
    let mut taken: Vec<Interval> = merge(spans.iter().map(Span::interval).collect(), 0);
    let mut sorted: Vec<&(Interval, GapReason)> = gaps.iter().filter(|(i, _)| !i.is_empty()).collect();
    sorted.sort_by_key(|(i, _)| i.from);
    // Gaps come in order of their beginning, so all earlier gaps together only reach up to one point.
    let mut covered = UtcMicros(i64::MIN);
    for (interval, reason) in sorted {
        let open = Interval::new(interval.from.max(covered), interval.to);
        if open.is_empty() {
            continue;
        }
        covered = interval.to;
        spans.extend(subtract(&[open], &taken).into_iter().map(|i| Span {
            from: i.from,
            to: i.to,
            kind: SpanKind::Gap(*reason),
        }));
    }
    taken.clear();
    spans.sort_unstable();
    let mut out: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        let cut = span.interval().within(&window);
        if cut.is_empty() {
            continue;
        }
        match out.last_mut() {
            Some(last) if last.kind == span.kind && last.to == cut.from => last.to = cut.to,
            _ => out.push(Span { from: cut.from, to: cut.to, kind: span.kind }),
        }
    }
    out
}

/// Cuts what is lost out of the footage of a timeline. However short: a loss is no seam. `lost` must come from
/// [`merge`].
#[must_use]
pub fn cut_out(spans: Vec<Span>, lost: &[Interval]) -> Vec<Span> {
    let mut out: Vec<Span> = Vec::with_capacity(spans.len() + 2 * lost.len());
    for span in spans {
        if !matches!(span.kind, SpanKind::Footage { .. }) {
            out.push(span);
            continue;
        }
        let whole = span.interval();
        let first = lost.partition_point(|l| l.to <= whole.from);
        let within = lost.iter().skip(first).take_while(|l| l.from < whole.to);
        let gaps = within.map(|l| l.within(&whole)).filter(|l| !l.is_empty());
        let damaged = SpanKind::Gap(GapReason::Damaged);
        out.extend(gaps.map(|l| Span { from: l.from, to: l.to, kind: damaged }));
        let left = subtract(&[whole], lost);
        out.extend(left.into_iter().map(|l| Span { from: l.from, to: l.to, kind: span.kind }));
    }
    out.sort_unstable();
    out
}

/// Footage without overlaps and seams; what is closed wins over what is open.
fn footage_spans(footage: &[(Interval, bool)], seam_us: i64) -> Vec<Span> {
    let of =
        |open: bool| footage.iter().filter(move |(_, o)| *o == open).map(|(i, _)| *i).collect::<Vec<_>>();
    let closed = merge(of(false), seam_us);
    let open = subtract(&merge(of(true), seam_us), &closed);
    let mut spans: Vec<Span> = closed
        .iter()
        .map(|i| (i, false))
        .chain(open.iter().map(|i| (i, true)))
        .map(|(i, open)| Span { from: i.from, to: i.to, kind: SpanKind::Footage { open } })
        .collect();
    spans.sort_unstable();
    let starts: Vec<UtcMicros> = spans.iter().skip(1).map(|s| s.from).collect();
    for (span, next) in spans.iter_mut().zip(starts) {
        if next.since(span.to) <= seam_us {
            span.to = next;
        }
    }
    spans
}

#[cfg(test)]
mod tests;

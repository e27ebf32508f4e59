//! Footage that is in an archive alone, on the timeline.

use fengsui_config::clock::UtcMicros;
use fengsui_config::limits;

use crate::media::{Span, Stretch};

type Interval = (UtcMicros, UtcMicros);

/// The parts of `whole` that none of `holes` covers; `holes` in order of their start.
fn without(whole: Interval, holes: &[Interval]) -> Vec<Interval> {
    let mut out = Vec::new();
    let (mut from, to) = whole;
    for (begin, end) in holes.iter().filter(|h| h.0 < whole.1 && h.1 > whole.0) {
        if *begin > from {
            out.push((from, *begin));
        }
        from = from.max(*end);
    }
    if from < to {
        out.push((from, to));
    }
    out
}

/// Shorter stretches are the seam between two segments.
fn is_seam((from, to): Interval) -> bool {
    to.since(from) < i64::try_from(limits::GAP_MIN.as_micros()).unwrap_or(i64::MAX)
}

/// Adds archived footage to the spans of the volumes, within `range`: it shows where the volumes have none, in place of
/// the gap that its deletion left.
pub fn overlay(spans: Vec<Span>, mut archived: Vec<Interval>, range: Interval) -> Vec<Span> {
    if archived.is_empty() {
        return spans;
    }
    archived.sort();
    let stored = |s: &Span| matches!(s.2, Stretch::Footage { .. });
    let footage: Vec<Interval> = spans.iter().filter(|s| stored(s)).map(|s| (s.0, s.1)).collect();
    let mut shown: Vec<Interval> = Vec::new();
    for (from, to) in archived {
        for part in without((from.max(range.0), to.min(range.1)), &footage) {
            match shown.last_mut() {
                Some(last) if part.0 <= last.1 || is_seam((last.1, part.0)) => last.1 = last.1.max(part.1),
                _ if part.0 < part.1 => shown.push(part),
                _ => {}
            }
        }
    }
    let mut out: Vec<Span> = Vec::new();
    for span in spans {
        if stored(&span) {
            out.push(span);
            continue;
        }
        let parts = without((span.0, span.1), &shown);
        let whole = parts == [(span.0, span.1)];
        out.extend(parts.into_iter().filter(|p| whole || !is_seam(*p)).map(|(from, to)| (from, to, span.2)));
    }
    out.extend(
        shown.into_iter().map(|(from, to)| (from, to, Stretch::Footage { open: false, archived: true })),
    );
    out.sort_by_key(|s| s.0);
    out
}

#[cfg(test)]
mod tests {
    use fengsui_storage::frame::GapReason;

    use super::*;

    fn at(s: i64) -> UtcMicros {
        UtcMicros(s * 1_000_000)
    }

    const GONE: Stretch = Stretch::Gap(GapReason::Expired);
    const HERE: Stretch = Stretch::Footage { open: false, archived: false };
    const THERE: Stretch = Stretch::Footage { open: false, archived: true };

    #[test]
    fn archived_footage_stands_where_its_deletion_left_a_gap() {
        let spans = vec![(at(0), at(100), GONE), (at(100), at(200), HERE)];
        let archived = vec![(at(60), at(110)), (at(10), at(60))];
        let shown = overlay(spans.clone(), archived, (at(5), at(200)));
        assert_eq!(shown, [(at(0), at(10), GONE), (at(10), at(100), THERE), (at(100), at(200), HERE),]);
        assert_eq!(overlay(spans.clone(), Vec::new(), (at(0), at(200))), spans);
        let all = overlay(spans, vec![(at(-50), at(300))], (at(0), at(250)));
        assert_eq!(all, [(at(0), at(100), THERE), (at(100), at(200), HERE), (at(200), at(250), THERE)]);
    }

    #[test]
    fn a_seam_between_two_archived_segments_is_no_gap() {
        let seam = UtcMicros(10_200_000);
        let shown =
            overlay(vec![(at(0), at(30), GONE)], vec![(at(0), at(10)), (seam, at(20))], (at(0), at(30)));
        assert_eq!(shown, [(at(0), at(20), THERE), (at(20), at(30), GONE)]);
    }
}

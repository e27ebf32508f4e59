#![allow(clippy::indexing_slicing, clippy::cast_possible_wrap, clippy::cast_sign_loss, reason = "tests")]

use proptest::prelude::*;

use super::*;

const SECONDS: usize = 120;

fn at(s: i64) -> UtcMicros {
    UtcMicros(s * 1_000_000)
}

fn interval(from: i64, length: i64) -> Interval {
    Interval::new(at(from), at(from + length))
}

fn intervals() -> impl Strategy<Value = Vec<Interval>> {
    prop::collection::vec((0..100i64, 0..20i64).prop_map(|(f, l)| interval(f, l)), 0..12)
}

fn seconds_of(intervals: &[Interval]) -> [bool; SECONDS] {
    let mut out = [false; SECONDS];
    for (s, cell) in out.iter_mut().enumerate() {
        *cell = intervals.iter().any(|i| i.from <= at(s as i64) && at(s as i64) < i.to);
    }
    out
}

proptest! {
    #[test]
    fn merge_keeps_every_second_and_leaves_no_overlap(list in intervals()) {
        let merged = merge(list.clone(), 0);
        prop_assert_eq!(seconds_of(&list), seconds_of(&merged));
        prop_assert!(merged.windows(2).all(|w| w[0].to < w[1].from));
    }

    #[test]
    fn subtract_is_and_not_second_by_second(a in intervals(), b in intervals()) {
        let (a, b) = (merge(a, 0), merge(b, 0));
        let left = seconds_of(&subtract(&a, &b));
        let (sa, sb) = (seconds_of(&a), seconds_of(&b));
        for s in 0..SECONDS {
            prop_assert_eq!(left[s], sa[s] && !sb[s], "second {}", s);
        }
    }

    #[test]
    fn a_timeline_equals_the_naive_one(
        closed in intervals(),
        open in intervals(),
        gaps in prop::collection::vec((0..100i64, 0..20i64, 0..3u8), 0..10),
        window in (0..60i64, 1..60i64),
    ) {
        let reasons = [GapReason::CameraOffline, GapReason::Auth, GapReason::NodeDown];
        let gaps: Vec<_> = gaps.iter().map(|(f, l, r)| (interval(*f, *l), reasons[usize::from(*r)])).collect();
        let footage: Vec<_> =
            closed.iter().map(|i| (*i, false)).chain(open.iter().map(|i| (*i, true))).collect();
        let window = interval(window.0, window.1);
        let spans = timeline(window, &footage, &gaps, 0);
        prop_assert!(spans.windows(2).all(|w| w[0].to <= w[1].from), "overlap in {:?}", spans);
        let mut by_start: Vec<_> = gaps.iter().filter(|(i, _)| !i.is_empty()).collect();
        by_start.sort_by_key(|(i, _)| i.from);
        for s in 0..SECONDS as i64 {
            let t = at(s);
            let has = |list: &[Interval]| list.iter().any(|i| i.from <= t && t < i.to);
            let expected = if !(window.from <= t && t < window.to) {
                None
            } else if has(&closed) {
                Some(SpanKind::Footage { open: false })
            } else if has(&open) {
                Some(SpanKind::Footage { open: true })
            } else {
                // The gap that begins first among those that reach furthest so far.
                by_start.iter().find(|(i, _)| i.from <= t && t < i.to).map(|(_, r)| SpanKind::Gap(*r))
            };
            let found = spans.iter().find(|x| x.from <= t && t < x.to).map(|x| x.kind);
            prop_assert_eq!(found, expected, "second {} of {:?}", s, spans);
        }
    }
}

#[test]
fn a_seam_between_two_segments_is_no_hole() {
    let footage = [
        (Interval::new(UtcMicros(0), UtcMicros(300_000_000)), false),
        (Interval::new(UtcMicros(300_040_000), UtcMicros(310_000_000)), true),
    ];
    let window = Interval::new(UtcMicros(0), UtcMicros(400_000_000));
    let spans = timeline(window, &footage, &[], 500_000);
    let kinds: Vec<_> = spans.iter().map(|s| (s.from.0, s.to.0, s.kind)).collect();
    assert_eq!(
        kinds,
        [
            (0, 300_040_000, SpanKind::Footage { open: false }),
            (300_040_000, 310_000_000, SpanKind::Footage { open: true })
        ]
    );
    assert_eq!(timeline(window, &footage, &[], 0).len(), 2);
    assert_eq!(timeline(window, &footage, &[], 0).first().map(|s| s.to.0), Some(300_000_000));
}

#[test]
fn what_is_lost_is_cut_out_of_footage_however_short_and_gaps_stay() {
    let span = |from, to, kind| Span { from: UtcMicros(from), to: UtcMicros(to), kind };
    let footage = SpanKind::Footage { open: false };
    let offline = SpanKind::Gap(GapReason::CameraOffline);
    let damaged = SpanKind::Gap(GapReason::Damaged);
    let spans = vec![span(0, 100, footage), span(100, 200, offline), span(200, 300, footage)];
    let lost: Vec<_> = [(10, 11), (90, 210), (299, 400)]
        .iter()
        .map(|(a, b)| Interval::new(UtcMicros(*a), UtcMicros(*b)))
        .collect();
    let expected = vec![
        span(0, 10, footage),
        span(10, 11, damaged),
        span(11, 90, footage),
        span(90, 100, damaged),
        span(100, 200, offline),
        span(200, 210, damaged),
        span(210, 299, footage),
        span(299, 300, damaged),
    ];
    assert_eq!(cut_out(spans.clone(), &lost), expected);
    assert_eq!(cut_out(spans.clone(), &[]), spans);
}

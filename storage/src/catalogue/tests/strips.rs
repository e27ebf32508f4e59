//! Days at a glance, and the search for time that nothing explains.

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_strip_says_what_the_timeline_says(
        segments in prop::collection::vec((0..90_000i64, 1..400u32), 0..60),
        gaps in prop::collection::vec((0..90_000i64, 1..4000i64), 0..20),
        from in 0..4000i64,
        length in 1..90_000i64,
    ) {
        let fs = SimFs::new(1);
        let c = open(&fs, 0);
        for (n, (from, length)) in segments.iter().enumerate() {
            c.closed(&row(key(1), n as u64 + 1, *from, *length), [0; 32]);
        }
        for (from, length) in gaps {
            c.gap(key(1), GapReason::Network, at(from), at(from + length));
        }
        let strip = c.day_strip(key(1), at(from), at(from + length));
        let spans = c.spans(key(1), at(from), at(from + length));
        let minutes = usize::try_from((length + 59) / 60).unwrap();
        prop_assert_eq!(strip.footage.bytes().len(), minutes.div_ceil(8));
        for minute in 0..minutes {
            let start = at(from + 60 * i64::try_from(minute).unwrap());
            let cell = Interval::new(start, UtcMicros(start.0 + MINUTE_US));
            let has = |footage: bool| {
                let kind = |s: &&Span| matches!(s.kind, SpanKind::Footage { .. }) == footage;
                spans.iter().filter(kind).any(|s| !s.interval().within(&cell).is_empty())
            };
            prop_assert_eq!(strip.footage.has(minute), has(true), "minute {}", minute);
            prop_assert_eq!(strip.gaps.has(minute), has(false), "minute {}", minute);
        }
        let total: i64 = spans.iter().map(|s| s.interval().length_us()).sum();
        prop_assert_eq!(strip.footage_us + strip.gap_us, total);
    }
}

#[test]
fn a_whole_day_sets_every_minute_and_names_the_reason_of_most_that_is_missing() {
    let fs = SimFs::new(1);
    let c = open(&fs, 0);
    for n in 0..288 {
        c.closed(&row(key(1), n + 1, i64::try_from(n).unwrap() * 300, 300), [0; 32]);
    }
    c.gap(key(2), GapReason::Auth, at(0), at(100));
    c.gap(key(2), GapReason::Network, at(100), at(400));
    c.gap(key(2), GapReason::Auth, at(400), at(500));
    let strips = c.day_strips(&[key(1), key(2), key(3)], at(0), at(86_400));
    assert_eq!(strips[0].footage.bytes(), [255; 180]);
    assert_eq!((strips[0].footage_us, strips[0].gap_us), (86_400_000_000, 0));
    assert!(strips[0].gaps.is_empty());
    assert_eq!((strips[1].gap_us, strips[1].reason), (500_000_000, Some(GapReason::Network)));
    assert_eq!((strips[2].footage_us, strips[2].gap_us, strips[2].reason), (0, 0, None));
    let long = c.day_strip(key(1), at(0), at(400_000));
    assert_eq!(long.footage.bytes().len(), usize::try_from(STRIP_MINUTES_MAX).unwrap().div_ceil(8));
}

#[test]
fn time_that_nothing_explains_is_found() {
    let fs = SimFs::new(1);
    let c = open(&fs, 5000);
    c.closed(&row(key(1), 1, 0, 300), [0; 32]);
    c.closed(&row(key(1), 2, 310, 300), [0; 32]);
    c.gap(key(1), GapReason::Network, at(610), at(700));
    c.closed(&SegmentRow { start_ms: at(700).millis() + 400, ..row(key(1), 3, 0, 300) }, [0; 32]);
    c.gap_begin(key(1), GapReason::Auth, at(1100));
    let hole = |from: i64, to: i64| (from, to);
    let found: Vec<_> = c
        .unexplained(key(1), UtcMicros(i64::MIN), UtcMicros(i64::MAX))
        .iter()
        .map(|i| hole(i.from.since(at(0)) / 1000, i.to.since(at(0)) / 1000))
        .collect();
    assert_eq!(
        found,
        [(300_000, 310_000), (1_000_400, 1_100_000)],
        "seams are none, and an open gap reaches to now"
    );
    let report = c.audit();
    assert_eq!((report.streams, report.unexplained_us, report.holes.len()), (1, 109_600_000, 2));
    assert_eq!(c.stats().unexplained_us, 109_600_000);
    assert!(c.unexplained(key(1), at(0), at(300)).is_empty());
    assert!(c.unexplained(key(9), at(0), at(300)).is_empty());
}

//! Packed rows and gaps against plain lists.

use std::collections::BTreeMap;

use super::super::gap_rows::GapRows;
use super::super::rows::{CHUNK_ROWS, Rows};
use super::*;
use crate::gaps::timeline;

fn packed(start_ms: i64, number: u32, duration_ms: u32, bytes: u32) -> Packed {
    Packed { start_ms, number, bytes, duration_ms, volume: 1, flags: 3 }
}

/// Starts that come in order, near each other, and sometimes years apart.
fn starts() -> impl Strategy<Value = Vec<(bool, i64, u32)>> {
    let far = prop_oneof![9 => 0..4000i64, 1 => -9_000_000_000_000..9_000_000_000_000i64];
    prop::collection::vec((prop::bool::weighted(0.8), far, 0..5u32), 1..1200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn packed_rows_equal_a_plain_map(steps in starts(), window in (0..5000i64, 0..3000i64)) {
        let mut rows = Rows::default();
        let mut plain = BTreeMap::new();
        for (n, (insert, start, number)) in steps.into_iter().enumerate() {
            let row = packed(start, number, u32::try_from(n).unwrap() % 900, 7 + u32::try_from(n).unwrap());
            if insert {
                rows.insert(row);
                plain.insert((start, number), row);
            } else {
                prop_assert_eq!(rows.remove(start, number), plain.remove(&(start, number)));
            }
        }
        prop_assert_eq!(rows.iter().collect::<Vec<_>>(), plain.values().copied().collect::<Vec<_>>());
        prop_assert_eq!(rows.len(), plain.len());
        prop_assert_eq!(rows.bytes(), plain.values().map(|r| u64::from(r.bytes)).sum::<u64>());
        prop_assert_eq!(rows.end_ms(), plain.values().map(Packed::end_ms).max());
        let (from, to) = (window.0, window.0 + window.1);
        let expected: Vec<_> = plain.values().filter(|r| r.start_ms < to && r.end_ms() > from).copied().collect();
        prop_assert_eq!(rows.overlapping(from, to).collect::<Vec<_>>(), expected);
        for row in plain.values() {
            prop_assert_eq!(rows.get(row.start_ms, row.number), Some(*row));
        }
        let behind = plain.range((std::ops::Bound::Excluded((from, 2)), std::ops::Bound::Unbounded)).next();
        prop_assert_eq!(rows.behind((from, 2)), behind.map(|(_, r)| *r));
        prop_assert_eq!(rows.after(from), plain.values().find(|r| r.start_ms > from).copied());
    }

    #[test]
    fn joined_gaps_make_the_same_timeline_as_all_of_them(
        gaps in prop::collection::vec((0..60i64, 0..20i64, 0..3usize), 0..60),
        window in (0..70i64, 0..40i64),
    ) {
        let reasons = [GapReason::CameraOffline, GapReason::Expired, GapReason::Network];
        let mut joined = GapRows::default();
        let mut all = Vec::new();
        for (from, length, reason) in gaps {
            // One reason to an interval, as the recorder says it: which of two wins is the next test's matter.
            let interval = Interval::new(at(from), at(from + length));
            joined.insert(reasons[reason], interval);
            all.push((interval, reasons[reason]));
        }
        let window = Interval::new(at(window.0), at(window.0 + window.1));
        let near: Vec<_> = joined.overlapping(window.from, window.to).map(|g| (g.interval, g.reason)).collect();
        let covered = |gaps: &[(Interval, GapReason)]| {
            let spans = timeline(window, &[], gaps, 0);
            crate::gaps::merge(spans.iter().map(Span::interval).collect(), 0)
        };
        prop_assert_eq!(covered(&near), covered(&all));
        prop_assert_eq!(joined.end(), all.iter().filter(|g| !g.0.is_empty()).map(|g| g.0.to).max());
    }
}

#[test]
fn a_segment_costs_at_most_24_bytes_with_everything() {
    let fs = SimFs::new(1);
    let c = open(&fs, 0);
    let per_camera = 8640;
    for n in 0..3 {
        for i in 0..per_camera {
            c.closed(&row(key(n), u64::try_from(i).unwrap() + 1, i * 300, 300), [0; 32]);
            if i % 96 == 0 {
                c.gap(key(n), GapReason::Network, at(i * 300 - 3), at(i * 300));
            }
        }
        c.flush(false).unwrap();
    }
    let stats = c.stats();
    assert_eq!(stats.segments, 3 * usize::try_from(per_camera).unwrap());
    let each = stats.memory_bytes as f64 / stats.segments as f64;
    assert!(each <= 24.0, "{each} bytes a segment");
}

#[test]
fn retention_leaves_one_gap_and_little_memory() {
    let fs = SimFs::new(1);
    let c = open(&fs, 0);
    let rows: Vec<SegmentRow> = (0..2000)
        .map(|n| SegmentRow {
            duration_ms: 299_800,
            ..row(key(1), n + 1, i64::try_from(n).unwrap() * 300, 300)
        })
        .collect();
    rows.iter().for_each(|r| c.closed(r, [9; 32]));
    c.flush(true).unwrap();
    let full = c.stats().memory_bytes;
    for row in &rows[..1900] {
        assert!(c.removed(row, GapReason::Expired));
        assert!(!c.removed(row, GapReason::Expired), "twice is once");
    }
    assert_eq!(spans(&c, key(1)), ["0..570000 Expired", "570000..599999 footage"]);
    assert_eq!((c.stats().gaps, c.stats().segments), (1, 100));
    assert_eq!(c.audit().unexplained_us, 0, "the seams between expired segments are explained too");
    c.flush(true).unwrap();
    assert!(c.stats().memory_bytes < full / 2, "{} of {full}", c.stats().memory_bytes);
    for row in &rows[1900..] {
        c.removed(row, GapReason::Expired);
    }
    c.compact().unwrap().unwrap();
    drop(c);
    let c = open(&fs, 1_000_000);
    assert_eq!(c.next_number(key(1)), 2001, "a number is never used again, though no row tells of it");
    assert_eq!(c.last_hash(key(1)), [9; 32]);
    assert_eq!(c.stats().gaps, 1);
}

#[test]
fn rows_that_come_late_find_their_place_in_full_chunks() {
    let mut rows = Rows::default();
    let n = i64::try_from(CHUNK_ROWS).unwrap() * 4;
    for i in 0..n {
        rows.insert(packed(i * 10, 1, 5, 1));
    }
    for i in (0..n).rev() {
        rows.insert(packed(i * 10 + 5, 2, 5, 1));
    }
    assert_eq!(rows.len(), usize::try_from(n).unwrap() * 2);
    assert!(rows.iter().map(|r| r.start_ms).is_sorted());
    assert_eq!(rows.overlapping(100, 121).count(), 5);
}

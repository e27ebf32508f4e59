#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use fengsui_config::clock::ManualClock;
use fengsui_config::ids::StreamKind;
use proptest::prelude::*;

use super::*;
use crate::fs::{Fault, FaultPlan, Operation, SimFs};
use crate::gaps::Interval;
use crate::segment::SegmentFlags;
use crate::segment::tests::kit;

mod compaction;
mod packed;
mod strips;

const DIR: &str = "/data/catalogue";
const LOG: &str = "/data/catalogue/catalogue.log";

fn at(seconds: i64) -> UtcMicros {
    UtcMicros(1_700_000_000_000_000 + seconds * 1_000_000)
}

fn key(n: u32) -> StreamKey {
    StreamKey { camera: format!("330800000013200{n:05}").parse().unwrap(), stream: StreamKind::Main }
}

fn volume(name: &str) -> VolumeId {
    name.parse().unwrap()
}

fn row(key: StreamKey, number: u64, from: i64, seconds: u32) -> SegmentRow {
    SegmentRow {
        volume: volume("v1"),
        key,
        number,
        start_ms: at(from).millis(),
        duration_ms: seconds * 1000,
        flags: SegmentFlags::VIDEO,
        bytes: 1000 + number,
        closed: true,
    }
}

fn open(fs: &SimFs, now: i64) -> Arc<Catalogue> {
    Catalogue::open(Arc::new(fs.clone()), Path::new(DIR), Arc::new(ManualClock::at(at(now)))).unwrap()
}

/// The timeline as `from..to kind`, in seconds.
fn spans(catalogue: &Catalogue, key: StreamKey) -> Vec<String> {
    catalogue
        .spans(key, at(-10_000), at(1_000_000))
        .iter()
        .map(|s| {
            let of = |t: UtcMicros| t.since(at(0)) / 1_000_000;
            let kind = match s.kind {
                SpanKind::Footage { open } => (if open { "open" } else { "footage" }).to_owned(),
                SpanKind::Gap(reason) => format!("{reason:?}"),
            };
            format!("{}..{} {kind}", of(s.from), of(s.to))
        })
        .collect()
}

#[test]
fn rows_and_gaps_survive_a_reopening() {
    let fs = SimFs::new(1);
    let c = open(&fs, 0);
    assert_eq!(c.opening(), &Opening::New);
    assert_eq!(c.next_number(key(1)), 1);
    c.opened(key(1), &volume("v1"), 1, at(0));
    c.closed(&row(key(1), 1, 0, 300), [7; 32]);
    c.gap_begin(key(1), GapReason::CameraOffline, at(300));
    c.gap_begin(key(1), GapReason::Auth, at(320));
    c.gap_end(key(1), at(350));
    c.closed(&row(key(1), 2, 350, 250), [8; 32]);
    c.gap(key(2), GapReason::Policy, at(10), at(20));
    c.closed(&row(key(2), 1, 20, 10), [8; 32]);
    c.gap(key(2), GapReason::Policy, at(30), at(30) + Duration::from_millis(499));
    // Where no closed file ends, the time would be neither.
    c.gap(key(2), GapReason::CrashTail, at(50), at(50) + Duration::from_millis(499));
    let before = spans(&c, key(1));
    assert_eq!(before, ["0..300 footage", "300..320 CameraOffline", "320..350 Auth", "350..600 footage"]);
    c.flush(true).unwrap();
    drop(c);
    let c = open(&fs, 700);
    assert_eq!(c.opening(), &Opening::Clean);
    assert_eq!(spans(&c, key(1)), before);
    let of_2 = ["10..20 Policy", "20..30 footage", "50..50 CrashTail"];
    assert_eq!(spans(&c, key(2)), of_2, "shorter than a seam is no gap behind footage");
    assert_eq!(c.next_number(key(1)), 3);
    assert_eq!(c.last_hash(key(1)), [8; 32]);
    assert_eq!(c.segment(key(1), 2).unwrap(), row(key(1), 2, 350, 250));
    let found = c.segments(key(1), at(299), at(301));
    assert_eq!(found.iter().map(|r| r.number).collect::<Vec<_>>(), [1]);
    let summary = c.summary(key(1));
    assert_eq!((summary.first, summary.last, summary.segments), (Some(at(0)), Some(at(600)), 2));
    assert_eq!(c.keys(), [key(1), key(2)]);
    assert_eq!((c.stats().segments, c.stats().gaps), (3, 4));
}

#[test]
fn an_open_segment_shows_what_is_stored_of_it() {
    let fs = SimFs::new(1);
    let c = open(&fs, 0);
    c.opened(key(1), &volume("v1"), 1, at(0));
    assert!(spans(&c, key(1)).is_empty(), "nothing is stored yet");
    c.progress(key(1), 1, at(4), 4096);
    assert_eq!(spans(&c, key(1)), ["0..4 open"]);
    let rows = c.segments(key(1), at(0), at(10));
    assert_eq!((rows[0].closed, rows[0].bytes, rows[0].duration_ms), (false, 4096, 4000));
    assert!(c.unfinished().is_empty(), "it is being written");
    c.flush(true).unwrap();
    drop(c);
    let c = open(&fs, 100);
    let left = c.unfinished();
    assert_eq!((left.len(), left[0].number, left[0].start_ms), (1, 1, at(0).millis()));
    assert_eq!(c.next_number(key(1)), 2, "the number is not used again");
    c.open_lost(key(1), 1, at(0).millis());
    assert!(c.unfinished().is_empty());
}

#[test]
fn a_segment_that_recovery_has_not_read_yet_is_a_gap_up_to_what_comes_next() {
    let fs = SimFs::new(1);
    let c = open(&fs, 0);
    c.opened(key(1), &volume("v1"), 1, at(10));
    c.gap(key(1), GapReason::DiskFull, at(50), at(60));
    c.alive(at(70));
    c.flush(true).unwrap();
    drop(c);
    let c = open(&fs, 100);
    assert_eq!(spans(&c, key(1)), ["10..50 CrashTail", "50..60 DiskFull"]);
    c.closed(&row(key(1), 1, 10, 35), [0; 32]);
    assert_eq!(spans(&c, key(1)), ["10..45 footage", "50..60 DiskFull"]);
}

#[test]
fn a_short_absence_is_a_seam_between_footage_but_not_behind_a_gap() {
    let fs = SimFs::new(1);
    let c = open(&fs, 500);
    let short = |s: i64| UtcMicros(at(s).0 + 400_000);
    c.closed(&row(key(1), 1, 0, 10), [1; 32]);
    c.gap_begin(key(1), GapReason::CameraOffline, at(10));
    c.gap_end(key(1), short(10));
    assert_eq!(spans(&c, key(1)), ["0..10 footage"]);
    c.gap_begin(key(1), GapReason::NodeDown, at(10));
    c.gap_begin(key(1), GapReason::CameraOffline, at(20));
    c.gap_end(key(1), short(20));
    c.gap(key(1), GapReason::NoKeyFrame, short(20), at(21) + std::time::Duration::from_micros(700_000));
    c.gap(key(1), GapReason::Network, at(21) + std::time::Duration::from_micros(700_000), at(22));
    let times: Vec<_> = c.spans(key(1), at(0), at(400)).iter().map(|s| (s.from, s.to)).collect();
    assert!(times.windows(2).all(|pair| pair[0].1 == pair[1].0), "nothing unexplained in {times:?}");
    assert_eq!(times.last().unwrap().1, at(22));
}

#[test]
fn a_gap_left_open_reaches_to_the_last_sign_of_life() {
    let fs = SimFs::new(1);
    let c = open(&fs, 0);
    c.gap_begin(key(1), GapReason::CameraOffline, at(10));
    c.alive(at(58));
    c.alive(at(60));
    c.flush(false).unwrap();
    drop(c);
    let c = open(&fs, 500);
    assert_eq!(c.alive_before(), Some(at(60)));
    assert_eq!(c.open_gap(key(1)), None);
    assert_eq!(c.known_to(key(1)), Some(at(60)));
    assert_eq!(spans(&c, key(1)), ["10..60 CameraOffline"]);
    c.gap_begin(key(1), GapReason::NodeDown, at(60));
    assert_eq!(spans(&c, key(1)), ["10..60 CameraOffline", "60..500 NodeDown"], "an open gap reaches to now");
}

#[test]
fn a_log_cut_at_any_byte_keeps_every_whole_record() {
    let fs = SimFs::new(1);
    let c = open(&fs, 0);
    let mut ends = Vec::new();
    for n in 0..6 {
        c.closed(&row(key(1), n + 1, i64::try_from(n).unwrap() * 300, 300), [0; 32]);
        c.flush(true).unwrap();
        ends.push(fs.get(Path::new(LOG)).unwrap().len());
    }
    let whole = fs.get(Path::new(LOG)).unwrap();
    for cut in 0..whole.len() {
        let fs = SimFs::new(2);
        fs.put(Path::new(LOG), whole[..cut].to_vec());
        let c = open(&fs, 9);
        let expected = ends.iter().filter(|e| **e <= cut).count();
        assert_eq!(c.stats().segments, expected, "cut at {cut}");
        assert!(!matches!(c.opening(), Opening::Damaged { .. }), "cut at {cut}: {:?}", c.opening());
        c.closed(&row(key(1), 99, 99_999, 300), [0; 32]);
        c.flush(true).unwrap();
        drop(c);
        let again = open(&fs, 10);
        assert_eq!(again.opening(), &Opening::Clean, "cut at {cut}");
        assert_eq!(again.stats().segments, expected + 1);
    }
}

proptest! {
    #[test]
    fn a_damaged_log_never_panics_and_is_kept_aside(place in 0..400usize, value: u8) {
        let fs = SimFs::new(1);
        let c = open(&fs, 0);
        for n in 0..6 {
            c.closed(&row(key(1), n + 1, i64::try_from(n).unwrap() * 300, 300), [0; 32]);
        }
        c.flush(true).unwrap();
        drop(c);
        let mut bytes = fs.get(Path::new(LOG)).unwrap();
        let place = place % bytes.len();
        prop_assume!(bytes[place] != value);
        bytes[place] = value;
        fs.put(Path::new(LOG), bytes.clone());
        let c = open(&fs, 9);
        prop_assert!(c.opening() != &Opening::Clean);
        if let Opening::Damaged { .. } = c.opening() {
            let aside = fs.files().into_iter().find(|f| f.to_string_lossy().contains("damaged")).unwrap();
            prop_assert_eq!(fs.get(&aside).unwrap(), bytes);
        }
        drop(c);
        let again = open(&fs, 10);
        prop_assert_eq!(again.opening(), &Opening::Clean);
    }

    /// Rows, gaps and order against a plain list.
    #[test]
    fn queries_equal_a_naive_list(segments in prop::collection::vec((0..50i64, 1..6u32), 1..30), window in (0..60i64, 0..60i64)) {
        let fs = SimFs::new(1);
        let c = open(&fs, 0);
        let mut naive = Vec::new();
        for (n, (from, length)) in segments.iter().enumerate() {
            let row = row(key(1), n as u64 + 1, *from, *length);
            c.closed(&row, [0; 32]);
            naive.push(row);
        }
        let (from, to) = (at(window.0), at(window.0 + window.1));
        let mut expected: Vec<_> = naive.iter().filter(|r| r.start() <= to && r.end() > from).map(|r| r.number).collect();
        let mut found: Vec<_> = c.segments(key(1), from, to).iter().map(|r| r.number).collect();
        expected.sort_unstable();
        found.sort_unstable();
        prop_assert_eq!(found, expected);
        let footage: Vec<Interval> = naive.iter().map(|r| Interval::new(r.start(), r.end())).collect();
        let total: i64 = c.spans(key(1), at(0), at(100)).iter().map(|s| s.interval().length_us()).sum();
        prop_assert_eq!(total, crate::gaps::total_us(&crate::gaps::merge(footage, 0)));
    }
}

#[test]
fn a_failing_disk_loses_no_row() {
    let fs = SimFs::new(1);
    let c = open(&fs, 0);
    fs.plan(FaultPlan {
        operation: Some(Operation::Write),
        below: None,
        after: 0,
        times: 3,
        fault: Fault::Io,
    });
    for n in 0..3 {
        c.closed(&row(key(1), n + 1, i64::try_from(n).unwrap() * 300, 300), [0; 32]);
        assert!(c.flush(true).is_err());
    }
    assert_eq!(c.stats().segments, 3, "queries go on");
    assert!(c.stats().unwritten_bytes > 0);
    assert_eq!(c.stats().write_errors, 3);
    c.flush(true).unwrap();
    assert_eq!(c.stats().unwritten_bytes, 0);
    drop(c);
    assert_eq!(open(&fs, 9).stats().segments, 3);
}

fn put_segment(fs: &SimFs, root: &str, row: &SegmentRow) {
    fs.put(&Path::new(root).join(row.path()), vec![0; usize::try_from(row.bytes).unwrap()]);
}

#[test]
fn names_are_the_truth() {
    let fs = SimFs::new(1);
    let c = open(&fs, 0);
    let (kept, lost) = (row(key(1), 1, 0, 300), row(key(1), 2, 300, 300));
    // What nobody knew is looked into.
    let found = kit::closed(&fs, Path::new("/v1"), &kit::info(false), &kit::stream(50, 25, 60, false)).row;
    c.closed(&kept, [0; 32]);
    c.closed(&lost, [0; 32]);
    put_segment(&fs, "/v1", &kept);
    let left = SegmentRow { closed: false, number: 9, ..row(key(1), 9, 600, 0) };
    put_segment(&fs, "/v1", &left);
    fs.put(Path::new("/v1/33080000001320000001/main/20231114/notes.txt"), vec![1]);
    fs.put(Path::new("/v1/fengsui-volume.json"), vec![1]);
    let report = c.check_volume(&volume("v1"), Path::new("/v1"), &AtomicBool::new(false)).unwrap();
    assert_eq!(
        report,
        CheckReport {
            files: 3,
            added: 1,
            unfinished: 1,
            missing: 1,
            shortened: 0,
            foreign: 1,
            strays: Vec::new()
        }
    );
    assert_eq!(spans(&c, key(1)), ["0..300 footage", "300..600 Damaged"]);
    assert_eq!(c.segments(found.key, UtcMicros(0), UtcMicros(i64::MAX / 2)), [found]);
    assert_eq!(c.unfinished()[0].number, 9);
    assert_eq!(c.next_number(key(1)), 10);
    let again = c.check_volume(&volume("v1"), Path::new("/v1"), &AtomicBool::new(false)).unwrap();
    assert_eq!(again, CheckReport { files: 3, foreign: 1, ..CheckReport::default() });
}

#[test]
fn a_file_that_nobody_knew_and_that_was_cut_shows_what_is_left() {
    let fs = SimFs::new(1);
    let c = open(&fs, 0);
    let made = kit::closed(&fs, Path::new("/v1"), &kit::info(false), &kit::stream(300, 25, 260, false));
    let bytes = fs.get(&made.path).unwrap();
    fs.put(&made.path, bytes[..bytes.len() / 2].to_vec());
    fs.put(Path::new("/v1/fengsui-volume.json"), vec![1]);
    let report = c.check_volume(&volume("v1"), Path::new("/v1"), &AtomicBool::new(false)).unwrap();
    assert_eq!((report.added, report.shortened), (1, 1));
    let rows = c.segments(made.row.key, UtcMicros(0), UtcMicros(i64::MAX / 2));
    assert!(rows.len() == 1 && rows[0].duration_ms < made.row.duration_ms, "{rows:?}");
    assert!(fs.get(&Path::new("/v1").join(rows[0].path())).is_some(), "its name says what is left");
}

/// The sync of the directory was refused when the file got its closed name, and a power cut took the name back.
#[test]
fn a_file_that_has_its_open_name_again_is_found_by_one_look() {
    let fs = SimFs::new(1);
    let c = open(&fs, 0);
    let known = row(key(1), 1, 0, 300);
    c.closed(&known, [0; 32]);
    put_segment(&fs, "/v1", &SegmentRow { closed: false, ..known.clone() });
    fs.put(Path::new("/v1/fengsui-volume.json"), vec![1]);
    let report = c.check_volume(&volume("v1"), Path::new("/v1"), &AtomicBool::new(false)).unwrap();
    assert_eq!((report.missing, report.unfinished), (1, 1));
    assert_eq!(c.unfinished()[0].number, 1, "it waits for recovery");
}

#[test]
fn a_rebuild_finds_all_footage_and_keeps_gaps_and_the_old_log() {
    let fs = SimFs::new(1);
    let c = open(&fs, 0);
    for n in 0..5 {
        let row = row(key(1), n + 1, i64::try_from(n).unwrap() * 400, 300);
        put_segment(&fs, "/v1", &row);
        c.closed(&row, [0; 32]);
        c.gap(
            key(1),
            GapReason::CameraOffline,
            at(i64::try_from(n).unwrap() * 400 + 300),
            at((i64::try_from(n).unwrap() + 1) * 400),
        );
    }
    c.flush(true).unwrap();
    let before = spans(&c, key(1));
    drop(c);
    let volumes = [(volume("v1"), PathBuf::from("/v1"))];
    let clock = Arc::new(ManualClock::at(at(5000)));
    let report = Catalogue::rebuild(Arc::new(fs.clone()), Path::new(DIR), &volumes, clock).unwrap();
    assert_eq!(report.volumes["v1"].added, 5);
    assert_eq!(report.gaps_kept, 5);
    assert!(fs.get(&report.old_log.unwrap()).is_some());
    let c = open(&fs, 5000);
    assert_eq!(c.opening(), &Opening::Clean);
    assert_eq!(spans(&c, key(1)), before);
    assert_eq!(c.next_number(key(1)), 6);
}

#[test]
fn a_log_with_mostly_dead_records_is_written_afresh() {
    let fs = SimFs::new(1);
    let c = open(&fs, 0);
    c.closed(&row(key(1), 1, 0, 300), [3; 32]);
    for n in 0..10_000 {
        c.alive(at(n));
    }
    c.flush(true).unwrap();
    let long = fs.get(Path::new(LOG)).unwrap().len();
    drop(c);
    let c = open(&fs, 20_000);
    assert!(fs.get(Path::new(LOG)).unwrap().len() < long / 100);
    assert_eq!(c.alive_before(), Some(at(9_999)));
    assert_eq!(c.last_hash(key(1)), [3; 32]);
    assert_eq!(c.stats().segments, 1);
}

#[test]
fn deleted_rows_become_one_gap_that_reaches_to_the_footage_beside_it() {
    let fs = SimFs::new(1);
    let c = open(&fs, 0);
    let rows: Vec<SegmentRow> = (0..6u32)
        .map(|n| {
            let mut r = row(key(1), u64::from(n) + 1, i64::from(n) * 300, 300);
            r.duration_ms -= 40;
            r
        })
        .collect();
    rows.iter().for_each(|r| c.closed(r, [0; 32]));
    // Out of order, one of them twice, and one that is not there.
    let mut deleted = vec![rows[3].clone(), rows[1].clone(), rows[2].clone(), rows[2].clone()];
    deleted.push(row(key(9), 1, 0, 300));
    assert_eq!(c.expired(&deleted, GapReason::Expired), 3);
    let expected = ["0..299 footage", "299..1200 Expired", "1200..1799 footage"];
    assert_eq!(spans(&c, key(1)), expected);
    assert_eq!(c.stats().gaps, 1);
    assert_eq!(c.expired(&rows[..1], GapReason::Sacrificed), 1);
    let expected = ["0..299 Sacrificed", "299..1200 Expired", "1200..1799 footage"];
    assert_eq!(spans(&c, key(1)), expected);
    c.flush(true).unwrap();
    drop(c);
    let c = open(&fs, 2000);
    assert_eq!(spans(&c, key(1)), expected);
    let mut left = Vec::new();
    c.visit_closed(key(1), &mut |s| {
        left.push(s.number);
        std::ops::ControlFlow::Continue(())
    });
    assert_eq!(left, [5, 6]);
}

#[test]
fn a_moved_segment_is_found_on_its_new_volume_alone_and_survives_a_restart() {
    let fs = SimFs::new(1);
    let c = open(&fs, 0);
    let (old, second) = (row(key(1), 1, 0, 300), row(key(1), 2, 300, 300));
    c.closed(&old, [1; 32]);
    c.closed(&second, [2; 32]);
    let to = "v9".parse().unwrap();
    assert!(c.relocated(&second, &to) && c.relocated(&old, &to));
    assert!(!c.relocated(&old, &to), "it is not where the row says");
    assert!(!c.relocated(&row(key(1), 7, 0, 300), &to));
    assert_eq!(
        c.expired(std::slice::from_ref(&old), GapReason::Expired),
        0,
        "what was moved was not deleted"
    );
    assert_eq!(c.last_hash(key(1)), [2; 32], "the next segment continues the chain");
    c.flush(true).unwrap();
    drop(c);
    let c = open(&fs, 2000);
    assert_eq!(c.last_hash(key(1)), [2; 32]);
    assert_eq!(c.stats().segments, 2);
    let volumes: Vec<String> = [1, 2].map(|n| c.segment(key(1), n).unwrap().volume.to_string()).into();
    assert_eq!(volumes, ["v9", "v9"]);
    let usage = c.usage();
    assert_eq!((usage[&to].segments, usage[&to].first_end_ms.is_some()), (2, true));
    assert_eq!(usage[&old.volume].segments, 0);
}

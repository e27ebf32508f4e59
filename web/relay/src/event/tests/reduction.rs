use fengsui_config::limits;
use fengsui_storage::journal::Reducer as _;
use proptest::prelude::*;
use serde_json::json;

use super::super::rows::{EventRows, Place, RecordId, Row};
use super::*;

fn later(seconds: i64) -> UtcMicros {
    UtcMicros(NOW.0 + seconds * SECOND)
}

fn link(phase: Phase, at: UtcMicros) -> Event {
    let kind = if phase == Phase::Opens { EventKind::CameraOffline } else { EventKind::CameraOnline };
    let cause = format!("link/{}", camera(1));
    let event = Event::new(kind, Priority::Normal, cause, phase, at, Source::node(node()));
    event.part(format!("link:{}", camera(1))).camera(camera(1))
}

fn gap(phase: Phase, at: UtcMicros) -> Event {
    let kind = if phase == Phase::Opens { EventKind::CameraGapOpened } else { EventKind::CameraGapClosed };
    let event = Event { kind, ..link(phase, at) };
    event.part(format!("gap:{}", camera(1)))
}

fn reduce(events: &[Event]) -> EventRows {
    let mut rows = EventRows::default();
    for (seq, event) in (1..).zip(events) {
        rows.apply(&noted(seq, event)).unwrap();
    }
    rows
}

fn all(rows: &EventRows) -> Vec<&Row> {
    rows.page(None, usize::MAX, &|_| true).0
}

#[test]
fn one_cause_is_one_row_with_a_count_that_opens_and_is_over() {
    let rows =
        reduce(&[link(Phase::Opens, NOW), gap(Phase::Opens, later(5)), link(Phase::Closes, later(60))]);
    let [row] = all(&rows)[..] else { panic!("one row") };
    assert_eq!((row.kind, row.is_open(), row.count, row.times), (EventKind::CameraOffline, true, 3, 1));
    assert_eq!(row.parts.keys().collect::<Vec<_>>(), [&format!("gap:{}", camera(1))]);
    let rows = reduce(&[
        link(Phase::Opens, NOW),
        gap(Phase::Opens, later(5)),
        link(Phase::Closes, later(60)),
        gap(Phase::Closes, later(63)),
        link(Phase::Opens, later(120)),
        link(Phase::Closes, later(180)),
    ]);
    let [row] = all(&rows)[..] else { panic!("an outage soon after is the same row") };
    assert_eq!((row.is_open(), row.times, row.count, row.records), (false, 2, 6, 6));
    assert_eq!((row.first_us, row.last_us, row.over_us), (NOW, later(180), Some(later(180))));
    assert_eq!(row.id, RecordId { node: "centre".into(), epoch: 1, seq: 1 });
    assert_eq!(row.newest.seq, 6);
}

#[test]
fn a_cause_that_was_silent_for_long_begins_a_new_row() {
    let long = i64::try_from(limits::EVENT_JOIN_WITHIN.as_secs()).unwrap() + 1;
    let rows = reduce(&[input(1, "a", Phase::Point, NOW), input(1, "a", Phase::Point, later(long))]);
    assert_eq!(all(&rows).iter().map(|r| r.count).collect::<Vec<_>>(), [1, 1]);
    let rows = reduce(&[link(Phase::Opens, NOW), link(Phase::Closes, later(100 * long))]);
    assert_eq!(all(&rows).len(), 1, "what is open stays one row however long it lasts");
    assert!(!all(&rows)[0].is_open());
}

#[test]
fn what_comes_late_is_counted_and_changes_nothing() {
    let door = |phase, at| input(1, "door", phase, at);
    let rows =
        reduce(&[door(Phase::Opens, NOW), door(Phase::Closes, later(60)), door(Phase::Opens, later(30))]);
    let row = all(&rows)[0];
    assert_eq!((row.is_open(), row.count), (false, 3), "an opening from before the end opens nothing");
    let rows = reduce(&[door(Phase::Opens, later(60)), door(Phase::Closes, later(30))]);
    assert!(all(&rows)[0].is_open(), "an end from before the beginning ends nothing");
    let rows = reduce(&[door(Phase::Opens, later(100_000)), door(Phase::Opens, NOW)]);
    let open: Vec<bool> = all(&rows).iter().map(|r| r.is_open()).collect();
    assert_eq!(open, [true, false], "what is older by long is a row of its own, and over");
}

#[test]
fn what_a_node_tells_of_itself_is_in_order_whatever_its_clock_does() {
    let back = later(-50_000);
    let rows = reduce(&[link(Phase::Opens, NOW), link(Phase::Closes, back)]);
    assert!(!all(&rows)[0].is_open(), "an end counts though the clock was set back meanwhile");
    let rows = reduce(&[link(Phase::Opens, NOW), link(Phase::Closes, later(60)), link(Phase::Opens, back)]);
    assert_eq!(rows.open_parts("centre").count(), 1, "and so does a beginning");
}

#[test]
fn the_heading_is_what_matters_most() {
    let mut stalled = link(Phase::Opens, NOW);
    (stalled.kind, stalled.priority) = (EventKind::CameraStalled, Priority::Low);
    let rows = reduce(&[stalled, link(Phase::Opens, later(10)), gap(Phase::Opens, later(11))]);
    let row = all(&rows)[0];
    assert_eq!((row.kind, row.priority, row.times), (EventKind::CameraOffline, Priority::Normal, 1));
}

#[test]
fn pages_go_through_open_rows_and_then_the_others_newest_first() {
    let mut events = Vec::new();
    for n in 0..25_u32 {
        events.push(input(n, "a", if n % 3 == 0 { Phase::Opens } else { Phase::Point }, later(n.into())));
    }
    let rows = reduce(&events);
    let (mut seen, mut after): (Vec<(bool, u64)>, Option<Place>) = (Vec::new(), None);
    loop {
        let (page, next) = rows.page(after, 4, &|_| true);
        seen.extend(page.iter().map(|r| (r.is_open(), r.order)));
        after = next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 25);
    assert!(seen.windows(2).all(|w| w[0] > w[1]), "{seen:?}");
    let (some, next) = rows.page(None, 100, &|row| row.camera == Some(camera(3)));
    assert_eq!((some.len(), next), (1, None));
}

#[test]
fn rows_in_memory_are_bounded_and_open_ones_go_last() {
    let mut rows = EventRows::default();
    rows.apply(&noted(1, &link(Phase::Opens, NOW))).unwrap();
    for n in 0..limits::EVENT_ROWS_OVER_MAX as u64 + 50 {
        rows.apply(&noted(n + 2, &input(2, &format!("i{n}"), Phase::Point, NOW))).unwrap();
    }
    assert_eq!(all(&rows).len(), limits::EVENT_ROWS_OVER_MAX + 1);
    assert!(all(&rows)[0].is_open());
    for n in 0..limits::EVENT_ROWS_OPEN_MAX as u64 {
        rows.apply(&noted(n + 10_000, &input(3, &format!("o{n}"), Phase::Opens, NOW))).unwrap();
    }
    let lapsed = rows.row(&RecordId { node: "centre".into(), epoch: 1, seq: 1 }).unwrap();
    assert!(lapsed.lapsed && !lapsed.is_open(), "the one that was silent longest counts as over");
}

#[test]
fn a_request_is_known_by_its_marks_after_a_crash_too() {
    let mark = |key: &str, index| Mark { key: key.repeat(16), body: "b".repeat(16), index };
    let with = |marks: Vec<Mark>| Event { marks, ..input(1, "a", Phase::Point, NOW) };
    let rows = reduce(&[with(vec![mark("a", 0), mark("c", 0)]), with(vec![mark("a", 2)])]);
    let found = rows.request(&token("gate"), &"a".repeat(16)).unwrap();
    assert_eq!(found.events.iter().map(|(i, r)| (*i, *r)).collect::<Vec<_>>(), [(0, (1, 1)), (2, (1, 2))]);
    assert!(rows.request(&token("other"), &"a".repeat(16)).is_none(), "another sender's key is another key");
    let mut many = Vec::new();
    for i in 0..limits::EVENT_KEYS_PER_SENDER_MAX as u64 + 10 {
        many.push(with(vec![Mark { key: format!("{i:016x}"), body: "b".repeat(16), index: 0 }]));
    }
    let rows = reduce(&many);
    assert!(rows.request(&token("gate"), &format!("{:016x}", 0)).is_none(), "the oldest are forgotten");
    assert!(rows.request(&token("gate"), &format!("{:016x}", 100)).is_some());
}

#[test]
fn records_of_other_kinds_and_newer_versions_are_passed_over_and_broken_ones_are_errors() {
    let mut rows = EventRows::default();
    rows.apply(&record(1, "session.opened", json!({"by": "li"}))).unwrap();
    let mut newer = link(Phase::Opens, NOW).body();
    newer["v"] = json!(2);
    newer["shape"] = json!("new");
    rows.apply(&record(2, kinds::EVENT_NOTED, newer)).unwrap();
    assert!(all(&rows).is_empty());
    assert!(rows.apply(&record(3, kinds::EVENT_NOTED, json!({"kind": 5}))).is_err());
    assert!(all(&rows).is_empty());
}

#[test]
fn ids_of_records_read_back() {
    let id = RecordId { node: "east-2".into(), epoch: 1003, seq: 77 };
    assert_eq!(id.to_string(), "east-2.1003.77");
    assert_eq!(id.to_string().parse(), Ok(id));
    for wrong in ["", "a", "a.1", ".1.2", "a.x.1", "a.1.-2"] {
        assert!(wrong.parse::<RecordId>().is_err(), "{wrong}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Rows are what the journal says: wherever a snapshot lies, and with every event in one row's count.
    #[test]
    fn rows_are_the_reduction_of_the_journal_wherever_a_snapshot_lies(
        steps in prop::collection::vec((1..4_u32, 0..2_u32, 0..3_usize, -900..900_i64, 1..5_u64), 1..80),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut time = 0;
        let events: Vec<Event> = steps.iter().map(|(place, name, phase, wait, count)| {
            time += wait;
            let phase = [Phase::Opens, Phase::Closes, Phase::Point][*phase];
            let mut event = input(*place, &format!("i{name}"), phase, later(time));
            event.count = *count;
            event
        }).collect();
        let whole = reduce(&events);
        let cut = cut.index(events.len());
        let kept = serde_json::to_value(reduce(&events[..cut])).unwrap();
        let mut again: EventRows = serde_json::from_value(kept).unwrap();
        for (seq, event) in (1..).zip(&events).skip(cut) {
            again.apply(&noted(seq, event)).unwrap();
        }
        prop_assert_eq!(&again, &whole);
        let sum: u64 = all(&whole).iter().map(|r| r.count).sum();
        prop_assert_eq!(sum, events.iter().map(|e| e.count).sum::<u64>());
        for row in all(&whole) {
            prop_assert!(row.first_us <= row.last_us);
            prop_assert_eq!(row.is_open(), row.over_us.is_none() && !row.parts.is_empty());
        }
    }
}

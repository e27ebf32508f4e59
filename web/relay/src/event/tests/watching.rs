use std::time::Duration;

use fengsui_config::clock::MonoMicros;
use fengsui_config::limits;
use fengsui_storage::board::{FailureClass, SessionState};
use fengsui_storage::frame::GapReason;
use fengsui_storage::journal::Reducer as _;
use proptest::prelude::*;
use serde_json::json;

use super::super::rows::EventRows;
use super::super::watch::{
    CameraSeen, Now, RecordingSeen, Seen, VolumeSeen, Watch, start_events, stop_event,
};
use super::*;

/// A node that is looked at every half second, its journal, and its clock.
struct Desk {
    watch: Watch,
    rows: EventRows,
    seq: u64,
    clock_us: u64,
    told: Vec<Event>,
}

impl Desk {
    fn new() -> Self {
        let rows = EventRows::default();
        Self { watch: Watch::new(&node(), &rows), rows, seq: 0, clock_us: 0, told: Vec::new() }
    }

    fn note(&mut self, event: Event) {
        self.seq += 1;
        self.rows.apply(&noted(self.seq, &event)).unwrap();
        self.told.push(event);
    }

    /// Looks at `seen` for so long; what was told meanwhile.
    fn for_ms(&mut self, ms: u64, seen: &Seen) -> Vec<Event> {
        let before = self.told.len();
        for _ in 0..ms / 500 {
            let utc = UtcMicros(NOW.0 + i64::try_from(self.clock_us).unwrap());
            for event in self.watch.look(Now { utc, mono: MonoMicros(self.clock_us) }, seen) {
                self.note(event);
            }
            self.clock_us += 500_000;
        }
        self.told[before..].to_vec()
    }

    /// The process ends and begins anew: what it knew is what the journal says.
    fn restart(&mut self) {
        self.watch = Watch::new(&node(), &self.rows);
    }

    fn open(&self) -> Vec<String> {
        self.rows.open_parts("centre").map(|(part, ..)| part.to_owned()).collect()
    }
}

fn one(state: SessionState, failure: Option<FailureClass>) -> CameraSeen {
    CameraSeen {
        camera: camera(1),
        key: false,
        enabled: true,
        state,
        failure,
        detail: None,
        clock_offset_us: Some(0),
        lost_packets: 0,
        recording: Some(RecordingSeen { recording: true, reason: None }),
    }
}

fn seen(camera: CameraSeen) -> Seen {
    Seen { cameras: vec![camera], ..Seen::default() }
}

fn well() -> Seen {
    seen(one(SessionState::Playing, None))
}

fn down(recording: bool) -> Seen {
    let reason = (!recording).then_some(GapReason::CameraOffline);
    let camera = one(SessionState::BackOff, Some(FailureClass::Unreachable));
    seen(CameraSeen { recording: Some(RecordingSeen { recording, reason }), ..camera })
}

fn kinds_of(events: &[Event]) -> Vec<EventKind> {
    events.iter().map(|e| e.kind).collect()
}

#[test]
fn an_outage_is_told_once_with_its_gap_and_its_end() {
    let mut desk = Desk::new();
    assert!(desk.for_ms(30_000, &well()).is_empty());
    assert!(desk.for_ms(9_500, &down(false)).is_empty(), "a short failure is no outage");
    let told = desk.for_ms(60_000, &down(false));
    assert_eq!(kinds_of(&told), [EventKind::CameraOffline, EventKind::CameraGapOpened]);
    assert_eq!(told[0].at_us.0, NOW.0 + 30 * SECOND, "since it failed, not since it was told");
    assert_eq!(told[0].data["failure"], "unreachable");
    assert_eq!(told[1].data["reason"], "camera_offline");
    assert_eq!(told[0].cause, told[1].cause, "one cause");
    let told = desk.for_ms(10_000, &well());
    assert_eq!(kinds_of(&told), [EventKind::CameraOnline, EventKind::CameraGapClosed]);
    let (page, _) = desk.rows.page(None, 10, &|_| true);
    assert_eq!((page.len(), page[0].is_open(), page[0].times), (1, false, 1));
}

#[test]
fn a_restart_tells_nothing_twice_and_closes_what_got_well_meanwhile() {
    let mut desk = Desk::new();
    desk.for_ms(30_000, &down(false));
    assert_eq!(desk.told.len(), 2);
    desk.restart();
    let waiting = seen(CameraSeen {
        recording: Some(RecordingSeen { recording: false, reason: None }),
        ..one(SessionState::Waiting, None)
    });
    assert!(desk.for_ms(60_000, &waiting).is_empty(), "what is not known yet is as it was");
    assert!(desk.for_ms(60_000, &down(false)).is_empty(), "it is told already");
    desk.restart();
    let told = desk.for_ms(10_000, &well());
    assert_eq!(kinds_of(&told), [EventKind::CameraOnline, EventKind::CameraGapClosed]);
    desk.restart();
    assert!(desk.for_ms(30_000, &well()).is_empty());
}

#[test]
fn a_start_of_a_whole_city_tells_of_nobody_who_waits_for_its_turn() {
    let mut desk = Desk::new();
    let recording = Some(RecordingSeen { recording: false, reason: None });
    let unknown = Some(RecordingSeen { recording: false, reason: Some(GapReason::CameraOffline) });
    for state in [SessionState::Waiting, SessionState::Opening] {
        let camera = CameraSeen { recording: unknown, ..one(state, None) };
        assert!(desk.for_ms(120_000, &seen(camera)).is_empty(), "{state:?}: no gap before an outage");
    }
    for state in [SessionState::Idle, SessionState::Waiting, SessionState::Opening] {
        let camera = CameraSeen { recording, ..one(state, None) };
        assert!(desk.for_ms(120_000, &seen(camera)).is_empty(), "{state:?}");
    }
}

#[test]
fn a_stall_is_told_and_becomes_an_outage_in_the_same_row() {
    let mut desk = Desk::new();
    let told = desk.for_ms(4_000, &seen(one(SessionState::Stalled, None)));
    assert_eq!((kinds_of(&told), told[0].priority), (vec![EventKind::CameraStalled], Priority::Low));
    assert_eq!(kinds_of(&desk.for_ms(30_000, &down(true))), [EventKind::CameraOffline]);
    assert!(desk.for_ms(30_000, &seen(one(SessionState::Stalled, None))).is_empty(), "still the same outage");
    assert!(desk.for_ms(30_000, &down(true)).is_empty());
    assert_eq!(kinds_of(&desk.for_ms(4_000, &well())), [EventKind::CameraOnline]);
    assert_eq!(desk.rows.page(None, 10, &|_| true).0.len(), 1);
}

#[test]
fn the_outage_of_a_key_target_is_an_alarm() {
    let mut desk = Desk::new();
    let camera = CameraSeen { key: true, ..one(SessionState::BackOff, Some(FailureClass::Auth)) };
    assert_eq!(desk.for_ms(20_000, &seen(camera))[0].priority, Priority::Alarm);
    desk.restart();
    let end = &desk.for_ms(20_000, &well())[0];
    assert_eq!(
        (end.phase, end.priority),
        (Phase::Closes, Priority::Alarm),
        "its end is sent as surely as its beginning"
    );
}

#[test]
fn gaps_that_the_disks_make_are_one_row_for_all_cameras() {
    let mut desk = Desk::new();
    let recording = Some(RecordingSeen { recording: false, reason: Some(GapReason::DiskFull) });
    let cameras =
        (1..=78).map(|n| CameraSeen { camera: camera(n), recording, ..one(SessionState::Playing, None) });
    let told = desk.for_ms(20_000, &Seen { cameras: cameras.collect(), ..Seen::default() });
    assert_eq!(told.len(), 78);
    let (page, _) = desk.rows.page(None, 100, &|_| true);
    assert_eq!((page.len(), page[0].parts.len(), page[0].times), (1, 78, 1));
    assert_eq!(page[0].priority, Priority::Alarm);
}

#[test]
fn clocks_have_two_marks_and_time_to_settle() {
    let mut desk = Desk::new();
    let off = |us| seen(CameraSeen { clock_offset_us: Some(us), ..one(SessionState::Playing, None) });
    assert!(desk.for_ms(25_000, &off(-4_000_000)).is_empty());
    let told = desk.for_ms(60_000, &off(-4_000_000));
    assert_eq!(
        (kinds_of(&told), told[0].data["offset_us"].as_i64()),
        (vec![EventKind::CameraClockOffset], Some(-4_000_000))
    );
    assert!(desk.for_ms(60_000, &off(2_000_000)).is_empty(), "between the marks it stays");
    assert_eq!(desk.for_ms(60_000, &off(500_000))[0].phase, Phase::Closes);
}

#[test]
fn lost_pictures_are_told_once_until_they_stop() {
    let mut desk = Desk::new();
    let lost = |n| seen(CameraSeen { lost_packets: n, ..one(SessionState::Playing, None) });
    desk.for_ms(20_000, &lost(5));
    assert!(desk.told.is_empty(), "a few are no matter");
    for n in 1..20 {
        desk.for_ms(10_000, &lost(5 + n * limits::EVENT_LOST_PACKETS_MIN));
    }
    assert_eq!(kinds_of(&desk.told), [EventKind::CameraPictureLost]);
    let end = 5 + 19 * limits::EVENT_LOST_PACKETS_MIN;
    assert_eq!(desk.for_ms(120_000, &lost(end))[0].phase, Phase::Closes);
    assert!(desk.for_ms(60_000, &lost(0)).is_empty(), "a counter that begins anew loses nothing");
}

#[test]
fn volumes_tell_each_wrong_state_and_the_end() {
    let mut desk = Desk::new();
    let state = |state: &str| Seen {
        volumes: vec![VolumeSeen { id: "v1".into(), state: state.into(), ok: state == "ok", detail: None }],
        ..Seen::default()
    };
    desk.for_ms(10_000, &state("ok"));
    assert!(desk.for_ms(2_500, &state("full")).is_empty());
    let told = desk.for_ms(10_000, &state("full"));
    assert_eq!(
        (told.len(), told[0].priority, told[0].data["state"].as_str()),
        (1, Priority::Alarm, Some("full"))
    );
    assert_eq!(desk.for_ms(10_000, &state("missing")).len(), 1, "missing is another matter than full");
    desk.restart();
    assert!(desk.for_ms(10_000, &state("missing")).is_empty());
    assert_eq!(desk.for_ms(10_000, &state("ok"))[0].phase, Phase::Closes);
    let (page, _) = desk.rows.page(None, 10, &|_| true);
    assert_eq!((page.len(), page[0].data["state"].as_str()), (1, Some("missing")));
}

#[test]
fn pictures_lost_to_slow_volumes_are_an_alarm_with_their_number_until_no_more_are() {
    let mut desk = Desk::new();
    let lost = |lost_to_disks| Seen { lost_to_disks, ..Seen::default() };
    desk.for_ms(5_000, &lost(0));
    let told = desk.for_ms(500, &lost(40));
    assert_eq!(kinds_of(&told), [EventKind::StorageSlow], "at once");
    assert_eq!((told[0].priority, told[0].phase), (Priority::Alarm, Phase::Opens));
    assert_eq!(told[0].data["pictures"], 40);
    for n in 1..20 {
        assert!(desk.for_ms(10_000, &lost(40 + n)).is_empty(), "one row however long it lasts");
    }
    let told = desk.for_ms(120_000, &lost(59));
    assert_eq!((kinds_of(&told), told[0].phase), (vec![EventKind::StorageSlow], Phase::Closes));
    assert_eq!(told[0].data["pictures"], 59, "all of them");
    let told = desk.for_ms(500, &lost(66));
    assert_eq!(told[0].data["pictures"], 7, "those of before were told");
    desk.restart();
    assert!(desk.for_ms(30_000, &lost(0)).is_empty());
    let told = desk.for_ms(60_000, &lost(0));
    assert_eq!((told.len(), told[0].phase), (1, Phase::Closes), "a node that begins anew loses nothing");
}

#[test]
fn the_journals_own_failures_are_told_when_it_writes_again() {
    let mut desk = Desk::new();
    let errors = |journal_errors| Seen { journal_errors, ..Seen::default() };
    desk.for_ms(5_000, &errors(0));
    assert_eq!(desk.for_ms(5_000, &errors(3)).len(), 1);
    assert!(desk.for_ms(30_000, &errors(3)).is_empty());
    assert_eq!(desk.for_ms(60_000, &errors(3))[0].phase, Phase::Closes);
    assert!(desk.for_ms(120_000, &errors(3)).is_empty());
}

#[test]
fn what_is_no_longer_configured_is_closed() {
    let mut desk = Desk::new();
    desk.for_ms(30_000, &down(false));
    assert_eq!(desk.open().len(), 2);
    let told = desk.for_ms(1_000, &Seen::default());
    assert_eq!(told.iter().filter(|e| e.data["gone"] == true).count(), 2);
    assert!(desk.open().is_empty());
    let mut desk = Desk::new();
    desk.for_ms(30_000, &down(false));
    let off = CameraSeen { enabled: false, recording: None, ..one(SessionState::Idle, None) };
    let told = desk.for_ms(1_000, &seen(off));
    assert_eq!(told.iter().filter(|e| e.data["disabled"] == true).count(), 2, "disabled at once");
}

#[test]
fn a_start_says_how_the_run_before_ended_and_what_the_journal_was_found_to_be() {
    let mut rows = EventRows::default();
    let opened =
        |key: &str, found: Value| record(1, kinds::JOURNAL_OPENED, json!({"found": found, "key": key}));
    rows.apply(&opened("one", json!({"outcome": "clean"}))).unwrap();
    rows.apply(&record(2, kinds::NODE_STARTED, json!({}))).unwrap();
    rows.apply(&opened("two", json!({"outcome": "cut", "last_seq": 5}))).unwrap();
    let told = start_events(&node(), &rows, "1.0", NOW);
    assert_eq!(kinds_of(&told), [EventKind::NodeStarted, EventKind::NodeJournal, EventKind::NodeKey]);
    assert_eq!(told[0].data["unclean"], true);
    assert_eq!((told[1].priority, &told[1].data["found"]["last_seq"]), (Priority::Alarm, &json!(5)));
    assert_eq!(told[2].data["before"], "one");
    rows.apply(&record(4, kinds::NODE_STOPPED, json!({}))).unwrap();
    rows.apply(&noted(5, &stop_event(&node(), NOW))).unwrap();
    assert_eq!(rows.open_parts("centre").count(), 1, "a node that was stopped is an open row");
    rows.apply(&opened("two", json!({"outcome": "clean"}))).unwrap();
    let told = start_events(&node(), &rows, "1.0", NOW);
    assert_eq!(kinds_of(&told), [EventKind::NodeStarted]);
    let mut watch = Watch::new(&node(), &rows);
    assert!(watch.look(Now { utc: NOW, mono: MonoMicros(0) }, &Seen::default()).is_empty());
    rows.apply(&noted(6, &told[0])).unwrap();
    assert_eq!(rows.open_parts("centre").count(), 0);
    let mut rows = EventRows::default();
    for seq in [1, 3] {
        let told = start_events(&node(), &rows, "1.0", NOW);
        rows.apply(&noted(seq, &told[0])).unwrap();
        rows.apply(&record(seq + 1, kinds::NODE_STARTED, json!({}))).unwrap();
    }
    let row = rows.current("centre", "node").unwrap();
    assert_eq!((row.count, &row.data["unclean"]), (2, &json!(true)), "the newest start is the one shown");
}

#[test]
fn a_restored_journal_may_have_another_key() {
    let mut rows = EventRows::default();
    rows.apply(&record(1, kinds::JOURNAL_OPENED, json!({"key": "one"}))).unwrap();
    rows.apply(&record(2, kinds::JOURNAL_RESTORED, json!({}))).unwrap();
    rows.apply(&record(3, kinds::JOURNAL_OPENED, json!({"key": "two"}))).unwrap();
    assert_eq!(start_events(&node(), &rows, "1.0", NOW).len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However states change and whenever the process restarts: parts open and close in turn, and when all has been well
    /// for long enough nothing is open.
    #[test]
    fn parts_open_and_close_in_turn_whatever_happens(
        steps in prop::collection::vec((0..7_usize, 1..40_u64, any::<bool>(), -5..5_i64, 0..60_u64), 1..60),
    ) {
        let mut desk = Desk::new();
        let mut lost = 0;
        for (state, looks, restart, offset, more) in steps {
            let failure = (state == 5).then_some(FailureClass::Closed);
            let states = [
                SessionState::Idle, SessionState::Waiting, SessionState::Opening, SessionState::Playing,
                SessionState::Stalled, SessionState::BackOff, SessionState::Playing,
            ];
            lost += more;
            let recording = RecordingSeen { recording: state == 3, reason: (state == 5).then_some(GapReason::Network) };
            let camera = CameraSeen {
                clock_offset_us: Some(offset * 1_000_000), lost_packets: lost, recording: Some(recording),
                ..one(states[state], failure)
            };
            desk.for_ms(looks * 500, &seen(camera));
            if restart {
                desk.restart();
            }
        }
        let calm = CameraSeen { lost_packets: lost, ..one(SessionState::Playing, None) };
        desk.for_ms(u64::try_from(Duration::from_secs(200).as_millis()).unwrap(), &seen(calm));
        prop_assert!(desk.open().is_empty(), "{:?}", desk.open());
        let mut open = std::collections::BTreeMap::new();
        for event in &desk.told {
            let is_open = open.entry(event.part.clone()).or_insert(false);
            let escalates = event.kind == EventKind::CameraOffline && *is_open;
            prop_assert!(escalates || *is_open != (event.phase == Phase::Opens), "{:?}", event);
            *is_open = event.phase == Phase::Opens;
        }
    }
}

#[test]
fn what_others_tell_of_other_nodes_stays_open_through_a_start() {
    let mut rows = EventRows::default();
    for (seq, part, kind) in [(1, "link", EventKind::NodeOffline), (2, "standby", EventKind::StandbyTaken)] {
        let cause = format!("{part}/east");
        let event = Event::new(kind, Priority::Normal, &cause, Phase::Opens, NOW, Source::node(node()));
        rows.apply(&noted(seq, &event.part(part))).unwrap();
    }
    let mut watch = Watch::new(&node(), &rows);
    assert!(watch.look(Now { utc: NOW, mono: MonoMicros(0) }, &Seen::default()).is_empty());
    assert_eq!(rows.open_parts("centre").count(), 2);
}

//! Holds, alarms and forecast, driven as a node drives them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use fengsui_config::clock::UtcMicros;
use fengsui_config::limits;
use fengsui_config::retention::Emergency;
use fengsui_config::topology::CameraClass;

use super::kit::{Bench, DAY, HOUR, facts, key, policy, row, volume};
use super::light::LightFs;
use crate::frame::GapReason;
use crate::retention::forecast::Outlook;
use crate::retention::{CameraFacts, HoldRefused, HoldRequest};

/// One volume, and cameras 1 and 3 recording a segment of 100 bytes an hour for some days.
fn bench(capacity: u64, days: u32, emergency: Emergency) -> (LightFs, Bench) {
    let fs = LightFs::new(1, &[("/v1", capacity)]);
    let b = Bench::new(Arc::new(fs.clone()), 1, policy(emergency), true);
    record(&fs, &b, days * 24);
    (fs, b)
}

fn record(fs: &LightFs, b: &Bench, hours: u32) {
    for _ in 0..hours {
        let start = b.now();
        b.clock.advance(HOUR);
        b.catalogue.alive(b.now());
        for n in [1, 3] {
            let number = b.catalogue.next_number(key(n));
            let r = row(key(n), volume(1), number, start, HOUR, 100);
            fs.put(b.path(&r), 100);
            b.catalogue.closed(&r, [0; 32]);
        }
    }
}

fn request(from: UtcMicros, to: Option<UtcMicros>) -> HoldRequest {
    HoldRequest {
        cameras: BTreeSet::from([key(1).camera]),
        from,
        to,
        reason: "theft at the square".into(),
        case_number: Some(" A-17 ".into()),
        by: "li".into(),
        ..HoldRequest::default()
    }
}

fn alive(b: &Bench, n: u32) -> usize {
    b.catalogue.summary(key(n)).segments
}

#[test]
fn a_hold_keeps_footage_of_the_past_and_of_the_future_until_it_is_released() {
    let (fs, mut b) = bench(1 << 30, 1, Emergency::Stop);
    let start = b.now() - DAY;
    let placed = b.retention.place_hold(request(start + HOUR * 20, None)).unwrap();
    assert_eq!((placed.kept.segments, placed.kept.bytes, placed.gone.len()), (4, 400, 0));
    assert_eq!(placed.hold.case_number.as_deref(), Some("A-17"));
    record(&fs, &b, 24 * 9);
    b.retention.step();
    assert_eq!(alive(&b, 1), 4 + 24 * 9, "the hold has no end");
    b.restart();
    b.clock.advance(DAY);
    b.retention.step();
    assert_eq!(alive(&b, 1), 4 + 24 * 9, "nor does a restart end it");
    let released = b.retention.release_hold(placed.hold.id, "case closed", "wang").unwrap();
    assert_eq!(released.released.unwrap().by, "wang");
    b.clock.advance(DAY);
    b.retention.step();
    assert_eq!(alive(&b, 1), 24 * 2, "four days are left of which two went by");
    assert!(b.log.kinds().contains(&"hold.released".to_owned()));
}

#[test]
fn whoever_comes_too_late_is_told_what_is_gone() {
    let (_, b) = bench(1 << 30, 10, Emergency::Stop);
    b.retention.step();
    let start = b.now() - DAY * 10;
    let placed = b.retention.place_hold(request(start, Some(start + DAY * 7))).unwrap();
    assert_eq!(placed.gone.len(), 1, "{:?}", placed.gone);
    let gone = placed.gone[0];
    assert_eq!((gone.key, gone.reason), (key(1), GapReason::Expired));
    assert_eq!((gone.from_us, gone.to_us), (start, start + DAY * 6));
    assert_eq!(placed.gone_us, gone.to_us.since(gone.from_us));
    assert_eq!(placed.kept.segments, 24);
}

#[test]
fn holds_that_make_no_sense_are_refused_with_a_remedy() {
    let (_, b) = bench(1 << 30, 1, Emergency::Stop);
    let now = b.now();
    let field = |r: HoldRequest| match b.retention.place_hold(r) {
        Err(HoldRefused::Bad(field, problem, remedy)) => {
            assert!(problem.ends_with('.') && remedy.ends_with('.'), "{problem} {remedy}");
            field
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(field(HoldRequest { reason: " ".into(), ..request(now, None) }), "reason");
    assert_eq!(field(HoldRequest { reason: "x".repeat(501), ..request(now, None) }), "reason");
    assert_eq!(
        field(HoldRequest { case_number: Some("x".repeat(200)), ..request(now, None) }),
        "case_number"
    );
    assert_eq!(field(request(now, Some(now))), "to_us");
    assert_eq!(field(HoldRequest { cameras: BTreeSet::new(), ..request(now, None) }), "cameras");
    let stranger = BTreeSet::from([key(99).camera]);
    assert_eq!(field(HoldRequest { cameras: stranger, ..request(now, None) }), "cameras");
    let nowhere = BTreeSet::from(["33080200002160000009".parse().unwrap()]);
    assert_eq!(field(HoldRequest { places: nowhere, ..request(now, None) }), "places");
    assert!(b.retention.holds().is_empty());
    assert_eq!(b.retention.release_hold(5, "x", "li"), Err(HoldRefused::Unknown(5)));
    let id = b.retention.place_hold(request(now, Some(now + HOUR))).unwrap().hold.id;
    let longer = b.retention.extend_hold(id, Some(now - HOUR), Some(None), "more", "li").unwrap();
    assert_eq!((longer.hold.from_us, longer.hold.to_us), (now - HOUR, None));
    for (from, to) in [(Some(now), None), (None, Some(Some(now))), (None, None)] {
        assert!(matches!(b.retention.extend_hold(id, from, to, "less", "li"), Err(HoldRefused::Bad(..))));
    }
    assert!(matches!(b.retention.release_hold(id, "", "li"), Err(HoldRefused::Bad("reason", ..))));
    b.retention.release_hold(id, "done", "li").unwrap();
    assert_eq!(b.retention.release_hold(id, "again", "li"), Err(HoldRefused::Released(id)));
}

#[test]
fn a_hold_that_the_journal_does_not_take_is_no_hold_and_a_release_no_release() {
    let (fs, b) = bench(1 << 30, 1, Emergency::Stop);
    let id = b.retention.place_hold(request(b.now(), None)).unwrap().hold.id;
    fs.die_after(0);
    assert!(matches!(b.retention.place_hold(request(b.now(), None)), Err(HoldRefused::Journal(_))));
    assert!(matches!(b.retention.release_hold(id, "done", "li"), Err(HoldRefused::Journal(_))));
    fs.crash();
    assert_eq!(b.retention.holds().len(), 1);
    assert!(b.retention.is_held(key(1), b.now(), b.now() + HOUR));
    let next = b.retention.place_hold(request(b.now(), None)).unwrap().hold.id;
    assert_eq!(next, id + 2, "a number that may be in the journal is not used again");
}

#[test]
fn cameras_that_come_to_a_held_place_are_held_and_stay_so_when_they_leave() {
    let (_, mut b) = bench(1 << 30, 1, Emergency::Stop);
    let site = "33080200002160000001".parse().unwrap();
    let at_site = |class| CameraFacts { class, places: BTreeSet::from([site]) };
    b.cameras.insert(key(1).camera, at_site(CameraClass::Normal));
    b.retention.set_cameras(b.cameras.clone());
    let places = BTreeSet::from([site]);
    let now = b.now();
    b.retention.place_hold(HoldRequest { cameras: BTreeSet::new(), places, ..request(now, None) }).unwrap();
    assert!(!b.retention.is_held(key(3), now, now + HOUR));
    b.cameras.insert(key(3).camera, at_site(CameraClass::Key));
    b.retention.set_cameras(b.cameras.clone());
    assert!(b.retention.is_held(key(3), now, now + HOUR));
    b.cameras.insert(key(3).camera, facts(CameraClass::Key));
    b.cameras.remove(&key(1).camera);
    b.restart();
    for n in [1, 3] {
        assert!(b.retention.is_held(key(n), now, now + HOUR), "camera {n}");
    }
}

#[test]
fn a_full_disk_with_everything_promised_raises_the_alarm_and_keeps_the_promise() {
    let (fs, b) = bench(1 << 20, 1, Emergency::Stop);
    fs.set_capacity(Path::new("/v1"), 4810);
    b.retention.step();
    assert_eq!((alive(&b, 1), alive(&b, 3)), (24, 24));
    assert!(b.alarms().contains(&"nothing_deletable"), "{:?}", b.alarms());
    assert!(b.retention.view().volumes[0].stuck);
    fs.set_capacity(Path::new("/v1"), 1 << 20);
    b.retention.step();
    assert!(!b.alarms().contains(&"nothing_deletable"));
}

#[test]
fn an_emergency_breaks_promises_oldest_first_with_an_alarm_in_the_journal_before() {
    let (fs, b) = bench(1 << 20, 1, Emergency::Sacrifice);
    fs.set_capacity(Path::new("/v1"), 4810);
    b.retention.step();
    assert_eq!((alive(&b, 1), alive(&b, 3)), (22, 24), "two segments of the normal camera make it");
    let kinds = b.log.kinds();
    let raised = kinds.iter().position(|k| k == "retention.alarm_raised").unwrap();
    let deleted = kinds.iter().position(|k| k == "retention.deleting").unwrap();
    assert!(raised < deleted, "{kinds:?}");
    assert!(b.alarms().contains(&"promise_broken"));
    let first = b.catalogue.spans(key(1), b.now() - DAY, b.now())[0];
    assert_eq!(first.kind, crate::catalogue::SpanKind::Gap(GapReason::Sacrificed));
    b.clock.advance(DAY * 2);
    b.retention.step();
    assert!(!b.alarms().contains(&"promise_broken"), "a day later it is over");
}

#[test]
fn held_footage_survives_any_emergency() {
    let (fs, b) = bench(1 << 20, 1, Emergency::Sacrifice);
    b.retention.place_hold(request(UtcMicros(0), None)).unwrap();
    fs.set_capacity(Path::new("/v1"), 100);
    b.retention.step();
    b.retention.step();
    assert_eq!(alive(&b, 1), 24);
    assert_eq!(alive(&b, 3), 6, "what is younger than the floor stays too");
    assert!(b.alarms().contains(&"nothing_deletable"));
}

#[test]
fn the_forecast_warns_three_days_ahead() {
    // 200 bytes an hour; the promises need 100 * 48 + 100 * 96 hours = 14,400 bytes.
    let (_, b) = bench(100_000, 1, Emergency::Stop);
    b.retention.step();
    let view = b.retention.view();
    let f = view.forecast.unwrap();
    assert_eq!(f.outlook, Outlook::Holds);
    assert_eq!((f.needed_bytes, f.bytes_per_day), (14_400, 4800));
    assert!(b.alarms().is_empty());
    assert_eq!(view.classes[0].bytes_per_day, 2400);
    let (fs, b) = bench(14_000, 1, Emergency::Stop);
    b.retention.step();
    let Outlook::Breaks { class, at_us } = b.retention.view().forecast.unwrap().outlook else { panic!() };
    assert_eq!(class, CameraClass::Normal);
    let hours = at_us.since(b.now()) / 3_600_000_000;
    assert!((60..72).contains(&hours), "{hours}");
    assert!(b.alarms().contains(&"promise_at_risk"));
    fs.set_capacity(Path::new("/v1"), 100_000);
    b.clock.advance(limits::FORECAST_INTERVAL);
    b.retention.step();
    assert!(b.alarms().is_empty());
}

#[test]
fn a_clock_set_forward_deletes_nothing_and_says_so() {
    let (_, mut b) = bench(1 << 30, 1, Emergency::Sacrifice);
    b.retention.step();
    b.clock.step_utc(365 * 86_400_000_000);
    b.retention.step();
    assert_eq!(alive(&b, 1), 24);
    assert_eq!(b.alarms(), ["clock_ahead"]);
    // Not even when the node starts again under the wrong time.
    b.catalogue.alive(b.now());
    b.catalogue.flush(true).unwrap();
    b.restart();
    b.clock.advance(HOUR);
    b.retention.step();
    assert_eq!(alive(&b, 1), 24);
    b.clock.step_utc(-365 * 86_400_000_000);
    b.retention.step();
    assert_eq!(alive(&b, 1), 24);
    assert!(b.alarms().is_empty());
}

#[test]
fn a_dry_run_says_what_would_go_and_changes_nothing() {
    let (_, b) = bench(1 << 30, 5, Emergency::Stop);
    let dry = b.retention.dry_run();
    assert_eq!(dry.rows.len(), 1, "{dry:?}");
    assert_eq!((dry.rows[0].key, dry.rows[0].segments, dry.rows[0].bytes), (key(1), 24, 2400));
    assert!(!dry.more && dry.stuck.is_empty());
    assert_eq!(alive(&b, 1), 120);
}

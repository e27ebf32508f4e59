//! The planner alone.

use std::collections::BTreeSet;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::StreamKey;
use fengsui_config::retention::{Emergency, RetentionConfig, WaterMarks};
use fengsui_config::topology::CameraClass;

use super::kit::{HOUR, START, key, policy, sub, volume};
use crate::retention::hold::{Hold, Holds};
use crate::retention::plan::{Facts, Plan, Row, StreamFacts, VolumeFacts, Why, plan};

/// A segment that ended so many hours before [`START`].
fn seg(number: u64, hours: u32, bytes: u64) -> Row {
    let end = START - HOUR * hours;
    Row { volume: 0, number, start: end - HOUR, end, aged: end, bytes, archived: false }
}

fn stream(key: StreamKey, class: CameraClass, rows: Vec<Row>) -> StreamFacts {
    StreamFacts { key, class: Some(class), rows }
}

/// 1000 bytes with marks at 100 and 200 free; critical below 25.
fn disk(free: u64) -> VolumeFacts {
    let water = WaterMarks { high_permille: 900, low_permille: 800 };
    VolumeFacts { id: volume(1), usable: true, total: 1000, free, reserve: 0, inodes_free: 1 << 20, water }
}

fn decide(
    policy: &RetentionConfig,
    streams: &[StreamFacts],
    disk: VolumeFacts,
    holds: &Holds,
    limit: usize,
) -> Plan {
    let volumes = [disk];
    plan(&Facts { now: START, policy, streams, volumes: &volumes, holds, limit, complete: true })
}

fn named(plan: &Plan, streams: &[StreamFacts]) -> Vec<(StreamKey, u64, Why)> {
    plan.deletions.iter().map(|d| (streams[d.stream].key, d.row.number, d.why)).collect()
}

fn hold(camera: StreamKey, from: UtcMicros, to: Option<UtcMicros>) -> Holds {
    let mut holds = Holds::default();
    holds.place(Hold {
        id: 1,
        cameras: BTreeSet::from([camera.camera]),
        places: BTreeSet::new(),
        stream: None,
        from_us: from,
        to_us: to,
        reason: "a case".into(),
        case_number: None,
        by: "li".into(),
        placed_us: START,
        extensions: Vec::new(),
        released: None,
    });
    holds
}

/// Days 5 (over), 3 (served), 1 (promised) of a normal camera and its sub-stream, 9, 5, 1 of a key target.
fn city() -> Vec<StreamFacts> {
    let days = |over: u32, served: u32| vec![seg(1, over * 24, 50), seg(2, served * 24, 50), seg(3, 24, 50)];
    vec![
        stream(key(1), CameraClass::Normal, days(5, 3)),
        stream(sub(1), CameraClass::Normal, days(5, 3)),
        stream(key(3), CameraClass::Key, days(9, 5)),
    ]
}

#[test]
fn what_is_over_goes_and_nothing_else_while_there_is_room() {
    let streams = city();
    let p = decide(&policy(Emergency::Sacrifice), &streams, disk(150), &Holds::default(), 99);
    let expected = [(key(3), 1, Why::Duty), (key(1), 1, Why::Duty), (sub(1), 1, Why::Duty)];
    assert_eq!(named(&p, &streams), expected, "oldest first");
    assert!(!p.more && p.short.is_empty() && p.stuck.is_empty());
}

#[test]
fn a_full_disk_takes_served_footage_of_normal_cameras_first_and_stops_at_the_low_mark() {
    let mut streams = city();
    streams.iter_mut().for_each(|s| _ = s.rows.remove(0));
    let policy = policy(Emergency::Sacrifice);
    let p = decide(&policy, &streams, disk(99), &Holds::default(), 99);
    let served = [(key(1), 2, Why::Water), (sub(1), 2, Why::Water), (key(3), 2, Why::Water)];
    assert_eq!(named(&p, &streams), served, "101 bytes are three segments");
    let p = decide(&policy, &streams, disk(100), &Holds::default(), 99);
    assert!(p.deletions.is_empty(), "at the mark there is room");
    // What duty frees counts.
    let streams = city();
    let p = decide(&policy, &streams, disk(60), &Holds::default(), 99);
    assert!(p.deletions.iter().all(|d| d.why == Why::Duty), "{p:?}");
}

#[test]
fn promises_are_broken_only_by_policy_as_little_as_possible_and_sub_streams_first() {
    let mut streams = city();
    streams.iter_mut().for_each(|s| drop(s.rows.drain(..2)));
    let stop = decide(&policy(Emergency::Stop), &streams, disk(0), &Holds::default(), 99);
    assert_eq!((stop.deletions.len(), stop.short, stop.stuck), (0, vec![0], vec![0]));
    let brave = policy(Emergency::Sacrifice);
    let p = decide(&brave, &streams, disk(0), &Holds::default(), 99);
    assert_eq!(named(&p, &streams), [(sub(1), 3, Why::Sacrifice)]);
    assert!(p.stuck.is_empty());
    let p = decide(&brave, &streams, disk(30), &Holds::default(), 99);
    assert!(p.deletions.is_empty(), "below the high mark, and not about to stop: {p:?}");
    // Nothing younger than the floor.
    for s in &mut streams {
        s.rows = vec![seg(3, 5, 50)];
    }
    let p = decide(&brave, &streams, disk(0), &Holds::default(), 99);
    assert_eq!((p.deletions.len(), p.stuck), (0, vec![0]));
}

#[test]
fn order_of_sacrifice_is_sub_streams_then_normal_cameras_then_key_targets() {
    let mut streams = city();
    streams.iter_mut().for_each(|s| drop(s.rows.drain(..2)));
    streams.iter_mut().for_each(|s| s.rows[0].bytes = 8);
    let p = decide(&policy(Emergency::Sacrifice), &streams, disk(5), &Holds::default(), 99);
    let expected = [(sub(1), 3, Why::Sacrifice), (key(1), 3, Why::Sacrifice), (key(3), 3, Why::Sacrifice)];
    assert_eq!(named(&p, &streams), expected);
}

#[test]
fn nothing_of_which_any_moment_is_held_is_deleted() {
    let streams = city();
    let brave = policy(Emergency::Sacrifice);
    // One microsecond of the segment that is over.
    let end = streams[0].rows[0].end;
    let held = hold(key(1), UtcMicros(end.0 - 1), Some(end));
    let p = decide(&brave, &streams, disk(0), &held, 99);
    assert!(!named(&p, &streams).iter().any(|(k, n, _)| k.camera == key(1).camera && *n == 1), "{p:?}");
    // A hold that only touches it.
    let touching = hold(key(1), end, Some(end + HOUR));
    let p = decide(&brave, &streams, disk(500), &touching, 99);
    assert_eq!(p.deletions.len(), 3);
    // All of it, without end.
    let all = hold(key(1), UtcMicros(0), None);
    let p = decide(&brave, &streams, disk(0), &all, 99);
    assert!(named(&p, &streams).iter().all(|(k, _, _)| *k == key(3)), "{p:?}");
}

#[test]
fn a_camera_that_is_not_configured_keeps_the_strictest_promise() {
    let streams = [StreamFacts { key: key(7), class: None, rows: city().remove(0).rows }];
    let p = decide(&policy(Emergency::Stop), &streams, disk(0), &Holds::default(), 99);
    assert_eq!(
        named(&p, &streams),
        [(key(7), 1, Why::Water)],
        "five days are more than four, and less than eight"
    );
}

#[test]
fn a_plan_has_a_limit_and_does_not_think_of_promises_before_the_rest_is_done() {
    let streams = city();
    let p = decide(&policy(Emergency::Sacrifice), &streams, disk(0), &Holds::default(), 2);
    assert_eq!((p.deletions.len(), p.more), (2, true));
    assert!(p.deletions.iter().all(|d| d.why != Why::Sacrifice));
}

#[test]
fn files_on_a_volume_that_is_away_are_left_alone() {
    let streams = city();
    let away = VolumeFacts { usable: false, ..disk(0) };
    assert_eq!(decide(&policy(Emergency::Sacrifice), &streams, away, &Holds::default(), 99), Plan::default());
}

#[test]
fn few_files_left_are_a_full_disk_too() {
    let streams = city();
    let full = VolumeFacts { inodes_free: 1998, ..disk(900) };
    let p = decide(&policy(Emergency::Stop), &streams, full, &Holds::default(), 99);
    assert_eq!(p.deletions.len(), 3, "three are over; that is enough");
    let mut streams = streams;
    streams.iter_mut().for_each(|s| _ = s.rows.remove(0));
    let full = VolumeFacts { inodes_free: 1998, ..disk(900) };
    let p = decide(&policy(Emergency::Stop), &streams, full, &Holds::default(), 99);
    assert_eq!(p.deletions.iter().map(|d| d.why).collect::<Vec<_>>(), [Why::Water, Why::Water]);
}

#[test]
fn water_marks_leave_the_reserve_alone() {
    let water = WaterMarks { high_permille: 970, low_permille: 950 };
    let v = VolumeFacts { total: 1_100_000, reserve: 100_000, water, ..disk(0) };
    assert_eq!((v.critical_free(), v.high_free(), v.low_free()), (107_500, 130_000, 150_000));
}

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "tests"
)]

use std::time::Duration;

use bytes::Bytes;
use fengsui_config::clock::ManualClock;
use fengsui_config::limits;
use proptest::prelude::*;

use super::*;
use crate::frame::{AccessUnit, StartReason, Track, VideoCodec, VideoParams};

const FRAME_US: i64 = 40_000;

fn key(n: u32) -> StreamKey {
    format!("330800000013200{n:05}")
        .parse()
        .map(|camera| StreamKey { camera, stream: fengsui_config::ids::StreamKind::Main })
        .unwrap()
}

fn info(start: StartReason) -> StreamInfo {
    let video = VideoParams {
        codec: VideoCodec::H264,
        width: 64,
        height: 64,
        extra: Bytes::new(),
        rfc6381: "avc1.64001F".into(),
    };
    StreamInfo { video: Some(video), audio: None, start }
}

fn unit(n: i64, key: bool, bytes: usize) -> AccessUnit {
    let at = UtcMicros(1_000_000_000 + n * FRAME_US);
    AccessUnit {
        track: Track::Video,
        key,
        pts: n * 3600,
        utc: at,
        camera_utc: None,
        arrived: at,
        lost_before: 0,
        data: Bytes::from(vec![0; bytes]),
    }
}

fn hub(budget: usize) -> Arc<Hub> {
    Hub::new(Arc::new(ManualClock::at(UtcMicros(1_000_000_000))), budget)
}

/// Pushes frames `range` with a key frame every `gop`.
fn push(stream: &StreamHub, range: std::ops::Range<i64>, gop: i64) {
    for n in range {
        stream.push(unit(n, n % gop == 0, 1000));
    }
}

fn live(tap: &mut LiveTap) -> Vec<String> {
    let mut out = Vec::new();
    while let Some(item) = tap.try_next() {
        out.push(match item {
            LiveItem::Begin(_) => "begin".into(),
            LiveItem::Unit { unit, warm } => format!("{}{}", unit.seq, if warm { "w" } else { "" }),
            LiveItem::Dropped { units } => format!("dropped {units}"),
            LiveItem::End { reason } => format!("end {reason:?}"),
        });
    }
    out
}

fn drained(tap: &mut RecorderTap) -> Vec<String> {
    let mut items = Vec::new();
    tap.drain(&mut items);
    items
        .iter()
        .map(|item| match item {
            RingItem::Begin(_) => "begin".into(),
            RingItem::Unit(u) => u.seq.to_string(),
            RingItem::End { reason, .. } => format!("end {reason:?}"),
            RingItem::Dropped { units, .. } => format!("dropped {units}"),
        })
        .collect()
}

#[test]
fn a_warm_viewer_gets_the_cached_group_and_a_cold_one_waits_for_the_next() {
    let hub = hub(1 << 30);
    let stream = hub.stream(key(1));
    stream.begin(info(StartReason::Connected));
    push(&stream, 0..8, 5);
    let (mut warm, mut cold) = (stream.subscribe(true), stream.subscribe(false));
    assert_eq!(stream.viewers(), 2);
    assert_eq!(live(&mut warm), ["begin", "5w", "6w", "7w"]);
    assert_eq!(live(&mut cold), ["begin"]);
    push(&stream, 8..12, 5);
    assert_eq!(live(&mut warm), ["8", "9", "10", "11"]);
    assert_eq!(live(&mut cold), ["10", "11"]);
    drop((warm, cold));
    assert_eq!(stream.viewers(), 0);
}

#[test]
fn a_slow_viewer_moves_to_a_fresh_key_frame_and_is_told_how_much_it_missed() {
    let hub = hub(1 << 30);
    let stream = hub.stream(key(1));
    stream.begin(info(StartReason::Connected));
    push(&stream, 0..3, 25);
    let mut tap = stream.subscribe(true);
    assert_eq!(live(&mut tap), ["begin", "0w", "1w", "2w"]);
    push(&stream, 3..60, 25);
    // The key frame 50 is 9 frames old, within the lag allowed; frames 3 to 49 are not worth sending any more.
    let items = live(&mut tap);
    assert_eq!(items.first().unwrap(), "dropped 47");
    assert_eq!(items.get(1).unwrap(), "50");
    assert_eq!(items.len(), 11);
    assert_eq!(hub.stats().viewer_dropped_units, 47);
}

#[test]
fn an_absence_is_told_to_everybody_once_for_each_reason() {
    let hub = hub(1 << 30);
    let stream = hub.stream(key(1));
    let mut tap = stream.subscribe(true);
    let mut recorder = stream.attach_recorder();
    assert!(live(&mut tap).is_empty());
    stream.end(GapReason::CameraOffline);
    stream.end(GapReason::CameraOffline);
    stream.end(GapReason::Auth);
    assert_eq!(live(&mut tap), ["end Auth"]);
    assert_eq!(drained(&mut recorder), ["end CameraOffline", "end Auth"]);
    assert_eq!(live(&mut stream.subscribe(true)), ["end Auth"]);
    stream.begin(info(StartReason::Connected));
    push(&stream, 0..2, 5);
    assert_eq!(live(&mut tap), ["begin", "0", "1"]);
    assert!(stream.info().is_some());
    stream.end(GapReason::Network);
    assert!(stream.info().is_none());
    stream.push(unit(9, true, 10));
    assert_eq!(hub.stats().orphan_units, 1);
}

#[test]
fn the_recorder_gets_every_unit_and_later_taps_silence_earlier_ones() {
    let hub = hub(1 << 30);
    let stream = hub.stream(key(1));
    stream.begin(info(StartReason::Connected));
    push(&stream, 0..7, 5);
    let mut first = stream.attach_recorder();
    assert_eq!(drained(&mut first), ["begin", "5", "6"]);
    push(&stream, 7..30, 5);
    assert_eq!(drained(&mut first).len(), 23);
    let mut second = stream.attach_recorder();
    assert!(drained(&mut first).is_empty());
    drop(first);
    push(&stream, 30..31, 5);
    assert_eq!(drained(&mut second), ["begin", "25", "26", "27", "28", "29", "30"]);
}

#[test]
fn memory_comes_back_to_the_last_group_once_recorded() {
    let hub = hub(1 << 30);
    let stream = hub.stream(key(1));
    let mut recorder = stream.attach_recorder();
    stream.begin(info(StartReason::Connected));
    push(&stream, 0..1000, 25);
    let full = hub.stats().ring_bytes;
    assert!(full > 1_000_000, "{full}");
    drained(&mut recorder);
    let rest = hub.stats().ring_bytes;
    assert!(rest < 26 * 1300, "{rest}");
    // A group longer than a warm start is not kept at all.
    push(&stream, 1000..1001, 1000);
    push(&stream, 1001..1001 + limits::WARM_START_UNITS_MAX as i64, 5000);
    drained(&mut recorder);
    assert_eq!(hub.stats().ring_bytes, 0);
    drop(recorder);
    drop(stream);
    hub.remove(&key(1));
    assert_eq!(hub.stats().ring_bytes, 0);
}

#[test]
fn over_budget_the_largest_backlog_loses_whole_groups_and_the_healthy_stream_nothing() {
    let hub = hub(200_000);
    let (stalled, healthy) = (hub.stream(key(1)), hub.stream(key(2)));
    let (mut stuck, mut quick) = (stalled.attach_recorder(), healthy.attach_recorder());
    stalled.begin(info(StartReason::Connected));
    healthy.begin(info(StartReason::Connected));
    let mut kept = Vec::new();
    for n in 0..400 {
        stalled.push(unit(n, n % 10 == 0, 1000));
        healthy.push(unit(n, n % 10 == 0, 1000));
        kept.extend(drained(&mut quick));
        assert!(hub.stats().ring_bytes <= 200_000, "{}", hub.stats().ring_bytes);
    }
    assert_eq!(kept.len(), 401, "the healthy stream is whole");
    let late = drained(&mut stuck);
    assert_eq!(late.first().unwrap(), "begin");
    let dropped: u64 = late[1].strip_prefix("dropped ").unwrap().parse().unwrap();
    assert_eq!(late[2].parse::<u64>().unwrap(), dropped, "all units before the first kept one are counted");
    assert_eq!(dropped % 10, 0, "what follows is a key frame");
    assert_eq!(late.len() as u64 - 2 + dropped, 400);
    assert_eq!(hub.stats().recorder_dropped_units, dropped);
}

#[test]
fn absences_survive_a_drop() {
    let hub = hub(20_000);
    let stream = hub.stream(key(1));
    let mut tap = stream.attach_recorder();
    for run in 0..20 {
        stream.begin(info(StartReason::Connected));
        push(&stream, run * 10..run * 10 + 10, 10);
        stream.end(if run % 2 == 0 { GapReason::Network } else { GapReason::CameraOffline });
    }
    let items = drained(&mut tap);
    assert_eq!(items.iter().filter(|i| i.starts_with("end")).count(), 20, "{items:?}");
    assert_eq!(items.iter().filter(|i| *i == "begin").count(), 20);
    assert!(items.iter().any(|i| i.starts_with("dropped")));
}

#[tokio::test]
async fn a_waiting_viewer_is_woken_by_the_next_unit() {
    let hub = hub(1 << 30);
    let stream = hub.stream(key(1));
    let mut tap = stream.subscribe(true);
    let viewers = stream.watch_viewers();
    assert_eq!(*viewers.borrow(), 1);
    let reader = async {
        let mut seen = 0;
        while seen < 100 {
            if let LiveItem::Unit { .. } = tap.next().await {
                seen += 1;
            }
        }
        seen
    };
    let writer = async {
        stream.begin(info(StartReason::Connected));
        for n in 0..100 {
            stream.push(unit(n, n % 5 == 0, 100));
            tokio::task::yield_now().await;
        }
    };
    let (seen, ()) =
        tokio::time::timeout(Duration::from_secs(20), async { tokio::join!(reader, writer) }).await.unwrap();
    assert_eq!(seen, 100);
}

#[derive(Debug, Clone)]
enum Action {
    Push(u8),
    Begin,
    End(u8),
    DrainRecorder,
    ReadViewer(u8),
    Subscribe(bool),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => (1..40u8).prop_map(Action::Push),
        1 => Just(Action::Begin),
        1 => (0..2u8).prop_map(Action::End),
        2 => Just(Action::DrainRecorder),
        3 => (0..40u8).prop_map(Action::ReadViewer),
        1 => any::<bool>().prop_map(Action::Subscribe),
    ]
}

proptest! {
    /// Whatever happens: the recorder's units and its counted losses together are every unit pushed, in order; readers
    /// resume at key frames; the budget holds.
    #[test]
    fn nothing_is_lost_uncounted(actions in prop::collection::vec(action(), 1..60), gop in 2..30i64, budget in 20_000..400_000usize) {
        let hub = hub(budget);
        let stream = hub.stream(key(1));
        let mut recorder = stream.attach_recorder();
        let mut viewer = stream.subscribe(true);
        let (mut n, mut running, mut pushed) = (0i64, false, 0u64);
        let (mut accounted, mut fresh, mut viewer_fresh) = (0u64, true, true);
        let mut next_seen = None;
        let mut check = |items: Vec<RingItem>| {
            for item in items {
                match item {
                    RingItem::Unit(u) => {
                        prop_assert_eq!(u.seq, accounted, "in order, nothing uncounted");
                        prop_assert!(!fresh || u.unit.key || u.seq == 0 || running_without_key(&u));
                        accounted += 1;
                        fresh = false;
                    }
                    RingItem::Dropped { units, from, to } => {
                        prop_assert!(from <= to);
                        accounted += units;
                        fresh = true;
                    }
                    RingItem::Begin(_) | RingItem::End { .. } => {}
                }
            }
            Ok(())
        };
        for action in actions {
            match action {
                Action::Push(count) => for _ in 0..count {
                    stream.push(unit(n, n % gop == 0, 500));
                    pushed += u64::from(running);
                    n += 1;
                },
                Action::Begin => { stream.begin(info(StartReason::Connected)); running = true; }
                Action::End(r) => {
                    stream.end(if r == 0 { GapReason::Network } else { GapReason::Auth });
                    running = false;
                }
                Action::DrainRecorder => {
                    let mut items = Vec::new();
                    recorder.drain(&mut items);
                    check(items)?;
                }
                Action::ReadViewer(count) => for _ in 0..count {
                    match viewer.try_next() {
                        Some(LiveItem::Unit { unit, .. }) => {
                            prop_assert!(!viewer_fresh || unit.unit.key, "continues at a key frame");
                            prop_assert!(next_seen.is_none_or(|s| unit.seq >= s), "never backwards");
                            if next_seen.is_some_and(|s| unit.seq > s) {
                                prop_assert!(unit.unit.key, "after a hole comes a key frame");
                            }
                            next_seen = Some(unit.seq + 1);
                            viewer_fresh = false;
                        }
                        Some(LiveItem::Dropped { .. } | LiveItem::End { .. }) => viewer_fresh = true,
                        Some(LiveItem::Begin(_)) => {}
                        None => break,
                    }
                },
                Action::Subscribe(warm) => { viewer = stream.subscribe(warm); viewer_fresh = true; next_seen = None; }
            }
            prop_assert!(hub.stats().ring_bytes <= budget.max(2000), "{}", hub.stats().ring_bytes);
        }
        let mut items = Vec::new();
        recorder.drain(&mut items);
        check(items)?;
        prop_assert_eq!(accounted, pushed);
    }
}

/// A run may begin in the middle of a group: the camera had been sending before.
fn running_without_key(unit: &HubUnit) -> bool {
    !unit.unit.key
}

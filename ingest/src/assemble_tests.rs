#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use bytes::Bytes;
use fengsui_config::clock::{MonoMicros, UtcMicros};
use fengsui_storage::frame::AudioCodec;

use super::*;

#[derive(Default)]
struct Log {
    begins: Vec<(StartReason, Option<u16>)>,
    /// (run number, track, key, pts)
    units: Vec<(usize, Track, bool, i64)>,
    utc: Vec<i64>,
    ends: Vec<GapReason>,
}

impl Output for Log {
    fn begin(&mut self, info: StreamInfo) {
        self.begins.push((info.start, info.video.map(|v| v.width)));
    }
    fn end(&mut self, reason: GapReason) {
        self.ends.push(reason);
    }
    fn push(&mut self, unit: AccessUnit) {
        self.units.push((self.begins.len(), unit.track, unit.key, unit.pts));
        if unit.track == Track::Video {
            self.utc.push(unit.utc.0);
        }
    }
}

struct Bench {
    a: Assembler,
    log: Log,
    mono: u64,
    raw: i64,
}

fn video(width: u16) -> VideoParams {
    VideoParams {
        codec: VideoCodec::H264,
        width,
        height: 1080,
        extra: Bytes::from_static(b"avcC"),
        rfc6381: "avc1.64001F".to_owned(),
    }
}

fn alaw() -> AudioParams {
    AudioParams { codec: AudioCodec::Pcma, sample_rate: 8000, channels: 1, extra: Bytes::new() }
}

impl Bench {
    fn new() -> Self {
        Self { a: Assembler::default(), log: Log::default(), mono: 1_000_000, raw: 4_000_000_000 }
    }
    fn give(&mut self, item: SourceItem) -> Result<Taken, Failure> {
        let arrival = Arrival {
            utc: UtcMicros(1_790_000_000_000_000 + i64::try_from(self.mono).unwrap()),
            mono: MonoMicros(self.mono),
        };
        self.a.take(item, arrival, &mut self.log)
    }
    fn tracks(&mut self, width: u16) {
        self.give(SourceItem::Tracks { video: Some(video(width)), audio: Some(alaw()) }).unwrap();
    }
    fn picture(&mut self, key: bool) -> Taken {
        self.mono += 40_000;
        self.raw += 3600;
        let data = if key { &[0, 0, 0, 2, 0x65, 1][..] } else { &[0, 0, 0, 2, 0x41, 1][..] };
        let unit = SourceUnit {
            track: Track::Video,
            raw_pts: self.raw,
            lost_before: 0,
            data: Bytes::copy_from_slice(data),
        };
        self.give(SourceItem::Unit(unit)).unwrap()
    }
    fn sound(&mut self, raw_pts: i64) {
        let unit = SourceUnit {
            track: Track::Audio,
            raw_pts,
            lost_before: 0,
            data: Bytes::from_static(&[0xD5; 160]),
        };
        self.give(SourceItem::Unit(unit)).unwrap();
    }
}

#[test]
fn nothing_leaves_before_the_first_key_frame() {
    let mut b = Bench::new();
    b.tracks(1920);
    assert_eq!(b.picture(false), Taken::Video { key: false });
    b.sound(0);
    assert!(b.log.units.is_empty() && b.log.begins.is_empty());
    assert_eq!(b.picture(true), Taken::Video { key: true });
    assert_eq!(b.log.begins, [(StartReason::Connected, Some(1920))]);
    assert_eq!(b.log.units, [(1, Track::Video, true, 0)]);
    assert_eq!(b.a.counters().before_key, 1);
}

#[test]
fn a_key_frame_without_parameters_is_none() {
    let mut b = Bench::new();
    b.give(SourceItem::Tracks { video: None, audio: None }).unwrap();
    assert_eq!(b.picture(true), Taken::Video { key: false });
    b.tracks(640);
    assert_eq!(b.picture(true), Taken::Video { key: true });
}

#[test]
fn changed_parameters_begin_a_run_at_the_key_frame_and_equal_ones_do_not() {
    let mut b = Bench::new();
    b.tracks(1920);
    b.picture(true);
    b.tracks(1920);
    b.picture(true);
    b.tracks(1280);
    b.picture(false);
    b.picture(true);
    assert_eq!(
        b.log.begins,
        [(StartReason::Connected, Some(1920)), (StartReason::ParametersChanged, Some(1280))]
    );
    let runs: Vec<_> = b.log.units.iter().map(|u| (u.0, u.3)).collect();
    assert_eq!(runs, [(1, 0), (1, 3600), (1, 7200), (2, 0)]);
}

#[test]
fn a_clock_step_waits_for_the_key_frame_and_loses_nothing() {
    let mut b = Bench::new();
    b.tracks(1920);
    for n in 0..50 {
        if n == 30 {
            b.raw -= 900_000;
        }
        b.picture(n % 25 == 0);
    }
    b.picture(true);
    assert_eq!(
        b.log.begins.iter().map(|x| x.0).collect::<Vec<_>>(),
        [StartReason::Connected, StartReason::ClockStep]
    );
    assert_eq!(b.log.units.len(), 51);
    assert_eq!(b.log.units.iter().filter(|u| u.0 == 2).count(), 1);
    assert!(b.log.utc.windows(2).all(|w| (39_000..41_000).contains(&(w[1] - w[0]))));
    assert_eq!(b.a.take_step(), Some(Step::Backward));
}

#[test]
fn a_step_found_at_a_key_frame_takes_effect_there() {
    let mut b = Bench::new();
    b.tracks(1920);
    b.picture(true);
    b.raw += 90_000 * 60;
    b.picture(true);
    assert_eq!(b.log.units, [(1, Track::Video, true, 0), (2, Track::Video, true, 0)]);
}

#[test]
fn sound_has_its_own_numbers_in_every_run() {
    let mut b = Bench::new();
    b.tracks(1920);
    b.picture(true);
    b.sound(777_000);
    b.sound(777_160);
    b.tracks(640);
    b.picture(true);
    b.sound(777_320);
    let sound: Vec<_> = b.log.units.iter().filter(|u| u.1 == Track::Audio).map(|u| (u.0, u.3)).collect();
    assert_eq!(sound, [(1, 0), (1, 160), (2, 0)]);
}

#[test]
fn a_unit_beyond_the_bound_ends_the_session() {
    let mut b = Bench::new();
    b.tracks(1920);
    let data = Bytes::from(vec![0; limits::ACCESS_UNIT_BYTES_MAX + 1]);
    let unit = SourceUnit { track: Track::Video, raw_pts: 0, lost_before: 0, data };
    assert_eq!(b.give(SourceItem::Unit(unit)).unwrap_err().class, FailureClass::BadData);
}

#[test]
fn loss_is_counted_and_marked() {
    let mut b = Bench::new();
    b.tracks(1920);
    b.picture(true);
    b.give(SourceItem::BadPacket).unwrap();
    let data = Bytes::from_static(&[0, 0, 0, 9, 0x41]);
    b.give(SourceItem::Unit(SourceUnit { track: Track::Video, raw_pts: 1, lost_before: 3, data })).unwrap();
    assert_eq!(b.a.counters().lost_packets, 5, "one bad packet, three lost, one torn unit");
    assert_eq!(b.a.counters().units, 1);
}

#[test]
fn silence_within_a_session_becomes_a_gap_and_the_next_run_begins_with_a_key_frame() {
    let mut b = Bench::new();
    b.tracks(1920);
    b.picture(true);
    b.mono += 4_000_000;
    b.raw += 360_000;
    b.picture(false);
    assert!(b.log.ends.is_empty(), "a short pause is none");
    b.mono += 7_000_000;
    b.raw += 630_000;
    b.picture(false);
    b.picture(true);
    assert_eq!(b.log.ends, [GapReason::Network]);
    assert_eq!(
        b.log.begins.iter().map(|x| x.0).collect::<Vec<_>>(),
        [StartReason::Connected, StartReason::Connected]
    );
    let runs: Vec<_> = b.log.units.iter().map(|u| (u.0, u.3)).collect();
    assert_eq!(runs, [(1, 0), (1, 363_600), (2, 0)]);
}

#[test]
fn pictures_that_were_only_held_up_make_no_gap() {
    let mut b = Bench::new();
    b.tracks(1920);
    b.picture(true);
    b.mono += 8_000_000;
    for _ in 0..200 {
        b.mono -= 39_000;
        b.picture(false);
    }
    assert!(b.log.ends.is_empty());
    assert_eq!(b.log.units.len(), 201);
}

#[test]
fn another_coding_than_declared_is_named() {
    let mut b = Bench::new();
    b.tracks(1920);
    let data = Bytes::from_static(&[0, 0, 0, 3, 0x40, 1, 0x0C]);
    let unit = SourceUnit { track: Track::Video, raw_pts: 0, lost_before: 0, data };
    let failure = b.give(SourceItem::Unit(unit)).unwrap_err();
    assert_eq!(failure.class, FailureClass::Unsupported);
    assert_eq!(failure.detail, "The device declares H.264, but sends H.265.");
}

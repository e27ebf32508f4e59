#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "tests"
)]

use proptest::prelude::*;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::*;

const RATE: u32 = 90_000;
const FRAME_US: i64 = 40_000;
const NODE_UTC0: i64 = 1_790_000_000_000_000;

/// A camera and a network whose truth is known.
struct World {
    rng: SmallRng,
    /// True capture time of the next picture, in microseconds of the node's monotonic clock.
    capture_us: i64,
    /// Camera microseconds a real microsecond.
    speed: f64,
    camera_us: f64,
    /// Time stamp of camera time 0.
    base: i64,
    wall_us: i64,
    jitter_us: i64,
    last_arrival: i64,
}

impl World {
    fn new(seed: u64, ppm: f64, jitter_us: i64) -> Self {
        Self {
            rng: SmallRng::seed_from_u64(seed),
            capture_us: 50_000_000,
            speed: 1.0 + ppm / 1e6,
            camera_us: 0.0,
            base: 3_000_000_000,
            wall_us: NODE_UTC0,
            jitter_us,
            last_arrival: 0,
        }
    }

    /// Takes a picture: (time stamp, arrival, true capture time on the node's wall clock).
    fn shoot(&mut self) -> (i64, Arrival, i64) {
        self.capture_us += FRAME_US;
        self.camera_us += FRAME_US as f64 * self.speed;
        let raw = self.base + (self.camera_us * 0.09) as i64;
        let delay = if self.jitter_us > 0 { self.rng.random_range(0..self.jitter_us) } else { 0 };
        // Packets of one connection keep their order.
        let mono = (self.capture_us + delay).max(self.last_arrival);
        self.last_arrival = mono;
        let arrival = Arrival { utc: UtcMicros(mono + self.wall_us), mono: MonoMicros(mono as u64) };
        (raw, arrival, self.capture_us + self.wall_us)
    }
}

fn ntp(utc_us: i64) -> u64 {
    let seconds = (utc_us.div_euclid(1_000_000) + NTP_UNIX_SECONDS) as u64;
    let fraction = ((utc_us.rem_euclid(1_000_000) as u64) << 32) / 1_000_000;
    seconds << 32 | fraction
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn times_are_true_smooth_and_in_order(seed in any::<u64>(), ppm in -2000.0..2000.0_f64, jitter in 0_i64..150_000) {
        let mut w = World::new(seed, ppm, jitter);
        let mut map = ClockMap::new(RATE);
        let mut last: Option<Stamp> = None;
        for n in 0..25 * 180 {
            let (raw, arrival, truth) = w.shoot();
            let s = map.stamp(raw, arrival);
            prop_assert_eq!(map.step(), None, "picture {}", n);
            let error = s.utc.0 - truth;
            // The first window may hold nothing but late packets; after it the least delay is known.
            let bound = if n < 25 * 15 { jitter + 20_000 } else { jitter / 2 + 35_000 };
            prop_assert!(error.abs() <= bound, "picture {n}: {error} us off, bound {bound}");
            if let Some(l) = last {
                let apart = s.utc.0 - l.utc.0;
                prop_assert!((FRAME_US - 1_000..=FRAME_US + 1_000).contains(&apart), "picture {n}: {apart} us after the last");
                prop_assert!(s.pts > l.pts);
            }
            last = Some(s);
        }
    }

    #[test]
    fn nothing_a_camera_sends_turns_time_around_within_a_run(
        seed in any::<u64>(),
        raws in prop::collection::vec(prop_oneof![any::<i64>(), any::<i32>().prop_map(i64::from), 0_i64..100_000], 1..200),
    ) {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut map = ClockMap::new(RATE);
        let mut mono = 1_000_000_u64;
        let mut highest = i64::MIN;
        for raw in raws {
            mono += rng.random_range(0..200_000);
            map.sender_report(rng.random(), raw);
            let s = map.stamp(raw, Arrival { utc: UtcMicros(NODE_UTC0 + mono as i64), mono: MonoMicros(mono) });
            let back = highest.saturating_sub(s.pts);
            prop_assert!(back <= i64::from(RATE) / 2, "pts back by {back}");
            highest = highest.max(s.pts);
            prop_assert!((s.utc.0 - NODE_UTC0 - mono as i64).abs() < 60_000_000);
        }
    }
}

#[test]
fn pictures_out_of_display_order_are_no_step() {
    let mut map = ClockMap::new(RATE);
    let mut w = World::new(1, 0.0, 0);
    let mut got = Vec::new();
    for group in 0..50_i64 {
        // I P B B: sent in decode order.
        for shown in [0, 3, 1, 2] {
            let (_, arrival, _) = w.shoot();
            got.push(map.stamp((group * 4 + shown) * 3600 + 7, arrival).pts);
        }
    }
    assert_eq!(map.step(), None);
    assert_eq!(&got[..8], [0, 10_800, 3600, 7200, 14_400, 25_200, 18_000, 21_600]);
}

/// Plays `n` pictures; returns the last stamp with its true time.
fn play(map: &mut ClockMap, w: &mut World, n: usize) -> (Stamp, i64) {
    let mut out = None;
    for _ in 0..n {
        let (raw, arrival, truth) = w.shoot();
        out = Some((map.stamp(raw, arrival), truth));
    }
    out.unwrap()
}

#[test]
fn a_jump_of_the_time_stamps_is_a_step_and_numbers_go_on() {
    for (jump, step) in [
        (-90_000_i64 * 3600, Step::Backward),
        (-50_000, Step::Backward),
        (90_000 * 3600, Step::Forward),
        (50_000, Step::Forward),
        (-(1 << 32), Step::Backward),
    ] {
        let mut map = ClockMap::new(RATE);
        let mut w = World::new(2, 30.0, 30_000);
        let (before, _) = play(&mut map, &mut w, 500);
        w.base += jump;
        let (after, truth) = play(&mut map, &mut w, 1);
        assert_eq!(map.step(), Some(step), "{jump}");
        let apart = after.pts - before.pts;
        assert!((3590..=3610).contains(&apart), "{jump}: {apart}");
        assert!((after.utc.0 - truth).abs() < 60_000, "{jump}");
        let (later, truth) = play(&mut map, &mut w, 100);
        assert!((later.utc.0 - truth).abs() < 60_000, "{jump}");
        map.begin_run();
        assert_eq!(map.step(), None);
        let (first, truth) = play(&mut map, &mut w, 1);
        assert_eq!(first.pts, 0);
        assert!((first.utc.0 - truth).abs() < 60_000, "{jump}");
    }
}

#[test]
fn a_small_jump_is_absorbed() {
    let mut map = ClockMap::new(RATE);
    let mut w = World::new(3, 0.0, 0);
    play(&mut map, &mut w, 500);
    w.base += 90 * 300;
    play(&mut map, &mut w, 25 * 60);
    assert_eq!(map.step(), None);
    let (s, truth) = play(&mut map, &mut w, 1);
    assert!((s.utc.0 - truth).abs() < 20_000, "{}", s.utc.0 - truth);
}

#[test]
fn a_network_pause_is_no_step_and_keeps_true_times() {
    let mut map = ClockMap::new(RATE);
    let mut w = World::new(4, 0.0, 0);
    play(&mut map, &mut w, 500);
    let resumes = w.capture_us + 4_000_000;
    // Four seconds of pictures arrive together, then life goes on.
    w.last_arrival = resumes;
    for n in 0..200 {
        let (s, truth) = play(&mut map, &mut w, 1);
        assert_eq!(map.step(), None, "picture {n}");
        assert!((s.utc.0 - truth).abs() < 20_000, "picture {n}: {}", s.utc.0 - truth);
    }
}

#[test]
fn a_silent_camera_is_no_step() {
    let mut map = ClockMap::new(RATE);
    let mut w = World::new(5, 0.0, 0);
    play(&mut map, &mut w, 100);
    w.capture_us += 60_000_000;
    w.camera_us += 60e6;
    let (s, truth) = play(&mut map, &mut w, 1);
    assert_eq!(map.step(), None);
    assert!((s.utc.0 - truth).abs() < 1_000);
}

#[test]
fn a_burst_at_the_start_settles_without_a_step() {
    // The first second of pictures waits in a buffer and arrives at once.
    let mut map = ClockMap::new(RATE);
    let mut w = World::new(6, 0.0, 0);
    w.last_arrival = w.capture_us + 1_000_000;
    let mut last: Option<Stamp> = None;
    for n in 0..25 * 20 {
        let (s, _) = play(&mut map, &mut w, 1);
        assert_eq!(map.step(), None, "picture {n}");
        assert!(last.is_none_or(|l| s.utc > l.utc), "picture {n}");
        last = Some(s);
    }
    let (s, truth) = play(&mut map, &mut w, 25 * 20);
    assert!((s.utc.0 - truth).abs() < 50_000, "{}", s.utc.0 - truth);
}

#[test]
fn setting_the_node_clock_is_a_step_that_takes_effect_with_the_next_run() {
    for by in [-3_600_000_000_i64, 3_600_000_000, 700_000] {
        let mut map = ClockMap::new(RATE);
        let mut w = World::new(7, 0.0, 10_000);
        play(&mut map, &mut w, 500);
        w.wall_us += by;
        let (s, truth) = play(&mut map, &mut w, 1);
        assert_eq!(map.step(), Some(Step::NodeClock));
        assert!((s.utc.0 + by - truth).abs() < 20_000, "the old run keeps the old time");
        map.begin_run();
        let (s, truth) = play(&mut map, &mut w, 1);
        assert!((s.utc.0 - truth).abs() < 20_000, "the new run has the new time");
    }
}

#[test]
fn time_stamps_that_fall_behind_for_good_are_a_step() {
    let mut map = ClockMap::new(RATE);
    let mut w = World::new(8, 0.0, 0);
    play(&mut map, &mut w, 500);
    // The camera's time stamps stand still for three seconds: too little for one picture to show, but it stays.
    w.capture_us += 3_000_000;
    play(&mut map, &mut w, 25 * 4);
    assert_eq!(map.step(), None, "a pause of the network looks the same at first");
    play(&mut map, &mut w, 25 * 12);
    assert_eq!(map.step(), Some(Step::Late));
    map.begin_run();
    let (s, truth) = play(&mut map, &mut w, 25 * 10);
    assert_eq!(map.step(), None);
    assert!((s.utc.0 - truth).abs() < 20_000, "{}", s.utc.0 - truth);
}

#[test]
fn sender_reports_give_the_cameras_own_time() {
    let mut map = ClockMap::new(RATE);
    let mut w = World::new(9, 0.0, 0);
    let (raw, arrival, _) = w.shoot();
    assert_eq!(map.stamp(raw, arrival).camera_utc, None);
    map.sender_report(ntp(NODE_UTC0 + 5_000_000), raw);
    let (raw2, arrival, _) = w.shoot();
    let got = map.stamp(raw2, arrival).camera_utc.unwrap();
    assert!((got.0 - (NODE_UTC0 + 5_040_000)).abs() < 50, "{got:?}");
}

#[test]
fn cameras_that_were_never_told_the_time_are_not_believed() {
    for bad in [0, ntp(0), ntp(86_400_000_000), u64::from(u32::MAX), 1 << 32] {
        let mut map = ClockMap::new(RATE);
        map.sender_report(bad, 0);
        let mut w = World::new(10, 0.0, 0);
        let (raw, arrival, _) = w.shoot();
        assert_eq!(map.stamp(raw, arrival).camera_utc, None, "{bad:#x}");
    }
}

#[test]
fn a_step_of_the_cameras_clock_needs_two_reports() {
    let mut map = ClockMap::new(RATE);
    let mut w = World::new(11, 0.0, 0);
    play(&mut map, &mut w, 100);
    let (raw, arrival, truth) = w.shoot();
    map.stamp(raw, arrival);
    map.sender_report(ntp(truth + 123), raw);
    let mut report = |map: &mut ClockMap, off: i64| {
        play(map, &mut w, 125);
        let (raw, arrival, truth) = w.shoot();
        map.stamp(raw, arrival);
        map.sender_report(ntp(truth + 123 + off), raw);
        map.step()
    };
    assert_eq!(report(&mut map, 400_000), None);
    assert_eq!(report(&mut map, -9_000_000), None, "one stray report");
    assert_eq!(report(&mut map, 400_000), None);
    assert_eq!(report(&mut map, 60_000_000), None);
    assert_eq!(report(&mut map, 60_000_000), Some(Step::CameraClock));
}

#[test]
fn reports_in_whole_seconds_are_no_steps() {
    let mut map = ClockMap::new(RATE);
    let mut w = World::new(12, 0.0, 0);
    for _ in 0..60 {
        play(&mut map, &mut w, 83);
        let (raw, arrival, truth) = w.shoot();
        map.stamp(raw, arrival);
        map.sender_report(ntp(truth.div_euclid(1_000_000) * 1_000_000), raw);
        assert_eq!(map.step(), None);
    }
}

#[test]
fn ticks_and_microseconds_agree_at_the_edges() {
    assert_eq!(to_us(90_000, 90_000), 1_000_000);
    assert_eq!(to_us(-1, 8_000), -125);
    assert_eq!(to_ticks(1_000_001, 90_000), 90_000);
    assert_eq!(to_us(i64::MAX, 1), i64::MAX);
    assert_eq!(to_us(i64::MIN, 1), i64::MIN);
}

/// The same camera read by two nodes: when a picture is delivered by a node that looks every `period`.
fn swept(period: i64, late: impl Fn(i64) -> i64, arrival: Arrival) -> Arrival {
    let mono = arrival.mono.0 as i64;
    let n = mono.div_euclid(period) + 1;
    // A late sweep delivers what would have waited for the ones it came after.
    let at = (0..20).map(|back| (n - back) * period + late(n - back)).filter(|at| *at >= mono).min().unwrap();
    Arrival { utc: arrival.utc + Duration::from_micros((at - mono) as u64), mono: MonoMicros(at as u64) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    /// Reading in sweeps of 200 ms, some of them 300 ms late, gives times as smooth as reading every 50 ms does, as
    /// true but for the pictures' own distance, and no step.
    #[test]
    fn sweeps_do_not_show_in_times(seed in any::<u64>(), ppm in -300.0..300.0_f64, jitter in 0_i64..50_000) {
        let worst = |period: i64, lateness: i64| {
            let mut w = World::new(seed, ppm, jitter);
            let mut map = ClockMap::new(RATE);
            let late = |n: i64| if n % 37 == 0 { lateness } else { 0 };
            let (mut apart, mut off, mut last) = (0, 0, None::<Stamp>);
            for n in 0..25 * 120 {
                let (raw, arrival, truth) = w.shoot();
                // The first seconds are read in short periods.
                let period = if n < 50 { period.min(20_000) } else { period };
                let s = map.stamp(raw, swept(period, late, arrival));
                assert_eq!(map.step(), None, "picture {n}");
                if let Some(l) = last {
                    apart = apart.max((s.utc.0 - l.utc.0 - FRAME_US).abs());
                }
                last = Some(s);
                if n > 25 * 15 {
                    off = off.max((s.utc.0 - truth).abs());
                }
            }
            (apart, off)
        };
        let (rests, sweeps) = (worst(50_000, 0), worst(200_000, 300_000));
        prop_assert!(sweeps.0 <= rests.0.max(500), "apart: {} us, was {}", sweeps.0, rests.0);
        prop_assert!(sweeps.1 <= rests.1 + FRAME_US, "off: {} us, was {}", sweeps.1, rests.1);
    }
}

#[test]
fn drift_is_followed_as_fast_in_sweeps_as_without() {
    for ppm in [-2000.0, 2000.0] {
        let mut w = World::new(13, ppm, 0);
        let mut map = ClockMap::new(RATE);
        for n in 0..25 * 180 {
            let (raw, arrival, truth) = w.shoot();
            let s = map.stamp(raw, swept(200_000, |_| 0, arrival));
            assert_eq!(map.step(), None, "picture {n}");
            assert!(n < 25 * 30 || (s.utc.0 - truth).abs() <= 70_000, "picture {n}: {}", s.utc.0 - truth);
        }
    }
}

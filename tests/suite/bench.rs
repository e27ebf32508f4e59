//! The benchmarks in small: what they say of behaviour must hold, and what they say of speed is no test's matter.

use std::path::Path;

use fengsui_tests::bench;
use fengsui_tests::figure::Figure;

fn cache() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cache/camsim")
}

/// Fails with every figure when one is not on the right side of its target.
fn all_hold(figures: &[Figure]) {
    let lines: Vec<String> = figures.iter().map(ToString::to_string).collect();
    assert!(!figures.is_empty() && figures.iter().all(Figure::holds), "{}", lines.join("\n"));
}

fn value(figures: &[Figure], name: &str) -> f64 {
    figures.iter().find(|f| f.name == name).unwrap_or_else(|| panic!("no figure {name}")).value
}

#[test]
fn a_small_recorder_bench_counts_every_picture() {
    let options = bench::recorder::Options {
        cameras: vec![3],
        ffmpeg: 0,
        seconds: 1,
        floor_seconds: 0,
        settle: 0,
        path: vec![bench::recorder::PathChoice::Default],
        small: true,
        out: None,
        cache: cache(),
    };
    let mut figures = Vec::new();
    bench::recorder::run(&options, &mut |f| figures.push(f)).unwrap();
    all_hold(&figures);
    assert!(value(&figures, "fengsui_3_frames_sent") > 30.0);
}

fn start_options() -> bench::start::Options {
    bench::start::Options {
        cameras: 4,
        per_device: 4,
        cut: 1,
        settle: 0,
        retina: false,
        small: true,
        out: None,
        cache: cache(),
    }
}

#[test]
fn a_small_cold_start_asks_a_device_twice_at_once_at_most() {
    let mut figures = Vec::new();
    bench::start::cold_start(&start_options(), &mut |f| figures.push(f)).unwrap();
    all_hold(&figures);
    assert!(value(&figures, "cold_start_4_at_once_per_device_max") >= 1.0);
}

#[test]
fn a_small_reconnect_is_seen_by_the_simulator() {
    let mut figures = Vec::new();
    bench::start::reconnect(&start_options(), &mut |f| figures.push(f)).unwrap();
    // How far apart attempts are is a figure of the campaign, not of one second.
    figures.retain(|f| f.name != "reconnect_4_shortest_between_attempts");
    all_hold(&figures);
    assert!(value(&figures, "reconnect_4_all") > 0.0);
}

#[test]
fn what_a_small_stall_loses_is_listed() {
    if let Some(reason) = fengsui_tests::disk::stall::missing() {
        println!("SKIPPED 1 test: what_a_small_stall_loses_is_listed: {reason}");
        return;
    }
    let options = bench::stall::Options {
        cameras: 20,
        seconds: 5,
        budget_mib: 16,
        settle: 1,
        retina: false,
        small: false,
        out: None,
        cache: cache(),
    };
    let mut figures = Vec::new();
    bench::stall::run(&options, &mut |f| figures.push(f)).unwrap();
    // A node that has just started still grows by itself, by more than so small a budget forgives; and how soon it has
    // caught up is a figure of the bench.
    figures.retain(|f| !["stall_20_rss_growth", "stall_20_caught_up"].contains(&f.name.as_str()));
    all_hold(&figures);
    // Twenty cameras of 2 Mbit/s send more in five seconds than sixteen MiB hold.
    assert!(value(&figures, "stall_20_lost") > 0.0);
}

#[test]
fn a_small_memory_bench_tells_the_rings_from_the_rest() {
    let options = bench::memory::Options {
        cameras: 4,
        seconds: 2,
        settle: 1,
        stall: 0,
        beside: 0,
        retina: false,
        small: true,
        out: None,
        cache: cache(),
    };
    let mut figures = Vec::new();
    bench::memory::run(&options, &mut |f| figures.push(f)).unwrap();
    // Whether it grows is a figure of minutes, not of two seconds.
    let (rss, ring) = ("memory_4_rss_per_camera_at_10_of_10", "memory_4_ring_per_camera_at_10_of_10");
    assert!(value(&figures, ring) > 0.0 && value(&figures, rss) > value(&figures, ring), "{figures:?}");
    assert!(value(&figures, "memory_4_lost_to_the_disk").abs() < f64::EPSILON, "{figures:?}");
}

#[test]
fn pictures_that_viewers_get_are_told_apart_without_decoding() {
    let options = bench::latency::Options {
        cameras: 3,
        watched: 2,
        seconds: 2,
        settle: 0,
        tls: true,
        retina: false,
        small: true,
        out: None,
        cache: cache(),
    };
    let mut figures = Vec::new();
    bench::latency::run(&options, &mut |f| figures.push(f)).unwrap();
    all_hold(&figures);
    // A key frame comes within the first second; from there on all ten pictures a second of both streams are known.
    assert!(value(&figures, "latency_3_watched_2_pictures") >= 15.0);
}

#[test]
fn small_crowds_of_viewers_cost_no_recorded_picture() {
    let options = bench::fan_out::Options {
        viewers: vec![6],
        per_socket: 3,
        streams: 2,
        cameras: 2,
        stalled: 2,
        slow: 1,
        seconds: 1,
        retina: false,
        small: true,
        out: None,
        cache: cache(),
    };
    let mut figures = Vec::new();
    bench::fan_out::run(&options, &mut |f| figures.push(f)).unwrap();
    // In so short a time nobody is too slow for so small pictures.
    figures.retain(|f| !f.name.ends_with("dropped_by_metrics"));
    all_hold(&figures);
    assert!(value(&figures, "fan_out_6_pictures_per_second") > 15.0);
}

#[test]
fn a_small_relay_bench_loses_no_event() {
    if fengsui_tests::nats::NatsServer::program().is_none() {
        println!("SKIPPED: nats-server is missing; tests/scripts/setup.sh test installs it");
        return;
    }
    let options = bench::relay::Options {
        events: 5000,
        alarms: 5,
        nodes: 2,
        cameras: 20,
        rate: 50,
        backlog: 4,
        seconds: 2,
    };
    let mut figures = Vec::new();
    bench::relay::run(&options, &mut |f| figures.push(f)).unwrap();
    assert!(value(&figures, "relay_throughput") > 0.0);
    for name in ["relay_city_lost", "relay_city_doubled"] {
        assert!(value(&figures, name).abs() < f64::EPSILON, "{figures:?}");
    }
    assert!(value(&figures, "relay_city_view_age_p95").is_finite());
}

//! A city in a test: eighteen sub-centres and their centre, or a county between its stations and the city, with links,
//! servers and nodes that fail in every way. `FENGSUI_SEEDS` says how many cities, `FENGSUI_SEED` the first one; a seed
//! that fails is printed, and the same seed does the same.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "tests"
)]

mod check;
mod journal;
mod scenes;
mod server;
mod site;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};

use fengsui_config::env::{Env, ProcessEnv};
use parking_lot::Mutex;

use crate::figure::{Figure, Target};
use crate::outbox::{OutboxBounds, Size};
use site::LinkState;
use world::{MS, S, World};

const MINUTE: u64 = 60 * S;
const HOUR: u64 = 60 * MINUTE;

/// What all seeds together came to.
#[derive(Default)]
struct Totals {
    applied: AtomicU64,
    passed_over: AtomicU64,
    kills: AtomicU64,
    server_kills: AtomicU64,
    cuts: AtomicU64,
    restores: AtomicU64,
    duplicates: AtomicU64,
    gaps: AtomicU64,
    steps: AtomicU64,
}

fn add(to: &AtomicU64, n: u64) {
    to.fetch_add(n, Ordering::Relaxed);
}

fn city() -> Vec<(&'static str, Option<usize>)> {
    const NAMES: [&str; 18] = [
        "s01", "s02", "s03", "s04", "s05", "s06", "s07", "s08", "s09", "s10", "s11", "s12", "s13", "s14",
        "s15", "s16", "s17", "s18",
    ];
    let below = NAMES.iter().map(|name| (*name, Some(0)));
    [("centre", None)].into_iter().chain(below).collect()
}

fn levels() -> Vec<(&'static str, Option<usize>)> {
    vec![
        ("city", None),
        ("county", Some(0)),
        ("other", Some(0)),
        ("st1", Some(1)),
        ("st2", Some(1)),
        ("st3", Some(1)),
    ]
}

/// Lets every node say something, `each` times within `span`.
fn produce(world: &mut World, span: u64, each: u64) {
    for site in 0..world.sites.len() {
        if world.sites[site].parent.is_none() {
            continue;
        }
        let many = each / 2 + world.roll(each + 1);
        for _ in 0..many {
            let at = world.now + world.roll(span);
            world.act(at, move |w| w.produce(site));
        }
    }
}

/// One fault at a random time of `span`.
fn fault(world: &mut World, span: u64, totals: &Totals) {
    let at = world.now + world.roll(span);
    let site = 1 + usize::try_from(world.roll(world.sites.len() as u64 - 1)).unwrap();
    let parent = world.sites[site].parent.unwrap();
    let short = at + 100 * MS + world.roll(MINUTE);
    match world.roll(12) {
        0..=2 => {
            add(&totals.kills, 1);
            let site = if world.roll(3) == 0 { parent } else { site };
            world.act(at, move |w| w.kill(site));
            world.act(short, move |w| w.start(site));
        }
        3 => {
            add(&totals.server_kills, 1);
            world.act(at, move |w| w.kill_server(parent));
            world.act(short, move |w| w.start_server(parent));
        }
        4 => world.act(at, move |w| w.reset(site)),
        5 => {
            world.act(at, move |w| w.sites[parent].server.is_full = true);
            world.act(short, move |w| w.sites[parent].server.is_full = false);
        }
        6 => {
            add(&totals.cuts, 1);
            let until = at + world.roll(span);
            world.act(at, move |w| w.set_link(site, LinkState::Cut));
            world.act(until, move |w| w.set_link(site, LinkState::Good));
        }
        kind => {
            let states = [
                LinkState::BlackHole,
                LinkState::UpLost,
                LinkState::DownLost,
                LinkState::Slow,
                LinkState::Narrow,
            ];
            let state = states[usize::try_from(kind - 7).unwrap()];
            world.act(at, move |w| w.set_link(site, state));
            world.act(short, move |w| w.set_link(site, LinkState::Good));
        }
    }
}

/// A centre comes back from a backup: the end of its journal is gone.
fn restore(world: &mut World, centre: usize, totals: &Totals) {
    add(&totals.restores, 1);
    world.kill(centre);
    let records = world.sites[centre].journal.records.len() as u64;
    let kept = usize::try_from(world.roll(records + 1)).unwrap();
    world.sites[centre].journal.records.truncate(kept);
    world.sites[centre].journal.epoch += 1000;
    let (oracle, sites) = (&mut world.oracle, &world.sites);
    oracle.restored(centre, sites);
    world.start(centre);
}

/// Heals everything and waits until all is said.
fn heal(world: &mut World) {
    world.is_rough = false;
    for site in 0..world.sites.len() {
        world.sites[site].server.is_full = false;
        if !world.sites[site].server.is_up {
            world.start_server(site);
        }
        world.start(site);
        if world.sites[site].parent.is_some() && world.sites[site].link.state != LinkState::Good {
            world.set_link(site, LinkState::Good);
        }
    }
    let end = world.now + HOUR;
    while world.now < end && !world.oracle.is_complete(0, &world.sites) {
        world.run(world.now + 5 * S);
    }
    // What was on its way when the last frame came in.
    world.run(world.now + 2 * MINUTE);
    let missing = world.oracle.missing(0, &world.sites);
    assert!(missing.is_empty(), "after an hour these are missing:\n{}", missing.join("\n"));
}

fn finish(world: &mut World, totals: &Totals) {
    heal(world);
    for centre in 0..world.sites.len() {
        let Some(inbox) = world.sites[centre].inbox.as_ref() else { continue };
        add(&totals.duplicates, inbox.counters().duplicates);
        add(&totals.gaps, inbox.counters().gaps);
        let (oracle, sites) = (&mut world.oracle, &world.sites);
        oracle.settle(centre, sites);
        assert_eq!(world.sites[centre].server.stored(), 0, "everything that was delivered is acknowledged");
    }
    for site in &world.sites {
        if let Some(outbox) = &site.outbox {
            assert_eq!(outbox.backlog(), Size::default(), "nothing waits at {}", site.id);
            add(&totals.passed_over, outbox.passed().count);
        }
    }
    add(&totals.applied, world.oracle.applied);
    add(&totals.steps, world.steps);
}

/// One city with everything that can go wrong, for a span of its own.
fn one_city(seed: u64, names: &[(&str, Option<usize>)], totals: &Totals) {
    let mut world = World::new(seed, names);
    let tight = world.roll(2) == 0;
    for site in &mut world.sites {
        if tight {
            // So small that a day's events are too many.
            site.bounds = OutboxBounds {
                // More than one record of a county holds.
                window_frames: if site.children.is_empty() { 8 } else { 64 },
                window_bytes: if site.children.is_empty() { 4 << 10 } else { 64 << 10 },
                unacked: 4,
                backlog: Size { records: 16, bytes: 1 << 20 },
            };
        }
    }
    if tight {
        for site in 0..world.sites.len() {
            world.kill(site);
            world.start(site);
        }
    }
    produce(&mut world, 10 * S, 6);
    world.run(10 * S);
    world.is_rough = true;
    // Weeks are mostly idle, and cost the most to simulate.
    let span = match world.roll(8) {
        0..=2 => 2 * MINUTE,
        3..=5 => 10 * MINUTE,
        6 => 24 * HOUR,
        _ => 7 * 24 * HOUR,
    };
    for _ in 0..6 + world.roll(30) {
        fault(&mut world, span.min(20 * MINUTE), totals);
    }
    // Some links are cut for the whole span.
    for site in 1..world.sites.len() {
        if world.roll(4) == 0 {
            add(&totals.cuts, 1);
            let at = world.now + world.roll(30 * S);
            world.act(at, move |w| w.set_link(site, LinkState::Cut));
            world.act(at + span, move |w| w.set_link(site, LinkState::Good));
        }
    }
    produce(&mut world, span, 25);
    produce(&mut world, span.min(20 * MINUTE), 25);
    if world.roll(8) == 0 {
        let at = world.now + world.roll(5 * MINUTE);
        world.run(at);
        restore(&mut world, 0, totals);
    }
    world.run(world.now + span + MINUTE);
    finish(&mut world, totals);
}

/// Runs seeds on every core when there are many, and names the one that fails.
fn campaign(name: &str, seeds: u64, names: &[(&str, Option<usize>)]) {
    let number = |name: &str| ProcessEnv.get(name).and_then(|n| n.parse::<u64>().ok());
    let first = number("FENGSUI_SEED").unwrap_or(0);
    let asked = number("FENGSUI_SEEDS");
    let end = first + asked.unwrap_or(seeds);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (next, totals, failed) = (AtomicU64::new(first), Totals::default(), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        break;
                    }
                    let run = std::panic::AssertUnwindSafe(|| one_city(seed, names, &totals));
                    // The panic hook has said what did not hold.
                    if std::panic::catch_unwind(run).is_err() {
                        next.store(end, Ordering::Relaxed);
                        failed.lock().push(seed);
                        println!("{name}: replay with FENGSUI_SEED={seed} FENGSUI_SEEDS=1");
                    }
                }
            });
        }
    });
    let figure = |what: &str, value: f64, unit, target| {
        println!("{}", Figure::new(format!("{name}_{what}"), value, unit, target));
    };
    let failed = failed.into_inner();
    // The name of the test may stand on this line.
    println!();
    figure("seeds", (end - first) as f64, "seeds", Target::Shown);
    // A seed fails when an event is lost, doubled, out of order, wrongly passed over, or stuck.
    figure("violations", failed.len() as f64, "count", Target::Exactly(0.0));
    let counts = [
        ("frames", &totals.applied),
        ("passed_over", &totals.passed_over),
        ("node_kills", &totals.kills),
        ("server_kills", &totals.server_kills),
        ("link_cuts", &totals.cuts),
        ("centres_restored", &totals.restores),
        ("duplicates_dropped", &totals.duplicates),
        ("gaps_filled", &totals.gaps),
        ("steps", &totals.steps),
    ];
    for (what, count) in counts {
        figure(what, count.load(Ordering::Relaxed) as f64, "count", Target::Shown);
    }
    assert!(failed.is_empty(), "see the seeds above");
}

/// Eighteen sub-centres and a centre: links fail in every way, nodes, the centre and the server are killed at any
/// moment, links are cut for up to a week, journals refuse, the centre comes back from a backup. Every record of every
/// node arrives once, in order, but for those passed over, which are counted exactly and are never alarms.
#[test]
fn the_city_loses_nothing() {
    campaign("relay_city", 150, &city());
}

/// The same with a county between its stations and the city.
#[test]
fn a_county_forwards_for_its_stations() {
    campaign("relay_county", 150, &levels());
}

//! Scenes of the simulated city with one thing to measure each.

use super::site::LinkState;
use super::world::{MS, S, World};
use super::{HOUR, MINUTE, Totals, city, finish, levels};
use crate::figure::{Figure, Target};

fn figure(name: &str, value: f64, unit: &'static str, target: Target) {
    let figure = Figure::new(format!("relay_sim_{name}"), value, unit, target);
    println!("{figure}");
    assert!(figure.holds(), "{figure}");
}

/// Every node says something every `interval`, for `span`.
fn steady(world: &mut World, span: u64, interval: u64) {
    for site in 1..world.sites.len() {
        for n in 0..span / interval {
            let at = world.now + n * interval + world.roll(interval);
            world.act(at, move |w| w.produce(site));
        }
    }
}

/// A link is cut for ten minutes, a day, or a week while the node goes on; afterwards everything is there, much faster than
/// it came about.
#[test]
fn after_a_cut_everything_arrives_faster_than_it_came_about() {
    // A week has fewer events in a second, so that the test is quick: what counts is how many wait.
    for (name, cut, interval) in
        [("10_min", 10 * MINUTE, S), ("24_h", 24 * HOUR, 30 * S), ("7_days", 168 * HOUR, 120 * S)]
    {
        let mut world = World::new(7, &city()[..2]);
        steady(&mut world, MINUTE + cut, interval);
        world.run(MINUTE);
        world.set_link(1, LinkState::Cut);
        world.run(MINUTE + cut);
        let before = world.oracle.applied;
        world.set_link(1, LinkState::Good);
        let (healed, mut done) = (world.now, 0);
        while !world.oracle.is_complete(0, &world.sites) {
            world.run(world.now + 50 * MS);
            done = world.now - healed;
            assert!(done < HOUR, "it never catches up");
        }
        let waited = world.oracle.applied - before;
        assert!(waited > 500);
        let rate = waited as f64 / (done as f64 / S as f64);
        // Live, the reference city's node says at most eleven things a second (200 a second from eighteen).
        figure(&format!("catch_up_after_{name}"), rate / 11.0, "x", Target::AtLeast(10.0));
        finish(&mut world, &Totals::default());
    }
}

/// Live alarms are shown at the top at once, also through a county, and also while a backlog goes up.
#[test]
fn live_alarms_are_shown_at_once() {
    for (name, names) in [("city", city()), ("levels", levels())] {
        let mut world = World::new(3, &names);
        world.run(10 * S);
        steady(&mut world, 5 * MINUTE, S);
        world.run(world.now + 6 * MINUTE);
        let mut latencies = std::mem::take(&mut world.latencies);
        latencies.sort_unstable();
        assert!(latencies.len() > 50);
        let p95 = latencies[latencies.len() * 95 / 100] as f64 / MS as f64;
        figure(&format!("alarm_latency_p95_{name}"), p95, "ms", Target::AtMost(500.0));
        finish(&mut world, &Totals::default());
    }
}

/// 10,000 events a minute of one node: what others say arrives as fast as without it.
#[test]
fn a_flood_of_one_node_delays_no_other() {
    let delay_of = |flood: bool| {
        let mut world = World::new(11, &city()[..4]);
        world.run(10 * S);
        if flood {
            for n in 0..10_000 {
                let at = world.now + n * 6 * MS;
                world.act(at, |w| w.produce(1));
            }
        }
        let (mut delays, end) = (Vec::new(), world.now + MINUTE);
        while world.now < end {
            world.run(world.now + 2 * S);
            let before = world.oracle.applied_of(0, &world.sites[2].id);
            world.produce(2);
            let said = world.now;
            while world.oracle.applied_of(0, &world.sites[2].id) == before {
                world.run(world.now + MS);
            }
            delays.push(world.now - said);
        }
        finish(&mut world, &Totals::default());
        delays.sort_unstable();
        delays[delays.len() * 95 / 100] as f64 / MS as f64
    };
    let (calm, flooded) = (delay_of(false), delay_of(true));
    figure("durable_delay_p95_calm", calm, "ms", Target::AtMost(500.0));
    figure("durable_delay_p95_beside_a_flood", flooded, "ms", Target::AtMost(calm * 2.0 + 20.0));
}

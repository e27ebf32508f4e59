#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::time::Duration;

use proptest::prelude::*;

use super::*;

const MBIT: u64 = 1_000_000;
const RANKS: [Rank; 5] = [Rank::Idle, Rank::Wall, Rank::Chosen, Rank::Full, Rank::Watched];

fn at(ms: u64) -> MonoMicros {
    MonoMicros(ms * 1000)
}

#[test]
fn a_full_picture_takes_the_place_of_small_ones_and_no_more_of_them_than_needed() {
    let mut line = LinkBudget::new(10 * MBIT);
    for key in 0..10 {
        line.want(key, Rank::Wall, MBIT);
    }
    assert_eq!(line.settle(at(0)), (0..10).map(Change::Open).collect::<Vec<_>>());
    line.want(50, Rank::Watched, 3 * MBIT);
    let changes = line.settle(at(1));
    let wanted = [Change::Lost(9), Change::Lost(8), Change::Lost(7), Change::Open(50)];
    assert_eq!(changes, wanted, "those that came last go");
    assert_eq!(line.settle(at(2)), [], "told once");
    line.leave(&50);
    assert_eq!(line.settle(at(5_000)), [], "they wait before they come back");
    let back = line.settle(at(1) + limits::RELAY_LIVE_HOLD);
    assert_eq!(back, [7, 8, 9].map(Change::Open), "and come back in their order");
}

#[test]
fn what_finds_no_room_is_refused_and_gets_the_first_place_that_comes_free() {
    let mut line = LinkBudget::new(4 * MBIT);
    line.want(1, Rank::Watched, 4 * MBIT);
    line.settle(at(0));
    line.want(2, Rank::Watched, 4 * MBIT);
    line.want(3, Rank::Wall, MBIT);
    assert_eq!(line.settle(at(1)), [Change::Refused(2), Change::Refused(3)], "an equal takes no place");
    line.leave(&1);
    assert_eq!(line.settle(at(2)), [Change::Open(2)]);
    assert_eq!(line.settle(at(3)), []);
    line.want(9, Rank::Watched, 5 * MBIT);
    assert_eq!(line.settle(at(4)), [Change::Refused(9)], "larger than the line");
    assert_eq!(line.open_count(), 1);
}

#[test]
fn nobody_goes_who_need_not() {
    let mut line = LinkBudget::new(10 * MBIT);
    for (key, bits) in [(1, 8), (2, 1), (3, 1)] {
        line.want(key, Rank::Wall, bits * MBIT);
    }
    line.settle(at(0));
    line.want(4, Rank::Full, 8 * MBIT);
    assert_eq!(line.settle(at(1)), [Change::Lost(1), Change::Open(4)]);
}

#[test]
fn what_is_measured_to_be_too_much_costs_the_lowest_rank_its_place() {
    let mut line = LinkBudget::new(10 * MBIT);
    line.want(1, Rank::Watched, 4 * MBIT);
    line.want(2, Rank::Wall, MBIT);
    line.want(3, Rank::Chosen, MBIT);
    line.settle(at(0));
    line.measured(1, 9 * MBIT);
    assert_eq!(line.settle(at(5_000)), [Change::Lost(2)]);
    // It is not asked back only to be thrown out again.
    assert_eq!(line.settle(at(60_000)), []);
    line.measured(1, 100);
    assert_eq!(line.open_bits(), 4 * MBIT / limits::RELAY_LIVE_BITS_FLOOR_DIVISOR + MBIT);
    assert_eq!(line.settle(at(60_001)), [Change::Open(2)]);
}

#[test]
fn a_stream_that_nobody_looks_at_gives_way_to_all() {
    let mut line = LinkBudget::new(4 * MBIT);
    line.want(1, Rank::Watched, 4 * MBIT);
    line.settle(at(0));
    line.want(1, Rank::Idle, 4 * MBIT);
    line.want(2, Rank::Wall, MBIT);
    assert_eq!(line.settle(at(1)), [Change::Lost(1), Change::Open(2)]);
    line.want(3, Rank::Idle, MBIT);
    assert_eq!(line.settle(at(2)), [], "nothing is opened for nobody");
}

#[derive(Debug, Clone)]
enum Act {
    Want(u8, usize, u64),
    Leave(u8),
    Measured(u8, u64),
    Wait(u64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (0..12_u8, 0..5_usize, 1..9_u64).prop_map(|(k, r, n)| Act::Want(k, r, n * MBIT / 2)),
        1 => (0..12_u8).prop_map(Act::Leave),
        2 => (0..12_u8, 0..6_000_u64).prop_map(|(k, n)| Act::Measured(k, n * 1000)),
        2 => (1..4_000_u64).prop_map(Act::Wait),
    ];
    prop::collection::vec(act, 1..80)
}

/// What somebody knows who hears only of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Open,
    Lost(MonoMicros),
    Refused,
}

/// Runs acts, and looks after each decision: before it, what it said, what everybody was told until then, and after it.
fn run(acts: &[Act], mut look: impl FnMut(&LinkBudget<u8>, &[Change<u8>], &BTreeMap<u8, Told>, MonoMicros)) {
    let (mut line, mut now) = (LinkBudget::new(10 * MBIT), 0);
    let mut told: BTreeMap<u8, Told> = BTreeMap::new();
    for act in acts {
        match act {
            Act::Want(key, rank, nominal) => line.want(*key, RANKS[*rank], *nominal),
            Act::Leave(key) => {
                line.leave(key);
                told.remove(key);
            }
            Act::Measured(key, bits) => line.measured(*key, *bits),
            Act::Wait(ms) => now += ms,
        }
        let changes = line.settle(at(now));
        for change in &changes {
            let (key, new) = match *change {
                Change::Open(key) => (key, Told::Open),
                Change::Lost(key) => (key, Told::Lost(at(now))),
                Change::Refused(key) => (key, Told::Refused),
            };
            told.insert(key, new);
        }
        look(&line, &changes, &told, at(now));
    }
}

proptest! {
    #[test]
    fn the_line_is_never_reckoned_fuller_than_it_may_be(acts in acts()) {
        let mut good = true;
        run(&acts, |line, _, _, _| good &= line.open_bits() <= line.capacity());
        prop_assert!(good);
    }

    #[test]
    fn nobody_loses_a_place_to_a_lower_rank(acts in acts()) {
        let mut faults = Vec::new();
        run(&acts, |line, changes, _, now| {
            let rank = |key: &u8| line.wanted[key].rank;
            let opened: Vec<u8> = changes.iter().filter_map(|c| if let Change::Open(k) = c { Some(*k) } else { None }).collect();
            for lost in changes.iter().filter_map(|c| if let Change::Lost(k) = c { Some(*k) } else { None }) {
                let to_a_higher = opened.iter().any(|key| rank(key) > rank(&lost));
                let lowest = line.open().all(|(key, _)| opened.contains(key) || rank(key) >= rank(&lost));
                if !(to_a_higher || lowest) {
                    faults.push((now, lost));
                }
            }
            // Whoever waits could not be served by taking places of lower ranks alone.
            for (key, wanted) in &line.wanted {
                let held = matches!(wanted.place, Place::Lost(at, lowest) if wanted.rank <= lowest && now.since(at) < limits::RELAY_LIVE_HOLD);
                if wanted.place == Place::Open || held || wanted.rank == Rank::Idle {
                    continue;
                }
                let higher: u64 = line.open().filter(|(_, w)| w.rank >= wanted.rank).map(|(k, w)| line.bits(k, w)).sum();
                if higher + line.bits(key, wanted) <= line.capacity {
                    faults.push((now, *key));
                }
            }
        });
        prop_assert!(faults.is_empty(), "{faults:?}");
    }

    #[test]
    fn a_stream_that_lost_its_place_waits_before_it_gets_one_again(acts in acts()) {
        let mut lost: BTreeMap<u8, (MonoMicros, Rank)> = BTreeMap::new();
        let mut faults = Vec::new();
        run(&acts, |line, changes, _, now| {
            lost.retain(|key, _| line.wanted.contains_key(key));
            for change in changes {
                match *change {
                    Change::Lost(key) => {
                        lost.insert(key, (now, line.wanted[&key].rank));
                    }
                    Change::Open(key) => {
                        let before = lost.remove(&key);
                        let early = before.filter(|(at, _)| now.since(*at) < limits::RELAY_LIVE_HOLD);
                        if early.is_some_and(|(_, rank)| line.wanted[&key].rank <= rank) {
                            faults.push((now, key));
                        }
                    }
                    Change::Refused(_) => {}
                }
            }
            for (key, (_, rank)) in &mut lost {
                *rank = (*rank).min(line.wanted[key].rank);
            }
        });
        prop_assert!(faults.is_empty(), "{faults:?}");
    }

    #[test]
    fn everybody_without_a_place_was_told(acts in acts()) {
        let mut faults = Vec::new();
        run(&acts, |line, _, told, now| {
            for (key, wanted) in &line.wanted {
                let good = match (wanted.place, told.get(key)) {
                    (Place::Open, Some(Told::Open)) | (Place::Refused, Some(Told::Refused | Told::Lost(_))) => true,
                    (Place::Lost(at, _), Some(Told::Lost(told))) => at == *told,
                    (Place::New, None) => wanted.rank == Rank::Idle,
                    _ => false,
                };
                if !good {
                    faults.push((now, *key));
                }
            }
        });
        prop_assert!(faults.is_empty(), "{faults:?}");
    }
}

#[test]
fn a_rank_that_is_raised_need_not_wait() {
    let mut line = LinkBudget::new(2 * MBIT);
    line.want(1, Rank::Wall, 2 * MBIT);
    line.settle(at(0));
    line.want(2, Rank::Chosen, 2 * MBIT);
    assert_eq!(line.settle(at(1)), [Change::Lost(1), Change::Open(2)]);
    line.want(1, Rank::Watched, 2 * MBIT);
    assert_eq!(line.settle(at(2)), [Change::Lost(2), Change::Open(1)]);
    assert!(at(2) + Duration::from_millis(1) < at(1) + limits::RELAY_LIVE_HOLD);
}

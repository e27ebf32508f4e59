#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod world;

use std::collections::{BTreeMap, BTreeSet};

use fengsui_config::clock::{MonoMicros, UtcMicros};
use fengsui_config::ids::{CameraId, NodeId};
use fengsui_storage::journal::{JournalRecord, Reducer as _, kinds};
use serde_json::json;

use super::*;
use crate::pace::Now;

fn id(text: &str) -> NodeId {
    text.parse().unwrap()
}

fn camera(n: u32) -> CameraId {
    format!("330802010013200{n:05}").parse().unwrap()
}

fn cameras(numbers: impl IntoIterator<Item = u32>) -> BTreeSet<CameraId> {
    numbers.into_iter().map(camera).collect()
}

fn at(ms: u64) -> Now {
    Now {
        utc: UtcMicros(1_790_000_000_000_000 + i64::try_from(ms).unwrap() * 1000),
        mono: MonoMicros(ms * 1000),
    }
}

/// One owner, two nodes that stand by for it (north can do less), a centre that has heard everybody since the beginning,
/// and servers that answer at once.
struct Scene {
    core: Core,
    seen: Seen,
    store: Option<(Lease, u64)>,
    told: Vec<(NodeId, Order)>,
    notes: Vec<Change>,
}

impl Scene {
    fn new() -> Self {
        let sees =
            |recording| NodeSeen { heard: Heard::At(MonoMicros(0)), online: 2, recording, takes: true };
        let duty = BTreeMap::from([(id("west"), cameras(1..4)), (id("north"), cameras(3..5))]);
        let nodes = BTreeMap::from([(id("east"), sees(2)), (id("west"), sees(9)), (id("north"), sees(4))]);
        let seen =
            Seen { hearing_since: Some(MonoMicros(0)), nodes, duty: BTreeMap::from([(id("east"), duty)]) };
        let (told, notes) = (Vec::new(), Vec::new());
        Self { core: Core::new(id("centre")), seen, store: None, told, notes }
    }

    fn hear(&mut self, ms: u64, nodes: &[&str]) {
        for node in nodes {
            self.seen.nodes.get_mut(&id(node)).unwrap().heard = Heard::At(at(ms).mono);
        }
    }

    /// Looks until there is nothing to do.
    fn look(&mut self, ms: u64) {
        loop {
            let actions = self.core.look(at(ms), &self.seen);
            if actions.is_empty() {
                return;
            }
            for action in actions {
                match action {
                    Action::Read { owner } => {
                        let read = self.store.clone().map_or(Read::Nothing, |(l, r)| Read::Entry(l, r));
                        self.notes.extend(self.core.read(at(ms), &owner, read));
                    }
                    Action::Write { lease, over } => {
                        assert_eq!(over, self.store.as_ref().map(|(_, r)| *r), "over what is there");
                        let entry = over.unwrap_or(10) + 1;
                        self.store = Some((lease.clone(), entry));
                        self.notes.extend(self.core.wrote(at(ms), lease, Wrote::Done(entry)));
                    }
                    Action::Tell { node, order } => {
                        self.core.told(at(ms), &node, &order, Told::Done);
                        self.told.push((node, order));
                    }
                }
            }
        }
    }

    /// Looks twice a second while these nodes are heard.
    fn pass(&mut self, from_ms: u64, to_ms: u64, heard: &[&str]) {
        for ms in (from_ms..=to_ms).step_by(500) {
            self.hear(ms, heard);
            self.look(ms);
        }
    }

    fn takers(&self) -> Vec<String> {
        self.store.iter().flat_map(|(lease, _)| &lease.takers).map(ToString::to_string).collect()
    }
}

#[test]
fn a_silent_node_is_taken_over_by_the_least_busy_and_the_rest_by_the_next() {
    let mut scene = Scene::new();
    scene.pass(0, 60_000, &["east", "west", "north"]);
    assert_eq!((scene.store.clone(), scene.notes.len()), (None, 0), "all is well");
    assert!(scene.told.iter().all(|(_, order)| order.cameras.is_empty() && order.revision == 0));
    scene.pass(60_500, 67_500, &["west", "north"]);
    assert_eq!(scene.store, None, "8 s of silence are not over");
    scene.told.clear();
    scene.pass(68_000, 68_000, &["west", "north"]);
    assert_eq!(scene.takers(), ["north", "west"], "north has less to do");
    let revision = scene.store.as_ref().unwrap().0.revision;
    assert_eq!(revision, u64::try_from(at(68_000).utc.millis()).unwrap());
    let order = |cameras| Order { owner: id("east"), revision, cameras };
    let expected = [(id("north"), order(cameras(3..5))), (id("west"), order(cameras(1..3)))];
    assert_eq!(scene.told, expected, "no camera is recorded by two of them");
    assert_eq!((scene.notes.len(), scene.notes[0].before.len()), (1, 0));
    scene.pass(68_500, 200_000, &["west", "north"]);
    assert_eq!((scene.told.len(), scene.notes.len()), (2, 1), "told once");
    // One of them goes as well: the other does what it can.
    scene.pass(200_500, 210_000, &["west"]);
    assert_eq!((scene.takers(), scene.notes.len()), (vec!["west".to_owned()], 2));
    assert_eq!(scene.told.last().unwrap().1.cameras, cameras(1..4));
}

#[test]
fn a_node_must_be_back_for_a_while_before_it_gets_its_cameras() {
    let mut scene = Scene::new();
    scene.pass(0, 20_000, &["west", "north"]);
    assert_eq!(scene.takers().len(), 2);
    let revision = scene.store.as_ref().unwrap().0.revision;
    // It comes and goes: nothing changes.
    for round in 0..10 {
        let begin = 20_500 + round * 40_000;
        scene.pass(begin, begin + 20_000, &["east", "west", "north"]);
        scene.pass(begin + 20_500, begin + 39_500, &["west", "north"]);
    }
    assert_eq!(scene.store.as_ref().unwrap().0.revision, revision);
    // It is there and does not record.
    scene.seen.nodes.get_mut(&id("east")).unwrap().recording = 0;
    scene.pass(500_000, 600_000, &["east", "west", "north"]);
    assert_eq!(scene.takers().len(), 2);
    scene.seen.nodes.get_mut(&id("east")).unwrap().recording = 2;
    scene.pass(600_500, 630_000, &["east", "west", "north"]);
    assert_eq!(scene.takers().len(), 2, "29.5 s");
    scene.told.clear();
    scene.pass(630_500, 630_500, &["east", "west", "north"]);
    assert_eq!(scene.takers().len(), 0);
    assert!(scene.store.as_ref().unwrap().0.revision > revision);
    assert_eq!(scene.told.len(), 2);
    assert!(scene.told.iter().all(|(_, order)| order.cameras.is_empty() && order.revision > revision));
    assert_eq!(scene.notes.last().unwrap().before.len(), 2);
}

#[test]
fn a_centre_that_just_began_to_hear_takes_nobody_for_gone() {
    let mut scene = Scene::new();
    scene.seen.hearing_since = Some(at(100_000).mono);
    scene.pass(100_000, 114_500, &["west", "north"]);
    assert_eq!(scene.store, None, "nodes may still be on their way");
    // It hears nobody at all: then the fault is not east's, and there is nobody to tell.
    let mut deaf = Scene::new();
    deaf.pass(0, 100_000, &[]);
    assert_eq!(deaf.store, None);
    scene.seen.hearing_since = None;
    scene.pass(200_000, 300_000, &["west", "north"]);
    assert_eq!(scene.store, None, "it does not hear");
    scene.seen.hearing_since = Some(at(300_000).mono);
    scene.seen.nodes.get_mut(&id("east")).unwrap().heard = Heard::Never;
    scene.pass(300_000, 400_000, &["west", "north"]);
    assert_eq!(scene.store, None, "a node that never spoke has nothing to take over");
    scene.seen.nodes.get_mut(&id("east")).unwrap().heard = Heard::Before;
    scene.pass(400_500, 400_500, &["west", "north"]);
    assert_eq!(scene.takers().len(), 2, "one that was heard in an earlier life of the centre has");
}

#[test]
fn a_drained_node_gets_nothing_new_and_keeps_what_it_has() {
    let mut scene = Scene::new();
    scene.seen.nodes.get_mut(&id("north")).unwrap().takes = false;
    scene.pass(0, 20_000, &["west", "north"]);
    assert_eq!(scene.takers(), ["west"]);
    scene.seen.nodes.get_mut(&id("west")).unwrap().takes = false;
    scene.pass(20_500, 60_000, &["west", "north"]);
    assert_eq!(scene.takers(), ["west"]);
}

#[test]
fn what_another_centre_decided_is_followed_and_what_the_servers_forgot_is_decided_anew() {
    let mut scene = Scene::new();
    scene.pass(0, 5_000, &["east", "west", "north"]);
    // Another centre has given the cameras to west; this one reads it in time and tells west so.
    let (owner, takers, by) = (id("east"), vec![id("west")], id("other"));
    let revision = u64::try_from(at(6_000).utc.millis()).unwrap();
    let lease = Lease { v: 1, owner: owner.clone(), revision, takers, since_us: at(6_000).utc.0, by };
    scene.store = Some((lease, 77));
    scene.pass(5_500, 34_000, &["west", "north"]);
    assert_eq!(scene.takers(), ["west", "north"], "who records goes on, and the rest goes to the next");
    // The servers' store is lost while east is back: west says that it follows something newer.
    scene.store = None;
    scene.pass(34_500, 60_000, &["east", "west", "north"]);
    let known = revision + 1_000_000;
    let zero = Order { owner: owner.clone(), revision: 0, cameras: BTreeSet::new() };
    scene.core.told(at(60_000), &id("west"), &zero, Told::Newer(known));
    scene.pass(60_500, 100_000, &["east", "west", "north"]);
    let (lease, _) = scene.store.clone().unwrap();
    assert!(lease.takers.is_empty() && lease.revision > known, "{lease:?}");
    let (_, last) = scene.told.iter().rev().find(|(node, _)| *node == id("west")).unwrap();
    assert!(last.cameras.is_empty() && last.revision == lease.revision);
}

fn record(seq: u64, kind: &str, order: &Order) -> JournalRecord {
    let mut body = serde_json::to_value(order).unwrap();
    body["by"] = json!("centre");
    JournalRecord {
        node: "west".into(),
        epoch: 1,
        seq,
        at: at(seq).utc,
        kind: kind.to_owned(),
        body,
        previous: [0; 32],
        hash: [0; 32],
    }
}

#[test]
fn an_older_order_is_refused_and_changes_nothing() {
    let mut taken = Taken::default();
    let order =
        |owner: &str, revision, numbers| Order { owner: id(owner), revision, cameras: cameras(numbers) };
    assert_eq!(taken.decide(&order("east", 0, 0..0)), Ok(Decision::Same), "nothing to give back");
    let first = order("east", 5, 1..3);
    assert_eq!(taken.decide(&first), Ok(Decision::Note(kinds::STANDBY_TAKEN)));
    taken.apply(&record(1, kinds::STANDBY_TAKEN, &first)).unwrap();
    assert_eq!(taken.decide(&first), Ok(Decision::Same), "told twice");
    assert_eq!(taken.cameras(), cameras(1..3));
    for older in [order("east", 4, 0..0), order("east", 0, 7..9)] {
        assert_eq!(taken.decide(&older), Ok(Decision::Older(5)));
    }
    assert_eq!(
        taken.decide(&order("east", 5, 1..2)),
        Ok(Decision::Note(kinds::STANDBY_TAKEN)),
        "other cameras"
    );
    taken.apply(&record(2, kinds::STANDBY_TAKEN, &order("north", 9, 7..8))).unwrap();
    let back = order("east", 6, 0..0);
    assert_eq!(taken.decide(&back), Ok(Decision::Note(kinds::STANDBY_RELEASED)));
    taken.apply(&record(3, kinds::STANDBY_RELEASED, &back)).unwrap();
    assert_eq!(taken.cameras(), cameras(7..8));
    assert_eq!(taken.decide(&first), Ok(Decision::Older(6)), "an order that was late on its way");
    let again: Taken = serde_json::from_value(serde_json::to_value(&taken).unwrap()).unwrap();
    assert_eq!(again, taken);
    assert!(taken.apply(&record(4, kinds::STANDBY_TAKEN, &back)).is_ok());
    let bad = JournalRecord { body: json!({"owner": 3}), ..record(5, kinds::STANDBY_TAKEN, &back) };
    assert!(taken.clone().apply(&bad).is_err());
}

#[test]
fn a_node_remembers_a_bounded_number_of_owners() {
    let mut taken = Taken::default();
    for n in 0..fengsui_config::limits::STANDBY_OWNERS_MAX {
        let order = Order { owner: id(&format!("n{n}")), revision: 1, cameras: cameras([1]) };
        taken.apply(&record(1, kinds::STANDBY_TAKEN, &order)).unwrap();
    }
    let more = Order { owner: id("more"), revision: 1, cameras: cameras([1]) };
    assert_eq!(taken.decide(&more), Err(TooManyOwners));
    let known = Order { owner: id("n0"), revision: 2, cameras: BTreeSet::new() };
    assert_eq!(taken.decide(&known), Ok(Decision::Note(kinds::STANDBY_RELEASED)));
}

#[test]
fn a_lease_reads_back_and_a_newer_version_is_none() {
    let (owner, by, takers) = (id("east"), id("centre"), vec![id("west")]);
    let lease = Lease { v: 1, owner, revision: 7, takers, since_us: 3, by };
    assert_eq!(Lease::decode(&lease.encode()), Some(lease.clone()));
    assert_eq!(Lease::decode(&Lease { v: 2, ..lease }.encode()), None);
    assert_eq!(Lease::decode(b"{}"), None);
}

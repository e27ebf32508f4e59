//! Two centres, nodes that stand by for each other, servers between them; everything fails by the dice of a seed.
//! `FENGSUI_SEEDS` says how many worlds, `FENGSUI_SEED` the first one.

use std::time::Duration;

use fengsui_config::env::{Env as _, ProcessEnv};
use fengsui_config::limits;

use super::*;
use crate::pace::Dice;

const MS: u64 = 1000;
const STEP: u64 = 250 * MS;
const S: u64 = 1_000_000;
/// Worlds of one run of the tests.
const SEEDS: u64 = 60;
/// A node that starts records after this long.
const RECORDS_AFTER: u64 = 3 * S;
/// From a death to the order: the word that was just said, silence, and what passes between centre, servers and nodes.
const TAKEN_WITHIN: u64 = 8 * S + 2 * S + 2 * S;
/// From the end of all faults until exactly the owners record.
const HEALED_WITHIN: u64 = 60 * S;

#[derive(Default)]
struct Node {
    /// Since when it lives.
    alive: Option<u64>,
    taken: Taken,
    records: u64,
}

impl Node {
    fn records(&self, now: u64) -> bool {
        self.alive.is_some_and(|since| now >= since + RECORDS_AFTER)
    }
}

struct Centre {
    id: NodeId,
    core: Option<Core>,
    hearing_since: Option<u64>,
    heard: BTreeMap<NodeId, u64>,
    /// Its wall clock is off by this much.
    clock_us: i64,
    /// It reaches the servers.
    link: bool,
    life: u64,
}

/// What is on its way, and where it is.
#[derive(Clone)]
enum Step {
    Do(Action),
    Read(NodeId, Read),
    Wrote(Lease, Wrote),
    Told(NodeId, Order, Told),
}

struct World {
    dice: Dice,
    now: u64,
    nodes: BTreeMap<NodeId, Node>,
    centres: Vec<Centre>,
    duty: Duty,
    store: BTreeMap<NodeId, (Lease, u64)>,
    entry: u64,
    /// Links between nodes and servers that are cut.
    cut: BTreeSet<NodeId>,
    /// What is on its way: when, of which centre in which life.
    way: Vec<(u64, usize, u64, Step)>,
    /// Something gets lost.
    rough: bool,
    decisions: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let names = ["east", "north", "south", "west"].map(id);
        let mut duty = Duty::new();
        for (n, owner) in (0..).zip(&names) {
            let own = 10 * n..10 * n + 1 + u32::try_from(dice.roll() % 4).unwrap();
            let mut by = BTreeMap::new();
            for sibling in names.iter().filter(|s| *s != owner) {
                let share = cameras(own.clone().filter(|_| !dice.roll().is_multiple_of(3)));
                if !share.is_empty() {
                    by.insert(sibling.clone(), share);
                }
            }
            if !by.is_empty() {
                duty.insert(owner.clone(), by);
            }
        }
        let centre = |id: &str, clock_us| Centre {
            id: self::id(id),
            core: Some(Core::new(self::id(id))),
            hearing_since: Some(0),
            heard: BTreeMap::new(),
            clock_us,
            link: true,
            life: 0,
        };
        let clocks = [(); 2].map(|()| i64::try_from(dice.roll() % 4_000_000).unwrap() - 2_000_000);
        Self {
            nodes: names.into_iter().map(|n| (n, Node { alive: Some(0), ..Node::default() })).collect(),
            centres: vec![centre("centre-a", clocks[0]), centre("centre-b", clocks[1])],
            duty,
            store: BTreeMap::new(),
            entry: 0,
            cut: BTreeSet::new(),
            way: Vec::new(),
            rough: false,
            decisions: 0,
            now: 0,
            dice,
        }
    }

    fn roll(&mut self, of: u64) -> u64 {
        self.dice.roll() % of
    }

    fn time(&self, centre: usize) -> Now {
        let utc = 1_790_000_000_000_000 + i64::try_from(self.now).unwrap() + self.centres[centre].clock_us;
        Now { utc: UtcMicros(utc), mono: MonoMicros(self.now) }
    }

    fn seen(&self, centre: usize) -> Seen {
        let centre = &self.centres[centre];
        let seen = |(id, node): (&NodeId, &Node)| {
            let heard = centre.heard.get(id).map_or(Heard::Before, |at| Heard::At(MonoMicros(*at)));
            let recording = if node.records(self.now) { 3 } else { 0 };
            (id.clone(), NodeSeen { heard, online: 3, recording, takes: true })
        };
        Seen {
            hearing_since: centre.hearing_since.map(MonoMicros),
            nodes: self.nodes.iter().map(seen).collect(),
            duty: self.duty.clone(),
        }
    }

    fn step(&mut self) {
        self.now += STEP;
        if self.now.is_multiple_of(2 * S) {
            self.words();
        }
        let (due, later) = self.way.drain(..).partition(|(at, ..)| *at <= self.now);
        self.way = later;
        let due: Vec<(u64, usize, u64, Step)> = due;
        for (_, centre, life, step) in due {
            self.arrives(centre, life, step);
        }
        for centre in 0..self.centres.len() {
            let (now, seen) = (self.time(centre), self.seen(centre));
            let Some(core) = &mut self.centres[centre].core else { continue };
            for action in core.look(now, &seen) {
                self.send(centre, Step::Do(action));
            }
        }
    }

    /// Nodes say that they are there.
    fn words(&mut self) {
        let there: Vec<NodeId> = self
            .nodes
            .iter()
            .filter(|(id, n)| n.alive.is_some() && !self.cut.contains(*id))
            .map(|(id, _)| id.clone())
            .collect();
        for centre in 0..self.centres.len() {
            for node in &there {
                let lost = self.rough && self.roll(10) == 0;
                let centre = &mut self.centres[centre];
                if centre.core.is_some() && centre.hearing_since.is_some() && !lost {
                    centre.heard.insert(node.clone(), self.now);
                }
            }
        }
    }

    fn send(&mut self, centre: usize, step: Step) {
        let most = if self.rough { 3 * S } else { 100 * MS };
        let (at, life) = (self.now + self.roll(most), self.centres[centre].life);
        self.way.push((at, centre, life, step));
    }

    /// Something arrives at the servers or a node, or its answer at the centre.
    fn arrives(&mut self, centre: usize, life: u64, step: Step) {
        let lost = self.rough && self.roll(6) == 0;
        let fails = lost || !self.centres[centre].link;
        let answer = match step {
            Step::Do(action) => {
                let answer = self.done(action, fails);
                let at = self.now + self.roll(100 * MS);
                return self.way.push((at, centre, life, answer));
            }
            answer if life != self.centres[centre].life => return drop(answer),
            // An answer that is lost is one that does not come in time.
            Step::Read(owner, _) if fails => Step::Read(owner, Read::Failed),
            Step::Wrote(lease, _) if fails => Step::Wrote(lease, Wrote::Failed),
            Step::Told(node, order, _) if fails => Step::Told(node, order, Told::Failed),
            answer => answer,
        };
        self.deliver(centre, life, answer);
    }

    /// What an action comes to where it arrives.
    fn done(&mut self, action: Action, fails: bool) -> Step {
        match action {
            Action::Read { owner } if fails => Step::Read(owner, Read::Failed),
            Action::Read { owner } => {
                let read = self.store.get(&owner).map_or(Read::Nothing, |(l, r)| Read::Entry(l.clone(), *r));
                Step::Read(owner, read)
            }
            Action::Write { lease, .. } if fails => Step::Wrote(lease, Wrote::Failed),
            Action::Write { lease, over } => {
                let there = self.store.get(&lease.owner);
                if there.map(|(_, entry)| *entry) != over {
                    return Step::Wrote(lease, Wrote::Changed);
                }
                assert!(there.is_none_or(|(before, _)| before.revision < lease.revision), "revisions grow");
                self.entry += 1;
                self.decisions += 1;
                self.store.insert(lease.owner.clone(), (lease.clone(), self.entry));
                Step::Wrote(lease, Wrote::Done(self.entry))
            }
            Action::Tell { node, order } => {
                let reached = !fails && !self.cut.contains(&node) && self.nodes[&node].alive.is_some();
                let told = if reached { self.follow(&node, &order) } else { Told::Failed };
                Step::Told(node, order, told)
            }
        }
    }

    fn follow(&mut self, node: &NodeId, order: &Order) -> Told {
        let node = self.nodes.get_mut(node).unwrap();
        let held =
            |taken: &Taken| taken.iter().find(|(o, _)| **o == order.owner).map_or(0, |(_, h)| h.revision);
        let before = held(&node.taken);
        match node.taken.decide(order).unwrap() {
            Decision::Same => Told::Done,
            Decision::Older(revision) => Told::Newer(revision),
            Decision::Note(kind) => {
                node.records += 1;
                node.taken.apply(&record(node.records, kind, order)).unwrap();
                assert!(held(&node.taken) >= before, "no node goes back");
                Told::Done
            }
        }
    }

    /// An answer arrives, a little later than what it answers.
    fn deliver(&mut self, centre: usize, life: u64, answer: Step) {
        if life != self.centres[centre].life {
            return;
        }
        let now = self.time(centre);
        let Some(core) = &mut self.centres[centre].core else { return };
        match answer {
            Step::Read(owner, read) => drop(core.read(now, &owner, read)),
            Step::Wrote(lease, wrote) => drop(core.wrote(now, lease, wrote)),
            Step::Told(node, order, told) => core.told(now, &node, &order, told),
            Step::Do(_) => {}
        }
    }

    /// Something breaks, or is mended.
    fn strike(&mut self) {
        let names: Vec<NodeId> = self.nodes.keys().cloned().collect();
        let node = names[usize::try_from(self.roll(4)).unwrap()].clone();
        let centre = usize::try_from(self.roll(2)).unwrap();
        match self.roll(10) {
            0 | 1 => self.kill(&node),
            2..=4 => self.start(&node),
            5 => drop(self.cut.insert(node)),
            6 => drop(self.cut.remove(&node)),
            7 => self.set_link(centre, !self.centres[centre].link),
            8 => self.restart(centre),
            _ if self.roll(4) == 0 => self.store.clear(),
            _ => {}
        }
    }

    fn kill(&mut self, node: &NodeId) {
        self.nodes.get_mut(node).unwrap().alive = None;
    }

    fn start(&mut self, node: &NodeId) {
        let node = self.nodes.get_mut(node).unwrap();
        node.alive = node.alive.or(Some(self.now));
    }

    fn set_link(&mut self, centre: usize, link: bool) {
        let centre = &mut self.centres[centre];
        centre.link = link;
        centre.hearing_since = link.then_some(centre.hearing_since.unwrap_or(self.now));
    }

    fn restart(&mut self, centre: usize) {
        let now = self.now;
        let centre = &mut self.centres[centre];
        (centre.life, centre.core) = (centre.life + 1, Some(Core::new(centre.id.clone())));
        centre.heard.clear();
        centre.hearing_since = centre.link.then_some(now);
    }

    fn heal(&mut self) {
        self.rough = false;
        self.cut.clear();
        for node in self.nodes.keys().cloned().collect::<Vec<_>>() {
            self.start(&node);
        }
        (0..2).for_each(|centre| self.set_link(centre, true));
    }

    fn run(&mut self, time: u64) {
        let end = self.now + time;
        while self.now < end {
            self.step();
        }
    }

    fn chaos(&mut self, time: u64) {
        self.rough = true;
        let end = self.now + time;
        while self.now < end {
            if self.roll(12) == 0 {
                self.strike();
            }
            self.step();
        }
    }

    /// Exactly the owners record.
    fn assert_healed(&self) {
        for (id, node) in &self.nodes {
            assert!(
                node.records(self.now) && node.taken.cameras().is_empty(),
                "{id} at {}: {:?}",
                self.now,
                node.taken
            );
        }
        assert!(self.store.values().all(|(lease, _)| lease.takers.is_empty()), "{:?}", self.store);
    }

    /// Of every owner that is dead all is recorded that a living node can.
    fn assert_taken(&self) {
        for (owner, by) in self.duty.iter().filter(|(owner, _)| self.nodes[*owner].alive.is_none()) {
            let living = by.iter().filter(|(node, _)| self.nodes[*node].alive.is_some());
            let wanted: BTreeSet<CameraId> = living.clone().flat_map(|(_, c)| c).copied().collect();
            let recorded: Vec<CameraId> = living
                .flat_map(|(node, c)| {
                    self.nodes[node].taken.cameras().intersection(c).copied().collect::<Vec<_>>()
                })
                .collect();
            let once: BTreeSet<CameraId> = recorded.iter().copied().collect();
            assert_eq!(once, wanted, "{owner} at {}: {:?}", self.now, self.store.get(owner));
            assert_eq!(once.len(), recorded.len(), "each by one of them");
        }
    }
}

fn live(seed: u64) -> u64 {
    let mut world = World::new(seed);
    world.run(30 * S);
    for _ in 0..3 {
        let span = 20 * S + world.roll(120) * S;
        world.chaos(span);
        world.heal();
        world.run(HEALED_WITHIN);
        world.assert_healed();
        // One dies, and then perhaps another, with everything else as it should be.
        let names: Vec<NodeId> = world.nodes.keys().cloned().collect();
        for _ in 0..=world.roll(2) {
            let node = names[usize::try_from(world.roll(4)).unwrap()].clone();
            let wait = world.roll(8) * STEP;
            world.run(wait);
            world.kill(&node);
            world.run(TAKEN_WITHIN);
            world.assert_taken();
        }
        let before = world.decisions;
        let wait = world.roll(60) * S;
        world.run(wait);
        world.assert_taken();
        assert_eq!(world.decisions, before, "nothing is decided twice");
        world.heal();
        world.run(HEALED_WITHIN);
        world.assert_healed();
    }
    world.decisions
}

#[test]
fn dead_nodes_are_taken_over_and_healed_ones_record_alone() {
    let number = |name: &str| ProcessEnv.get(name).and_then(|n| n.parse::<u64>().ok());
    let first = number("FENGSUI_SEED").unwrap_or(1);
    let mut decisions = 0;
    for seed in first..first + number("FENGSUI_SEEDS").unwrap_or(SEEDS) {
        let lived = std::panic::catch_unwind(|| live(seed));
        let Ok(made) = lived else {
            panic!("replay with FENGSUI_SEED={seed} FENGSUI_SEEDS=1");
        };
        decisions += made;
    }
    assert!(decisions > 100, "the worlds had something to decide: {decisions}");
    assert!(Duration::from_micros(TAKEN_WITHIN) < limits::RELAY_PRESENCE_SILENCE.1);
}

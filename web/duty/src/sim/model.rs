//! The machines against the oracle: random acts by people, rules, units and tokens at a centre and two nodes whose clocks are
//! off, with messages between them now and then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::NodeId;

use super::compare::{deed, said};
use super::deeds::{self, Dice, by, matter};
use super::oracle::{self, Deed, Outcome};
use super::site::Site;
use super::{add, campaign, figure, number};
use crate::act::{Act, ActId, MatterId, MatterKind, Noted, Verb};
use crate::alarm::AlarmVerb;
use crate::figure::Target;
use crate::incident::IncidentVerb;
use crate::sync::{Concern, Down};

#[derive(Default)]
struct Totals {
    tried: AtomicU64,
    legal: AtomicU64,
    illegal: AtomicU64,
    voids: AtomicU64,
    overruled: AtomicU64,
    prefixes: AtomicU64,
    snapshots: AtomicU64,
}

const NODES: [&str; 3] = ["centre", "north", "south"];

struct Run {
    dice: Dice,
    sites: Vec<Site>,
    /// What the oracle knows at each site.
    known: Vec<BTreeMap<MatterId, Vec<Deed>>>,
    /// What it came to; worked out anew when something is added.
    is: Vec<BTreeMap<MatterId, Outcome>>,
    downs: Vec<Down>,
    up_to: Vec<usize>,
    now: i64,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let skew = |dice: &mut Dice| (dice.roll(7_200) as i64 - 3_600) * 1_000_000;
        let sites = NODES.map(|id| Site::new(id, skew(&mut dice))).into();
        let set = |n: usize| BTreeSet::from([NODES[n].parse::<NodeId>().unwrap()]);
        let down = |n| Down::new("centre".parse().unwrap(), Concern { own: set(n), others: set(3 - n) });
        let (known, is) = (vec![BTreeMap::new(); 3], vec![BTreeMap::new(); 3]);
        Self {
            dice,
            sites,
            known,
            is,
            downs: vec![down(1), down(2)],
            up_to: vec![0, 0],
            now: 1_790_000_000_000_000,
        }
    }

    /// Acts that a site has by now, all of them in its book already.
    fn learn(&mut self, at: usize, new: &[Noted]) {
        for noted in new {
            self.known[at].entry(noted.act.matter.clone()).or_default().push(deed(noted));
        }
        let matters: BTreeSet<&MatterId> = new.iter().map(|noted| &noted.act.matter).collect();
        for matter in matters {
            let outcome = oracle::outcome(matter.kind.as_str(), &self.known[at][matter]);
            assert_eq!(said(&self.sites[at].book, matter), outcome, "{matter} at {}", NODES[at]);
            self.is[at].insert(matter.clone(), outcome);
        }
    }

    fn choose(&mut self, at: usize) -> (MatterId, Verb) {
        let now = UtcMicros(self.now + self.sites[at].skew_us);
        let (dice, book) = (&mut self.dice, &self.sites[at].book);
        // A centre acts everywhere, a node on its own and on what names it.
        let home = if at == 0 { *dice.pick(&NODES) } else { NODES[at] };
        let name = |dice: &mut Dice, letter: &str| format!("{letter}{}", dice.roll(2));
        match dice.roll(20) {
            0..=8 => {
                let on = matter(MatterKind::Alarm, home, &name(dice, "a"));
                if book.alarms.get(&on).is_none_or(|l| l.state().is_none()) {
                    let verb = AlarmVerb::Raise(deeds::raise(dice, on.clone(), now));
                    return (on, Verb::Alarm(verb));
                }
                let verb = deeds::alarm(dice, book, &on, now);
                (on, Verb::Alarm(verb))
            }
            9..=17 => {
                let shared: Vec<&MatterId> = book.incidents.keys().collect();
                let on = if shared.is_empty() || dice.one_in(3) {
                    matter(MatterKind::Incident, home, &name(dice, "i"))
                } else {
                    (*dice.pick(&shared)).clone()
                };
                if book.incidents.get(&on).is_none_or(|l| l.state().is_none()) {
                    let open = IncidentVerb::Open(deeds::open(dice, &NODES));
                    return (on, Verb::Incident(open));
                }
                let verb = deeds::incident(dice, book, &on, &NODES, now);
                (on, Verb::Incident(verb))
            }
            _ => {
                let kinds = [MatterKind::Unit, MatterKind::Plan, MatterKind::Rule, MatterKind::Shift];
                let kind = *dice.pick(&kinds);
                // Definitions of nodes are made at nodes, so that the oracle need not know what is refused from below.
                let name = if kind == MatterKind::Shift { "shift".to_owned() } else { "x0".to_owned() };
                (matter(kind, home, &name), deeds::define(dice, kind))
            }
        }
    }

    /// What the oracle thinks of an act before it is tried.
    fn is_legal(&self, at: usize, act: &Act) -> bool {
        let kind = act.matter.kind.as_str();
        let id = ActId { node: self.sites[at].id.clone(), epoch: 0, seq: 0 };
        let next = deed(&Noted { id, act: act.clone() });
        let none = Outcome::default();
        let is = self.is[at].get(&act.matter).unwrap_or(&none);
        if is.is.is_empty() {
            return !oracle::outcome(kind, &[next]).is.is_empty();
        }
        let settles = next.body["act"]["do"] == "settle";
        let named = next.body["act"]["act"].as_str().unwrap_or_default();
        let in_conflict = is.void.contains(named) || is.overrules.iter().any(|(act, _, _)| act == named);
        oracle::possible(kind, is, &next) && (!settles || in_conflict)
    }

    fn act(&mut self, totals: &Totals) {
        let at = self.dice.roll(3);
        self.now += self.dice.roll(60_000_000) as i64;
        let (on, mut verb) = self.choose(at);
        let mut by = by(&mut self.dice);
        if matches!(verb, Verb::Alarm(AlarmVerb::Raise(_) | AlarmVerb::Counted { .. }))
            && !self.dice.one_in(8)
        {
            by.kind = crate::act::ByKind::System;
        }
        let spoiled = deeds::spoiled(&verb).filter(|_| self.dice.one_in(8));
        let is_spoiled = spoiled.is_some();
        verb = spoiled.unwrap_or(verb);
        let at_us = UtcMicros(self.now + self.sites[at].skew_us);
        let (matter, seen) = (on.clone(), BTreeMap::new());
        let act = Act { matter, lamport: 1, seen, at_us, by: by.clone(), verb: verb.clone() };
        let legal = !is_spoiled && self.is_legal(at, &act);
        let (before, records) = (self.sites[at].book.digest(&on), self.sites[at].journal.len());
        let done = self.sites[at].act(&on, verb, by, UtcMicros(self.now));
        add(&totals.tried, 1);
        match done {
            Ok(noted) => {
                assert!(legal, "this was taken and is not possible: {:?}", noted.act);
                add(&totals.legal, 1);
                self.learn(at, std::slice::from_ref(&noted));
                if at == 0 {
                    self.downs.iter_mut().for_each(|down| down.news(&self.sites[0].book, &noted));
                }
            }
            Err(illegal) => {
                assert!(!legal, "{illegal:?} was refused and is possible: {act:?}");
                assert!(!illegal.code.is_empty() && !illegal.detail.is_empty() && !illegal.remedy.is_empty());
                add(&totals.illegal, 1);
                let after = (self.sites[at].book.digest(&on), self.sites[at].journal.len());
                assert_eq!(after, (before, records), "what is refused changes nothing");
                let is = self.is[at].get(&on).cloned().unwrap_or_default();
                assert_eq!(said(&self.sites[at].book, &on), is);
            }
        }
    }

    /// A node says what it has, and hears what it lacks.
    fn exchange(&mut self, node: usize) {
        let frames = self.sites[node].upward[self.up_to[node - 1]..].to_vec();
        self.up_to[node - 1] += frames.len();
        let from = self.sites[node].id.clone();
        let new = self.sites[0].hear_up(&from, &frames);
        self.learn(0, &new);
        for noted in new {
            self.downs.iter_mut().for_each(|down| down.news(&self.sites[0].book, &noted));
        }
        for _ in 0..1 + self.dice.roll(3) {
            let Some((ticket, say)) = self.downs[node - 1].next(&self.sites[0].book) else { break };
            let (answer, new) = self.sites[node].hear_down(&say);
            self.downs[node - 1].answered(ticket, answer);
            self.learn(node, &new);
        }
    }

    /// The book is what the journal says: up to now, or at every prefix with the acts that it then had.
    fn prefixes(&mut self, every: bool, totals: &Totals) {
        for site in &self.sites {
            assert!(site.reduced(site.journal.len()) == site.book, "{} is what its journal says", site.id);
            add(&totals.prefixes, 1);
            if every {
                let mut book = crate::book::Book::default();
                for (n, record) in site.journal.iter().enumerate() {
                    book.take_record(record).unwrap();
                    assert!(site.reduced(n + 1) == book, "{} at record {n}", site.id);
                    add(&totals.prefixes, 1);
                }
            }
            if let Some(book) = site.by_snapshot() {
                assert!(book == site.book, "{} comes back from its snapshot", site.id);
                add(&totals.snapshots, 1);
            }
        }
    }
}

fn one(seed: u64, acts: usize, totals: &Totals) {
    let mut run = Run::new(seed);
    // Now and then a short life that is looked at whole.
    let (acts, every) = if seed.is_multiple_of(16) { (60, true) } else { (acts, false) };
    for _ in 0..acts {
        run.act(totals);
        if run.dice.one_in(12) {
            let node = 1 + run.dice.roll(2);
            run.exchange(node);
        }
        if run.dice.one_in(100) {
            let at = run.dice.roll(3);
            run.sites[at].keep();
        }
        if run.dice.one_in(150) {
            let at = run.dice.roll(3);
            run.sites[at].restart();
        }
    }
    run.prefixes(every, totals);
    for is in run.is.iter().flat_map(BTreeMap::values) {
        add(&totals.voids, is.void.len());
        add(&totals.overruled, is.overrules.len());
    }
}

/// Every legal act passes, every illegal one is refused and changes nothing, and what a book says is what the oracle makes of
/// all acts, at every node after every act, whatever came in between; and what the journal says, at every prefix.
#[test]
fn the_machines_do_what_the_model_does() {
    let (totals, acts) = (Totals::default(), number("FENGSUI_RUNS").unwrap_or(20_000));
    let enough = |seeds: u64| match number("FENGSUI_SEEDS") {
        Some(asked) => seeds >= asked,
        None => totals.tried.load(Ordering::Relaxed) >= acts,
    };
    campaign("duty.model", enough, |seed| one(seed, 400, &totals));
    let of = |total: &AtomicU64| total.load(Ordering::Relaxed);
    figure("duty.model.acts", of(&totals.tried), Target::Shown);
    figure("duty.model.legal", of(&totals.legal), Target::Shown);
    figure("duty.model.refused", of(&totals.illegal), Target::Shown);
    figure("duty.model.void", of(&totals.voids), Target::Shown);
    figure("duty.model.overruled", of(&totals.overruled), Target::Shown);
    figure("duty.model.prefixes", of(&totals.prefixes), Target::Shown);
    figure("duty.model.snapshots", of(&totals.snapshots), Target::Shown);
    if number("FENGSUI_SEEDS").is_none() {
        let all = [&totals.legal, &totals.illegal, &totals.voids, &totals.overruled, &totals.snapshots];
        assert!(all.iter().all(|total| of(total) > 0), "each of these was met");
    }
}

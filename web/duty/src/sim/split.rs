//! Links are cut while both sides act on the same alarms and incidents, and heal again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::NodeId;
use fengsui_relay::frame::Frame;

use super::compare::{deed, said};
use super::deeds::{self, Dice, by, matter};
use super::oracle;
use super::site::{Line, Site};
use super::{add, campaign, figure, number};
use crate::act::{ByKind, MatterId, MatterKind, Noted, Verb};
use crate::alarm::AlarmVerb;
use crate::figure::Target;
use crate::incident::IncidentVerb;
use crate::ledger::Machine as _;
use crate::sync::{Answer, Concern, Down, Say};

#[derive(Default)]
struct Totals {
    acts: AtomicU64,
    cuts: AtomicU64,
    restarts: AtomicU64,
    void: AtomicU64,
    overruled: AtomicU64,
    matters: AtomicU64,
}

/// What goes over a link: frames from a place in the sender's row of frames, how far the other end is, what a centre says,
/// and answers.
#[derive(Clone)]
enum Message {
    Frames(usize, Vec<Frame>),
    Taken(usize),
    Say(u64, Say),
    Answer(u64, Answer),
}

/// A node's link to the one above.
struct Link {
    child: usize,
    parent: usize,
    up: Line<Message>,
    down: Line<Message>,
    is_cut: bool,
    /// How far the sender knows the other end to be.
    confirmed: usize,
    says: Down,
    /// What the centre waits for, and since when.
    waits: Option<(u64, u64)>,
}

struct World {
    dice: Dice,
    sites: Vec<Site>,
    links: Vec<Link>,
    now: u64,
    rough: bool,
    /// Every act that anybody made.
    made: Vec<Noted>,
    /// Matters on which everybody acts.
    hot: Vec<MatterId>,
}

/// Names and who is above whom.
fn shape(seed: u64) -> Vec<(&'static str, Option<usize>)> {
    match seed % 3 {
        0 => vec![("centre", None), ("north", Some(0)), ("south", Some(0))],
        1 => vec![("centre", None), ("north", Some(0)), ("south", Some(0)), ("east", Some(0))],
        _ => vec![
            ("centre", None),
            ("county", Some(0)),
            ("town", Some(1)),
            ("lake", Some(1)),
            ("south", Some(0)),
        ],
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let shape = shape(seed);
        let skew = |dice: &mut Dice| (dice.roll(7_200) as i64 - 3_600) * 1_000_000;
        let sites: Vec<Site> = shape.iter().map(|(id, _)| Site::new(id, skew(&mut dice))).collect();
        let under = |top: usize| -> BTreeSet<NodeId> {
            let is_under = |n: &usize| *n == top || shape[*n].1 == Some(top);
            (0..shape.len()).filter(is_under).map(|n| sites[n].id.clone()).collect()
        };
        let below =
            |centre: usize| (0..shape.len()).filter(move |n| *n != centre && (centre == 0 || n / 2 == 1));
        let link = |child: usize, parent: usize| {
            let own = under(child);
            let others = below(parent).map(|n| sites[n].id.clone()).filter(|id| !own.contains(id)).collect();
            let says = Down::new(sites[parent].id.clone(), Concern { own, others });
            let (up, down) = (Line::new(), Line::new());
            Link { child, parent, up, down, is_cut: false, confirmed: 0, says, waits: None }
        };
        let links = (0..shape.len()).filter_map(|n| Some(link(n, shape[n].1?))).collect();
        let mut hot = Vec::new();
        for site in &sites {
            hot.extend(["a0", "a1"].map(|name| matter(MatterKind::Alarm, site.id.as_str(), name)));
            hot.push(matter(MatterKind::Incident, site.id.as_str(), "i0"));
            hot.push(matter(MatterKind::Plan, site.id.as_str(), "p0"));
            hot.push(matter(MatterKind::Shift, site.id.as_str(), "shift"));
        }
        Self { dice, sites, links, now: 0, rough: true, made: Vec::new(), hot }
    }

    /// Whether somebody at a site may do something to a matter.
    fn may(&self, at: usize, on: &MatterId) -> bool {
        let site = &self.sites[at];
        if on.home == site.id {
            return true;
        }
        let above = |n: usize| self.links.iter().find(|l| l.child == n).map(|l| l.parent);
        let home = self.sites.iter().position(|s| s.id == on.home).unwrap();
        let is_above = above(home) == Some(at) || above(home).and_then(above) == Some(at);
        let is_known = site.book.ledger(on).is_some_and(crate::book::AnyLedger::has_begun);
        let named = site
            .book
            .incidents
            .get(on)
            .and_then(|l| l.state())
            .is_some_and(|i| i.open.nodes.contains(&site.id));
        is_known && (is_above || named)
    }

    fn act(&mut self) {
        let at = self.dice.roll(self.sites.len());
        let on = self.dice.pick(&self.hot).clone();
        if !self.may(at, &on) {
            return;
        }
        let now = UtcMicros(1_790_000_000_000_000 + self.now as i64 * 1_000_000);
        let there = UtcMicros(now.0 + self.sites[at].skew_us);
        let names: Vec<String> = self.sites.iter().map(|s| s.id.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (dice, book) = (&mut self.dice, &self.sites[at].book);
        let has_begun = book.ledger(&on).is_some_and(crate::book::AnyLedger::has_begun);
        let verb = match on.kind {
            MatterKind::Alarm if !has_begun => {
                Verb::Alarm(AlarmVerb::Raise(deeds::raise(dice, on.clone(), there)))
            }
            MatterKind::Alarm => Verb::Alarm(deeds::alarm(dice, book, &on, there)),
            MatterKind::Incident if !has_begun => {
                Verb::Incident(IncidentVerb::Open(deeds::open(dice, &names)))
            }
            MatterKind::Incident => Verb::Incident(deeds::incident(dice, book, &on, &names, there)),
            kind => deeds::define(dice, kind),
        };
        let mut by = by(dice);
        if matches!(verb, Verb::Alarm(AlarmVerb::Raise(_) | AlarmVerb::Counted { .. })) {
            // Only its own node counts and raises.
            if on.home != self.sites[at].id {
                return;
            }
            by.kind = ByKind::System;
        }
        if let Ok(noted) = self.sites[at].act(&on, verb, by, now) {
            self.heard(at, std::slice::from_ref(&noted));
            self.made.push(noted);
        }
    }

    /// Acts are new at a site: those below may have to be told.
    fn heard(&mut self, at: usize, new: &[Noted]) {
        for link in self.links.iter_mut().filter(|link| link.parent == at) {
            new.iter().for_each(|noted| link.says.news(&self.sites[at].book, noted));
        }
    }

    fn carry(&mut self, n: usize) {
        let (now, rough) = (self.now, self.rough);
        let link = &mut self.links[n];
        if link.is_cut {
            return;
        }
        let (child, parent) = (link.child, link.parent);
        // What is not confirmed is said again.
        let frames: Vec<Frame> =
            self.sites[child].upward[link.confirmed..].iter().take(16).cloned().collect();
        if !frames.is_empty() {
            link.up.send(&mut self.dice, now, rough, Message::Frames(link.confirmed, frames));
        }
        if let Some((ticket, since)) = link.waits
            && now - since > 3
        {
            link.says.failed(ticket);
            link.waits = None;
        }
        if link.waits.is_none()
            && let Some((ticket, say)) = link.says.next(&self.sites[parent].book)
        {
            link.waits = Some((ticket, now));
            let say = serde_json::from_str(&serde_json::to_string(&say).unwrap()).unwrap();
            link.down.send(&mut self.dice, now, rough, Message::Say(ticket, say));
        }
        for message in self.links[n].up.arrived(now) {
            self.at_parent(n, message);
        }
        for message in self.links[n].down.arrived(now) {
            self.at_child(n, message);
        }
    }

    fn at_parent(&mut self, n: usize, message: Message) {
        let (now, rough, parent) = (self.now, self.rough, self.links[n].parent);
        let from = self.sites[self.links[n].child].id.clone();
        match message {
            Message::Frames(first, frames) => {
                let next = self.sites[parent].taken.get(&from).copied().unwrap_or(0);
                // Only what is next is taken in, once.
                if first <= next {
                    let new: Vec<Frame> = frames.into_iter().skip(next - first).collect();
                    let new = self.sites[parent].hear_up(&from, &new);
                    self.heard(parent, &new);
                }
                let next = self.sites[parent].taken.get(&from).copied().unwrap_or(0);
                self.links[n].down.send(&mut self.dice, now, rough, Message::Taken(next));
            }
            Message::Answer(ticket, answer) => {
                let link = &mut self.links[n];
                link.says.answered(ticket, answer);
                link.waits = link.waits.filter(|(of, _)| *of != ticket);
            }
            Message::Taken(_) | Message::Say(..) => panic!("this goes the other way"),
        }
    }

    fn at_child(&mut self, n: usize, message: Message) {
        let (now, rough, child) = (self.now, self.rough, self.links[n].child);
        match message {
            Message::Taken(next) => self.links[n].confirmed = self.links[n].confirmed.max(next),
            Message::Say(ticket, say) => {
                let (answer, new) = self.sites[child].hear_down(&say);
                self.heard(child, &new);
                self.links[n].up.send(&mut self.dice, now, rough, Message::Answer(ticket, answer));
            }
            Message::Frames(..) | Message::Answer(..) => panic!("this goes the other way"),
        }
    }

    fn cut(&mut self, n: usize) {
        let link = &mut self.links[n];
        link.is_cut = true;
        link.up.cut();
        link.down.cut();
    }

    fn heal(&mut self, n: usize) {
        let link = &mut self.links[n];
        (link.is_cut, link.waits) = (false, None);
        link.says.restart();
    }

    /// A site dies and starts from its journal; what it knew of its links is gone.
    fn restart(&mut self, at: usize) {
        self.sites[at].restart();
        for n in 0..self.links.len() {
            let link = &mut self.links[n];
            if link.child == at {
                link.confirmed = 0;
            }
            if link.parent == at || link.child == at {
                link.up.cut();
                link.down.cut();
                link.waits = None;
                link.says.restart();
            }
        }
    }

    fn step(&mut self) {
        self.now += 1;
        (0..self.links.len()).for_each(|n| self.carry(n));
    }

    fn is_quiet(&self) -> bool {
        let quiet = |l: &Link| l.confirmed == self.sites[l.child].upward.len() && l.says.is_in_step();
        self.links.iter().all(quiet)
    }
}

fn trouble(world: &mut World, totals: &Totals) {
    let n = world.dice.roll(world.links.len());
    match world.dice.roll(12) {
        0 | 1 if !world.links[n].is_cut => {
            add(&totals.cuts, 1);
            world.cut(n);
        }
        2 if world.links[n].is_cut => world.heal(n),
        3 if world.dice.one_in(2) => {
            add(&totals.restarts, 1);
            let at = world.dice.roll(world.sites.len());
            world.restart(at);
        }
        4 if world.dice.one_in(2) => {
            let at = world.dice.roll(world.sites.len());
            world.sites[at].keep();
        }
        _ => {}
    }
}

fn one(seed: u64, totals: &Totals) {
    let mut world = World::new(seed);
    for _ in 0..70 {
        for _ in 0..world.dice.roll(5) {
            world.act();
        }
        trouble(&mut world, totals);
        world.step();
    }
    world.rough = false;
    for n in 0..world.links.len() {
        if world.links[n].is_cut {
            world.heal(n);
        }
    }
    let end = world.now + 400;
    while !world.is_quiet() {
        world.step();
        assert!(world.now < end, "it never comes to rest");
    }
    add(&totals.acts, world.made.len());
    judge(&mut world, totals);
}

fn judge(world: &mut World, totals: &Totals) {
    let mut made: BTreeMap<MatterId, Vec<Noted>> = BTreeMap::new();
    for noted in &world.made {
        made.entry(noted.act.matter.clone()).or_default().push(noted.clone());
    }
    for site in &world.sites {
        assert!(site.book.unwelcome().is_empty(), "{:?}", site.book.unwelcome());
        assert!(site.reduced(site.journal.len()) == site.book, "{} is what its journal says", site.id);
    }
    for (matter, acts) in &made {
        let deeds: Vec<_> = acts.iter().map(deed).collect();
        let should = oracle::outcome(matter.kind.as_str(), &deeds);
        add(&totals.matters, 1);
        add(&totals.void, should.void.len());
        add(&totals.overruled, should.overrules.len());
        let counts = |noted: &&Noted| crate::alarm::Alarm::tally(noted).is_some();
        for at in 0..world.sites.len() {
            let concerned = world.concerns(at, matter);
            let has_any = world.sites[at].book.acts_of(matter).next().is_some();
            if !concerned {
                assert!(!has_any, "{matter} does not concern {}", world.sites[at].id);
                continue;
            }
            let book = &world.sites[at].book;
            let has: BTreeSet<_> = book.acts_of(matter).map(|noted| noted.id.clone()).collect();
            for noted in acts.iter().filter(|noted| !counts(noted)) {
                assert!(has.contains(&noted.id), "{} has lost {} of {matter}", world.sites[at].id, noted.id);
            }
            assert_eq!(said(book, matter), should, "{matter} at {}", world.sites[at].id);
        }
    }
}

impl World {
    /// Whether a matter comes to a site: all of them to the centre, to others what the one above has and hands on.
    fn concerns(&self, at: usize, matter: &MatterId) -> bool {
        let above = self.links.iter().find(|link| link.child == at);
        above.is_none_or(|link| {
            let book = &self.sites[link.parent].book;
            self.concerns(link.parent, matter) && link.says.concern().has(book, matter)
        })
    }
}

/// Links are cut, messages lost, doubled and late, sites die and start from their journals, while people on all sides act on the
/// same alarms, incidents, plans and shifts. When the links are whole again, every site that a matter concerns has every act of
/// it, comes to the same state, and shows every act that was in vain or overruled; and that is what the oracle makes of them.
#[test]
fn all_sides_converge_when_a_cut_link_heals() {
    let (totals, seeds) = (Totals::default(), number("FENGSUI_SEEDS").unwrap_or(60));
    campaign("duty.split", |done| done >= seeds, |seed| one(seed, &totals));
    let of = |total: &AtomicU64| total.load(Ordering::Relaxed);
    figure("duty.split.seeds", seeds, Target::Shown);
    figure("duty.split.acts", of(&totals.acts), Target::Shown);
    figure("duty.split.matters", of(&totals.matters), Target::Shown);
    figure("duty.split.cuts", of(&totals.cuts), Target::Shown);
    figure("duty.split.restarts", of(&totals.restarts), Target::Shown);
    figure("duty.split.void", of(&totals.void), Target::Shown);
    figure("duty.split.overruled", of(&totals.overruled), Target::Shown);
    if seeds >= 60 {
        let all = [&totals.acts, &totals.cuts, &totals.restarts, &totals.void, &totals.overruled];
        assert!(all.iter().all(|total| of(total) > 0), "each of these was met");
    }
}
